/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tcq codec: its decoder equals a slow model, for every dtype, shape and kind of scale, and so does what the
 * encoder says it chose; the encoder keeps its promises on hard values; a broken block or parameter is refused.
 * Buffers end at an unreadable page.
 */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "codec/decoders.h"
#include "codec/tcq_encode.h"
#include "format/dtype.h"
#include "tests/samples.h"
#include "tests/tcq-model.h"

#define EXTRA 8192u /* so that blocks too small to shrink are coded too */

/* ---- encode, decode, compare ---- */

/* An object under test. */
struct object {
	struct hyc_coding coding;
	uint8_t *params, *src;
	size_t len;
};

static struct object object_new(uint32_t dtype, unsigned rows, unsigned cols)
{
	struct object o = { .coding = { .codec = HYC_CODEC_TCQ, .dtype = dtype, .rows = rows, .cols = cols } };

	o.len = (size_t)rows * cols * hyc_dtype_bytes(dtype);
	o.src = malloc(o.len);
	for (size_t e = 0; e < (size_t)rows * cols; e++)
		tcq_model_put(o.src + e * hyc_dtype_bytes(dtype), dtype, 0.02 * normal() * (double)(1 + e / cols % 5));
	return o;
}

static void object_free(struct object *o)
{
	free(o->params);
	free(o->src);
}

static void set(struct object *o, size_t e, double x)
{
	tcq_model_put(o->src + e * hyc_dtype_bytes(o->coding.dtype), o->coding.dtype, x);
}

enum { SCALE_ROWS = 1, SCALE_COLS = 2 };

/* Scales from the spread of the rows; step is in spreads. Scales of columns are arbitrary. */
static void design(struct object *o, double step, bool trellis, unsigned scales, uint32_t unit_rows)
{
	struct hyc_coding *c = &o->coding;
	float *spread = malloc(c->rows * sizeof *spread), unit;
	uint8_t *a = malloc(c->rows), *b = malloc(c->cols);
	struct hyc_tcq_design d = {
		.trellis = trellis, .unit_rows = unit_rows ? unit_rows : hyc_tcq_unit_rows(c->cols, (uint32_t)c->rows),
		.row_scale = scales & SCALE_ROWS ? a : NULL, .col_scale = scales & SCALE_COLS ? b : NULL,
	};

	assert_int_equal(hyc_tcq_spread(c->dtype, c->cols, o->src, (uint32_t)c->rows, spread), 0);
	assert_int_equal(hyc_tcq_row_scales(spread, c->rows, a, &unit), 0);
	for (uint64_t j = 0; j < c->cols; j++)
		b[j] = (uint8_t)(120 + random32() % 17);
	d.step = step * unit;
	c->params_len = hyc_tcq_params_bytes(&d, c->rows, c->cols);
	free(o->params);
	c->params = o->params = malloc(c->params_len);
	assert_int_equal(hyc_tcq_write_params(&d, c->rows, c->cols, o->params), 0);
	assert_int_equal(hyc_tcq_check(c), 0);
	free(spread);
	free(a);
	free(b);
}

static ssize_t encode(const struct object *o, uint8_t *dst, uint8_t *decoded, struct hyc_tcq_result *result)
{
	return hyc_tcq_encode(&o->coding, HYC_TCQ_LAMBDA, o->src, o->len, dst, o->len, decoded, result);
}

static void decode_as_model(const struct object *o, const uint8_t *stored, size_t n, uint8_t *decoded)
{
	struct guarded out = guarded_new(o->len);

	assert_int_equal(hyc_tcq_decode(&o->coding, stored, n, out.data, o->len), 0);
	tcq_model_decode(&o->coding, stored, n, decoded, o->len);
	assert_memory_equal(out.data, decoded, o->len);
	guarded_free(out);
}

/*
 * Code the whole object as one block and compare everything there is, also with other steps, which take values to
 * the ends of their dtypes. Returns the stored bytes.
 */
