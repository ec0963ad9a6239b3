/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large buffers are mappings of their own or units of a chunk, so that releasing them gives pages back at once and no heap can be fragmented
 * by them; their sizes are rounded so that blocks of almost equal size can use each other's. Small ones are the allocator's business, and so are
 * all of them under AddressSanitizer, which is to see a write behind the end.
 */
#include "config.h"

#include "cache/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define UNIT ((size_t)64 << 10)

#if defined(__SANITIZE_ADDRESS__)
#define MAPPED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MAPPED 0
#endif
#endif
#ifndef MAPPED
#define MAPPED 1
#endif

bool hyc_memory_is_large(size_t bytes)
{
	return MAPPED && bytes > UNIT;
}

size_t hyc_memory_room(size_t bytes)
{
	/* Near the end of the address space rounding would overflow; no limit allows that much anyway. */
	return hyc_memory_is_large(bytes) && bytes <= SIZE_MAX / 2 ? (bytes + UNIT - 1) / UNIT * UNIT : bytes;
}

/* ---- chunks ---- */

/* A chunk is in the list while it has room, and unmapped when all of it is free. */
struct hyc_chunk {
	uint8_t *data;
	uint32_t taken; /* its units, the first is bit 0 */
	struct hyc_chunk *next, **link; /* link: what points to it; NULL: not in the list */
};

#define CHUNK_UNITS 32u
_Static_assert(HYC_MEMORY_CHUNK == CHUNK_UNITS * UNIT, "a bit for each unit");
/* Chunks that are looked through for room; the others behind them are found when these are full. */
#define CHUNK_TRIES 32u

static bool is_chunked(const struct hyc_memory *m, size_t room)
{
	return m->limit >= HYC_MEMORY_CHUNKED && hyc_memory_is_large(room) && room <= HYC_MEMORY_CHUNK;
}

static uint32_t units_mask(size_t room)
{
	size_t n = room / UNIT;

	return n == CHUNK_UNITS ? UINT32_MAX : (UINT32_C(1) << n) - 1;
}

static void list_chunk(struct hyc_memory *m, struct hyc_chunk *c)
{
	c->next = m->partial;
	c->link = &m->partial;
	if (c->next)
		c->next->link = &c->next;
	m->partial = c;
}

static void unlist_chunk(struct hyc_chunk *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->link = NULL;
}

