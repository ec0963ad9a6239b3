/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trellis-coded quantisation: the plain C reference decoder. Symbols of 64 columns are taken from the
 * lanes at a time, and turned into values by loops without branches that compilers vectorise.
 */
#include "config.h"

#include "codec/tcq.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "codec/decoders.h"
#include "format/dtype.h"

int hyc_tcq_parse_params(const struct hyc_coding *coding, struct hyc_tcq_object *object)
{
	const uint8_t *params = coding->params;
	uint64_t expected = HYC_TCQ_PARAMS_BYTES;
	uint8_t flags;

	if (coding->dtype != HYC_BF16 && coding->dtype != HYC_F16 && coding->dtype != HYC_F32)
		return -EBADMSG;
	if (!coding->rows || !coding->cols || coding->params_len < HYC_TCQ_PARAMS_BYTES)
		return -EBADMSG;
	flags = params[4];
	*object = (struct hyc_tcq_object) {
		.rows = coding->rows, .cols = coding->cols, .elem_bytes = hyc_dtype_bytes(coding->dtype),
		.unit_rows = hyc_load16(params + 6), .trellis = flags & HYC_TCQ_TRELLIS,
	};
	object->step = hyc_bits_float(hyc_load32(params));
	/* Written so that a NaN is refused. */
	if (!(object->step >= HYC_TCQ_MIN_STEP && object->step <= HYC_TCQ_MAX_STEP))
		return -EBADMSG;
	if (flags & ~HYC_TCQ_FLAGS || params[5] || !object->unit_rows ||
	    object->unit_rows * hyc_tcq_stripe_cols(object->cols) > HYC_RANS_MAX_SYMBOLS)
		return -EBADMSG;
	if (flags & HYC_TCQ_ROW && hyc_add_overflows(expected, object->rows, &expected))
		return -EBADMSG;
	if (flags & HYC_TCQ_COL && hyc_add_overflows(expected, object->cols, &expected))
		return -EBADMSG;
	if (coding->params_len != expected)
		return -EBADMSG;
	params += HYC_TCQ_PARAMS_BYTES;
	if (flags & HYC_TCQ_ROW) {
		object->row_scale = params;
		params += object->rows;
	}
	if (flags & HYC_TCQ_COL)
		object->col_scale = params;
	return 0;
}

uint32_t hyc_tcq_block_rows(const struct hyc_tcq_object *object, uint64_t pos, size_t len)
{
	uint64_t row_bytes;

	if (hyc_mul_overflows(object->cols, object->elem_bytes, &row_bytes) || !len || len > HYC_TCQ_MAX_BLOCK ||
	    len % row_bytes || pos % row_bytes || !hyc_range_ok(pos / row_bytes, len / row_bytes, object->rows))
		return 0;
	return (uint32_t)(len / row_bytes);
}

bool hyc_tcq_next_place(const struct hyc_tcq_object *object, uint32_t n_rows, struct hyc_tcq_unit *unit)
{
	uint64_t cols;

	if (!unit->n_cols) {
		unit->first_row = 0;
		unit->first_col = 0;
	} else {
		unit->first_col += unit->n_cols;
		if (unit->first_col == object->cols) {
			unit->first_col = 0;
			unit->first_row += unit->n_rows;
		}
	}
	if (unit->first_row == n_rows)
		return false;
	cols = object->cols - unit->first_col;
	unit->n_rows = n_rows - unit->first_row < object->unit_rows ? n_rows - unit->first_row : object->unit_rows;
	unit->n_cols = cols < HYC_TCQ_STRIPE ? (uint32_t)cols : HYC_TCQ_STRIPE;
	return true;
}

static size_t unit_bytes(const uint8_t *dir)
{
	return HYC_RANS_STATES_BYTES + hyc_align_up(2 * (size_t)hyc_load16(dir), 16) +
	       hyc_align_up(HYC_TCQ_PATCH_BYTES * (size_t)hyc_load16(dir + 2), 16);
}

bool hyc_tcq_next_unit(const struct hyc_tcq_block *block, struct hyc_tcq_unit *unit)
{
	const uint8_t *dir = block->directory, *pos = block->units;

	if (unit->n_cols) {
		dir = unit->directory + 4;
		pos = unit->states + unit_bytes(unit->directory);
	}
	if (!hyc_tcq_next_place(&block->object, block->n_rows, unit))
		return false;
	unit->directory = dir;
	unit->n_words = hyc_load16(dir);
	unit->n_patches = hyc_load16(dir + 2);
	unit->states = pos;
	unit->words = pos + HYC_RANS_STATES_BYTES;
	unit->patches = unit->words + hyc_align_up(2 * (size_t)unit->n_words, 16);
	return true;
}

