/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hyper codec: blocks decode to what their encoder says, for every dtype, length and kind of data, from buffers
 * that are exactly as long as they may be; what cannot be coded is told; what is malformed is refused. That the
 * values are those of the published algorithm is the business of archive-hyper-oracle.
 */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
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
#include "codec/half.h"
#include "codec/hyper_encode.h"
#include "format/dtype.h"
#include "tests/samples.h"

static const uint32_t dtypes[] = { HYC_BF16, HYC_F16, HYC_F32 };

static float load(uint32_t dtype, const uint8_t *p)
{
	if (dtype == HYC_F32)
		return hyc_bits_float(hyc_load32(p));
	return dtype == HYC_BF16 ? hyc_bf16_to_float(hyc_load16(p)) : hyc_f16_to_float(hyc_load16(p));
}

/* A tensor, what its plan says, and what its blocks came to. */
struct tensor {
	uint32_t dtype;
	size_t n, block_elements, len;
	struct guarded src, decoded;
	struct hyc_hyper *hyper;
	struct hyc_hyper_plan *plan;
	size_t stored;
	uint8_t *block; /* the first block as it is stored, owned; NULL where it is stored as it is */
	size_t block_len;
	struct hyc_hyper_result result;
};

static struct tensor tensor_new(uint32_t dtype, size_t n, size_t block_elements)
{
	struct tensor t = { .dtype = dtype, .n = n, .block_elements = block_elements };

	t.len = n * hyc_dtype_bytes(dtype);
	t.src = guarded_new(t.len);
	t.decoded = guarded_new(t.len);
	return t;
}

static void tensor_free(struct tensor *t)
{
	guarded_free(t->src);
	guarded_free(t->decoded);
	hyc_hyper_plan_free(t->plan);
	hyc_hyper_free(t->hyper);
	free(t->block);
}

static void set(struct tensor *t, size_t i, float v)
{
	store_element(t->dtype, t->src.data + i * hyc_dtype_bytes(t->dtype), v);
}

static float source(const struct tensor *t, size_t i)
{
	return load(t->dtype, t->src.data + i * hyc_dtype_bytes(t->dtype));
}

static float decoded(const struct tensor *t, size_t i)
{
	return load(t->dtype, t->decoded.data + i * hyc_dtype_bytes(t->dtype));
}

static struct hyc_coding coding_of(const struct tensor *t)
{
	return (struct hyc_coding){
		.codec = HYC_CODEC_HYPER, .dtype = t->dtype, .rows = 1, .cols = t->n,
		.params = hyc_hyper_plan_params(t->plan), .params_len = HYC_HYPER_PARAMS_BYTES,
	};
}

static void plan(struct tensor *t)
{
	size_t block_bytes = t->block_elements * hyc_dtype_bytes(t->dtype);
	struct hyc_hyper_scan *scan = NULL;

	assert_int_equal(hyc_hyper_plan_new(t->hyper, t->dtype, t->n, t->block_elements, &t->plan), 0);
	while (hyc_hyper_plan_round(t->plan) < HYC_HYPER_ROUNDS) {
		for (size_t pos = 0; pos < t->len; pos += block_bytes) {
			size_t len = t->len - pos < block_bytes ? t->len - pos : block_bytes;

			assert_int_equal(hyc_hyper_scan(t->plan, pos, t->src.data + pos, len, &scan), 0);
			hyc_hyper_plan_take(t->plan, scan);
		}
		assert_int_equal(hyc_hyper_plan_end_round(t->plan), 0);
	}
	hyc_hyper_scan_free(scan);
}

static int decode_exact(const struct tensor *t, const uint8_t *src, size_t src_len, uint64_t pos, struct guarded out,
			size_t dst_len)
{
	struct hyc_coding coding = coding_of(t);
	struct guarded in = guarded_new(src_len);
	int result;

	coding.pos = pos;
	memcpy(in.data, src, src_len);
	result = hyc_block_decode(&coding, in.data, src_len, out.data, dst_len);
	guarded_free(in);
	return result;
}

static void expect_decoded(const struct tensor *t, const uint8_t *src, size_t src_len, size_t pos, size_t len)
{
	struct guarded out = guarded_new(len);

	assert_int_equal(decode_exact(t, src, src_len, pos, out, len), 0);
	assert_memory_equal(out.data, t->decoded.data + pos, len);
	guarded_free(out);
}

