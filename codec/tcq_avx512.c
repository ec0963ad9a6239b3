/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trellis-coded quantisation with AVX-512: a step is 32 lanes in vectors of 16-bit numbers, whose symbols are found by
 * bisection (codec/rans_avx512.h) or, where there are more of them, by counting (codec/rans_rank.h). Several units are decoded at once, for a step has to wait for the one before.
 */
#include "config.h"

#include "codec/rans_rank.h"

#include "codec/decoders.h"
#include "codec/tcq_simd.h"

#define TOGETHER 4u
#define GROUPS (HYC_TCQ_STRIPE / HYC_RANS_GROUP)
#define MIN_DEPTH 6u
#define MAX_DEPTH 7u /* one more takes longer than looking slots up in tables with AVX2 */
#define RANKED (MAX_DEPTH + 1)
#define LEAVES (1u << MAX_DEPTH)
#define INLINE static inline __attribute__((always_inline))

_Static_assert(HYC_TCQ_ROW_SLACK >= HYC_RANS_STEP32_BYTES, "a step may be loaded where a row ends");

/*
 * Bisection as in codec/rans_avx512.h, of both quantisers in one tree: nodes 2 and 3 are the roots of the quantisers'. The
 * leaves of each are consecutive symbols, the first an even one, so that an odd leaf has an odd k. A symbol that does
 * not occur starts where the next one does, and is never found.
 */
struct search {
	_Alignas(64) uint16_t node[LEAVES];
	uint16_t start[LEAVES], freq[LEAVES] /* times 32 */, level[LEAVES] /* the upper half of a float */;
};

/* Counting as in codec/rans_rank.h. The ranks of quantiser 1 follow those of quantiser 0. */
struct ranking {
	_Alignas(64) uint8_t bits[2][HYC_RANS_OCTETS];
	uint8_t base[2][HYC_RANS_OCTETS];
	uint8_t start[HYC_RANS_RANKS], freq[HYC_RANS_RANKS], k[HYC_RANS_RANKS];
};

struct decoder {
	struct hyc_tcq_simd simd; /* the first, for run */
	unsigned depth;           /* of the search; RANKED: the ranking is used instead */
	struct search search;
	struct ranking ranking;
};

/* What is kept of a unit while it is decoded. */
struct unit_state {
	_Alignas(64) uint16_t trellis[GROUPS][2][HYC_RANS_LANES]; /* by steps and lanes; RANKED: of two units, in bytes */
	_Alignas(64) float col_scale[GROUPS][4][16];              /* 32 columns: even ones, odd ones; the other 32 */
	struct hyc_tcq_words words;
	uint8_t *dst; /* of the row */
};

