/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoder of the float codec. A block is read twice: once to count every field's values,
 * which settles each field's mode and table, and once to code the units. Rare symbols are not
 * worth a slot of the 2048: they are coded as the most frequent symbol and listed as exceptions.
 */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "codec/encode.h"
#include "codec/float.h"
#include "codec/rans_encode.h"

#define UNIT_LOG2 15u
/* Coding a plane slows decoding, so it must save this share of its raw size. */
#define PLANE_GAIN 0.03
/* What an exception costs more than a symbol of frequency 1: 32 bits and the stand-in's, less 11. */
#define EXCEPTION_BITS 25u

struct field_plan {
	uint8_t mode;
	uint16_t constant;
	uint32_t count[HYC_RANS_ALPHABET];
	struct hyc_rans_code code;
};

struct encoder {
	const struct hyc_float_layout *layout;
	const uint8_t *src;
	size_t n;
	uint8_t *dst;
	size_t room, pos;
	bool full;
	struct field_plan plan[HYC_FLOAT_MAX_FIELDS];
	uint16_t value[1u << UNIT_LOG2];    /* one field of one unit */
	uint16_t words[1u << UNIT_LOG2];    /* its words, filled from the end: at most 11 bits a symbol, so never full */
	uint16_t exceptions[2u << UNIT_LOG2];
};

static inline uint32_t load_elem(const uint8_t *src, size_t e, unsigned bytes)
{
	return bytes == 1 ? src[e] : bytes == 2 ? hyc_load16(src + 2 * e) : hyc_load32(src + 4 * e);
}

/* Copy one field of n elements from first on to enc->value. */
static inline __attribute__((always_inline)) void take_field(struct encoder *enc, unsigned bytes, struct hyc_float_field field, size_t first, size_t n)
{
	const uint8_t *src = enc->src + first * bytes;

	for (size_t e = 0; e < n; e++)
		enc->value[e] = (uint16_t)hyc_float_extract(field, load_elem(src, e, bytes));
}

/* Room for len bytes of output, or NULL once it is full. */
static uint8_t *reserve(struct encoder *enc, size_t len)
{
	uint8_t *p = enc->dst + enc->pos;

	if (enc->full || len > enc->room - enc->pos) {
		enc->full = true;
		return NULL;
	}
	enc->pos += len;
	return p;
}

static void put16(struct encoder *enc, unsigned v)
{
	uint8_t *p = reserve(enc, 2);

	if (p)
		hyc_store16(p, (uint16_t)v);
}

static void pad(struct encoder *enc, size_t align)
{
	size_t len = hyc_align_up(enc->pos, align) - enc->pos;
	uint8_t *p = reserve(enc, len);

	if (p)
		memset(p, 0, len);
}

/* The layout by value: its bytes might alias the counters. */
static inline __attribute__((always_inline)) void count_elems(struct encoder *enc, struct hyc_float_layout layout)
{
	for (size_t e = 0; e < enc->n; e++) {
		uint32_t elem = load_elem(enc->src, e, layout.elem_bytes);

#pragma GCC unroll 4
		for (unsigned f = 0; f < layout.n_fields; f++)
			enc->plan[f].count[hyc_float_extract(layout.field[f], elem)]++;
	}
}

/* Bytes a field would take as a rans stream, without the table. */
static double rans_bytes(const struct field_plan *p, unsigned alphabet, size_t n)
{
	double bits = 0;

	for (unsigned s = 0; s < alphabet; s++) {
		unsigned coded = p->code.symbol[s].coded;

		if (!p->count[s])
			continue;
		bits += p->count[s] * (HYC_RANS_BITS - log2(p->code.symbol[coded].freq));
		if (coded != s)
			bits += 32.0 * p->count[s];
	}
	return bits / 8 + (double)hyc_div_up(n, 1u << UNIT_LOG2) * (HYC_RANS_STATES_BYTES + 4);
}

