/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks for checkcodec, made by the encoders that pack uses. */
#include "config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/encode.h"
#include "codec/half.h"
#include "codec/hyper.h"
#include "codec/hyper_encode.h"
#include "codec/tcq_encode.h"
#include "format/dtype.h"
#include "tests/checkcodec.h"

/* Short blocks do not shrink: this much may be added to them. */
#define EXTRA 65536u

uint64_t check_seed;

uint32_t check_random(void)
{
	check_seed ^= check_seed << 13;
	check_seed ^= check_seed >> 7;
	check_seed ^= check_seed << 17;
	return (uint32_t)(check_seed * UINT64_C(0x2545f4914f6cdd1d) >> 32);
}

void check_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "checkcodec: ");
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void *allocate(size_t bytes)
{
	void *p = malloc(bytes ? bytes : 1);

	if (!p)
		check_fail("out of memory");
	return p;
}

/* Near enough to normally distributed, with a standard deviation of 1. */
static float normal(void)
{
	int32_t sum = 0;

	for (int i = 0; i < 6; i++) {
		uint32_t r = check_random();

		sum += (int32_t)(r & 0xffff) + (int32_t)(r >> 16);
	}
	return (float)(sum - 6 * 65535) / 65536.0f;
}

static unsigned element_bytes(uint32_t dtype)
{
	return dtype == HYC_C64 ? 4 : hyc_dtype_bytes(dtype);
}

/* Bits of the element nearest to v, or of one that is distributed like it. */
static uint32_t element(uint32_t dtype, float v)
{
	switch (dtype) {
	case HYC_BF16:
		return hyc_float_to_bf16(v);
	case HYC_F16:
		return hyc_float_to_f16(v);
	case HYC_F32:
	case HYC_C64:
		return hyc_float_bits(v);
	case HYC_F8_E4M3:
		return hyc_float_to_f16(v * 0x1p8f) >> 7 & 0xff;
	case HYC_F8_E5M2:
		return hyc_float_to_f16(v) >> 8;
	default:
		return (uint32_t)(int32_t)lrintf(fmaxf(-127, fminf(127, v * 1000))) & 0xff;
	}
}

static uint32_t kind_of_element(uint32_t dtype, enum check_kind kind, float v)
{
	uint32_t bits;

	if (kind == CHECK_WIDE)
		v = ldexpf(v, (int)check_below(48) - 24);
	bits = element(dtype, v);
	if (kind == CHECK_COARSE)
		bits &= ~((UINT32_C(1) << element_bytes(dtype) * 3) - 1);
	if (kind == CHECK_OUTLIERS && !check_below(1500))
		bits = check_random();
	if (kind == CHECK_SPARSE && check_below(4))
		bits = 0;
	return bits;
}

static uint8_t *make_elements(uint32_t dtype, uint32_t rows, uint32_t cols, enum check_kind kind)
{
	unsigned bytes = element_bytes(dtype);
	uint8_t *src = allocate((size_t)rows * cols * bytes), *p = src;

	for (uint32_t r = 0; r < rows; r++) {
		float spread = 0.01f * (float)(1 + r % 5);

		for (uint32_t c = 0; c < cols; c++, p += bytes) {
			uint32_t bits = kind_of_element(dtype, kind, spread * normal());

			if (bytes == 1)
				*p = (uint8_t)bits;
			else if (bytes == 2)
				hyc_store16(p, (uint16_t)bits);
			else
				hyc_store32(p, bits);
		}
	}
	return src;
}

static ssize_t make_float(struct check_block *b, const uint8_t *src)
{
	return hyc_float_encode(b->coding.dtype, src, b->len, b->stored, b->len + EXTRA);
}

