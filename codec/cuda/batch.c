/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Put batches together. Stored bytes grow from the front of the slab, with what their objects need (scales, tables of
 * pairs) between them; jobs and teams are kept aside until the batch is closed and then follow.
 */
#include "config.h"

#include "codec/cuda/cuda.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "codec/decoders.h"
#include "codec/float.h"
#include "codec/hyper.h"
#include "codec/tcq.h"
#include "format/dtype.h"

#define MAX_IDLE 64
#define PLAIN_PAIRS 32768u /* of a unit where a block of hyper has none of its own: hyper.cu says the same */

/* A growing array. */
struct list {
	void *items;
	size_t n, room;
};

struct hyc_cuda_work {
	const struct hyc_cuda_gpu *gpu;
	struct hyc_cuda_lane *lane;
	uint8_t *slab;
	size_t slab_bytes;
	size_t used, tail;         /* bytes from the front; bytes that jobs and teams will take */
	struct list jobs, teams, copies, backs, staged, grouped;
	uint32_t n_units, n_tables;
	size_t output;             /* bytes of the lane's own output */
	/* What is in the slab already of the object of the last block. */
	const void *last_object;
	uint64_t last_at;
	uint32_t pairs_bytes;      /* of the largest table of pairs */
	const uint32_t *status;
	bool running;
};

/* Decoded to the lane's output, because it is wanted elsewhere, in part, or not aligned. */
struct staged {
	uint32_t job;
	size_t at;
	struct hyc_cuda_dest dest;
};

static void *list_add(struct list *list, size_t item_bytes)
{
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		void *items = realloc(list->items, room * item_bytes);

		if (!items)
			return NULL;
		list->items = items;
		list->room = room;
	}
	return memset((char *)list->items + list->n++ * item_bytes, 0, item_bytes);
}

/* ---- lanes that nobody uses just now ---- */

static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hyc_cuda_work *idle[MAX_IDLE];
static unsigned n_idle;

static void work_free(struct hyc_cuda_work *w)
{
	if (w->lane)
		w->gpu->module->lane_free(w->lane);
	free(w->jobs.items);
	free(w->teams.items);
	free(w->copies.items);
	free(w->backs.items);
	free(w->staged.items);
	free(w->grouped.items);
	free(w);
}

static struct hyc_cuda_work *take_idle(const struct hyc_cuda_gpu *gpu)
{
	HYC_LOCK_SCOPE(&idle_lock);
	for (unsigned i = 0; i < n_idle; i++) {
		struct hyc_cuda_work *w = idle[i];

		if (w->gpu != gpu)
			continue;
		idle[i] = idle[--n_idle];
		return w;
	}
	return NULL;
}

struct hyc_cuda_work *hyc_cuda_work_take(const struct hyc_cuda_gpu *gpu)
{
	struct hyc_cuda_work *w;

	if (hyc_cuda_dead(gpu))
		return NULL;
	w = take_idle(gpu);
	return w ? w : hyc_cuda_work_new(gpu, HYC_CUDA_SLAB_BYTES);
}

struct hyc_cuda_work *hyc_cuda_work_new(const struct hyc_cuda_gpu *gpu, size_t slab_bytes)
{
	struct hyc_cuda_work *w = calloc(1, sizeof *w);
	int error;

	if (!w)
		return NULL;
	w->gpu = gpu;
	w->slab_bytes = slab_bytes;
	error = gpu->module->lane_new(gpu->device, slab_bytes, &w->lane);
	if (error) {
		(void)hyc_cuda_failed(gpu, error);
		w->lane = NULL;
		work_free(w);
		return NULL;
	}
	w->slab = gpu->module->lane_slab(w->lane);
	hyc_cuda_work_reset(w);
	return w;
}

