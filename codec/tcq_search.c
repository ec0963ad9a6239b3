/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The levels that a state can reach with either parity of k are every fourth integer, so for a value there are four
 * sets to choose from, and in each set the level below and the level above: eight consecutive integers in all. The
 * sets are numbered by |m| mod 4: 0 and 2 are even and odd k of the first quantiser, 3 and 1 those of the second,
 * and 3 has 0 besides.
 */
#include "config.h"

#include "codec/tcq_search.h"

#include <math.h>
#include <string.h>

#define IMPOSSIBLE 1e30f
#define WIDTH 4u /* of the vectors */

typedef float vfloat __attribute__((vector_size(4 * WIDTH)));
typedef int32_t vint __attribute__((vector_size(4 * WIDTH)));
typedef uint8_t vbyte __attribute__((vector_size(WIDTH)));

/* By the state that is reached: the two states it is reached from, with even and with odd k. */
static const uint8_t previous[8][2] = {
	{ 0, 2 }, { 2, 0 }, { 6, 5 }, { 5, 6 }, { 1, 3 }, { 3, 1 }, { 4, 7 }, { 7, 4 },
};

/* The set of quantiser and parity of k. */
static const uint8_t set_of[2][2] = { { 0, 2 }, { 3, 1 } };

/*
 * Bits of k, from the counts of k and its neighbours: those of a sample are ragged, and a level that just did not occur
 * must not look expensive. below[s]: sum of the counts of symbols below s.
 */
static float bits_of(const uint64_t *below, int k)
{
	int width = (k < 0 ? -k : k) / 8, first = HYC_TCQ_SYMBOL_ZERO + k - width, end = first + 2 * width + 1;
	double all = (double)below[HYC_RANS_ALPHABET] + 1, expected, slot_bits;

	first = first < 0 ? 0 : first;
	end = end > (int)HYC_RANS_ALPHABET ? (int)HYC_RANS_ALPHABET : end;
	expected = ((double)(below[end] - below[first]) + 0.25) / (double)(end - first);
	if (expected * HYC_RANS_SLOTS >= all)
		return (float)log2(all / expected);
	/* It gets more of the slots than its share, or else a patch: those that occur pay for that together. */
	slot_bits = all / 1420 + 9;
	return (float)(HYC_RANS_BITS + slot_bits * (1 / expected - HYC_RANS_SLOTS / all));
}

void hyc_tcq_set_rates(struct hyc_tcq_rates *rates, const uint32_t (*count)[HYC_RANS_ALPHABET], bool trellis,
		       unsigned patch_bits, float lambda)
{
	uint64_t below[2][HYC_RANS_ALPHABET + 1] = { { 0 } };
	float most = lambda * (float)(HYC_RANS_BITS + patch_bits);

	memset(rates, 0, sizeof *rates);
	for (unsigned sign = 0; sign < 2; sign++)
		rates->of[sign][0] = rates->of[sign][1] = IMPOSSIBLE;
	if (!count)
		return;
	for (unsigned q = 0; q < 1u + trellis; q++)
		for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++)
			below[q][s + 1] = below[q][s] + count[q][s];
	for (unsigned sign = 0; sign < 2; sign++) {
		float *of = rates->of[sign];

		of[2] = fminf(lambda * bits_of(below[1], 0), most);
		for (int m = 0; m <= HYC_TCQ_SYMBOL_LEVELS; m++) {
			int k = trellis ? (m + 1) / 2 : m;

			of[m + 3] = most;
			if (k <= HYC_TCQ_MAX_K)
				of[m + 3] = fminf(lambda * bits_of(below[trellis ? m & 1 : 0], sign ? -k : k), most);
		}
	}
	for (unsigned i = 0; i < 8; i++)
		rates->far[i] = most;
}

/* The eight levels around a value and their costs; lane i of each belongs to set (whole + 1 + i) mod 4. */
struct around {
	int32_t whole; /* the value's magnitude, rounded down */
	vfloat low, high, low_cost, high_cost;
};

static inline vfloat load(const float *p)
{
	vfloat v;

	memcpy(&v, p, sizeof v);
	return v;
}

static inline vfloat blend(vint mask, vfloat yes, vfloat no)
{
	return (vfloat)((mask & (vint)yes) | (~mask & (vint)no));
}

/* What is decoded, as far as it is not simply level times step. */
struct rounding {
	float step; /* to BF16, which shows where there are many bits for each value; 0: not looked at */
	float most; /* the largest level that is finite in F16 */
};

