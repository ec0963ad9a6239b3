/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of the entropy coder found by counting, with AVX-512 (VBMI, BITALG), for tables that rans_avx512.h's bisection
 * is too small for. Only for files compiled for it.
 *
 * An octet is 8 slots in a row. For each of the 256 there are the symbols that start below it and, as 8 bits, those
 * that start inside: so the rank of a slot's symbol is a sum. All tables are of bytes and fit in registers, and each
 * look-up serves 64 lanes: those of two streams, of one in the lower and of the other in the upper bytes.
 */
#ifndef HYC_CODEC_RANS_RANK_H
#define HYC_CODEC_RANS_RANK_H

#include <string.h>

#include "codec/rans_avx512.h"

#define HYC_RANS_OCTETS (HYC_RANS_SLOTS / 8)
#define HYC_RANS_RANKS 256u
#define HYC_RANS_MAX_RANKS (2 * HYC_RANS_RANKS)

/*
 * Where there are more than 256 symbols, octets from `split` on count anew: their rank 0 is the symbol that reaches over
 * from the octet before. In symbol their ranks follow the 256 of the others.
 */
struct hyc_rans_ranking {
	_Alignas(64) uint8_t bits[HYC_RANS_OCTETS];
	uint8_t base[HYC_RANS_OCTETS]; /* of the last symbol that starts below; modulo 256 */
	uint8_t start[2][HYC_RANS_RANKS] /* modulo 256 */, freq[2][HYC_RANS_RANKS];
	uint16_t symbol[HYC_RANS_MAX_RANKS];
	unsigned split, n; /* n: ranks, gaps included */
};

/* False where a frequency does not fit in a byte, or there are too many symbols. */
static inline bool hyc_rans_ranking_init(struct hyc_rans_ranking *r, const uint32_t *table)
{
	unsigned n = 0, half = 0;

	memset(r, 0, sizeof *r);
	r->split = HYC_RANS_OCTETS;
	for (unsigned octet = 0; octet < HYC_RANS_OCTETS; octet++) {
		uint32_t starts = 0, count;

		for (unsigned i = 0; i < 8; i++)
			starts |= (uint32_t)!(table[8 * octet + i] >> HYC_RANS_BITS & (HYC_RANS_SLOTS - 1)) << i;
		count = (uint32_t)__builtin_popcount(starts);
		if (n + count > HYC_RANS_RANKS) {
			uint32_t slot = table[8 * octet];

			if (half)
				return false;
			half = 1;
			r->split = octet;
			r->start[1][0] = (uint8_t)(8 * octet - (slot >> HYC_RANS_BITS & (HYC_RANS_SLOTS - 1)));
			r->freq[1][0] = (uint8_t)(slot & (HYC_RANS_SLOTS - 1));
			r->symbol[HYC_RANS_RANKS] = (uint16_t)hyc_rans_symbol(slot);
			n = 1;
		}
		r->bits[octet] = (uint8_t)starts;
		r->base[octet] = (uint8_t)(n - 1);
		for (unsigned i = 0; i < 8; i++) {
			uint32_t slot = table[8 * octet + i];

			if (!(starts >> i & 1))
				continue;
			if ((slot & (HYC_RANS_SLOTS - 1)) > UINT8_MAX)
				return false;
			r->start[half][n] = (uint8_t)(8 * octet + i);
			r->freq[half][n] = (uint8_t)(slot & (HYC_RANS_SLOTS - 1));
			r->symbol[HYC_RANS_RANKS * half + n++] = (uint16_t)hyc_rans_symbol(slot);
		}
	}
	r->n = HYC_RANS_RANKS * half + n;
	return true;
}

/* Entries of a table of 256. upper: which of the indices are above 127. */
static inline __attribute__((always_inline)) __m512i hyc_rans_table256(const uint8_t *table, __m512i i, __mmask64 upper)
{
	__m512i below = _mm512_permutex2var_epi8(_mm512_load_si512(table), i, _mm512_load_si512(table + 64));
	__m512i above = _mm512_permutex2var_epi8(_mm512_load_si512(table + 128), i, _mm512_load_si512(table + 192));

	return _mm512_mask_mov_epi8(below, upper, above);
}

