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

struct hyc_piece_coding;

/* Literal bytes (dtype HYC_BYTES, never empty), or a tensor, which may have no bytes. */
struct hyc_piece {
	uint64_t off, len;     /* in the file */
	uint32_t dtype, ndim;
	const uint64_t *shape; /* owned by the plan, with the name in the same allocation */
	const char *name;      /* NULL for literal bytes */
	const struct hyc_piece_coding *coding; /* decided before the packing, borrowed; NULL: to be chosen */
};

/* Pieces in ascending order of off. */
struct hyc_plan {
	uint32_t kind;         /* enum hyc_file_kind */
	struct hyc_piece *pieces;
	size_t n_pieces, room;
};

/* Append a piece; its shape and name are copied. 0 or -ENOMEM. */
int hyc_plan_add(struct hyc_plan *plan, const struct hyc_piece *piece) HYC_CHECKED;

/* Leaves an empty plan behind. */
void hyc_plan_fini(struct hyc_plan *plan);

/*
 * Cut the open file named shown. The way is chosen by the end of the name; plan is empty before, and to be given to
 * hyc_plan_fini also after a failure.
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

#endif
