/* SPDX-License-Identifier: Apache-2.0 */
/* How a piece of a file is coded as an object: codec, coding shape, block size. */
#ifndef HYC_PACK_CODING_H
#define HYC_PACK_CODING_H

#include "codec/codec.h"
#include "pack/pack.h"
#include "pack/split.h"

#include <stdbool.h>

/* No block of a lossless codec is larger than this. */
#define HYC_PACK_MAX_BLOCK (UINT32_C(1) << 20)
/* What blocks are to be like. */
#define HYC_PACK_NOMINAL_BLOCK (UINT32_C(512) << 10)
#define HYC_PACK_VECTOR_ELEMENTS (UINT32_C(256) << 10)

struct hyc_hyper_plan;

struct hyc_piece_coding {
	struct hyc_coding coding;
	uint32_t block_bytes;
	int zstd_level;
	const struct hyc_hyper_plan *plan; /* borrowed */
};

/* What a lossy codec did to a block: sums over its values, the error of what it decodes to. */
struct hyc_loss {
	double power, squared_error, max_error;
};

/*
 * What was decided for a piece that is not empty, else a lossless choice; where codecs compete, samples are read from
 * fd. 0 or -errno.
 */
int hyc_piece_coding_choose(const struct hyc_piece *piece, enum hyc_pack_codec wish, int fd,
			    struct hyc_piece_coding *out) HYC_CHECKED;

/* Whether blocks may decode to other bytes than those packed. */
bool hyc_piece_coding_lossy(const struct hyc_piece_coding *how);

/*
 * Encode the block at offset how->coding.pos into dst, which has room for len bytes. Returns the stored length, or
 * -ENOMEM, or of a lossy codec -EDOM for a value it does not take. shown, of len bytes, and *loss are used by lossy
 * codecs only: shown becomes what the block decodes to. Where the stored length is len, dst holds nothing, and what is
 * to be stored is src, or shown.
 */
ssize_t hyc_piece_encode(const struct hyc_piece_coding *how, const uint8_t *src, size_t len, uint8_t *dst,
			 uint8_t *shown, struct hyc_loss *loss) HYC_CHECKED;

#endif
