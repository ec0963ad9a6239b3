/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache of immutable blocks with a hard byte budget. It knows keys and bytes, not tensors.
 *
 * hyc_cache_get pins the block of a key. On a miss one thread fills it, through the callback and without any
 * lock, while the others that want it wait; a failed fill is told to all of them and forgotten. The budget counts
 * blocks that are pinned or being filled, and their staging bytes, so memory is bounded at all times: a thread that
 * finds no room waits for a pin to be given back. For that to end, a thread must not hold a pin when it asks.
 */
#ifndef HYC_CACHE_CACHE_H
#define HYC_CACHE_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct hyc_cache;

struct hyc_cache_key {
	uint32_t object, block;
};

/* A pinned block. data is immutable while pinned. */
struct hyc_cache_entry {
	const uint8_t *data;
	size_t len;
};

/* Fill dst with the len bytes of key. Runs without locks, once at a time for a key. 0 or -errno. */
typedef int (*hyc_cache_fill)(void *arg, struct hyc_cache_key key, uint8_t *dst, size_t len);

struct hyc_cache_stats {
	uint64_t limit, bytes, hits, misses, evictions, in_flight;
};

/* *out is owned. -ENOMEM. */
int hyc_cache_new(uint64_t limit_bytes, hyc_cache_fill fill, void *arg, struct hyc_cache **out)
	__attribute__((warn_unused_result));

/* No pins may be left. NULL is fine. */
void hyc_cache_free(struct hyc_cache *cache);

/*
 * Pin the block of key: len decoded bytes, staging bytes more while it is filled; len + staging must not exceed the limit (-E2BIG).
 * On 0 *out is pinned until hyc_cache_put. Other errors are those of fill, and -ENOMEM.
 */
int hyc_cache_get(struct hyc_cache *cache, struct hyc_cache_key key, size_t len, size_t staging,
		  const struct hyc_cache_entry **out) __attribute__((warn_unused_result));
void hyc_cache_put(struct hyc_cache *cache, const struct hyc_cache_entry *entry);

void hyc_cache_get_stats(struct hyc_cache *cache, struct hyc_cache_stats *stats);

#endif
