/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts safetensors files: 8 bytes of length, a JSON header, then the tensors without gaps.
 * It is as strict as the safetensors library, and stricter where two readers could see
 * two things: a key that is there twice is refused. Keys of a tensor that are not known
 * are ignored, as the library does; the header is kept byte by byte anyway.
 */
#include "config.h"

#include "pack/split.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LFS_POINTER "version " /* "https://git-lfs..." */

/* Where an error is: a file, and a tensor of it. Names may be long, the sentence must have room. */
struct place {
	const char *shown, *name;
	struct hyc_error *err;
};
#define FAIL(place, fmt, ...) \
	(hyc_fail((place)->err, -EINVAL, "%s: tensor %.200s: " fmt, (place)->shown, (place)->name, ##__VA_ARGS__), \
	 -EINVAL)

int hyc_safetensors_named(const char *name)
{
	size_t len = strlen(name), end = strlen(".safetensors");

	return len >= end && !strcasecmp(name + len - end, ".safetensors");
}

int hyc_safetensors_head_bytes(const char *shown, const uint8_t *head, uint64_t file_bytes, uint64_t *head_bytes,
			       struct hyc_error *err)
{
	uint64_t len;

	if (file_bytes < 8)
		return hyc_fail(err, -EINVAL, "%s: no safetensors file: it has only %" PRIu64 " bytes", shown,
				file_bytes);
	if (!memcmp(head, LFS_POINTER, 8))
		return hyc_fail(err, -EINVAL, "%s: a Git LFS pointer, not the weights; fetch them with git lfs pull",
				shown);
	len = hyc_load64(head);
	if (len > HYC_SAFETENSORS_MAX_HEADER)
		return hyc_fail(err, -EINVAL,
				"%s: no safetensors file: its header claims %" PRIu64 " bytes, more than %" PRIu64,
				shown, len, HYC_SAFETENSORS_MAX_HEADER);
	if (len > file_bytes - 8)
		return hyc_fail(err, -EINVAL,
				"%s: truncated: its safetensors header claims %" PRIu64 " bytes, and only %" PRIu64
				" follow",
				shown, len, file_bytes - 8);
	*head_bytes = 8 + len;
	return 0;
}

/* A size: an integer that is not negative. */
static bool is_size(const json_t *v)
{
	return json_is_integer(v) && json_integer_value(v) >= 0;
}

static int read_dtype(const struct place *place, const json_t *tensor, uint32_t *dtype)
{
	const json_t *v = json_object_get(tensor, "dtype");
	int found;

	if (!json_is_string(v))
		return FAIL(place, "its dtype is missing or not a string");
	found = hyc_dtype_find(json_string_value(v));
	if (found < 0 || found == HYC_BYTES)
		return FAIL(place, "its dtype %.40s is not known", json_string_value(v));
	*dtype = (uint32_t)found;
	return 0;
}

/* *bytes is what the shape and the dtype ask for. */
static int read_shape(const struct place *place, const json_t *tensor, uint32_t dtype, uint64_t shape[HYC_MAX_NDIM],
		      uint32_t *ndim, uint64_t *bytes)
{
	const json_t *v = json_object_get(tensor, "shape");
	uint64_t bits = hyc_dtype_bits(dtype);

	if (!json_is_array(v))
		return FAIL(place, "its shape is missing or not a list");
	if (json_array_size(v) > HYC_MAX_NDIM)
		return FAIL(place, "its shape has %zu dimensions, more than %u", json_array_size(v), HYC_MAX_NDIM);
	*ndim = (uint32_t)json_array_size(v);
	for (uint32_t i = 0; i < *ndim; i++) {
		const json_t *dim = json_array_get(v, i);

		if (!is_size(dim))
			return FAIL(place, "its shape has something that is not a size");
		shape[i] = (uint64_t)json_integer_value(dim);
	}
	/* The number of elements must fit, too: readers multiply it first. */
	uint64_t elements = 1;
	for (uint32_t i = 0; i < *ndim; i++)
		if (hyc_mul_overflows(elements, shape[i], &elements))
			return FAIL(place, "its shape overflows");
	if (hyc_mul_overflows(elements, bits, &bits))
		return FAIL(place, "its shape overflows");
	if (bits % 8)
		return FAIL(place, "its %" PRIu64 " elements of %u bits are not whole bytes", elements,
			    hyc_dtype_bits(dtype));
	*bytes = bits / 8;
	return 0;
}

static int read_offsets(const struct place *place, const json_t *tensor, uint64_t data_bytes, uint64_t *begin,
			uint64_t *end)
{
	const json_t *v = json_object_get(tensor, "data_offsets");

	if (!json_is_array(v) || json_array_size(v) != 2 || !is_size(json_array_get(v, 0)) ||
	    !is_size(json_array_get(v, 1)))
		return FAIL(place, "its data_offsets are missing or not two sizes");
	*begin = (uint64_t)json_integer_value(json_array_get(v, 0));
	*end = (uint64_t)json_integer_value(json_array_get(v, 1));
	if (*begin > *end)
		return FAIL(place, "it ends at %" PRIu64 ", before it begins at %" PRIu64, *end, *begin);
	if (*end > data_bytes)
		return FAIL(place, "it ends at %" PRIu64 ", but the file has only %" PRIu64 " bytes of data", *end,
			    data_bytes);
	return 0;
}

static int read_tensor(const struct place *place, const json_t *tensor, uint64_t head_bytes, uint64_t data_bytes,
		       struct hyc_plan *plan)
{
	struct hyc_piece piece = { .name = place->name };
	uint64_t shape[HYC_MAX_NDIM], begin, end, bytes;
	int failed;

	if (!json_is_object(tensor))
		return FAIL(place, "it is not an object of dtype, shape and data_offsets");
	if (!*place->name || strlen(place->name) > HYC_MAX_NAME)
		return FAIL(place, "its name has %zu bytes; 1 to %u are possible", strlen(place->name), HYC_MAX_NAME);
	failed = read_dtype(place, tensor, &piece.dtype);
	if (!failed)
		failed = read_shape(place, tensor, piece.dtype, shape, &piece.ndim, &bytes);
	if (!failed)
		failed = read_offsets(place, tensor, data_bytes, &begin, &end);
	if (failed)
		return failed;
	if (end - begin != bytes)
		return FAIL(place, "its shape asks for %" PRIu64 " bytes, and its data_offsets give %" PRIu64, bytes,
			    end - begin);
	piece.off = head_bytes + begin;
	piece.len = bytes;
	piece.shape = shape;
	if (hyc_plan_add(plan, &piece))
		return hyc_fail(place->err, -ENOMEM, "%s: not enough memory for its tensors", place->shown);
	return 0;
}

static int check_metadata(const char *shown, json_t *metadata, struct hyc_error *err)
{
	const char *key;
	json_t *value;

	if (json_is_null(metadata))
		return 0;
	if (!json_is_object(metadata))
		return hyc_fail(err, -EINVAL, "%s: the safetensors header's __metadata__ is not an object", shown);
	json_object_foreach(metadata, key, value)
		if (!json_is_string(value))
			return hyc_fail(err, -EINVAL, "%s: the safetensors header's __metadata__ has no string for %.200s",
					shown, key);
	return 0;
}

/* Empty ones come before the one that begins at the same place. */
static int by_place(const void *a, const void *b)
{
	const struct hyc_piece *p = a, *q = b;

	if (p->off != q->off)
		return p->off < q->off ? -1 : 1;
	if (p->len != q->len)
		return p->len < q->len ? -1 : 1;
	return strcmp(p->name, q->name);
}

static int check_gapless(const char *shown, const struct hyc_plan *plan, uint64_t head_bytes, uint64_t file_bytes,
			 struct hyc_error *err)
{
	uint64_t end = head_bytes;

	for (size_t i = 1; i < plan->n_pieces; i++) {
		const struct hyc_piece *p = &plan->pieces[i];
		struct place place = { shown, p->name, err };

		if (p->off != end)
			return FAIL(&place, "it begins at %" PRIu64 ", where %" PRIu64 " was expected: tensors %s",
				    p->off - head_bytes, end - head_bytes, p->off < end ? "overlap" : "leave a gap");
		end = p->off + p->len;
	}
	if (end != file_bytes)
		return hyc_fail(err, -EINVAL, "%s: %" PRIu64 " bytes follow the last tensor of the safetensors header",
				shown, file_bytes - end);
	return 0;
}

int hyc_split_safetensors(const char *shown, const uint8_t *head, size_t head_bytes, uint64_t file_bytes,
			  struct hyc_plan *plan, struct hyc_error *err)
{
	struct hyc_piece header = { .len = head_bytes, .dtype = HYC_BYTES };
	cleanup_json json_t *root = NULL;
	const char *name;
	json_t *value;
	int failed;

	plan->kind = HYC_KIND_SAFETENSORS;
	if (head_bytes < 9 || head[8] != '{')
		return hyc_fail(err, -EINVAL, "%s: no safetensors file: its header does not begin with {", shown);
	failed = hyc_json_parse(shown, "the safetensors header", (const char *)head + 8, head_bytes - 8, &root, err);
	if (failed)
		return failed;
	if (hyc_plan_add(plan, &header))
		return hyc_fail(err, -ENOMEM, "%s: not enough memory for its tensors", shown);
	json_object_foreach(root, name, value) {
		struct place place = { shown, name, err };

		if (!strcmp(name, "__metadata__"))
			failed = check_metadata(shown, value, err);
		else
			failed = read_tensor(&place, value, head_bytes, file_bytes - head_bytes, plan);
		if (failed)
			return failed;
	}
	qsort(plan->pieces + 1, plan->n_pieces - 1, sizeof *plan->pieces, by_place);
	return check_gapless(shown, plan, head_bytes, file_bytes, err);
}
