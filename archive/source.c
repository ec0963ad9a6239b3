/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a block's number to its decoded bytes: pread, hash, decode. The archive is never
 * mapped: a file that shrinks on a shared disk must be an error, not a SIGBUS.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/archive.h"
#include "archive/prefetch.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/ordered.h"
#include "base/read.h"
#include "codec/cuda/cuda.h"

#define AUTO_CORES 4u
#define SHORTER 1 /* no errno */

struct hyc_coding hyc_object_coding(const struct hyc_index *index, uint32_t object)
{
	const struct hyc_disk_object *o = &index->objects[object];

	return (struct hyc_coding){
		.codec = hyc_get32(o->codec),
		.dtype = hyc_get32(o->dtype),
		.rows = hyc_get64(o->rows),
		.cols = hyc_get64(o->cols),
		.params = index->params + hyc_get32(o->params_off),
		.params_len = hyc_get32(o->params_len),
	};
}

/* The first extent that shows bytes of the block, and the file it belongs to. */
static const struct hyc_disk_extent *extent_of_block(const struct hyc_index *x, uint32_t object, uint32_t block,
						     uint32_t *file)
{
	const struct hyc_disk_object *o = &x->objects[object];
	uint64_t first = (uint64_t)block * hyc_get32(o->block_bytes), end = first + hyc_object_block_bytes(o, block);

	for (uint32_t i = 0; i < x->n_files; i++) {
		uint32_t n = hyc_get32(x->files[i].n_extents), first_extent = hyc_get32(x->files[i].first_extent);

		for (uint32_t k = 0; k < n; k++) {
			const struct hyc_disk_extent *e = &x->extents[first_extent + k];
			uint64_t stop = hyc_get64(k + 1 < n ? e[1].file_off : x->files[i].size);
			uint64_t len = stop - hyc_get64(e->file_off);

			if (hyc_get32(e->kind) == HYC_EXTENT_PADDING || hyc_get32(e->target) != object)
				continue;
			if (hyc_get64(e->start) < end && hyc_get64(e->start) + len > first) {
				*file = i;
				return e;
			}
		}
	}
	return NULL;
}

void hyc_source_describe(const struct hyc *archive, uint32_t object, uint32_t block, char *msg, size_t room)
{
	const struct hyc_index *x = &archive->index;
	const char *tensor = NULL, *path = "";
	uint32_t file = 0;

	if (extent_of_block(x, object, block, &file))
		path = x->names + hyc_get32(x->files[file].path_off);
	for (uint32_t i = 0; i < x->n_tensors && !tensor; i++)
		if (hyc_get32(x->tensors[i].object) == object)
			tensor = x->names + hyc_get32(x->tensors[i].name_off);
	if (tensor)
		snprintf(msg, room, "file %.300s, tensor %.300s, block %" PRIu32, path, tensor, block);
	else
		snprintf(msg, room, "file %.300s, block %" PRIu32, path, block);
}

/* Log the first failure of a block; later ones only count. */
static int report(struct hyc *a, uint32_t object, uint32_t block, int result, const char *what)
{
	uint32_t b = hyc_block_number(a, object, block);
	char where[700];

	atomic_fetch_add(&a->errors, 1);
	if (result == -ENOMEM || !atomic_exchange(&a->reported[b], 1)) {
		hyc_source_describe(a, object, block, where, sizeof where);
		hyc_log(HYC_LOG_ERROR, "%s: %s: %s", a->path, where, what);
	}
	return result;
}

/* A read that is slower than this did not come from memory; after one such read so many from memory must follow. */
#define SLOW_BYTES_PER_US 1000u
#define SLOW_FOR 64u
#define SLOW_LEAST (32u << 10) /* bytes; smaller ones say nothing */

static void note_speed(struct hyc *a, size_t len, uint64_t ns)
{
	unsigned slow = atomic_load_explicit(&a->slow_reads, memory_order_relaxed);

	if (len < SLOW_LEAST)
		return;
	if (ns / 1000 * SLOW_BYTES_PER_US > len)
		atomic_store_explicit(&a->slow_reads, SLOW_FOR, memory_order_relaxed);
	else if (slow)
		atomic_store_explicit(&a->slow_reads, slow - 1, memory_order_relaxed);
}

bool hyc_source_is_slow(const struct hyc *a)
{
	return atomic_load_explicit(&a->slow_reads, memory_order_relaxed);
}

/* The kernel reads ahead no more at a call than it does by itself, so it is asked for pieces. */
#define EXPECT_BYTES (128u << 10)