static size_t round_trip(struct object *o, float lambda, uint8_t *decoded, struct hyc_tcq_result *result)
{
	/* 2^-94, 2^-22, 2^9, 2^75. */
	static const uint32_t steps[] = { 0x10800000, 0x34800000, 0x44000000, 0x65000000 };
	struct guarded room = guarded_new(o->len + EXTRA), stored;
	uint8_t *out = malloc(o->len);
	double squared = 0, max = 0, power = 0;
	unsigned elem = hyc_dtype_bytes(o->coding.dtype);
	uint32_t right = hyc_load32(o->params);
	ssize_t n;

	n = hyc_tcq_encode(&o->coding, lambda, o->src, o->len, room.data, o->len + EXTRA, decoded, result);
	assert_true(n > 0);
	stored = guarded_new((size_t)n);
	memcpy(stored.data, room.data, (size_t)n);
	for (unsigned i = 0; i <= sizeof steps / sizeof *steps; i++) {
		decode_as_model(o, stored.data, (size_t)n, out);
		if (!i)
			assert_memory_equal(out, decoded, o->len);
		hyc_store32(o->params, i < sizeof steps / sizeof *steps ? steps[i] : right);
	}
	for (size_t at = 0; at < o->len; at += elem) {
		double x = tcq_model_get(o->src + at, o->coding.dtype);
		double error = fabs(x - tcq_model_get(decoded + at, o->coding.dtype));

		power += x * x;
		squared += error * error;
		max = error > max ? error : max;
	}
	assert_true(fabs(result->power - power) <= 1e-9 * power);
	assert_true(fabs(result->squared_error - squared) <= 1e-9 * squared);
	assert_true(result->max_error == max);
	guarded_free(room);
	guarded_free(stored);
	free(out);
	return (size_t)n;
}

static double db(double power, double error)
{
	return 10 * log10(power / error);
}

static const uint32_t dtypes[] = { HYC_BF16, HYC_F16, HYC_F32 };

static void decoder_equals_model(void **state)
{
	static const unsigned all_cols[] = { 1, 31, 64, 255, 256, 257, 700 }, all_rows[] = { 1, 8, 33, 300 };

	(void)state;
	for (unsigned i = 0; i < 3 * 7 * 4 * 2; i++) {
		uint32_t dtype = dtypes[i % 3];
		unsigned cols = all_cols[i / 3 % 7], rows = all_rows[i / 21 % 4], scales = random32() % 4;
		unsigned unit_rows = i % 2 ? 0 : 1 + random32() % 40;
		struct object o = object_new(dtype, rows, cols);
		uint8_t *decoded = malloc(o.len);
		struct hyc_tcq_result result;

		design(&o, 0.02 + random32() % 100 / 100.0, i / 84, scales, unit_rows);
		round_trip(&o, i % 5 ? HYC_TCQ_LAMBDA : 0, decoded, &result);
		free(decoded);
		object_free(&o);
	}
}

/* Blocks from the middle of an object use the scales of their own rows. */
static void blocks_know_their_place(void **state)
{
	struct object o = object_new(HYC_BF16, 300, 96);
	size_t row_bytes = 96 * 2, all = 0;
	uint8_t *stored = malloc(o.len), *decoded = malloc(o.len), *out = malloc(o.len), *model = malloc(o.len);
	struct hyc_tcq_result result;

	(void)state;
	design(&o, 0.14, true, SCALE_ROWS, 50);
	for (unsigned row = 0; row < 300; row += 110) {
		size_t len = row_bytes * (300 - row < 110 ? 300 - row : 110);
		ssize_t n;

		o.coding.pos = row * row_bytes;
		n = hyc_tcq_encode(&o.coding, HYC_TCQ_LAMBDA, o.src + o.coding.pos, len, stored, len, decoded, &result);
		assert_true(n > 0);
		all += (size_t)n;
		assert_int_equal(hyc_block_decode(&o.coding, stored, (size_t)n, out, len), 0);
		tcq_model_decode(&o.coding, stored, (size_t)n, model, len);
		assert_memory_equal(out, model, len);
		assert_memory_equal(out, decoded, len);
		assert_true(db(result.power, result.squared_error) > 20);
	}
	assert_true(all < o.len / 3);
	free(stored);
	free(decoded);
	free(out);
	free(model);
	object_free(&o);
}

