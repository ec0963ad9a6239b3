/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-Compression: the plain C reference decoder. All floating point is in the table of pairs, which is
 * built once for an object; a block is decoded by looking pairs up in it.
 */
#include "config.h"

#include "codec/hyper.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "codec/decoders.h"
#include "codec/float.h"
#include "codec/half.h"
#include "format/dtype.h"

/* So far from zero that no pair can leave the finite numbers of the dtype. */
#define LIMIT_F16 65504.0
#define LIMIT 0x1p126

_Static_assert((HYC_HYPER_MAX_CLASSES + 1) * 64 + 1 <= HYC_RANS_ALPHABET, "the largest tiles always fit");

int hyc_hyper_object_settle(uint32_t dtype, struct hyc_hyper_object *o)
{
	double half = o->side / 2, reach = o->radius > half ? o->radius : half;
	double center = fabs(o->cx) > fabs(o->cy) ? fabs(o->cx) : fabs(o->cy);

	if (dtype != HYC_BF16 && dtype != HYC_F16 && dtype != HYC_F32)
		return -EBADMSG;
	/* Written so that a NaN is refused. */
	if (!(o->side >= HYC_HYPER_MIN_SIDE && o->side <= HYC_HYPER_MAX_SIDE) || !(o->dx > 0 && o->dx < o->side) ||
	    !(o->dy > 0 && o->dy < o->side) || !(o->radius >= (o->classes ? half / 2 : 0)) || isnan(o->cx) ||
	    isnan(o->cy))
		return -EBADMSG;
	if (!(center + reach <= (dtype == HYC_F16 ? LIMIT_F16 : LIMIT)))
		return -EBADMSG;
	if (o->nodes < HYC_HYPER_MIN_NODES || o->nodes > HYC_HYPER_MAX_NODES || o->classes > HYC_HYPER_MAX_CLASSES ||
	    o->tile_log2 > HYC_HYPER_MAX_TILE_LOG2)
		return -EBADMSG;
	o->grid = 2;
	while (o->grid * o->grid < o->nodes)
		o->grid++;
	o->tiles_per_column = (o->grid + (1u << o->tile_log2) - 1) >> o->tile_log2;
	o->tiles = o->tiles_per_column * o->tiles_per_column;
	o->symbols = (o->classes + 1) * o->tiles + 1;
	return o->symbols <= HYC_RANS_ALPHABET ? 0 : -EBADMSG;
}

static double load_f64(const uint8_t *p)
{
	uint64_t u = hyc_load64(p);
	double d;

	memcpy(&d, &u, sizeof d);
	return d;
}

static void store_f64(uint8_t *p, double d)
{
	uint64_t u;

	memcpy(&u, &d, sizeof u);
	hyc_store64(p, u);
}

int hyc_hyper_parse_params(const struct hyc_coding *coding, struct hyc_hyper_object *object)
{
	const uint8_t *p = coding->params;

	if (coding->params_len != HYC_HYPER_PARAMS_BYTES)
		return -EBADMSG;
	*object = (struct hyc_hyper_object) {
		.side = load_f64(p),
		.dx = load_f64(p + 8),
		.dy = load_f64(p + 16),
		.cx = hyc_bits_float(hyc_load32(p + 24)),
		.cy = hyc_bits_float(hyc_load32(p + 28)),
		.radius = hyc_bits_float(hyc_load32(p + 32)),
		.nodes = hyc_load16(p + 36),
		.classes = p[38],
		.tile_log2 = p[39],
	};
	return hyc_hyper_object_settle(coding->dtype, object);
}

void hyc_hyper_write_params(const struct hyc_hyper_object *object, uint8_t *p)
{
	store_f64(p, object->side);
	store_f64(p + 8, object->dx);
	store_f64(p + 16, object->dy);
	hyc_store32(p + 24, hyc_float_bits(object->cx));
	hyc_store32(p + 28, hyc_float_bits(object->cy));
	hyc_store32(p + 32, hyc_float_bits(object->radius));
	hyc_store16(p + 36, (uint16_t)object->nodes);
	p[38] = (uint8_t)object->classes;
	p[39] = (uint8_t)object->tile_log2;
}

