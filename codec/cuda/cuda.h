/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GPU from libhyc's side: the module, its devices and lanes, and batches of blocks.
 * A process opens a device once and keeps it. Where it lacks memory, the caller decodes on the processor what does not fit.
 * After any other error of CUDA a device is dead: nothing is sent to it any more.
 */
#ifndef HYC_CODEC_CUDA_CUDA_H
#define HYC_CODEC_CUDA_CUDA_H

#include <stdbool.h>

#include "codec/codec.h"
#include "codec/cuda/abi.h"

/* Stored bytes of a batch. Small enough that many lanes fit in pinned memory, large enough to hide the launches. */
#define HYC_CUDA_SLAB_BYTES ((size_t)6 << 20)

struct hyc_cuda_gpu {
	const struct hyc_cuda_module *module;
	struct hyc_cuda_device *device;
};

/*
 * Open the module and the device of this number (-1: the thread's current one), or find it open. Not before a fork:
 * CUDA does not survive one. -ENODEV with what is missing.
 */
int hyc_cuda_gpu(int number, const struct hyc_cuda_gpu **out, struct hyc_error *err) HYC_CHECKED;

/* Whether hyc_cuda_gpu would succeed, and a batch have memory, asked in a process of its own so that this one may still fork. */
int hyc_cuda_probe(int number, struct hyc_error *err) HYC_CHECKED;

/* What an error of CUDA means: -ENOMEM, or -EIO and the device is dead. */
int hyc_cuda_failed(const struct hyc_cuda_gpu *gpu, int error);
bool hyc_cuda_dead(const struct hyc_cuda_gpu *gpu);
/* What the device died of. */
const char *hyc_cuda_cause(const struct hyc_cuda_gpu *gpu);
/* Log that the processor does what the device cannot, once for each device that is full and once for each that is dead. */
void hyc_cuda_tell(const struct hyc_cuda_gpu *gpu);

/* Bytes of the host to memory of the device, in a caller's stream, without a lane. 0, -ENOMEM, -EIO. */
int hyc_cuda_upload(const struct hyc_cuda_gpu *gpu, void *dst, const void *src, size_t len, void *stream);

/* Where decoded bytes go: len of them from `skip` on. */
struct hyc_cuda_dest {
	void *dst;
	size_t skip, len;
	bool on_device;
};

/* A lane and the batch that is being put together for it. */
struct hyc_cuda_work;

/* A lane of its own for the caller until it is given back. NULL: no memory there, or the device is dead. */
struct hyc_cuda_work *hyc_cuda_work_take(const struct hyc_cuda_gpu *gpu);
/* The same with a slab of another size, which nobody gets afterwards. */
struct hyc_cuda_work *hyc_cuda_work_new(const struct hyc_cuda_gpu *gpu, size_t slab_bytes);
void hyc_cuda_work_give(struct hyc_cuda_work *work);

/* What is submitted from here on waits for what the caller's stream has been given until now. */
int hyc_cuda_work_follow(struct hyc_cuda_work *work, void *stream);

/* Whether the GPU takes blocks of this coding at all. */
bool hyc_cuda_takes(const struct hyc_coding *coding);

/* Whether a block still fits into the batch. One that does not fit into an empty batch is for the processor. */
bool hyc_cuda_work_fits(const struct hyc_cuda_work *work, const struct hyc_coding *coding, size_t src_len, size_t dst_len);

/* Where the stored bytes of the next block are to be put. */
uint8_t *hyc_cuda_work_place(const struct hyc_cuda_work *work);

/*
 * Add the block whose stored bytes are at the place: it fits, and coding->state is built where its codec has one. Its number
 * in the batch, -EBADMSG where it is malformed, -ENOMEM.
 */
int hyc_cuda_work_add(struct hyc_cuda_work *work, const struct hyc_coding *coding, size_t src_len, size_t dst_len,
		      const struct hyc_cuda_dest *dest);

/* The place has `taken` bytes, of which len from `skip` on are copied to an address of the device as they are. */
int hyc_cuda_work_copy(struct hyc_cuda_work *work, size_t taken, size_t skip, size_t len, void *dst);

/* Whether len bytes fit that are only copied. */
bool hyc_cuda_work_fits_copy(const struct hyc_cuda_work *work, size_t len);

/*
 * Start the batch, and wait for it; a batch that is empty is done. 0, -EIO: the device has died; -ENOMEM from submit: the batch
 * has no memory and is not decoded, nor will it be.
 */
int hyc_cuda_work_submit(struct hyc_cuda_work *work, uint32_t repeat);
int hyc_cuda_work_wait(struct hyc_cuda_work *work, double *seconds);

/* After the wait: whether block i of the batch was malformed. */
bool hyc_cuda_work_bad(const struct hyc_cuda_work *work, uint32_t i);
/* Forget the batch, so that the next one can be put together. */
void hyc_cuda_work_reset(struct hyc_cuda_work *work);

/* One block, from and to memory of the host. */
struct hyc_cuda_block {
	const struct hyc_coding *coding; /* with its state */
	const uint8_t *src;
	size_t src_len;
	uint8_t *dst;
	size_t dst_len;
	int result;                      /* 0 or -EBADMSG; -EAGAIN where it was not decoded */
};

/* Decode n blocks on the GPU, as far as it takes them. The caller decodes those that are left with -EAGAIN. */
void hyc_cuda_decode_run(const struct hyc_cuda_gpu *gpu, struct hyc_cuda_block *blocks, size_t n);

/* The decoder of the backend "cuda": on the GPU, or on the processor where that fails. */
int hyc_cuda_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len);

#endif
