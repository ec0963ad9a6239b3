/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-Compression: a warp decodes a unit of pairs. A lane has pairs 2l and 2l + 1 of each group of 64 and looks them up
 * in the object's table. Looking up 32 places of L1 takes 32 cycles, of shared memory a tenth of that, so several teams share
 * a block of threads and one copy of the table there, if it is small enough and theirs.
 */
#include "codec/cuda/warp.cuh"

#define TEAMS 4u               /* of a block of threads */
#define PAIRS_ROOM (60u << 10) /* bytes of a table in shared memory */
#define SHARED_BYTES (TEAMS * HYC_CUDA_TABLE_BYTES + TEAMS * HYC_CUDA_WARPS * RING_BYTES + PAIRS_ROOM)
#define PLAIN_PAIRS 32768u /* of a unit where the block has none of its own */

struct unit {
	uint32_t n;
	const uint8_t *states, *exceptions, *planes;
	uint32_t n_words, n_exceptions;
	uint8_t *dst;
	uint32_t room; /* bytes of dst: of all pairs, or one element less */
	const uint8_t *pairs;
	shared_at near;  /* the same table in shared memory */
	unsigned q;
};

template <unsigned BYTES> struct pair;

template <> struct pair<4> {
	typedef uint32_t word;
	typedef uint2 both;

	static __device__ both join(word a, word b)
	{
		return make_uint2(a, b);
	}
	static __device__ word near(shared_at pairs, uint32_t index)
	{
		return shared_load32(pairs + 4 * index);
	}
	static __device__ void store_half(uint8_t *dst, word v)
	{
		*(uint16_t *)dst = (uint16_t)v;
	}
};

template <> struct pair<8> {
	typedef uint2 word;
	typedef uint4 both;

	static __device__ both join(word a, word b)
	{
		return make_uint4(a.x, a.y, b.x, b.y);
	}
	static __device__ word near(shared_at pairs, uint32_t index)
	{
#ifdef HYC_EMULATE
		return *(const uint2 *)(pairs + 8 * index);
#else
		uint2 v;

		asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(pairs + 8 * index));
		return v;
#endif
	}
	static __device__ void store_half(uint8_t *dst, word v)
	{
		*(uint32_t *)dst = v.x;
	}
};

template <unsigned BYTES> HYC_INLINE typename pair<BYTES>::word load_pair(const uint8_t *pairs, uint32_t index)
{
	return ((const typename pair<BYTES>::word *)pairs)[index];
}

/* Pair e of the unit, or its first element where that is all there is room for. */
template <unsigned BYTES> HYC_INLINE void store_pair(const struct unit *u, uint32_t e, typename pair<BYTES>::word v)
{
	uint8_t *dst = u->dst + BYTES * e;

	if (BYTES * e + BYTES <= u->room)
		*(typename pair<BYTES>::word *)dst = v;
	else
		pair<BYTES>::store_half(dst, v);
}

#define CHUNK 256u /* pairs whose raw bits are loaded ahead */

/* The raw bits of the lane's pairs in a chunk. */
struct raw {
	uint32_t four, two;
};

/* The addresses depend, not the loads: so nothing waits for them before they are used. What is not there is masked out then. */
HYC_INLINE void raw_load(struct raw *r, const struct unit *u, uint32_t base, unsigned lane)
{
	const uint8_t *planes = u->planes + 4 * lane;

	r->four = load32(u->q >= 2 ? planes + base / 256 * 128 : u->states);
	r->two = load32(u->q & 1 ? planes + (u->q == 3 ? (u->n + 255) / 256 * 128 : 0) + base / 512 * 128 : u->states);
}

HYC_INLINE void raw_use(struct raw *r, const struct unit *u, uint32_t base)
{
	r->four = u->q >= 2 ? r->four : 0;
	r->two = u->q & 1 ? r->two >> (base & 256) / 32 : 0;
}

/* Those of the two pairs in group g, in the halves of a word. */
HYC_INLINE uint32_t raw_pair(const struct raw *r, unsigned two_shift, unsigned g)
{
	return (r->four >> 4 * g & 0x000f000f) | (r->two >> 2 * g & 0x00030003) << two_shift;
}

