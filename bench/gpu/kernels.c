/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GPU decoders by themselves: GB/s of decoded bytes of the kernels over more than 1 GiB, beside what the card writes in the
 * same run, and of the whole way from pinned memory to tensors on the device, beside what the link copies in the same run.
 * All that is decoded is compared with plain C. Prints one JSON object.
 *
 *	bench-gpu-kernels [MEGABYTES]
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/ordered.h"
#include "codec/cuda/cuda.h"
#include "codec/encode.h"
#include "codec/half.h"
#include "codec/hyper_encode.h"
#include "codec/tcq_encode.h"
#include "format/dtype.h"

#define BLOCK_BYTES ((size_t)512 << 10)
#define UNIQUE 32u     /* blocks; the others are copies of them at addresses of their own */
#define LANES 12u
#define REPEATS 9u

struct unique {
	struct hyc_coding coding;
	uint8_t *src, *expected;
	size_t src_len;
};

struct bench {
	const char *name;
	double bits;          /* of tcq */
	uint32_t codec, dtype;
	struct unique block[UNIQUE];
	void *state;
	double stored;        /* bytes of all unique blocks */
};

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "bench-gpu-kernels: %s\n", what);
	exit(1);
}

static void *need(void *memory)
{
	if (!memory)
		die("no memory");
	return memory;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static float normal(uint64_t *x)
{
	float sum = 0;

	for (int i = 0; i < 12; i++) {
		*x ^= *x << 13;
		*x ^= *x >> 7;
		*x ^= *x << 17;
		sum += (float)(*x >> 40) / 16777216.0f;
	}
	return sum - 6;
}

/* Weights of a normal distribution, as one block of an object of UNIQUE blocks. */
static uint8_t *weights(uint32_t dtype, unsigned seed)
{
	uint8_t *src = need(malloc(BLOCK_BYTES));
	size_t bytes = hyc_dtype_bytes(dtype);
	uint64_t x = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t e = 0; e < BLOCK_BYTES / bytes; e++) {
		float w = 0.02f * normal(&x);

		if (dtype == HYC_F32)
			hyc_store32(src + 4 * e, hyc_float_bits(w));
		else
			hyc_store16(src + 2 * e, dtype == HYC_BF16 ? hyc_float_to_bf16(w) : hyc_float_to_f16(w));
	}
	return src;
}

struct slot {
	unsigned i;
};

struct making {
	struct bench *b;
	const struct hyc_hyper_plan *plan;
	unsigned next;
};

static int produce(void *arg, void *slot)
{
	struct making *m = arg;

	if (m->next == UNIQUE)
		return 0;
	((struct slot *)slot)->i = m->next++;
	return 1;
}

static int encode(void *arg, void *slot)
{
	struct making *m = arg;
	unsigned i = ((struct slot *)slot)->i;
	struct unique *u = &m->b->block[i];
	uint8_t *src = weights(m->b->dtype, i);
	struct hyc_tcq_result tcq;
	struct hyc_hyper_result hyper;
	ssize_t n;

	u->src = need(malloc(BLOCK_BYTES + 4096));
	u->expected = need(malloc(BLOCK_BYTES));
	if (m->b->codec == HYC_CODEC_FLOAT) {
		memcpy(u->expected, src, BLOCK_BYTES);
		n = hyc_float_encode(m->b->dtype, src, BLOCK_BYTES, u->src, BLOCK_BYTES);
	} else if (m->b->codec == HYC_CODEC_TCQ) {
		n = hyc_tcq_encode(&u->coding, HYC_TCQ_LAMBDA, src, BLOCK_BYTES, u->src, BLOCK_BYTES, u->expected, &tcq);
	} else {
		n = hyc_hyper_encode(m->plan, u->coding.pos, src, BLOCK_BYTES, u->src, BLOCK_BYTES, u->expected, &hyper);
	}
	free(src);
	if (n <= 0)
		die("a block was not coded");
	u->src_len = (size_t)n;
	return 0;
}

static int consume(void *arg, void *slot)
{
	struct making *m = arg;

	m->b->stored += (double)m->b->block[((struct slot *)slot)->i].src_len;
	return 0;
}

static struct hyc_hyper_plan *plan_hyper(struct bench *b)
{
	struct hyc_hyper_options options = HYC_HYPER_DEFAULTS;
	size_t bytes = hyc_dtype_bytes(b->dtype);
	struct hyc_hyper_scan *scan = NULL;
	struct hyc_hyper_plan *plan;
	struct hyc_hyper *hyper;
	uint8_t *all = need(malloc(UNIQUE * BLOCK_BYTES));

