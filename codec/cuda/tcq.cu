/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trellis-coded quantisation: a warp decodes a unit, row by row. A lane has columns 2l and 2l + 1 of each group of 64, and keeps
 * their trellis states and scales in registers. Levels become floats without a conversion: as the mantissa of a subnormal
 * number, which is as exact as any other, and which the scales make up for. So the first product is m * c * 2^-37 for level m,
 * the second one m * c * r, each rounded as if no powers of two were there: none is subnormal or infinite.
 */
#include "codec/cuda/warp.cuh"

#define STRIPE 256u
#define GROUPS (STRIPE / GROUP)

HYC_INLINE float bits_float(uint32_t u)
{
	return __uint_as_float(u);
}

static __constant__ uint32_t octave[8] = {
	0x3f800000, 0x3f8b95c2, 0x3f9837f0, 0x3fa5fed7, 0x3fb504f3, 0x3fc5672a, 0x3fd744fd, 0x3feac0c7,
};

/* 2^((byte - 128) / 8), as hyc_tcq_scale has it. */
HYC_INLINE float scale_of(uint32_t byte)
{
	return bits_float(octave[byte & 7] + ((byte >> 3) << 23) - (16u << 23));
}

/* The next state of the trellis before the parity comes in: A[state]. */
HYC_INLINE uint32_t next_trellis(uint32_t state)
{
#ifdef HYC_EMULATE
	return (uint32_t)(UINT64_C(0x0702030605010400) >> 8 * state) & 0xff;
#else
	uint32_t to;

	asm("prmt.b32 %0, %1, %2, %3;" : "=r"(to) : "r"(0x05010400), "r"(0x07020306), "r"(state));
	return to;
#endif
}

/* Two floats as elements of the dtype in the halves of a word, rounded to nearest even. */
template <uint32_t KIND> HYC_INLINE uint32_t pack_pair(float first, float second)
{
#ifdef HYC_EMULATE
	return emulate_round(KIND == HYC_CUDA_TCQ_F16, first) | (uint32_t)emulate_round(KIND == HYC_CUDA_TCQ_F16, second) << 16;
#else
	uint32_t pair;

	if (KIND == HYC_CUDA_TCQ_F16)
		asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
	else
		asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
	return pair;
#endif
}

/* m * c * r, each product rounded. */
HYC_INLINE float value_of(float m, float col_scale, float row_scale)
{
	return __fmul_rn(__fmul_rn(m, col_scale), row_scale);
}

#define COL_SCALE bits_float(0x77000000)  /* 2^111: so c is below 2^127 */
#define ROW_SCALE bits_float(0x52000000)  /* 2^37: so r is below 2^128 */
#define LEVEL_SCALE bits_float(0x00000002) /* 2^-148 */
#define ZERO_SCALE bits_float(0x80000800)  /* -2^-138: of a level in a narrow slot, which is 1024 more */

/* One column of a lane: the state of its trellis, and its scale, times 2^111 and times -2^-27. */
struct column {
	uint32_t trellis;
	float scale, zero;
};

/* m * c * 2^-37 of one column, and its next state in col->trellis. */
template <bool NARROW, bool FULL>
HYC_INLINE float level(struct words *w, uint32_t *x, struct column *col, shared_at table, bool trellis, bool active)
{
	/* The tables of the two quantisers are interleaved, and 4 is the bit of the state that says which. */
	uint32_t low, high = split(*x, w->two21, &low), slot, y;

	slot = shared_load32((table + (low >> 18)) | (col->trellis & 4));
	y = next_state<NARROW>(w, high, slot);
	if (FULL) {
		*x = words_take(w, y);
	} else {
		if (active)
			*x = y;
		*x = words_take_some(w, *x, active && y < LOW);
	}
	if (NARROW) {
		col->trellis = next_trellis(col->trellis) ^ (slot & 1);
		return __fmaf_rn(bits_float(slot & 0xffe), col->scale, col->zero);
	} else {
		int32_t k = (int32_t)(slot & 1023) - 512, q = (int32_t)(col->trellis >> 2), sign = (k > 0) - (k < 0);

		if (trellis)
			col->trellis = next_trellis(col->trellis) ^ (slot & 1);
		return __fmul_rn(__fmul_rn((float)(trellis ? 2 * k - q * sign : k), LEVEL_SCALE), col->scale);
	}
}

/* A unit of w columns, from column first of rows of cols elements. */
struct unit {
	const uint8_t *states, *patches;
	uint32_t n_words, n_patches;
	uint32_t n_rows, n_cols, cols;
	const uint8_t *rows, *scales; /* scales of its rows, of its columns; NULL: all 1 */
	uint8_t *dst;                 /* of its first element */
};

