/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "fs/ops.h"

extern char **environ;

/* Messages of libfuse, which end in a newline and may be pieces of a line. */
static HYC_PRINTF(2, 0) void forward_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char msg[512];

	vsnprintf(msg, sizeof msg, fmt, ap);
	msg[strcspn(msg, "\n")] = '\0';
	if (*msg)
		hyc_log(level <= FUSE_LOG_ERR ? HYC_LOG_ERROR : level == FUSE_LOG_WARNING ? HYC_LOG_WARNING :
			level == FUSE_LOG_DEBUG ? HYC_LOG_DEBUG : HYC_LOG_INFO, "%s", msg);
}

/*
 * libfuse and fusermount3 say on stderr why they could not mount. These two collect that, so that it
 * becomes part of the one sentence hycfs prints. Where it cannot be collected it goes to stderr as it comes.
 */
struct captured {
	int file, saved;
};

static struct captured capture_stderr(void)
{
	struct captured c = { .file = memfd_create("messages", MFD_CLOEXEC), .saved = -1 };

	if (c.file >= 0)
		c.saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (c.saved >= 0)
		dup2(c.file, STDERR_FILENO);
	return c;
}

/* Puts stderr back; text gets the last line that was written meanwhile (libfuse tries twice, and says so twice). */
static void release_stderr(struct captured *c, char *text, size_t size)
{
	char *last;
	ssize_t n = 0;

	if (c->saved >= 0) {
		fflush(stderr);
		dup2(c->saved, STDERR_FILENO);
		n = pread(c->file, text, size - 1, 0);
		close(c->saved);
	}
	if (c->file >= 0)
		close(c->file);
	text[n > 0 ? n : 0] = '\0';
	for (char *end = text + strlen(text); end > text && end[-1] == '\n';)
		*--end = '\0';
	last = strrchr(text, '\n');
	if (last)
		memmove(text, last + 1, strlen(last));
}

/* The -o of libfuse; *words is owned. The source may hold commas and backslashes. */
static int make_words(const struct hyc_mount_options *options, const char *source, char **words)
{
	cleanup_free char *fsname = NULL, *subtype = NULL, *fixed = NULL;

	if (asprintf(&fixed, "ro,nosuid,nodev,default_permissions,max_read=%u", HYC_MAX_READ) < 0 ||
	    asprintf(&fsname, "fsname=%s", options->fsname ? options->fsname : source) < 0 ||
	    asprintf(&subtype, "subtype=%s", options->subtype ? options->subtype : "hycfs") < 0 ||
	    fuse_opt_add_opt(words, fixed) || fuse_opt_add_opt(words, subtype) ||
	    (options->words && fuse_opt_add_opt(words, options->words)) || fuse_opt_add_opt_escaped(words, fsname))
		return -ENOMEM;
	return 0;
}

int hyc_mount(struct hycfs *fs, const struct hyc_mount_options *options, const char *source, const char *mountpoint,
	      struct fuse_session **out, struct hyc_error *err)
{
	cleanup_free char *words = NULL;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session;
	struct captured captured;
	char why[512];
	int failed;

	if (make_words(options, source, &words) || fuse_opt_add_arg(&args, "hycfs") || fuse_opt_add_arg(&args, "-o") ||
	    fuse_opt_add_arg(&args, words) || (options->debug && fuse_opt_add_arg(&args, "-d"))) {
		fuse_opt_free_args(&args);
		return hyc_fail_errno(err, -ENOMEM, "%s: cannot mount", mountpoint);
	}
	captured = capture_stderr();
	session = fuse_session_new(&args, &hyc_ops, sizeof hyc_ops, fs);
	failed = !session || fuse_session_mount(session, mountpoint);
	release_stderr(&captured, why, sizeof why);
	fuse_opt_free_args(&args);
	if (failed) {
		if (session)
			fuse_session_destroy(session);
		return hyc_fail(err, -EIO, "%s: cannot mount: %s", mountpoint, *why ? why : "see above");
	}
	if (*why)
		hyc_log(HYC_LOG_WARNING, "%s: %s", mountpoint, why);
	fuse_set_log_func(forward_log);
	*out = session;
	return 0;
}

static int run_fusermount(const char *mountpoint, bool lazily)
{
	char program[] = "fusermount3", quietly[] = "-uq", quietly_lazily[] = "-uqz", end[] = "--";
	char *argv[] = { program, lazily ? quietly_lazily : quietly, end, (char *)(uintptr_t)mountpoint, NULL };
	int r, status;
	pid_t pid;

	r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (r)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	/* It does not say why; being in use is the only reason that comes up, and lazily even that does not. */
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : lazily ? -EIO : -EBUSY;
}

int hyc_unmount(const char *mountpoint, bool lazily)
{
	if (geteuid() == 0) {
		if (!umount2(mountpoint, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)))
			return 0;
		if (errno != EPERM)
			return -errno;
	}
	return run_fusermount(mountpoint, lazily);
}

void hyc_mount_close(struct fuse_session *session)
{
	int fds[2];

	/*
	 * fuse_session_unmount() would unmount whatever is at the path by now, unless the device says that the
	 * mount has gone (POLLERR). So the descriptor is replaced by a pipe without a reader, which says that, too.
	 */
	if (!pipe2(fds, O_CLOEXEC)) {
		close(fds[0]);
		dup2(fds[1], fuse_session_fd(session));
		close(fds[1]);
	}
	fuse_session_unmount(session);
	fuse_session_destroy(session);
}

void hyc_mount_clear(const char *mountpoint)
{
	struct statfs st;

	if (statfs(mountpoint, &st) && errno == ENOTCONN && hyc_unmount(mountpoint, true))
		hyc_log(HYC_LOG_WARNING, "%s: cannot unmount; fusermount3 -u may do it", mountpoint);
}
