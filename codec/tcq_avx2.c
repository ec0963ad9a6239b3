/* SPDX-License-Identifier: Apache-2.0 */
/* Trellis-coded quantisation with AVX2: a step is four vectors of 8 lanes. */
#include "config.h"

#include "codec/rans_avx2.h"

#include "codec/decoders.h"
#include "codec/tcq_simd.h"

#define VECTORS (HYC_RANS_LANES / 8)
#define GROUPS (HYC_TCQ_STRIPE / HYC_RANS_GROUP)
#define INLINE static inline __attribute__((always_inline))

_Static_assert(HYC_TCQ_ROW_SLACK >= HYC_RANS_STEP8_BYTES, "a step may be loaded where a row ends");

/* What is kept of a unit while it is decoded. Columns are in the order of their steps and lanes. */
struct unit_state {
	_Alignas(32) uint32_t trellis[GROUPS][2][HYC_RANS_LANES];
	_Alignas(32) float col_scale[GROUPS][2][HYC_RANS_LANES];
	_Alignas(32) uint32_t x[HYC_RANS_LANES];
	struct hyc_tcq_words words;
};

/* Eight lanes of a step: the values of their columns. */
INLINE __m256 step(const uint32_t *table, __m256i *x, uint32_t *trellis, const float *col_scale, __m256 row_scale,
		   const uint8_t **w, bool wide)
{
	const __m256i next = _mm256_setr_epi32(HYC_TCQ_SIMD_NEXT), slots = _mm256_set1_epi32(HYC_RANS_SLOTS - 1);
	const __m256i quantiser = _mm256_set1_epi32(HYC_RANS_SLOTS), one = _mm256_set1_epi32(1);
	__m256i state = _mm256_load_si256((const __m256i *)trellis), q = _mm256_and_si256(state, quantiser), entry, odd, m;

	entry = hyc_rans_table8(_mm256_or_si256(_mm256_and_si256(*x, slots), q), table);
	*x = hyc_rans_advance8(*x, entry, w);
	odd = _mm256_and_si256(_mm256_srli_epi32(entry, HYC_TCQ_ODD_BIT), one);
	_mm256_store_si256((__m256i *)trellis, _mm256_xor_si256(_mm256_permutevar8x32_epi32(next, state), odd));
	if (wide) {
		__m256i k = _mm256_srai_epi32(entry, HYC_TCQ_ODD_BIT);
		__m256i sign = _mm256_sign_epi32(_mm256_srli_epi32(q, HYC_RANS_BITS), k);

		m = _mm256_sub_epi32(_mm256_add_epi32(k, k), sign);
	} else {
		m = _mm256_srai_epi32(entry, HYC_TCQ_ODD_BIT + 1);
	}
	return _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(m), _mm256_load_ps(col_scale)), row_scale);
}

/* F16 of eight floats, in the lower halves: F16C is an extension of its own. */
INLINE __m256i to_f16(__m256 f)
{
	const __m256i least = _mm256_set1_epi32(0x38800000), half = _mm256_set1_epi32(0x3f000000);
	__m256i u = _mm256_castps_si256(f), sign = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x8000));
	__m256i normal, tiny;

	u = _mm256_and_si256(u, _mm256_set1_epi32(0x7fffffff));
	normal = _mm256_and_si256(_mm256_srli_epi32(u, 13), _mm256_set1_epi32(1));
	normal = _mm256_add_epi32(_mm256_add_epi32(u, normal), _mm256_set1_epi32(0xfff - (112 << 23)));
	normal = _mm256_min_epi32(_mm256_srai_epi32(normal, 13), _mm256_set1_epi32(0x7c00));
	/* Below 2^-14: next to 1 / 2 a float's last bit is a multiple of 2^-24, and adding rounds to it. */
	tiny = _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(u), _mm256_castsi256_ps(half)));
	tiny = _mm256_sub_epi32(tiny, half);
	return _mm256_or_si256(sign, _mm256_blendv_epi8(normal, tiny, _mm256_cmpgt_epi32(least, u)));
}