/* Read a table of frequencies into slots. Returns the bytes read, or 0 where it is malformed. */
static size_t read_table(const uint8_t *src, size_t src_len, uint32_t *table)
{
	uint32_t symbol = 0, start = 0;
	size_t pos = 0;

	while (start < HYC_RANS_SLOTS) {
		uint32_t freq = pos < src_len ? src[pos++] : 0, more = 0;

		if (!freq || freq >= HYC_TCQ_LONG_FREQ) {
			if (pos == src_len)
				return 0;
			more = src[pos++];
		}
		if (!freq) {
			symbol += more + 1;
			continue;
		}
		if (freq >= HYC_TCQ_LONG_FREQ)
			freq = (freq - HYC_TCQ_LONG_FREQ) << 8 | more;
		if (!freq || freq == HYC_RANS_SLOTS || freq > HYC_RANS_SLOTS - start || symbol >= HYC_RANS_ALPHABET)
			return 0;
		for (uint32_t k = 0; k < freq; k++)
			table[start + k] = hyc_rans_slot(freq, k, symbol);
		start += freq;
		symbol++;
	}
	return pos;
}

int hyc_tcq_parse(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, size_t dst_len,
		  struct hyc_tcq_block *block)
{
	struct hyc_tcq_object *object = &block->object;
	size_t pos = 0, n_units, bytes = 0;

	if (hyc_tcq_parse_params(coding, object))
		return -EBADMSG;
	block->n_rows = hyc_tcq_block_rows(object, coding->pos, dst_len);
	if (!block->n_rows)
		return -EBADMSG;
	block->first_row = coding->pos / (object->cols * object->elem_bytes);
	for (unsigned q = 0; q < 1u + object->trellis; q++) {
		size_t got = read_table(src + pos, src_len - pos, block->table[q]);

		if (!got)
			return -EBADMSG;
		pos += got;
	}
	/* No more units than elements: nothing here can overflow. */
	n_units = hyc_div_up(block->n_rows, object->unit_rows) * hyc_div_up(object->cols, HYC_TCQ_STRIPE);
	pos = hyc_align_up(pos, 4);
	if (hyc_align_up(pos + 4 * n_units, 16) > src_len)
		return -EBADMSG;
	block->directory = src + pos;
	pos = hyc_align_up(pos + 4 * n_units, 16);
	block->units = src + pos;
	for (size_t i = 0; i < n_units; i++)
		bytes += unit_bytes(block->directory + 4 * i);
	return bytes == src_len - pos ? 0 : -EBADMSG;
}

/*
 * The symbols of one group of n <= 64 columns, whose tables begin at table[first[]]. Words are read from [w, end) only;
 * returns where it stopped, NULL where they ran out.
 */
static const uint8_t *rans_group(uint32_t *x, const uint32_t *table, const uint32_t *first, const uint8_t *w,
				 const uint8_t *end, uint32_t *symbol, size_t n)
{
	uint8_t last[2 * HYC_RANS_GROUP];
	size_t left = (size_t)(end - w);
	const uint8_t *start = w, *at = w;

	/* A group takes no more than 64 words. */
	if (left < sizeof last) {
		memset(last, 0, sizeof last);
		start = at = memcpy(last, w, left);
	}
	if (n == HYC_RANS_GROUP) {
		for (unsigned odd = 0; odd < 2; odd++)
#pragma GCC unroll 32
			for (unsigned l = 0; l < HYC_RANS_LANES; l++)
				symbol[2 * l + odd] = hyc_rans_step(&x[l], table + first[2 * l + odd], &at);
	} else {
		for (unsigned odd = 0; odd < 2; odd++)
			for (unsigned l = 0; 2 * l + odd < n; l++)
				symbol[2 * l + odd] = hyc_rans_step(&x[l], table + first[2 * l + odd], &at);
	}
	return (size_t)(at - start) <= left ? w + (at - start) : NULL;
}

/* What is kept of 64 columns while a unit is decoded. */
struct group {
	uint32_t state[HYC_RANS_GROUP];
	uint32_t first[HYC_RANS_GROUP]; /* slot of the table for the state */
	float col_scale[HYC_RANS_GROUP];
};

/* The next state is { 0, 4, 1, 5, 6, 3, 2, 7 }[state] ^ odd; said bit by bit it vectorises. */
static void advance(struct group *restrict group, const uint32_t *restrict symbol)
{
	for (unsigned i = 0; i < HYC_RANS_GROUP; i++) {
		uint32_t s = group->state[i], b0 = s & 1, b1 = s >> 1 & 1, b2 = s >> 2, odd = symbol[i] & 1;
		uint32_t top = b0 ^ (b2 & (b1 ^ 1)), low = b1 ^ (b2 & (b0 ^ b1)) ^ odd;

		group->state[i] = top << 2 | b2 << 1 | low;
		group->first[i] = top << HYC_RANS_BITS;
	}
}

