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
/* Shared memory whose size the launch says. */
#define HYC_DYNAMIC(name) extern __shared__ __align__(16) uint8_t name[]
#define HYC_ALLOW_SHARED(kernel, bytes) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes))
#define HYC_LAUNCH_SHARED(kernel, grid, threads, bytes, stream, ...) \
	kernel<<<(grid), (threads), (bytes), (cudaStream_t)(stream)>>>(__VA_ARGS__)
#endif
#define HYC_INLINE static __device__ __forceinline__

#define ALL 0xffffffffu
#define LANES 32u
#define GROUP 64u
#define SLOTS 2048u
#define LOW 65536u
#define STATES_BYTES 128u
#define RING_BYTES 1024u /* of a warp: 512 bytes and their mirror */

/*
 * Shared memory by its own addresses of 32 bits, because generic ones cost instructions in the innermost loop. These and the
 * step below are the only assembly; the order of volatile assembly is kept, and __syncwarp stands between writes and reads.
 */
#ifdef HYC_EMULATE
typedef uintptr_t shared_at;
#else
typedef uint32_t shared_at;
#endif

HYC_INLINE shared_at shared_of(const void *p)
{
#ifdef HYC_EMULATE
	return (uintptr_t)p;
#else
	return (uint32_t)__cvta_generic_to_shared(p);
#endif
}

HYC_INLINE uint32_t shared_load32(shared_at at)
{
#ifdef HYC_EMULATE
	return *(const uint32_t *)at;
#else
	uint32_t v;

	asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(at));
	return v;
#endif
}

HYC_INLINE uint32_t shared_load16(shared_at at)
{
#ifdef HYC_EMULATE
	return *(const uint16_t *)at;
#else
	uint16_t v;

	asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(at));
	return v;
#endif
}

HYC_INLINE void shared_store8(shared_at at, uint2 v)
{
#ifdef HYC_EMULATE
	*(uint2 *)at = v;
#else
	asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(at), "r"(v.x), "r"(v.y));
#endif
}

/* To output, which is not read again soon. */
HYC_INLINE void put32(uint8_t *p, uint32_t v)
{
#ifdef HYC_EMULATE
	*(uint32_t *)p = v;
#else
	asm volatile("st.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
#endif
}

HYC_INLINE void put64(uint8_t *p, uint32_t low, uint32_t high)
{
#ifdef HYC_EMULATE
	*(uint2 *)p = make_uint2(low, high);
#else
	asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(p), "r"(low), "r"(high) : "memory");
#endif
}

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
 * A slot: frequency << 21 | symbol << 11 | slot - start, so that the frequency takes one shift and the last one mask; tcq, which
 * needs the symbol's lowest bit where it is, has the two lower ones the other way round. Slots of a table that is malformed are
 * never looked at.
 */
#define SYMBOL_SHIFT 11u

HYC_INLINE uint32_t slot_of(uint32_t freq, uint32_t bias, uint32_t symbol)
{
	return freq << 21 | symbol << SYMBOL_SHIFT | bias;
}

HYC_INLINE uint32_t tcq_slot_of(uint32_t freq, uint32_t bias, uint32_t symbol)
{
	return freq << 21 | bias << 10 | symbol;
}

/* Where the slot for state x is in a table. */
HYC_INLINE shared_at slot_at(shared_at table, uint32_t x)
{
	return table + 4 * (x & (SLOTS - 1));
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
	const uint8_t *states; /* the stream's first bytes, read again where there are no more */
	uint32_t next, end;  /* of this lane's next 8 bytes, and of the section, from there */
	uint2 ahead;
	shared_at ring;
	shared_at pos;       /* of the next word in the ring */
	shared_at lim;       /* the ring is good up to here */
	uint32_t passed;     /* bytes of the stream before the ring's first */
	uint32_t before;     /* the lanes before this one, as a mask */
};

