/* SPDX-License-Identifier: Apache-2.0 */
/* The layout is that of the APPNOTE of PKWARE, as far as torch, numpy and Python write it: no spanning, no encryption. */
#include "config.h"

#include "pack/zip.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_SIG 0x04034b50u
#define CENTRAL_SIG 0x02014b50u
#define DESCRIPTOR_SIG 0x08074b50u
#define END_SIG 0x06054b50u
#define END64_SIG 0x06064b50u
#define LOCATOR_SIG 0x07064b50u

#define LOCAL_BYTES 30u
#define CENTRAL_BYTES 46u
#define END_BYTES 22u
#define END64_BYTES 56u
#define LOCATOR_BYTES 20u

#define FLAG_ENCRYPTED 0x0001u
#define FLAG_DESCRIPTOR 0x0008u
#define EXTRA_ZIP64 0x0001u

/* About 700,000 records; a model has some thousand. */
#define MAX_DIRECTORY (UINT64_C(64) << 20)

/* Where the central directory is. */
struct directory {
	uint64_t off, bytes, records;
	uint64_t end; /* where the end records begin */
};

static int has_locator(const struct hyc_input *in, uint64_t end, bool *has, struct hyc_error *err)
{
	uint8_t sig[4];
	int failed;

	*has = false;
	if (end < LOCATOR_BYTES)
		return 0;
	failed = hyc_input_read(in, end - LOCATOR_BYTES, sig, sizeof sig, err);
	*has = !failed && hyc_load32(sig) == LOCATOR_SIG;
	return failed;
}

static int read_end64(const struct hyc_input *in, uint64_t end, struct directory *d, struct hyc_error *err)
{
	uint8_t locator[LOCATOR_BYTES], r[END64_BYTES];
	int failed;

	if (end < LOCATOR_BYTES + END64_BYTES)
		return hyc_foreign(err, "the zip64 end record is missing");
	failed = hyc_input_read(in, end - LOCATOR_BYTES, locator, sizeof locator, err);
	if (failed)
		return failed;
	d->end = end - LOCATOR_BYTES - END64_BYTES;
	if (hyc_load32(locator) != LOCATOR_SIG)
		return hyc_foreign(err, "the zip64 end record is missing");
	if (hyc_load32(locator + 4) || hyc_load64(locator + 8) != d->end || hyc_load32(locator + 16) > 1)
		return hyc_foreign(err, "the zip64 locator does not point at the end record before it");
	failed = hyc_input_read(in, d->end, r, sizeof r, err);
	if (failed)
		return failed;
	if (hyc_load32(r) != END64_SIG || hyc_load64(r + 4) != END64_BYTES - 12)
		return hyc_foreign(err, "the zip64 end record is damaged");
	if (hyc_load32(r + 16) || hyc_load32(r + 20) || hyc_load64(r + 24) != hyc_load64(r + 32))
		return hyc_foreign(err, "the zip file is one part of several");
	d->records = hyc_load64(r + 32);
	d->bytes = hyc_load64(r + 40);
	d->off = hyc_load64(r + 48);
	return 0;
}

/* Where a 16 or 32 bit field is not all ones it must agree with its zip64 twin. */
static bool agrees(uint32_t narrow, uint32_t ones, uint64_t wide)
{
	return narrow == ones || narrow == wide;
}

