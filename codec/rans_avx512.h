/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of the entropy coder for all 32 lanes at once with AVX-512 (VBMI2). Only for files compiled for it.
 *
 * A state's upper and lower 16 bits are kept in two vectors, so that the lanes keep their order, one masked expansion
 * hands out the words, and every other operation serves 32 lanes. The slot table is not read: gathering 32 of its
 * entries would take twice as long as everything else. A symbol is found by bisection over the starts of at most 128
 * symbols, which fit in registers.
 */
#ifndef HYC_CODEC_RANS_AVX512_H
#define HYC_CODEC_RANS_AVX512_H

#include <immintrin.h>
#include <stdbool.h>

#include "codec/rans.h"

#define HYC_RANS_SEARCH_SYMBOLS 128u
/* Bytes from a word position on that must be readable for a step, whatever it takes of them. */
#define HYC_RANS_STEP32_BYTES 64

/*
 * The tree of a bisection: node i has the children 2 i and 2 i + 1, and the leaves are the symbols by rank. Each node
 * holds one less than the start of the first symbol of its right child. Nodes 1 to 31, 32 to 63 and 64 to 127 are in tables of their own.
 */
struct hyc_rans_search {
	unsigned depth; /* of the leaves: 6, or 7 for more than 64 symbols */
	_Alignas(64) uint16_t node[HYC_RANS_SEARCH_SYMBOLS];
	/* By rank. */
	uint16_t start[HYC_RANS_SEARCH_SYMBOLS], freq[HYC_RANS_SEARCH_SYMBOLS] /* times 32 */, symbol[HYC_RANS_SEARCH_SYMBOLS];
};

/* False where the table has too many symbols. Symbols are shifted left by shift. */
static inline bool hyc_rans_search_init(struct hyc_rans_search *s, const uint32_t *table, unsigned shift)
{
	unsigned n = 0, leaves, start = 0;

	for (; start < HYC_RANS_SLOTS; n++) {
		uint32_t freq = table[start] & (HYC_RANS_SLOTS - 1);

		if (n == HYC_RANS_SEARCH_SYMBOLS)
			return false;
		s->start[n] = (uint16_t)start;
		s->freq[n] = (uint16_t)(freq << (16 - HYC_RANS_BITS));
		s->symbol[n] = (uint16_t)(hyc_rans_symbol(table[start]) << shift);
		start += freq;
	}
	s->depth = n > HYC_RANS_SEARCH_SYMBOLS / 2 ? 7 : 6;
	leaves = 1u << s->depth;
	for (; n < leaves; n++)
		s->start[n] = HYC_RANS_SLOTS;
	for (unsigned i = 1; i < leaves; i++) {
		unsigned level = 31 - (unsigned)__builtin_clz(i), width = leaves >> level;

		s->node[i] = (uint16_t)(s->start[(i - (1u << level)) * width + width / 2] - 1);
	}
	return true;
}

/* The 32 lanes of one stream. */
struct hyc_rans_lanes32 {
	__m512i high, low;
	const uint8_t *words;
};

/* Even elements of a, then of b, and odd ones; and the first and second half of the two taken in turns. */
static inline __m512i hyc_rans_turns(__m512i even, __m512i odd, bool second)
{
	const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5,
					       36, 4, 35, 3, 34, 2, 33, 1, 32, 0);

	return _mm512_permutex2var_epi16(even, second ? _mm512_or_si512(order, _mm512_set1_epi16(16)) : order, odd);
}

static inline struct hyc_rans_lanes32 hyc_rans_start32(const uint8_t *states, const uint8_t *words)
{
	__m512i a = _mm512_loadu_si512(states), b = _mm512_loadu_si512(states + 64);
	__m512i low = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(a)), _mm512_cvtepi32_epi16(b), 1);
	__m512i high = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(_mm512_srli_epi32(a, 16))),
					  _mm512_cvtepi32_epi16(_mm512_srli_epi32(b, 16)), 1);

	return (struct hyc_rans_lanes32){ high, low, words };
}

