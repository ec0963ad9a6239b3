/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trellis-coded quantisation with AVX-512. A step of the entropy coder is two vectors of 16 lanes. Several units are
 * decoded at once, for a step has to wait for the one before.
 *
 * Gathers are slow, and at few bits per weight there are few symbols. So the symbol of a slot is searched for in the
 * starts of the symbols, which fit in registers, by all 32 lanes in one vector of 16-bit numbers. Only where there
 * are many symbols slots are looked up in a table.
 */
#include "config.h"

#include <immintrin.h>

#include "codec/decoders.h"
#include "codec/tcq_simd.h"

#ifndef TOGETHER
#define TOGETHER 4u
#endif
#define GROUPS (HYC_TCQ_STRIPE / HYC_RANS_GROUP)
#define MIN_LEVELS 5u
#define MAX_LEVELS 6u
#define ENTRIES (2u << MAX_LEVELS)
#define INLINE static inline __attribute__((always_inline))

/*
 * The search halves what is left: level d compares with a start in the middle, which depends on the quantiser (bit 0
 * of an index) and on what the levels before it found (bits 1 to d). The index of a symbol has bits 0 to `levels`.
 */
struct search {
	_Alignas(64) uint16_t middle[MAX_LEVELS][64];
	_Alignas(64) uint16_t start[ENTRIES], freq[ENTRIES];
	_Alignas(64) uint16_t level[ENTRIES]; /* the upper half of the float, in whose lowest bit is odd's */
	unsigned levels;                      /* 0: too many symbols */
};

struct decoder {
	struct hyc_tcq_simd simd; /* the first, for run */
	struct search search;
};

/* What is kept of a unit while it is decoded. Columns are in the order of their steps and lanes. */
struct unit_state {
	_Alignas(64) uint32_t trellis[GROUPS][2][HYC_RANS_LANES];
	_Alignas(64) float col_scale[GROUPS][2][HYC_RANS_LANES];
	_Alignas(64) uint32_t x[HYC_RANS_LANES];
	struct hyc_tcq_words words;
	uint8_t *dst; /* of the row */
};

/* Bits of a where mask has them, others of b. */
INLINE __m512i select_bits(__m512i mask, __m512i a, __m512i b)
{
	return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

/* The new states of lanes from y, what they are before words are taken. Those that are not active keep x. */
INLINE __m512i renorm(__m512i y, __m512i x, __mmask16 active, const uint8_t **w)
{
	__mmask16 low = _mm512_mask_cmplt_epu32_mask(active, y, _mm512_set1_epi32((int)HYC_RANS_LOW));
	__m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)*w));

	*w += 2 * (unsigned)__builtin_popcount(low);
	y = _mm512_mask_slli_epi32(y, low, y, 16);
	return _mm512_mask_or_epi32(x, active, y, _mm512_maskz_expand_epi32(low, words));
}

INLINE __m512 scaled(__m512 m, const float *col_scale, __m512 row_scale)
{
	return _mm512_mul_ps(_mm512_mul_ps(m, _mm512_load_ps(col_scale)), row_scale);
}

