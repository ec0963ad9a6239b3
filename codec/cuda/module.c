/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hyc_cuda.so: lanes of a CUDA device. All it exports is the table of its functions; the CUDA runtime is linked in, and
 * that opens the driver when it is first asked, so the module loads on any machine.
 *
 * HYC_CUDA_FAIL makes errors for tests (inject.h).
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

#include "codec/cuda/inject.h"
#include "codec/cuda/kernels.h"

#define MAX_REPEATS 64

struct hyc_cuda_device {
	int number;
};

/* Memory of the device, or pinned memory of the host, that only grows. */
struct room {
	void *at;
	size_t bytes;
};

struct hyc_cuda_lane {
	struct hyc_cuda_device *device;
	cudaStream_t stream;
	cudaEvent_t event;      /* of a caller's stream */
	cudaEvent_t times[2];
	size_t slab_bytes;
	uint8_t *slab;          /* pinned */
	uint8_t *mirror;        /* the slab on the device */
	struct room output, heads, units, tables, status;
	struct room told;       /* pinned: the status of the jobs */
	double seconds;
};

_Static_assert(HYC_CUDA_NO_MEMORY == cudaErrorMemoryAllocation, "the ABI names an error of CUDA");

/* What lacked memory is no error of the calls that follow. */
static int told(cudaError_t e)
{
	if (e == cudaErrorMemoryAllocation)
		cudaGetLastError();
	return (int)e;
}

/* ---- the device ---- */

static const char *text(int error)
{
	return cudaGetErrorString((cudaError_t)error);
}

/* Loads the kernels and makes the context, so that what is missing is found here. */
static cudaError_t try_device(int number)
{
	cudaError_t e = cudaSetDevice(number);

	return e ? e : cudaFree(NULL);
}