static int decode(const struct tensor *t, const uint8_t *src, size_t src_len, uint64_t pos, size_t dst_len)
{
	struct guarded out = guarded_new(dst_len);
	int result = decode_exact(t, src, src_len, pos, out, dst_len);

	guarded_free(out);
	return result;
}

/* Code a block at pos, decode it again, and keep what it came to. */
static void code_block(struct tensor *t, size_t pos, size_t len)
{
	struct guarded room = guarded_new(len);
	struct hyc_hyper_result result;
	uint8_t *said = t->decoded.data + pos;
	ssize_t n = hyc_hyper_encode(t->plan, pos, t->src.data + pos, len, room.data, len, said, &result);

	assert_true(n >= 0 && (size_t)n < len);
	t->result.squared_error += result.squared_error;
	t->result.power += result.power;
	t->result.max_error = fmax(t->result.max_error, result.max_error);
	t->stored += n ? (size_t)n : len;
	if (n)
		expect_decoded(t, room.data, (size_t)n, pos, len);
	if (pos == 0 && n) {
		t->block = malloc((size_t)n);
		memcpy(t->block, room.data, (size_t)n);
		t->block_len = (size_t)n;
	}
	guarded_free(room);
}

/* Plan and code a tensor; what the encoder says of its errors has to be so. */
static enum hyc_hyper_verdict code(struct tensor *t, const struct hyc_hyper_options *options)
{
	size_t block_bytes = t->block_elements * hyc_dtype_bytes(t->dtype);
	double squared = 0, power = 0, most = 0;
	enum hyc_hyper_verdict verdict;
	struct hyc_coding coding;

	assert_int_equal(hyc_hyper_new(options, &t->hyper), 0);
	plan(t);
	verdict = hyc_hyper_plan_verdict(t->plan);
	assert_non_null(hyc_hyper_verdict_text(verdict));
	if (verdict == HYC_HYPER_CODED) {
		coding = coding_of(t);
		assert_int_equal(hyc_codec_get(HYC_CODEC_HYPER)->check(&coding), 0);
		for (size_t pos = 0; pos < t->len; pos += block_bytes)
			code_block(t, pos, t->len - pos < block_bytes ? t->len - pos : block_bytes);
		for (size_t i = 0; i < t->n; i++) {
			double error = fabs((double)source(t, i) - decoded(t, i));

			assert_true(isfinite(decoded(t, i)));
			squared += error * error;
			power += (double)source(t, i) * source(t, i);
			most = fmax(most, error);
		}
		assert_true(fabs(squared - t->result.squared_error) <= 1e-9 * squared);
		assert_true(fabs(power - t->result.power) <= 1e-9 * power);
		assert_true(most == t->result.max_error);
	}
	return verdict;
}

static const struct hyc_hyper_options defaults = HYC_HYPER_DEFAULTS;

static void every_length_comes_back(void **state)
{
	const struct hyc_hyper_options options = { 0.1, 225, 3, 0.001, 1 };

	(void)state;
	for (size_t d = 0; d < LEN(dtypes); d++)
		for (size_t n = 1; n <= 1100; n += n < 130 ? 1 : 61) {
			struct tensor t = tensor_new(dtypes[d], n, n % 3 ? 262144 : 10 + n / 4 * 2);

			for (size_t i = 0; i < n; i++)
				set(&t, i, (n % 2 ? 0.02f : 0.05f) * (float)normal());
			assert_int_equal(code(&t, &options), n < 10 ? HYC_HYPER_TOO_SMALL : HYC_HYPER_CODED);
			tensor_free(&t);
		}
}

/* Several units, each with a last group and a last pair that are not whole. */
static void many_units_come_back(void **state)
{
	static const size_t lengths[] = { 131071, 131072, 131073, 131072 + 130, 262144 + 127 };
	static const double nodes[] = { 4, 100, 225, 1600, 4096 };

	(void)state;
	for (size_t i = 0; i < LEN(lengths); i++) {
		const struct hyc_hyper_options options = { 0.1, nodes[i], 1 + (double)(i % 3), 0, 9 };
		struct tensor t = tensor_new(dtypes[i % 3], lengths[i], 1 << 22);

		for (size_t k = 0; k < t.n; k++)
			set(&t, k, (float)normal() * 0.03f);
		assert_int_equal(code(&t, &options), HYC_HYPER_CODED);
		tensor_free(&t);
	}
}

