/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoder of the hyper codec. A tensor is planned first, which takes HYC_HYPER_ROUNDS looks at all of it: its centroid,
 * its farthest point, and the error of each number of classes. Its blocks can then be coded in any order, each by
 * itself. Several threads may scan and encode; what comes out depends on the tensor alone, as long as it is cut into
 * the same parts.
 *
 *	hyc_hyper_new(&options, &hyper)
 *	hyc_hyper_plan_new(hyper, dtype, n_elements, block_elements, &plan)
 *	while (hyc_hyper_plan_round(plan) < HYC_HYPER_ROUNDS) {
 *		for each part, on any thread: hyc_hyper_scan(plan, pos, src, len, &scan)
 *		for each part, in order: hyc_hyper_plan_take(plan, scan)
 *		hyc_hyper_plan_end_round(plan)
 *	}
 *	if (hyc_hyper_plan_verdict(plan) == HYC_HYPER_CODED)
 *		for each block, on any thread: hyc_hyper_encode(plan, pos, src, len, dst, room, decoded, &result)
 */
#ifndef HYC_CODEC_HYPER_ENCODE_H
#define HYC_CODEC_HYPER_ENCODE_H

#include "codec/hyper.h"

#define HYC_HYPER_ROUNDS 3u
/* Tensors of fewer elements are not coded. */
#define HYC_HYPER_MIN_ELEMENTS 10u

/* By the names of the publication. */
struct hyc_hyper_options {
	double side;      /* l: of the centre square */
	double nodes;     /* U: sample nodes on the trajectory; whole */
	double classes;   /* M: the most categories beyond the square; whole */
	double threshold; /* mean absolute error that is good enough to look no further for a number of categories */
	double limit;     /* tensors of a larger mean absolute error are not coded */
};

#define HYC_HYPER_DEFAULTS { .side = 0.1, .nodes = 1600, .classes = 3, .threshold = 0.001, .limit = 0.006 }

struct hyc_hyper_range {
	const char *name; /* "l", "nodes", "classes", "threshold", "limit" */
	double min, max;
	int whole;        /* only whole numbers */
};

/* The range that an option is outside of; NULL where all are inside. */
const struct hyc_hyper_range *hyc_hyper_out_of_range(const struct hyc_hyper_options *options);

/* What all tensors share, immutable. -EINVAL for options out of range, -ENOMEM. */
struct hyc_hyper;
int hyc_hyper_new(const struct hyc_hyper_options *options, struct hyc_hyper **out) HYC_CHECKED;
void hyc_hyper_free(struct hyc_hyper *hyper);

enum hyc_hyper_verdict {
	HYC_HYPER_CODED,
	HYC_HYPER_TOO_SMALL,   /* fewer than HYC_HYPER_MIN_ELEMENTS elements */
	HYC_HYPER_NOT_FINITE,  /* a value is NaN or infinite */
	HYC_HYPER_TOO_FAR_OUT, /* a value is so large that what stands for it might not be finite */
	HYC_HYPER_ABOVE_LIMIT, /* its mean absolute error is above the limit */
};

/* Why a tensor is not coded, for a person: "it has NaN or infinite values". */
const char *hyc_hyper_verdict_text(enum hyc_hyper_verdict verdict);

struct hyc_hyper_plan;
struct hyc_hyper_scan;

/*
 * Plan a tensor of n_elements, BF16, F16 or F32, to be coded in blocks of block_elements, an even number. hyper is
 * borrowed. A tensor that cannot be coded ends its rounds early. -EINVAL for another dtype or an odd number, -ENOMEM.
 */
int hyc_hyper_plan_new(const struct hyc_hyper *hyper, uint32_t dtype, uint64_t n_elements, uint64_t block_elements,
		       struct hyc_hyper_plan **out) HYC_CHECKED;
void hyc_hyper_plan_free(struct hyc_hyper_plan *plan);

/* The rounds that are done; HYC_HYPER_ROUNDS once there is a verdict. */
unsigned hyc_hyper_plan_round(const struct hyc_hyper_plan *plan);

/*
 * Look at the len bytes at offset pos of the tensor: whole pairs of elements, but at its end. *out, owned, NULL at
 * first or that of an earlier part of the same plan, becomes what was seen. -EINVAL for half a pair or bytes that the
 * tensor does not have, -ENOMEM.
 */
int hyc_hyper_scan(const struct hyc_hyper_plan *plan, uint64_t pos, const uint8_t *src, size_t len,
		   struct hyc_hyper_scan **out) HYC_CHECKED;
void hyc_hyper_scan_free(struct hyc_hyper_scan *scan);
void hyc_hyper_plan_take(struct hyc_hyper_plan *plan, const struct hyc_hyper_scan *scan);
/* -ENOMEM. */
int hyc_hyper_plan_end_round(struct hyc_hyper_plan *plan) HYC_CHECKED;

/* All of these once the rounds are done. */
enum hyc_hyper_verdict hyc_hyper_plan_verdict(const struct hyc_hyper_plan *plan);
/* Mean absolute error, before values are rounded to the dtype; 0 where it was not measured. */
double hyc_hyper_plan_error(const struct hyc_hyper_plan *plan);
/* The object's parameters: HYC_HYPER_PARAMS_BYTES, borrowed. For a tensor to be coded. */
const uint8_t *hyc_hyper_plan_params(const struct hyc_hyper_plan *plan);

struct hyc_hyper_result {
	double power;         /* sum of the squares of the values */
	double squared_error; /* sum, of what is decoded */
	double max_error;
};

/*
 * Encode the block of src_len bytes at offset pos of the tensor into dst, which has room for dst_room bytes. Returns
 * the stored length; or 0 where the result would not be shorter than dst_room (pass src_len): then store the decoded
 * bytes as they are; or -EINVAL as above, or -ENOMEM. decoded, of src_len bytes, becomes what the block decodes to, and
 * *result is about that, in either case.
 */
ssize_t hyc_hyper_encode(const struct hyc_hyper_plan *plan, uint64_t pos, const uint8_t *src, size_t src_len,
			 uint8_t *dst, size_t dst_room, uint8_t *decoded, struct hyc_hyper_result *result) HYC_CHECKED;

#endif
