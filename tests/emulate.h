/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels on a processor: a team of threads as coroutines, which take turns where a warp votes, shuffles or meets at a
 * barrier. Slow and faithful: a lane that skips a vote stops the test. Included before a .cu file that a C++ compiler reads.
 */
#ifndef HYC_TESTS_EMULATE_H
#define HYC_TESTS_EMULATE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HYC_EMULATE 1
#define __global__
#define __device__
#define __constant__
#define __forceinline__ inline
#define __noinline__
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __shared__ static
#define HYC_LAUNCH(kernel, grid, threads, stream, ...) \
	emulate_launch((grid), (threads), [=]() { kernel(__VA_ARGS__); })

#define HYC_DYNAMIC(name) static uint8_t name[256 << 10] __attribute__((aligned(16)))
#define HYC_ALLOW_SHARED(kernel, bytes) ((void)0)
static inline uint32_t shared_most(void) { return 256 << 10; }
#define HYC_LAUNCH_SHARED(kernel, grid, threads, bytes, stream, ...) HYC_LAUNCH(kernel, grid, threads, stream, __VA_ARGS__)

struct emulate_index { unsigned x; };
extern struct emulate_index emulate_thread, emulate_block, emulate_size;
#define threadIdx emulate_thread
#define blockIdx emulate_block
#define blockDim emulate_size

struct uint2 { uint32_t x, y; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct float2 { float x, y; };

static inline uint2 make_uint2(uint32_t x, uint32_t y) { return uint2{ x, y }; }
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return uint4{ x, y, z, w }; }
static inline float2 make_float2(float x, float y) { return float2{ x, y }; }

typedef void (*emulate_call)(void *);
extern "C" void emulate_run(unsigned grid, unsigned threads, emulate_call call, void *arg);
extern "C" void emulate_team_barrier(void);
/* Each lane of the warp brings a value; all get the array of the 32. */
extern "C" const uint32_t *emulate_exchange(uint32_t value);
extern "C" uint16_t emulate_round(int half, float f);

template <class F> static void emulate_launch(unsigned grid, unsigned threads, const F &f)
{
	emulate_run(grid, threads, [](void *arg) { (*(const F *)arg)(); }, (void *)&f);
}

static inline void __syncthreads() { emulate_team_barrier(); }
static inline void __syncwarp() { emulate_exchange(0); }

static inline uint32_t __ballot_sync(uint32_t, bool v)
{
	const uint32_t *all = emulate_exchange(v);
	uint32_t mask = 0;

	for (unsigned i = 0; i < 32; i++)
		mask |= (uint32_t)(all[i] != 0) << i;
	return mask;
}

static inline uint32_t __reduce_or_sync(uint32_t, uint32_t v)
{
	const uint32_t *all = emulate_exchange(v);
	uint32_t bits = 0;

	for (unsigned i = 0; i < 32; i++)
		bits |= all[i];
	return bits;
}

static inline bool __any_sync(uint32_t m, bool v) { return __ballot_sync(m, v) != 0; }
static inline bool __all_sync(uint32_t m, bool v) { return __ballot_sync(m, v) == 0xffffffffu; }

static inline uint32_t __match_any_sync(uint32_t, uint32_t v)
{
	const uint32_t *all = emulate_exchange(v);
	uint32_t mask = 0;

	for (unsigned i = 0; i < 32; i++)
		mask |= (uint32_t)(all[i] == v) << i;
	return mask;
}

template <class T> static inline T __shfl_sync(uint32_t, T v, int lane)
{
	uint32_t u;
	T out;

	memcpy(&u, &v, 4);
	u = emulate_exchange(u)[lane & 31];
	memcpy(&out, &u, 4);
	return out;
}

template <class T> static inline T __shfl_up_sync(uint32_t, T v, unsigned delta)
{
	unsigned lane = emulate_thread.x % 32;
	const uint32_t *all;
	uint32_t u;
	T out;

	memcpy(&u, &v, 4);
	all = emulate_exchange(u);
	u = all[lane >= delta ? lane - delta : lane];
	memcpy(&out, &u, 4);
	return out;
}

static inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector)
{
	uint64_t from = (uint64_t)b << 32 | a;
	uint32_t to = 0;

	for (unsigned i = 0; i < 4; i++)
		to |= (uint32_t)(from >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
	return to;
}

static inline int __popc(uint32_t v) { return __builtin_popcount(v); }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
static inline float __uint_as_float(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
static inline uint32_t __float_as_uint(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }

#endif
