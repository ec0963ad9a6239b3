/* SPDX-License-Identifier: Apache-2.0 */
/* Byte ranges of files: bisect the extents, then pin the block of the object that holds the byte. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/prefetch.h"

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

static int pin_block(struct hyc *a, const struct hyc_piece *piece, enum hyc_cache_how how, struct hyc_pin *pin)
{
	const struct hyc_cache_entry *entry;
	int result = hyc_cache_get(a->cache, (struct hyc_cache_key){ piece->object, piece->block },
				   hyc_object_block_bytes(&a->index.objects[piece->object], piece->block),
				   hyc_source_staging(a, piece->object, piece->block), how, &entry);

	if (result)
		return result;
	pin->data = entry->data + piece->skip;
	pin->len = piece->len;
	pin->handle = (void *)entry;
	return 0;
}

void hyc_piece_at(const struct hyc *a, uint32_t file, uint64_t off, struct hyc_piece *piece)
{
	const struct hyc_index *x = &a->index;
	const struct hyc_disk_extent *e = hyc_extent_at(x, file, off, &piece->extent_end);
	uint64_t pos = hyc_get64(e->start) + (off - hyc_get64(e->file_off)), left = piece->extent_end - off;

	*piece = (struct hyc_piece){ .extent_end = piece->extent_end };
	if (hyc_get32(e->kind) == HYC_EXTENT_MEMORY) {
		piece->memory = hyc_extent_memory(a, e, off);
	} else if (hyc_get32(e->kind) == HYC_EXTENT_PADDING) {
		piece->padding = true;
		piece->fill = (uint8_t)hyc_get32(e->target);
	} else {
		uint32_t in_block;

		piece->object = hyc_get32(e->target);
		in_block = hyc_object_block_at(&x->objects[piece->object], pos, &piece->block, &piece->skip);
		left = left < in_block ? left : in_block;
	}
	piece->len = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

/* Pin one piece, of at most len bytes; off is below the size of the file. */
static int pin_piece(struct hyc *a, uint32_t file, uint64_t off, size_t len, enum hyc_cache_how how, struct hyc_pin *pin)
{
	struct hyc_piece piece;
	int result;

	hyc_piece_at(a, file, off, &piece);
	if (len < piece.len)
		piece.len = (uint32_t)len;
	if (piece.memory) {
		*pin = (struct hyc_pin){ piece.memory, piece.len, NULL };
		result = 0;
	} else {
		result = piece.padding ? pin_padding(piece.fill, piece.len, pin) : pin_block(a, &piece, how, pin);
	}
	if (!result)
		atomic_fetch_add(&a->bytes_served, pin->len);
	return result;
}

/* Clips *len to the size of the file; -EISDIR for a directory. */
static int clip(const struct hyc *a, uint32_t file, uint64_t off, size_t *len)
{
	const struct hyc_disk_file *f = &a->index.files[file];
	uint64_t size = hyc_get64(f->size);

	if ((hyc_get32(f->mode) & HYC_MODE_TYPE) == HYC_MODE_DIR)
		return -EISDIR;
	if (off >= size)
		*len = 0;
	else if (*len > size - off)
		*len = (size_t)(size - off);
	return 0;
}

int hyc_pin_run(struct hyc *a, uint32_t file, uint64_t off, size_t len, struct hyc_pin *pins, unsigned max, unsigned *n)
{
	int result = clip(a, file, off, &len);

	*n = 0;
	if (result || !len)
		return result;
	hyc_prefetch_note(a->prefetch, file, off, len);
	while (len && *n < max) {
		/* Only who holds no pin may wait for memory. */
		result = pin_piece(a, file, off, len, *n ? HYC_CACHE_TRY : HYC_CACHE_WAIT, &pins[*n]);
		/* What fails later on fails again when it is asked for by itself. */
		if (result)
			return *n ? 0 : result;
		off += pins[*n].len;
		len -= pins[(*n)++].len;
	}
	return 0;
}

int hyc_pin(struct hyc *a, uint32_t file, uint64_t off, size_t len, struct hyc_pin *pin)
{
	unsigned n;

	*pin = (struct hyc_pin){ NULL, 0, NULL };
	return hyc_pin_run(a, file, off, len, pin, 1, &n);
}

static void unpin(struct hyc *a, struct hyc_pin *pin, size_t served)
{
	uintptr_t handle = (uintptr_t)pin->handle;

	if (handle & PADDING_TAG) {
		free((void *)(handle & ~PADDING_TAG));
	} else if (handle) {
		struct hyc_cache_key key = ((const struct hyc_cache_entry *)pin->handle)->key;

		if (hyc_cache_put(a->cache, pin->handle, served) && served)
			atomic_store_explicit(&a->served[hyc_block_number(a, key.object, key.block)], 1,
					      memory_order_relaxed);
	}
	*pin = (struct hyc_pin){ NULL, 0, NULL };
}

void hyc_unpin(struct hyc *a, struct hyc_pin *pin)
{
	unpin(a, pin, 0);
}

void hyc_unpin_served(struct hyc *a, struct hyc_pin *pin)
{
	unpin(a, pin, pin->len);
}

ssize_t hyc_read(struct hyc *a, uint32_t file, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;
	int result;

	if (len > SSIZE_MAX)
		len = SSIZE_MAX;
	result = clip(a, file, off, &len);
	if (result)
		return result;
	if (len)
		hyc_prefetch_note(a->prefetch, file, off, len);
	while (done < len) {
		struct hyc_pin pin;

		result = pin_piece(a, file, off + done, len - done, HYC_CACHE_WAIT, &pin);
		if (result)
			return result;
		memcpy((char *)buf + done, pin.data, pin.len);
		done += pin.len;
		hyc_unpin(a, &pin);
	}
	return (ssize_t)done;
}
