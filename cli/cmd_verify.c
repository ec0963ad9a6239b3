/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hyc verify: the check itself is libhyc's; here is what is said about it. Damage goes
 * to stderr as it is found, the verdict to stdout; with --json both are in one object.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "cli/cmd.h"
#include "cli/compare.h"
#include "cli/progress.h"

static const struct cmd_option options[] = {
	{ "deep", 0, CMD_FLAG, offsetof(struct cmd_args, deep), NULL, "also decode everything and check the digests of the result",
	  0, 0 },
	{ "source", 0, CMD_TEXT, offsetof(struct cmd_args, source), "DIR", "also compare every file with the one in DIR", 0, 0 },
	CMD_JOBS_OPTION,
	CMD_JSON_OPTION,
	{ NULL, 0, CMD_FLAG, 0, NULL, NULL, 0, 0 },
};

struct verify {
	const struct cmd_args *args;
	const char *name;        /* of the archive */
	struct progress progress;
	json_t *messages, *notes; /* owned; NULL without --json */
};

static void say(struct verify *v, json_t *list, const char *sentence)
{
	if (v->args->json) {
		json_array_append_new(list, cmd_json_text(sentence));
		return;
	}
	progress_clear(&v->progress);
	cmd_error("%s: %s", v->name, sentence);
}

static void show_damage(void *arg, const char *sentence)
{
	struct verify *v = arg;

	say(v, v->messages, sentence);
}

static void show_note(void *arg, const char *sentence)
{
	struct verify *v = arg;

	say(v, v->notes, sentence);
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct verify *v = arg;

	progress_update(&v->progress, done, total);
}

static int print_json(struct verify *v, bool lossy, uint64_t n_damaged, uint64_t n_different)
{
	bool ok = n_damaged == 0 && n_different == 0;

	return cmd_json_print(json_pack("{s:o,s:b,s:b,s:b,s:I,s:o,s:O,s:O}", "archive", cmd_json_text(v->name), "ok", ok,
					"deep", v->args->deep, "lossy", lossy, "damaged", (json_int_t)n_damaged, "different",
					v->args->source ? json_integer((json_int_t)n_different) : json_null(),
					"messages", v->messages, "notes", v->notes), ok ? CMD_DONE : CMD_FAILED);
}

static int print_verdict(const struct verify *v, const struct hyc_info *info, uint64_t n_damaged, uint64_t n_different)
{
	const char *lossy = !info->lossy ? "" :
			    v->args->deep ? "; lossy: decoded bytes are those recorded when packing" :
					    "; lossy: --deep proves that decoded bytes are those recorded when packing";
	char size[CMD_SIZE_LEN], things[CMD_COUNT_LEN], files[CMD_COUNT_LEN];

	cmd_put_name(stdout, v->name);
	if (n_damaged)
		printf(": DAMAGED, %s%s\n", cmd_count(things, n_damaged, "finding"), info->lossy ? "; lossy" : "");
	else if (n_different)
		printf(": sound, but not the same as %s: %s%s\n", v->args->source, cmd_count(things, n_different, "difference"),
		       lossy);
	else
		printf(": ok, %s %s%s%s%s%s\n", cmd_human(size, (double)info->archive_bytes),
		       v->args->deep ? "checked and decoded" : "checked", v->args->source ? ", " : "",
		       v->args->source ? cmd_count(files, info->n_files, "file") : "",
		       v->args->source ? " the same as the source" : "", lossy);
	return n_damaged || n_different ? CMD_FAILED : CMD_DONE;
}

static int verify(struct verify *v, struct hyc *archive)
{
	const struct cmd_args *args = v->args;
	struct hyc_verify_options o = {
		.deep = args->deep, .threads = (unsigned)args->jobs, .damage = show_damage, .progress = show_progress, .arg = v,
	};
	struct compare c = {
		.archive = archive, .name = v->name, .source = args->source, .threads = cmd_threads(args),
		.difference = show_damage, .note = show_note, .progress = show_progress, .arg = v,
	};
	uint64_t n_damaged = 0;
	struct hyc_info info;
	struct hyc_error err;
	int failed;

	hyc_info(archive, &info);
	progress_init(&v->progress, "verifying", false);
	failed = hyc_verify(archive, &o, &n_damaged, &err);
	progress_clear(&v->progress);
	if (!failed && args->source) {
		progress_init(&v->progress, "comparing", false);
		failed = compare_with_source(&c, &err);
		progress_clear(&v->progress);
	}
	if (failed)
		return cmd_error("%s", err.msg);
	if (args->json)
		return print_json(v, info.lossy, n_damaged, c.n_different);
	return print_verdict(v, &info, n_damaged, c.n_different);
}

static int run(const struct cmd_args *args)
{
	struct verify v = { .args = args, .name = args->operands[0] };
	struct hyc *archive;
	struct hyc_error err;
	int status;

	if (args->json) {
		v.messages = json_array();
		v.notes = json_array();
	}
	status = hyc_open(v.name, NULL, &archive, &err);
	if (!status) {
		status = verify(&v, archive);
		hyc_close(archive);
	} else if (status == -EBADMSG && args->json) {
		/* Too damaged to be opened is a finding, too. */
		show_damage(&v, err.msg);
		status = print_json(&v, false, 1, 0);
	} else {
		status = cmd_error("%s", err.msg);
	}
	json_decref(v.messages);
	json_decref(v.notes);
	return status;
}

const struct cmd_verb cmd_verify = {
	.name = "verify",
	.operands = "ARCHIVE",
	.summary = "Check an archive for damage",
	.more = "Exit status 0: everything is as it should be; 1: damage or a difference was found.",
	.options = options,
	.min_operands = 1,
	.max_operands = 1,
	.required = { "ARCHIVE" },
	.run = run,
};
