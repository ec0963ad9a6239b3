/* SPDX-License-Identifier: Apache-2.0 */
/* hyc info: an archive as a whole. */
#include "config.h"

#include <inttypes.h>
#include <math.h>

#include "cli/cmd.h"

static const struct cmd_option options[] = {
	CMD_JSON_OPTION,
	{ NULL, 0, CMD_FLAG, 0, NULL, NULL, 0, 0 },
};

/* Stored bits per weight over all tensors; what several share is charged to each in proportion. */
static double bits_per_weight(const struct hyc *archive)
{
	double stored = 0, elements = 0;
	struct hyc_tensor t;

	for (uint32_t i = 0; i < hyc_tensor_count(archive); i++) {
		double n = 1;

		hyc_tensor_get(archive, i, &t);
		for (uint32_t d = 0; d < t.ndim; d++)
			n *= (double)t.shape[d];
		elements += n;
		stored += t.stored_bytes;
	}
	return elements > 0 ? 8 * stored / elements : 0;
}

static json_t *codecs_json(const struct hyc *archive)
{
	json_t *codecs = json_object();
	uint64_t n, bytes, stored;

	for (unsigned c = 0; hyc_codec_name(c); c++) {
		hyc_codec_usage(archive, c, &n, &bytes, &stored);
		if (n)
			json_object_set_new(codecs, hyc_codec_name(c),
					    json_pack("{s:I,s:I,s:I}", "objects", (json_int_t)n, "bytes", (json_int_t)bytes,
						      "stored_bytes", (json_int_t)stored));
	}
	return codecs;
}

static json_t *lossy_tensors_json(const struct hyc *archive)
{
	json_t *list = json_array();
	struct hyc_tensor t;
	struct hyc_file file;

	for (uint32_t i = 0; i < hyc_tensor_count(archive); i++) {
		hyc_tensor_get(archive, i, &t);
		if (t.exact)
			continue;
		hyc_file_get(archive, t.file, &file);
		json_array_append_new(list, json_pack("{s:o,s:o,s:s,s:f,s:o,s:o}", "name", cmd_json_text(t.name),
						      "file", cmd_json_text(file.path), "codec", t.codec, "bpw", t.bpw,
						      "sqnr_db", cmd_json_real(t.sqnr_db),
						      "max_error", cmd_json_real(t.max_error)));
	}
	return list;
}

/* What was lost; null for a lossless archive. */
static json_t *loss_json(const struct hyc *archive, const struct hyc_info *info)
{
	if (!info->lossy)
		return json_null();
	return json_pack("{s:I,s:f,s:o,s:o,s:o}", "weights", (json_int_t)info->lossy_weights, "bpw", info->lossy_bpw,
			 "sqnr_db", cmd_json_real(info->lossy_sqnr_db),
			 "max_error", cmd_json_real(info->lossy_max_error),
			 "tensors", lossy_tensors_json(archive));
}

static int print_json(const struct hyc *archive)
{
	struct hyc_info info;

	hyc_info(archive, &info);
	return cmd_json_print(json_pack("{s:I,s:I,s:o,s:f,s:b,s:o,s:I,s:I,s:I,s:I,s:I,s:o}", "bytes", (json_int_t)info.bytes,
					"stored_bytes", (json_int_t)info.archive_bytes,
					"ratio", info.bytes ? json_real((double)info.archive_bytes / (double)info.bytes) : json_null(),
					"bpw", bits_per_weight(archive), "lossy", info.lossy, "codecs", codecs_json(archive),
					"tensors", (json_int_t)info.n_tensors, "files", (json_int_t)info.n_files,
					"directories", (json_int_t)(info.n_dirs - 1), "objects", (json_int_t)info.n_objects,
					"blocks", (json_int_t)info.n_blocks, "loss", loss_json(archive, &info)), CMD_DONE);
}

