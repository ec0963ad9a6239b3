/* SPDX-License-Identifier: Apache-2.0 */
/* Hyper-Compression with AVX2: a step is four vectors of 8 lanes, each of which looks up a symbol, then a pair. */
#include "config.h"

#include "codec/decoders.h"
#include "codec/float.h"
#include "codec/hyper_simd.h"

#define VECTORS (HYC_RANS_LANES / 8)
/* Of words that a group may look at from its first on. */
#define GROUP_WORD_BYTES (2 * HYC_RANS_GROUP + HYC_RANS_STEP8_BYTES)
#define INLINE static inline __attribute__((always_inline))

INLINE __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

/* The low parts of the 64 pairs from `first` on, of which v is a quarter: an even and an odd pair in each 32 bits. */
INLINE __m256i raw(const uint8_t *four, const uint8_t *two, unsigned q, size_t first, unsigned v)
{
	__m256i value = _mm256_setzero_si256(), more;

	if (q >= 2) {
		value = _mm256_srl_epi32(load(four + first / 256 * 128 + 32 * v),
					 _mm_cvtsi32_si128((int)(first % 256 / 64 * 4)));
		value = _mm256_and_si256(value, _mm256_set1_epi32(0x000f000f));
	}
	if (q & 1) {
		more = _mm256_srl_epi32(load(two + first / 512 * 128 + 32 * v),
					_mm_cvtsi32_si128((int)(first % 512 / 64 * 2)));
		more = _mm256_and_si256(more, _mm256_set1_epi32(0x00030003));
		value = _mm256_or_si256(value, _mm256_slli_epi32(more, q == 3 ? 4 : 0));
	}
	return value;
}

/* 8 even pairs and those that follow them. */
INLINE void put(uint8_t *out, const uint8_t *pairs, __m256i even, __m256i odd, unsigned bytes)
{
	__m256i a = _mm256_unpacklo_epi32(even, odd), b = _mm256_unpackhi_epi32(even, odd);

	hyc_hyper_put4(out, pairs, _mm256_castsi256_si128(a), bytes);
	hyc_hyper_put4(out + (size_t)4 * bytes, pairs, _mm256_castsi256_si128(b), bytes);
	hyc_hyper_put4(out + (size_t)8 * bytes, pairs, _mm256_extracti128_si256(a, 1), bytes);
	hyc_hyper_put4(out + (size_t)12 * bytes, pairs, _mm256_extracti128_si256(b, 1), bytes);
}

INLINE int decode_unit(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *unit,
		       const struct hyc_hyper_state *state, uint8_t *dst, size_t dst_len, unsigned q, unsigned bytes)
{
	const uint8_t *w = unit->words, *two = unit->planes + (q == 3 ? hyc_float_raw_bytes(4, unit->n) : 0);
	const __m256i lower = _mm256_set1_epi32(0xffff);
	__m256i x[VECTORS], even[VECTORS], odd[VECTORS];
	uint32_t rest[HYC_RANS_LANES];
	size_t first = 0;

	for (unsigned v = 0; v < VECTORS; v++)
		x[v] = load(unit->states + 32 * v);
	while (dst_len - first * bytes >= (size_t)bytes * HYC_RANS_GROUP && block->end - w >= (ptrdiff_t)GROUP_WORD_BYTES) {
		uint8_t *out = dst + first * bytes;

#pragma GCC unroll 4
		for (unsigned v = 0; v < VECTORS; v++) {
			even[v] = hyc_rans_slots8(x[v], block->table);
			x[v] = hyc_rans_advance8(x[v], even[v], &w);
		}
#pragma GCC unroll 4
		for (unsigned v = 0; v < VECTORS; v++) {
			odd[v] = hyc_rans_slots8(x[v], block->table);
			x[v] = hyc_rans_advance8(x[v], odd[v], &w);
		}
#pragma GCC unroll 4
		for (unsigned v = 0; v < VECTORS; v++) {
			__m256i low = raw(unit->planes, two, q, first, v);
			__m256i e = _mm256_slli_epi32(_mm256_srli_epi32(even[v], 2 * HYC_RANS_BITS), (int)(2 * q));
			__m256i o = _mm256_slli_epi32(_mm256_srli_epi32(odd[v], 2 * HYC_RANS_BITS), (int)(2 * q));

			put(out + (size_t)16 * v * bytes, state->pairs, _mm256_or_si256(e, _mm256_and_si256(low, lower)),
			    _mm256_or_si256(o, _mm256_srli_epi32(low, 16)), bytes);
		}
		first += HYC_RANS_GROUP;
	}
	for (unsigned v = 0; v < VECTORS; v++)
		_mm256_storeu_si256((__m256i *)&rest[8 * v], x[v]);
	return hyc_hyper_finish(block, unit, state, rest, w, first, dst, dst_len);
}

static int decode_units(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *units,
			const struct hyc_hyper_state *state, uint8_t *const *dst, const size_t *len, unsigned n)
{
	unsigned q = state->object.tile_log2;

	(void)n; /* one at a time: there are too few registers for two */
	if (state->pair_bytes == 8)
		return decode_unit(block, units, state, *dst, *len, q, 8);
	return q == 2 ? decode_unit(block, units, state, *dst, *len, 2, 4) :
			decode_unit(block, units, state, *dst, *len, q, 4);
}

int hyc_hyper_block_avx2(const struct hyc_hyper_block *block, const struct hyc_hyper_state *state, uint8_t *dst,
			 size_t dst_len)
{
	return hyc_hyper_decode_by(block, state, dst, dst_len, 1, decode_units);
}

int hyc_hyper_decode_avx2(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst,
			  size_t dst_len)
{
	const struct hyc_hyper_state *state = coding->state;
	struct hyc_hyper_block block;
	int result = hyc_hyper_parse(coding, &state->object, src, src_len, dst_len, &block);

	return result ? result : hyc_hyper_block_avx2(&block, state, dst, dst_len);
}
