/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tensors are coded with loss. What a model is sensitive to and what is small stays lossless unless a pattern
 * says otherwise: vectors (norms, biases), small tensors; and always what is no float, and what the codec cannot hold.
 */
#include "config.h"

#include "pack/lossy.h"

#include "base/cleanup.h"
#include "codec/hyper_encode.h"
#include "format/dtype.h"
#include "pack/note.h"
#include "pack/tcq_plan.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#define MIN_ELEMENTS 16384u

/* The list of patterns of an option, and which of them matched something. */
struct globs {
	const char *option;
	const char *const *list; /* may be NULL */
	bool *used;              /* owned */
};

static int init_globs(struct globs *g, const char *option, const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	*g = (struct globs) { .option = option, .list = list, .used = calloc(n + 1, sizeof *g->used) };
	return g->used ? 0 : -ENOMEM;
}

/* All patterns are tried, so that each that matches anything is known to be used. */
static bool match(struct globs *g, const char *name)
{
	bool matched = false;

	for (size_t i = 0; g->list && g->list[i]; i++) {
		if (fnmatch(g->list[i], name, 0))
			continue;
		g->used[i] = true;
		matched = true;
	}
	return matched;
}

static void note_unused(const struct globs *g, const struct hyc_pack_options *options)
{
	for (size_t i = 0; g->list && g->list[i]; i++)
		if (!g->used[i])
			hyc_pack_note(options, "%s=%.200s: no tensor has such a name", g->option, g->list[i]);
}

static bool is_float(uint32_t dtype)
{
	return dtype == HYC_F32 || dtype == HYC_F16 || dtype == HYC_BF16;
}

/* What the patterns say of a tensor, which may have several names. */
struct verdict {
	bool kept, named;
};

static void judge(const char *name, struct globs *keep, struct globs *lossy, struct verdict *verdict)
{
	verdict->kept |= match(keep, name);
	verdict->named |= match(lossy, name);
}

static bool is_wanted(const struct hyc_piece *piece, const struct verdict *verdict)
{
	bool named = verdict->named;

	if (!piece->name || verdict->kept || !piece->len || !is_float(piece->dtype) || piece->checked_ahead)
		return false;
	return named || (piece->ndim >= 2 && piece->len / hyc_dtype_bytes(piece->dtype) >= MIN_ELEMENTS);
}

static int add_tensor(struct hyc_lossy *lossy, size_t entry, struct hyc_piece *piece)
{
	if (lossy->n == lossy->room) {
		size_t room = lossy->room ? 2 * lossy->room : 64;
		struct hyc_lossy_tensor *grown = reallocarray(lossy->tensors, room, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		lossy->tensors = grown;
		lossy->room = room;
	}
	lossy->tensors[lossy->n++] = (struct hyc_lossy_tensor) { .piece = piece, .entry = entry };
	return 0;
}

static int collect_plan(struct hyc_lossy *lossy, size_t entry, struct hyc_plan *plan, struct globs *keep, struct globs *globs)
{
	cleanup_free struct verdict *verdicts = calloc(plan->n_pieces + 1, sizeof *verdicts);
	struct verdict ignored = { 0 };

	if (!verdicts)
		return -ENOMEM;
	for (size_t k = 0; k < plan->n_pieces; k++)
		if (plan->pieces[k].name)
			judge(plan->pieces[k].name, keep, globs, &verdicts[k]);
	for (size_t k = 0; k < plan->n_parts; k++) {
		const struct hyc_part *part = &plan->parts[k];

		judge(part->name, keep, globs, part->piece == HYC_NO_PIECE ? &ignored : &verdicts[part->piece]);
	}
	for (size_t k = 0; k < plan->n_pieces; k++)
		if (is_wanted(&plan->pieces[k], &verdicts[k]) && add_tensor(lossy, entry, &plan->pieces[k]))
			return -ENOMEM;
	return 0;
}

static int collect(struct hyc_lossy *lossy, struct hyc_scan *scan, struct globs *keep, struct globs *globs)
{
	int failed = 0;

	for (size_t i = 0; i < scan->n_entries && !failed; i++)
		failed = collect_plan(lossy, i, &scan->entries[i].plan, keep, globs);
	return failed;
}

static int choose(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
		  struct hyc_error *err)
{
	struct globs keep = { 0 }, globs = { 0 };
	int failed = init_globs(&keep, "--keep", options->keep);

	if (!failed)
		failed = init_globs(&globs, "--lossy", options->lossy);
	if (!failed)
		failed = collect(lossy, scan, &keep, &globs);
	if (!failed) {
		note_unused(&keep, options);
		note_unused(&globs, options);
	}
	free(keep.used);
	free(globs.used);
	return failed ? hyc_fail(err, failed, "not enough memory for the list of tensors") : 0;
}

/* One note for each reason, however many tensors it keeps. */
static void note_left_out(const struct hyc_lossy *lossy, const struct hyc_pack_options *options)
{
	struct { const char *why, *first; size_t n; } reasons[8] = { 0 };

	for (size_t i = 0; i < lossy->n; i++) {
		const struct hyc_lossy_tensor *t = &lossy->tensors[i];

		for (size_t k = 0; t->left_out && k < sizeof reasons / sizeof *reasons; k++) {
			if (reasons[k].why && reasons[k].why != t->why)
				continue;
			if (!reasons[k].n++) {
				reasons[k].why = t->why;
				reasons[k].first = t->piece->name;
			}
			break;
		}
	}
	for (size_t k = 0; k < sizeof reasons / sizeof *reasons && reasons[k].n; k++) {
		if (reasons[k].n == 1)
			hyc_pack_note(options, "%.200s stays lossless: %s", reasons[k].first, reasons[k].why);
		else
			hyc_pack_note(options, "%zu tensors stay lossless, the first one is %.200s: %s", reasons[k].n,
				      reasons[k].first, reasons[k].why);
	}
}

int hyc_lossy_design(struct hyc_scan *scan, const struct hyc_pack_options *options, struct hyc_lossy *out,
		     struct hyc_tell *tell, struct hyc_error *err)
{
	size_t n = 0;
	int failed;

	*out = (struct hyc_lossy) { 0 };
	if (options->codec != HYC_PACK_TCQ && options->codec != HYC_PACK_HYPER)
		return 0;
	failed = choose(out, scan, options, err);
	if (failed)
		return failed;
	failed = options->codec == HYC_PACK_TCQ ? hyc_lossy_design_tcq(out, scan, options, tell, err) :
						  hyc_lossy_design_hyper(out, scan, options, tell, err);
	if (failed)
		return failed;
	note_left_out(out, options);
	for (size_t i = 0; i < out->n; i++) {
		struct hyc_lossy_tensor *t = &out->tensors[i];

		if (t->left_out)
			continue;
		/* Names the object to decoders, which keep tables for it. */
		t->how.coding.key = i + 1;
		t->piece->coding = &t->how;
		n++;
	}
	if (!n)
		hyc_pack_note(options, "there is no tensor to be coded with loss; the archive is lossless");
	return 0;
}

void hyc_lossy_fini(struct hyc_lossy *lossy)
{
	for (size_t i = 0; i < lossy->n; i++) {
		hyc_tcq_plan_free(lossy->tensors[i].tcq);
		hyc_hyper_plan_free(lossy->tensors[i].hyper);
	}
	free(lossy->tensors);
	hyc_hyper_free(lossy->hyper);
}