static void print_codecs(const struct hyc *archive)
{
	char before[CMD_SIZE_LEN], after[CMD_SIZE_LEN], percent[CMD_SIZE_LEN], objects[CMD_COUNT_LEN];
	const char *label = "codecs";
	uint64_t n, bytes, stored;

	for (unsigned c = 0; hyc_codec_name(c); c++) {
		hyc_codec_usage(archive, c, &n, &bytes, &stored);
		if (n == 0)
			continue;
		printf("%-12s%-7s %s -> %s (%s), %s\n", label, hyc_codec_name(c), cmd_human(before, (double)bytes),
		       cmd_human(after, (double)stored), cmd_percent(percent, (double)stored, (double)bytes),
		       cmd_count(objects, n, "object"));
		label = "";
	}
}

static const char *db_text(char buf[CMD_SIZE_LEN], double db)
{
	snprintf(buf, CMD_SIZE_LEN, isfinite(db) ? "%.2f dB" : "-", db);
	return buf;
}

static void print_loss(const struct hyc *archive, const struct hyc_info *info)
{
	char db[CMD_SIZE_LEN];
	struct hyc_tensor t;

	printf("%-12sLOSSY: %" PRIu64 " weights are not those of the source\n", "loss", info->lossy_weights);
	printf("%-12s%.4f bits per weight, %s signal to noise, largest error %.4g\n\n", "", info->lossy_bpw,
	       db_text(db, info->lossy_sqnr_db), info->lossy_max_error);
	printf("%-7s  %8s  %9s  %10s  tensor\n", "codec", "bpw", "SQNR", "max error");
	for (uint32_t i = 0; i < hyc_tensor_count(archive); i++) {
		hyc_tensor_get(archive, i, &t);
		if (t.exact)
			continue;
		printf("%-7s  %8.4f  %9s  %10.4g  ", t.codec, t.bpw, db_text(db, t.sqnr_db), t.max_error);
		cmd_put_name(stdout, t.name);
		putchar('\n');
	}
}

static void print_text(const struct hyc *archive, const char *path)
{
	char a[CMD_COUNT_LEN], b[CMD_COUNT_LEN], size[CMD_SIZE_LEN];
	struct hyc_info info;

	hyc_info(archive, &info);
	printf("%-12s", "archive");
	cmd_put_name(stdout, path);
	printf("\n%-12s%s (%" PRIu64 " bytes)\n", "contents", cmd_human(size, (double)info.bytes), info.bytes);
	printf("%-12s%s (%" PRIu64 " bytes)", "stored", cmd_human(size, (double)info.archive_bytes), info.archive_bytes);
	printf(", %s of the contents\n", cmd_percent(size, (double)info.archive_bytes, (double)info.bytes));
	printf("%-12s%s", "files", cmd_count(a, info.n_files, "file"));
	if (info.n_dirs > 1)
		printf(" in %u director%s and the root", info.n_dirs - 1, info.n_dirs == 2 ? "y" : "ies");
	printf("\n%-12s%s", "tensors", cmd_count(a, info.n_tensors, "tensor"));
	if (info.n_tensors)
		printf(", %.2f bits per weight", bits_per_weight(archive));
	printf("\n%-12s%s in %s\n", "objects", cmd_count(a, info.n_objects, "object"), cmd_count(b, info.n_blocks, "block"));
	print_codecs(archive);
	if (info.lossy)
		print_loss(archive, &info);
	else
		printf("%-12slossless: every file is bit-identical to its source\n", "note");
}

static int run(const struct cmd_args *args)
{
	struct hyc *archive = cmd_open(args->operands[0]);
	int status = CMD_DONE;

	if (!archive)
		return CMD_FAILED;
	if (args->json)
		status = print_json(archive);
	else
		print_text(archive, args->operands[0]);
	hyc_close(archive);
	return status;
}

const struct cmd_verb cmd_info = {
	.name = "info",
	.operands = "ARCHIVE",
	.summary = "Show sizes, codecs and counts of an archive, and what was lost",
	.options = options,
	.min_operands = 1,
	.max_operands = 1,
	.required = { "ARCHIVE" },
	.run = run,
};
