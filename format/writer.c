/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables grow in memory; only blocks go to the disk at once. The temporary file has no
 * name where the file system can do that (O_TMPFILE), so a killed run leaves nothing.
 */
#include "config.h"

#include "format/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "format/dtype.h"
#include "format/reader.h"

#define INDEX_LEVEL 19
#define INDEX_LEVEL_LARGE 6 /* from 8 MiB on */

struct table {
	uint8_t *data;
	size_t len, room;
};

struct writer_tensor {
	struct hyc_disk_tensor disk;
	const char *names; /* set for sorting */
};

struct hyc_writer {
	char *path, *dir, *temp; /* temp: name of the temporary file, NULL where it has none */
	int fd;
	uint64_t pos;            /* where the next block goes */
	uint64_t object_pos;     /* where the blocks of the object added last start */
	struct table files, extents, objects, tensors, blocks, dims, params, names;
	struct table buffer;     /* blocks are gathered here */
};

#define BUFFER_BYTES ((size_t)1 << 20)

static void *table_add(struct table *t, size_t len)
{
	uint8_t *p;

	if (!t->data || len > t->room - t->len) {
		size_t room = t->room ? t->room * 2 : 4096;

		while (room < t->len + len)
			room *= 2;
		p = realloc(t->data, room);
		if (!p)
			return NULL;
		t->data = p;
		t->room = room;
	}
	p = t->data + t->len;
	t->len += len;
	memset(p, 0, len);
	return p;
}

/* The record added last to a table of records of this size. */
static void *table_last(const struct table *t, size_t record)
{
	return t->data + t->len - record;
}

static int no_memory(struct hyc_writer *w, struct hyc_error *err)
{
	return hyc_fail(err, -ENOMEM, "%s: no memory for the index", w->path);
}

/* Give a name to the temporary file: one that no file has. */
static int open_named(struct hyc_writer *w)
{
	if (asprintf(&w->temp, "%s/.hyc-XXXXXX", w->dir) < 0) {
		w->temp = NULL;
		return -ENOMEM;
	}
	w->fd = mkostemp(w->temp, O_CLOEXEC);
	if (w->fd >= 0) {
		mode_t mask = umask(0);

		umask(mask);
		return fchmod(w->fd, 0666 & ~mask) ? -errno : 0;
	}
	free(hyc_steal(&w->temp));
	return -errno;
}

