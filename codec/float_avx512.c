/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lossless floats with AVX-512, for what weights look like: field 0 is coded, with at most 128 symbols, and the others are raw
 * or constant. The AVX2 kernel decodes all else. Several units are decoded at a time, because a step of one waits for
 * its results much longer than it computes. See float_avx2.c for the order of values in vectors.
 */
#include "config.h"

#include <stdbool.h>

#include "codec/decoders.h"
#include "codec/float.h"
#include "codec/rans_avx512.h"

#define VECTORS (HYC_RANS_GROUP / 32)
#define GROUP_WORD_BYTES (2 * HYC_RANS_STEP32_BYTES)
#define MAX_UNITS 4

struct decoder {
	const struct hyc_float_block *block;
	struct hyc_rans_search search;
	struct hyc_float_unit unit[MAX_UNITS];
	struct hyc_rans_lanes32 lanes[MAX_UNITS];
	const uint8_t *pairs[MAX_UNITS]; /* the second plane of field 1, where it has one */
	uint8_t *dst[MAX_UNITS];
};

static inline __m512i load(const void *p)
{
	return _mm512_loadu_si512(p);
}

/* A vector of 32 bytes of a plane of 8 bits. */
static inline __m512i bytes(const uint8_t *plane, size_t e)
{
	return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(plane + e)));
}

/* Where the bits of a group are in raw planes: offsets of rows and positions in words. The same for all units. */
struct place {
	size_t group; /* element */
	size_t nibble_row, pair_row, bit_row;
	__m128i nibble_shift, pair_shift, bit_shift;
};

static inline __attribute__((always_inline)) struct place place_of(size_t group)
{
	unsigned g = (unsigned)(group / HYC_RANS_GROUP);

	return (struct place){
		.group = group, .nibble_row = g / 4 * 128, .pair_row = g / 8 * 128, .bit_row = g / 16 * 128,
		.nibble_shift = _mm_cvtsi32_si128((int)(g % 4 * 4)), .pair_shift = _mm_cvtsi32_si128((int)(g % 8 * 2)),
		.bit_shift = _mm_cvtsi32_si128((int)(15 - g % 16)),
	};
}

/* value | (bits & mask) */
static inline __m512i or_masked(__m512i value, __m512i bits, __m512i mask)
{
	return _mm512_ternarylogic_epi32(value, bits, mask, 0xf8);
}

/* Field 1 of BF16, which is also in the upper half of F32: put five bits at the bottom, one on top. */
static inline __attribute__((always_inline)) __m512i
add_mantissa(const struct decoder *d, unsigned k, const struct place *at, unsigned v, __m512i value)
{
	const struct hyc_float_field field = hyc_float_bf16.field[1];
	__m512i nibbles, pairs;

	if (d->block->mode[1] == HYC_FLOAT_CONSTANT)
		return _mm512_or_si512(value, _mm512_set1_epi16((short)hyc_float_place(field, d->block->constant[1])));
	nibbles = _mm512_srl_epi16(load(d->unit[k].raw[1] + at->nibble_row + 64 * v), at->nibble_shift);
	pairs = _mm512_srl_epi16(load(d->pairs[k] + at->pair_row + 64 * v), at->pair_shift);
	value = or_masked(value, nibbles, _mm512_set1_epi16(15));
	value = or_masked(value, _mm512_slli_epi16(pairs, 4), _mm512_set1_epi16(16));
	return or_masked(value, _mm512_slli_epi16(pairs, 14), _mm512_set1_epi16((short)0x8000));
}

static inline __attribute__((always_inline)) __m512i
byte_field(const struct hyc_float_block *block, const struct hyc_float_unit *unit, unsigned f, size_t e)
{
	return block->mode[f] == HYC_FLOAT_RAW ? bytes(unit->raw[f], e) : _mm512_set1_epi16((short)block->constant[f]);
}

