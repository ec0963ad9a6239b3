/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trellis runs down the columns of a block, and scales belong to rows, so a tensor is coded as a matrix in blocks
 * of whole rows. The trellis wants many rows in a block, which must not be too large: long rows are cut into equal
 * parts, each of them a row with a scale. Where rows are too short to be worth scales, and for vectors, the elements
 * are arranged in other rows, without.
 *
 * All tensors are read once. The spreads of their rows give the scales, and the hash of their bytes finds those that
 * are there twice: the second is coded as the first is, so both decode to the same bytes and are stored once.
 */
#include "config.h"

#include "pack/tcq_plan.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "codec/encode.h"
#include "format/dtype.h"
#include "pack/rate.h"
#include "pack/walk.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A scale takes 8 bits of its row. */
#define MIN_SCALED_COLS 64u
#define MAX_ROW_BYTES (UINT64_C(32) << 10)
#define MAX_PARTS 65536u
#define MAX_SCALE 0x1p15f
/* Of the arranged rows: those of one stripe, if that leaves rows enough for the trellis. */
#define MAX_ARRANGED_COLS 256u
#define MIN_ARRANGED_ROWS 256u
/* In wide matrices blocks of 128 rows are worth 0.1 bit a weight more than those of 32; 256 are worth another 0.02. */
#define MIN_BLOCK_ROWS 128u
#define MAX_BLOCK_ROWS 1024u
/* A block takes as much however few elements it has. */
#define MIN_BYTES 192u
/* With fewer rows, or elements, the trellis does not earn its second table. */
#define MIN_TRELLIS_ROWS 16u
#define MIN_TRELLIS_ELEMENTS 4096u

void hyc_tcq_plan_free(struct hyc_tcq_plan *plan)
{
	if (!plan)
		return;
	free(plan->spread);
	free(plan->row_scale);
	free(plan->params);
	free(plan);
}

/* Columns of the parts that rows are cut into, as few as need be; 0 where that cannot be done. */
static uint64_t cut_rows(uint64_t rows, uint64_t cols, unsigned element)
{
	for (uint64_t parts = 1; parts <= MAX_PARTS && cols / parts >= MIN_SCALED_COLS; parts++)
		if (cols % parts == 0 && cols / parts * element <= MAX_ROW_BYTES && rows * parts >= MIN_BLOCK_ROWS)
			return cols / parts;
	return 0;
}

static uint64_t arrange(uint64_t n)
{
	for (uint64_t cols = MAX_ARRANGED_COLS; cols > 1; cols--)
		if (n % cols == 0 && n / cols >= MIN_ARRANGED_ROWS)
			return cols;
	return 1;
}

/* Blocks of about the same height, so that the last one is not much lower than the others; so are the units in them. */
static uint64_t block_rows(uint64_t rows, uint64_t row_bytes)
{
	uint64_t h = (HYC_PACK_NOMINAL_BLOCK + row_bytes / 2) / row_bytes, n;

	h = h < MIN_BLOCK_ROWS ? MIN_BLOCK_ROWS : h > MAX_BLOCK_ROWS ? MAX_BLOCK_ROWS : h;
	n = (rows + h / 2) / h;
	return hyc_align_up(hyc_div_up(rows, n ? n : 1), 8);
}

static void choose_shape(const struct hyc_piece *piece, struct hyc_tcq_plan *plan, uint32_t *block_bytes)
{
	unsigned element = hyc_dtype_bytes(piece->dtype);
	uint64_t n = piece->len / element, rows = piece->ndim >= 2 ? piece->shape[0] : 1, h, most;

	plan->cols = piece->ndim >= 2 ? cut_rows(rows, n / rows, element) : 0;
	plan->by_row = plan->cols != 0;
	if (!plan->by_row)
		plan->cols = arrange(n);
	plan->rows = n / plan->cols;
	h = plan->by_row ? block_rows(plan->rows, plan->cols * element) : HYC_PACK_VECTOR_ELEMENTS / plan->cols;
	h = h < plan->rows ? h : plan->rows;
	*block_bytes = (uint32_t)(h * plan->cols * element);
	plan->n_spread = plan->by_row ? plan->rows : hyc_div_up(plan->rows, h);
	plan->design.trellis = h >= MIN_TRELLIS_ROWS && n >= MIN_TRELLIS_ELEMENTS;
	most = hyc_tcq_unit_rows(plan->cols, (uint32_t)h);
	plan->design.unit_rows = (uint32_t)hyc_div_up(h, hyc_div_up(h, most));
}

