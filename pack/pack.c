/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing in four steps: find what there is, cut all of it (so that a malformed file is
 * told before hours of work), design what is coded with loss, then encode and write it.
 */
#include "config.h"

#include "pack/pack.h"

#include "codec/codec.h"
#include "format/writer.h"
#include "pack/lossy.h"
#include "pack/note.h"
#include "pack/pipeline.h"
#include "pack/scan.h"
#include "pack/weight_map.h"

#include <errno.h>
#include <math.h>

/* How near to the wanted rate the archive is to be, in bits a weight. */
#define BPW_TOLERANCE 0.02

static int plan_entry(const struct hyc_scan *scan, struct hyc_entry *e, const struct hyc_pack_options *options,
		      struct hyc_error *err)
{
	int failed = hyc_entry_open(e, err);

	if (failed)
		return failed;
	failed = hyc_split_file(e->fd, e->shown, e->bytes, &e->plan, err);
	if (!failed && e->plan.note)
		hyc_pack_note(options, "%s: %s", e->shown, e->plan.note);
	if (!failed && hyc_weight_map_named(e->path))
		failed = hyc_weight_map_check(scan, e, options, err);
	return failed ? failed : hyc_entry_close(e, err);
}

/* What is read to be packed: the files, and copies of what lies apart in them. */
static uint64_t bytes_to_pack(const struct hyc_scan *scan)
{
	uint64_t bytes = scan->bytes;

	for (size_t i = 0; i < scan->n_entries; i++) {
		const struct hyc_plan *plan = &scan->entries[i].plan;

		for (size_t k = 0; k < plan->n_pieces; k++)
			bytes += plan->pieces[k].strides ? plan->pieces[k].len : 0;
	}
	return bytes;
}

/* The plans of all files are there. */
static int pack_plans(struct hyc_scan *scan, struct hyc_lossy *lossy, const struct hyc_pack_options *options,
		      struct hyc_pack_result *result, struct hyc_error *err)
{
	struct hyc_tell tell = { .options = options, .total = bytes_to_pack(scan) };
	struct hyc_packed_sums sums = { 0 };
	struct hyc_writer *writer;
	int failed = hyc_writer_open(options->output, &writer, err);

	if (failed)
		return failed;
	failed = hyc_lossy_design(scan, options, lossy, &tell, err);
	if (!failed)
		failed = hyc_pipeline_run(scan, writer, options, &tell, &sums, err);
	if (!failed)
		failed = hyc_writer_commit(writer, &result->archive_bytes, err);
	hyc_writer_close(writer);
	result->n_tensors = sums.n_tensors;
	result->n_lossy = sums.n_lossy;
	if (sums.lossy_weights)
		result->lossy_bpw = 8 * (double)sums.lossy_bytes / (double)sums.lossy_weights;
	return failed;
}

static int pack_scan(struct hyc_scan *scan, const struct hyc_pack_options *options, struct hyc_pack_result *out,
		     struct hyc_error *err)
{
	struct hyc_pack_result result = { .source_bytes = scan->bytes };
	struct hyc_lossy lossy = { 0 };
	int failed = 0;

	for (size_t i = 0; i < scan->n_entries && !failed; i++) {
		if ((scan->entries[i].mode & HYC_MODE_TYPE) != HYC_MODE_REG)
			continue;
		result.n_files++;
		failed = plan_entry(scan, &scan->entries[i], options, err);
	}
	if (!failed)
		failed = pack_plans(scan, &lossy, options, &result, err);
	hyc_lossy_fini(&lossy);
	if (failed)
		return failed;
	if (options->codec == HYC_PACK_TCQ && result.n_lossy && fabs(result.lossy_bpw - options->bpw) > BPW_TOLERANCE)
		hyc_pack_note(options, "the lossy tensors take %.3f bits a weight, not the %g that were asked for",
			      result.lossy_bpw, options->bpw);
	*out = result;
	return 0;
}

static int check_options(const struct hyc_pack_options *options, struct hyc_error *err)
{
	char why[100];

	if (options->codec == HYC_PACK_TCQ && !(options->bpw >= HYC_PACK_MIN_BPW && options->bpw <= HYC_PACK_MAX_BPW))
		return hyc_fail(err, -EINVAL, "bits per weight must be a number from %d to %d, not %g",
				HYC_PACK_MIN_BPW, HYC_PACK_MAX_BPW, options->bpw);
	if (options->codec == HYC_PACK_HYPER && hyc_pack_hyper_refuse(&options->hyper, why, sizeof why))
		return hyc_fail(err, -EINVAL, "the hyper codec's %s", why);
	return 0;
}

int hyc_pack(const char *const *sources, size_t n_sources, const struct hyc_pack_options *options,
	     struct hyc_pack_result *result, struct hyc_error *err)
{
	struct hyc_scan scan;
	int failed = check_options(options, err);

	if (!failed)
		failed = hyc_codec_init(err);
	if (failed)
		return failed;
	failed = hyc_scan_sources(sources, n_sources, options, &scan, err);
	if (!failed)
		failed = pack_scan(&scan, options, result, err);
	hyc_scan_fini(&scan);
	return failed;
}
