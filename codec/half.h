/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16-bit float types, by integer rules so that every compiler and processor does the same: from a float by
 * rounding to nearest, ties to even, subnormal numbers included.
 */
#ifndef HYC_CODEC_HALF_H
#define HYC_CODEC_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t hyc_float_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	return u;
}

static inline float hyc_bits_float(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof f);
	return f;
}

static inline float hyc_bf16_to_float(uint16_t b)
{
	return hyc_bits_float((uint32_t)b << 16);
}

/* f is not NaN. */
static inline uint16_t hyc_float_to_bf16(float f)
{
	uint32_t u = hyc_float_bits(f);

	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float hyc_f16_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;

	if (rest >= 0x7c00)
		return hyc_bits_float(sign | 0x7f800000 | rest << 13);
	if (rest < 0x400)
		return hyc_bits_float(sign | hyc_float_bits((float)rest * 0x1p-24f));
	return hyc_bits_float(sign | ((rest << 13) + (112u << 23)));
}

/* f is not NaN; infinity from 65520 on. */
static inline uint16_t hyc_float_to_f16(float f)
{
	uint32_t u = hyc_float_bits(f), sign = u >> 16 & 0x8000, shift, half, m;

	u &= 0x7fffffff;
	if (u >= 0x477ff000)
		return (uint16_t)(sign | 0x7c00);
	if (u >= 0x38800000)
		return (uint16_t)(sign | (u - (112u << 23) + 0xfff + (u >> 13 & 1)) >> 13);
	if (u <= 0x33000000)
		return (uint16_t)sign;
	/* Below 2^-14: a multiple of 2^-24. */
	shift = 126 - (u >> 23);
	half = 1u << (shift - 1);
	m = (u & 0x7fffff) | 0x800000;
	return (uint16_t)(sign | (m + half - 1 + (m >> shift & 1)) >> shift);
}

#endif
