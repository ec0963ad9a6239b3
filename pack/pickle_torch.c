/* SPDX-License-Identifier: Apache-2.0 */
/* What torch means by the calls and persistent ids in its pickles. Nothing is called. */
#include "config.h"

#include "pack/pickle_machine.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/hash.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/torch_global.h"

#include <stdlib.h>
#include <string.h>

int hyc_pickle_global(struct hyc_pickle *p, const char *module, size_t module_len, const char *name, size_t name_len,
		      uint32_t *result, struct hyc_error *err)
{
	int64_t id = hyc_torch_global_find(module, module_len, name, name_len);

	if (!id && !*p->foreign) {
		size_t n = module_len < 90 ? module_len : 90, m = name_len < 90 ? name_len : 90;

		memcpy(p->foreign, module, n);
		p->foreign[n] = '.';
		memcpy(p->foreign + n + 1, name, m);
		p->foreign[n + 1 + m] = 0;
		/* It is only told; what cannot be printed must not end it early. */
		for (size_t i = 0; i < n + 1 + m; i++)
			if (!p->foreign[i])
				p->foreign[i] = '?';
	}
	if (!id)
		return *result = 0;
	*result = hyc_pickle_new(p, HYC_PICKLE_GLOBAL, id, err);
	return *result ? 0 : -EINVAL;
}

static const struct hyc_torch_global *global_of(const struct hyc_pickle *p, uint32_t value)
{
	const struct hyc_pickle_value *v = hyc_pickle_get(p, value);

	return hyc_torch_global(v->kind == HYC_PICKLE_GLOBAL ? v->number : 0);
}

static bool is_size(const struct hyc_pickle *p, uint32_t value)
{
	const struct hyc_pickle_value *v = hyc_pickle_get(p, value);

	return v->kind == HYC_PICKLE_INT && v->number >= 0;
}

static bool is_sizes(const struct hyc_pickle *p, uint32_t value)
{
	const struct hyc_pickle_value *v = hyc_pickle_get(p, value);

	if (v->kind != HYC_PICKLE_TUPLE || v->n > HYC_MAX_NDIM)
		return false;
	for (uint32_t i = 0; i < v->n; i++)
		if (!is_size(p, hyc_pickle_item(p, v, i)))
			return false;
	return true;
}

uint64_t hyc_pickle_size(const struct hyc_pickle *p, uint32_t tuple, uint32_t i)
{
	return (uint64_t)hyc_pickle_get(p, hyc_pickle_item(p, hyc_pickle_get(p, tuple), i))->number;
}

/* ---- storages ---- */

static uint32_t *slot_of(const struct hyc_pickle *p, const char *key, uint32_t len)
{
	uint32_t i = (uint32_t)hyc_hash64(key, len) & (p->n_slots - 1);

	while (p->slots[i]) {
		const struct hyc_pickle_storage *s = &p->storages[p->slots[i] - 1];

		if (s->key_len == len && !memcmp(s->key, key, len))
			break;
		i = (i + 1) & (p->n_slots - 1);
	}
	return &p->slots[i];
}

uint32_t hyc_pickle_find(const struct hyc_pickle *p, const void *key, uint32_t len)
{
	uint32_t slot = p->n_slots ? *slot_of(p, key, len) : 0;

	return slot ? slot - 1 : p->n_storages;
}

static int make_slots(struct hyc_pickle *p, struct hyc_error *err)
{
	uint32_t n = p->n_slots ? 2 * p->n_slots : 64;
	uint32_t *slots;

	if (p->n_slots > 2 * p->n_storages)
		return 0;
	slots = calloc(n, sizeof *slots);
	if (!slots)
		return hyc_fail(err, -ENOMEM, "not enough memory for its pickle");
	free(p->slots);
	p->slots = slots;
	p->n_slots = n;
	for (uint32_t i = 0; i < p->n_storages; i++)
		*slot_of(p, p->storages[i].key, p->storages[i].key_len) = i + 1;
	return 0;
}

