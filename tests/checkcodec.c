/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kernel against plain C: the same blocks, the same bytes, the same errors. Buffers stand at unreadable pages at either
 * end, and what is around the output must stay as it was. With --bench it measures instead.
 *
 *	checkcodec [--seed=N] [--backend=NAME] [--bench [ARCHIVE]]
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "format/dtype.h"
#include "tests/checkcodec.h"

#define CANARY 0x5a
#define CANARY_BYTES 128u

/* Memory between unreadable pages. */
struct arena {
	uint8_t *start;
	size_t room;
};

static struct arena source, expected, output;
static const struct hyc_backend *only;
static uint64_t first_seed;
static unsigned n_checked, n_refused;

static struct arena arena_new(size_t room)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *map = mmap(NULL, room + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED || mprotect(map, page, PROT_NONE) || mprotect(map + page + room, page, PROT_NONE))
		check_fail("no guard pages: %s", strerror(errno));
	return (struct arena){ map + page, room };
}

/* len bytes at either end of an arena, `gap` bytes away from it. */
static uint8_t *place(const struct arena *a, size_t len, bool at_end, size_t gap)
{
	if (len + gap + CANARY_BYTES > a->room)
		check_fail("a block of %zu bytes is too long for this test", len);
	return at_end ? a->start + a->room - len - gap : a->start + gap;
}

static void set_canaries(const struct arena *a, uint8_t *data, size_t len)
{
	uint8_t *end = a->start + a->room;
	size_t before = (size_t)(data - a->start), behind = (size_t)(end - data) - len;

	before = before < CANARY_BYTES ? before : CANARY_BYTES;
	behind = behind < CANARY_BYTES ? behind : CANARY_BYTES;
	memset(data - before, CANARY, before);
	memset(data + len, CANARY, behind);
	/* What a decoder leaves out must not be right by chance. */
	memset(data, (int)check_random() & 0xff, len);
}

static bool canaries_alive(const struct arena *a, const uint8_t *data, size_t len)
{
	const uint8_t *end = a->start + a->room;

	for (const uint8_t *p = data; p > a->start && data - p < (ptrdiff_t)CANARY_BYTES; p--)
		if (p[-1] != CANARY)
			return false;
	for (const uint8_t *p = data + len; p < end && p - data - len < CANARY_BYTES; p++)
		if (*p != CANARY)
			return false;
	return true;
}

/* What is being checked, for a message that a signal handler can write. */
static char doing[256];

static void describe(const struct hyc_backend *backend, const struct check_block *b)
{
	snprintf(doing, sizeof doing, "%s %s %s, %" PRIu64 " x %" PRIu64 ", %zu stored bytes, --seed=%" PRIu64, backend->name,
		 hyc_codec_get(b->coding.codec)->name, hyc_dtype_name(b->coding.dtype), b->coding.rows, b->coding.cols, b->stored_len,
		 first_seed);
}

