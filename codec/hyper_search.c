/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node stays out of a cell's list only where another one is nearer at all four corners, and so, both distances being
 * paraboloids of the same shape, everywhere in the cell; and nearer by more than all rounding.
 */
#include "config.h"

#include "codec/hyper_search.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "format/dtype.h"

/* More cells have shorter lists, until they no longer fit in a cache. */
#define CELLS_PER_NODE 6u
/* Within so many sides of zero, rounding of coordinates stays far below MARGIN, in squared sides. */
#define MAX_AWAY 0x1p20
#define MARGIN 0x1p-26

/* Nodes by the bucket they are in: a grid as fine as the trajectory. */
struct buckets {
	struct hyc_hyper_point *node;
	uint32_t n_nodes, n; /* buckets of a column */
	double width;
	uint32_t *first;     /* n * n + 1 */
	uint16_t *items;
};

static uint32_t bucket_of(const struct buckets *b, double v)
{
	return v <= 0 ? 0 : v / b->width >= b->n ? b->n - 1 : (uint32_t)(v / b->width);
}

static uint32_t bucket_at(const struct buckets *b, struct hyc_hyper_point p)
{
	return bucket_of(b, p.x) * b->n + bucket_of(b, p.y);
}

static void buckets_fini(struct buckets *b)
{
	free(b->node);
	free(b->first);
	free(b->items);
}

static int buckets_init(const struct hyc_hyper_object *o, struct buckets *b)
{
	b->n_nodes = o->nodes + 1;
	b->n = o->grid;
	b->width = o->side / o->grid;
	b->node = malloc(b->n_nodes * sizeof *b->node);
	b->first = calloc((size_t)b->n * b->n + 2, sizeof *b->first);
	b->items = malloc(b->n_nodes * sizeof *b->items);
	if (!b->node || !b->first || !b->items) {
		buckets_fini(b);
		return -ENOMEM;
	}
	for (uint32_t t = 0; t < b->n_nodes; t++) {
		double xy[2];

		/* The square's lower left corner is the origin here. */
		hyc_hyper_node(o, t, xy);
		b->node[t].x = xy[0] + o->side / 2;
		b->node[t].y = xy[1] + o->side / 2;
		b->first[bucket_at(b, b->node[t]) + 2]++;
	}
	for (uint32_t i = 2; i < b->n * b->n + 2; i++)
		b->first[i] += b->first[i - 1];
	/* first[i + 1] runs from the start of bucket i to its end, the start of the next. */
	for (uint32_t t = 0; t < b->n_nodes; t++)
		b->items[b->first[bucket_at(b, b->node[t]) + 1]++] = (uint16_t)t;
	return 0;
}

/* Calls f for each node less than reach away from p, and for some others. */
static void each_near(const struct buckets *b, struct hyc_hyper_point p, double reach,
		      void (*f)(void *arg, uint32_t node), void *arg)
{
	uint32_t x0 = bucket_of(b, p.x - reach), x1 = bucket_of(b, p.x + reach);
	uint32_t y0 = bucket_of(b, p.y - reach), y1 = bucket_of(b, p.y + reach);

	for (uint32_t x = x0; x <= x1; x++)
		for (uint32_t i = b->first[x * b->n + y0]; i < b->first[x * b->n + y1 + 1]; i++)
			f(arg, b->items[i]);
}

struct cell_nodes {
	const struct buckets *buckets;
	struct hyc_hyper_point middle, corner[4];
	double margin;
	uint32_t nearest; /* to the middle */
	double distance;
	uint32_t n;
	uint16_t node[HYC_HYPER_MAX_NODES + 1];
};

static void take_nearest(void *arg, uint32_t node)
{
	struct cell_nodes *c = arg;
	double d = hyc_hyper_distance(c->middle, c->buckets->node[node]);

	if (d < c->distance) {
		c->distance = d;
		c->nearest = node;
	}
}

static void take_candidate(void *arg, uint32_t node)
{
	struct cell_nodes *c = arg;
	bool beaten = true;

	for (unsigned i = 0; i < 4; i++)
		beaten = beaten && hyc_hyper_distance(c->corner[i], c->buckets->node[c->nearest]) + c->margin <
				   hyc_hyper_distance(c->corner[i], c->buckets->node[node]);
	if (!beaten)
		c->node[c->n++] = (uint16_t)node;
}

