/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hyper codec. Byte 0 of an input chooses a dtype. With bit 7 clear, bytes 1 to 3 say how many elements there are,
 * 40 bytes are the object's parameters, and the rest is a block to be decoded. With bit 7 set, bytes 1 to 3 choose the
 * encoder's options, and the rest are elements, whose blocks have to decode to what the encoder says.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "codec/hyper_encode.h"
#include "format/dtype.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_decode.h"

#define MAX_DECODED (1u << 18)

static const uint32_t dtypes[] = { HYC_BF16, HYC_F16, HYC_F32 };

static int plan_all(struct hyc_hyper_plan *plan, const uint8_t *src, size_t len, size_t part)
{
	struct hyc_hyper_scan *scan = NULL;
	int failed = 0;

	while (!failed && hyc_hyper_plan_round(plan) < HYC_HYPER_ROUNDS) {
		for (size_t pos = 0; !failed && pos < len; pos += part) {
			failed = hyc_hyper_scan(plan, pos, src + pos, len - pos < part ? len - pos : part, &scan);
			if (!failed)
				hyc_hyper_plan_take(plan, scan);
		}
		failed = failed || hyc_hyper_plan_end_round(plan);
	}
	hyc_hyper_scan_free(scan);
	return failed || hyc_hyper_plan_verdict(plan) != HYC_HYPER_CODED;
}

static void encode_all(const struct hyc_hyper_plan *plan, struct hyc_coding coding, const uint8_t *src, size_t len,
		       size_t part)
{
	cleanup_free uint8_t *stored = malloc(part), *said = malloc(part), *back = malloc(part);
	struct hyc_hyper_result result;

	if (!stored || !said || !back)
		return;
	for (coding.pos = 0; coding.pos < len; coding.pos += part) {
		size_t n = len - coding.pos < part ? len - coding.pos : part;
		ssize_t got = hyc_hyper_encode(plan, coding.pos, src + coding.pos, n, stored, n, said, &result);

		if (got > 0 && ((size_t)got >= n || decode_by_all(&coding, stored, (size_t)got, back, n) ||
				memcmp(back, said, n)))
			abort();
	}
}

static void round_trip(uint32_t dtype, const uint8_t *option, const uint8_t *src, size_t n)
{
	const struct hyc_hyper_options options = {
		.side = option[0] / 64.0 + 0.01, .nodes = 4 + option[1] % 32, .classes = 1 + option[2] % 10,
		.threshold = option[2] / 65536.0, .limit = 1e6,
	};
	size_t elem_bytes = hyc_dtype_bytes(dtype), part = (1 + (option[0] ^ option[1]) * (size_t)16) * 2;
	struct hyc_coding coding = { .codec = HYC_CODEC_HYPER, .dtype = dtype, .rows = 1, .cols = n };
	struct hyc_hyper_plan *plan = NULL;
	struct hyc_hyper *hyper;

	if (hyc_hyper_new(&options, &hyper))
		abort();
	if (!hyc_hyper_plan_new(hyper, dtype, n, part, &plan) &&
	    !plan_all(plan, src, n * elem_bytes, part * elem_bytes)) {
		coding.params = hyc_hyper_plan_params(plan);
		coding.params_len = HYC_HYPER_PARAMS_BYTES;
		encode_all(plan, coding, src, n * elem_bytes, part * elem_bytes);
	}
	hyc_hyper_plan_free(plan);
	hyc_hyper_free(hyper);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hyc_coding coding = { .codec = HYC_CODEC_HYPER, .rows = 1, .params_len = HYC_HYPER_PARAMS_BYTES };
	cleanup_free uint8_t *dst = NULL;
	size_t len, elem_bytes;

	if (size < 4)
		return 0;
	coding.dtype = dtypes[(data[0] & 0x7f) % 3];
	elem_bytes = hyc_dtype_bytes(coding.dtype);
	if (data[0] & 0x80) {
		if (size - 4 >= elem_bytes)
			round_trip(coding.dtype, data + 1, data + 4, (size - 4) / elem_bytes);
		return 0;
	}
	if (size < 5 + HYC_HYPER_PARAMS_BYTES)
		return 0;
	coding.cols = 1 + (data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16) % (MAX_DECODED / elem_bytes);
	coding.params = data + 4;
	len = coding.cols * elem_bytes;
	dst = malloc(len);
	/* A block is never longer than what it decodes to. */
	if (dst && size - 4 - HYC_HYPER_PARAMS_BYTES < len)
		(void)decode_by_all(&coding, data + 4 + HYC_HYPER_PARAMS_BYTES, size - 4 - HYC_HYPER_PARAMS_BYTES, dst, len);
	return 0;
}
