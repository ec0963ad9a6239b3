/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks come in order of entry, piece and offset, so one object and one file are under
 * way at a time. An object is written before it is known whether its bytes are stored
 * already: the digest is there only at its end. Then it is taken back.
 */
#include "config.h"

#include "pack/assemble.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "format/dtype.h"
#include "pack/dedup.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define COMPARE_BYTES (UINT64_C(1) << 20)

struct hyc_assembly {
	struct hyc_scan *scan;
	struct hyc_writer *writer;
	struct hyc_dedup dedup;
	XXH3_state_t *object_digest, *file_digest;
	/* the object under way */
	uint32_t object;
	uLong crc;
	struct hyc_loss loss;
	uint64_t stored;    /* bytes of its blocks */
	bool patched;
	struct hyc_packed_sums sums;
};

int hyc_assembly_new(struct hyc_scan *scan, struct hyc_writer *writer, struct hyc_assembly **out)
{
	struct hyc_assembly *a = calloc(1, sizeof *a);

	if (!a)
		return -ENOMEM;
	a->scan = scan;
	a->writer = writer;
	a->object_digest = XXH3_createState();
	a->file_digest = XXH3_createState();
	if (!a->object_digest || !a->file_digest) {
		hyc_assembly_free(a);
		return -ENOMEM;
	}
	*out = a;
	return 0;
}

void hyc_assembly_free(struct hyc_assembly *a)
{
	if (!a)
		return;
	hyc_dedup_fini(&a->dedup);
	XXH3_freeState(a->object_digest);
	XXH3_freeState(a->file_digest);
	free(a);
}

const struct hyc_packed_sums *hyc_assembly_sums(const struct hyc_assembly *a)
{
	return &a->sums;
}

uint64_t hyc_object_record_bytes(const struct hyc_piece_coding *how, uint64_t bytes)
{
	return sizeof(struct hyc_disk_object) + how->coding.params_len +
	       hyc_div_up(bytes, how->block_bytes) * sizeof(struct hyc_disk_block);
}

static uint64_t record_bytes(const char *name, uint32_t ndim)
{
	return sizeof(struct hyc_disk_tensor) + strlen(name) + 1 + ndim * sizeof(le64);
}

uint64_t hyc_tensor_record_bytes(const struct hyc_piece *piece)
{
	return record_bytes(piece->name, piece->ndim);
}

static void digest(const XXH3_state_t *state, uint8_t out[16])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	memcpy(out, canonical.digest, sizeof canonical.digest);
}

static int begin_entry(struct hyc_assembly *a, const struct hyc_entry *e, struct hyc_error *err)
{
	struct hyc_new_file file = {
		.path = e->path, .mode = e->mode, .kind = e->plan.kind, .size = e->bytes,
		.mtime_sec = e->mtime.tv_sec, .mtime_nsec = (uint32_t)e->mtime.tv_nsec,
	};
	int64_t index = hyc_writer_add_file(a->writer, &file, err);

	XXH3_128bits_reset(a->file_digest);
	return index < 0 ? (int)index : 0;
}

static int begin_object(struct hyc_assembly *a, const struct hyc_packed *b, struct hyc_error *err)
{
	struct hyc_new_object object = {
		.codec = b->how.coding.codec, .dtype = b->how.coding.dtype, .bytes = b->piece->len,
		.rows = b->how.coding.rows, .cols = b->how.coding.cols, .block_bytes = b->how.block_bytes,
		.params = b->how.coding.params, .params_len = b->how.coding.params_len,
	};
	int64_t index = hyc_writer_add_object(a->writer, &object, err);

	if (index < 0)
		return (int)index;
	a->object = (uint32_t)index;
	a->crc = crc32(0, NULL, 0);
	a->loss = (struct hyc_loss) { 0 };
	a->stored = 0;
	a->patched = false;
	XXH3_128bits_reset(a->object_digest);
	return 0;
}

