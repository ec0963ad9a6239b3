/* SPDX-License-Identifier: Apache-2.0 */
/* Between the module's host code, which is C, and the launchers in the .cu files. */
#ifndef HYC_CODEC_CUDA_KERNELS_H
#define HYC_CODEC_CUDA_KERNELS_H

#include "codec/cuda/abi.h"

/* What the parser found out about a job. Offsets count from the block's first byte. */
struct hyc_cuda_head {
	uint32_t bad;
	uint32_t directory;
	uint32_t n_streams;    /* float: streams of a unit */
	uint32_t wide;         /* tcq: the tables are not narrow, see warp.cuh */
	uint8_t mode[4];       /* float: of the fields; hyper: of the block */
	uint16_t constant[4];  /* float: of the fields */
};

/* Addresses on the device. */
struct hyc_cuda_args {
	const uint8_t *slab;
	const struct hyc_cuda_job *jobs;
	const struct hyc_cuda_team *teams;
	struct hyc_cuda_head *heads;  /* one for each job */
	uint32_t *status;             /* one for each job */
	uint32_t *units;              /* offset in its block of each unit */
	uint32_t *tables;             /* of 2048 slots each */
	uint32_t n_jobs;
	uint32_t pairs_bytes;         /* of the largest table of pairs */
	uint32_t two10, two11, two21; /* powers of two, which the kernels' compiler must not see: see split in warp.cuh */
};

#ifdef __cplusplus
extern "C" {
#endif

void hyc_cuda_launch_parse(const struct hyc_cuda_args *args, void *stream);
void hyc_cuda_launch_float(const struct hyc_cuda_args *args, uint32_t kind, uint32_t first_team, uint32_t n_teams, void *stream);
void hyc_cuda_launch_tcq(const struct hyc_cuda_args *args, uint32_t kind, uint32_t first_team, uint32_t n_teams, void *stream);
void hyc_cuda_launch_hyper(const struct hyc_cuda_args *args, uint32_t kind, uint32_t first_team, uint32_t n_teams, void *stream);
/* For benchmarks: write bytes (a multiple of 16) at dst, 16 for each thread. */
void hyc_cuda_launch_fill(void *dst, size_t bytes, void *stream);

#ifdef __cplusplus
}
#endif
#endif
