/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts GGUF files of versions 2 and 3, little-endian: metadata, a table of tensors, then their data. Tensors of a type
 * that is a dtype of the archive format become pieces; all else, blocks of quantised weights among it, is literal.
 */
#include "config.h"

#include "pack/split.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIMS 4u
#define MAX_NAME 1024u
/* Arrays of arrays are allowed by the format and made by nobody. */
#define MAX_DEPTH 4u
#define DEFAULT_ALIGNMENT 32u
/* What a record takes at the least: a name's length and a byte, the number of dimensions, type and offset. */
#define MIN_TENSOR 24u
#define MIN_PAIR 13u
/* A tensor takes some hundred bytes of memory. */
#define MAX_TENSORS (UINT64_C(1) << 20)

enum value_type { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, N_TYPES };
static const uint8_t value_bytes[N_TYPES] = {
	[U8] = 1, [I8] = 1, [U16] = 2, [I16] = 2, [U32] = 4, [I32] = 4, [F32] = 4, [BOOL] = 1, [U64] = 8, [I64] = 8, [F64] = 8,
};

/* Reads the file through a window. */
struct reader {
	const struct hyc_input *in;
	uint64_t at;
	uint64_t window_at;
	size_t window_len;
	uint8_t *window; /* owned */
	struct hyc_error *err;
};
#define WINDOW (UINT32_C(64) << 10)

struct tensor {
	char *name;      /* owned */
	uint64_t off, len; /* in the file */
	uint64_t shape[MAX_DIMS];
	uint32_t ndim, dtype;
};

struct gguf {
	struct reader r;
	uint64_t n_tensors, n_pairs, alignment;
	struct tensor *tensors; /* those that become pieces */
	size_t n, room;
};

static int read_bytes(struct reader *r, void *buf, size_t len)
{
	int failed;

	if (!hyc_range_ok(r->at, len, r->in->bytes))
		return hyc_foreign(r->err, "truncated: its header ends behind the end of the file");
	if (r->at < r->window_at || r->at + len > r->window_at + r->window_len) {
		uint64_t rest = r->in->bytes - r->at;

		r->window_at = r->at;
		r->window_len = rest < WINDOW ? (size_t)rest : WINDOW;
		failed = hyc_input_read(r->in, r->at, r->window, r->window_len, r->err);
		if (failed)
			return failed;
	}
	memcpy(buf, r->window + (r->at - r->window_at), len);
	r->at += len;
	return 0;
}

static int read_u32(struct reader *r, uint32_t *out)
{
	uint8_t b[4];
	int failed = read_bytes(r, b, sizeof b);

	*out = failed ? 0 : hyc_load32(b);
	return failed;
}

static int read_u64(struct reader *r, uint64_t *out)
{
	uint8_t b[8];
	int failed = read_bytes(r, b, sizeof b);

	*out = failed ? 0 : hyc_load64(b);
	return failed;
}

static int skip(struct reader *r, uint64_t len)
{
	if (!hyc_range_ok(r->at, len, r->in->bytes))
		return hyc_foreign(r->err, "truncated: its header ends behind the end of the file");
	r->at += len;
	return 0;
}

static int skip_string(struct reader *r)
{
	uint64_t len;
	int failed = read_u64(r, &len);

	return failed ? failed : skip(r, len);
}

static int skip_array(struct reader *r)
{
	uint32_t type = ARRAY;
	uint64_t n = 0, bytes;
	int failed = 0;

	/* An array in an array is only taken where there is one of it: then depth is all there is to count. */
	for (unsigned depth = 0; type == ARRAY && !failed; depth++) {
		if (depth == MAX_DEPTH || (depth && n != 1))
			return hyc_foreign(r->err, "its metadata has arrays of arrays");
		failed = read_u32(r, &type);
		if (!failed)
			failed = read_u64(r, &n);
	}
	if (failed)
		return failed;
	if (type >= N_TYPES)
		return hyc_foreign(r->err, "its metadata has an array of unknown type %" PRIu32, type);
	if (type != STRING)
		return hyc_mul_overflows(n, value_bytes[type], &bytes) ? skip(r, UINT64_MAX) : skip(r, bytes);
	/* Each takes 8 bytes at the least, so this ends with the file. */
	for (uint64_t i = 0; i < n && !failed; i++)
		failed = skip_string(r);
	return failed;
}

static int skip_value(struct reader *r, uint32_t type)
{
	if (type == STRING)
		return skip_string(r);
	if (type == ARRAY)
		return skip_array(r);
	if (type >= N_TYPES)
		return hyc_foreign(r->err, "its metadata has a value of unknown type %" PRIu32, type);
	return skip(r, value_bytes[type]);
}

