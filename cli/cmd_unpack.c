/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hyc unpack. What it promises:
 *
 * - A file appears at its name whole, checked and with its mode and mtime, or not at all: it is written under a
 *   temporary name in its directory, synced and renamed. What was at that name before is replaced by the rename.
 * - Nothing outside DIR is touched: every path is walked from DIR's descriptor component by component, and no
 *   symbolic link in it is followed.
 * - SIGINT, SIGTERM and SIGHUP are held back while a temporary file exists and looked for after each piece of
 *   data; the file is removed first, then the signal does what it does.
 * - A damaged file does not keep the others from being unpacked; anything else that fails does.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "cli/cmd.h"
#include "cli/dirs.h"
#include "cli/progress.h"

static const struct cmd_option options[] = {
	{ "directory", 'C', CMD_TEXT, offsetof(struct cmd_args, directory), "DIR",
	  "where to; made if missing [ARCHIVE without .hyc]", 0, 0 },
	CMD_VIEW_OPTION,
	CMD_JOBS_OPTION,
	{ NULL, 0, CMD_FLAG, 0, NULL, NULL, 0, 0 },
};

enum { WANTED = 1, MADE = 2 };

struct unpack {
	struct hyc *archive;    /* borrowed, as are the names */
	const char *name;       /* of the archive */
	const char *dir;
	int root;               /* descriptor of dir */
	bool made_root;
	unsigned threads;
	uint32_t n;             /* entries of the archive */
	uint8_t *flags;         /* of each of them; owned */
	struct progress progress;
	uint64_t done, total;
	/* The file that is being written: */
	const char *path;
	int fd;
	XXH3_state_t *hash;     /* of its bytes so far; owned */
};

static void get_file(const struct unpack *u, uint32_t i, struct hyc_file *file)
{
	hyc_file_get(u->archive, i, file);
}

/* Marks what the globs (NULL at the end) match, what lies below that, and the directories all this lies in. */
static int select_entries(struct unpack *u, char *const *globs)
{
	struct hyc_file file;

	memset(u->flags, *globs ? 0 : WANTED, u->n);
	for (; *globs; globs++) {
		bool matched = false;

		for (uint32_t i = 1; i < u->n; i++) {
			get_file(u, i, &file);
			if (fnmatch(*globs, file.path, 0) == 0) {
				u->flags[i] = WANTED;
				matched = true;
			}
		}
		if (!matched)
			return cmd_error("%s: nothing in it matches '%s'; 'hyc ls' lists what there is", u->name, *globs);
	}
	for (uint32_t i = 1; i < u->n; i++) {
		get_file(u, i, &file);
		u->flags[i] |= file.parent ? u->flags[file.parent] : 0;
	}
	for (uint32_t i = u->n - 1; i > 0; i--) {
		get_file(u, i, &file);
		u->flags[file.parent] |= u->flags[i];
		if (u->flags[i])
			u->total += file.size;
	}
	return CMD_DONE;
}

static int check_space(const struct unpack *u)
{
	char needed[CMD_SIZE_LEN], available[CMD_SIZE_LEN];
	struct hyc_error err;
	uint64_t free_bytes;

	if (dirs_free_bytes(u->dir, &free_bytes, &err))
		return cmd_error("%s", err.msg);
	if (free_bytes >= u->total)
		return CMD_DONE;
	return cmd_error("%s: needs %s, %s free; make room or choose another directory with -C", u->dir,
			 cmd_human(needed, (double)u->total), cmd_human(available, (double)free_bytes));
}

static int make_dirs(struct unpack *u)
{
	struct hyc_file file;
	struct hyc_error err;
	bool made;

	for (uint32_t i = 1; i < u->n; i++) {
		get_file(u, i, &file);
		if (!(u->flags[i] & WANTED) || !S_ISDIR(file.mode))
			continue;
		if (dirs_make(u->root, u->dir, file.path, &made, &err))
			return cmd_error("%s", err.msg);
		u->flags[i] |= made ? MADE : 0;
	}
	return CMD_DONE;
}

