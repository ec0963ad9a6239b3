/* SPDX-License-Identifier: Apache-2.0 */
/* Load tensors to where a caller wants them: what is asked for is cut into blocks, which threads take in order. */
#include "config.h"

#include "archive/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/ordered.h"

#define MAX_THREADS 16u

const struct hyc_load_piece *hyc_load_next(struct hyc_load *load)
{
	size_t i;

	if (atomic_load(&load->result))
		return NULL;
	i = atomic_fetch_add(&load->next, 1);
	return i < load->n_pieces ? &load->pieces[i] : NULL;
}

static const struct hyc_disk_object *object_of(const struct hyc_load *load, const struct hyc_load_piece *piece)
{
	return &load->archive->index.objects[piece->object];
}

struct hyc_coding hyc_load_coding(const struct hyc_load *load, const struct hyc_load_piece *piece)
{
	struct hyc_coding coding = hyc_object_coding(&load->archive->index, piece->object);

	coding.pos = (uint64_t)piece->block * hyc_get32(object_of(load, piece)->block_bytes);
	coding.key = load->archive->serial << 32 | piece->object;
	return coding;
}

uint32_t hyc_load_stored(const struct hyc_load *load, const struct hyc_load_piece *piece)
{
	return hyc_get32(hyc_block_record(load->archive, piece->object, piece->block)->stored);
}

uint32_t hyc_load_decoded(const struct hyc_load *load, const struct hyc_load_piece *piece)
{
	return hyc_object_block_bytes(object_of(load, piece), piece->block);
}

int hyc_load_block(struct hyc_load *load, const struct hyc_load_piece *piece, uint8_t *dst)
{
	return hyc_source_block(load->archive, piece->object, piece->block, dst);
}

void hyc_load_progress(struct hyc_load *load, uint64_t bytes)
{
	if (!load->options.progress)
		return;
	HYC_LOCK_SCOPE(&load->lock);
	load->done += bytes;
	load->options.progress(load->options.arg, load->done, load->total);
}

void hyc_load_fail(struct hyc_load *load, const struct hyc_load_piece *piece, int result)
{
	char where[700] = "";
	int none = 0;

	if (piece)
		hyc_source_describe(load->archive, piece->object, piece->block, where, sizeof where);
	HYC_LOCK_SCOPE(&load->lock);
	if (!atomic_compare_exchange_strong(&load->result, &none, result))
		return;
	if (piece)
		hyc_fail(&load->err, result, "%.60s: %s: %s", load->archive->path, where,
			 result == -EBADMSG ? "damaged or malformed" : result == -ENOMEM ? "no memory to load it" : "cannot be loaded");
	else if (result == -ENOMEM)
		hyc_fail(&load->err, result, "%s: no memory to load it", load->archive->path);
	else
		hyc_fail(&load->err, result, "%s: the CUDA device failed while it was loaded: %s", load->archive->path,
			 hyc_cuda_cause(load->gpu));
}

static void to_host(struct hyc_load *load)
{
	const struct hyc_load_piece *piece;
	cleanup_free uint8_t *part = NULL;
	size_t room = 0;

	while ((piece = hyc_load_next(load))) {
		uint32_t len = hyc_load_decoded(load, piece);
		int result = 0;

		if (piece->len == len) {
			result = hyc_load_block(load, piece, piece->dst);
		} else {
			if (room < len) {
				free(part);
				part = malloc(len);
				room = part ? len : 0;
			}
			result = part ? hyc_load_block(load, piece, part) : -ENOMEM;
			if (!result)
				memcpy(piece->dst, part + piece->skip, piece->len);
		}
		if (result)
			hyc_load_fail(load, piece, result);
		else
			hyc_load_progress(load, piece->len);
	}
}

static void *thread_main(void *arg)
{
	struct hyc_load *load = arg;

	if (load->gpu)
		hyc_load_to_device(load);
	else
		to_host(load);
	return NULL;
}

/* ---- requests ---- */

static int check_request(const struct hyc *a, const struct hyc_load_request *r, struct hyc_error *err)
{
	struct hyc_tensor t;

	if (r->tensor >= a->index.n_tensors)
		return hyc_fail(err, -EINVAL, "%s: there is no tensor %u", a->path, r->tensor);
	hyc_tensor_shape(&a->index, r->tensor, &t);
	if (!hyc_range_ok(r->off, r->len, t.bytes))
		return hyc_fail(err, -EINVAL, "%s: tensor %.300s: what is to be loaded goes beyond its end", a->path, t.name);
	if (hyc_get32(a->index.tensors[r->tensor].flags) & HYC_TENSOR_STRIDED)
		return hyc_fail(err, -EOPNOTSUPP, "%s: tensor %.300s: its elements are not in a row; read its file instead", a->path,
				t.name);
	return 0;
}

