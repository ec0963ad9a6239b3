/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache of immutable blocks with a hard byte budget. It knows keys and bytes, not tensors.
 *
 * hyc_cache_get pins the block of a key. On a miss one thread fills it, through the callback and without any lock, while the others
 * that want it wait; a failed fill is told to all of them and forgotten. The budget counts all memory of blocks, pinned, being filled or
 * kept for reuse, and their staging bytes, so memory is bounded at all times.
 *
 * There are two kinds of waiting. For a fill anyone may wait, pins in hand or not: whoever fills has all the memory it needs and waits for
 * nobody. For room only a thread that holds no pin may wait (HYC_CACHE_WAIT), and those that wait get it in the order they came; so the
 * holders of pins go on, make room, and every wait ends.
 *
 * What is evicted: first blocks all of whose bytes were handed to someone who keeps them (the kernel), the one handed last first, because
 * its memory is still in the processor's cache; then the least recently used. Blocks that were filled ahead of their readers count
 * as used for a while.
 */
#ifndef HYC_CACHE_CACHE_H
#define HYC_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hyc_cache;

struct hyc_cache_key {
	uint32_t object, block;
};

/* A pinned block. data is immutable while pinned. */
struct hyc_cache_entry {
	struct hyc_cache_key key;
	const uint8_t *data;
	size_t len;
};

/* A block that is to be filled: len bytes at dst, with staging bytes of scratch memory. */
struct hyc_cache_slot {
	struct hyc_cache_key key;
	uint8_t *dst, *staging;
	size_t len, staging_len;
	void *handle; /* private */
};

/* Fill a slot. Runs without locks, once at a time for a key. 0 or -errno. */
typedef int (*hyc_cache_fill)(void *arg, const struct hyc_cache_slot *slot);

struct hyc_cache_stats {
	uint64_t limit, bytes, hits, misses, evictions, in_flight;
	/* Blocks filled ahead: all, those that were wanted then, those of them that were not filled yet, those evicted before. */
	uint64_t ahead, ahead_used, ahead_late, ahead_wasted;
};

/* *out is owned. -ENOMEM. */
int hyc_cache_new(uint64_t limit_bytes, hyc_cache_fill fill, void *arg, struct hyc_cache **out)
	__attribute__((warn_unused_result));

/* No pins may be left. NULL is fine. */
void hyc_cache_free(struct hyc_cache *cache);

enum hyc_cache_how {
	HYC_CACHE_WAIT, /* for room; only without a pin */
	HYC_CACHE_TRY,  /* -EAGAIN where there is no room now */
};

/*
 * Pin the block of key: len decoded bytes, staging bytes more while it is filled; both together must not exceed the limit (-E2BIG).
 * On 0 *out is pinned until hyc_cache_put. Other errors are those of fill, and -ENOMEM.
 */
int hyc_cache_get(struct hyc_cache *cache, struct hyc_cache_key key, size_t len, size_t staging, enum hyc_cache_how how,
		  const struct hyc_cache_entry **out) __attribute__((warn_unused_result));

/* served: bytes of the block that were handed to someone who keeps them and will not soon ask again. True once that is all of them. */
bool hyc_cache_put(struct hyc_cache *cache, const struct hyc_cache_entry *entry, size_t served);

/*
 * Begin to fill the block of key ahead of its readers. 0: the caller fills *slot and then calls hyc_cache_ahead_done, in any case.
 * -EEXIST: it is there, or being filled; -EAGAIN: there is no memory but such as others need more; -E2BIG, -ENOMEM. Never waits.
 */
int hyc_cache_ahead(struct hyc_cache *cache, struct hyc_cache_key key, size_t len, size_t staging,
		    struct hyc_cache_slot *slot) __attribute__((warn_unused_result));
void hyc_cache_ahead_done(struct hyc_cache *cache, const struct hyc_cache_slot *slot, int result);

void hyc_cache_get_stats(struct hyc_cache *cache, struct hyc_cache_stats *stats);

#endif