static void plan_field(struct encoder *enc, unsigned f)
{
	struct field_plan *p = &enc->plan[f];
	unsigned b = enc->layout->field[f].bits, alphabet = 1u << b, used = 0;

	for (unsigned s = 0; s < alphabet; s++) {
		if (p->count[s]) {
			used++;
			p->constant = (uint16_t)s;
		}
	}
	if (used == 1) {
		p->mode = HYC_FLOAT_CONSTANT;
		return;
	}
	p->mode = HYC_FLOAT_RAW;
	/* One bit is hardly ever skewed, and a slot less than 1/2048 is not to be had. */
	if (f > 0 && b == 1)
		return;
	hyc_rans_make_code(p->count, EXCEPTION_BITS, 1, &p->code);
	if (f == 0 || rans_bytes(p, alphabet, enc->n) + 4.0 * used <
	    (1 - PLANE_GAIN) * (double)hyc_float_raw_bytes(b, enc->n))
		p->mode = HYC_FLOAT_RANS;
}

static void put_table(struct encoder *enc, const struct field_plan *p)
{
	uint8_t *dst = reserve(enc, hyc_rans_table_bytes(&p->code));

	if (dst)
		hyc_rans_write_table(&p->code, dst);
}

static void put_plane(struct encoder *enc, size_t n, unsigned w, unsigned at)
{
	size_t row_elems = 1024 / w;

	if (w == 8) {
		uint8_t *p = reserve(enc, hyc_align_up(n, 16));

		for (size_t e = 0; p && e < hyc_align_up(n, 16); e++)
			p[e] = (uint8_t)(e < n ? enc->value[e] >> at : 0);
		return;
	}
	for (size_t row = 0; row < n; row += row_elems) {
		uint32_t word[HYC_RANS_LANES] = { 0 };
		uint8_t *p = reserve(enc, sizeof word);

		for (size_t g = 0; g < row_elems && row + g < n; g += HYC_RANS_GROUP) {
			const uint16_t *value = enc->value + row + g;
			size_t len = n - row - g < HYC_RANS_GROUP ? n - row - g : HYC_RANS_GROUP;

			for (size_t e = 0; e < len; e++)
				word[e / 2] |= (uint32_t)(value[e] >> at & ((1u << w) - 1)) << (g / 64 * w + 16 * (e % 2));
		}
		for (unsigned l = 0; p && l < HYC_RANS_LANES; l++)
			hyc_store32(p + 4 * l, word[l]);
	}
}

static void put_raw(struct encoder *enc, size_t n, unsigned b)
{
	for (unsigned w = 8; w; w /= 2)
		if (b & w)
			put_plane(enc, n, w, b & 7 & ~(2 * w - 1));
}

/* Code enc->value[0 .. n) as one stream; the directory entry goes to dir. */
static void put_stream(struct encoder *enc, const struct field_plan *p, size_t n, size_t dir)
{
	uint32_t x[HYC_RANS_LANES];
	uint16_t *end = enc->words + (1u << UNIT_LOG2), *w = end;
	size_t n_exceptions = 0;
	uint8_t *out;

	for (size_t e = 0; e < n; e++) {
		uint16_t v = enc->value[e];

		if (p->code.symbol[v].coded == v)
			continue;
		enc->exceptions[2 * n_exceptions] = (uint16_t)e;
		enc->exceptions[2 * n_exceptions++ + 1] = v;
		enc->value[e] = p->code.symbol[v].coded;
	}
	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		x[l] = HYC_RANS_LOW;
	for (size_t group = hyc_align_up(n, HYC_RANS_GROUP); group; group -= HYC_RANS_GROUP)
		for (unsigned odd = 2; odd-- > 0;)
			for (unsigned l = HYC_RANS_LANES; l-- > 0;)
				if (group - HYC_RANS_GROUP + 2 * l + odd < n)
					w = hyc_rans_put(&x[l], &p->code.symbol[enc->value[group - HYC_RANS_GROUP + 2 * l + odd]], w);
	out = reserve(enc, HYC_RANS_STATES_BYTES);
	for (unsigned l = 0; out && l < HYC_RANS_LANES; l++)
		hyc_store32(out + 4 * l, x[l]);
	out = reserve(enc, 2 * (size_t)(end - w));
	for (uint16_t *v = w; out && v < end; v++, out += 2)
		hyc_store16(out, *v);
	pad(enc, 16);
	out = reserve(enc, 4 * n_exceptions);
	for (size_t i = 0; out && i < 2 * n_exceptions; i++, out += 2)
		hyc_store16(out, enc->exceptions[i]);
	pad(enc, 16);
	if (!enc->full) {
		hyc_store16(enc->dst + dir, (uint16_t)(end - w));
		hyc_store16(enc->dst + dir + 2, (uint16_t)n_exceptions);
	}
}

