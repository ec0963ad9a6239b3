/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of a module that tests want. HYC_CUDA_FAIL is the name of a place, and which time it fails there and ever after:
 * "memory2" the second time, "memory" the first.
 */
#ifndef HYC_CODEC_CUDA_INJECT_H
#define HYC_CODEC_CUDA_INJECT_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum hyc_cuda_inject {
	HYC_CUDA_INJECT_OPEN,    /* "open": a device is opened */
	HYC_CUDA_INJECT_MEMORY,  /* "memory": a lane asks for memory; there is none */
	HYC_CUDA_INJECT_SCRATCH, /* "scratch": so does a batch */
	HYC_CUDA_INJECT_BATCH    /* "batch": one is submitted */
};

static inline int hyc_cuda_injected(enum hyc_cuda_inject where)
{
	static const char *const names[] = { "open", "memory", "scratch", "batch" };
	static atomic_ulong times[sizeof names / sizeof names[0]];
	const char *wish = getenv("HYC_CUDA_FAIL");
	size_t len = strlen(names[where]);
	unsigned long first;

	if (!wish || strncmp(wish, names[where], len))
		return 0;
	first = wish[len] ? strtoul(wish + len, NULL, 10) : 1;
	return atomic_fetch_add(&times[where], 1) + 1 >= first;
}

#endif
