/* SPDX-License-Identifier: Apache-2.0 */
/* The cache alone: what is evicted and when, single flight, failures, the budget, and many threads at once. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cache/cache.h"

#define BLOCK 1000u

/* The filler writes the key into every byte; it counts, and can be told to fail or to be slow. */
struct filler {
	atomic_uint fills;
	atomic_int fail;
	unsigned sleep_us;
};

static uint8_t byte_of(struct hyc_cache_key key)
{
	return (uint8_t)(key.object * 31 + key.block * 7 + 1);
}

static int fill(void *arg, struct hyc_cache_key key, uint8_t *dst, size_t len)
{
	struct filler *f = arg;
	struct timespec t = { 0, f->sleep_us * 1000L };
	int fail = atomic_load(&f->fail);

	atomic_fetch_add(&f->fills, 1);
	if (f->sleep_us)
		nanosleep(&t, NULL);
	memset(dst, byte_of(key), len);
	return fail;
}

static const struct hyc_cache_entry *get(struct hyc_cache *c, uint32_t object, uint32_t block)
{
	const struct hyc_cache_entry *e;
	struct hyc_cache_key key = { object, block };

	assert_int_equal(hyc_cache_get(c, key, BLOCK, 0, &e), 0);
	assert_int_equal(e->len, BLOCK);
	assert_int_equal(e->data[0], byte_of(key));
	assert_int_equal(e->data[BLOCK - 1], byte_of(key));
	return e;
}

static void touch(struct hyc_cache *c, uint32_t object, uint32_t block)
{
	hyc_cache_put(c, get(c, object, block));
}

static struct hyc_cache_stats stats_of(struct hyc_cache *c)
{
	struct hyc_cache_stats stats;

	hyc_cache_get_stats(c, &stats);
	assert_true(stats.bytes <= stats.limit);
	return stats;
}

static void oldest_goes_first(void **state)
{
	struct filler f = { 0 };
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(3 * BLOCK, fill, &f, &c), 0);
	touch(c, 0, 0);
	touch(c, 0, 1);
	touch(c, 1, 0);
	assert_int_equal(atomic_load(&f.fills), 3);
	touch(c, 0, 0); /* order now: (0,1) (1,0) (0,0) */
	assert_int_equal(atomic_load(&f.fills), 3);
	touch(c, 2, 0); /* (0,1) goes */
	assert_int_equal(stats_of(c).evictions, 1);
	touch(c, 0, 0);
	touch(c, 1, 0);
	assert_int_equal(atomic_load(&f.fills), 4);
	touch(c, 0, 1); /* was gone; (2,0) goes now */
	assert_int_equal(atomic_load(&f.fills), 5);
	touch(c, 0, 0);
	touch(c, 1, 0);
	assert_int_equal(atomic_load(&f.fills), 5);
	touch(c, 2, 0);
	assert_int_equal(atomic_load(&f.fills), 6);
	assert_int_equal(stats_of(c).misses, 6);
	assert_int_equal(stats_of(c).hits, 5);
	hyc_cache_free(c);
}

static void pinned_blocks_stay(void **state)
{
	struct filler f = { 0 };
	const struct hyc_cache_entry *pinned;
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(3 * BLOCK, fill, &f, &c), 0);
	pinned = get(c, 0, 0);
	for (uint32_t b = 1; b < 50; b++)
		touch(c, 0, b);
	assert_int_equal(pinned->data[BLOCK / 2], byte_of((struct hyc_cache_key){ 0, 0 }));
	touch(c, 0, 0);
	assert_int_equal(atomic_load(&f.fills), 50);
	hyc_cache_put(c, pinned);
	hyc_cache_free(c);
}

static void failures_are_told_and_forgotten(void **state)
{
	struct filler f = { .fail = -EBADMSG };
	const struct hyc_cache_entry *e;
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(3 * BLOCK, fill, &f, &c), 0);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, BLOCK, 0, &e), -EBADMSG);
	assert_int_equal(stats_of(c).bytes, 0);
	assert_int_equal(stats_of(c).in_flight, 0);
	atomic_store(&f.fail, 0);
	touch(c, 0, 0);
	assert_int_equal(atomic_load(&f.fills), 2);
	hyc_cache_free(c);
}