/* What the codec is worth: bits and noise, the trellis against plain rounding, and estimates against the truth. */
static void noise_and_bits_are_as_expected(void **state)
{
	static const struct { double step, bits, db; } want[] = {
		{ 0.28, 3.02, 17.2 }, { 0.139, 4.00, 23.1 }, { 0.031, 6.13, 35.9 },
	};
	struct object o = object_new(HYC_BF16, 512, 512);
	uint8_t *decoded = malloc(o.len);
	struct hyc_tcq_result result;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		double n = 512 * 512, bits, plain_bits, noise, plain_noise, estimate;

		design(&o, want[i].step, true, SCALE_ROWS, 0);
		bits = 8 * (double)round_trip(&o, HYC_TCQ_LAMBDA, decoded, &result) / n;
		noise = db(result.power, result.squared_error);
		assert_int_equal(hyc_tcq_estimate(&o.coding, HYC_TCQ_LAMBDA, o.src, o.len, 4, &estimate), 0);
		assert_true(fabs(8 * estimate / n - bits) < 0.015);
		design(&o, 2 * want[i].step, false, SCALE_ROWS, 0);
		plain_bits = 8 * (double)round_trip(&o, HYC_TCQ_LAMBDA, decoded, &result) / n;
		plain_noise = db(result.power, result.squared_error);
		printf("step %.3f: %.3f bits %.2f dB; without a trellis %.3f bits %.2f dB\n", want[i].step, bits, noise,
		       plain_bits, plain_noise);
		assert_true(bits < want[i].bits && noise > want[i].db);
		assert_true(noise - 6.02 * bits > plain_noise - 6.02 * plain_bits + 0.8);
	}
	free(decoded);
	object_free(&o);
}

/* An outlier costs a few bytes, and no precision of its row's other values. */
static void outliers_do_no_harm(void **state)
{
	struct object o = object_new(HYC_BF16, 256, 256);
	uint8_t *plain = malloc(o.len), *decoded = malloc(o.len);
	size_t stored, at = 100 * 256 + 7;
	double others = 0, squared;
	struct hyc_tcq_result result;

	(void)state;
	design(&o, 0.139, true, SCALE_ROWS, 0);
	stored = round_trip(&o, HYC_TCQ_LAMBDA, plain, &result);
	squared = result.squared_error;
	set(&o, at, 1.9);
	set(&o, 50 * 256, -1.9);
	design(&o, 0.139, true, SCALE_ROWS, 0);
	assert_in_range(round_trip(&o, HYC_TCQ_LAMBDA, decoded, &result), stored - 64, stored + 64);
	for (size_t e = 0; e < 256 * 256; e++) {
		double error = tcq_model_get(o.src + 2 * e, HYC_BF16) - tcq_model_get(decoded + 2 * e, HYC_BF16);

		others += e == at || e == 50 * 256 ? 0 : error * error;
	}
	assert_true(fabs(db(squared, others)) < 0.05);
	assert_true(result.max_error < 0.05);
	/* So far out that only steps of its own size have a level for it. */
	set(&o, at, 1e5);
	design(&o, 0.139, true, SCALE_ROWS, 0);
	round_trip(&o, HYC_TCQ_LAMBDA, decoded, &result);
	assert_true(fabs(tcq_model_get(decoded + 2 * at, HYC_BF16) / 1e5 - 1) < 0.01);
	/* Further out than that: the block is not coded, and what it decodes to is itself. */
	set(&o, at, 3e30);
	design(&o, 0.139, true, SCALE_ROWS, 0);
	assert_int_equal(encode(&o, plain, decoded, &result), 0);
	assert_memory_equal(decoded, o.src, o.len);
	assert_true(result.squared_error == 0 && result.max_error == 0 && result.power > 0);
	free(plain);
	free(decoded);
	object_free(&o);
}

/* Many values without a symbol of their own: patches, and at last a block that is not worth coding. */
static void many_patches(void **state)
{
	struct object o = object_new(HYC_F32, 64, 300);
	uint8_t *decoded = malloc(o.len), *room = malloc(o.len);
	struct hyc_tcq_result result;

	(void)state;
	for (unsigned trellis = 0; trellis < 2; trellis++) {
		design(&o, 0.001, trellis, SCALE_ROWS | SCALE_COLS, 0);
		round_trip(&o, HYC_TCQ_LAMBDA, decoded, &result);
		assert_true(db(result.power, result.squared_error) > 55);
	}
	for (size_t e = 0; e < 64 * 300; e++)
		set(&o, e, (double)(int32_t)random32());
	design(&o, 1e-4, true, 0, 0);
	assert_int_equal(encode(&o, room, decoded, &result), 0);
	free(room);
	free(decoded);
	object_free(&o);
}

