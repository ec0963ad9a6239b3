/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nearest node of a point, the same as by comparing all of them: what the published encoder asks a k-d tree for.
 * The square is cut into cells finer than the trajectory, and each knows the few nodes that are nearest to some point
 * in it.
 */
#ifndef HYC_CODEC_HYPER_SEARCH_H
#define HYC_CODEC_HYPER_SEARCH_H

#include <stdbool.h>

#include "codec/hyper.h"

/* Borders of this many cells around the square. */
#define HYC_HYPER_BORDER 2u
/* A cell with a list; other cells are two nodes, lower | higher << 16, which are most often the same. */
#define HYC_HYPER_LIST (UINT32_C(1) << 31)

/* For one side and number of nodes, whatever the centroid; immutable once made. */
struct hyc_hyper_search {
	struct hyc_hyper_object object; /* around zero, without classes */
	uint32_t cells;                 /* of a column, borders included */
	double scale;                   /* cells per unit of length */
	uint32_t *cell;
	uint16_t *list;                 /* where such a cell says: the number of its nodes, and they, ascending */
};

/* -EINVAL for a side or a number of nodes the format has no place for; -ENOMEM. */
int hyc_hyper_search_new(double side, uint32_t nodes, struct hyc_hyper_search **out) HYC_CHECKED;
void hyc_hyper_search_free(struct hyc_hyper_search *search);

struct hyc_hyper_point {
	double x, y;
};

/* The search around the centroid of an object. */
struct hyc_hyper_finder {
	const struct hyc_hyper_search *search;
	struct hyc_hyper_point low;           /* corner of the square */
	struct hyc_hyper_point *node;         /* owned */
	bool by_cells;                        /* false: so far from zero that cells are not exact */
};

int hyc_hyper_finder_init(const struct hyc_hyper_search *search, const struct hyc_hyper_object *object,
			  struct hyc_hyper_finder *finder) HYC_CHECKED;
void hyc_hyper_finder_fini(struct hyc_hyper_finder *finder);

/* By comparing all; the lowest of equals. */
uint32_t hyc_hyper_find_slowly(const struct hyc_hyper_finder *finder, struct hyc_hyper_point p);

static inline double hyc_hyper_distance(struct hyc_hyper_point a, struct hyc_hyper_point b)
{
	double dx = a.x - b.x, dy = a.y - b.y;

	return dx * dx + dy * dy;
}

/* By comparing those of a list. */
uint32_t hyc_hyper_find_in_list(const struct hyc_hyper_finder *finder, uint32_t cell, struct hyc_hyper_point p);

static inline uint32_t hyc_hyper_find(const struct hyc_hyper_finder *finder, struct hyc_hyper_point p)
{
	const struct hyc_hyper_search *s = finder->search;
	double column = (p.x - finder->low.x) * s->scale + HYC_HYPER_BORDER;
	double row = (p.y - finder->low.y) * s->scale + HYC_HYPER_BORDER;
	uint32_t cell, lower, higher;
	bool nearer;

	if (!finder->by_cells || !(column >= 0 && column < s->cells && row >= 0 && row < s->cells))
		return hyc_hyper_find_slowly(finder, p);
	cell = s->cell[(uint32_t)column * s->cells + (uint32_t)row];
	if (cell & HYC_HYPER_LIST)
		return hyc_hyper_find_in_list(finder, cell, p);
	/* Both distances even where there is one node: cheaper than a branch. */
	lower = cell & 0xffff;
	higher = cell >> 16;
	nearer = hyc_hyper_distance(p, finder->node[higher]) < hyc_hyper_distance(p, finder->node[lower]);
	return lower + (higher - lower) * nearer;
}

#endif
