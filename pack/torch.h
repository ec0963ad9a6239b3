/* SPDX-License-Identifier: Apache-2.0 */
/* From what a pickle of torch says about its storages and tensors to the plan of the file that holds them. */
#ifndef HYC_PACK_TORCH_H
#define HYC_PACK_TORCH_H

#include "pack/pickle.h"
#include "pack/split.h"

/*
 * Cut a file of file_bytes bytes into its storages, storage i at off[i], and the literal bytes around them. They lie
 * inside the file and do not overlap; pieces[i] becomes the index of the piece of storage i, HYC_NO_PIECE where it has no bytes.
 * Tensors are named if the pickle is one table of tensors, as a state_dict is.
 */
int hyc_torch_plan(const struct hyc_pickle *pickle, const uint64_t *off, uint64_t file_bytes, struct hyc_plan *plan,
		   size_t *pieces, struct hyc_error *err) HYC_CHECKED;

#endif
