/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small sister of the pipeline: the same order and the same bounds on memory, but nothing
 * is written. A file is open from its first block to the one that follows its last.
 */
#include "config.h"

#include "pack/walk.h"

#include "base/ordered.h"
#include "pack/pipeline.h"

#include <errno.h>
#include <stdlib.h>

struct slot {
	struct hyc_walk_block block;
	struct hyc_entry *entry;
	uint8_t *src; /* room bytes, owned */
	size_t room;
	void (*release)(void *kept);
	struct hyc_error error;
};

struct walk {
	struct hyc_lossy *lossy;
	struct hyc_scan *scan;
	const struct hyc_walk_ops *ops;
	void *arg;
	struct hyc_error *err;
	/* what to produce next */
	size_t tensor;
	uint64_t off;
	struct hyc_entry *opened, *taken; /* the last ones */
};

/* Step to the next block that is wanted. */
static bool next_block(struct walk *w, struct hyc_walk_block *b)
{
	while (w->tensor < w->lossy->n) {
		struct hyc_lossy_tensor *t = &w->lossy->tensors[w->tensor];
		uint64_t rest = t->piece->len - w->off;

		if (t->left_out || !rest) {
			w->tensor++;
			w->off = 0;
			continue;
		}
		b->tensor = t;
		b->off = w->off;
		b->len = rest < t->how.block_bytes ? (size_t)rest : t->how.block_bytes;
		w->off += b->len;
		if (!w->ops->wanted || w->ops->wanted(w->arg, t, b->off))
			return true;
	}
	return false;
}

static int produce(void *arg, void *slot)
{
	struct walk *w = arg;
	struct slot *s = slot;

	if (!next_block(w, &s->block))
		return 0;
	s->release = w->ops->release;
	s->entry = &w->scan->entries[s->block.tensor->entry];
	s->error.code = 0;
	if (s->entry != w->opened) {
		w->opened = s->entry;
		/* A failure travels in its slot, so that the first in the order of the input is told. */
		s->error.code = hyc_entry_open(s->entry, &s->error);
	}
	return 1;
}

static int read_block(struct slot *s, struct hyc_error *err)
{
	if (s->room < s->block.len) {
		free(s->src);
		s->src = malloc(s->block.len);
		s->room = s->src ? s->block.len : 0;
	}
	if (!s->src)
		return hyc_fail(err, -ENOMEM, "not enough memory for a block");
	s->block.src = s->src;
	return hyc_entry_read(s->entry, s->block.tensor->piece, s->block.off, s->src, s->block.len, err);
}

static int work(void *arg, void *slot)
{
	struct walk *w = arg;
	struct slot *s = slot;

	if (s->error.code || read_block(s, &s->error))
		return 0;
	if (w->ops->work(w->arg, &s->block))
		hyc_fail(&s->error, -ENOMEM, "not enough memory to look at a block");
	return 0;
}

/* All blocks of the files before that of the last one taken have been taken. */
static int leave(struct walk *w, struct hyc_entry *next)
{
	struct hyc_entry *last = w->taken;

	w->taken = next;
	return last && last != next ? hyc_entry_close(last, w->err) : 0;
}

static int consume(void *arg, void *slot)
{
	struct walk *w = arg;
	struct slot *s = slot;
	int failed = leave(w, s->entry);

	if (failed)
		return failed;
	if (s->error.code)
		return hyc_fail(w->err, s->error.code, "%s", s->error.msg);
	w->ops->take(w->arg, &s->block);
	return 0;
}

static void fini_slot(void *slot)
{
	struct slot *s = slot;

	free(s->src);
	if (s->release)
		s->release(s->block.kept);
}

int hyc_walk(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
	     const struct hyc_walk_ops *ops, void *arg, struct hyc_error *err)
{
	static const struct hyc_ordered_ops ordered = {
		.produce = produce, .work = work, .consume = consume, .fini = fini_slot,
	};
	struct hyc_error failure = { 0 };
	struct walk w = { .lossy = lossy, .scan = scan, .ops = ops, .arg = arg, .err = &failure };
	int failed = hyc_ordered_run(hyc_pack_threads(options), sizeof(struct slot), &ordered, &w);

	if (!failed)
		failed = leave(&w, NULL);
	if (failure.code)
		return hyc_fail(err, failure.code, "%s", failure.msg);
	if (failed)
		return hyc_fail_errno(err, failed, "the threads that pack cannot be started");
	return 0;
}