/* Half a step by tables: the values of 16 columns that take part where their bit of active is set. */
INLINE __m512 table_step(const uint32_t *table, __m512i *x, uint32_t *trellis, const float *col_scale, __m512 row_scale,
			 const uint8_t **w, __mmask16 active, bool wide)
{
	static const _Alignas(64) uint32_t next[16] = HYC_TCQ_SIMD_NEXT;
	const __m512i slots = _mm512_set1_epi32((int)HYC_RANS_SLOTS - 1);
	__m512i state = _mm512_load_si512(trellis), entry, m, y, at;

	entry = _mm512_i32gather_epi32(select_bits(slots, *x, state), table, 4);
	y = _mm512_mullo_epi32(_mm512_srli_epi32(*x, HYC_RANS_BITS), _mm512_and_si512(entry, slots));
	y = _mm512_add_epi32(y, _mm512_and_si512(_mm512_srli_epi32(entry, HYC_RANS_BITS), slots));
	*x = renorm(y, *x, active, w);
	at = select_bits(_mm512_set1_epi32(8), _mm512_srli_epi32(entry, HYC_TCQ_ODD_BIT - 3), state);
	_mm512_store_si512(trellis, _mm512_permutexvar_epi32(at, _mm512_load_si512(next)));
	if (wide) {
		__m512i k = _mm512_srai_epi32(entry, HYC_TCQ_ODD_BIT);
		__mmask16 quantiser = _mm512_test_epi32_mask(state, _mm512_set1_epi32((int)HYC_RANS_SLOTS));
		__m512i sign = _mm512_max_epi32(_mm512_min_epi32(k, _mm512_set1_epi32(1)), _mm512_set1_epi32(-1));

		m = _mm512_add_epi32(k, k);
		m = _mm512_mask_sub_epi32(m, quantiser, m, sign);
	} else {
		m = _mm512_srai_epi32(entry, HYC_TCQ_ODD_BIT + 1);
	}
	return scaled(_mm512_cvtepi32_ps(m), col_scale, row_scale);
}

/* In a table of 64 entries; of 128 whose upper half is chosen. */
INLINE __m512i look_up_64(const uint16_t *table, __m512i index)
{
	return _mm512_permutex2var_epi16(_mm512_load_si512(table), index, _mm512_load_si512(table + 32));
}

INLINE __m512i look_up_128(const uint16_t *table, __m512i index, __mmask32 upper)
{
	return _mm512_mask_blend_epi16(upper, look_up_64(table, index), look_up_64(table + 64, index));
}

/*
 * A step by search: the values of 32 columns. In vectors of 16-bit numbers lane l and lane l + 16 are neighbours.
 * A trellis's state has its quantiser in bit 0.
 */
INLINE void search_step(const struct search *t, unsigned levels, __m512i *x, uint32_t *trellis, const float *col_scale,
			__m512 row_scale, const uint8_t **w, uint32_t active, __m512 *value)
{
	static const _Alignas(64) uint16_t next[32] = { 0, 5, 1, 6, 2, 4, 3, 7, 2, 7, 3, 4, 0, 6, 1, 5 };
	const __m512i lower = _mm512_set1_epi32(0xffff);
	__m512i state = _mm512_load_si512(trellis), at = _mm512_and_si512(state, _mm512_set1_epi16(1));
	__m512i slot, start, freq, level, y0, y1;
	__mmask32 right;

	slot = select_bits(lower, x[0], _mm512_slli_epi32(x[1], 16));
	slot = _mm512_and_si512(slot, _mm512_set1_epi16((short)HYC_RANS_SLOTS - 1));
	right = _mm512_cmpge_epu16_mask(slot, _mm512_permutexvar_epi16(at, _mm512_load_si512(t->middle[0])));
#pragma GCC unroll 8
	for (unsigned d = 1; d < levels; d++) {
		__m512i middle;

		at = _mm512_mask_add_epi16(at, right, at, _mm512_set1_epi16((short)(1 << d)));
		middle = d < 5 ? _mm512_permutexvar_epi16(at, _mm512_load_si512(t->middle[d])) :
				 look_up_64(t->middle[d], at);
		right = _mm512_cmpge_epu16_mask(slot, middle);
	}
	if (levels < 6) {
		at = _mm512_mask_add_epi16(at, right, at, _mm512_set1_epi16((short)(1 << levels)));
		start = look_up_64(t->start, at);
		freq = look_up_64(t->freq, at);
		level = look_up_64(t->level, at);
	} else {
		start = look_up_128(t->start, at, right);
		freq = look_up_128(t->freq, at, right);
		level = look_up_128(t->level, at, right);
	}
	slot = _mm512_sub_epi16(slot, start);
	y0 = _mm512_mullo_epi32(_mm512_srli_epi32(x[0], HYC_RANS_BITS), _mm512_and_si512(freq, lower));
	y1 = _mm512_mullo_epi32(_mm512_srli_epi32(x[1], HYC_RANS_BITS), _mm512_srli_epi32(freq, 16));
	y0 = _mm512_add_epi32(y0, _mm512_and_si512(slot, lower));
	y1 = _mm512_add_epi32(y1, _mm512_srli_epi32(slot, 16));
	x[0] = renorm(y0, x[0], (__mmask16)active, w);
	x[1] = renorm(y1, x[1], (__mmask16)(active >> 16), w);

	at = select_bits(_mm512_set1_epi16(8), _mm512_slli_epi16(level, 3), state);
	_mm512_store_si512(trellis, _mm512_permutexvar_epi16(at, _mm512_load_si512(next)));
	y0 = _mm512_slli_epi32(_mm512_and_si512(level, _mm512_set1_epi32(0xfffe)), 16);
	y1 = _mm512_and_si512(level, _mm512_set1_epi32((int)0xfffe0000));
	value[0] = scaled(_mm512_castsi512_ps(y0), col_scale, row_scale);
	value[1] = scaled(_mm512_castsi512_ps(y1), col_scale + 16, row_scale);
}

