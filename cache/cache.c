/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks are spread over shards, each with a lock, a hash table and recency lists; a hit touches its shard alone. Memory has a lock of
 * its own, taken on a miss, and under it those of the shards, one at a time, to find what to evict; never the other way round.
 * No lock is held while a block is filled or copied from.
 *
 * An entry is in the hash table from the moment a thread decides to fill it until it is evicted or its fill fails. It is in a
 * list only while it is ready and unpinned, so eviction looks at the ends of the lists and needs no search. Memory is
 * taken before an entry is made.
 */
#include "config.h"

#include "cache/cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cache/memory.h"

#define N_SHARDS 16

/* An entry that was not wanted while the cache was asked this many times for each block in it is stale. */
#define STALE_TURNS 4

/* Served blocks are kept while there is room, but not before memory that would have to be faulted in. */
#define SERVED_KEPT ((uint64_t)16 << 20)
#define RECYCLE_TRIES 4

enum list { SERVED, USED, AHEAD, N_LISTS };

struct entry {
	struct hyc_cache_entry pub; /* must come first: it is what callers hold */
	struct entry *chain;        /* of the hash bucket */
	struct entry *older, *newer; /* NULL: in no list */
	enum list list;             /* to which it belongs when unpinned */
	unsigned refs;              /* pins, and threads that wait for the fill */
	bool filling;
	int result;                 /* of the fill */
	uint64_t served;            /* bytes */
	uint64_t used_at;           /* tick of the last use */
	struct hyc_buffer buffer, staging;
};

struct shard {
	_Alignas(64) pthread_mutex_t lock;
	pthread_cond_t filled;      /* some fill has ended */
	struct entry **buckets;
	struct entry recency[N_LISTS]; /* rings: .newer is the oldest */
	uint64_t hits, misses, evictions, ahead, ahead_used, ahead_late, ahead_wasted;
};

struct hyc_cache {
	hyc_cache_fill fill;
	void *arg;
	size_t n_buckets;           /* of a shard, a power of two */
	atomic_uint_least64_t tick, entries, in_flight;
	atomic_uint_least64_t served_bytes, ahead_bytes; /* in the lists of that name */

	pthread_mutex_t lock;       /* of what follows */
	pthread_cond_t room;        /* some memory was given back or can be evicted, or it is the next one's turn */
	struct hyc_memory memory;
	uint64_t next_ticket, turn; /* of those who wait for memory */
	atomic_bool starving;       /* the one whose turn it is waits for room */

	struct shard shard[N_SHARDS];
};

/* Buckets for the number of blocks that fit, at the nominal block size. */
#define NOMINAL_BLOCK ((uint64_t)512 << 10)

static int shard_init(struct shard *s, size_t n_buckets)
{
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->filled, NULL);
	for (unsigned l = 0; l < N_LISTS; l++)
		s->recency[l].older = s->recency[l].newer = &s->recency[l];
	s->buckets = calloc(n_buckets, sizeof *s->buckets);
	return s->buckets ? 0 : -ENOMEM;
}

int hyc_cache_new(uint64_t limit_bytes, hyc_cache_fill fill, void *arg, struct hyc_cache **out)
{
	struct hyc_cache *c = aligned_alloc(64, sizeof *c);
	int result = 0;

	if (!c)
		return -ENOMEM;
	*c = (struct hyc_cache){ .fill = fill, .arg = arg, .n_buckets = 16, .memory.limit = limit_bytes };
	while (c->n_buckets < limit_bytes / NOMINAL_BLOCK * 2 / N_SHARDS)
		c->n_buckets *= 2;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->room, NULL);
	for (unsigned i = 0; i < N_SHARDS; i++)
		if (shard_init(&c->shard[i], c->n_buckets))
			result = -ENOMEM;
	if (result) {
		hyc_cache_free(c);
		return result;
	}
	*out = c;
	return 0;
}

