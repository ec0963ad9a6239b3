/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the data.pkl of a torch file: an OrderedDict of tensors, protocol 2, with the opcodes torch itself writes. What is
 * needed again has a place in the memo: the functions, the storage types, two strings.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/view.h"
#include "format/dtype.h"

enum { MEMO_DICT, MEMO_STORAGE, MEMO_CPU, MEMO_V2, MEMO_V3, MEMO_UNTYPED, MEMO_DTYPE, N_MEMO = MEMO_DTYPE + HYC_N_DTYPES };

#define BATCH 1000 /* members of a dict between a mark and a SETITEMS, as pickle has it */

struct pickle {
	const struct hyc_index *x;
	struct hyc_text *out;
	bool memo[N_MEMO];
};

/* What torch calls a dtype: old ones have a storage type each, new ones are told beside a storage without a type. */
static const struct {
	const char *storage, *dtype;
} torch_names[HYC_N_DTYPES] = {
	[HYC_BOOL] = { "BoolStorage", NULL },
	[HYC_U8] = { "ByteStorage", NULL },
	[HYC_I8] = { "CharStorage", NULL },
	[HYC_F16] = { "HalfStorage", NULL },
	[HYC_BF16] = { "BFloat16Storage", NULL },
	[HYC_I16] = { "ShortStorage", NULL },
	[HYC_F32] = { "FloatStorage", NULL },
	[HYC_I32] = { "IntStorage", NULL },
	[HYC_F64] = { "DoubleStorage", NULL },
	[HYC_I64] = { "LongStorage", NULL },
	[HYC_C64] = { "ComplexFloatStorage", NULL },
	[HYC_U16] = { NULL, "uint16" },
	[HYC_U32] = { NULL, "uint32" },
	[HYC_U64] = { NULL, "uint64" },
	[HYC_F8_E4M3] = { NULL, "float8_e4m3fn" },
	[HYC_F8_E5M2] = { NULL, "float8_e5m2" },
	[HYC_F8_E4M3FNUZ] = { NULL, "float8_e4m3fnuz" },
	[HYC_F8_E5M2FNUZ] = { NULL, "float8_e5m2fnuz" },
	[HYC_F8_E8M0] = { NULL, "float8_e8m0fnu" },
	[HYC_F4] = { NULL, "float4_e2m1fn_x2" },
};

static void put(struct pickle *p, const char *opcodes)
{
	hyc_text_puts(p->out, opcodes);
}

static void put_integer(struct pickle *p, uint64_t value)
{
	uint8_t code[10] = { 0x8a, 8 }; /* LONG1 of 8 bytes */
	size_t len = 10;

	if (value < 1u << 8) {
		code[0] = 'K';
		code[1] = (uint8_t)value;
		len = 2;
	} else if (value < 1u << 16) {
		code[0] = 'M';
		hyc_store16(code + 1, (uint16_t)value);
		len = 3;
	} else if (value < UINT64_C(1) << 31) {
		code[0] = 'J';
		hyc_store32(code + 1, (uint32_t)value);
		len = 5;
	} else {
		hyc_store64(code + 2, value);
	}
	hyc_text_put(p->out, code, len);
}

static void put_string(struct pickle *p, const char *s)
{
	put(p, "X");
	hyc_text_put32(p->out, (uint32_t)strlen(s));
	put(p, s);
}

/* Recall what is in the memo already. Otherwise false, and it is to be put now, and then remembered. */
static bool recall(struct pickle *p, unsigned place)
{
	if (p->memo[place])
		hyc_text_put(p->out, (uint8_t[]){ 'h', (uint8_t)place }, 2);
	return p->memo[place];
}

static void remember(struct pickle *p, unsigned place)
{
	hyc_text_put(p->out, (uint8_t[]){ 'q', (uint8_t)place }, 2);
	p->memo[place] = true;
}

static void put_global(struct pickle *p, unsigned place, const char *module, const char *name)
{
	if (recall(p, place))
		return;
	put(p, "c");
	put(p, module);
	put(p, "\n");
	put(p, name);
	put(p, "\n");
	remember(p, place);
}

static void put_known_string(struct pickle *p, unsigned place, const char *s)
{
	if (recall(p, place))
		return;
	put_string(p, s);
	remember(p, place);
}