/* The symbols of a table, in order: its slots are where they start. Returns their number. */
static unsigned list_symbols(const uint32_t *table, uint32_t start[HYC_RANS_ALPHABET])
{
	unsigned n = 0;

	for (uint32_t i = 0; i < HYC_RANS_SLOTS; i += table[i] & (HYC_RANS_SLOTS - 1))
		start[n++] = i;
	return n;
}

static void make_search(const struct hyc_tcq_block *block, struct search *search)
{
	uint32_t start[2][HYC_RANS_ALPHABET];
	unsigned n[2], levels = MIN_LEVELS;

	search->levels = 0;
	for (unsigned q = 0; q < 2; q++) {
		/* Without a trellis the second quantiser is not used. */
		n[q] = list_symbols(block->table[q && block->object.trellis], start[q]);
		while (n[q] > 1u << levels)
			if (++levels > MAX_LEVELS)
				return;
	}
	for (uint32_t i = 0; i < 2u << levels; i++) {
		uint32_t q = i & 1, at = 0, k, slot;
		const uint32_t *table = block->table[q && block->object.trellis];
		int32_t m;

		for (unsigned d = 0; d != levels; d++) {
			uint32_t middle = at + (1u << (levels - 1 - d));

			if (i < (d < 5 ? 32 : 64))
				search->middle[d][i] = (uint16_t)(middle < n[q] ? start[q][middle] : HYC_RANS_SLOTS);
			at += (i >> (d + 1) & 1) << (levels - 1 - d);
		}
		if (at >= n[q])
			at = 0;
		slot = table[start[q][at]];
		k = hyc_rans_symbol(slot);
		m = (int32_t)k - HYC_TCQ_SYMBOL_ZERO;
		if (block->object.trellis)
			m = hyc_tcq_level(m, (int32_t)q);
		/* Larger ones need the lowest bit. */
		if (m < -127 || m > 127)
			return;
		search->start[i] = (uint16_t)start[q][at];
		search->freq[i] = (uint16_t)(slot & (HYC_RANS_SLOTS - 1));
		search->level[i] = (uint16_t)(hyc_float_bits((float)m) >> 16 | (block->object.trellis ? k & 1 : 0));
	}
	search->levels = levels;
}

/* 16 values of even columns and the 16 to their right, to 32 elements. */
INLINE void emit(uint8_t *out, __m512 even, __m512 odd, uint32_t dtype)
{
	const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
	__m512i e = _mm512_castps_si512(even), o = _mm512_castps_si512(odd), bits, lost;
	__mmask32 up;

	if (dtype == HYC_F32) {
		const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
		const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));

		_mm512_storeu_si512(out, _mm512_permutex2var_epi32(e, first, o));
		_mm512_storeu_si512(out + 64, _mm512_permutex2var_epi32(e, second, o));
		return;
	}
	if (dtype == HYC_F16) {
		e = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(even, _MM_FROUND_TO_NEAREST_INT));
		o = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(odd, _MM_FROUND_TO_NEAREST_INT));
		_mm512_storeu_si512(out, _mm512_or_si512(e, _mm512_slli_epi32(o, 16)));
		return;
	}
	bits = select_bits(upper, o, _mm512_srli_epi32(e, 16));
	lost = select_bits(upper, _mm512_slli_epi32(o, 16), e);
	/* Up from a half on; from just a half only if that makes the element even. */
	lost = _mm512_ternarylogic_epi32(lost, bits, _mm512_set1_epi16(1), 0xf8);
	up = _mm512_cmpgt_epu16_mask(lost, _mm512_set1_epi16((short)0x8000));
	_mm512_storeu_si512(out, _mm512_mask_sub_epi16(bits, up, bits, _mm512_set1_epi16(-1)));
}

