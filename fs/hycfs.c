/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program hycfs: archive in, mount out.
 *
 * The order matters. The archive is opened and validated and the mountpoint looked at before anything is mounted, so
 * that what can go wrong is one sentence on the terminal. The mount comes before the fork, so its errors are, too.
 * Threads come after the fork, which would lose them, and the waiting parent ends when the kernel has its first answer.
 */
#include "config.h"

#include "fs/hycfs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/ordered.h"
#include "fs/bdi.h"
#include "fs/mount.h"
#include "fs/options.h"
#include "fs/session.h"

enum { DONE = 0, FAILED = 1, USAGE = 2 };

static int resolve_mountpoint(const char *path, char **resolved, struct hyc_error *err)
{
	struct statfs fs;
	struct stat st;

	*resolved = realpath(path, NULL);
	/* A dead mount may still have its attributes in the kernel's memory, but statfs is always asked. */
	if (!*resolved || stat(*resolved, &st) || statfs(*resolved, &fs)) {
		if (errno == ENOTCONN)
			return hyc_fail(err, -ENOTCONN, "%s: a dead mount is there; fusermount3 -u removes it", path);
		return hyc_fail_errno(err, -errno, "%s: cannot mount there", path);
	}
	if (!S_ISDIR(st.st_mode))
		return hyc_fail(err, -ENOTDIR, "%s: cannot mount there: not a directory", path);
	return 0;
}

/* Before the daemon turns to syslog: who mounts it is to read this. */
static void warn_of_loss(const struct hycfs *fs, const char *source)
{
	struct hyc_info info;

	hyc_info(fs->archive, &info);
	if (info.lossy)
		hyc_log(HYC_LOG_WARNING, "%s: is lossy: some tensors are approximations of what was packed", source);
}

/* In the process that stays: from the mount to its end. */
static int serve(struct hycfs *fs, const struct hyc_mount_options *options, const char *source, const char *mountpoint,
		 struct fuse_session *session, struct hyc_error *err)
{
	int r;

	hyc_log(HYC_LOG_INFO, "%s: mounted on %s, backend %s", source, mountpoint, hyc_backend_name());
	if (options->prefetch == HYC_PREFETCH_ALL)
		hyc_prefetch_start(fs->archive);
	r = hyc_session_run(session, fs, options, mountpoint, err);
	hyc_mount_close(session);
	if (r)
		hyc_mount_clear(mountpoint);
	return r;
}

/* The process the user started ends here when the daemon is ready, without cleaning up what is the daemon's now. */
static int wait_for_daemon(struct hycfs *fs, const char *mountpoint, struct fuse_session *session,
			   struct hyc_error *err)
{
	/* The device must be the daemon's alone, or its end would not be the end of the connection. */
	hyc_mount_close(session);
	if (hyc_ready_wait(&fs->ready))
		_exit(DONE);
	hyc_mount_clear(mountpoint);
	return hyc_fail(err, -EIO, "%s: the daemon ended before the mount was ready; with -f it says why", mountpoint);
}

static int mount_and_serve(struct hycfs *fs, const struct hyc_mount_options *options, const char *source,
			   struct hyc_error *err)
{
	cleanup_free char *mountpoint = NULL;
	struct fuse_session *session;
	bool is_parent;
	int r;

	r = resolve_mountpoint(options->mountpoint, &mountpoint, err);
	if (r)
		return r;
	hyc_session_block_signals();
	r = hyc_mount(fs, options, source, mountpoint, &session, err);
	if (r)
		return r;
	warn_of_loss(fs, source);
	if (options->readahead_kb >= 0) {
		fs->readahead_kb = (unsigned)options->readahead_kb;
		r = hyc_bdi_find(mountpoint, &fs->readahead_file, err);
		if (r) {
			hyc_mount_close(session);
			hyc_mount_clear(mountpoint);
			return r;
		}
	}
	if (options->foreground)
		return serve(fs, options, source, mountpoint, session, err);
	r = hyc_ready_daemonise(&fs->ready, &is_parent, err);
	if (r) {
		hyc_mount_close(session);
		hyc_mount_clear(mountpoint);
		return r;
	}
	if (is_parent)
		return wait_for_daemon(fs, mountpoint, session, err);
	hyc_messages_to_syslog(fs->messages);
	r = serve(fs, options, source, mountpoint, session, err);
	if (r)
		hyc_log(HYC_LOG_ERROR, "%s", err->msg);
	return r;
}

static int run(const struct hyc_mount_options *options, struct hyc_error *err)
{
	unsigned cpus = hyc_cpu_count();
	struct hyc_options archive_options = {
		.cache_bytes = options->cache_bytes,
		/* To decode with more threads than there are processors gains nothing; with fewer, if told so. */
		.threads = options->threads < cpus ? options->threads : cpus,
		.prefetch = options->prefetch,
		.view = options->view,
		.device = options->device,
	};
	cleanup_free char *source = realpath(options->archive, NULL);
	struct hycfs fs = {
		.uid = options->uid, .gid = options->gid,
		.started_ns = hyc_now_ns(), .readahead_set = ATOMIC_FLAG_INIT,
	};
	int r;

	clock_gettime(CLOCK_REALTIME, &fs.mounted);
	hyc_ready_init(&fs.ready, options->notify_fd);
	fs.messages = hyc_messages_new();
	if (!fs.messages)
		return hyc_fail_errno(err, -ENOMEM, "cannot start");
	hyc_set_log(hyc_messages_add, fs.messages, options->log);
	r = hyc_open(options->archive, &archive_options, &fs.archive, err);
	if (!r) {
		r = hyc_tree_init(&fs.tree, fs.archive);
		hyc_xattr_init(&fs.xattr, fs.archive);
		if (r)
			hyc_fail_errno(err, r, "%s: cannot be mounted", options->archive);
		else
			r = mount_and_serve(&fs, options, source ? source : options->archive, err);
		hyc_xattr_fini(&fs.xattr);
		hyc_tree_fini(&fs.tree);
		hyc_close(fs.archive);
	}
	hyc_ready_fini(&fs.ready);
	free(fs.readahead_file);
	hyc_set_log(NULL, NULL, HYC_LOG_WARNING);
	hyc_messages_free(fs.messages);
	return r;
}

int main(int argc, char **argv)
{
	struct hyc_mount_options options;
	enum hyc_options_result result;
	struct hyc_error err;
	int status = DONE;

	if (hyc_options_parse(argc, argv, &options, &result, &err)) {
		fprintf(stderr, "hycfs: %s\n", err.msg);
		status = USAGE;
	} else if (result == HYC_OPTIONS_HELP) {
		hyc_options_help();
	} else if (result == HYC_OPTIONS_VERSION) {
		printf("hycfs %s\n", PACKAGE_VERSION);
	} else if (run(&options, &err)) {
		fprintf(stderr, "hycfs: %s\n", err.msg);
		status = FAILED;
	}
	if (fflush(stdout)) {
		fprintf(stderr, "hycfs: standard output: %s\n", strerror(errno));
		status = FAILED;
	}
	hyc_options_fini(&options);
	return status;
}