/* Bits of a where mask has them, others of b. */
INLINE __m512i select_bits(__m512i mask, __m512i a, __m512i b)
{
	return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

INLINE __m512i find(const struct search *s, unsigned depth, __m512i i, __m512i slot)
{
	__m512i upper = _mm512_load_si512(s->node);

#pragma GCC unroll 4
	for (unsigned level = 1; level < 5; level++)
		i = _mm512_shldi_epi16(i, _mm512_sub_epi16(_mm512_permutexvar_epi16(i, upper), slot), 1);
	i = _mm512_shldi_epi16(i, _mm512_sub_epi16(_mm512_permutexvar_epi16(i, _mm512_load_si512(s->node + 32)), slot), 1);
	if (depth > 6)
		i = _mm512_shldi_epi16(i, _mm512_sub_epi16(hyc_rans_table64(s->node + 64, i), slot), 1);
	return i;
}

/*
 * A step: the levels of 32 columns, upper halves of floats. A trellis's state is kept with its quantiser in bit 0,
 * { 0, 2, 4, 6, 1, 3, 5, 7 } for 0 to 7. Lanes that are not active keep their state.
 */
INLINE __m512i step(const struct search *s, unsigned depth, struct hyc_rans_lanes32 *lanes, uint16_t *trellis)
{
	/* By state, and from 8 on after an odd k. */
	static const _Alignas(64) uint16_t next[32] = { 0, 5, 1, 6, 2, 4, 3, 7, 2, 7, 3, 4, 0, 6, 1, 5 };
	const __m512i one = _mm512_set1_epi16(1), two = _mm512_set1_epi16(2);
	__m512i state = _mm512_load_si512(trellis), slot = _mm512_and_si512(lanes->low, _mm512_set1_epi16(HYC_RANS_SLOTS - 1));
	__m512i i = find(s, depth, _mm512_ternarylogic_epi32(state, one, two, 0xea), slot), at, level;

	level = hyc_rans_leaf(s->level, i, depth == 7);
	hyc_rans_advance32(lanes, slot, hyc_rans_leaf(s->freq, i, depth == 7), hyc_rans_leaf(s->start, i, depth == 7));
	at = select_bits(_mm512_set1_epi16(8), _mm512_slli_epi16(i, 3), state);
	_mm512_store_si512(trellis, _mm512_permutexvar_epi16(at, _mm512_load_si512(next)));
	return level;
}

/*
 * A step of two units: the levels of 32 columns of each, integers. The trellises' states are bytes, of unit a the lower
 * ones.
 */
INLINE void rank_step(const struct ranking *r, struct hyc_rans_lanes32 *a, struct hyc_rans_lanes32 *b, uint16_t *trellis,
		      __m512i *level_a, __m512i *level_b)
{
	const __m512i next = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 5, 1, 6, 2, 4, 3, 7, 2, 7, 3, 4, 0, 6, 1, 5));
	__m512i state = _mm512_load_si512(trellis), q = _mm512_and_si512(state, _mm512_set1_epi8(1));
	__m512i octet = hyc_rans_octets(a, b), bits, base, rank, k, sign;
	__mmask64 upper = _mm512_movepi8_mask(octet), second = _mm512_test_epi8_mask(q, q);

	bits = _mm512_mask_mov_epi8(hyc_rans_table256(r->bits[0], octet, upper), second,
				    hyc_rans_table256(r->bits[1], octet, upper));
	base = _mm512_mask_mov_epi8(hyc_rans_table256(r->base[0], octet, upper), second,
				    hyc_rans_table256(r->base[1], octet, upper));
	rank = hyc_rans_count(a, b, bits, base);
	upper = _mm512_movepi8_mask(rank);
	k = hyc_rans_table256(r->k, rank, upper);
	hyc_rans_advance_bytes(a, b, hyc_rans_table256(r->start, rank, upper), hyc_rans_table256(r->freq, rank, upper));
	state = select_bits(_mm512_set1_epi8(8), _mm512_slli_epi16(k, 3), state);
	_mm512_store_si512(trellis, _mm512_shuffle_epi8(next, state));
	/* 2 k - q sign(k) */
	sign = _mm512_max_epi8(_mm512_min_epi8(k, q), _mm512_sub_epi8(_mm512_setzero_si512(), q));
	*level_a = _mm512_sub_epi16(_mm512_srai_epi16(_mm512_slli_epi16(k, 8), 7),
				    _mm512_srai_epi16(_mm512_slli_epi16(sign, 8), 8));
	*level_b = _mm512_sub_epi16(_mm512_srai_epi16(_mm512_andnot_si512(_mm512_set1_epi16(0xff), k), 7),
				    _mm512_srai_epi16(sign, 8));
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

INLINE __m512 scaled(__m512 level, const float *col_scale, __m512 row_scale)
{
	return _mm512_mul_ps(_mm512_mul_ps(level, _mm512_load_ps(col_scale)), row_scale);
}

/* The values of 64 columns of a row, whose levels are integers or upper halves of floats. */
INLINE void store_group(uint8_t *out, __m512i even, __m512i odd, const float col_scale[4][16], __m512 row_scale,
			bool integers, uint32_t dtype)
{
	const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
	size_t half_bytes = 32 * (dtype == HYC_F32 ? 4 : 2);

#pragma GCC unroll 2
	for (unsigned half = 0; half < 2; half++) {
		__m512i level = hyc_rans_turns(even, odd, half), left = _mm512_slli_epi32(level, 16);
		__m512 even_level = integers ? _mm512_cvtepi32_ps(_mm512_srai_epi32(left, 16)) : _mm512_castsi512_ps(left);
		__m512 odd_level = integers ? _mm512_cvtepi32_ps(_mm512_srai_epi32(level, 16)) :
					      _mm512_castsi512_ps(_mm512_and_si512(level, upper));

		emit(out + half * half_bytes, scaled(even_level, col_scale[2 * half], row_scale),
		     scaled(odd_level, col_scale[2 * half + 1], row_scale), dtype);
	}
}

/* A step of each unit. One alone is ranked beside itself. */
INLINE void steps(const struct decoder *decoder, unsigned depth, unsigned together, struct unit_state *units,
		  struct hyc_rans_lanes32 *lanes, uint32_t group, unsigned odd, __m512i *level)
{
	struct hyc_rans_lanes32 twin = lanes[0];

#pragma GCC unroll 4
	for (unsigned i = 0; i < together && depth != RANKED; i++)
		level[i] = step(&decoder->search, depth, &lanes[i], units[i].trellis[group][odd]);
#pragma GCC unroll 2
	for (unsigned i = 0; i < together && depth == RANKED; i += 2)
		rank_step(&decoder->ranking, &lanes[i], together > 1 ? &lanes[i + 1] : &twin, units[i].trellis[group][odd],
			  &level[i], &level[i + 1]);
}