static int add_storage(struct hyc_pickle *p, const struct hyc_pickle_storage *wanted, uint32_t *index, struct hyc_error *err)
{
	struct hyc_pickle_storage *s;
	int failed = make_slots(p, err);
	uint32_t *slot;

	if (failed)
		return failed;
	slot = slot_of(p, wanted->key, wanted->key_len);
	if (*slot) {
		s = &p->storages[*slot - 1];
		/* The dtype of an untyped one may be known by now. */
		if (s->bytes != wanted->bytes || s->element != wanted->element)
			return hyc_foreign(err, "storage %.*s is there with two types or sizes",
					   (int)(s->key_len < 100 ? s->key_len : 100), s->key);
		*index = *slot - 1;
		return 0;
	}
	s = HYC_PICKLE_ADD(p->storages, p->n_storages, p->room_storages, err);
	if (!s)
		return -EINVAL;
	*s = *wanted;
	*slot = p->n_storages;
	*index = p->n_storages - 1;
	return 0;
}

/* ('storage', class, key, device, elements), in legacy files also a view of it, which nobody writes any more. */
int hyc_pickle_persistent(struct hyc_pickle *p, uint32_t id, uint32_t *result, struct hyc_error *err)
{
	const struct hyc_pickle_value *v = hyc_pickle_get(p, id), *key, *tag;
	const struct hyc_torch_global *type;
	struct hyc_pickle_storage s;
	uint32_t index;
	int failed;

	if (v->kind != HYC_PICKLE_TUPLE || v->n < 5 || v->n > 6)
		return hyc_foreign(err, "a persistent id of its pickle is not that of a storage");
	tag = hyc_pickle_get(p, hyc_pickle_item(p, v, 0));
	type = global_of(p, hyc_pickle_item(p, v, 1));
	key = hyc_pickle_get(p, hyc_pickle_item(p, v, 2));
	if (tag->kind != HYC_PICKLE_STR || tag->n != 7 || memcmp(p->bytes + tag->at, "storage", 7) ||
	    key->kind != HYC_PICKLE_STR || !is_size(p, hyc_pickle_item(p, v, 4)))
		return hyc_foreign(err, "a persistent id of its pickle is not that of a storage");
	if (type->meaning != HYC_TORCH_STORAGE)
		return hyc_foreign(err, "a storage of its pickle is of no known type");
	if (v->n == 6 && hyc_pickle_get(p, hyc_pickle_item(p, v, 5))->kind != HYC_PICKLE_NONE)
		return hyc_foreign(err, "a storage of its pickle is a view of another");
	s = (struct hyc_pickle_storage) {
		.key = (const char *)p->bytes + key->at, .key_len = key->n, .dtype = type->dtype, .element = type->element,
	};
	if (hyc_mul_overflows((uint64_t)hyc_pickle_get(p, hyc_pickle_item(p, v, 4))->number, type->element, &s.bytes) ||
	    s.bytes > HYC_MAX_BYTES)
		return hyc_foreign(err, "a storage of its pickle is larger than any file");
	failed = add_storage(p, &s, &index, err);
	if (failed)
		return failed;
	*result = hyc_pickle_new(p, HYC_PICKLE_STORAGE, index, err);
	return *result ? 0 : -EINVAL;
}

/* ---- tensors ---- */

/* (storage, offset, size, stride, requires_grad, hooks, [dtype,] [metadata]) */
static int rebuild_tensor(struct hyc_pickle *p, uint32_t meaning, const struct hyc_pickle_value *args, uint32_t *result,
			  struct hyc_error *err)
{
	bool typed = meaning == HYC_TORCH_REBUILD_V3;
	uint32_t least = meaning == HYC_TORCH_REBUILD_V1 ? 4 : typed ? 7 : 6, metadata = typed ? 7 : 6;
	const struct hyc_pickle_value *storage;
	const struct hyc_torch_global *type;
	struct hyc_pickle_tensor *t;
	struct hyc_pickle_storage *s;