/* fmod(steps * d, side), without the library where nothing wraps. */
static double wrapped(uint32_t steps, double d, double side)
{
	double way = steps * d;

	return way < side ? way : fmod(way, side);
}

void hyc_hyper_node(const struct hyc_hyper_object *o, uint32_t node, double xy[2])
{
	xy[0] = o->cx;
	xy[1] = o->cy;
	if (!node)
		return;
	xy[0] = wrapped(node - 1, o->dx, o->side) + (xy[0] - o->side / 2);
	xy[1] = wrapped(node - 1, o->dy, o->side) + (xy[1] - o->side / 2);
}

void hyc_hyper_value(const struct hyc_hyper_object *o, uint32_t class, const double node[2], float xy[2])
{
	double half = o->side / 2, factor;

	if (!o->classes) {
		xy[0] = (float)node[0];
		xy[1] = (float)node[1];
		return;
	}
	factor = half / (half + class * ((o->radius - half) / o->classes));
	xy[0] = (float)((node[0] - o->cx) / factor + o->cx);
	xy[1] = (float)((node[1] - o->cy) / factor + o->cy);
}

static void put_pair(struct hyc_hyper_state *state, uint32_t dtype, uint32_t index, const float xy[2])
{
	uint8_t *p = state->pairs + (size_t)index * state->pair_bytes;

	for (unsigned i = 0; i < 2; i++) {
		if (dtype == HYC_F32)
			hyc_store32(p + 4 * i, hyc_float_bits(xy[i]));
		else
			hyc_store16(p + 2 * i, dtype == HYC_BF16 ? hyc_float_to_bf16(xy[i]) : hyc_float_to_f16(xy[i]));
	}
}

size_t hyc_hyper_state_bytes(const struct hyc_coding *coding)
{
	struct hyc_hyper_object object;

	if (hyc_hyper_parse_params(coding, &object))
		return sizeof(struct hyc_hyper_state);
	return sizeof(struct hyc_hyper_state) + (size_t)hyc_hyper_entries(&object) * 2 * hyc_dtype_bytes(coding->dtype);
}

void hyc_hyper_build(const struct hyc_coding *coding, void *memory)
{
	struct hyc_hyper_state *state = memory;
	const struct hyc_hyper_object *o = &state->object;
	double node[2];
	float xy[2];

	/* What did not pass check gets an empty table, which every decoder refuses. */
	if (hyc_hyper_parse_params(coding, &state->object)) {
		state->object.symbols = 0;
		return;
	}
	state->pair_bytes = 2 * hyc_dtype_bytes(coding->dtype);
	/* Indices no node has stand for the centroid. */
	hyc_hyper_node(o, 0, node);
	hyc_hyper_value(o, 0, node, xy);
	for (uint32_t i = 0; i < hyc_hyper_entries(o); i++)
		put_pair(state, coding->dtype, i, xy);
	for (uint32_t t = 1; t <= o->nodes; t++) {
		hyc_hyper_node(o, t, node);
		for (uint32_t k = 0; k <= o->classes; k++) {
			hyc_hyper_value(o, k, node, xy);
			put_pair(state, coding->dtype, hyc_hyper_index(o, k, t), xy);
		}
	}
}

int hyc_hyper_check(const struct hyc_coding *coding)
{
	struct hyc_hyper_object object;

	return hyc_hyper_parse_params(coding, &object);
}

static size_t unit_pairs(const struct hyc_hyper_block *block, size_t i)
{
	size_t left = block->n - (i << block->unit_log2), full = (size_t)1 << block->unit_log2;

	return left < full ? left : full;
}

/* Pairs of the block of len bytes at coding->pos; 0 where it is not a run of whole pairs of the object. */
static size_t block_pairs(const struct hyc_coding *coding, size_t len)
{
	size_t elem_bytes = hyc_dtype_bytes(coding->dtype), n = len / elem_bytes;
	uint64_t total;

	if (!len || len > HYC_HYPER_MAX_BLOCK || len % elem_bytes || coding->pos % (2 * elem_bytes) ||
	    hyc_mul_overflows(coding->rows, coding->cols, &total) || !hyc_range_ok(coding->pos / elem_bytes, n, total))
		return 0;
	/* Half a pair only where the object ends. */
	if (n % 2 && coding->pos / elem_bytes + n != total)
		return 0;
	return (n + 1) / 2;
}

