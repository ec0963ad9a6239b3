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

/* TEAMS: that a multiprocessor is to hold; more would leave too few registers. */
template <uint32_t KIND> struct layout;

template <> struct layout<HYC_CUDA_FLOAT_BF16> {
	enum { BYTES = 2, FIELDS = 2, SHIFT = 5, TEAMS = 8 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 10, 10, 5, 0 } : place{ 6, 5, 0, 15 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_F16> {
	enum { BYTES = 2, FIELDS = 3, SHIFT = 8, TEAMS = 6 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 7, 7, 8, 0 } : f == 1 ? place{ 1, 1, 15, 0 } : place{ 8, 8, 0, 0 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_F32> {
	enum { BYTES = 4, FIELDS = 4, SHIFT = 21, TEAMS = 5 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 10, 10, 21, 0 } : f == 1 ? place{ 6, 5, 16, 31 } : f == 2 ? place{ 8, 8, 8, 0 } : place{ 8, 8, 0, 0 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_BYTE> {
	enum { BYTES = 1, FIELDS = 1, SHIFT = 0, TEAMS = 8 };

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
	const uint8_t *safe; /* what is read where a plane is not, or ends */
	const uint8_t *raw[4];
	struct stream stream[4];
};

#define CHUNK 256u /* elements whose raw bits are loaded ahead */

/* The raw bits this lane needs for a chunk: words of the planes of 4, 2 and 1 bits, and pairs of bytes. */
struct planes {
	uint32_t four, two, one;
	uint16_t bytes[2][4];
};

/* A word of a plane, or 0 where there is none. The address depends, not the load: so nothing waits for it before it is used. */
HYC_INLINE const uint8_t *or_safe(bool there, const uint8_t *p, const struct unit *u)
{
	return there ? p : u->safe;
}

/* A plane of 8 bits is padded to 16 bytes, so the second byte is there. */
HYC_INLINE void bytes_load(uint16_t to[4], const uint8_t *plane, const struct unit *u, uint32_t e)
{
#pragma unroll
	for (unsigned g = 0; g < 4; g++)
		to[g] = (uint16_t)load16(or_safe(plane && e + 64 * g < u->n, plane + e + 64 * g, u));
}

/* What is loaded for fields that are not raw is not used: see masks. */
template <uint32_t KIND> HYC_INLINE void planes_load(struct planes *p, const struct unit *u, uint32_t base, unsigned lane)
{
	const uint8_t *raw = u->raw[1] + 4 * lane;
	bool there = u->raw[1] != NULL;

	p->four = p->two = p->one = 0;
	if (KIND == HYC_CUDA_FLOAT_BF16 || KIND == HYC_CUDA_FLOAT_F32) {
		p->four = load32(or_safe(there, raw + base / 256 * 128, u));
		p->two = load32(or_safe(there, raw + (u->n + 255) / 256 * 128 + base / 512 * 128, u));
	}
	if (KIND == HYC_CUDA_FLOAT_F16) {
		p->one = load32(or_safe(there, raw + base / 1024 * 128, u));
		bytes_load(p->bytes[0], u->raw[2], u, base + 2 * lane);
	}
	if (KIND == HYC_CUDA_FLOAT_F32) {
		bytes_load(p->bytes[0], u->raw[2], u, base + 2 * lane);
		bytes_load(p->bytes[1], u->raw[3], u, base + 2 * lane);
	}
	if (KIND == HYC_CUDA_FLOAT_BYTE)
		bytes_load(p->bytes[0], u->raw[0], u, base + 2 * lane);
}

/* Which bits of an element pair come from raw fields, as words: 0 for a field that is not raw. */
struct masks {
	uint32_t first, bytes[2];
};

template <uint32_t KIND> HYC_INLINE void masks_of(struct masks *m, const struct unit *u)
{
	m->first = u->raw[1] ? ALL : 0;
	m->bytes[0] = u->raw[KIND == HYC_CUDA_FLOAT_BYTE ? 0 : 2] ? ALL : 0;
	m->bytes[1] = KIND == HYC_CUDA_FLOAT_F32 && u->raw[3] ? ALL : 0;
}

/* When a chunk's turn has come: the shift and the masks, which a load that is under way must not wait for. */
template <uint32_t KIND> HYC_INLINE void planes_use(struct planes *p, const struct masks *m, uint32_t base)
{
	if (KIND == HYC_CUDA_FLOAT_BF16 || KIND == HYC_CUDA_FLOAT_F32) {
		p->four &= m->first;
		p->two = p->two >> (base & 256) / 32 & m->first;
	}
	if (KIND == HYC_CUDA_FLOAT_F16)
		p->one = p->one >> (base & 768) / 64 & m->first;
	for (unsigned g = 0; g < 4 && KIND != HYC_CUDA_FLOAT_BF16; g++) {
		p->bytes[0][g] &= (uint16_t)m->bytes[0];
		if (KIND == HYC_CUDA_FLOAT_F32)
			p->bytes[1][g] &= (uint16_t)m->bytes[1];
	}
}

/* Two bytes, one in each half. */
HYC_INLINE uint32_t two_bytes(uint32_t v)
{
	return (v | v << 8) & 0x00ff00ff;
}

/*
 * The raw bits of the lane's elements in group g of the chunk, where they belong in the elements: of two bytes or less in the halves
 * of *low, of four bytes in *low and *high.
 */
template <uint32_t KIND> HYC_INLINE void raw_pair(const struct planes *p, unsigned g, uint32_t *low, uint32_t *high)
{
	uint32_t two = p->two >> 2 * g, six = (p->four >> 4 * g & 0x000f000f) | (two << 4 & 0x00100010);

	if (KIND == HYC_CUDA_FLOAT_BF16) {
		*low = six | (two << 14 & 0x80008000);
	} else if (KIND == HYC_CUDA_FLOAT_F16) {
		*low = (p->one >> g & 0x00010001) << 15 | two_bytes(p->bytes[0][g]);
	} else if (KIND == HYC_CUDA_FLOAT_F32) {
		uint32_t a = p->bytes[0][g], b = p->bytes[1][g];

		*low = six << 16 | (two << 30 & 0x80000000) | (a & 0xff) << 8 | (b & 0xff);
		*high = (six & 0xffff0000) | (two << 14 & 0x80000000) | (a & 0xff00) | b >> 8;
	} else {
		*low = two_bytes(p->bytes[0][g]);
	}
}

/* Elements e and e + 1, e even: both, or the first alone where the second one is none. */
template <uint32_t KIND> HYC_INLINE void store_pair(uint8_t *dst, uint32_t e, uint32_t low, uint32_t high, bool both)
{
	if (layout<KIND>::BYTES == 4) {
		if (both)
			put64(dst + 4 * e, low, high);
		else
			*(uint32_t *)(dst + 4 * e) = low;
	} else if (layout<KIND>::BYTES == 2) {
		if (both)
			put32(dst + 2 * e, low);
		else
			*(uint16_t *)(dst + 2 * e) = (uint16_t)low;
	} else {
		if (both)
			*(uint16_t *)(dst + e) = (uint16_t)(low | low >> 8);
		else
			dst[e] = (uint8_t)low;
	}
}

/* The symbol of a slot, shifted to bit TO. */
template <int TO> HYC_INLINE uint32_t symbol_to(uint32_t slot)
{
	const int by = TO - (int)SYMBOL_SHIFT;

	return (by >= 0 ? slot << (by & 31) : slot >> (-by & 31)) & (uint32_t)(UINT64_C(1023) << TO);
}

/* One group of a chunk at base: symbols of field 0 where there are any, raw bits and constants. dst: of the chunk's first. */
template <uint32_t KIND, bool RANS, bool FULL>
HYC_INLINE void first_group(const struct planes *p, struct words *w, uint32_t *x, shared_at table, uint32_t constants, uint8_t *dst,
			    uint32_t n, unsigned g, unsigned lane)
{
	uint32_t e = 64 * g + 2 * lane, low = 0, high = 0;
	bool first = FULL || e < n, second = FULL || e + 1 < n;

	raw_pair<KIND>(p, g, &low, &high);
	if (RANS) {
		uint32_t a = step<FULL>(w, x, table, first), b = step<FULL>(w, x, table, second);

		const int to = (int)layout<KIND>::SHIFT;

		if (layout<KIND>::BYTES == 4) {
			low |= symbol_to<to>(a);
			high |= symbol_to<to>(b);
		} else {
			low |= symbol_to<to>(a) | symbol_to<to + 16>(b);
		}
	}
	low |= constants;
	high |= constants;
	if (first)
		store_pair<KIND>(dst + layout<KIND>::BYTES * 2 * lane, 64 * g, low, high, second);
}

/* The first pass over a unit. Whether its stream was good. */
template <uint32_t KIND, bool RANS>
HYC_INLINE bool first_pass(const struct unit *u, shared_at ring, shared_at table, unsigned lane)
{
	const struct stream *s = &u->stream[0];
	uint32_t x = LOW, n_words = RANS ? s->n_words : 0, constants = layout<KIND>::BYTES == 4 ? u->base : u->base | u->base << 16;
	struct planes p, next;
	struct masks masks;
	uint8_t *dst = u->dst;
	struct words w;

	masks_of<KIND>(&masks, u);
	if (RANS) {
		x = load32(s->states + 4 * lane);
		words_start(&w, ring, s->states, n_words, lane);
	}
	planes_load<KIND>(&next, u, 0, lane);
	for (uint32_t base = 0; base < u->n; base += CHUNK) {
		p = next;
		planes_use<KIND>(&p, &masks, base);
		if (base + CHUNK < u->n)
			planes_load<KIND>(&next, u, base + CHUNK, lane);
		if (base + CHUNK <= u->n) {
#pragma unroll
			for (unsigned g = 0; g < 4; g++) {
				first_group<KIND, RANS, true>(&p, &w, &x, table, constants, dst, CHUNK, g, lane);
				if (RANS && g % 2)
					words_check(&w, lane);
			}
		} else {
#pragma unroll
			for (unsigned g = 0; g < 4; g++) {
				if (RANS && base + 64 * g < u->n)
					words_check(&w, lane);
				if (base + 64 * g < u->n)
					first_group<KIND, RANS, false>(&p, &w, &x, table, constants, dst, u->n - base, g, lane);
			}
		}
		dst += CHUNK * layout<KIND>::BYTES;
	}
	return !RANS || words_ended(&w, n_words, x);
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
					       shared_at ring, shared_at table, unsigned lane)
{
	struct words w;
	uint32_t x = load32(s.states + 4 * lane);

	words_start(&w, ring, s.states, s.n_words, lane);
	__syncwarp();
	for (uint32_t base = 0; base < n; base += GROUP) {
		words_check(&w, lane);
		for (unsigned odd = 0; odd < 2; odd++) {
			uint32_t e = base + 2 * lane + odd, symbol = symbol_of(step<false>(&w, &x, table, e < n));

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
	u->safe = src;
	for (unsigned f = 0; f < 4; f++)
		u->raw[f] = NULL;
#pragma unroll
	for (unsigned f = 0; f < layout<KIND>::FIELDS; f++) {
		struct place place = layout<KIND>::field(f);

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
static __global__ void __launch_bounds__(HYC_CUDA_WARPS *LANES, layout<KIND>::TEAMS) float_kernel(struct hyc_cuda_args a, uint32_t first_team)
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
	shared_at ring = shared_of(rings + warp * RING_BYTES), slots = shared_of(table);
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
			good = first_pass<KIND, true>(&u, ring, slots, lane);
			__syncwarp();
			good = good && exceptions<layout<KIND>::BYTES>(u.stream[0], layout<KIND>::field(0), u.dst, u.n, lane);
		}
	} else if (mine) {
		first_pass<KIND, false>(&u, ring, slots, lane);
	}
#pragma unroll
	for (unsigned f = 1; f < layout<KIND>::FIELDS; f++) {
		if (head->mode[f] != 2)
			continue;
		__syncthreads();
		table_load(table, tables + f * SLOTS);
		__syncthreads();
		if (mine && good) {
			good = later_pass<layout<KIND>::BYTES>(u.stream[f], layout<KIND>::field(f), u.dst, u.n, ring, slots, lane);
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
