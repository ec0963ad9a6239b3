/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tcq codec. An input is: a byte for dtype and kind, the rows of the object less one, its columns less one in two
 * bytes, its parameters, as long as they should be by their flags, and then a block that is to be decoded to the
 * whole object (bit 7 of byte 0 clear), or elements, which have to decode to what the encoder says (bit 7 set).
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "codec/decoders.h"
#include "codec/tcq.h"
#include "codec/tcq_encode.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_decode.h"

#define HEAD_BYTES 4u
#define MAX_DECODED (1u << 18)

static void round_trip(const struct hyc_coding *coding, const uint8_t *src, size_t len)
{
	size_t room = 4 * len + 65536;
	cleanup_free uint8_t *exact = exact_copy(src, len), *stored = malloc(room);
	cleanup_free uint8_t *decoded = malloc(len), *back = malloc(len);
	struct hyc_tcq_result result;
	ssize_t n;

	if (!exact || !stored || !decoded || !back)
		return;
	n = hyc_tcq_encode(coding, HYC_TCQ_LAMBDA, exact, len, stored, room, decoded, &result);
	if (n < 0 && n != -EDOM && n != -ENOMEM)
		abort();
	if (n == 0 && memcmp(decoded, src, len))
		abort();
	/* Longer blocks than what they decode to are for pack to refuse. */
	if (n > 0 && (size_t)n < len && (decode_by_all(coding, stored, (size_t)n, back, len) || memcmp(back, decoded, len)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t dtypes[] = { HYC_BF16, HYC_F16, HYC_F32 };
	struct hyc_coding coding = { .codec = HYC_CODEC_TCQ };
	cleanup_free uint8_t *params = NULL, *dst = NULL;
	size_t row_bytes, len;

	if (size < HEAD_BYTES + HYC_TCQ_PARAMS_BYTES)
		return 0;
	coding.dtype = dtypes[(data[0] & 0x7f) % 3];
	coding.rows = 1 + data[1];
	coding.cols = 1u + hyc_load16(data + 2);
	row_bytes = coding.cols * hyc_dtype_bytes(coding.dtype);
	coding.params_len = HYC_TCQ_PARAMS_BYTES;
	coding.params_len += data[HEAD_BYTES + 4] & HYC_TCQ_ROW ? (uint32_t)coding.rows : 0;
	coding.params_len += data[HEAD_BYTES + 4] & HYC_TCQ_COL ? (uint32_t)coding.cols : 0;
	if (size - HEAD_BYTES < coding.params_len)
		return 0;
	coding.params = params = exact_copy(data + HEAD_BYTES, coding.params_len);
	if (!params || hyc_tcq_check(&coding))
		return 0;
	len = coding.rows * row_bytes;
	if (data[0] & 0x80) {
		size_t rows = (size - HEAD_BYTES - coding.params_len) / row_bytes;

		len = (rows < coding.rows ? rows : coding.rows) * row_bytes;
		if (len)
			round_trip(&coding, data + HEAD_BYTES + coding.params_len, len);
	} else if (len <= MAX_DECODED) {
		const size_t head = HEAD_BYTES + coding.params_len;

		dst = malloc(len);
		if (dst && size - head < len)
			(void)decode_by_all(&coding, data + head, size - head, dst, len);
	}
	return 0;
}
