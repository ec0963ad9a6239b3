/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lossless floats: the plain C reference decoder. Each field of a unit is decoded in
 * one pass that ORs its bits into the output, so no scratch memory is needed; a unit's
 * output (at most 256 KiB) stays in the cache between passes.
 */
#include "config.h"

#include "codec/float.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "codec/decoders.h"
#include "codec/encode.h"
#include "format/dtype.h"

const struct hyc_float_layout *hyc_float_layout(uint32_t dtype)
{
	switch (dtype) {
	case HYC_BF16:
		return &hyc_float_bf16;
	case HYC_F16:
		return &hyc_float_f16;
	case HYC_F32:
	case HYC_C64:
		return &hyc_float_f32;
	case HYC_F8_E4M3:
	case HYC_F8_E5M2:
	case HYC_F8_E4M3FNUZ:
	case HYC_F8_E5M2FNUZ:
	case HYC_F8_E8M0:
	case HYC_I8:
	case HYC_U8:
	case HYC_BOOL:
	case HYC_F4:
	case HYC_F6_E2M3:
	case HYC_F6_E3M2:
		return &hyc_float_byte;
	default:
		return NULL;
	}
}

int hyc_float_takes(uint32_t dtype)
{
	return hyc_float_layout(dtype) != NULL;
}

size_t hyc_float_raw_bytes(unsigned b, size_t n)
{
	size_t bytes = 0;

	for (unsigned w = 8; w; w /= 2)
		if (b & w)
			bytes += hyc_float_plane_bytes(w, n);
	return bytes;
}

/* Bytes of a rans stream that follow its states. */
static size_t stream_tail(uint32_t n_words, uint32_t n_exceptions)
{
	return hyc_align_up(2 * (size_t)n_words, 16) + hyc_align_up(4 * (size_t)n_exceptions, 16);
}

static size_t unit_elements(const struct hyc_float_block *block, size_t unit)
{
	size_t left = block->n - (unit << block->unit_log2);
	size_t full = (size_t)1 << block->unit_log2;

	return left < full ? left : full;
}

/* Bytes of a unit by the directory. */
static size_t unit_bytes(const struct hyc_float_block *block, size_t unit)
{
	const uint8_t *dir = block->directory + unit * block->n_streams * 4;
	size_t n = unit_elements(block, unit), bytes = 0;

	for (unsigned f = 0; f < block->layout->n_fields; f++) {
		if (block->mode[f] == HYC_FLOAT_RAW) {
			bytes += hyc_float_raw_bytes(block->layout->field[f].bits, n);
		} else if (block->mode[f] == HYC_FLOAT_RANS) {
			bytes += HYC_RANS_STATES_BYTES + stream_tail(hyc_load16(dir), hyc_load16(dir + 2));
			dir += 4;
		}
	}
	return bytes;
}

/* Modes, constants and tables. Returns the bytes read, or 0. */
static size_t parse_header(const uint8_t *src, size_t src_len, struct hyc_float_block *block)
{
	const struct hyc_float_layout *layout = block->layout;
	size_t pos = hyc_align_up(1 + (size_t)layout->n_fields, 2), got;

	if (src_len < pos)
		return 0;
	block->unit_log2 = src[0];
	if (block->unit_log2 < HYC_FLOAT_MIN_UNIT_LOG2 || block->unit_log2 > HYC_FLOAT_MAX_UNIT_LOG2)
		return 0;
	block->n_streams = 0;
	for (unsigned f = 0; f < layout->n_fields; f++) {
		unsigned b = layout->field[f].bits;

		block->mode[f] = src[1 + f];
		switch (block->mode[f]) {
		case HYC_FLOAT_CONSTANT:
			if (src_len - pos < 2)
				return 0;
			block->constant[f] = hyc_load16(src + pos);
			pos += 2;
			if (block->constant[f] >> b)
				return 0;
			break;
		case HYC_FLOAT_RAW:
			if (f == 0 && b != 8)
				return 0;
			break;
		case HYC_FLOAT_RANS:
			got = hyc_rans_read_table(src + pos, src_len - pos, b, block->table[f]);
			if (!got)
				return 0;
			pos += got;
			block->n_streams++;
			break;
		default:
			return 0;
		}
	}
	return pos;
}

int hyc_float_parse(uint32_t dtype, const uint8_t *src, size_t src_len, size_t dst_len, struct hyc_float_block *block)
{
	size_t pos, n_units, units_bytes = 0;

	block->layout = hyc_float_layout(dtype);
	if (!block->layout || !dst_len || dst_len > HYC_FLOAT_MAX_BLOCK || dst_len % block->layout->elem_bytes)
		return -EBADMSG;
	block->n = dst_len / block->layout->elem_bytes;
	pos = parse_header(src, src_len, block);
	if (!pos)
		return -EBADMSG;
	n_units = ((block->n - 1) >> block->unit_log2) + 1;
	block->directory = src + pos;
	pos = hyc_align_up(pos + n_units * block->n_streams * 4, 16);
	if (pos > src_len)
		return -EBADMSG;
	block->units = src + pos;
	block->end = src + src_len;
	for (size_t unit = 0; unit < n_units; unit++)
		units_bytes += unit_bytes(block, unit);
	return units_bytes == src_len - pos ? 0 : -EBADMSG;
}

