/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choices of the published encoder, found in three looks at a tensor, since each needs what the one before has
 * settled: the centroid, the radius around it, and the error of every number of classes. That number is the first that
 * is good enough, or else the best. Sums of parts are added up in the order of the parts, so threads change nothing.
 */
#include "config.h"

#include "codec/hyper_plan.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "codec/decoders.h"

struct hyc_hyper_scan {
	double sum[2];
	float radius;
	uint64_t n_outside;
	double inside_error, outside_error[HYC_HYPER_MAX_CLASSES + 1], pad_error[HYC_HYPER_MAX_CLASSES + 1];
	uint32_t count[]; /* as in the plan */
};

const struct hyc_hyper_range *hyc_hyper_out_of_range(const struct hyc_hyper_options *options)
{
	static const struct hyc_hyper_range ranges[] = {
		{ "l", HYC_HYPER_MIN_SIDE, HYC_HYPER_MAX_SIDE, 0 },
		{ "nodes", HYC_HYPER_MIN_NODES, HYC_HYPER_MAX_NODES, 1 },
		{ "classes", 1, HYC_HYPER_MAX_CLASSES, 1 },
		{ "threshold", 0, 1e6, 0 },
		{ "limit", 0, 1e6, 0 },
	};
	const double value[] = { options->side, options->nodes, options->classes, options->threshold, options->limit };

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		const struct hyc_hyper_range *r = &ranges[i];

		/* Written so that a NaN is outside. */
		if (!(value[i] >= r->min && value[i] <= r->max) || (r->whole && value[i] != floor(value[i])))
			return r;
	}
	return NULL;
}

int hyc_hyper_new(const struct hyc_hyper_options *options, struct hyc_hyper **out)
{
	struct hyc_hyper *hyper;
	int result;

	if (hyc_hyper_out_of_range(options))
		return -EINVAL;
	hyper = calloc(1, sizeof *hyper);
	if (!hyper)
		return -ENOMEM;
	hyper->options = *options;
	result = hyc_hyper_search_new(options->side, (uint32_t)options->nodes, &hyper->search);
	if (result)
		free(hyper);
	else
		*out = hyper;
	return result;
}

void hyc_hyper_free(struct hyc_hyper *hyper)
{
	if (!hyper)
		return;
	hyc_hyper_search_free(hyper->search);
	free(hyper);
}

const char *hyc_hyper_verdict_text(enum hyc_hyper_verdict verdict)
{
	static const char *const text[] = {
		[HYC_HYPER_CODED] = "it is coded",
		[HYC_HYPER_TOO_SMALL] = "it has fewer than 10 elements",
		[HYC_HYPER_NOT_FINITE] = "it has NaN or infinite values",
		[HYC_HYPER_TOO_FAR_OUT] = "it has values so large that what stands for them may overflow",
		[HYC_HYPER_ABOVE_LIMIT] = "its mean absolute error would be above the limit",
	};

	return text[verdict];
}

/* The most classes that are tried. */
static uint32_t max_classes(const struct hyc_hyper_plan *plan)
{
	return (uint32_t)plan->hyper->options.classes;
}

/* Where the counts of a class begin, if there are n classes; class 0 is the same for all n. */
static size_t count_of(const struct hyc_hyper_plan *plan, uint32_t n, uint32_t class)
{
	return class ? ((size_t)n * (n - 1) / 2 + class) * (plan->object.nodes + 1) : 0;
}

static size_t n_counts(const struct hyc_hyper_plan *plan)
{
	return count_of(plan, max_classes(plan) + 1, 1);
}

static void settle(struct hyc_hyper_plan *plan, enum hyc_hyper_verdict verdict)
{
	plan->verdict = verdict;
	plan->round = HYC_HYPER_ROUNDS;
}

int hyc_hyper_plan_new(const struct hyc_hyper *hyper, uint32_t dtype, uint64_t n_elements, uint64_t block_elements,
		       struct hyc_hyper_plan **out)
{
	struct hyc_hyper_plan *plan;

	if ((dtype != HYC_BF16 && dtype != HYC_F16 && dtype != HYC_F32) || !block_elements || block_elements % 2)
		return -EINVAL;
	plan = calloc(1, sizeof *plan);
	if (!plan)
		return -ENOMEM;
	plan->hyper = hyper;
	plan->dtype = dtype;
	plan->elem_bytes = hyc_dtype_bytes(dtype);
	plan->n = n_elements;
	plan->block_elements = block_elements;
	plan->object = hyper->search->object;
	plan->count = calloc(n_counts(plan), sizeof *plan->count);
	if (!plan->count) {
		free(plan);
		return -ENOMEM;
	}
	if (n_elements < HYC_HYPER_MIN_ELEMENTS)
		settle(plan, HYC_HYPER_TOO_SMALL);
	*out = plan;
	return 0;
}

