/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How pack cuts files: the safetensors splitter and the check of a weight map on good
 * and hostile input, in memory, and the choice of blocks for a tensor. A bad case is
 * known by a part of its sentence, so that it is refused for the right reason.
 */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "codec/codec.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/coding.h"
#include "pack/split.h"
#include "pack/weight_map.h"

#define NAME "dir/x.safetensors"
#define LEN(a) (sizeof(a) / sizeof *(a))

struct head {
	uint8_t *bytes; /* exactly len of them, so that a sanitizer sees each byte too many */
	size_t len;
};

static struct head make_head(const char *json, size_t json_len)
{
	struct head h = { malloc(8 + json_len), 8 + json_len };

	assert_non_null(h.bytes);
	hyc_store64(h.bytes, json_len);
	memcpy(h.bytes + 8, json, json_len);
	return h;
}

static int split(const char *json, size_t json_len, uint64_t data_bytes, struct hyc_plan *plan, struct hyc_error *err)
{
	struct head h = make_head(json, json_len);
	uint64_t head_bytes;
	int failed;

	*plan = (struct hyc_plan){ 0 };
	assert_int_equal(hyc_safetensors_head_bytes(NAME, h.bytes, h.len + data_bytes, &head_bytes, err), 0);
	assert_int_equal(head_bytes, h.len);
	failed = hyc_split_safetensors(NAME, h.bytes, h.len, h.len + data_bytes, plan, err);
	free(h.bytes);
	return failed;
}

static void expect_refused(const char *json, size_t json_len, uint64_t data_bytes, const char *fragment)
{
	struct hyc_error err = { 0 };
	struct hyc_plan plan;

	assert_int_equal(split(json, json_len, data_bytes, &plan, &err), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	if (!strstr(err.msg, fragment) || strncmp(err.msg, NAME ": ", strlen(NAME ": ")))
		fail_msg("for %.200s: wanted '%s', got '%s'", json, fragment, err.msg);
	hyc_plan_fini(&plan);
}

/* The plan covers the file without a gap. */
static void check_plan(const struct hyc_plan *plan, uint64_t file_bytes)
{
	uint64_t end = 0;

	for (size_t i = 0; i < plan->n_pieces; i++) {
		assert_int_equal(plan->pieces[i].off, end);
		assert_int_equal(plan->pieces[i].dtype == HYC_BYTES, i == 0);
		assert_int_equal(plan->pieces[i].name == NULL, i == 0);
		end += plan->pieces[i].len;
	}
	assert_int_equal(end, file_bytes);
}

static void expect_pieces(const char *json, size_t json_len, uint64_t data_bytes, size_t n_tensors)
{
	struct hyc_error err = { 0 };
	struct hyc_plan plan;

	if (split(json, json_len, data_bytes, &plan, &err))
		fail_msg("for %.200s: %s", json, err.msg);
	assert_int_equal(plan.n_pieces, 1 + n_tensors);
	assert_int_equal(plan.kind, HYC_KIND_SAFETENSORS);
	check_plan(&plan, 8 + json_len + data_bytes);
	hyc_plan_fini(&plan);
}

#define T(dtype, shape, begin, end) \
	"{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
#define A4 "\"a\":" T("F32", "[1]", 0, 4)

static void good_headers(void **state)
{
	static const struct { const char *json; uint64_t data_bytes; size_t n_tensors; } cases[] = {
		{ "{}", 0, 0 },
		{ "{" A4 "}", 4, 1 },
		{ "{" A4 "}        \n\t  ", 4, 1 },
		{ "{\"__metadata__\":{}," A4 "}", 4, 1 },
		{ "{\"__metadata__\":{\"format\":\"pt\",\"\":\"\"}}", 0, 0 },
		{ "{\"__metadata__\":null," A4 "}", 4, 1 },
		/* in any order */
		{ "{\"b\":" T("F32", "[1]", 4, 8) "," A4 "}", 8, 2 },
		{ "{\"a\":{\"data_offsets\":[0,4],\"shape\":[1],\"dtype\":\"F32\"}}", 4, 1 },
		/* no dimensions, no bytes */
		{ "{\"a\":" T("F32", "[]", 0, 4) "}", 4, 1 },
		{ "{\"a\":" T("F32", "[0]", 0, 0) "}", 0, 1 },
		{ "{" A4 ",\"b\":" T("F32", "[0,7]", 0, 0) ",\"c\":" T("BF16", "[7,0]", 4, 4) "}", 4, 3 },
		{ "{\"a\":" T("F32", "[0,1099511627776,1099511627776]", 0, 0) "}", 0, 1 },
		/* keys the library ignores */
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":[{}]}}", 4, 1 },
		{ "{\"\\u00e9\\ud83d\\ude00 \\\"\\\\\\n\":" T("F32", "[1]", 0, 4) "}", 4, 1 },
		/* less than a byte */
		{ "{\"a\":" T("F4", "[3,2]", 0, 3) ",\"b\":" T("F6_E2M3", "[4]", 3, 6) "}", 6, 2 },
		{ "{\"a\":" T("F6_E3M2", "[8]", 0, 6) "}", 6, 1 },
		/* larger than any memory */
		{ "{\"a\":" T("U8", "[1125899906842624]", 0, 1125899906842624) "}", UINT64_C(1) << 50, 1 },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++)
		expect_pieces(cases[i].json, strlen(cases[i].json), cases[i].data_bytes, cases[i].n_tensors);
}

