/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests/hyper_oracle.py: codes a file of floats as a tensor and writes the decoded floats to another file. Prints
 * one JSON object. Each block must decode to what its encoder said it would.
 *
 *	check-hyper L NODES CLASSES THRESHOLD LIMIT IN OUT BLOCK-ELEMENTS
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "codec/hyper_encode.h"
#include "format/dtype.h"

struct tensor {
	uint8_t *bytes;
	size_t len, block_bytes;
};

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "check-hyper: %s\n", what);
	exit(1);
}

static size_t block_at(const struct tensor *t, size_t pos)
{
	return t->len - pos < t->block_bytes ? t->len - pos : t->block_bytes;
}

static struct tensor read_tensor(const char *path, size_t block_bytes)
{
	cleanup_file FILE *f = fopen(path, "rb");
	struct tensor t = { .block_bytes = block_bytes };
	long len;

	if (!f || fseek(f, 0, SEEK_END) || (len = ftell(f)) < 0 || len % 4)
		fail("the input cannot be read");
	t.len = (size_t)len;
	rewind(f);
	t.bytes = malloc(t.len + 1);
	if (!t.bytes || fread(t.bytes, 1, t.len, f) != t.len)
		fail("the input cannot be read");
	return t;
}

static void plan_tensor(struct hyc_hyper_plan *plan, const struct tensor *t)
{
	struct hyc_hyper_scan *scan = NULL;

	while (hyc_hyper_plan_round(plan) < HYC_HYPER_ROUNDS) {
		for (size_t pos = 0; pos < t->len; pos += t->block_bytes) {
			if (hyc_hyper_scan(plan, pos, t->bytes + pos, block_at(t, pos), &scan))
				fail("no memory");
			hyc_hyper_plan_take(plan, scan);
		}
		if (hyc_hyper_plan_end_round(plan))
			fail("no memory");
	}
	hyc_hyper_scan_free(scan);
}

/* Codes and decodes all blocks; returns the bytes they and the parameters take. */
static size_t code_tensor(const struct hyc_hyper_plan *plan, const struct tensor *t, FILE *out)
{
	struct hyc_coding coding = {
		.codec = HYC_CODEC_HYPER, .dtype = HYC_F32, .rows = 1, .cols = t->len / 4,
		.params = hyc_hyper_plan_params(plan), .params_len = HYC_HYPER_PARAMS_BYTES, .key = 1,
	};
	cleanup_free uint8_t *stored = malloc(t->block_bytes), *said = malloc(t->block_bytes);
	cleanup_free uint8_t *got = malloc(t->block_bytes);
	size_t total = HYC_HYPER_PARAMS_BYTES;

	if (!stored || !said || !got)
		fail("no memory");
	for (coding.pos = 0; coding.pos < t->len; coding.pos += t->block_bytes) {
		size_t len = block_at(t, coding.pos);
		struct hyc_hyper_result result;
		ssize_t n = hyc_hyper_encode(plan, coding.pos, t->bytes + coding.pos, len, stored, len, said, &result);

		if (n < 0)
			fail("no memory");
		total += n ? (size_t)n : len;
		if (n && hyc_block_decode(&coding, stored, (size_t)n, got, len))
			fail("a block does not decode");
		if (n && memcmp(said, got, len))
			fail("a block does not decode to what its encoder said");
		if (fwrite(said, 1, len, out) != len)
			fail("the output cannot be written");
	}
	return total;
}

int main(int argc, char **argv)
{
	struct hyc_hyper_options options;
	struct hyc_hyper *hyper;
	struct hyc_hyper_plan *plan;
	struct tensor t;
	size_t stored = 0;
	FILE *out;

	if (argc != 9)
		fail("usage: check-hyper L NODES CLASSES THRESHOLD LIMIT IN OUT BLOCK-ELEMENTS");
	options = (struct hyc_hyper_options) { .side = atof(argv[1]), .nodes = atof(argv[2]), .classes = atof(argv[3]),
					       .threshold = atof(argv[4]), .limit = atof(argv[5]) };
	t = read_tensor(argv[6], 4 * strtoul(argv[8], NULL, 10));
	out = fopen(argv[7], "wb");
	if (!out)
		fail("the output cannot be written");
	if (hyc_hyper_new(&options, &hyper) || hyc_hyper_plan_new(hyper, HYC_F32, t.len / 4, t.block_bytes / 4, &plan))
		fail("the options are out of range");
	plan_tensor(plan, &t);
	if (hyc_hyper_plan_verdict(plan) == HYC_HYPER_CODED)
		stored = code_tensor(plan, &t, out);
	printf("{\"coded\": %s, \"reason\": \"%s\", \"classes\": %d, \"error\": %.17g, \"stored\": %zu}\n",
	       stored ? "true" : "false", hyc_hyper_verdict_text(hyc_hyper_plan_verdict(plan)),
	       stored ? hyc_hyper_plan_params(plan)[38] : -1, hyc_hyper_plan_error(plan), stored);
	if (fclose(out))
		fail("the output cannot be written");
	hyc_hyper_plan_free(plan);
	hyc_hyper_free(hyper);
	free(t.bytes);
	return 0;
}