/* 64 columns of a row of each unit. */
INLINE void decode_group(const struct decoder *decoder, unsigned depth, unsigned together, struct unit_state *units,
			 struct hyc_rans_lanes32 *lanes, const __m512 *row_scale, uint32_t group)
{
	uint32_t dtype = decoder->simd.dtype, bytes = dtype == HYC_F32 ? 4 : 2;
	__m512i even[TOGETHER], odd[TOGETHER];

	steps(decoder, depth, together, units, lanes, group, 0, even);
	steps(decoder, depth, together, units, lanes, group, 1, odd);
#pragma GCC unroll 4
	for (unsigned i = 0; i < together; i++)
		store_group(units[i].dst + (size_t)group * HYC_RANS_GROUP * bytes, even[i], odd[i], units[i].col_scale[group],
			    row_scale[i], depth == RANKED, dtype);
}

static void start_unit(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *unit, struct unit_state *s)
{
	const struct hyc_tcq_object *object = &simd->block.object;

	memset(s->trellis, 0, sizeof s->trellis);
	for (uint32_t j = 0; j < unit->n_cols; j++)
		s->col_scale[j / HYC_RANS_GROUP][j / 32 % 2 * 2 + j % 2][j / 2 % 16] =
			hyc_tcq_col_scale(object, unit->first_col + j);
	hyc_tcq_words_start(&s->words, unit, simd->src_end);
	s->dst = simd->dst + (unit->first_row * object->cols + unit->first_col) * object->elem_bytes;
}

INLINE int decode_units(const struct decoder *decoder, const struct hyc_tcq_unit *units, unsigned together,
			unsigned depth)
{
	const struct hyc_tcq_block *block = &decoder->simd.block;
	const struct hyc_tcq_object *object = &block->object;
	uint32_t groups = units[0].n_cols / HYC_RANS_GROUP;
	struct hyc_rans_lanes32 lanes[TOGETHER];
	struct unit_state states[TOGETHER];
	__m512 row_scale[TOGETHER];
	uint32_t x[HYC_RANS_LANES];
	int result = 0;

	for (unsigned i = 0; i < together; i++) {
		start_unit(&decoder->simd, &units[i], &states[i]);
		lanes[i] = hyc_rans_start32(units[i].states, units[i].words);
	}
	for (uint32_t row = 0; row < units[0].n_rows; row++) {
#pragma GCC unroll 4
		for (unsigned i = 0; i < together; i++) {
			states[i].words.w = lanes[i].words;
			if (!hyc_tcq_words_ready(&states[i].words))
				return -EBADMSG;
			lanes[i].words = states[i].words.w;
			row_scale[i] = _mm512_set1_ps(
				hyc_tcq_row_scale(object, block->first_row + units[i].first_row + row));
		}
		for (uint32_t group = 0; group < groups; group++)
			decode_group(decoder, depth, together, states, lanes, row_scale, group);
#pragma GCC unroll 4
		for (unsigned i = 0; i < together; i++)
			states[i].dst += object->cols * object->elem_bytes;
	}
	for (unsigned i = 0; !result && i < together; i++) {
		hyc_rans_stop32(&lanes[i], x);
		states[i].words.w = lanes[i].words;
		result = hyc_tcq_simd_end(&decoder->simd, &units[i], &states[i].words, x);
	}
	return result;
}

/* A function for each, because they are large. */
#define DECODE(name, together, depth)                                                                                  \
	static __attribute__((noinline)) int name(const struct decoder *decoder, const struct hyc_tcq_unit *units)     \
	{                                                                                                              \
		return decode_units(decoder, units, together, depth);                                                  \
	}
DECODE(depth_6_by_4, 4, 6)
DECODE(depth_6_by_2, 2, 6)
DECODE(depth_6, 1, 6)
DECODE(depth_7_by_4, 4, 7)
DECODE(depth_7_by_2, 2, 7)
DECODE(depth_7, 1, 7)
DECODE(ranked_by_4, 4, RANKED)
DECODE(ranked_by_2, 2, RANKED)
DECODE(ranked, 1, RANKED)

static int run(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *units, unsigned n)
{
	typedef int decode(const struct decoder *decoder, const struct hyc_tcq_unit *units);
	static decode *const decoders[][3] = {
		{ depth_6, depth_6_by_2, depth_6_by_4 },
		{ depth_7, depth_7_by_2, depth_7_by_4 },
		{ ranked, ranked_by_2, ranked_by_4 },
	};
	const struct decoder *decoder = (const struct decoder *)simd;
	int result = 0;

	for (unsigned i = 0, log2; !result && i < n; i += 1u << log2) {
		log2 = n - i >= 4 ? 2 : n - i >= 2;
		/* Lanes of part of a group take part in a step or not: not here. */
		if (units[0].n_cols % HYC_RANS_GROUP == 0)
			result = decoders[decoder->depth - MIN_DEPTH][log2](decoder, units + i);
		else
			for (unsigned k = 0; !result && k < 1u << log2; k++)
				result = hyc_tcq_decode_unit(&simd->block, &units[i + k], simd->dst, simd->dtype);
	}
	return result;
}