static void zeros_stay_zero(void **state)
{
	struct hyc_tcq_result result;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct object o = object_new(dtypes[i % 3], 256, 300);
		unsigned elem = hyc_dtype_bytes(dtypes[i % 3]);
		uint8_t *decoded = malloc(o.len), *zero = calloc(1, o.len);

		memset(o.src + 10 * 300 * elem, 0, 300 * elem);
		design(&o, 0.2, i / 3, SCALE_ROWS, 0);
		round_trip(&o, HYC_TCQ_LAMBDA, decoded, &result);
		assert_memory_equal(decoded + 10 * 300 * elem, zero, 300 * elem);
		memset(o.src, 0, o.len);
		design(&o, 0.2, i / 3, SCALE_ROWS, 0);
		assert_in_range(round_trip(&o, HYC_TCQ_LAMBDA, decoded, &result), 1, 500);
		assert_memory_equal(decoded, zero, o.len);
		assert_true(result.squared_error == 0);
		free(decoded);
		free(zero);
		object_free(&o);
	}
}

static void small_numbers(void **state)
{
	static const double scale[] = { 1e-20, 1e-26, 1e-40 };
	struct hyc_tcq_result result;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned d = 0; d < 3; d++) {
			struct object o = object_new(dtypes[d], 64, 64);
			double s = dtypes[d] == HYC_F16 ? 1e-4 * (1 + 9 * i) : scale[i];
			uint8_t *decoded = malloc(o.len), a[64], params[72];
			struct hyc_tcq_design tiny = { .trellis = 1, .unit_rows = 64, .row_scale = a };
			float spread[64], unit;

			for (size_t e = 0; e < 64 * 64; e++)
				set(&o, e, s * normal());
			assert_int_equal(hyc_tcq_spread(dtypes[d], 64, o.src, 64, spread), 0);
			assert_int_equal(hyc_tcq_row_scales(spread, 64, a, &unit), 0);
			tiny.step = 0.1 * unit;
			if (dtypes[d] != HYC_F16 && i == 2) {
				assert_int_equal(hyc_tcq_write_params(&tiny, 64, 64, params), -ERANGE);
			} else {
				design(&o, 0.1, true, SCALE_ROWS, 0);
				round_trip(&o, HYC_TCQ_LAMBDA, decoded, &result);
				assert_true(db(result.power, result.squared_error) > 20);
			}
			free(decoded);
			object_free(&o);
		}
	}
}

/* Rounding up must not leave the finite numbers. */
static void no_value_overflows(void **state)
{
	struct hyc_tcq_result result;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct object o = object_new(HYC_F16, 64, 100);
		uint8_t *decoded = malloc(o.len), *room = malloc(o.len);

		for (size_t e = 0; e < 64 * 100; e++)
			set(&o, e, random32() % 3 ? 65504.0 - random32() % 2000 : -65504.0);
		design(&o, 0.01 + 0.015 * i, i % 2, i & 2 ? SCALE_ROWS : SCALE_ROWS | SCALE_COLS, 0);
		round_trip(&o, i & 4 ? 2 : HYC_TCQ_LAMBDA, decoded, &result);
		/* No more than four steps, of columns with a scale of 2. */
		assert_true(result.max_error < 65504 * 8 * (0.01 + 0.015 * i));
		/* Steps so large that few levels are finite. */
		design(&o, 0.5, i % 2, SCALE_ROWS, 0);
		assert_int_equal(encode(&o, room, decoded, &result), 0);
		free(room);
		free(decoded);
		object_free(&o);
	}
}

static void what_is_no_number_is_refused(void **state)
{
	static const double bad[] = { NAN, INFINITY, -INFINITY };

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		struct object o = object_new(dtypes[i % 3], 20, 70);
		unsigned elem = hyc_dtype_bytes(dtypes[i % 3]);
		uint8_t *dst = malloc(o.len), *decoded = malloc(o.len), *p = o.src + (13 * 70 + 69) * elem;
		struct hyc_tcq_result result;
		float spread[20];
		double stored;

		design(&o, 0.1, i % 2, SCALE_ROWS, 0);
		if (i / 3)
			tcq_model_put(p, dtypes[i % 3], bad[i / 3]);
		else if (elem == 2)
			hyc_store16(p, 0x7fff);
		else
			hyc_store32(p, 0x7fffffff);
		assert_int_equal(hyc_tcq_spread(dtypes[i % 3], 70, o.src, 20, spread), -EDOM);
		assert_int_equal(encode(&o, dst, decoded, &result), -EDOM);
		assert_int_equal(hyc_tcq_estimate(&o.coding, HYC_TCQ_LAMBDA, o.src, o.len, 1, &stored), -EDOM);
		/* Not rows of the object. */
		o.coding.pos = 2;
		assert_int_equal(encode(&o, dst, decoded, &result), -EINVAL);
		free(dst);
		free(decoded);
		object_free(&o);
	}
}