static void too_large_for_the_limit(void **state)
{
	struct filler f = { 0 };
	const struct hyc_cache_entry *e;
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(BLOCK, fill, &f, &c), 0);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, BLOCK + 1, 0, &e), -E2BIG);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, BLOCK, 1, &e), -E2BIG);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, BLOCK, SIZE_MAX, &e), -E2BIG);
	touch(c, 0, 0);
	hyc_cache_free(c);
}

/* ---- threads ---- */

struct reader {
	struct hyc_cache *cache;
	unsigned seed, rounds, keys;
	size_t staging;
	atomic_uint *failed, *wrong;
};

static void *read_randomly(void *arg)
{
	struct reader *r = arg;

	for (unsigned i = 0; i < r->rounds; i++) {
		struct hyc_cache_key key = { (uint32_t)rand_r(&r->seed) % r->keys, (uint32_t)rand_r(&r->seed) % 4 };
		const struct hyc_cache_entry *e;
		struct hyc_cache_stats stats;

		if (hyc_cache_get(r->cache, key, BLOCK, r->staging, &e)) {
			atomic_fetch_add(r->failed, 1);
			continue;
		}
		for (size_t b = 0; b < BLOCK; b += 111)
			if (e->data[b] != byte_of(key))
				atomic_fetch_add(r->wrong, 1);
		hyc_cache_get_stats(r->cache, &stats);
		if (stats.bytes > stats.limit)
			atomic_fetch_add(r->wrong, 1);
		hyc_cache_put(r->cache, e);
	}
	return NULL;
}

static void run_readers(struct hyc_cache *c, unsigned n, unsigned rounds, unsigned keys, size_t staging,
			atomic_uint *failed, atomic_uint *wrong)
{
	pthread_t id[32];
	struct reader reader[32];

	for (unsigned i = 0; i < n; i++) {
		reader[i] = (struct reader){ c, i + 1, rounds, keys, staging, failed, wrong };
		assert_int_equal(pthread_create(&id[i], NULL, read_randomly, &reader[i]), 0);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(id[i], NULL);
}

static void one_fill_for_many_readers(void **state)
{
	struct filler f = { .sleep_us = 20000 };
	atomic_uint failed = 0, wrong = 0;
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(100 * BLOCK, fill, &f, &c), 0);
	/* Four keys, 16 threads: each key is filled once. */
	run_readers(c, 16, 20, 1, 0, &failed, &wrong);
	assert_int_equal(atomic_load(&f.fills), 4);
	assert_int_equal(failed + wrong, 0);
	hyc_cache_free(c);
}

static void many_threads_in_little_room(void **state)
{
	struct filler f = { 0 };
	atomic_uint failed = 0, wrong = 0;
	struct hyc_cache *c;

	(void)state;
	/* Room for two blocks and a bit of staging, 16 threads: most of them wait, none for ever. */
	assert_int_equal(hyc_cache_new(2 * BLOCK + 500, fill, &f, &c), 0);
	run_readers(c, 16, 2000, 20, 500, &failed, &wrong);
	assert_int_equal(failed + wrong, 0);
	assert_int_equal(stats_of(c).in_flight, 0);
	assert_int_equal(stats_of(c).hits + stats_of(c).misses, 16 * 2000);
	hyc_cache_free(c);
}

static void many_threads_and_failures(void **state)
{
	struct filler f = { .fail = -EIO, .sleep_us = 50 };
	atomic_uint failed = 0, wrong = 0;
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(3 * BLOCK, fill, &f, &c), 0);
	run_readers(c, 8, 200, 2, 0, &failed, &wrong);
	assert_int_equal(failed, 8 * 200);
	assert_int_equal(wrong, 0);
	assert_int_equal(stats_of(c).bytes, 0);
	hyc_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(oldest_goes_first),
		cmocka_unit_test(pinned_blocks_stay),
		cmocka_unit_test(failures_are_told_and_forgotten),
		cmocka_unit_test(too_large_for_the_limit),
		cmocka_unit_test(one_fill_for_many_readers),
		cmocka_unit_test(many_threads_in_little_room),
		cmocka_unit_test(many_threads_and_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
