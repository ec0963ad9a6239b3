/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lossless floats with AVX2. All fields of a group of 64 elements are brought together in registers, so that the output is
 * written once. A group is four vectors of 16 values, in the order of the elements; a raw plane's words and the
 * entropy coder's lanes have two neighbours each, so this order costs no shuffle.
 */
#include "config.h"

#include <stdbool.h>

#include "codec/decoders.h"
#include "codec/float.h"
#include "codec/rans_avx2.h"

#define VECTORS (HYC_RANS_GROUP / 16)
#define GROUP_WORD_BYTES (2 * HYC_RANS_GROUP) /* at most taken by a group */

struct lanes {
	__m256i x[HYC_RANS_LANES / 8];
	const uint8_t *words;
};

static inline __m256i load(const void *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

static inline void store(void *p, __m256i v)
{
	_mm256_storeu_si256((__m256i *)p, v);
}

static inline __attribute__((always_inline)) void rans_group(struct lanes *lanes, const uint32_t *table, __m256i out[VECTORS])
{
	__m256i even[VECTORS];
	const uint8_t *w = lanes->words;

#pragma GCC unroll 4
	for (unsigned v = 0; v < VECTORS; v++) {
		even[v] = hyc_rans_slots8(lanes->x[v], table);
		lanes->x[v] = hyc_rans_advance8(lanes->x[v], even[v], &w);
	}
#pragma GCC unroll 4
	for (unsigned v = 0; v < VECTORS; v++) {
		__m256i odd = hyc_rans_slots8(lanes->x[v], table);

		lanes->x[v] = hyc_rans_advance8(lanes->x[v], odd, &w);
		out[v] = _mm256_blend_epi16(_mm256_srli_epi32(even[v], 2 * HYC_RANS_BITS), _mm256_srli_epi32(odd, 2 * HYC_RANS_BITS - 16), 0xaa);
	}
	lanes->words = w;
}

/* A plane of w < 8 bits, whose bits are to stand at bit `at`. */
static inline __attribute__((always_inline)) void plane_group(const uint8_t *src, unsigned w, unsigned at, size_t group, __m256i out[VECTORS])
{
	size_t row_elems = 1024 / w;
	const uint8_t *row = src + group / row_elems * 128;
	__m128i shift = _mm_cvtsi32_si128((int)(group % row_elems / HYC_RANS_GROUP * w));
	__m256i mask = _mm256_set1_epi16((short)((1u << w) - 1));

#pragma GCC unroll 4
	for (unsigned v = 0; v < VECTORS; v++) {
		__m256i bits = _mm256_and_si256(_mm256_srl_epi32(load(row + 32 * v), shift), mask);

		out[v] = _mm256_or_si256(out[v], _mm256_slli_epi16(bits, (int)at));
	}
}

static inline __attribute__((always_inline)) void raw_group(const uint8_t *src, unsigned b, size_t n, size_t group, __m256i out[VECTORS])
{
	if (b == 8) {
#pragma GCC unroll 4
		for (unsigned v = 0; v < VECTORS; v++)
			out[v] = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(src + group + 16 * v)));
		return;
	}
#pragma GCC unroll 4
	for (unsigned v = 0; v < VECTORS; v++)
		out[v] = _mm256_setzero_si256();
	if (b & 4)
		plane_group(src, 4, 0, group, out);
	if (b & 2)
		plane_group(src + (b & 4 ? hyc_float_plane_bytes(4, n) : 0), 2, b & 4, group, out);
	if (b == 1)
		plane_group(src, 1, 0, group, out);
}

struct decoder {
	const struct hyc_float_block *block;
	struct hyc_float_unit unit;
	struct lanes lanes[HYC_FLOAT_MAX_FIELDS];
};

/* The values of one field. */
static inline __attribute__((always_inline)) void field_group(struct decoder *d, unsigned f, unsigned bits, size_t group, __m256i out[VECTORS])
{
	if (d->block->mode[f] == HYC_FLOAT_RANS) {
		rans_group(&d->lanes[f], d->block->table[f], out);
	} else if (d->block->mode[f] == HYC_FLOAT_RAW) {
		raw_group(d->unit.raw[f], bits, d->unit.n, group, out);
	} else {
#pragma GCC unroll 4
		for (unsigned v = 0; v < VECTORS; v++)
			out[v] = _mm256_set1_epi16((short)d->block->constant[f]);
	}
}

/* Fields 0 and 1 of BF16, which are those of the upper half of F32. */
static inline __attribute__((always_inline)) void bf16_group(struct decoder *d, size_t group, __m256i out[VECTORS])
{
	__m256i low[VECTORS];

	field_group(d, 0, 10, group, out);
	field_group(d, 1, 6, group, low);
#pragma GCC unroll 4
	for (unsigned v = 0; v < VECTORS; v++) {
		__m256i sign = _mm256_slli_epi16(_mm256_srli_epi16(low[v], 5), 15);

		low[v] = _mm256_and_si256(low[v], _mm256_set1_epi16(31));
		out[v] = _mm256_or_si256(_mm256_or_si256(_mm256_slli_epi16(out[v], 5), low[v]), sign);
	}
}

