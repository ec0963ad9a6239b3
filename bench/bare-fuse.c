/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least a FUSE server can do, as a yardstick for hycfs: one file, "file", whose bytes lie in this process' memory and are given to the
 * kernel as they are. Nothing is looked up, decoded, counted or logged. It has the same sizes of requests, caching and threads as hycfs.
 *
 *     bare-fuse FILE MOUNTPOINT [MICROSECONDS]      stays in the foreground; SIGTERM or unmounting ends it
 *
 * With MICROSECONDS each read takes so much longer, up to 64 of them at once, as from storage behind a network; at the end it says how many
 * were under way at once.
 */
#define FUSE_USE_VERSION 312
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MAX_READ (1u << 20)
#define BLOCK (1u << 20)
#define FOREVER 1e9
#define NAME "file"

static uint8_t *data;
static size_t size;
static unsigned delay_us;
static atomic_uint under_way, most_under_way;

static int attributes(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){ .st_ino = ino, .st_nlink = 1, .st_uid = getuid(), .st_gid = getgid() };
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0555;
		st->st_nlink = 2;
		return 0;
	}
	st->st_mode = S_IFREG | 0444;
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)(size / 512);
	st->st_blksize = BLOCK;
	return ino == 2 ? 0 : ENOENT;
}

static void on_init(void *user, struct fuse_conn_info *conn)
{
	(void)user;
	conn->max_read = MAX_READ;
	conn->max_write = MAX_READ;
	conn->max_background = 64;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = 2, .attr_timeout = FOREVER, .entry_timeout = FOREVER };

	if (parent != FUSE_ROOT_ID || strcmp(name, NAME) || attributes(2, &e.attr))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (attributes(ino, &st))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_attr(req, &st, FOREVER);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	if (delay_us) {
		unsigned now = atomic_fetch_add(&under_way, 1) + 1, most = atomic_load(&most_under_way);

		while (now > most && !atomic_compare_exchange_weak(&most_under_way, &most, now))
			;
		usleep(delay_us);
		atomic_fetch_sub(&under_way, 1);
	}
	if ((size_t)off >= size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, (const char *)data + off, len < size - (size_t)off ? len : size - (size_t)off);
}

static const struct fuse_lowlevel_ops ops = {
	.init = on_init,
	.lookup = on_lookup,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
};

/* The whole file in huge pages, where the kernel gives them. */
static int load(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -1;
	size = (size_t)st.st_size;
	data = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return -1;
	madvise(data, size + 1, MADV_HUGEPAGE);
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, data + done, size - done);

		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

static int serve(const char *mountpoint)
{
	char name[] = "bare-fuse", flag[] = "-o", options[] = "ro,nosuid,nodev,default_permissions,max_read=1048576,subtype=bare";
	char *argv[] = { name, flag, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_session *session = fuse_session_new(&args, &ops, sizeof ops, NULL);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int status = 1;

	if (!session || !config || fuse_set_signal_handlers(session) || fuse_session_mount(session, mountpoint))
		goto out;
	fuse_loop_cfg_set_max_threads(config, delay_us ? 64 : cores < 4 ? 4 : cores > 16 ? 16 : (unsigned)cores);
	fuse_loop_cfg_set_clone_fd(config, 0);
	status = fuse_session_loop_mt(session, config) < 0;
	fuse_session_unmount(session);
out:
	if (config)
		fuse_loop_cfg_destroy(config);
	if (session)
		fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	return status;
}

int main(int argc, char **argv)
{
	int status;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: bare-fuse FILE MOUNTPOINT [MICROSECONDS]\n");
		return 2;
	}
	if (argc == 4)
		delay_us = (unsigned)strtoul(argv[3], NULL, 10);
	if (load(argv[1])) {
		fprintf(stderr, "bare-fuse: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	status = serve(argv[2]);
	if (delay_us)
		printf("%u reads at once\n", atomic_load(&most_under_way));
	return status;
}
