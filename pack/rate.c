/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a step costs is estimated from samples: some columns of blocks that are spread over all tensors. The search for
 * the step is a secant in log2(step), where the rate is nearly a line of slope -1; first on few samples, then on more.
 * In between some blocks are really coded, since an estimate from few columns knows too few of the levels that occur.
 */
#include "config.h"

#include "pack/rate.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/dtype.h"
#include "pack/assemble.h"
#include "pack/tcq_plan.h"
#include "pack/walk.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Weights in the blocks that are looked at in the first and in the second place. */
#define FEW_WEIGHTS UINT64_C(4000000)
#define MANY_WEIGHTS UINT64_C(32000000)
/* Weights in the blocks that are really coded. */
#define CODED_WEIGHTS UINT64_C(2000000)
/* Of these blocks one in up to MAX_EVERY columns, so that a block of the usual size has SAMPLE_WEIGHTS. */
#define MAX_EVERY 8u
#define SAMPLE_WEIGHTS 16384u
#define MAX_STEPS 8
/* How near is near enough, in bits a weight. */
#define NEAR_FEW 0.03
#define NEAR_MANY 0.003

struct rate {
	struct hyc_lossy *lossy;
	struct hyc_scan *scan;
	const struct hyc_pack_options *options;
	uint64_t weights, blocks; /* of all tensors, but for twins */
	double record_bits;       /* what is not in blocks */
	double bias;              /* bits a weight that estimates are too low */
	/* of the estimate under way */
	uint64_t take_blocks, at_block, taken_weights;
	double stored;
};

static bool is_sampled(void *arg, const struct hyc_lossy_tensor *t, uint64_t off)
{
	struct rate *r = arg;
	uint64_t i = r->at_block;

	(void)off;
	if (t->twin)
		return false;
	r->at_block++;
	/* take_blocks of all blocks, at even distances. */
	return i * r->take_blocks / r->blocks != (i + 1) * r->take_blocks / r->blocks;
}

/* -ENOMEM is fatal; what else is refused now was changed since the first look, which the packing will find out. */
static int estimate_block(void *arg, struct hyc_walk_block *b)
{
	struct hyc_coding coding = b->tensor->how.coding;
	uint64_t every = b->len / hyc_dtype_bytes(coding.dtype) / SAMPLE_WEIGHTS;

	(void)arg;
	coding.pos = b->off;
	every = every < 1 ? 1 : every > MAX_EVERY ? MAX_EVERY : every;
	b->verdict = hyc_tcq_estimate(&coding, HYC_TCQ_LAMBDA, b->src, b->len, (unsigned)every, &b->value);
	return b->verdict == -ENOMEM ? -ENOMEM : 0;
}

/* By how much the estimate of a block is too low. */
static int compare_block(void *arg, struct hyc_walk_block *b)
{
	cleanup_free uint8_t *dst = malloc(b->len), *decoded = malloc(b->len);
	struct hyc_piece_coding how = b->tensor->how;
	int failed = estimate_block(arg, b);
	struct hyc_loss loss;
	ssize_t n;

	if (!dst || !decoded)
		return -ENOMEM;
	if (failed || b->verdict)
		return failed;
	how.coding.pos = b->off;
	n = hyc_piece_encode(&how, b->src, b->len, dst, decoded, &loss);
	b->verdict = n < 0 ? (int)n : 0;
	b->value = (double)n - b->value;
	return n == -ENOMEM ? -ENOMEM : 0;
}

static void take_value(void *arg, const struct hyc_walk_block *b)
{
	struct rate *r = arg;

	if (b->verdict)
		return;
	r->stored += b->value;
	r->taken_weights += b->len / hyc_dtype_bytes(b->tensor->piece->dtype);
}

static void set_step(struct rate *r, double log2_step)
{
	for (size_t i = 0; i < r->lossy->n; i++)
		if (!r->lossy->tensors[i].left_out && !r->lossy->tensors[i].twin)
			hyc_tcq_plan_step(r->lossy->tensors[i].tcq, log2_step);
}