static void broken_parameters_are_refused(void **state)
{
	struct object o = object_new(HYC_BF16, 40, 300);
	static const uint32_t steps[] = {
		0, 0x80000000, 0xbf800000, 0x7f800000, 0x7fc00000, 0x007fffff, 0x107fffff, 0x65000001,
	};
	struct hyc_coding c;

	(void)state;
	for (unsigned scales = 0; scales < 4; scales++) {
		design(&o, 0.1, true, scales, 7);
		for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
			uint32_t right = hyc_load32(o.params);

			hyc_store32(o.params, steps[i]);
			assert_int_equal(hyc_tcq_check(&o.coding), -EBADMSG);
			hyc_store32(o.params, right);
		}
		for (unsigned bit = 0; bit < 8; bit++) {
			o.params[4] ^= (uint8_t)(1u << bit);
			assert_int_equal(hyc_tcq_check(&o.coding), bit == 2 ? 0 : -EBADMSG);
			o.params[4] ^= (uint8_t)(1u << bit);
		}
		o.params[5] = 1;
		assert_int_equal(hyc_tcq_check(&o.coding), -EBADMSG);
		o.params[5] = 0;
		hyc_store16(o.params + 6, 0);
		assert_int_equal(hyc_tcq_check(&o.coding), -EBADMSG);
		hyc_store16(o.params + 6, 257);
		assert_int_equal(hyc_tcq_check(&o.coding), -EBADMSG);
		hyc_store16(o.params + 6, 256);
		assert_int_equal(hyc_tcq_check(&o.coding), 0);
		for (uint32_t len = 0; len < o.coding.params_len; len++) {
			struct guarded cut = guarded_new(len);

			memcpy(cut.data, o.params, len);
			c = o.coding;
			c.params = cut.data;
			c.params_len = len;
			assert_int_equal(hyc_tcq_check(&c), -EBADMSG);
			guarded_free(cut);
		}
		c = o.coding;
		c.dtype = HYC_F64;
		assert_int_equal(hyc_tcq_check(&c), -EBADMSG);
		c = o.coding;
		c.rows = UINT64_C(1) << 62;
		assert_int_equal(hyc_tcq_check(&c), scales & SCALE_ROWS ? -EBADMSG : 0);
	}
	object_free(&o);
}

static int decode_exact(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, size_t dst_len)
{
	struct guarded in = guarded_new(src_len), out = guarded_new(dst_len);
	int result;

	memcpy(in.data, src, src_len);
	result = hyc_tcq_decode(coding, in.data, src_len, out.data, dst_len);
	guarded_free(in);
	guarded_free(out);
	return result;
}

/* A block with patches: 60 rows of 300 columns in bands of 25. */
static uint8_t *encoded(struct object *o, size_t *stored)
{
	uint8_t *dst, *decoded;
	struct hyc_tcq_result result;
	ssize_t n;

	*o = object_new(HYC_BF16, 60, 300);
	for (unsigned i = 0; i < 40; i++)
		set(o, random32() % (60 * 300), 3 * normal());
	dst = malloc(o->len);
	decoded = malloc(o->len);
	design(o, 0.14, true, SCALE_ROWS | SCALE_COLS, 25);
	n = encode(o, dst, decoded, &result);
	assert_true(n > 0);
	free(decoded);
	*stored = (size_t)n;
	return dst;
}