static inline void hyc_rans_stop32(const struct hyc_rans_lanes32 *lanes, uint32_t x[HYC_RANS_LANES])
{
	_mm512_storeu_si512(x, hyc_rans_turns(lanes->low, lanes->high, false));
	_mm512_storeu_si512(x + 16, hyc_rans_turns(lanes->low, lanes->high, true));
}

static inline __attribute__((always_inline)) __m512i hyc_rans_table64(const uint16_t *table, __m512i i)
{
	return _mm512_permutex2var_epi16(_mm512_load_si512(table), i, _mm512_load_si512(table + 32));
}

/* Leaf i of the tree; of 128 leaves where deep. */
static inline __attribute__((always_inline)) __m512i hyc_rans_leaf(const uint16_t *table, __m512i i, bool deep)
{
	__m512i value = hyc_rans_table64(table, i);

	if (!deep)
		return value;
	return _mm512_mask_mov_epi16(value, _mm512_test_epi16_mask(i, _mm512_set1_epi16(64)), hyc_rans_table64(table + 64, i));
}

/*
 * The next states of all lanes, by what is known of their slots' symbols, frequencies times 32. HYC_RANS_STEP32_BYTES
 * must be readable at the words.
 */
static inline __attribute__((always_inline)) void hyc_rans_advance32(struct hyc_rans_lanes32 *lanes, __m512i slot, __m512i freq, __m512i start)
{
	/* x' = freq * (x div 2048) + slot - start, in halves. freq * 32 makes a multiplication by x div 2048 one by x div 65536. */
	__m512i product = _mm512_mullo_epi16(freq, lanes->high), high = _mm512_mulhi_epu16(freq, lanes->high), rest, low;
	__mmask32 carry, refill;

	rest = _mm512_add_epi16(_mm512_mulhi_epu16(freq, _mm512_andnot_si512(_mm512_set1_epi16(HYC_RANS_SLOTS - 1), lanes->low)),
				_mm512_sub_epi16(slot, start));
	low = _mm512_add_epi16(product, rest);
	carry = _mm512_cmplt_epu16_mask(low, rest);
	high = _mm512_mask_add_epi16(high, carry, high, _mm512_set1_epi16(1));

	refill = _mm512_testn_epi16_mask(high, high);
	lanes->high = _mm512_mask_mov_epi16(high, refill, low);
	lanes->low = _mm512_mask_expand_epi16(low, refill, _mm512_loadu_si512(lanes->words));
	lanes->words += 2 * __builtin_popcount(refill);
}

/* One step of all lanes: the symbols, shifted as the search was made to. HYC_RANS_STEP32_BYTES must be readable at the words. */
static inline __attribute__((always_inline)) __m512i hyc_rans_step32(struct hyc_rans_lanes32 *lanes, const struct hyc_rans_search *s, bool deep)
{
	const __m512i slot_bits = _mm512_set1_epi16(HYC_RANS_SLOTS - 1);
	__m512i slot = _mm512_and_si512(lanes->low, slot_bits), upper = _mm512_load_si512(s->node);
	__m512i i = _mm512_set1_epi16(1);

	/* Where the slot is not below the right child's start, the difference's sign bit is set. */
#pragma GCC unroll 5
	for (unsigned level = 0; level < 5; level++)
		i = _mm512_shldi_epi16(i, _mm512_sub_epi16(_mm512_permutexvar_epi16(i, upper), slot), 1);
	i = _mm512_shldi_epi16(i, _mm512_sub_epi16(_mm512_permutexvar_epi16(i, _mm512_load_si512(s->node + 32)), slot), 1);
	if (deep)
		i = _mm512_shldi_epi16(i, _mm512_sub_epi16(hyc_rans_table64(s->node + 64, i), slot), 1);
	hyc_rans_advance32(lanes, slot, hyc_rans_leaf(s->freq, i, deep), hyc_rans_leaf(s->start, i, deep));
	return hyc_rans_leaf(s->symbol, i, deep);
}

#endif
