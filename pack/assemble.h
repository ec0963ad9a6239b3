/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the pipeline: finished blocks, in order, become objects, files and tensors of the archive. */
#ifndef HYC_PACK_ASSEMBLE_H
#define HYC_PACK_ASSEMBLE_H

#include "format/writer.h"
#include "pack/coding.h"
#include "pack/scan.h"

#include <stdbool.h>

/* A block of a file; or, with piece NULL, an entry that has no bytes. */
struct hyc_packed {
	size_t entry;                  /* index in the scan */
	const struct hyc_piece *piece; /* borrowed from the entry's plan */
	uint64_t off;                  /* in the piece */
	bool first_of_entry, last_of_piece, last_of_entry;
	struct hyc_piece_coding how;
	bool lossy, patched;           /* patched: shown has checksums that the source has not */
	const uint8_t *shown, *stored; /* what readers will see, and what to write for it */
	uint32_t len, stored_len;
	uint64_t stored_hash;          /* XXH3-64 of stored */
	uint32_t crc32;                /* of shown */
	struct hyc_loss loss;          /* where lossy */
};

/* What has been packed. */
struct hyc_packed_sums {
	uint32_t n_tensors;      /* those without bytes included */
	uint32_t n_lossy;
	uint64_t lossy_weights;  /* what is stored once counts once */
	uint64_t lossy_bytes;    /* they take in the archive, their index records included */
};

struct hyc_assembly;

/* scan and writer are borrowed. *out is owned. -ENOMEM. */
int hyc_assembly_new(struct hyc_scan *scan, struct hyc_writer *writer, struct hyc_assembly **out) HYC_CHECKED;
void hyc_assembly_free(struct hyc_assembly *assembly);

/* Take the next block. Closes the entry's file and frees its plan after the last one. */
int hyc_assembly_take(struct hyc_assembly *assembly, const struct hyc_packed *block, struct hyc_error *err) HYC_CHECKED;

const struct hyc_packed_sums *hyc_assembly_sums(const struct hyc_assembly *assembly);

/* Bytes that an object takes in the index, and that a tensor does. */
uint64_t hyc_object_record_bytes(const struct hyc_piece_coding *how, uint64_t bytes);
uint64_t hyc_tensor_record_bytes(const struct hyc_piece *piece);

#endif
