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

struct segment {
	struct hyc_piece piece;
	int result;
	uint8_t *data; /* the decoded block, or the padding */
	size_t room;
};

static int produce(void *arg, void *slot)
{
	struct stream *s = arg;
	struct segment *seg = slot;
	struct hyc_piece *piece = &seg->piece;
	size_t need = 0;

	if (s->off >= s->end)
		return 0;
	hyc_piece_at(s->archive, s->file, s->off, piece);
	if (piece->len > s->end - s->off)
		piece->len = (uint32_t)(s->end - s->off);
	if (hyc_piece_has_block(piece))
		need = hyc_object_block_bytes(&s->archive->index.objects[piece->object], piece->block);
	else if (piece->padding) /* of which there is at most HYC_MAX_PADDING */
		need = piece->len;
	s->off += piece->len;
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

	seg->result = 0;
	if (hyc_piece_has_block(&seg->piece))
		seg->result = hyc_source_block(s->archive, seg->piece.object, seg->piece.block, seg->data);
	else if (seg->piece.padding)
		memset(seg->data, seg->piece.fill, seg->piece.len);
	return 0;
}

static int consume(void *arg, void *slot)
{
	struct stream *s = arg;
	struct segment *seg = slot;
	const struct hyc_piece *piece = &seg->piece;
	char where[700];

	if (seg->result) {
		s->told = true;
		hyc_source_describe(s->archive, piece->object, piece->block, where, sizeof where);
		if (seg->result == -EBADMSG)
			return hyc_fail(s->err, -EBADMSG, "%s: %s: damaged", s->archive->path, where);
		return hyc_fail_errno(s->err, seg->result, "%s: %s", s->archive->path, where);
	}
	s->sink_result = s->sink(s->arg, piece->memory ? piece->memory : seg->data + piece->skip, piece->len, s->err);
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