static int ascending(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* The nodes that can be nearest to a point of a cell, ascending. */
static void find_cell_nodes(const struct buckets *b, uint32_t column, uint32_t row, double width, double side,
			    struct cell_nodes *c)
{
	double x = (column - (double)HYC_HYPER_BORDER) * width, y = (row - (double)HYC_HYPER_BORDER) * width;
	/* A point may be rounded into the cell beside its own. */
	double slack = side * MARGIN, reach = b->width;

	c->buckets = b;
	c->middle = (struct hyc_hyper_point) { x + width / 2, y + width / 2 };
	for (unsigned i = 0; i < 4; i++)
		c->corner[i] = (struct hyc_hyper_point) { i & 1 ? x + width + slack : x - slack,
							  i & 2 ? y + width + slack : y - slack };
	c->margin = side * side * MARGIN;
	c->distance = INFINITY;
	c->n = 0;
	/* Until all nodes that could be nearer have been seen. */
	for (; c->distance >= reach * reach / 4; reach *= 2)
		each_near(b, c->middle, reach, take_nearest, c);
	/* A node further away is beaten by the nearest of the middle all over the cell: its diagonal is 1.42 widths. */
	each_near(b, c->middle, sqrt(c->distance) + 2 * width, take_candidate, c);
	qsort(c->node, c->n, sizeof *c->node, ascending);
}

static int fill_cells(struct hyc_hyper_search *s, const struct buckets *b, struct cell_nodes *c)
{
	size_t room = 0, used = 0;

	for (uint32_t i = 0; i < s->cells * s->cells; i++) {
		find_cell_nodes(b, i / s->cells, i % s->cells, 1 / s->scale, s->object.side, c);
		if (c->n <= 2) {
			s->cell[i] = c->node[0] | (uint32_t)c->node[c->n - 1] << 16;
			continue;
		}
		if (used + 1 + c->n > room) {
			uint16_t *list;

			room = 2 * room + 1 + c->n;
			list = realloc(s->list, room * sizeof *list);
			if (!list)
				return -ENOMEM;
			s->list = list;
		}
		s->cell[i] = HYC_HYPER_LIST | (uint32_t)used;
		s->list[used++] = (uint16_t)c->n;
		memcpy(s->list + used, c->node, c->n * sizeof *c->node);
		used += c->n;
	}
	return 0;
}

/* Steps as the published decoder derives them, through norms: their last bits decide where nodes wrap. */
static void set_steps(struct hyc_hyper_object *o)
{
	double l = o->side, m = ceil(sqrt(o->nodes)), gap = l / m;
	double sin_alpha = l / sqrt(l * l + gap * gap), step = l / sin_alpha / m, norm = sqrt(gap * gap + l * l);

	o->dx = gap / norm * step;
	o->dy = l / norm * step;
}

int hyc_hyper_search_new(double side, uint32_t nodes, struct hyc_hyper_search **out)
{
	struct hyc_hyper_search *s = calloc(1, sizeof *s);
	struct cell_nodes *c = malloc(sizeof *c);
	struct buckets b = { 0 };
	int result = -ENOMEM;

	if (s && c) {
		s->object.side = side;
		s->object.nodes = nodes;
		s->object.tile_log2 = HYC_HYPER_MAX_TILE_LOG2;
		set_steps(&s->object);
		result = hyc_hyper_object_settle(HYC_F32, &s->object) ? -EINVAL : buckets_init(&s->object, &b);
	}
	if (!result) {
		s->cells = s->object.grid * CELLS_PER_NODE + 2 * HYC_HYPER_BORDER;
		s->scale = s->object.grid * CELLS_PER_NODE / side;
		s->cell = malloc((size_t)s->cells * s->cells * sizeof *s->cell);
		result = s->cell ? fill_cells(s, &b, c) : -ENOMEM;
		buckets_fini(&b);
	}
	free(c);
	if (result)
		hyc_hyper_search_free(s);
	else
		*out = s;
	return result;
}

void hyc_hyper_search_free(struct hyc_hyper_search *search)
{
	if (!search)
		return;
	free(search->cell);
	free(search->list);
	free(search);
}

int hyc_hyper_finder_init(const struct hyc_hyper_search *search, const struct hyc_hyper_object *object,
			  struct hyc_hyper_finder *finder)
{
	double away = fabs(object->cx) > fabs(object->cy) ? fabs(object->cx) : fabs(object->cy);

	finder->search = search;
	finder->low.x = object->cx - object->side / 2;
	finder->low.y = object->cy - object->side / 2;
	finder->by_cells = away <= MAX_AWAY * object->side;
	finder->node = malloc((object->nodes + 1) * sizeof *finder->node);
	if (!finder->node)
		return -ENOMEM;
	for (uint32_t t = 0; t <= object->nodes; t++) {
		double xy[2];

		hyc_hyper_node(object, t, xy);
		finder->node[t] = (struct hyc_hyper_point) { xy[0], xy[1] };
	}
	return 0;
}

void hyc_hyper_finder_fini(struct hyc_hyper_finder *finder)
{
	free(finder->node);
	finder->node = NULL;
}

uint32_t hyc_hyper_find_slowly(const struct hyc_hyper_finder *finder, struct hyc_hyper_point p)
{
	uint32_t best = 0;
	double distance = hyc_hyper_distance(p, finder->node[0]);

	for (uint32_t t = 1; t <= finder->search->object.nodes; t++) {
		double d = hyc_hyper_distance(p, finder->node[t]);

		if (d < distance) {
			distance = d;
			best = t;
		}
	}
	return best;
}

uint32_t hyc_hyper_find_in_list(const struct hyc_hyper_finder *finder, uint32_t cell, struct hyc_hyper_point p)
{
	const uint16_t *list = finder->search->list + (cell & ~HYC_HYPER_LIST);
	uint32_t best = list[1];
	double distance = hyc_hyper_distance(p, finder->node[best]);

	for (uint32_t i = 2; i <= list[0]; i++) {
		double d = hyc_hyper_distance(p, finder->node[list[i]]);

		best = d < distance ? list[i] : best;
		distance = d < distance ? d : distance;
	}
	return best;
}
