/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module without a GPU: the same table of functions as hyc_cuda.so, over kernels that coroutines run. Device memory is
 * host memory, of just the size that was asked for, so that AddressSanitizer sees what a kernel does beyond it. It has one
 * device, whose lanes take turns.
 */
#include "config.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "codec/cuda/inject.h"
#include "codec/cuda/kernels.h"
#include "codec/half.h"

#define MAX_THREADS 512
#define STACK_BYTES ((size_t)64 << 10)

struct emulate_index {
	unsigned x;
};

struct emulate_index emulate_thread, emulate_block, emulate_size;
void emulate_run(unsigned grid, unsigned threads, void (*call)(void *), void *arg);
void emulate_team_barrier(void);
const uint32_t *emulate_exchange(uint32_t value);
uint16_t emulate_round(int half, float f);

enum wait { RUNS, AT_WARP, AT_TEAM, ENDED };

static ucontext_t scheduler, contexts[MAX_THREADS];
static enum wait waits[MAX_THREADS];
static uint32_t brought[MAX_THREADS], given[MAX_THREADS];
static char *stacks;
static void (*running_call)(void *);
static void *running_arg;

static void thread_main(void)
{
	running_call(running_arg);
	waits[emulate_thread.x] = ENDED;
	swapcontext(&contexts[emulate_thread.x], &scheduler);
}

static void stop_at(enum wait wait)
{
	unsigned t = emulate_thread.x;

	waits[t] = wait;
	swapcontext(&contexts[t], &scheduler);
}

void emulate_team_barrier(void)
{
	stop_at(AT_TEAM);
}

const uint32_t *emulate_exchange(uint32_t value)
{
	brought[emulate_thread.x] = value;
	stop_at(AT_WARP);
	return &given[emulate_thread.x / 32 * 32];
}

uint16_t emulate_round(int half, float f)
{
	return half ? hyc_float_to_f16(f) : hyc_float_to_bf16(f);
}

/* All of [from, to) wait like this, or have ended where that is allowed. */
static bool all_wait(unsigned from, unsigned to, enum wait wait, bool or_ended)
{
	bool any = false;

	for (unsigned t = from; t < to; t++) {
		if (waits[t] == wait)
			any = true;
		else if (waits[t] != ENDED || !or_ended)
			return false;
	}
	return any;
}

static void release(unsigned from, unsigned to)
{
	memcpy(given + from, brought + from, (to - from) * sizeof given[0]);
	for (unsigned t = from; t < to; t++)
		if (waits[t] != ENDED)
			waits[t] = RUNS;
}

static bool resume(unsigned threads)
{
	bool ran = false;

	for (unsigned t = 0; t < threads; t++) {
		if (waits[t] != RUNS)
			continue;
		ran = true;
		emulate_thread.x = t;
		swapcontext(&scheduler, &contexts[t]);
	}
	return ran;
}

static void run_team(unsigned threads)
{
	for (unsigned t = 0; t < threads; t++) {
		getcontext(&contexts[t]);
		contexts[t].uc_stack.ss_sp = stacks + t * STACK_BYTES;
		contexts[t].uc_stack.ss_size = STACK_BYTES;
		contexts[t].uc_link = &scheduler;
		makecontext(&contexts[t], thread_main, 0);
		waits[t] = RUNS;
	}
	while (resume(threads)) {
		for (unsigned from = 0; from < threads; from += 32)
			if (all_wait(from, from + 32, AT_WARP, false))
				release(from, from + 32);
		if (all_wait(0, threads, AT_TEAM, true))
			release(0, threads);
	}
	for (unsigned t = 0; t < threads; t++) {
		if (waits[t] == ENDED)
			continue;
		fprintf(stderr, "emulate: thread %u of team %u waits for ever\n", t, emulate_block.x);
		abort();
	}
}

void emulate_run(unsigned grid, unsigned threads, void (*call)(void *), void *arg)
{
	if (!stacks)
		stacks = malloc(MAX_THREADS * STACK_BYTES);
	if (!stacks || threads > MAX_THREADS)
		abort();
	running_call = call;
	running_arg = arg;
	emulate_size.x = threads;
	for (emulate_block.x = 0; emulate_block.x < grid; emulate_block.x++)
		run_team(threads);
}

/* ---- the module ---- */

struct hyc_cuda_device {
	int number;
};

struct hyc_cuda_lane {
	uint8_t *slab;
	size_t slab_bytes;
	void *output;
	uint32_t *status;
};

enum { BROKEN = 1 };

static struct hyc_cuda_device the_device;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static int device_open(int number, struct hyc_cuda_device **out, char *msg, size_t room)
{
	(void)number;
	if (hyc_cuda_injected(HYC_CUDA_INJECT_OPEN)) {
		snprintf(msg, room, "the device cannot be used: an error of the emulation");
		return BROKEN;
	}
	*out = &the_device;
	return 0;
}

static const char *text(int error)
{
	return error == HYC_CUDA_NO_MEMORY ? "out of memory" : "an error of the emulation";
}

static int device_memory(struct hyc_cuda_device *device, size_t *free_bytes, size_t *total_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)device;
	*free_bytes = (size_t)sysconf(_SC_AVPHYS_PAGES) * page;
	*total_bytes = (size_t)sysconf(_SC_PHYS_PAGES) * page;
	return 0;
}

