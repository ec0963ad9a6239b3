/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hyc pack: the options, the default name of the archive, progress and the closing
 * line. A signal may end it at any time: the archive has no name before it is whole.
 */
#include "config.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cmd.h"
#include "cli/progress.h"
#include "pack/pack.h"

static const struct cmd_option options[] = {
	{ "output", 'o', CMD_TEXT, offsetof(struct cmd_args, output), "ARCHIVE",
	  "archive to write; an existing one is replaced [SOURCE.hyc]", 0, 0 },
	{ "codec", 0, CMD_CHOICE, offsetof(struct cmd_args, codec), "lossless|stored|hyper|tcq",
	  "compress, only collect the bytes, or code weights with loss [lossless]", 0, 0 },
	{ "bpw", 0, CMD_TEXT, offsetof(struct cmd_args, bpw), "R",
	  "tcq: bits that a weight takes in the archive, 2 to 9 [4]", 0, 0 },
	{ "keep", 0, CMD_LIST, offsetof(struct cmd_args, keep), "GLOB",
	  "hyper, tcq: keep tensors lossless whose names match; may be repeated", 0, 0 },
	{ "lossy", 0, CMD_LIST, offsetof(struct cmd_args, lossy), "GLOB",
	  "hyper, tcq: code those with loss that match, small ones, too; may be repeated", 0, 0 },
	{ "hyper-l", 0, CMD_TEXT, offsetof(struct cmd_args, hyper_side), "L",
	  "hyper: side of the centre square [0.1]", 0, 0 },
	{ "hyper-nodes", 0, CMD_TEXT, offsetof(struct cmd_args, hyper_nodes), "U",
	  "hyper: nodes on the trajectory [1600]", 0, 0 },
	{ "hyper-classes", 0, CMD_TEXT, offsetof(struct cmd_args, hyper_classes), "M",
	  "hyper: the most categories beyond the square [3]", 0, 0 },
	{ "hyper-threshold", 0, CMD_TEXT, offsetof(struct cmd_args, hyper_threshold), "E",
	  "hyper: mean absolute error that is good enough [0.001]", 0, 0 },
	{ "hyper-limit", 0, CMD_TEXT, offsetof(struct cmd_args, hyper_limit), "E",
	  "hyper: tensors with a larger one stay lossless [0.006]", 0, 0 },
	CMD_JOBS_OPTION,
	{ "progress", 0, CMD_CHOICE, offsetof(struct cmd_args, progress), "auto|never",
	  "show progress if stderr is a terminal, or never [auto]", 0, 0 },
	{ NULL, 0, CMD_FLAG, 0, NULL, NULL, 0, 0 },
};

enum { PROGRESS_NEVER = 1 };

static const enum hyc_pack_codec codecs[] = { HYC_PACK_LOSSLESS, HYC_PACK_STORED, HYC_PACK_HYPER, HYC_PACK_TCQ };

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	progress_update(arg, done, total);
}

static void show_note(void *arg, const char *sentence)
{
	progress_clear(arg);
	fputs("hyc: ", stderr);
	cmd_put_name(stderr, sentence);
	putc('\n', stderr);
}

/* SOURCE.hyc for "dir/name" and "dir/name///". -1 where the last component is no name. */
static int default_output(const char *source, char out[PATH_MAX])
{
	size_t len = strlen(source), name;

	while (len > 1 && source[len - 1] == '/')
		len--;
	for (name = len; name > 0 && source[name - 1] != '/'; name--)
		;
	if (len == name || !strncmp(source + name, ".", len - name) || !strncmp(source + name, "..", len - name))
		return -1;
	return snprintf(out, PATH_MAX, "%.*s.hyc", (int)len, source) < PATH_MAX ? 0 : -1;
}

/* The archive takes the place of what bears its name: that may be an older one, but no device, fifo or link. */
static bool may_replace(const char *output)
{
	struct stat st;

	return lstat(output, &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode); /* hyc_pack knows what to say of a directory */
}

/* NaN where text is no decimal number, which is in no range. */
static double number_of(const char *text)
{
	double number;
	char *end;

	if (!*text || text[strspn(text, "0123456789.eE+-")])
		return NAN;
	number = strtod(text, &end);
	return *end ? NAN : number;
}

/* The first of the options that are given although the codec does not take them; NULL if there is none. */
static const char *misplaced(const struct cmd_args *args, enum hyc_pack_codec codec)
{
	static const struct {
		const char *name;
		size_t field;
		bool tcq, hyper;
	} lossy[] = {
		{ "--bpw needs --codec=tcq", offsetof(struct cmd_args, bpw), true, false },
		{ "--keep needs --codec=tcq or hyper", offsetof(struct cmd_args, keep.items), true, true },
		{ "--lossy needs --codec=tcq or hyper", offsetof(struct cmd_args, lossy.items), true, true },
		{ "--hyper-l needs --codec=hyper", offsetof(struct cmd_args, hyper_side), false, true },
		{ "--hyper-nodes needs --codec=hyper", offsetof(struct cmd_args, hyper_nodes), false, true },
		{ "--hyper-classes needs --codec=hyper", offsetof(struct cmd_args, hyper_classes), false, true },
		{ "--hyper-threshold needs --codec=hyper", offsetof(struct cmd_args, hyper_threshold), false, true },
		{ "--hyper-limit needs --codec=hyper", offsetof(struct cmd_args, hyper_limit), false, true },
	};

	for (size_t i = 0; i < sizeof lossy / sizeof *lossy; i++) {
		bool fits = (lossy[i].tcq && codec == HYC_PACK_TCQ) || (lossy[i].hyper && codec == HYC_PACK_HYPER);

		/* The first item of a list is as NULL as a text where the option is not given. */
		if (!fits && *(const char *const *)(const void *)((const char *)args + lossy[i].field))
			return lossy[i].name;
	}
	return NULL;
}

