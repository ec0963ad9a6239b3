/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects that are stored already, found by the digest of their bytes. A digest only
 * points at candidates: the caller compares the bytes.
 */
#ifndef HYC_PACK_DEDUP_H
#define HYC_PACK_DEDUP_H

#include "base/error.h"

#include <stdbool.h>

struct hyc_stored {
	uint8_t hash[16];     /* XXH3-128 of what readers see */
	uint64_t bytes;
	bool literal;         /* literals and tensors do not share objects: the format tells them apart by dtype */
	bool lossy;           /* what stays lossless does not share what is called lossy, though it may look the same */
	uint32_t object;      /* its index in the archive */
	size_t entry;         /* where the bytes are in the sources */
	uint64_t off;
};

struct hyc_dedup {
	struct hyc_stored *all; /* owned, as the slots are */
	size_t n, room;
	uint32_t *slots;        /* index into all + 1, 0 for a free one; a power of two of them */
	size_t n_slots;
};

/* Remember an object. 0 or -ENOMEM. */
int hyc_dedup_add(struct hyc_dedup *dedup, const struct hyc_stored *object) HYC_CHECKED;

/* The next candidate: an object with hash, bytes, literal and lossy of wanted. *cursor is 0 at first. NULL: no more. */
const struct hyc_stored *hyc_dedup_next(const struct hyc_dedup *dedup, const struct hyc_stored *wanted, size_t *cursor);

void hyc_dedup_fini(struct hyc_dedup *dedup);

#endif
