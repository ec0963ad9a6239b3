/* SPDX-License-Identifier: Apache-2.0 */
/* The cache alone: what is evicted and when, single flight, failures, the budget, and many threads at once. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "cache/memory.h"

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

static int fill(void *arg, const struct hyc_cache_slot *slot)
{
	struct filler *f = arg;
	struct timespec t = { 0, f->sleep_us * 1000L };
	int fail = atomic_load(&f->fail);

	atomic_fetch_add(&f->fills, 1);
	if (f->sleep_us)
		nanosleep(&t, NULL);
	memset(slot->dst, byte_of(slot->key), slot->len);
	if (slot->staging_len)
		memset(slot->staging, 0x55, slot->staging_len);
	return fail;
}

static const struct hyc_cache_entry *get(struct hyc_cache *c, uint32_t object, uint32_t block)
{
	const struct hyc_cache_entry *e;
	struct hyc_cache_key key = { object, block };

	assert_int_equal(hyc_cache_get(c, key, BLOCK, 0, HYC_CACHE_WAIT, &e), 0);
	assert_int_equal(e->len, BLOCK);
	assert_int_equal(e->data[0], byte_of(key));
	assert_int_equal(e->data[BLOCK - 1], byte_of(key));
	return e;
}

static void touch(struct hyc_cache *c, uint32_t object, uint32_t block)
{
	hyc_cache_put(c, get(c, object, block), 0);
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
	hyc_cache_put(c, pinned, 0);
	hyc_cache_free(c);
}

static void failures_are_told_and_forgotten(void **state)
{
	struct filler f = { .fail = -EBADMSG };
	const struct hyc_cache_entry *e;
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(3 * BLOCK, fill, &f, &c), 0);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, BLOCK, 0, HYC_CACHE_WAIT, &e), -EBADMSG);
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
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, BLOCK + 1, 0, HYC_CACHE_WAIT, &e), -E2BIG);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, BLOCK, 1, HYC_CACHE_WAIT, &e), -E2BIG);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, BLOCK, SIZE_MAX, HYC_CACHE_WAIT, &e), -E2BIG);
	touch(c, 0, 0);
	hyc_cache_free(c);
}

static void serve(struct hyc_cache *c, uint32_t object, uint32_t block, size_t bytes)
{
	hyc_cache_put(c, get(c, object, block), bytes);
}

/* Whether the block is there, found out without changing anything. */
static bool is_there(struct hyc_cache *c, uint32_t object, uint32_t block)
{
	struct hyc_cache_slot slot;
	int r = hyc_cache_ahead(c, (struct hyc_cache_key){ object, block }, BLOCK, 0, &slot);

	if (!r)
		hyc_cache_ahead_done(c, &slot, -ECANCELED);
	return r == -EEXIST;
}

/* What the kernel has all of goes before all else, what it has a part of does not. */
static void served_goes_first(void **state)
{
	struct filler f = { 0 };
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(4 * BLOCK, fill, &f, &c), 0);
	touch(c, 0, 0);
	touch(c, 0, 1);
	serve(c, 0, 2, BLOCK / 2);
	serve(c, 0, 3, BLOCK - 1);
	serve(c, 0, 3, 1);
	touch(c, 1, 0); /* (0,3) goes, though it is the newest */
	assert_false(is_there(c, 0, 3));
	assert_true(is_there(c, 0, 0) && is_there(c, 0, 1) && is_there(c, 0, 2) && is_there(c, 1, 0));
	serve(c, 0, 2, BLOCK / 2);
	touch(c, 1, 1); /* now (0,2) */
	assert_false(is_there(c, 0, 2));
	assert_true(is_there(c, 0, 0) && is_there(c, 0, 1) && is_there(c, 1, 0));
	touch(c, 1, 2); /* and (0,0), the oldest, as nothing served is left */
	assert_false(is_there(c, 0, 0));
	assert_true(is_there(c, 0, 1) && is_there(c, 1, 0) && is_there(c, 1, 1) && is_there(c, 1, 2));
	assert_int_equal(stats_of(c).evictions, 3);
	hyc_cache_free(c);
}

/* Fill a block ahead of its readers; what hyc_cache_ahead says. */
static int ahead(struct hyc_cache *c, struct filler *f, uint32_t object, uint32_t block, size_t staging)
{
	struct hyc_cache_slot slot;
	int r = hyc_cache_ahead(c, (struct hyc_cache_key){ object, block }, BLOCK, staging, &slot);

	if (!r)
		hyc_cache_ahead_done(c, &slot, fill(f, &slot));
	return r;
}

