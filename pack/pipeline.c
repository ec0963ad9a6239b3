/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slot of the pipeline is one block: produced (which file, which bytes), worked on by
 * any thread (read, encode, decode again and compare, digests), consumed in order. So the
 * archive does not depend on the number of threads, and memory holds the slots' blocks
 * only, however large a file is. A failure travels in its slot and becomes the error of
 * the run when it is consumed: the first in the order of the input, also on many threads.
 */
#include "config.h"

#include "pack/pipeline.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/ordered.h"
#include "format/dtype.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* A slot may keep a file open, and threads beyond this gain nothing. */
#define MAX_THREADS 256u

struct slot {
	struct hyc_packed block;
	const struct hyc_entry *entry;
	uint8_t *src, *dst, *shown; /* room bytes each, owned; shown is there for lossy blocks only */
	size_t room;
	struct hyc_error error;
};

struct pipeline {
	struct hyc_scan *scan;
	const struct hyc_pack_options *options;
	struct hyc_assembly *assembly;
	struct hyc_error *err;
	/* what to produce next */
	size_t entry, piece;
	uint64_t off;
	struct hyc_piece_coding how;
	/* what was consumed */
	struct hyc_tell *tell;
};

unsigned hyc_pack_threads(const struct hyc_pack_options *options)
{
	unsigned threads = options->threads ? options->threads : hyc_cpu_count();

	return threads < MAX_THREADS ? threads : MAX_THREADS;
}