static int read_pair(struct gguf *g)
{
	static const char alignment[] = "general.alignment";
	char key[sizeof alignment] = { 0 };
	uint64_t len;
	uint32_t type, value;
	int failed = read_u64(&g->r, &len);

	if (!failed)
		failed = len == sizeof key - 1 ? read_bytes(&g->r, key, sizeof key - 1) : skip(&g->r, len);
	if (!failed)
		failed = read_u32(&g->r, &type);
	if (failed)
		return failed;
	if (strcmp(key, alignment))
		return skip_value(&g->r, type);
	if (type != U32)
		return hyc_foreign(g->r.err, "its alignment is no 32 bit number");
	failed = read_u32(&g->r, &value);
	if (!failed && (!value || value & (value - 1)))
		return hyc_foreign(g->r.err, "its alignment is %" PRIu32 ", no power of two", value);
	g->alignment = value;
	return failed;
}

static int read_header(struct gguf *g)
{
	uint32_t magic, version;
	int failed = read_u32(&g->r, &magic);

	if (!failed)
		failed = read_u32(&g->r, &version);
	if (!failed)
		failed = read_u64(&g->r, &g->n_tensors);
	if (!failed)
		failed = read_u64(&g->r, &g->n_pairs);
	if (failed)
		return failed;
	if (memcmp(&magic, "GGUF", 4))
		return hyc_foreign(g->r.err, "it does not begin as a GGUF file does");
	if (version != 2 && version != 3)
		return hyc_foreign(g->r.err, "its GGUF version is %" PRIu32 "; 2 and 3 are known, little-endian", version);
	if (g->n_pairs > g->r.in->bytes / MIN_PAIR || g->n_tensors > g->r.in->bytes / MIN_TENSOR ||
	    g->n_tensors > MAX_TENSORS)
		return hyc_foreign(g->r.err, "it claims %" PRIu64 " tensors and %" PRIu64 " pairs of metadata", g->n_tensors,
				   g->n_pairs);
	return 0;
}

/* The dtype of a ggml type, HYC_BYTES for all others. */
static uint32_t dtype_of(uint32_t type)
{
	switch (type) {
	case 0: return HYC_F32;
	case 1: return HYC_F16;
	case 24: return HYC_I8;
	case 25: return HYC_I16;
	case 26: return HYC_I32;
	case 27: return HYC_I64;
	case 28: return HYC_F64;
	case 30: return HYC_BF16;
	default: return HYC_BYTES;
	}
}

/* Dimensions come with the fastest one first. */
static int read_shape(struct gguf *g, struct tensor *t, uint64_t *elements)
{
	int failed = read_u32(&g->r, &t->ndim);

	if (!failed && t->ndim > MAX_DIMS)
		return hyc_foreign(g->r.err, "tensor %.200s has %" PRIu32 " dimensions, more than %u", t->name, t->ndim,
				   MAX_DIMS);
	*elements = 1;
	for (uint32_t i = 0; i < t->ndim && !failed; i++) {
		failed = read_u64(&g->r, &t->shape[t->ndim - 1 - i]);
		if (!failed && hyc_mul_overflows(*elements, t->shape[t->ndim - 1 - i], elements))
			return hyc_foreign(g->r.err, "the shape of tensor %.200s overflows", t->name);
	}
	return failed;
}

static int read_name(struct gguf *g, struct tensor *t)
{
	uint64_t len;
	int failed = read_u64(&g->r, &len);

	if (failed)
		return failed;
	if (!len || len > MAX_NAME)
		return hyc_foreign(g->r.err, "the name of a tensor has %" PRIu64 " bytes; 1 to %u are possible", len, MAX_NAME);
	t->name = calloc(1, (size_t)len + 1);
	if (!t->name)
		return hyc_fail(g->r.err, -ENOMEM, "not enough memory for its tensors");
	failed = read_bytes(&g->r, t->name, (size_t)len);
	if (!failed && !hyc_is_name((const uint8_t *)t->name, (size_t)len))
		return hyc_foreign(g->r.err, "a tensor has a name that cannot be listed");
	return failed;
}

