/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coding side of rans.h: frequencies from counts, and one step of a lane. Rare symbols are not worth
 * a slot of the 2048: another symbol stands in for them, and the codec lists them as exceptions.
 */
#ifndef HYC_CODEC_RANS_ENCODE_H
#define HYC_CODEC_RANS_ENCODE_H

#include <stdbool.h>

#include "codec/rans.h"

struct hyc_rans_code_symbol {
	uint16_t freq, start, coded; /* coded: the symbol itself, or the one that stands in for it */
	uint16_t shift;              /* x / freq = x * reciprocal >> 32 + shift, for every x below 2^32 */
	uint64_t reciprocal;
};

struct hyc_rans_code {
	struct hyc_rans_code_symbol symbol[HYC_RANS_ALPHABET];
};

/*
 * Make a code for symbols that occur count[] times, below 2^32 in sum. exception_bits: what an exception costs more
 * than a symbol of frequency 1. classes is 1 or 2: a stand-in leaves the same remainder modulo classes.
 */
void hyc_rans_make_code(const uint32_t *count, unsigned exception_bits, unsigned classes, struct hyc_rans_code *code);

/* Bytes of the serialised table. */
size_t hyc_rans_table_bytes(const struct hyc_rans_code *code);

/* Serialise the table to dst, which has room for them. */
void hyc_rans_write_table(const struct hyc_rans_code *code, uint8_t *dst);

/* Bits of one symbol that has a frequency. */
float hyc_rans_bits(const struct hyc_rans_code_symbol *symbol);

/* One step of one lane, the inverse of hyc_rans_next. Words grow downwards; the store is always done: no branch. */
static inline uint16_t *hyc_rans_put(uint32_t *state, const struct hyc_rans_code_symbol *s, uint16_t *w)
{
	uint32_t x = *state, q;
	/* A state of freq << 21 and more would leave 32 bits. */
	bool high = x >> (32 - HYC_RANS_BITS) >= s->freq;

	w[-1] = (uint16_t)x;
	w -= high;
	x >>= 16 * high;
	/* The reciprocal has up to 33 bits: x times its low 32, then x times the 33rd. */
	q = (uint32_t)((((uint64_t)x * (uint32_t)s->reciprocal >> 32) + (s->reciprocal >> 32) * x) >> s->shift);
	*state = (q << HYC_RANS_BITS) + (x - q * s->freq) + s->start;
	return w;
}

#endif
