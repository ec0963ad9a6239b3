/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage becomes one piece. Where the tensors in it are all of it, it is coded by the shape of the first one and
 * has its name; else they are parts of the piece. Tensors whose elements do not follow each other get a copy beside
 * the storage, because other containers can only hold them so.
 */
#include "config.h"

#include "pack/torch.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/input.h"
#include "pack/pickle_machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A tensor of the table. */
struct named {
	char *name;    /* owned */
	const struct hyc_pickle_tensor *tensor;
	uint64_t shape[HYC_MAX_NDIM], strides[HYC_MAX_NDIM];
	uint64_t bytes;
	bool contiguous;
	uint32_t order; /* in the table */
};

struct table {
	struct named *all;
	uint32_t n;
	const char *why; /* it is not: a reason worth a note, static; or NULL */
};

static int no_memory(struct hyc_error *err)
{
	return hyc_fail(err, -ENOMEM, "not enough memory for its tensors");
}

static void free_table(struct table *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		free(t->all[i].name);
	free(t->all);
}

/* Whether a tensor lies inside its storage. A size that does not fit in 64 bits does not. */
static bool is_inside(const struct hyc_pickle *p, const struct hyc_pickle_tensor *t)
{
	uint64_t reach = 1, elements = 1, part, bytes;
	bool empty = false;

	for (uint32_t i = 0; i < t->ndim; i++)
		empty |= !hyc_pickle_size(p, t->shape, i);
	for (uint32_t i = 0; i < t->ndim; i++) {
		uint64_t dim = hyc_pickle_size(p, t->shape, i);

		if (hyc_mul_overflows(elements, dim, &elements))
			return false;
		if (!empty && (hyc_mul_overflows(dim - 1, hyc_pickle_size(p, t->strides, i), &part) ||
			       hyc_add_overflows(reach, part, &reach)))
			return false;
	}
	if (empty)
		return true;
	return !hyc_mul_overflows(elements, t->element, &bytes) && !hyc_add_overflows(reach, t->offset, &reach) &&
		!hyc_mul_overflows(reach, t->element, &reach) && reach <= p->storages[t->storage].bytes;
}