template <unsigned BYTES, bool NEAR, bool FULL>
HYC_INLINE void decode_group(const struct unit *u, const struct raw *r, struct words *w, uint32_t *x, shared_at table, uint32_t base,
			     unsigned g, unsigned lane)
{
	uint32_t e = base + 64 * g + 2 * lane, low = raw_pair(r, u->q == 3 ? 4 : 0, g);
	bool first = FULL || e < u->n, second = FULL || e + 1 < u->n;
	uint32_t a = symbol_of(step<FULL>(w, x, table, first)), b = symbol_of(step<FULL>(w, x, table, second));
	typename pair<BYTES>::word v, v2;

	a = a << 2 * u->q | (low & 0xffff);
	b = b << 2 * u->q | low >> 16;
	if (FULL) {
		v = NEAR ? pair<BYTES>::near(u->near, a) : load_pair<BYTES>(u->pairs, a);
		v2 = NEAR ? pair<BYTES>::near(u->near, b) : load_pair<BYTES>(u->pairs, b);
		*(typename pair<BYTES>::both *)(u->dst + BYTES * e) = pair<BYTES>::join(v, v2);
		return;
	}
	if (first)
		store_pair<BYTES>(u, e, load_pair<BYTES>(u->pairs, a));
	if (second)
		store_pair<BYTES>(u, e + 1, load_pair<BYTES>(u->pairs, b));
}

template <unsigned BYTES, bool NEAR>
HYC_INLINE bool decode_unit(const struct unit *u, shared_at ring, shared_at table, unsigned lane)
{
	/* Whole groups of whole pairs. */
	uint32_t x = load32(u->states + 4 * lane), whole = u->room / BYTES;
	struct raw r, next;
	struct words w;

	words_start(&w, ring, u->states, u->n_words, lane);
	raw_load(&next, u, 0, lane);
	for (uint32_t base = 0; base < u->n; base += CHUNK) {
		r = next;
		raw_use(&r, u, base);
		if (base + CHUNK < u->n)
			raw_load(&next, u, base + CHUNK, lane);
		if (base + CHUNK <= whole) {
#pragma unroll
			for (unsigned g = 0; g < 4; g++) {
				decode_group<BYTES, NEAR, true>(u, &r, &w, &x, table, base, g, lane);
				if (g % 2)
					words_check(&w, lane);
			}
			continue;
		}
#pragma unroll 1
		for (unsigned g = 0; g < 4 && base + 64 * g < u->n; g++) {
			words_check(&w, lane);
			decode_group<BYTES, NEAR, false>(u, &r, &w, &x, table, base, g, lane);
		}
	}
	return words_ended(&w, u->n_words, x);
}

/* The bits of pair e in a plane of b bits. */
HYC_INLINE uint32_t plane_bits(const uint8_t *plane, unsigned b, uint32_t e)
{
	uint32_t row = 1024 / b;

	return load32(plane + e / row * 128 + e / 2 % LANES * 4) >> (e % row / 64 * b + 16 * (e % 2)) & ((1u << b) - 1);
}

/* Exceptions in order: of those with the same position in a round of 32 the last one counts. */
template <unsigned BYTES>
static __device__ __noinline__ bool exceptions(const struct unit u, uint32_t symbols, unsigned lane)
{
	for (uint32_t i = 0; i < u.n_exceptions; i += LANES) {
		bool mine = i + lane < u.n_exceptions;
		uint32_t e = mine ? load16(u.exceptions + 4 * (i + lane)) : 0xffffffff - lane;
		uint32_t symbol = mine ? load16(u.exceptions + 4 * (i + lane) + 2) : 0, low = 0, same;

		if (__any_sync(ALL, mine && (e >= u.n || symbol >= symbols)))
			return false;
		__syncwarp();
		same = __match_any_sync(ALL, e);
		if (!mine || same >> lane != 1)
			continue;
		if (u.q >= 2)
			low = plane_bits(u.planes, 4, e);
		if (u.q & 1)
			low |= plane_bits(u.planes + (u.q == 3 ? (u.n + 255) / 256 * 128 : 0), 2, e) << (u.q == 3 ? 4 : 0);
		store_pair<BYTES>(&u, e, load_pair<BYTES>(u.pairs, symbol << 2 * u.q | low));
	}
	return true;
}

/* Pairs whose indices are stored as they are: one for all, or one for each. */
template <unsigned BYTES>
static __device__ __noinline__ bool copy_indices(const struct unit u, const uint8_t *indices, bool constant, uint32_t entries,
						 unsigned lane)
{
	for (uint32_t e = lane; e < u.n; e += LANES) {
		uint32_t index = load16(indices + (constant ? 0 : 2 * e));

		if (index >= entries)
			return false;
		store_pair<BYTES>(&u, e, load_pair<BYTES>(u.pairs, index));
	}
	return true;
}

