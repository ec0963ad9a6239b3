/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lossless floats: a warp decodes a unit in one pass for each rans field. The first pass also brings the raw fields and the
 * constants and stores the elements; what others there are (of F32 and F16, seldom) OR their field into them.
 * A lane has elements 2l and 2l + 1 of each group of 64, as the format deals symbols and raw bits out.
 */
#include "codec/cuda/warp.cuh"

struct stream {
	const uint8_t *states, *exceptions;
	uint32_t n_words, n_exceptions;
};

/* How a field is cut out of an element: as hyc_float_field. */
struct place {
	uint32_t bits, low_bits, low_shift, high_shift;

	__device__ uint32_t of(uint32_t value) const
	{
		return (value & ((1u << low_bits) - 1)) << low_shift | value >> low_bits << high_shift;
	}
};

template <uint32_t KIND> struct layout;

template <> struct layout<HYC_CUDA_FLOAT_BF16> {
	enum { BYTES = 2, FIELDS = 2, SHIFT = 5 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 10, 10, 5, 0 } : place{ 6, 5, 0, 15 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_F16> {
	enum { BYTES = 2, FIELDS = 3, SHIFT = 8 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 7, 7, 8, 0 } : f == 1 ? place{ 1, 1, 15, 0 } : place{ 8, 8, 0, 0 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_F32> {
	enum { BYTES = 4, FIELDS = 4, SHIFT = 21 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 10, 10, 21, 0 } : f == 1 ? place{ 6, 5, 16, 31 } : f == 2 ? place{ 8, 8, 8, 0 } : place{ 8, 8, 0, 0 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_BYTE> {
	enum { BYTES = 1, FIELDS = 1, SHIFT = 0 };

	static __device__ struct place field(unsigned)
	{
		return place{ 8, 8, 0, 0 };
	}
};

/* The sections of a unit. raw is NULL where a field is not raw. */
struct unit {
	uint32_t n;
	uint8_t *dst;
	uint32_t base;      /* the constants of an element */
	const uint8_t *raw[4];
	struct stream stream[4];
};

/* The words of the planes of 4, 2 and 1 bits this lane needs for 512 elements. */
struct planes {
	uint32_t four[2], two, one;
};

template <uint32_t KIND> HYC_INLINE void planes_load(struct planes *p, const struct unit *u, uint32_t base, unsigned lane)
{
	const uint8_t *raw = u->raw[1] + 4 * lane;

	if (!u->raw[1])
		return;
	if (KIND == HYC_CUDA_FLOAT_BF16 || KIND == HYC_CUDA_FLOAT_F32) {
		p->four[0] = load32(raw + base / 256 * 128);
		/* The second row may be there or not; it is where an element of it is. */
		if (base + 256 < u->n)
			p->four[1] = load32(raw + base / 256 * 128 + 128);
		p->two = load32(raw + (u->n + 255) / 256 * 128 + base / 512 * 128);
	}
	if (KIND == HYC_CUDA_FLOAT_F16)
		p->one = load32(raw + base / 1024 * 128) >> (base & 512) / 64;
}

/* Two bytes of a plane of 8 bits. A plane is padded to 16 bytes, so the second one is there. */
HYC_INLINE uint32_t two_bytes(const uint8_t *plane, uint32_t e)
{
	uint32_t v = load16(plane + e);

	return (v | v << 8) & 0x00ff00ff;
}

/*
 * The raw bits of elements e = base + 64 g + 2 lane and e + 1, where they belong in the elements: of two bytes or less in the
 * halves of *low, of four bytes in *low and *high.
 */
template <uint32_t KIND>
HYC_INLINE void raw_pair(const struct planes *p, const struct unit *u, uint32_t e, unsigned g, bool active, uint32_t *low,
			 uint32_t *high)
{
	uint32_t six = 0, sign = 0, v;

	if ((KIND == HYC_CUDA_FLOAT_BF16 || KIND == HYC_CUDA_FLOAT_F32) && u->raw[1]) {
		uint32_t two = p->two >> 2 * g;

		six = ((g < 4 ? p->four[0] : p->four[1]) >> 4 * (g % 4) & 0x000f000f) | (two << 4 & 0x00100010);
		sign = two >> 1 & 0x00010001;
	}
	if (KIND == HYC_CUDA_FLOAT_BF16) {
		*low = six | sign << 15;
	} else if (KIND == HYC_CUDA_FLOAT_F16) {
		*low = u->raw[1] ? (p->one >> g & 0x00010001) << 15 : 0;
		if (u->raw[2] && active)
			*low |= two_bytes(u->raw[2], e);
	} else if (KIND == HYC_CUDA_FLOAT_F32) {
		*low = six << 16 | sign << 31;
		*high = (six & 0xffff0000) | (sign & 0x10000) << 15;
		if (u->raw[2] && active) {
			v = two_bytes(u->raw[2], e);
			*low |= (v & 0xff) << 8;
			*high |= v >> 16 << 8;
		}
		if (u->raw[3] && active) {
			v = two_bytes(u->raw[3], e);
			*low |= v & 0xff;
			*high |= v >> 16;
		}
	} else {
		*low = u->raw[0] && active ? two_bytes(u->raw[0], e) : 0;
	}
}

/* Elements e and e + 1, e even: both, or the first alone where the second one is none. */
template <uint32_t KIND> HYC_INLINE void store_pair(uint8_t *dst, uint32_t e, uint32_t low, uint32_t high, bool both)
{
	if (layout<KIND>::BYTES == 4) {
		if (both)
			*(uint2 *)(dst + 4 * e) = make_uint2(low, high);
		else
			*(uint32_t *)(dst + 4 * e) = low;
	} else if (layout<KIND>::BYTES == 2) {
		if (both)
			*(uint32_t *)(dst + 2 * e) = low;
		else
			*(uint16_t *)(dst + 2 * e) = (uint16_t)low;
	} else {
		if (both)
			*(uint16_t *)(dst + e) = (uint16_t)(low | low >> 8);
		else
			dst[e] = (uint8_t)low;
	}
}

/* One group: symbols of field 0 where there are any, raw bits and constants. */
template <uint32_t KIND, bool RANS, bool FULL>
HYC_INLINE void first_group(const struct unit *u, const struct planes *p, struct words *w, uint32_t *x,
			    const uint32_t *table, uint32_t base, unsigned g, unsigned lane)
{
	uint32_t e = base + 64 * g + 2 * lane, low = 0, high = 0;
	bool first = FULL || e < u->n, second = FULL || e + 1 < u->n;

	raw_pair<KIND>(p, u, e, g, first, &low, &high);
	if (RANS) {
		uint32_t a = step(w, x, table, first) & 1023, b = step(w, x, table, second) & 1023;

		if (layout<KIND>::BYTES == 4) {
			low |= a << layout<KIND>::SHIFT;
			high |= b << layout<KIND>::SHIFT;
		} else {
			low |= (a | b << 16) << layout<KIND>::SHIFT;
		}
	}
	if (layout<KIND>::BYTES == 4) {
		low |= u->base;
		high |= u->base;
	} else {
		low |= u->base | u->base << 16;
	}
	if (first)
		store_pair<KIND>(u->dst, e, low, high, second);
}

/* The first pass over a unit. Whether its stream was good. */
template <uint32_t KIND, bool RANS>
HYC_INLINE bool first_pass(const struct unit *u, uint8_t *ring, const uint32_t *table, unsigned lane)
{
	const struct stream *s = &u->stream[0];
	struct planes p = { { 0, 0 }, 0, 0 };
	struct words w;
	uint32_t x = LOW, base = 0;

	if (RANS) {
		x = load32(s->states + 4 * lane);
		words_start(&w, ring, s->states + STATES_BYTES, s->n_words, lane);
	}
	for (; base + 512 <= u->n; base += 512) {
		planes_load<KIND>(&p, u, base, lane);
#pragma unroll
		for (unsigned g = 0; g < 8; g++) {
			first_group<KIND, RANS, true>(u, &p, &w, &x, table, base, g, lane);
			if (RANS && g % 2)
				words_check(&w, lane);
		}
	}
	if (base < u->n) {
		planes_load<KIND>(&p, u, base, lane);
#pragma unroll 1
		for (unsigned g = 0; base + 64 * g < u->n; g++) {
			if (RANS)
				words_check(&w, lane);
			first_group<KIND, RANS, false>(u, &p, &w, &x, table, base, g, lane);
		}
	}
	return !RANS || words_ended(&w, s->n_words, x);
}

template <unsigned BYTES> HYC_INLINE uint32_t load_elem(const uint8_t *p)
{
	return BYTES == 4 ? load32(p) : BYTES == 2 ? load16(p) : *p;
}

template <unsigned BYTES> HYC_INLINE void store_elem(uint8_t *p, uint32_t v)
{
	if (BYTES == 4)
		*(uint32_t *)p = v;
	else if (BYTES == 2)
		*(uint16_t *)p = (uint16_t)v;
	else
		*p = (uint8_t)v;
}

/* A field with a stream of its own, ORed into elements that are there but for it. */
template <unsigned BYTES>
static __device__ __noinline__ bool later_pass(const struct stream s, struct place place, uint8_t *dst, uint32_t n,
					       uint8_t *ring, const uint32_t *table, unsigned lane)
{
	struct words w;
	uint32_t x = load32(s.states + 4 * lane);

	words_start(&w, ring, s.states + STATES_BYTES, s.n_words, lane);
	__syncwarp();
	for (uint32_t base = 0; base < n; base += GROUP) {
		words_check(&w, lane);
		for (unsigned odd = 0; odd < 2; odd++) {
			uint32_t e = base + 2 * lane + odd, symbol = step(&w, &x, table, e < n) & 1023;

			if (e < n)
				store_elem<BYTES>(dst + BYTES * e, load_elem<BYTES>(dst + BYTES * e) | place.of(symbol));
		}
	}
	return words_ended(&w, s.n_words, x);
}

/* Exceptions in order: of those with the same position in a round of 32 the last one counts. */
template <unsigned BYTES>
static __device__ __noinline__ bool exceptions(const struct stream s, struct place place, uint8_t *dst, uint32_t n, unsigned lane)
{
	uint32_t keep = ~place.of((1u << place.bits) - 1);

	for (uint32_t i = 0; i < s.n_exceptions; i += LANES) {
		bool mine = i + lane < s.n_exceptions;
		uint32_t e = mine ? load16(s.exceptions + 4 * (i + lane)) : 0xffffffff - lane;
		uint32_t symbol = mine ? load16(s.exceptions + 4 * (i + lane) + 2) : 0, same;

		if (__any_sync(ALL, mine && (e >= n || symbol >> place.bits)))
			return false;
		__syncwarp();
		same = __match_any_sync(ALL, e);
		if (mine && same >> lane == 1)
			store_elem<BYTES>(dst + BYTES * e, (load_elem<BYTES>(dst + BYTES * e) & keep) | place.of(symbol));
	}
	__syncwarp();
	return true;
}

/* Where the sections of the unit are. Indices are constants once this is unrolled. */
template <uint32_t KIND>
HYC_INLINE void find_sections(struct unit *u, const struct hyc_cuda_args *a, const struct hyc_cuda_job *job,
			      const struct hyc_cuda_head *head, uint32_t i)
{
	const uint8_t *src = a->slab + job->src, *dir = src + head->directory + 4 * i * head->n_streams;
	const uint8_t *p = src + a->units[job->first_unit + i];
	uint32_t left = job->n - (i << job->unit_log2), full = 1u << job->unit_log2;

	u->n = left < full ? left : full;
	u->dst = (uint8_t *)job->dst + (size_t)layout<KIND>::BYTES * (i << job->unit_log2);
	u->base = 0;
#pragma unroll
	for (unsigned f = 0; f < layout<KIND>::FIELDS; f++) {
		struct place place = layout<KIND>::field(f);

		u->raw[f] = NULL;
		if (head->mode[f] == 0) {
			u->base |= place.of(head->constant[f]);
		} else if (head->mode[f] == 1) {
			u->raw[f] = p;
			p += raw_bytes(place.bits, u->n);
		} else {
			u->stream[f].n_words = load16(dir);
			u->stream[f].n_exceptions = load16(dir + 2);
			u->stream[f].states = p;
			u->stream[f].exceptions = p + STATES_BYTES + align_up(2 * u->stream[f].n_words, 16);
			p += STATES_BYTES + tail_bytes(u->stream[f].n_words, u->stream[f].n_exceptions);
			dir += 4;
		}
	}
}

template <uint32_t KIND>
static __global__ void __launch_bounds__(HYC_CUDA_WARPS *LANES, 4) float_kernel(struct hyc_cuda_args a, uint32_t first_team)
{
	__shared__ __align__(16) uint32_t table[SLOTS];
	__shared__ __align__(16) uint8_t rings[HYC_CUDA_WARPS * RING_BYTES];
	struct hyc_cuda_team team = a.teams[first_team + blockIdx.x];
	const struct hyc_cuda_job *job = &a.jobs[team.job];
	const struct hyc_cuda_head *head = &a.heads[team.job];
	unsigned lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
	const uint32_t *tables = a.tables + (size_t)job->first_table * SLOTS;
	uint32_t i = team.first_unit + warp;
	bool mine = i < job->n_units, good = true;
	uint8_t *ring = rings + warp * RING_BYTES;
	struct unit u;

	/* The same for all warps, so that they meet at every barrier. */
	if (head->bad)
		return;
	if (mine)
		find_sections<KIND>(&u, &a, job, head, i);
	if (head->mode[0] == 2) {
		table_load(table, tables);
		__syncthreads();
		if (mine) {
			good = first_pass<KIND, true>(&u, ring, table, lane);
			__syncwarp();
			good = good && exceptions<layout<KIND>::BYTES>(u.stream[0], layout<KIND>::field(0), u.dst, u.n, lane);
		}
	} else if (mine) {
		first_pass<KIND, false>(&u, ring, table, lane);
	}
#pragma unroll
	for (unsigned f = 1; f < layout<KIND>::FIELDS; f++) {
		if (head->mode[f] != 2)
			continue;
		__syncthreads();
		table_load(table, tables + f * SLOTS);
		__syncthreads();
		if (mine && good) {
			good = later_pass<layout<KIND>::BYTES>(u.stream[f], layout<KIND>::field(f), u.dst, u.n, ring, table, lane);
			__syncwarp();
			good = good && exceptions<layout<KIND>::BYTES>(u.stream[f], layout<KIND>::field(f), u.dst, u.n, lane);
		}
	}
	if (mine && !good && !lane)
		a.status[team.job] = 1;
}

extern "C" void hyc_cuda_launch_float(const struct hyc_cuda_args *args, uint32_t kind, uint32_t first_team, uint32_t n_teams,
				      void *stream)
{
	const unsigned threads = HYC_CUDA_WARPS * LANES;

	switch (kind) {
	case HYC_CUDA_FLOAT_BF16:
		HYC_LAUNCH(float_kernel<HYC_CUDA_FLOAT_BF16>, n_teams, threads, stream, *args, first_team);
		break;
	case HYC_CUDA_FLOAT_F16:
		HYC_LAUNCH(float_kernel<HYC_CUDA_FLOAT_F16>, n_teams, threads, stream, *args, first_team);
		break;
	case HYC_CUDA_FLOAT_F32:
		HYC_LAUNCH(float_kernel<HYC_CUDA_FLOAT_F32>, n_teams, threads, stream, *args, first_team);
		break;
	default:
		HYC_LAUNCH(float_kernel<HYC_CUDA_FLOAT_BYTE>, n_teams, threads, stream, *args, first_team);
	}
}
