/* SPDX-License-Identifier: Apache-2.0 */
/* The program hyc: which verbs there are, and what stands before the verb. */
#include "config.h"

#include <string.h>

#include "cli/cmd.h"

static const struct cmd_verb *const verbs[] = {
	&cmd_pack, &cmd_ls, &cmd_info, &cmd_cat, &cmd_unpack, &cmd_verify, &cmd_bench, &cmd_top,
};

#define N_VERBS (sizeof verbs / sizeof verbs[0])

static int help(void)
{
	puts("Usage: hyc VERB [OPTION]... OPERAND...\n"
	     "Pack model weights into an archive, and look into, read and check such archives.\n");
	for (size_t i = 0; i < N_VERBS; i++)
		printf("  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
	puts("\n  -h, --help     show this text; 'hyc VERB --help' explains one verb\n"
	     "  -V, --version  show the version\n"
	     "\n"
	     "To mount an archive: hycfs ARCHIVE MOUNTPOINT\n"
	     "Exit status: 0 done, 1 failed or damage found, 2 wrong usage. More in hyc(1).");
	return cmd_finish(CMD_DONE);
}

/* What goes wrong is told by the call that failed; the library's own line about it would be a second one. */
static void print_warning(void *arg, enum hyc_log_level level, const char *msg)
{
	(void)arg;
	if (level == HYC_LOG_WARNING)
		cmd_error("%s", msg);
}

int main(int argc, char **argv)
{
	struct cmd_args args;
	int status;

	hyc_set_log(print_warning, NULL, HYC_LOG_WARNING);
	if (argc < 2)
		return cmd_usage(NULL, "a verb is missing");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help();
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		cmd_version();
		return cmd_finish(CMD_DONE);
	}
	if (argv[1][0] == '-')
		return cmd_usage(NULL, "unknown option '%s' before the verb", argv[1]);
	for (size_t i = 0; i < N_VERBS; i++) {
		if (strcmp(argv[1], verbs[i]->name))
			continue;
		status = cmd_parse(verbs[i], argc - 1, argv + 1, &args);
		return cmd_finish(status >= 0 ? status : verbs[i]->run(&args));
	}
	return cmd_usage(NULL, "unknown verb '%s'", argv[1]);
}
