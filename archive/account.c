/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes how much of the archive. An object's bytes are shared out among the extents (for files) or the tensors
 * that show them, in proportion to how much they show, so that sums over an archive are its size. It is the archive's own
 * files and tensors that count: a view shows the same shares in other files.
 */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>

#include "archive/archive.h"
#include "base/cleanup.h"

struct hyc_account {
	pthread_mutex_t lock; /* guards the making of the tables, which is done on first use */
	double *object_bytes; /* of each object: what it takes in the archive */
	double *extent_bytes; /* of each object: bytes that extents show of it */
	double *tensor_bytes; /* of each object: bytes that tensors show of it */
};

struct hyc_account *hyc_account_new(void)
{
	struct hyc_account *account = calloc(1, sizeof *account);

	if (account)
		pthread_mutex_init(&account->lock, NULL);
	return account;
}

void hyc_account_free(struct hyc_account *account)
{
	if (!account)
		return;
	pthread_mutex_destroy(&account->lock);
	free(account->object_bytes);
	free(account->extent_bytes);
	free(account->tensor_bytes);
	free(account);
}

double hyc_account_object(const struct hyc *a, uint32_t object)
{
	const struct hyc_disk_object *o = &a->index.objects[object];
	uint32_t n = hyc_get32(o->n_blocks), first = hyc_get32(o->first_block);
	uint64_t bytes = sizeof *o + hyc_get32(o->params_len) + n * sizeof(struct hyc_disk_block);

	for (uint32_t k = 0; k < n; k++)
		bytes += hyc_get32(a->index.blocks[first + k].stored);
	return (double)bytes;
}

/* Bytes an extent shows; extent k of n of a file. */
static uint64_t extent_bytes(const struct hyc_disk_file *f, const struct hyc_disk_extent *e, uint32_t k, uint32_t n)
{
	return hyc_get64(k + 1 < n ? e[1].file_off : f->size) - hyc_get64(e->file_off);
}

static uint64_t tensor_bytes(const struct hyc_index *x, uint32_t tensor)
{
	struct hyc_tensor t;

	hyc_tensor_shape(x, tensor, &t);
	return t.bytes;
}

/* Makes the tables on first use; false without memory. */
static bool prepare(const struct hyc *a)
{
	const struct hyc_index *x = hyc_stored_index(a);
	struct hyc_account *t = a->account;
	cleanup_free double *of_objects = NULL, *of_tensors = NULL, *of_extents = NULL;

	HYC_LOCK_SCOPE(&t->lock);
	if (t->extent_bytes)
		return true;
	of_objects = calloc((size_t)x->n_objects + 1, sizeof *of_objects);
	of_tensors = calloc((size_t)x->n_objects + 1, sizeof *of_tensors);
	of_extents = calloc((size_t)x->n_objects + 1, sizeof *of_extents);
	if (!of_objects || !of_tensors || !of_extents)
		return false;
	/* Once: an object may have many blocks and many extents. */
	for (uint32_t i = 0; i < x->n_objects; i++)
		of_objects[i] = hyc_account_object(a, i);
	for (uint32_t i = 0; i < x->n_files; i++) {
		uint32_t n = hyc_get32(x->files[i].n_extents);
		const struct hyc_disk_extent *e = x->extents + hyc_get32(x->files[i].first_extent);

		for (uint32_t k = 0; k < n; k++)
			if (hyc_extent_has_object(&e[k]))
				of_extents[hyc_get32(e[k].target)] += (double)extent_bytes(&x->files[i], &e[k], k, n);
	}
	for (uint32_t i = 0; i < x->n_tensors; i++)
		if (hyc_get32(x->tensors[i].object) != HYC_NO_OBJECT)
			of_tensors[hyc_get32(x->tensors[i].object)] += (double)tensor_bytes(x, i);
	t->object_bytes = hyc_steal(&of_objects);
	t->tensor_bytes = hyc_steal(&of_tensors);
	t->extent_bytes = hyc_steal(&of_extents);
	return true;
}

/* What the archive's files show of an object; one that none shows is there for a view only. */
static double shown_bytes(const struct hyc *a, uint32_t object)
{
	double bytes = a->account->extent_bytes[object];

	return bytes > 0 ? bytes : (double)hyc_get64(a->index.objects[object].bytes);
}

double hyc_account_file(const struct hyc *a, uint32_t file)
{
	const struct hyc_disk_file *f = &a->index.files[file];
	uint32_t n = hyc_get32(f->n_extents);
	const struct hyc_disk_extent *e = a->index.extents + hyc_get32(f->first_extent);
	double sum = (double)(sizeof *f + hyc_get32(f->path_len) + 1);

	if (!prepare(a))
		return 0;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t object = hyc_get32(e[k].target);

		sum += sizeof *e;
		if (hyc_extent_has_object(&e[k]))
			sum += a->account->object_bytes[object] * (double)extent_bytes(f, &e[k], k, n) /
			       shown_bytes(a, object);
	}
	return sum;
}

double hyc_account_record(const struct hyc *a, uint32_t tensor)
{
	const struct hyc_disk_tensor *t = &a->index.tensors[tensor];

	return (double)(sizeof *t + hyc_get32(t->name_len) + 1 + 8 * (uint64_t)hyc_get32(t->ndim));
}

double hyc_account_tensor(const struct hyc *a, uint32_t tensor)
{
	uint32_t object = hyc_get32(a->index.tensors[tensor].object);
	double sum = hyc_account_record(a, tensor);

	if (object == HYC_NO_OBJECT || !prepare(a))
		return sum;
	return sum + a->account->object_bytes[object] * (double)tensor_bytes(&a->index, tensor) / a->account->tensor_bytes[object];
}
