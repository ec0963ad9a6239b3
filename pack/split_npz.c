/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts what numpy.savez writes: a zip file of NAME.npy, not compressed: a header of some words of Python, then the elements.
 * Members that are compressed, in Fortran order or of other types stay literal. The zip file has the
 * CRC-32 of a member before its bytes.
 */
#include "config.h"

#include "pack/split.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/zip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER 4096u

static const struct {
	const char *descr;
	uint32_t dtype;
} types[] = {
	{ "<f4", HYC_F32 }, { "<f2", HYC_F16 }, { "<f8", HYC_F64 }, { "<i8", HYC_I64 }, { "<i4", HYC_I32 }, { "<i2", HYC_I16 },
	{ "|i1", HYC_I8 }, { "<u8", HYC_U64 }, { "<u4", HYC_U32 }, { "<u2", HYC_U16 }, { "|u1", HYC_U8 }, { "|b1", HYC_BOOL },
	{ "<c8", HYC_C64 },
};

/* "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }" as numpy writes it; false for anything else. */
static bool read_words(const char *text, struct hyc_piece *piece, uint64_t shape[HYC_MAX_NDIM])
{
	char descr[4] = { 0 };
	int used = 0;
	const char *at;

	if (sscanf(text, "{'descr': '%3[^']', 'fortran_order': False, 'shape': (%n", descr, &used) != 1 || !used)
		return false;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(types[i].descr, descr))
			piece->dtype = types[i].dtype;
	piece->len = hyc_dtype_bytes(piece->dtype);
	for (at = text + used; piece->dtype && *at >= '0' && *at <= '9'; piece->ndim++) {
		char *end;

		errno = 0;
		if (piece->ndim == HYC_MAX_NDIM)
			return false;
		shape[piece->ndim] = strtoull(at, &end, 10);
		if (errno || hyc_mul_overflows(piece->len, shape[piece->ndim], &piece->len))
			return false;
		at = end + (*end == ',');
		at += *at == ' ';
	}
	return piece->dtype && !strncmp(at, "), }", 4);
}

/* Describes the elements of a member; 1: it has none that are understood. */
static int read_member(const struct hyc_input *in, const struct hyc_zip_record *r, struct hyc_piece *piece,
		       uint64_t shape[HYC_MAX_NDIM], struct hyc_error *err)
{
	char head[MAX_HEADER + 1];
	size_t have = r->bytes < MAX_HEADER ? (size_t)r->bytes : MAX_HEADER, words, len;
	int failed;

	if (r->method != HYC_ZIP_STORED)
		return 1;
	failed = hyc_input_read(in, r->off, head, have, err);
	if (failed)
		return failed;
	head[have] = 0;
	if (have < 12 || memcmp(head, "\x93NUMPY", 6) || head[6] < 1 || head[6] > 3)
		return 1;
	words = head[6] == 1 ? 10 : 12;
	len = head[6] == 1 ? hyc_load16(head + 8) : hyc_load32(head + 8);
	if (len > have - words || !len || head[words + len - 1] != '\n')
		return 1;
	head[words + len] = 0;
	piece->off = r->off + words + len;
	return read_words(head + words, piece, shape) && piece->len == r->bytes - words - len ? 0 : 1;
}

static int by_place(const void *a, const void *b)
{
	const struct hyc_zip_record *p = a, *q = b;

	return p->head < q->head ? -1 : p->head > q->head;
}

static int add_member(const struct hyc_input *in, const struct hyc_zip_record *r, struct hyc_plan *plan, struct hyc_error *err)
{
	struct hyc_piece piece = { .checked_ahead = true };
	uint64_t shape[HYC_MAX_NDIM];
	cleanup_free char *name = NULL;
	size_t len = strlen(r->name);
	int result;

	if (len < 5 || strcmp(r->name + len - 4, ".npy") || !hyc_is_name((const uint8_t *)r->name, len - 4))
		return 0;
	result = read_member(in, r, &piece, shape, err);
	if (result)
		return result < 0 ? result : 0;
	name = strndup(r->name, len - 4);
	if (!name)
		return hyc_fail(err, -ENOMEM, "not enough memory for its tensors");
	piece.name = name;
	piece.shape = shape;
	struct hyc_part empty = {
		.piece = HYC_NO_PIECE, .dtype = piece.dtype, .ndim = piece.ndim, .shape = shape, .name = name,
	};
	if (piece.len ? hyc_plan_fill(plan, piece.off) || hyc_plan_add(plan, &piece) : hyc_plan_add_part(plan, &empty))
		return hyc_fail(err, -ENOMEM, "not enough memory for its tensors");
	return 0;
}

int hyc_split_npz(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err)
{
	struct hyc_zip zip;
	int failed = hyc_zip_read(in, &zip, err);

	plan->kind = HYC_KIND_NPZ;
	if (!failed && zip.n)
		qsort(zip.records, zip.n, sizeof *zip.records, by_place);
	for (size_t i = 0; i < zip.n && !failed; i++)
		failed = add_member(in, &zip.records[i], plan, err);
	if (!failed && hyc_plan_fill(plan, in->bytes))
		failed = hyc_fail(err, -ENOMEM, "not enough memory for its tensors");
	hyc_zip_fini(&zip);
	return failed;
}
