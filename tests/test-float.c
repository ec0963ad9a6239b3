/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The float codec: what is encoded comes back bit by bit for every dtype, length and kind of data, from buffers
 * that are exactly as long as they may be (so that a sanitizer or a guard page sees any overrun), and a
 * broken block is refused.
 */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "codec/encode.h"
#include "format/dtype.h"
#include "tests/samples.h"

enum kind { WEIGHTS, UNIFORM, ZEROS, ONE_ODD, SPARSE, HOSTED, TWO_HALVES, N_KINDS };

static void make(enum kind kind, unsigned elem_bytes, uint8_t *dst, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float w = 0.02f * (float)normal();
		uint32_t v;

		memcpy(&v, &w, sizeof v);
		if (elem_bytes == 2)
			v >>= 16;
		else if (elem_bytes == 1)
			v = v >> 20 & 0xff;
		if (kind == UNIFORM || (kind == TWO_HALVES && i < n / 2))
			v = random32();
		else if (kind == ZEROS || (kind == ONE_ODD && i != n / 2) || (kind == SPARSE && random32() % 2))
			v = 0;
		else if (kind == HOSTED && elem_bytes == 4)
			v &= 0xffff0000u;
		for (unsigned b = 0; b < elem_bytes; b++)
			dst[i * elem_bytes + b] = (uint8_t)(v >> (8 * b));
	}
}

/* Encode, decode, compare. Returns the stored length; 0 where the block would be stored as it is. */
static size_t round_trip(uint32_t dtype, const uint8_t *src, size_t len)
{
	struct hyc_coding coding = { .codec = HYC_CODEC_FLOAT, .dtype = dtype };
	struct guarded room = guarded_new(len), stored, out;
	ssize_t n = hyc_float_encode(dtype, src, len, room.data, len);

	assert_true(n >= 0 && (size_t)n < len);
	if (n > 0) {
		stored = guarded_new((size_t)n);
		out = guarded_new(len);
		memcpy(stored.data, room.data, (size_t)n);
		assert_int_equal(hyc_block_decode(&coding, stored.data, (size_t)n, out.data, len), 0);
		assert_memory_equal(out.data, src, len);
		guarded_free(stored);
		guarded_free(out);
	}
	guarded_free(room);
	return (size_t)n;
}

static const uint32_t dtypes[] = { HYC_BF16, HYC_F16, HYC_F32, HYC_C64, HYC_F8_E4M3, HYC_I8 };

static unsigned unit_bytes(uint32_t dtype)
{
	return dtype == HYC_C64 ? 4 : hyc_dtype_bytes(dtype);
}

static void every_length_comes_back(void **state)
{
	(void)state;
	for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
		unsigned bytes = unit_bytes(dtypes[d]);

		for (size_t n = 1; n <= 1100; n += n < 140 ? 1 : 37) {
			struct guarded src = guarded_new(n * bytes);

			make((enum kind)(n % N_KINDS), bytes, src.data, n);
			round_trip(dtypes[d], src.data, n * bytes);
			guarded_free(src);
		}
	}
}

static void every_kind_comes_back(void **state)
{
	static const size_t lengths[] = { 32767, 32768, 32769, 65536 + 77, 262144 };

	(void)state;
	for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
		for (int kind = 0; kind < N_KINDS; kind++) {
			size_t n = lengths[random32() % 5], len = n * unit_bytes(dtypes[d]);
			struct guarded src = guarded_new(len);
			size_t stored;

			make((enum kind)kind, unit_bytes(dtypes[d]), src.data, n);
			stored = round_trip(dtypes[d], src.data, len);
			if (kind == UNIFORM)
				assert_int_equal(stored, 0);
			if (kind == ZEROS)
				assert_in_range(stored, 1, 64);
			if (kind == HOSTED && unit_bytes(dtypes[d]) == 4)
				assert_in_range(stored, 1, len * 36 / 100);
			guarded_free(src);
		}
	}
}

