/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads to memory of a CUDA device. Each thread has two lanes: while one is copied over and decoded, the other one's pinned
 * slab is filled from the archive, and hashes are checked, so that nothing unchecked is sent.
 */
#include "config.h"

#include "archive/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LANES 2
#define MAX_JOBS 512

/* A lane, and which pieces the jobs of its batch are. */
struct lane {
	struct hyc_cuda_work *work;
	const struct hyc_load_piece *job[MAX_JOBS];
	unsigned n_jobs;
	uint64_t bytes;
};

struct worker {
	struct hyc_load *load;
	struct lane lanes[LANES];
	/* What the codec has built for the last object. */
	void *state;
	uint64_t state_key;
	/* A block that is decoded by the processor and does not fit into a slab. */
	uint8_t *block;
	size_t block_room;
};

/* -ENOMEM. */
static int build_state(struct worker *w, struct hyc_coding *coding)
{
	const struct hyc_codec *codec = hyc_codec_get(coding->codec);

	if (!codec->build)
		return 0;
	if (w->state_key != coding->key) {
		free(w->state);
		w->state_key = 0;
		w->state = malloc(codec->state_bytes(coding));
		if (!w->state)
			return -ENOMEM;
		codec->build(coding, w->state);
		w->state_key = coding->key;
	}
	coding->state = w->state;
	return 0;
}

/* Wait for a lane's batch, and make room for the next one. */
static int finish(struct worker *w, struct lane *lane)
{
	int result = hyc_cuda_work_wait(lane->work, NULL);

	/* What was not even submitted for an error is not judged. */
	for (unsigned i = 0; i < lane->n_jobs && !result && !atomic_load(&w->load->result); i++) {
		const struct hyc_load_piece *piece = lane->job[i];

		if (hyc_cuda_work_bad(lane->work, i)) {
			result = hyc_source_malformed(w->load->archive, piece->object, piece->block);
			hyc_load_fail(w->load, piece, result);
		}
	}
	if (result)
		hyc_load_fail(w->load, NULL, result);
	else if (lane->bytes)
		hyc_load_progress(w->load, lane->bytes);
	hyc_cuda_work_reset(lane->work);
	lane->n_jobs = 0;
	lane->bytes = 0;
	return result;
}

static int flush(struct worker *w, struct lane *lane)
{
	int result = hyc_cuda_work_submit(lane->work, 0);

	return result ? result : finish(w, lane);
}

/* A block that the processor decodes, or that is stored as it is: copied as far as it is wanted. */
static int add_plain(struct worker *w, struct lane *lane, const struct hyc_load_piece *piece)
{
	uint32_t len = hyc_load_decoded(w->load, piece), done = 0;
	int result;

	if (hyc_cuda_work_fits_copy(lane->work, len)) {
		result = hyc_load_block(w->load, piece, hyc_cuda_work_place(lane->work));
		return result ? result : hyc_cuda_work_copy(lane->work, len, piece->skip, piece->len, piece->dst);
	}
	if (w->block_room < len) {
		free(w->block);
		w->block = malloc(len);
		w->block_room = w->block ? len : 0;
	}
	if (!w->block)
		return -ENOMEM;
	result = hyc_load_block(w->load, piece, w->block);
	while (!result && done < piece->len) {
		uint32_t n = piece->len - done < 1u << 20 ? piece->len - done : 1u << 20;

		if (!hyc_cuda_work_fits_copy(lane->work, n)) {
			result = flush(w, lane);
			continue;
		}
		memcpy(hyc_cuda_work_place(lane->work), w->block + piece->skip + done, n);
		result = hyc_cuda_work_copy(lane->work, n, 0, n, piece->dst + done);
		done += n;
	}
	return result;
}

/* 1: added; 0: the batch is full; or an error. */
static int add(struct worker *w, struct lane *lane, const struct hyc_load_piece *piece)
{
	uint32_t stored = hyc_load_stored(w->load, piece), len = hyc_load_decoded(w->load, piece);
	struct hyc_coding coding = hyc_load_coding(w->load, piece);
	struct hyc_cuda_dest dest = { piece->dst, piece->skip, piece->len, true };
	bool empty = !lane->bytes;
	int result;

	if (stored == len || !hyc_cuda_takes(&coding)) {
		if (!hyc_cuda_work_fits_copy(lane->work, len) && !empty)
			return 0;
		result = add_plain(w, lane, piece);
	} else if (!hyc_cuda_work_fits(lane->work, &coding, stored, len) || lane->n_jobs == MAX_JOBS) {
		if (!empty)
			return 0;
		result = add_plain(w, lane, piece);
	} else {
		result = hyc_source_stored(w->load->archive, piece->object, piece->block, hyc_cuda_work_place(lane->work));
		if (!result)
			result = build_state(w, &coding);
		if (!result) {
			result = hyc_cuda_work_add(lane->work, &coding, stored, len, &dest);
			if (result == -EBADMSG)
				hyc_source_malformed(w->load->archive, piece->object, piece->block);
		}
		if (result >= 0)
			lane->job[lane->n_jobs++] = piece;
	}
	if (result < 0) {
		hyc_load_fail(w->load, piece, result);
		return result;
	}
	lane->bytes += piece->len;
	return 1;
}

static int start_lanes(struct worker *w)
{
	for (unsigned i = 0; i < LANES; i++) {
		w->lanes[i].work = hyc_cuda_work_take(w->load->gpu);
		if (!w->lanes[i].work) {
			/* One lane is slower, but enough. */
			if (i)
				break;
			return -ENOMEM;
		}
		if (hyc_cuda_work_follow(w->lanes[i].work, w->load->options.stream))
			return -EIO;
	}
	return 0;
}

void hyc_load_to_device(struct hyc_load *load)
{
	struct worker *w = calloc(1, sizeof *w);
	const struct hyc_load_piece *piece = NULL;
	int result = w ? 0 : -ENOMEM;
	unsigned turn = 0;

	if (!result) {
		w->load = load;
		result = start_lanes(w);
	}
	if (result)
		hyc_load_fail(load, NULL, result);
	if (!result)
		piece = hyc_load_next(load);
	while (piece && !result) {
		struct lane *lane = &w->lanes[w->lanes[1].work ? turn++ % LANES : 0];
		int added = 1;

		result = finish(w, lane);
		while (!result && piece && (added = add(w, lane, piece)) == 1)
			piece = hyc_load_next(load);
		if (added < 0)
			result = added;
		if (!result) {
			result = hyc_cuda_work_submit(lane->work, 0);
			if (result)
				hyc_load_fail(load, NULL, result);
		}
	}
	for (unsigned i = 0; w && i < LANES; i++) {
		if (!w->lanes[i].work)
			continue;
		(void)finish(w, &w->lanes[i]);
		hyc_cuda_work_give(w->lanes[i].work);
	}
	if (w) {
		free(w->state);
		free(w->block);
	}
	free(w);
}
