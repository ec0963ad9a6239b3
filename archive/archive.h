/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the open archive. */
#ifndef HYC_ARCHIVE_ARCHIVE_H
#define HYC_ARCHIVE_ARCHIVE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "cache/cache.h"
#include "codec/codec.h"
#include "archive/view.h"
#include "format/reader.h"

struct hyc_account;
struct hyc_cuda_gpu;
struct hyc_prefetch;

struct hyc_decode_count {
	atomic_uint_least64_t blocks, decoded_bytes, nanoseconds;
};

struct hyc {
	struct hyc_index index; /* what is shown: the archive's, or the view's */
	struct hyc_view *view;  /* NULL: the files are those of the archive */
	uint64_t serial; /* of this handle in the process, from 1 on */
	char *path;
	struct hyc_cache *cache;
	struct hyc_prefetch *prefetch; /* NULL: off */
	enum hyc_device device;        /* where runs that are read ahead are decoded */
	_Atomic(const struct hyc_cuda_gpu *) gpu; /* opened with the first run, or not at all */
	atomic_uchar gpu_asked;        /* whether it is there has been found out */
	struct hyc_account *account;
	struct hyc_decode_count decode[HYC_N_CODECS], decode_gpu[HYC_N_CODECS]; /* by the processor, and by a GPU */
	atomic_uint slow_reads; /* how many reads from memory it takes until the archive is not slow any more */
	atomic_uint filling;    /* threads that decode what they wait for */
	atomic_uint_least64_t bytes_served, bytes_stored_read, errors;
	atomic_uchar *reported; /* one for each block: its damage has been logged */
	atomic_uchar *served;   /* one for each block: all of it was handed to somebody who keeps it, once */
};

/* How an object is coded, pos and key left open; borrows from the index. */
struct hyc_coding hyc_object_coding(const struct hyc_index *index, uint32_t object);

/*
 * Read, check and decode a block into dst, which has room for its decoded length. 0, -EBADMSG, -EIO or another
 * errno of pread, -ENOMEM. A failure is logged once for each block.
 */
int hyc_source_block(struct hyc *archive, uint32_t object, uint32_t block, uint8_t *dst) HYC_CHECKED;

/* Bytes of scratch memory that decoding a block takes: its stored bytes, or 0 where it is stored as it is. */
uint32_t hyc_source_staging(const struct hyc *archive, uint32_t object, uint32_t block);

/* Where a block of a run goes: room for its decoded length, and for what hyc_source_staging says. result is set as hyc_source_block's. */
struct hyc_source_dst {
	uint8_t *data, *staging;
	int result;
};

/*
 * The same for n successive blocks of one object: the unit in which all decoding for readers is done. One call may take its time,
 * so runs that are read ahead are as long as hyc_source_run_most says (1 without a GPU), and those somebody waits for one block.
 */
#define HYC_SOURCE_RUN 16 /* at most */
unsigned hyc_source_run_most(struct hyc *archive);
void hyc_source_run(struct hyc *archive, uint32_t object, uint32_t first, unsigned n, struct hyc_source_dst *dst);

/* Whether reading the archive is what readers wait for now: it does not come from memory. */
bool hyc_source_is_slow(const struct hyc *archive);

/* Have the kernel read the stored bytes of a block, which will be wanted soon. Does not wait for them. */
void hyc_source_expect(const struct hyc *archive, uint32_t object, uint32_t block);

/* Only check the stored bytes of a block against their hash. */
int hyc_source_check(struct hyc *archive, uint32_t object, uint32_t block) HYC_CHECKED;

/* Read a block's stored bytes and check their hash. Errors are those of hyc_source_block. */
int hyc_source_stored(struct hyc *archive, uint32_t object, uint32_t block, uint8_t *stored) HYC_CHECKED;

/* Log that a block is malformed, once for each block. Returns -EBADMSG. */
int hyc_source_malformed(struct hyc *archive, uint32_t object, uint32_t block);
/* Number of a block among those of all objects. */
static inline uint32_t hyc_block_number(const struct hyc *archive, uint32_t object, uint32_t block)
{
	return hyc_get32(archive->index.objects[object].first_block) + block;
}

/* What the index says of a block. */
static inline const struct hyc_disk_block *hyc_block_record(const struct hyc *archive, uint32_t object, uint32_t block)
{
	return &archive->index.blocks[hyc_block_number(archive, object, block)];
}

/* Write into msg where a block stands: tensor or file, and number. */
void hyc_source_describe(const struct hyc *archive, uint32_t object, uint32_t block, char *msg, size_t room);

/* The fill callback of the cache; arg is the archive. */
int hyc_source_fill(void *arg, const struct hyc_cache_slot *slot);

/* The extent of a regular file that holds off (below its size); *end gets its end in the file. */
const struct hyc_disk_extent *hyc_extent_at(const struct hyc_index *index, uint32_t file, uint64_t off, uint64_t *end);

/* Whether an extent shows a span of an object. */
static inline bool hyc_extent_has_object(const struct hyc_disk_extent *e)
{
	return hyc_get32(e->kind) == HYC_EXTENT_LITERAL || hyc_get32(e->kind) == HYC_EXTENT_TENSOR;
}

/* The byte off of a file, in an extent of kind HYC_EXTENT_MEMORY; what follows it in the extent lies behind it. */
static inline const uint8_t *hyc_extent_memory(const struct hyc *archive, const struct hyc_disk_extent *e, uint64_t off)
{
	return archive->view->layout.heads.data + hyc_get64(e->start) + (off - hyc_get64(e->file_off));
}

/* The archive's own index, whatever is shown. */
static inline const struct hyc_index *hyc_stored_index(const struct hyc *archive)
{
	return archive->view ? &archive->view->stored : &archive->index;
}

/* A run of a file's bytes within one block, or of padding, or in memory. */
struct hyc_piece {
	uint32_t object, block;  /* of bytes in a block */
	uint32_t skip, len;      /* the first byte in the block, and how many; beside blocks any number up to UINT32_MAX */
	bool padding;
	uint8_t fill;            /* of padding */
	const uint8_t *memory;   /* the bytes themselves; NULL: not in memory */
	uint64_t extent_end;     /* of its extent, in the file */
};

static inline bool hyc_piece_has_block(const struct hyc_piece *piece)
{
	return !piece->padding && !piece->memory;
}

/* What a regular file has from off (below its size) on. */
void hyc_piece_at(const struct hyc *archive, uint32_t file, uint64_t off, struct hyc_piece *piece);

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
void hyc_tensor_shape(const struct hyc_index *index, uint32_t tensor, struct hyc_tensor *out);

#endif