/* 8 values of even columns and the 8 to their right, to 16 elements. */
INLINE void emit(uint8_t *out, __m256 even, __m256 odd, uint32_t dtype)
{
	__m256i e = _mm256_castps_si256(even), o = _mm256_castps_si256(odd), bits, lost, up;

	if (dtype == HYC_F32) {
		__m256i a = _mm256_unpacklo_epi32(e, o), b = _mm256_unpackhi_epi32(e, o);

		_mm256_storeu_si256((__m256i *)out, _mm256_permute2x128_si256(a, b, 0x20));
		_mm256_storeu_si256((__m256i *)(out + 32), _mm256_permute2x128_si256(a, b, 0x31));
		return;
	}
	if (dtype == HYC_F16) {
		bits = _mm256_or_si256(to_f16(even), _mm256_slli_epi32(to_f16(odd), 16));
		_mm256_storeu_si256((__m256i *)out, bits);
		return;
	}
	bits = _mm256_blend_epi16(_mm256_srli_epi32(e, 16), o, 0xaa);
	lost = _mm256_blend_epi16(e, _mm256_slli_epi32(o, 16), 0xaa);
	/* Up from a half on; from just a half only if that makes the element even. */
	lost = _mm256_or_si256(lost, _mm256_and_si256(bits, _mm256_set1_epi16(1)));
	up = _mm256_cmpgt_epi16(_mm256_xor_si256(lost, _mm256_set1_epi16(INT16_MIN)), _mm256_setzero_si256());
	_mm256_storeu_si256((__m256i *)out, _mm256_sub_epi16(bits, up));
}

static void start_unit(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *unit, struct unit_state *s)
{
	memset(s->trellis, 0, sizeof s->trellis);
	for (uint32_t j = 0; j < unit->n_cols; j++)
		s->col_scale[j / HYC_RANS_GROUP][j % 2][j / 2 % HYC_RANS_LANES] =
			hyc_tcq_col_scale(&simd->block.object, unit->first_col + j);
	memcpy(s->x, unit->states, sizeof s->x);
	hyc_tcq_words_start(&s->words, unit, simd->src_end);
}

INLINE void decode_group(const struct hyc_tcq_simd *simd, struct unit_state *s, __m256i x[VECTORS], const uint8_t **w,
			 __m256 row_scale, uint32_t group, uint8_t *dst, bool wide)
{
	uint32_t dtype = simd->dtype, bytes = dtype == HYC_F32 ? 4 : 2;
	__m256 value[2][VECTORS];

#pragma GCC unroll 2
	for (unsigned odd = 0; odd < 2; odd++)
#pragma GCC unroll 4
		for (unsigned v = 0; v < VECTORS; v++)
			value[odd][v] = step(simd->table[0], &x[v], &s->trellis[group][odd][8 * v],
					     &s->col_scale[group][odd][8 * v], row_scale, w, wide);
#pragma GCC unroll 4
	for (unsigned v = 0; v < VECTORS; v++)
		emit(dst + ((size_t)group * HYC_RANS_GROUP + 16 * v) * bytes, value[0][v], value[1][v], dtype);
}

INLINE int decode_unit(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *unit, bool wide)
{
	const struct hyc_tcq_object *object = &simd->block.object;
	uint8_t *dst = simd->dst + (unit->first_row * object->cols + unit->first_col) * object->elem_bytes;
	struct unit_state s;
	__m256i x[VECTORS];

	start_unit(simd, unit, &s);
	for (unsigned v = 0; v < VECTORS; v++)
		x[v] = _mm256_load_si256((const __m256i *)&s.x[8 * v]);
	for (uint32_t row = 0; row < unit->n_rows; row++, dst += object->cols * object->elem_bytes) {
		__m256 row_scale = _mm256_set1_ps(hyc_tcq_row_scale(object, simd->block.first_row + unit->first_row + row));
		const uint8_t *w;

		if (!hyc_tcq_words_ready(&s.words))
			return -EBADMSG;
		w = s.words.w;
		for (uint32_t group = 0; group < unit->n_cols / HYC_RANS_GROUP; group++)
			decode_group(simd, &s, x, &w, row_scale, group, dst, wide);
		s.words.w = w;
	}
	for (unsigned v = 0; v < VECTORS; v++)
		_mm256_store_si256((__m256i *)&s.x[8 * v], x[v]);
	return hyc_tcq_simd_end(simd, unit, &s.words, s.x);
}

static int run(const struct hyc_tcq_simd *simd, const struct hyc_tcq_unit *units, unsigned n)
{
	(void)n; /* one at a time: there are too few registers for two */
	/* Lanes of part of a group take part in a step or not: not here. Nor wide levels without a trellis, which are rare. */
	if (units->n_cols % HYC_RANS_GROUP || (simd->wide && !simd->block.object.trellis))
		return hyc_tcq_decode_unit(&simd->block, units, simd->dst, simd->dtype);
	return simd->wide ? decode_unit(simd, units, true) : decode_unit(simd, units, false);
}

int hyc_tcq_decode_avx2(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	struct hyc_tcq_simd simd;
	int result = hyc_tcq_simd_open(&simd, coding, src, src_len, dst, dst_len);

	if (result)
		return result;
	hyc_tcq_simd_tables(&simd);
	return hyc_tcq_simd_units(&simd, 1, run);
}
