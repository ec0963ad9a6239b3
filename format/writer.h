/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an archive: blocks are appended, the index is collected in memory and written
 * last. The file has no name until hyc_writer_commit gives it one, so nothing is left
 * behind by a failed or killed run where the file system allows it. Not thread-safe.
 */
#ifndef HYC_FORMAT_WRITER_H
#define HYC_FORMAT_WRITER_H

#include "base/error.h"
#include "format/ondisk.h"

struct hyc_writer;

/* Creates a temporary file in the directory of path. *out is owned. */
int hyc_writer_open(const char *path, struct hyc_writer **out, struct hyc_error *err) HYC_CHECKED;

/* Throws the work away unless it was committed. NULL is fine. */
void hyc_writer_close(struct hyc_writer *writer);

/* Calls below that add records return the index of the record, or -errno with err set. */

/* A file or directory; files in ascending order of path, each followed by its extents and tensors. size and hash may be set later. */
struct hyc_new_file {
	const char *path;
	uint32_t mode, kind;
	uint64_t size;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	uint8_t hash[16];
};
int64_t hyc_writer_add_file(struct hyc_writer *writer, const struct hyc_new_file *file, struct hyc_error *err) HYC_CHECKED;

/* Sets size and hash of the file added last. */
void hyc_writer_finish_file(struct hyc_writer *writer, uint64_t size, const uint8_t hash[16]);

/* An extent of the file added last; adjacent extents that continue each other in the same object are joined. */
int64_t hyc_writer_add_extent(struct hyc_writer *writer, uint64_t file_off, uint32_t kind, uint32_t target, uint64_t start,
			      struct hyc_error *err) HYC_CHECKED;

/* A tensor of the file added last; in any order, the writer sorts. strides may be NULL. A name given twice is -EINVAL at commit. */
struct hyc_new_tensor {
	const char *name;
	uint32_t object; /* or HYC_NO_OBJECT */
	uint64_t start;
	uint32_t dtype, ndim;
	const uint64_t *shape, *strides;
};
int64_t hyc_writer_add_tensor(struct hyc_writer *writer, const struct hyc_new_tensor *tensor, struct hyc_error *err) HYC_CHECKED;

/* An object; its blocks follow by hyc_writer_add_block. */
struct hyc_new_object {
	uint32_t codec, dtype;
	uint64_t bytes, rows, cols;
	uint32_t block_bytes;
	const uint8_t *params;
	uint32_t params_len;
};
int64_t hyc_writer_add_object(struct hyc_writer *writer, const struct hyc_new_object *object, struct hyc_error *err) HYC_CHECKED;

/* Append a block of the object added last: its stored bytes and their XXH3-64. */
int64_t hyc_writer_add_block(struct hyc_writer *writer, const void *stored, uint32_t stored_len, uint64_t hash,
			     struct hyc_error *err) HYC_CHECKED;

/* Sets what is known of the object added last once it is written. What is lost is 0 where it is exact. */
struct hyc_new_digest {
	uint32_t crc32;
	uint8_t hash[16];
	int exact;
	float power;
	double mse, max_error;
};
void hyc_writer_finish_object(struct hyc_writer *writer, const struct hyc_new_digest *digest);

/* Takes the object added last back, with its blocks: it turned out to be stored already. */
void hyc_writer_drop_object(struct hyc_writer *writer);

/* Write index and superblock, validate the result as a reader would, fsync, and rename over path. *archive_bytes gets its size. */
int hyc_writer_commit(struct hyc_writer *writer, uint64_t *archive_bytes, struct hyc_error *err) HYC_CHECKED;

#endif
