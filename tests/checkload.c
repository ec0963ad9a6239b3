/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hyc_load to memory of a CUDA device against hyc_load to memory of the host: every tensor of an archive, each in two parts of
 * any length at addresses of any alignment, and what lies between them stays as it was.
 *
 *	checkload ARCHIVE [SEED]
 *
 * Exit status 1 where the bytes differ, 2 where a load fails, 77 where there is no device. HYC_CUDA_MODULE says which module.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cuda/cuda.h"
#include "include/hyc.h"
#include "tests/samples.h"

#define GAP 5u /* bytes between parts */
#define FILLED 0xa5

struct plan {
	struct hyc_load_request *requests; /* with offsets for dst */
	size_t n, bytes;
};

static void *need(void *memory)
{
	if (!memory) {
		fprintf(stderr, "checkload: no memory\n");
		exit(2);
	}
	return memory;
}

static void add(struct plan *plan, uint32_t tensor, uint64_t off, uint64_t len)
{
	plan->bytes += 1 + random32() % GAP;
	plan->requests[plan->n++] = (struct hyc_load_request){ tensor, off, len, (void *)(uintptr_t)plan->bytes };
	plan->bytes += len;
}

static void make_plan(const struct hyc *archive, struct plan *plan)
{
	struct hyc_info info;

	hyc_info(archive, &info);
	plan->requests = need(calloc(2 * (size_t)info.n_tensors + 1, sizeof *plan->requests));
	for (uint32_t i = 0; i < info.n_tensors; i++) {
		struct hyc_tensor t;
		uint64_t cut;

		hyc_tensor_get(archive, i, &t);
		cut = t.bytes ? random32() % t.bytes : 0;
		add(plan, i, 0, cut);
		add(plan, i, cut, t.bytes - cut);
	}
	plan->bytes += GAP;
}

static int load(struct hyc *archive, const struct plan *plan, uint64_t base, int device)
{
	struct hyc_load_request *requests = need(malloc(plan->n * sizeof *requests + 1));
	struct hyc_load_options options = { .device = device };
	struct hyc_error err;
	int result;

	memcpy(requests, plan->requests, plan->n * sizeof *requests);
	for (size_t i = 0; i < plan->n; i++)
		requests[i].dst = (void *)(uintptr_t)(base + (uintptr_t)requests[i].dst);
	result = hyc_load(archive, requests, plan->n, &options, &err);
	if (result)
		fprintf(stderr, "checkload: %s\n", err.msg);
	free(requests);
	return result;
}

static int compare(struct hyc *archive, const struct hyc_cuda_gpu *gpu)
{
	uint8_t *want, *got;
	struct plan plan = { 0 };
	size_t at = 0;
	uint64_t base;
	int status = 0;

	make_plan(archive, &plan);
	want = need(malloc(plan.bytes));
	got = need(malloc(plan.bytes));
	memset(want, FILLED, plan.bytes);
	if (gpu->module->alloc(gpu->device, plan.bytes, &base) || hyc_cuda_upload(gpu, (void *)(uintptr_t)base, want, plan.bytes, NULL)) {
		fprintf(stderr, "checkload: no memory of the device\n");
		exit(2);
	}
	if (load(archive, &plan, (uintptr_t)want, HYC_LOAD_HOST) || load(archive, &plan, base, 0) ||
	    gpu->module->download(gpu->device, got, base, plan.bytes))
		status = 2;
	while (!status && at < plan.bytes && want[at] == got[at])
		at++;
	if (!status && at < plan.bytes) {
		printf("FAILED: byte %zu of %zu differs\n", at, plan.bytes);
		status = 1;
	}
	if (!status)
		printf("checkload: %zu parts, %zu bytes equal\n", plan.n, plan.bytes);
	gpu->module->release(gpu->device, base);
	free(plan.requests);
	free(want);
	free(got);
	return status;
}

int main(int argc, char **argv)
{
	const struct hyc_cuda_gpu *gpu;
	struct hyc_error err;
	struct hyc *archive;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: checkload ARCHIVE [SEED]\n");
		return 2;
	}
	samples_seed(argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	if (hyc_cuda_gpu(0, &gpu, &err)) {
		printf("SKIP: %s\n", err.msg);
		return 77;
	}
	if (hyc_open(argv[1], NULL, &archive, &err)) {
		fprintf(stderr, "checkload: %s\n", err.msg);
		return 2;
	}
	status = compare(archive, gpu);
	hyc_close(archive);
	return status;
}
