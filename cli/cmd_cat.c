/* SPDX-License-Identifier: Apache-2.0 */
/* hyc cat: bytes of one file to standard output. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cmd.h"

static const struct cmd_option options[] = {
	{ "offset", 0, CMD_SIZE, offsetof(struct cmd_args, offset), "N", "start at byte N; K, M, G or T may follow [0]", 0,
	  INT64_MAX },
	{ "length", 0, CMD_SIZE, offsetof(struct cmd_args, length), "N", "at most N bytes; K, M, G or T may follow [all]", 0,
	  INT64_MAX },
	CMD_VIEW_OPTION,
	{ NULL, 0, CMD_FLAG, 0, NULL, NULL, 0, 0 },
};

static int write_out(void *arg, const void *data, size_t len, struct hyc_error *err)
{
	const char *p = data;

	(void)arg;
	while (len) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hyc_fail_errno(err, -errno, "standard output");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int cat(struct hyc *archive, const struct cmd_args *args)
{
	const char *path = args->operands[1];
	int64_t index = hyc_file_find(archive, path);
	struct hyc_file file;
	struct hyc_error err;

	if (index < 0)
		return cmd_error("%s: there is no file '%s' in it; 'hyc ls' lists what there is", args->operands[0], path);
	hyc_file_get(archive, (uint32_t)index, &file);
	if (S_ISDIR(file.mode))
		return cmd_error("%s: '%s' is a directory; name a file", args->operands[0], path);
	if (args->offset >= file.size)
		return CMD_DONE;
	if (hyc_stream(archive, (uint32_t)index, args->offset, args->length, cmd_threads(args), write_out, NULL, &err))
		return cmd_error("%s", err.msg);
	return CMD_DONE;
}

static int run(const struct cmd_args *args)
{
	struct hyc *archive = cmd_open_view(args->operands[0], args);
	int status;

	if (!archive)
		return CMD_FAILED;
	status = cat(archive, args);
	hyc_close(archive);
	return status;
}

const struct cmd_verb cmd_cat = {
	.name = "cat",
	.operands = "ARCHIVE PATH",
	.summary = "Write a file of an archive, or a part of it, to standard output",
	.options = options,
	.min_operands = 2,
	.max_operands = 2,
	.required = { "ARCHIVE", "PATH" },
	.run = run,
};
