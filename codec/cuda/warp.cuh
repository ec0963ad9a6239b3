/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernels share: loads, tables of slots, the stream of words a warp reads, and the arguments of a launch.
 * A warp decodes one unit; all 32 lanes run every step, idle ones too, so that votes are over the whole warp.
 */
#ifndef HYC_CODEC_CUDA_WARP_CUH
#define HYC_CODEC_CUDA_WARP_CUH

#include <stdint.h>

#include "codec/cuda/kernels.h"

#ifndef HYC_EMULATE
#define HYC_SHARED __shared__
#define HYC_LAUNCH(kernel, grid, threads, stream, ...) kernel<<<(grid), (threads), 0, (cudaStream_t)(stream)>>>(__VA_ARGS__)
#endif
#define HYC_INLINE static __device__ __forceinline__

#define ALL 0xffffffffu
#define LANES 32u
#define GROUP 64u
#define SLOTS 2048u
#define LOW 65536u
#define STATES_BYTES 128u
#define RING_BYTES 1024u /* of a warp: 512 bytes and their mirror */

HYC_INLINE uint32_t load16(const uint8_t *p)
{
	return *(const uint16_t *)p;
}

HYC_INLINE uint32_t load32(const uint8_t *p)
{
	return *(const uint32_t *)p;
}

HYC_INLINE uint32_t align_up(uint32_t n, uint32_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/*
 * A slot: frequency << 21 | (slot - start) << 10 | symbol, so that the frequency takes one shift and the symbol one mask.
 * Slots of a table that is malformed are never looked at.
 */
HYC_INLINE uint32_t slot_of(uint32_t freq, uint32_t bias, uint32_t symbol)
{
	return freq << 21 | bias << 10 | symbol;
}

/* The state before it takes a word. */
HYC_INLINE uint32_t next_state(uint32_t x, uint32_t slot)
{
	return (slot >> 21) * (x >> 11) + (slot >> 10 & (SLOTS - 1));
}

/* Bytes of a rans stream that follow its states. */
HYC_INLINE uint32_t tail_bytes(uint32_t n_words, uint32_t n_patches)
{
	return align_up(2 * n_words, 16) + align_up(4 * n_patches, 16);
}

/* Bytes of the raw planes of a field of b bits over n elements. */
HYC_INLINE uint32_t raw_bytes(unsigned b, uint32_t n)
{
	uint32_t bytes = b & 8 ? align_up(n, 16) : 0;

	for (unsigned w = 4; w; w /= 2)
		if (b & w)
			bytes += (n * w + 1023) / 1024 * 128;
	return bytes;
}

/*
 * The words of a stream, staged in shared memory: 256 bytes at a time go into a ring of 512, which is there twice so that
 * four steps (no more than 256 bytes) read on without a wrap. The lane has the 8 bytes after those in registers.
 */
struct words {
	uint8_t *ring;
	const uint8_t *from; /* of this lane's next 8 bytes */
	int32_t left;        /* bytes of the section from there on */
	uint2 ahead;
	uint32_t pos;        /* next word, in bytes of the ring */
	uint32_t lim;        /* bytes of the ring are good up to here */
	uint32_t passed;     /* bytes of the stream before the ring's first */
	uint32_t before;     /* the lanes before this one, as a mask */
};

HYC_INLINE void words_fetch(struct words *w)
{
	w->ahead = make_uint2(0, 0);
	if (w->left > 0)
		w->ahead = *(const uint2 *)w->from;
	w->from += 256;
	w->left -= 256;
}

HYC_INLINE void words_put(struct words *w, unsigned lane)
{
	uint2 *at = (uint2 *)(w->ring + (w->lim & 256)) + lane;

	__syncwarp();
	at[0] = w->ahead;
	at[64] = w->ahead;
	w->lim += 256;
	words_fetch(w);
	__syncwarp();
}

/* The section of words is padded to 16 bytes, so loads of 8 end inside it. */
HYC_INLINE void words_start(struct words *w, uint8_t *ring, const uint8_t *from, uint32_t n_words, unsigned lane)
{
	w->ring = ring;
	w->from = from + 8 * lane;
	w->left = (int32_t)align_up(2 * n_words, 16) - 8 * (int32_t)lane;
	w->pos = 0;
	w->lim = 0;
	w->passed = 0;
	w->before = (1u << lane) - 1;
	words_fetch(w);
	words_put(w, lane);
	words_put(w, lane);
}

/* Before every four steps. */
HYC_INLINE void words_check(struct words *w, unsigned lane)
{
	if (w->lim - w->pos < 256)
		words_put(w, lane);
	if (w->pos >= 512) {
		w->pos -= 512;
		w->lim -= 512;
		w->passed += 512;
	}
}

/* The lanes that need a word take the next ones, in their order. Past the end there are zeros: only the count tells. */
HYC_INLINE uint32_t words_take(struct words *w, uint32_t x, bool need)
{
	uint32_t mask = __ballot_sync(ALL, need);

	if (need)
		x = x << 16 | load16(w->ring + w->pos + 2 * __popc(mask & w->before));
	w->pos += 2 * __popc(mask);
	return x;
}

/* Whether the stream ended as it must: for all lanes the same answer. */
HYC_INLINE bool words_ended(const struct words *w, uint32_t n_words, uint32_t x)
{
	return __all_sync(ALL, x == LOW) && w->passed + w->pos == 2 * n_words;
}

/* One step without a trellis: the slot, and the new state in *x. */
HYC_INLINE uint32_t step(struct words *w, uint32_t *x, const uint32_t *table, bool active)
{
	uint32_t slot = table[*x & (SLOTS - 1)], y = next_state(*x, slot);

	if (active)
		*x = y;
	*x = words_take(w, *x, active && y < LOW);
	return slot;
}

/* All threads of a team: a table from the list to shared memory. */
HYC_INLINE void table_load(uint32_t *to, const uint32_t *from)
{
	for (unsigned i = threadIdx.x; i < SLOTS / 4; i += blockDim.x)
		((uint4 *)to)[i] = ((const uint4 *)from)[i];
}

#endif