/* The same weights as BF16, F16 and F32 have the same pairs, rounded once: to the nearest, ties to even. */
static void values_are_rounded_once(void **state)
{
	(void)state;
	for (size_t d = 0; d < 2; d++) {
		struct tensor wide = tensor_new(HYC_F32, 20001, 262144), t = tensor_new(dtypes[d], 20001, 262144);

		for (size_t i = 0; i < t.n; i++) {
			set(&t, i, (float)normal() * 0.03f);
			set(&wide, i, source(&t, i));
		}
		assert_int_equal(code(&wide, &defaults), HYC_HYPER_CODED);
		assert_int_equal(code(&t, &defaults), HYC_HYPER_CODED);
		assert_memory_equal(hyc_hyper_plan_params(t.plan), hyc_hyper_plan_params(wide.plan),
				    HYC_HYPER_PARAMS_BYTES);
		for (size_t i = 0; i < t.n; i++) {
			double v = decoded(&wide, i), ulp;
			int e;

			frexp(v, &e);
			ulp = dtypes[d] == HYC_BF16 ? ldexp(1, e - 8) : ldexp(1, e < -13 ? -24 : e - 11);
			assert_true(decoded(&t, i) == nearbyint(v / ulp) * ulp);
		}
		tensor_free(&wide);
		tensor_free(&t);
	}
}

static void half_floats(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 0x7c00; h++) {
		float f = hyc_f16_to_float((uint16_t)h);
		float next = h == 0x7bff ? 65536 : hyc_f16_to_float((uint16_t)(h + 1)), middle = (f + next) / 2;
		bool normal = h >= 0x400;

		assert_true(f == (float)ldexp((h & 0x3ff) + normal * 0x400, normal ? (int)(h >> 10) - 25 : -24));
		assert_int_equal(hyc_float_to_f16(f), h);
		assert_int_equal(hyc_float_to_f16(-f), h | 0x8000);
		assert_int_equal(hyc_float_to_f16(middle), h + h % 2);
		assert_int_equal(hyc_float_to_f16(nextafterf(middle, 0)), h);
		assert_int_equal(hyc_float_to_f16(nextafterf(middle, INFINITY)), h + 1);
	}
	assert_int_equal(hyc_float_to_f16(INFINITY), 0x7c00);
	assert_true(isinf(hyc_f16_to_float(0x7c00)) && isnan(hyc_f16_to_float(0x7e00)));
	assert_int_equal(hyc_float_to_bf16(hyc_bits_float(0x3f808000)), 0x3f80);
	assert_int_equal(hyc_float_to_bf16(hyc_bits_float(0x3f818000)), 0x3f82);
	assert_int_equal(hyc_float_to_bf16(hyc_bits_float(0x3f808001)), 0x3f81);
}

/* One value everywhere: no classes, four bytes for a block, and no error beyond a rounding of the mean. */
static void equal_tensors(void **state)
{
	static const float values[] = { 0, 1, -0.3f, 1e-40f, 60000 };

	(void)state;
	for (size_t i = 0; i < 3 * LEN(values); i++) {
		struct tensor t = tensor_new(dtypes[i % 3], 5001, 1000);

		for (size_t k = 0; k < t.n; k++)
			set(&t, k, values[i / 3]);
		assert_int_equal(code(&t, &defaults), HYC_HYPER_CODED);
		assert_int_equal(hyc_hyper_plan_params(t.plan)[38], 0);
		assert_int_equal(t.stored, 5 * 4 + hyc_dtype_bytes(t.dtype));
		assert_true(t.result.max_error == 0);
		tensor_free(&t);
	}
}

