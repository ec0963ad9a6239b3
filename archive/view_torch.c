/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes torch's zip files byte for byte where torch's own writer would put each byte, for there are loaders that compute
 * where a record's data starts instead of reading it: no compression, sizes and CRC-32 behind the data
 * instead of before, an extra field "FB" that aligns the data, zip64 fields in the order of miniz.
 * The CRC-32 of a storage is the one of its object, so nothing needs decoding.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "archive/view.h"
#include "base/cleanup.h"

#define ZIP32_MAX UINT32_C(0xffffffff)
#define LOCAL_BYTES 30
#define MAX_PICKLE (UINT64_C(1) << 28)
#define SERIALIZATION_ID "0000000000000000000000000000000000000000"
#define ALIGN_TEXT "4096"

_Static_assert(HYC_VIEW_ALIGN == 4096, "the alignment is told in the file, too");

struct zip {
	struct hyc_layout *l;
	struct hyc_text central; /* the directory, which comes last */
	const char *folder;
	uint64_t n;
};

/* The zip64 extra field: what does not fit in 32 bits, in a fixed order. The local one does not know the packed size. */
static void put_zip64(struct hyc_text *t, uint64_t size, uint64_t header, bool local)
{
	uint16_t len = (uint16_t)((size >= ZIP32_MAX ? 16 : 0) + (header >= ZIP32_MAX ? 8 : 0));

	if (!len)
		return;
	hyc_text_put16(t, 1);
	hyc_text_put16(t, len);
	if (size >= ZIP32_MAX) {
		hyc_text_put64(t, size);
		hyc_text_put64(t, local ? 0 : size);
	}
	if (header >= ZIP32_MAX)
		hyc_text_put64(t, header);
}

static uint32_t clip(uint64_t value)
{
	return value >= ZIP32_MAX ? ZIP32_MAX : (uint32_t)value;
}

static uint16_t zip64_bytes(uint64_t size, uint64_t header)
{
	return (uint16_t)(size < ZIP32_MAX && header < ZIP32_MAX ? 0 :
			  4 + (size >= ZIP32_MAX ? 16 : 0) + (header >= ZIP32_MAX ? 8 : 0));
}

/* What both kinds of header share, from the flags to the length of the name. A record without bytes has no descriptor. */
static void put_common(struct hyc_text *t, uint64_t size, uint32_t crc, uint32_t told_size, size_t name_len)
{
	hyc_text_put16(t, 0); /* version needed */
	hyc_text_put16(t, size ? 0x0808 : 0x0800);
	hyc_text_put16(t, 0); /* stored */
	hyc_text_put32(t, 0); /* time */
	hyc_text_put32(t, crc);
	hyc_text_put32(t, told_size);
	hyc_text_put32(t, told_size);
	hyc_text_put16(t, (uint16_t)name_len);
}

static void put_central(struct zip *z, const char *name, uint64_t size, uint32_t crc, uint64_t header)
{
	struct hyc_text *c = &z->central;

	hyc_text_puts(c, "PK\x01\x02");
	hyc_text_put16(c, 0); /* made by */
	put_common(c, size, crc, clip(size), strlen(name));
	hyc_text_put16(c, zip64_bytes(size, header));
	hyc_text_put16(c, 0); /* comment */
	hyc_text_put32(c, 0); /* disk, internal attributes */
	hyc_text_put32(c, 0);
	hyc_text_put32(c, clip(header));
	hyc_text_puts(c, name);
	put_zip64(c, size, header, false);
}

