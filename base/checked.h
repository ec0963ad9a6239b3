/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on sizes that come from a file: true means it overflowed. */
#ifndef HYC_BASE_CHECKED_H
#define HYC_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool hyc_add_overflows(uint64_t a, uint64_t b, uint64_t *sum)
{
	return __builtin_add_overflow(a, b, sum);
}

static inline bool hyc_mul_overflows(uint64_t a, uint64_t b, uint64_t *product)
{
	return __builtin_mul_overflow(a, b, product);
}

/* Whether [off, off + len) lies inside [0, total). */
static inline bool hyc_range_ok(uint64_t off, uint64_t len, uint64_t total)
{
	return off <= total && len <= total - off;
}

static inline uint64_t hyc_div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static inline uint64_t hyc_align_up(uint64_t a, uint64_t power_of_two)
{
	return (a + power_of_two - 1) & ~(power_of_two - 1);
}

#endif