static size_t unit_bytes(const struct hyc_hyper_unit *unit, const struct hyc_hyper_object *object)
{
	return HYC_RANS_STATES_BYTES + hyc_align_up(2 * (size_t)unit->n_words, 16) +
	       hyc_align_up(4 * (size_t)unit->n_exceptions, 16) + hyc_float_raw_bytes(2 * object->tile_log2, unit->n);
}

static void read_directory(const struct hyc_hyper_block *block, size_t i, struct hyc_hyper_unit *unit)
{
	unit->n = unit_pairs(block, i);
	unit->n_words = hyc_load16(block->directory + 4 * i);
	unit->n_exceptions = hyc_load16(block->directory + 4 * i + 2);
}

void hyc_hyper_unit(const struct hyc_hyper_block *block, const struct hyc_hyper_object *object, size_t i,
		    const uint8_t **pos, struct hyc_hyper_unit *unit)
{
	read_directory(block, i, unit);
	unit->states = *pos;
	unit->words = unit->states + HYC_RANS_STATES_BYTES;
	unit->exceptions = unit->words + hyc_align_up(2 * (size_t)unit->n_words, 16);
	unit->planes = unit->exceptions + hyc_align_up(4 * (size_t)unit->n_exceptions, 16);
	*pos += unit_bytes(unit, object);
}

static int parse_rans(const struct hyc_hyper_object *object, const uint8_t *src, size_t src_len,
		      struct hyc_hyper_block *block)
{
	size_t pos = HYC_HYPER_HEAD_BYTES, got, n_units, bytes = 0;

	block->unit_log2 = src[1];
	if (block->unit_log2 < HYC_HYPER_MIN_UNIT_LOG2 || block->unit_log2 > HYC_HYPER_MAX_UNIT_LOG2)
		return -EBADMSG;
	got = hyc_rans_read_table(src + pos, src_len - pos, 10, block->table);
	/* Symbols ascend with the slots. */
	if (!got || hyc_rans_symbol(block->table[HYC_RANS_SLOTS - 1]) >= object->symbols)
		return -EBADMSG;
	pos += got;
	n_units = ((block->n - 1) >> block->unit_log2) + 1;
	block->directory = src + pos;
	pos = hyc_align_up(pos + 4 * n_units, 16);
	if (pos > src_len)
		return -EBADMSG;
	block->units = src + pos;
	for (size_t i = 0; i < n_units; i++) {
		struct hyc_hyper_unit unit;

		read_directory(block, i, &unit);
		bytes += unit_bytes(&unit, object);
	}
	return bytes == src_len - pos ? 0 : -EBADMSG;
}

int hyc_hyper_parse(const struct hyc_coding *coding, const struct hyc_hyper_object *object, const uint8_t *src,
		    size_t src_len, size_t dst_len, struct hyc_hyper_block *block)
{
	block->n = object->symbols ? block_pairs(coding, dst_len) : 0;
	if (!block->n || src_len < HYC_HYPER_HEAD_BYTES)
		return -EBADMSG;
	block->mode = src[0];
	block->end = src + src_len;
	block->indices = src + HYC_HYPER_HEAD_BYTES;
	switch (src[0]) {
	case HYC_HYPER_CONSTANT:
		return src_len == HYC_HYPER_HEAD_BYTES + 2 ? 0 : -EBADMSG;
	case HYC_HYPER_PLAIN:
		return src_len == HYC_HYPER_HEAD_BYTES + 2 * block->n ? 0 : -EBADMSG;
	case HYC_HYPER_RANS:
		return parse_rans(object, src, src_len, block);
	default:
		return -EBADMSG;
	}
}

/* Indices that are stored as they are: one for all pairs, or one for each. */
static int decode_indices(const struct hyc_hyper_block *block, const struct hyc_hyper_state *state, uint8_t *dst,
			  size_t dst_len)
{
	uint32_t entries = hyc_hyper_entries(&state->object), bytes = state->pair_bytes;
	bool plain = block->mode == HYC_HYPER_PLAIN;

	for (size_t i = 0; i < block->n; i++) {
		uint32_t index = hyc_load16(block->indices + (plain ? 2 * i : 0));

		if (index >= entries)
			return -EBADMSG;
		memcpy(dst + i * bytes, state->pairs + (size_t)index * bytes,
		       dst_len - i * bytes < bytes ? dst_len - i * bytes : bytes);
	}
	return 0;
}

