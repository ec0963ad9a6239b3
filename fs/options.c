/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of the command line, and the table it shares with --help.
 *
 * hycfs is called by people, by mount(8) through mount.fuse3, and by systemd. The last two hand
 * over whatever stands in fstab, so words that mean something to them only are taken and dropped.
 * Everything else that is unknown is refused: a misspelt cache= must not be ignored in silence.
 */
#include "config.h"

#include "fs/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/ordered.h"

#define MAX_THREADS 256
#define MAX_READAHEAD_KB (64 << 10)
#define MAX_TIMEOUT_S (365 * 24 * 3600)
#define MAX_ID UINT64_C(0xfffffffe) /* -1 means "leave it" to chown(2), so it is nobody's id */
#define HELP_COLUMN 24

#define USAGE "hycfs [-f] [-o OPTIONS] ARCHIVE MOUNTPOINT"

typedef int set_fn(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err);

static set_fn set_cache, set_view, set_threads, set_prefetch, set_device, set_readahead, set_log, set_timeout, set_notify_fd, set_uid, set_gid, set_fsname, set_subtype,
	set_debug, pass_on;

struct option_entry {
	const char *name;  /* a '*' at the end stands for anything */
	const char *value; /* what help calls the value; NULL: the option has none */
	set_fn *set;       /* NULL: accepted without effect */
	const char *help;
};

static const struct option_entry entries[] = {
	{ "cache", "SIZE", set_cache, "memory for decoded data, from 64M; K, M, G may follow [RAM/8, at most 512M]" },
	{ "view", "VIEW", set_view, "original, safetensors, bin or both: the container tensors are shown in [original]" },
	{ "threads", "N", set_threads, "threads that serve requests, 1 to 256 [one for each processor, 4 to 16]" },
	{ "prefetch", "MODE", set_prefetch, "off, auto (decode ahead of readers) or all (decode all there is room for) [auto]" },
	{ "device", "MODE", set_device, "decode ahead on the cpu or a GPU (cuda); auto: a GPU where cores are few and slow [auto]" },
	{ "readahead_kb", "N", set_readahead, "let the kernel read ahead N KiB, 0 to 65536; needs root [the kernel's default]" },
	{ "timeout", "SECONDS", set_timeout, "unmount after this long without an open file or a request [0: never]" },
	{ "log", "LEVEL", set_log, "error, warning, info or debug [info]" },
	{ "notify_fd", "N", set_notify_fd, "write the byte R to this descriptor and close it once the mount is ready" },
	{ "uid", "N", set_uid, "owner of all files [the user who mounts]" },
	{ "gid", "N", set_gid, "group of all files [the group of the user who mounts]" },
	{ "allow_other", NULL, pass_on, "let all users in, as far as the modes allow" },
	{ "allow_root", NULL, pass_on, "let root in, too" },
	{ "auto_unmount", NULL, pass_on, "unmount even if hycfs is killed (fusermount3 stays and watches)" },
	{ "fsname", "NAME", set_fsname, "source shown by mount(8) and df(1) [the path of ARCHIVE]" },
	{ "subtype", "NAME", set_subtype, "type shown behind \"fuse.\" [hycfs]" },
	{ "noexec", NULL, pass_on, "run no programs from the mount" },
	{ "noatime", NULL, pass_on, "as mount(8) has it; nothing is ever written" },
	{ "debug", NULL, set_debug, "the same as -d" },
	/* Always so, whether said or not. */
	{ "ro", NULL, NULL, NULL },
	{ "nosuid", NULL, NULL, NULL },
	{ "nodev", NULL, NULL, NULL },
	{ "default_permissions", NULL, NULL, NULL },
	/* The mount stays as it is. mount.fuse3 adds dev and suid by itself. */
	{ "rw", NULL, NULL, NULL },
	{ "suid", NULL, NULL, NULL },
	{ "dev", NULL, NULL, NULL },
	{ "exec", NULL, NULL, NULL },
	{ "atime", NULL, NULL, NULL },
	{ "relatime", NULL, NULL, NULL },
	{ "sync", NULL, NULL, NULL },
	{ "async", NULL, NULL, NULL },
	/* Meant for mount(8) and systemd. */
	{ "defaults", NULL, NULL, NULL },
	{ "auto", NULL, NULL, NULL },
	{ "noauto", NULL, NULL, NULL },
	{ "user=*", NULL, NULL, NULL },
	{ "user", NULL, NULL, NULL },
	{ "nouser", NULL, NULL, NULL },
	{ "users", NULL, NULL, NULL },
	{ "owner", NULL, NULL, NULL },
	{ "group", NULL, NULL, NULL },
	{ "nofail", NULL, NULL, NULL },
	{ "_netdev", NULL, NULL, NULL },
	{ "comment=*", NULL, NULL, NULL },
	{ "x-*", NULL, NULL, NULL },
	{ "X-*", NULL, NULL, NULL },
};

