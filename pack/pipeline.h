/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, encodes and checks the blocks of all entries in parallel, and hands them on in order. */
#ifndef HYC_PACK_PIPELINE_H
#define HYC_PACK_PIPELINE_H

#include "pack/assemble.h"
#include "pack/tell.h"

/* Threads that the options ask for. */
unsigned hyc_pack_threads(const struct hyc_pack_options *options);

/* The entries' plans must be there; they are used up. *sums is about what was packed. */
int hyc_pipeline_run(struct hyc_scan *scan, struct hyc_writer *writer, const struct hyc_pack_options *options,
		     struct hyc_tell *tell, struct hyc_packed_sums *sums, struct hyc_error *err) HYC_CHECKED;

#endif
