/* SPDX-License-Identifier: Apache-2.0 */
/* The low-level FUSE operations of a mount; the session's userdata is its struct hycfs. */
#ifndef HYC_FS_OPS_H
#define HYC_FS_OPS_H

#include <fuse_lowlevel.h>

#include "fs/hycfs.h"

/* The largest read request; libfuse wants it as a mount option, too. */
#define HYC_MAX_READ (1u << 20)

extern const struct fuse_lowlevel_ops hyc_ops;

#endif