static int find_directory(const struct hyc_input *in, struct directory *d, struct hyc_error *err)
{
	uint8_t r[END_BYTES];
	uint32_t records, bytes, off;
	bool wide;
	int failed;

	if (in->bytes < END_BYTES)
		return hyc_foreign(err, "the end record of the zip file is missing; is it truncated?");
	failed = hyc_input_read(in, in->bytes - END_BYTES, r, sizeof r, err);
	if (failed)
		return failed;
	if (hyc_load32(r) != END_SIG || hyc_load16(r + 20))
		return hyc_foreign(err, "the end record of the zip file is not at its end; is it truncated?");
	if (hyc_load16(r + 4) || hyc_load16(r + 6) || hyc_load16(r + 8) != hyc_load16(r + 10))
		return hyc_foreign(err, "the zip file is one part of several");
	records = hyc_load16(r + 10);
	bytes = hyc_load32(r + 12);
	off = hyc_load32(r + 16);
	*d = (struct directory) { off, bytes, records, in->bytes - END_BYTES };
	/* torch writes the zip64 records even where they are not needed. */
	failed = has_locator(in, d->end, &wide, err);
	if (!failed && (wide || records == UINT16_MAX || bytes == UINT32_MAX || off == UINT32_MAX))
		failed = read_end64(in, d->end, d, err);
	if (failed)
		return failed;
	if (!agrees(records, UINT16_MAX, d->records) || !agrees(bytes, UINT32_MAX, d->bytes) ||
	    !agrees(off, UINT32_MAX, d->off))
		return hyc_foreign(err, "the two end records of the zip file differ");
	if (!hyc_range_ok(d->off, d->bytes, d->end) || d->off + d->bytes != d->end)
		return hyc_foreign(err, "the central directory of the zip file does not lie before its end record");
	if (d->bytes > MAX_DIRECTORY)
		return hyc_foreign(err, "the central directory of the zip file has %" PRIu64 " bytes, more than %" PRIu64,
				   d->bytes, MAX_DIRECTORY);
	if (d->records > d->bytes / CENTRAL_BYTES)
		return hyc_foreign(err, "the zip file claims %" PRIu64 " records, more than its directory can hold",
				   d->records);
	return 0;
}

static bool is_safe_name(const char *name, size_t len)
{
	if (!len || memchr(name, 0, len) || memchr(name, '\\', len) || *name == '/')
		return false;
	for (const char *at = name; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (!strncmp(at, "..", 2) && (at[2] == '/' || !at[2]))
			return false;
	}
	return true;
}

/* Takes the 64 bit values for the fields that are all ones, in the order the format has for them. */
static int read_zip64(const uint8_t *extra, size_t len, uint64_t *const fields[], size_t n, struct hyc_error *err)
{
	const uint8_t *value = NULL;
	size_t value_len = 0, used = 0;

	for (size_t at = 0; at + 4 <= len;) {
		size_t id = hyc_load16(extra + at), size = hyc_load16(extra + at + 2);

		if (size > len - at - 4)
			return hyc_foreign(err, "an extra field is longer than its record");
		if (id == EXTRA_ZIP64) {
			if (value)
				return hyc_foreign(err, "a record has two zip64 fields");
			value = extra + at + 4;
			value_len = size;
		}
		at += 4 + size;
	}
	for (size_t i = 0; i < n; i++) {
		if (*fields[i] != UINT32_MAX)
			continue;
		if (!value || value_len - used < 8)
			return hyc_foreign(err, "a zip64 field is missing");
		*fields[i] = hyc_load64(value + used);
		used += 8;
	}
	return 0;
}

/* One entry of the central directory; *used becomes its length. */
static int read_central(const uint8_t *entry, size_t len, uint64_t at, struct hyc_zip_record *r, char *name, size_t *used,
			struct hyc_error *err)
{
	size_t name_len, extra_len, comment_len;
	uint64_t *const fields[] = { &r->bytes, &r->stored, &r->head };

	if (len < CENTRAL_BYTES || hyc_load32(entry) != CENTRAL_SIG)
		return hyc_foreign(err, "the central directory of the zip file is damaged");
	name_len = hyc_load16(entry + 28);
	extra_len = hyc_load16(entry + 30);
	comment_len = hyc_load16(entry + 32);
	*used = CENTRAL_BYTES + name_len + extra_len + comment_len;
	if (*used > len)
		return hyc_foreign(err, "the central directory of the zip file is damaged");
	memcpy(name, entry + CENTRAL_BYTES, name_len);
	name[name_len] = 0;
	if (!is_safe_name(name, name_len))
		return hyc_foreign(err, "a zip record is called %.200s, which is no plain path", name);
	*r = (struct hyc_zip_record) {
		.name = name, .flags = hyc_load16(entry + 8), .method = hyc_load16(entry + 10),
		.crc = hyc_load32(entry + 16), .central_crc = at + 16, .stored = hyc_load32(entry + 20),
		.bytes = hyc_load32(entry + 24), .head = hyc_load32(entry + 42),
	};
	if (hyc_load16(entry + 34))
		return hyc_foreign(err, "the zip file is one part of several");
	return read_zip64(entry + CENTRAL_BYTES + name_len, extra_len, fields, 3, err);
}