/* Whether the points lie in the square decides whether there are classes; the error stays below a step. */
static void classes_follow_the_spread(void **state)
{
	struct tensor narrow = tensor_new(HYC_BF16, 30000, 262144), wide = tensor_new(HYC_BF16, 30000, 262144);

	(void)state;
	for (size_t i = 0; i < narrow.n; i++) {
		set(&narrow, i, (float)(uniform() - 0.5) * 0.09f);
		set(&wide, i, (float)normal() * 0.02f);
	}
	set(&wide, 17, 1.9f);
	assert_int_equal(code(&narrow, &defaults), HYC_HYPER_CODED);
	assert_int_equal(hyc_hyper_plan_params(narrow.plan)[38], 0);
	assert_true(narrow.result.max_error < 0.0025 && hyc_hyper_plan_error(narrow.plan) < 0.001);
	assert_int_equal(code(&wide, &defaults), HYC_HYPER_CODED);
	assert_in_range(hyc_hyper_plan_params(wide.plan)[38], 1, 3);
	assert_true(fabsf(decoded(&wide, 17) - 1.9f) < 0.1f);
	assert_true(hyc_hyper_plan_error(wide.plan) < 0.002);
	/* Entropy coding: below the published width of 12 bits for a pair and more. */
	assert_true((double)wide.stored * 8 < 30000 * 5.6);
	tensor_free(&narrow);
	tensor_free(&wide);
}

/* Halves of pairs, and bytes that are not there. */
static void odd_parts_are_refused(void **state)
{
	static const struct { uint64_t pos; size_t len; } parts[] = {
		{ 0, 0 }, { 0, 3 }, { 0, 22 }, { 1, 4 }, { 2, 4 }, { 40, 3 }, { 40, 4 }, { 44, 4 },
		{ UINT64_MAX - 3, 4 },
	};
	struct tensor t = tensor_new(HYC_BF16, 21, 20);
	struct hyc_hyper_scan *scan = NULL;
	struct hyc_hyper_result result;
	uint8_t dst[64], said[64];

	(void)state;
	for (size_t i = 0; i < t.n; i++)
		set(&t, i, (float)normal() * 0.01f);
	assert_int_equal(code(&t, &defaults), HYC_HYPER_CODED);
	for (size_t i = 0; i < LEN(parts); i++) {
		assert_int_equal(hyc_hyper_scan(t.plan, parts[i].pos, t.src.data, parts[i].len, &scan), -EINVAL);
		assert_int_equal(hyc_hyper_encode(t.plan, parts[i].pos, t.src.data, parts[i].len, dst, sizeof dst, said,
						  &result), -EINVAL);
	}
	tensor_free(&t);
}

static void hopeless_tensors_are_told(void **state)
{
	static const struct {
		uint32_t dtype;
		float sigma, planted;
		double limit;
		enum hyc_hyper_verdict verdict;
	} cases[] = {
		{ HYC_BF16, 0.02f, NAN, 1, HYC_HYPER_NOT_FINITE },
		{ HYC_F16, 0.02f, NAN, 1, HYC_HYPER_NOT_FINITE },
		{ HYC_F32, 0.02f, NAN, 1, HYC_HYPER_NOT_FINITE },
		{ HYC_F32, 0.02f, INFINITY, 1, HYC_HYPER_NOT_FINITE },
		{ HYC_BF16, 0.02f, -INFINITY, 1, HYC_HYPER_NOT_FINITE },
		{ HYC_F16, 0.02f, 65535, 1, HYC_HYPER_NOT_FINITE },
		{ HYC_F16, 0.02f, -65000, 1e6, HYC_HYPER_CODED },
		{ HYC_F16, 0.02f, 65504, 1e6, HYC_HYPER_TOO_FAR_OUT },
		{ HYC_F16, 10000, 0, 1e6, HYC_HYPER_CODED },
		{ HYC_BF16, 20000, 0, 1e6, HYC_HYPER_CODED },
		{ HYC_F32, 0.02f, 1e19f, 1e6, HYC_HYPER_ABOVE_LIMIT },
		{ HYC_F32, 0.02f, 1e20f, 1e6, HYC_HYPER_TOO_FAR_OUT },
		{ HYC_F32, 0.02f, 3.4e38f, 1e6, HYC_HYPER_TOO_FAR_OUT },
		{ HYC_BF16, 1, 0, 0.006, HYC_HYPER_ABOVE_LIMIT },
		{ HYC_BF16, 1, 0, 0.06, HYC_HYPER_CODED },
		{ HYC_F32, 1e-41f, 0, 1, HYC_HYPER_CODED },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct hyc_hyper_options options = defaults;
		struct tensor t = tensor_new(cases[i].dtype, 2001, 500);
		enum hyc_hyper_verdict got;

		options.limit = cases[i].limit;
		for (size_t k = 0; k < t.n; k++)
			set(&t, k, (float)normal() * cases[i].sigma);
		/* NaN: the last one, which is half a pair. 65504: both of a pair, whose distance is further. */
		if (isnan(cases[i].planted))
			hyc_store16(t.src.data + t.len - 2, 0x7fff);
		else if (cases[i].planted != 0)
			set(&t, 1000, cases[i].planted);
		if (cases[i].planted == 65504)
			set(&t, 1001, 65504);
		got = code(&t, &options);
		if (got != cases[i].verdict)
			fail_msg("case %zu: %s", i, hyc_hyper_verdict_text(got));
		tensor_free(&t);
	}
}