static ssize_t make_tcq(struct check_block *b, const uint8_t *src, unsigned detail)
{
	struct hyc_coding *c = &b->coding;
	float *spread = allocate(c->rows * sizeof *spread), unit;
	uint8_t *row_scale = allocate(c->rows), *col_scale = allocate(c->cols), *decoded = allocate(b->len);
	struct hyc_tcq_design d = {
		.trellis = detail % 4 != 3, .unit_rows = hyc_tcq_unit_rows(c->cols, (uint32_t)c->rows),
		.row_scale = detail % 3 ? row_scale : NULL, .col_scale = detail % 5 == 1 ? col_scale : NULL,
	};
	struct hyc_tcq_result result;
	ssize_t n;

	if (detail % 7 == 2 && d.unit_rows > 8)
		d.unit_rows = 1 + d.unit_rows / 3;
	if (hyc_tcq_spread(c->dtype, c->cols, src, (uint32_t)c->rows, spread) ||
	    hyc_tcq_row_scales(spread, c->rows, row_scale, &unit))
		check_fail("no scales");
	for (uint64_t j = 0; j < c->cols; j++)
		col_scale[j] = (uint8_t)(120 + check_below(17));
	/* From 6 bits a weight to under 2. */
	d.step = (double)unit * (d.row_scale ? 1 : 0.02) * (detail % 6 == 5 ? detail % 9 == 2 ? 0.12 : 0.02 : 0.15 + 0.2 * (detail % 4));
	c->params_len = hyc_tcq_params_bytes(&d, c->rows, c->cols);
	c->params = b->params = allocate(c->params_len);
	if (hyc_tcq_write_params(&d, c->rows, c->cols, b->params))
		check_fail("no parameters");
	n = hyc_tcq_encode(c, HYC_TCQ_LAMBDA, src, b->len, b->stored, b->len + EXTRA, decoded, &result);
	free(spread);
	free(row_scale);
	free(col_scale);
	free(decoded);
	return n;
}

static ssize_t make_hyper(struct check_block *b, const uint8_t *src, unsigned detail)
{
	const struct hyc_hyper_options options = {
		.side = 0.1, .nodes = detail % 4 == 3 ? 225 : 1600, .classes = 1 + detail % 3, .threshold = 1e-6, .limit = 1,
	};
	uint64_t n_elements = b->coding.rows * b->coding.cols;
	struct hyc_hyper_scan *scan = NULL;
	struct hyc_hyper_result result;
	uint8_t *decoded = allocate(b->len);
	struct hyc_hyper *hyper;
	struct hyc_hyper_plan *plan;
	ssize_t n = 0;

	if (hyc_hyper_new(&options, &hyper) ||
	    hyc_hyper_plan_new(hyper, b->coding.dtype, n_elements, (n_elements + 1) / 2 * 2, &plan))
		check_fail("no plan");
	while (hyc_hyper_plan_round(plan) < HYC_HYPER_ROUNDS) {
		if (hyc_hyper_scan(plan, 0, src, b->len, &scan))
			check_fail("no scan");
		hyc_hyper_plan_take(plan, scan);
		if (hyc_hyper_plan_end_round(plan))
			check_fail("out of memory");
	}
	if (hyc_hyper_plan_verdict(plan) == HYC_HYPER_CODED) {
		b->params = allocate(HYC_HYPER_PARAMS_BYTES);
		memcpy(b->params, hyc_hyper_plan_params(plan), HYC_HYPER_PARAMS_BYTES);
		b->coding.params = b->params;
		b->coding.params_len = HYC_HYPER_PARAMS_BYTES;
		n = hyc_hyper_encode(plan, 0, src, b->len, b->stored, b->len + EXTRA, decoded, &result);
	}
	hyc_hyper_scan_free(scan);
	hyc_hyper_plan_free(plan);
	hyc_hyper_free(hyper);
	free(decoded);
	return n;
}

void *check_state_new(const struct hyc_coding *coding)
{
	const struct hyc_codec *codec = hyc_codec_get(coding->codec);
	void *state;

	if (!codec->build)
		return NULL;
	state = allocate(codec->state_bytes(coding));
	codec->build(coding, state);
	return state;
}

bool check_block_make(struct check_block *b, uint32_t codec, uint32_t dtype, uint32_t rows, uint32_t cols, enum check_kind kind,
		      unsigned detail)
{
	uint8_t *src = make_elements(dtype, rows, cols, kind);
	ssize_t n;

	*b = (struct check_block){ .coding = { .codec = codec, .dtype = dtype, .rows = rows, .cols = cols } };
	b->len = (size_t)rows * cols * element_bytes(dtype);
	b->stored = allocate(b->len + EXTRA);
	n = codec == HYC_CODEC_FLOAT ? make_float(b, src) : codec == HYC_CODEC_TCQ ? make_tcq(b, src, detail) : make_hyper(b, src, detail);
	free(src);
	if (n <= 0) {
		check_block_fini(b);
		return false;
	}
	b->stored_len = (size_t)n;
	b->state = check_state_new(&b->coding);
	b->coding.state = b->state;
	return true;
}

void check_block_fini(struct check_block *b)
{
	free(b->params);
	free(b->stored);
	free(b->state);
}

hyc_decode_fn *check_kernel(const struct hyc_backend *backend, uint32_t codec)
{
	return backend->decode[codec] ? backend->decode[codec] : hyc_codec_get(codec)->decode;
}