/* Bits of a in lower bytes, of b in upper ones. */
static inline __attribute__((always_inline)) __m512i hyc_rans_bytes(__m512i a, __m512i b)
{
	return _mm512_ternarylogic_epi32(_mm512_set1_epi16(0xff), a, b, 0xca);
}

/* The octets of two streams' slots. */
static inline __attribute__((always_inline)) __m512i hyc_rans_octets(const struct hyc_rans_lanes32 *a,
								      const struct hyc_rans_lanes32 *b)
{
	return hyc_rans_bytes(_mm512_srli_epi16(a->low, 3), _mm512_slli_epi16(b->low, 5));
}

/* Slots modulo 256. */
static inline __attribute__((always_inline)) __m512i hyc_rans_slot_bytes(const struct hyc_rans_lanes32 *a,
									  const struct hyc_rans_lanes32 *b)
{
	return hyc_rans_bytes(a->low, _mm512_slli_epi16(b->low, 8));
}

/* The ranks of two streams' slots, by what is known of their octets. */
static inline __attribute__((always_inline)) __m512i hyc_rans_count(const struct hyc_rans_lanes32 *a,
								     const struct hyc_rans_lanes32 *b, __m512i bits,
								     __m512i base)
{
	/* By the lower three bits of a slot: the slots of its octet up to it. */
	const __m512i up_to = _mm512_set1_epi64((long long)UINT64_C(0xff7f3f1f0f070301));
	__m512i in_octet = _mm512_and_si512(hyc_rans_slot_bytes(a, b), _mm512_set1_epi8(7));

	bits = _mm512_and_si512(bits, _mm512_shuffle_epi8(up_to, in_octet));
	return _mm512_add_epi8(base, _mm512_popcnt_epi8(bits));
}

/* The next states of two streams' lanes, by what is known of their symbols. Words as for hyc_rans_advance32. */
static inline __attribute__((always_inline)) void hyc_rans_advance_bytes(struct hyc_rans_lanes32 *a,
									 struct hyc_rans_lanes32 *b, __m512i start,
									 __m512i freq)
{
	const __m512i lower = _mm512_set1_epi16(0xff), none = _mm512_setzero_si512();
	/* Below the frequency, and so below 256. */
	__m512i bias = _mm512_sub_epi8(hyc_rans_slot_bytes(a, b), start);

	/* Frequencies times 32. */
	hyc_rans_advance32(a, _mm512_and_si512(bias, lower), _mm512_slli_epi16(_mm512_and_si512(freq, lower), 5), none);
	hyc_rans_advance32(b, _mm512_srli_epi16(bias, 8),
			   _mm512_and_si512(_mm512_srli_epi16(freq, 3), _mm512_set1_epi16(0x1fe0)), none);
}

/* One step of all lanes of two streams: the ranks of their symbols. split, a constant: whether there are more than 256. */
static inline __attribute__((always_inline)) void
hyc_rans_rank_step(struct hyc_rans_lanes32 *a, struct hyc_rans_lanes32 *b, const struct hyc_rans_ranking *r, bool split,
		   __m512i *rank_a, __m512i *rank_b)
{
	__m512i octet = hyc_rans_octets(a, b), start, freq, rank, half;
	__mmask64 upper = _mm512_movepi8_mask(octet), second;

	rank = hyc_rans_count(a, b, hyc_rans_table256(r->bits, octet, upper), hyc_rans_table256(r->base, octet, upper));
	upper = _mm512_movepi8_mask(rank);
	start = hyc_rans_table256(r->start[0], rank, upper);
	freq = hyc_rans_table256(r->freq[0], rank, upper);
	*rank_a = _mm512_and_si512(rank, _mm512_set1_epi16(0xff));
	*rank_b = _mm512_srli_epi16(rank, 8);
	if (split) {
		second = _mm512_cmpgt_epu8_mask(octet, _mm512_set1_epi8((char)(r->split - 1)));
		start = _mm512_mask_mov_epi8(start, second, hyc_rans_table256(r->start[1], rank, upper));
		freq = _mm512_mask_mov_epi8(freq, second, hyc_rans_table256(r->freq[1], rank, upper));
		half = _mm512_maskz_set1_epi8(second, 1);
		*rank_a = hyc_rans_bytes(rank, _mm512_slli_epi16(half, 8));
		*rank_b = hyc_rans_bytes(*rank_b, half);
	}
	hyc_rans_advance_bytes(a, b, start, freq);
}

#endif