static void wrong_lengths_are_refused(void **state)
{
	struct object o;
	size_t stored, row = 600;
	uint8_t *block = encoded(&o, &stored), *longer = calloc(1, stored + 64);

	(void)state;
	for (size_t len = 0; len < stored; len = len < 1000 ? len + 1 : len + 97)
		assert_int_equal(decode_exact(&o.coding, block, len, o.len), -EBADMSG);
	memcpy(longer, block, stored);
	assert_int_equal(decode_exact(&o.coding, longer, stored, o.len), 0);
	assert_int_equal(decode_exact(&o.coding, longer, stored + 1, o.len), -EBADMSG);
	assert_int_equal(decode_exact(&o.coding, longer, stored + 16, o.len), -EBADMSG);
	assert_int_equal(decode_exact(&o.coding, block, stored, o.len - row), -EBADMSG);
	assert_int_equal(decode_exact(&o.coding, block, stored, o.len - 2), -EBADMSG);
	assert_int_equal(decode_exact(&o.coding, block, stored, o.len + row), -EBADMSG);
	/* Not where rows begin, or beyond the last row. */
	o.coding.pos = 2;
	assert_int_equal(decode_exact(&o.coding, block, stored, o.len), -EBADMSG);
	o.coding.pos = row;
	assert_int_equal(decode_exact(&o.coding, block, stored, o.len), -EBADMSG);
	o.coding.pos = UINT64_MAX - UINT64_MAX % row;
	assert_int_equal(decode_exact(&o.coding, block, stored, o.len), -EBADMSG);
	free(block);
	free(longer);
	object_free(&o);
}

/* Each field of a block, set to what it must not be. */
static void broken_fields_are_refused(void **state)
{
	struct object o;
	size_t stored;
	uint8_t *block = encoded(&o, &stored), *b = malloc(stored);
	size_t dir = tcq_model_directory(&o.coding, block, stored), unit = (dir + 4 * 6 + 15) / 16 * 16;
	uint32_t n_words = hyc_load16(block + dir);
	size_t patches = unit + 128 + (2 * n_words + 15) / 16 * 16;
	struct { size_t at; uint32_t value; unsigned bytes; } changes[] = {
		{ 0, 0, 1 }, { 1, 0, 1 }, { 0, 0x80, 2 }, { 0, 0x0088, 2 }, { 0, 0xffff, 2 }, { dir, n_words + 1, 2 },
		{ dir, n_words - 1, 2 }, { dir, 0, 2 }, { dir, 0xffff, 2 }, { dir + 2, 0, 2 }, { dir + 2, 0xffff, 2 },
		{ unit, 0, 4 }, { unit, 0xffffffff, 4 }, { unit + 124, 65535, 4 },
		{ unit + 128, hyc_load16(block + unit + 128) ^ 1u, 2 },
		{ patches, 25 * 256, 2 }, { patches, 0xffff, 2 },
	};

	(void)state;
	assert_true(hyc_load16(block + dir + 2) > 0);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		memcpy(b, block, stored);
		for (unsigned k = 0; k < changes[i].bytes; k++)
			b[changes[i].at + k] = (uint8_t)(changes[i].value >> (8 * k));
		if (!memcmp(b, block, stored))
			continue;
		if (decode_exact(&o.coding, b, stored, o.len) != -EBADMSG)
			fail_msg("change %zu was not noticed", i);
	}
	/* All zeros: a table that ends at no symbol. */
	memset(b, 0, stored);
	assert_int_equal(decode_exact(&o.coding, b, stored, o.len), -EBADMSG);
	free(block);
	free(b);
	object_free(&o);
}

/* Whatever the bytes say, decoding ends and stays in its buffers; most changes to a stream are noticed. */
static void broken_blocks_do_no_harm(void **state)
{
	struct object o;
	size_t stored;
	uint8_t *block = encoded(&o, &stored), *broken = malloc(stored);
	unsigned refused = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		memcpy(broken, block, stored);
		for (unsigned k = 0; k <= i % 4; k++)
			broken[random32() % (i % 2 ? stored : 300)] = (uint8_t)random32();
		refused += decode_exact(&o.coding, broken, stored, o.len) == -EBADMSG;
	}
	assert_true(refused > 2500);
	free(block);
	free(broken);
	object_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoder_equals_model),
		cmocka_unit_test(blocks_know_their_place),
		cmocka_unit_test(noise_and_bits_are_as_expected),
		cmocka_unit_test(outliers_do_no_harm),
		cmocka_unit_test(many_patches),
		cmocka_unit_test(zeros_stay_zero),
		cmocka_unit_test(small_numbers),
		cmocka_unit_test(no_value_overflows),
		cmocka_unit_test(what_is_no_number_is_refused),
		cmocka_unit_test(broken_parameters_are_refused),
		cmocka_unit_test(wrong_lengths_are_refused),
		cmocka_unit_test(broken_fields_are_refused),
		cmocka_unit_test(broken_blocks_do_no_harm),
	};

	samples_seed_from_env();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