void hyc_hyper_plan_free(struct hyc_hyper_plan *plan)
{
	if (!plan)
		return;
	hyc_hyper_finder_fini(&plan->finder);
	free(plan->count);
	free(plan->index);
	free(plan->state);
	free(plan);
}

unsigned hyc_hyper_plan_round(const struct hyc_hyper_plan *plan)
{
	return plan->round;
}

enum hyc_hyper_verdict hyc_hyper_plan_verdict(const struct hyc_hyper_plan *plan)
{
	return plan->verdict;
}

double hyc_hyper_plan_error(const struct hyc_hyper_plan *plan)
{
	return plan->error;
}

const uint8_t *hyc_hyper_plan_params(const struct hyc_hyper_plan *plan)
{
	return plan->params;
}

bool hyc_hyper_is_part(const struct hyc_hyper_plan *plan, uint64_t pos, size_t len)
{
	uint64_t n = len / plan->elem_bytes, first = pos / plan->elem_bytes;

	return len && len % plan->elem_bytes == 0 && pos % (2 * plan->elem_bytes) == 0 &&
	       hyc_range_ok(first, n, plan->n) && (n % 2 == 0 || first + n == plan->n);
}

size_t hyc_hyper_load_pairs(const struct hyc_hyper_plan *plan, const uint8_t *src, size_t len, float (*pair)[2])
{
	size_t n = len / plan->elem_bytes;
	float *out = &pair[0][0];

	if (n > 2 * HYC_HYPER_CHUNK)
		n = 2 * HYC_HYPER_CHUNK;
	if (plan->dtype == HYC_BF16)
		for (size_t i = 0; i < n; i++)
			out[i] = hyc_bf16_to_float(hyc_load16(src + 2 * i));
	else if (plan->dtype == HYC_F16)
		for (size_t i = 0; i < n; i++)
			out[i] = hyc_f16_to_float(hyc_load16(src + 2 * i));
	else
		for (size_t i = 0; i < n; i++)
			out[i] = hyc_bits_float(hyc_load32(src + 4 * i));
	if (n % 2)
		out[n] = plan->pad;
	return (n + 1) / 2;
}

/* pad is 0 in this round. */
static void scan_sums(struct hyc_hyper_scan *scan, float (*pair)[2], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		scan->sum[0] += pair[i][0];
		scan->sum[1] += pair[i][1];
	}
}

static void scan_radius(const struct hyc_hyper_plan *plan, struct hyc_hyper_scan *scan, float (*pair)[2], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float r = hyc_hyper_radius(&plan->object, pair[i]);

		scan->radius = r > scan->radius ? r : scan->radius;
	}
}

/* Distance in x and in y, which are what mean absolute errors are made of. */
static double error_of(double x, double y, const float pair[2], double *ey)
{
	*ey = fabs(y - pair[1]);
	return fabs(x - pair[0]) + *ey;
}

static double scan_inside(const struct hyc_hyper_plan *plan, struct hyc_hyper_scan *scan, const float pair[2])
{
	uint32_t t = hyc_hyper_find(&plan->finder, (struct hyc_hyper_point) { pair[0], pair[1] });
	double ey;

	scan->count[t]++;
	scan->inside_error += error_of(plan->finder.node[t].x, plan->finder.node[t].y, pair, &ey);
	return ey;
}

static double scan_outside(const struct hyc_hyper_plan *plan, struct hyc_hyper_scan *scan, const float pair[2],
			   float radius, uint32_t k)
{
	const struct hyc_hyper_object *o = &plan->object;
	const struct hyc_hyper_shells *shells = &plan->shells[k];
	uint32_t class = hyc_hyper_class(shells, k, 1, radius);
	uint32_t t = hyc_hyper_find(&plan->finder, hyc_hyper_shrink(o, pair, shells->factor[class]));
	double x = (plan->finder.node[t].x - o->cx) * shells->back[class] + o->cx;
	double y = (plan->finder.node[t].y - o->cy) * shells->back[class] + o->cy, ey;

	scan->count[count_of(plan, k, class) + t]++;
	scan->outside_error[k] += error_of(x, y, pair, &ey);
	return ey;
}