static void on_fault(int signal_number)
{
	static const char what[] = "checkcodec: a byte outside of the buffers was touched: ";

	if (write(STDERR_FILENO, what, sizeof what - 1) < 0 || write(STDERR_FILENO, doing, strlen(doing)) < 0 ||
	    write(STDERR_FILENO, "\n", 1) < 0)
		_exit(1);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* One run of one kernel against what plain C has left in `want`. */
static void check_kernel_once(const struct hyc_backend *backend, const struct check_block *b, const uint8_t *want, int want_result,
			      bool src_at_end, size_t src_gap, bool dst_at_end, size_t dst_gap)
{
	uint8_t *src = place(&source, b->stored_len, src_at_end, src_gap);
	uint8_t *dst = place(&output, b->len, dst_at_end, dst_gap);
	bool differs;
	int result;

	memcpy(src, b->stored, b->stored_len);
	set_canaries(&output, dst, b->len);
	describe(backend, b);
	result = check_kernel(backend, b->coding.codec)(&b->coding, src, b->stored_len, dst, b->len);
	n_checked++;
	differs = !result && memcmp(dst, want, b->len);
	if (result != want_result)
		check_fail("%s: returns %d, plain C %d", doing, result, want_result);
	for (size_t i = 0; differs && i < b->len; i++)
		if (dst[i] != want[i])
			check_fail("%s: byte %zu of %zu is 0x%02x, with plain C 0x%02x", doing, i, b->len, dst[i], want[i]);
	if (!canaries_alive(&output, dst, b->len))
		check_fail("%s: bytes around the output were written", doing);
}

static void check_kernels(const struct check_block *b)
{
	uint8_t *src = place(&source, b->stored_len, true, 0), *want = place(&expected, b->len, true, 0);
	int result;

	memcpy(src, b->stored, b->stored_len);
	result = hyc_codec_get(b->coding.codec)->decode(&b->coding, src, b->stored_len, want, b->len);
	n_refused += result != 0;
	for (unsigned i = 1; hyc_backend_at(i); i++) {
		const struct hyc_backend *backend = hyc_backend_at(i);

		/* A kernel that another backend lends is checked there. */
		if (!backend->available() || (only && backend != only) || (!only && hyc_backend_decoder(backend, b->coding.codec) != backend))
			continue;
		check_kernel_once(backend, b, want, result, true, 0, true, 0);
		check_kernel_once(backend, b, want, result, check_below(2), check_below(65), check_below(2), check_below(65));
		if (result)
			continue;
		check_kernel_once(backend, b, want, result, false, 0, false, 0);
		check_kernel_once(backend, b, want, result, true, 0, false, check_below(65));
	}
}

/* Damage: some bytes or bits, or the length; and lies about the decoded length. */
static void check_damaged(const struct check_block *good, unsigned times)
{
	struct check_block b = *good;

	b.stored = malloc(good->stored_len + 64);
	if (!b.stored)
		check_fail("out of memory");
	for (unsigned i = 0; i < times; i++) {
		size_t head = good->stored_len < 400 ? good->stored_len : 400;

		memcpy(b.stored, good->stored, good->stored_len);
		memset(b.stored + good->stored_len, (int)check_random() & 0xff, 64);
		b.stored_len = good->stored_len;
		b.len = good->len;
		for (uint32_t k = 1 + check_below(3); k; k--) {
			/* Headers and tables are where the traps are. */
			size_t at = check_below((uint32_t)(check_below(2) ? head : good->stored_len));

			b.stored[at] = (uint8_t)(check_below(2) ? check_random() : b.stored[at] ^ 1u << check_below(8));
		}
		/* Lanes that are 0 and find words of 0 take one in each step: nothing reads further. */
		if (!check_below(3)) {
			size_t at = check_below((uint32_t)(check_below(2) ? head : good->stored_len));

			memset(b.stored + at, 0, good->stored_len - at);
		}
		if (!check_below(6))
			b.stored_len -= check_below((uint32_t)head);
		else if (!check_below(6))
			b.stored_len += check_below(64);
		check_kernels(&b);
	}
	free(b.stored);
}

static void check_shape(uint32_t codec, uint32_t dtype, uint32_t rows, uint32_t cols, enum check_kind kind, unsigned detail,
			unsigned damaged)
{
	struct check_block b;

	if (!check_block_make(&b, codec, dtype, rows, cols, kind, detail))
		return;
	check_kernels(&b);
	check_damaged(&b, damaged);
	check_block_fini(&b);
}

static void check_float(void)
{
	static const uint32_t dtypes[] = { HYC_BF16, HYC_F16, HYC_F32, HYC_C64, HYC_F8_E4M3, HYC_F8_E5M2, HYC_I8 };
	static const uint32_t borders[] = { 1024, 4096, 32768, 65536, 3 * 32768, 4 * 32768, 5 * 32768, 8 * 32768 };
	const unsigned n_dtypes = sizeof dtypes / sizeof *dtypes;

	for (unsigned d = 0; d < n_dtypes; d++) {
		unsigned bytes = dtypes[d] == HYC_C64 ? 4 : hyc_dtype_bytes(dtypes[d]);

		for (uint32_t n = 1; n <= 260; n++)
			check_shape(HYC_CODEC_FLOAT, dtypes[d], 1, n, (enum check_kind)(n % CHECK_N_KINDS), 0, n % 8 ? 1 : 4);
		for (unsigned kind = 0; kind < CHECK_N_KINDS; kind++) {
			uint32_t border = borders[check_below(8 - 2 * (bytes == 4))];

			check_shape(HYC_CODEC_FLOAT, dtypes[d], 1, border + check_below(3) - 1, (enum check_kind)kind, 0, 2);
			check_shape(HYC_CODEC_FLOAT, dtypes[d], 1, 1024 + check_below(40000), (enum check_kind)kind, 0, 12);
		}
	}
}

/* Columns and rows about the borders of groups, stripes and bands, and pairs about those of groups and units. */
static void check_lossy(void)
{
	static const uint32_t dtypes[] = { HYC_BF16, HYC_F16, HYC_F32 };

	for (unsigned d = 0; d < 3; d++) {
		for (uint32_t cols = 1; cols <= 67; cols += cols < 4 ? 1 : 3)
			check_shape(HYC_CODEC_TCQ, dtypes[d], 1 + check_below(40), cols, CHECK_WEIGHTS, cols, 2);
		for (unsigned i = 0; i < 12; i++) {
			static const uint32_t borders[] = { 64, 128, 192, 256, 320, 512, 768, 1024 };

			check_shape(HYC_CODEC_TCQ, dtypes[d], 1 + check_below(70), borders[check_below(8)] + check_below(3) - 1,
				    CHECK_WEIGHTS, i, 6);
		}
		for (uint32_t n = 10; n <= 300; n += 1 + check_below(9))
			check_shape(HYC_CODEC_HYPER, dtypes[d], 1, n, CHECK_WEIGHTS, n, 1);
		for (unsigned i = 0; i < 5; i++) {
			static const uint32_t borders[] = { 2048, 16384, 32768, 65536, 98304 };

			check_shape(HYC_CODEC_HYPER, dtypes[d], 1, borders[i] + check_below(5) - 2, CHECK_WEIGHTS, check_random() % 12, 6);
		}
		/* Rows of several spreads, and enough of them for long tables and several units at once. */
		for (unsigned i = 0; i < 5; i++) {
			static const unsigned fine[] = { 5, 11, 23, 29, 41 };

			check_shape(HYC_CODEC_HYPER, dtypes[d], 96, 2816 + check_below(5) - 2, CHECK_WEIGHTS, check_random() % 12, 4);
			check_shape(HYC_CODEC_TCQ, dtypes[d], 64, 1024 + 64 * check_below(20), CHECK_WEIGHTS, fine[i], 6);
		}
	}
}

static const struct hyc_backend *find_backend(const char *name)
{
	for (unsigned i = 0; hyc_backend_at(i); i++)
		if (!strcmp(hyc_backend_at(i)->name, name) && hyc_backend_at(i)->available())
			return hyc_backend_at(i);
	check_fail("no backend %s here", name);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' }, { "backend", required_argument, NULL, 'b' }, { "bench", no_argument, NULL, 'B' },
		{ NULL, 0, NULL, 0 },
	};
	bool bench = false;
	int option;

	first_seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			first_seed = strtoull(optarg, NULL, 0);
		else if (option == 'b')
			only = find_backend(optarg);
		else if (option == 'B')
			bench = true;
		else
			return 2;
	}
	check_seed = first_seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	if (bench) {
		check_bench(argv[optind], only);
		return 0;
	}
	if (!hyc_backend_available(1)) {
		printf("SKIP: this processor, or this build, has plain C only\n");
		return 77;
	}
	source = arena_new((size_t)2 << 20);
	expected = arena_new((size_t)2 << 20);
	output = arena_new((size_t)2 << 20);
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	printf("--seed=%" PRIu64 "\n", first_seed);
	check_float();
	check_lossy();
	printf("%u runs of kernels, %u damaged blocks were refused\n", n_checked, n_refused);
	return n_checked && n_refused ? 0 : 1;
}
