/* SPDX-License-Identifier: Apache-2.0 */
/* A load that is going on: blocks of many tensors, taken one after the other by threads. */
#ifndef HYC_ARCHIVE_LOAD_H
#define HYC_ARCHIVE_LOAD_H

#include "archive/archive.h"
#include "codec/cuda/cuda.h"

/* What is wanted of one block. */
struct hyc_load_piece {
	uint32_t object, block;
	uint32_t skip, len;
	uint8_t *dst;
};

struct hyc_load {
	struct hyc *archive;
	struct hyc_load_options options;
	const struct hyc_cuda_gpu *gpu; /* NULL: to memory of the host */
	struct hyc_load_piece *pieces;
	size_t n_pieces;
	atomic_size_t next;
	atomic_int result;              /* the first error */
	pthread_mutex_t lock;           /* guards the calls of progress, done, and err */
	uint64_t done, total;
	struct hyc_error err;
	pthread_t *threads;
	unsigned n_threads;
};

/* The next piece, or NULL where there is none or the load has failed. */
const struct hyc_load_piece *hyc_load_next(struct hyc_load *load);

/* How the object is coded, and how long a block is, for a piece. */
struct hyc_coding hyc_load_coding(const struct hyc_load *load, const struct hyc_load_piece *piece);
uint32_t hyc_load_stored(const struct hyc_load *load, const struct hyc_load_piece *piece);
uint32_t hyc_load_decoded(const struct hyc_load *load, const struct hyc_load_piece *piece);

/* Decode a piece's whole block to memory of the host. */
int hyc_load_block(struct hyc_load *load, const struct hyc_load_piece *piece, uint8_t *dst) HYC_CHECKED;

void hyc_load_progress(struct hyc_load *load, uint64_t bytes);

/* Remember an error; later ones count for nothing. piece may be NULL. */
void hyc_load_fail(struct hyc_load *load, const struct hyc_load_piece *piece, int result);

/* The work of one thread, to memory of a device. */
void hyc_load_to_device(struct hyc_load *load);

#endif