#define N_ENTRIES (sizeof entries / sizeof entries[0])

static const struct {
	char letter;
	const char *name;  /* long form, or NULL */
	const char *value;
	const char *help;
} switches[] = {
	{ 'f', NULL, NULL, "stay in the foreground, log to stderr" },
	{ 'd', NULL, NULL, "the same, and print every request (log=debug)" },
	{ 'o', NULL, "OPTIONS", "mount options joined by commas; \"\\,\" is a comma inside a value" },
	{ 'h', "help", NULL, "show this text" },
	{ 'V', "version", NULL, "show the version" },
};

#define N_SWITCHES (sizeof switches / sizeof switches[0])

static void help_line(const char *left, const char *right)
{
	printf("  %-*s%s\n", HELP_COLUMN - 2, left, right);
}

static void help_ignored(void)
{
	int column = 0;

	printf("Taken without effect, as fstab and mount(8) have them:\n");
	for (size_t i = 0; i < N_ENTRIES; i++) {
		const struct option_entry *e = &entries[i];

		if (e->set)
			continue;
		if (column + strlen(e->name) > 72)
			column = printf("\n") - 1;
		column += printf("%s%s", column ? " " : "  ", e->name);
	}
	putchar('\n');
}

void hyc_options_help(void)
{
	char left[64];

	printf("Usage: " USAGE "\n"
	       "Mount an archive of model weights read-only; what is read is decoded then.\n\n");
	for (size_t i = 0; i < N_SWITCHES; i++) {
		snprintf(left, sizeof left, "-%c%s%s%s%s", switches[i].letter, switches[i].name ? ", --" : "",
			 switches[i].name ? switches[i].name : "", switches[i].value ? " " : "",
			 switches[i].value ? switches[i].value : "");
		help_line(left, switches[i].help);
	}
	printf("\nOPTIONS:\n");
	for (size_t i = 0; i < N_ENTRIES; i++) {
		const struct option_entry *e = &entries[i];

		if (!e->set)
			continue;
		snprintf(left, sizeof left, "%s%s%s", e->name, e->value ? "=" : "", e->value ? e->value : "");
		help_line(left, e->help);
	}
	help_ignored();
	printf("\nTo unmount: fusermount3 -u MOUNTPOINT\n"
	       "Exit status: 0 done, 1 failed, 2 wrong usage. More in hycfs(1).\n");
}

/* ---- values ---- */

static bool parse_number(const char *text, uint64_t *value, char **end)
{
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, end, 10);
	return !errno;
}

static int set_number(const char *word, const char *text, uint64_t min, uint64_t max, uint64_t *value,
		      struct hyc_error *err)
{
	char *end;

	if (!parse_number(text, value, &end) || *end || *value < min || *value > max)
		return hyc_fail(err, -EINVAL, "%s: must be a number from %llu to %llu", word, (unsigned long long)min,
				(unsigned long long)max);
	return 0;
}

static int set_cache(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	static const char units[] = "KMG";
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t max = ram > HYC_CACHE_MIN ? ram : HYC_CACHE_MIN, bytes = 0;
	const char *unit;
	char *end;
	bool ok = parse_number(value, &bytes, &end);

	if (ok && *end && (unit = strchr(units, toupper((unsigned char)*end)))) {
		ok = !hyc_mul_overflows(bytes, UINT64_C(1024) << (10 * (unit - units)), &bytes);
		end++;
	}
	if (!ok || *end || bytes < HYC_CACHE_MIN || bytes > max)
		return hyc_fail(err, -EINVAL, "%s: must be a size from %lluM to %lluM, the memory of this machine",
				word, (unsigned long long)HYC_CACHE_MIN >> 20, (unsigned long long)max >> 20);
	options->cache_bytes = bytes;
	return 0;
}

static int set_view(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	for (unsigned i = 0; hyc_view_name(i); i++) {
		if (!strcmp(value, hyc_view_name(i))) {
			options->view = (enum hyc_view_kind)i;
			return 0;
		}
	}
	return hyc_fail(err, -EINVAL, "%s: must be original, safetensors, bin or both", word);
}

static int set_threads(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	uint64_t n;
	int r = set_number(word, value, 1, MAX_THREADS, &n, err);

	if (!r)
		options->threads = (unsigned)n;
	return r;
}