static void options_have_ranges(void **state)
{
	static const struct {
		struct hyc_hyper_options options;
		const char *name; /* of the range; NULL where all are inside */
	} cases[] = {
		{ HYC_HYPER_DEFAULTS, NULL },
		{ { 1e-6, 4, 1, 0, 0 }, NULL },
		{ { 1e6, 4096, 10, 1e6, 1e6 }, NULL },
		{ { 0, 1600, 3, 0.001, 0.006 }, "l" },
		{ { NAN, 1600, 3, 0.001, 0.006 }, "l" },
		{ { INFINITY, 1600, 3, 0.001, 0.006 }, "l" },
		{ { 1e-300, 1600, 3, 0.001, 0.006 }, "l" },
		{ { 0.1, 3, 3, 0.001, 0.006 }, "nodes" },
		{ { 0.1, 4097, 3, 0.001, 0.006 }, "nodes" },
		{ { 0.1, 1600.5, 3, 0.001, 0.006 }, "nodes" },
		{ { 0.1, 1600, 0, 0.001, 0.006 }, "classes" },
		{ { 0.1, 1600, 11, 0.001, 0.006 }, "classes" },
		{ { 0.1, 1600, 2.5, 0.001, 0.006 }, "classes" },
		{ { 0.1, 1600, 3, -1, 0.006 }, "threshold" },
		{ { 0.1, 1600, 3, NAN, 0.006 }, "threshold" },
		{ { 0.1, 1600, 3, 0.001, -1e-9 }, "limit" },
		{ { 0.1, 1600, 3, 0.001, INFINITY }, "limit" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		const struct hyc_hyper_range *range = hyc_hyper_out_of_range(&cases[i].options);
		struct hyc_hyper *hyper;

		if (!range != !cases[i].name || (range && strcmp(range->name, cases[i].name)))
			fail_msg("case %zu: %s", i, range ? range->name : "inside");
		if (range)
			assert_int_equal(hyc_hyper_new(&cases[i].options, &hyper), -EINVAL);
	}
}

static struct tensor some_tensor(uint32_t dtype, size_t n, float sigma, size_t block_elements)
{
	struct tensor t = tensor_new(dtype, n, block_elements);

	for (size_t i = 0; i < n; i++)
		set(&t, i, (float)normal() * sigma);
	assert_int_equal(code(&t, &defaults), HYC_HYPER_CODED);
	assert_non_null(t.block);
	return t;
}

static int check_params(uint32_t dtype, const uint8_t *params, uint32_t len)
{
	struct guarded g = guarded_new(len);
	struct hyc_coding coding = { .codec = HYC_CODEC_HYPER, .dtype = dtype, .rows = 1, .cols = 100 };
	int result;

	coding.params = g.data;
	coding.params_len = len;
	memcpy(g.data, params, len);
	result = hyc_codec_get(HYC_CODEC_HYPER)->check(&coding);
	guarded_free(g);
	return result;
}

static void bad_parameters_are_refused(void **state)
{
	static const double doubles[] = { NAN, INFINITY, -INFINITY, 0, -1, 1e-7, 1e7 };
	static const float floats[] = { NAN, INFINITY, -INFINITY, 1e38f, -1e38f };
	static const struct { uint8_t at, value; } bytes[] = {
		{ 37, 0x11 }, { 38, 11 }, { 38, 255 }, { 39, 4 }, { 39, 255 }, { 39, 0 },
	};
	struct tensor t = some_tensor(HYC_BF16, 5000, 0.03f, 262144);
	uint8_t p[HYC_HYPER_PARAMS_BYTES + 1] = { 0 };

	(void)state;
	memcpy(p, hyc_hyper_plan_params(t.plan), HYC_HYPER_PARAMS_BYTES);
	for (uint32_t len = 0; len <= HYC_HYPER_PARAMS_BYTES + 1; len++)
		assert_int_equal(check_params(HYC_BF16, p, len), len == HYC_HYPER_PARAMS_BYTES ? 0 : -EBADMSG);
	for (uint32_t dtype = 0; dtype < HYC_N_DTYPES; dtype++)
		assert_int_equal(check_params(dtype, p, HYC_HYPER_PARAMS_BYTES),
				 dtype == HYC_BF16 || dtype == HYC_F16 || dtype == HYC_F32 ? 0 : -EBADMSG);
	for (unsigned i = 0; i < 3 * LEN(doubles); i++) {
		memcpy(p, hyc_hyper_plan_params(t.plan), HYC_HYPER_PARAMS_BYTES);
		memcpy(p + i % 3 * 8, &doubles[i / 3], 8);
		assert_int_equal(check_params(HYC_BF16, p, HYC_HYPER_PARAMS_BYTES), i / 3 == 5 && i % 3 ? 0 : -EBADMSG);
	}
	for (unsigned i = 0; i < 3 * LEN(floats); i++) {
		memcpy(p, hyc_hyper_plan_params(t.plan), HYC_HYPER_PARAMS_BYTES);
		memcpy(p + 24 + i % 3 * 4, &floats[i / 3], 4);
		assert_int_equal(check_params(HYC_BF16, p, HYC_HYPER_PARAMS_BYTES), -EBADMSG);
	}
	for (unsigned i = 0; i < LEN(bytes); i++) {
		memcpy(p, hyc_hyper_plan_params(t.plan), HYC_HYPER_PARAMS_BYTES);
		p[bytes[i].at] = bytes[i].value;
		assert_int_equal(check_params(HYC_BF16, p, HYC_HYPER_PARAMS_BYTES), -EBADMSG);
	}
	/* 60000 is far from the end of BF16, but not of F16. */
	memcpy(p, hyc_hyper_plan_params(t.plan), HYC_HYPER_PARAMS_BYTES);
	hyc_store32(p + 24, hyc_float_bits(-65504));
	assert_int_equal(check_params(HYC_BF16, p, HYC_HYPER_PARAMS_BYTES), 0);
	assert_int_equal(check_params(HYC_F16, p, HYC_HYPER_PARAMS_BYTES), -EBADMSG);
	/* Classes without a radius. */
	hyc_store32(p + 24, 0);
	hyc_store32(p + 32, hyc_float_bits(0.02f));
	assert_int_equal(check_params(HYC_BF16, p, HYC_HYPER_PARAMS_BYTES), -EBADMSG);
	p[38] = 0;
	assert_int_equal(check_params(HYC_BF16, p, HYC_HYPER_PARAMS_BYTES), 0);
	tensor_free(&t);
}

static void wrong_lengths_are_refused(void **state)
{
	/* Coded with rANS, and with plain indices. */
	static const size_t lengths[] = { 40001, 301 };

	(void)state;
	for (size_t i = 0; i < LEN(lengths); i++) {
		struct tensor t = some_tensor(HYC_BF16, lengths[i], 0.03f, 262144);
		uint8_t *longer = calloc(1, t.block_len + 64);

		assert_int_equal(t.block[0], i ? HYC_HYPER_PLAIN : HYC_HYPER_RANS);
		for (size_t len = 1; len < t.block_len; len = len < 2000 ? len + 1 : len + 997)
			assert_int_equal(decode(&t, t.block, len, 0, t.len), -EBADMSG);
		memcpy(longer, t.block, t.block_len);
		assert_int_equal(decode(&t, longer, t.block_len, 0, t.len), 0);
		assert_int_equal(decode(&t, longer, t.block_len + 1, 0, t.len), -EBADMSG);
		assert_int_equal(decode(&t, longer, t.block_len + 16, 0, t.len), -EBADMSG);
		assert_int_equal(decode(&t, longer, t.block_len, 0, t.len + 2), -EBADMSG);
		assert_int_equal(decode(&t, longer, t.block_len, 0, t.len - 1), -EBADMSG);
		assert_int_equal(decode(&t, longer, t.block_len, 0, t.len - 2), -EBADMSG);
		assert_int_equal(decode(&t, longer, t.block_len, 0, t.len - 4), -EBADMSG);
		/* Half a pair before the end; a start inside a pair; behind the end. */
		assert_int_equal(decode(&t, longer, t.block_len, 4, t.len), -EBADMSG);
		assert_int_equal(decode(&t, longer, t.block_len, 2, t.len - 2), -EBADMSG);
		assert_int_equal(decode(&t, longer, t.block_len, UINT64_C(1) << 63, t.len), -EBADMSG);
		free(longer);
		tensor_free(&t);
	}
}

/* Writers make units of 65536 pairs; here are two of 1024, with the same contents, from a block of one. */
static void units_may_be_short(void **state)
{
	struct tensor t = tensor_new(HYC_BF16, 4096, 2048);
	uint32_t table[HYC_RANS_SLOTS];
	size_t head, unit_bytes, len;
	uint8_t *two;

	(void)state;
	for (size_t i = 0; i < 2048; i++) {
		set(&t, i, (float)normal() * 0.03f);
		set(&t, 2048 + i, source(&t, i));
	}
	assert_int_equal(code(&t, &defaults), HYC_HYPER_CODED);
	assert_int_equal(t.block[0], HYC_HYPER_RANS);
	head = 2 + hyc_rans_read_table(t.block + 2, t.block_len - 2, 10, table);
	unit_bytes = t.block_len - (head + 4 + 15) / 16 * 16;
	len = (head + 8 + 15) / 16 * 16 + 2 * unit_bytes;
	two = calloc(1, len);
	memcpy(two, t.block, head + 4);
	memcpy(two + head + 4, t.block + head, 4);
	memcpy(two + len - unit_bytes, t.block + t.block_len - unit_bytes, unit_bytes);
	memcpy(two + len - 2 * unit_bytes, t.block + t.block_len - unit_bytes, unit_bytes);
	for (uint8_t u = 9; u < 18; u++) {
		two[1] = u;
		assert_int_equal(decode(&t, two, len, 0, t.len), u == 10 ? 0 : -EBADMSG);
	}
	two[1] = 10;
	expect_decoded(&t, two, len, 0, t.len);
	free(two);
	tensor_free(&t);
}

static void bad_headers_are_refused(void **state)
{
	static const struct { size_t n; uint8_t at, value; } cases[] = {
		{ 40001, 0, 0 }, { 40001, 0, 1 }, { 40001, 0, 3 }, { 40001, 0, 255 }, { 40001, 1, 9 }, { 40001, 1, 17 },
		{ 301, 3, 255 }, { 301, 0, 0 }, { 301, 0, 2 },
	};
	static const uint8_t constant[] = { 0, 0, 0xff, 0xff };

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct tensor t = some_tensor(HYC_F32, cases[i].n, 0.03f, 262144);

		t.block[cases[i].at] = cases[i].value;
		assert_int_equal(decode(&t, t.block, t.block_len, 0, t.len), -EBADMSG);
		assert_int_equal(decode(&t, constant, sizeof constant, 0, t.len), -EBADMSG);
		tensor_free(&t);
	}
}