/* What the published encoder looks at when it chooses the number of classes. */
static void scan_errors(const struct hyc_hyper_plan *plan, struct hyc_hyper_scan *scan, float (*pair)[2], size_t n,
			bool last_is_half)
{
	const struct hyc_hyper_object *o = &plan->object;
	float radius[HYC_HYPER_CHUNK];
	uint16_t who[HYC_HYPER_CHUNK];
	size_t n_in = 0, n_out = 0;

	/* Sorted first: no processor could predict who is where. Those outside fill the list from its end. */
	for (size_t i = 0; i < n; i++) {
		bool inside = hyc_hyper_inside(o, pair[i]);

		who[inside ? n_in : HYC_HYPER_CHUNK - 1 - n_out] = (uint16_t)i;
		n_in += inside;
		n_out += !inside;
		radius[i] = hyc_hyper_radius(o, pair[i]);
	}
	scan->n_outside += n_out;
	for (size_t i = 0; i < n_in; i++) {
		double ey = scan_inside(plan, scan, pair[who[i]]);

		for (uint32_t k = 0; last_is_half && who[i] == n - 1 && k <= max_classes(plan); k++)
			scan->pad_error[k] = ey;
	}
	for (uint32_t k = 1; k <= max_classes(plan); k++)
		for (size_t i = HYC_HYPER_CHUNK; i-- > HYC_HYPER_CHUNK - n_out;) {
			double ey = scan_outside(plan, scan, pair[who[i]], radius[who[i]], k);

			if (last_is_half && who[i] == n - 1)
				scan->pad_error[k] = ey;
		}
}

int hyc_hyper_scan(const struct hyc_hyper_plan *plan, uint64_t pos, const uint8_t *src, size_t len,
		   struct hyc_hyper_scan **out)
{
	size_t bytes = sizeof **out + n_counts(plan) * sizeof (*out)->count[0];
	struct hyc_hyper_scan *scan;

	if (!hyc_hyper_is_part(plan, pos, len))
		return -EINVAL;
	scan = *out ? *out : malloc(bytes);
	if (!scan)
		return -ENOMEM;
	*out = scan;
	memset(scan, 0, bytes);
	for (size_t at = 0; at < len; at += 2 * HYC_HYPER_CHUNK * plan->elem_bytes) {
		float pair[HYC_HYPER_CHUNK][2];
		size_t n = hyc_hyper_load_pairs(plan, src + at, len - at, pair);

		if (plan->round == 0)
			scan_sums(scan, pair, n);
		else if (plan->round == 1)
			scan_radius(plan, scan, pair, n);
		else
			scan_errors(plan, scan, pair, n, (len - at) / plan->elem_bytes == 2 * n - 1);
	}
	return 0;
}

void hyc_hyper_scan_free(struct hyc_hyper_scan *scan)
{
	free(scan);
}

void hyc_hyper_plan_take(struct hyc_hyper_plan *plan, const struct hyc_hyper_scan *scan)
{
	if (plan->round == 0) {
		plan->sum[0] += scan->sum[0];
		plan->sum[1] += scan->sum[1];
	} else if (plan->round == 1) {
		if (scan->radius > plan->object.radius)
			plan->object.radius = scan->radius;
	} else {
		plan->n_outside += scan->n_outside;
		plan->inside_error += scan->inside_error;
		for (uint32_t k = 0; k <= max_classes(plan); k++) {
			plan->outside_error[k] += scan->outside_error[k];
			plan->pad_error[k] += scan->pad_error[k];
		}
		for (size_t i = 0; i < n_counts(plan); i++)
			plan->count[i] += scan->count[i];
	}
}

static void end_sums(struct hyc_hyper_plan *plan)
{
	double n_pairs = (double)(plan->n / 2 + plan->n % 2);

	/* No sum of finite floats leaves the doubles. */
	if (!isfinite(plan->sum[0]) || !isfinite(plan->sum[1])) {
		settle(plan, HYC_HYPER_NOT_FINITE);
		return;
	}
	if (plan->n % 2) {
		plan->pad = (float)((plan->sum[0] + plan->sum[1]) / (double)plan->n);
		plan->sum[1] += plan->pad;
	}
	plan->object.cx = (float)(plan->sum[0] / n_pairs);
	plan->object.cy = (float)(plan->sum[1] / n_pairs);
}