/* Which of n words the value is. */
static int set_one_of(const char *word, const char *value, const char *const *words, unsigned n, unsigned *which, struct hyc_error *err)
{
	for (*which = 0; *which < n; ++*which)
		if (!strcmp(value, words[*which]))
			return 0;
	return hyc_fail(err, -EINVAL, "%s: must be %s, %s or %s", word, words[1], words[0], words[2]);
}

static int set_prefetch(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	static const char *const modes[] = {
		[HYC_PREFETCH_AUTO] = "auto",
		[HYC_PREFETCH_OFF] = "off",
		[HYC_PREFETCH_ALL] = "all",
	};
	unsigned which;
	int r = set_one_of(word, value, modes, sizeof modes / sizeof modes[0], &which, err);

	if (!r)
		options->prefetch = (enum hyc_prefetch_mode)which;
	return r;
}

static int set_device(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	static const char *const devices[] = {
		[HYC_DEVICE_AUTO] = "auto",
		[HYC_DEVICE_CPU] = "cpu",
		[HYC_DEVICE_CUDA] = "cuda",
	};
	unsigned which;
	int r = set_one_of(word, value, devices, sizeof devices / sizeof devices[0], &which, err);

	if (!r)
		options->device = (enum hyc_device)which;
	return r;
}

static int set_readahead(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	uint64_t n;
	int r = set_number(word, value, 0, MAX_READAHEAD_KB, &n, err);

	if (!r && geteuid() != 0)
		return hyc_fail(err, -EPERM, "%s: only root may set it", word);
	if (!r)
		options->readahead_kb = (int)n;
	return r;
}

static int set_timeout(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	uint64_t n;
	int r = set_number(word, value, 0, MAX_TIMEOUT_S, &n, err);

	if (!r)
		options->timeout_s = (unsigned)n;
	return r;
}

static int set_uid(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	uint64_t n;
	int r = set_number(word, value, 0, MAX_ID, &n, err);

	if (!r)
		options->uid = (uid_t)n;
	return r;
}

static int set_gid(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	uint64_t n;
	int r = set_number(word, value, 0, MAX_ID, &n, err);

	if (!r)
		options->gid = (gid_t)n;
	return r;
}

/* 0 to 2 become /dev/null in the background, so a byte written there would reach nobody. */
static int set_notify_fd(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	uint64_t n;
	int flags, r = set_number(word, value, STDERR_FILENO + 1, INT32_MAX, &n, err);

	if (r)
		return r;
	flags = fcntl((int)n, F_GETFL);
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return hyc_fail(err, -EINVAL, "%s: is not a descriptor that is open for writing", word);
	options->notify_fd = (int)n;
	return 0;
}

static int set_log(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	static const char *const levels[] = {
		[HYC_LOG_ERROR] = "error",
		[HYC_LOG_WARNING] = "warning",
		[HYC_LOG_INFO] = "info",
		[HYC_LOG_DEBUG] = "debug",
	};

	for (unsigned i = 0; i < sizeof levels / sizeof levels[0]; i++) {
		if (!strcmp(value, levels[i])) {
			options->log = (enum hyc_log_level)i;
			return 0;
		}
	}
	return hyc_fail(err, -EINVAL, "%s: must be error, warning, info or debug", word);
}

static int set_debug(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	(void)word, (void)value, (void)err;
	options->debug = 1;
	options->foreground = 1;
	options->log = HYC_LOG_DEBUG;
	return 0;
}

static int set_text(char **field, const char *word, const char *value, struct hyc_error *err)
{
	if (!*value)
		return hyc_fail(err, -EINVAL, "%s: the value is empty", word);
	free(*field);
	*field = strdup(value);
	return *field ? 0 : hyc_fail_errno(err, -ENOMEM, "%s", word);
}

static int set_fsname(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	return set_text(&options->fsname, word, value, err);
}

static int set_subtype(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	if (strpbrk(value, ",\\"))
		return hyc_fail(err, -EINVAL, "%s: must not hold a comma or a backslash", word);
	return set_text(&options->subtype, word, value, err);
}

static int pass_on(struct hyc_mount_options *options, const char *word, const char *value, struct hyc_error *err)
{
	char *words;

	(void)value;
	if (asprintf(&words, "%s%s%s", options->words ? options->words : "", options->words ? "," : "", word) < 0)
		return hyc_fail_errno(err, -ENOMEM, "%s", word);
	free(options->words);
	options->words = words;
	return 0;
}

/* ---- parsing ---- */

static bool entry_matches(const struct option_entry *e, const char *word, size_t name_len)
{
	size_t len = strlen(e->name);

	if (e->name[len - 1] == '*')
		return !strncmp(e->name, word, len - 1);
	return len == name_len && !memcmp(e->name, word, len);
}