static int read_directory(const struct hyc_input *in, const struct directory *d, struct hyc_zip *out, struct hyc_error *err)
{
	cleanup_free uint8_t *bytes = NULL;
	size_t at = 0, name = 0;
	int failed = hyc_input_load(in, d->off, (size_t)d->bytes, &bytes, err);

	if (failed)
		return failed;
	out->records = calloc((size_t)d->records + 1, sizeof *out->records);
	out->names = malloc((size_t)d->bytes + 1);
	if (!out->records || !out->names)
		return hyc_fail(err, -ENOMEM, "not enough memory for its directory");
	for (; out->n < d->records; out->n++) {
		struct hyc_zip_record *r = &out->records[out->n];
		size_t used = 0;

		failed = read_central(bytes + at, (size_t)d->bytes - at, d->off + at, r, out->names + name, &used, err);
		if (failed)
			return failed;
		at += used;
		name += strlen(r->name) + 1;
	}
	if (at != d->bytes)
		return hyc_foreign(err, "the central directory of the zip file has bytes behind its last record");
	return 0;
}

static bool is_zero_or(uint64_t value, uint64_t wanted)
{
	return value == 0 || value == wanted;
}

/* The descriptor behind the data, in one of its two widths. limit: where the next thing begins. */
static int check_descriptor(const struct hyc_input *in, uint64_t limit, struct hyc_zip_record *r, struct hyc_error *err)
{
	uint8_t d[24] = { 0 };
	size_t room = limit - r->end < sizeof d ? (size_t)(limit - r->end) : sizeof d;
	int failed = hyc_input_read(in, r->end, d, room, err);
	bool narrow, wide;

	if (failed)
		return failed;
	if (room < 16 || hyc_load32(d) != DESCRIPTOR_SIG)
		return hyc_foreign(err, "zip record %.200s has no data descriptor", r->name);
	narrow = hyc_load32(d + 8) == r->stored && hyc_load32(d + 12) == r->bytes;
	wide = room == 24 && hyc_load64(d + 8) == r->stored && hyc_load64(d + 16) == r->bytes;
	if (hyc_load32(d + 4) != r->crc || (!narrow && !wide))
		return hyc_foreign(err, "the data descriptor of zip record %.200s and the directory differ", r->name);
	r->tail_crc = r->end + 4;
	r->end += wide ? 24 : 16;
	return 0;
}

/* What the header of a record says about its sizes. Where a descriptor follows it may leave them open. */
static int check_local_sizes(const uint8_t *head, const uint8_t *extra, size_t extra_len, const struct hyc_zip_record *r,
			     struct hyc_error *err)
{
	uint64_t bytes = hyc_load32(head + 22), stored = hyc_load32(head + 18), crc = hyc_load32(head + 14);
	uint64_t *const fields[] = { &bytes, &stored };
	bool open = r->flags & FLAG_DESCRIPTOR, fits;
	int failed = read_zip64(extra, extra_len, fields, 2, err);

	if (failed)
		return failed;
	fits = open ? is_zero_or(bytes, r->bytes) && is_zero_or(stored, r->stored) && is_zero_or(crc, r->crc) :
		      bytes == r->bytes && stored == r->stored && crc == r->crc;
	return fits ? 0 : hyc_foreign(err, "the header of zip record %.200s and the directory differ", r->name);
}