static uint64_t hash_of(struct hyc_cache_key key)
{
	return ((uint64_t)key.object << 32 | key.block) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct shard *shard_of(struct hyc_cache *c, struct hyc_cache_key key)
{
	return &c->shard[hash_of(key) >> 60 & (N_SHARDS - 1)];
}

static struct entry **bucket_of(struct hyc_cache *c, struct hyc_cache_key key)
{
	return &shard_of(c, key)->buckets[hash_of(key) >> 32 & (c->n_buckets - 1)];
}

/* ---- with the lock of the entry's shard ---- */

static struct entry *find(struct hyc_cache *c, struct hyc_cache_key key)
{
	struct entry *e = *bucket_of(c, key);

	while (e && (e->pub.key.object != key.object || e->pub.key.block != key.block))
		e = e->chain;
	return e;
}

static void unhash(struct hyc_cache *c, struct entry *e)
{
	struct entry **p = bucket_of(c, e->pub.key);

	while (*p != e)
		p = &(*p)->chain;
	*p = e->chain;
	atomic_fetch_sub(&c->entries, 1);
}

static void count_listed(struct hyc_cache *c, const struct entry *e, uint64_t sign)
{
	if (e->list == SERVED)
		atomic_fetch_add(&c->served_bytes, sign * e->buffer.room);
	else if (e->list == AHEAD)
		atomic_fetch_add(&c->ahead_bytes, sign * e->buffer.room);
}

static void unlist(struct hyc_cache *c, struct entry *e)
{
	e->older->newer = e->newer;
	e->newer->older = e->older;
	e->older = e->newer = NULL;
	count_listed(c, e, UINT64_MAX);
}

static void enlist(struct hyc_cache *c, struct shard *s, struct entry *e)
{
	struct entry *ring = &s->recency[e->list];

	e->newer = ring;
	e->older = ring->older;
	e->older->newer = e;
	ring->older = e;
	count_listed(c, e, 1);
}

/* A reader takes a reference to an entry of the table. */
static void take(struct hyc_cache *c, struct shard *s, struct entry *e)
{
	if (e->older)
		unlist(c, e);
	if (e->list == AHEAD) {
		e->list = USED;
		s->ahead_used++;
		s->ahead_late += e->filling;
	}
	e->refs++;
	e->used_at = atomic_fetch_add_explicit(&c->tick, 1, memory_order_relaxed);
	s->hits++;
}

/* ---- memory ---- */

/* Wake those who wait for room. The lock is not needed to look: who starves says so before it looks at the lists a last time. */
static void tell_room(struct hyc_cache *c)
{
	if (!atomic_load(&c->starving))
		return;
	pthread_mutex_lock(&c->lock);
	pthread_cond_broadcast(&c->room);
	pthread_mutex_unlock(&c->lock);
}

static void give_back(struct hyc_cache *c, struct hyc_buffer *a, struct hyc_buffer *b)
{
	pthread_mutex_lock(&c->lock);
	hyc_memory_give(&c->memory, a);
	hyc_memory_give(&c->memory, b);
	pthread_cond_broadcast(&c->room);
	pthread_mutex_unlock(&c->lock);
}

/* What may be evicted for whom. */
enum need { DEMANDED, WANTED_AHEAD };

/* The entry of a shard that should go first, NULL if none may; *rank orders those of different shards, lowest first. */
static struct entry *candidate(struct shard *s, enum need need, uint64_t now, uint64_t stale, uint64_t *rank)
{
	struct entry *served = s->recency[SERVED].older, *used = s->recency[USED].newer, *ahead = s->recency[AHEAD].newer;
	struct entry *oldest = NULL;

	/* Served ones come before all others, the last one first; behind them the longest unused first. */
	if (served != &s->recency[SERVED]) {
		*rank = UINT64_MAX / 4 - served->used_at;
		return served;
	}
	if (used != &s->recency[USED]) {
		oldest = used;
		*rank = UINT64_MAX / 2 + used->used_at;
	}
	if (ahead != &s->recency[AHEAD] && (!oldest || UINT64_MAX / 2 + ahead->used_at + stale < *rank)) {
		oldest = ahead;
		*rank = UINT64_MAX / 2 + ahead->used_at + stale;
	}
	if (oldest && need == WANTED_AHEAD && now < oldest->used_at + stale)
		return NULL;
	return oldest;
}

static void evict(struct hyc_cache *c, struct shard *s, struct entry *e)
{
	unlist(c, e);
	unhash(c, e);
	s->evictions++;
	s->ahead_wasted += e->list == AHEAD;
	hyc_memory_give(&c->memory, &e->buffer);
	free(e);
}

/* Evict one block, and keep its memory. False where there is none. With the lock of the memory. */
static bool evict_one(struct hyc_cache *c, enum need need)
{
	uint64_t now = atomic_load(&c->tick), stale = STALE_TURNS * atomic_load(&c->entries) + 64;

	for (;;) {
		struct shard *best = NULL;
		uint64_t best_rank = UINT64_MAX, rank;
		struct entry *e;

		for (unsigned i = 0; i < N_SHARDS; i++) {
			struct shard *s = &c->shard[i];

			pthread_mutex_lock(&s->lock);
			if (candidate(s, need, now, stale, &rank) && (!best || rank < best_rank)) {
				best = s;
				best_rank = rank;
			}
			pthread_mutex_unlock(&s->lock);
		}
		if (!best)
			return false;
		pthread_mutex_lock(&best->lock);
		e = candidate(best, need, now, stale, &rank);
		if (e)
			evict(c, best, e);
		pthread_mutex_unlock(&best->lock);
		if (e)
			return true;
		/* A reader was faster. */
	}
}

/* One buffer: 0, -EAGAIN or -ENOMEM. */
static int take_buffer(struct hyc_cache *c, size_t bytes, enum need need, struct hyc_buffer *buffer)
{
	int r;

	/* Rather the memory of a block that was served than fresh one. */
	for (unsigned i = 0; i < RECYCLE_TRIES && hyc_memory_is_large(bytes); i++) {
		if (!hyc_memory_take_kept(&c->memory, bytes, buffer))
			return 0;
		if (atomic_load(&c->served_bytes) <= SERVED_KEPT || !evict_one(c, need))
			break;
	}
	while ((r = hyc_memory_take(&c->memory, bytes, buffer)) && evict_one(c, need))
		;
	return r;
}

static int take_buffers(struct hyc_cache *c, struct entry *e, size_t staging, enum need need)
{
	int r = take_buffer(c, e->pub.len, need, &e->buffer);

	if (!r) {
		r = take_buffer(c, staging, need, &e->staging);
		if (r)
			hyc_memory_give(&c->memory, &e->buffer);
	}
	return r;
}

/* Memory for a block that is demanded. Who may wait does so in turn. */
static int reserve(struct hyc_cache *c, struct entry *e, size_t staging, enum hyc_cache_how how)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&c->lock);
	if (how == HYC_CACHE_TRY) {
		if (c->turn == c->next_ticket)
			r = take_buffers(c, e, staging, DEMANDED);
	} else {
		uint64_t ticket = c->next_ticket++;

		while (c->turn != ticket)
			pthread_cond_wait(&c->room, &c->lock);
		while ((r = take_buffers(c, e, staging, DEMANDED)) == -EAGAIN) {
			/* Whatever becomes free from here on is told. */
			if (atomic_exchange(&c->starving, true))
				pthread_cond_wait(&c->room, &c->lock);
		}
		atomic_store(&c->starving, false);
		c->turn++;
		pthread_cond_broadcast(&c->room);
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* The same for a block that nobody has asked for yet. */
static int reserve_ahead(struct hyc_cache *c, struct entry *e, size_t staging)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&c->lock);
	if (c->turn == c->next_ticket && atomic_load(&c->ahead_bytes) < c->memory.limit / 4 * 3)
		r = take_buffers(c, e, staging, WANTED_AHEAD);
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* ---- filling ---- */

