/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buffers of a cache within a hard limit. Buffers that were given back are kept for the next taker, because fresh memory costs a
 * page fault for each page, more than reading a block does; what is kept counts as used. No locks: the owner has one.
 */
#ifndef HYC_CACHE_MEMORY_H
#define HYC_CACHE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HYC_MEMORY_KEPT 64

struct hyc_buffer {
	uint8_t *data; /* NULL: no bytes were asked for */
	size_t room;   /* what it counts for; at least what was asked for */
};

struct hyc_memory {
	uint64_t limit, used;               /* used <= limit */
	struct hyc_buffer kept[HYC_MEMORY_KEPT]; /* free ones, last given back last */
	unsigned n_kept;
};

/* Whether buffers of this size are kept when they are given back. */
bool hyc_memory_is_large(size_t bytes);

/* What a buffer of bytes counts for. */
size_t hyc_memory_room(size_t bytes);

/* 0; -EAGAIN: the limit does not allow it; -ENOMEM: the system does not. */
int hyc_memory_take(struct hyc_memory *memory, size_t bytes, struct hyc_buffer *buffer) __attribute__((warn_unused_result));

/* The same from kept buffers alone: -EAGAIN where none fits. */
int hyc_memory_take_kept(struct hyc_memory *memory, size_t bytes, struct hyc_buffer *buffer) __attribute__((warn_unused_result));

/* The buffer becomes { NULL, 0 }, as which it may be given back again. */
void hyc_memory_give(struct hyc_memory *memory, struct hyc_buffer *buffer);

/* Release what is kept. */
void hyc_memory_fini(struct hyc_memory *memory);

#endif
