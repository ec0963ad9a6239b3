/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts what torch.save writes: a zip file with data.pkl and the storages beside it, data/0, data/1, ...,
 * not compressed. What readers see of a storage may change when it is coded with loss; its CRC-32 changes with it.
 */
#include "config.h"

#include "pack/split.h"

#include "base/cleanup.h"
#include "format/ondisk.h"
#include "pack/torch.h"
#include "pack/zip.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PICKLE "data.pkl"

/* The one record DIR/data.pkl, without other slashes. */
static const struct hyc_zip_record *find_pickle(const struct hyc_zip *zip, size_t *dir_len)
{
	const struct hyc_zip_record *found = NULL;

	for (size_t i = 0; i < zip->n; i++) {
		const char *slash = strchr(zip->records[i].name, '/');

		if (!slash || strcmp(slash + 1, PICKLE))
			continue;
		if (found)
			return NULL;
		found = &zip->records[i];
		*dir_len = (size_t)(slash - found->name);
	}
	return found;
}

static int check_byteorder(const struct hyc_input *in, const struct hyc_zip *zip, const char *dir, size_t dir_len,
			   struct hyc_error *err)
{
	cleanup_free char *name = NULL;
	const struct hyc_zip_record *r;
	uint8_t order[6] = { 0 };
	int failed;

	if (asprintf(&name, "%.*s/byteorder", (int)dir_len, dir) < 0) {
		name = NULL;
		return hyc_fail(err, -ENOMEM, "not enough memory");
	}
	r = hyc_zip_find(zip, name);
	if (!r)
		return 0;
	if (r->method == HYC_ZIP_STORED && r->bytes == sizeof order) {
		failed = hyc_input_read(in, r->off, order, sizeof order, err);
		if (failed)
			return failed;
	}
	return memcmp(order, "little", sizeof order) ? hyc_foreign(err, "its byte order is not little") : 0;
}

static int find_storage(const struct hyc_zip *zip, const char *dir, size_t dir_len, const struct hyc_pickle_storage *s,
			const struct hyc_zip_record **out, struct hyc_error *err)
{
	cleanup_free char *name = NULL;

	if (memchr(s->key, 0, s->key_len) || s->key_len > HYC_MAX_NAME)
		return hyc_foreign(err, "a storage of its pickle has no plain name");
	if (asprintf(&name, "%.*s/data/%.*s", (int)dir_len, dir, (int)s->key_len, s->key) < 0) {
		name = NULL;
		return hyc_fail(err, -ENOMEM, "not enough memory");
	}
	*out = hyc_zip_find(zip, name);
	if (!*out)
		return hyc_foreign(err, "its pickle wants %.200s, which the zip file does not have", name);
	if ((*out)->method != HYC_ZIP_STORED)
		return hyc_foreign(err, "zip record %.200s is compressed", name);
	if ((*out)->bytes != s->bytes)
		return hyc_foreign(err, "zip record %.200s has %" PRIu64 " bytes, its pickle wants %" PRIu64, name,
				   (*out)->bytes, s->bytes);
	return 0;
}

static int by_off(const void *a, const void *b)
{
	const struct hyc_patch *p = a, *q = b;

	return p->off < q->off ? -1 : p->off > q->off;
}

/* Checksums that are 0 were not asked for and stay so. */
static int add_patches(struct hyc_plan *plan, const struct hyc_zip_record *const *records, const size_t *pieces, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct hyc_zip_record *r = records[i];

		if (pieces[i] == HYC_NO_PIECE || !r->crc)
			continue;
		if (!r->tail_crc)
			plan->pieces[pieces[i]].checked_ahead = true;
		else if (hyc_plan_add_patch(plan, r->tail_crc, pieces[i]))
			return -ENOMEM;
		if (hyc_plan_add_patch(plan, r->central_crc, pieces[i]))
			return -ENOMEM;
	}
	if (plan->n_patches)
		qsort(plan->patches, plan->n_patches, sizeof *plan->patches, by_off);
	return 0;
}

static int plan_file(const struct hyc_input *in, const struct hyc_zip *zip, const struct hyc_pickle *p, const char *dir,
		     size_t dir_len, struct hyc_plan *plan, struct hyc_error *err)
{
	cleanup_free const struct hyc_zip_record **records = calloc((size_t)p->n_storages + 1, sizeof *records);
	cleanup_free uint64_t *off = calloc((size_t)p->n_storages + 1, sizeof *off);
	cleanup_free size_t *pieces = calloc((size_t)p->n_storages + 1, sizeof *pieces);
	int failed = 0;

	if (!records || !off || !pieces)
		return hyc_fail(err, -ENOMEM, "not enough memory for its storages");
	for (uint32_t i = 0; i < p->n_storages && !failed; i++) {
		failed = find_storage(zip, dir, dir_len, &p->storages[i], &records[i], err);
		if (!failed)
			off[i] = records[i]->off;
	}
	if (!failed)
		failed = hyc_torch_plan(p, off, in->bytes, plan, pieces, err);
	if (!failed && add_patches(plan, records, pieces, p->n_storages))
		failed = hyc_fail(err, -ENOMEM, "not enough memory for its storages");
	return failed;
}

static int split(const struct hyc_input *in, const struct hyc_zip *zip, struct hyc_pickle *p, struct hyc_plan *plan,
		 struct hyc_error *err)
{
	cleanup_free uint8_t *bytes = NULL;
	size_t dir_len = 0, used;
	const struct hyc_zip_record *r = find_pickle(zip, &dir_len);
	int failed;

	if (!r)
		return hyc_foreign(err, "the zip file has no data.pkl, or several");
	if (r->method != HYC_ZIP_STORED)
		return hyc_foreign(err, "zip record %.200s is compressed", r->name);
	if (r->bytes > HYC_PICKLE_MAX_BYTES)
		return hyc_foreign(err, "its pickle has %" PRIu64 " bytes, more than %" PRIu64, r->bytes,
				   HYC_PICKLE_MAX_BYTES);
	failed = check_byteorder(in, zip, r->name, dir_len, err);
	if (!failed)
		failed = hyc_input_load(in, r->off, (size_t)r->bytes, &bytes, err);
	if (!failed)
		failed = hyc_pickle_read(p, bytes, (size_t)r->bytes, &used, err);
	return failed ? failed : plan_file(in, zip, p, r->name, dir_len, plan, err);
}

int hyc_split_torch_zip(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err)
{
	struct hyc_pickle pickle = { 0 };
	struct hyc_zip zip;
	int failed = hyc_zip_read(in, &zip, err);

	plan->kind = HYC_KIND_TORCH_ZIP;
	if (!failed)
		failed = split(in, &zip, &pickle, plan, err);
	hyc_pickle_fini(&pickle);
	hyc_zip_fini(&zip);
	return failed;
}