/* The raw bits of the 64 pairs from `first` on: those of pairs 2l and 2l + 1 in the halves of raw[l]. */
static inline __attribute__((always_inline)) void load_raw(const struct hyc_hyper_unit *unit, unsigned q, size_t first,
							   uint32_t raw[HYC_RANS_LANES])
{
	const uint8_t *four = unit->planes + first / 256 * 128, *two = unit->planes;
	unsigned four_shift = (unsigned)(first % 256 / 64 * 4), two_shift = (unsigned)(first % 512 / 64 * 2);

	if (q == 3)
		two += hyc_float_raw_bytes(4, unit->n);
	two += first / 512 * 128;
	for (unsigned l = 0; l < HYC_RANS_LANES; l++) {
		uint32_t v = 0;

		if (q >= 2)
			v = hyc_load32(four + 4 * l) >> four_shift & 0x000f000f;
		if (q & 1)
			v |= (hyc_load32(two + 4 * l) >> two_shift & 0x00030003) << (q == 3 ? 4 : 0);
		raw[l] = v;
	}
}

/* One group of n <= 64 pairs to out, which has room for 64. Words are read from [w, end); NULL where they run out. */
static inline __attribute__((always_inline)) const uint8_t *
decode_group(uint32_t *x, const uint32_t *table, const uint32_t *raw, const uint8_t *w, const uint8_t *end,
	     const struct hyc_hyper_state *state, unsigned q, unsigned bytes, uint8_t *out, size_t n)
{
	static const uint8_t none[2];
	bool safe = n == HYC_RANS_GROUP && end - w >= 2 * (int)HYC_RANS_GROUP;

	for (unsigned odd = 0; safe && odd < 2; odd++) {
		for (unsigned l = 0; l < HYC_RANS_LANES; l++) {
			uint32_t symbol = hyc_rans_step(&x[l], table, &w);
			size_t index = symbol << 2 * q | (raw[l] >> 16 * odd & 0xffff);

			memcpy(out + (2 * l + odd) * bytes, state->pairs + index * bytes, bytes);
		}
	}
	for (unsigned odd = 0; !safe && odd < 2; odd++) {
		for (unsigned l = 0; 2 * l + odd < n; l++) {
			const uint8_t *at = w < end ? w : none, *before = at;
			uint32_t symbol = hyc_rans_step(&x[l], table, &at);
			size_t index = symbol << 2 * q | (raw[l] >> 16 * odd & 0xffff);

			if (at != before && w == end)
				return NULL;
			w += at - before;
			memcpy(out + (2 * l + odd) * bytes, state->pairs + index * bytes, bytes);
		}
	}
	return w;
}

/* The bits of pair e in a plane of w bits. */
static uint32_t plane_bits(const uint8_t *plane, unsigned w, size_t e)
{
	size_t row = 1024 / w;
	const uint8_t *word = plane + e / row * 128 + e / 2 % HYC_RANS_LANES * 4;

	return hyc_load32(word) >> (e % row / 64 * w + 16 * (e % 2)) & ((1u << w) - 1);
}

static int apply_exceptions(const struct hyc_hyper_unit *unit, const struct hyc_hyper_state *state, uint8_t *dst,
			    size_t dst_len)
{
	unsigned q = state->object.tile_log2;
	const uint8_t *two = unit->planes + (q == 3 ? hyc_float_raw_bytes(4, unit->n) : 0);
	uint32_t bytes = state->pair_bytes;

	for (uint32_t i = 0; i < unit->n_exceptions; i++) {
		size_t e = hyc_load16(unit->exceptions + 4 * i), at = e * bytes, index;
		uint32_t symbol = hyc_load16(unit->exceptions + 4 * i + 2), raw = 0;

		if (e >= unit->n || symbol >= state->object.symbols)
			return -EBADMSG;
		if (q >= 2)
			raw = plane_bits(unit->planes, 4, e);
		if (q & 1)
			raw |= plane_bits(two, 2, e) << (q == 3 ? 4 : 0);
		index = symbol << 2 * q | raw;
		memcpy(dst + at, state->pairs + index * bytes, dst_len - at < bytes ? dst_len - at : bytes);
	}
	return 0;
}

