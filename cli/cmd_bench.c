/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hyc bench: memcpy, decoding and packing in one run on one machine, because only
 * their ratios can be compared between machines. Each figure is the median of five.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/ordered.h"
#include "cli/cmd.h"
#include "pack/pack.h"

#define MAX_DECODE 32u

/* What is measured, in GB/s; 0 where it is not. */
struct figures {
	double memcpy, pack;
	struct {
		const char *codec, *backend;
		double one, all;
	} decode[MAX_DECODE];
	unsigned n_decode;
};

static const struct cmd_option options[] = {
	{ "backend", 0, CMD_TEXT, offsetof(struct cmd_args, backend), "NAME",
	  "decode with this backend; all: with each that works here [the fastest]", 0, 0 },
	CMD_JSON_OPTION,
	{ NULL, 0, CMD_FLAG, 0, NULL, NULL, 0, 0 },
};

#define RUNS 5
#define ROWS 4096u
#define COLS 4096u /* 32 MiB of bf16 */
#define MAX_STREAM (UINT64_C(1) << 30) /* of each codec of a large archive */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median of GB/s of RUNS runs of fn, which returns the bytes it moved, negative for a failure that was told. */
static double median(double (*fn)(void *arg), void *arg)
{
	double speeds[RUNS];

	for (int i = 0; i < RUNS; i++) {
		double start = now(), bytes = fn(arg);

		if (bytes < 0)
			return -1;
		speeds[i] = bytes / (now() - start) / 1e9;
	}
	qsort(speeds, RUNS, sizeof speeds[0], by_value);
	return speeds[RUNS / 2];
}

struct copy {
	uint8_t *from, *to;
	size_t bytes;
};

static double run_memcpy(void *arg)
{
	struct copy *c = arg;

	memcpy(c->to, c->from, c->bytes);
	__asm__ volatile("" : : "r"(c->to) : "memory"); /* or the compiler sees that nobody reads it */
	return (double)c->bytes;
}

struct decode {
	struct hyc *archive;
	const char *codec;
	unsigned threads;
};

static int null_sink(void *arg, const void *data, size_t len, struct hyc_error *err)
{
	(void)data;
	(void)err;
	*(uint64_t *)arg += len;
	return 0;
}

/* Everything that is stored with this codec for the most part. */
static double run_decode(void *arg)
{
	struct decode *d = arg;
	uint64_t bytes = 0;
	struct hyc_file file;
	struct hyc_error err;

	for (uint32_t i = 0; i < hyc_file_count(d->archive) && bytes < MAX_STREAM; i++) {
		hyc_file_get(d->archive, i, &file);
		if (strcmp(file.codec, d->codec))
			continue;
		if (hyc_stream(d->archive, i, 0, MAX_STREAM - bytes, d->threads, null_sink, &bytes, &err)) {
			cmd_error("%s", err.msg);
			return -1;
		}
	}
	return (double)bytes;
}

/* xorshift64*: the same weights everywhere. */
static double uniform(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return ((double)(*state * UINT64_C(0x2545f4914f6cdd1d) >> 11) + 0.5) * 0x1p-53;
}

