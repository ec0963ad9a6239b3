/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tcq decoders of all instruction sets share: tables whose entries hold finished levels, the place in a unit's
 * words, and the order in which units are decoded, several of one shape at a time.
 */
#ifndef HYC_CODEC_TCQ_SIMD_H
#define HYC_CODEC_TCQ_SIMD_H

#include <errno.h>

#include "codec/tcq.h"

/*
 * An entry of a table: frequency | (slot - start) << 11 | odd << 22 | level << 23, where odd says that k is. Where a
 * level needs more than 9 bits all tables hold k << 22 instead, whose lowest bit is odd's.
 */
#define HYC_TCQ_LEVEL_BITS 9u
#define HYC_TCQ_ODD_BIT 22u

/* What is kept of a trellis: its state, and above it the bit that selects the quantiser's table. */
static inline uint32_t hyc_tcq_simd_state(uint32_t state)
{
	return state | (state >> 2) << HYC_RANS_BITS;
}

/* The next state by the state, for an even k; for an odd one its lowest bit is the other. */
#define HYC_TCQ_SIMD_NEXT \
	0, 0x804, 1, 0x805, 0x806, 3, 2, 0x807

/* A row takes at most one word for each column; loads of a step reach beyond the words it takes. */
#define HYC_TCQ_ROW_SLACK 64
#define HYC_TCQ_ROW_BYTES (2 * HYC_TCQ_STRIPE + HYC_TCQ_ROW_SLACK)

/* Where a unit's words are read. At the end of a block they are copied, lest a load reaches beyond it. */
struct hyc_tcq_words {
	const uint8_t *w, *end, *limit;
	uint8_t tail[2 * HYC_TCQ_ROW_BYTES];
};

static inline void hyc_tcq_words_start(struct hyc_tcq_words *words, const struct hyc_tcq_unit *unit,
				       const uint8_t *src_end)
{
	words->w = unit->words;
	words->end = unit->words + 2 * (size_t)unit->n_words;
	words->limit = src_end;
}

/* Before each row: whether it can be read. False: more words than there are were used, sooner or later. */
static inline bool hyc_tcq_words_ready(struct hyc_tcq_words *words)
{
	size_t left;

	if (words->limit - words->w >= (ptrdiff_t)HYC_TCQ_ROW_BYTES)
		return true;
	if (words->w > words->end)
		return false;
	/* Less than a row's, so that a row of zeros fits behind it: this happens once. */
	left = (size_t)(words->end - words->w);
	memset(words->tail, 0, sizeof words->tail);
	words->w = memcpy(words->tail, words->w, left);
	words->end = words->tail + left;
	words->limit = words->tail + sizeof words->tail;
	return true;
}

struct hyc_tcq_simd {
	struct hyc_tcq_block block;
	const uint8_t *src_end;
	uint8_t *dst;
	uint32_t dtype;
	bool wide; /* entries hold k */
	_Alignas(64) uint32_t table[2][HYC_RANS_SLOTS];
};

/* The bits of an entry beyond the frequencies, wherever levels are narrow. */
static inline uint32_t hyc_tcq_simd_payload(const struct hyc_tcq_simd *simd, uint32_t symbol, uint32_t quantiser)
{
	int32_t k = (int32_t)symbol - HYC_TCQ_SYMBOL_ZERO;

	/* Without a trellis the state is to stay 0. */
	if (!simd->block.object.trellis)
		return (uint32_t)k << 1;
	return (uint32_t)hyc_tcq_level(k, (int32_t)quantiser) << 1 | (symbol & 1);
}

static inline void hyc_tcq_simd_tables(struct hyc_tcq_simd *simd)
{
	const struct hyc_tcq_block *block = &simd->block;
	uint32_t most = (1u << (HYC_TCQ_LEVEL_BITS - 1 - block->object.trellis)) - 1, n = 1u + block->object.trellis;

	simd->wide = false;
	/* Symbols ascend with the slots. */
	for (uint32_t q = 0; q < n; q++)
		if (hyc_rans_symbol(block->table[q][0]) + most < HYC_TCQ_SYMBOL_ZERO ||
		    hyc_rans_symbol(block->table[q][HYC_RANS_SLOTS - 1]) > HYC_TCQ_SYMBOL_ZERO + most)
			simd->wide = true;
	for (uint32_t q = 0; q < n; q++) {
		for (uint32_t i = 0; i < HYC_RANS_SLOTS; i++) {
			uint32_t slot = block->table[q][i], rest = slot & ((1u << HYC_TCQ_ODD_BIT) - 1);
			uint32_t narrow = hyc_tcq_simd_payload(simd, hyc_rans_symbol(slot), q) << HYC_TCQ_ODD_BIT;
			uint32_t wide = (slot & ~((1u << HYC_TCQ_ODD_BIT) - 1)) ^ UINT32_C(0x80000000);

			simd->table[q][i] = rest | (simd->wide ? wide : narrow);
		}
	}
}

/* Read a block's head. 0 or -EBADMSG. */
static inline int hyc_tcq_simd_open(struct hyc_tcq_simd *simd, const struct hyc_coding *coding, const uint8_t *src,
				    size_t src_len, uint8_t *dst, size_t dst_len)
{
	simd->src_end = src + src_len;
	simd->dst = dst;
	simd->dtype = coding->dtype;
	return hyc_tcq_parse(coding, src, src_len, dst_len, &simd->block);
}

#define HYC_TCQ_SIMD_MOST 4u

/* Decode n units of the same numbers of rows and columns. 0 or -EBADMSG. */
typedef int hyc_tcq_simd_run(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *units, unsigned n);

/* All units, by calls of run for up to `together` of them, at most HYC_TCQ_SIMD_MOST. */
static inline int hyc_tcq_simd_units(const struct hyc_tcq_simd *simd, unsigned together, hyc_tcq_simd_run *run)
{
	int result = 0;

	/* First the full stripes, then the last ones, so that neighbours in these orders have the same shape. */
	for (unsigned narrow = 0; narrow < 2; narrow++) {
		struct hyc_tcq_unit unit = { .n_cols = 0 }, units[HYC_TCQ_SIMD_MOST];
		unsigned n = 0;

		while (!result && hyc_tcq_next_unit(&simd->block, &unit)) {
			if ((unit.n_cols < HYC_TCQ_STRIPE) != narrow)
				continue;
			if (n == together || (n && units[0].n_rows != unit.n_rows)) {
				result = run(simd, units, n);
				n = 0;
			}
			units[n++] = unit;
		}
		if (!result && n)
			result = run(simd, units, n);
	}
	return result;
}

/* The end of a unit: whether all went well, and its patches. */
static inline int hyc_tcq_simd_end(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *unit,
				   const struct hyc_tcq_words *words, const uint32_t *x)
{
	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		if (x[l] != HYC_RANS_LOW)
			return -EBADMSG;
	return words->w == words->end ? hyc_tcq_patch(&simd->block, unit, simd->dst, simd->dtype) : -EBADMSG;
}

#endif