void hyc_cuda_work_give(struct hyc_cuda_work *w)
{
	bool kept = false;

	if (!w)
		return;
	if (w->running)
		(void)hyc_cuda_work_wait(w, NULL);
	hyc_cuda_work_reset(w);
	/* What was sent to a dead device may never end, so its memory is left alone. */
	if (hyc_cuda_dead(w->gpu))
		w->lane = NULL;
	{
		HYC_LOCK_SCOPE(&idle_lock);
		if (w->lane && w->slab_bytes == HYC_CUDA_SLAB_BYTES && n_idle < MAX_IDLE) {
			idle[n_idle++] = w;
			kept = true;
		}
	}
	if (!kept)
		work_free(w);
}

int hyc_cuda_work_follow(struct hyc_cuda_work *w, void *stream)
{
	int error = w->gpu->module->lane_follow(w->lane, stream);

	return error ? hyc_cuda_failed(w->gpu, error) : 0;
}

/* ---- jobs ---- */

static int kind_of(const struct hyc_coding *coding)
{
	const struct hyc_float_layout *layout;

	switch (coding->codec) {
	case HYC_CODEC_FLOAT:
		layout = hyc_float_layout(coding->dtype);
		if (!layout)
			return -1;
		if (layout->elem_bytes == 2)
			return layout->n_fields == 2 ? HYC_CUDA_FLOAT_BF16 : HYC_CUDA_FLOAT_F16;
		return layout->elem_bytes == 4 ? HYC_CUDA_FLOAT_F32 : HYC_CUDA_FLOAT_BYTE;
	case HYC_CODEC_TCQ:
		return coding->dtype == HYC_BF16 ? HYC_CUDA_TCQ_BF16 : coding->dtype == HYC_F16 ? HYC_CUDA_TCQ_F16 : HYC_CUDA_TCQ_F32;
	case HYC_CODEC_HYPER:
		return coding->dtype == HYC_F32 ? HYC_CUDA_HYPER_8 : HYC_CUDA_HYPER_4;
	default:
		return -1;
	}
}

bool hyc_cuda_takes(const struct hyc_coding *coding)
{
	return kind_of(coding) >= 0;
}

/* Bytes of the slab the block may take, all its parts counted as large as they can be. */
static size_t most_bytes(const struct hyc_coding *coding, size_t src_len, size_t dst_len)
{
	size_t bytes = hyc_align_up(src_len, HYC_CUDA_ALIGN) + sizeof(struct hyc_cuda_job) + 8 * HYC_CUDA_ALIGN;

	/* A unit of float and hyper has 1024 elements or pairs or more; one of tcq has 4 bytes of directory. */
	bytes += sizeof(struct hyc_cuda_team) *
		 (2 + (coding->codec == HYC_CODEC_TCQ ? src_len / 4 : dst_len / 1024) / hyc_cuda_warps((uint32_t)kind_of(coding)));
	if (coding->codec == HYC_CODEC_TCQ)
		bytes += coding->params_len;
	if (coding->codec == HYC_CODEC_HYPER)
		bytes += hyc_hyper_state_bytes(coding);
	return bytes;
}

bool hyc_cuda_work_fits(const struct hyc_cuda_work *w, const struct hyc_coding *coding, size_t src_len, size_t dst_len)
{
	return w->used + w->tail + most_bytes(coding, src_len, dst_len) <= w->slab_bytes;
}

bool hyc_cuda_work_fits_copy(const struct hyc_cuda_work *w, size_t len)
{
	return len <= w->slab_bytes && w->used + w->tail + hyc_align_up(len, HYC_CUDA_ALIGN) + HYC_CUDA_ALIGN <= w->slab_bytes;
}

uint8_t *hyc_cuda_work_place(const struct hyc_cuda_work *w)
{
	return w->slab + w->used;
}

/* Put bytes of an object into the slab. Returns where. */
static uint64_t put(struct hyc_cuda_work *w, const void *bytes, size_t len)
{
	uint64_t at = w->used;

	memcpy(w->slab + at, bytes, len);
	w->used = hyc_align_up(w->used + len, HYC_CUDA_ALIGN);
	return at;
}

