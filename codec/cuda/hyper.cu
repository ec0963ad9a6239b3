/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-Compression: a warp decodes a unit of pairs. A lane has pairs 2l and 2l + 1 of each group of 64 and looks them up
 * in the object's table. Looking up 32 places of L1 takes 32 cycles, of shared memory a tenth of that, so several teams share
 * a block of threads and one copy of the table there, if it is small enough and theirs. Two such blocks are to be on a
 * multiprocessor at once, which shared memory allows for tables of up to 24 KiB.
 */
#include "codec/cuda/warp.cuh"

#define TEAMS 8u               /* of a block of threads, where the device has so much shared memory */
#define PAIRS_ROOM (60u << 10) /* the largest table in shared memory */
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
	uint32_t symbol_bytes, two_factor; /* bytes of the table: of a symbol's pairs, and see raw_pair */
};

template <unsigned BYTES> struct pair;

template <> struct pair<4> {
	enum { LOG2 = 2, WARPS = 2 }; /* WARPS: of a team, as hyc_cuda_warps has it */
	typedef uint32_t word;

	static __device__ void store_both(uint8_t *dst, word a, word b)
	{
		put64(dst, a, b);
	}
	static __device__ word near(shared_at at)
	{
		return shared_load32(at);
	}
	static __device__ void store_half(uint8_t *dst, word v)
	{
		*(uint16_t *)dst = (uint16_t)v;
	}
};