/* What differs between the loops that are compiled: each has all of these constant. */
struct variant {
	unsigned together, levels; /* levels 0: by tables */
	bool wide;
};

/* n <= 64 columns of a row, of each unit. */
INLINE void decode_group(const struct decoder *decoder, struct variant v, struct unit_state *units, __m512i x[][2],
			 const uint8_t **w, const __m512 *row_scale, uint32_t group, uint32_t n)
{
	uint32_t dtype = decoder->simd.dtype, bytes = dtype == HYC_F32 ? 4 : 2;
	__m512 value[TOGETHER][2][2];

#pragma GCC unroll 8
	for (unsigned odd = 0; odd < 2; odd++) {
		uint32_t active = n == HYC_RANS_GROUP ? UINT32_MAX : (UINT32_C(1) << (n + 1 - odd) / 2) - 1;

#pragma GCC unroll 8
		for (unsigned i = 0; i < v.together; i++) {
			uint32_t *trellis = units[i].trellis[group][odd];
			const float *col_scale = units[i].col_scale[group][odd];

			if (v.levels) {
				search_step(&decoder->search, v.levels, x[i], trellis, col_scale, row_scale[i], &w[i], active,
					    value[i][odd]);
				continue;
			}
#pragma GCC unroll 8
			for (unsigned half = 0; half < 2; half++)
				value[i][odd][half] = table_step(decoder->simd.table[0], &x[i][half], trellis + 16 * half,
								 col_scale + 16 * half, row_scale[i], &w[i],
								 (__mmask16)(active >> 16 * half), v.wide);
		}
	}
#pragma GCC unroll 8
	for (unsigned i = 0; i < v.together; i++) {
		uint8_t part[4 * HYC_RANS_GROUP], *to = units[i].dst + (size_t)group * HYC_RANS_GROUP * bytes;
		uint8_t *out = n == HYC_RANS_GROUP ? to : part;

		emit(out, value[i][0][0], value[i][1][0], dtype);
		emit(out + (size_t)32 * bytes, value[i][0][1], value[i][1][1], dtype);
		if (n < HYC_RANS_GROUP)
			memcpy(to, part, (size_t)n * bytes);
	}
}

static void start_unit(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *unit, struct unit_state *s)
{
	const struct hyc_tcq_object *object = &simd->block.object;

	memset(s->trellis, 0, sizeof s->trellis);
	memset(s->col_scale, 0, sizeof s->col_scale);
	for (uint32_t j = 0; j < unit->n_cols; j++)
		s->col_scale[j / HYC_RANS_GROUP][j % 2][j / 2 % HYC_RANS_LANES] =
			hyc_tcq_col_scale(object, unit->first_col + j);
	memcpy(s->x, unit->states, sizeof s->x);
	hyc_tcq_words_start(&s->words, unit, simd->src_end);
	s->dst = simd->dst + (unit->first_row * object->cols + unit->first_col) * object->elem_bytes;
}

