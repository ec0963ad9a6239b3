/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-Compression with AVX-512: symbols are found by their ranks (codec/rans_rank.h), for two units at once, and
 * the pairs, one after the other, in a copy of the table that has those of the block's symbols only, by rank: the
 * whole one would leave little of the nearest cache. The AVX2 kernel decodes what this one does not take.
 */
#include "config.h"

#include <immintrin.h>

#include "codec/decoders.h"
#include "codec/float.h"
#include "codec/hyper.h"
#include "codec/rans_rank.h"

#define TOGETHER 2u
#define MIN_PAIRS 32768u /* of a block: the tables take longer to make than they save in a smaller one */
/* Of words that a group may look at from its first on. */
#define GROUP_WORD_BYTES (2 * HYC_RANS_STEP32_BYTES)
#define MAX_PAIR_BYTES 65536u
#define PAIR_SLACK 16u /* what put_group may load around a pair */
#define INLINE static inline __attribute__((always_inline))

struct decoder {
	struct hyc_hyper_block block; /* the first, for decode_units */
	struct hyc_rans_ranking ranking;
	_Alignas(64) uint8_t pairs[PAIR_SLACK + MAX_PAIR_BYTES + PAIR_SLACK];
};

/* What is decoded at once: a unit's lanes and planes, and where it goes. */
struct stream {
	struct hyc_rans_lanes32 lanes;
	const uint8_t *four, *two;
	uint8_t *dst;
	size_t groups; /* whole ones */
};

INLINE __m128i load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

/* Where 32 pairs in a row are in the table: ranks above, low parts of 2 q bits below. v is the half of a group. */
INLINE __m512i indices(const struct stream *s, unsigned q, size_t first, unsigned v, __m512i ranks)
{
	const uint8_t *four = s->four + first / 256 * 128 + 64 * v, *two = s->two + first / 512 * 128 + 64 * v;
	__m128i four_shift = _mm_cvtsi32_si128((int)(first % 256 / 64 * 4)), two_shift = _mm_cvtsi32_si128((int)(first % 512 / 64 * 2));
	__m512i index = _mm512_sll_epi16(ranks, _mm_cvtsi32_si128((int)(2 * q))), low;

	if (q >= 2) {
		low = _mm512_srl_epi16(_mm512_loadu_si512(four), four_shift);
		index = _mm512_ternarylogic_epi32(index, low, _mm512_set1_epi16(15), 0xf8);
	}
	if (q & 1) {
		low = _mm512_and_si512(_mm512_srl_epi16(_mm512_loadu_si512(two), two_shift), _mm512_set1_epi16(3));
		index = _mm512_or_si512(index, _mm512_slli_epi16(low, q == 3 ? 4 : 0));
	}
	return index;
}

/*
 * The pairs of a group. Each is loaded so that it is already where it belongs in a vector, and blended in: that
 * takes less than insertions, and than a store for each. What else is loaded is from the pairs around it.
 */
INLINE void put_group(uint8_t *out, const uint8_t *pairs, const uint16_t *index, unsigned bytes)
{
#pragma GCC unroll 16
	for (unsigned i = 0; i < HYC_RANS_GROUP / 4; i++, index += 4, out += (size_t)4 * bytes) {
		uint64_t four = hyc_load64(index);
		const uint8_t *a = pairs + (four & 0xffff) * bytes, *b = pairs + (four >> 16 & 0xffff) * bytes;
		const uint8_t *c = pairs + (four >> 32 & 0xffff) * bytes, *d = pairs + (four >> 48) * bytes;

		if (bytes == 4) {
			__m128i v = _mm_blend_epi32(load(a), load(b - 4), 2);

			v = _mm_blend_epi32(v, load(c - 8), 4);
			_mm_storeu_si128((__m128i *)out, _mm_blend_epi32(v, load(d - 12), 8));
		} else {
			_mm_storeu_si128((__m128i *)out, _mm_blend_epi32(load(a), load(b - 8), 12));
			_mm_storeu_si128((__m128i *)(out + 16), _mm_blend_epi32(load(c), load(d - 8), 12));
		}
	}
}

/*
 * Whole groups of n units at a time from group `from` on, while all have some and their words may be read; one unit is
 * decoded beside itself. Returns where it stopped. The pairs of a group are put while the next one's ranks are found.
 */
