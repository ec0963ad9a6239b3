/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-Compression with AVX-512: a step is two vectors of 16 lanes, each of which looks up a symbol, then a pair. Two
 * units are decoded at once, for a step has to wait for the one before. There are too many symbols for a bisection.
 */
#include "config.h"

#include <immintrin.h>

#include "codec/decoders.h"
#include "codec/float.h"
#include "codec/hyper_simd.h"

#define TOGETHER 2u
#define VECTORS (HYC_RANS_LANES / 16)
/* Of words that a step of one vector may look at, whatever it takes of them; that a group may look at from its first on. */
#define STEP_BYTES 32
#define GROUP_WORD_BYTES (2 * HYC_RANS_GROUP + STEP_BYTES)
#define INLINE static inline __attribute__((always_inline))

/* What is decoded at once: a unit's lanes, next word and planes, and where it goes. */
struct stream {
	__m512i x[VECTORS];
	const uint8_t *w, *four, *two;
	uint8_t *dst;
	size_t groups; /* whole ones */
};

/* Bits of a where mask has them, others of b. */
INLINE __m512i select_bits(__m512i mask, __m512i a, __m512i b)
{
	return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

/* The slots of 16 lanes; their next states. */
INLINE __m512i step(__m512i *x, const uint32_t *table, const uint8_t **w)
{
	const __m512i slot_bits = _mm512_set1_epi32(HYC_RANS_SLOTS - 1);
	__m512i places = _mm512_and_si512(*x, slot_bits), slots, next, words;
	__mmask16 low;

	slots = _mm512_inserti64x4(_mm512_castsi256_si512(hyc_rans_table8(_mm512_castsi512_si256(places), table)),
				   hyc_rans_table8(_mm512_extracti64x4_epi64(places, 1), table), 1);
	next = _mm512_mullo_epi32(_mm512_srli_epi32(*x, HYC_RANS_BITS), _mm512_and_si512(slots, slot_bits));
	next = _mm512_add_epi32(next, _mm512_and_si512(_mm512_srli_epi32(slots, HYC_RANS_BITS), slot_bits));
	low = _mm512_cmplt_epu32_mask(next, _mm512_set1_epi32(HYC_RANS_LOW));
	words = _mm512_maskz_expand_epi32(low, _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)*w)));
	*w += 2 * __builtin_popcount(low);
	*x = _mm512_or_si512(_mm512_mask_slli_epi32(next, low, next, 16), words);
	return slots;
}

/* Where an even and an odd pair of 16 lanes are in the table: symbols above, low parts of 2 q bits below. */
INLINE void indices(const struct stream *s, unsigned q, size_t first, unsigned v, __m512i *even, __m512i *odd)
{
	const uint8_t *four = s->four + first / 256 * 128 + 64 * v, *two = s->two + first / 512 * 128 + 64 * v;
	unsigned four_shift = (unsigned)(first % 256 / 64 * 4), two_shift = (unsigned)(first % 512 / 64 * 2);
	__m512i low = _mm512_setzero_si512(), more;

	if (q >= 2)
		low = _mm512_srl_epi32(_mm512_loadu_si512(four), _mm_cvtsi32_si128((int)four_shift));
	if (q == 1)
		low = _mm512_srl_epi32(_mm512_loadu_si512(two), _mm_cvtsi32_si128((int)two_shift));
	if (q == 3) {
		more = _mm512_srl_epi32(_mm512_loadu_si512(two), _mm_cvtsi32_si128((int)two_shift));
		low = select_bits(_mm512_set1_epi32(0x000f000f), low, _mm512_slli_epi32(more, 4));
	}
	*even = _mm512_srli_epi32(*even, 2 * HYC_RANS_BITS - 2 * q);
	*odd = _mm512_srli_epi32(*odd, 2 * HYC_RANS_BITS - 2 * q);
	*even = select_bits(_mm512_set1_epi32((int)(UINT32_MAX << 2 * q)), *even, low);
	*odd = select_bits(_mm512_set1_epi32((int)(UINT32_MAX << 2 * q)), *odd, _mm512_srli_epi32(low, 16));
}

