/* SPDX-License-Identifier: Apache-2.0 */
/* Plans and their pieces. */
#include "config.h"

#include "pack/split.h"

#include "base/bytes.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a copy reads at once where its elements lie near each other. */
#define WINDOW_BYTES 16384u
#define NEAR_BYTES 256u

/* Room for one more element; NULL without memory. */
static void *grow(void *table, size_t n, size_t *room, size_t element)
{
	void *grown = table;

	if (n == *room) {
		size_t wanted = *room ? 2 * *room : 1;

		grown = reallocarray(table, wanted, element);
		if (grown)
			*room = wanted;
	}
	return grown;
}

/* Shape, strides and name in one allocation, which is the shape's; name and strides may be NULL. */
static int copy_names(uint32_t ndim, const uint64_t **shape, const uint64_t **strides, const char **name)
{
	size_t shape_bytes = ndim * sizeof **shape, name_bytes = *name ? strlen(*name) + 1 : 0;
	char *copy = malloc(2 * shape_bytes + name_bytes + 1);

	if (!copy)
		return -ENOMEM;
	if (shape_bytes)
		memcpy(copy, *shape, shape_bytes);
	if (shape_bytes && *strides)
		memcpy(copy + shape_bytes, *strides, shape_bytes);
	*shape = (const uint64_t *)(void *)copy;
	*strides = *strides ? (const uint64_t *)(void *)(copy + shape_bytes) : NULL;
	*name = *name ? memcpy(copy + 2 * shape_bytes, *name, name_bytes) : NULL;
	return 0;
}

