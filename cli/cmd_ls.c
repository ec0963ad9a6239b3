/* SPDX-License-Identifier: Apache-2.0 */
/* hyc ls: the files of an archive, or its tensors, as a table or as JSON. */
#include "config.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/cmd.h"

static const struct cmd_option options[] = {
	{ "tensors", 0, CMD_FLAG, offsetof(struct cmd_args, tensors), NULL, "list tensors instead of files", 0, 0 },
	CMD_VIEW_OPTION,
	CMD_JSON_OPTION,
	{ NULL, 0, CMD_FLAG, 0, NULL, NULL, 0, 0 },
};

#define MAX_NAME_COLUMN 60

static void mode_text(uint32_t mode, char out[11])
{
	static const char bits[] = "rwxrwxrwx";

	out[0] = S_ISDIR(mode) ? 'd' : '-';
	for (int i = 0; i < 9; i++)
		out[1 + i] = mode & (0400u >> i) ? bits[i] : '-';
	if (mode & S_ISUID)
		out[3] = mode & S_IXUSR ? 's' : 'S';
	if (mode & S_ISGID)
		out[6] = mode & S_IXGRP ? 's' : 'S';
	if (mode & S_ISVTX)
		out[9] = mode & S_IXOTH ? 't' : 'T';
	out[10] = '\0';
}

static void print_file(const struct hyc_file *f)
{
	char mode[11], size[CMD_SIZE_LEN] = "-", stored[CMD_SIZE_LEN] = "-", percent[CMD_SIZE_LEN] = "-", when[32] = "?";
	time_t seconds = (time_t)f->mtime_sec;
	struct tm tm;

	mode_text(f->mode, mode);
	if (!S_ISDIR(f->mode)) {
		cmd_human(size, (double)f->size);
		cmd_human(stored, f->stored_bytes);
		cmd_percent(percent, f->stored_bytes, (double)f->size);
	}
	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
	printf("%s  %9s  %9s  %8s  %16s  ", mode, size, stored, percent, when);
	cmd_put_name(stdout, f->path);
	puts(S_ISDIR(f->mode) ? "/" : "");
}

