/* SPDX-License-Identifier: Apache-2.0 */
/* How hyc prints: errors, sizes, names that come from an archive and may be hostile, JSON. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cmd.h"

/* A terminal obeys C0 controls, DEL, and the C1 controls U+0080 to U+009F. */
static int control_bytes(const unsigned char *s)
{
	if (s[0] < 0x20 || s[0] == 0x7f)
		return 1;
	return s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f ? 2 : 0;
}

int cmd_put_name(FILE *out, const char *name)
{
	int columns = 0;

	for (const unsigned char *s = (const unsigned char *)name; *s; s++) {
		int n = control_bytes(s);

		for (int i = 0; i < n; i++)
			columns += fprintf(out, "\\x%02x", s[i]);
		if (n > 1)
			s++;
		if (n == 0) {
			putc(*s, out);
			columns += (*s & 0xc0) != 0x80; /* not a continuation byte of UTF-8 */
		}
	}
	return columns;
}

static void HYC_PRINTF(1, 0) put_message(const char *fmt, va_list ap)
{
	char line[4096 + 1024];

	vsnprintf(line, sizeof line, fmt, ap);
	fputs("hyc: ", stderr);
	cmd_put_name(stderr, line);
}

int cmd_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_message(fmt, ap);
	va_end(ap);
	putc('\n', stderr);
	return CMD_FAILED;
}

int cmd_usage(const struct cmd_verb *verb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_message(fmt, ap);
	va_end(ap);
	if (verb)
		fprintf(stderr, "; try 'hyc %s --help'\n", verb->name);
	else
		fputs("; try 'hyc --help'\n", stderr);
	return CMD_USAGE;
}

int cmd_finish(int status)
{
	errno = 0;
	if (fflush(stdout) || ferror(stdout))
		return cmd_error("standard output: %s", errno ? strerror(errno) : "could not be written");
	return status;
}

struct hyc *cmd_open_view(const char *path, const struct cmd_args *args)
{
	struct hyc_options options = { .view = (enum hyc_view_kind)args->view };
	struct hyc *archive;
	struct hyc_error err;

	if (!hyc_open(path, &options, &archive, &err))
		return archive;
	cmd_error("%s", err.msg);
	return NULL;
}

struct hyc *cmd_open(const char *path)
{
	return cmd_open_view(path, &(struct cmd_args){ .view = HYC_VIEW_ORIGINAL });
}

const char *cmd_human(char buf[CMD_SIZE_LEN], double bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	size_t unit = 0;

	/* 999.95 would be printed as 1000.0. */
	while (bytes >= (unit ? 999.95 : 999.5) && unit + 1 < sizeof units / sizeof units[0]) {
		bytes /= 1000;
		unit++;
	}
	snprintf(buf, CMD_SIZE_LEN, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return buf;
}

const char *cmd_percent(char buf[CMD_SIZE_LEN], double part, double whole)
{
	if (whole > 0)
		snprintf(buf, CMD_SIZE_LEN, "%.1f %%", fmin(part / whole * 100, 1e9));
	else
		snprintf(buf, CMD_SIZE_LEN, "-");
	return buf;
}

const char *cmd_count(char buf[CMD_COUNT_LEN], uint64_t n, const char *noun)
{
	snprintf(buf, CMD_COUNT_LEN, "%llu %s%s", (unsigned long long)n, noun, n == 1 ? "" : "s");
	return buf;
}

/* Length of the UTF-8 sequence at s, or 0 where it is none. jansson is as strict: no overlong forms, no surrogates. */
static size_t utf8_len(const unsigned char *s)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 :
		     s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

json_t *cmd_json_real(double number)
{
	return isfinite(number) ? json_real(number) : json_null();
}

json_t *cmd_json_text(const char *text)
{
	json_t *string = json_string(text);
	cleanup_free char *copy = NULL;
	size_t n = 0;

	if (string)
		return string;
	copy = malloc(3 * strlen(text) + 1);
	if (!copy)
		return NULL;
	while (*text) {
		size_t len = utf8_len((const unsigned char *)text);

		memcpy(copy + n, len ? text : "\xef\xbf\xbd", len ? len : 3);
		n += len ? len : 3;
		text += len ? len : 1;
	}
	return json_stringn(copy, n);
}

int cmd_json_print(json_t *root, int status)
{
	int failed;

	if (!root)
		return cmd_error("out of memory");
	failed = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	json_decref(root);
	putchar('\n');
	return failed && !ferror(stdout) ? cmd_error("out of memory") : status;
}