static void ahead_takes_only_what_is_free(void **state)
{
	struct filler f = { 0 };
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(4 * BLOCK, fill, &f, &c), 0);
	touch(c, 0, 0);
	touch(c, 0, 1);
	assert_int_equal(ahead(c, &f, 1, 0, 0), 0);
	assert_int_equal(ahead(c, &f, 1, 0, 0), -EEXIST);
	assert_int_equal(ahead(c, &f, 1, 1, 0), 0);
	assert_int_equal(ahead(c, &f, 1, 2, 0), -EAGAIN); /* nothing may go for it */
	serve(c, 0, 0, BLOCK);
	assert_int_equal(ahead(c, &f, 1, 2, 1), -EAGAIN); /* that one may, but it is too little */
	assert_int_equal(ahead(c, &f, 1, 2, 0), 0);
	assert_int_equal(atomic_load(&f.fills), 5);
	touch(c, 1, 0); /* without another fill */
	touch(c, 1, 1);
	assert_int_equal(atomic_load(&f.fills), 5);
	touch(c, 2, 0); /* (0,1) is the oldest */
	assert_true(is_there(c, 1, 0) && is_there(c, 1, 1) && is_there(c, 1, 2) && is_there(c, 2, 0));
	assert_int_equal(stats_of(c).ahead, 3);
	assert_int_equal(stats_of(c).ahead_used, 2);
	assert_int_equal(stats_of(c).ahead_wasted, 0);
	hyc_cache_free(c);
}

/* What was decoded ahead outlives what was used, but not for ever. */
static void ahead_gets_stale(void **state)
{
	struct filler f = { 0 };
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(4 * BLOCK, fill, &f, &c), 0);
	assert_int_equal(ahead(c, &f, 1, 0, 0), 0);
	for (uint32_t b = 0; b < 20; b++)
		touch(c, 0, b);
	assert_true(is_there(c, 1, 0));
	for (uint32_t b = 0; b < 200; b++)
		touch(c, 0, b);
	assert_false(is_there(c, 1, 0));
	assert_int_equal(stats_of(c).ahead_wasted, 1);
	/* And so does a used block that stands in the way of what is wanted ahead. */
	assert_int_equal(ahead(c, &f, 1, 0, 0), -EAGAIN);
	for (uint32_t i = 0; i < 200; i++)
		touch(c, 0, 199);
	assert_int_equal(ahead(c, &f, 1, 0, 0), 0);
	hyc_cache_free(c);
}

static void failures_ahead_are_forgotten(void **state)
{
	struct filler f = { .fail = -EIO };
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(4 * BLOCK, fill, &f, &c), 0);
	assert_int_equal(ahead(c, &f, 0, 0, 10), 0);
	assert_false(is_there(c, 0, 0));
	assert_int_equal(stats_of(c).bytes, 0);
	assert_int_equal(stats_of(c).in_flight, 0);
	atomic_store(&f.fail, 0);
	touch(c, 0, 0);
	hyc_cache_free(c);
}

/* Who holds a pin gets more where there is room, and is told where there is none instead of waiting for himself. */
static void who_tries_does_not_wait(void **state)
{
	struct filler f = { 0 };
	const struct hyc_cache_entry *a, *b, *e;
	struct hyc_cache *c;

	(void)state;
	assert_int_equal(hyc_cache_new(2 * BLOCK, fill, &f, &c), 0);
	a = get(c, 0, 0);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 1 }, BLOCK, 0, HYC_CACHE_TRY, &b), 0);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 2 }, BLOCK, 0, HYC_CACHE_TRY, &e), -EAGAIN);
	hyc_cache_put(c, a, 0);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 2 }, BLOCK, 0, HYC_CACHE_TRY, &e), 0);
	hyc_cache_put(c, b, 0);
	hyc_cache_put(c, e, 0);
	hyc_cache_free(c);
}

#define LARGE ((size_t)512 << 10)

/* Memory of large blocks is used again, and counts while it waits for that. */
static void memory_is_reused(void **state)
{
	struct hyc_memory m = { .limit = 3 * LARGE };
	struct hyc_buffer a, b, d;
	uint8_t *first;

	(void)state;
	if (!hyc_memory_is_large(LARGE))
		skip(); /* under AddressSanitizer */
	assert_int_equal(hyc_memory_take(&m, LARGE, &a), 0);
	assert_int_equal(hyc_memory_take(&m, LARGE - 1000, &b), 0);
	assert_int_equal(m.used, 2 * LARGE);
	first = a.data;
	hyc_memory_give(&m, &a);
	assert_int_equal(m.used, 2 * LARGE);
	assert_int_equal(hyc_memory_take(&m, LARGE - 4096, &a), 0);
	assert_ptr_equal(a.data, first);
	assert_int_equal(hyc_memory_take_kept(&m, LARGE, &d), -EAGAIN);
	hyc_memory_give(&m, &a);
	/* What is kept and does not fit makes room for what is needed. */
	assert_int_equal(hyc_memory_take(&m, 2 * LARGE, &d), 0);
	assert_int_equal(m.used, 3 * LARGE);
	assert_int_equal(hyc_memory_take(&m, 1, &a), -EAGAIN);
	hyc_memory_give(&m, &b);
	hyc_memory_give(&m, &d);
	hyc_memory_fini(&m);
	assert_int_equal(m.used, 0);
}