static int plan_float(struct hyc_cuda_job *job, const uint8_t *src, uint32_t elem_bytes)
{
	if (!job->dst_len || job->dst_len > HYC_FLOAT_MAX_BLOCK || job->dst_len % elem_bytes || !job->src_len)
		return -EBADMSG;
	job->n = job->dst_len / elem_bytes;
	job->unit_log2 = src[0];
	if (job->unit_log2 < HYC_FLOAT_MIN_UNIT_LOG2 || job->unit_log2 > HYC_FLOAT_MAX_UNIT_LOG2)
		return -EBADMSG;
	job->n_units = ((job->n - 1) >> job->unit_log2) + 1;
	return 0;
}

static int plan_tcq(struct hyc_cuda_work *w, struct hyc_cuda_job *job, const struct hyc_coding *coding)
{
	struct hyc_tcq_object object;
	uint64_t first_row, n_units;

	if (hyc_tcq_parse_params(coding, &object))
		return -EBADMSG;
	job->n = hyc_tcq_block_rows(&object, coding->pos, job->dst_len);
	if (!job->n)
		return -EBADMSG;
	first_row = coding->pos / (object.cols * object.elem_bytes);
	n_units = hyc_div_up(job->n, object.unit_rows) * hyc_div_up(object.cols, HYC_TCQ_STRIPE);
	if (4 * n_units > job->src_len)
		return -EBADMSG;
	job->n_units = (uint32_t)n_units;
	job->cols = (uint32_t)object.cols;
	job->unit_rows = object.unit_rows;
	job->step = object.step;
	job->trellis = object.trellis;
	if (object.row_scale)
		job->rows_at = put(w, object.row_scale + first_row, job->n);
	if (object.col_scale) {
		if (w->last_object != object.col_scale) {
			w->last_at = put(w, object.col_scale, object.cols);
			w->last_object = object.col_scale;
		}
		job->cols_at = w->last_at;
	}
	return 0;
}

static int plan_hyper(struct hyc_cuda_work *w, struct hyc_cuda_job *job, const struct hyc_coding *coding, const uint8_t *src)
{
	const struct hyc_hyper_state *state = coding->state;
	size_t elem_bytes = hyc_dtype_bytes(coding->dtype), n = job->dst_len / elem_bytes;
	uint64_t total;

	/* As hyc_hyper_parse has it. */
	if (!state->object.symbols || !n || job->dst_len > HYC_HYPER_MAX_BLOCK || job->dst_len % elem_bytes ||
	    coding->pos % (2 * elem_bytes) || hyc_mul_overflows(coding->rows, coding->cols, &total) ||
	    !hyc_range_ok(coding->pos / elem_bytes, n, total) || (n % 2 && coding->pos / elem_bytes + n != total) ||
	    job->src_len < HYC_HYPER_HEAD_BYTES)
		return -EBADMSG;
	job->n = (uint32_t)((n + 1) / 2);
	job->symbols = state->object.symbols;
	job->tile_log2 = state->object.tile_log2;
	if (src[0] == HYC_HYPER_RANS) {
		job->unit_log2 = src[1];
		if (job->unit_log2 < HYC_HYPER_MIN_UNIT_LOG2 || job->unit_log2 > HYC_HYPER_MAX_UNIT_LOG2)
			return -EBADMSG;
		job->n_units = ((job->n - 1) >> job->unit_log2) + 1;
	} else {
		job->n_units = (uint32_t)hyc_div_up(job->n, PLAIN_PAIRS);
	}
	/* The key tells objects apart where one's state may stand where another's stood. */
	if (w->last_object != coding->params) {
		size_t bytes = (size_t)hyc_hyper_entries(&state->object) * state->pair_bytes;

		w->last_at = put(w, state->pairs, bytes);
		w->pairs_bytes = bytes > w->pairs_bytes ? (uint32_t)bytes : w->pairs_bytes;
		w->last_object = coding->params;
	}
	job->pairs_at = w->last_at;
	return 0;
}