HYC_INLINE void words_fetch(struct words *w)
{
	/* The address depends, not the load: so nothing waits for it before it is used. */
	w->ahead = *(const uint2 *)(w->states + (w->next < w->end ? w->next : 0));
	w->next += 256;
}

HYC_INLINE void words_put(struct words *w, unsigned lane)
{
	shared_at at = w->ring + (uint32_t)((w->lim - w->ring) & 256) + 8 * lane;

	__syncwarp();
	shared_store8(at, w->ahead);
	shared_store8(at + 512, w->ahead);
	w->lim += 256;
	words_fetch(w);
	__syncwarp();
}

/* The section of words is padded to 16 bytes, so loads of 8 end inside it. */
HYC_INLINE void words_start(struct words *w, shared_at ring, const uint8_t *states, uint32_t n_words, unsigned lane)
{
	w->states = states;
	w->next = STATES_BYTES + 8 * lane;
	w->end = STATES_BYTES + align_up(2 * n_words, 16);
	w->ring = w->pos = w->lim = ring;
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
	if (w->pos - w->ring >= 512) {
		w->pos -= 512;
		w->lim -= 512;
		w->passed += 512;
	}
}

/* The lanes that need a word take the next ones, in their order. Past the end there is anything: only the count tells. */
HYC_INLINE uint32_t words_take_some(struct words *w, uint32_t x, bool need)
{
	uint32_t mask = __ballot_sync(ALL, need);

	if (need)
		x = x << 16 | shared_load16(w->pos + 2 * __popc(mask & w->before));
	w->pos += 2 * __popc(mask);
	return x;
}

/* The same where all lanes are active. */
HYC_INLINE uint32_t words_take(struct words *w, uint32_t x)
{
#ifdef HYC_EMULATE
	return words_take_some(w, x, x < LOW);
#else
	asm volatile("{\n\t"
		     ".reg .pred p;\n\t"
		     ".reg .b32 mask, rank, word;\n\t"
		     "setp.lt.u32 p, %0, 65536;\n\t"
		     "vote.sync.ballot.b32 mask, p, 0xffffffff;\n\t"
		     "and.b32 rank, mask, %2;\n\t"
		     "popc.b32 rank, rank;\n\t"
		     "popc.b32 mask, mask;\n\t"
		     "mad.lo.u32 rank, rank, 2, %1;\n\t"
		     "mad.lo.u32 %1, mask, 2, %1;\n\t"
		     "@p ld.shared.u16 word, [rank];\n\t"
		     "@p prmt.b32 %0, %0, word, 0x1054;\n\t"
		     "}"
		     : "+r"(x), "+r"(w->pos)
		     : "r"(w->before));
	return x;
#endif
}

/* Whether the stream ended as it must: for all lanes the same answer. */
HYC_INLINE bool words_ended(const struct words *w, uint32_t n_words, uint32_t x)
{
	return __all_sync(ALL, x == LOW) && w->passed + (uint32_t)(w->pos - w->ring) == 2 * n_words;
}

/* One step without a trellis: the slot, and the new state in *x. FULL: all lanes are active. */
template <bool FULL> HYC_INLINE uint32_t step(struct words *w, uint32_t *x, shared_at table, bool active)
{
	uint32_t slot = shared_load32(slot_at(table, *x)), y = (slot >> 21) * (*x >> 11) + (slot & (SLOTS - 1));

	if (FULL) {
		*x = words_take(w, y);
	} else {
		if (active)
			*x = y;
		*x = words_take_some(w, *x, active && y < LOW);
	}
	return slot;
}

HYC_INLINE uint32_t symbol_of(uint32_t slot)
{
	return slot >> SYMBOL_SHIFT & 1023;
}

/* All threads of a team: a table from the list to shared memory. */
HYC_INLINE void table_load(uint32_t *to, const uint32_t *from)
{
	for (unsigned i = threadIdx.x; i < SLOTS / 4; i += blockDim.x)
		((uint4 *)to)[i] = ((const uint4 *)from)[i];
}

#endif
