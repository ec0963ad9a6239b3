/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads to memory of a CUDA device. Each thread has two lanes: while one is copied over and decoded, the other one's pinned
 * slab is filled from the archive, and hashes are checked, so that nothing unchecked is sent. What the device has no memory for is
 * decoded by the processor and copied without a lane.
 */
#include "config.h"

#include "archive/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LANES 2
#define MAX_ITEMS 512

/* A piece in a batch. */
struct item {
	const struct hyc_load_piece *piece;
	int job; /* its number there; negative: it is only copied */
};

struct lane {
	struct hyc_cuda_work *work;
	struct item items[MAX_ITEMS];
	unsigned n;
};

struct worker {
	struct hyc_load *load;
	struct lane lanes[LANES];
	/* What the codec has built for the last object. */
	void *state;
	uint64_t state_key;
	/* A block that does not go through a lane. */
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

/* Decode a block here, and copy what is wanted of it without a lane. */
static int by_processor(struct worker *w, const struct hyc_load_piece *piece)
{
	struct hyc_load *load = w->load;
	uint32_t len = hyc_load_decoded(load, piece);
	int result;

	if (w->block_room < len) {
		free(w->block);
		w->block = malloc(len);
		w->block_room = w->block ? len : 0;
	}
	result = w->block ? hyc_load_block(load, piece, w->block) : -ENOMEM;
	if (result) {
		hyc_load_fail(load, piece, result);
		return result;
	}
	result = hyc_cuda_upload(load->gpu, piece->dst, w->block + piece->skip, piece->len, load->options.stream);
	if (result)
		hyc_load_fail(load, NULL, result);
	else
		hyc_load_progress(load, piece->len);
	return result;
}

static void forget(struct lane *lane)
{
	hyc_cuda_work_reset(lane->work);
	lane->n = 0;
}

/* Wait for a lane's batch, and make room for the next one. */
static int finish(struct worker *w, struct lane *lane)
{
	int result = hyc_cuda_work_wait(lane->work, NULL);
	uint64_t bytes = 0;

	if (result)
		hyc_load_fail(w->load, NULL, result);
	/* What was not even submitted for an error is not judged. */
	for (unsigned i = 0; i < lane->n && !result && !atomic_load(&w->load->result); i++) {
		const struct item *item = &lane->items[i];

		bytes += item->piece->len;
		if (item->job >= 0 && hyc_cuda_work_bad(lane->work, (uint32_t)item->job)) {
			result = hyc_source_malformed(w->load->archive, item->piece->object, item->piece->block);
			hyc_load_fail(w->load, item->piece, result);
		}
	}
	if (bytes && !result)
		hyc_load_progress(w->load, bytes);
	forget(lane);
	return result;
}

/* Submit a lane's batch. One that has no memory there is decoded here. */
static int submit(struct worker *w, struct lane *lane)
{
	int result = hyc_cuda_work_submit(lane->work, 0);

	if (result != -ENOMEM) {
		if (result)
			hyc_load_fail(w->load, NULL, result);
		return result;
	}
	hyc_cuda_tell(w->load->gpu);
	result = 0;
	for (unsigned i = 0; i < lane->n && !result; i++)
		result = by_processor(w, lane->items[i].piece);
	forget(lane);
	return result;
}

/* 1: added, or done; 0: the batch is full; or an error. */
static int add(struct worker *w, struct lane *lane, const struct hyc_load_piece *piece)
{
	uint32_t stored = hyc_load_stored(w->load, piece), len = hyc_load_decoded(w->load, piece);
	struct hyc_coding coding = hyc_load_coding(w->load, piece);
	bool decoded_there = stored != len && hyc_cuda_takes(&coding);
	bool fits = decoded_there ? hyc_cuda_work_fits(lane->work, &coding, stored, len) : hyc_cuda_work_fits_copy(lane->work, len);
	struct hyc_cuda_dest dest = { piece->dst, piece->skip, piece->len, true };
	uint8_t *place = hyc_cuda_work_place(lane->work);
	int result, job = -1;

	if (!fits || lane->n == MAX_ITEMS) {
		if (lane->n)
			return 0;
		result = by_processor(w, piece);
		return result ? result : 1;
	}
	if (decoded_there) {
		result = hyc_source_stored(w->load->archive, piece->object, piece->block, place);
		if (!result)
			result = build_state(w, &coding);
		if (!result)
			result = job = hyc_cuda_work_add(lane->work, &coding, stored, len, &dest);
		if (job == -EBADMSG)
			hyc_source_malformed(w->load->archive, piece->object, piece->block);
	} else {
		result = hyc_load_block(w->load, piece, place);
		if (!result)
			result = hyc_cuda_work_copy(lane->work, len, piece->skip, piece->len, piece->dst);
	}
	if (result < 0) {
		hyc_load_fail(w->load, piece, result);
		return result;
	}
	lane->items[lane->n++] = (struct item){ piece, job };
	return 1;
}

/* As many lanes as there is memory for, maybe none. */
static int start_lanes(struct worker *w)
{
	for (unsigned i = 0; i < LANES; i++) {
		int result;

		w->lanes[i].work = hyc_cuda_work_take(w->load->gpu);
		if (!w->lanes[i].work)
			return hyc_cuda_dead(w->load->gpu) ? -EIO : 0;
		result = hyc_cuda_work_follow(w->lanes[i].work, w->load->options.stream);
		if (result)
			return result;
	}
	return 0;
}

static void through_lanes(struct worker *w)
{
	const struct hyc_load_piece *piece = hyc_load_next(w->load);
	unsigned turn = 0;
	int result = 0;

	while (piece && !result) {
		struct lane *lane = &w->lanes[w->lanes[1].work ? turn++ % LANES : 0];
		int added = 1;

		result = finish(w, lane);
		while (!result && piece && (added = add(w, lane, piece)) == 1)
			piece = hyc_load_next(w->load);
		if (added < 0)
			result = added;
		if (!result)
			result = submit(w, lane);
	}
	for (unsigned i = 0; i < LANES && w->lanes[i].work; i++)
		(void)finish(w, &w->lanes[i]);
}

static void without_lanes(struct worker *w)
{
	const struct hyc_load_piece *piece;
	int result = 0;

	hyc_cuda_tell(w->load->gpu);
	while (!result && (piece = hyc_load_next(w->load)))
		result = by_processor(w, piece);
}

void hyc_load_to_device(struct hyc_load *load)
{
	struct worker *w = calloc(1, sizeof *w);
	int result;

	if (!w) {
		hyc_load_fail(load, NULL, -ENOMEM);
		return;
	}
	w->load = load;
	result = start_lanes(w);
	if (result)
		hyc_load_fail(load, NULL, result);
	else if (w->lanes[0].work)
		through_lanes(w);
	else
		without_lanes(w);
	for (unsigned i = 0; i < LANES; i++)
		hyc_cuda_work_give(w->lanes[i].work);
	free(w->state);
	free(w->block);
	free(w);
}
