/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of codecs share: numbers that follow from a seed, and buffers in which an overrun is seen. */
#ifndef HYC_TESTS_SAMPLES_H
#define HYC_TESTS_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#define LEN(a) (sizeof(a) / sizeof *(a))

/* Take the seed from $SEED, 1 where there is none, and print it; or take this one. */
void samples_seed_from_env(void);
void samples_seed(uint64_t seed);

uint32_t random32(void);
/* 0 to 1, without that. */
double uniform(void);
/* Near enough to normally distributed, with a standard deviation of 1. */
double normal(void);

/* Round a number to an element of a float dtype. */
void store_element(uint32_t dtype, uint8_t *p, float v);

/* A buffer that ends at an unreadable page. */
struct guarded {
	uint8_t *map, *data;
	size_t map_len;
};

struct guarded guarded_new(size_t len);
void guarded_free(struct guarded g);

#endif
