/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks from and to memory of the host: the GPU under the mount. */
#include "config.h"

#include "codec/cuda/cuda.h"

#include <errno.h>
#include <string.h>

#include "codec/decoders.h"

/* Add blocks from *next on until the batch is full. number[] gets which block each job is. */
static int fill_batch(struct hyc_cuda_work *w, struct hyc_cuda_block *blocks, size_t n, size_t *next, size_t *number, size_t most)
{
	int jobs = 0;

	for (; *next < n && (size_t)jobs < most; ++*next) {
		struct hyc_cuda_block *b = &blocks[*next];
		struct hyc_cuda_dest dest = { b->dst, 0, b->dst_len, false };

		if (b->src_len == b->dst_len) {
			memcpy(b->dst, b->src, b->dst_len);
			b->result = 0;
			continue;
		}
		if (!hyc_cuda_takes(b->coding))
			continue;
		if (!hyc_cuda_work_fits(w, b->coding, b->src_len, b->dst_len)) {
			/* One that is too large by itself is left out. */
			if (jobs)
				break;
			continue;
		}
		memcpy(hyc_cuda_work_place(w), b->src, b->src_len);
		b->result = hyc_cuda_work_add(w, b->coding, b->src_len, b->dst_len, &dest);
		if (b->result == -ENOMEM)
			return -ENOMEM;
		if (b->result < 0)
			continue;
		number[jobs++] = *next;
		b->result = -EAGAIN;
	}
	return jobs;
}

void hyc_cuda_decode_run(const struct hyc_cuda_gpu *gpu, struct hyc_cuda_block *blocks, size_t n)
{
	struct hyc_cuda_work *w = hyc_cuda_work_take(gpu);
	int result = w ? 0 : -ENOMEM;
	size_t number[256];

	for (size_t i = 0; i < n; i++)
		blocks[i].result = -EAGAIN;
	for (size_t next = 0; !result && next < n;) {
		int jobs = fill_batch(w, blocks, n, &next, number, sizeof number / sizeof number[0]);

		result = jobs < 0 ? jobs : hyc_cuda_work_submit(w, 0);
		if (!result)
			result = hyc_cuda_work_wait(w, NULL);
		for (int i = 0; i < jobs && !result; i++)
			blocks[number[i]].result = hyc_cuda_work_bad(w, (uint32_t)i) ? -EBADMSG : 0;
		hyc_cuda_work_reset(w);
	}
	hyc_cuda_work_give(w);
	if (result)
		hyc_cuda_tell(gpu);
}

int hyc_cuda_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	struct hyc_cuda_block block = { coding, src, src_len, dst, dst_len, -EAGAIN };
	const struct hyc_cuda_gpu *gpu;

	if (!hyc_cuda_gpu(-1, &gpu, NULL))
		hyc_cuda_decode_run(gpu, &block, 1);
	return block.result == -EAGAIN ? hyc_cpu_decode(coding, src, src_len, dst, dst_len) : block.result;
}