void hyc_float_unit(const struct hyc_float_block *block, size_t i, const uint8_t **pos, struct hyc_float_unit *unit)
{
	const uint8_t *dir = block->directory + i * block->n_streams * 4, *p = *pos;

	unit->n = unit_elements(block, i);
	for (unsigned f = 0; f < block->layout->n_fields; f++) {
		if (block->mode[f] == HYC_FLOAT_RAW) {
			unit->raw[f] = p;
			p += hyc_float_raw_bytes(block->layout->field[f].bits, unit->n);
		} else if (block->mode[f] == HYC_FLOAT_RANS) {
			struct hyc_float_stream *s = &unit->stream[f];

			s->n_words = hyc_load16(dir);
			s->n_exceptions = hyc_load16(dir + 2);
			dir += 4;
			s->states = p;
			s->words = p + HYC_RANS_STATES_BYTES;
			s->exceptions = s->words + hyc_align_up(2 * (size_t)s->n_words, 16);
			p = s->words + stream_tail(s->n_words, s->n_exceptions);
		}
	}
	*pos = p;
}

void hyc_float_start(const struct hyc_float_stream *stream, struct hyc_float_lanes *lanes)
{
	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		lanes->x[l] = hyc_load32(stream->states + 4 * l);
	lanes->words = stream->words;
}

/* Elements of 1, 2 and 4 bytes at any alignment. */
static inline uint32_t load_elem(const uint8_t *p, unsigned bytes)
{
	return bytes == 1 ? *p : bytes == 2 ? hyc_load16(p) : hyc_load32(p);
}

static inline void store_elem(uint8_t *p, unsigned bytes, uint32_t v)
{
	if (bytes == 1)
		*p = (uint8_t)v;
	else if (bytes == 2)
		hyc_store16(p, (uint16_t)v);
	else
		hyc_store32(p, v);
}

static inline void or_elem(uint8_t *dst, unsigned bytes, size_t e, uint32_t v)
{
	store_elem(dst + e * bytes, bytes, load_elem(dst + e * bytes, bytes) | v);
}

/* The symbols of one group of n <= 64. Words are read from [w, end) only; returns where it stopped, NULL where they ran out. */
static const uint8_t *rans_group(uint32_t *x, const uint32_t *table, const uint8_t *w, const uint8_t *end, uint16_t *symbol,
				 size_t n)
{
	static const uint8_t none[2];

	if (n == HYC_RANS_GROUP && end - w >= 2 * (int)HYC_RANS_GROUP) {
		for (unsigned odd = 0; odd < 2; odd++)
#pragma GCC unroll 32
			for (unsigned l = 0; l < HYC_RANS_LANES; l++)
				symbol[2 * l + odd] = (uint16_t)hyc_rans_step(&x[l], table, &w);
		return w;
	}
	for (unsigned odd = 0; odd < 2; odd++) {
		for (unsigned l = 0; 2 * l + odd < n; l++) {
			const uint8_t *at = w < end ? w : none, *before = at;

			symbol[2 * l + odd] = (uint16_t)hyc_rans_step(&x[l], table, &at);
			if (at != before && w == end)
				return NULL;
			w += at - before;
		}
	}
	return w;
}

static inline __attribute__((always_inline)) int
rans_pass(const struct hyc_float_stream *s, const struct hyc_float_lanes *lanes, struct hyc_float_field field,
	  const uint32_t *table, uint8_t *dst, size_t done, size_t n, unsigned bytes)
{
	uint32_t x[HYC_RANS_LANES];
	uint16_t symbol[HYC_RANS_GROUP];
	const uint8_t *w = lanes->words, *end = s->words + 2 * (size_t)s->n_words;

	if (w > end)
		return -EBADMSG;
	memcpy(x, lanes->x, sizeof x);
	for (size_t group = done; group < n; group += HYC_RANS_GROUP) {
		size_t len = n - group < HYC_RANS_GROUP ? n - group : HYC_RANS_GROUP;

		w = rans_group(x, table, w, end, symbol, len);
		if (!w)
			return -EBADMSG;
		for (size_t e = 0; e < len; e++)
			or_elem(dst, bytes, group + e, hyc_float_place(field, symbol[e]));
	}
	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		if (x[l] != HYC_RANS_LOW)
			return -EBADMSG;
	return w == end ? 0 : -EBADMSG;
}

static int exceptions_pass(const struct hyc_float_stream *s, struct hyc_float_field field, uint8_t *dst, size_t n,
			   unsigned bytes)
{
	uint32_t keep = ~hyc_float_place(field, (1u << field.bits) - 1);

	for (uint32_t i = 0; i < s->n_exceptions; i++) {
		uint32_t e = hyc_load16(s->exceptions + 4 * i), symbol = hyc_load16(s->exceptions + 4 * i + 2);
		uint32_t elem;

		if (e >= n || symbol >> field.bits)
			return -EBADMSG;
		elem = load_elem(dst + (size_t)e * bytes, bytes);
		store_elem(dst + (size_t)e * bytes, bytes, (elem & keep) | hyc_float_place(field, symbol));
	}
	return 0;
}

