/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding ahead of readers, by threads of its own. What is read of each file falls into streams, runs of bytes that are read in order;
 * any number of readers, threads or page faults may make one, and one may make several. Blocks that a stream is about to reach
 * are decoded into the cache, never at the cost of what others are still to read (cache/cache.h).
 */
#ifndef HYC_ARCHIVE_PREFETCH_H
#define HYC_ARCHIVE_PREFETCH_H

#include "archive/archive.h"

/* *out is NULL where options (NULL: the defaults) say so; no thread runs yet. -ENOMEM. The archive must have its cache. */
int hyc_prefetch_new(struct hyc *archive, const struct hyc_options *options, struct hyc_prefetch **out) HYC_CHECKED;

/* Waits for what is being decoded. NULL is fine. */
void hyc_prefetch_free(struct hyc_prefetch *prefetch);

/* Bytes [off, off + len) of a file are about to be read, all of them below its size. Never waits. NULL is fine. */
void hyc_prefetch_note(struct hyc_prefetch *prefetch, uint32_t file, uint64_t off, uint64_t len);

/* One of the threads that decode for themselves (hyc.filling) has done so. NULL is fine. */
void hyc_prefetch_relieved(struct hyc_prefetch *prefetch);

#endif