/* The header of a record, up to where its data starts. */
static void begin_record(struct zip *z, const char *name, uint64_t size)
{
	uint64_t header = z->l->size, start;
	uint16_t zip64 = zip64_bytes(size, header);
	struct hyc_text t = { .limit = 4096 };
	uint32_t padding;

	start = header + LOCAL_BYTES + strlen(name) + zip64 + 4;
	padding = (uint32_t)(-start % HYC_VIEW_ALIGN);
	hyc_text_puts(&t, "PK\x03\x04");
	put_common(&t, size, 0, 0, strlen(name));
	hyc_text_put16(&t, (uint16_t)(zip64 + 4 + padding));
	hyc_text_puts(&t, name);
	put_zip64(&t, size, header, true);
	hyc_text_puts(&t, "FB");
	hyc_text_put16(&t, (uint16_t)padding);
	hyc_layout_bytes(z->l, t.data, t.len);
	hyc_layout_pad(z->l, 'Z', padding);
	if (t.failed && !z->l->failed)
		z->l->failed = t.failed;
	hyc_text_fini(&t);
}

static void end_record(struct zip *z, const char *name, uint64_t size, uint32_t crc, uint64_t header)
{
	bool wide = size >= ZIP32_MAX || header >= ZIP32_MAX;
	uint8_t descriptor[24] = { 'P', 'K', 7, 8 };

	hyc_store32(descriptor + 4, crc);
	for (int i = 0; i < 2; i++) {
		if (wide)
			hyc_store64(descriptor + 8 + 8 * i, size);
		else
			hyc_store32(descriptor + 8 + 4 * i, (uint32_t)size);
	}
	if (size)
		hyc_layout_bytes(z->l, descriptor, wide ? 24 : 16);
	put_central(z, name, size, crc, header);
	z->n++;
}

static void put_record(struct zip *z, const char *record, const void *bytes, size_t size)
{
	uint32_t crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, size);
	uint64_t header = z->l->size;
	char name[HYC_MAX_COMPONENT + 40];

	snprintf(name, sizeof name, "%s/%s", z->folder, record);
	begin_record(z, name, size);
	hyc_layout_bytes(z->l, bytes, size);
	end_record(z, name, size, crc, header);
}

static void put_text(struct zip *z, const char *record, const char *text)
{
	put_record(z, record, text, strlen(text));
}

/* A storage is a whole object; HYC_NO_OBJECT is one without bytes. */
static void put_storage(struct zip *z, const struct hyc_index *x, uint32_t key, uint32_t object)
{
	const struct hyc_disk_object *o = object == HYC_NO_OBJECT ? NULL : &x->objects[object];
	uint64_t size = o ? hyc_get64(o->bytes) : 0, header = z->l->size;
	char name[HYC_MAX_COMPONENT + 40];

	snprintf(name, sizeof name, "%s/data/%u", z->folder, key);
	begin_record(z, name, size);
	hyc_layout_span(z->l, object, 0, size);
	end_record(z, name, size, o ? hyc_get32(o->crc32) : 0, header);
}

/* The directory and the records that lead to it. torch writes the zip64 ones always. */
static void put_end(struct zip *z)
{
	uint64_t start = z->l->size, size = z->central.len, end = start + size;
	uint16_t n = z->n > 0xffff ? 0xffff : (uint16_t)z->n;
	struct hyc_text *t = &z->central;

	hyc_text_puts(t, "PK\x06\x06");
	hyc_text_put64(t, 44);
	hyc_text_put16(t, 0x031e);
	hyc_text_put16(t, 0x2d);
	hyc_text_put64(t, 0); /* disks */
	hyc_text_put64(t, z->n);
	hyc_text_put64(t, z->n);
	hyc_text_put64(t, size);
	hyc_text_put64(t, start);
	hyc_text_puts(t, "PK\x06\x07");
	hyc_text_put32(t, 0);
	hyc_text_put64(t, end);
	hyc_text_put32(t, 1);
	hyc_text_puts(t, "PK\x05\x06");
	hyc_text_put32(t, 0); /* disks */
	hyc_text_put16(t, n);
	hyc_text_put16(t, n);
	hyc_text_put32(t, clip(size));
	hyc_text_put32(t, clip(start));
	hyc_text_put16(t, 0); /* comment */
	hyc_layout_bytes(z->l, t->data, t->len);
	if (t->failed && !z->l->failed)
		z->l->failed = t->failed;
}

/* ---- which tensors share a storage ---- */