/* Whatever the bytes say, decoding ends and stays in its buffers; most changes are noticed. */
static void broken_blocks_do_no_harm(void **state)
{
	(void)state;
	for (unsigned d = 0; d < LEN(dtypes); d++) {
		struct tensor t = some_tensor(dtypes[d], 5001, 0.03f, 262144);
		uint8_t *broken = malloc(t.block_len);
		unsigned refused = 0;

		for (unsigned i = 0; i < 2000; i++) {
			memcpy(broken, t.block, t.block_len);
			for (unsigned k = 0; k <= i % 4; k++)
				broken[random32() % (i % 2 ? t.block_len : 500)] = (uint8_t)random32();
			refused += decode(&t, broken, t.block_len, 0, t.len) == -EBADMSG;
		}
		assert_true(refused > 500);
		free(broken);
		tensor_free(&t);
	}
}

/* Parameters no encoder would choose, allowed by the format or not: tables are built and used in bounds. */
static void odd_parameters_do_no_harm(void **state)
{
	struct tensor t = some_tensor(HYC_F16, 5001, 0.03f, 262144);
	unsigned allowed = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t p[HYC_HYPER_PARAMS_BYTES], constant[4] = { 0, 0, 0, 0 };
		struct hyc_coding coding = coding_of(&t);
		uint8_t *out = malloc(t.len);
		int decodes;

		memcpy(p, hyc_hyper_plan_params(t.plan), sizeof p);
		for (unsigned k = 0; k <= i % 3; k++)
			p[random32() % sizeof p] = (uint8_t)random32();
		p[38] = (uint8_t)(p[38] % 12);
		p[39] = (uint8_t)(p[39] % 5);
		hyc_store16(constant + 2, (uint16_t)random32());
		coding.params = p;
		decodes = !hyc_block_decode(&coding, constant, sizeof constant, out, t.len);
		if (hyc_codec_get(HYC_CODEC_HYPER)->check(&coding))
			assert_false(decodes);
		else
			allowed++;
		for (size_t k = 0; decodes && k < t.n; k++)
			assert_true(isfinite(load(t.dtype, out + 2 * k)));
		decodes = hyc_block_decode(&coding, t.block, t.block_len, out, t.len);
		assert_true(!decodes || decodes == -EBADMSG);
		free(out);
	}
	assert_true(allowed > 500);
	tensor_free(&t);
}