static inline __attribute__((always_inline)) void f16_group(struct decoder *d, size_t group, __m256i out[VECTORS])
{
	__m256i sign[VECTORS], low[VECTORS];

	field_group(d, 0, 7, group, out);
	field_group(d, 1, 1, group, sign);
	field_group(d, 2, 8, group, low);
#pragma GCC unroll 4
	for (unsigned v = 0; v < VECTORS; v++)
		out[v] = _mm256_or_si256(_mm256_or_si256(_mm256_slli_epi16(out[v], 8), _mm256_slli_epi16(sign[v], 15)), low[v]);
}

static inline __attribute__((always_inline)) void f32_group(struct decoder *d, size_t group, uint8_t *dst)
{
	__m256i upper[VECTORS], middle[VECTORS], low[VECTORS];

	bf16_group(d, group, upper);
	field_group(d, 2, 8, group, middle);
	field_group(d, 3, 8, group, low);
#pragma GCC unroll 4
	for (unsigned v = 0; v < VECTORS; v++) {
		__m256i half = _mm256_or_si256(_mm256_slli_epi16(middle[v], 8), low[v]);
		__m256i a = _mm256_unpacklo_epi16(half, upper[v]), b = _mm256_unpackhi_epi16(half, upper[v]);

		store(dst + 64 * v, _mm256_permute2x128_si256(a, b, 0x20));
		store(dst + 64 * v + 32, _mm256_permute2x128_si256(a, b, 0x31));
	}
}

static inline __attribute__((always_inline)) void byte_group(struct decoder *d, size_t group, uint8_t *dst)
{
	__m256i value[VECTORS];

	field_group(d, 0, 8, group, value);
#pragma GCC unroll 2
	for (unsigned v = 0; v < VECTORS; v += 2)
		store(dst + 16 * v, _mm256_permute4x64_epi64(_mm256_packus_epi16(value[v], value[v + 1]), 0xd8));
}

/* Whether the words that one more group may take can be read. */
static inline bool words_left(const struct decoder *d)
{
	bool left = true;

	for (unsigned f = 0; f < d->block->layout->n_fields; f++)
		if (d->block->mode[f] == HYC_FLOAT_RANS)
			left = left && d->block->end - d->lanes[f].words >= (ptrdiff_t)GROUP_WORD_BYTES;
	return left;
}

/* Whole groups, as long as nothing beyond the block can be read. Returns the number of elements decoded. */
static inline __attribute__((always_inline)) size_t unit_groups(struct decoder *d, struct hyc_float_layout layout, uint8_t *dst)
{
	size_t group = 0;

	for (; group + HYC_RANS_GROUP <= d->unit.n && words_left(d); group += HYC_RANS_GROUP) {
		uint8_t *at = dst + group * layout.elem_bytes;
		__m256i value[VECTORS];

		if (layout.elem_bytes == 1) {
			byte_group(d, group, at);
		} else if (layout.elem_bytes == 4) {
			f32_group(d, group, at);
		} else {
			if (layout.n_fields == 3)
				f16_group(d, group, value);
			else
				bf16_group(d, group, value);
#pragma GCC unroll 4
			for (unsigned v = 0; v < VECTORS; v++)
				store(at + 32 * v, value[v]);
		}
	}
	return group;
}

static int decode_unit(struct decoder *d, uint8_t *dst)
{
	const struct hyc_float_layout *layout = d->block->layout;
	struct hyc_float_lanes rest[HYC_FLOAT_MAX_FIELDS];
	size_t done;

	for (unsigned f = 0; f < layout->n_fields; f++) {
		if (d->block->mode[f] != HYC_FLOAT_RANS)
			continue;
		for (unsigned v = 0; v < HYC_RANS_LANES / 8; v++)
			d->lanes[f].x[v] = load(d->unit.stream[f].states + 32 * v);
		d->lanes[f].words = d->unit.stream[f].words;
	}
	if (layout->elem_bytes == 1)
		done = unit_groups(d, hyc_float_byte, dst);
	else if (layout->elem_bytes == 4)
		done = unit_groups(d, hyc_float_f32, dst);
	else if (layout->n_fields == 3)
		done = unit_groups(d, hyc_float_f16, dst);
	else
		done = unit_groups(d, hyc_float_bf16, dst);
	for (unsigned f = 0; f < layout->n_fields; f++) {
		if (d->block->mode[f] != HYC_FLOAT_RANS)
			continue;
		for (unsigned v = 0; v < HYC_RANS_LANES / 8; v++)
			store(rest[f].x + 8 * v, d->lanes[f].x[v]);
		rest[f].words = d->lanes[f].words;
	}
	return hyc_float_finish(d->block, &d->unit, rest, dst, done);
}

int hyc_float_block_avx2(const struct hyc_float_block *block, uint8_t *dst)
{
	struct decoder d = { .block = block };
	const uint8_t *pos = block->units;
	int result = 0;

	for (size_t i = 0; !result && i << block->unit_log2 < block->n; i++) {
		hyc_float_unit(block, i, &pos, &d.unit);
		result = decode_unit(&d, dst);
		dst += d.unit.n * block->layout->elem_bytes;
	}
	return result;
}

int hyc_float_decode_avx2(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	struct hyc_float_block block;
	int result = hyc_float_parse(coding->dtype, src, src_len, dst_len, &block);

	return result ? result : hyc_float_block_avx2(&block, dst);
}
