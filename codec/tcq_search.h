/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for levels of the tcq encoder: for each column of a unit the path through the trellis with the least
 * sum of (value - level)^2 + lambda * bits, all in units of the step.
 */
#ifndef HYC_CODEC_TCQ_SEARCH_H
#define HYC_CODEC_TCQ_SEARCH_H

#include "codec/tcq.h"

/* k of at most this magnitude have a symbol; two symbols are left for the parities of the others. */
#define HYC_TCQ_MAX_K 510
#define HYC_TCQ_SYMBOL_LEVELS (2 * HYC_TCQ_MAX_K)

/*
 * What levels cost: lambda * bits of |m| at index |m| + 3, for values of either sign. The indices below that of 0 serve
 * the search: 2 is m = 0 in the second quantiser, 0 and 1 cannot be had.
 */
struct hyc_tcq_rates {
	float of[2][HYC_TCQ_SYMBOL_LEVELS + 4];
	float far[8]; /* beyond the symbols */
};

/*
 * Learn the rates from how often symbols occurred, by quantiser (without a trellis there is one). NULL: nothing costs
 * anything. patch_bits: what a level without a symbol costs besides one.
 */
void hyc_tcq_set_rates(struct hyc_tcq_rates *rates, const uint32_t (*count)[HYC_RANS_ALPHABET], bool trellis,
		       unsigned patch_bits, float lambda);

#define HYC_TCQ_F16_MAX 65504.0f

/* Values of a unit to be coded. With F16, steps are at most a quarter of HYC_TCQ_F16_MAX. */
struct hyc_tcq_values {
	uint32_t n_rows, n_cols;
	uint32_t stride;           /* of a row; n_cols rounded up to a multiple of 4, the rest is 0 */
	float *value;              /* in steps, at most 2^15 - 9 in magnitude */
	uint8_t *survivors;        /* scratch, of the same shape */
	uint32_t dtype;            /* of what is decoded */
	float *row_step;           /* the step is the product of these two */
	float col_step[HYC_TCQ_STRIPE];
};

/* choice[row * stride + col] becomes k * 2 + quantiser. */
void hyc_tcq_search(const struct hyc_tcq_values *values, const struct hyc_tcq_rates *rates, bool trellis,
		    int32_t *choice);

#endif
