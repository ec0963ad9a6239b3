/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of durations that many threads fill without a lock: four buckets to each power
 * of two, so a percentile read from it is at most a quarter too high.
 */
#ifndef HYC_FS_LATENCY_H
#define HYC_FS_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define HYC_LATENCY_BUCKETS 256

struct hyc_latency {
	_Atomic uint64_t bucket[HYC_LATENCY_BUCKETS];
};

void hyc_latency_add(struct hyc_latency *latency, uint64_t nanoseconds);

/* The duration, in nanoseconds, that share of all (0 to 1) did not exceed; 0 if there were none. */
uint64_t hyc_latency_percentile(const struct hyc_latency *latency, double share);

#endif