/* A safetensors file of one bf16 tensor, whose rows are Gaussian, each with its own scale. */
static int write_weights(const char *path)
{
	cleanup_file FILE *out = fopen(path, "wbe");
	char header[96];
	uint8_t row[2 * COLS], length[8];
	uint64_t state = 1;

	if (!out)
		return cmd_error("%s: %s", path, strerror(errno));
	hyc_store64(length, (uint64_t)snprintf(header, sizeof header,
		    "{\"w\":{\"dtype\":\"BF16\",\"shape\":[%u,%u],\"data_offsets\":[0,%u]}}", ROWS, COLS, ROWS * COLS * 2));
	fwrite(length, 1, sizeof length, out);
	fputs(header, out);
	for (uint32_t r = 0; r < ROWS; r++) {
		double scale = 0.02 * exp(uniform(&state) - 0.5);

		for (uint32_t c = 0; c < COLS; c++) {
			float w = (float)(scale * sqrt(-2 * log(uniform(&state))) * cos(2 * M_PI * uniform(&state)));
			uint32_t bits;

			memcpy(&bits, &w, sizeof bits);
			hyc_store16(row + 2 * c, (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
		}
		fwrite(row, 1, sizeof row, out);
	}
	return fflush(out) || ferror(out) ? cmd_error("%s: %s", path, strerror(errno)) : CMD_DONE;
}

struct pack_job {
	const char *source, *archive;
};

static double run_pack(void *arg)
{
	const struct pack_job *job = arg;
	const struct hyc_pack_options o = { .output = job->archive };
	struct hyc_pack_result result;
	struct hyc_error err;

	if (!hyc_pack(&job->source, 1, &o, &result, &err))
		return (double)result.source_bytes;
	cmd_error("%s", err.msg);
	return -1;
}

static int measure_memcpy(struct figures *f)
{
	struct copy c = { .bytes = (size_t)256 << 20 };
	int status = CMD_FAILED;

	c.from = malloc(c.bytes);
	c.to = malloc(c.bytes);
	if (c.from && c.to) {
		memset(c.from, 1, c.bytes);
		memset(c.to, 2, c.bytes);
		f->memcpy = median(run_memcpy, &c);
		status = CMD_DONE;
	} else {
		cmd_error("out of memory");
	}
	free(c.from);
	free(c.to);
	return status;
}

/* One codec of an archive with the backend in use; an archive without that codec has no figure. */
static int measure_codec(struct hyc *archive, unsigned codec, struct figures *f)
{
	struct decode d = { archive, hyc_codec_name(codec), 1 };
	double bytes = run_decode(&d), one, all; /* this also brings the archive into the page cache */

	if (bytes <= 0)
		return bytes < 0 ? CMD_FAILED : CMD_DONE;
	one = median(run_decode, &d);
	d.threads = hyc_cpu_count();
	all = median(run_decode, &d);
	f->decode[f->n_decode].codec = d.codec;
	f->decode[f->n_decode].backend = hyc_codec_backend(codec);
	f->decode[f->n_decode].one = one;
	f->decode[f->n_decode++].all = all;
	return one < 0 || all < 0 ? CMD_FAILED : CMD_DONE;
}

/* All codecs with the backend in use. Only its own kernels where others are measured as well. */
static int measure_codecs(struct hyc *archive, int own_only, struct figures *f)
{
	int status = CMD_DONE;

	for (unsigned c = 0; !status && hyc_codec_name(c) && f->n_decode < MAX_DECODE; c++)
		if (!own_only || !strcmp(hyc_codec_backend(c), hyc_backend_name()))
			status = measure_codec(archive, c, f);
	return status;
}

static int choose_backend(const char *name)
{
	struct hyc_error err;

	return hyc_backend_choose(name, &err) ? cmd_error("%s", err.msg) : CMD_DONE;
}

static int measure_archive(const char *path, const char *backend, struct figures *f)
{
	struct hyc *archive = cmd_open(path);
	int status = archive ? CMD_DONE : CMD_FAILED;
	const char *name;

	if (!status && backend && !strcmp(backend, "all")) {
		for (unsigned i = 0; !status && (name = hyc_backend_available(i)); i++) {
			status = choose_backend(name);
			if (!status)
				status = measure_codecs(archive, 1, f);
		}
	} else if (!status) {
		status = measure_codecs(archive, 0, f);
	}
	hyc_close(archive);
	return status;
}

/* Makes weights, packs them, and measures the archive; nothing of it is left. */
static int measure_synthetic(const char *backend, struct figures *f)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX - 32], source[PATH_MAX], archive[PATH_MAX];
	struct pack_job job = { source, archive };
	int status;

	if (!tmp || !*tmp)
		tmp = "/tmp";
	snprintf(dir, sizeof dir, "%s/hyc-bench.XXXXXX", tmp);
	if (!mkdtemp(dir))
		return cmd_error("%s: cannot make a directory in it (TMPDIR names another one): %s", tmp, strerror(errno));
	snprintf(source, sizeof source, "%s/weights.safetensors", dir);
	snprintf(archive, sizeof archive, "%s/weights.hyc", dir);
	status = write_weights(source);
	if (!status) {
		f->pack = median(run_pack, &job);
		status = f->pack < 0 ? CMD_FAILED : measure_archive(archive, backend, f);
	}
	unlink(source);
	unlink(archive);
	rmdir(dir);
	return status;
}

static int print_json(const struct figures *f)
{
	json_t *decode = json_array();

	for (unsigned i = 0; i < f->n_decode; i++)
		json_array_append_new(decode, json_pack("{s:s,s:s,s:f,s:f,s:f,s:f}", "codec", f->decode[i].codec,
				      "backend", f->decode[i].backend,
				      "one_thread_gbps", f->decode[i].one, "all_threads_gbps", f->decode[i].all,
				      "one_thread_to_memcpy", f->decode[i].one / f->memcpy,
				      "all_threads_to_memcpy", f->decode[i].all / f->memcpy));
	return cmd_json_print(json_pack("{s:s,s:I,s:f,s:o,s:o}", "backend", hyc_backend_name(),
					"threads", (json_int_t)hyc_cpu_count(), "memcpy_gbps", f->memcpy,
					"pack_mbps", f->pack > 0 ? json_real(f->pack * 1000) : json_null(), "decode", decode),
			      CMD_DONE);
}

static void print_text(const struct figures *f)
{
	unsigned n = hyc_cpu_count();

	printf("backend %s, %u thread%s, medians of %d\n\n", hyc_backend_name(), n, n == 1 ? "" : "s", RUNS);
	printf("%-33s %8.2f GB/s\n", "memcpy, 1 thread", f->memcpy);
	for (unsigned i = 0; i < f->n_decode; i++) {
		printf("decode %-8s %-8s 1 thread  %8.2f GB/s  %6.3f of memcpy\n", f->decode[i].codec, f->decode[i].backend,
		       f->decode[i].one, f->decode[i].one / f->memcpy);
		printf("decode %-8s %-8s all       %8.2f GB/s  %6.3f of memcpy\n", f->decode[i].codec, f->decode[i].backend,
		       f->decode[i].all, f->decode[i].all / f->memcpy);
	}
	if (f->pack > 0)
		printf("%-33s %8.1f MB/s\n", "pack, all threads", f->pack * 1000);
}

static int run(const struct cmd_args *args)
{
	const char *backend = args->backend;
	struct figures f = { 0 };
	int status = backend && strcmp(backend, "all") ? choose_backend(backend) : CMD_DONE;

	if (!status)
		status = args->n_operands ? measure_archive(args->operands[0], backend, &f) : measure_synthetic(backend, &f);
	if (!status)
		status = measure_memcpy(&f);
	if (status)
		return status;
	if (args->json)
		return print_json(&f);
	print_text(&f);
	return CMD_DONE;
}

const struct cmd_verb cmd_bench = {
	.name = "bench",
	.operands = "[ARCHIVE]",
	.summary = "Measure decoding and packing on this machine",
	.more = "Without ARCHIVE it makes 32 MiB of random weights in $TMPDIR, packs them and decodes that.\n"
		"With ARCHIVE it decodes up to 1 GiB for each codec in it.",
	.options = options,
	.min_operands = 0,
	.max_operands = 1,
	.run = run,
};
