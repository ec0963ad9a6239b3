/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parse blocks: one warp reads a block's header, builds its tables of slots, checks that its units fill it exactly,
 * and lists where they are. It refuses just what the plain C parsers refuse. Offsets fit 32 bits: a block does.
 */
#include "codec/cuda/warp.cuh"

#define PARSE_WARPS 4u

/* What all lanes know of the block that is read. */
struct reader {
	const uint8_t *src;
	uint32_t len, lane;
	uint4 *list; /* of 32, in shared memory */
};

HYC_INLINE uint32_t scan_sum(uint32_t v, unsigned lane)
{
	for (unsigned d = 1; d < LANES; d *= 2) {
		uint32_t other = __shfl_up_sync(ALL, v, d);

		if (lane >= d)
			v += other;
	}
	return v;
}

/*
 * Of 32 places, those where an item starts: an item takes one place, or two where `two` says so. *carry says that the
 * first place belongs to an item of before, and then whether the place after the last does.
 */
HYC_INLINE uint32_t item_starts(uint32_t two, bool *carry)
{
	uint32_t starts = 0;
	bool inside = *carry;

	for (unsigned i = 0; i < LANES; i++) {
		starts |= (uint32_t)!inside << i;
		inside = !inside && (two >> i & 1);
	}
	*carry = inside;
	return starts;
}

/* How a table's slots are made: see slot_of and narrow_slot_of. */
struct wide_slots {
	__device__ void store(uint32_t *table, uint32_t s, uint32_t freq, uint32_t bias, uint32_t symbol) const
	{
		table[s] = slot_of(freq, bias, symbol);
	}
};

/* The tables of the two quantisers are interleaved. Where there is one, it is there twice. */
struct tcq_slots {
	bool narrow, trellis;
	int32_t quantiser;

	__device__ void store(uint32_t *tables, uint32_t s, uint32_t freq, uint32_t bias, uint32_t symbol) const
	{
		int32_t k = (int32_t)symbol - 512, sign = (k > 0) - (k < 0), m = trellis ? 2 * k - quantiser * sign : k;

		uint32_t slot = narrow ? narrow_slot_of(freq, bias, (uint32_t)(m + 1024), trellis ? symbol & 1 : 0) :
					 slot_of(freq, bias, symbol);

		tables[2 * s + quantiser] = slot;
		if (!trellis)
			tables[2 * s + 1] = slot;
	}
};

/* What a table says of some symbols, in order, and the slots from `from` to `to` that are theirs. */
struct items {
	uint4 *list; /* in shared memory: start, frequency, symbol */
	uint32_t from, to;
};

/*
 * Their slots, 32 at once: the starts that are among these tell by their number whose each of them is. mine: that this lane has
 * an item, the rank-th, with this start.
 */
template <class SLOT>
HYC_INLINE void fill_slots(uint32_t *table, const SLOT &slot, const struct items *items, bool mine, uint32_t start, uint32_t freq,
			   uint32_t symbol, uint32_t rank, unsigned lane)
{
	uint32_t before = 0;

	if (mine)
		items->list[rank] = make_uint4(start, freq, symbol, 0);
	__syncwarp();
	for (uint32_t base = items->from / LANES * LANES; base < items->to; base += LANES) {
		uint32_t starts = __reduce_or_sync(ALL, mine && start - base < LANES ? 1u << (start - base) : 0);
		uint32_t s = base + lane, i = before + (uint32_t)__popc(starts & ((2u << lane) - 1)) - 1;

		if (s >= items->from && s < items->to) {
			uint4 item = items->list[i];

			slot.store(table, s, item.y, s - item.x, item.z);
		}
		before += (uint32_t)__popc(starts);
	}
	__syncwarp();
}

