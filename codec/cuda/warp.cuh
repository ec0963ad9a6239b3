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
#define HYC_LAUNCH(kernel, grid, threads, stream, ...) kernel<<<(grid), (threads), 0, (cudaStream_t)(stream)>>>(__VA_ARGS__)
/* Shared memory whose size the launch says. */
#define HYC_DYNAMIC(name) extern __shared__ __align__(16) uint8_t name[]
#define HYC_ALLOW_SHARED(kernel, bytes) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes))
#define HYC_LAUNCH_SHARED(kernel, grid, threads, bytes, stream, ...) \
	kernel<<<(grid), (threads), (bytes), (cudaStream_t)(stream)>>>(__VA_ARGS__)

/* Bytes of shared memory that a block of threads may have at most. */
static inline uint32_t shared_most(void)
{
	int device = 0, most = 0;

	if (cudaGetDevice(&device) || cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device))
		return 0;
	return (uint32_t)most;
}
#endif
#define HYC_INLINE static __device__ __forceinline__

#define ALL 0xffffffffu
#define LANES 32u
#define GROUP 64u
#define SLOTS 2048u
#define LOW 65536u
#define STATES_BYTES 128u
#define REFILL 512u      /* bytes that go into a ring at once: no fewer than eight steps read */
#define BEFORE_RING 16u  /* bytes before a ring, of which the last two are read, but not used */
#define RING_BYTES 2064u /* of a warp: those, three refills, and the first one again behind them */

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

/* One value four times. */
HYC_INLINE void shared_store16(shared_at at, uint32_t v)
{
#ifdef HYC_EMULATE
	*(uint4 *)at = make_uint4(v, v, v, v);
#else
	asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(at), "r"(v) : "memory");
#endif
}

/* Copies of 16 bytes from global memory, which come some time after: when shared_wait returns, all that were committed before. */
HYC_INLINE void shared_copy16(shared_at to, const uint8_t *from)
{
#ifdef HYC_EMULATE
	*(uint4 *)to = *(const uint4 *)from;
#else
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
#endif
}

