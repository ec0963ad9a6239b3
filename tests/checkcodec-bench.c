/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkcodec --bench: decodes the same blocks with each backend in turn, on one core and into one buffer that stays in the cache, as a
 * mount does. The best of some rounds counts, as others use the machine too.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archive/archive.h"
#include "format/dtype.h"
#include "tests/checkcodec.h"

#define MAX_BLOCKS 96u /* of a codec and dtype */
#define MAX_BACKENDS 8u
#define ROUNDS 9
#define MAX_BLOCK_BYTES ((size_t)1 << 24)

struct set {
	uint32_t codec, dtype;
	struct check_block block[MAX_BLOCKS];
	unsigned n;
	size_t bytes, stored;
};

static uint8_t *output, *copied;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double run(const struct set *s, hyc_decode_fn *decode)
{
	double start = now();

	for (unsigned i = 0; i < s->n; i++) {
		const struct check_block *b = &s->block[i];

		if (!decode)
			memcpy(output, copied, b->len);
		else if (decode(&b->coding, b->stored, b->stored_len, output, b->len))
			check_fail("a block does not decode");
		__asm__ volatile("" : : "r"(output) : "memory");
	}
	return now() - start;
}

static void measure(const struct set *s, const struct hyc_backend *only)
{
	double best[MAX_BACKENDS], copy = 1e9, t;

	for (unsigned i = 0; i < MAX_BACKENDS; i++)
		best[i] = 1e9;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; hyc_backend_at(i) && i < MAX_BACKENDS; i++) {
			const struct hyc_backend *b = hyc_backend_at(i);

			if (!b->available() || (i && only && b != only) || (i && hyc_backend_decoder(b, s->codec) != b))
				continue;
			t = run(s, check_kernel(b, s->codec));
			best[i] = t < best[i] ? t : best[i];
		}
		t = run(s, NULL);
		copy = t < copy ? t : copy;
	}
	for (unsigned i = 0; hyc_backend_at(i) && i < MAX_BACKENDS; i++)
		if (best[i] < 1e9)
			printf("%-6s %-8s %-8s %8.3f GB/s  %6.2f x scalar  %6.3f of memcpy  (%u blocks, %.3f of their size)\n",
			       hyc_codec_get(s->codec)->name, hyc_dtype_name(s->dtype), hyc_backend_at(i)->name,
			       (double)s->bytes / best[i] / 1e9, best[0] / best[i], copy / best[i], s->n,
			       (double)s->stored / (double)s->bytes);
	fflush(stdout);
}

static void set_add(struct set *s, const struct check_block *b)
{
	s->block[s->n++] = *b;
	s->bytes += b->len;
	s->stored += b->stored_len;
}

static void set_clear(struct set *s)
{
	for (unsigned i = 0; i < s->n; i++)
		check_block_fini(&s->block[i]);
	s->n = 0;
	s->bytes = s->stored = 0;
}

/* The first blocks of an archive with this codec and dtype, but those stored as they are. */
static void load_blocks(const struct hyc_index *x, struct set *s)
{
	for (uint32_t o = 0; o < x->n_objects; o++) {
		struct hyc_coding coding = hyc_object_coding(x, o);
		uint32_t first = hyc_get32(x->objects[o].first_block);

		if (coding.codec != s->codec || coding.dtype != s->dtype)
			continue;
		for (uint32_t k = 0; k < hyc_get32(x->objects[o].n_blocks) && s->n < MAX_BLOCKS; k++) {
			const struct hyc_disk_block *d = &x->blocks[first + k];
			struct check_block b = { .coding = coding, .stored_len = hyc_get32(d->stored) };

			b.len = hyc_object_block_bytes(&x->objects[o], k);
			if (b.len == b.stored_len || b.len > MAX_BLOCK_BYTES)
				continue;
			b.coding.pos = (uint64_t)k * hyc_get32(x->objects[o].block_bytes);
			b.state = check_state_new(&coding);
			b.coding.state = b.state;
			b.stored = malloc(b.stored_len);
			if (!b.stored || pread(x->fd, b.stored, b.stored_len, (off_t)hyc_get64(d->off)) != (ssize_t)b.stored_len)
				check_fail("a block cannot be read");
			set_add(s, &b);
		}
	}
}

static void make_blocks(struct set *s)
{
	unsigned elem = hyc_dtype_bytes(s->dtype);

	for (unsigned i = 0; i < 16; i++) {
		struct check_block b;

		if (check_block_make(&b, s->codec, s->dtype, 256, 2048 / elem, CHECK_WEIGHTS, 1))
			set_add(s, &b);
	}
}

void check_bench(const char *archive, const struct hyc_backend *only)
{
	static const uint32_t codecs[] = { HYC_CODEC_FLOAT, HYC_CODEC_HYPER, HYC_CODEC_TCQ };
	static const uint32_t dtypes[] = { HYC_BF16, HYC_F16, HYC_F32, HYC_F8_E4M3, HYC_I8 };
	static struct set s;
	struct hyc *a = NULL;
	struct hyc_error err;

	output = malloc(MAX_BLOCK_BYTES);
	copied = malloc(MAX_BLOCK_BYTES);
	if (!output || !copied)
		check_fail("out of memory");
	memset(output, 1, MAX_BLOCK_BYTES);
	memset(copied, 2, MAX_BLOCK_BYTES);
	if (archive && hyc_open(archive, NULL, &a, &err))
		check_fail("%s", err.msg);
	for (unsigned c = 0; c < 3; c++) {
		for (unsigned d = 0; d < 5; d++) {
			s.codec = codecs[c];
			s.dtype = dtypes[d];
			if (a)
				load_blocks(&a->index, &s);
			else if (s.codec == HYC_CODEC_FLOAT || d < 3)
				make_blocks(&s);
			if (s.n)
				measure(&s, only);
			set_clear(&s);
		}
	}
	hyc_close(a);
	free(output);
	free(copied);
}
