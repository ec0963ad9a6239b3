/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large buffers are mappings of their own, so that releasing one gives its pages back at once and no heap can be fragmented by them;
 * their sizes are rounded so that blocks of almost equal size can use each other's. Small ones are the allocator's business, and so are
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

static uint8_t *obtain(size_t room)
{
	void *p;

	if (!hyc_memory_is_large(room))
		return malloc(room);
	p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void release(struct hyc_memory *m, struct hyc_buffer *b)
{
	if (hyc_memory_is_large(b->room))
		munmap(b->data, b->room);
	else
		free(b->data);
	m->used -= b->room;
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
	uint8_t *data;

	*buffer = (struct hyc_buffer){ NULL, 0 };
	if (!bytes || !hyc_memory_take_kept(m, bytes, buffer))
		return 0;
	while (m->n_kept && m->limit - m->used < room) {
		struct hyc_buffer old = remove_kept(m, 0);

		release(m, &old);
	}
	if (m->limit - m->used < room)
		return -EAGAIN;
	data = obtain(room);
	if (!data && m->n_kept) {
		hyc_memory_fini(m);
		data = obtain(room);
	}
	if (!data)
		return -ENOMEM;
	*buffer = (struct hyc_buffer){ data, room };
	m->used += room;
	return 0;
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
	*buffer = (struct hyc_buffer){ NULL, 0 };
}

void hyc_memory_fini(struct hyc_memory *m)
{
	while (m->n_kept)
		release(m, &m->kept[--m->n_kept]);
}
