/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zstd codec: bytes 0 to 2 are the decoded length; the rest behind byte 3 is a block to be decoded, or, with bit 7
 * of byte 3 set, data for a round trip.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "codec/codec.h"
#include "codec/encode.h"
#include "tests/fuzz/fuzz.h"

#define MAX_DECODED (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hyc_coding coding = { .codec = HYC_CODEC_ZSTD, .rows = 1 };
	cleanup_free uint8_t *stored = NULL, *decoded = NULL;
	size_t len, stored_len;
	ssize_t n;

	if (size < 5)
		return 0;
	len = 1 + ((size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % MAX_DECODED;
	stored_len = size - 4;
	if (data[3] & 0x80)
		len = stored_len;
	coding.cols = len;
	stored = malloc(stored_len);
	decoded = malloc(len);
	if (!stored || !decoded)
		return 0;
	if (data[3] & 0x80) {
		n = hyc_zstd_encode(1 + (data[3] & 7), data + 4, len, stored, stored_len);
		if (n > 0 && hyc_block_decode(&coding, stored, (size_t)n, decoded, len))
			abort();
		if (n > 0 && memcmp(decoded, data + 4, len))
			abort();
	} else if (stored_len < len) {
		memcpy(stored, data + 4, stored_len);
		n = hyc_block_decode(&coding, stored, stored_len, decoded, len);
		if (n > 0)
			abort();
	}
	return 0;
}
