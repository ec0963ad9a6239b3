/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of the codecs share: a block goes through every backend. */
#ifndef HYC_TESTS_FUZZ_DECODE_H
#define HYC_TESTS_FUZZ_DECODE_H

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "codec/codec.h"

/* A copy of just this size, so that AddressSanitizer sees each byte read beyond it. Owned; NULL: no memory. */
static inline uint8_t *exact_copy(const uint8_t *src, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (copy && len)
		memcpy(copy, src, len);
	return copy;
}

/*
 * Decode a block that is shorter than what it decodes to with every backend this processor has. All must give the same result and, where
 * that is 0, the same bytes in buffers of different contents: so each has set all of them. Returns the result, -1 without memory.
 */
static inline int decode_by_all(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	cleanup_free uint8_t *block = exact_copy(src, src_len), *params = exact_copy(coding->params, coding->params_len);
	cleanup_free uint8_t *other = malloc(dst_len);
	const struct hyc_backend *backend;
	struct hyc_coding copy = *coding;
	int result;

	if (!block || !params || !other)
		return -1;
	copy.params = params;
	if (hyc_codec_get(copy.codec)->check(&copy))
		return -1;
	memset(dst, 0x55, dst_len);
	result = hyc_block_decode_with(hyc_backend_at(0), &copy, block, src_len, dst, dst_len);
	for (unsigned i = 0; (backend = hyc_backend_at(i)); i++) {
		int got;

		if (!backend->available())
			continue;
		memset(other, 0xaa, dst_len);
		got = hyc_block_decode_with(backend, &copy, block, src_len, other, dst_len);
		if (got != result || (!result && memcmp(dst, other, dst_len)))
			abort();
	}
	return result;
}

#endif
