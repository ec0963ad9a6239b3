/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold for every plan of a file, whatever its bytes were. */
#ifndef HYC_TESTS_FUZZ_PLAN_H
#define HYC_TESTS_FUZZ_PLAN_H

#include <stdlib.h>

#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/input.h"
#include "pack/split.h"
#include "tests/fuzz/fuzz.h"

static inline void demand(int holds)
{
	if (!holds)
		abort();
}

/* The elements of a copy lie in the file. */
static inline void check_copy(const struct hyc_piece *p, uint64_t file_bytes)
{
	uint64_t elements = 1, reach = 1;

	demand(p->ndim > 0 && !p->name && p->len > 0);
	for (uint32_t i = 0; i < p->ndim; i++) {
		elements *= p->shape[i];
		reach += (p->shape[i] - 1) * p->strides[i];
	}
	demand(p->len == elements * hyc_dtype_bytes(p->dtype));
	demand(p->off <= file_bytes && reach * hyc_dtype_bytes(p->dtype) <= file_bytes - p->off);
}

static inline void check_part(const struct hyc_plan *plan, const struct hyc_part *v)
{
	uint64_t bytes = v->dtype < HYC_N_DTYPES ? hyc_dtype_bytes(v->dtype) : 0;

	demand(v->dtype != HYC_BYTES && bytes && v->ndim <= HYC_MAX_NDIM && *v->name);
	for (uint32_t i = 0; i < v->ndim; i++)
		bytes *= v->piece == HYC_NO_PIECE ? 0 : v->shape[i];
	if (v->piece == HYC_NO_PIECE)
		return;
	demand(v->piece < plan->n_pieces && bytes > 0);
	demand(v->start <= plan->pieces[v->piece].len && bytes <= plan->pieces[v->piece].len - v->start);
}

static inline void check_plan(const struct hyc_plan *plan, uint64_t file_bytes)
{
	uint64_t end = 0;
	size_t i;

	for (i = 0; i < plan->n_pieces && !plan->pieces[i].strides; i++) {
		const struct hyc_piece *p = &plan->pieces[i];

		demand(p->off == end && p->len <= file_bytes - end && p->dtype < HYC_N_DTYPES);
		demand(p->dtype == HYC_BYTES ? p->len > 0 && !p->name : p->ndim <= HYC_MAX_NDIM);
		demand(!p->name || *p->name);
		end += p->len;
	}
	demand(end == file_bytes);
	for (; i < plan->n_pieces; i++) {
		demand(plan->pieces[i].strides != NULL);
		check_copy(&plan->pieces[i], file_bytes);
	}
	for (i = 0; i < plan->n_parts; i++)
		check_part(plan, &plan->parts[i]);
	for (i = 0; i < plan->n_patches; i++) {
		const struct hyc_patch *p = &plan->patches[i];

		demand(p->piece < plan->n_pieces && file_bytes >= 4 && p->off <= file_bytes - 4);
		demand(i == 0 || plan->patches[i - 1].off < p->off);
	}
}

typedef int fuzz_splitter(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err);

/* A splitter refuses bytes with a reason, or makes a sound plan of them. */
static inline void fuzz_split(fuzz_splitter *split, const uint8_t *data, size_t size)
{
	struct hyc_input in = { .fd = -1, .mem = data, .bytes = size };
	struct hyc_plan plan = { 0 };
	struct hyc_error err = { 0 };

	if (split(&in, &plan, &err))
		demand(err.code == -EINVAL && *err.msg);
	else
		check_plan(&plan, size);
	hyc_plan_fini(&plan);
}

#endif
