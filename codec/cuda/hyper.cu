/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-Compression: a warp decodes a unit of pairs. A lane has pairs 2l and 2l + 1 of each group of 64 and looks them up
 * in the object's table, which is in the slab and soon in the multiprocessor's L1.
 */
#include "codec/cuda/warp.cuh"

#define PLAIN_PAIRS 32768u /* of a unit where the block has none of its own */

struct unit {
	uint32_t n;
	const uint8_t *states, *exceptions, *planes;
	uint32_t n_words, n_exceptions;
	uint8_t *dst;
	uint32_t room; /* bytes of dst: of all pairs, or one element less */
	const uint8_t *pairs;
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

/* The raw bits of the lane's two pairs in group g of the 512 from base on, in the halves of a word. */
struct raw {
	uint32_t four[2], two;
};

HYC_INLINE void raw_load(struct raw *r, const struct unit *u, uint32_t base, unsigned lane)
{
	const uint8_t *planes = u->planes + 4 * lane;

	if (u->q >= 2) {
		r->four[0] = load32(planes + base / 256 * 128);
		if (base + 256 < u->n)
			r->four[1] = load32(planes + base / 256 * 128 + 128);
	}
	if (u->q & 1)
		r->two = load32(planes + (u->q == 3 ? (u->n + 255) / 256 * 128 : 0) + base / 512 * 128);
}

HYC_INLINE uint32_t raw_pair(const struct raw *r, unsigned q, unsigned g)
{
	uint32_t v = (g < 4 ? r->four[0] : r->four[1]) >> 4 * (g % 4) & 0x000f000f, two = r->two >> 2 * g & 0x00030003;

	return q >= 2 ? q == 3 ? v | two << 4 : v : q ? two : 0;
}

template <unsigned BYTES, bool FULL>
HYC_INLINE void decode_group(const struct unit *u, const struct raw *r, struct words *w, uint32_t *x, const uint32_t *table,
			     uint32_t base, unsigned g, unsigned lane)
{
	uint32_t e = base + 64 * g + 2 * lane, low = raw_pair(r, u->q, g);
	bool first = FULL || e < u->n, second = FULL || e + 1 < u->n;
	uint32_t a = step(w, x, table, first) & 1023, b = step(w, x, table, second) & 1023;
	typename pair<BYTES>::word v, v2;

	a = a << 2 * u->q | (low & 0xffff);
	b = b << 2 * u->q | low >> 16;
	if (FULL) {
		v = load_pair<BYTES>(u->pairs, a);
		v2 = load_pair<BYTES>(u->pairs, b);
		*(typename pair<BYTES>::both *)(u->dst + BYTES * e) = pair<BYTES>::join(v, v2);
		return;
	}
	if (first)
		store_pair<BYTES>(u, e, load_pair<BYTES>(u->pairs, a));
	if (second)
		store_pair<BYTES>(u, e + 1, load_pair<BYTES>(u->pairs, b));
}

template <unsigned BYTES>
HYC_INLINE bool decode_unit(const struct unit *u, uint8_t *ring, const uint32_t *table, unsigned lane)
{
	/* Whole groups of whole pairs. */
	uint32_t x = load32(u->states + 4 * lane), whole = u->room / BYTES, base = 0;
	struct raw r = { { 0, 0 }, 0 };
	struct words w;

	words_start(&w, ring, u->states + STATES_BYTES, u->n_words, lane);
	for (; base + 512 <= whole; base += 512) {
		raw_load(&r, u, base, lane);
#pragma unroll
		for (unsigned g = 0; g < 8; g++) {
			decode_group<BYTES, true>(u, &r, &w, &x, table, base, g, lane);
			if (g % 2)
				words_check(&w, lane);
		}
	}
	if (base < u->n) {
		raw_load(&r, u, base, lane);
#pragma unroll 1
		for (unsigned g = 0; base + 64 * g < u->n; g++) {
			words_check(&w, lane);
			decode_group<BYTES, false>(u, &r, &w, &x, table, base, g, lane);
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

template <unsigned BYTES>
static __global__ void __launch_bounds__(HYC_CUDA_WARPS *LANES, 4) hyper_kernel(struct hyc_cuda_args a, uint32_t first_team)
{
	__shared__ __align__(16) uint32_t table[SLOTS];
	__shared__ __align__(16) uint8_t rings[HYC_CUDA_WARPS * RING_BYTES];
	struct hyc_cuda_team team = a.teams[first_team + blockIdx.x];
	const struct hyc_cuda_job *job = &a.jobs[team.job];
	const struct hyc_cuda_head *head = &a.heads[team.job];
	unsigned lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
	uint32_t i = team.first_unit + warp, full = head->mode[0] == 2 ? 1u << job->unit_log2 : PLAIN_PAIRS, first = i * full;
	const uint8_t *src = a.slab + job->src;
	struct unit u;
	bool good;

	/* The same for all warps, so that they meet at the barrier. */
	if (head->bad)
		return;
	if (head->mode[0] == 2)
		table_load(table, a.tables + (size_t)job->first_table * SLOTS);
	__syncthreads();
	if (i >= job->n_units)
		return;
	u.n = job->n - first < full ? job->n - first : full;
	u.dst = (uint8_t *)job->dst + (size_t)BYTES * first;
	u.room = job->dst_len - BYTES * first < BYTES * u.n ? job->dst_len - BYTES * first : BYTES * u.n;
	u.pairs = a.slab + job->pairs_at;
	u.q = job->tile_log2;
	if (head->mode[0] == 2) {
		const uint8_t *dir = src + head->directory + 4 * i;

		u.n_words = load16(dir);
		u.n_exceptions = load16(dir + 2);
		u.states = src + a.units[job->first_unit + i];
		u.exceptions = u.states + STATES_BYTES + align_up(2 * u.n_words, 16);
		u.planes = u.exceptions + align_up(4 * u.n_exceptions, 16);
		good = decode_unit<BYTES>(&u, rings + warp * RING_BYTES, table, lane);
		__syncwarp();
		good = good && exceptions<BYTES>(u, job->symbols, lane);
	} else {
		bool constant = !head->mode[0];

		good = copy_indices<BYTES>(u, src + 2 + (constant ? 0 : 2 * first), constant, job->symbols << 2 * job->tile_log2, lane);
		good = __all_sync(ALL, good);
	}
	if (!good && !lane)
		a.status[team.job] = 1;
}

extern "C" void hyc_cuda_launch_hyper(const struct hyc_cuda_args *args, uint32_t kind, uint32_t first_team, uint32_t n_teams,
				      void *stream)
{
	const unsigned threads = HYC_CUDA_WARPS * LANES;

	if (kind == HYC_CUDA_HYPER_4)
		HYC_LAUNCH(hyper_kernel<4>, n_teams, threads, stream, *args, first_team);
	else
		HYC_LAUNCH(hyper_kernel<8>, n_teams, threads, stream, *args, first_team);
}