/* The depth of the tree; 0 where there are too many symbols, or levels too large for half a float. */
static unsigned make_search(const struct hyc_tcq_block *block, struct search *s)
{
	const uint32_t *tables[2] = { block->table[0], block->table[block->object.trellis] };
	uint32_t first[2], most = 0;
	unsigned depth = MIN_DEPTH;

	for (unsigned q = 0; q < 2; q++) {
		uint32_t last = hyc_rans_symbol(tables[q][HYC_RANS_SLOTS - 1]);

		first[q] = hyc_rans_symbol(tables[q][0]) & ~1u;
		most = last - first[q] > most ? last - first[q] : most;
	}
	while (depth <= MAX_DEPTH && most >= 1u << (depth - 1))
		depth++;
	if (depth > MAX_DEPTH)
		return 0;
	for (unsigned q = 0; q < 2; q++) {
		uint32_t slot = 0, leaves = 1u << (depth - 1);

		for (uint32_t i = 0; i < leaves; i++) {
			uint32_t entry = slot < HYC_RANS_SLOTS ? tables[q][slot] : 0, at = q * leaves + i;
			int32_t m = (int32_t)(first[q] + i) - HYC_TCQ_SYMBOL_ZERO;
			bool occurs = entry && hyc_rans_symbol(entry) == first[q] + i;

			if (block->object.trellis)
				m = hyc_tcq_level(m, (int32_t)q);
			if (occurs && (m < -256 || m > 256))
				return 0;
			s->start[at] = (uint16_t)slot;
			s->freq[at] = (uint16_t)(occurs ? (entry & (HYC_RANS_SLOTS - 1)) << (16 - HYC_RANS_BITS) : 0);
			s->level[at] = (uint16_t)(hyc_float_bits((float)m) >> 16);
			slot += occurs ? entry & (HYC_RANS_SLOTS - 1) : 0;
		}
	}
	for (unsigned i = 2; i < 1u << depth; i++) {
		unsigned level = 31 - (unsigned)__builtin_clz(i), width = (1u << depth) >> level;

		s->node[i] = (uint16_t)(s->start[(i - (1u << level)) * width + width / 2] - 1);
	}
	return depth;
}

/* False where there are too many symbols, or a frequency or a k needs more than a byte. Only with a trellis. */
static bool make_ranking(const struct hyc_tcq_block *block, struct ranking *r)
{
	unsigned n = 0;

	memset(r, 0, sizeof *r);
	for (unsigned q = 0; q < 2; q++) {
		for (unsigned slot = 0; slot < HYC_RANS_SLOTS; slot++) {
			uint32_t entry = block->table[q][slot], freq = entry & (HYC_RANS_SLOTS - 1);
			int32_t k = (int32_t)hyc_rans_symbol(entry) - HYC_TCQ_SYMBOL_ZERO;

			if (slot % 8 == 0)
				r->base[q][slot / 8] = (uint8_t)(n - 1);
			if (entry >> HYC_RANS_BITS & (HYC_RANS_SLOTS - 1))
				continue;
			if (n == HYC_RANS_RANKS || freq > UINT8_MAX || k < -127 || k > 127)
				return false;
			r->bits[q][slot / 8] |= (uint8_t)(1u << slot % 8);
			r->start[n] = (uint8_t)slot;
			r->freq[n] = (uint8_t)freq;
			r->k[n++] = (uint8_t)k;
		}
	}
	return true;
}

int hyc_tcq_decode_avx512(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst,
			  size_t dst_len)
{
	struct decoder decoder;
	int result = hyc_tcq_simd_open(&decoder.simd, coding, src, src_len, dst, dst_len);

	if (result)
		return result;
	decoder.depth = make_search(&decoder.simd.block, &decoder.search);
	if (decoder.depth != MIN_DEPTH && decoder.simd.block.object.trellis &&
	    make_ranking(&decoder.simd.block, &decoder.ranking))
		decoder.depth = RANKED;
	if (!decoder.depth)
#ifdef HAVE_AVX2
		return hyc_tcq_decode_avx2(coding, src, src_len, dst, dst_len);
#else
		return hyc_tcq_decode(coding, src, src_len, dst, dst_len);
#endif
	return hyc_tcq_simd_units(&decoder.simd, TOGETHER, run);
}
