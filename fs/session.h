/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a mount between ready and gone: the threads that serve it, and the
 * one that watches for signals and idleness.
 */
#ifndef HYC_FS_SESSION_H
#define HYC_FS_SESSION_H

#include <fuse_lowlevel.h>

#include "fs/hycfs.h"
#include "fs/options.h"

/* Block the signals that end a mount, before there is one, so that none can kill hycfs between mount and run. */
void hyc_session_block_signals(void);

/*
 * Serve until the mount is gone: unmounted by someone, by SIGTERM, SIGINT or SIGHUP, or by the idle timeout.
 * A signal unmounts at once, even if files are open, and then lets reads that are under way, and those
 * that follow them closely, finish for a few seconds.
 */
int hyc_session_run(struct fuse_session *session, struct hycfs *fs, const struct hyc_mount_options *options,
		    const char *mountpoint, struct hyc_error *err) HYC_CHECKED;

#endif