static int parse_word(struct hyc_mount_options *options, const char *word, struct hyc_error *err)
{
	size_t name_len = strcspn(word, "=");
	const char *value = word[name_len] ? word + name_len + 1 : NULL;

	for (size_t i = 0; i < N_ENTRIES; i++) {
		const struct option_entry *e = &entries[i];

		if (!entry_matches(e, word, name_len))
			continue;
		if (e->value && !value)
			return hyc_fail(err, -EINVAL, "option %s needs a value: %s=%s", word, e->name, e->value);
		if (!e->value && value && e->name[strlen(e->name) - 1] != '*')
			return hyc_fail(err, -EINVAL, "option %s takes no value", e->name);
		return e->set ? e->set(options, word, value, err) : 0;
	}
	return hyc_fail(err, -EINVAL, "unknown option '%s'; hycfs --help lists all", word);
}

/* The argument of one -o: words joined by commas, where a backslash makes the next character an ordinary one. */
static int parse_words(struct hyc_mount_options *options, const char *list, struct hyc_error *err)
{
	cleanup_free char *word = malloc(strlen(list) + 1);
	int r = 0;

	if (!word)
		return hyc_fail_errno(err, -ENOMEM, "-o");
	while (*list && !r) {
		size_t len = 0;

		for (; *list && *list != ','; list++) {
			if (*list == '\\' && list[1])
				list++;
			word[len++] = *list;
		}
		word[len] = '\0';
		if (len)
			r = parse_word(options, word, err);
		if (*list)
			list++;
	}
	return r;
}

static int bad_switch(int c, char **argv, struct hyc_error *err)
{
	if (c == ':')
		return hyc_fail(err, -EINVAL, "-%c needs a value; hycfs --help says more", optopt);
	if (optopt && !strncmp(argv[optind - 1], "--", 2))
		return hyc_fail(err, -EINVAL, "option '%s' takes no value", argv[optind - 1]);
	if (optopt)
		return hyc_fail(err, -EINVAL, "unknown option '-%c'; hycfs --help lists all", optopt);
	return hyc_fail(err, -EINVAL, "unknown option '%s'; hycfs --help lists all", argv[optind - 1]);
}

static int check_operands(struct hyc_mount_options *options, int n, char **operands, struct hyc_error *err)
{
	if (n < 2)
		return hyc_fail(err, -EINVAL, "%s is missing; usage: " USAGE, n ? "MOUNTPOINT" : "ARCHIVE");
	if (n > 2)
		return hyc_fail(err, -EINVAL, "'%s' is one operand too many; usage: " USAGE, operands[2]);
	options->archive = operands[0];
	options->mountpoint = operands[1];
	return 0;
}

static void set_defaults(struct hyc_mount_options *options)
{
	unsigned cpus = hyc_cpu_count();

	*options = (struct hyc_mount_options){
		.log = HYC_LOG_INFO,
		.threads = cpus < 4 ? 4 : cpus > 16 ? 16 : cpus,
		.notify_fd = -1,
		.readahead_kb = -1,
		.uid = getuid(),
		.gid = getgid(),
	};
}

int hyc_options_parse(int argc, char **argv, struct hyc_mount_options *options, enum hyc_options_result *result,
		      struct hyc_error *err)
{
	struct option longs[N_SWITCHES + 1] = { { NULL, 0, NULL, 0 } };
	/* The colon tells a missing value from an unknown option. */
	char shorts[2 * N_SWITCHES + 2] = ":", *s = shorts + 1;
	int c, n_longs = 0, r = 0;

	set_defaults(options);
	for (size_t i = 0; i < N_SWITCHES; i++) {
		*s++ = switches[i].letter;
		if (switches[i].value)
			*s++ = ':';
		if (switches[i].name)
			longs[n_longs++] = (struct option){ switches[i].name, no_argument, NULL, switches[i].letter };
	}
	*result = HYC_OPTIONS_RUN;
	opterr = 0;
	while (!r && (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			options->foreground = 1;
			break;
		case 'd':
			r = set_debug(options, NULL, NULL, err);
			break;
		case 'o':
			r = parse_words(options, optarg, err);
			break;
		case 'h':
			*result = HYC_OPTIONS_HELP;
			return 0;
		case 'V':
			*result = HYC_OPTIONS_VERSION;
			return 0;
		default:
			return bad_switch(c, argv, err);
		}
	}
	return r ? r : check_operands(options, argc - optind, argv + optind, err);
}

void hyc_options_fini(struct hyc_mount_options *options)
{
	free(options->fsname);
	free(options->subtype);
	free(options->words);
}
