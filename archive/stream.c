/* SPDX-License-Identifier: Apache-2.0 */
/* A range of a file in order, its blocks decoded ahead by several threads. The cache is left to the mount. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "base/ordered.h"

struct stream {
	struct hyc *archive;
	uint32_t file;
	uint64_t off, end;
	hyc_sink sink;
	void *arg;
	struct hyc_error *err;
	int sink_result;
	bool told; /* err is filled */
};

/* A run of bytes within one block, or of padding, or in memory. */
struct segment {
	uint32_t object, block;
	uint32_t skip, len;
	bool padding;
	const uint8_t *memory; /* borrowed; NULL: neither */
	uint8_t fill;
	int result;
	uint8_t *data;
	size_t room;
};

static int produce(void *arg, void *slot)
{
	struct stream *s = arg;
	struct segment *seg = slot;
	const struct hyc_index *x = &s->archive->index;
	const struct hyc_disk_extent *e;
	uint64_t end, pos;
	size_t need;

	if (s->off >= s->end)
		return 0;
	e = hyc_extent_at(x, s->file, s->off, &end);
	if (end > s->end)
		end = s->end;
	pos = s->off - hyc_get64(e->file_off) + hyc_get64(e->start);
	seg->padding = hyc_get32(e->kind) == HYC_EXTENT_PADDING;
	seg->memory = hyc_get32(e->kind) == HYC_EXTENT_MEMORY ? hyc_extent_memory(s->archive, e, s->off) : NULL;
	if (seg->memory) {
		/* All heads together have fewer than 2^32 bytes. */
		seg->len = (uint32_t)(end - s->off);
		need = 0;
	} else if (seg->padding) {
		/* Padding is at most HYC_MAX_PADDING long. */
		seg->fill = (uint8_t)hyc_get32(e->target);
		seg->skip = 0;
		seg->len = (uint32_t)(end - s->off);
		need = seg->len;
	} else {
		const struct hyc_disk_object *o = &x->objects[hyc_get32(e->target)];
		uint32_t block_bytes = hyc_get32(o->block_bytes);

		seg->object = hyc_get32(e->target);
		seg->block = (uint32_t)(pos / block_bytes);
		seg->skip = (uint32_t)(pos % block_bytes);
		need = hyc_object_block_bytes(o, seg->block);
		seg->len = (uint32_t)(end - s->off < need - seg->skip ? end - s->off : need - seg->skip);
	}
	s->off += seg->len;
	if (need > seg->room) {
		free(seg->data);
		seg->data = malloc(need);
		seg->room = seg->data ? need : 0;
		if (!seg->data) {
			s->told = true;
			return hyc_fail(s->err, -ENOMEM, "%s: no memory to decode", s->archive->path);
		}
	}
	return 1;
}

/* Errors wait for their turn in consume, so that the first one in file order is told. */
static int work(void *arg, void *slot)
{
	struct stream *s = arg;
	struct segment *seg = slot;

	if (seg->memory) {
		seg->result = 0;
	} else if (seg->padding) {
		memset(seg->data, seg->fill, seg->len);
		seg->result = 0;
	} else {
		seg->result = hyc_source_block(s->archive, seg->object, seg->block, seg->data);
	}
	return 0;
}

static int consume(void *arg, void *slot)
{
	struct stream *s = arg;
	struct segment *seg = slot;
	char where[700];

	if (seg->result) {
		s->told = true;
		hyc_source_describe(s->archive, seg->object, seg->block, where, sizeof where);
		if (seg->result == -EBADMSG)
			return hyc_fail(s->err, -EBADMSG, "%s: %s: damaged", s->archive->path, where);
		return hyc_fail_errno(s->err, seg->result, "%s: %s", s->archive->path, where);
	}
	s->sink_result = s->sink(s->arg, seg->memory ? seg->memory : seg->data + seg->skip, seg->len, s->err);
	/* Any non-zero value must stop the run. */
	return s->sink_result ? -ECANCELED : 0;
}

static void fini(void *slot)
{
	struct segment *seg = slot;

	free(seg->data);
}

int hyc_stream(struct hyc *a, uint32_t file, uint64_t off, uint64_t len, unsigned threads, hyc_sink sink, void *arg,
	       struct hyc_error *err)
{
	static const struct hyc_ordered_ops ops = { produce, work, consume, fini };
	const struct hyc_disk_file *f = &a->index.files[file];
	uint64_t size = hyc_get64(f->size), n_blocks;
	struct stream s = { .archive = a, .file = file, .off = off, .sink = sink, .arg = arg, .err = err };
	int result;

	if ((hyc_get32(f->mode) & HYC_MODE_TYPE) == HYC_MODE_DIR)
		return hyc_fail(err, -EISDIR, "%s: %s is a directory", a->path, a->index.names + hyc_get32(f->path_off));
	if (off >= size)
		return 0;
	s.end = len < size - off ? off + len : size;
	/* Small files are not worth threads. */
	n_blocks = (s.end - off) / (256 << 10) + 1;
	if (!threads)
		threads = hyc_cpu_count();
	if (threads > n_blocks)
		threads = (unsigned)n_blocks;
	result = hyc_ordered_run(threads, sizeof(struct segment), &ops, &s);
	if (s.sink_result)
		return s.sink_result;
	if (result && !s.told)
		hyc_fail_errno(err, result, "%s: cannot start decoding", a->path);
	return result;
}