/* A table of section 5 at pos, for symbols below limit. Returns where it ends, 0 where it is malformed. */
static __device__ uint32_t read_words(const struct reader *r, uint32_t pos, uint32_t limit, uint32_t *table)
{
	uint32_t left, sum = 0, before = (1u << r->lane) - 1;
	int32_t last = -1;
	bool carry = false;
	struct items items;

	if (r->len - pos < 2)
		return 0;
	left = load16(r->src + pos);
	pos += 2;
	/* No frequency is 0, so there are no more symbols than slots. */
	if (left > SLOTS)
		return 0;
	while (left) {
		uint32_t at = pos + 2 * r->lane;
		bool in = at + 2 <= r->len, ok = true;
		uint32_t word = in ? load16(r->src + at) : 0, freq, start, starts;
		bool two = !(word >> 11), mine;
		int32_t value = (int32_t)(word >> 11), absolute = 0, previous;

		starts = item_starts(__ballot_sync(ALL, two), &carry);
		mine = (starts >> r->lane & 1) && (uint32_t)__popc(starts & before) < left;
		freq = mine ? word & (SLOTS - 1) : 0;
		if (mine && two) {
			ok = at + 4 <= r->len;
			value = ok ? (int32_t)load16(r->src + at + 2) : 0;
			absolute = 1;
		}
		if (!mine)
			value = 0;
		/* From gaps to symbols: sums that begin anew where a symbol is given. */
		for (unsigned d = 1; d < LANES; d *= 2) {
			int32_t v = __shfl_up_sync(ALL, value, d), a = __shfl_up_sync(ALL, absolute, d);

			if (r->lane >= d && !absolute) {
				value += v;
				absolute = a;
			}
		}
		if (!absolute)
			value += last;
		previous = __shfl_up_sync(ALL, value, 1);
		if (!r->lane)
			previous = last;
		start = scan_sum(freq, r->lane);
		if (mine && (!in || !ok || !freq || value <= previous || value >= (int32_t)limit || sum + start > SLOTS))
			ok = false;
		else
			ok = true;
		if (!__all_sync(ALL, ok))
			return 0;
		starts = __ballot_sync(ALL, mine);
		items = { r->list, sum, sum + __shfl_sync(ALL, start, LANES - 1) };
		fill_slots(table, wide_slots(), &items, mine, sum + start - freq, freq, (uint32_t)value,
			   (uint32_t)__popc(starts & before), r->lane);
		sum = items.to;
		last = __shfl_sync(ALL, value, LANES - 1);
		left -= (uint32_t)__popc(starts);
		if (left) {
			pos += 2 * LANES;
		} else {
			int i = 31 - __clz((int)starts);

			pos += 2 * (uint32_t)i + (__shfl_sync(ALL, (int)two, i) ? 4 : 2);
		}
	}
	return sum == SLOTS ? pos : 0;
}

/* A table of section 7 at pos: as read_words. *wide: it cannot be narrow. */
static __device__ uint32_t read_bytes(const struct reader *r, uint32_t pos, const struct tcq_slots slot, uint32_t *table, bool *wide)
{
	uint32_t sum = 0, symbols = 0;
	bool carry = false;
	struct items items;

	*wide = false;
	while (sum < SLOTS) {
		uint32_t at = pos + r->lane, first = at < r->len ? r->src[at] : 0, more, freq = 0, count = 0, starts, end, symbol;
		bool two = !first || first >= 128, mine, ok;

		starts = item_starts(__ballot_sync(ALL, two), &carry);
		mine = starts >> r->lane & 1;
		ok = at < r->len && (!two || at + 1 < r->len);
		more = two && ok ? r->src[at + 1] : 0;
		if (mine) {
			freq = first < 128 ? first : (first - 128) << 8 | more;
			count = first ? 1 : more + 1;
		}
		end = sum + scan_sum(freq, r->lane);
		symbol = symbols + scan_sum(count, r->lane) - count;
		/* What comes after the sum is complete is not of the table. */
		mine = mine && end - freq < SLOTS;
		if (mine && first)
			ok = ok && freq && freq < SLOTS && end <= SLOTS && symbol < 1024;
		if (!__all_sync(ALL, !mine || ok))
			return 0;
		*wide = __any_sync(ALL, mine && freq >= NARROW_LIMIT) || *wide;
		starts = __ballot_sync(ALL, mine);
		items = { r->list, sum, __shfl_sync(ALL, end, starts ? 31 - __clz((int)starts) : 0) };
		fill_slots(table, slot, &items, mine && first, end - freq, freq, symbol,
			   (uint32_t)__popc(__ballot_sync(ALL, mine && first) & ((1u << r->lane) - 1)), r->lane);
		symbols = __shfl_sync(ALL, symbol + count, LANES - 1);
		sum = items.to;
		if (sum >= SLOTS) {
			int i = 31 - __clz((int)starts);

			return pos + (uint32_t)i + (__shfl_sync(ALL, (int)two, i) ? 2 : 1);
		}
		/* No frequency may follow any more, but one must. */
		if (symbols >= 1024)
			return 0;
		pos += LANES;
	}
	return 0;
}