/* Memory of the size of a chunk that begins at a multiple of it, as a huge page must. */
static uint8_t *map_chunk(void)
{
	uint8_t *p = mmap(NULL, 2 * HYC_MEMORY_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *chunk;
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = (HYC_MEMORY_CHUNK - (uintptr_t)p % HYC_MEMORY_CHUNK) % HYC_MEMORY_CHUNK;
	chunk = p + before;
	if (before)
		munmap(p, before);
	munmap(chunk + HYC_MEMORY_CHUNK, HYC_MEMORY_CHUNK - before);
	madvise(chunk, HYC_MEMORY_CHUNK, MADV_HUGEPAGE);
	return chunk;
}

static int new_chunk(struct hyc_memory *m)
{
	struct hyc_chunk *c = malloc(sizeof *c);
	uint8_t *data = c ? map_chunk() : NULL;

	if (!data) {
		free(c);
		return -ENOMEM;
	}
	*c = (struct hyc_chunk){ .data = data };
	list_chunk(m, c);
	m->used += HYC_MEMORY_CHUNK;
	return 0;
}

/* Room in a chunk that has some; false where there is none. */
static bool cut(struct hyc_memory *m, size_t room, struct hyc_buffer *buffer)
{
	uint32_t mask = units_mask(room);
	unsigned tries = 0;

	for (struct hyc_chunk *c = m->partial; c && tries < CHUNK_TRIES; c = c->next, tries++) {
		for (unsigned first = 0; first + room / UNIT <= CHUNK_UNITS; first++) {
			if (c->taken & mask << first)
				continue;
			c->taken |= mask << first;
			*buffer = (struct hyc_buffer){ c->data + first * UNIT, room, c };
			if (c->taken == UINT32_MAX)
				unlist_chunk(c);
			return true;
		}
	}
	return false;
}

static void give_to_chunk(struct hyc_memory *m, const struct hyc_buffer *b)
{
	struct hyc_chunk *c = b->chunk;

	c->taken &= ~(units_mask(b->room) << (unsigned)((size_t)(b->data - c->data) / UNIT));
	if (!c->link)
		list_chunk(m, c);
	if (c->taken)
		return;
	unlist_chunk(c);
	munmap(c->data, HYC_MEMORY_CHUNK);
	free(c);
	m->used -= HYC_MEMORY_CHUNK;
}

/* ---- buffers ---- */

static void release(struct hyc_memory *m, struct hyc_buffer *b)
{
	if (b->chunk) {
		give_to_chunk(m, b);
		return;
	}
	if (hyc_memory_is_large(b->room))
		munmap(b->data, b->room);
	else
		free(b->data);
	m->used -= b->room;
}

/* A buffer from the system, if the limit allows it now. */
static int obtain(struct hyc_memory *m, size_t room, struct hyc_buffer *buffer)
{
	bool chunked = is_chunked(m, room);
	void *p;
	int r;

	if (chunked && cut(m, room, buffer))
		return 0;
	if (m->limit - m->used < (chunked ? HYC_MEMORY_CHUNK : room))
		return -EAGAIN;
	if (chunked) {
		r = new_chunk(m);
		if (!r)
			cut(m, room, buffer);
		return r;
	}
	if (hyc_memory_is_large(room)) {
		p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			p = NULL;
	} else {
		p = malloc(room);
	}
	if (!p)
		return -ENOMEM;
	*buffer = (struct hyc_buffer){ p, room, NULL };
	m->used += room;
	return 0;
}

static struct hyc_buffer remove_kept(struct hyc_memory *m, unsigned i)
{
	struct hyc_buffer b = m->kept[i];

	m->n_kept--;
	memmove(&m->kept[i], &m->kept[i + 1], (m->n_kept - i) * sizeof m->kept[0]);
	return b;
}

int hyc_memory_take_kept(struct hyc_memory *m, size_t bytes, struct hyc_buffer *buffer)
{
	size_t room = hyc_memory_room(bytes);
	unsigned best = m->n_kept;

	if (!hyc_memory_is_large(bytes))
		return -EAGAIN;
	/* Of those that are not much too large the one that fits best, and the last of such: its bytes may be in the processor's cache. */
	for (unsigned i = m->n_kept; i-- > 0;)
		if (m->kept[i].room >= room && m->kept[i].room <= 2 * room &&
		    (best == m->n_kept || m->kept[i].room < m->kept[best].room))
			best = i;
	if (best == m->n_kept)
		return -EAGAIN;
	*buffer = remove_kept(m, best);
	return 0;
}

int hyc_memory_take(struct hyc_memory *m, size_t bytes, struct hyc_buffer *buffer)
{
	size_t room = hyc_memory_room(bytes);
	int r;

	*buffer = (struct hyc_buffer){ NULL, 0, NULL };
	if (!bytes || !hyc_memory_take_kept(m, bytes, buffer))
		return 0;
	/* Kept ones make way, one after another, where the limit or the system wants that. */
	while ((r = obtain(m, room, buffer)) && m->n_kept) {
		struct hyc_buffer old = remove_kept(m, 0);

		release(m, &old);
	}
	return r;
}

void hyc_memory_give(struct hyc_memory *m, struct hyc_buffer *buffer)
{
	if (buffer->data && hyc_memory_is_large(buffer->room)) {
		if (m->n_kept == HYC_MEMORY_KEPT) {
			struct hyc_buffer old = remove_kept(m, 0);

			release(m, &old);
		}
		m->kept[m->n_kept++] = *buffer;
	} else if (buffer->data) {
		release(m, buffer);
	}
	*buffer = (struct hyc_buffer){ NULL, 0, NULL };
}

void hyc_memory_fini(struct hyc_memory *m)
{
	while (m->n_kept)
		release(m, &m->kept[--m->n_kept]);
}
