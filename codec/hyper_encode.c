/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block is looked at once, which gives the index of every pair; the counts of their symbols make the block's
 * table, and then units are coded. Short blocks are cheaper with the indices as they are.
 */
#include "config.h"

#include "codec/hyper_encode.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "codec/float.h"
#include "codec/hyper_plan.h"
#include "codec/rans_encode.h"

/* The longest units: each costs 132 bytes. */
#define UNIT_LOG2 HYC_HYPER_MAX_UNIT_LOG2
#define UNIT_PAIRS (1u << UNIT_LOG2)
#define EXCEPTION_BITS 32u

struct encoder {
	const struct hyc_hyper_plan *plan;
	size_t n;                         /* pairs */
	uint16_t *index;
	uint8_t *dst;
	size_t room, pos;
	bool full;
	uint32_t count[HYC_RANS_ALPHABET];
	struct hyc_rans_code code;
	uint16_t words[UNIT_PAIRS];       /* of a unit, filled from the end: at most 11 bits a symbol, so never full */
	uint16_t exceptions[2 * UNIT_PAIRS];
};

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

static void pad(struct encoder *enc)
{
	size_t len = hyc_align_up(enc->pos, 16) - enc->pos;
	uint8_t *p = reserve(enc, len);

	if (p)
		memset(p, 0, len);
}

/* The index of a pair, by the last step of the published encoder. */
static uint32_t index_of(const struct hyc_hyper_plan *plan, const float pair[2])
{
	const struct hyc_hyper_object *o = &plan->object;
	const struct hyc_hyper_shells *shells = &plan->shells[o->classes];
	uint32_t class, t;

	if (!o->classes) {
		t = hyc_hyper_find(&plan->finder, (struct hyc_hyper_point) { pair[0], pair[1] });
		return plan->index[t];
	}
	class = hyc_hyper_class(shells, o->classes, 0, hyc_hyper_radius(o, pair)) * !hyc_hyper_inside(o, pair);
	t = hyc_hyper_find(&plan->finder, hyc_hyper_shrink(o, pair, shells->factor[class]));
	return t ? plan->index[t] + class * plan->class_stride : 0;
}

static void add_errors(const float *value, const float *decoded, size_t n, struct hyc_hyper_result *result)
{
	/* Several sums, since an addition takes long. */
	double power[4] = { 0 }, squared[4] = { 0 }, most[4] = { 0 };

	for (size_t i = 0; i < n; i++) {
		double v = value[i], error = fabs(v - decoded[i]);

		power[i % 4] += v * v;
		squared[i % 4] += error * error;
		most[i % 4] = error > most[i % 4] ? error : most[i % 4];
	}
	for (unsigned i = 0; i < 4; i++) {
		result->power += power[i];
		result->squared_error += squared[i];
		result->max_error = most[i] > result->max_error ? most[i] : result->max_error;
	}
}

/* Find all indices, and what they decode to. */
static void quantise(struct encoder *enc, const uint8_t *src, size_t len, uint8_t *decoded,
		     struct hyc_hyper_result *result)
{
	const struct hyc_hyper_plan *plan = enc->plan;
	uint32_t bytes = plan->state->pair_bytes;
	uint16_t *index = enc->index;

	*result = (struct hyc_hyper_result) { 0 };
	for (size_t at = 0; at < len; at += HYC_HYPER_CHUNK * (size_t)bytes, index += HYC_HYPER_CHUNK) {
		float pair[HYC_HYPER_CHUNK][2], back[HYC_HYPER_CHUNK][2];
		size_t n = hyc_hyper_load_pairs(plan, src + at, len - at, pair);
		size_t part = len - at < n * bytes ? len - at : n * bytes;

		for (size_t i = 0; i < n; i++)
			index[i] = (uint16_t)index_of(plan, pair[i]);
		for (size_t i = 0; i < n; i++)
			memcpy(decoded + at + i * bytes, plan->state->pairs + (size_t)index[i] * bytes,
			       part - i * bytes < bytes ? part - i * bytes : bytes);
		hyc_hyper_load_pairs(plan, decoded + at, len - at, back);
		add_errors(&pair[0][0], &back[0][0], part / plan->elem_bytes, result);
	}
}

static void put_indices(struct encoder *enc, enum hyc_hyper_mode mode, size_t n)
{
	uint8_t *p = reserve(enc, HYC_HYPER_HEAD_BYTES + 2 * n);

	if (!p)
		return;
	p[0] = (uint8_t)mode;
	p[1] = 0;
	for (size_t i = 0; i < n; i++)
		hyc_store16(p + HYC_HYPER_HEAD_BYTES + 2 * i, enc->index[i]);
}

/* The planes of w bits of n pairs, from bit `at` of their indices up. */
static void put_plane(struct encoder *enc, const uint16_t *index, size_t n, unsigned w, unsigned at)
{
	size_t row_pairs = 1024 / w;

	for (size_t row = 0; row < n; row += row_pairs) {
		uint32_t word[HYC_RANS_LANES] = { 0 };
		uint8_t *p = reserve(enc, sizeof word);

		for (size_t g = 0; g < row_pairs && row + g < n; g += HYC_RANS_GROUP) {
			size_t len = n - row - g < HYC_RANS_GROUP ? n - row - g : HYC_RANS_GROUP;

			for (size_t e = 0; e < len; e++) {
				uint32_t bits = index[row + g + e] >> at & ((1u << w) - 1);

				word[e / 2] |= bits << (g / 64 * w + 16 * (e % 2));
			}
		}
		for (unsigned l = 0; p && l < HYC_RANS_LANES; l++)
			hyc_store32(p + 4 * l, word[l]);
	}
}