INLINE size_t groups(const struct decoder *d, struct stream *streams, unsigned n, size_t from, bool split, unsigned q,
		     unsigned bytes)
{
	_Alignas(64) uint16_t index[TOGETHER][HYC_RANS_GROUP];
	const uint8_t *pairs = d->pairs + PAIR_SLACK;
	struct stream s[TOGETHER];
	size_t group = from;

#pragma GCC unroll 4
	for (unsigned k = 0; k < TOGETHER; k++)
		s[k] = streams[k < n ? k : 0];
	for (;; group++) {
		__m512i even[TOGETHER], odd[TOGETHER];
		size_t first = group * HYC_RANS_GROUP;
		bool safe = true;

#pragma GCC unroll 4
		for (unsigned k = 0; k < n; k++)
			safe = safe && group < s[k].groups && d->block.end - s[k].lanes.words >= (ptrdiff_t)GROUP_WORD_BYTES;
		if (!safe)
			break;
#pragma GCC unroll 2
		for (unsigned k = 0; k < n; k += 2)
			hyc_rans_rank_step(&s[k].lanes, &s[k + 1].lanes, &d->ranking, split, &even[k], &even[k + 1]);
#pragma GCC unroll 2
		for (unsigned k = 0; k < n && group > from; k++)
			put_group(s[k].dst + (first - HYC_RANS_GROUP) * bytes, pairs, index[k], bytes);
#pragma GCC unroll 2
		for (unsigned k = 0; k < n; k += 2)
			hyc_rans_rank_step(&s[k].lanes, &s[k + 1].lanes, &d->ranking, split, &odd[k], &odd[k + 1]);
#pragma GCC unroll 4
		for (unsigned k = 0; k < n; k++) {
#pragma GCC unroll 2
			for (unsigned v = 0; v < 2; v++)
				_mm512_store_si512(&index[k][32 * v],
						   indices(&s[k], q, first, v, hyc_rans_turns(even[k], odd[k], v)));
		}
	}
#pragma GCC unroll 4
	for (unsigned k = 0; k < n; k++) {
		if (group > from)
			put_group(s[k].dst + (group - 1) * HYC_RANS_GROUP * bytes, pairs, index[k], bytes);
		streams[k] = s[k];
	}
	return group;
}

INLINE int decode(const struct decoder *d, const struct hyc_hyper_unit *units, const struct hyc_hyper_state *state,
		  uint8_t *const *dst, const size_t *len, unsigned n, bool split, unsigned q, unsigned bytes)
{
	struct stream streams[TOGETHER];
	uint32_t x[HYC_RANS_LANES];
	size_t done = 0, end;
	int result = 0;

	for (unsigned k = 0; k < n; k++) {
		streams[k].lanes = hyc_rans_start32(units[k].states, units[k].words);
		streams[k].four = streams[k].two = units[k].planes;
		if (q == 3)
			streams[k].two += hyc_float_raw_bytes(4, units[k].n);
		streams[k].dst = dst[k];
		streams[k].groups = len[k] / ((size_t)bytes * HYC_RANS_GROUP);
	}
	if (n == TOGETHER)
		done = groups(d, streams, TOGETHER, 0, split, q, bytes);
	for (unsigned k = 0; !result && k < n; k++) {
		end = groups(d, &streams[k], 1, done, split, q, bytes);
		hyc_rans_stop32(&streams[k].lanes, x);
		result = hyc_hyper_finish(&d->block, &units[k], state, x, streams[k].lanes.words, end * HYC_RANS_GROUP,
					  dst[k], len[k]);
	}
	return result;
}

static int decode_units(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *units,
			const struct hyc_hyper_state *state, uint8_t *const *dst, const size_t *len, unsigned n)
{
	const struct decoder *d = (const struct decoder *)(const void *)block;
	bool split = d->ranking.split < HYC_RANS_OCTETS;
	unsigned q = state->object.tile_log2;

	if (state->pair_bytes == 8)
		return decode(d, units, state, dst, len, n, true, q, 8);
	if (q != 2)
		return decode(d, units, state, dst, len, n, true, q, 4);
	return split ? decode(d, units, state, dst, len, n, true, 2, 4) :
		       decode(d, units, state, dst, len, n, false, 2, 4);
}

/* False where the AVX2 kernel is to decode the block. */
static bool prepare(struct decoder *d, const struct hyc_hyper_state *state)
{
	size_t bytes = (size_t)state->pair_bytes << 2 * state->object.tile_log2;

	if (d->block.mode != HYC_HYPER_RANS || d->block.n < MIN_PAIRS || !hyc_rans_ranking_init(&d->ranking, d->block.table) ||
	    d->ranking.n * bytes > MAX_PAIR_BYTES)
		return false;
	for (size_t i = 0; i < d->ranking.n; i++)
		memcpy(d->pairs + PAIR_SLACK + i * bytes, state->pairs + d->ranking.symbol[i] * bytes, bytes);
	return true;
}

int hyc_hyper_decode_avx512(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst,
			    size_t dst_len)
{
	const struct hyc_hyper_state *state = coding->state;
	struct decoder d;
	int result = hyc_hyper_parse(coding, &state->object, src, src_len, dst_len, &d.block);

	if (result)
		return result;
	if (!prepare(&d, state))
		return hyc_hyper_block_avx2(&d.block, state, dst, dst_len);
	return hyc_hyper_decode_by(&d.block, state, dst, dst_len, TOGETHER, decode_units);
}
