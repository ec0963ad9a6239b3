/* SPDX-License-Identifier: Apache-2.0 */
/* Rate control: one step, in relation to the spread of each tensor, for the whole archive. */
#ifndef HYC_PACK_RATE_H
#define HYC_PACK_RATE_H

#include "pack/lossy.h"

/*
 * Set the steps of the tcq plans so that the lossy tensors take options->bpw bits a weight in the archive: their
 * blocks, parameters and index records. What cannot be met is approached.
 */
int hyc_rate_set(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
		 struct hyc_error *err) HYC_CHECKED;

#endif