static void weights_shrink(void **state)
{
	size_t n = 262144;
	uint8_t *src = malloc(n * 4);

	(void)state;
	make(WEIGHTS, 2, src, n);
	assert_in_range(round_trip(HYC_BF16, src, n * 2), 1, n * 2 * 68 / 100);
	make(WEIGHTS, 4, src, n);
	assert_in_range(round_trip(HYC_F32, src, n * 4), 1, n * 4 * 84 / 100);
	free(src);
}

/* A block of weights, encoded; owned. */
static uint8_t *encoded(size_t n, size_t *stored)
{
	uint8_t *src = malloc(n * 2), *dst = malloc(n * 2);
	ssize_t got;

	make(SPARSE, 2, src, n);
	got = hyc_float_encode(HYC_BF16, src, n * 2, dst, n * 2);
	assert_true(got > 0);
	*stored = (size_t)got;
	free(src);
	return dst;
}

static int decode_exact(const uint8_t *src, size_t src_len, size_t dst_len)
{
	struct hyc_coding coding = { .codec = HYC_CODEC_FLOAT, .dtype = HYC_BF16 };
	struct guarded in = guarded_new(src_len), out = guarded_new(dst_len);
	int result;

	memcpy(in.data, src, src_len);
	result = hyc_block_decode(&coding, in.data, src_len, out.data, dst_len);
	guarded_free(in);
	guarded_free(out);
	return result;
}

static void wrong_lengths_are_refused(void **state)
{
	size_t n = 40000, stored;
	uint8_t *block = encoded(n, &stored), *longer = calloc(1, stored + 64);

	(void)state;
	for (size_t len = 0; len < stored; len = len < 2000 ? len + 1 : len + 997)
		if (len)
			assert_int_equal(decode_exact(block, len, 2 * n), -EBADMSG);
	memcpy(longer, block, stored);
	assert_int_equal(decode_exact(longer, stored + 1, 2 * n), -EBADMSG);
	assert_int_equal(decode_exact(longer, stored + 16, 2 * n), -EBADMSG);
	assert_int_equal(decode_exact(block, stored, 2 * n - 2), -EBADMSG);
	assert_int_equal(decode_exact(block, stored, 2 * n - 1), -EBADMSG);
	assert_int_equal(decode_exact(block, stored, 2 * n + 2), -EBADMSG);
	free(block);
	free(longer);
}

/* Whatever the bytes say, decoding ends and stays in its buffers; most changes to a stream are noticed. */
static void broken_blocks_do_no_harm(void **state)
{
	size_t n = 5000, stored;
	uint8_t *block = encoded(n, &stored), *broken = malloc(stored);
	unsigned refused = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		memcpy(broken, block, stored);
		for (unsigned k = 0; k <= i % 4; k++)
			broken[random32() % (i % 2 ? stored : 300)] = (uint8_t)random32();
		refused += decode_exact(broken, stored, 2 * n) == -EBADMSG;
	}
	assert_true(refused > 1000);
	for (unsigned i = 0; i < 500; i++) {
		for (size_t b = 0; b < stored; b++)
			broken[b] = (uint8_t)random32();
		broken[0] = (uint8_t)(10 + random32() % 7);
		broken[1] = HYC_CODEC_FLOAT;
		decode_exact(broken, stored, 2 * n);
	}
	free(block);
	free(broken);
}

static void other_dtypes_are_not_taken(void **state)
{
	uint8_t b[64] = { 0 }, out[64];

	(void)state;
	assert_false(hyc_float_takes(HYC_I64));
	assert_false(hyc_float_takes(HYC_F64));
	assert_false(hyc_float_takes(HYC_BYTES));
	assert_int_equal(hyc_float_encode(HYC_I32, b, sizeof b, out, sizeof out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_comes_back),
		cmocka_unit_test(every_kind_comes_back),
		cmocka_unit_test(weights_shrink),
		cmocka_unit_test(wrong_lengths_are_refused),
		cmocka_unit_test(broken_blocks_do_no_harm),
		cmocka_unit_test(other_dtypes_are_not_taken),
	};

	samples_seed_from_env();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