HYC_INLINE void shared_commit(void)
{
#ifndef HYC_EMULATE
	asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* But for the last `but` that were committed. */
template <int BUT> HYC_INLINE void shared_wait(void)
{
#ifndef HYC_EMULATE
	asm volatile("cp.async.wait_group %0;" ::"n"(BUT) : "memory");
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

HYC_INLINE void put128(uint8_t *p, uint4 v)
{
#ifdef HYC_EMULATE
	*(uint4 *)p = v;
#else
	asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
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
 * A slot: frequency << 21 | slot - start << 10 | symbol, so that one multiplication by 2^11 gives the frequency above the lower 32 bits
 * and leaves what is to be added at their top. Slots of a table that is malformed are never looked at.
 */
HYC_INLINE uint32_t slot_of(uint32_t freq, uint32_t bias, uint32_t symbol)
{
	return freq << 21 | bias << 10 | symbol;
}

/*
 * tcq needs the parity of the index k in the lowest bit, which in a slot as above is the symbol's. Where all frequencies are
 * below 1024 a table is narrow: its slots have the level itself, plus 1024, above the parity, so that nothing is to be computed.
 */
#define NARROW_LIMIT 1024u

HYC_INLINE uint32_t narrow_slot_of(uint32_t freq, uint32_t bias, uint32_t level, uint32_t parity)
{
	return freq << 22 | bias << 12 | level << 1 | parity;
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
 * The words of a stream, staged in shared memory: a ring of three refills of 512 bytes each. The first refill is there again
 * behind the third, so that eight steps (no more than 512 bytes) read on without a wrap. While two are there, the third is
 * on its way, by a copy that needs no registers: so no other load is waited for when it is.
 */
struct words {
	const uint8_t *states; /* the stream's first bytes, read again where there are no more */
	uint32_t next, end;  /* of this lane's next 16 bytes, and of the section, from there */
	shared_at ring;
	shared_at pos;       /* of the last word that was taken, which is before the ring at first */
	shared_at lim;       /* the ring is good up to here: 1024, 1536 or 2048 of it */
	uint32_t upto;       /* the lanes up to this one, as a mask */
	uint32_t two10, two11, two21; /* powers of two: see split */
};

/* Begin to copy the next refill to offset `to` of the ring, and commit nothing. */
HYC_INLINE void words_fetch(struct words *w, uint32_t to, unsigned lane)
{
	/* The section of words is padded to 16 bytes, so 16 bytes end inside it. */
	const uint8_t *from = w->states + (w->next < w->end ? w->next : 0);
	shared_at at = w->ring + to + 16 * lane;

	shared_copy16(at, from);
	if (!to)
		shared_copy16(at + 3 * REFILL, from);
	w->next += REFILL;
}

/* For the whole warp there is what was committed, but for the last BUT times. */
template <int BUT> HYC_INLINE void words_ready(void)
{
	shared_wait<BUT>();
	__syncwarp();
}

/* Eight more steps: the refill that is on its way must have come, and the one that is not needed any more can be overwritten. */
template <int BUT> HYC_INLINE void words_put(struct words *w, unsigned lane)
{
	uint32_t to = (uint32_t)(w->lim - w->ring) - 2 * REFILL;

	words_ready<BUT>();
	if (to == 2 * REFILL) {
		w->pos -= 3 * REFILL;
		w->lim -= 3 * REFILL;
	}
	w->lim += REFILL;
	words_fetch(w, to, lane);
}

/* All of the ring is on its way then: words_ready must come before the first word is taken. */
HYC_INLINE void words_start(struct words *w, shared_at ring, const uint8_t *states, uint32_t n_words, const struct hyc_cuda_args *a,
			    unsigned lane)
{
	w->states = states;
	w->next = STATES_BYTES + 16 * lane;
	w->end = STATES_BYTES + align_up(2 * n_words, 16);
	w->ring = ring;
	w->pos = ring - 2;
	w->lim = ring + 2 * REFILL;
	w->upto = (2u << lane) - 1;
	w->two10 = a->two10;
	w->two11 = a->two11;
	w->two21 = a->two21;
	words_fetch(w, 0, lane);
	words_fetch(w, REFILL, lane);
	words_fetch(w, 2 * REFILL, lane);
	shared_commit();
}

/*
 * Before every eight steps; a commit must follow. BUT: how often others committed since the last one. The vote tells the
 * compiler that the warp stays together.
 */
template <int BUT> HYC_INLINE bool words_check(struct words *w, unsigned lane)
{
	bool due = __any_sync(ALL, w->lim - w->pos < REFILL + 2);

	if (due)
		words_put<BUT>(w, lane);
	return due;
}

/* The same where nothing else is committed. */
HYC_INLINE void words_step(struct words *w, unsigned lane)
{
	if (words_check<0>(w, lane))
		shared_commit();
}

/* The lanes that need a word take the next ones, in their order. Past the end there is anything: only the count tells. */
HYC_INLINE uint32_t words_take_some(struct words *w, uint32_t x, bool need)
{
	uint32_t mask = __ballot_sync(ALL, need);

	if (need)
		x = x << 16 | shared_load16(w->pos + 2 * __popc(mask & w->upto));
	w->pos += 2 * __popc(mask);
	return x;
}

/*
 * The same where all lanes are active. Lanes that need no word load one, too, because a load that may not be costs a move; at the
 * stream's start that is one before the ring. The last lane knows how far they came.
 */
HYC_INLINE uint32_t words_take(struct words *w, uint32_t x)
{
#ifdef HYC_EMULATE
	return words_take_some(w, x, x < LOW);
#else
	asm volatile("{\n\t"
		     ".reg .pred p;\n\t"
		     ".reg .b32 mask, at, word;\n\t"
		     "setp.lt.u32 p, %0, 65536;\n\t"
		     "vote.sync.ballot.b32 mask, p, 0xffffffff;\n\t"
		     "and.b32 mask, mask, %2;\n\t"
		     "popc.b32 mask, mask;\n\t"
		     "mad.lo.u32 at, mask, 2, %1;\n\t"
		     "ld.shared.u16 word, [at];\n\t"
		     "shfl.sync.idx.b32 %1, at, 31, 31, 0xffffffff;\n\t"
		     "@p prmt.b32 %0, %0, word, 0x1054;\n\t"
		     "}"
		     : "+r"(x), "+r"(w->pos)
		     : "r"(w->upto));
	return x;
#endif
}

/* Whether the stream ended as it must: for all lanes the same answer. */
HYC_INLINE bool words_ended(const struct words *w, uint32_t n_words, unsigned lane, uint32_t x)
{
	/* What is in the ring or was, less what is left there. */
	uint32_t put = w->next - STATES_BYTES - 16 * lane - REFILL;

	words_ready<0>();
	return __all_sync(ALL, x == LOW) && put - (uint32_t)(w->lim - w->pos - 2) == 2 * n_words;
}

/*
 * v * factor, the upper and the lower half: a shift to both sides at once. Where the compiler cannot see that the factor is a power
 * of two it is a multiplication, and so not for the pipe that has most to do.
 */
HYC_INLINE uint32_t split(uint32_t v, uint32_t factor, uint32_t *low)
{
#ifdef HYC_EMULATE
	*low = v * factor;
	return (uint32_t)((uint64_t)v * factor >> 32);
#else
	uint32_t high;

	asm("{\n\t"
	    ".reg .b64 both;\n\t"
	    "mul.wide.u32 both, %2, %3;\n\t"
	    "mov.b64 {%0, %1}, both;\n\t"
	    "}"
	    : "=r"(*low), "=r"(high)
	    : "r"(v), "r"(factor));
	return high;
#endif
}

/* The state after x, of which these are the bits above the lowest 11, but for words. NARROW: as tcq has it. */
template <bool NARROW> HYC_INLINE uint32_t next_state(const struct words *w, uint32_t high, uint32_t slot)
{
	uint32_t low, freq = split(slot, NARROW ? w->two10 : w->two11, &low);

	return freq * high + (low >> (NARROW ? 22 : 21));
}

/* One step without a trellis: the slot, and the new state in *x. FULL: all lanes are active. */
template <bool FULL> HYC_INLINE uint32_t step(struct words *w, uint32_t *x, shared_at table, bool active)
{
	uint32_t low, high = split(*x, w->two21, &low), slot = shared_load32(table + (low >> 19)), y = next_state<false>(w, high, slot);

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
	return slot & 1023;
}

/* The part of a raw plane that this lane copies for a chunk of elements, and how many bytes of the plane there are from there. */
struct piece {
	const uint8_t *from;
	int32_t left;
};

HYC_INLINE struct piece piece_of(const uint8_t *plane, uint32_t bytes, uint32_t offset)
{
	return { plane + offset, (int32_t)(bytes - offset) };
}

/* To shared memory, and on to that of the next chunk. */
HYC_INLINE void piece_copy(struct piece *p, shared_at to, uint32_t step)
{
	if (p->left > 0)
		shared_copy16(to, p->from);
	p->from += step;
	p->left -= (int32_t)step;
}

/* All threads of a block of HYC_CUDA_WARPS warps: begin to copy N slots to shared memory. */
template <uint32_t N> HYC_INLINE void slots_copy(shared_at to, const uint32_t *from)
{
	const uint32_t step = 4 * HYC_CUDA_WARPS * LANES;

#pragma unroll
	for (uint32_t i = 0; i < N; i += step)
		shared_copy16(to + 4 * i + 16 * threadIdx.x, (const uint8_t *)(from + i + 4 * threadIdx.x));
	shared_commit();
}

#endif