/* limit: where the next record or the directory begins. */
static int check_record(const struct hyc_input *in, uint64_t limit, struct hyc_zip_record *r, struct hyc_error *err)
{
	uint8_t head[LOCAL_BYTES];
	cleanup_free uint8_t *rest = NULL;
	size_t name_len, extra_len;
	int failed;

	if (!hyc_range_ok(r->head, LOCAL_BYTES, limit))
		return hyc_foreign(err, "zip record %.200s overlaps what follows it", r->name);
	failed = hyc_input_read(in, r->head, head, sizeof head, err);
	if (failed)
		return failed;
	name_len = hyc_load16(head + 26);
	extra_len = hyc_load16(head + 28);
	if (hyc_load32(head) != LOCAL_SIG || hyc_load16(head + 6) != r->flags || hyc_load16(head + 8) != r->method)
		return hyc_foreign(err, "the header of zip record %.200s and the directory differ", r->name);
	r->off = r->head + LOCAL_BYTES + name_len + extra_len;
	if (!hyc_range_ok(r->off, r->stored, limit))
		return hyc_foreign(err, "zip record %.200s overlaps what follows it", r->name);
	r->end = r->off + r->stored;
	failed = hyc_input_load(in, r->head + LOCAL_BYTES, name_len + extra_len, &rest, err);
	if (failed)
		return failed;
	if (name_len != strlen(r->name) || memcmp(rest, r->name, name_len))
		return hyc_foreign(err, "zip record %.200s has another name in its header", r->name);
	failed = check_local_sizes(head, rest + name_len, extra_len, r, err);
	if (failed || !(r->flags & FLAG_DESCRIPTOR))
		return failed;
	return check_descriptor(in, limit, r, err);
}

static int by_place(const void *a, const void *b)
{
	const struct hyc_zip_record *p = a, *q = b;

	return p->head < q->head ? -1 : p->head > q->head;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct hyc_zip_record *)a)->name, ((const struct hyc_zip_record *)b)->name);
}

static int check_records(const struct hyc_input *in, uint64_t directory, struct hyc_zip *zip, struct hyc_error *err)
{
	uint64_t end = 0;

	qsort(zip->records, zip->n, sizeof *zip->records, by_place);
	for (size_t i = 0; i < zip->n; i++) {
		struct hyc_zip_record *r = &zip->records[i];
		int failed;

		if (r->head > end)
			return hyc_foreign(err, "%" PRIu64 " bytes before zip record %.200s belong to no record",
					   r->head - end, r->name);
		if (r->flags & FLAG_ENCRYPTED)
			return hyc_foreign(err, "zip record %.200s is encrypted", r->name);
		if (r->method == HYC_ZIP_STORED && r->stored != r->bytes)
			return hyc_foreign(err, "zip record %.200s is not compressed, but has two sizes", r->name);
		failed = check_record(in, i + 1 < zip->n ? zip->records[i + 1].head : directory, r, err);
		if (failed)
			return failed;
		end = r->end;
	}
	if (end != directory)
		return hyc_foreign(err, "%" PRIu64 " bytes before the directory of the zip file belong to no record",
				   directory - end);
	qsort(zip->records, zip->n, sizeof *zip->records, by_name);
	for (size_t i = 1; i < zip->n; i++)
		if (!by_name(&zip->records[i - 1], &zip->records[i]))
			return hyc_foreign(err, "there are two zip records called %.200s", zip->records[i].name);
	return 0;
}

int hyc_zip_read(const struct hyc_input *in, struct hyc_zip *out, struct hyc_error *err)
{
	struct directory d;
	int failed;

	*out = (struct hyc_zip) { 0 };
	failed = find_directory(in, &d, err);
	if (!failed)
		failed = read_directory(in, &d, out, err);
	return failed ? failed : check_records(in, d.off, out, err);
}

void hyc_zip_fini(struct hyc_zip *zip)
{
	free(zip->records);
	free(zip->names);
	*zip = (struct hyc_zip) { 0 };
}

const struct hyc_zip_record *hyc_zip_find(const struct hyc_zip *zip, const char *name)
{
	struct hyc_zip_record key = { .name = name };

	return zip->n ? bsearch(&key, zip->records, zip->n, sizeof key, by_name) : NULL;
}
