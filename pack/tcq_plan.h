/* SPDX-License-Identifier: Apache-2.0 */
/* How a tensor is coded by tcq, but for the step, which follows from the rate of the whole archive. */
#ifndef HYC_PACK_TCQ_PLAN_H
#define HYC_PACK_TCQ_PLAN_H

#include "codec/tcq_encode.h"
#include "pack/lossy.h"

/* Steps are set in relation to the spread of a tensor, and are powers of two between these. */
#define HYC_TCQ_MIN_LOG2_STEP (-14)
#define HYC_TCQ_MAX_LOG2_STEP 6

struct hyc_tcq_plan {
	uint64_t rows, cols;
	bool by_row;         /* every row has a scale */
	bool finite;
	double lossless;     /* bytes it takes without loss */
	float *spread;       /* of each row, or without scales of each block; owned */
	uint64_t n_spread;
	float unit;          /* the spread that a scale of 1 stands for */
	uint8_t hash[16];    /* XXH3-128 of the tensor's bytes */
	struct hyc_tcq_design design;
	uint8_t *row_scale, *params; /* owned */
};

void hyc_tcq_plan_free(struct hyc_tcq_plan *plan);

/* Write the parameters for a step of 2^log2_step spreads. */
void hyc_tcq_plan_step(struct hyc_tcq_plan *plan, double log2_step);

#endif
