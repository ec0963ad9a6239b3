/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels of the CUDA module against plain C: every codec, dtype and kind of data at many lengths, whole and broken.
 * What plain C refuses must be refused, and all else must be equal, byte by byte.
 *
 *	checkcuda [--small] [SEED]
 *
 * Exit status 77 where there is no device. HYC_CUDA_MODULE says which module: tests/cuda-emulate.sh runs this on the
 * kernels' emulation.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "codec/cuda/cuda.h"
#include "codec/encode.h"
#include "codec/float.h"
#include "codec/half.h"
#include "codec/hyper_encode.h"
#include "codec/tcq_encode.h"
#include "format/dtype.h"
#include "tests/samples.h"

#define EXTRA 65536u /* room of blocks that grow */
#define MAX_CASES 16384

/* A block, and the coding it is one of. Codings and their memory live to the end. */
struct test {
	const struct hyc_coding *coding;
	uint8_t *src;
	size_t src_len, dst_len;
	char what[128];
};

static struct test tests[MAX_CASES];
static size_t n_tests, n_refused, n_equal, n_failed;
static unsigned mutations = 12;

static void *need(void *memory)
{
	if (!memory) {
		fprintf(stderr, "checkcuda: no memory\n");
		exit(1);
	}
	return memory;
}

/* ---- cases ---- */

static void add(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, size_t dst_len, const char *what)
{
	struct test *t = &tests[n_tests];

	if (n_tests == MAX_CASES) {
		fprintf(stderr, "checkcuda: too many cases\n");
		exit(1);
	}
	*t = (struct test){ .coding = coding, .src_len = src_len, .dst_len = dst_len };
	t->src = need(malloc(src_len + 1));
	memcpy(t->src, src, src_len);
	snprintf(t->what, sizeof t->what, "%s", what);
	n_tests++;
}

/* The block, and broken ones made from it: bytes changed near the front or anywhere, cut short, made longer. */
static void add_all(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, size_t dst_len, const char *what)
{
	uint8_t *broken = need(malloc(src_len + 64));

	if (src_len == dst_len)
		return;
	add(coding, src, src_len, dst_len, what);
	for (unsigned i = 0; i < mutations; i++) {
		size_t len = src_len, front = i % 2 ? len : len < 160 ? len : 160;
		char name[112];

		memcpy(broken, src, src_len);
		memset(broken + src_len, 0, 64);
		if (i % 6 == 5)
			len = random32() % 2 ? len - len % 64 / 2 - 1 : len + 1 + random32() % 32;
		else
			for (unsigned k = 0; k < 1 + i % 3; k++)
				broken[random32() % front] = i % 4 ? (uint8_t)random32() : (uint8_t)(broken[random32() % front] + 1);
		if (!len || len == dst_len)
			continue;
		snprintf(name, sizeof name, "%.80s, broken %u", what, i);
		add(coding, broken, len, dst_len, name);
	}
	free(broken);
}

static struct hyc_coding *new_coding(uint32_t codec, uint32_t dtype, uint64_t rows, uint64_t cols)
{
	struct hyc_coding *c = need(calloc(1, sizeof *c));

	*c = (struct hyc_coding){ .codec = codec, .dtype = dtype, .rows = rows, .cols = cols };
	return c;
}

enum kind { WEIGHTS, UNIFORM, ZEROS, SPARSE, FROM_HALF, KINDS };

static void make(enum kind kind, uint32_t dtype, unsigned bytes, uint8_t *dst, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float x = 0.02f * (float)normal();

		if (kind == SPARSE && random32() % 64)
			x = 0;
		if (kind == ZEROS)
			x = 1;
		if (kind == FROM_HALF)
			x = hyc_bf16_to_float(hyc_float_to_bf16(x));
		if (bytes == 1)
			dst[i] = kind == UNIFORM ? (uint8_t)random32() : (uint8_t)(int)(x * 2000);
		else
			store_element(dtype, dst + i * bytes, x);
		if (kind == UNIFORM && bytes > 1)
			for (unsigned k = 0; k < bytes; k++)
				dst[i * bytes + k] = (uint8_t)random32();
		/* Seldom something else altogether, which makes exceptions. */
		if (kind == WEIGHTS && random32() % 997 == 0)
			for (unsigned k = 0; k < bytes; k++)
				dst[i * bytes + k] = (uint8_t)random32();
	}
}