/* One warp of a team: its unit, where it has one. */
template <unsigned BYTES>
HYC_INLINE void decode_warp(const struct hyc_cuda_args *a, struct hyc_cuda_team team, shared_at ring, shared_at slots, shared_at near)
{
	const struct hyc_cuda_job *job = &a->jobs[team.job];
	const struct hyc_cuda_head *head = &a->heads[team.job];
	unsigned lane = threadIdx.x % LANES;
	uint32_t i = team.first_unit + threadIdx.x / LANES % HYC_CUDA_WARPS;
	uint32_t full = head->mode[0] == 2 ? 1u << job->unit_log2 : PLAIN_PAIRS, first = i * full;
	const uint8_t *src = a->slab + job->src;
	struct unit u;
	bool good;

	if (head->bad || i >= job->n_units)
		return;
	u.n = job->n - first < full ? job->n - first : full;
	u.dst = (uint8_t *)job->dst + (size_t)BYTES * first;
	u.room = job->dst_len - BYTES * first < BYTES * u.n ? job->dst_len - BYTES * first : BYTES * u.n;
	u.pairs = a->slab + job->pairs_at;
	u.near = near;
	u.q = job->tile_log2;
	if (head->mode[0] == 2) {
		const uint8_t *dir = src + head->directory + 4 * i;

		u.n_words = load16(dir);
		u.n_exceptions = load16(dir + 2);
		u.states = src + a->units[job->first_unit + i];
		u.exceptions = u.states + STATES_BYTES + align_up(2 * u.n_words, 16);
		u.planes = u.exceptions + align_up(4 * u.n_exceptions, 16);
		good = near ? decode_unit<BYTES, true>(&u, ring, slots, lane) : decode_unit<BYTES, false>(&u, ring, slots, lane);
		__syncwarp();
		good = good && exceptions<BYTES>(u, job->symbols, lane);
	} else {
		bool constant = !head->mode[0];

		good = copy_indices<BYTES>(u, src + 2 + (constant ? 0 : 2 * first), constant, job->symbols << 2 * job->tile_log2, lane);
		good = __all_sync(ALL, good);
	}
	if (!good && !lane)
		a->status[team.job] = 1;
}

template <unsigned BYTES>
static __global__ void __launch_bounds__(TEAMS *HYC_CUDA_WARPS *LANES, 2)
hyper_kernel(struct hyc_cuda_args a, uint32_t first_team, uint32_t n_teams)
{
	HYC_DYNAMIC(shared);
	uint8_t *rings = shared + TEAMS * HYC_CUDA_TABLE_BYTES, *pairs = rings + TEAMS * HYC_CUDA_WARPS * RING_BYTES;
	unsigned mine = threadIdx.x / (HYC_CUDA_WARPS * LANES), left = n_teams - blockIdx.x * TEAMS;
	const struct hyc_cuda_team *teams = a.teams + first_team + blockIdx.x * TEAMS;
	uint64_t pairs_at = a.jobs[teams[0].job].pairs_at;
	uint32_t bytes = BYTES * (a.jobs[teams[0].job].symbols << 2 * a.jobs[teams[0].job].tile_log2);
	unsigned thread = threadIdx.x % (HYC_CUDA_WARPS * LANES);
	uint32_t *table = (uint32_t *)(shared + mine * HYC_CUDA_TABLE_BYTES);
	shared_at near = 0;

	/* The slab is aligned, and so is what is behind a table of pairs: 16 bytes at a time. */
	if (bytes <= PAIRS_ROOM)
		for (uint32_t i = threadIdx.x; i < (bytes + 15) / 16; i += blockDim.x)
			((uint4 *)pairs)[i] = ((const uint4 *)(a.slab + pairs_at))[i];
	if (mine < left && !a.heads[teams[mine].job].bad && a.heads[teams[mine].job].mode[0] == 2) {
		const uint32_t *from = a.tables + (size_t)a.jobs[teams[mine].job].first_table * SLOTS;

		for (unsigned i = thread; i < SLOTS / 4; i += HYC_CUDA_WARPS * LANES)
			((uint4 *)table)[i] = ((const uint4 *)from)[i];
	}
	__syncthreads();
	if (mine >= left)
		return;
	if (bytes <= PAIRS_ROOM && a.jobs[teams[mine].job].pairs_at == pairs_at)
		near = shared_of(pairs);
	decode_warp<BYTES>(&a, teams[mine], shared_of(rings + threadIdx.x / LANES * RING_BYTES), shared_of(table), near);
}

template <unsigned BYTES>
static void launch(const struct hyc_cuda_args *args, uint32_t first_team, uint32_t n_teams, void *stream)
{
	HYC_ALLOW_SHARED(hyper_kernel<BYTES>, SHARED_BYTES);
	HYC_LAUNCH_SHARED(hyper_kernel<BYTES>, (n_teams + TEAMS - 1) / TEAMS, TEAMS * HYC_CUDA_WARPS * LANES, SHARED_BYTES, stream, *args,
			  first_team, n_teams);
}

extern "C" void hyc_cuda_launch_hyper(const struct hyc_cuda_args *args, uint32_t kind, uint32_t first_team, uint32_t n_teams,
				      void *stream)
{
	if (kind == HYC_CUDA_HYPER_4)
		launch<4>(args, first_team, n_teams, stream);
	else
		launch<8>(args, first_team, n_teams, stream);
}
