/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts what torch.save wrote before 1.6, and writes when asked to: five pickles (a magic number, the protocol, the system,
 * the object, the keys of the storages), then for each key the number of elements in 8 bytes and the storage's bytes.
 */
#include "config.h"

#include "pack/split.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/ondisk.h"
#include "pack/pickle_machine.h"
#include "pack/torch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL 1001

static int next_pickle(struct hyc_pickle *p, const uint8_t *bytes, size_t len, size_t *at, struct hyc_error *err)
{
	size_t used = 0;
	int failed = hyc_pickle_read(p, bytes + *at, len - *at, &used, err);

	*at += used;
	return failed;
}

static int check_system(const struct hyc_pickle *p, struct hyc_error *err)
{
	const struct hyc_pickle_value *system = hyc_pickle_get(p, p->root);

	if (system->kind != HYC_PICKLE_DICT)
		return hyc_foreign(err, "the third pickle of a legacy torch file is not about the system");
	for (uint32_t l = system->links.first; l; l = p->links[l - 1].next) {
		const struct hyc_pickle_value *key = hyc_pickle_get(p, p->links[l - 1].key);
		const struct hyc_pickle_value *value = hyc_pickle_get(p, p->links[l - 1].value);
		static const char little[] = "little_endian";

		if (key->kind == HYC_PICKLE_STR && key->n == strlen(little) && !memcmp(p->bytes + key->at, little, key->n))
			return value->kind == HYC_PICKLE_BOOL && value->number ? 0 :
				hyc_foreign(err, "its byte order is not little");
	}
	return hyc_foreign(err, "its byte order is not known");
}

/* All storages, each once, in the order of the list of keys. */
static int place_storages(const struct hyc_input *in, const struct hyc_pickle *p, uint32_t keys, uint64_t at, uint64_t *off,
			  struct hyc_error *err)
{
	const struct hyc_pickle_value *list = hyc_pickle_get(p, keys);

	if (list->kind != HYC_PICKLE_LIST || list->n != p->n_storages)
		return hyc_foreign(err, "its list of storages is not that of its pickle");
	for (uint32_t l = list->links.first; l; l = p->links[l - 1].next) {
		const struct hyc_pickle_value *key = hyc_pickle_get(p, p->links[l - 1].value);
		const struct hyc_pickle_storage *s;
		uint8_t elements[8];
		uint32_t i = key->kind == HYC_PICKLE_STR ? hyc_pickle_find(p, p->bytes + key->at, key->n) : p->n_storages;
		int failed;

		if (i == p->n_storages || off[i])
			return hyc_foreign(err, "its list of storages is not that of its pickle");
		s = &p->storages[i];
		failed = hyc_input_read(in, at, elements, sizeof elements, err);
		if (failed)
			return failed;
		if (hyc_load64(elements) != s->bytes / s->element)
			return hyc_foreign(err, "a storage has another size than its pickle wants");
		off[i] = at + sizeof elements;
		if (!hyc_range_ok(off[i], s->bytes, in->bytes))
			return hyc_foreign(err, "truncated: a storage reaches beyond its end");
		at = off[i] + s->bytes;
	}
	return 0;
}

static int split(const struct hyc_input *in, const uint8_t *bytes, size_t len, struct hyc_pickle *p, struct hyc_plan *plan,
		 struct hyc_error *err)
{
	cleanup_free uint64_t *off = NULL;
	cleanup_free size_t *pieces = NULL;
	const struct hyc_pickle_value *protocol;
	uint32_t object, keys;
	size_t at = 0;
	int failed = next_pickle(p, bytes, len, &at, err);

	if (!failed)
		failed = next_pickle(p, bytes, len, &at, err);
	if (failed)
		return failed;
	protocol = hyc_pickle_get(p, p->root);
	if (protocol->kind != HYC_PICKLE_INT || protocol->number != PROTOCOL)
		return hyc_foreign(err, "the protocol of a legacy torch file is not %d", PROTOCOL);
	failed = next_pickle(p, bytes, len, &at, err);
	if (!failed)
		failed = check_system(p, err);
	if (!failed)
		failed = next_pickle(p, bytes, len, &at, err);
	object = p->root;
	if (!failed)
		failed = next_pickle(p, bytes, len, &at, err);
	keys = p->root;
	p->root = object;
	if (failed)
		return failed;
	off = calloc((size_t)p->n_storages + 1, sizeof *off);
	pieces = calloc((size_t)p->n_storages + 1, sizeof *pieces);
	if (!off || !pieces)
		return hyc_fail(err, -ENOMEM, "not enough memory for its storages");
	failed = place_storages(in, p, keys, at, off, err);
	return failed ? failed : hyc_torch_plan(p, off, in->bytes, plan, pieces, err);
}

int hyc_split_torch_legacy(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err)
{
	cleanup_free uint8_t *bytes = NULL;
	struct hyc_pickle pickle = { 0 };
	/* Where the pickles end is known when they are read. */
	size_t len = (size_t)(in->bytes < HYC_PICKLE_MAX_BYTES ? in->bytes : HYC_PICKLE_MAX_BYTES);
	int failed = hyc_input_load(in, 0, len, &bytes, err);

	plan->kind = HYC_KIND_TORCH_LEGACY;
	if (!failed)
		failed = split(in, bytes, len, &pickle, plan, err);
	hyc_pickle_fini(&pickle);
	return failed;
}
