/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of an archive in memory. hyc_index_open checks everything doc/format.md
 * demands of sections 2 and 3, once; afterwards every look-up through the records stays in
 * bounds. Whether a codec is known and likes its parameters is the archive room's question.
 */
#ifndef HYC_FORMAT_READER_H
#define HYC_FORMAT_READER_H

#include "base/error.h"
#include "format/ondisk.h"

struct hyc_index {
	int fd;                 /* of the archive, owned */
	uint64_t archive_bytes;
	uint32_t n_files, n_extents, n_objects, n_tensors, n_blocks, n_dims, names_bytes;
	const struct hyc_disk_file *files;
	const struct hyc_disk_extent *extents;
	const struct hyc_disk_object *objects;
	const struct hyc_disk_tensor *tensors;
	const struct hyc_disk_block *blocks;
	const le64 *dims;
	const uint8_t *params;
	const char *names;      /* every name is followed by a zero byte */
	uint32_t *parents;      /* of each file, owned */
	uint8_t *data;          /* the decompressed index, owned */
};

/* fd is taken over, also on failure. path is for messages only. */
int hyc_index_open(int fd, const char *path, struct hyc_index *out, struct hyc_error *err) HYC_CHECKED;
void hyc_index_fini(struct hyc_index *index);

/* Index of the file with this path, or -ENOENT. */
int64_t hyc_index_find(const struct hyc_index *index, const char *path);

/* Decoded length of block k (0 .. n_blocks - 1 of the object). */
uint32_t hyc_object_block_bytes(const struct hyc_disk_object *object, uint32_t k);

/* Which block has the object's byte at pos, and where in it. Returns how many bytes the block has from there on. */
uint32_t hyc_object_block_at(const struct hyc_disk_object *object, uint64_t pos, uint32_t *block, uint32_t *skip);

#endif
