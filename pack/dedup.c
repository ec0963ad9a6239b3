/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "pack/dedup.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void put(struct hyc_dedup *d, uint32_t i)
{
	size_t slot = hyc_load64(d->all[i].hash) & (d->n_slots - 1);

	while (d->slots[slot])
		slot = (slot + 1) & (d->n_slots - 1);
	d->slots[slot] = i + 1;
}

static int grow(struct hyc_dedup *d)
{
	size_t room = d->room ? 2 * d->room : 64;
	struct hyc_stored *all = reallocarray(d->all, room, sizeof *all);
	uint32_t *slots;

	if (!all)
		return -ENOMEM;
	d->all = all;
	slots = calloc(2 * room, sizeof *slots);
	if (!slots)
		return -ENOMEM;
	free(d->slots);
	d->slots = slots;
	d->n_slots = 2 * room;
	d->room = room;
	for (size_t i = 0; i < d->n; i++)
		put(d, (uint32_t)i);
	return 0;
}

int hyc_dedup_add(struct hyc_dedup *d, const struct hyc_stored *object)
{
	if (d->n == d->room && grow(d))
		return -ENOMEM;
	d->all[d->n] = *object;
	put(d, (uint32_t)d->n++);
	return 0;
}

/* The cursor counts the slots that were looked at; half of them are free, so the walk ends. */
const struct hyc_stored *hyc_dedup_next(const struct hyc_dedup *d, const struct hyc_stored *wanted, size_t *cursor)
{
	if (!d->n)
		return NULL;
	for (;;) {
		size_t slot = (hyc_load64(wanted->hash) + (*cursor)++) & (d->n_slots - 1);
		const struct hyc_stored *s;

		if (!d->slots[slot])
			return NULL;
		s = &d->all[d->slots[slot] - 1];
		if (s->bytes == wanted->bytes && s->literal == wanted->literal && s->lossy == wanted->lossy &&
		    !memcmp(s->hash, wanted->hash, sizeof s->hash))
			return s;
	}
}

void hyc_dedup_fini(struct hyc_dedup *d)
{
	free(d->all);
	free(d->slots);
}