static void put_header(struct encoder *enc)
{
	uint8_t *p = reserve(enc, 1 + (size_t)enc->layout->n_fields);

	if (p) {
		p[0] = UNIT_LOG2;
		for (unsigned f = 0; f < enc->layout->n_fields; f++)
			p[1 + f] = enc->plan[f].mode;
	}
	pad(enc, 2);
	for (unsigned f = 0; f < enc->layout->n_fields; f++) {
		if (enc->plan[f].mode == HYC_FLOAT_CONSTANT)
			put16(enc, enc->plan[f].constant);
		else if (enc->plan[f].mode == HYC_FLOAT_RANS)
			put_table(enc, &enc->plan[f]);
	}
}

static inline __attribute__((always_inline)) void put_units(struct encoder *enc, struct hyc_float_layout layout)
{
	size_t n_units = hyc_div_up(enc->n, 1u << UNIT_LOG2), dir = enc->pos;
	unsigned n_streams = 0;

	for (unsigned f = 0; f < layout.n_fields; f++)
		n_streams += enc->plan[f].mode == HYC_FLOAT_RANS;
	reserve(enc, n_units * n_streams * 4);
	pad(enc, 16);
	for (size_t first = 0; first < enc->n && !enc->full; first += 1u << UNIT_LOG2) {
		size_t n = enc->n - first < 1u << UNIT_LOG2 ? enc->n - first : 1u << UNIT_LOG2;

#pragma GCC unroll 4
		for (unsigned f = 0; f < layout.n_fields; f++) {
			struct hyc_float_field field = layout.field[f];

			if (enc->plan[f].mode == HYC_FLOAT_CONSTANT)
				continue;
			take_field(enc, layout.elem_bytes, field, first, n);
			if (enc->plan[f].mode == HYC_FLOAT_RAW) {
				put_raw(enc, n, field.bits);
			} else {
				put_stream(enc, &enc->plan[f], n, dir);
				dir += 4;
			}
		}
	}
}

/* layout is a constant where this is inlined. */
static inline __attribute__((always_inline)) void encode_block(struct encoder *enc, struct hyc_float_layout layout)
{
	count_elems(enc, layout);
	for (unsigned f = 0; f < layout.n_fields; f++)
		plan_field(enc, f);
	put_header(enc);
	put_units(enc, layout);
}

ssize_t hyc_float_encode(uint32_t dtype, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_room)
{
	const struct hyc_float_layout *layout = hyc_float_layout(dtype);
	struct encoder *enc;
	ssize_t result;

	if (!layout || !src_len || src_len % layout->elem_bytes)
		return 0;
	enc = calloc(1, sizeof *enc);
	if (!enc)
		return -ENOMEM;
	enc->layout = layout;
	enc->src = src;
	enc->n = src_len / layout->elem_bytes;
	enc->dst = dst;
	enc->room = dst_room;
	if (layout->elem_bytes == 1)
		encode_block(enc, hyc_float_byte);
	else if (layout->elem_bytes == 4)
		encode_block(enc, hyc_float_f32);
	else if (layout->n_fields == 3)
		encode_block(enc, hyc_float_f16);
	else
		encode_block(enc, hyc_float_bf16);
	result = enc->full || enc->pos >= dst_room ? 0 : (ssize_t)enc->pos;
	free(enc);
	return result;
}
