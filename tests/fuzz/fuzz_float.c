/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The float codec. Byte 0 of an input chooses a dtype and what the rest is: a block to be decoded into as many elements
 * as bytes 1 to 3 say (bit 7 clear), or elements, which have to come back after encoding and decoding (bit 7 set).
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "codec/codec.h"
#include "codec/encode.h"
#include "format/dtype.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_decode.h"

#define MAX_DECODED (1u << 18)

static void round_trip(const struct hyc_coding *coding, const uint8_t *src, size_t len)
{
	cleanup_free uint8_t *stored = malloc(len), *back = malloc(len);
	ssize_t n;

	if (!stored || !back)
		return;
	n = hyc_float_encode(coding->dtype, src, len, stored, len);
	if (n > 0 && ((size_t)n >= len || decode_by_all(coding, stored, (size_t)n, back, len) || memcmp(back, src, len)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hyc_coding coding = { .codec = HYC_CODEC_FLOAT, .rows = 1 };
	cleanup_free uint8_t *dst = NULL;
	size_t elem_bytes, n, len;

	if (size < 5)
		return 0;
	coding.dtype = (data[0] & 0x7fu) % HYC_N_DTYPES;
	if (!hyc_float_takes(coding.dtype))
		return 0;
	elem_bytes = hyc_dtype_bytes(coding.dtype);
	if (data[0] & 0x80) {
		coding.cols = (size - 4) / elem_bytes;
		if (coding.cols)
			round_trip(&coding, data + 4, (size - 4) / elem_bytes * elem_bytes);
		return 0;
	}
	n = (size_t)data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16;
	coding.cols = 1 + n % (MAX_DECODED / elem_bytes);
	len = coding.cols * elem_bytes;
	dst = malloc(len);
	/* A block is never longer than what it decodes to. */
	if (dst && size - 4 < len)
		(void)decode_by_all(&coding, data + 4, size - 4, dst, len);
	return 0;
}