template <uint32_t KIND> HYC_INLINE void store_one(uint8_t *dst, uint32_t e, float v)
{
	if (KIND == HYC_CUDA_TCQ_F32)
		*(float *)(dst + 4 * (size_t)e) = v;
	else
		*(uint16_t *)(dst + 2 * (size_t)e) = (uint16_t)pack_pair<KIND>(v, 0.0f);
}

/* Columns e and e + 1, of which the second may be none. even: all pairs of the object are aligned. */
template <uint32_t KIND, bool FULL>
HYC_INLINE void store_pair(uint8_t *row, uint32_t e, float first, float second, bool even, bool one, bool both)
{
	if (FULL || (even && both)) {
		if (KIND == HYC_CUDA_TCQ_F32)
			put64(row + 4 * (size_t)e, __float_as_uint(first), __float_as_uint(second));
		else
			put32(row + 2 * (size_t)e, pack_pair<KIND>(first, second));
		return;
	}
	if (one)
		store_one<KIND>(row, e, first);
	if (both)
		store_one<KIND>(row, e + 1, second);
}

/* What a warp needs besides its unit. All that is loaded for it is on its way before the tables are there. */
struct decoder {
	uint32_t x;
	struct words words;
	struct column column[2 * GROUPS];
	float unit_step;
	uint32_t row_byte; /* scale of the row of this lane, of the next 32 */
};

HYC_INLINE void decoder_start(struct decoder *d, const struct unit *u, float unit_step, shared_at ring, const struct hyc_cuda_args *a,
			      unsigned lane)
{
	words_start(&d->words, ring, u->states, u->n_words, a, lane);
	d->x = load32(u->states + 4 * lane);
	d->unit_step = unit_step;
	d->row_byte = u->rows && lane < u->n_rows ? u->rows[lane] : 128;
#pragma unroll
	for (unsigned j = 0; j < 2 * GROUPS; j++) {
		uint32_t col = j / 2 * GROUP + 2 * lane + j % 2;

		d->column[j].trellis = 0;
		d->column[j].scale = __fmul_rn(scale_of(u->scales && col < u->n_cols ? u->scales[col] : 128), COL_SCALE);
		d->column[j].zero = __fmul_rn(d->column[j].scale, ZERO_SCALE);
	}
}

/*
 * A row, at its address for this lane. FULL: 256 columns of an object with an even number of them, so that there are no idle lanes
 * and pairs are stored as one.
 */
template <uint32_t KIND, bool NARROW, bool FULL>
HYC_INLINE void decode_row(const struct unit *u, struct decoder *d, float row_scale, uint8_t *row, shared_at table, bool trellis,
			   unsigned lane)
{
	bool even = !(u->cols & 1);

#pragma unroll
	for (unsigned g = 0; g < GROUPS; g++) {
		uint32_t col = g * GROUP + 2 * lane;
		bool one = FULL || col < u->n_cols, both = FULL || col + 1 < u->n_cols;
		float first, second;

		if (!FULL && g * GROUP >= u->n_cols)
			break;
		first = level<NARROW, FULL>(&d->words, &d->x, &d->column[2 * g], table, trellis, one);
		second = level<NARROW, FULL>(&d->words, &d->x, &d->column[2 * g + 1], table, trellis, both);
		store_pair<KIND, FULL>(row, g * GROUP, __fmul_rn(first, row_scale), __fmul_rn(second, row_scale), even, one, both);
	}
}

/* FULL: as decode_row. */
template <uint32_t KIND, bool NARROW, bool FULL>
HYC_INLINE bool decode_unit(struct decoder *d, const struct unit *u, bool trellis, shared_at table, unsigned lane)
{
	const uint32_t bytes = KIND == HYC_CUDA_TCQ_F32 ? 4 : 2;
	uint8_t *row = u->dst + 2 * bytes * lane;

	for (uint32_t first = 0; first < u->n_rows; first += LANES) {
		uint32_t n = u->n_rows - first < LANES ? u->n_rows - first : LANES;
		float lane_scale = __fmul_rn(__fmul_rn(d->unit_step, scale_of(d->row_byte)), ROW_SCALE);

		if (u->rows && first + LANES + lane < u->n_rows)
			d->row_byte = u->rows[first + LANES + lane];
		for (uint32_t i = 0; i < n; i++) {
			decode_row<KIND, NARROW, FULL>(u, d, __shfl_sync(ALL, lane_scale, i), row, table, trellis, lane);
			words_step(&d->words, lane);
			row += (size_t)bytes * u->cols;
		}
	}
	return words_ended(&d->words, u->n_words, lane, d->x);
}