static void float_cases(uint32_t dtype, size_t n)
{
	unsigned bytes = hyc_float_layout(dtype)->elem_bytes;
	uint8_t *src = need(malloc(n * bytes)), *dst = need(malloc(2 * n * bytes + EXTRA));

	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct hyc_coding *c = new_coding(HYC_CODEC_FLOAT, dtype, 1, n);
		char what[128];
		ssize_t len;

		make(kind, dtype, bytes, src, n);
		len = hyc_float_encode(dtype, src, n * bytes, dst, 2 * n * bytes + EXTRA);
		snprintf(what, sizeof what, "float dtype %u, kind %u, %zu elements", dtype, kind, n);
		if (len > 0)
			add_all(c, dst, (size_t)len, n * bytes, what);
	}
	free(src);
	free(dst);
}

static void tcq_case(uint32_t dtype, uint32_t rows, uint32_t cols, double step, bool trellis, unsigned scales, uint32_t unit_rows)
{
	size_t bytes = hyc_dtype_bytes(dtype), n = (size_t)rows * cols, len = n * bytes;
	uint8_t *src = need(malloc(len)), *dst = need(malloc(4 * len + EXTRA)), *decoded = need(malloc(len));
	struct hyc_coding *c = new_coding(HYC_CODEC_TCQ, dtype, rows, cols);
	uint8_t *row_scale = need(malloc(rows)), *col_scale = need(malloc(cols)), *params;
	struct hyc_tcq_design d = {
		.step = step, .trellis = trellis, .unit_rows = unit_rows,
		.row_scale = scales & 1 ? row_scale : NULL, .col_scale = scales & 2 ? col_scale : NULL,
	};
	struct hyc_tcq_result result;
	char what[128];
	ssize_t got;

	for (uint32_t i = 0; i < rows; i++)
		row_scale[i] = (uint8_t)(124 + random32() % 9);
	for (uint32_t i = 0; i < cols; i++)
		col_scale[i] = (uint8_t)(124 + random32() % 9);
	/* Now and then one far out, which makes a patch. */
	for (size_t e = 0; e < n; e++)
		store_element(dtype, src + e * bytes, random32() % 499 ? 0.02f * (float)normal() : 30 * (float)normal());
	c->params_len = hyc_tcq_params_bytes(&d, rows, cols);
	params = need(malloc(c->params_len));
	c->params = params;
	if (hyc_tcq_write_params(&d, rows, cols, params))
		exit(1);
	got = hyc_tcq_encode(c, HYC_TCQ_LAMBDA, src, len, dst, 4 * len + EXTRA, decoded, &result);
	snprintf(what, sizeof what, "tcq dtype %u, %u x %u, step %g, trellis %d, scales %u, units of %u rows", dtype, rows, cols,
		 step, trellis, scales, unit_rows);
	if (got > 0)
		add_all(c, dst, (size_t)got, len, what);
	free(src);
	free(dst);
	free(decoded);
	free(row_scale);
	free(col_scale);
}

static void tcq_cases(uint32_t dtype, bool small)
{
	static const uint32_t cols[] = { 256, 1, 64, 100, 257, 512, 770, 1024 };

	for (unsigned i = 0; i < (small ? 5 : 8); i++)
		for (unsigned k = 0; k < (small ? 2 : 8); k++)
			tcq_case(dtype, 1 + random32() % (small ? 40 : 90), cols[i], 0.004, !(k & 1), i + k / 2, 1 + random32() % 64);
	/* Steps so coarse that one level is more than half of all, for which the kernels have another kind of table. */
	for (unsigned k = 0; k < 4; k++)
		tcq_case(dtype, 1 + random32() % 40, cols[2 * k], 0.2, !(k & 1), k, 1 + random32() % 64);
}