static inline __attribute__((always_inline)) void emit(const struct group *group, const uint32_t *symbol, bool trellis,
							float row_scale, uint32_t dtype, uint8_t *out)
{
	int32_t m[HYC_RANS_GROUP];

	for (unsigned i = 0; i < HYC_RANS_GROUP; i++)
		m[i] = (int32_t)symbol[i] - HYC_TCQ_SYMBOL_ZERO;
	for (unsigned i = 0; trellis && i < HYC_RANS_GROUP; i++)
		m[i] = hyc_tcq_level(m[i], (int32_t)(group->state[i] >> 2));
	for (unsigned i = 0; i < HYC_RANS_GROUP; i++)
		hyc_tcq_store(out + i * (dtype == HYC_F32 ? 4 : 2), dtype,
			      hyc_tcq_element(dtype, m[i], group->col_scale[i], row_scale));
}

static inline __attribute__((always_inline)) const uint8_t *
decode_row(const struct hyc_tcq_block *block, uint32_t *x, struct group *groups, const uint8_t *w, const uint8_t *end,
	   float row_scale, uint8_t *dst, uint32_t n_cols, uint32_t dtype)
{
	unsigned elem_bytes = dtype == HYC_F32 ? 4 : 2;

	for (uint32_t at = 0; at < n_cols; at += HYC_RANS_GROUP) {
		uint32_t n = n_cols - at < HYC_RANS_GROUP ? n_cols - at : HYC_RANS_GROUP;
		struct group *group = &groups[at / HYC_RANS_GROUP];
		uint32_t symbol[HYC_RANS_GROUP] = { 0 };
		uint8_t out[4 * HYC_RANS_GROUP];

		w = rans_group(x, block->table[0], group->first, w, end, symbol, n);
		if (!w)
			return NULL;
		emit(group, symbol, block->object.trellis, row_scale, dtype, out);
		if (block->object.trellis)
			advance(group, symbol);
		memcpy(dst + (size_t)elem_bytes * at, out, (size_t)elem_bytes * n);
	}
	return w;
}

int hyc_tcq_patch(const struct hyc_tcq_block *block, const struct hyc_tcq_unit *unit, uint8_t *dst, uint32_t dtype)
{
	const struct hyc_tcq_object *object = &block->object;

	for (uint32_t i = 0; i < unit->n_patches; i++) {
		uint32_t at = hyc_load16(unit->patches + HYC_TCQ_PATCH_BYTES * i), row = at / unit->n_cols;
		int32_t m = (int16_t)hyc_load16(unit->patches + HYC_TCQ_PATCH_BYTES * i + 2);
		uint64_t col = unit->first_col + at % unit->n_cols;

		if (row >= unit->n_rows)
			return -EBADMSG;
		row += unit->first_row;
		hyc_tcq_store(dst + (row * object->cols + col) * object->elem_bytes, dtype,
			      hyc_tcq_element(dtype, m, hyc_tcq_col_scale(object, col),
					      hyc_tcq_row_scale(object, block->first_row + row)));
	}
	return 0;
}

static inline __attribute__((always_inline)) int
decode_unit(const struct hyc_tcq_block *block, const struct hyc_tcq_unit *unit, uint8_t *dst, uint32_t dtype)
{
	const struct hyc_tcq_object *object = &block->object;
	const uint8_t *w = unit->words, *end = w + 2 * (size_t)unit->n_words;
	struct group groups[HYC_TCQ_STRIPE / HYC_RANS_GROUP] = { 0 };
	uint32_t x[HYC_RANS_LANES];

	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		x[l] = hyc_load32(unit->states + 4 * l);
	for (uint32_t j = 0; j < unit->n_cols; j++)
		groups[j / HYC_RANS_GROUP].col_scale[j % HYC_RANS_GROUP] =
			hyc_tcq_col_scale(object, unit->first_col + j);
	for (uint32_t i = 0; i < unit->n_rows; i++) {
		uint32_t row = unit->first_row + i;

		w = decode_row(block, x, groups, w, end, hyc_tcq_row_scale(object, block->first_row + row),
			       dst + (row * object->cols + unit->first_col) * object->elem_bytes, unit->n_cols, dtype);
		if (!w)
			return -EBADMSG;
	}
	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		if (x[l] != HYC_RANS_LOW)
			return -EBADMSG;
	return w == end ? hyc_tcq_patch(block, unit, dst, dtype) : -EBADMSG;
}

int hyc_tcq_decode_unit(const struct hyc_tcq_block *block, const struct hyc_tcq_unit *unit, uint8_t *dst,
			uint32_t dtype)
{
	if (dtype == HYC_BF16)
		return decode_unit(block, unit, dst, HYC_BF16);
	if (dtype == HYC_F16)
		return decode_unit(block, unit, dst, HYC_F16);
	return decode_unit(block, unit, dst, HYC_F32);
}

int hyc_tcq_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	struct hyc_tcq_block block;
	struct hyc_tcq_unit unit = { .n_cols = 0 };
	int result = hyc_tcq_parse(coding, src, src_len, dst_len, &block);

	while (!result && hyc_tcq_next_unit(&block, &unit))
		result = hyc_tcq_decode_unit(&block, &unit, dst, coding->dtype);
	return result;
}

int hyc_tcq_check(const struct hyc_coding *coding)
{
	struct hyc_tcq_object object;

	return hyc_tcq_parse_params(coding, &object);
}