INLINE int decode_units(const struct decoder *decoder, const struct hyc_tcq_unit *units, struct variant v)
{
	const struct hyc_tcq_block *block = &decoder->simd.block;
	const struct hyc_tcq_object *object = &block->object;
	uint32_t groups = units[0].n_cols / HYC_RANS_GROUP, rest = units[0].n_cols % HYC_RANS_GROUP;
	struct unit_state states[TOGETHER];
	__m512i x[TOGETHER][2];
	int result = 0;

#pragma GCC unroll 8
	for (unsigned i = 0; i < v.together; i++) {
		start_unit(&decoder->simd, &units[i], &states[i]);
		x[i][0] = _mm512_load_si512(states[i].x);
		x[i][1] = _mm512_load_si512(states[i].x + 16);
	}
	for (uint32_t row = 0; row < units[0].n_rows; row++) {
		__m512 row_scale[TOGETHER];
		const uint8_t *w[TOGETHER];

#pragma GCC unroll 8
		for (unsigned i = 0; i < v.together; i++) {
			if (!hyc_tcq_words_ready(&states[i].words))
				return -EBADMSG;
			w[i] = states[i].words.w;
			row_scale[i] = _mm512_set1_ps(
				hyc_tcq_row_scale(object, block->first_row + units[i].first_row + row));
		}
		for (uint32_t group = 0; group < groups; group++)
			decode_group(decoder, v, states, x, w, row_scale, group, HYC_RANS_GROUP);
		if (rest)
			decode_group(decoder, v, states, x, w, row_scale, groups, rest);
#pragma GCC unroll 8
		for (unsigned i = 0; i < v.together; i++) {
			states[i].words.w = w[i];
			states[i].dst += object->cols * object->elem_bytes;
		}
	}
	for (unsigned i = 0; !result && i < v.together; i++) {
		_mm512_store_si512(states[i].x, x[i][0]);
		_mm512_store_si512(states[i].x + 16, x[i][1]);
		result = hyc_tcq_simd_end(&decoder->simd, &units[i], &states[i].words, states[i].x);
	}
	return result;
}

/* A function for each, because they are large. */
#define DECODE(name, ...)                                                                                              \
	static __attribute__((noinline)) int name(const struct decoder *decoder, const struct hyc_tcq_unit *units)     \
	{                                                                                                              \
		return decode_units(decoder, units, (struct variant) { __VA_ARGS__ });                                 \
	}
DECODE(search_5_by_4, 4, 5, false)
DECODE(search_5_by_2, 2, 5, false)
DECODE(search_5, 1, 5, false)
DECODE(search_6_by_4, 4, 6, false)
DECODE(search_6_by_2, 2, 6, false)
DECODE(search_6, 1, 6, false)
DECODE(table_by_2, 2, 0, false)
DECODE(table, 1, 0, false)
DECODE(wide_by_2, 2, 0, true)
DECODE(wide, 1, 0, true)

static int run(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *units, unsigned n)
{
	typedef int decode(const struct decoder *decoder, const struct hyc_tcq_unit *units);
	static decode *const by_search[2][3] = {
		{ search_5, search_5_by_2, search_5_by_4 },
		{ search_6, search_6_by_2, search_6_by_4 },
	};
	static decode *const by_table[2][3] = { { table, table_by_2, NULL }, { wide, wide_by_2, NULL } };
	const struct decoder *decoder = (const struct decoder *)simd;
	unsigned levels = decoder->search.levels;
	decode *const *decoders = levels ? by_search[levels - MIN_LEVELS] : by_table[simd->wide];
	int result = 0;

	for (unsigned i = 0, step; !result && i < n; i += step) {
		unsigned log2 = n - i >= 4 && decoders[2] ? 2 : n - i >= 2;

		step = 1u << log2;
		/* Rare: levels beyond 9 bits without a trellis. */
		if (!levels && simd->wide && !simd->block.object.trellis)
			for (unsigned k = 0; !result && k < step; k++)
				result = hyc_tcq_decode_unit(&simd->block, &units[i + k], simd->dst, simd->dtype);
		else
			result = decoders[log2](decoder, units + i);
	}
	return result;
}

int hyc_tcq_decode_avx512(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst,
			  size_t dst_len)
{
	struct decoder decoder;
	int result = hyc_tcq_simd_open(&decoder.simd, coding, src, src_len, dst, dst_len);

	if (result)
		return result;
	make_search(&decoder.simd.block, &decoder.search);
	if (!decoder.search.levels)
		hyc_tcq_simd_tables(&decoder.simd);
	return hyc_tcq_simd_units(&decoder.simd, TOGETHER, run);
}