/* t->off is that in the data until all is read. */
static int read_tensor(struct gguf *g, struct tensor *t)
{
	uint32_t type;
	uint64_t elements;
	int failed = read_name(g, t);

	if (!failed)
		failed = read_shape(g, t, &elements);
	if (!failed)
		failed = read_u32(&g->r, &type);
	if (!failed)
		failed = read_u64(&g->r, &t->off);
	if (failed)
		return failed;
	t->dtype = dtype_of(type);
	if (hyc_mul_overflows(elements, hyc_dtype_bytes(t->dtype), &t->len))
		return hyc_foreign(g->r.err, "the shape of tensor %.200s overflows", t->name);
	return 0;
}

static int read_tensors(struct gguf *g)
{
	for (uint64_t i = 0; i < g->n_tensors; i++) {
		struct tensor t = { 0 };
		int failed = read_tensor(g, &t);

		if (failed || t.dtype == HYC_BYTES) {
			free(t.name);
			if (failed)
				return failed;
			continue;
		}
		if (g->n == g->room) {
			size_t room = g->room ? 2 * g->room : 64;
			struct tensor *grown = reallocarray(g->tensors, room, sizeof *grown);

			if (!grown) {
				free(t.name);
				return hyc_fail(g->r.err, -ENOMEM, "not enough memory for its tensors");
			}
			g->tensors = grown;
			g->room = room;
		}
		g->tensors[g->n++] = t;
	}
	return 0;
}

static int place_tensors(struct gguf *g)
{
	uint64_t data;

	if (hyc_add_overflows(g->r.at, g->alignment - 1, &data))
		return hyc_foreign(g->r.err, "truncated: its data begins behind the end of the file");
	data &= ~(g->alignment - 1);
	for (size_t i = 0; i < g->n; i++) {
		struct tensor *t = &g->tensors[i];

		if (hyc_add_overflows(t->off, data, &t->off) || !hyc_range_ok(t->off, t->len, g->r.in->bytes))
			return hyc_foreign(g->r.err, "tensor %.200s reaches beyond the end of the file", t->name);
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct tensor *p = a, *q = b;

	if (p->off != q->off)
		return p->off < q->off ? -1 : 1;
	return p->len < q->len ? -1 : p->len > q->len;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int check_names(struct gguf *g)
{
	if (g->n)
		qsort(g->tensors, g->n, sizeof *g->tensors, by_name);
	for (size_t i = 1; i < g->n; i++)
		if (!by_name(&g->tensors[i - 1], &g->tensors[i]))
			return hyc_foreign(g->r.err, "there are two tensors called %.200s", g->tensors[i].name);
	return 0;
}

static int add_pieces(struct gguf *g, struct hyc_plan *plan)
{
	uint64_t end = 0;
	int failed = 0;

	if (g->n)
		qsort(g->tensors, g->n, sizeof *g->tensors, by_place);
	for (size_t i = 0; i < g->n && !failed; i++) {
		const struct tensor *t = &g->tensors[i];
		struct hyc_piece piece = {
			.off = t->off, .len = t->len, .dtype = t->dtype, .ndim = t->ndim, .shape = t->shape, .name = t->name,
		};
		struct hyc_part empty = {
			.piece = HYC_NO_PIECE, .dtype = t->dtype, .ndim = t->ndim, .shape = t->shape, .name = t->name,
		};

		if (!t->len) {
			failed = hyc_plan_add_part(plan, &empty);
			continue;
		}
		if (t->off < end)
			return hyc_foreign(g->r.err, "tensor %.200s overlaps another", t->name);
		end = t->off + t->len;
		failed = hyc_plan_fill(plan, t->off);
		if (!failed)
			failed = hyc_plan_add(plan, &piece);
	}
	if (!failed)
		failed = hyc_plan_fill(plan, g->r.in->bytes);
	return failed ? hyc_fail(g->r.err, failed, "not enough memory for its tensors") : 0;
}

static int split(struct gguf *g, struct hyc_plan *plan)
{
	int failed = read_header(g);

	for (uint64_t i = 0; i < g->n_pairs && !failed; i++)
		failed = read_pair(g);
	if (!failed)
		failed = read_tensors(g);
	if (!failed)
		failed = place_tensors(g);
	if (!failed)
		failed = check_names(g);
	return failed ? failed : add_pieces(g, plan);
}

int hyc_split_gguf(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err)
{
	struct gguf g = { .r = { .in = in, .window = malloc(WINDOW), .err = err }, .alignment = DEFAULT_ALIGNMENT };
	int failed = g.r.window ? split(&g, plan) : hyc_fail(err, -ENOMEM, "not enough memory to read it");

	plan->kind = HYC_KIND_GGUF;
	for (size_t i = 0; i < g.n; i++)
		free(g.tensors[i].name);
	free(g.tensors);
	free(g.r.window);
	return failed;
}