static inline __attribute__((always_inline)) __m512i
f16_vector(const struct decoder *d, unsigned k, const struct place *at, unsigned v, __m512i value)
{
	__m512i sign;

	if (d->block->mode[1] == HYC_FLOAT_RAW)
		sign = _mm512_sll_epi16(load(d->unit[k].raw[1] + at->bit_row + 64 * v), at->bit_shift);
	else
		sign = _mm512_set1_epi16((short)(d->block->constant[1] << 15));
	value = or_masked(value, sign, _mm512_set1_epi16((short)0x8000));
	return _mm512_or_si512(value, byte_field(d->block, &d->unit[k], 2, at->group + 32 * v));
}

/* Bring the other fields to the symbols of field 0 and write the elements. */
static inline __attribute__((always_inline)) void
put_group(const struct decoder *d, struct hyc_float_layout layout, unsigned k, const struct place *at, __m512i even, __m512i odd)
{
	const struct hyc_float_unit *unit = &d->unit[k];
	uint8_t *dst = d->dst[k] + at->group * layout.elem_bytes;

#pragma GCC unroll 2
	for (unsigned v = 0; v < VECTORS; v++, dst += (size_t)32 * layout.elem_bytes) {
		__m512i value = hyc_rans_turns(even, odd, v), low;

		if (layout.elem_bytes == 1) {
			_mm256_storeu_si256((__m256i *)dst, _mm512_cvtepi16_epi8(value));
		} else if (layout.n_fields == 3) {
			_mm512_storeu_si512(dst, f16_vector(d, k, at, v, value));
		} else {
			value = add_mantissa(d, k, at, v, value);
			if (layout.elem_bytes == 2) {
				_mm512_storeu_si512(dst, value);
				continue;
			}
			low = _mm512_or_si512(_mm512_slli_epi16(byte_field(d->block, unit, 2, at->group + 32 * v), 8),
					      byte_field(d->block, unit, 3, at->group + 32 * v));
			_mm512_storeu_si512(dst, hyc_rans_turns(low, value, false));
			_mm512_storeu_si512(dst + 64, hyc_rans_turns(low, value, true));
		}
	}
}

/* Whole groups of n units at a time, from element `from` on to the end of the shortest one or of what may be read. Returns where it stopped. */
static inline __attribute__((always_inline)) size_t
groups(struct decoder *d, struct hyc_float_layout layout, bool deep, unsigned first, unsigned n, size_t from)
{
	struct hyc_rans_lanes32 lanes[MAX_UNITS];
	__m512i even[MAX_UNITS], odd[MAX_UNITS];
	size_t group = from, safe;

#pragma GCC unroll 4
	for (unsigned k = 0; k < n; k++)
		lanes[k] = d->lanes[first + k];
	do {
		safe = SIZE_MAX;
		for (unsigned k = 0; k < n; k++) {
			size_t in_unit = (d->unit[first + k].n - group) / HYC_RANS_GROUP;
			size_t in_words = (size_t)(d->block->end - lanes[k].words) / GROUP_WORD_BYTES;

			safe = in_unit < safe ? in_unit : safe;
			safe = in_words < safe ? in_words : safe;
		}
		for (size_t i = 0; i < safe; i++, group += HYC_RANS_GROUP) {
			struct place at = place_of(group);

#pragma GCC unroll 4
			for (unsigned k = 0; k < n; k++)
				even[k] = hyc_rans_step32(&lanes[k], &d->search, deep);
#pragma GCC unroll 4
			for (unsigned k = 0; k < n; k++)
				odd[k] = hyc_rans_step32(&lanes[k], &d->search, deep);
#pragma GCC unroll 4
			for (unsigned k = 0; k < n; k++)
				put_group(d, layout, first + k, &at, even[k], odd[k]);
		}
	} while (safe);
#pragma GCC unroll 4
	for (unsigned k = 0; k < n; k++)
		d->lanes[first + k] = lanes[k];
	return group;
}

