/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of the entropy coder for 8 lanes at once with AVX2. Only for files compiled for it. */
#ifndef HYC_CODEC_RANS_AVX2_H
#define HYC_CODEC_RANS_AVX2_H

#include <immintrin.h>

#include "codec/rans.h"

/* Bytes from a word position on that must be readable for a step of 8 lanes, whatever it takes of them. */
#define HYC_RANS_STEP8_BYTES 16

/* For each set of lanes that take a word, 8 bits: which word is each lane's. */
#define HYC_RANS_1(m, l) ((uint64_t)__builtin_popcount((m) & ((1u << (l)) - 1)) << 8 * (l))
#define HYC_RANS_8(m) \
	(HYC_RANS_1(m, 1) | HYC_RANS_1(m, 2) | HYC_RANS_1(m, 3) | HYC_RANS_1(m, 4) | HYC_RANS_1(m, 5) | HYC_RANS_1(m, 6) | HYC_RANS_1(m, 7))
#define HYC_RANS_X4(m) HYC_RANS_8(m), HYC_RANS_8((m) + 1), HYC_RANS_8((m) + 2), HYC_RANS_8((m) + 3)
#define HYC_RANS_X16(m) HYC_RANS_X4(m), HYC_RANS_X4((m) + 4), HYC_RANS_X4((m) + 8), HYC_RANS_X4((m) + 12)
#define HYC_RANS_X64(m) HYC_RANS_X16(m), HYC_RANS_X16((m) + 16), HYC_RANS_X16((m) + 32), HYC_RANS_X16((m) + 48)
static const uint64_t hyc_rans_word_of_lane[256] = {
	HYC_RANS_X64(0u), HYC_RANS_X64(64u), HYC_RANS_X64(128u), HYC_RANS_X64(192u)
};

/* Not a gather: that is slower on some processors and not faster on others. */
static inline __attribute__((always_inline)) __m128i hyc_rans_table4(__m128i places, const uint32_t *table)
{
	uint64_t a = (uint64_t)_mm_cvtsi128_si64(places), b = (uint64_t)_mm_extract_epi64(places, 1);
	__m128i slots = _mm_cvtsi32_si128((int)table[(uint32_t)a]);

	slots = _mm_insert_epi32(slots, (int)table[a >> 32], 1);
	slots = _mm_insert_epi32(slots, (int)table[(uint32_t)b], 2);
	return _mm_insert_epi32(slots, (int)table[b >> 32], 3);
}

static inline __attribute__((always_inline)) __m256i hyc_rans_table8(__m256i places, const uint32_t *table)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(hyc_rans_table4(_mm256_castsi256_si128(places), table)),
				       hyc_rans_table4(_mm256_extracti128_si256(places, 1), table), 1);
}

/* The slots that the lanes' states choose. */
static inline __attribute__((always_inline)) __m256i hyc_rans_slots8(__m256i x, const uint32_t *table)
{
	return hyc_rans_table8(_mm256_and_si256(x, _mm256_set1_epi32(HYC_RANS_SLOTS - 1)), table);
}

/* The next states, words taken from *w on included. HYC_RANS_STEP8_BYTES must be readable there. */
static inline __attribute__((always_inline)) __m256i hyc_rans_advance8(__m256i x, __m256i slots, const uint8_t **w)
{
	const __m256i low_bits = _mm256_set1_epi32(HYC_RANS_SLOTS - 1);
	__m256i freq = _mm256_and_si256(slots, low_bits);
	__m256i bias = _mm256_and_si256(_mm256_srli_epi32(slots, HYC_RANS_BITS), low_bits);
	__m256i next = _mm256_add_epi32(_mm256_mullo_epi32(freq, _mm256_srli_epi32(x, HYC_RANS_BITS)), bias);
	__m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(next, 16), _mm256_setzero_si256());
	unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(low));
	__m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)*w));
	__m256i place = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)&hyc_rans_word_of_lane[mask]));
	__m256i refilled = _mm256_or_si256(_mm256_slli_epi32(next, 16), _mm256_permutevar8x32_epi32(words, place));

	*w += 2 * __builtin_popcount(mask);
	return _mm256_blendv_epi8(next, refilled, low);
}

#endif