static uint32_t tables_of(const struct hyc_cuda_job *job)
{
	switch (job->kind) {
	case HYC_CUDA_FLOAT_BF16:
		return hyc_float_bf16.n_fields;
	case HYC_CUDA_FLOAT_F16:
		return hyc_float_f16.n_fields;
	case HYC_CUDA_FLOAT_F32:
		return hyc_float_f32.n_fields;
	case HYC_CUDA_TCQ_BF16:
	case HYC_CUDA_TCQ_F16:
	case HYC_CUDA_TCQ_F32:
		return 2;
	default:
		return 1;
	}
}

/* Where the output goes: straight there, or by the lane's own output. */
static int plan_output(struct hyc_cuda_work *w, struct hyc_cuda_job *job, uint32_t number, const struct hyc_cuda_dest *dest)
{
	struct staged *staged;

	if (dest->on_device && !dest->skip && dest->len == job->dst_len && (uintptr_t)dest->dst % HYC_CUDA_ALIGN == 0) {
		job->dst = (uint64_t)(uintptr_t)dest->dst;
		return 0;
	}
	staged = list_add(&w->staged, sizeof *staged);
	if (!staged)
		return -ENOMEM;
	*staged = (struct staged){ number, w->output, *dest };
	w->output = hyc_align_up(w->output + job->dst_len, 256);
	return 0;
}

int hyc_cuda_work_add(struct hyc_cuda_work *w, const struct hyc_coding *coding, size_t src_len, size_t dst_len,
		      const struct hyc_cuda_dest *dest)
{
	const uint8_t *src = w->slab + w->used;
	size_t n_teams, n_warps, before = w->used;
	struct hyc_cuda_job job = {
		.src = w->used, .src_len = (uint32_t)src_len, .dst_len = (uint32_t)dst_len, .kind = (uint32_t)kind_of(coding),
		.first_unit = w->n_units, .first_table = w->n_tables,
	}, *added;
	int result;

	w->used = hyc_align_up(w->used + src_len, HYC_CUDA_ALIGN);
	if (coding->codec == HYC_CODEC_FLOAT)
		result = plan_float(&job, src, hyc_float_layout(coding->dtype)->elem_bytes);
	else if (coding->codec == HYC_CODEC_TCQ)
		result = plan_tcq(w, &job, coding);
	else
		result = plan_hyper(w, &job, coding, src);
	if (!result) {
		added = list_add(&w->jobs, sizeof *added);
		result = added ? plan_output(w, &job, (uint32_t)w->jobs.n - 1, dest) : -ENOMEM;
	}
	if (result) {
		w->used = before;
		w->last_object = NULL;
		return result;
	}
	*added = job;
	n_warps = hyc_cuda_warps(job.kind);
	n_teams = hyc_div_up(job.n_units, n_warps);
	for (size_t i = 0; i < n_teams; i++) {
		struct hyc_cuda_team *team = list_add(&w->teams, sizeof *team);

		if (!team)
			return -ENOMEM;
		*team = (struct hyc_cuda_team){ (uint32_t)w->jobs.n - 1, (uint32_t)(i * n_warps) };
	}
	w->n_units += job.n_units;
	w->n_tables += tables_of(&job);
	w->tail += sizeof job + n_teams * sizeof(struct hyc_cuda_team);
	return (int)w->jobs.n - 1;
}

int hyc_cuda_work_copy(struct hyc_cuda_work *w, size_t taken, size_t skip, size_t len, void *dst)
{
	struct hyc_cuda_copy *copy = list_add(&w->copies, sizeof *copy);

	if (!copy)
		return -ENOMEM;
	*copy = (struct hyc_cuda_copy){ w->used + skip, (uint64_t)(uintptr_t)dst, len };
	w->used = hyc_align_up(w->used + taken, HYC_CUDA_ALIGN);
	return 0;
}

/* ---- from the batch to the device ---- */