static int open_temp(struct hyc_writer *w)
{
	const char *slash = strrchr(w->path, '/');

	w->dir = slash ? strndup(w->path, slash == w->path ? 1 : (size_t)(slash - w->path)) : strdup(".");
	if (!w->dir)
		return -ENOMEM;
	w->fd = open(w->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (w->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return -errno;
	return open_named(w);
}

int hyc_writer_open(const char *path, struct hyc_writer **out, struct hyc_error *err)
{
	struct hyc_writer *w;
	struct stat st;
	int result;

	/* The rename at the end would put the archive in the place of a device or a link. */
	if (!lstat(path, &st) && !S_ISREG(st.st_mode))
		return hyc_fail(err, -EEXIST, "%s: is there already and not a regular file; choose another name", path);
	w = calloc(1, sizeof *w);
	if (!w)
		return hyc_fail(err, -ENOMEM, "%s: no memory", path);
	w->fd = -1;
	w->path = strdup(path);
	result = w->path ? open_temp(w) : -ENOMEM;
	w->pos = w->object_pos = sizeof(struct hyc_disk_super);
	if (!result && lseek(w->fd, (off_t)w->pos, SEEK_SET) < 0)
		result = -errno;
	if (result) {
		hyc_fail_errno(err, result, "%s: cannot create an archive there", path);
		hyc_writer_close(w);
		return result;
	}
	*out = w;
	return 0;
}

void hyc_writer_close(struct hyc_writer *w)
{
	if (!w)
		return;
	if (w->temp)
		unlink(w->temp);
	if (w->fd >= 0)
		close(w->fd);
	free(w->files.data);
	free(w->extents.data);
	free(w->objects.data);
	free(w->tensors.data);
	free(w->blocks.data);
	free(w->dims.data);
	free(w->params.data);
	free(w->names.data);
	free(w->buffer.data);
	free(w->path);
	free(w->dir);
	free(w->temp);
	free(w);
}

/* Add a name with its zero byte; returns its offset, or -ENOMEM. */
static int64_t add_name(struct hyc_writer *w, const char *name)
{
	size_t len = strlen(name), off = w->names.len;
	void *p;

	if (off + len + 1 > UINT32_MAX)
		return -ENOMEM;
	p = table_add(&w->names, len + 1);
	if (!p)
		return -ENOMEM;
	memcpy(p, name, len);
	return (int64_t)off;
}

/* Index of the record added last, if 32 bits can count it. */
static int64_t last_index(struct hyc_writer *w, const struct table *t, size_t record, struct hyc_error *err)
{
	size_t n = t->len / record;

	return n < UINT32_MAX ? (int64_t)(n - 1) : no_memory(w, err);
}

static uint32_t count_of(const struct table *t, size_t record)
{
	return (uint32_t)(t->len / record);
}

int64_t hyc_writer_add_file(struct hyc_writer *w, const struct hyc_new_file *file, struct hyc_error *err)
{
	int64_t name = add_name(w, file->path);
	struct hyc_disk_file *f = name < 0 ? NULL : table_add(&w->files, sizeof *f);

	if (!f)
		return no_memory(w, err);
	f->path_off = hyc_put32((uint32_t)name);
	f->path_len = hyc_put32((uint32_t)strlen(file->path));
	f->mode = hyc_put32(file->mode);
	f->kind = hyc_put32(file->kind);
	f->size = hyc_put64(file->size);
	f->mtime_sec = hyc_put64((uint64_t)file->mtime_sec);
	f->mtime_nsec = hyc_put32(file->mtime_nsec);
	f->first_extent = hyc_put32(count_of(&w->extents, sizeof(struct hyc_disk_extent)));
	memcpy(f->hash, file->hash, sizeof f->hash);
	return last_index(w, &w->files, sizeof *f, err);
}

void hyc_writer_finish_file(struct hyc_writer *w, uint64_t size, const uint8_t hash[16])
{
	struct hyc_disk_file *f = table_last(&w->files, sizeof *f);

	f->size = hyc_put64(size);
	memcpy(f->hash, hash, sizeof f->hash);
}

int64_t hyc_writer_add_extent(struct hyc_writer *w, uint64_t file_off, uint32_t kind, uint32_t target, uint64_t start,
			      struct hyc_error *err)
{
	struct hyc_disk_file *f = table_last(&w->files, sizeof *f);
	struct hyc_disk_extent *e;

	if (hyc_get32(f->n_extents)) {
		uint64_t gone;

		e = table_last(&w->extents, sizeof *e);
		gone = file_off - hyc_get64(e->file_off);
		if (hyc_get32(e->kind) == kind && hyc_get32(e->target) == target &&
		    (kind == HYC_EXTENT_PADDING ? gone < HYC_MAX_PADDING / 2 : hyc_get64(e->start) + gone == start))
			return last_index(w, &w->extents, sizeof *e, err);
	}
	e = table_add(&w->extents, sizeof *e);
	if (!e)
		return no_memory(w, err);
	e->file_off = hyc_put64(file_off);
	e->kind = hyc_put32(kind);
	e->target = hyc_put32(target);
	e->start = hyc_put64(start);
	f->n_extents = hyc_put32(hyc_get32(f->n_extents) + 1);
	return last_index(w, &w->extents, sizeof *e, err);
}

int64_t hyc_writer_add_tensor(struct hyc_writer *w, const struct hyc_new_tensor *tensor, struct hyc_error *err)
{
	int64_t name = add_name(w, tensor->name);
	struct hyc_disk_tensor *t = name < 0 ? NULL : table_add(&w->tensors, sizeof *t);
	uint32_t first_dim = count_of(&w->dims, sizeof(le64)), n_dims = tensor->strides ? 2 * tensor->ndim : tensor->ndim;
	le64 *dims = t ? table_add(&w->dims, n_dims * sizeof *dims) : NULL;

	if (!t || !dims)
		return no_memory(w, err);
	for (uint32_t d = 0; d < n_dims; d++)
		dims[d] = hyc_put64(d < tensor->ndim ? tensor->shape[d] : tensor->strides[d - tensor->ndim]);
	t->name_off = hyc_put32((uint32_t)name);
	t->name_len = hyc_put32((uint32_t)strlen(tensor->name));
	t->file = hyc_put32(count_of(&w->files, sizeof(struct hyc_disk_file)) - 1);
	t->object = hyc_put32(tensor->object);
	t->start = hyc_put64(tensor->start);
	t->dtype = hyc_put32(tensor->dtype);
	t->ndim = hyc_put32(tensor->ndim);
	t->first_dim = hyc_put32(first_dim);
	t->flags = hyc_put32(tensor->strides ? HYC_TENSOR_STRIDED : 0);
	return last_index(w, &w->tensors, sizeof *t, err);
}

int64_t hyc_writer_add_object(struct hyc_writer *w, const struct hyc_new_object *object, struct hyc_error *err)
{
	struct hyc_disk_object *o = table_add(&w->objects, sizeof *o);
	size_t params_off = w->params.len;
	void *params = o ? table_add(&w->params, object->params_len) : NULL;

	if (!o || !params || w->params.len > UINT32_MAX)
		return no_memory(w, err);
	if (object->params_len)
		memcpy(params, object->params, object->params_len);
	w->object_pos = w->pos;
	o->codec = hyc_put32(object->codec);
	o->dtype = hyc_put32(object->dtype);
	o->bytes = hyc_put64(object->bytes);
	o->rows = hyc_put64(object->rows);
	o->cols = hyc_put64(object->cols);
	o->block_bytes = hyc_put32(object->block_bytes);
	o->first_block = hyc_put32(count_of(&w->blocks, sizeof(struct hyc_disk_block)));
	o->params_off = hyc_put32((uint32_t)params_off);
	o->params_len = hyc_put32(object->params_len);
	return last_index(w, &w->objects, sizeof *o, err);
}

static int write_all(struct hyc_writer *w, const uint8_t *p, size_t len, uint64_t off, struct hyc_error *err)
{
	while (len) {
		ssize_t put = pwrite(w->fd, p, len, (off_t)off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return hyc_fail_errno(err, -errno, errno == ENOSPC || errno == EDQUOT ?
					      "%s: cannot write; free some space and pack again" : "%s: cannot write", w->path);
		p += put;
		off += (uint64_t)put;
		len -= (size_t)put;
	}
	return 0;
}

/* Blocks reach the disk in pieces of a MiB. */
static int flush(struct hyc_writer *w, struct hyc_error *err)
{
	int result = write_all(w, w->buffer.data, w->buffer.len, w->pos - w->buffer.len, err);

	w->buffer.len = 0;
	return result;
}

int64_t hyc_writer_add_block(struct hyc_writer *w, const void *stored, uint32_t stored_len, uint64_t hash,
			     struct hyc_error *err)
{
	struct hyc_disk_object *o = table_last(&w->objects, sizeof *o);
	struct hyc_disk_block *b = table_add(&w->blocks, sizeof *b);
	void *p = b ? table_add(&w->buffer, stored_len) : NULL;

	if (!p)
		return no_memory(w, err);
	memcpy(p, stored, stored_len);
	b->off = hyc_put64(w->pos);
	b->stored = hyc_put32(stored_len);
	b->hash = hyc_put64(hash);
	o->n_blocks = hyc_put32(hyc_get32(o->n_blocks) + 1);
	w->pos += stored_len;
	if (w->buffer.len >= BUFFER_BYTES) {
		int result = flush(w, err);

		if (result)
			return result;
	}
	return last_index(w, &w->blocks, sizeof *b, err);
}

void hyc_writer_finish_object(struct hyc_writer *w, const struct hyc_new_digest *digest)
{
	struct hyc_disk_object *o = table_last(&w->objects, sizeof *o);

	o->crc32 = hyc_put32(digest->crc32);
	memcpy(o->hash, digest->hash, sizeof o->hash);
	o->flags = hyc_put32(digest->exact ? HYC_OBJECT_EXACT : 0);
	o->power = hyc_put_f32(digest->power);
	o->mse = hyc_put_f64(digest->mse);
	o->max_error = hyc_put_f64(digest->max_error);
}

void hyc_writer_drop_object(struct hyc_writer *w)
{
	struct hyc_disk_object *o = table_last(&w->objects, sizeof *o);
	uint64_t gone = w->pos - w->object_pos;

	w->blocks.len -= hyc_get32(o->n_blocks) * sizeof(struct hyc_disk_block);
	w->params.len = hyc_get32(o->params_off);
	w->objects.len -= sizeof *o;
	w->buffer.len -= gone < w->buffer.len ? (size_t)gone : w->buffer.len;
	w->pos = w->object_pos;
}

static int compare_tensors(const void *pa, const void *pb)
{
	const struct writer_tensor *a = pa, *b = pb;
	uint32_t file_a = hyc_get32(a->disk.file), file_b = hyc_get32(b->disk.file);

	if (file_a != file_b)
		return file_a < file_b ? -1 : 1;
	return strcmp(a->names + hyc_get32(a->disk.name_off), b->names + hyc_get32(b->disk.name_off));
}

static int sort_tensors(struct hyc_writer *w, struct hyc_error *err)
{
	struct hyc_disk_tensor *disk = (void *)w->tensors.data;
	uint32_t n = count_of(&w->tensors, sizeof *disk);
	cleanup_free struct writer_tensor *sorted = calloc((size_t)n + 1, sizeof *sorted);

	if (!sorted)
		return no_memory(w, err);
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = (struct writer_tensor){ disk[i], (const char *)w->names.data };
	qsort(sorted, n, sizeof *sorted, compare_tensors);
	for (uint32_t i = 0; i < n; i++) {
		if (i && !compare_tensors(&sorted[i - 1], &sorted[i]))
			return hyc_fail(err, -EINVAL, "%s: the tensor %s occurs twice in one file", w->path,
					sorted[i].names + hyc_get32(sorted[i].disk.name_off));
		disk[i] = sorted[i].disk;
	}
	return 0;
}

/* The whole index in one buffer, header first. */
static int gather_index(struct hyc_writer *w, struct table *index)
{
	const struct table *tables[] = { &w->files, &w->extents, &w->objects, &w->tensors,
					 &w->blocks, &w->dims, &w->params, &w->names };
	struct hyc_disk_index *h = table_add(index, sizeof *h);

	if (!h)
		return -ENOMEM;
	h->n_files = hyc_put32(count_of(&w->files, sizeof(struct hyc_disk_file)));
	h->n_extents = hyc_put32(count_of(&w->extents, sizeof(struct hyc_disk_extent)));
	h->n_objects = hyc_put32(count_of(&w->objects, sizeof(struct hyc_disk_object)));
	h->n_tensors = hyc_put32(count_of(&w->tensors, sizeof(struct hyc_disk_tensor)));
	h->n_blocks = hyc_put32(count_of(&w->blocks, sizeof(struct hyc_disk_block)));
	h->n_dims = hyc_put32(count_of(&w->dims, sizeof(le64)));
	h->params_bytes = hyc_put32((uint32_t)w->params.len);
	h->names_bytes = hyc_put32((uint32_t)w->names.len);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		void *p = table_add(index, tables[i]->len);

		if (!p)
			return -ENOMEM;
		if (tables[i]->len)
			memcpy(p, tables[i]->data, tables[i]->len);
	}
	return 0;
}

static int write_index(struct hyc_writer *w, struct hyc_error *err)
{
	struct table index = { NULL, 0, 0 };
	cleanup_free uint8_t *stored = NULL, *data = NULL;
	struct hyc_disk_super s;
	XXH128_canonical_t hash;
	size_t room, stored_len;
	int result = gather_index(w, &index);

	data = index.data;
	room = ZSTD_compressBound(index.len);
	stored = malloc(room);
	if (result || !stored)
		return no_memory(w, err);
	stored_len = ZSTD_compress(stored, room, data, index.len, index.len < (8u << 20) ? INDEX_LEVEL : INDEX_LEVEL_LARGE);
	if (ZSTD_isError(stored_len))
		return no_memory(w, err);
	result = write_all(w, stored, stored_len, w->pos, err);
	if (result)
		return result;
	memset(&s, 0, sizeof s);
	memcpy(s.magic, HYC_MAGIC, sizeof s.magic);
	s.version = hyc_put32(HYC_VERSION);
	s.superblock_bytes = hyc_put32(sizeof s);
	s.archive_bytes = hyc_put64(w->pos + stored_len);
	s.index_off = hyc_put64(w->pos);
	s.index_stored = hyc_put64(stored_len);
	s.index_bytes = hyc_put64(index.len);
	XXH128_canonicalFromHash(&hash, hyc_hash128(stored, stored_len));
	memcpy(s.index_hash, &hash, sizeof hash);
	s.check = hyc_put64(hyc_hash64(&s, offsetof(struct hyc_disk_super, check)));
	w->pos += stored_len;
	/* Dropped objects may have left bytes beyond the end. */
	if (ftruncate(w->fd, (off_t)w->pos))
		return hyc_fail_errno(err, -errno, "%s: cannot write", w->path);
	return write_all(w, (const void *)&s, sizeof s, 0, err);
}

/* Read the archive back the way everyone will. */
static int validate(struct hyc_writer *w, struct hyc_error *err)
{
	struct hyc_index index;
	int fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 0), result;

	if (fd < 0)
		return hyc_fail_errno(err, -errno, "%s: cannot check the new archive", w->path);
	result = hyc_index_open(fd, w->path, &index, err);
	if (!result)
		hyc_index_fini(&index);
	return result;
}

/* Put the temporary file in the place of path. */
static int publish(struct hyc_writer *w)
{
	cleanup_fd int dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char proc[64];

	/* A link cannot replace a file, so a file without a name gets a temporary one first. */
	for (unsigned i = 0; !w->temp && i < 100; i++) {
		char *name;

		if (asprintf(&name, "%s/.hyc-%ld-%u", w->dir, (long)getpid(), i) < 0)
			return -ENOMEM;
		snprintf(proc, sizeof proc, "/proc/self/fd/%d", w->fd);
		if (!linkat(AT_FDCWD, proc, AT_FDCWD, name, AT_SYMLINK_FOLLOW)) {
			w->temp = name;
			break;
		}
		free(name);
		if (errno != EEXIST)
			return -errno;
	}
	if (!w->temp)
		return -EEXIST;
	if (rename(w->temp, w->path))
		return -errno;
	free(hyc_steal(&w->temp));
	/* The rename must survive a crash, too; not every file system can promise it. */
	if (dir >= 0)
		(void)fsync(dir);
	return 0;
}

int hyc_writer_commit(struct hyc_writer *w, uint64_t *archive_bytes, struct hyc_error *err)
{
	int result = flush(w, err);

	if (!result)
		result = sort_tensors(w, err);
	if (!result)
		result = write_index(w, err);
	if (!result)
		result = validate(w, err);
	if (result)
		return result;
	if (fsync(w->fd))
		return hyc_fail_errno(err, -errno, "%s: cannot write", w->path);
	result = publish(w);
	if (result)
		return hyc_fail_errno(err, result, "%s: cannot put the new archive in its place", w->path);
	*archive_bytes = w->pos;
	return 0;
}
