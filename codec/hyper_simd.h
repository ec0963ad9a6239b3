/* SPDX-License-Identifier: Apache-2.0 */
/* What the hyper decoders of several instruction sets share. Only for files compiled for AVX2 or more. */
#ifndef HYC_CODEC_HYPER_SIMD_H
#define HYC_CODEC_HYPER_SIMD_H

#include "codec/hyper.h"
#include "codec/rans_avx2.h"

/* Four pairs of pair_bytes, a constant, to out. */
static inline __attribute__((always_inline)) void hyc_hyper_put4(uint8_t *out, const uint8_t *pairs, __m128i index,
								  unsigned pair_bytes)
{
	uint64_t a, b;
	__m128i v, w;

	if (pair_bytes == 4) {
		_mm_storeu_si128((__m128i *)out, hyc_rans_table4(index, (const uint32_t *)(const void *)pairs));
		return;
	}
	a = (uint64_t)_mm_cvtsi128_si64(index);
	b = (uint64_t)_mm_extract_epi64(index, 1);
	v = _mm_loadl_epi64((const __m128i *)(pairs + 8 * (size_t)(uint32_t)a));
	w = _mm_loadl_epi64((const __m128i *)(pairs + 8 * (size_t)(uint32_t)b));
	v = _mm_unpacklo_epi64(v, _mm_loadl_epi64((const __m128i *)(pairs + 8 * (a >> 32))));
	w = _mm_unpacklo_epi64(w, _mm_loadl_epi64((const __m128i *)(pairs + 8 * (b >> 32))));
	_mm_storeu_si128((__m128i *)out, v);
	_mm_storeu_si128((__m128i *)(out + 16), w);
}

#endif