static int begin(struct hyc_lossy_tensor *t)
{
	struct hyc_tcq_plan *plan = calloc(1, sizeof *plan);

	t->tcq = plan;
	if (!plan)
		return -ENOMEM;
	choose_shape(t->piece, plan, &t->how.block_bytes);
	plan->finite = true;
	plan->spread = calloc(plan->n_spread, sizeof *plan->spread);
	return plan->spread ? 0 : -ENOMEM;
}

/* ---- the look at all tensors ---- */

struct survey {
	XXH3_state_t *hash;
	struct hyc_tell *tell;
};

static int look(void *arg, struct hyc_walk_block *b)
{
	const struct hyc_tcq_plan *plan = b->tensor->tcq;
	uint64_t row_bytes = b->tensor->piece->len / plan->rows, element = hyc_dtype_bytes(b->tensor->piece->dtype);
	uint32_t dtype = b->tensor->piece->dtype;
	cleanup_free uint8_t *lossless = malloc(b->len);
	ssize_t n = lossless ? hyc_float_encode(dtype, b->src, b->len, lossless, b->len) : -ENOMEM;

	(void)arg;
	if (n < 0)
		return (int)n;
	b->value = n ? (double)n : (double)b->len;
	/* Threads write to different rows. */
	if (plan->by_row)
		b->verdict = hyc_tcq_spread(dtype, plan->cols, b->src, (uint32_t)(b->len / row_bytes),
					    plan->spread + b->off / row_bytes);
	else
		b->verdict = hyc_tcq_spread(dtype, b->len / element, b->src, 1,
					    plan->spread + b->off / b->tensor->how.block_bytes);
	return 0;
}

static void take_look(void *arg, const struct hyc_walk_block *b)
{
	struct survey *s = arg;
	struct hyc_tcq_plan *plan = b->tensor->tcq;
	XXH128_canonical_t canonical;

	if (b->off == 0)
		XXH3_128bits_reset(s->hash);
	plan->finite &= !b->verdict;
	plan->lossless += b->value;
	hyc_hash128_update(s->hash, b->src, b->len);
	if (b->off + b->len == b->tensor->piece->len) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(s->hash));
		memcpy(plan->hash, canonical.digest, sizeof plan->hash);
	}
	hyc_tell(s->tell, b->len);
}

static int survey(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
		  struct hyc_tell *tell, struct hyc_error *err)
{
	static const struct hyc_walk_ops ops = { .work = look, .take = take_look };
	struct survey s = { .hash = XXH3_createState(), .tell = tell };
	int failed;

	if (!s.hash)
		return hyc_fail(err, -ENOMEM, "not enough memory to pack");
	failed = hyc_walk(lossy, scan, options, &ops, &s, err);
	XXH3_freeState(s.hash);
	return failed;
}

/* ---- scales ---- */

static bool all_zero(const struct hyc_tcq_plan *plan)
{
	for (uint64_t i = 0; i < plan->n_spread; i++)
		if (plan->spread[i] > 0)
			return false;
	return true;
}

/* Whether some row is so large that a scale cannot say it; small ones become zeros. */
static bool too_uneven(const struct hyc_tcq_plan *plan)
{
	for (uint64_t i = 0; i < plan->n_spread; i++)
		if (plan->spread[i] > plan->unit * MAX_SCALE)
			return true;
	return false;
}

/* Whether the format has room for every step that may come. */
static bool steps_fit(struct hyc_tcq_plan *plan)
{
	static const int ends[] = { HYC_TCQ_MIN_LOG2_STEP, HYC_TCQ_MAX_LOG2_STEP };

	for (unsigned i = 0; i < 2; i++) {
		plan->design.step = ldexp(plan->unit, ends[i]);
		if (hyc_tcq_write_params(&plan->design, plan->rows, plan->cols, plan->params))
			return false;
	}
	return true;
}

void hyc_tcq_plan_step(struct hyc_tcq_plan *plan, double log2_step)
{
	plan->design.step = exp2(log2_step) * plan->unit;
	/* It fits: steps_fit has tried the ends of the range. */
	(void)!hyc_tcq_write_params(&plan->design, plan->rows, plan->cols, plan->params);
}

