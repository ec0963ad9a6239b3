/* SPDX-License-Identifier: Apache-2.0 */
/* Getting a mount and getting rid of it, as root by mount(2) or as anyone by fusermount3. */
#ifndef HYC_FS_MOUNT_H
#define HYC_FS_MOUNT_H

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "fs/hycfs.h"
#include "fs/options.h"

/* Mount fs on mountpoint (absolute), shown with this source. *out is for hyc_mount_close. */
int hyc_mount(struct hycfs *fs, const struct hyc_mount_options *options, const char *source, const char *mountpoint,
	      struct fuse_session **out, struct hyc_error *err) HYC_CHECKED;

/* Take the mount out of the tree; lazily: even if it is in use, those who use it keep it. -EBUSY and others. */
int hyc_unmount(const char *mountpoint, bool lazily) HYC_CHECKED;

/*
 * Let go of the mount in this process and free the session. If no other process has the mount's
 * device open, that cuts the connection: the kernel fails whatever is still asked of the mount.
 */
void hyc_mount_close(struct fuse_session *session);

/*
 * Unmount if a mount that was cut is still there. For failures only: after an ordinary end the path may
 * be that of the next mount already, and looking at that one would make it busy.
 */
void hyc_mount_clear(const char *mountpoint);

#endif