static bool is_contiguous(const struct named *n, uint32_t ndim)
{
	uint64_t stride = 1;

	for (uint32_t i = ndim; i; i--) {
		if (n->shape[i - 1] == 1)
			continue;
		if (n->strides[i - 1] != stride)
			return false;
		stride *= n->shape[i - 1];
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int by_storage(const void *a, const void *b)
{
	const struct named *p = a, *q = b;

	if (p->tensor->storage != q->tensor->storage)
		return p->tensor->storage < q->tensor->storage ? -1 : 1;
	return p->order < q->order ? -1 : 1;
}

/* 1: it cannot be listed; t->why tells. */
static int add_named(const struct hyc_pickle *p, const struct hyc_pickle_value *key, const struct hyc_pickle_tensor *tensor,
		     struct table *t, struct hyc_error *err)
{
	struct named *n = &t->all[t->n];

	if (!hyc_is_name(p->bytes + key->at, key->n))
		t->why = "a tensor has a name that cannot be listed";
	else if (tensor->dtype == HYC_BYTES || !tensor->plain)
		t->why = "a tensor has a dtype that cannot be listed";
	if (t->why)
		return 1;
	*n = (struct named) { .tensor = tensor, .order = t->n, .bytes = tensor->element };
	n->name = strndup((const char *)p->bytes + key->at, key->n);
	if (!n->name)
		return no_memory(err);
	t->n++;
	for (uint32_t i = 0; i < tensor->ndim; i++) {
		n->shape[i] = hyc_pickle_size(p, tensor->shape, i);
		n->strides[i] = hyc_pickle_size(p, tensor->strides, i);
		/* is_inside has multiplied it before, unless it has no elements. */
		if (hyc_mul_overflows(n->bytes, n->shape[i], &n->bytes))
			n->bytes = 0;
	}
	for (uint32_t i = 0; i < tensor->ndim; i++)
		if (!n->shape[i])
			n->bytes = 0;
	n->contiguous = !n->bytes || is_contiguous(n, tensor->ndim);
	return 0;
}

/* Whether the pickle is a table of tensors and nothing else. */
static bool is_table(const struct hyc_pickle *p)
{
	const struct hyc_pickle_value *root = hyc_pickle_get(p, p->root);

	if (root->kind != HYC_PICKLE_DICT)
		return false;
	for (uint32_t l = root->links.first; l; l = p->links[l - 1].next)
		if (hyc_pickle_get(p, p->links[l - 1].key)->kind != HYC_PICKLE_STR ||
		    hyc_pickle_get(p, p->links[l - 1].value)->kind != HYC_PICKLE_TENSOR)
			return false;
	return true;
}

/* The tensors of the table in the order of their storages; none where there is no table. */
static int read_table(const struct hyc_pickle *p, uint64_t file_bytes, struct table *t, struct hyc_error *err)
{
	const struct hyc_pickle_value *root = hyc_pickle_get(p, p->root);
	uint64_t copies = 0;
	int result = 0;

	if (*p->foreign) {
		t->why = p->foreign;
		return 0;
	}
	if (!is_table(p))
		return 0;
	t->all = calloc((size_t)root->n + 1, sizeof *t->all);
	if (!t->all)
		return no_memory(err);
	for (uint32_t l = root->links.first; l && !result; l = p->links[l - 1].next)
		result = add_named(p, hyc_pickle_get(p, p->links[l - 1].key),
				   &p->tensors[hyc_pickle_get(p, p->links[l - 1].value)->number], t, err);
	if (result < 0)
		return result;
	qsort(t->all, t->n, sizeof *t->all, by_name);
	for (uint32_t i = 0; i < t->n; i++) {
		if (i && !strcmp(t->all[i - 1].name, t->all[i].name))
			t->why = "a name is there twice";
		/* Views may repeat what they show as often as they like; the archive must not grow with that. */
		if (!t->all[i].contiguous && (hyc_add_overflows(copies, t->all[i].bytes, &copies) || copies > file_bytes))
			t->why = "what its strided views show is larger than the file";
	}
	qsort(t->all, t->n, sizeof *t->all, by_storage);
	return 0;
}

static uint32_t piece_dtype(const struct hyc_pickle_storage *s)
{
	if (s->dtype != HYC_BYTES && s->bytes % hyc_dtype_bytes(s->dtype) == 0)
		return s->dtype;
	return s->element == 16 ? HYC_F64 : HYC_U8;
}

/* Whether all the tensors in a storage are all of it. */
static bool is_one_tensor(const struct named *in, uint32_t n, const struct hyc_pickle_storage *s)
{
	for (uint32_t i = 0; i < n; i++)
		if (in[i].tensor->offset || !in[i].contiguous || in[i].bytes != s->bytes ||
		    in[i].tensor->dtype != piece_dtype(s))
			return false;
	return n;
}

/* What is to be done for a storage: in are the n tensors in it. */
struct storage {
	uint32_t index;
	uint64_t off;
	const struct named *in;
	uint32_t n;
};

static int by_place(const void *a, const void *b)
{
	const struct storage *p = a, *q = b;

	return p->off < q->off ? -1 : p->off > q->off;
}

static int add_storage(const struct hyc_pickle *p, const struct storage *at, struct hyc_plan *plan, size_t *index)
{
	const struct hyc_pickle_storage *s = &p->storages[at->index];
	struct hyc_piece piece = { .off = at->off, .len = s->bytes, .dtype = piece_dtype(s) };
	int failed = 0;

	*index = HYC_NO_PIECE;
	if (!s->bytes)
		return 0;
	failed = hyc_plan_fill(plan, at->off);
	if (is_one_tensor(at->in, at->n, s)) {
		piece.name = at->in->name;
		piece.shape = at->in->shape;
		piece.ndim = at->in->tensor->ndim;
	}
	*index = plan->n_pieces;
	return failed ? failed : hyc_plan_add(plan, &piece);
}

static int add_part(const struct named *n, size_t piece, uint64_t off, struct hyc_plan *plan)
{
	const struct hyc_pickle_tensor *t = n->tensor;
	struct hyc_part part = {
		.piece = n->bytes ? piece : HYC_NO_PIECE, .start = n->bytes ? t->offset * t->element : 0,
		.dtype = t->dtype, .ndim = t->ndim, .shape = n->shape, .name = n->name,
	};

	if (!n->contiguous) {
		struct hyc_piece copy = {
			.off = off + part.start, .len = n->bytes, .dtype = t->dtype, .ndim = t->ndim, .shape = n->shape,
			.strides = n->strides,
		};

		part.piece = plan->n_pieces;
		part.start = 0;
		if (hyc_plan_add(plan, &copy))
			return -ENOMEM;
	}
	return hyc_plan_add_part(plan, &part);
}

static int add_views(const struct storage *at, size_t piece, struct hyc_plan *plan)
{
	bool named = piece != HYC_NO_PIECE && plan->pieces[piece].name;

	for (uint32_t i = named; i < at->n; i++)
		if (add_part(&at->in[i], piece, at->off, plan))
			return -ENOMEM;
	return 0;
}

static int plan_storages(const struct hyc_pickle *p, struct storage *s, uint64_t file_bytes, struct hyc_plan *plan,
			 size_t *pieces)
{
	qsort(s, p->n_storages, sizeof *s, by_place);
	for (uint32_t i = 0; i < p->n_storages; i++)
		if (add_storage(p, &s[i], plan, &pieces[s[i].index]))
			return -ENOMEM;
	if (hyc_plan_fill(plan, file_bytes))
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n_storages; i++)
		if (add_views(&s[i], pieces[s[i].index], plan))
			return -ENOMEM;
	return 0;
}

int hyc_torch_plan(const struct hyc_pickle *p, const uint64_t *off, uint64_t file_bytes, struct hyc_plan *plan,
		   size_t *pieces, struct hyc_error *err)
{
	struct table table = { 0 };
	cleanup_free struct storage *storages = NULL;
	int failed = 0;

	for (uint32_t i = 0; i < p->n_tensors; i++)
		if (!is_inside(p, &p->tensors[i]))
			return hyc_foreign(err, "a tensor of its pickle reaches beyond its storage");
	storages = calloc((size_t)p->n_storages + 1, sizeof *storages);
	if (!storages)
		return no_memory(err);
	failed = read_table(p, file_bytes, &table, err);
	for (uint32_t i = 0; i < p->n_storages; i++)
		storages[i] = (struct storage) { .index = i, .off = off[i] };
	for (uint32_t i = 0; i < table.n && !failed && !table.why; i++) {
		struct storage *s = &storages[table.all[i].tensor->storage];

		s->in = s->n++ ? s->in : &table.all[i];
	}
	if (!failed && plan_storages(p, storages, file_bytes, plan, pieces))
		failed = no_memory(err);
	if (!failed && table.why &&
	    asprintf(&plan->note, *p->foreign ? "its tensors are not listed: it refers to %s" : "its tensors are not listed: %s",
		     table.why) < 0)
		failed = no_memory(err);
	free_table(&table);
	return failed;
}
