/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codecs and backends.
 *
 * THE CONTRACT of a decoder, for every codec and backend:
 * 1. (coding, stored block) maps to exactly dst_len bytes, the same on every backend: integer work and table
 *    look-ups; where products are formed the format fixes each single operation. Compared by memcmp.
 * 2. Safe on any input: no read outside [src, src + src_len), no write outside [dst, dst + dst_len), whatever the
 *    bytes say; a malformed block is -EBADMSG, its output undefined. No loop is longer than the output asks for.
 * 3. Thread-safe; the result is complete on return; no allocation on the hot path (scratch is the thread's own).
 * 4. The plain C one ("scalar") is the reference. A backend has kernels of its own for some codecs, of the same
 *    signature; where one would not be faster it has none. Everything but decoding (check, build) is shared.
 */
#ifndef HYC_CODEC_CODEC_H
#define HYC_CODEC_CODEC_H

#include "base/error.h"

/* Ids are part of the format (doc/format.md, section 4). */
enum hyc_codec_id { HYC_CODEC_STORED = 0, HYC_CODEC_ZSTD = 1, HYC_CODEC_FLOAT = 2, HYC_CODEC_HYPER = 3, HYC_CODEC_TCQ = 4, HYC_N_CODECS };

/* How a block is coded; all but pos was validated when the archive was opened. */
struct hyc_coding {
	uint32_t codec, dtype;
	uint64_t rows, cols;   /* coding shape of the object, in elements */
	const uint8_t *params; /* of the object */
	uint32_t params_len;
	uint64_t pos;          /* offset of the block's first byte in the decoded object */
	uint64_t key;          /* names the object among all a process decodes, so that tables built for it can be kept; 0: do not keep */
	const void *state;     /* for decode: what build made for the object. hyc_block_decode sets it */
};

typedef int hyc_decode_fn(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len);

struct hyc_codec {
	const char *name;
	int lossy; /* its objects may differ from what was packed */
	/* Whether params and shape are valid for the codec: 0 or -EBADMSG. Called once for each object at open, before anything else. */
	int (*check)(const struct hyc_coding *coding);
	/* Decode one block. Never called for a block that is stored as it is (src_len == dst_len). */
	hyc_decode_fn *decode;
	/* Tables that all blocks of an object share: their size, and build them. NULL where a codec has none. */
	size_t (*state_bytes)(const struct hyc_coding *coding);
	void (*build)(const struct hyc_coding *coding, void *state);
};

/* NULL for an unknown id. */
const struct hyc_codec *hyc_codec_get(uint32_t id);

struct hyc_backend {
	const char *name;
	int (*available)(void);              /* on this processor */
	hyc_decode_fn *decode[HYC_N_CODECS]; /* NULL: plain C decodes that codec */
};

/* All backends of this build, the slowest (scalar) first; NULL past the last. */
const struct hyc_backend *hyc_backend_at(unsigned i);

/* The backend whose kernel decodes a codec's blocks when this one is chosen: itself, or a slower one. */
const struct hyc_backend *hyc_backend_decoder(const struct hyc_backend *backend, uint32_t codec);

/*
 * Pick the backend, unless hyc_backend_choose has: the fastest one this processor has, or the one HYC_BACKEND names.
 * Idempotent. -EINVAL for a name that is unknown or not available here. Before it, plain C decodes.
 */
int hyc_codec_init(struct hyc_error *err) HYC_CHECKED;

/* Decode one block with the chosen backend, blocks stored as they are included. 0, -EBADMSG or -ENOMEM. */
int hyc_block_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst,
		     size_t dst_len) HYC_CHECKED;

/* Only for the decoders of a backend that is no processor's: decode a block with the fastest one that is. coding->state is set. */
int hyc_cpu_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len);

/* The same with a backend that is available here. */
int hyc_block_decode_with(const struct hyc_backend *backend, const struct hyc_coding *coding, const uint8_t *src,
			  size_t src_len, uint8_t *dst, size_t dst_len) HYC_CHECKED;

#endif
