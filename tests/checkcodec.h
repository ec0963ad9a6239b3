/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of checkcodec share: seeded numbers, blocks made by the real encoders, and the kernels. */
#ifndef HYC_TESTS_CHECKCODEC_H
#define HYC_TESTS_CHECKCODEC_H

#include <stdbool.h>

#include "codec/codec.h"

/* The same sequence for the same seed. */
extern uint64_t check_seed;
uint32_t check_random(void);
static inline uint32_t check_below(uint32_t n)
{
	return (uint32_t)((uint64_t)check_random() * n >> 32);
}

__attribute__((noreturn, format(printf, 1, 2))) void check_fail(const char *fmt, ...);

/* What the elements of a block look like, and so which modes, tables and lists of exceptions it has. */
enum check_kind {
	CHECK_WEIGHTS, /* normally distributed, each row with a spread of its own */
	CHECK_WIDE,    /* of very different sizes: long tables */
	CHECK_COARSE,  /* of few bits, as from a narrower type: constant and coded fields */
	CHECK_OUTLIERS,/* some elements of random bits */
	CHECK_SPARSE,  /* mostly zeros */
	CHECK_N_KINDS
};

/* An encoded block and its coding; owns all of it, hyper's state included. */
struct check_block {
	struct hyc_coding coding;
	uint8_t *params, *stored;
	void *state;
	size_t stored_len, len;
};

/*
 * An object of one block, encoded. False where the codec does not take it. kind is for the float codec, the lossy ones have weights; detail
 * chooses among their options.
 */
bool check_block_make(struct check_block *b, uint32_t codec, uint32_t dtype, uint32_t rows, uint32_t cols, enum check_kind kind,
		      unsigned detail);
void check_block_fini(struct check_block *b);

/* Builds the state the codec of a complete coding wants; owned. NULL where it wants none. */
void *check_state_new(const struct hyc_coding *coding);

/* The function that decodes a codec's blocks with a backend. */
hyc_decode_fn *check_kernel(const struct hyc_backend *backend, uint32_t codec);

/* Prints the speed of every available backend, of `only` if it is not NULL, on the blocks of an archive or, if it is NULL, on made ones. */
void check_bench(const char *archive, const struct hyc_backend *only);

#endif