/* Patches in order: of those with the same position in a round of 32 the last one counts. */
template <uint32_t KIND> static __device__ __noinline__ bool apply_patches(const struct unit u, float unit_step, unsigned lane)
{
	for (uint32_t i = 0; i < u.n_patches; i += LANES) {
		bool mine = i + lane < u.n_patches;
		uint32_t at = mine ? load16(u.patches + 4 * (i + lane)) : 0xffffffff - lane, row = at / u.n_cols;
		uint32_t same, col = at % u.n_cols;

		if (__any_sync(ALL, mine && row >= u.n_rows))
			return false;
		__syncwarp();
		same = __match_any_sync(ALL, at);
		if (mine && same >> lane == 1) {
			float m = (float)(int16_t)load16(u.patches + 4 * (i + lane) + 2);
			float row_scale = u.rows ? __fmul_rn(unit_step, scale_of(u.rows[row])) : unit_step;
			float col_scale = u.scales ? scale_of(u.scales[col]) : 1.0f;

			store_one<KIND>(u.dst + (size_t)(KIND == HYC_CUDA_TCQ_F32 ? 4 : 2) * row * u.cols, col,
					value_of(m, col_scale, row_scale));
		}
	}
	return true;
}

HYC_INLINE void find_unit(struct unit *u, const struct hyc_cuda_args *a, const struct hyc_cuda_job *job, uint32_t directory,
			  uint32_t i, uint32_t bytes)
{
	const uint8_t *src = a->slab + job->src, *dir = src + directory + 4 * i;
	uint32_t stripes = (job->cols + STRIPE - 1) / STRIPE;
	uint32_t first_row = i / stripes * job->unit_rows, first_col = i % stripes * STRIPE;
	uint32_t rows_left = job->n - first_row, cols_left = job->cols - first_col;

	u->n_words = load16(dir);
	u->n_patches = load16(dir + 2);
	u->states = src + a->units[job->first_unit + i];
	u->patches = u->states + STATES_BYTES + align_up(2 * u->n_words, 16);
	u->n_rows = rows_left < job->unit_rows ? rows_left : job->unit_rows;
	u->n_cols = cols_left < STRIPE ? cols_left : STRIPE;
	u->cols = job->cols;
	u->rows = job->rows_at ? a->slab + job->rows_at + first_row : NULL;
	u->scales = job->cols_at ? a->slab + job->cols_at + first_col : NULL;
	u->dst = (uint8_t *)job->dst + bytes * ((size_t)first_row * job->cols + first_col);
}

template <uint32_t KIND>
static __global__ void __launch_bounds__(HYC_CUDA_WARPS *LANES, 8) tcq_kernel(struct hyc_cuda_args a, uint32_t first_team)
{
	__shared__ __align__(16) uint32_t table[2 * SLOTS];
	__shared__ __align__(16) uint8_t rings[HYC_CUDA_WARPS * RING_BYTES];
	struct hyc_cuda_team team = a.teams[first_team + blockIdx.x];
	const struct hyc_cuda_job *job = &a.jobs[team.job];
	unsigned lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
	uint32_t i = team.first_unit + warp, wide = a.heads[team.job].wide;
	bool trellis = job->trellis, mine = i < job->n_units, good;
	shared_at slots = shared_of(table);
	float unit_step = job->step;
	struct decoder d;
	struct unit u;

	/* The same for all warps, so that they meet at the barrier. */
	if (a.heads[team.job].bad)
		return;
	slots_copy<2 * SLOTS>(slots, a.tables + (size_t)job->first_table * SLOTS);
	if (mine) {
		find_unit(&u, &a, job, a.heads[team.job].directory, i, KIND == HYC_CUDA_TCQ_F32 ? 4 : 2);
		decoder_start(&d, &u, unit_step, shared_of(rings + warp * RING_BYTES + BEFORE_RING), &a, lane);
	}
	shared_wait<0>();
	__syncthreads();
	if (!mine)
		return;
	if (!wide && u.n_cols == STRIPE && !(u.cols & 1))
		good = decode_unit<KIND, true, true>(&d, &u, trellis, slots, lane);
	else if (!wide)
		good = decode_unit<KIND, true, false>(&d, &u, trellis, slots, lane);
	else
		good = decode_unit<KIND, false, false>(&d, &u, trellis, slots, lane);
	__syncwarp();
	good = good && apply_patches<KIND>(u, unit_step, lane);
	if (!good && !lane)
		a.status[team.job] = 1;
}

extern "C" void hyc_cuda_launch_tcq(const struct hyc_cuda_args *args, uint32_t kind, uint32_t first_team, uint32_t n_teams,
				    void *stream)
{
	const unsigned threads = HYC_CUDA_WARPS * LANES;

	switch (kind) {
	case HYC_CUDA_TCQ_BF16:
		HYC_LAUNCH(tcq_kernel<HYC_CUDA_TCQ_BF16>, n_teams, threads, stream, *args, first_team);
		break;
	case HYC_CUDA_TCQ_F16:
		HYC_LAUNCH(tcq_kernel<HYC_CUDA_TCQ_F16>, n_teams, threads, stream, *args, first_team);
		break;
	default:
		HYC_LAUNCH(tcq_kernel<HYC_CUDA_TCQ_F32>, n_teams, threads, stream, *args, first_team);
	}
}
