/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The float codec's layout (doc/format.md, section 6), shared by its encoder and every decoder:
 * how an element is cut into fields, and a parsed block whose sections are proven to lie inside it.
 */
#ifndef HYC_CODEC_FLOAT_H
#define HYC_CODEC_FLOAT_H

#include "codec/codec.h"
#include "codec/rans.h"

#define HYC_FLOAT_MAX_FIELDS 4
#define HYC_FLOAT_MIN_UNIT_LOG2 10u
#define HYC_FLOAT_MAX_UNIT_LOG2 16u

enum hyc_float_mode { HYC_FLOAT_CONSTANT = 0, HYC_FLOAT_RAW = 1, HYC_FLOAT_RANS = 2 };

/* A field of an element: its low_bits lowest bits stand at bit low_shift, the others (a sign) at bit high_shift. */
struct hyc_float_field {
	uint8_t bits, low_bits, low_shift, high_shift;
};

struct hyc_float_layout {
	uint8_t elem_bytes, n_fields;
	struct hyc_float_field field[HYC_FLOAT_MAX_FIELDS];
};

/* Constants, so that code inlined for one of them has constant shifts. */
static const struct hyc_float_layout hyc_float_bf16 = { 2, 2, { { 10, 10, 5, 0 }, { 6, 5, 0, 15 } } };
static const struct hyc_float_layout hyc_float_f16 = { 2, 3, { { 7, 7, 8, 0 }, { 1, 1, 15, 0 }, { 8, 8, 0, 0 } } };
static const struct hyc_float_layout hyc_float_f32 = {
	4, 4, { { 10, 10, 21, 0 }, { 6, 5, 16, 31 }, { 8, 8, 8, 0 }, { 8, 8, 0, 0 } }
};
static const struct hyc_float_layout hyc_float_byte = { 1, 1, { { 8, 8, 0, 0 } } };

/* One of the above, to be told apart by elem_bytes and n_fields; NULL for a dtype the codec does not take. */
const struct hyc_float_layout *hyc_float_layout(uint32_t dtype);

/* By value: a pointer would be read again after each store to the output, which may alias it. */
static inline uint32_t hyc_float_place(struct hyc_float_field f, uint32_t value)
{
	return (value & ((1u << f.low_bits) - 1)) << f.low_shift | value >> f.low_bits << f.high_shift;
}

static inline uint32_t hyc_float_extract(struct hyc_float_field f, uint32_t elem)
{
	uint32_t low = elem >> f.low_shift & ((1u << f.low_bits) - 1);
	uint32_t high = elem >> f.high_shift & ((1u << (f.bits - f.low_bits)) - 1);

	return low | high << f.low_bits;
}

/* Bytes of a raw plane of w bits over n elements. */
static inline size_t hyc_float_plane_bytes(unsigned w, size_t n)
{
	return w == 8 ? (n + 15) / 16 * 16 : (n * w + 1023) / 1024 * 128;
}

/* Bytes of all raw planes of a field of b bits. */
size_t hyc_float_raw_bytes(unsigned b, size_t n);

/* One rans stream of one unit. */
struct hyc_float_stream {
	const uint8_t *states, *words, *exceptions;
	uint32_t n_words, n_exceptions;
};

struct hyc_float_block {
	const struct hyc_float_layout *layout;
	size_t n;                                      /* elements */
	unsigned unit_log2;
	uint8_t mode[HYC_FLOAT_MAX_FIELDS];
	uint16_t constant[HYC_FLOAT_MAX_FIELDS];
	unsigned n_streams;                            /* rans fields */
	const uint8_t *directory;                      /* 4 * n_streams bytes for each unit */
	const uint8_t *units, *end;
	uint32_t table[HYC_FLOAT_MAX_FIELDS][HYC_RANS_SLOTS];
};

/* Parse a block's header and tables and check that its units fill it exactly. 0 or -EBADMSG. */
int hyc_float_parse(uint32_t dtype, const uint8_t *src, size_t src_len, size_t dst_len, struct hyc_float_block *block);

/* A unit of n elements. raw is set for raw fields, stream for rans fields. */
struct hyc_float_unit {
	size_t n;
	const uint8_t *raw[HYC_FLOAT_MAX_FIELDS];
	struct hyc_float_stream stream[HYC_FLOAT_MAX_FIELDS];
};

/* Lay out unit i, which starts at *pos; *pos moves to the next one. Only for a block hyc_float_parse accepted. */
void hyc_float_unit(const struct hyc_float_block *block, size_t i, const uint8_t **pos, struct hyc_float_unit *unit);

/* How far a stream is decoded. */
struct hyc_float_lanes {
	uint32_t x[HYC_RANS_LANES];
	const uint8_t *words; /* the next one; may be beyond the stream's end */
};

void hyc_float_start(const struct hyc_float_stream *stream, struct hyc_float_lanes *lanes);

/*
 * What kernels leave to plain C: the elements from done (a multiple of HYC_RANS_GROUP) on, the exceptions of the whole unit, and whether its
 * streams end as they must. dst is the unit's output. 0 or -EBADMSG.
 */
int hyc_float_finish(const struct hyc_float_block *block, const struct hyc_float_unit *unit,
		     const struct hyc_float_lanes lanes[HYC_FLOAT_MAX_FIELDS], uint8_t *dst, size_t done);

/* The AVX2 kernel for a parsed block. */
int hyc_float_block_avx2(const struct hyc_float_block *block, uint8_t *dst);

#endif