static void hyper_cases(uint32_t dtype, size_t n, double nodes, float spread)
{
	struct hyc_hyper_options options = HYC_HYPER_DEFAULTS;
	size_t bytes = hyc_dtype_bytes(dtype), len = n * bytes, room = 4 * len + EXTRA;
	uint8_t *src = need(malloc(len)), *dst = need(malloc(room)), *decoded = need(malloc(len)), *params;
	struct hyc_coding *c = new_coding(HYC_CODEC_HYPER, dtype, 1, n);
	struct hyc_hyper_result result;
	struct hyc_hyper_scan *scan = NULL;
	struct hyc_hyper_plan *plan;
	struct hyc_hyper *hyper;
	char what[128];
	ssize_t got;
	void *state;

	options.nodes = nodes;
	options.limit = 1;
	for (size_t e = 0; e < n; e++)
		store_element(dtype, src + e * bytes, spread * (float)normal());
	if (hyc_hyper_new(&options, &hyper) || hyc_hyper_plan_new(hyper, dtype, n, n + n % 2, &plan))
		exit(1);
	while (hyc_hyper_plan_round(plan) < HYC_HYPER_ROUNDS) {
		if (hyc_hyper_scan(plan, 0, src, len, &scan))
			exit(1);
		hyc_hyper_plan_take(plan, scan);
		if (hyc_hyper_plan_end_round(plan))
			exit(1);
	}
	hyc_hyper_scan_free(scan);
	if (hyc_hyper_plan_verdict(plan) == HYC_HYPER_CODED) {
		params = need(malloc(HYC_HYPER_PARAMS_BYTES));
		memcpy(params, hyc_hyper_plan_params(plan), HYC_HYPER_PARAMS_BYTES);
		c->params = params;
		c->params_len = HYC_HYPER_PARAMS_BYTES;
		state = need(malloc(hyc_codec_get(HYC_CODEC_HYPER)->state_bytes(c)));
		hyc_codec_get(HYC_CODEC_HYPER)->build(c, state);
		c->state = state;
		got = hyc_hyper_encode(plan, 0, src, len, dst, room, decoded, &result);
		snprintf(what, sizeof what, "hyper dtype %u, %zu elements, %g nodes, spread %g", dtype, n, nodes, (double)spread);
		if (got > 0)
			add_all(c, dst, (size_t)got, len, what);
		/* The modes the encoder seldom chooses. */
		memset(dst, 0, room);
		dst[2] = 7;
		add_all(c, dst, 4, len, "hyper, constant");
		dst[0] = 1;
		for (size_t p = 0; p < (n + 1) / 2; p++)
			hyc_store16(dst + 2 + 2 * p, (uint16_t)(random32() % 1500));
		add_all(c, dst, 2 + 2 * ((n + 1) / 2), len, "hyper, plain");
	}
	hyc_hyper_plan_free(plan);
	hyc_hyper_free(hyper);
	free(src);
	free(dst);
	free(decoded);
}

/* ---- checks ---- */

static void judge(const struct test *t, int result, const uint8_t *got)
{
	uint8_t *expected = need(malloc(t->dst_len));
	int wanted = hyc_block_decode_with(hyc_backend_at(0), t->coding, t->src, t->src_len, expected, t->dst_len);

	if (wanted != result || (!wanted && memcmp(expected, got, t->dst_len))) {
		size_t at = 0;

		while (!wanted && !result && at < t->dst_len && expected[at] == got[at])
			at++;
		if (n_failed++ < 20)
			printf("FAILED: %s: plain C says %d, the device %d; first difference at %zu of %zu\n", t->what, wanted, result,
			       at, t->dst_len);
	} else if (wanted) {
		n_refused++;
	} else {
		n_equal++;
	}
	free(expected);
}

/* Through memory of the host, blocks of all codecs mixed in a batch. */
static void check_run(const struct hyc_cuda_gpu *gpu, const struct test *t, size_t n)
{
	struct hyc_cuda_block *blocks = need(calloc(n, sizeof *blocks));

	for (size_t i = 0; i < n; i++)
		blocks[i] = (struct hyc_cuda_block){
			t[i].coding, t[i].src, t[i].src_len, need(malloc(t[i].dst_len + 1)), t[i].dst_len, 0,
		};
	hyc_cuda_decode_run(gpu, blocks, n);
	for (size_t i = 0; i < n; i++) {
		judge(&t[i], blocks[i].result, blocks[i].dst);
		free(blocks[i].dst);
	}
	free(blocks);
	if (hyc_cuda_dead(gpu)) {
		printf("FAILED: the device died between %s and %s\n", t[0].what, t[n - 1].what);
		exit(1);
	}
}