static void put_words(struct encoder *enc, const uint16_t *word, size_t n)
{
	uint8_t *p = reserve(enc, 2 * n);

	for (size_t i = 0; p && i < n; i++)
		hyc_store16(p + 2 * i, word[i]);
	pad(enc);
}

/* Code n indices as a unit, whose directory entry is at dir. */
static void put_unit(struct encoder *enc, const uint16_t *index, size_t n, size_t dir)
{
	const struct hyc_rans_code_symbol *symbol = enc->code.symbol;
	unsigned q = enc->plan->object.tile_log2;
	uint32_t x[HYC_RANS_LANES];
	uint16_t *end = enc->words + UNIT_PAIRS, *w = end;
	size_t n_exceptions = 0;
	uint8_t *out;

	for (size_t e = 0; e < n; e++) {
		uint32_t s = index[e] >> 2 * q;

		if (symbol[s].coded == s)
			continue;
		enc->exceptions[2 * n_exceptions] = (uint16_t)e;
		enc->exceptions[2 * n_exceptions++ + 1] = (uint16_t)s;
	}
	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		x[l] = HYC_RANS_LOW;
	for (size_t first = hyc_align_up(n, HYC_RANS_GROUP); first;) {
		first -= HYC_RANS_GROUP;
		for (unsigned odd = 2; odd-- > 0;)
			for (unsigned l = HYC_RANS_LANES; l-- > 0;) {
				size_t e = first + 2 * l + odd;

				if (e < n)
					w = hyc_rans_put(&x[l], &symbol[symbol[index[e] >> 2 * q].coded], w);
			}
	}
	out = reserve(enc, HYC_RANS_STATES_BYTES);
	for (unsigned l = 0; out && l < HYC_RANS_LANES; l++)
		hyc_store32(out + 4 * l, x[l]);
	put_words(enc, w, (size_t)(end - w));
	put_words(enc, enc->exceptions, 2 * n_exceptions);
	if (q >= 2)
		put_plane(enc, index, n, 4, 0);
	if (q & 1)
		put_plane(enc, index, n, 2, q == 3 ? 4 : 0);
	/* 65536 exceptions do not fit, and no code has so many. */
	if (!enc->full) {
		hyc_store16(enc->dst + dir, (uint16_t)(end - w));
		hyc_store16(enc->dst + dir + 2, (uint16_t)n_exceptions);
	}
}

static void put_rans(struct encoder *enc)
{
	size_t n_units = hyc_div_up(enc->n, UNIT_PAIRS), dir;
	uint8_t *p;

	for (size_t i = 0; i < enc->n; i++)
		enc->count[enc->index[i] >> 2 * enc->plan->object.tile_log2]++;
	hyc_rans_make_code(enc->count, EXCEPTION_BITS, 1, &enc->code);
	p = reserve(enc, HYC_HYPER_HEAD_BYTES + hyc_rans_table_bytes(&enc->code));
	if (!p)
		return;
	p[0] = HYC_HYPER_RANS;
	p[1] = UNIT_LOG2;
	hyc_rans_write_table(&enc->code, p + HYC_HYPER_HEAD_BYTES);
	dir = enc->pos;
	reserve(enc, 4 * n_units);
	pad(enc);
	for (size_t first = 0; first < enc->n && !enc->full; first += UNIT_PAIRS, dir += 4)
		put_unit(enc, enc->index + first, enc->n - first < UNIT_PAIRS ? enc->n - first : UNIT_PAIRS, dir);
}

static bool all_equal(const uint16_t *index, size_t n)
{
	return !memcmp(index, index + 1, (n - 1) * sizeof *index);
}

ssize_t hyc_hyper_encode(const struct hyc_hyper_plan *plan, uint64_t pos, const uint8_t *src, size_t src_len,
			 uint8_t *dst, size_t dst_room, uint8_t *decoded, struct hyc_hyper_result *result)
{
	cleanup_free struct encoder *enc = calloc(1, sizeof *enc);
	cleanup_free uint16_t *index = NULL;
	size_t plain;

	assert(plan->round == HYC_HYPER_ROUNDS && plan->verdict == HYC_HYPER_CODED);
	if (!hyc_hyper_is_part(plan, pos, src_len))
		return -EINVAL;
	if (!enc)
		return -ENOMEM;
	enc->plan = plan;
	enc->dst = dst;
	enc->n = hyc_div_up(src_len, plan->state->pair_bytes);
	enc->index = index = malloc(enc->n * sizeof *index);
	if (!index)
		return -ENOMEM;
	quantise(enc, src, src_len, decoded, result);
	/* What is not shorter than the indices as they are is not worth decoding. */
	plain = HYC_HYPER_HEAD_BYTES + 2 * enc->n;
	enc->room = dst_room < plain ? dst_room : plain;
	if (all_equal(index, enc->n))
		put_indices(enc, HYC_HYPER_CONSTANT, 1);
	else
		put_rans(enc);
	if (enc->full) {
		enc->full = false;
		enc->pos = 0;
		enc->room = dst_room;
		put_indices(enc, HYC_HYPER_PLAIN, enc->n);
	}
	return enc->full || enc->pos >= dst_room ? 0 : (ssize_t)enc->pos;
}