/* A plane of w bits whose bits stand at bit `at` of the field. */
static inline __attribute__((always_inline)) const uint8_t *
plane_pass(const uint8_t *src, unsigned w, unsigned at, struct hyc_float_field field, uint8_t *dst, size_t done,
	   size_t n, unsigned bytes)
{
	size_t row_elems = 1024 / w;

	if (w == 8) {
		for (size_t e = done; e < n; e++)
			or_elem(dst, bytes, e, hyc_float_place(field, (uint32_t)src[e] << at));
		return src + hyc_align_up(n, 16);
	}
	for (size_t group = done; group < n; group += HYC_RANS_GROUP) {
		size_t len = n - group < HYC_RANS_GROUP ? n - group : HYC_RANS_GROUP;
		const uint8_t *row = src + group / row_elems * 128;
		unsigned shift = (unsigned)(group % row_elems) / HYC_RANS_GROUP * w;

		for (size_t e = 0; e < len; e++) {
			uint32_t v = hyc_load32(row + e / 2 * 4) >> (shift + 16 * (e % 2)) & ((1u << w) - 1);

			or_elem(dst, bytes, group + e, hyc_float_place(field, v << at));
		}
	}
	src += hyc_div_up(n, row_elems) * 128;
	return src;
}

/* layout by value and constant where this is inlined, so that each field becomes a loop with constant shifts. */
static inline __attribute__((always_inline)) int
finish_unit(const struct hyc_float_block *block, struct hyc_float_layout layout, const struct hyc_float_unit *unit,
	    const struct hyc_float_lanes *lanes, uint8_t *dst, size_t done)
{
	unsigned bytes = layout.elem_bytes;
	size_t n = unit->n;
	uint32_t base = 0;

	for (unsigned f = 0; f < layout.n_fields; f++)
		if (block->mode[f] == HYC_FLOAT_CONSTANT)
			base |= hyc_float_place(layout.field[f], block->constant[f]);
	for (size_t e = done; e < n; e++)
		store_elem(dst + e * bytes, bytes, base);
#pragma GCC unroll 4
	for (unsigned f = 0; f < layout.n_fields; f++) {
		struct hyc_float_field field = layout.field[f];

		if (block->mode[f] == HYC_FLOAT_RAW) {
			const uint8_t *p = unit->raw[f];

			if (field.bits & 8)
				p = plane_pass(p, 8, 0, field, dst, done, n, bytes);
			if (field.bits & 4)
				p = plane_pass(p, 4, 0, field, dst, done, n, bytes);
			if (field.bits & 2)
				p = plane_pass(p, 2, field.bits & 4, field, dst, done, n, bytes);
			if (field.bits & 1)
				plane_pass(p, 1, field.bits & 6, field, dst, done, n, bytes);
		} else if (block->mode[f] == HYC_FLOAT_RANS) {
			int result = rans_pass(&unit->stream[f], &lanes[f], field, block->table[f], dst, done, n, bytes);

			if (!result)
				result = exceptions_pass(&unit->stream[f], field, dst, n, bytes);
			if (result)
				return result;
		}
	}
	return 0;
}

int hyc_float_finish(const struct hyc_float_block *block, const struct hyc_float_unit *unit,
		     const struct hyc_float_lanes lanes[HYC_FLOAT_MAX_FIELDS], uint8_t *dst, size_t done)
{
	if (block->layout->elem_bytes == 1)
		return finish_unit(block, hyc_float_byte, unit, lanes, dst, done);
	if (block->layout->elem_bytes == 4)
		return finish_unit(block, hyc_float_f32, unit, lanes, dst, done);
	if (block->layout->n_fields == 3)
		return finish_unit(block, hyc_float_f16, unit, lanes, dst, done);
	return finish_unit(block, hyc_float_bf16, unit, lanes, dst, done);
}

int hyc_float_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	struct hyc_float_block block;
	struct hyc_float_unit unit;
	struct hyc_float_lanes lanes[HYC_FLOAT_MAX_FIELDS];
	int result = hyc_float_parse(coding->dtype, src, src_len, dst_len, &block);
	const uint8_t *pos = block.units;

	for (size_t i = 0; !result && i << block.unit_log2 < block.n; i++) {
		hyc_float_unit(&block, i, &pos, &unit);
		for (unsigned f = 0; f < block.layout->n_fields; f++)
			if (block.mode[f] == HYC_FLOAT_RANS)
				hyc_float_start(&unit.stream[f], &lanes[f]);
		result = hyc_float_finish(&block, &unit, lanes, dst, 0);
		dst += unit.n * block.layout->elem_bytes;
	}
	return result;
}

int hyc_float_check(const struct hyc_coding *coding)
{
	return hyc_float_takes(coding->dtype) && !coding->params_len ? 0 : -EBADMSG;
}
