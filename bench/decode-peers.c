/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one core makes of the peers of the decoders, as one JSON object: memcpy, and zstd on weights whose bytes were shuffled, that is, the low
 * bytes of a block first and then the high ones, which is how general compressors come nearest to bf16. Output goes to one buffer that is used
 * again for each block, as a mount does it.
 *
 *     decode-peers [-b BLOCK_BYTES] [-n RUNS] [-z LEVEL] FILE
 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"

struct block {
	size_t bytes, coded_bytes;
	uint8_t *coded;
};

struct set {
	uint8_t *data;
	size_t bytes, block_bytes, n_blocks, coded_bytes;
	struct block *blocks;
	uint8_t *planes, *out;
	ZSTD_DCtx *context;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void shuffle(const uint8_t *restrict from, uint8_t *restrict to, size_t bytes)
{
	for (size_t i = 0; i < bytes / 2; i++) {
		to[i] = from[2 * i];
		to[bytes / 2 + i] = from[2 * i + 1];
	}
}

typedef uint8_t vector __attribute__((vector_size(16)));

/* A peer is to be as fast as it can be, and this is what its libraries do, too: sixteen weights in two interleavings. */
static void unshuffle(const uint8_t *restrict from, uint8_t *restrict to, size_t bytes)
{
	const uint8_t *low = from, *high = from + bytes / 2;
	size_t i = 0;

	for (; i + 16 <= bytes / 2; i += 16) {
		vector l, h, mixed[2];

		memcpy(&l, low + i, sizeof l);
		memcpy(&h, high + i, sizeof h);
		mixed[0] = __builtin_shufflevector(l, h, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
		mixed[1] = __builtin_shufflevector(l, h, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
		memcpy(to + 2 * i, mixed, sizeof mixed);
	}
	for (; i < bytes / 2; i++) {
		to[2 * i] = low[i];
		to[2 * i + 1] = high[i];
	}
}

static int load(struct set *s, const char *path)
{
	cleanup_file FILE *in = fopen(path, "rbe");
	long size;

	if (!in || fseek(in, 0, SEEK_END) || (size = ftell(in)) < 2 || fseek(in, 0, SEEK_SET))
		return -1;
	s->bytes = (size_t)size & ~(size_t)1;
	s->data = malloc(s->bytes);
	s->planes = malloc(s->block_bytes);
	s->out = malloc(s->block_bytes);
	s->n_blocks = (s->bytes + s->block_bytes - 1) / s->block_bytes;
	s->blocks = calloc(s->n_blocks, sizeof *s->blocks);
	s->context = ZSTD_createDCtx();
	if (!s->data || !s->planes || !s->out || !s->blocks || !s->context)
		return -1;
	return fread(s->data, 1, s->bytes, in) == s->bytes ? 0 : -1;
}

static int encode(struct set *s, int level)
{
	cleanup_free uint8_t *room = malloc(ZSTD_compressBound(s->block_bytes));

	for (size_t i = 0; room && i < s->n_blocks; i++) {
		struct block *b = &s->blocks[i];
		size_t left = s->bytes - i * s->block_bytes;

		b->bytes = left < s->block_bytes ? left : s->block_bytes;
		shuffle(s->data + i * s->block_bytes, s->planes, b->bytes);
		b->coded_bytes = ZSTD_compress(room, ZSTD_compressBound(s->block_bytes), s->planes, b->bytes, level);
		if (ZSTD_isError(b->coded_bytes))
			return -1;
		b->coded = malloc(b->coded_bytes);
		if (!b->coded)
			return -1;
		memcpy(b->coded, room, b->coded_bytes);
		s->coded_bytes += b->coded_bytes;
	}
	return room ? 0 : -1;
}

static int decode_block(struct set *s, size_t i, int unshuffled)
{
	struct block *b = &s->blocks[i];

	if (ZSTD_decompressDCtx(s->context, s->planes, s->block_bytes, b->coded, b->coded_bytes) != b->bytes)
		return -1;
	if (unshuffled)
		unshuffle(s->planes, s->out, b->bytes);
	return 0;
}

static int verify(struct set *s)
{
	for (size_t i = 0; i < s->n_blocks; i++)
		if (decode_block(s, i, 1) || memcmp(s->out, s->data + i * s->block_bytes, s->blocks[i].bytes))
			return -1;
	return 0;
}

static void fini(struct set *s)
{
	for (size_t i = 0; s->blocks && i < s->n_blocks; i++)
		free(s->blocks[i].coded);
	free(s->blocks);
	free(s->data);
	free(s->planes);
	free(s->out);
	ZSTD_freeDCtx(s->context);
}

enum what { COPY, ZSTD, ZSTD_SHUFFLED };

static double measure(struct set *s, enum what what)
{
	double began = now();

	for (size_t i = 0; i < s->n_blocks; i++) {
		if (what == COPY)
			memcpy(s->out, s->data + i * s->block_bytes, s->blocks[i].bytes);
		else if (decode_block(s, i, what == ZSTD_SHUFFLED))
			return 0;
		__asm__ volatile("" : : "r"(s->out), "r"(s->planes) : "memory"); /* or the compiler sees that nobody reads it */
	}
	return (double)s->bytes / (now() - began) / 1e9;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { [COPY] = "memcpy", [ZSTD] = "zstd", [ZSTD_SHUFFLED] = "zstd_shuffled" };
	struct set s = { .block_bytes = 1 << 20 };
	int option, runs = 3, level = 3;

	while ((option = getopt(argc, argv, "b:n:z:")) != -1) {
		if (option == 'b')
			s.block_bytes = strtoull(optarg, NULL, 10) & ~1ull;
		else if (option == 'n')
			runs = atoi(optarg);
		else if (option == 'z')
			level = atoi(optarg);
		else
			return 2;
	}
	if (optind + 1 != argc || !s.block_bytes || s.block_bytes > 1u << 30 || runs < 1) {
		fprintf(stderr, "usage: decode-peers [-b BLOCK_BYTES] [-n RUNS] [-z LEVEL] FILE\n");
		return 2;
	}
	if (load(&s, argv[optind]) || encode(&s, level)) {
		fprintf(stderr, "decode-peers: %s: %s\n", argv[optind], errno ? strerror(errno) : "cannot be read or coded");
		return 1;
	}
	if (verify(&s)) {
		fprintf(stderr, "decode-peers: zstd gives back other bytes\n");
		return 1;
	}
	printf("{\"bytes\": %zu, \"zstd_bytes\": %zu", s.bytes, s.coded_bytes);
	for (enum what what = COPY; what <= ZSTD_SHUFFLED; what++) {
		printf(", \"%s_gbps\": [", names[what]);
		for (int run = 0; run < runs; run++)
			printf("%s%.6f", run ? ", " : "", measure(&s, what));
		printf("]");
	}
	printf("}\n");
	fini(&s);
	return 0;
}