/* Bytes of the object that are before and inside of what is wanted. */
static uint64_t object_start(const struct hyc *a, const struct hyc_load_request *r)
{
	return hyc_get64(a->index.tensors[r->tensor].start) + r->off;
}

static size_t count_pieces(const struct hyc *a, const struct hyc_load_request *r)
{
	uint64_t start = object_start(a, r);
	uint32_t block_bytes;

	if (!r->len)
		return 0;
	block_bytes = hyc_get32(a->index.objects[hyc_get32(a->index.tensors[r->tensor].object)].block_bytes);
	return (size_t)((start + r->len - 1) / block_bytes - start / block_bytes + 1);
}

static struct hyc_load_piece *cut(const struct hyc *a, const struct hyc_load_request *r, struct hyc_load_piece *piece)
{
	uint32_t object = hyc_get32(a->index.tensors[r->tensor].object);
	uint8_t *dst = r->dst;
	uint64_t done = 0;

	for (; done < r->len; done += piece++->len) {
		uint32_t in_block;

		*piece = (struct hyc_load_piece){ .object = object, .dst = dst + done };
		in_block = hyc_object_block_at(&a->index.objects[object], object_start(a, r) + done, &piece->block, &piece->skip);
		piece->len = r->len - done < in_block ? (uint32_t)(r->len - done) : in_block;
	}
	return piece;
}

static int cut_requests(struct hyc_load *load, const struct hyc_load_request *requests, size_t n, struct hyc_error *err)
{
	const struct hyc *a = load->archive;
	struct hyc_load_piece *end;

	for (size_t i = 0; i < n; i++) {
		int result = check_request(a, &requests[i], err);

		if (result)
			return result;
		load->n_pieces += count_pieces(a, &requests[i]);
		load->total += requests[i].len;
	}
	end = load->pieces = calloc(load->n_pieces + 1, sizeof *load->pieces);
	if (!end)
		return hyc_fail(err, -ENOMEM, "%s: no memory", a->path);
	for (size_t i = 0; i < n; i++)
		end = cut(a, &requests[i], end);
	return 0;
}

static void load_free(struct hyc_load *load)
{
	pthread_mutex_destroy(&load->lock);
	free(load->pieces);
	free(load->threads);
	free(load);
}

static int start_threads(struct hyc_load *load, struct hyc_error *err)
{
	unsigned n = load->options.threads, cpus = hyc_cpu_count();
	int failed = 0;

	if (!n)
		n = cpus < MAX_THREADS ? cpus : MAX_THREADS;
	if (n > load->n_pieces)
		n = load->n_pieces ? (unsigned)load->n_pieces : 1;
	load->threads = calloc(n, sizeof *load->threads);
	if (!load->threads)
		return hyc_fail(err, -ENOMEM, "%s: no memory", load->archive->path);
	while (load->n_threads < n && !failed) {
		failed = pthread_create(&load->threads[load->n_threads], NULL, thread_main, load);
		load->n_threads += !failed;
	}
	/* Fewer are slower, but enough. */
	return load->n_threads ? 0 : hyc_fail_errno(err, -failed, "%s: cannot start a thread", load->archive->path);
}

int hyc_load_start(struct hyc *archive, const struct hyc_load_request *requests, size_t n, const struct hyc_load_options *options,
		   struct hyc_load **out, struct hyc_error *err)
{
	struct hyc_load *load = calloc(1, sizeof *load);
	int result;

	if (!load)
		return hyc_fail(err, -ENOMEM, "%s: no memory", archive->path);
	load->archive = archive;
	load->options = options ? *options : (struct hyc_load_options){ .device = HYC_LOAD_HOST };
	pthread_mutex_init(&load->lock, NULL);
	result = cut_requests(load, requests, n, err);
	if (!result && load->options.device != HYC_LOAD_HOST)
		result = hyc_cuda_gpu(load->options.device, &load->gpu, err);
	if (!result)
		result = start_threads(load, err);
	if (result) {
		load_free(load);
		return result;
	}
	*out = load;
	return 0;
}

int hyc_load_wait(struct hyc_load *load, struct hyc_error *err)
{
	int result;

	for (unsigned i = 0; i < load->n_threads; i++)
		pthread_join(load->threads[i], NULL);
	result = atomic_load(&load->result);
	if (result && err)
		*err = load->err;
	load_free(load);
	return result;
}

int hyc_load(struct hyc *archive, const struct hyc_load_request *requests, size_t n, const struct hyc_load_options *options,
	     struct hyc_error *err)
{
	struct hyc_load *load;
	int result = hyc_load_start(archive, requests, n, options, &load, err);

	return result ? result : hyc_load_wait(load, err);
}
