/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How files are cut into pieces. A plan covers its file from the first byte to the last
 * without a gap; a splitter for each container format writes it. Everything a splitter
 * reads may be malicious: what is malformed is -EINVAL with a sentence that names the
 * file, the place and the reason. Splitters see bytes, no files, so they can be fuzzed.
 */
#ifndef HYC_PACK_SPLIT_H
#define HYC_PACK_SPLIT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct hyc_piece_coding;

/* Literal bytes (dtype HYC_BYTES, never empty), or a tensor, which may have no bytes, or a storage of tensors. */
struct hyc_piece {
	uint64_t off, len;     /* in the file */
	uint32_t dtype, ndim;
	const uint64_t *shape; /* owned by the plan, with the name and strides in the same allocation */
	/*
	 * NULL, or in elements: the piece is no part of the file, but a contiguous copy of elements that lie apart in
	 * it, the first at off. Then len is the length of the copy.
	 */
	const uint64_t *strides;
	const char *name;      /* NULL for literal bytes, and where no tensor is all of the piece or none has a name */
	const struct hyc_piece_coding *coding; /* decided before the packing, borrowed; NULL: to be chosen */
	bool checked_ahead;    /* bytes before it depend on its bytes, so it must stay as it is */
	/* Set when it is packed. */
	uint32_t object, crc32; /* crc32: of what readers will see */
	bool lossy;
};

#define HYC_NO_PIECE SIZE_MAX

/* A tensor that lies somewhere in a piece, besides the one that the piece has its name from. */
struct hyc_part {
	size_t piece;          /* index; HYC_NO_PIECE for a tensor without bytes */
	uint64_t start;        /* offset in it, bytes */
	uint32_t dtype, ndim;
	const uint64_t *shape; /* owned by the plan, with the name */
	const char *name;
};

/* Where a file holds the CRC-32 of a piece, in 4 literal bytes behind it: what is packed must fit what readers see. */
struct hyc_patch {
	uint64_t off;          /* in the file */
	size_t piece;
};

/* Pieces in ascending order of off, then the copies; patches in ascending order of off. */
struct hyc_plan {
	uint32_t kind;         /* enum hyc_file_kind */
	struct hyc_piece *pieces;
	size_t n_pieces, room;
	struct hyc_part *parts;
	size_t n_parts, room_parts;
	struct hyc_patch *patches;
	size_t n_patches, room_patches;
	char *note;            /* what the user should know of the file; owned, or NULL */
};

/* Whether a name of len bytes can be listed: UTF-8 without a zero byte, of a length that the format allows. */
bool hyc_is_name(const uint8_t *name, size_t len);

/* Append a piece; its shape, strides and name are copied. 0 or -ENOMEM. */
int hyc_plan_add(struct hyc_plan *plan, const struct hyc_piece *piece) HYC_CHECKED;

/* Append a part; its shape and name are copied. 0 or -ENOMEM. */
int hyc_plan_add_part(struct hyc_plan *plan, const struct hyc_part *part) HYC_CHECKED;

int hyc_plan_add_patch(struct hyc_plan *plan, uint64_t off, size_t piece) HYC_CHECKED;

/* Append the literal bytes from the end of the last piece to off, if there are any. 0 or -ENOMEM. */
int hyc_plan_fill(struct hyc_plan *plan, uint64_t off) HYC_CHECKED;

/* Write the checksums of pieces packed with loss over those in the len bytes at off. Returns whether there are such. */
bool hyc_plan_patch(const struct hyc_plan *plan, uint64_t off, uint8_t *bytes, size_t len);

/* Read len bytes of a piece, from off on. 0 or -errno. */
int hyc_piece_read(int fd, const struct hyc_piece *piece, uint64_t off, uint8_t *buf, size_t len) HYC_CHECKED;

/* Leaves an empty plan behind. */
void hyc_plan_fini(struct hyc_plan *plan);

/*
 * Cut the open file named shown. The way is chosen by the end of the name, and its first bytes; plan is empty before, and
 * to be given to hyc_plan_fini also after a failure. A checkpoint of torch or GGUF file that is not understood is one
 * literal, with a note.
 */
int hyc_split_file(int fd, const char *shown, uint64_t file_bytes, struct hyc_plan *plan,
		   struct hyc_error *err) HYC_CHECKED;

/* ---- safetensors ---- */

#define HYC_SAFETENSORS_MAX_HEADER UINT64_C(100000000)

/* Whether a file of this name is to be a safetensors file. */
int hyc_safetensors_named(const char *name);

/* From the first 8 bytes (fewer if the file has no more): bytes from the start of the file to the end of the header. */
int hyc_safetensors_head_bytes(const char *shown, const uint8_t *head, uint64_t file_bytes, uint64_t *head_bytes,
			       struct hyc_error *err) HYC_CHECKED;

/* head is the first head_bytes bytes of a file of file_bytes bytes: the length and the header. */
int hyc_split_safetensors(const char *shown, const uint8_t *head, size_t head_bytes, uint64_t file_bytes,
			  struct hyc_plan *plan, struct hyc_error *err) HYC_CHECKED;

/* ---- torch, GGUF, npz: an -EINVAL tells what is wrong without naming the file, which is then to be kept as it is ---- */

struct hyc_input;

int hyc_split_torch_zip(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err) HYC_CHECKED;
int hyc_split_torch_legacy(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err) HYC_CHECKED;
int hyc_split_gguf(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err) HYC_CHECKED;
int hyc_split_npz(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err) HYC_CHECKED;

#endif
