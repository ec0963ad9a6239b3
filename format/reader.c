/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens an archive: two reads (superblock, index), then every rule of doc/format.md
 * sections 2 and 3 is checked, table by table. Nothing after this needs a bounds check.
 */
#include "config.h"

#include "format/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/read.h"
#include "format/dtype.h"

/* Everything the checks share; fail() puts the archive's path in front. */
struct check {
	struct hyc_index *index;
	const char *path;
	uint32_t params_bytes, names_bytes;
	uint64_t index_off;
	struct hyc_error *err;
};

static HYC_PRINTF(2, 3) int bad(struct check *c, const char *fmt, ...)
{
	char reason[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	return hyc_fail(c->err, -EBADMSG, "%s: damaged or malformed archive: %s", c->path, reason);
}

static int check_super(struct check *c, const struct hyc_disk_super *s, uint64_t file_bytes)
{
	uint64_t end, index_stored = hyc_get64(s->index_stored), index_bytes = hyc_get64(s->index_bytes);

	if (memcmp(s->magic, HYC_MAGIC, sizeof s->magic))
		return hyc_fail(c->err, -EBADMSG, "%s: not a hyc archive", c->path);
	if (hyc_get32(s->version) != HYC_VERSION)
		return hyc_fail(c->err, -EOPNOTSUPP, "%s: format version %u; this program reads version %u", c->path,
				hyc_get32(s->version), HYC_VERSION);
	if (hyc_get64(s->check) != hyc_hash64(s, offsetof(struct hyc_disk_super, check)))
		return bad(c, "the superblock's checksum is wrong");
	if (hyc_get32(s->superblock_bytes) != sizeof *s)
		return bad(c, "a superblock of %u bytes", hyc_get32(s->superblock_bytes));
	if (hyc_get64(s->incompat) & ~HYC_INCOMPAT_KNOWN)
		return hyc_fail(c->err, -EOPNOTSUPP, "%s: uses features (0x%llx) of a newer program; upgrade hycfs", c->path,
				(unsigned long long)(hyc_get64(s->incompat) & ~HYC_INCOMPAT_KNOWN));
	if (hyc_get64(s->archive_bytes) != file_bytes)
		return bad(c, "%llu bytes long instead of %llu; it was truncated or is still being copied",
			   (unsigned long long)file_bytes, (unsigned long long)hyc_get64(s->archive_bytes));
	c->index_off = hyc_get64(s->index_off);
	if (c->index_off < sizeof *s || hyc_add_overflows(c->index_off, index_stored, &end) || end != file_bytes)
		return bad(c, "the index is not at the end of the archive");
	if (index_bytes > HYC_MAX_INDEX_BYTES || index_bytes < sizeof(struct hyc_disk_index) ||
	    index_stored > HYC_MAX_INDEX_BYTES ||
	    index_bytes > HYC_INDEX_SLACK + HYC_INDEX_EXPANSION * index_stored)
		return bad(c, "an index of %llu bytes in %llu", (unsigned long long)index_bytes,
			   (unsigned long long)index_stored);
	return 0;
}

/* Read and decompress the index into index->data. */
static int load_index(struct check *c, const struct hyc_disk_super *s)
{
	size_t stored_len = (size_t)hyc_get64(s->index_stored), len = (size_t)hyc_get64(s->index_bytes), got;
	cleanup_free uint8_t *stored = malloc(stored_len);
	XXH128_canonical_t hash;
	int result;

	c->index->data = malloc(len);
	if (!stored || !c->index->data)
		return hyc_fail(c->err, -ENOMEM, "%s: no memory for an index of %zu bytes", c->path, len);
	result = hyc_read_at(c->index->fd, stored, stored_len, c->index_off, -EIO);
	if (result)
		return hyc_fail_errno(c->err, result, "%s: cannot read the index", c->path);
	XXH128_canonicalFromHash(&hash, hyc_hash128(stored, stored_len));
	if (memcmp(&hash, s->index_hash, sizeof hash))
		return bad(c, "the index's hash is wrong");
	/* ZSTD_decompress alone would also take several frames, and frames of old versions. */
	if (stored_len < 4 || hyc_load32(stored) != ZSTD_MAGICNUMBER ||
	    ZSTD_findFrameCompressedSize(stored, stored_len) != stored_len)
		return bad(c, "the index is not one zstd frame");
	got = ZSTD_decompress(c->index->data, len, stored, stored_len);
	if (ZSTD_isError(got) || got != len)
		return bad(c, "the index does not decompress to %zu bytes", len);
	return 0;
}

/* Cut the decompressed index into its tables. */
static int cut_tables(struct check *c, uint64_t index_bytes)
{
	struct hyc_index *x = c->index;
	const struct hyc_disk_index *h = (const void *)x->data;
	uint64_t total;

	x->n_files = hyc_get32(h->n_files);
	x->n_extents = hyc_get32(h->n_extents);
	x->n_objects = hyc_get32(h->n_objects);
	x->n_tensors = hyc_get32(h->n_tensors);
	x->n_blocks = hyc_get32(h->n_blocks);
	x->n_dims = hyc_get32(h->n_dims);
	c->params_bytes = hyc_get32(h->params_bytes);
	c->names_bytes = x->names_bytes = hyc_get32(h->names_bytes);
	/* 32-bit counts times record sizes below 2^7 cannot overflow 64 bits. */
	total = sizeof *h + sizeof *x->files * (uint64_t)x->n_files + sizeof *x->extents * (uint64_t)x->n_extents +
		sizeof *x->objects * (uint64_t)x->n_objects + sizeof *x->tensors * (uint64_t)x->n_tensors +
		sizeof *x->blocks * (uint64_t)x->n_blocks + sizeof *x->dims * (uint64_t)x->n_dims +
		(uint64_t)c->params_bytes + c->names_bytes;
	if (total != index_bytes)
		return bad(c, "the tables of the index take %llu bytes, the index has %llu", (unsigned long long)total,
			   (unsigned long long)index_bytes);
	x->files = (const void *)(h + 1);
	x->extents = (const void *)(x->files + x->n_files);
	x->objects = (const void *)(x->extents + x->n_extents);
	x->tensors = (const void *)(x->objects + x->n_objects);
	x->blocks = (const void *)(x->tensors + x->n_tensors);
	x->dims = (const void *)(x->blocks + x->n_blocks);
	x->params = (const void *)(x->dims + x->n_dims);
	x->names = (const void *)(x->params + c->params_bytes);
	return 0;
}

/* The name of a reference, or NULL where it is not one. */
static const char *check_name(struct check *c, le32 off, le32 len)
{
	uint64_t start = hyc_get32(off), n = hyc_get32(len);

	if (n > HYC_MAX_NAME || !hyc_range_ok(start, n + 1, c->names_bytes))
		return NULL;
	if (strnlen(c->index->names + start, n + 1) != n)
		return NULL;
	return c->index->names + start;
}

/* The rules for a path that is not the root's. */
static bool path_ok(const char *path)
{
	unsigned depth = 0;

	if (!strcmp(path, ".hycfs") || !strncmp(path, ".hycfs/", 7))
		return false;
	for (const char *p = path;; p++) {
		size_t len = strcspn(p, "/");

		if (!len || len > HYC_MAX_COMPONENT || ++depth > HYC_MAX_DEPTH)
			return false;
		if ((len == 1 && *p == '.') || (len == 2 && !strncmp(p, "..", 2)))
			return false;
		p += len;
		if (!*p)
			return true;
	}
}

/* Index of the directory that holds path, among the first n_before files; -1 where there is none. */
static int64_t find_parent(const struct hyc_index *x, const char *path, uint32_t n_before)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	uint32_t lo = 0, hi = n_before;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const char *name = x->names + hyc_get32(x->files[mid].path_off);
		size_t name_len = hyc_get32(x->files[mid].path_len);
		int order = memcmp(name, path, name_len < len ? name_len : len);

		if (!order)
			order = (name_len > len) - (name_len < len);
		if (!order)
			return (hyc_get32(x->files[mid].mode) & HYC_MODE_TYPE) == HYC_MODE_DIR ? (int64_t)mid : -1;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

static int check_file(struct check *c, uint32_t i)
{
	static const uint8_t zero_hash[16];
	struct hyc_index *x = c->index;
	const struct hyc_disk_file *f = &x->files[i];
	const char *path = check_name(c, f->path_off, f->path_len);
	uint32_t mode = hyc_get32(f->mode), type = mode & HYC_MODE_TYPE;
	uint64_t size = hyc_get64(f->size);
	int64_t parent = 0;

	if (!path || (i == 0 ? *path != 0 : !path_ok(path)))
		return bad(c, "file %u has a forbidden name", i);
	if (i) {
		if (strcmp(x->names + hyc_get32(f[-1].path_off), path) >= 0)
			return bad(c, "file %u (%.100s) is out of order", i, path);
		parent = find_parent(x, path, i);
		if (parent < 0)
			return bad(c, "file %u (%.100s) has no parent directory", i, path);
	}
	x->parents[i] = (uint32_t)parent;
	if (mode & ~(HYC_MODE_TYPE | 07777u) || (type != HYC_MODE_DIR && (type != HYC_MODE_REG || i == 0)))
		return bad(c, "file %u (%.100s) has mode 0x%x", i, path, mode);
	if (size > HYC_MAX_BYTES || (type == HYC_MODE_DIR && size))
		return bad(c, "file %u (%.100s) has an impossible size", i, path);
	if (type == HYC_MODE_DIR && memcmp(f->hash, zero_hash, sizeof zero_hash))
		return bad(c, "file %u (%.100s) is a directory with a hash", i, path);
	if (hyc_get32(f->mtime_nsec) >= 1000000000u)
		return bad(c, "file %u (%.100s) has an impossible time", i, path);
	if (!size != !hyc_get32(f->n_extents))
		return bad(c, "file %u (%.100s) has %u extents for its size", i, path, hyc_get32(f->n_extents));
	return 0;
}

/* One extent of a file; end is where the next one starts. */
static int check_extent(struct check *c, uint32_t file, uint32_t i, uint64_t end)
{
	const struct hyc_disk_extent *e = &c->index->extents[i];
	uint64_t off = hyc_get64(e->file_off), len = end - off;
	uint32_t kind = hyc_get32(e->kind), target = hyc_get32(e->target);
	const struct hyc_disk_object *o;

	if (off >= end)
		return bad(c, "extent %u of file %u overlaps the next one or the end of the file", i, file);
	if (kind == HYC_EXTENT_PADDING) {
		if (target > 255 || hyc_get64(e->start) || len > HYC_MAX_PADDING)
			return bad(c, "extent %u of file %u is impossible padding", i, file);
		return 0;
	}
	if (kind != HYC_EXTENT_LITERAL && kind != HYC_EXTENT_TENSOR)
		return bad(c, "extent %u of file %u is of unknown kind %u", i, file, kind);
	if (target >= c->index->n_objects)
		return bad(c, "extent %u of file %u refers to object %u of %u", i, file, target, c->index->n_objects);
	o = &c->index->objects[target];
	if ((hyc_get32(o->dtype) == HYC_BYTES) != (kind == HYC_EXTENT_LITERAL))
		return bad(c, "extent %u of file %u refers to an object of the wrong kind", i, file);
	if (!hyc_range_ok(hyc_get64(e->start), len, hyc_get64(o->bytes)))
		return bad(c, "extent %u of file %u goes beyond its object", i, file);
	return 0;
}

static int check_files(struct check *c)
{
	struct hyc_index *x = c->index;
	uint64_t next_extent = 0, total = 0, most;

	if (!x->n_files)
		return bad(c, "no root directory");
	x->parents = calloc(x->n_files, sizeof *x->parents);
	if (!x->parents)
		return hyc_fail(c->err, -ENOMEM, "%s: no memory for %u files", c->path, x->n_files);
	for (uint32_t i = 0; i < x->n_files; i++) {
		const struct hyc_disk_file *f = &x->files[i];
		uint32_t n = hyc_get32(f->n_extents);
		int result = check_file(c, i);

		if (result)
			return result;
		if (hyc_get32(f->first_extent) != next_extent || n > x->n_extents - next_extent)
			return bad(c, "the extents of file %u are not in their place", i);
		if (n && hyc_get64(x->extents[next_extent].file_off))
			return bad(c, "file %u does not start with its first extent", i);
		for (uint32_t k = 0; k < n; k++) {
			uint32_t e = (uint32_t)next_extent + k;
			uint64_t end = hyc_get64(k + 1 < n ? x->extents[e + 1].file_off : f->size);

			result = check_extent(c, i, e, end);
			if (result)
				return result;
		}
		next_extent += n;
		if (hyc_add_overflows(total, hyc_get64(f->size), &total))
			return bad(c, "the files are larger than any disk");
	}
	if (next_extent != x->n_extents)
		return bad(c, "%u extents belong to no file", (uint32_t)(x->n_extents - next_extent));
	if (!hyc_mul_overflows(x->archive_bytes, HYC_MAX_EXPANSION, &most) && total > most)
		return bad(c, "it claims to expand more than a million times");
	return 0;
}

static int check_object(struct check *c, uint32_t i)
{
	const struct hyc_disk_object *o = &c->index->objects[i];
	uint64_t bytes = hyc_get64(o->bytes), elems, want;
	uint32_t block_bytes = hyc_get32(o->block_bytes), elem_bytes;

	if (hyc_get32(o->dtype) >= HYC_N_DTYPES)
		return bad(c, "object %u has unknown dtype %u", i, hyc_get32(o->dtype));
	elem_bytes = hyc_dtype_bytes(hyc_get32(o->dtype));
	if (!bytes || bytes > HYC_MAX_BYTES || hyc_mul_overflows(hyc_get64(o->rows), hyc_get64(o->cols), &elems) ||
	    hyc_mul_overflows(elems, elem_bytes, &want) || want != bytes)
		return bad(c, "object %u has an impossible shape", i);
	if (!block_bytes || block_bytes > HYC_MAX_BLOCK || block_bytes % elem_bytes)
		return bad(c, "object %u has blocks of %u bytes", i, block_bytes);
	if (hyc_get32(o->n_blocks) != hyc_div_up(bytes, block_bytes))
		return bad(c, "object %u has %u blocks for %llu bytes", i, hyc_get32(o->n_blocks), (unsigned long long)bytes);
	if (!hyc_range_ok(hyc_get32(o->params_off), hyc_get32(o->params_len), c->params_bytes))
		return bad(c, "object %u has parameters outside the heap", i);
	if (hyc_get32(o->flags) & ~HYC_OBJECT_EXACT)
		return bad(c, "object %u has unknown flags", i);
	return 0;
}

static int check_blocks(struct check *c)
{
	const struct hyc_index *x = c->index;
	uint64_t next_block = 0, end = sizeof(struct hyc_disk_super);

	for (uint32_t i = 0; i < x->n_objects; i++) {
		const struct hyc_disk_object *o = &x->objects[i];
		uint32_t n = hyc_get32(o->n_blocks);

		if (hyc_get32(o->first_block) != next_block || n > x->n_blocks - next_block)
			return bad(c, "the blocks of object %u are not in their place", i);
		for (uint32_t k = 0; k < n; k++, next_block++) {
			const struct hyc_disk_block *b = &x->blocks[next_block];
			uint64_t off = hyc_get64(b->off);
			uint32_t stored = hyc_get32(b->stored);

			if (off < end || !hyc_range_ok(off, stored, c->index_off))
				return bad(c, "block %u of object %u lies outside the archive or overlaps another", k, i);
			if (!stored || stored > hyc_object_block_bytes(o, k))
				return bad(c, "block %u of object %u has %u stored bytes", k, i, stored);
			end = off + stored;
		}
	}
	if (next_block != x->n_blocks)
		return bad(c, "%u blocks belong to no object", (uint32_t)(x->n_blocks - next_block));
	return 0;
}

/* Bytes from the first element of a tensor to the end of its last, by shape and strides. False on overflow. */
static bool tensor_span(const struct hyc_index *x, const struct hyc_disk_tensor *t, uint64_t *span)
{
	uint32_t ndim = hyc_get32(t->ndim), bits = hyc_dtype_bits(hyc_get32(t->dtype));
	const le64 *dim = x->dims + hyc_get32(t->first_dim);
	uint64_t elems = 1, last = 0, reach, total;
	bool empty = false;

	for (uint32_t d = 0; d < ndim; d++)
		empty = empty || !hyc_get64(dim[d]);
	*span = 0;
	if (empty)
		return true;
	for (uint32_t d = 0; d < ndim; d++) {
		if (hyc_mul_overflows(elems, hyc_get64(dim[d]), &elems))
			return false;
		if (!(hyc_get32(t->flags) & HYC_TENSOR_STRIDED))
			continue;
		if (hyc_mul_overflows(hyc_get64(dim[d]) - 1, hyc_get64(dim[ndim + d]), &reach) ||
		    hyc_add_overflows(last, reach, &last))
			return false;
	}
	if (!(hyc_get32(t->flags) & HYC_TENSOR_STRIDED))
		last = elems - 1;
	if (hyc_add_overflows(last, 1, &elems) || hyc_mul_overflows(elems, bits, &total) || total % 8)
		return false;
	*span = total / 8;
	return true;
}

static int check_tensor(struct check *c, uint32_t i)
{
	const struct hyc_index *x = c->index;
	const struct hyc_disk_tensor *t = &x->tensors[i];
	const char *name = check_name(c, t->name_off, t->name_len);
	uint32_t file = hyc_get32(t->file), object = hyc_get32(t->object), flags = hyc_get32(t->flags);
	uint64_t span, n_dims = hyc_get32(t->ndim);

	if (!name || !*name)
		return bad(c, "tensor %u has a forbidden name", i);
	if (file >= x->n_files || (hyc_get32(x->files[file].mode) & HYC_MODE_TYPE) != HYC_MODE_REG)
		return bad(c, "tensor %u (%.100s) belongs to no file", i, name);
	if (i) {
		uint32_t before = hyc_get32(t[-1].file);

		if (before > file || (before == file && strcmp(x->names + hyc_get32(t[-1].name_off), name) >= 0))
			return bad(c, "tensor %u (%.100s) is out of order", i, name);
	}
	if (!hyc_get32(t->dtype) || hyc_get32(t->dtype) >= HYC_N_DTYPES)
		return bad(c, "tensor %u (%.100s) has unknown dtype %u", i, name, hyc_get32(t->dtype));
	if (flags & ~HYC_TENSOR_STRIDED)
		return bad(c, "tensor %u (%.100s) has unknown flags", i, name);
	if (n_dims > HYC_MAX_NDIM)
		return bad(c, "tensor %u (%.100s) has %u dimensions", i, name, (uint32_t)n_dims);
	if (!hyc_range_ok(hyc_get32(t->first_dim), flags & HYC_TENSOR_STRIDED ? 2 * n_dims : n_dims, x->n_dims))
		return bad(c, "tensor %u (%.100s) has its shape outside the heap", i, name);
	if (!tensor_span(x, t, &span))
		return bad(c, "tensor %u (%.100s) has an impossible shape", i, name);
	if (!span != (object == HYC_NO_OBJECT))
		return bad(c, "tensor %u (%.100s) has %llu bytes and the wrong object", i, name, (unsigned long long)span);
	if (span && object >= x->n_objects)
		return bad(c, "tensor %u (%.100s) refers to object %u of %u", i, name, object, x->n_objects);
	if (span && !hyc_range_ok(hyc_get64(t->start), span, hyc_get64(x->objects[object].bytes)))
		return bad(c, "tensor %u (%.100s) goes beyond its object", i, name);
	return 0;
}

static int check_all(struct check *c)
{
	int result = 0;

	for (uint32_t i = 0; !result && i < c->index->n_objects; i++)
		result = check_object(c, i);
	if (!result)
		result = check_blocks(c);
	if (!result)
		result = check_files(c);
	for (uint32_t i = 0; !result && i < c->index->n_tensors; i++)
		result = check_tensor(c, i);
	return result;
}

static int open_checked(struct check *c)
{
	struct hyc_disk_super super;
	struct stat st;
	int result;

	if (fstat(c->index->fd, &st))
		return hyc_fail_errno(c->err, -errno, "%s: cannot read", c->path);
	if (S_ISDIR(st.st_mode))
		return hyc_fail(c->err, -EISDIR, "%s: is a directory, not a hyc archive", c->path);
	if (st.st_size < (off_t)sizeof super)
		return hyc_fail(c->err, -EBADMSG, "%s: not a hyc archive (only %lld bytes long)", c->path,
				(long long)st.st_size);
	result = hyc_read_at(c->index->fd, &super, sizeof super, 0, -EIO);
	if (result)
		return hyc_fail_errno(c->err, result, "%s: cannot read", c->path);
	c->index->archive_bytes = (uint64_t)st.st_size;
	result = check_super(c, &super, (uint64_t)st.st_size);
	if (!result)
		result = load_index(c, &super);
	if (!result)
		result = cut_tables(c, hyc_get64(super.index_bytes));
	return result ? result : check_all(c);
}

int hyc_index_open(int fd, const char *path, struct hyc_index *out, struct hyc_error *err)
{
	struct check c = { .index = out, .path = path, .err = err };
	int result;

	memset(out, 0, sizeof *out);
	out->fd = fd;
	result = open_checked(&c);
	if (result)
		hyc_index_fini(out);
	return result;
}

void hyc_index_fini(struct hyc_index *index)
{
	free(index->parents);
	free(index->data);
	if (index->fd >= 0)
		close(index->fd);
	memset(index, 0, sizeof *index);
	index->fd = -1;
}

int64_t hyc_index_find(const struct hyc_index *index, const char *path)
{
	uint32_t lo = 0, hi = index->n_files;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int order = strcmp(index->names + hyc_get32(index->files[mid].path_off), path);

		if (!order)
			return mid;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -ENOENT;
}

uint32_t hyc_object_block_bytes(const struct hyc_disk_object *object, uint32_t k)
{
	uint64_t block_bytes = hyc_get32(object->block_bytes);
	uint64_t left = hyc_get64(object->bytes) - k * block_bytes;

	return (uint32_t)(left < block_bytes ? left : block_bytes);
}

uint32_t hyc_object_block_at(const struct hyc_disk_object *object, uint64_t pos, uint32_t *block, uint32_t *skip)
{
	uint32_t block_bytes = hyc_get32(object->block_bytes);

	*block = (uint32_t)(pos / block_bytes);
	*skip = (uint32_t)(pos % block_bytes);
	return hyc_object_block_bytes(object, *block) - *skip;
}