template <> struct pair<8> {
	enum { LOG2 = 3, WARPS = 1 };
	typedef uint2 word;

	static __device__ void store_both(uint8_t *dst, word a, word b)
	{
		put128(dst, make_uint4(a.x, a.y, b.x, b.y));
	}
	static __device__ word near(shared_at at)
	{
#ifdef HYC_EMULATE
		return *(const uint2 *)at;
#else
		uint2 v;

		asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(at));
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

#define GROUPS 8u /* of a chunk of pairs, whose raw bits are loaded ahead */
#define CHUNK (GROUPS * GROUP)

/* The raw bits of the lane's pairs in a chunk. */
struct raw {
	uint32_t four[2], two;
};

/* The addresses depend, not the loads: so nothing waits for them before they are used. What is not there is masked out then. */
HYC_INLINE void raw_load(struct raw *r, const struct unit *u, uint32_t base, unsigned lane)
{
	const uint8_t *planes = u->planes + 4 * lane, *fours = planes + base / 256 * 128;

	r->four[0] = load32(u->q >= 2 ? fours : u->states);
	r->four[1] = load32(u->q >= 2 && base + 256 < u->n ? fours + 128 : u->states);
	r->two = load32(u->q & 1 ? planes + (u->q == 3 ? (u->n + 255) / 256 * 128 : 0) + base / 512 * 128 : u->states);
}

HYC_INLINE void raw_use(struct raw *r, const struct unit *u)
{
	r->four[0] = u->q >= 2 ? r->four[0] : 0;
	r->four[1] = u->q >= 2 ? r->four[1] : 0;
	r->two = u->q & 1 ? r->two : 0;
}

/* Those of the two pairs in group g, in the halves of a word, times 2^LOG2: bytes of the table. two_factor: 2^LOG2, for q = 3 times 16. */
template <unsigned LOG2> HYC_INLINE uint32_t raw_pair(const struct raw *r, uint32_t two_factor, unsigned g)
{
	unsigned by = g % 4 * 4;
	uint32_t four = (by < LOG2 ? r->four[g / 4] << LOG2 : r->four[g / 4] >> (by - LOG2)) & 0x000f000f << LOG2;

	return (r->two >> 2 * g & 0x00030003) * two_factor + four;
}

/* What a pair has at this place of its table. */
template <unsigned BYTES, bool NEAR> HYC_INLINE typename pair<BYTES>::word look_up(const struct unit *u, uint32_t at)
{
	return NEAR ? pair<BYTES>::near(u->near + at) : *(const typename pair<BYTES>::word *)(u->pairs + at);
}

/* A group of a chunk at base. dst: of this lane's first pair there. */
template <unsigned BYTES, bool NEAR, bool FULL>
HYC_INLINE void decode_group(const struct unit *u, const struct raw *r, struct words *w, uint32_t *x, shared_at table, uint8_t *dst,
			     uint32_t base, unsigned g, unsigned lane)
{
	const unsigned log2 = pair<BYTES>::LOG2;
	uint32_t e = base + 64 * g + 2 * lane, low = raw_pair<log2>(r, u->two_factor, g);
	bool first = FULL || e < u->n, second = FULL || e + 1 < u->n;
	uint32_t a = step<FULL>(w, x, table, first), b = step<FULL>(w, x, table, second);
	typename pair<BYTES>::word v, v2;

	a = symbol_of(a) * u->symbol_bytes + (low & 0xffff);
	b = symbol_of(b) * u->symbol_bytes + (low >> 16);
	if (FULL) {
		v = look_up<BYTES, NEAR>(u, a);
		v2 = look_up<BYTES, NEAR>(u, b);
		pair<BYTES>::store_both(dst + BYTES * 64 * g, v, v2);
		return;
	}
	if (first)
		store_pair<BYTES>(u, e, look_up<BYTES, false>(u, a));
	if (second)
		store_pair<BYTES>(u, e + 1, look_up<BYTES, false>(u, b));
}

template <unsigned BYTES, bool NEAR>
HYC_INLINE bool decode_unit(const struct unit *u, shared_at ring, shared_at table, const struct hyc_cuda_args *a, unsigned lane)
{
	/* Whole groups of whole pairs. */
	uint32_t x = load32(u->states + 4 * lane), whole = u->room / BYTES;
	uint8_t *dst = u->dst + BYTES * 2 * lane;
	struct raw r, next;
	struct words w;

	words_start(&w, ring, u->states, u->n_words, a, lane);
	words_ready<0>();
	raw_load(&next, u, 0, lane);
	for (uint32_t base = 0; base < u->n; base += CHUNK) {
		r = next;
		raw_use(&r, u);
		if (base + CHUNK < u->n)
			raw_load(&next, u, base + CHUNK, lane);
		if (base + CHUNK <= whole) {
#pragma unroll
			for (unsigned g = 0; g < GROUPS; g++) {
				decode_group<BYTES, NEAR, true>(u, &r, &w, &x, table, dst, base, g, lane);
				if (g % 4 == 3)
					words_step(&w, lane);
			}
			dst += CHUNK * BYTES;
			continue;
		}
#pragma unroll
		for (unsigned g = 0; g < GROUPS; g++) {
			if (g == GROUPS / 2)
				words_step(&w, lane);
			if (base + GROUP * g < u->n)
				decode_group<BYTES, NEAR, false>(u, &r, &w, &x, table, dst, base, g, lane);
		}
	}
	return words_ended(&w, u->n_words, lane, x);
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
	uint32_t i = team.first_unit + threadIdx.x / LANES % pair<BYTES>::WARPS;
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
	u.symbol_bytes = BYTES << 2 * u.q;
	u.two_factor = u.q == 3 ? 16 * BYTES : BYTES;
	if (head->mode[0] == 2) {
		const uint8_t *dir = src + head->directory + 4 * i;

		u.n_words = load16(dir);
		u.n_exceptions = load16(dir + 2);
		u.states = src + a->units[job->first_unit + i];
		u.exceptions = u.states + STATES_BYTES + align_up(2 * u.n_words, 16);
		u.planes = u.exceptions + align_up(4 * u.n_exceptions, 16);
		good = near ? decode_unit<BYTES, true>(&u, ring, slots, a, lane) :
			      decode_unit<BYTES, false>(&u, ring, slots, a, lane);
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
static __global__ void __launch_bounds__(TEAMS *pair<BYTES>::WARPS *LANES, 2)
hyper_kernel(struct hyc_cuda_args a, uint32_t first_team, uint32_t n_teams, uint32_t room)
{
	HYC_DYNAMIC(shared);
	const unsigned threads = pair<BYTES>::WARPS * LANES, n = blockDim.x / threads;
	uint8_t *rings = shared + n * HYC_CUDA_TABLE_BYTES, *pairs = rings + blockDim.x / LANES * RING_BYTES;
	unsigned mine = threadIdx.x / threads, left = n_teams - blockIdx.x * n;
	const struct hyc_cuda_team *teams = a.teams + first_team + blockIdx.x * n;
	uint64_t pairs_at = a.jobs[teams[0].job].pairs_at;
	uint32_t bytes = BYTES * (a.jobs[teams[0].job].symbols << 2 * a.jobs[teams[0].job].tile_log2);
	uint32_t *table = (uint32_t *)(shared + mine * HYC_CUDA_TABLE_BYTES);
	shared_at near = 0;

	/* The slab is aligned, and so is what is behind a table of pairs: 16 bytes at a time. */
	if (bytes <= room)
		for (uint32_t i = 16 * threadIdx.x; i < bytes; i += 16 * blockDim.x)
			shared_copy16(shared_of(pairs) + i, a.slab + pairs_at + i);
	if (mine < left && !a.heads[teams[mine].job].bad && a.heads[teams[mine].job].mode[0] == 2) {
		const uint32_t *from = a.tables + (size_t)a.jobs[teams[mine].job].first_table * SLOTS;

		for (unsigned i = 4 * (threadIdx.x % threads); i < SLOTS; i += 4 * threads)
			shared_copy16(shared_of(table + i), (const uint8_t *)(from + i));
	}
	shared_commit();
	shared_wait<0>();
	__syncthreads();
	if (mine >= left)
		return;
	if (bytes <= room && a.jobs[teams[mine].job].pairs_at == pairs_at)
		near = shared_of(pairs);
	decode_warp<BYTES>(&a, teams[mine], shared_of(rings + threadIdx.x / LANES * RING_BYTES + BEFORE_RING), shared_of(table), near);
}

template <unsigned BYTES>
static void launch(const struct hyc_cuda_args *args, uint32_t first_team, uint32_t n_teams, void *stream)
{
	const unsigned team_bytes = HYC_CUDA_TABLE_BYTES + pair<BYTES>::WARPS * RING_BYTES;
	uint32_t room = args->pairs_bytes <= PAIRS_ROOM ? (args->pairs_bytes + 15) & ~15u : 0, most = shared_most(), teams = TEAMS, bytes;

	while (teams > 1 && teams * team_bytes + room > most)
		teams /= 2;
	bytes = teams * team_bytes + room;
	HYC_ALLOW_SHARED(hyper_kernel<BYTES>, bytes);
	HYC_LAUNCH_SHARED(hyper_kernel<BYTES>, (n_teams + teams - 1) / teams, teams * pair<BYTES>::WARPS * LANES, bytes, stream,
			  *args, first_team, n_teams, room);
}

extern "C" void hyc_cuda_launch_hyper(const struct hyc_cuda_args *args, uint32_t kind, uint32_t first_team, uint32_t n_teams,
				      void *stream)
{
	if (kind == HYC_CUDA_HYPER_4)
		launch<4>(args, first_team, n_teams, stream);
	else
		launch<8>(args, first_team, n_teams, stream);
}
