/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory .hycfs in the root of a mount: found by look-up, never listed. Its files are
 * written anew each time one is opened, and that open file keeps what was written.
 */
#ifndef HYC_FS_CONTROL_H
#define HYC_FS_CONTROL_H

#include "fs/hycfs.h"

enum hyc_control { HYC_CONTROL_DIR, HYC_CONTROL_LOG, HYC_CONTROL_STATS, HYC_N_CONTROLS };

extern const char *const hyc_control_name[HYC_N_CONTROLS];

struct hyc_snapshot {
	char *text;
	size_t len;
	atomic_uint refs; /* the open file's, and that of each reply that is being written */
};

/* What the control file holds now, with one reference. NULL: no memory. */
struct hyc_snapshot *hyc_control_snapshot(struct hycfs *fs, enum hyc_control file);
void hyc_snapshot_put(struct hyc_snapshot *snapshot);

#endif