static bool fits(const struct hyc_cache *c, size_t len, size_t staging)
{
	size_t room = hyc_memory_room(len);

	return room <= c->memory.limit && hyc_memory_room(staging) <= c->memory.limit - room;
}

static struct entry *new_entry(struct hyc_cache_key key, size_t len, enum list list)
{
	struct entry *e = calloc(1, sizeof *e);

	if (!e)
		return NULL;
	e->pub.key = key;
	e->pub.len = len;
	e->list = list;
	e->filling = true;
	return e;
}

/* Put an entry with memory into the table; false if another was faster. With the lock of its shard. */
static bool publish(struct hyc_cache *c, struct entry *e)
{
	struct entry **bucket = bucket_of(c, e->pub.key);

	if (find(c, e->pub.key))
		return false;
	e->chain = *bucket;
	*bucket = e;
	e->pub.data = e->buffer.data;
	e->used_at = atomic_fetch_add_explicit(&c->tick, 1, memory_order_relaxed);
	atomic_fetch_add(&c->entries, 1);
	atomic_fetch_add(&c->in_flight, 1);
	return true;
}

static void discard(struct hyc_cache *c, struct entry *e)
{
	give_back(c, &e->buffer, &e->staging);
	free(e);
}

static struct hyc_cache_slot slot_of(struct entry *e, size_t staging)
{
	return (struct hyc_cache_slot){ e->pub.key, e->buffer.data, e->staging.data, e->pub.len, staging, e };
}