static int take_block(struct hyc_assembly *a, const struct hyc_packed *b, struct hyc_error *err)
{
	int64_t index;

	if (b->off == 0) {
		int failed = begin_object(a, b, err);

		if (failed)
			return failed;
	}
	index = hyc_writer_add_block(a->writer, b->stored, b->stored_len, b->stored_hash, err);
	if (index < 0)
		return (int)index;
	hyc_hash128_update(a->object_digest, b->shown, b->len);
	if (!b->piece->strides)
		hyc_hash128_update(a->file_digest, b->shown, b->len);
	a->crc = crc32_combine(a->crc, b->crc32, b->len);
	a->stored += b->stored_len;
	a->patched |= b->patched;
	if (b->lossy) {
		a->loss.power += b->loss.power;
		a->loss.squared_error += b->loss.squared_error;
		a->loss.max_error = fmax(a->loss.max_error, b->loss.max_error);
	}
	return 0;
}

/* Whether two ranges hold the same bytes; also false where one of them cannot be read any more. */
static bool same_bytes(int fd_a, uint64_t off_a, int fd_b, uint64_t off_b, uint64_t bytes)
{
	cleanup_free uint8_t *a = malloc(COMPARE_BYTES), *b = malloc(COMPARE_BYTES);
	uint64_t done = 0;

	while (a && b && done < bytes) {
		size_t len = (size_t)(bytes - done < COMPARE_BYTES ? bytes - done : COMPARE_BYTES);

		if (hyc_read_exactly(fd_a, a, len, off_a + done) || hyc_read_exactly(fd_b, b, len, off_b + done) ||
		    memcmp(a, b, len))
			return false;
		done += len;
	}
	return done == bytes;
}

static bool is_stored_as(struct hyc_assembly *a, const struct hyc_stored *stored, const struct hyc_stored *wanted)
{
	struct hyc_entry *mine = &a->scan->entries[wanted->entry], *other = &a->scan->entries[stored->entry];
	bool same;

	if (mine == other)
		return same_bytes(mine->fd, wanted->off, mine->fd, stored->off, wanted->bytes);
	if (hyc_entry_open(other, NULL))
		return false;
	same = same_bytes(mine->fd, wanted->off, other->fd, stored->off, wanted->bytes);
	return !hyc_entry_close(other, NULL) && same;
}

static void record_object(struct hyc_assembly *a, const struct hyc_packed *b, const uint8_t hash[16])
{
	struct hyc_new_digest d = { .crc32 = (uint32_t)a->crc, .exact = !b->lossy };
	uint64_t weights = b->piece->len / hyc_dtype_bytes(b->piece->dtype);

	memcpy(d.hash, hash, sizeof d.hash);
	if (b->lossy) {
		/* The field has 32 bits; what is beyond them is no weight of any model. */
		d.power = (float)fmin(a->loss.power / (double)weights, FLT_MAX);
		d.mse = a->loss.squared_error / (double)weights;
		d.max_error = a->loss.max_error;
		a->sums.lossy_weights += weights;
		a->sums.lossy_bytes += a->stored + hyc_object_record_bytes(&b->how, b->piece->len);
	}
	hyc_writer_finish_object(a->writer, &d);
}

/* Settles which object holds the piece whose last block was taken: an earlier one, or the one under way. */
static int finish_object(struct hyc_assembly *a, const struct hyc_packed *b, uint32_t *object, struct hyc_error *err)
{
	struct hyc_stored mine = {
		.bytes = b->piece->len, .literal = b->piece->dtype == HYC_BYTES, .lossy = b->lossy, .object = a->object,
		.entry = b->entry, .off = b->piece->off,
	};
	/* Only bytes that lie in a source can be compared. */
	bool lone = a->patched || b->piece->strides;
	const struct hyc_stored *other;
	size_t cursor = 0;

	digest(a->object_digest, mine.hash);
	while (!lone && (other = hyc_dedup_next(&a->dedup, &mine, &cursor)))
		if (is_stored_as(a, other, &mine)) {
			hyc_writer_drop_object(a->writer);
			*object = other->object;
			return 0;
		}
	record_object(a, b, mine.hash);
	*object = a->object;
	if (!lone && hyc_dedup_add(&a->dedup, &mine))
		return hyc_fail(err, -ENOMEM, "not enough memory for the list of objects");
	return 0;
}