static inline __attribute__((always_inline)) int
finish_unit(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *unit, const struct hyc_hyper_state *state,
	    uint32_t x[HYC_RANS_LANES], const uint8_t *w, size_t first, uint8_t *dst, size_t dst_len, unsigned bytes)
{
	const uint8_t *end = unit->words + 2 * (size_t)unit->n_words;
	unsigned q = state->object.tile_log2;
	uint32_t raw[HYC_RANS_LANES] = { 0 };

	for (; first < unit->n; first += HYC_RANS_GROUP) {
		size_t n = unit->n - first < HYC_RANS_GROUP ? unit->n - first : HYC_RANS_GROUP;
		size_t left = dst_len - first * bytes;
		uint8_t part[8 * HYC_RANS_GROUP], *to = dst + first * bytes;
		uint8_t *out = left < bytes * HYC_RANS_GROUP ? part : to;

		if (q)
			load_raw(unit, q, first, raw);
		w = decode_group(x, block->table, raw, w, end, state, q, bytes, out, n);
		if (!w)
			return -EBADMSG;
		if (out == part)
			memcpy(to, part, left);
	}
	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		if (x[l] != HYC_RANS_LOW)
			return -EBADMSG;
	return w == end ? apply_exceptions(unit, state, dst, dst_len) : -EBADMSG;
}

int hyc_hyper_finish(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *unit,
		     const struct hyc_hyper_state *state, uint32_t x[HYC_RANS_LANES], const uint8_t *w, size_t first,
		     uint8_t *dst, size_t dst_len)
{
	if (state->pair_bytes == 4)
		return finish_unit(block, unit, state, x, w, first, dst, dst_len, 4);
	return finish_unit(block, unit, state, x, w, first, dst, dst_len, 8);
}

static int decode_unit(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *units,
		       const struct hyc_hyper_state *state, uint8_t *const *dst, const size_t *len, unsigned n)
{
	uint32_t x[HYC_RANS_LANES];

	(void)n; /* one at a time */
	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		x[l] = hyc_load32(units->states + 4 * l);
	return hyc_hyper_finish(block, units, state, x, units->words, 0, *dst, *len);
}

int hyc_hyper_decode_by(const struct hyc_hyper_block *block, const struct hyc_hyper_state *state, uint8_t *dst,
			size_t dst_len, unsigned together, hyc_hyper_decode_units *decode_units)
{
	size_t n_units, unit_bytes;
	const uint8_t *pos;
	unsigned n;
	int result = 0;

	if (block->mode != HYC_HYPER_RANS)
		return decode_indices(block, state, dst, dst_len);
	pos = block->units;
	n_units = ((block->n - 1) >> block->unit_log2) + 1;
	unit_bytes = ((size_t)1 << block->unit_log2) * state->pair_bytes;
	for (size_t i = 0; !result && i < n_units; i += n) {
		struct hyc_hyper_unit units[HYC_HYPER_MOST_TOGETHER];
		uint8_t *to[HYC_HYPER_MOST_TOGETHER];
		size_t len[HYC_HYPER_MOST_TOGETHER];

		for (n = 0; n < together && i + n < n_units; n++) {
			hyc_hyper_unit(block, &state->object, i + n, &pos, &units[n]);
			to[n] = dst;
			len[n] = dst_len < unit_bytes ? dst_len : unit_bytes;
			dst += len[n];
			dst_len -= len[n];
		}
		result = decode_units(block, units, state, to, len, n);
	}
	return result;
}

int hyc_hyper_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	const struct hyc_hyper_state *state = coding->state;
	struct hyc_hyper_block block;
	int result = hyc_hyper_parse(coding, &state->object, src, src_len, dst_len, &block);

	return result ? result : hyc_hyper_decode_by(&block, state, dst, dst_len, 1, decode_unit);
}
