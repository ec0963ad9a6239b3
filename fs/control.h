/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory .hycfs in the root of a mount: found by look-up, never listed. Its files are
 * written anew each time one is opened, and that open file keeps what was written.
 */
#ifndef HYC_FS_CONTROL_H
#define HYC_FS_CONTROL_H

#include <stdatomic.h>

#include "fs/hycfs.h"

enum hyc_control { HYC_CONTROL_DIR, HYC_CONTROL_LOG, HYC_CONTROL_STATS, HYC_N_CONTROLS };

extern const char *const hyc_control_name[HYC_N_CONTROLS];

/* Immutable text. The open file holds it, and so does each reply that is being sent: a release may overtake its return. */
struct hyc_snapshot {
	char *text;
	size_t len;
	atomic_uint refs;
};

/* What the control file holds now, with one reference for the caller. NULL: no memory. */
struct hyc_snapshot *hyc_control_snapshot(struct hycfs *fs, enum hyc_control file);
struct hyc_snapshot *hyc_snapshot_get(struct hyc_snapshot *snapshot);
void hyc_snapshot_put(struct hyc_snapshot *snapshot); /* NULL is fine */

#endif