static int add_tensor(struct hyc_assembly *a, const struct hyc_new_tensor *tensor, bool lossy, struct hyc_error *err)
{
	int64_t index = hyc_writer_add_tensor(a->writer, tensor, err);

	if (index < 0)
		return (int)index;
	a->sums.n_tensors++;
	if (lossy) {
		a->sums.n_lossy++;
		a->sums.lossy_bytes += record_bytes(tensor->name, tensor->ndim);
	}
	return 0;
}

static int add_piece_tensor(struct hyc_assembly *a, const struct hyc_piece *piece, struct hyc_error *err)
{
	struct hyc_new_tensor tensor = {
		.name = piece->name, .object = piece->len ? piece->object : HYC_NO_OBJECT, .dtype = piece->dtype,
		.ndim = piece->ndim, .shape = piece->shape,
	};

	return add_tensor(a, &tensor, piece->lossy, err);
}

static int add_part(struct hyc_assembly *a, const struct hyc_plan *plan, const struct hyc_part *part, struct hyc_error *err)
{
	const struct hyc_piece *piece = part->piece == HYC_NO_PIECE ? NULL : &plan->pieces[part->piece];
	struct hyc_new_tensor tensor = {
		.name = part->name, .object = piece ? piece->object : HYC_NO_OBJECT, .start = part->start,
		.dtype = part->dtype, .ndim = part->ndim, .shape = part->shape,
	};

	return add_tensor(a, &tensor, piece && piece->lossy, err);
}

static int finish_piece(struct hyc_assembly *a, const struct hyc_packed *b, struct hyc_error *err)
{
	struct hyc_plan *plan = &a->scan->entries[b->entry].plan;
	struct hyc_piece *piece = &plan->pieces[b->piece - plan->pieces];
	bool literal = piece->dtype == HYC_BYTES;
	int failed = finish_object(a, b, &piece->object, err);
	int64_t index;

	if (failed)
		return failed;
	piece->crc32 = (uint32_t)a->crc;
	piece->lossy = b->lossy;
	if (!piece->strides) {
		index = hyc_writer_add_extent(a->writer, piece->off, literal ? HYC_EXTENT_LITERAL : HYC_EXTENT_TENSOR,
					      piece->object, 0, err);
		if (index < 0)
			return (int)index;
	}
	return piece->name ? add_piece_tensor(a, piece, err) : 0;
}

static int finish_entry(struct hyc_assembly *a, struct hyc_entry *e, struct hyc_error *err)
{
	uint8_t hash[16];
	int failed = 0;

	if (e->fd >= 0)
		failed = hyc_entry_close(e, err);
	for (size_t i = 0; i < e->plan.n_pieces && !failed; i++)
		if (e->plan.pieces[i].len == 0)
			failed = add_piece_tensor(a, &e->plan.pieces[i], err);
	for (size_t i = 0; i < e->plan.n_parts && !failed; i++)
		failed = add_part(a, &e->plan, &e->plan.parts[i], err);
	if (failed)
		return failed;
	if ((e->mode & HYC_MODE_TYPE) == HYC_MODE_REG) {
		digest(a->file_digest, hash);
		hyc_writer_finish_file(a->writer, e->bytes, hash);
	}
	hyc_plan_fini(&e->plan);
	return 0;
}

int hyc_assembly_take(struct hyc_assembly *a, const struct hyc_packed *b, struct hyc_error *err)
{
	struct hyc_entry *e = &a->scan->entries[b->entry];
	int failed = 0;

	if (b->first_of_entry)
		failed = begin_entry(a, e, err);
	if (!failed && b->piece)
		failed = take_block(a, b, err);
	if (!failed && b->last_of_piece)
		failed = finish_piece(a, b, err);
	if (!failed && b->last_of_entry)
		failed = finish_entry(a, e, err);
	return failed;
}
