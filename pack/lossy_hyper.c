/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans for the hyper codec. A tensor counts as a vector of pairs, whatever its shape; all of it is read once for each
 * round.
 */
#include "config.h"

#include "codec/hyper_encode.h"

#include "format/dtype.h"
#include "pack/walk.h"

#include <errno.h>
#include <stdio.h>

static struct hyc_hyper_options to_options(const struct hyc_pack_hyper *h)
{
	return (struct hyc_hyper_options) {
		.side = h->side, .nodes = h->nodes, .classes = h->classes, .threshold = h->threshold, .limit = h->limit,
	};
}

const char *hyc_pack_hyper_refuse(const struct hyc_pack_hyper *hyper, char *text, size_t room)
{
	struct hyc_hyper_options options = to_options(hyper);
	const struct hyc_hyper_range *range = hyc_hyper_out_of_range(&options);

	if (!range)
		return NULL;
	snprintf(text, room, "%s must be a %snumber from %.10g to %.10g", range->name, range->whole ? "whole " : "",
		 range->min, range->max);
	return text;
}

static int begin(struct hyc_lossy *lossy, struct hyc_lossy_tensor *t)
{
	const struct hyc_piece *piece = t->piece;
	uint64_t n = piece->len / hyc_dtype_bytes(piece->dtype);
	uint64_t rows = piece->ndim >= 2 ? piece->shape[0] : 1;

	t->how.block_bytes = HYC_PACK_VECTOR_ELEMENTS * hyc_dtype_bytes(piece->dtype);
	t->how.coding = (struct hyc_coding) {
		.codec = HYC_CODEC_HYPER, .dtype = piece->dtype, .rows = rows, .cols = n / rows,
	};
	return hyc_hyper_plan_new(lossy->hyper, piece->dtype, n, HYC_PACK_VECTOR_ELEMENTS, &t->hyper);
}

struct round {
	unsigned number;
	struct hyc_tell *tell;
};

static bool is_open(void *arg, const struct hyc_lossy_tensor *t, uint64_t off)
{
	(void)off;
	return hyc_hyper_plan_round(t->hyper) == ((const struct round *)arg)->number;
}

static int look(void *arg, struct hyc_walk_block *b)
{
	(void)arg;
	return hyc_hyper_scan(b->tensor->hyper, b->off, b->src, b->len, (struct hyc_hyper_scan **)&b->kept);
}

static void take_look(void *arg, const struct hyc_walk_block *b)
{
	struct round *r = arg;

	hyc_hyper_plan_take(b->tensor->hyper, b->kept);
	hyc_tell(r->tell, b->len);
}

static void release(void *kept)
{
	hyc_hyper_scan_free(kept);
}

static void settle(struct hyc_lossy_tensor *t)
{
	enum hyc_hyper_verdict verdict = hyc_hyper_plan_verdict(t->hyper);

	if (verdict != HYC_HYPER_CODED) {
		hyc_lossy_leave_out(t, hyc_hyper_verdict_text(verdict));
		return;
	}
	t->how.plan = t->hyper;
	t->how.coding.params = hyc_hyper_plan_params(t->hyper);
	t->how.coding.params_len = HYC_HYPER_PARAMS_BYTES;
}

int hyc_lossy_design_hyper(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
			   struct hyc_tell *tell, struct hyc_error *err)
{
	static const struct hyc_walk_ops ops = {
		.wanted = is_open, .work = look, .take = take_look, .release = release,
	};
	struct hyc_hyper_options hyper = to_options(&options->hyper);
	struct round r = { .tell = tell };
	int failed = hyc_hyper_new(&hyper, &lossy->hyper);

	for (size_t i = 0; i < lossy->n && !failed; i++) {
		tell->total += HYC_HYPER_ROUNDS * lossy->tensors[i].piece->len;
		failed = begin(lossy, &lossy->tensors[i]);
	}
	for (r.number = 0; r.number < HYC_HYPER_ROUNDS && !failed; r.number++) {
		failed = hyc_walk(lossy, scan, options, &ops, &r, err);
		if (failed)
			return failed;
		for (size_t i = 0; i < lossy->n && !failed; i++)
			if (hyc_hyper_plan_round(lossy->tensors[i].hyper) == r.number)
				failed = hyc_hyper_plan_end_round(lossy->tensors[i].hyper);
	}
	if (failed)
		return hyc_fail(err, failed, "not enough memory to plan the coding of tensors");
	for (size_t i = 0; i < lossy->n; i++)
		settle(&lossy->tensors[i]);
	return 0;
}