	if (args->kind != HYC_PICKLE_TUPLE || args->n < least || args->n > metadata + 1)
		return hyc_foreign(err, "a tensor of its pickle is made of the wrong parts");
	storage = hyc_pickle_get(p, hyc_pickle_item(p, args, 0));
	if (storage->kind != HYC_PICKLE_STORAGE || !is_size(p, hyc_pickle_item(p, args, 1)) ||
	    !is_sizes(p, hyc_pickle_item(p, args, 2)) || !is_sizes(p, hyc_pickle_item(p, args, 3)))
		return hyc_foreign(err, "a tensor of its pickle is made of the wrong parts");
	type = typed ? global_of(p, hyc_pickle_item(p, args, 6)) : NULL;
	if (type && type->meaning != HYC_TORCH_DTYPE)
		return hyc_foreign(err, "a tensor of its pickle has no known dtype");
	t = HYC_PICKLE_ADD(p->tensors, p->n_tensors, p->room_tensors, err);
	if (!t)
		return -EINVAL;
	s = &p->storages[storage->number];
	if (type && s->dtype == HYC_BYTES && s->element == 1)
		s->dtype = type->dtype;
	*t = (struct hyc_pickle_tensor) {
		.storage = (uint32_t)storage->number, .dtype = type ? type->dtype : s->dtype,
		.element = type ? type->element : s->element,
		.offset = (uint64_t)hyc_pickle_get(p, hyc_pickle_item(p, args, 1))->number,
		.shape = hyc_pickle_item(p, args, 2), .strides = hyc_pickle_item(p, args, 3),
		.plain = args->n <= metadata || !hyc_pickle_get(p, hyc_pickle_item(p, args, metadata))->n,
	};
	t->ndim = hyc_pickle_get(p, t->shape)->n;
	if (hyc_pickle_get(p, t->strides)->n != t->ndim)
		return hyc_foreign(err, "a tensor of its pickle has not as many strides as dimensions");
	*result = hyc_pickle_new(p, HYC_PICKLE_TENSOR, p->n_tensors - 1, err);
	return *result ? 0 : -EINVAL;
}

int hyc_pickle_call(struct hyc_pickle *p, uint32_t callee, uint32_t args, uint32_t *result, struct hyc_error *err)
{
	uint32_t meaning = global_of(p, callee)->meaning;
	const struct hyc_pickle_value *a = hyc_pickle_get(p, args);

	*result = 0;
	/* A subclass of tensors: (function, class, arguments, state). */
	if (meaning == HYC_TORCH_REBUILD_FROM_TYPE && a->kind == HYC_PICKLE_TUPLE && a->n == 4) {
		meaning = global_of(p, hyc_pickle_item(p, a, 0))->meaning;
		a = hyc_pickle_get(p, hyc_pickle_item(p, a, 2));
	}
	switch (meaning) {
	case HYC_TORCH_ORDERED_DICT:
		if (a->kind == HYC_PICKLE_TUPLE && !a->n)
			*result = hyc_pickle_new(p, HYC_PICKLE_DICT, 0, err);
		else
			return 0;
		return *result ? 0 : -EINVAL;
	case HYC_TORCH_SIZE:
		if (a->kind == HYC_PICKLE_TUPLE && a->n == 1)
			*result = hyc_pickle_item(p, a, 0);
		return 0;
	case HYC_TORCH_REBUILD_V1: case HYC_TORCH_REBUILD_V2: case HYC_TORCH_REBUILD_V3:
		return rebuild_tensor(p, meaning, a, result, err);
	case HYC_TORCH_REBUILD_PARAMETER:
		if (a->kind != HYC_PICKLE_TUPLE || !a->n ||
		    hyc_pickle_get(p, hyc_pickle_item(p, a, 0))->kind != HYC_PICKLE_TENSOR)
			return hyc_foreign(err, "a parameter of its pickle is no tensor");
		*result = hyc_pickle_item(p, a, 0);
		return 0;
	default:
		return 0;
	}
}