static void set_number(double *number, const char *text)
{
	if (text)
		*number = number_of(text);
}

/* Fills in what the lossy codecs are told: 0, or an exit status. */
static int lossy_options(const struct cmd_args *args, struct hyc_pack_options *o)
{
	const char *wrong = misplaced(args, o->codec);
	char why[100];

	if (wrong)
		return cmd_usage(args->verb, "%s", wrong);
	o->bpw = HYC_PACK_DEFAULT_BPW;
	o->hyper = (struct hyc_pack_hyper)HYC_PACK_HYPER_DEFAULTS;
	o->keep = args->keep.items;
	o->lossy = args->lossy.items;
	set_number(&o->bpw, args->bpw);
	if (!(o->bpw >= HYC_PACK_MIN_BPW && o->bpw <= HYC_PACK_MAX_BPW))
		return cmd_usage(args->verb, "--bpw must be a number from %d to %d, not '%s'", HYC_PACK_MIN_BPW,
				 HYC_PACK_MAX_BPW, args->bpw);
	set_number(&o->hyper.side, args->hyper_side);
	set_number(&o->hyper.nodes, args->hyper_nodes);
	set_number(&o->hyper.classes, args->hyper_classes);
	set_number(&o->hyper.threshold, args->hyper_threshold);
	set_number(&o->hyper.limit, args->hyper_limit);
	if (hyc_pack_hyper_refuse(&o->hyper, why, sizeof why))
		return cmd_usage(args->verb, "--hyper-%s", why);
	return 0;
}

static void print_result(const char *output, const struct hyc_pack_result *r, double seconds)
{
	char before[CMD_SIZE_LEN], after[CMD_SIZE_LEN], percent[CMD_SIZE_LEN], files[CMD_COUNT_LEN], tensors[CMD_COUNT_LEN];

	cmd_put_name(stdout, output);
	printf(": %s -> %s (%s), %s, %s, %.1f s\n", cmd_human(before, (double)r->source_bytes),
	       cmd_human(after, (double)r->archive_bytes),
	       cmd_percent(percent, (double)r->archive_bytes, (double)r->source_bytes), cmd_count(files, r->n_files, "file"),
	       cmd_count(tensors, r->n_tensors, "tensor"), seconds);
	if (r->n_lossy)
		printf("LOSSY: %s of %.3f bits per weight; 'hyc info' tells how near they are\n",
		       cmd_count(tensors, r->n_lossy, "tensor"), r->lossy_bpw);
}

static int run(const struct cmd_args *args)
{
	char name[PATH_MAX];
	struct progress progress;
	struct hyc_pack_result result;
	struct hyc_error err;
	struct hyc_pack_options o = {
		.output = args->output, .codec = codecs[args->codec], .threads = (unsigned)args->jobs,
		.progress = show_progress, .note = show_note, .arg = &progress,
	};
	int status;

	status = lossy_options(args, &o);
	if (status)
		return status;
	if (!o.output) {
		if (args->n_operands > 1)
			return cmd_usage(args->verb, "several SOURCEs need -o ARCHIVE");
		if (default_output(args->operands[0], name))
			return cmd_usage(args->verb, "'%s' gives the archive no name, so it needs -o ARCHIVE",
					 args->operands[0]);
		o.output = name;
	}
	if (!may_replace(o.output))
		return cmd_error("%s: is there and no regular file; choose another name for the archive with -o", o.output);
	progress_init(&progress, "packing", args->progress == PROGRESS_NEVER);
	status = hyc_pack((const char *const *)args->operands, (size_t)args->n_operands, &o, &result, &err);
	progress_clear(&progress);
	if (status)
		return cmd_error("%s", err.msg);
	print_result(o.output, &result, progress_seconds(&progress));
	return CMD_DONE;
}

const struct cmd_verb cmd_pack = {
	.name = "pack",
	.operands = "SOURCE...",
	.summary = "Pack a model directory or files into an archive",
	.more = "A directory: what is in it becomes the root of the archive. Files: the root holds them.\n"
		"Symbolic links are followed. With several SOURCEs, -o is needed.\n"
		"Lossy codecs take tensors of floats with two dimensions and 16384 elements or more.\n"
		"A GLOB is for whole tensor names; --keep beats --lossy.",
	.options = options,
	.min_operands = 1,
	.max_operands = INT_MAX,
	.required = { "SOURCE" },
	.run = run,
};