/* What a thread does that decodes two objects in turn. The wrong blocks are counted: threads cannot assert. */
struct turns {
	struct tensor *tensor; /* two */
	unsigned wrong;
};

static void *take_turns(void *arg)
{
	struct turns *turns = arg;

	for (unsigned i = 0; i < 60; i++) {
		unsigned which = i / (1 + i % 3) % 2;
		struct tensor *t = &turns->tensor[which];
		struct hyc_coding coding = coding_of(t);
		uint8_t *out = malloc(t->len);

		/* Last without a key. */
		coding.key = i < 40 ? which + 1 : 0;
		if (hyc_block_decode(&coding, t->block, t->block_len, out, t->len) ||
		    memcmp(out, t->decoded.data, t->len))
			turns->wrong++;
		free(out);
	}
	return NULL;
}

/* A thread keeps the table of one object by its key; neither objects nor threads get each other's. */
static void objects_take_turns(void **state)
{
	struct tensor t[2] = { some_tensor(HYC_BF16, 5000, 0.03f, 262144), some_tensor(HYC_F32, 5000, 0.01f, 262144) };
	struct turns turns[4];
	pthread_t thread[LEN(turns)];

	(void)state;
	for (unsigned i = 0; i < LEN(turns); i++) {
		turns[i] = (struct turns){ .tensor = t };
		assert_int_equal(pthread_create(&thread[i], NULL, take_turns, &turns[i]), 0);
	}
	for (unsigned i = 0; i < LEN(turns); i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(turns[i].wrong, 0);
	}
	tensor_free(&t[0]);
	tensor_free(&t[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_comes_back),
		cmocka_unit_test(many_units_come_back),
		cmocka_unit_test(values_are_rounded_once),
		cmocka_unit_test(half_floats),
		cmocka_unit_test(equal_tensors),
		cmocka_unit_test(classes_follow_the_spread),
		cmocka_unit_test(odd_parts_are_refused),
		cmocka_unit_test(hopeless_tensors_are_told),
		cmocka_unit_test(options_have_ranges),
		cmocka_unit_test(bad_parameters_are_refused),
		cmocka_unit_test(wrong_lengths_are_refused),
		cmocka_unit_test(units_may_be_short),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(broken_blocks_do_no_harm),
		cmocka_unit_test(odd_parameters_do_no_harm),
		cmocka_unit_test(objects_take_turns),
	};

	samples_seed_from_env();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
