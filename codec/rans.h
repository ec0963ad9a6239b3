/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entropy coder all codecs share (doc/format.md, section 5): rANS with 32-bit states,
 * 16-bit words, 11-bit frequencies and 32 lanes over one stream of words.
 */
#ifndef HYC_CODEC_RANS_H
#define HYC_CODEC_RANS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define HYC_RANS_LANES 32u
#define HYC_RANS_GROUP 64u            /* symbols of two steps */
#define HYC_RANS_BITS 11u
#define HYC_RANS_SLOTS (1u << HYC_RANS_BITS)
#define HYC_RANS_LOW (UINT32_C(1) << 16)
#define HYC_RANS_STATES_BYTES (HYC_RANS_LANES * 4u)
#define HYC_RANS_MAX_SYMBOLS 65536u   /* of one stream */
#define HYC_RANS_ALPHABET 1024u

/*
 * One slot of the decoding table: frequency | (slot - start) << 11 | symbol << 22, so that
 * x' = frequency * (x >> 11) + (slot - start) takes one load.
 */
static inline uint32_t hyc_rans_slot(uint32_t freq, uint32_t bias, uint32_t symbol)
{
	return freq | bias << HYC_RANS_BITS | symbol << (2 * HYC_RANS_BITS);
}

static inline uint32_t hyc_rans_symbol(uint32_t slot)
{
	return slot >> (2 * HYC_RANS_BITS);
}

/* The state before renormalisation. */
static inline uint32_t hyc_rans_next(uint32_t x, uint32_t slot)
{
	return (slot & (HYC_RANS_SLOTS - 1)) * (x >> HYC_RANS_BITS) +
	       (slot >> HYC_RANS_BITS & (HYC_RANS_SLOTS - 1));
}

/*
 * One decoding step of one lane: its symbol. The word is taken without a branch, which no processor could predict: two
 * bytes at *w must be readable.
 */
static inline __attribute__((always_inline)) uint32_t hyc_rans_step(uint32_t *state, const uint32_t *table, const uint8_t **w)
{
	uint32_t slot = table[*state & (HYC_RANS_SLOTS - 1)];
	uint32_t x = hyc_rans_next(*state, slot);
	uint32_t refilled = x << 16 | hyc_load16(*w);
	uint32_t low = x < HYC_RANS_LOW;

	/* Not with ?: — compilers make a branch of it. */
	*state = x ^ ((x ^ refilled) & (0 - low));
	*w += 2 * low;
	return hyc_rans_symbol(slot);
}

/*
 * Read a serialised frequency table of a field of b bits from src into the slots of table[HYC_RANS_SLOTS].
 * Returns the bytes read, or 0 where it is malformed.
 */
size_t hyc_rans_read_table(const uint8_t *src, size_t src_len, unsigned b, uint32_t *table);

#endif
