/* SPDX-License-Identifier: Apache-2.0 */
/* A look at blocks of tensors that may be coded with loss: read and worked on by several threads, taken in order. */
#ifndef HYC_PACK_WALK_H
#define HYC_PACK_WALK_H

#include "pack/lossy.h"

struct hyc_walk_block {
	struct hyc_lossy_tensor *tensor;
	uint64_t off;      /* of its first byte in the tensor */
	const uint8_t *src;
	size_t len;
	/* The result of the work. kept is what the work left in this slot the last time, NULL at first. */
	int verdict;
	double value;
	void *kept;
};

struct hyc_walk_ops {
	/* Caller's thread, in order: whether to look at a block. NULL: at all but those of tensors left out. */
	bool (*wanted)(void *arg, const struct hyc_lossy_tensor *tensor, uint64_t off);
	/* Any thread. 0 or -ENOMEM. */
	int (*work)(void *arg, struct hyc_walk_block *block);
	/* Caller's thread, in order. */
	void (*take)(void *arg, const struct hyc_walk_block *block);
	/* Frees what is kept. May be NULL. */
	void (*release)(void *kept);
};

/* Walk once over the tensors that are not left out, in blocks of how.block_bytes. */
int hyc_walk(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
	     const struct hyc_walk_ops *ops, void *arg, struct hyc_error *err) HYC_CHECKED;

#endif