static inline struct rounding rounding_at(const struct hyc_tcq_values *values, uint32_t row, uint32_t col)
{
	float step = values->row_step[row] * values->col_step[col];

	return (struct rounding) {
		.step = values->dtype == HYC_BF16 ? step : 0,
		.most = values->dtype == HYC_F16 ? HYC_TCQ_F16_MAX / step : INFINITY,
	};
}

/* The squares of what is left of a value. */
static inline __attribute__((always_inline)) vfloat error_of(float magnitude, vfloat level, struct rounding rounding)
{
	vfloat error = magnitude - level;
	vint beyond = level > rounding.most;

	if (rounding.step > 0) {
		vint bits = (vint)(level * rounding.step);

		bits = (bits + 0x7fff + (bits >> 16 & 1)) & -0x10000;
		error = magnitude - (vfloat)bits * (1 / rounding.step);
	}
	return error * error + (vfloat)(beyond & (vint)(IMPOSSIBLE - (vfloat) { 0 }));
}

static inline __attribute__((always_inline)) struct around
look_around(const struct hyc_tcq_rates *rates, float value, struct rounding rounding)
{
	/* Where -1 would be below the value, the set has 0. */
	static const vfloat below[4] = { { -3, -2, 0, 0 }, { -3, -1, -1, 0 }, { -2, -2, -1, 0 }, { -3, -2, -1, 0 } };
	static const vfloat above = { 1, 2, 3, 4 };
	float magnitude = fabsf(value);
	struct around a = { .whole = (int32_t)magnitude };
	const float *rate = a.whole + 7 < HYC_TCQ_SYMBOL_LEVELS + 4 ? rates->of[value < 0] + a.whole : rates->far;
	vfloat whole = (float)a.whole - (vfloat) { 0 };

	a.low = whole + below[a.whole < 3 ? a.whole : 3];
	a.high = whole + above;
	a.low_cost = error_of(magnitude, a.low, rounding) + load(rate);
	a.high_cost = error_of(magnitude, a.high, rounding) + load(rate + 4);
	return a;
}

struct front {
	vfloat metric[8][HYC_TCQ_STRIPE / WIDTH]; /* of the best path to each state */
	vfloat set[4][HYC_TCQ_STRIPE / WIDTH];    /* cost of the best level of each set */
};

/* Rows of zeros, as some models have, are to stay just that: there is a path for it from every state. */
static bool is_zero(const float *value, uint32_t n)
{
	for (uint32_t j = 0; j < n; j++)
		if (value[j] != 0)
			return false;
	return true;
}

/* The cost of the best level of each set, for one row. */
static void cost_row(struct front *front, const struct hyc_tcq_rates *rates, const struct hyc_tcq_values *values,
		     uint32_t row)
{
	const float *value = values->value + (size_t)row * values->stride;
	float *set = (float *)front->set;

	if (is_zero(value, values->n_cols)) {
		for (unsigned v = 0; v < HYC_TCQ_STRIPE / WIDTH; v++) {
			front->set[0][v] = front->set[3][v] = (vfloat) { 0 };
			front->set[1][v] = front->set[2][v] = IMPOSSIBLE - (vfloat) { 0 };
		}
		return;
	}
	for (uint32_t j = 0; j < values->n_cols; j++) {
		struct around a = look_around(rates, value[j], rounding_at(values, row, j));
		vfloat best = blend(a.low_cost < a.high_cost, a.low_cost, a.high_cost);

		for (unsigned i = 0; i < 4; i++)
			set[((unsigned)a.whole + 1 + i) % 4 * HYC_TCQ_STRIPE + j] = best[i];
	}
}

/* Extend the paths by one row; bit s of a survivor says that state s is reached with odd k. */
static void extend_row(struct front *front, uint8_t *survivors, uint32_t n)
{
	for (uint32_t v = 0; v < n / WIDTH; v++) {
		vfloat metric[8];
		vint odd_bits = { 0 };
		vbyte bytes;

		for (unsigned s = 0; s < 8; s++)
			metric[s] = front->metric[s][v];
#pragma GCC unroll 8
		for (unsigned s = 0; s < 8; s++) {
			unsigned from_even = previous[s][0], from_odd = previous[s][1];
			vfloat even = metric[from_even] + front->set[set_of[from_even >> 2][0]][v];
			vfloat odd = metric[from_odd] + front->set[set_of[from_odd >> 2][1]][v];
			vint take_odd = odd < even;

			odd_bits |= take_odd & (1 << s);
			front->metric[s][v] = blend(take_odd, odd, even);
		}
		bytes = __builtin_convertvector(odd_bits, vbyte);
		memcpy(survivors + v * WIDTH, &bytes, sizeof bytes);
	}
}