/* Why a tensor stays lossless; NULL if it does not. */
static const char *refuse(const struct hyc_lossy_tensor *t, double bpw)
{
	const struct hyc_tcq_plan *plan = t->tcq;

	if (!plan->finite)
		return "it has NaN or infinite values";
	if (t->piece->len < MIN_BYTES)
		return "it is too small for this codec";
	/* Constants, masks, tensors of zeros. */
	if (all_zero(plan) || 8 * plan->lossless <= bpw * (double)(plan->rows * plan->cols))
		return "that takes no more bits than were asked for";
	return NULL;
}

static int settle(struct hyc_lossy_tensor *t, double bpw)
{
	struct hyc_tcq_plan *plan = t->tcq;
	struct hyc_coding *coding = &t->how.coding;
	const char *why = refuse(t, bpw);
	int failed;

	if (why) {
		hyc_lossy_leave_out(t, why);
		return 0;
	}
	plan->row_scale = malloc(plan->n_spread);
	if (!plan->row_scale)
		return -ENOMEM;
	failed = hyc_tcq_row_scales(plan->spread, plan->n_spread, plan->row_scale, &plan->unit);
	if (failed)
		return failed;
	plan->design.row_scale = plan->by_row ? plan->row_scale : NULL;
	*coding = (struct hyc_coding) {
		.codec = HYC_CODEC_TCQ, .dtype = t->piece->dtype, .rows = plan->rows, .cols = plan->cols,
		.params_len = hyc_tcq_params_bytes(&plan->design, plan->rows, plan->cols),
	};
	plan->params = malloc(coding->params_len);
	if (!coding->params_len || !plan->params)
		return -ENOMEM;
	coding->params = plan->params;
	if (!steps_fit(plan))
		hyc_lossy_leave_out(t, "its values are too small or too large for this codec");
	else if (too_uneven(plan))
		hyc_lossy_leave_out(t, "its rows differ too much in size for this codec");
	return 0;
}

/* ---- twins ---- */

static int by_bytes(const void *pa, const void *pb)
{
	const struct hyc_lossy_tensor *a = *(struct hyc_lossy_tensor *const *)pa;
	const struct hyc_lossy_tensor *b = *(struct hyc_lossy_tensor *const *)pb;
	int order = memcmp(a->tcq->hash, b->tcq->hash, sizeof a->tcq->hash);

	if (!order)
		order = (a->piece->dtype > b->piece->dtype) - (a->piece->dtype < b->piece->dtype);
	if (!order)
		order = (a->piece->len > b->piece->len) - (a->piece->len < b->piece->len);
	/* The first of twins is the first in the sources. */
	return order ? order : (a > b) - (a < b);
}

static bool same_bytes(const struct hyc_lossy_tensor *a, const struct hyc_lossy_tensor *b)
{
	return a->piece->dtype == b->piece->dtype && a->piece->len == b->piece->len &&
	       !memcmp(a->tcq->hash, b->tcq->hash, sizeof a->tcq->hash);
}

static int find_twins(struct hyc_lossy *lossy)
{
	struct hyc_lossy_tensor **sorted = malloc((lossy->n + 1) * sizeof *sorted), *first = NULL;
	size_t n = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < lossy->n; i++)
		if (!lossy->tensors[i].left_out)
			sorted[n++] = &lossy->tensors[i];
	qsort(sorted, n, sizeof *sorted, by_bytes);
	for (size_t i = 0; i < n; i++) {
		if (!first || !same_bytes(first, sorted[i])) {
			first = sorted[i];
			continue;
		}
		sorted[i]->twin = first;
		sorted[i]->how = first->how;
	}
	free(sorted);
	return 0;
}

int hyc_lossy_design_tcq(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
			 struct hyc_tell *tell, struct hyc_error *err)
{
	int failed = 0;

	for (size_t i = 0; i < lossy->n; i++) {
		tell->total += lossy->tensors[i].piece->len;
		failed = failed ? failed : begin(&lossy->tensors[i]);
	}
	if (failed)
		return hyc_fail(err, failed, "not enough memory to pack");
	failed = survey(lossy, scan, options, tell, err);
	if (failed)
		return failed;
	for (size_t i = 0; i < lossy->n && !failed; i++)
		failed = settle(&lossy->tensors[i], options->bpw);
	if (!failed)
		failed = find_twins(lossy);
	if (failed)
		return hyc_fail(err, failed, "not enough memory to pack");
	return hyc_rate_set(lossy, scan, options, err);
}
