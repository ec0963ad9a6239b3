/* SPDX-License-Identifier: Apache-2.0 */
/* What the planning of a tensor leaves for the coding of its blocks. Inside the encoder of the hyper codec. */
#ifndef HYC_CODEC_HYPER_PLAN_H
#define HYC_CODEC_HYPER_PLAN_H

#include <math.h>

#include "codec/half.h"
#include "codec/hyper_encode.h"
#include "codec/hyper_search.h"
#include "format/dtype.h"

/* Radii and factors of the classes of one choice of their number; class 0 is the square. */
struct hyc_hyper_shells {
	double bound[HYC_HYPER_MAX_CLASSES + 1], factor[HYC_HYPER_MAX_CLASSES + 1], back[HYC_HYPER_MAX_CLASSES + 1];
};

struct hyc_hyper {
	struct hyc_hyper_options options;
	struct hyc_hyper_search *search;
};

struct hyc_hyper_plan {
	const struct hyc_hyper *hyper;
	uint32_t dtype, elem_bytes;
	uint64_t n, block_elements;
	unsigned round;
	enum hyc_hyper_verdict verdict;
	struct hyc_hyper_object object;
	/* round 0 */
	double sum[2];                /* of the first and of the second elements of pairs */
	float pad;                    /* the second element that a last pair lacks */
	/* round 1 */
	struct hyc_hyper_shells shells[HYC_HYPER_MAX_CLASSES + 1]; /* by number of classes, from 1 */
	struct hyc_hyper_finder finder;
	/* round 2: errors of the points inside of the square, and by number of classes of those outside */
	uint64_t n_outside;
	double inside_error, outside_error[HYC_HYPER_MAX_CLASSES + 1], pad_error[HYC_HYPER_MAX_CLASSES + 1];
	uint64_t *count;              /* of the nodes, by number of classes and class */
	double error;
	uint8_t params[HYC_HYPER_PARAMS_BYTES];
	/* for the coding of blocks */
	uint32_t *index;              /* of each node in class 0 */
	uint32_t class_stride;        /* between the indices of a node in two classes */
	struct hyc_hyper_state *state;
};

/* Pairs of floats at a time. */
#define HYC_HYPER_CHUNK 512u

/* Whether len bytes at pos are whole pairs of the tensor, the last one half at its end. */
bool hyc_hyper_is_part(const struct hyc_hyper_plan *plan, uint64_t pos, size_t len);

/*
 * The elements from src on as pairs of floats, at most HYC_HYPER_CHUNK, with the plan's padding where the last one is
 * half. Returns their number.
 */
size_t hyc_hyper_load_pairs(const struct hyc_hyper_plan *plan, const uint8_t *src, size_t len, float (*pair)[2]);

/* float32 all the way, as numpy keeps it. So is this. */
static inline float hyc_hyper_radius(const struct hyc_hyper_object *o, const float pair[2])
{
	float dx = pair[0] - o->cx, dy = pair[1] - o->cy;

	return sqrtf(dx * dx + dy * dy);
}

static inline bool hyc_hyper_inside(const struct hyc_hyper_object *o, const float pair[2])
{
	float half = (float)(o->side / 2);

	/* Not with &&: that would be branches. */
	return (pair[0] >= o->cx - half) & (pair[0] <= o->cx + half) &
	       (pair[1] >= o->cy - half) & (pair[1] <= o->cy + half);
}

/* Where a point goes that is shrunk by a factor about the centroid. */
static inline struct hyc_hyper_point hyc_hyper_shrink(const struct hyc_hyper_object *o, const float pair[2],
						      double factor)
{
	return (struct hyc_hyper_point) { (pair[0] - o->cx) * factor + o->cx, (pair[1] - o->cy) * factor + o->cy };
}

/* The first class, from `first` on, whose bound a radius does not exceed. */
static inline uint32_t hyc_hyper_class(const struct hyc_hyper_shells *s, uint32_t classes, uint32_t first,
				       double radius)
{
	uint32_t class = first;

	/* Bounds ascend, so those that are exceeded can be counted, which takes no branch. */
	for (uint32_t k = first; k < classes; k++)
		class += radius > s->bound[k];
	return class;
}

#endif