/* Sums of thousands of rows would lose the small differences that count. */
static void rebase(struct front *front)
{
	for (unsigned v = 0; v < HYC_TCQ_STRIPE / WIDTH; v++) {
		vfloat base = front->metric[0][v];

		for (unsigned s = 0; s < 8; s++)
			front->metric[s][v] -= base;
	}
}

static void best_ends(const struct front *front, uint8_t *state, uint32_t n)
{
	for (uint32_t j = 0; j < n; j++) {
		state[j] = 0;
		for (unsigned s = 1; s < 8; s++)
			if (front->metric[s][j / WIDTH][j % WIDTH] < front->metric[state[j]][j / WIDTH][j % WIDTH])
				state[j] = (uint8_t)s;
	}
}

/* The level a path takes, given the quantiser of the state before and the parity of k. */
static int32_t chosen(const struct hyc_tcq_rates *rates, float value, struct rounding rounding, unsigned quantiser,
		      unsigned odd)
{
	struct around a = look_around(rates, value, rounding);
	unsigned i = (set_of[quantiser][odd] - (unsigned)a.whole - 1) % 4;
	int32_t m = (int32_t)(a.low_cost[i] < a.high_cost[i] ? a.low[i] : a.high[i]);
	int32_t k = (m + 1) / 2;

	return 2 * (value < 0 ? -k : k) + (int32_t)quantiser;
}

static void search_trellis(const struct hyc_tcq_values *values, const struct hyc_tcq_rates *rates, int32_t *choice)
{
	uint8_t state[HYC_TCQ_STRIPE];
	struct front front = { 0 };

	for (unsigned s = 1; s < 8; s++)
		for (unsigned v = 0; v < HYC_TCQ_STRIPE / WIDTH; v++)
			front.metric[s][v] += IMPOSSIBLE;
	for (uint32_t i = 0; i < values->n_rows; i++) {
		cost_row(&front, rates, values, i);
		extend_row(&front, values->survivors + (size_t)i * values->stride, values->stride);
		if (i % HYC_TCQ_STRIPE == HYC_TCQ_STRIPE - 1)
			rebase(&front);
	}
	best_ends(&front, state, values->n_cols);
	for (uint32_t i = values->n_rows; i-- > 0;) {
		size_t row = (size_t)i * values->stride;
		bool zero = is_zero(values->value + row, values->n_cols);

		for (uint32_t j = 0; j < values->n_cols; j++) {
			unsigned odd = values->survivors[row + j] >> state[j] & 1;

			state[j] = previous[state[j]][odd];
			choice[row + j] = state[j] >> 2;
			if (!zero)
				choice[row + j] = chosen(rates, values->value[row + j], rounding_at(values, i, j),
							 state[j] >> 2, odd);
		}
	}
}

static int32_t choose_scalar(const struct hyc_tcq_rates *rates, float value, struct rounding rounding)
{
	float magnitude = fabsf(value);
	int32_t m = (int32_t)magnitude;
	const float *rate = m < HYC_TCQ_MAX_K ? rates->of[value < 0] + m + 3 : rates->far;
	vfloat level = { (float)m, (float)(m + 1) }, error = error_of(magnitude, level, rounding);

	m += error[1] + rate[1] < error[0] + rate[0];
	return 2 * (value < 0 ? -m : m);
}

static void search_scalar(const struct hyc_tcq_values *values, const struct hyc_tcq_rates *rates, int32_t *choice)
{
	for (uint32_t i = 0; i < values->n_rows; i++)
		for (uint32_t j = 0; j < values->n_cols; j++) {
			size_t at = (size_t)i * values->stride + j;

			choice[at] = choose_scalar(rates, values->value[at], rounding_at(values, i, j));
		}
}

void hyc_tcq_search(const struct hyc_tcq_values *values, const struct hyc_tcq_rates *rates, bool trellis,
		    int32_t *choice)
{
	if (trellis)
		search_trellis(values, rates, choice);
	else
		search_scalar(values, rates, choice);
}