static int compare_data(const void *a, const void *b, void *arg)
{
	const struct hyc_index *x = arg;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct hyc_disk_tensor *s = &x->tensors[i], *t = &x->tensors[j];
	uint32_t left = hyc_get32(s->object), right = hyc_get32(t->object);

	if (left == right) {
		left = hyc_get32(s->dtype);
		right = hyc_get32(t->dtype);
	}
	if (left == right) {
		left = i;
		right = j;
	}
	return (left > right) - (left < right);
}

static bool is_part(const struct hyc_index *x, uint32_t tensor)
{
	uint32_t object = hyc_get32(x->tensors[tensor].object);

	return object != HYC_NO_OBJECT && hyc_view_tensor_bytes(x, tensor) != hyc_get64(x->objects[object].bytes);
}

/*
 * Number the storages in order of their first tensors; objects[k] is the one of storage k. Tensors that are parts of an object
 * share a storage. Those that are the whole of it do not: equal tensors are stored once, too, whether they were tied or
 * not, and who loads two tensors that are one without knowing changes both by changing one. (torch refuses one
 * storage for several dtypes.)
 */
static int number_storages(const struct hyc_index *x, uint32_t first, uint32_t n, uint32_t *keys, uint32_t *objects,
			   uint32_t *n_storages)
{
	cleanup_free uint32_t *order = malloc(((size_t)n + 1) * sizeof *order);
	uint32_t end;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		order[i] = first + i;
	qsort_r(order, n, sizeof *order, compare_data, (void *)x);
	for (uint32_t i = 0; i < n; i = end) {
		const struct hyc_disk_tensor *t = &x->tensors[order[i]];
		bool shared = false;

		for (end = i; end < n; end++) {
			const struct hyc_disk_tensor *u = &x->tensors[order[end]];

			if (hyc_get32(u->object) != hyc_get32(t->object) || hyc_get32(u->dtype) != hyc_get32(t->dtype))
				break;
			shared = shared || is_part(x, order[end]);
		}
		/* The first tensor of each storage, which the index has before the others. */
		for (uint32_t k = i; k < end; k++)
			keys[order[k] - first] = (shared ? order[i] : order[k]) - first;
	}
	*n_storages = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (keys[i] != i) {
			keys[i] = keys[keys[i]];
			continue;
		}
		objects[*n_storages] = hyc_get32(x->tensors[first + i].object);
		keys[i] = (*n_storages)++;
	}
	return 0;
}

int hyc_view_torch(const struct hyc_index *x, uint32_t first, uint32_t n, const char *folder, struct hyc_layout *l,
		   const char **why)
{
	struct zip z = { .l = l, .folder = folder, .central = { .limit = MAX_PICKLE } };
	cleanup_free uint32_t *keys = malloc(((size_t)n + 1) * sizeof *keys);
	cleanup_free uint32_t *objects = malloc(((size_t)n + 1) * sizeof *objects);
	struct hyc_text pickle = { .limit = MAX_PICKLE };
	uint32_t n_storages;
	int result = 0;

	if (!keys || !objects)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		if (!hyc_view_tensor_plain(x, first + i, why))
			return -EINVAL;
	result = number_storages(x, first, n, keys, objects, &n_storages);
	if (!result)
		result = hyc_view_pickle(x, first, n, keys, &pickle, why);
	if (!result) {
		hyc_layout_begin(l);
		put_record(&z, "data.pkl", pickle.data, pickle.len);
		put_text(&z, ".format_version", "1");
		put_text(&z, ".storage_alignment", ALIGN_TEXT);
		put_text(&z, "byteorder", "little");
		for (uint32_t k = 0; k < n_storages; k++)
			put_storage(&z, x, k, objects[k]);
		put_text(&z, "version", "3\n");
		put_text(&z, ".data/serialization_id", SERIALIZATION_ID);
		put_end(&z);
	}
	hyc_text_fini(&pickle);
	hyc_text_fini(&z.central);
	return result;
}