void hyc_source_expect(const struct hyc *a, uint32_t object, uint32_t block)
{
	const struct hyc_disk_block *b = hyc_block_record(a, object, block);
	uint64_t off = hyc_get64(b->off), end = off + hyc_get32(b->stored);

	for (; off < end; off += EXPECT_BYTES)
		posix_fadvise(a->index.fd, (off_t)off, (off_t)(end - off < EXPECT_BYTES ? end - off : EXPECT_BYTES), POSIX_FADV_WILLNEED);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Read the stored bytes of a block and check their hash. */
static int load_stored(struct hyc *a, uint32_t object, uint32_t block, uint8_t *stored)
{
	const struct hyc_disk_block *b = hyc_block_record(a, object, block);
	size_t len = hyc_get32(b->stored);
	uint64_t start = now_ns();
	int result = hyc_read_at(a->index.fd, stored, len, hyc_get64(b->off), SHORTER);

	if (result == SHORTER)
		return report(a, object, block, -EIO, "the archive ends too early; was it truncated?");
	if (result)
		return report(a, object, block, result, "the archive cannot be read");
	note_speed(a, len, now_ns() - start);
	atomic_fetch_add(&a->bytes_stored_read, len);
	if (hyc_hash64(stored, len) != hyc_get64(b->hash))
		return report(a, object, block, -EBADMSG, "the stored bytes are damaged (wrong hash)");
	return 0;
}

uint32_t hyc_source_staging(const struct hyc *a, uint32_t object, uint32_t block)
{
	uint32_t stored = hyc_get32(hyc_block_record(a, object, block)->stored);

	return stored == hyc_object_block_bytes(&a->index.objects[object], block) ? 0 : stored;
}

static int source_block(struct hyc *a, uint32_t object, uint32_t block, uint8_t *dst, uint8_t *staging)
{
	const struct hyc_disk_object *o = &a->index.objects[object];
	size_t stored_len = hyc_source_staging(a, object, block), len = hyc_object_block_bytes(o, block);
	struct hyc_coding coding = hyc_object_coding(&a->index, object);
	struct hyc_decode_count *count = &a->decode[coding.codec];
	uint64_t start = now_ns();
	int result = load_stored(a, object, block, stored_len ? staging : dst);

	if (result)
		return result;
	coding.pos = (uint64_t)block * hyc_get32(o->block_bytes);
	coding.key = a->serial << 32 | object;
	/* For a block stored as it is, reading is all there is. */
	if (stored_len) {
		start = now_ns();
		result = hyc_block_decode(&coding, staging, stored_len, dst, len);
		if (result)
			return report(a, object, block, result, result == -ENOMEM ? "no memory to decode it" :
				      "the block is malformed");
	}
	atomic_fetch_add(&count->blocks, 1);
	atomic_fetch_add(&count->decoded_bytes, len);
	atomic_fetch_add(&count->nanoseconds, now_ns() - start);
	return 0;
}

/*
 * The GPU for runs, or NULL. It is opened here because no thread reads ahead before the daemon has forked. With HYC_DEVICE_AUTO it
 * serves where the cores are few and decode in plain C, at 0.3 GB/s each: with AVX2 or AVX-512 even one core was faster than
 * the way to the GPU and back (doc/benchmarks-gpu.md).
 */
static const struct hyc_cuda_gpu *gpu_for_runs(struct hyc *a)
{
	const struct hyc_cuda_gpu *gpu = NULL;
	struct hyc_error err;

	if (a->device == HYC_DEVICE_CPU || (a->device == HYC_DEVICE_AUTO &&
					       (hyc_cpu_count() > AUTO_CORES || strcmp(hyc_backend_name(), "scalar"))))
		return NULL;
	if (!atomic_exchange(&a->gpu_asked, 1)) {
		if (hyc_cuda_gpu(-1, &gpu, &err))
			hyc_log(a->device == HYC_DEVICE_CUDA ? HYC_LOG_WARNING : HYC_LOG_INFO, "%s: decoding on the processor: %s",
				a->path, err.msg);
		atomic_store(&a->gpu, gpu);
	}
	gpu = atomic_load(&a->gpu);
	return gpu && !hyc_cuda_dead(gpu) ? gpu : NULL;
}

unsigned hyc_source_run_most(struct hyc *a)
{
	return gpu_for_runs(a) ? HYC_SOURCE_RUN : 1;
}

/* What the codec needs for all blocks of the object; -ENOMEM. */
static int build_state(struct hyc_coding *coding, void **state)
{
	const struct hyc_codec *codec = hyc_codec_get(coding->codec);

	if (!codec->build)
		return 0;
	*state = malloc(codec->state_bytes(coding));
	if (!*state)
		return -ENOMEM;
	codec->build(coding, *state);
	coding->state = *state;
	return 0;
}

/* The blocks of a run that are read and good, on the GPU; the others, and those it leaves, keep -EAGAIN or have their error. */
static void run_on_gpu(struct hyc *a, const struct hyc_cuda_gpu *gpu, uint32_t object, uint32_t first, unsigned n,
		       struct hyc_source_dst *dst)
{
	const struct hyc_disk_object *o = &a->index.objects[object];
	struct hyc_coding coding[HYC_SOURCE_RUN], common = hyc_object_coding(&a->index, object);
	struct hyc_decode_count *count = &a->decode_gpu[common.codec];
	struct hyc_cuda_block blocks[HYC_SOURCE_RUN];
	unsigned which[HYC_SOURCE_RUN], m = 0;
	cleanup_free void *state = NULL;
	uint64_t start;

	if (!hyc_cuda_takes(&common) || build_state(&common, &state))
		return;
	for (unsigned i = 0; i < n; i++) {
		uint32_t stored = hyc_source_staging(a, object, first + i);

		if (!stored)
			continue;
		dst[i].result = load_stored(a, object, first + i, dst[i].staging);
		if (dst[i].result)
			continue;
		dst[i].result = -EAGAIN;
		coding[m] = common;
		coding[m].pos = (uint64_t)(first + i) * hyc_get32(o->block_bytes);
		blocks[m] = (struct hyc_cuda_block){
			&coding[m], dst[i].staging, stored, dst[i].data, hyc_object_block_bytes(o, first + i), -EAGAIN,
		};
		which[m++] = i;
	}
	start = now_ns();
	hyc_cuda_decode_run(gpu, blocks, m);
	for (unsigned k = 0; k < m; k++) {
		dst[which[k]].result = blocks[k].result;
		if (blocks[k].result == -EBADMSG)
			report(a, object, first + which[k], -EBADMSG, "the block is malformed");
		if (blocks[k].result)
			continue;
		atomic_fetch_add(&count->blocks, 1);
		atomic_fetch_add(&count->decoded_bytes, blocks[k].dst_len);
	}
	atomic_fetch_add(&count->nanoseconds, now_ns() - start);
}

void hyc_source_run(struct hyc *a, uint32_t object, uint32_t first, unsigned n, struct hyc_source_dst *dst)
{
	const struct hyc_cuda_gpu *gpu = gpu_for_runs(a);

	for (unsigned i = 0; i < n; i++)
		dst[i].result = -EAGAIN;
	if (gpu)
		run_on_gpu(a, gpu, object, first, n, dst);
	for (unsigned i = 0; i < n; i++)
		if (dst[i].result == -EAGAIN)
			dst[i].result = source_block(a, object, first + i, dst[i].data, dst[i].staging);
}

int hyc_source_block(struct hyc *a, uint32_t object, uint32_t block, uint8_t *dst)
{
	uint32_t staging = hyc_source_staging(a, object, block);
	cleanup_free uint8_t *memory = staging ? malloc(staging) : NULL;

	if (staging && !memory)
		return report(a, object, block, -ENOMEM, "no memory to read it");
	return source_block(a, object, block, dst, memory);
}

int hyc_source_check(struct hyc *a, uint32_t object, uint32_t block)
{
	const struct hyc_disk_block *b = hyc_block_record(a, object, block);
	cleanup_free uint8_t *stored = malloc(hyc_get32(b->stored));

	if (!stored)
		return report(a, object, block, -ENOMEM, "no memory to read it");
	return load_stored(a, object, block, stored);
}

int hyc_source_fill(void *arg, const struct hyc_cache_slot *slot)
{
	struct hyc *a = arg;
	int result;

	atomic_fetch_add(&a->filling, 1);
	/* Somebody waits for it, and the way to the GPU and back is longer than decoding it here. */
	result = source_block(a, slot->key.object, slot->key.block, slot->dst, slot->staging);
	atomic_fetch_sub(&a->filling, 1);
	hyc_prefetch_relieved(a->prefetch);
	return result;
}

int hyc_source_stored(struct hyc *a, uint32_t object, uint32_t block, uint8_t *stored)
{
	return load_stored(a, object, block, stored);
}

int hyc_source_malformed(struct hyc *a, uint32_t object, uint32_t block)
{
	return report(a, object, block, -EBADMSG, "the block is malformed");
}
