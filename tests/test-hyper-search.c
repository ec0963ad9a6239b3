/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nearest node of a point is found by cells as it is by comparing all nodes: inside of the square, on its bounds
 * and around it, near zero and so far from it that coordinates lose most of their bits.
 */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/hyper_search.h"
#include "tests/samples.h"

#define POINTS 4000u

/* Points of three kinds: anywhere, on a fine grid, where distances are often equal, and on a node or beside it. */
static struct hyc_hyper_point some_point(const struct hyc_hyper_finder *finder, double side, unsigned kind)
{
	struct hyc_hyper_point p = { finder->low.x, finder->low.y };
	double spread = kind % 10 ? 1 : 1.5;

	if (kind % 3 == 2) {
		p = finder->node[(uint32_t)(uniform() * (finder->search->object.nodes + 1))];
		p.x += kind % 2 * side * 0x1p-40;
		return p;
	}
	p.x += (0.5 + (uniform() - 0.5) * spread) * side;
	p.y += (0.5 + (uniform() - 0.5) * spread) * side;
	if (kind % 3 == 1)
		p.x = finder->low.x + side * (int)(uniform() * 81) / 80;
	return p;
}

static void compare(const struct hyc_hyper_search *search, float cx, float cy)
{
	struct hyc_hyper_object object = search->object;
	struct hyc_hyper_finder finder;

	object.cx = cx;
	object.cy = cy;
	assert_int_equal(hyc_hyper_finder_init(search, &object, &finder), 0);
	for (unsigned k = 0; k < POINTS; k++) {
		struct hyc_hyper_point p = some_point(&finder, object.side, k);

		assert_int_equal(hyc_hyper_find(&finder, p), hyc_hyper_find_slowly(&finder, p));
	}
	hyc_hyper_finder_fini(&finder);
}

static void nearest_is_nearest(void **state)
{
	static const uint32_t nodes[] = { 4, 5, 9, 10, 16, 17, 225, 226, 241, 1600, 1601, 4095, 4096 };
	static const double sides[] = { 0.1, 0.7, 1e-6, 1e6 };
	static const float centers[] = { 0, 0.01f, -1, 1000, 1e5f, 1e20f };

	(void)state;
	for (size_t i = 0; i < LEN(nodes); i++) {
		struct hyc_hyper_search *search;

		assert_int_equal(hyc_hyper_search_new(sides[i % LEN(sides)], nodes[i], &search), 0);
		for (size_t c = 0; c < LEN(centers); c++)
			compare(search, centers[c], -centers[c]);
		hyc_hyper_search_free(search);
	}
}

static void what_has_no_place_is_refused(void **state)
{
	struct hyc_hyper_search *search;

	(void)state;
	assert_int_equal(hyc_hyper_search_new(0.1, 3, &search), -EINVAL);
	assert_int_equal(hyc_hyper_search_new(0.1, 4097, &search), -EINVAL);
	assert_int_equal(hyc_hyper_search_new(1e-7, 1600, &search), -EINVAL);
	assert_int_equal(hyc_hyper_search_new(1e7, 1600, &search), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest_is_nearest),
		cmocka_unit_test(what_has_no_place_is_refused),
	};

	samples_seed_from_env();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