/* Children first, since each mode may forbid to go further and each entry made changes its directory's mtime. */
static int finish_dirs(struct unpack *u)
{
	struct hyc_file file;
	struct hyc_error err;

	if (u->made_root)
		u->flags[0] |= MADE;
	for (uint32_t i = u->n; i-- > 0;) {
		get_file(u, i, &file);
		if (!(u->flags[i] & MADE))
			continue;
		struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { (time_t)file.mtime_sec, file.mtime_nsec } };
		cleanup_fd int fd = dirs_open(u->root, u->dir, file.path, strlen(file.path), O_RDONLY, &err);

		if (fd < 0)
			return cmd_error("%s", err.msg);
		if (futimens(fd, times) || fchmod(fd, file.mode & 07777) || fsync(fd))
			return cmd_error("%s/%s: %s", u->dir, file.path, strerror(errno));
	}
	return CMD_DONE;
}

/* The signals that end the program: those that nobody, like nohup, has told it to ignore. */
static void ending_signals(sigset_t *set)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action;

	sigemptyset(set);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (!sigaction(signals[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(set, signals[i]);
}

static bool signal_waits(void)
{
	sigset_t ending, waiting, both;

	ending_signals(&ending);
	sigpending(&waiting);
	sigandset(&both, &ending, &waiting);
	return !sigisemptyset(&both);
}

static int cannot(const struct unpack *u, const char *what, struct hyc_error *err)
{
	return hyc_fail_errno(err, -errno, "%s/%s: cannot be %s", u->dir, u->path, what);
}

static int write_piece(void *arg, const void *data, size_t len, struct hyc_error *err)
{
	struct unpack *u = arg;
	const char *p = data;

	hyc_hash128_update(u->hash, data, len);
	u->done += len;
	while (len) {
		ssize_t n = write(u->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cannot(u, "written", err);
		p += n;
		len -= (size_t)n;
	}
	progress_update(&u->progress, u->done, u->total);
	return signal_waits() ? hyc_fail(err, -EINTR, "%s/%s: interrupted", u->dir, u->path) : 0;
}

/* Fills the temporary file u->fd: contents, hash, mtime, mode. */
static int fill(struct unpack *u, uint32_t index, const struct hyc_file *file, struct hyc_error *err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { (time_t)file->mtime_sec, file->mtime_nsec } };
	XXH128_canonical_t hash;
	int failed;

	XXH3_128bits_reset(u->hash);
	failed = hyc_stream(u->archive, index, 0, file->size, u->threads, write_piece, u, err);
	if (failed)
		return failed;
	XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(u->hash));
	/* What is made for a view has no digest; its blocks are checked by their own. */
	if (!file->made && memcmp(hash.digest, file->hash, sizeof file->hash))
		return hyc_fail(err, -EBADMSG, "%s: %s: its contents are not those that were packed", u->name, file->path);
	/* The bits that change who a program runs as are not for an archive to give. */
	if (futimens(u->fd, times) || fchmod(u->fd, file->mode & 0777) || fsync(u->fd))
		return cannot(u, "written", err);
	return 0;
}

/* u->fd is the caller's to close, and the file to rename or remove. */
static int open_temporary(struct unpack *u, int parent, char name[32], struct hyc_error *err)
{
	for (int attempt = 0; attempt < 16; attempt++) {
		uint64_t random;

		if (getrandom(&random, sizeof random, 0) != sizeof random)
			return cannot(u, "given a random name", err);
		snprintf(name, 32, ".hyc-%016llx", (unsigned long long)random);
		u->fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (u->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return cannot(u, "made", err);
}

/* Writes one file below the directory parent. The ending signals are blocked. */
static int write_file(struct unpack *u, uint32_t index, const struct hyc_file *file, int parent, struct hyc_error *err)
{
	const char *slash = strrchr(file->path, '/');
	char temporary[32];
	int failed;

	u->path = file->path;
	failed = open_temporary(u, parent, temporary, err);
	if (failed)
		return failed;
	failed = fill(u, index, file, err);
	if (close(u->fd) && !failed)
		failed = cannot(u, "written", err);
	if (!failed && renameat(parent, temporary, parent, slash ? slash + 1 : file->path))
		failed = cannot(u, "put in place", err);
	if (failed)
		unlinkat(parent, temporary, 0);
	return failed;
}

/* 0, -EBADMSG for a damaged file, or another error; a message has been printed. */
static int unpack_file(struct unpack *u, uint32_t index, const struct hyc_file *file)
{
	const char *slash = strrchr(file->path, '/');
	size_t parent_len = slash ? (size_t)(slash - file->path) : 0;
	struct hyc_error err;
	cleanup_fd int parent = dirs_open(u->root, u->dir, file->path, parent_len, O_PATH, &err);
	int failed = parent;

	if (parent >= 0) {
		sigset_t ending, before;

		ending_signals(&ending);
		pthread_sigmask(SIG_BLOCK, &ending, &before);
		failed = write_file(u, index, file, parent, &err);
		if (failed)
			progress_clear(&u->progress);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (failed)
		cmd_error("%s", err.msg);
	return failed;
}

static int unpack_files(struct unpack *u)
{
	int status = CMD_DONE;
	struct hyc_file file;

	for (uint32_t i = 1; i < u->n; i++) {
		int failed;

		get_file(u, i, &file);
		if (!(u->flags[i] & WANTED) || S_ISDIR(file.mode))
			continue;
		failed = unpack_file(u, i, &file);
		if (failed)
			status = CMD_FAILED;
		if (failed && failed != -EBADMSG)
			return status;
	}
	return status;
}

static int unpack(struct unpack *u, char *const *globs)
{
	struct hyc_error err;
	int status = select_entries(u, globs);

	if (!status)
		status = check_space(u);
	if (status)
		return status;
	u->root = dirs_make_root(u->dir, &u->made_root, &err);
	if (u->root < 0)
		return cmd_error("%s", err.msg);
	status = make_dirs(u);
	if (!status) {
		status = unpack_files(u);
		progress_clear(&u->progress);
		status |= finish_dirs(u);
	}
	close(u->root);
	return status;
}

/* ARCHIVE without .hyc. -1 where it has no such ending. */
static int default_directory(const char *archive, char out[PATH_MAX])
{
	size_t len = strlen(archive);

	if (len < 5 || strcmp(archive + len - 4, ".hyc") || archive[len - 5] == '/' || len - 4 >= PATH_MAX)
		return -1;
	snprintf(out, PATH_MAX, "%.*s", (int)(len - 4), archive);
	return 0;
}

static int run(const struct cmd_args *args)
{
	struct unpack u = { .name = args->operands[0], .dir = args->directory, .threads = cmd_threads(args) };
	char name[PATH_MAX];
	int status;

	if (!u.dir) {
		if (default_directory(u.name, name))
			return cmd_usage(args->verb, "'%s' does not end in .hyc, so it needs -C DIR", u.name);
		u.dir = name;
	}
	/* Too large a file is an error of write(2), not the end of the program. */
	signal(SIGXFSZ, SIG_IGN);
	u.archive = cmd_open_view(u.name, args);
	if (!u.archive)
		return CMD_FAILED;
	u.n = hyc_file_count(u.archive);
	u.flags = calloc(u.n, 1);
	u.hash = XXH3_createState();
	progress_init(&u.progress, "unpacking", false);
	status = u.flags && u.hash ? unpack(&u, args->operands + 1) : cmd_error("out of memory");
	XXH3_freeState(u.hash);
	free(u.flags);
	hyc_close(u.archive);
	return status;
}

const struct cmd_verb cmd_unpack = {
	.name = "unpack",
	.operands = "ARCHIVE [GLOB]...",
	.summary = "Write the files of an archive into a directory",
	.more = "With GLOBs, only what they match: shell patterns for whole paths, in which * and ? match\n"
		"slashes, too. A directory that matches comes with everything in it.",
	.options = options,
	.min_operands = 1,
	.max_operands = INT_MAX,
	.required = { "ARCHIVE" },
	.run = run,
};