/* Straight to memory of the device, at an address that is aligned or not, and nothing beside it is touched. */
static void check_direct(const struct hyc_cuda_gpu *gpu, const struct test *t, unsigned shift)
{
	const struct hyc_cuda_module *m = gpu->module;
	struct hyc_cuda_work *w = hyc_cuda_work_take(gpu);
	size_t room = t->dst_len + 64;
	uint8_t *got = need(calloc(1, room)), *guard = need(malloc(room));
	uint64_t at;
	int result;

	if (!w || m->alloc(gpu->device, room, &at)) {
		printf("FAILED: no memory of the device\n");
		exit(1);
	}
	/* Known bytes around it: a copy of what is on the host. */
	memset(guard, 0xa5, room);
	memcpy(hyc_cuda_work_place(w), guard, room);
	result = hyc_cuda_work_copy(w, room, 0, room, (void *)(uintptr_t)at);
	if (!result) {
		struct hyc_cuda_dest dest = { (void *)(uintptr_t)(at + 16 + shift), 0, t->dst_len, true };

		memcpy(hyc_cuda_work_place(w), t->src, t->src_len);
		result = hyc_cuda_work_add(w, t->coding, t->src_len, t->dst_len, &dest);
	}
	/* What is refused on the way is not there to be looked at. */
	if (result < 0) {
		judge(t, result, got);
		hyc_cuda_work_give(w);
		m->release(gpu->device, at);
		free(got);
		free(guard);
		return;
	}
	result = hyc_cuda_work_submit(w, 0) || hyc_cuda_work_wait(w, NULL) ? -EIO : hyc_cuda_work_bad(w, 0) ? -EBADMSG : 0;
	if (m->download(gpu->device, got, at, room))
		result = -EIO;
	judge(t, result, got + 16 + shift);
	if (result == 0 && (memcmp(got, guard, 16 + shift) || memcmp(got + 16 + shift + t->dst_len, guard, 48 - shift))) {
		printf("FAILED: %s: written outside of the block\n", t->what);
		n_failed++;
	}
	m->release(gpu->device, at);
	hyc_cuda_work_give(w);
	free(got);
	free(guard);
}

static void make_cases(bool small)
{
	static const uint32_t floats[] = { HYC_BF16, HYC_F16, HYC_F32, HYC_F8_E4M3, HYC_U8 }, lossy[] = { HYC_BF16, HYC_F16, HYC_F32 };
	static const size_t lengths[] = { 1, 63, 1025, 9000, 64, 65, 511, 513, 4096, 33000, 70001, 262144 };

	for (unsigned i = 0; i < sizeof floats / sizeof floats[0]; i++)
		for (unsigned k = 0; k < (small ? 4 : 12); k++)
			float_cases(floats[i], lengths[k]);
	for (unsigned i = 0; i < 3; i++) {
		tcq_cases(lossy[i], small);
		hyper_cases(lossy[i], small ? 3001 : 140001, 1600, 0.02f);
		hyper_cases(lossy[i], small ? 2500 : 70000, 500, 0.1f);
		hyper_cases(lossy[i], small ? 1031 : 9001, 4096, 0.2f);
		hyper_cases(lossy[i], 200, 60, 0.01f);
	}
}

int main(int argc, char **argv)
{
	bool small = argc > 1 && !strcmp(argv[1], "--small");
	const char *seed = argc > 1 + small ? argv[1 + small] : "1";
	const struct hyc_cuda_gpu *gpu;
	struct hyc_error err;

	if (hyc_cuda_gpu(-1, &gpu, &err)) {
		printf("SKIP: %s\n", err.msg);
		return 77;
	}
	if (small)
		mutations = 6;
	samples_seed(strtoull(seed, NULL, 10));
	make_cases(small);
	for (size_t i = 0; i < n_tests; i += 60)
		check_run(gpu, tests + i, n_tests - i < 60 ? n_tests - i : 60);
	for (size_t i = 0; gpu->module->alloc && i < n_tests; i += 3)
		check_direct(gpu, &tests[i], (unsigned)(i % 4 ? 0 : i / 4 % 5));
	printf("checkcuda: seed %s: %zu blocks: %zu equal, %zu refused by both, %zu FAILED\n", seed, n_tests, n_equal, n_refused, n_failed);
	return n_failed || !n_equal || !n_refused;
}
