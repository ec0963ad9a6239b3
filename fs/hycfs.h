/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mount: what the operations, the control files and the session share.
 *
 * Inode numbers: entry i of the archive is inode i + 1, so the root is FUSE_ROOT_ID; behind
 * the entries come the directory .hycfs and its files, in the order of enum hyc_control.
 * Nothing is ever created, renamed or dropped, so look-up counts need not be kept.
 */
#ifndef HYC_FS_HYCFS_H
#define HYC_FS_HYCFS_H

#include <stdatomic.h>
#include <time.h>

#include "fs/latency.h"
#include "fs/messages.h"
#include "fs/ready.h"
#include "fs/tree.h"
#include "fs/xattr.h"

struct hycfs {
	struct hyc *archive;
	struct hyc_tree tree;
	struct hyc_messages *messages;
	struct hyc_xattr xattr;
	struct hyc_ready ready;
	uid_t uid;
	gid_t gid;
	struct timespec mounted;             /* CLOCK_REALTIME */
	int64_t started_ns;                  /* hyc_now_ns */

	char *readahead_file;                /* owned; NULL: leave the kernel's readahead as it is */
	unsigned readahead_kb;
	atomic_flag readahead_set;

	struct hyc_latency read_latency;
	_Atomic uint64_t reads_done;
	_Atomic uint32_t reads_running;
	_Atomic uint32_t n_open;             /* open files and directories */
	_Atomic int64_t last_request_ns;     /* of those that are not reads, see hyc_session_run */
};

/* Monotonic time in nanoseconds. */
static inline int64_t hyc_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