static int lane_new(struct hyc_cuda_device *device, size_t slab_bytes, struct hyc_cuda_lane **out)
{
	struct hyc_cuda_lane *lane;

	(void)device;
	if (hyc_cuda_injected(HYC_CUDA_INJECT_MEMORY))
		return HYC_CUDA_NO_MEMORY;
	lane = calloc(1, sizeof *lane);
	if (lane)
		lane->slab = malloc(slab_bytes);
	if (!lane || !lane->slab)
		abort();
	lane->slab_bytes = slab_bytes;
	*out = lane;
	return 0;
}

static void lane_free(struct hyc_cuda_lane *lane)
{
	free(lane->slab);
	free(lane->output);
	free(lane->status);
	free(lane);
}

static uint8_t *lane_slab(struct hyc_cuda_lane *lane)
{
	return lane->slab;
}

static int lane_output(struct hyc_cuda_lane *lane, size_t bytes, uint64_t *address)
{
	free(lane->output);
	lane->output = malloc(bytes);
	if (!lane->output)
		abort();
	*address = (uint64_t)(uintptr_t)lane->output;
	return 0;
}

static int lane_follow(struct hyc_cuda_lane *lane, void *stream)
{
	(void)lane, (void)stream;
	return 0;
}

static void run_batch(struct hyc_cuda_lane *lane, const struct hyc_cuda_batch *b)
{
	/* Of the size it is, so that a read beyond is one beyond the allocation. */
	uint8_t *mirror = malloc(b->used);
	struct hyc_cuda_args args = {
		.slab = mirror, .n_jobs = b->n_jobs, .pairs_bytes = b->pairs_bytes,
		.two10 = 1u << 10, .two11 = 1u << 11, .two21 = 1u << 21,
		.jobs = (const struct hyc_cuda_job *)(mirror + b->jobs_at),
		.teams = (const struct hyc_cuda_team *)(mirror + b->teams_at),
		.heads = calloc(b->n_jobs + 1, sizeof *args.heads),
		.units = malloc(b->n_units * sizeof *args.units + 1),
		.tables = aligned_alloc(16, (size_t)b->n_tables * HYC_CUDA_TABLE_BYTES + 16),
	};

	free(lane->status);
	args.status = lane->status = calloc(b->n_jobs + 1, sizeof *lane->status);
	if (!mirror || !args.heads || !args.units || !args.tables || !lane->status)
		abort();
	memcpy(mirror, lane->slab, b->used);
	for (uint32_t i = 0; i < b->n_copies; i++)
		memcpy((void *)(uintptr_t)b->copies[i].dst, mirror + b->copies[i].src, b->copies[i].len);
	if (b->n_jobs)
		hyc_cuda_launch_parse(&args, NULL);
	for (uint32_t k = 0; k < HYC_CUDA_KINDS; k++) {
		if (!b->n_teams[k])
			continue;
		if (k <= HYC_CUDA_FLOAT_BYTE)
			hyc_cuda_launch_float(&args, k, b->first_team[k], b->n_teams[k], NULL);
		else if (k <= HYC_CUDA_TCQ_F32)
			hyc_cuda_launch_tcq(&args, k, b->first_team[k], b->n_teams[k], NULL);
		else
			hyc_cuda_launch_hyper(&args, k, b->first_team[k], b->n_teams[k], NULL);
	}
	for (uint32_t i = 0; i < b->n_backs; i++)
		memcpy(b->backs[i].dst, (const void *)(uintptr_t)b->backs[i].src, b->backs[i].len);
	free(mirror);
	free(args.heads);
	free(args.units);
	free(args.tables);
}

static int submit(struct hyc_cuda_lane *lane, const struct hyc_cuda_batch *b)
{
	if (hyc_cuda_injected(HYC_CUDA_INJECT_BATCH))
		return BROKEN;
	if (hyc_cuda_injected(HYC_CUDA_INJECT_SCRATCH))
		return HYC_CUDA_NO_MEMORY;
	pthread_mutex_lock(&turn);
	run_batch(lane, b);
	pthread_mutex_unlock(&turn);
	return 0;
}

static int lane_wait(struct hyc_cuda_lane *lane, const uint32_t **status, double *seconds)
{
	*status = lane->status;
	if (seconds)
		*seconds = 0;
	return 0;
}

static int device_alloc(struct hyc_cuda_device *device, size_t bytes, uint64_t *address)
{
	void *at = malloc(bytes);

	(void)device;
	*address = (uint64_t)(uintptr_t)at;
	return at ? 0 : HYC_CUDA_NO_MEMORY;
}

static void device_release(struct hyc_cuda_device *device, uint64_t address)
{
	(void)device;
	free((void *)(uintptr_t)address);
}

static int device_upload(struct hyc_cuda_device *device, uint64_t dst, const void *src, size_t bytes, void *stream)
{
	(void)device, (void)stream;
	memcpy((void *)(uintptr_t)dst, src, bytes);
	return 0;
}

static int device_download(struct hyc_cuda_device *device, void *dst, uint64_t src, size_t bytes)
{
	(void)device;
	memcpy(dst, (const void *)(uintptr_t)src, bytes);
	return 0;
}

HYC_CUDA_EXPORT const struct hyc_cuda_module hyc_cuda_module = {
	.abi = HYC_CUDA_ABI, .open = device_open, .text = text, .memory = device_memory, .lane_new = lane_new,
	.lane_free = lane_free, .lane_slab = lane_slab, .lane_output = lane_output, .lane_follow = lane_follow, .submit = submit,
	.wait = lane_wait, .upload = device_upload, .alloc = device_alloc, .release = device_release, .download = device_download,
};