static int end_radius(struct hyc_hyper_plan *plan)
{
	double half = plan->object.side / 2;

	if (hyc_hyper_object_settle(plan->dtype, &plan->object)) {
		settle(plan, HYC_HYPER_TOO_FAR_OUT);
		return 0;
	}
	for (uint32_t n = 1; n <= max_classes(plan); n++) {
		struct hyc_hyper_shells *s = &plan->shells[n];
		double each = (plan->object.radius - half) / n;

		for (uint32_t k = 0; k <= n; k++) {
			s->bound[k] = k == n ? plan->object.radius : k * each + half;
			s->factor[k] = half / s->bound[k];
			s->back[k] = s->bound[k] / half;
			/* Where all are inside but for rounding, bounds descend, and the first is never exceeded. */
			if (each < 0)
				s->bound[k] = INFINITY;
		}
	}
	return hyc_hyper_finder_init(plan->hyper->search, &plan->object, &plan->finder);
}

/* Estimated bits of the tensor's symbols, tables and raw bits. */
static double estimate_bits(const struct hyc_hyper_plan *plan, const struct hyc_hyper_object *o)
{
	double n = (double)(plan->n / 2 + plan->n % 2), blocks = ceil((double)plan->n / (double)plan->block_elements);
	uint64_t count[HYC_RANS_ALPHABET] = { 0 };
	double bits = 2.0 * o->tile_log2 * n;

	for (uint32_t k = 0; k <= o->classes; k++) {
		const uint64_t *of_node = plan->count + count_of(plan, o->classes, k);

		for (uint32_t t = 0; t <= o->nodes; t++)
			count[hyc_hyper_index(o, k, t) >> 2 * o->tile_log2] += of_node[t];
	}
	for (uint32_t s = 0; s < o->symbols; s++) {
		double c = (double)count[s];

		/* A word of the table in each block where a symbol is expected. */
		if (count[s])
			bits += c * log2(n / c) - 16 * blocks * expm1(-c / blocks);
	}
	return bits;
}

/* The tiles that take the least room. */
static void choose_tiles(struct hyc_hyper_plan *plan)
{
	struct hyc_hyper_object o = plan->object;
	double best = INFINITY;

	for (o.tile_log2 = 0; o.tile_log2 <= HYC_HYPER_MAX_TILE_LOG2; o.tile_log2++) {
		double bits;

		if (hyc_hyper_object_settle(plan->dtype, &o))
			continue;
		bits = estimate_bits(plan, &o);
		if (bits < best) {
			best = bits;
			plan->object = o;
		}
	}
}

static int make_tables(struct hyc_hyper_plan *plan)
{
	const struct hyc_hyper_object *o = &plan->object;
	struct hyc_coding coding = {
		.codec = HYC_CODEC_HYPER, .dtype = plan->dtype, .rows = 1, .cols = plan->n,
		.params = plan->params, .params_len = HYC_HYPER_PARAMS_BYTES,
	};

	hyc_hyper_write_params(o, plan->params);
	plan->state = malloc(hyc_hyper_state_bytes(&coding));
	plan->index = malloc((o->nodes + 1) * sizeof *plan->index);
	if (!plan->state || !plan->index)
		return -ENOMEM;
	hyc_hyper_build(&coding, plan->state);
	for (uint32_t t = 0; t <= o->nodes; t++)
		plan->index[t] = hyc_hyper_index(o, 0, t);
	plan->class_stride = o->tiles << 2 * o->tile_log2;
	return 0;
}

static int end_errors(struct hyc_hyper_plan *plan)
{
	double n_coded = (double)plan->n + (double)(plan->n % 2), best = INFINITY;

	plan->object.classes = 0;
	for (uint32_t k = 1; k <= max_classes(plan) && plan->n_outside; k++) {
		double error = (plan->inside_error + plan->outside_error[k]) / n_coded;

		if (error <= best) {
			plan->object.classes = k;
			best = error;
		}
		if (error <= plan->hyper->options.threshold)
			break;
	}
	plan->error = (plan->inside_error + plan->outside_error[plan->object.classes] -
		       plan->pad_error[plan->object.classes]) / (double)plan->n;
	if (plan->error > plan->hyper->options.limit) {
		settle(plan, HYC_HYPER_ABOVE_LIMIT);
		return 0;
	}
	choose_tiles(plan);
	return make_tables(plan);
}

int hyc_hyper_plan_end_round(struct hyc_hyper_plan *plan)
{
	int result = 0;

	switch (plan->round++) {
	case 0:
		end_sums(plan);
		break;
	case 1:
		result = end_radius(plan);
		break;
	default:
		result = end_errors(plan);
	}
	return result;
}