/* List the units, whose sizes bytes(i) tells, from pos on. Whether they end with the block. */
template <class SIZES>
HYC_INLINE bool list_units(const struct reader *r, uint32_t pos, uint32_t n_units, uint32_t *units, const SIZES &bytes)
{
	uint64_t end = pos;

	for (uint32_t i = 0; i < n_units && end <= r->len; i += LANES) {
		uint32_t mine = i + r->lane < n_units ? bytes(i + r->lane) : 0, sum;

		/* 32 units of less than 2^23 bytes. */
		sum = scan_sum(mine, r->lane);
		if (i + r->lane < n_units)
			units[i + r->lane] = (uint32_t)end + sum - mine;
		end += __shfl_sync(ALL, sum, LANES - 1);
	}
	return end == r->len;
}

HYC_INLINE unsigned float_fields(uint32_t kind)
{
	return kind == HYC_CUDA_FLOAT_BF16 ? 2 : kind == HYC_CUDA_FLOAT_F16 ? 3 : kind == HYC_CUDA_FLOAT_F32 ? 4 : 1;
}

HYC_INLINE unsigned float_bits(uint32_t kind, unsigned f)
{
	const unsigned bf16[4] = { 10, 6, 0, 0 }, f16[4] = { 7, 1, 8, 0 }, f32[4] = { 10, 6, 8, 8 };

	return kind == HYC_CUDA_FLOAT_BF16 ? bf16[f] : kind == HYC_CUDA_FLOAT_F16 ? f16[f] :
	       kind == HYC_CUDA_FLOAT_F32 ? f32[f] : 8;
}

struct float_sizes {
	const struct hyc_cuda_job *job;
	const struct hyc_cuda_head *head;
	const uint8_t *directory;

	__device__ uint32_t operator()(uint32_t unit) const
	{
		uint32_t left = job->n - (unit << job->unit_log2), full = 1u << job->unit_log2, n = left < full ? left : full;
		const uint8_t *dir = directory + 4 * unit * head->n_streams;
		uint32_t bytes = 0;

		for (unsigned f = 0; f < float_fields(job->kind); f++) {
			if (head->mode[f] == 1) {
				bytes += raw_bytes(float_bits(job->kind, f), n);
			} else if (head->mode[f] == 2) {
				bytes += STATES_BYTES + tail_bytes(load16(dir), load16(dir + 2));
				dir += 4;
			}
		}
		return bytes;
	}
};

static __device__ bool parse_float(const struct reader *r, const struct hyc_cuda_job *job, struct hyc_cuda_head *head,
				   uint32_t *units, uint32_t *tables)
{
	unsigned n_fields = float_fields(job->kind);
	uint32_t pos = align_up(1 + n_fields, 2);
	struct float_sizes sizes;

	if (r->len < pos || r->src[0] != job->unit_log2)
		return false;
	for (unsigned f = 0; f < n_fields; f++) {
		unsigned b = float_bits(job->kind, f);

		head->mode[f] = r->src[1 + f];
		switch (head->mode[f]) {
		case 0:
			if (r->len - pos < 2)
				return false;
			head->constant[f] = (uint16_t)load16(r->src + pos);
			pos += 2;
			if (head->constant[f] >> b)
				return false;
			break;
		case 1:
			if (f == 0 && b != 8)
				return false;
			break;
		case 2:
			pos = read_words(r, pos, 1u << b, tables + f * SLOTS);
			if (!pos)
				return false;
			head->n_streams++;
			break;
		default:
			return false;
		}
	}
	head->directory = pos;
	if ((uint64_t)pos + 4 * (uint64_t)job->n_units * head->n_streams > r->len)
		return false;
	pos = align_up(pos + 4 * job->n_units * head->n_streams, 16);
	if (pos > r->len)
		return false;
	sizes = { job, head, r->src + head->directory };
	return list_units(r, pos, job->n_units, units, sizes);
}

struct tcq_sizes {
	const uint8_t *directory;

	__device__ uint32_t operator()(uint32_t unit) const
	{
		return STATES_BYTES + tail_bytes(load16(directory + 4 * unit), load16(directory + 4 * unit + 2));
	}
};

/* Both tables, or the only one, into tables. Returns as read_words. */
static __device__ uint32_t read_both(const struct reader *r, bool trellis, bool narrow, uint32_t *tables, bool *wide)
{
	uint32_t pos = read_bytes(r, 0, { narrow, trellis, 0 }, tables, wide);
	bool second;

	if (pos && trellis) {
		pos = read_bytes(r, pos, { narrow, true, 1 }, tables, &second);
		*wide = *wide || second;
	}
	return pos;
}

