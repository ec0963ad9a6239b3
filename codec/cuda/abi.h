/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libhyc, the module hyc_cuda.so and its kernels agree on. libhyc never links CUDA: it opens the module at run
 * time and calls it through one exported symbol, which gives a table of functions.
 *
 * A lane is a stream of the device with a pinned slab of host memory, the same slab on the device, and room there for
 * tables and for output. A batch is what goes through a lane at once: the caller fills the slab with stored bytes of
 * blocks, with what their objects need, with jobs (one for each block) and with teams (one for each group of
 * warps), and submits it. One copy takes the slab over; one kernel parses all blocks; one for each kind decodes them.
 */
#ifndef HYC_CODEC_CUDA_ABI_H
#define HYC_CODEC_CUDA_ABI_H

#include <stddef.h>
#include <stdint.h>

#define HYC_CUDA_ABI 2u
#define HYC_CUDA_SYMBOL "hyc_cuda_module"
#define HYC_CUDA_EXPORT __attribute__((visibility("default")))
#define HYC_CUDA_ALIGN 16u         /* of a block in the slab, and of its output on the device */
#define HYC_CUDA_WARPS 4u          /* of a team, at most: units of one block */
#define HYC_CUDA_TABLE_BYTES 8192u /* one table of slots */
#define HYC_CUDA_NO_MEMORY 2       /* cudaErrorMemoryAllocation */

enum hyc_cuda_kind {
	HYC_CUDA_FLOAT_BF16, HYC_CUDA_FLOAT_F16, HYC_CUDA_FLOAT_F32, HYC_CUDA_FLOAT_BYTE,
	HYC_CUDA_TCQ_BF16, HYC_CUDA_TCQ_F16, HYC_CUDA_TCQ_F32,
	HYC_CUDA_HYPER_4, HYC_CUDA_HYPER_8, /* by the bytes of a pair */
	HYC_CUDA_KINDS
};

/* One block. src, rows_at, cols_at and pairs_at count from the slab's first byte. */
struct hyc_cuda_job {
	uint64_t src, dst;             /* dst: an address of the device, aligned */
	uint64_t rows_at, cols_at;     /* tcq: scales of the block's rows, of the object's columns; 0: all are 1 */
	uint64_t pairs_at;             /* hyper: the object's table */
	uint32_t src_len, dst_len;
	uint32_t kind;
	uint32_t n;                    /* float: elements; tcq: rows; hyper: pairs */
	uint32_t n_units, first_unit;  /* first_unit: of the batch's list of units */
	uint32_t first_table;          /* of the batch's list of tables */
	uint32_t cols, unit_rows;      /* tcq */
	float step;                    /* tcq */
	uint32_t trellis;              /* tcq */
	uint32_t symbols, tile_log2;   /* hyper */
	uint32_t unit_log2;            /* float, hyper: as the block says, which the parser checks */
};

/* Warps of a team: no more than a block of 512 KiB has units. Those of hyper are of 65536 pairs. */
static inline uint32_t hyc_cuda_warps(uint32_t kind)
{
	return kind == HYC_CUDA_HYPER_8 ? 1 : kind == HYC_CUDA_HYPER_4 ? 2 : HYC_CUDA_WARPS;
}

/* The units of a job from first_unit on, one for each warp. */
struct hyc_cuda_team {
	uint32_t job, first_unit;
};

/* Bytes of the slab that go to an address of the device as they are. */
struct hyc_cuda_copy {
	uint64_t src, dst, len;
};

/* Output that is wanted elsewhere than where it was decoded: src is an address of the device. */
struct hyc_cuda_back {
	uint64_t src;
	void *dst;
	size_t len;
	int to_host;
};

struct hyc_cuda_batch {
	size_t used;                              /* bytes of the slab that are copied over; 0: they are there already */
	size_t jobs_at, teams_at;                 /* offsets in the slab */
	uint32_t n_jobs, n_units, n_tables;
	uint32_t first_team[HYC_CUDA_KINDS];      /* teams of a kind stand together */
	uint32_t n_teams[HYC_CUDA_KINDS];
	uint32_t pairs_bytes;                     /* of the largest table of pairs */
	const struct hyc_cuda_copy *copies;       /* read before submit returns */
	uint32_t n_copies;
	const struct hyc_cuda_back *backs;        /* read before submit returns */
	uint32_t n_backs;
	uint32_t repeat;                          /* decode so often and time it; 0: once, untimed */
};

struct hyc_cuda_device;
struct hyc_cuda_lane;

/*
 * Functions return 0 or an error of CUDA, which text() explains. HYC_CUDA_NO_MEMORY, of the device or that can be pinned, changes
 * nothing: a batch refused for it is waited for like others, and what follows may succeed. After any other error of a lane the
 * device is not to be used again.
 */
struct hyc_cuda_module {
	uint32_t abi;
	/* The device by number, -1: the current one. msg gets what is missing where it fails. */
	int (*open)(int number, struct hyc_cuda_device **out, char *msg, size_t room);
	void (*close)(struct hyc_cuda_device *device);
	const char *(*text)(int error);
	/* Free and total bytes of its memory. */
	int (*memory)(struct hyc_cuda_device *device, size_t *free_bytes, size_t *total_bytes);

	int (*lane_new)(struct hyc_cuda_device *device, size_t slab_bytes, struct hyc_cuda_lane **out);
	void (*lane_free)(struct hyc_cuda_lane *lane);
	uint8_t *(*lane_slab)(struct hyc_cuda_lane *lane);
	/* Address of at least bytes of output, valid until the next call. */
	int (*lane_output)(struct hyc_cuda_lane *lane, size_t bytes, uint64_t *address);
	/* What is submitted from here on waits for what a caller's stream was given until now. */
	int (*lane_follow)(struct hyc_cuda_lane *lane, void *stream);
	int (*submit)(struct hyc_cuda_lane *lane, const struct hyc_cuda_batch *batch);
	/* Wait for the batch. status[i] is 0 or not for job i; the time is that of one of batch->repeat decodings. */
	int (*wait)(struct hyc_cuda_lane *lane, const uint32_t **status, double *seconds);

	/* Bytes of the host to an address of the device, in a caller's stream, and wait for that. */
	int (*upload)(struct hyc_cuda_device *device, uint64_t dst, const void *src, size_t bytes, void *stream);

	/* For benchmarks: GB/s at which the card writes bytes, and at which bytes are copied from pinned memory to it. */
	int (*write_speed)(struct hyc_cuda_device *device, size_t bytes, double *gbs);
	int (*copy_speed)(struct hyc_cuda_device *device, size_t bytes, double *gbs);
	int (*alloc)(struct hyc_cuda_device *device, size_t bytes, uint64_t *address);
	void (*release)(struct hyc_cuda_device *device, uint64_t address);
	int (*download)(struct hyc_cuda_device *device, void *dst, uint64_t src, size_t bytes);
};

/* What the module exports. */
extern HYC_CUDA_EXPORT const struct hyc_cuda_module hyc_cuda_module;

#endif
