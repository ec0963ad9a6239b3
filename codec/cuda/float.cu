/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lossless floats: a warp decodes a unit in one pass, which brings field 0, the raw fields and the constants, and of F32 a second
 * rans field. What others there are, which is seldom, have passes of their own that OR their field into the elements.
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

/*
 * SHIFT: of field 0 in an element. ROWS: of 512 bytes for the raw bits of a chunk, see planes. TEAMS: that a multiprocessor is to hold; more would leave too few registers.
 */
template <uint32_t KIND> struct layout;

template <> struct layout<HYC_CUDA_FLOAT_BF16> {
	enum { BYTES = 2, FIELDS = 2, SHIFT = 5, ROWS = 1, TEAMS = 8 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 10, 10, 5, 0 } : place{ 6, 5, 0, 15 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_F16> {
	enum { BYTES = 2, FIELDS = 3, SHIFT = 8, ROWS = 2, TEAMS = 8 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 7, 7, 8, 0 } : f == 1 ? place{ 1, 1, 15, 0 } : place{ 8, 8, 0, 0 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_F32> {
	enum { BYTES = 4, FIELDS = 4, SHIFT = 21, ROWS = 3, TEAMS = 4 };

	static __device__ struct place field(unsigned f)
	{
		return f == 0 ? place{ 10, 10, 21, 0 } : f == 1 ? place{ 6, 5, 16, 31 } : place{ 8, 8, f == 2 ? 8u : 0u, 0 };
	}
};

template <> struct layout<HYC_CUDA_FLOAT_BYTE> {
	enum { BYTES = 1, FIELDS = 1, SHIFT = 0, ROWS = 1, TEAMS = 8 };

	static __device__ struct place field(unsigned)
	{
		return place{ 8, 8, 0, 0 };
	}
};

/* The sections of a unit. raw is NULL where a field is not raw. */
struct unit {
	uint32_t n;
	uint8_t *dst;
	uint16_t constant[4]; /* of a field that is: else 0 */
	const uint8_t *raw[4];
	struct stream stream[4];
};

#define GROUPS 8u /* of a chunk */
#define CHUNK (GROUPS * GROUP)
#define ROW_BYTES 512u

/*
 * Raw bits come to shared memory a chunk ahead. There are rows of 512 bytes: one for each plane of 8 bits, one for planes of 4 and
 * 2 bits at 0 and 256, one for that of 1 bit. What is constant stands there from the beginning, and is never copied.
 */
template <uint32_t KIND> struct planes {
	struct piece piece[layout<KIND>::ROWS];
	shared_at rows, other;       /* of this chunk and of the next one */
	uint32_t four[2], two, one;  /* words of this lane for this chunk */
};

/* A row of one plane of 8 bits, or its constant. */
HYC_INLINE struct piece bytes_start(const struct unit *u, unsigned f, shared_at row, shared_at other, unsigned lane)
{
	if (u->raw[f])
		return piece_of(u->raw[f], align_up(u->n, 16), 16 * lane);
	shared_store16(row + 16 * lane, u->constant[f] * 0x01010101u);
	shared_store16(other + 16 * lane, u->constant[f] * 0x01010101u);
	return { NULL, 0 };
}

/* A row of the planes of field 1, or their constants. */
template <uint32_t KIND> HYC_INLINE struct piece bits_start(const struct unit *u, shared_at row, shared_at other, unsigned lane)
{
	uint32_t n = u->n, fours = (n + 255) / 256 * 128;

	if (!u->raw[1]) {
		uint32_t c = u->constant[1];
		uint32_t fill = KIND == HYC_CUDA_FLOAT_F16 ? 0u - c : lane < 16 ? (c & 15) * 0x11111111 : (c >> 4) * 0x55555555;

		shared_store16(row + 16 * lane, fill);
		shared_store16(other + 16 * lane, fill);
		return { NULL, 0 };
	}
	if (KIND == HYC_CUDA_FLOAT_F16)
		return piece_of(u->raw[1], lane < 8 ? (n + 1023) / 1024 * 128 : 0, 16 * lane);
	if (lane < 16)
		return piece_of(u->raw[1], fours, 16 * lane);
	return piece_of(u->raw[1] + fours, lane < 24 ? (n + 511) / 512 * 128 : 0, 16 * (lane - 16));
}

/* The pieces of the next chunk, which is at base. */
template <uint32_t KIND> HYC_INLINE void planes_copy(struct planes<KIND> *p, uint32_t base, unsigned lane)
{
	const unsigned rows = layout<KIND>::ROWS;
	shared_at at = p->other + 16 * lane;

#pragma unroll
	for (unsigned i = 0; i < rows; i++) {
		bool bytes = KIND == HYC_CUDA_FLOAT_BYTE || i + 1 < rows;

		/* A row of the plane of 1 bit is for two chunks. */
		uint32_t step = bytes ? 512 : KIND == HYC_CUDA_FLOAT_F16 ? base / 4 & 128 : lane < 16 ? 256 : 128;

		piece_copy(&p->piece[i], at + ROW_BYTES * i, step);
	}
	shared_commit();
}

template <uint32_t KIND> HYC_INLINE void planes_start(struct planes<KIND> *p, const struct unit *u, shared_at rows, unsigned lane)
{
	const int last = layout<KIND>::ROWS - 1;

	p->rows = rows;
	p->other = rows + ROW_BYTES * layout<KIND>::ROWS;
#pragma unroll
	for (int i = 0; i < last; i++)
		p->piece[i] = bytes_start(u, 2 + i, p->rows + ROW_BYTES * i, p->other + ROW_BYTES * i, lane);
	if (KIND == HYC_CUDA_FLOAT_BYTE)
		p->piece[0] = bytes_start(u, 0, p->rows, p->other, lane);
	else
		p->piece[last] = bits_start<KIND>(u, p->rows + ROW_BYTES * last, p->other + ROW_BYTES * last, lane);
	__syncwarp();
	planes_copy<KIND>(p, 0, lane);
}

/* The turn of the chunk at base has come: all copies have. */
template <uint32_t KIND> HYC_INLINE void planes_turn(struct planes<KIND> *p, uint32_t base, unsigned lane)
{
	shared_at rows = p->other, bits = rows + ROW_BYTES * (layout<KIND>::ROWS - 1) + 4 * lane;

	p->other = p->rows;
	p->rows = rows;
	if (KIND == HYC_CUDA_FLOAT_BF16 || KIND == HYC_CUDA_FLOAT_F32) {
		p->four[0] = shared_load32(bits);
		p->four[1] = shared_load32(bits + 128);
		p->two = shared_load32(bits + 256);
	}
	if (KIND == HYC_CUDA_FLOAT_F16)
		p->one = shared_load32(bits) >> (base / 64 & 8);
}

/* v << by, by a number of either sign. */
HYC_INLINE uint32_t shift(uint32_t v, int by)
{
	return by >= 0 ? v << (by & 31) : v >> (-by & 31);
}

/*
 * The raw bits of the lane's elements in group g of the chunk, where they belong in the elements: of two bytes or less in the halves
 * of *low, of four bytes in *low and *high.
 */
template <uint32_t KIND> HYC_INLINE void raw_pair(const struct planes<KIND> *p, unsigned g, unsigned lane, uint32_t *low, uint32_t *high)
{
	shared_at bytes = p->rows + 64 * g + 2 * lane;

	if (KIND == HYC_CUDA_FLOAT_BF16) {
		*low = (p->four[g / 4] >> g % 4 * 4 & 0x000f000f) | (shift(p->two, 4 - 2 * (int)g) & 0x00100010) |
		       (p->two << (14 - 2 * g) & 0x80008000);
	} else if (KIND == HYC_CUDA_FLOAT_F16) {
		*low = (shift(p->one, 15 - (int)g) & 0x80008000) | __byte_perm(shared_load16(bytes), 0, 0x4140);
	} else if (KIND == HYC_CUDA_FLOAT_F32) {
		uint32_t both = __byte_perm(shared_load16(bytes), shared_load16(bytes + ROW_BYTES), 0x1504);
		uint32_t four = p->four[g / 4] >> g % 4 * 4, two = p->two >> 2 * g;

		*low = (four << 16 & 0x000f0000) | (two << 20 & 0x00100000) | (two << 30 & 0x80000000) | (both & 0xffff);
		*high = (four & 0x000f0000) | (two << 4 & 0x00100000) | (two << 14 & 0x80000000) | both >> 16;
	} else {
		*low = __byte_perm(shared_load16(bytes), 0, 0x4140);
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

/* The symbols of two slots, where they belong in the elements: as raw_pair. */
template <uint32_t KIND> HYC_INLINE void or_symbols(uint32_t a, uint32_t b, uint32_t *low, uint32_t *high)
{
	if (KIND == HYC_CUDA_FLOAT_BF16) {
		*low |= __byte_perm(a, b, 0x5410) << 5 & 0x7fe07fe0;
	} else if (KIND == HYC_CUDA_FLOAT_F16) {
		*low |= __byte_perm(a, b, 0x4000) & 0x7f007f00;
	} else if (KIND == HYC_CUDA_FLOAT_F32) {
		*low |= a << 21 & 0x7fe00000;
		*high |= b << 21 & 0x7fe00000;
	} else {
		*low |= __byte_perm(a, b, 0x5410) & 0x00ff00ff;
	}
}

/* What the first pass over a unit needs besides it. All that is loaded for it is on its way before the table is there. */
template <uint32_t KIND> struct decoder {
	uint32_t x, y;
	struct words words, more; /* of field 0, of the second field */
	uint32_t shift;           /* of that */
	struct planes<KIND> planes;
};

/* One group of a chunk: symbols of field 0 where there are any, raw bits and constants. dst: of the chunk's first, n from there. */
template <uint32_t KIND, bool RANS, bool SECOND, bool FULL>
HYC_INLINE void first_group(const struct unit *u, struct decoder<KIND> *d, shared_at table, uint8_t *dst, uint32_t n, unsigned g,
			    unsigned lane)
{
	uint32_t e = 64 * g + 2 * lane, low = 0, high = 0;
	bool first = FULL || e < n, second = FULL || e + 1 < n;

	raw_pair<KIND>(&d->planes, g, lane, &low, &high);
	if (RANS) {
		uint32_t a = step<FULL>(&d->words, &d->x, table, first), b = step<FULL>(&d->words, &d->x, table, second);

		or_symbols<KIND>(a, b, &low, &high);
	} else if (KIND != HYC_CUDA_FLOAT_BYTE) {
		uint32_t constant = (uint32_t)u->constant[0] << layout<KIND>::SHIFT;

		low |= layout<KIND>::BYTES == 4 ? constant : constant | constant << 16;
		high |= constant;
	}
	if (SECOND) {
		low |= symbol_of(step<FULL>(&d->more, &d->y, table + HYC_CUDA_TABLE_BYTES, first)) << d->shift;
		high |= symbol_of(step<FULL>(&d->more, &d->y, table + HYC_CUDA_TABLE_BYTES, second)) << d->shift;
	}
	if (first)
		store_pair<KIND>(dst + layout<KIND>::BYTES * 2 * lane, 64 * g, low, high, second);
}

/* second: the field that is decoded besides field 0, or 0. rings: one for each. */
template <uint32_t KIND>
HYC_INLINE void decoder_start(struct decoder<KIND> *d, const struct unit *u, bool rans, unsigned second, shared_at rings, shared_at rows,
			      const struct hyc_cuda_args *a, unsigned lane)
{
	planes_start<KIND>(&d->planes, u, rows, lane);
	if (rans) {
		d->x = load32(u->stream[0].states + 4 * lane);
		words_start(&d->words, rings, u->stream[0].states, u->stream[0].n_words, a, lane);
	}
	if (KIND == HYC_CUDA_FLOAT_F32 && second) {
		struct stream s = second == 2 ? u->stream[2] : u->stream[3];

		d->y = load32(s.states + 4 * lane);
		d->shift = second == 2 ? 8 : 0;
		words_start(&d->more, rings + RING_BYTES, s.states, s.n_words, a, lane);
	}
}

/* Once, and once only, after every half of a chunk. BUT: as words_check has it. */
template <uint32_t KIND, bool RANS, bool SECOND, int BUT> HYC_INLINE void refill(struct decoder<KIND> *d, unsigned lane)
{
	if (RANS)
		words_check<BUT>(&d->words, lane);
	if (SECOND)
		words_check<BUT>(&d->more, lane);
	shared_commit();
}

/* The first pass over a unit. Whether its streams were good. */
template <uint32_t KIND, bool RANS, bool SECOND>
HYC_INLINE bool first_pass(struct decoder<KIND> *d, const struct unit *u, shared_at table, unsigned lane)
{
	uint8_t *dst = u->dst;
	uint32_t base = 0;
	bool good = true;

	for (; base + CHUNK <= u->n; base += CHUNK) {
		planes_turn<KIND>(&d->planes, base, lane);
		planes_copy<KIND>(&d->planes, base + CHUNK, lane);
#pragma unroll
		for (unsigned g = 0; g < GROUPS; g++) {
			if (g == GROUPS / 2)
				refill<KIND, RANS, SECOND, 1>(d, lane);
			first_group<KIND, RANS, SECOND, true>(u, d, table, dst, CHUNK, g, lane);
		}
		dst += CHUNK * layout<KIND>::BYTES;
		words_ready<1>();
		refill<KIND, RANS, SECOND, 0>(d, lane);
	}
	planes_turn<KIND>(&d->planes, base, lane);
#pragma unroll
	for (unsigned g = 0; g < GROUPS; g++) {
		if (g == GROUPS / 2)
			refill<KIND, RANS, SECOND, 0>(d, lane);
		if (base + GROUP * g < u->n)
			first_group<KIND, RANS, SECOND, false>(u, d, table, dst, u->n - base, g, lane);
	}
	if (RANS)
		good = words_ended(&d->words, u->stream[0].n_words, lane, d->x);
	if (SECOND)
		good = words_ended(&d->more, d->shift ? u->stream[2].n_words : u->stream[3].n_words, lane, d->y) && good;
	return good;
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
					       shared_at ring, shared_at table, const struct hyc_cuda_args *a, unsigned lane)
{
	struct words w;
	uint32_t x = load32(s.states + 4 * lane);

	words_start(&w, ring, s.states, s.n_words, a, lane);
	words_ready<0>();
	for (uint32_t base = 0; base < n; base += GROUP) {
		words_step(&w, lane);
		for (unsigned odd = 0; odd < 2; odd++) {
			uint32_t e = base + 2 * lane + odd, symbol = symbol_of(step<false>(&w, &x, table, e < n));

			if (e < n)
				store_elem<BYTES>(dst + BYTES * e, load_elem<BYTES>(dst + BYTES * e) | place.of(symbol));
		}
	}
	return words_ended(&w, s.n_words, lane, x);
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
	for (unsigned f = 0; f < 4; f++) {
		u->raw[f] = NULL;
		u->constant[f] = 0;
	}
#pragma unroll
	for (unsigned f = 0; f < layout<KIND>::FIELDS; f++) {
		struct place place = layout<KIND>::field(f);

		if (head->mode[f] == 0) {
			u->constant[f] = head->constant[f];
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
static __global__ void __launch_bounds__(HYC_CUDA_WARPS *LANES, layout<KIND>::TEAMS)
float_kernel(struct hyc_cuda_args a, uint32_t first_team)
{
	const unsigned streams = KIND == HYC_CUDA_FLOAT_F32 ? 2 : 1;
	__shared__ __align__(16) uint32_t table[streams * SLOTS];
	__shared__ __align__(16) uint8_t rings[HYC_CUDA_WARPS * streams * RING_BYTES];
	__shared__ __align__(16) uint8_t rows[HYC_CUDA_WARPS * 2 * layout<KIND>::ROWS * ROW_BYTES];
	struct hyc_cuda_team team = a.teams[first_team + blockIdx.x];
	const struct hyc_cuda_job *job = &a.jobs[team.job];
	const struct hyc_cuda_head *head = &a.heads[team.job];
	unsigned lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, second = 0;
	const uint32_t *tables = a.tables + (size_t)job->first_table * SLOTS;
	uint32_t i = team.first_unit + warp;
	bool mine = i < job->n_units, good = true, rans = head->mode[0] == 2;
	shared_at ring = shared_of(rings + warp * streams * RING_BYTES + BEFORE_RING), slots = shared_of(table);
	struct decoder<KIND> d;
	struct unit u;

	/* The same for all warps, so that they meet at every barrier. */
	if (head->bad)
		return;
	if (KIND == HYC_CUDA_FLOAT_F32 && rans)
		second = head->mode[2] == 2 ? 2 : head->mode[3] == 2 ? 3 : 0;
	if (rans)
		slots_copy<SLOTS>(slots, tables);
	if (second)
		slots_copy<SLOTS>(slots + HYC_CUDA_TABLE_BYTES, tables + second * SLOTS);
	if (mine) {
		find_sections<KIND>(&u, &a, job, head, i);
		decoder_start<KIND>(&d, &u, rans, second, ring, shared_of(rows + warp * 2 * layout<KIND>::ROWS * ROW_BYTES), &a, lane);
	}
	shared_wait<0>();
	__syncthreads();
	if (mine && KIND == HYC_CUDA_FLOAT_F32 && second)
		good = first_pass<KIND, true, KIND == HYC_CUDA_FLOAT_F32>(&d, &u, slots, lane);
	else if (mine && rans)
		good = first_pass<KIND, true, false>(&d, &u, slots, lane);
	else if (mine)
		first_pass<KIND, false, false>(&d, &u, slots, lane);
	__syncwarp();
#pragma unroll
	for (unsigned f = 0; f < layout<KIND>::FIELDS; f++) {
		if (head->mode[f] != 2)
			continue;
		if (f && f != second) {
			__syncthreads();
			slots_copy<SLOTS>(slots, tables + f * SLOTS);
			shared_wait<0>();
			__syncthreads();
			if (mine && good)
				good = later_pass<layout<KIND>::BYTES>(u.stream[f], layout<KIND>::field(f), u.dst, u.n, ring, slots, &a,
								       lane);
			__syncwarp();
		}
		if (mine && good)
			good = exceptions<layout<KIND>::BYTES>(u.stream[f], layout<KIND>::field(f), u.dst, u.n, lane);
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