static __device__ bool parse_tcq(const struct reader *r, const struct hyc_cuda_job *job, struct hyc_cuda_head *head,
				 uint32_t *units, uint32_t *tables)
{
	bool wide;
	uint32_t pos = read_both(r, job->trellis, true, tables, &wide);
	struct tcq_sizes sizes;

	if (pos && wide)
		pos = read_both(r, job->trellis, false, tables, &wide);
	if (!pos)
		return false;
	head->wide = wide;
	head->directory = align_up(pos, 4);
	if ((uint64_t)head->directory + 4 * (uint64_t)job->n_units > r->len)
		return false;
	pos = align_up(head->directory + 4 * job->n_units, 16);
	if (pos > r->len)
		return false;
	sizes = { r->src + head->directory };
	return list_units(r, pos, job->n_units, units, sizes);
}

struct hyper_sizes {
	const struct hyc_cuda_job *job;
	const uint8_t *directory;

	__device__ uint32_t operator()(uint32_t unit) const
	{
		uint32_t left = job->n - (unit << job->unit_log2), full = 1u << job->unit_log2, n = left < full ? left : full;

		return STATES_BYTES + tail_bytes(load16(directory + 4 * unit), load16(directory + 4 * unit + 2)) +
		       raw_bytes(2 * job->tile_log2, n);
	}
};

static __device__ bool parse_hyper(const struct reader *r, const struct hyc_cuda_job *job, struct hyc_cuda_head *head,
				   uint32_t *units, uint32_t *table)
{
	uint32_t pos;
	struct hyper_sizes sizes;

	if (r->len < 2)
		return false;
	head->mode[0] = r->src[0];
	if (head->mode[0] == 0)
		return r->len == 4;
	if (head->mode[0] == 1)
		return r->len == 2 + 2 * (uint64_t)job->n;
	if (head->mode[0] != 2 || r->src[1] != job->unit_log2)
		return false;
	pos = read_words(r, 2, job->symbols, table);
	if (!pos)
		return false;
	head->directory = pos;
	if ((uint64_t)pos + 4 * (uint64_t)job->n_units > r->len)
		return false;
	pos = align_up(pos + 4 * job->n_units, 16);
	if (pos > r->len)
		return false;
	sizes = { job, r->src + head->directory };
	return list_units(r, pos, job->n_units, units, sizes);
}

static __global__ void __launch_bounds__(PARSE_WARPS *LANES) parse_kernel(struct hyc_cuda_args a)
{
	__shared__ __align__(16) uint4 lists[PARSE_WARPS * LANES];
	uint32_t i = blockIdx.x * PARSE_WARPS + threadIdx.x / LANES;
	struct hyc_cuda_head head = { 0, 0, 0, 0, { 0 }, { 0 } };
	const struct hyc_cuda_job *job;
	struct reader r;
	uint32_t *units, *tables;
	bool good;

	if (i >= a.n_jobs)
		return;
	job = &a.jobs[i];
	r = { a.slab + job->src, job->src_len, threadIdx.x % LANES, lists + threadIdx.x / LANES * LANES };
	units = a.units + job->first_unit;
	tables = a.tables + (size_t)job->first_table * SLOTS;
	if (job->kind <= HYC_CUDA_FLOAT_BYTE)
		good = parse_float(&r, job, &head, units, tables);
	else if (job->kind <= HYC_CUDA_TCQ_F32)
		good = parse_tcq(&r, job, &head, units, tables);
	else
		good = parse_hyper(&r, job, &head, units, tables);
	if (!r.lane) {
		head.bad = !good;
		a.heads[i] = head;
		a.status[i] = !good;
	}
}

extern "C" void hyc_cuda_launch_parse(const struct hyc_cuda_args *args, void *stream)
{
	HYC_LAUNCH(parse_kernel, (args->n_jobs + PARSE_WARPS - 1) / PARSE_WARPS, PARSE_WARPS * LANES, stream, *args);
}

static __global__ void __launch_bounds__(512) fill_kernel(uint4 *dst, size_t n)
{
	size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		dst[i] = make_uint4((uint32_t)i, 1, 2, 3);
}

extern "C" void hyc_cuda_launch_fill(void *dst, size_t bytes, void *stream)
{
	HYC_LAUNCH(fill_kernel, (unsigned)((bytes / 16 + 511) / 512), 512, stream, (uint4 *)dst, bytes / 16);
}
