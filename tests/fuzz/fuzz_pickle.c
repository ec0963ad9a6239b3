/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pickles: bytes are taken as a legacy file, which is five of them, and as the data.pkl of a file whose storages lie
 * one behind the other.
 */
#include "config.h"

#include "pack/torch.h"
#include "tests/fuzz/fuzz_plan.h"

#define MAX_STORAGES 1000u

static void check_pickle(const struct hyc_pickle *p)
{
	uint64_t file_bytes = 100, off[MAX_STORAGES + 1] = { 0 };
	size_t pieces[MAX_STORAGES + 1];
	struct hyc_plan plan = { 0 };
	struct hyc_error err = { 0 };

	if (p->n_storages > MAX_STORAGES)
		return;
	for (uint32_t i = 0; i < p->n_storages; i++) {
		off[i] = file_bytes;
		if (p->storages[i].bytes > (UINT64_C(1) << 50))
			return;
		file_bytes += p->storages[i].bytes + i % 3;
	}
	if (hyc_torch_plan(p, off, file_bytes, &plan, pieces, &err))
		demand(err.code == -EINVAL && *err.msg);
	else
		check_plan(&plan, file_bytes);
	hyc_plan_fini(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hyc_pickle p = { 0 };
	struct hyc_error err = { 0 };
	size_t used;

	if (hyc_pickle_read(&p, data, size, &used, &err))
		demand(err.code == -EINVAL && *err.msg);
	else
		check_pickle(&p);
	hyc_pickle_fini(&p);
	fuzz_split(hyc_split_torch_legacy, data, size);
	return 0;
}
