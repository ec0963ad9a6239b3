/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the open archive. */
#ifndef HYC_ARCHIVE_ARCHIVE_H
#define HYC_ARCHIVE_ARCHIVE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "cache/cache.h"
#include "codec/codec.h"
#include "format/reader.h"

struct hyc_account;

struct hyc_decode_count {
	atomic_uint_least64_t blocks, decoded_bytes, nanoseconds;
};

struct hyc {
	struct hyc_index index;
	uint64_t serial; /* of this handle in the process, from 1 on */
	char *path;
	struct hyc_cache *cache;
	struct hyc_account *account;
	struct hyc_decode_count decode[HYC_N_CODECS];
	atomic_uint_least64_t bytes_served, bytes_stored_read, errors;
	atomic_uchar *reported; /* one for each block: its damage has been logged */
};

/* How an object is coded, pos and key left open; borrows from the index. */
struct hyc_coding hyc_object_coding(const struct hyc_index *index, uint32_t object);

/*
 * Read, check and decode a block into dst, which has room for its decoded length. 0, -EBADMSG, -EIO or another
 * errno of pread, -ENOMEM. A failure is logged once for each block.
 */
int hyc_source_block(struct hyc *archive, uint32_t object, uint32_t block, uint8_t *dst) HYC_CHECKED;

/* Only check the stored bytes of a block against their hash. */
int hyc_source_check(struct hyc *archive, uint32_t object, uint32_t block) HYC_CHECKED;

/* Read a block's stored bytes and check their hash. Errors are those of hyc_source_block. */
int hyc_source_stored(struct hyc *archive, uint32_t object, uint32_t block, uint8_t *stored) HYC_CHECKED;

/* Log that a block is malformed, once for each block. Returns -EBADMSG. */
int hyc_source_malformed(struct hyc *archive, uint32_t object, uint32_t block);

/* Write into msg where a block stands: tensor or file, and number. */
void hyc_source_describe(const struct hyc *archive, uint32_t object, uint32_t block, char *msg, size_t room);

/* The fill callback of the cache; arg is the archive. */
int hyc_source_fill(void *arg, struct hyc_cache_key key, uint8_t *dst, size_t len);

/* The extent of a regular file that holds off (below its size); *end gets its end in the file. */
const struct hyc_disk_extent *hyc_extent_at(const struct hyc_index *index, uint32_t file, uint64_t off, uint64_t *end);

/* Bytes an object takes in the archive: blocks, parameters and its index records. */
double hyc_account_object(const struct hyc *archive, uint32_t object);

/* Bytes of a tensor's own record in the index. */
double hyc_account_record(const struct hyc *archive, uint32_t tensor);

/* The share of a file, and of a tensor, in the archive. */
double hyc_account_file(const struct hyc *archive, uint32_t file);
double hyc_account_tensor(const struct hyc *archive, uint32_t tensor);
struct hyc_account *hyc_account_new(void);
void hyc_account_free(struct hyc_account *account);

/* Sets what follows from the record alone: name, file, dtype, ndim, shape, bytes. */
void hyc_tensor_shape(const struct hyc *archive, uint32_t tensor, struct hyc_tensor *out);

#endif