bool hyc_is_name(const uint8_t *s, size_t len)
{
	if (!len || len > HYC_MAX_NAME)
		return false;
	for (size_t i = 0; i < len;) {
		uint32_t more = s[i] < 0x80 ? 0 : s[i] >= 0xc2 && s[i] < 0xe0 ? 1 : (s[i] & 0xf0) == 0xe0 ? 2 :
				s[i] >= 0xf0 && s[i] < 0xf5 ? 3 : 4;
		uint32_t code = more == 3 ? s[i] & 7u : more == 2 ? s[i] & 15u : more == 1 ? s[i] & 31u : s[i];

		if (more == 4 || more > len - i - 1 || !s[i])
			return false;
		for (uint32_t k = 1; k <= more; k++) {
			if ((s[i + k] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (s[i + k] & 63u);
		}
		if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
		    (more == 3 && (code < 0x10000 || code > 0x10ffff)))
			return false;
		i += more + 1;
	}
	return true;
}

int hyc_plan_add(struct hyc_plan *plan, const struct hyc_piece *piece)
{
	struct hyc_piece *pieces = grow(plan->pieces, plan->n_pieces, &plan->room, sizeof *pieces), added = *piece;

	if (!pieces)
		return -ENOMEM;
	plan->pieces = pieces;
	if ((piece->name || piece->ndim) && copy_names(piece->ndim, &added.shape, &added.strides, &added.name))
		return -ENOMEM;
	pieces[plan->n_pieces++] = added;
	return 0;
}

int hyc_plan_add_part(struct hyc_plan *plan, const struct hyc_part *part)
{
	struct hyc_part *parts = grow(plan->parts, plan->n_parts, &plan->room_parts, sizeof *parts), added = *part;
	const uint64_t *strides = NULL;

	if (!parts)
		return -ENOMEM;
	plan->parts = parts;
	if (copy_names(part->ndim, &added.shape, &strides, &added.name))
		return -ENOMEM;
	parts[plan->n_parts++] = added;
	return 0;
}

int hyc_plan_add_patch(struct hyc_plan *plan, uint64_t off, size_t piece)
{
	struct hyc_patch *patches = grow(plan->patches, plan->n_patches, &plan->room_patches, sizeof *patches);

	if (!patches)
		return -ENOMEM;
	plan->patches = patches;
	patches[plan->n_patches++] = (struct hyc_patch) { off, piece };
	return 0;
}

int hyc_plan_fill(struct hyc_plan *plan, uint64_t off)
{
	const struct hyc_piece *last = plan->n_pieces ? &plan->pieces[plan->n_pieces - 1] : NULL;
	struct hyc_piece literal = { .off = last ? last->off + last->len : 0, .dtype = HYC_BYTES };

	literal.len = off - literal.off;
	return literal.len ? hyc_plan_add(plan, &literal) : 0;
}

void hyc_plan_fini(struct hyc_plan *plan)
{
	for (size_t i = 0; i < plan->n_pieces; i++)
		free((void *)(uintptr_t)plan->pieces[i].shape);
	for (size_t i = 0; i < plan->n_parts; i++)
		free((void *)(uintptr_t)plan->parts[i].shape);
	free(plan->pieces);
	free(plan->parts);
	free(plan->patches);
	free(plan->note);
	*plan = (struct hyc_plan) { 0 };
}

/* The first patch that ends behind off. */
static size_t first_patch(const struct hyc_plan *plan, uint64_t off)
{
	size_t low = 0, high = plan->n_patches;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (plan->patches[middle].off + 4 > off)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool hyc_plan_patch(const struct hyc_plan *plan, uint64_t off, uint8_t *bytes, size_t len)
{
	bool any = false;

	for (size_t i = first_patch(plan, off); i < plan->n_patches && plan->patches[i].off < off + len; i++) {
		const struct hyc_piece *piece = &plan->pieces[plan->patches[i].piece];
		uint8_t crc[4];

		if (!piece->lossy)
			continue;
		hyc_store32(crc, piece->crc32);
		/* Blocks may end within it. */
		for (unsigned k = 0; k < sizeof crc; k++) {
			uint64_t at = plan->patches[i].off + k;

			if (at >= off && at < off + len)
				bytes[at - off] = crc[k];
		}
		any = true;
	}
	return any;
}

/* Where a copy has come to: an index for each dimension. */
struct walker {
	const struct hyc_piece *piece;
	uint64_t index[HYC_MAX_NDIM];
	uint64_t at; /* elements from the first one of the source */
};

static void walker_set(struct walker *w, const struct hyc_piece *piece, uint64_t element)
{
	*w = (struct walker) { .piece = piece };
	for (uint32_t i = piece->ndim; i; i--) {
		w->index[i - 1] = element % piece->shape[i - 1];
		element /= piece->shape[i - 1];
		w->at += w->index[i - 1] * piece->strides[i - 1];
	}
}

static void walker_step(struct walker *w)
{
	for (uint32_t i = w->piece->ndim; i; i--) {
		if (++w->index[i - 1] < w->piece->shape[i - 1]) {
			w->at += w->piece->strides[i - 1];
			return;
		}
		w->at -= (w->piece->shape[i - 1] - 1) * w->piece->strides[i - 1];
		w->index[i - 1] = 0;
	}
}

/* Bytes from the element at hand to the end of the last dimension, where those lie near each other; else one element. */
static size_t walker_window(const struct walker *w, uint64_t element)
{
	uint32_t last = w->piece->ndim - 1;
	uint64_t step = w->piece->strides[last], rest = w->piece->shape[last] - w->index[last] - 1;

	if (!step || step > NEAR_BYTES / element)
		return element;
	step *= element;
	if (rest > (WINDOW_BYTES - element) / step)
		rest = (WINDOW_BYTES - element) / step;
	return rest * step + element;
}

static int read_copy(int fd, const struct hyc_piece *piece, uint64_t off, uint8_t *buf, size_t len)
{
	uint64_t element = hyc_dtype_bytes(piece->dtype), have_at = 0;
	uint8_t window[WINDOW_BYTES];
	size_t have = 0;
	struct walker w;

	walker_set(&w, piece, off / element);
	for (size_t done = 0; done < len; done += element) {
		uint64_t at = w.at * element;

		if (at < have_at || at + element > have_at + have) {
			int failed;

			have = walker_window(&w, element);
			have_at = at;
			failed = hyc_read_exactly(fd, window, have, piece->off + at);
			if (failed)
				return failed;
		}
		memcpy(buf + done, window + (at - have_at), element);
		walker_step(&w);
	}
	return 0;
}

int hyc_piece_read(int fd, const struct hyc_piece *piece, uint64_t off, uint8_t *buf, size_t len)
{
	/* Blocks are whole elements, and so are the samples that are read of them. */
	return piece->strides ? read_copy(fd, piece, off, buf, len) : hyc_read_exactly(fd, buf, len, piece->off + off);
}
