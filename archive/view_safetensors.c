/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes safetensors files the way the safetensors library does: the length of the header, the header as compact JSON
 * and spaces behind it, then the tensors without a gap, those of the widest dtypes first. The library
 * fills the header up to a multiple of 8 bytes; here it is filled up to a page.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/view.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/dtype.h"

#define MAX_HEADER 100000000u /* the library refuses more */

/* The library's order of dtypes, narrow ones first. */
static const uint8_t rank[HYC_N_DTYPES] = {
	[HYC_BOOL] = 1, [HYC_F4] = 2, [HYC_F6_E2M3] = 3, [HYC_F6_E3M2] = 4, [HYC_U8] = 5, [HYC_I8] = 6, [HYC_F8_E5M2] = 7,
	[HYC_F8_E4M3] = 8, [HYC_F8_E8M0] = 9, [HYC_F8_E4M3FNUZ] = 10, [HYC_F8_E5M2FNUZ] = 11, [HYC_I16] = 12, [HYC_U16] = 13,
	[HYC_F16] = 14, [HYC_BF16] = 15, [HYC_I32] = 16, [HYC_U32] = 17, [HYC_F32] = 18, [HYC_C64] = 19, [HYC_F64] = 20,
	[HYC_I64] = 21, [HYC_U64] = 22,
};

/* The tensors of a file are in order of their names already, and indices keep that order. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct hyc_index *x = arg;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int order = rank[hyc_get32(x->tensors[j].dtype)] - rank[hyc_get32(x->tensors[i].dtype)];

	return order ? order : (i > j) - (i < j);
}

/* One member of the header's object, and the end of the tensor after its start. */
static void put_tensor(const struct hyc_index *x, uint32_t tensor, uint64_t start, uint64_t end, struct hyc_text *json)
{
	const struct hyc_disk_tensor *t = &x->tensors[tensor];
	const le64 *dims = x->dims + hyc_get32(t->first_dim);

	hyc_text_puts(json, ",");
	hyc_text_json(json, x->names + hyc_get32(t->name_off), false);
	hyc_text_puts(json, ":{\"dtype\":\"");
	hyc_text_puts(json, hyc_dtype_name(hyc_get32(t->dtype)));
	hyc_text_puts(json, "\",\"shape\":[");
	for (uint32_t d = 0; d < hyc_get32(t->ndim); d++) {
		hyc_text_puts(json, d ? "," : "");
		hyc_text_number(json, hyc_get64(dims[d]));
	}
	hyc_text_puts(json, "],\"data_offsets\":[");
	hyc_text_number(json, start);
	hyc_text_puts(json, ",");
	hyc_text_number(json, end);
	hyc_text_puts(json, "]}");
}

static int put_header(const struct hyc_index *x, const uint32_t *order, uint32_t n, struct hyc_text *json,
		      const char **why)
{
	uint64_t at = 0, end;

	hyc_text_puts(json, "{\"__metadata__\":{\"format\":\"pt\"}");
	for (uint32_t i = 0; i < n && !json->failed; i++) {
		if (!strcmp(x->names + hyc_get32(x->tensors[order[i]].name_off), "__metadata__")) {
			*why = "a tensor is named __metadata__";
			return -EINVAL;
		}
		if (hyc_add_overflows(at, hyc_view_tensor_bytes(x, order[i]), &end) || end > HYC_MAX_BYTES) {
			*why = "its tensors are too large together";
			return -EINVAL;
		}
		put_tensor(x, order[i], at, end, json);
		at = end;
	}
	hyc_text_puts(json, "}");
	while (!json->failed && (8 + json->len) % HYC_VIEW_ALIGN)
		hyc_text_puts(json, " ");
	if (json->failed == -EFBIG) {
		*why = "its header would have more than 100 MB";
		return -EINVAL;
	}
	return json->failed;
}

int hyc_view_safetensors(const struct hyc_index *x, uint32_t first, uint32_t n, struct hyc_layout *l, const char **why)
{
	cleanup_free uint32_t *order = malloc(((size_t)n + 1) * sizeof *order);
	struct hyc_text json = { .limit = MAX_HEADER };
	le64 len;
	int result;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		order[i] = first + i;
		if (!hyc_view_tensor_plain(x, first + i, why))
			return -EINVAL;
	}
	qsort_r(order, n, sizeof *order, compare, (void *)x);
	result = put_header(x, order, n, &json, why);
	if (!result) {
		len = hyc_put64(json.len);
		hyc_layout_begin(l);
		hyc_layout_bytes(l, &len, sizeof len);
		hyc_layout_bytes(l, json.data, json.len);
		for (uint32_t i = 0; i < n; i++) {
			const struct hyc_disk_tensor *t = &x->tensors[order[i]];

			hyc_layout_span(l, hyc_get32(t->object), hyc_get64(t->start), hyc_view_tensor_bytes(x, order[i]));
		}
	}
	hyc_text_fini(&json);
	return result;
}