static inline __attribute__((always_inline)) int
decode_units(struct decoder *d, struct hyc_float_layout layout, bool deep, unsigned n)
{
	struct hyc_float_lanes rest[HYC_FLOAT_MAX_FIELDS];
	size_t done = 0;
	int result = 0;

	for (unsigned k = 0; k < n; k++)
		d->lanes[k] = hyc_rans_start32(d->unit[k].stream[0].states, d->unit[k].stream[0].words);
	if (n == 4)
		done = groups(d, layout, deep, 0, 4, 0);
	else if (n == 2)
		done = groups(d, layout, deep, 0, 2, 0);
	for (unsigned k = 0; k < n && !result; k++) {
		size_t end = groups(d, layout, deep, k, 1, done);

		hyc_rans_stop32(&d->lanes[k], rest[0].x);
		rest[0].words = d->lanes[k].words;
		result = hyc_float_finish(d->block, &d->unit[k], rest, d->dst[k], end);
	}
	return result;
}

/* One of these for each layout and depth, so that all that depends on them is constant inside. */
typedef int units_fn(struct decoder *d, unsigned n);

#define UNITS(name, layout, deep) \
	static int name(struct decoder *d, unsigned n) \
	{ \
		return decode_units(d, layout, deep, n); \
	}
UNITS(bf16_units, hyc_float_bf16, false)
UNITS(f16_units, hyc_float_f16, false)
UNITS(f32_units, hyc_float_f32, false)
UNITS(byte_units, hyc_float_byte, false)
UNITS(bf16_units_deep, hyc_float_bf16, true)
UNITS(f16_units_deep, hyc_float_f16, true)
UNITS(f32_units_deep, hyc_float_f32, true)
UNITS(byte_units_deep, hyc_float_byte, true)

static units_fn *choose_units(const struct hyc_float_layout *layout, bool deep)
{
	if (layout->elem_bytes == 1)
		return deep ? byte_units_deep : byte_units;
	if (layout->elem_bytes == 4)
		return deep ? f32_units_deep : f32_units;
	if (layout->n_fields == 3)
		return deep ? f16_units_deep : f16_units;
	return deep ? bf16_units_deep : bf16_units;
}

/* Whether this kernel takes the block. Units one at a time take longer than with AVX2. */
static bool takes(const struct hyc_float_block *block)
{
	if (block->n <= (size_t)1 << block->unit_log2)
		return false;
	for (unsigned f = 1; f < block->layout->n_fields; f++)
		if (block->mode[f] == HYC_FLOAT_RANS)
			return false;
	return block->mode[0] == HYC_FLOAT_RANS;
}

int hyc_float_decode_avx512(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	struct hyc_float_block block;
	struct decoder d;
	int result = hyc_float_parse(coding->dtype, src, src_len, dst_len, &block);
	const uint8_t *pos = block.units;
	size_t n_units, n;
	units_fn *units;

	if (result)
		return result;
	d.block = &block;
	if (!takes(&block) || !hyc_rans_search_init(&d.search, block.table[0], block.layout->field[0].low_shift % 16))
		return hyc_float_block_avx2(&block, dst);
	units = choose_units(block.layout, d.search.depth == 7);
	n_units = ((block.n - 1) >> block.unit_log2) + 1;
	for (size_t i = 0; i < n_units && !result; i += n) {
		n = n_units - i >= 4 ? 4 : n_units - i >= 2 ? 2 : 1;
		for (unsigned k = 0; k < n; k++) {
			hyc_float_unit(&block, i + k, &pos, &d.unit[k]);
			d.dst[k] = dst;
			if (block.layout->field[1].bits == 6 && block.mode[1] == HYC_FLOAT_RAW)
				d.pairs[k] = d.unit[k].raw[1] + hyc_float_plane_bytes(4, d.unit[k].n);
			dst += d.unit[k].n * block.layout->elem_bytes;
		}
		result = units(&d, (unsigned)n);
	}
	return result;
}
