/* SPDX-License-Identifier: Apache-2.0 */
/* Byte ranges of files: bisect the extents, then pin the block of the object that holds the byte. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"

const struct hyc_disk_extent *hyc_extent_at(const struct hyc_index *x, uint32_t file, uint64_t off, uint64_t *end)
{
	const struct hyc_disk_file *f = &x->files[file];
	const struct hyc_disk_extent *first = x->extents + hyc_get32(f->first_extent);
	uint32_t lo = 0, hi = hyc_get32(f->n_extents);

	/* The last extent that starts at or before off; the first starts at 0. */
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (hyc_get64(first[mid].file_off) <= off)
			lo = mid;
		else
			hi = mid;
	}
	*end = hyc_get64(lo + 1 < hyc_get32(f->n_extents) ? first[lo + 1].file_off : f->size);
	return first + lo;
}

/* Padding has no block: a small buffer of its own stands in, marked by a tag the cache never uses. */
struct padding {
	uint8_t bytes[4096];
};

#define PADDING_TAG ((uintptr_t)1)

static int pin_padding(uint8_t fill, size_t len, struct hyc_pin *pin)
{
	struct padding *p = malloc(sizeof *p);

	if (!p)
		return -ENOMEM;
	memset(p->bytes, fill, sizeof p->bytes);
	pin->data = p->bytes;
	pin->len = len < sizeof p->bytes ? len : sizeof p->bytes;
	pin->handle = (void *)((uintptr_t)p | PADDING_TAG);
	return 0;
}

static int pin_block(struct hyc *a, uint32_t object, uint64_t pos, size_t len, struct hyc_pin *pin)
{
	const struct hyc_disk_object *o = &a->index.objects[object];
	uint32_t block_bytes = hyc_get32(o->block_bytes), block = (uint32_t)(pos / block_bytes);
	uint32_t skip = (uint32_t)(pos % block_bytes), decoded = hyc_object_block_bytes(o, block);
	uint32_t stored = hyc_get32(a->index.blocks[hyc_get32(o->first_block) + block].stored);
	const struct hyc_cache_entry *entry;
	int result = hyc_cache_get(a->cache, (struct hyc_cache_key){ object, block }, decoded,
				   stored == decoded ? 0 : stored, &entry);

	if (result)
		return result;
	pin->data = entry->data + skip;
	pin->len = len < decoded - skip ? len : decoded - skip;
	pin->handle = (void *)entry;
	return 0;
}

int hyc_pin(struct hyc *a, uint32_t file, uint64_t off, size_t len, struct hyc_pin *pin)
{
	const struct hyc_disk_file *f = &a->index.files[file];
	const struct hyc_disk_extent *e;
	uint64_t end;
	int result;

	*pin = (struct hyc_pin){ NULL, 0, NULL };
	if ((hyc_get32(f->mode) & HYC_MODE_TYPE) == HYC_MODE_DIR)
		return -EISDIR;
	if (off >= hyc_get64(f->size) || !len)
		return 0;
	e = hyc_extent_at(&a->index, file, off, &end);
	if (len > end - off)
		len = (size_t)(end - off);
	if (hyc_get32(e->kind) == HYC_EXTENT_MEMORY) {
		*pin = (struct hyc_pin){ hyc_extent_memory(a, e, off), len, NULL };
		result = 0;
	} else if (hyc_get32(e->kind) == HYC_EXTENT_PADDING) {
		result = pin_padding((uint8_t)hyc_get32(e->target), len, pin);
	} else {
		result = pin_block(a, hyc_get32(e->target), hyc_get64(e->start) + (off - hyc_get64(e->file_off)), len, pin);
	}
	if (!result)
		atomic_fetch_add(&a->bytes_served, pin->len);
	return result;
}

void hyc_unpin(struct hyc *a, struct hyc_pin *pin)
{
	uintptr_t handle = (uintptr_t)pin->handle;

	if (handle & PADDING_TAG)
		free((void *)(handle & ~PADDING_TAG));
	else if (handle)
		hyc_cache_put(a->cache, pin->handle);
	*pin = (struct hyc_pin){ NULL, 0, NULL };
}

ssize_t hyc_read(struct hyc *a, uint32_t file, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	if (len > SSIZE_MAX)
		len = SSIZE_MAX;
	if ((hyc_get32(a->index.files[file].mode) & HYC_MODE_TYPE) == HYC_MODE_DIR)
		return -EISDIR;
	while (done < len) {
		struct hyc_pin pin;
		int result = hyc_pin(a, file, off + done, len - done, &pin);

		if (result)
			return result;
		if (!pin.len)
			break;
		memcpy((char *)buf + done, pin.data, pin.len);
		done += pin.len;
		hyc_unpin(a, &pin);
	}
	return (ssize_t)done;
}