	options.limit = 1;
	for (unsigned i = 0; i < UNIQUE; i++) {
		uint8_t *src = weights(b->dtype, i);

		memcpy(all + i * BLOCK_BYTES, src, BLOCK_BYTES);
		free(src);
	}
	if (hyc_hyper_new(&options, &hyper) || hyc_hyper_plan_new(hyper, b->dtype, UNIQUE * BLOCK_BYTES / bytes, BLOCK_BYTES / bytes, &plan))
		die("hyper cannot be planned");
	while (hyc_hyper_plan_round(plan) < HYC_HYPER_ROUNDS) {
		for (unsigned i = 0; i < UNIQUE; i++) {
			if (hyc_hyper_scan(plan, i * BLOCK_BYTES, all + i * BLOCK_BYTES, BLOCK_BYTES, &scan))
				die("no memory");
			hyc_hyper_plan_take(plan, scan);
		}
		if (hyc_hyper_plan_end_round(plan))
			die("no memory");
	}
	hyc_hyper_scan_free(scan);
	free(all);
	return plan;
}

static void make(struct bench *b)
{
	static const struct hyc_ordered_ops ops = { produce, encode, consume, NULL };
	struct making m = { .b = b };
	size_t bytes = hyc_dtype_bytes(b->dtype), cols = 4096, rows = BLOCK_BYTES / bytes / cols;
	struct hyc_coding coding = { .codec = b->codec, .dtype = b->dtype, .rows = UNIQUE * rows, .cols = cols };
	uint8_t *params = NULL;

	if (b->codec == HYC_CODEC_TCQ) {
		/* Scales all along, as packing writes them, and the step for so many bits. */
		uint8_t *scales = need(malloc(coding.rows));
		struct hyc_tcq_design d = {
			.step = 0.02 * (b->bits > 3.5 ? 0.129 : 0.258), .trellis = 1,
			.unit_rows = hyc_tcq_unit_rows(cols, (uint32_t)rows), .row_scale = scales,
		};

		memset(scales, 128, coding.rows);
		coding.params_len = hyc_tcq_params_bytes(&d, coding.rows, cols);
		params = need(malloc(coding.params_len));
		if (hyc_tcq_write_params(&d, coding.rows, cols, params))
			die("tcq cannot be planned");
	}
	if (b->codec == HYC_CODEC_HYPER) {
		m.plan = plan_hyper(b);
		params = need(malloc(HYC_HYPER_PARAMS_BYTES));
		memcpy(params, hyc_hyper_plan_params(m.plan), HYC_HYPER_PARAMS_BYTES);
		coding.params_len = HYC_HYPER_PARAMS_BYTES;
	}
	coding.params = params;
	if (hyc_codec_get(b->codec)->build) {
		b->state = need(malloc(hyc_codec_get(b->codec)->state_bytes(&coding)));
		hyc_codec_get(b->codec)->build(&coding, b->state);
	}
	coding.state = b->state;
	for (unsigned i = 0; i < UNIQUE; i++) {
		b->block[i].coding = coding;
		b->block[i].coding.pos = i * BLOCK_BYTES;
	}
	if (hyc_ordered_run(hyc_cpu_count(), sizeof(struct slot), &ops, &m))
		die("no memory");
}

static void add(struct hyc_cuda_work *w, const struct unique *u, uint64_t dst)
{
	struct hyc_cuda_dest dest = { (void *)(uintptr_t)dst, 0, BLOCK_BYTES, true };

	if (!hyc_cuda_work_fits(w, &u->coding, u->src_len, BLOCK_BYTES))
		die("the slab is too small");
	memcpy(hyc_cuda_work_place(w), u->src, u->src_len);
	if (hyc_cuda_work_add(w, &u->coding, u->src_len, BLOCK_BYTES, &dest) < 0)
		die("a block was refused");
}

static void compare(const struct hyc_cuda_gpu *gpu, const struct bench *b, uint64_t at, size_t n)
{
	uint8_t *got = need(malloc(UNIQUE * BLOCK_BYTES));

	for (size_t i = 0; i < n; i++) {
		size_t left = n - i < UNIQUE ? n - i : UNIQUE;

		if (i % UNIQUE == 0 && gpu->module->download(gpu->device, got, at + i * BLOCK_BYTES, left * BLOCK_BYTES))
			die("the device failed");
		if (memcmp(got + i % UNIQUE * BLOCK_BYTES, b->block[i % UNIQUE].expected, BLOCK_BYTES))
			die("what was decoded differs from plain C");
	}
	free(got);
}

/* The kernels alone, over n blocks. */
static double run_kernels(const struct hyc_cuda_gpu *gpu, const struct bench *b, size_t n, uint64_t at)
{
	struct hyc_cuda_work *w = hyc_cuda_work_new(gpu, (size_t)((double)n / UNIQUE * b->stored * 1.05) + ((size_t)64 << 20));
	double seconds;

	if (!w)
		die("no memory on the device");
	for (size_t i = 0; i < n; i++)
		add(w, &b->block[i % UNIQUE], at + i * BLOCK_BYTES);
	if (hyc_cuda_work_submit(w, REPEATS) || hyc_cuda_work_wait(w, &seconds))
		die("the device failed");
	for (size_t i = 0; i < n; i++)
		if (hyc_cuda_work_bad(w, (uint32_t)i))
			die("a block was refused");
	compare(gpu, b, at, n);
	hyc_cuda_work_give(w);
	return (double)(n * BLOCK_BYTES) / seconds / 1e9;
}