static void every_dtype(void **state)
{
	(void)state;
	for (uint32_t dtype = HYC_BYTES + 1; dtype < HYC_N_DTYPES; dtype++) {
		unsigned bytes = hyc_dtype_bits(dtype); /* of 8 elements */
		struct hyc_error err = { 0 };
		struct hyc_plan plan;
		char json[200];
		int len = snprintf(json, sizeof json,
				   "{\"t\":{\"dtype\":\"%s\",\"shape\":[2,4],\"data_offsets\":[0,%u]}}",
				   hyc_dtype_name(dtype), bytes);

		assert_int_equal(split(json, (size_t)len, bytes, &plan, &err), 0);
		assert_int_equal(plan.n_pieces, 2);
		assert_int_equal(plan.pieces[1].dtype, dtype);
		assert_int_equal(plan.pieces[1].ndim, 2);
		assert_int_equal(plan.pieces[1].shape[0], 2);
		assert_int_equal(plan.pieces[1].shape[1], 4);
		assert_string_equal(plan.pieces[1].name, "t");
		hyc_plan_fini(&plan);
	}
}

static void bad_json(void **state)
{
	static const struct { const char *json, *fragment; } cases[] = {
		{ "", "does not begin with {" },
		{ "[]", "does not begin with {" },
		{ " {}", "does not begin with {" },
		{ "\xef\xbb\xbf{}", "does not begin with {" },
		{ "{", "not valid JSON" },
		{ "{}x", "not valid JSON: end of file expected" },
		{ "{}{}", "not valid JSON: end of file expected" },
		{ "{" A4 ",}", "not valid JSON" },
		{ "{" A4 "," A4 "}", "not valid JSON: duplicate object key" },
		{ "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
		  "duplicate object key" },
		{ "{\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}}", "duplicate object key" },
		{ "{\"__metadata__\":{},\"__metadata__\":{}}", "duplicate object key" },
		{ "{\"__metadata__\":[]}", "__metadata__ is not an object" },
		{ "{\"__metadata__\":\"x\"}", "__metadata__ is not an object" },
		{ "{\"__metadata__\":{\"x\":1}}", "__metadata__ has no string for x" },
		{ "{\"__metadata__\":{\"x\":{\"y\":\"z\"}}}", "__metadata__ has no string for x" },
		{ "{\"a\\u0000b\":" T("F32", "[1]", 0, 4) "}", "not valid JSON: NUL byte in object key" },
		{ "{\"\xff\":" T("F32", "[1]", 0, 4) "}", "not valid JSON: unable to decode byte 0xff" },
		{ "{\"\xc0\xaf\":" T("F32", "[1]", 0, 4) "}", "not valid JSON: unable to decode byte 0xc0" },
		{ "{\"\\ud800\":" T("F32", "[1]", 0, 4) "}", "not valid JSON: invalid Unicode" },
		{ "{'a':1}", "not valid JSON" },
		{ "{\"a\":NaN}", "not valid JSON" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++)
		expect_refused(cases[i].json, strlen(cases[i].json), 4, cases[i].fragment);
	expect_refused("{" A4 "}\0\0\0", sizeof "{" A4 "}\0\0\0" - 1, 4, "not valid JSON: end of file expected");
}

static void bad_tensors(void **state)
{
	static const struct { const char *json, *fragment; } cases[] = {
		{ "{\"a\":[\"F32\",[1],[0,4]]}", "tensor a: it is not an object" },
		{ "{\"a\":null}", "tensor a: it is not an object" },
		{ "{\"\":" T("F32", "[1]", 0, 4) "}", "its name has 0 bytes" },
		{ "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", "dtype is missing" },
		{ "{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,4]}}", "dtype is missing or not a string" },
		{ "{\"a\":" T("F128", "[1]", 0, 4) "}", "its dtype F128 is not known" },
		{ "{\"a\":" T("f32", "[1]", 0, 4) "}", "its dtype f32 is not known" },
		{ "{\"a\":" T("BYTES", "[4]", 0, 4) "}", "its dtype BYTES is not known" },
		{ "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "shape is missing" },
		{ "{\"a\":" T("F32", "1", 0, 4) "}", "shape is missing or not a list" },
		{ "{\"a\":" T("F32", "[-1]", 0, 4) "}", "not a size" },
		{ "{\"a\":" T("F32", "[1.0]", 0, 4) "}", "not a size" },
		{ "{\"a\":" T("F32", "[1e0]", 0, 4) "}", "not a size" },
		{ "{\"a\":" T("F32", "[\"1\"]", 0, 4) "}", "not a size" },
		{ "{\"a\":" T("F32", "[true]", 0, 4) "}", "not a size" },
		{ "{\"a\":" T("F32", "[18446744073709551616]", 0, 4) "}", "not valid JSON: too big integer" },
		{ "{\"a\":" T("F32", "[9223372036854775807,3]", 0, 4) "}", "its shape overflows" },
		{ "{\"a\":" T("F32", "[4294967296,4294967296]", 0, 0) "}", "its shape overflows" },
		{ "{\"a\":" T("F32", "[4294967296,4294967296,0]", 0, 0) "}", "its shape overflows" },
		/* 2^61 elements fit, their bits do not */
		{ "{\"a\":" T("F64", "[2305843009213693952]", 0, 4) "}", "its shape overflows" },
		{ "{\"a\":" T("F4", "[3]", 0, 1) "}", "3 elements of 4 bits are not whole bytes" },
		{ "{\"a\":" T("F6_E2M3", "[2]", 0, 2) "}", "2 elements of 6 bits are not whole bytes" },
		{ "{\"a\":" T("F32", "[2]", 0, 4) "}", "its shape asks for 8 bytes, and its data_offsets give 4" },
		{ "{\"a\":" T("BF16", "[]", 0, 4) "}", "its shape asks for 2 bytes, and its data_offsets give 4" },
		{ "{\"a\":" T("F32", "[1]", 0, 0) "}", "its shape asks for 4 bytes, and its data_offsets give 0" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", "data_offsets are missing" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}",
		  "data_offsets are missing or not two" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}",
		  "data_offsets are missing or not two" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{\"0\":4}}}",
		  "data_offsets are missing or not two" },
		{ "{\"a\":" T("F32", "[1]", -4, 0) "}", "data_offsets are missing or not two sizes" },
		{ "{\"a\":" T("F32", "[1]", 0.0, 4) "}", "data_offsets are missing or not two sizes" },
		{ "{\"a\":" T("F32", "[1]", 4, 0) "}", "it ends at 0, before it begins at 4" },
		{ "{\"a\":" T("F32", "[1]", 4, 8) "}", "it ends at 8, but the file has only 4 bytes of data" },
		{ "{\"a\":" T("F32", "[1]", 0, 9223372036854775807) "}", "but the file has only 4 bytes of data" },
		{ "{" A4 ",\"b\":" T("F32", "[1]", 0, 4) "}",
		  "tensor b: it begins at 0, where 4 was expected: tensors overlap" },
		{ "{\"a\":" T("U8", "[2]", 0, 2) ",\"b\":" T("U8", "[3]", 1, 4) "}",
		  "tensor b: it begins at 1, where 2 was" },
		{ "{\"a\":" T("U8", "[1]", 0, 1) ",\"b\":" T("U8", "[2]", 2, 4) "}",
		  "tensor b: it begins at 2, where 1 was" },
		{ "{\"a\":" T("U8", "[3]", 1, 4) "}", "where 0 was expected: tensors leave a gap" },
		{ "{\"a\":" T("U8", "[3]", 0, 3) "}", "1 bytes follow the last tensor" },
		{ "{}", "4 bytes follow the last tensor" },
		{ "{" A4 ",\"b\":" T("F32", "[0]", 2, 2) "}", "tensor b: it begins at 2, where 4 was expected" },
		{ "{\"a\":" T("F32", "[0]", 4, 4) "}", "tensor a: it begins at 4, where 0 was expected" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++)
		expect_refused(cases[i].json, strlen(cases[i].json), 4, cases[i].fragment);
}

static void bad_length(void **state)
{
	static const struct { uint64_t len, file_bytes; const char *fragment; } cases[] = {
		{ 2, 0, "it has only 0 bytes" },
		{ 2, 7, "it has only 7 bytes" },
		{ UINT64_C(1) << 63, 1 << 20, "claims 9223372036854775808 bytes, more than 100000000" },
		{ UINT64_MAX, 1 << 20, "claims 18446744073709551615 bytes, more than" },
		{ HYC_SAFETENSORS_MAX_HEADER + 1, UINT64_C(1) << 40, "claims 100000001 bytes, more than" },
		{ HYC_SAFETENSORS_MAX_HEADER, 1 << 20, "truncated: its safetensors header claims 100000000 bytes" },
		{ 3, 10, "truncated: its safetensors header claims 3 bytes, and only 2 follow" },
		{ 1, 8, "truncated" },
		{ UINT64_C(0x206e6f6973726576), 130, "a Git LFS pointer" },
	};
	static const char odd[] = "{" A4 "}       ";
	uint64_t head_bytes;
	uint8_t len[8];

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct hyc_error err = { 0 };

		hyc_store64(len, cases[i].len);
		assert_int_equal(hyc_safetensors_head_bytes(NAME, len, cases[i].file_bytes, &head_bytes, &err),
				 -EINVAL);
		if (!strstr(err.msg, cases[i].fragment))
			fail_msg("wanted '%s', got '%s'", cases[i].fragment, err.msg);
	}
	hyc_store64(len, HYC_SAFETENSORS_MAX_HEADER);
	assert_int_equal(hyc_safetensors_head_bytes(NAME, len, UINT64_C(1) << 40, &head_bytes, NULL), 0);
	assert_int_equal(head_bytes, HYC_SAFETENSORS_MAX_HEADER + 8);
	/* 61 bytes of header, as no writer that aligns would make it */
	assert_int_equal(strlen(odd), 61);
	expect_pieces(odd, 61, 4, 1);
}

/* prefix, then what n times, then suffix. Owned. */
static char *repeat(const char *prefix, const char *what, size_t n, const char *suffix)
{
	size_t unit = strlen(what), at = strlen(prefix);
	char *s = malloc(at + n * unit + strlen(suffix) + 1);

	assert_non_null(s);
	memcpy(s, prefix, at);
	for (size_t i = 0; i < n; i++, at += unit)
		memcpy(s + at, what, unit);
	strcpy(s + at, suffix);
	return s;
}

static void limits(void **state)
{
	static const struct { const char *prefix, *what; size_t n; const char *suffix, *fragment; } cases[] = {
		{ "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4],\"shape\":[", "1,", 63, "1]}}", NULL },
		{ "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4],\"shape\":[", "1,", 64, "1]}}",
		  "65 dimensions, more than 64" },
		{ "{\"", "n", 4096, "\":" T("F32", "[1]", 0, 4) "}", NULL },
		{ "{\"", "n", 4097, "\":" T("F32", "[1]", 0, 4) "}",
		  "its name has 4097 bytes; 1 to 4096 are possible" },
		{ "{\"a\":", "[", 100000, "", "not valid JSON: maximum parsing depth reached" },
		{ "{\"a\":", "{\"b\":", 100000, "", "not valid JSON: maximum parsing depth reached" },
		{ "{\"a\":[", "[],", 3000000, "0]}", "the safetensors header has more than" },
		{ "{\"a\":", "{\"b\":", 3000000, "", "the safetensors header has more than" },
		{ "{" A4 "}", " ", 1000000, "\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		char *json = repeat(cases[i].prefix, cases[i].what, cases[i].n, cases[i].suffix);

		if (cases[i].fragment)
			expect_refused(json, strlen(json), 4, cases[i].fragment);
		else
			expect_pieces(json, strlen(json), 4, 1);
		free(json);
	}
}

/* Hostile names make no unprintable or endless message. */
static void messages_are_lines(void **state)
{
	char *json = repeat("{\"\\n\\u001b", "x", 3000, "\":0}");
	struct hyc_error err = { 0 };
	struct hyc_plan plan;

	(void)state;
	assert_int_equal(split(json, strlen(json), 0, &plan, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "it is not an object"));
	for (const char *c = err.msg; *c; c++)
		assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
	hyc_plan_fini(&plan);
	free(json);
}

static void names(void **state)
{
	(void)state;
	assert_true(hyc_safetensors_named("a.safetensors"));
	assert_true(hyc_safetensors_named("A.SafeTensors"));
	assert_true(hyc_safetensors_named(".safetensors"));
	assert_false(hyc_safetensors_named("safetensors"));
	assert_false(hyc_safetensors_named("a.safetensors.index.json"));
	assert_true(hyc_weight_map_named("model.safetensors.index.json"));
	assert_true(hyc_weight_map_named("pytorch_model.bin.INDEX.json"));
	assert_false(hyc_weight_map_named("model_index.json"));
}

static void weight_maps(void **state)
{
	static const struct { const char *json; int n_files; const char *fragment; } cases[] = {
		{ "{}", -1, NULL },
		{ "{\"weight_map\":{}}", 0, NULL },
		{ "{\"metadata\":{\"total_size\":1e9},\"weight_map\":{\"a\":\"x\",\"b\":\"y\",\"c\":\"x\"}}", 2, NULL },
		{ "{\"weight_map\":{\"a\":\"..x\",\"b\":\"...\"}}", 2, NULL },
		{ "", 0, "the index is not valid JSON" },
		{ "[]", 0, "the index is not a JSON object" },
		{ "{\"weight_map\":{\"a\":\"x\"}", 0, "the index is not valid JSON" },
		{ "{\"weight_map\":[]}", 0, "weight_map is not an object" },
		{ "{\"weight_map\":null}", 0, "weight_map is not an object" },
		{ "{\"weight_map\":{},\"weight_map\":{}}", 0, "duplicate object key" },
		{ "{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}", 0, "duplicate object key" },
		{ "{\"weight_map\":{\"a\":1}}", 0, "gives no file name for tensor a" },
		{ "{\"weight_map\":{\"a\":[\"x\"]}}", 0, "gives no file name for tensor a" },
		{ "{\"weight_map\":{\"a\":\"\"}}", 0, "no plain file name" },
		{ "{\"weight_map\":{\"a\":\".\"}}", 0, "no plain file name" },
		{ "{\"weight_map\":{\"a\":\"..\"}}", 0, "no plain file name" },
		{ "{\"weight_map\":{\"a\":\"../x\"}}", 0, "has ../x for tensor a: no plain file name" },
		{ "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", 0, "no plain file name" },
		{ "{\"weight_map\":{\"a\":\"d/x\"}}", 0, "no plain file name" },
		{ "{\"weight_map\":{\"a\":\"x\\u0000y\"}}", 0, "not valid JSON" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct hyc_error err = { 0 };
		json_t *files = NULL;
		int failed = hyc_weight_map_parse("i.json", cases[i].json, strlen(cases[i].json), &files, &err);

		assert_int_equal(failed, cases[i].fragment ? -EINVAL : 0);
		if (cases[i].fragment && !strstr(err.msg, cases[i].fragment))
			fail_msg("for %s: wanted '%s', got '%s'", cases[i].json, cases[i].fragment, err.msg);
		if (!cases[i].fragment)
			assert_int_equal(files ? (int)json_object_size(files) : -1, cases[i].n_files);
		json_decref(files);
	}
}

static void blocks(void **state)
{
	static const struct {
		uint32_t dtype, ndim;
		uint64_t shape[3], bytes, rows, cols;
		uint32_t block_bytes;
	} cases[] = {
		/* whole rows, as near to 512 KiB as can be */
		{ HYC_BF16, 2, { 4096, 4096 }, 4096 * 4096 * 2, 4096, 4096, 512 << 10 },
		{ HYC_BF16, 2, { 100, 5000 }, 100 * 5000 * 2, 100, 5000, 52 * 10000 },
		{ HYC_F32, 3, { 8, 3, 5 }, 480, 8, 15, 8738 * 60 },
		{ HYC_BF16, 2, { 300000, 1 }, 600000, 300000, 1, 512 << 10 },
		{ HYC_BF16, 2, { 9, 300000 }, 9 * 600000, 9, 300000, 600000 },
		{ HYC_BF16, 2, { 9, 174763 }, 9 * 349526, 9, 174763, 349526 },
		{ HYC_BF16, 2, { 9, 174762 }, 9 * 349524, 9, 174762, 699048 },
		{ HYC_BF16, 2, { 3, 524288 }, 3 << 20, 3, 524288, 1 << 20 },
		/* rows that are too long, and vectors */
		{ HYC_BF16, 2, { 3, 524289 }, 3 * 1048578, 1, 3 * 524289, 512 << 10 },
		{ HYC_BF16, 2, { 1, 1 << 20 }, 2 << 20, 1, 1 << 20, 512 << 10 },
		{ HYC_F32, 1, { 1 << 20 }, 4 << 20, 1, 1 << 20, 1 << 20 },
		{ HYC_F8_E4M3, 1, { 1 << 20 }, 1 << 20, 1, 1 << 20, 256 << 10 },
		{ HYC_F64, 1, { 1 << 20 }, 8 << 20, 1, 1 << 20, 512 << 10 },
		{ HYC_F32, 0, { 0 }, 4, 1, 1, 1 << 20 },
		{ HYC_F64, 2, { 7, 2 }, 112, 7, 2, 32768 * 16 },
		{ HYC_BYTES, 0, { 0 }, 10000000, 1, 10000000, 512 << 10 },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct hyc_piece piece = { .len = cases[i].bytes, .dtype = cases[i].dtype, .ndim = cases[i].ndim,
					   .shape = cases[i].shape, .name = "t" };
		struct hyc_piece_coding how;

		assert_int_equal(hyc_piece_coding_choose(&piece, HYC_PACK_LOSSLESS, -1, &how), 0);
		if (how.coding.rows != cases[i].rows || how.coding.cols != cases[i].cols ||
		    how.block_bytes != cases[i].block_bytes)
			fail_msg("case %zu: %llu x %llu, blocks of %u", i, (unsigned long long)how.coding.rows,
				 (unsigned long long)how.coding.cols, how.block_bytes);
	}
}

/* Elements of less than a byte are counted in bytes, and rows need whole ones. */
static void blocks_of_parts_of_bytes(void **state)
{
	static const uint64_t even[] = { 6, 8 }, odd[] = { 6, 3 };
	struct hyc_piece piece = { .len = 24, .dtype = HYC_F4, .ndim = 2, .shape = even, .name = "t" };
	struct hyc_piece_coding how;

	(void)state;
	assert_int_equal(hyc_piece_coding_choose(&piece, HYC_PACK_STORED, -1, &how), 0);
	assert_int_equal(how.coding.codec, HYC_CODEC_STORED);
	assert_int_equal(how.coding.rows, 6);
	assert_int_equal(how.coding.cols, 4);
	piece.len = 9;
	piece.shape = odd;
	assert_int_equal(hyc_piece_coding_choose(&piece, HYC_PACK_STORED, -1, &how), 0);
	assert_int_equal(how.coding.rows, 1);
	assert_int_equal(how.coding.cols, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_headers),
		cmocka_unit_test(every_dtype),
		cmocka_unit_test(bad_json),
		cmocka_unit_test(bad_tensors),
		cmocka_unit_test(bad_length),
		cmocka_unit_test(limits),
		cmocka_unit_test(messages_are_lines),
		cmocka_unit_test(names),
		cmocka_unit_test(weight_maps),
		cmocka_unit_test(blocks),
		cmocka_unit_test(blocks_of_parts_of_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