static int open_entry(struct hyc_entry *e, struct hyc_error *err)
{
	int failed = hyc_entry_open(e, err);

	if (!failed)
		posix_fadvise(e->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return failed;
}

/* The next piece with bytes, from piece i on. */
static size_t next_piece(const struct hyc_plan *plan, size_t i)
{
	while (i < plan->n_pieces && plan->pieces[i].len == 0)
		i++;
	return i;
}

/* Describe the next block of the file of an entry, and step behind it. */
static int produce_block(struct pipeline *p, struct hyc_entry *e, struct hyc_packed *b, struct hyc_error *err)
{
	const struct hyc_piece *piece = &e->plan.pieces[p->piece];
	uint64_t rest = piece->len - p->off;
	int failed = 0;

	if (b->first_of_entry)
		failed = open_entry(e, err);
	if (failed)
		return failed;
	if (p->off == 0) {
		failed = hyc_piece_coding_choose(piece, p->options->codec, e->fd, &p->how);
		if (failed)
			return hyc_fail_errno(err, failed, "%s: cannot be read", e->shown);
	}
	b->piece = piece;
	b->lossy = hyc_piece_coding_lossy(&p->how);
	b->how = p->how;
	b->how.coding.pos = p->off;
	b->off = p->off;
	b->len = rest < p->how.block_bytes ? (uint32_t)rest : p->how.block_bytes;
	b->last_of_piece = b->len == rest;
	p->off += b->len;
	if (b->last_of_piece) {
		p->piece = next_piece(&e->plan, p->piece + 1);
		p->off = 0;
	}
	return 0;
}

static int produce(void *arg, void *slot)
{
	struct pipeline *p = arg;
	struct slot *s = slot;
	struct hyc_entry *e;

	if (p->entry == p->scan->n_entries)
		return 0;
	e = &p->scan->entries[p->entry];
	s->entry = e;
	s->error.code = 0;
	s->block = (struct hyc_packed) { .entry = p->entry, .first_of_entry = p->piece == 0 && p->off == 0 };
	if (e->plan.n_pieces && produce_block(p, e, &s->block, &s->error)) {
		p->entry = p->scan->n_entries;
		return 1;
	}
	if (p->piece == e->plan.n_pieces) {
		s->block.last_of_entry = true;
		p->entry++;
		p->piece = 0;
	}
	return 1;
}

static int make_room(struct slot *s, size_t len, bool lossy)
{
	if (s->room < len) {
		free(s->src);
		free(s->dst);
		free(s->shown);
		s->src = malloc(len);
		s->dst = malloc(len);
		s->shown = NULL;
		s->room = s->src && s->dst ? len : 0;
	}
	if (s->room && lossy && !s->shown)
		s->shown = malloc(s->room);
	return s->room && (!lossy || s->shown) ? 0 : -ENOMEM;
}

/* What was encoded must decode to what the digests are about, or it is not written. */
static int check_encoded(const struct slot *s, struct hyc_error *err)
{
	const struct hyc_packed *b = &s->block;
	cleanup_free uint8_t *decoded = malloc(b->len);
	int failed;

	if (!decoded)
		return hyc_fail(err, -ENOMEM, "not enough memory to check a block");
	failed = hyc_block_decode(&b->how.coding, b->stored, b->stored_len, decoded, b->len);
	if (failed == -ENOMEM)
		return hyc_fail(err, -ENOMEM, "not enough memory to check a block");
	if (failed || memcmp(decoded, b->shown, b->len))
		return hyc_fail(err, -EIO,
				"%s: internal error: the block at byte %" PRIu64
				" does not decode to what was packed; please report it",
				s->entry->shown, b->piece->off + b->off);
	return 0;
}

static int read_block(struct slot *s, struct hyc_error *err)
{
	const struct hyc_packed *b = &s->block;

	if (make_room(s, b->len, b->lossy))
		return hyc_fail(err, -ENOMEM, "not enough memory for a block");
	return hyc_entry_read(s->entry, b->piece, b->off, s->src, b->len, err);
}

/* Make of what was read what is to be stored and what will be shown. */
static int encode_block(struct slot *s, struct hyc_error *err)
{
	struct hyc_packed *b = &s->block;
	ssize_t n = hyc_piece_encode(&b->how, s->src, b->len, s->dst, s->shown, &b->loss);

	if (n == -EDOM)
		return hyc_fail(err, -EINVAL,
				"%s: was changed while it was packed; pack again when nothing writes to it",
				s->entry->shown);
	if (n < 0)
		return hyc_fail(err, (int)n, n == -ENOMEM ? "not enough memory to encode a block" :
				"internal error: a block was refused by its encoder; please report it");
	b->shown = b->lossy ? s->shown : s->src;
	b->stored_len = (uint32_t)n;
	b->stored = b->stored_len < b->len ? s->dst : b->shown;
	if (b->stored_len < b->len) {
		int failed = check_encoded(s, err);

		if (failed)
			return failed;
	}
	b->stored_hash = hyc_hash64(b->stored, b->stored_len);
	b->crc32 = (uint32_t)crc32(0, b->shown, b->len);
	return 0;
}

static int work_block(struct slot *s, struct hyc_error *err)
{
	int failed = read_block(s, err);

	return failed ? failed : encode_block(s, err);
}

/* Checksums of what was coded with loss are known by now: blocks come in order, and those that hold them come later. */
static int patch_block(struct slot *s, struct hyc_error *err)
{
	struct hyc_packed *b = &s->block;

	if (!b->piece || b->piece->dtype != HYC_BYTES)
		return 0;
	b->patched = hyc_plan_patch(&s->entry->plan, b->piece->off + b->off, s->src, b->len);
	return b->patched ? encode_block(s, err) : 0;
}

static int work(void *arg, void *slot)
{
	struct slot *s = slot;

	(void)arg;
	if (!s->error.code && s->block.piece)
		work_block(s, &s->error);
	return 0;
}

static int consume(void *arg, void *slot)
{
	struct pipeline *p = arg;
	struct slot *s = slot;
	int failed;

	if (s->error.code)
		return hyc_fail(p->err, s->error.code, "%s", s->error.msg);
	failed = patch_block(s, p->err);
	if (!failed)
		failed = hyc_assembly_take(p->assembly, &s->block, p->err);
	if (failed)
		return failed;
	hyc_tell(p->tell, s->block.len);
	return 0;
}

static void fini_slot(void *slot)
{
	struct slot *s = slot;

	free(s->src);
	free(s->dst);
	free(s->shown);
}

int hyc_pipeline_run(struct hyc_scan *scan, struct hyc_writer *writer, const struct hyc_pack_options *options,
		     struct hyc_tell *tell, struct hyc_packed_sums *sums, struct hyc_error *err)
{
	static const struct hyc_ordered_ops ops = {
		.produce = produce, .work = work, .consume = consume, .fini = fini_slot,
	};
	struct hyc_error failure = { 0 };
	struct pipeline p = { .scan = scan, .options = options, .err = &failure, .tell = tell };
	int failed = hyc_assembly_new(scan, writer, &p.assembly);

	if (failed)
		return hyc_fail(err, failed, "not enough memory to pack");
	failed = hyc_ordered_run(hyc_pack_threads(options), sizeof(struct slot), &ops, &p);
	*sums = *hyc_assembly_sums(p.assembly);
	hyc_assembly_free(p.assembly);
	if (failure.code)
		return hyc_fail(err, failure.code, "%s", failure.msg);
	if (failed)
		return hyc_fail_errno(err, failed, "the threads that pack cannot be started");
	return 0;
}