/* Without memory of the system a read fails, and the next one does not. */
static void no_memory_is_an_error(void **state)
{
	struct filler f = { 0 };
	const struct hyc_cache_entry *e;
	struct rlimit before, none;
	struct hyc_cache *c;
	int r;

	(void)state;
	if (!hyc_memory_is_large(LARGE))
		skip();
	assert_int_equal(hyc_cache_new(64 * LARGE, fill, &f, &c), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	none = (struct rlimit){ 1 << 20, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	r = hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, 16 * LARGE, 0, HYC_CACHE_WAIT, &e);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(stats_of(c).bytes, 0);
	assert_int_equal(hyc_cache_get(c, (struct hyc_cache_key){ 0, 0 }, 16 * LARGE, 0, HYC_CACHE_WAIT, &e), 0);
	hyc_cache_put(c, e, 0);
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

		if (hyc_cache_get(r->cache, key, BLOCK, r->staging, HYC_CACHE_WAIT, &e)) {
			atomic_fetch_add(r->failed, 1);
			continue;
		}
		for (size_t b = 0; b < BLOCK; b += 111)
			if (e->data[b] != byte_of(key))
				atomic_fetch_add(r->wrong, 1);
		hyc_cache_get_stats(r->cache, &stats);
		if (stats.bytes > stats.limit)
			atomic_fetch_add(r->wrong, 1);
		hyc_cache_put(r->cache, e, 0);
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

/* Readers of several blocks at once beside threads that fill ahead, in room for few: nobody waits for ever, and no byte is wrong. */
struct mixed {
	struct hyc_cache *cache;
	struct filler *filler;
	unsigned seed;
	atomic_uint *wrong;
};

static void *read_pairs(void *arg)
{
	struct mixed *m = arg;

	for (unsigned i = 0; i < 2000; i++) {
		struct hyc_cache_key key = { (uint32_t)rand_r(&m->seed) % 3, (uint32_t)rand_r(&m->seed) % 8 };
		const struct hyc_cache_entry *e[4];
		struct hyc_cache_stats stats;
		unsigned n = 0;

		for (; n < 4; n++, key.block++) {
			if (hyc_cache_get(m->cache, key, BLOCK, 300, n ? HYC_CACHE_TRY : HYC_CACHE_WAIT, &e[n]))
				break;
			if (e[n]->data[0] != byte_of(key) || e[n]->data[BLOCK - 1] != byte_of(key))
				atomic_fetch_add(m->wrong, 1);
		}
		hyc_cache_get_stats(m->cache, &stats);
		if (!n || stats.bytes > stats.limit)
			atomic_fetch_add(m->wrong, 1);
		while (n)
			hyc_cache_put(m->cache, e[--n], i % 3 ? BLOCK : 0);
	}
	return NULL;
}

static void *fill_ahead(void *arg)
{
	struct mixed *m = arg;

	for (unsigned i = 0; i < 4000; i++)
		(void)ahead(m->cache, m->filler, (uint32_t)rand_r(&m->seed) % 3, (uint32_t)rand_r(&m->seed) % 11, 300);
	return NULL;
}

static void many_threads_with_many_pins(void **state)
{
	struct filler f = { 0 };
	struct mixed mixed[16];
	atomic_uint wrong = 0;
	struct hyc_cache *c;
	pthread_t id[16];

	(void)state;
	assert_int_equal(hyc_cache_new(5 * BLOCK, fill, &f, &c), 0);
	for (unsigned i = 0; i < 16; i++) {
		mixed[i] = (struct mixed){ c, &f, i + 1, &wrong };
		assert_int_equal(pthread_create(&id[i], NULL, i % 4 ? read_pairs : fill_ahead, &mixed[i]), 0);
	}
	for (unsigned i = 0; i < 16; i++)
		pthread_join(id[i], NULL);
	assert_int_equal(wrong, 0);
	assert_int_equal(stats_of(c).in_flight, 0);
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
		cmocka_unit_test(served_goes_first),
		cmocka_unit_test(ahead_takes_only_what_is_free),
		cmocka_unit_test(ahead_gets_stale),
		cmocka_unit_test(failures_ahead_are_forgotten),
		cmocka_unit_test(who_tries_does_not_wait),
		cmocka_unit_test(memory_is_reused),
		cmocka_unit_test(no_memory_is_an_error),
		cmocka_unit_test(one_fill_for_many_readers),
		cmocka_unit_test(many_threads_in_little_room),
		cmocka_unit_test(many_threads_with_many_pins),
		cmocka_unit_test(many_threads_and_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