/* Bits that the blocks' values say for each weight, with this step, from the blocks of so many weights. */
static int sample(struct rate *r, double log2_step, uint64_t weights, const struct hyc_walk_ops *ops, double *bpw,
		  struct hyc_error *err)
{
	int failed;

	set_step(r, log2_step);
	r->take_blocks = weights >= r->weights ? r->blocks : hyc_div_up(r->blocks * weights, r->weights);
	r->at_block = r->taken_weights = 0;
	r->stored = 0;
	failed = hyc_walk(r->lossy, r->scan, r->options, ops, r, err);
	*bpw = r->taken_weights ? 8 * r->stored / (double)r->taken_weights : 0;
	return failed;
}

static int estimate(struct rate *r, double log2_step, uint64_t weights, double *bpw, struct hyc_error *err)
{
	static const struct hyc_walk_ops ops = { .wanted = is_sampled, .work = estimate_block, .take = take_value };
	int failed = sample(r, log2_step, weights, &ops, bpw, err);

	*bpw += r->bias + r->record_bits / (double)r->weights;
	return failed;
}

static int measure_bias(struct rate *r, double log2_step, struct hyc_error *err)
{
	static const struct hyc_walk_ops ops = { .wanted = is_sampled, .work = compare_block, .take = take_value };

	return sample(r, log2_step, CODED_WEIGHTS, &ops, &r->bias, err);
}

struct guess {
	double at;         /* log2(step) */
	double slope;      /* of the rate there */
	double low, high;  /* the rate is too high at low, too low at high */
};

static double clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

/* Walk towards the target on the line through the guess, but stay where it must be. */
static void improve(struct guess *g, double excess)
{
	double next = g->at - excess / g->slope;

	if (excess > 0)
		g->low = g->at;
	else
		g->high = g->at;
	g->at = next > g->low && next < g->high ? next : (g->low + g->high) / 2;
}

/* Search until the rate is near the target. */
static int search(struct rate *r, struct guess *g, uint64_t weights, double near, struct hyc_error *err)
{
	double last_at = 0, last_excess = 0;

	g->low = HYC_TCQ_MIN_LOG2_STEP;
	g->high = HYC_TCQ_MAX_LOG2_STEP;
	for (int i = 0; i < MAX_STEPS; i++) {
		double at = g->at, excess;
		int failed = estimate(r, at, weights, &excess, err);

		if (failed)
			return failed;
		excess -= r->options->bpw;
		if (i && at != last_at)
			g->slope = clamp((excess - last_excess) / (at - last_at), -1.2, -0.2);
		last_at = at;
		last_excess = excess;
		improve(g, excess);
		if (fabs(excess) < near)
			break;
	}
	return 0;
}

static void count(struct rate *r)
{
	for (size_t i = 0; i < r->lossy->n; i++) {
		const struct hyc_lossy_tensor *t = &r->lossy->tensors[i];

		if (t->left_out)
			continue;
		r->record_bits += 8 * (double)hyc_tensor_record_bytes(t->piece);
		if (t->twin)
			continue;
		r->record_bits += 8 * (double)hyc_object_record_bytes(&t->how, t->piece->len);
		r->weights += t->piece->len / hyc_dtype_bytes(t->piece->dtype);
		r->blocks += hyc_div_up(t->piece->len, t->how.block_bytes);
	}
}

int hyc_rate_set(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
		 struct hyc_error *err)
{
	struct rate r = { .lossy = lossy, .scan = scan, .options = options };
	/* Weights of most models are near this line. */
	struct guess g = { .at = clamp(1.3 - options->bpw, HYC_TCQ_MIN_LOG2_STEP, HYC_TCQ_MAX_LOG2_STEP), .slope = -1 };
	int failed;

	count(&r);
	if (!r.weights)
		return 0;
	failed = search(&r, &g, FEW_WEIGHTS, NEAR_FEW, err);
	if (!failed)
		failed = measure_bias(&r, g.at, err);
	if (!failed)
		failed = search(&r, &g, MANY_WEIGHTS, NEAR_MANY, err);
	set_step(&r, g.at);
	return failed;
}
