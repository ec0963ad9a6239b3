/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tcq codec's layout (doc/format.md, section 7), shared by its encoder and every decoder:
 * an object's parameters, and a parsed block whose sections are proven to lie inside it.
 */
#ifndef HYC_CODEC_TCQ_H
#define HYC_CODEC_TCQ_H

#include <float.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/codec.h"
#include "codec/half.h"
#include "codec/rans.h"
#include "format/dtype.h"

_Static_assert(FLT_EVAL_METHOD == 0, "the format asks for products that are rounded to fp32");

#define HYC_TCQ_STRIPE 256u                /* columns */
#define HYC_TCQ_PARAMS_BYTES 8u            /* without the scales */
#define HYC_TCQ_SYMBOL_ZERO 512            /* the symbol of k = 0 */
#define HYC_TCQ_LONG_FREQ 128u             /* in a table: the first byte of two from here on */
#define HYC_TCQ_MAX_LEVEL INT16_MAX        /* of |m| that patches are made for */
#define HYC_TCQ_PATCH_BYTES 4u
#define HYC_TCQ_MAX_BLOCK ((size_t)1 << 24)
/* With scales from 2^-16 to 2^16 and levels of 16 bits, no product of such a step leaves the normal numbers. */
#define HYC_TCQ_MIN_STEP 0x1p-94f
#define HYC_TCQ_MAX_STEP 0x1p75f

enum hyc_tcq_flag { HYC_TCQ_ROW = 1, HYC_TCQ_COL = 2, HYC_TCQ_TRELLIS = 4, HYC_TCQ_FLAGS = 7 };

/* An object's parameters. The scales are borrowed from them. */
struct hyc_tcq_object {
	uint64_t rows, cols;
	uint32_t elem_bytes, unit_rows;
	float step;
	bool trellis;
	const uint8_t *row_scale, *col_scale; /* NULL: all are 1 */
};

struct hyc_tcq_block {
	struct hyc_tcq_object object;
	uint64_t first_row;
	uint32_t n_rows;
	const uint8_t *directory;             /* 4 bytes for each unit */
	const uint8_t *units;
	uint32_t table[2][HYC_RANS_SLOTS];    /* by quantiser; the second one only with a trellis */
};

/* A band of rows in a stripe of columns; rows count from the block's first. */
struct hyc_tcq_unit {
	uint64_t first_col;
	uint32_t first_row, n_rows, n_cols;
	uint32_t n_words, n_patches;
	const uint8_t *directory, *states, *words, *patches; /* as hyc_tcq_next_unit finds them */
};

/* The scale a byte stands for: 2^((byte - 128) / 8), rounded. Positive and normal. */
static inline float hyc_tcq_scale(uint8_t byte)
{
	static const float octave[8] = {
		0x1.000000p+0f, 0x1.172b84p+0f, 0x1.306fe0p+0f, 0x1.4bfdaep+0f,
		0x1.6a09e6p+0f, 0x1.8ace54p+0f, 0x1.ae89fap+0f, 0x1.d5818ep+0f,
	};

	return hyc_bits_float(hyc_float_bits(octave[byte & 7]) + ((uint32_t)(byte >> 3) << 23) - (UINT32_C(16) << 23));
}

/* 0 or -EBADMSG. */
int hyc_tcq_parse_params(const struct hyc_coding *coding, struct hyc_tcq_object *object);

/* Columns of an object's first stripe, which is the widest. */
static inline uint32_t hyc_tcq_stripe_cols(uint64_t cols)
{
	return cols < HYC_TCQ_STRIPE ? (uint32_t)cols : HYC_TCQ_STRIPE;
}

/* The number of rows of the block of len bytes at coding->pos; 0 where it is not a run of whole rows of the object. */
uint32_t hyc_tcq_block_rows(const struct hyc_tcq_object *object, uint64_t pos, size_t len);

/* Parse a block's header and tables and check that its units fill it exactly. 0 or -EBADMSG. */
int hyc_tcq_parse(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, size_t dst_len,
		  struct hyc_tcq_block *block);

/*
 * The place of the next unit in its block; unit->n_cols is 0 for the first one. The order is that of the format:
 * band by band, stripe by stripe. False after the last.
 */
bool hyc_tcq_next_place(const struct hyc_tcq_object *object, uint32_t n_rows, struct hyc_tcq_unit *unit);

/* The same in a block that hyc_tcq_parse accepted, with the unit's sections. */
bool hyc_tcq_next_unit(const struct hyc_tcq_block *block, struct hyc_tcq_unit *unit);

/*
 * Decode one unit into the block at dst, as plain C does; or only its patches, once its elements are there.
 * 0 or -EBADMSG.
 */
int hyc_tcq_decode_unit(const struct hyc_tcq_block *block, const struct hyc_tcq_unit *unit, uint8_t *dst,
			uint32_t dtype);
int hyc_tcq_patch(const struct hyc_tcq_block *block, const struct hyc_tcq_unit *unit, uint8_t *dst, uint32_t dtype);

/* The level of k in a quantiser of the trellis, 0 or 1. */
static inline int32_t hyc_tcq_level(int32_t k, int32_t quantiser)
{
	/* Shifts make the sign of k, without a branch or a comparison that would not vectorise. */
	return 2 * k - (((k >> 31) - (-k >> 31)) & -quantiser);
}

static inline float hyc_tcq_row_scale(const struct hyc_tcq_object *object, uint64_t row)
{
	return object->row_scale ? object->step * hyc_tcq_scale(object->row_scale[row]) : object->step;
}

static inline float hyc_tcq_col_scale(const struct hyc_tcq_object *object, uint64_t col)
{
	return object->col_scale ? hyc_tcq_scale(object->col_scale[col]) : 1;
}

/* The bits of the element for level m: two products, each rounded to fp32, then RN_dest. */
static inline __attribute__((always_inline)) uint32_t hyc_tcq_element(uint32_t dtype, int32_t m, float col_scale,
								       float row_scale)
{
	float value = (float)m * col_scale * row_scale;

	if (dtype == HYC_F32)
		return hyc_float_bits(value);
	return dtype == HYC_BF16 ? hyc_float_to_bf16(value) : hyc_float_to_f16(value);
}

static inline __attribute__((always_inline)) float hyc_tcq_load(const uint8_t *src, uint32_t dtype)
{
	if (dtype == HYC_F32)
		return hyc_bits_float(hyc_load32(src));
	return dtype == HYC_BF16 ? hyc_bf16_to_float(hyc_load16(src)) : hyc_f16_to_float(hyc_load16(src));
}

static inline void hyc_tcq_store(uint8_t *dst, uint32_t dtype, uint32_t element)
{
	if (dtype == HYC_F32)
		hyc_store32(dst, element);
	else
		hyc_store16(dst, (uint16_t)element);
}

#endif