static json_t *time_json(const struct hyc_file *f)
{
	time_t seconds = (time_t)f->mtime_sec;
	char when[40];
	struct tm tm;

	/* ISO 8601 has four digits for a year. */
	if (!gmtime_r(&seconds, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
		return json_null();
	return json_sprintf("%.*s.%09uZ", (int)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm), when, f->mtime_nsec);
}

static json_t *hash_json(const struct hyc_file *f)
{
	char hex[33];

	if (S_ISDIR(f->mode) || f->made)
		return json_null();
	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", f->hash[i]);
	return json_string(hex);
}

static json_t *file_json(const struct hyc_file *f)
{
	return json_pack("{s:o,s:s,s:o,s:I,s:I,s:o,s:o,s:s,s:b}", "path", cmd_json_text(f->path),
			 "type", S_ISDIR(f->mode) ? "directory" : "file", "mode", json_sprintf("%04o", f->mode & 07777),
			 "size", (json_int_t)f->size, "stored_bytes", (json_int_t)llround(f->stored_bytes),
			 "mtime", time_json(f), "xxh3", hash_json(f), "codec", f->codec, "exact", f->exact);
}

/* Record 0 is the root, which has no name to list. */
static int list_files(const struct hyc *archive, int as_json)
{
	json_t *list = as_json ? json_array() : NULL;
	struct hyc_file f;

	for (uint32_t i = 1; i < hyc_file_count(archive); i++) {
		hyc_file_get(archive, i, &f);
		if (!as_json) {
			print_file(&f);
		} else if (json_array_append_new(list, file_json(&f))) {
			json_decref(list);
			return cmd_json_print(NULL, CMD_FAILED);
		}
	}
	return as_json ? cmd_json_print(list, CMD_DONE) : CMD_DONE;
}

static json_t *tensor_json(const struct hyc_tensor *t, const char *path)
{
	json_t *shape = json_array();

	for (uint32_t d = 0; d < t->ndim; d++)
		json_array_append_new(shape, json_integer((json_int_t)t->shape[d]));
	return json_pack("{s:o,s:o,s:s,s:o,s:s,s:I,s:I,s:f,s:o,s:o,s:b}", "name", cmd_json_text(t->name),
			 "file", cmd_json_text(path), "dtype", t->dtype, "shape", shape, "codec", t->codec,
			 "bytes", (json_int_t)t->bytes, "stored_bytes", (json_int_t)llround(t->stored_bytes), "bpw", t->bpw,
			 "sqnr_db", t->exact ? json_null() : cmd_json_real(t->sqnr_db),
			 "max_error", cmd_json_real(t->max_error), "exact", t->exact);
}

static int tensors_json(const struct hyc *archive)
{
	json_t *list = json_array();
	struct hyc_tensor t;
	struct hyc_file file = { .path = "" };
	uint32_t last = 0; /* the root, which holds no tensors itself */

	for (uint32_t i = 0; i < hyc_tensor_count(archive); i++) {
		hyc_tensor_get(archive, i, &t);
		/* Asking for a file takes time for each of its tensors. */
		if (t.file != last)
			hyc_file_get(archive, t.file, &file);
		last = t.file;
		if (json_array_append_new(list, tensor_json(&t, file.path))) {
			json_decref(list);
			return cmd_json_print(NULL, CMD_FAILED);
		}
	}
	return cmd_json_print(list, CMD_DONE);
}

static void shape_text(const struct hyc_tensor *t, char *out, size_t room)
{
	int n = snprintf(out, room, "[");

	for (uint32_t d = 0; d < t->ndim && (size_t)n < room; d++)
		n += snprintf(out + n, room - (size_t)n, "%s%llu", d ? ", " : "", (unsigned long long)t->shape[d]);
	if ((size_t)n < room)
		snprintf(out + n, room - (size_t)n, "]");
}

static void print_tensor(const struct hyc_tensor *t, int name_column)
{
	char size[CMD_SIZE_LEN], shape[64 * 22];
	int column = cmd_put_name(stdout, t->name);

	shape_text(t, shape, sizeof shape);
	printf("%*s  %-9s  %-16s  %-7s  %9s  %6.2f bpw\n", column < name_column ? name_column - column : 0, "", t->dtype, shape,
	       *t->codec ? t->codec : "-", cmd_human(size, (double)t->bytes), t->bpw);
}

/* Tensors are in order of their file; with several files each one gets a heading. */
static int list_tensors(const struct hyc *archive)
{
	uint32_t n = hyc_tensor_count(archive), last = 0;
	int name_column = 0, several = 0;
	struct hyc_tensor t;
	struct hyc_file file;

	for (uint32_t i = 0; i < n; i++) {
		int len;

		hyc_tensor_get(archive, i, &t);
		len = (int)strnlen(t.name, MAX_NAME_COLUMN);
		name_column = len > name_column ? len : name_column;
		several |= i > 0 && t.file != last;
		last = t.file;
	}
	for (uint32_t i = 0; i < n; i++) {
		hyc_tensor_get(archive, i, &t);
		if (several && (i == 0 || t.file != last)) {
			hyc_file_get(archive, t.file, &file);
			fputs(i ? "\n" : "", stdout);
			cmd_put_name(stdout, file.path);
			puts(":");
		}
		last = t.file;
		print_tensor(&t, name_column);
	}
	return CMD_DONE;
}

static int run(const struct cmd_args *args)
{
	struct hyc *archive = cmd_open_view(args->operands[0], args);
	int status;

	if (!archive)
		return CMD_FAILED;
	if (!args->tensors)
		status = list_files(archive, args->json);
	else
		status = args->json ? tensors_json(archive) : list_tensors(archive);
	hyc_close(archive);
	return status;
}

const struct cmd_verb cmd_ls = {
	.name = "ls",
	.operands = "ARCHIVE",
	.summary = "List the files or tensors of an archive",
	.options = options,
	.min_operands = 1,
	.max_operands = 1,
	.required = { "ARCHIVE" },
	.run = run,
};