/* 16 even pairs and those that follow them. */
INLINE void put(uint8_t *out, const uint8_t *pairs, __m512i even, __m512i odd, unsigned bytes)
{
	__m512i a = _mm512_unpacklo_epi32(even, odd), b = _mm512_unpackhi_epi32(even, odd);

	hyc_hyper_put4(out, pairs, _mm512_castsi512_si128(a), bytes);
	hyc_hyper_put4(out + (size_t)4 * bytes, pairs, _mm512_castsi512_si128(b), bytes);
	hyc_hyper_put4(out + (size_t)8 * bytes, pairs, _mm512_extracti32x4_epi32(a, 1), bytes);
	hyc_hyper_put4(out + (size_t)12 * bytes, pairs, _mm512_extracti32x4_epi32(b, 1), bytes);
	hyc_hyper_put4(out + (size_t)16 * bytes, pairs, _mm512_extracti32x4_epi32(a, 2), bytes);
	hyc_hyper_put4(out + (size_t)20 * bytes, pairs, _mm512_extracti32x4_epi32(b, 2), bytes);
	hyc_hyper_put4(out + (size_t)24 * bytes, pairs, _mm512_extracti32x4_epi32(a, 3), bytes);
	hyc_hyper_put4(out + (size_t)28 * bytes, pairs, _mm512_extracti32x4_epi32(b, 3), bytes);
}

/* Whole groups of n units from group `from` on, while all have some and their words may be read. Returns where it stopped. */
INLINE size_t groups(const struct hyc_hyper_block *block, const struct hyc_hyper_state *state, struct stream *streams,
		     unsigned n, size_t from, unsigned q, unsigned bytes)
{
	__m512i even[TOGETHER][VECTORS], odd[TOGETHER][VECTORS];
	struct stream s[TOGETHER];

#pragma GCC unroll 2
	for (unsigned k = 0; k < n; k++)
		s[k] = streams[k];
	for (;; from++) {
		size_t first = from * HYC_RANS_GROUP;
		bool safe = true;

#pragma GCC unroll 2
		for (unsigned k = 0; k < n; k++)
			safe = safe && from < s[k].groups && block->end - s[k].w >= (ptrdiff_t)GROUP_WORD_BYTES;
		if (!safe)
			break;
#pragma GCC unroll 2
		for (unsigned k = 0; k < n; k++)
#pragma GCC unroll 2
			for (unsigned v = 0; v < VECTORS; v++)
				even[k][v] = step(&s[k].x[v], block->table, &s[k].w);
#pragma GCC unroll 2
		for (unsigned k = 0; k < n; k++)
#pragma GCC unroll 2
			for (unsigned v = 0; v < VECTORS; v++)
				odd[k][v] = step(&s[k].x[v], block->table, &s[k].w);
#pragma GCC unroll 2
		for (unsigned k = 0; k < n; k++) {
			uint8_t *out = s[k].dst + first * bytes;

#pragma GCC unroll 2
			for (unsigned v = 0; v < VECTORS; v++) {
				indices(&s[k], q, first, v, &even[k][v], &odd[k][v]);
				put(out + (size_t)32 * v * bytes, state->pairs, even[k][v], odd[k][v], bytes);
			}
		}
	}
#pragma GCC unroll 2
	for (unsigned k = 0; k < n; k++)
		streams[k] = s[k];
	return from;
}

INLINE int decode(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *units,
		  const struct hyc_hyper_state *state, uint8_t *const *dst, const size_t *len, unsigned n, unsigned q,
		  unsigned bytes)
{
	struct stream streams[TOGETHER];
	uint32_t x[HYC_RANS_LANES];
	size_t done = 0, end;
	int result = 0;

	for (unsigned k = 0; k < n; k++) {
		streams[k].w = units[k].words;
		streams[k].four = streams[k].two = units[k].planes;
		if (q == 3)
			streams[k].two += hyc_float_raw_bytes(4, units[k].n);
		streams[k].dst = dst[k];
		streams[k].groups = len[k] / ((size_t)bytes * HYC_RANS_GROUP);
		for (unsigned v = 0; v < VECTORS; v++)
			streams[k].x[v] = _mm512_loadu_si512(units[k].states + 64 * v);
	}
	if (n == TOGETHER)
		done = groups(block, state, streams, TOGETHER, 0, q, bytes);
	for (unsigned k = 0; !result && k < n; k++) {
		end = groups(block, state, &streams[k], 1, done, q, bytes);
		for (unsigned v = 0; v < VECTORS; v++)
			_mm512_storeu_si512(x + 16 * v, streams[k].x[v]);
		result = hyc_hyper_finish(block, &units[k], state, x, streams[k].w, end * HYC_RANS_GROUP, dst[k], len[k]);
	}
	return result;
}

static int decode_units(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *units,
			const struct hyc_hyper_state *state, uint8_t *const *dst, const size_t *len, unsigned n)
{
	unsigned q = state->object.tile_log2;

	if (state->pair_bytes == 8)
		return decode(block, units, state, dst, len, n, q, 8);
	return q == 2 ? decode(block, units, state, dst, len, n, 2, 4) : decode(block, units, state, dst, len, n, q, 4);
}

int hyc_hyper_decode_avx512(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst,
			    size_t dst_len)
{
	return hyc_hyper_decode_by(coding, src, src_len, dst, dst_len, TOGETHER, decode_units);
}