/* Teams of a kind must stand together. */
static int group_teams(struct hyc_cuda_work *w, struct hyc_cuda_batch *batch)
{
	const struct hyc_cuda_job *jobs = w->jobs.items;
	const struct hyc_cuda_team *teams = w->teams.items;
	uint32_t next[HYC_CUDA_KINDS];
	struct hyc_cuda_team *to = (struct hyc_cuda_team *)(w->slab + batch->teams_at);

	for (size_t i = 0; i < w->teams.n; i++)
		batch->n_teams[jobs[teams[i].job].kind]++;
	for (unsigned k = 1; k < HYC_CUDA_KINDS; k++)
		batch->first_team[k] = batch->first_team[k - 1] + batch->n_teams[k - 1];
	memcpy(next, batch->first_team, sizeof next);
	for (size_t i = 0; i < w->teams.n; i++)
		to[next[jobs[teams[i].job].kind]++] = teams[i];
	return 0;
}

static int resolve_staged(struct hyc_cuda_work *w)
{
	const struct staged *staged = w->staged.items;
	struct hyc_cuda_job *jobs = w->jobs.items;
	uint64_t base = 0;
	int error = w->output ? w->gpu->module->lane_output(w->lane, w->output, &base) : 0;

	for (size_t i = 0; i < w->staged.n && !error; i++) {
		struct hyc_cuda_back *back = list_add(&w->backs, sizeof *back);

		if (!back)
			return -ENOMEM;
		jobs[staged[i].job].dst = base + staged[i].at;
		*back = (struct hyc_cuda_back){
			base + staged[i].at + staged[i].dest.skip, staged[i].dest.dst, staged[i].dest.len, !staged[i].dest.on_device,
		};
	}
	return error ? hyc_cuda_failed(w->gpu, error) : 0;
}

int hyc_cuda_work_submit(struct hyc_cuda_work *w, uint32_t repeat)
{
	struct hyc_cuda_batch batch = {
		.n_jobs = (uint32_t)w->jobs.n, .n_units = w->n_units, .n_tables = w->n_tables, .pairs_bytes = w->pairs_bytes,
		.repeat = repeat,
		.jobs_at = hyc_align_up(w->used, HYC_CUDA_ALIGN),
	};
	int result, error;

	if (!w->jobs.n && !w->copies.n)
		return 0;
	if (hyc_cuda_dead(w->gpu))
		return -EIO;
	result = resolve_staged(w);
	if (result)
		return result;
	if (w->jobs.n)
		memcpy(w->slab + batch.jobs_at, w->jobs.items, w->jobs.n * sizeof(struct hyc_cuda_job));
	batch.teams_at = batch.jobs_at + w->jobs.n * sizeof(struct hyc_cuda_job);
	group_teams(w, &batch);
	batch.used = batch.teams_at + w->teams.n * sizeof(struct hyc_cuda_team);
	batch.copies = w->copies.items;
	batch.n_copies = (uint32_t)w->copies.n;
	batch.backs = w->backs.items;
	batch.n_backs = (uint32_t)w->backs.n;
	error = w->gpu->module->submit(w->lane, &batch);
	w->running = true;
	if (!error)
		return 0;
	result = hyc_cuda_failed(w->gpu, error);
	/* What had been started already must not come after what the processor does instead. */
	if (result == -ENOMEM && hyc_cuda_work_wait(w, NULL))
		result = -EIO;
	return result;
}

int hyc_cuda_work_wait(struct hyc_cuda_work *w, double *seconds)
{
	int error;

	if (!w->running)
		return 0;
	w->running = false;
	error = w->gpu->module->wait(w->lane, &w->status, seconds);
	if (error)
		(void)hyc_cuda_failed(w->gpu, error);
	return error || hyc_cuda_dead(w->gpu) ? -EIO : 0;
}

bool hyc_cuda_work_bad(const struct hyc_cuda_work *w, uint32_t i)
{
	return w->status[i] != 0;
}

void hyc_cuda_work_reset(struct hyc_cuda_work *w)
{
	w->jobs.n = w->teams.n = w->copies.n = w->backs.n = w->staged.n = 0;
	w->n_units = w->n_tables = w->pairs_bytes = 0;
	w->output = w->tail = 0;
	/* Offset 0 stands for no scales. */
	w->used = HYC_CUDA_ALIGN;
	w->tail = 4 * HYC_CUDA_ALIGN;
	w->last_object = NULL;
}
