/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mutex guards the hash table, the recency list and the budget; it is never held
 * while a block is filled, or while a thread copies from one.
 *
 * An entry is in the hash table from the moment a thread decides to fill it until it is
 * evicted or its fill fails. It is in the recency list only while it is ready and unpinned,
 * so eviction takes the head of the list and needs no search. Memory is reserved before it
 * is taken: bytes <= limit holds at all times. A thread that finds neither room nor
 * anything to evict waits; since a waiting thread holds no pin, the holders go on and make room.
 */
#include "config.h"

#include "cache/cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct entry {
	struct hyc_cache_entry pub; /* must come first: it is what callers hold */
	struct hyc_cache_key key;
	struct entry *chain;        /* of the hash bucket */
	struct entry *older, *newer;
	unsigned refs;              /* pins, and threads that wait for the fill */
	bool filling;
	int result;                 /* of the fill */
	uint8_t *memory;
};

struct hyc_cache {
	pthread_mutex_t lock;
	pthread_cond_t filled;      /* some fill has ended */
	pthread_cond_t room;        /* some bytes or pins were given back */
	hyc_cache_fill fill;
	void *arg;
	struct entry **buckets;
	size_t n_buckets;           /* a power of two */
	struct entry recency;       /* ring: recency.newer is the oldest */
	struct hyc_cache_stats stats;
};

/* Buckets for the number of blocks that fit, at the nominal block size. */
#define NOMINAL_BLOCK ((uint64_t)512 << 10)

int hyc_cache_new(uint64_t limit_bytes, hyc_cache_fill fill, void *arg, struct hyc_cache **out)
{
	struct hyc_cache *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	c->n_buckets = 64;
	while (c->n_buckets < limit_bytes / NOMINAL_BLOCK * 2)
		c->n_buckets *= 2;
	c->buckets = calloc(c->n_buckets, sizeof(*c->buckets));
	if (!c->buckets) {
		free(c);
		return -ENOMEM;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->filled, NULL);
	pthread_cond_init(&c->room, NULL);
	c->fill = fill;
	c->arg = arg;
	c->recency.older = c->recency.newer = &c->recency;
	c->stats.limit = limit_bytes;
	*out = c;
	return 0;
}

static struct entry **bucket_of(struct hyc_cache *c, struct hyc_cache_key key)
{
	uint64_t h = ((uint64_t)key.object << 32 | key.block) * UINT64_C(0x9e3779b97f4a7c15);

	return &c->buckets[h >> 32 & (c->n_buckets - 1)];
}

static struct entry *find(struct hyc_cache *c, struct hyc_cache_key key)
{
	struct entry *e = *bucket_of(c, key);

	while (e && (e->key.object != key.object || e->key.block != key.block))
		e = e->chain;
	return e;
}

static void unhash(struct hyc_cache *c, struct entry *e)
{
	struct entry **p = bucket_of(c, e->key);

	while (*p != e)
		p = &(*p)->chain;
	*p = e->chain;
}

static void list_remove(struct entry *e)
{
	e->older->newer = e->newer;
	e->newer->older = e->older;
	e->older = e->newer = NULL;
}

static void list_add_newest(struct hyc_cache *c, struct entry *e)
{
	e->newer = &c->recency;
	e->older = c->recency.older;
	e->older->newer = e;
	c->recency.older = e;
}

static void free_entry(struct entry *e)
{
	free(e->memory);
	free(e);
}

/* Make room for bytes more by evicting from the oldest on. False where pinned blocks and fills leave none. */
static bool reserve(struct hyc_cache *c, size_t bytes)
{
	while (c->stats.limit - c->stats.bytes < bytes) {
		struct entry *oldest = c->recency.newer;

		if (oldest == &c->recency)
			return false;
		list_remove(oldest);
		unhash(c, oldest);
		c->stats.bytes -= oldest->pub.len;
		c->stats.evictions++;
		free_entry(oldest);
	}
	c->stats.bytes += bytes;
	return true;
}

static void give_back(struct hyc_cache *c, size_t bytes)
{
	c->stats.bytes -= bytes;
	pthread_cond_broadcast(&c->room);
}

/* Take a reference to an entry that is in the table. */
static void take(struct entry *e)
{
	if (!e->refs && !e->filling)
		list_remove(e);
	e->refs++;
}

static void drop(struct hyc_cache *c, struct entry *e)
{
	assert(e->refs > 0);
	if (--e->refs)
		return;
	if (e->result) {
		/* A failed entry left the table when its fill ended. */
		free_entry(e);
		return;
	}
	list_add_newest(c, e);
	pthread_cond_broadcast(&c->room);
}

/* Fill a new entry without the lock. staging bytes were reserved beyond the entry's own. */
static void fill_entry(struct hyc_cache *c, struct entry *e, size_t staging)
{
	int result = -ENOMEM;

	pthread_mutex_unlock(&c->lock);
	e->memory = malloc(e->pub.len);
	if (e->memory)
		result = c->fill(c->arg, e->key, e->memory, e->pub.len);
	pthread_mutex_lock(&c->lock);
	e->pub.data = e->memory;
	e->result = result;
	e->filling = false;
	c->stats.in_flight--;
	if (result) {
		unhash(c, e);
		staging += e->pub.len;
	}
	give_back(c, staging);
	pthread_cond_broadcast(&c->filled);
}

/* Put a new entry, which this thread is to fill, into the table; NULL where there is no memory. */
static struct entry *add_entry(struct hyc_cache *c, struct hyc_cache_key key, size_t len)
{
	struct entry *e = calloc(1, sizeof *e), **bucket = bucket_of(c, key);

	if (!e)
		return NULL;
	e->key = key;
	e->pub.len = len;
	e->refs = 1;
	e->filling = true;
	e->chain = *bucket;
	*bucket = e;
	c->stats.misses++;
	c->stats.in_flight++;
	return e;
}

int hyc_cache_get(struct hyc_cache *c, struct hyc_cache_key key, size_t len, size_t staging,
		  const struct hyc_cache_entry **out)
{
	struct entry *e;
	int result;

	if (len > c->stats.limit || staging > c->stats.limit - len)
		return -E2BIG;
	pthread_mutex_lock(&c->lock);
	while (!(e = find(c, key)) && !reserve(c, len + staging))
		pthread_cond_wait(&c->room, &c->lock);
	if (e) {
		take(e);
		c->stats.hits++;
		while (e->filling)
			pthread_cond_wait(&c->filled, &c->lock);
	} else {
		e = add_entry(c, key, len);
		if (e)
			fill_entry(c, e, staging);
		else
			give_back(c, len + staging);
	}
	result = e ? e->result : -ENOMEM;
	if (e && result)
		drop(c, e);
	pthread_mutex_unlock(&c->lock);
	if (!result)
		*out = &e->pub;
	return result;
}

void hyc_cache_put(struct hyc_cache *c, const struct hyc_cache_entry *entry)
{
	pthread_mutex_lock(&c->lock);
	drop(c, (struct entry *)entry);
	pthread_mutex_unlock(&c->lock);
}

void hyc_cache_get_stats(struct hyc_cache *c, struct hyc_cache_stats *stats)
{
	pthread_mutex_lock(&c->lock);
	*stats = c->stats;
	pthread_mutex_unlock(&c->lock);
}

void hyc_cache_free(struct hyc_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_buckets; i++) {
		for (struct entry *e = c->buckets[i], *next; e; e = next) {
			assert(!e->refs && !e->filling);
			next = e->chain;
			free_entry(e);
		}
	}
	free(c->buckets);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->filled);
	pthread_cond_destroy(&c->room);
	free(c);
}
