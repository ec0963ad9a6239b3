/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered parallel pipeline: items are produced and consumed in order on the
 * calling thread, and worked on in between by several threads. pack, unpack and
 * verify are such pipelines; their output does not depend on the thread count.
 */
#ifndef HYC_BASE_ORDERED_H
#define HYC_BASE_ORDERED_H

#include <stddef.h>

struct hyc_ordered_ops {
	/* Caller's thread, in order: describe the next item in slot. 1 = an item, 0 = no more, < 0 = stop with this error. */
	int (*produce)(void *arg, void *slot);
	/* Any thread: do the work. 0, or < 0 to stop the run with this error once the items before it are consumed. */
	int (*work)(void *arg, void *slot);
	/* Caller's thread, in order: use the result. 0, or < 0 to stop. */
	int (*consume)(void *arg, void *slot);
	/* Release what slots own; called once for each slot at the end. May be NULL. */
	void (*fini)(void *slot);
};

/*
 * Runs until produce says 0 and everything is consumed. slot_bytes is the size of a
 * caller's slot; slots start zeroed and are reused, so buffers hung on them live on.
 * threads >= 1 work; 2 * threads + 1 slots exist. Returns 0 or the first error in item order
 * (-ENOMEM or -EAGAIN where the run could not start).
 */
int hyc_ordered_run(unsigned threads, size_t slot_bytes, const struct hyc_ordered_ops *ops, void *arg)
	__attribute__((warn_unused_result));

/* The number of processors this process may run on, at least 1. */
unsigned hyc_cpu_count(void);

#endif