/* A reference is given up; with the lock of the shard. True where the entry is nobody's any more. */
static bool unref(struct hyc_cache *c, struct shard *s, struct entry *e)
{
	if (--e->refs)
		return false;
	/* A failed entry left the table when its fill ended. */
	if (e->result)
		return true;
	if (e->served >= e->pub.len)
		e->list = SERVED;
	enlist(c, s, e);
	return false;
}

/* The fill of an entry, of which the caller holds a reference, has ended. */
static void end_fill(struct hyc_cache *c, struct shard *s, struct entry *e, int result)
{
	struct hyc_buffer none = { NULL, 0 };

	give_back(c, &e->staging, &none);
	pthread_mutex_lock(&s->lock);
	e->result = result;
	e->filling = false;
	if (result)
		unhash(c, e);
	atomic_fetch_sub(&c->in_flight, 1);
	pthread_cond_broadcast(&s->filled);
	pthread_mutex_unlock(&s->lock);
}

static void drop(struct hyc_cache *c, struct shard *s, struct entry *e)
{
	bool gone;

	pthread_mutex_lock(&s->lock);
	gone = unref(c, s, e);
	pthread_mutex_unlock(&s->lock);
	if (gone)
		discard(c, e);
	else
		tell_room(c);
}

/* The entry of key, with a reference, filled or failed; NULL where there is none. */
static struct entry *look_up(struct hyc_cache *c, struct shard *s, struct hyc_cache_key key)
{
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = find(c, key);
	if (e) {
		take(c, s, e);
		while (e->filling)
			pthread_cond_wait(&s->filled, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return e;
}

/* Make the entry of key and fill it, or take the one that another thread has made meanwhile. */
static int make(struct hyc_cache *c, struct shard *s, struct hyc_cache_key key, size_t len, size_t staging,
		enum hyc_cache_how how, struct entry **out)
{
	struct entry *e = new_entry(key, len, USED);
	struct hyc_cache_slot slot;
	bool mine;
	int r;

	if (!e)
		return -ENOMEM;
	r = reserve(c, e, staging, how);
	if (r) {
		free(e);
		return r;
	}
	e->refs = 1;
	for (;;) {
		pthread_mutex_lock(&s->lock);
		mine = publish(c, e);
		s->misses += mine;
		pthread_mutex_unlock(&s->lock);
		if (mine)
			break;
		*out = look_up(c, s, key);
		if (*out) {
			discard(c, e);
			return 0;
		}
	}
	slot = slot_of(e, staging);
	end_fill(c, s, e, c->fill(c->arg, &slot));
	*out = e;
	return 0;
}

int hyc_cache_get(struct hyc_cache *c, struct hyc_cache_key key, size_t len, size_t staging, enum hyc_cache_how how,
		  const struct hyc_cache_entry **out)
{
	struct shard *s = shard_of(c, key);
	struct entry *e;
	int r;

	if (!fits(c, len, staging))
		return -E2BIG;
	e = look_up(c, s, key);
	if (!e) {
		r = make(c, s, key, len, staging, how, &e);
		if (r)
			return r;
	}
	r = e->result;
	if (r)
		drop(c, s, e);
	else
		*out = &e->pub;
	return r;
}

bool hyc_cache_put(struct hyc_cache *c, const struct hyc_cache_entry *entry, size_t served)
{
	bool all;

	struct entry *e = (struct entry *)entry;
	struct shard *s = shard_of(c, e->pub.key);

	pthread_mutex_lock(&s->lock);
	assert(e->refs > 0);
	e->served += served;
	all = e->served >= e->pub.len;
	unref(c, s, e); /* what was given to a reader has not failed */
	pthread_mutex_unlock(&s->lock);
	tell_room(c);
	return all;
}

int hyc_cache_ahead(struct hyc_cache *c, struct hyc_cache_key key, size_t len, size_t staging, struct hyc_cache_slot *slot)
{
	struct shard *s = shard_of(c, key);
	struct entry *e;
	bool there, mine;
	int r;

	if (!fits(c, len, staging))
		return -E2BIG;
	pthread_mutex_lock(&s->lock);
	there = find(c, key);
	pthread_mutex_unlock(&s->lock);
	if (there)
		return -EEXIST;
	e = new_entry(key, len, AHEAD);
	if (!e)
		return -ENOMEM;
	r = reserve_ahead(c, e, staging);
	if (r) {
		free(e);
		return r;
	}
	e->refs = 1;
	pthread_mutex_lock(&s->lock);
	mine = publish(c, e);
	s->ahead += mine;
	pthread_mutex_unlock(&s->lock);
	if (!mine) {
		discard(c, e);
		return -EEXIST;
	}
	*slot = slot_of(e, staging);
	return 0;
}

void hyc_cache_ahead_done(struct hyc_cache *c, const struct hyc_cache_slot *slot, int result)
{
	struct entry *e = slot->handle;
	struct shard *s = shard_of(c, slot->key);

	end_fill(c, s, e, result);
	drop(c, s, e);
}

void hyc_cache_get_stats(struct hyc_cache *c, struct hyc_cache_stats *stats)
{
	*stats = (struct hyc_cache_stats){ .limit = c->memory.limit, .in_flight = atomic_load(&c->in_flight) };
	pthread_mutex_lock(&c->lock);
	stats->bytes = c->memory.used;
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < N_SHARDS; i++) {
		struct shard *s = &c->shard[i];

		pthread_mutex_lock(&s->lock);
		stats->hits += s->hits;
		stats->misses += s->misses;
		stats->evictions += s->evictions;
		stats->ahead += s->ahead;
		stats->ahead_used += s->ahead_used;
		stats->ahead_late += s->ahead_late;
		stats->ahead_wasted += s->ahead_wasted;
		pthread_mutex_unlock(&s->lock);
	}
}

static void shard_fini(struct hyc_cache *c, struct shard *s)
{
	for (size_t i = 0; s->buckets && i < c->n_buckets; i++) {
		for (struct entry *e = s->buckets[i], *next; e; e = next) {
			assert(!e->refs && !e->filling);
			next = e->chain;
			hyc_memory_give(&c->memory, &e->buffer);
			free(e);
		}
	}
	free(s->buckets);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->filled);
}

void hyc_cache_free(struct hyc_cache *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < N_SHARDS; i++)
		shard_fini(c, &c->shard[i]);
	hyc_memory_fini(&c->memory);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->room);
	free(c);
}
