/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fs/latency.h"

/* Bucket of v: values below 4 have their own; above, the position of the top bit and the two bits behind it. */
static unsigned bucket_of(uint64_t v)
{
	unsigned top;

	if (v < 4)
		return (unsigned)v;
	top = 63 - (unsigned)__builtin_clzll(v);
	return 4 * (top - 1) + (unsigned)(v >> (top - 2) & 3);
}

/* The largest value in a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
	if (bucket < 4)
		return bucket;
	return ((UINT64_C(5) + bucket % 4) << (bucket / 4 - 1)) - 1;
}

void hyc_latency_add(struct hyc_latency *latency, uint64_t nanoseconds)
{
	atomic_fetch_add_explicit(&latency->bucket[bucket_of(nanoseconds)], 1, memory_order_relaxed);
}

uint64_t hyc_latency_percentile(const struct hyc_latency *latency, double share)
{
	uint64_t count[HYC_LATENCY_BUCKETS], total = 0, seen = 0;
	unsigned last = 0;

	for (unsigned i = 0; i < HYC_LATENCY_BUCKETS; i++) {
		count[i] = atomic_load_explicit(&latency->bucket[i], memory_order_relaxed);
		total += count[i];
	}
	for (unsigned i = 0; i < HYC_LATENCY_BUCKETS; i++) {
		if (!count[i])
			continue;
		last = i;
		seen += count[i];
		if ((double)seen >= share * (double)total)
			break;
	}
	return bucket_end(last);
}