static void put_empty_dict(struct pickle *p)
{
	put_global(p, MEMO_DICT, "collections", "OrderedDict");
	put(p, ")R");
}

/* ('storage', type, key, 'cpu', number of elements), as a persistent id. */
static void put_storage(struct pickle *p, uint32_t dtype, uint32_t key, uint64_t elements)
{
	char digits[16];

	put(p, "(");
	put_known_string(p, MEMO_STORAGE, "storage");
	if (torch_names[dtype].storage)
		put_global(p, MEMO_DTYPE + dtype, "torch", torch_names[dtype].storage);
	else
		put_global(p, MEMO_UNTYPED, "torch.storage", "UntypedStorage");
	snprintf(digits, sizeof digits, "%u", key);
	put_string(p, digits);
	put_known_string(p, MEMO_CPU, "cpu");
	put_integer(p, elements);
	put(p, "tQ");
}

/* Shape and strides. An element of torch's F4 is a byte of two. */
static void put_shape(struct pickle *p, const struct hyc_disk_tensor *t)
{
	const le64 *dims = p->x->dims + hyc_get32(t->first_dim);
	uint32_t ndim = hyc_get32(t->ndim);
	uint64_t shape[HYC_MAX_NDIM], stride[HYC_MAX_NDIM], step = 1;

	for (uint32_t d = ndim; d-- > 0;) {
		shape[d] = hyc_get64(dims[d]);
		if (hyc_get32(t->dtype) == HYC_F4 && d == ndim - 1)
			shape[d] /= 2;
		stride[d] = step;
		step *= shape[d] ? shape[d] : 1;
	}
	for (int which = 0; which < 2; which++) {
		put(p, "(");
		for (uint32_t d = 0; d < ndim; d++)
			put_integer(p, which ? stride[d] : shape[d]);
		put(p, "t");
	}
}

static int put_tensor(struct pickle *p, const struct hyc_disk_tensor *t, uint32_t key, const char **why)
{
	uint32_t dtype = hyc_get32(t->dtype), object = hyc_get32(t->object), ndim = hyc_get32(t->ndim);
	uint32_t element = hyc_dtype_bytes(dtype);
	uint64_t bytes = object == HYC_NO_OBJECT ? 0 : hyc_get64(p->x->objects[object].bytes);
	uint64_t start = object == HYC_NO_OBJECT ? 0 : hyc_get64(t->start);
	bool typed = torch_names[dtype].storage;

	if (!typed && !torch_names[dtype].dtype) {
		*why = "torch has no type for a tensor in it";
		return -EINVAL;
	}
	if (dtype == HYC_F4 && (!ndim || hyc_get64(p->x->dims[hyc_get32(t->first_dim) + ndim - 1]) % 2)) {
		*why = "a tensor of half bytes has an odd number of columns";
		return -EINVAL;
	}
	if (bytes % element || start % element) {
		*why = "a tensor does not fit the elements of its storage";
		return -EINVAL;
	}
	put_string(p, p->x->names + hyc_get32(t->name_off));
	put_global(p, typed ? MEMO_V2 : MEMO_V3, "torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
	put(p, "(");
	put_storage(p, dtype, key, typed ? bytes / element : bytes);
	put_integer(p, start / element);
	put_shape(p, t);
	put(p, "\x89"); /* requires_grad: False */
	put_empty_dict(p);
	if (!typed)
		put_global(p, MEMO_DTYPE + dtype, "torch", torch_names[dtype].dtype);
	put(p, "tR");
	return 0;
}

int hyc_view_pickle(const struct hyc_index *x, uint32_t first, uint32_t n, const uint32_t *keys, struct hyc_text *out,
		    const char **why)
{
	struct pickle p = { .x = x, .out = out };
	int result = 0;

	put(&p, "\x80\x02");
	put_empty_dict(&p);
	for (uint32_t i = 0; i < n && !result && !out->failed; i++) {
		if (i % BATCH == 0)
			put(&p, "(");
		result = put_tensor(&p, &x->tensors[first + i], keys[i], why);
		if (i % BATCH == BATCH - 1 || i == n - 1)
			put(&p, "u");
	}
	put(&p, ".");
	if (!result && out->failed == -EFBIG) {
		*why = "its data.pkl would be too large";
		return -EINVAL;
	}
	return result ? result : out->failed;
}