static int explain(cudaError_t e, char *msg, size_t room)
{
	int driver = 0;

	if (cudaDriverGetVersion(&driver) != cudaSuccess)
		driver = 0;
	if (e == cudaErrorNoDevice || (e == cudaErrorInsufficientDriver && !driver))
		snprintf(msg, room, driver ? "no device: the driver shows no NVIDIA GPU (CUDA_VISIBLE_DEVICES may hide it)" :
					     "no device: there is no NVIDIA driver");
	else if (e == cudaErrorInsufficientDriver)
		snprintf(msg, room, "the NVIDIA driver is too old: it knows CUDA %d.%d, %d.%d is needed", driver / 1000,
			 driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
	else
		snprintf(msg, room, "the device cannot be used: %s", cudaGetErrorString(e));
	return (int)e;
}

static int device_open(int number, struct hyc_cuda_device **out, char *msg, size_t room)
{
	int n = 0;
	cudaError_t e = hyc_cuda_injected(HYC_CUDA_INJECT_OPEN) ? cudaErrorUnknown : cudaGetDeviceCount(&n);

	if (!e && n == 0)
		e = cudaErrorNoDevice;
	if (!e && number < 0)
		e = cudaGetDevice(&number);
	if (!e && number >= n) {
		snprintf(msg, room, "there is no device %d: the driver shows %d", number, n);
		return (int)cudaErrorInvalidDevice;
	}
	if (!e)
		e = try_device(number);
	if (e)
		return explain(e, msg, room);
	*out = calloc(1, sizeof **out);
	if (!*out) {
		snprintf(msg, room, "no memory");
		return (int)cudaErrorMemoryAllocation;
	}
	(*out)->number = number;
	return 0;
}

static void device_close(struct hyc_cuda_device *device)
{
	free(device);
}

static int device_memory(struct hyc_cuda_device *device, size_t *free_bytes, size_t *total_bytes)
{
	cudaError_t e = cudaSetDevice(device->number);

	return (int)(e ? e : cudaMemGetInfo(free_bytes, total_bytes));
}

/* ---- lanes ---- */

static cudaError_t grow(struct room *room, size_t bytes, int pinned)
{
	cudaError_t e;

	if (bytes <= room->bytes)
		return cudaSuccess;
	if (room->at)
		e = pinned ? cudaFreeHost(room->at) : cudaFree(room->at);
	else
		e = cudaSuccess;
	room->at = NULL;
	room->bytes = 0;
	bytes += bytes / 4;
	if (!e)
		e = pinned ? cudaMallocHost(&room->at, bytes) : cudaMalloc(&room->at, bytes);
	if (!e)
		room->bytes = bytes;
	return e;
}

static void lane_free(struct hyc_cuda_lane *lane)
{
	struct room *rooms[] = { &lane->output, &lane->heads, &lane->units, &lane->tables, &lane->status };

	if (cudaSetDevice(lane->device->number) == cudaSuccess) {
		if (lane->stream) {
			cudaStreamSynchronize(lane->stream);
			cudaStreamDestroy(lane->stream);
		}
		if (lane->event)
			cudaEventDestroy(lane->event);
		for (int i = 0; i < 2; i++)
			if (lane->times[i])
				cudaEventDestroy(lane->times[i]);
		for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
			cudaFree(rooms[i]->at);
		cudaFree(lane->mirror);
		cudaFreeHost(lane->told.at);
		cudaFreeHost(lane->slab);
	}
	free(lane);
}

static int lane_new(struct hyc_cuda_device *device, size_t slab_bytes, struct hyc_cuda_lane **out)
{
	struct hyc_cuda_lane *lane = calloc(1, sizeof *lane);
	cudaError_t e;

	if (!lane)
		return (int)cudaErrorMemoryAllocation;
	lane->device = device;
	lane->slab_bytes = slab_bytes;
	e = hyc_cuda_injected(HYC_CUDA_INJECT_MEMORY) ? cudaErrorMemoryAllocation : cudaSetDevice(device->number);
	/* Of the device first: where that is full, nothing is pinned in vain. */
	if (!e)
		e = cudaMalloc((void **)&lane->mirror, slab_bytes);
	if (!e)
		e = cudaMallocHost((void **)&lane->slab, slab_bytes);
	if (!e)
		e = cudaStreamCreateWithFlags(&lane->stream, cudaStreamNonBlocking);
	if (!e)
		e = cudaEventCreateWithFlags(&lane->event, cudaEventDisableTiming);
	for (int i = 0; i < 2 && !e; i++)
		e = cudaEventCreate(&lane->times[i]);
	if (e) {
		lane_free(lane);
		return told(e);
	}
	*out = lane;
	return 0;
}

static uint8_t *lane_slab(struct hyc_cuda_lane *lane)
{
	return lane->slab;
}

static int lane_output(struct hyc_cuda_lane *lane, size_t bytes, uint64_t *address)
{
	size_t before = lane->output.bytes;
	cudaError_t e = cudaSetDevice(lane->device->number);

	if (!e)
		e = grow(&lane->output, bytes, 0);
	/* So that what a refused block leaves there was never another program's. */
	if (!e && lane->output.bytes != before)
		e = cudaMemsetAsync(lane->output.at, 0, lane->output.bytes, lane->stream);
	*address = (uint64_t)(uintptr_t)lane->output.at;
	return told(e);
}

static int lane_follow(struct hyc_cuda_lane *lane, void *stream)
{
	cudaError_t e = cudaSetDevice(lane->device->number);

	if (!e)
		e = cudaEventRecord(lane->event, stream);
	return (int)(e ? e : cudaStreamWaitEvent(lane->stream, lane->event, 0));
}

static cudaError_t make_room(struct hyc_cuda_lane *lane, const struct hyc_cuda_batch *b)
{
	cudaError_t e = hyc_cuda_injected(HYC_CUDA_INJECT_SCRATCH) ? cudaErrorMemoryAllocation : cudaSuccess;

	if (!e)
		e = grow(&lane->heads, b->n_jobs * sizeof(struct hyc_cuda_head), 0);
	if (!e)
		e = grow(&lane->status, b->n_jobs * sizeof(uint32_t), 0);
	if (!e)
		e = grow(&lane->told, b->n_jobs * sizeof(uint32_t), 1);
	if (!e)
		e = grow(&lane->units, b->n_units * sizeof(uint32_t), 0);
	return e ? e : grow(&lane->tables, (size_t)b->n_tables * HYC_CUDA_TABLE_BYTES, 0);
}

static cudaError_t launch(struct hyc_cuda_lane *lane, const struct hyc_cuda_batch *b)
{
	struct hyc_cuda_args args = {
		.slab = lane->mirror,
		.jobs = (const struct hyc_cuda_job *)(lane->mirror + b->jobs_at),
		.teams = (const struct hyc_cuda_team *)(lane->mirror + b->teams_at),
		.heads = lane->heads.at,
		.status = lane->status.at,
		.units = lane->units.at,
		.tables = lane->tables.at,
		.n_jobs = b->n_jobs,
		.pairs_bytes = b->pairs_bytes,
		.two10 = 1u << 10,
		.two11 = 1u << 11,
		.two21 = 1u << 21,
	};

	hyc_cuda_launch_parse(&args, lane->stream);
	for (uint32_t kind = 0; kind < HYC_CUDA_KINDS; kind++) {
		if (!b->n_teams[kind])
			continue;
		if (kind <= HYC_CUDA_FLOAT_BYTE)
			hyc_cuda_launch_float(&args, kind, b->first_team[kind], b->n_teams[kind], lane->stream);
		else if (kind <= HYC_CUDA_TCQ_F32)
			hyc_cuda_launch_tcq(&args, kind, b->first_team[kind], b->n_teams[kind], lane->stream);
		else
			hyc_cuda_launch_hyper(&args, kind, b->first_team[kind], b->n_teams[kind], lane->stream);
	}
	return cudaGetLastError();
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* The median of several runs, each waited for. */
static cudaError_t launch_timed(struct hyc_cuda_lane *lane, const struct hyc_cuda_batch *b)
{
	float ms[MAX_REPEATS];
	unsigned n = b->repeat < MAX_REPEATS ? b->repeat : MAX_REPEATS;
	cudaError_t e = cudaSuccess;

	for (unsigned i = 0; i < n && !e; i++) {
		e = cudaEventRecord(lane->times[0], lane->stream);
		if (!e)
			e = launch(lane, b);
		if (!e)
			e = cudaEventRecord(lane->times[1], lane->stream);
		if (!e)
			e = cudaEventSynchronize(lane->times[1]);
		if (!e)
			e = cudaEventElapsedTime(&ms[i], lane->times[0], lane->times[1]);
	}
	if (!e) {
		qsort(ms, n, sizeof ms[0], by_value);
		lane->seconds = (double)ms[n / 2] / 1e3;
	}
	return e;
}

static cudaError_t copy_back(struct hyc_cuda_lane *lane, const struct hyc_cuda_batch *b)
{
	cudaError_t e = cudaSuccess;

	for (uint32_t i = 0; i < b->n_backs && !e; i++)
		e = cudaMemcpyAsync(b->backs[i].dst, (const void *)(uintptr_t)b->backs[i].src, b->backs[i].len,
				    b->backs[i].to_host ? cudaMemcpyDeviceToHost : cudaMemcpyDeviceToDevice, lane->stream);
	return e;
}

static int submit(struct hyc_cuda_lane *lane, const struct hyc_cuda_batch *b)
{
	cudaError_t e = hyc_cuda_injected(HYC_CUDA_INJECT_BATCH) ? cudaErrorLaunchFailure : cudaSetDevice(lane->device->number);

	if (!e && b->used > lane->slab_bytes)
		e = cudaErrorInvalidValue;
	if (!e)
		e = make_room(lane, b);
	if (!e && b->used)
		e = cudaMemcpyAsync(lane->mirror, lane->slab, b->used, cudaMemcpyHostToDevice, lane->stream);
	for (uint32_t i = 0; i < b->n_copies && !e; i++)
		e = cudaMemcpyAsync((void *)(uintptr_t)b->copies[i].dst, lane->mirror + b->copies[i].src, b->copies[i].len,
				    cudaMemcpyDeviceToDevice, lane->stream);
	if (!e && b->n_jobs)
		e = b->repeat ? launch_timed(lane, b) : launch(lane, b);
	if (!e)
		e = copy_back(lane, b);
	if (!e && b->n_jobs)
		e = cudaMemcpyAsync(lane->told.at, lane->status.at, b->n_jobs * sizeof(uint32_t), cudaMemcpyDeviceToHost,
				    lane->stream);
	return told(e);
}

static int lane_wait(struct hyc_cuda_lane *lane, const uint32_t **status, double *seconds)
{
	cudaError_t e = cudaSetDevice(lane->device->number);

	if (!e)
		e = cudaStreamSynchronize(lane->stream);
	*status = lane->told.at;
	if (seconds)
		*seconds = lane->seconds;
	return (int)e;
}

static int device_upload(struct hyc_cuda_device *device, uint64_t dst, const void *src, size_t bytes, void *stream)
{
	cudaError_t e = cudaSetDevice(device->number);

	if (!e)
		e = cudaMemcpyAsync((void *)(uintptr_t)dst, src, bytes, cudaMemcpyHostToDevice, stream);
	return told(e ? e : cudaStreamSynchronize(stream));
}

/* ---- for benchmarks ---- */

enum { RUNS = 9 };

/* Median GB/s of a fill of the card, or of a copy to it. */
static int measure(struct hyc_cuda_device *device, size_t bytes, int copy, double *gbs)
{
	void *dst = NULL, *src = NULL;
	cudaEvent_t start = NULL, stop = NULL;
	float ms[RUNS] = { 0 };
	cudaError_t e = cudaSetDevice(device->number);

	if (!e)
		e = cudaEventCreate(&start);
	if (!e)
		e = cudaEventCreate(&stop);
	if (!e)
		e = cudaMalloc(&dst, bytes);
	if (!e && copy)
		e = cudaMallocHost(&src, bytes);
	if (!e && copy)
		memset(src, 1, bytes);
	for (int i = 0; i < RUNS && !e; i++) {
		e = cudaEventRecord(start, NULL);
		if (!e && copy)
			e = cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, NULL);
		if (!e && !copy)
			hyc_cuda_launch_fill(dst, bytes, NULL);
		if (!e)
			e = cudaGetLastError();
		if (!e)
			e = cudaEventRecord(stop, NULL);
		if (!e)
			e = cudaEventSynchronize(stop);
		if (!e)
			e = cudaEventElapsedTime(&ms[i], start, stop);
	}
	if (!e) {
		qsort(ms, RUNS, sizeof ms[0], by_value);
		*gbs = (double)bytes / ((double)ms[RUNS / 2] * 1e6);
	}
	cudaFree(dst);
	cudaFreeHost(src);
	if (start)
		cudaEventDestroy(start);
	if (stop)
		cudaEventDestroy(stop);
	return (int)e;
}

static int write_speed(struct hyc_cuda_device *device, size_t bytes, double *gbs)
{
	return measure(device, bytes / 16 * 16, 0, gbs);
}

static int copy_speed(struct hyc_cuda_device *device, size_t bytes, double *gbs)
{
	return measure(device, bytes, 1, gbs);
}

static int device_alloc(struct hyc_cuda_device *device, size_t bytes, uint64_t *address)
{
	void *at = NULL;
	cudaError_t e = cudaSetDevice(device->number);

	if (!e)
		e = cudaMalloc(&at, bytes);
	*address = (uint64_t)(uintptr_t)at;
	return (int)e;
}

static void device_release(struct hyc_cuda_device *device, uint64_t address)
{
	if (cudaSetDevice(device->number) == cudaSuccess)
		cudaFree((void *)(uintptr_t)address);
}

static int device_download(struct hyc_cuda_device *device, void *dst, uint64_t src, size_t bytes)
{
	cudaError_t e = cudaSetDevice(device->number);

	return (int)(e ? e : cudaMemcpy(dst, (const void *)(uintptr_t)src, bytes, cudaMemcpyDeviceToHost));
}

HYC_CUDA_EXPORT const struct hyc_cuda_module hyc_cuda_module = {
	.abi = HYC_CUDA_ABI,
	.open = device_open,
	.close = device_close,
	.text = text,
	.memory = device_memory,
	.lane_new = lane_new,
	.lane_free = lane_free,
	.lane_slab = lane_slab,
	.lane_output = lane_output,
	.lane_follow = lane_follow,
	.submit = submit,
	.wait = lane_wait,
	.upload = device_upload,
	.write_speed = write_speed,
	.copy_speed = copy_speed,
	.alloc = device_alloc,
	.release = device_release,
	.download = device_download,
};