/* From pinned slabs, which are full, to the device: several lanes in turn, until total bytes are decoded. */
static double run_pipeline(const struct hyc_cuda_gpu *gpu, const struct bench *b, double total, uint64_t at)
{
	size_t n = (size_t)((double)(HYC_CUDA_SLAB_BYTES - ((size_t)256 << 10)) / (b->stored / UNIQUE + 1024));
	struct hyc_cuda_work *w[LANES];
	double start = 0, done = 0;
	unsigned i;

	/* Hyper's table of pairs is in each slab, too. */
	if (b->state)
		n = n * 9 / 10;
	for (i = 0; i < LANES; i++) {
		w[i] = hyc_cuda_work_take(gpu);
		if (!w[i])
			die("no memory on the device");
		for (size_t k = 0; k < n; k++)
			add(w[i], &b->block[k % UNIQUE], at + (i * n + k) * BLOCK_BYTES);
	}
	/* The first round is to warm up. */
	for (i = 0; done < total || i % LANES; i++) {
		if (i == LANES)
			start = now();
		if (hyc_cuda_work_wait(w[i % LANES], NULL) || hyc_cuda_work_submit(w[i % LANES], 0))
			die("the device failed");
		if (i >= LANES)
			done += (double)(n * BLOCK_BYTES);
	}
	for (i = 0; i < LANES; i++) {
		if (hyc_cuda_work_wait(w[i], NULL))
			die("the device failed");
		for (size_t k = 0; k < n; k++)
			if (hyc_cuda_work_bad(w[i], (uint32_t)k))
				die("a block was refused");
	}
	done /= now() - start;
	for (i = 0; i < LANES; i++) {
		compare(gpu, b, at + i * n * BLOCK_BYTES, n);
		hyc_cuda_work_give(w[i]);
	}
	return done / 1e9;
}

static struct bench benches[] = {
	{ .name = "float BF16", .codec = HYC_CODEC_FLOAT, .dtype = HYC_BF16 },
	{ .name = "tcq 4 BF16", .codec = HYC_CODEC_TCQ, .dtype = HYC_BF16, .bits = 4 },
	{ .name = "tcq 3 BF16", .codec = HYC_CODEC_TCQ, .dtype = HYC_BF16, .bits = 3 },
	{ .name = "hyper BF16", .codec = HYC_CODEC_HYPER, .dtype = HYC_BF16 },
	{ .name = "float F16", .codec = HYC_CODEC_FLOAT, .dtype = HYC_F16 },
	{ .name = "tcq 4 F16", .codec = HYC_CODEC_TCQ, .dtype = HYC_F16, .bits = 4 },
	{ .name = "float F32", .codec = HYC_CODEC_FLOAT, .dtype = HYC_F32 },
	{ .name = "tcq 4 F32", .codec = HYC_CODEC_TCQ, .dtype = HYC_F32, .bits = 4 },
	{ .name = "hyper F32", .codec = HYC_CODEC_HYPER, .dtype = HYC_F32 },
};

int main(int argc, char **argv)
{
	size_t total = (size_t)(argc > 1 ? atoi(argv[1]) : 1280) << 20, n = total / BLOCK_BYTES;
	const struct hyc_cuda_gpu *gpu;
	struct hyc_error err;
	uint64_t at;

	if (hyc_cuda_gpu(-1, &gpu, &err))
		die(err.msg);
	if (gpu->module->alloc(gpu->device, n * BLOCK_BYTES, &at))
		die("no memory on the device");
	printf("{ \"decoded_bytes\": %zu, \"runs\": [", n * BLOCK_BYTES);
	for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++) {
		struct bench *b = &benches[i];
		double ratio, write_gbs, copy_gbs, kernel, pipeline;

		make(b);
		ratio = UNIQUE * (double)BLOCK_BYTES / b->stored;
		if (gpu->module->write_speed(gpu->device, total, &write_gbs))
			die("the device failed");
		kernel = run_kernels(gpu, b, n, at);
		if (gpu->module->copy_speed(gpu->device, (size_t)512 << 20, &copy_gbs))
			die("the device failed");
		pipeline = run_pipeline(gpu, b, 8e9, at);
		printf("%s\n  { \"codec\": \"%s\", \"bits_per_weight\": %.3f, \"ratio\": %.3f, \"kernel_gbs\": %.1f, \"write_gbs\": %.1f, "
		       "\"kernel_share\": %.4f, \"pipeline_gbs\": %.1f, \"copy_gbs\": %.2f, \"of_link_times_ratio\": %.4f, \"of_raw_copy\": %.3f }",
		       i ? "," : "", b->name, 8.0 * hyc_dtype_bytes(b->dtype) / ratio, ratio, kernel, write_gbs, kernel / write_gbs, pipeline,
		       copy_gbs, pipeline / (copy_gbs * ratio), pipeline / copy_gbs);
		fflush(stdout);
	}
	printf("\n] }\n");
	gpu->module->release(gpu->device, at);
	return 0;
}
