/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks are whole rows as near to 512 KiB as rows allow; rows of more than 1 MiB, and
 * vectors, are cut into runs of 256 Ki elements. The codec follows from the dtype; for
 * dtypes of one byte, which may hold anything, two codecs are tried on samples.
 */
#include "config.h"

#include "pack/coding.h"

#include "base/cleanup.h"
#include "codec/encode.h"
#include "codec/hyper_encode.h"
#include "codec/tcq_encode.h"
#include "format/dtype.h"

#include <errno.h>
#include <stdlib.h>

#define SMALL_LITERAL (UINT64_C(8) << 20)
/* Slow and thorough where there is little to do. */
#define LEVEL_SMALL 19
#define LEVEL 9
/* The start of each of the first blocks. */
#define N_SAMPLES 4
#define SAMPLE_BYTES (UINT32_C(64) << 10)

static void choose_shape(const struct hyc_piece *piece, struct hyc_piece_coding *out)
{
	uint32_t element = hyc_dtype_bytes(piece->dtype);
	uint64_t row_bytes;

	out->coding.rows = 1;
	out->coding.cols = piece->len / element;
	out->block_bytes = piece->dtype == HYC_BYTES || element > 4 ? HYC_PACK_NOMINAL_BLOCK :
									       HYC_PACK_VECTOR_ELEMENTS * element;
	/* Rows of less than whole bytes can not be told apart in a block. */
	if (piece->ndim < 2 || piece->len % piece->shape[0])
		return;
	row_bytes = piece->len / piece->shape[0];
	if (row_bytes > HYC_PACK_MAX_BLOCK)
		return;
	uint64_t rows = (HYC_PACK_NOMINAL_BLOCK + row_bytes / 2) / row_bytes;
	out->coding.rows = piece->shape[0];
	out->coding.cols = row_bytes / element;
	out->block_bytes = (uint32_t)((rows ? rows : 1) * row_bytes);
}

static int measure(const struct hyc_piece *piece, int fd, struct hyc_piece_coding *how)
{
	cleanup_free uint8_t *src = malloc(SAMPLE_BYTES), *dst = malloc(SAMPLE_BYTES);
	uint32_t sample = how->block_bytes < SAMPLE_BYTES ? how->block_bytes : SAMPLE_BYTES;
	size_t with_float = 0, with_zstd = 0;

	if (!src || !dst)
		return -ENOMEM;
	for (uint64_t k = 0; k < N_SAMPLES && k * how->block_bytes < piece->len; k++) {
		uint64_t off = k * how->block_bytes, rest = piece->len - off;
		size_t len = rest < sample ? (size_t)rest : sample;
		int failed = hyc_piece_read(fd, piece, off, src, len);
		ssize_t n;

		if (failed)
			return failed;
		how->coding.codec = HYC_CODEC_FLOAT;
		n = hyc_piece_encode(how, src, len, dst, NULL, NULL);
		if (n < 0)
			return (int)n;
		with_float += (size_t)n;
		how->coding.codec = HYC_CODEC_ZSTD;
		n = hyc_piece_encode(how, src, len, dst, NULL, NULL);
		if (n < 0)
			return (int)n;
		with_zstd += (size_t)n;
	}
	how->coding.codec = with_zstd <= with_float ? HYC_CODEC_ZSTD : HYC_CODEC_FLOAT;
	return 0;
}

int hyc_piece_coding_choose(const struct hyc_piece *piece, enum hyc_pack_codec wish, int fd,
			    struct hyc_piece_coding *out)
{
	if (piece->coding) {
		*out = *piece->coding;
		return 0;
	}
	*out = (struct hyc_piece_coding) {
		.coding = { .codec = HYC_CODEC_ZSTD, .dtype = piece->dtype },
		.zstd_level = piece->dtype == HYC_BYTES && piece->len <= SMALL_LITERAL ? LEVEL_SMALL : LEVEL,
	};
	choose_shape(piece, out);
	if (wish == HYC_PACK_STORED) {
		out->coding.codec = HYC_CODEC_STORED;
		return 0;
	}
	switch ((enum hyc_dtype)piece->dtype) {
	case HYC_F16: case HYC_BF16: case HYC_F32: case HYC_C64:
	case HYC_F8_E4M3: case HYC_F8_E5M2: case HYC_F8_E4M3FNUZ: case HYC_F8_E5M2FNUZ: case HYC_F8_E8M0:
		out->coding.codec = HYC_CODEC_FLOAT;
		return 0;
	case HYC_I8: case HYC_U8: case HYC_BOOL: case HYC_F4: case HYC_F6_E2M3: case HYC_F6_E3M2:
		return measure(piece, fd, out);
	default:
		return 0;
	}
}

bool hyc_piece_coding_lossy(const struct hyc_piece_coding *how)
{
	return hyc_codec_get(how->coding.codec)->lossy;
}

static ssize_t encode_tcq(const struct hyc_piece_coding *how, const uint8_t *src, size_t len, uint8_t *dst,
			  uint8_t *shown, struct hyc_loss *loss)
{
	struct hyc_tcq_result result;
	ssize_t n = hyc_tcq_encode(&how->coding, HYC_TCQ_LAMBDA, src, len, dst, len, shown, &result);

	if (n >= 0)
		*loss = (struct hyc_loss) { result.power, result.squared_error, result.max_error };
	return n;
}

static ssize_t encode_hyper(const struct hyc_piece_coding *how, const uint8_t *src, size_t len, uint8_t *dst,
			    uint8_t *shown, struct hyc_loss *loss)
{
	struct hyc_hyper_result result;
	ssize_t n = hyc_hyper_encode(how->plan, how->coding.pos, src, len, dst, len, shown, &result);

	if (n >= 0)
		*loss = (struct hyc_loss) { result.power, result.squared_error, result.max_error };
	return n;
}

ssize_t hyc_piece_encode(const struct hyc_piece_coding *how, const uint8_t *src, size_t len, uint8_t *dst,
			 uint8_t *shown, struct hyc_loss *loss)
{
	ssize_t n = 0;

	switch (how->coding.codec) {
	case HYC_CODEC_FLOAT:
		n = hyc_float_encode(how->coding.dtype, src, len, dst, len);
		break;
	case HYC_CODEC_ZSTD:
		n = hyc_zstd_encode(how->zstd_level, src, len, dst, len);
		break;
	case HYC_CODEC_TCQ:
		n = encode_tcq(how, src, len, dst, shown, loss);
		break;
	case HYC_CODEC_HYPER:
		n = encode_hyper(how, src, len, dst, shown, loss);
		break;
	}
	return n ? n : (ssize_t)len;
}
