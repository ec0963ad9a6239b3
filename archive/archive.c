/* SPDX-License-Identifier: Apache-2.0 */
/* The open archive: joins the index, the codecs and the cache, and answers what is inside. */
#include "config.h"

#include "archive/archive.h"
#include "archive/prefetch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "codec/cuda/cuda.h"
#include "format/dtype.h"

const char *hyc_version(void)
{
	return PACKAGE_VERSION;
}

uint64_t hyc_cache_default(void)
{
	uint64_t bytes = UINT64_C(512) << 20, limit = hyc_cgroup_memory("");
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	if (pages > 0 && page > 0 && (uint64_t)pages * (uint64_t)page / 8 < bytes)
		bytes = (uint64_t)pages * (uint64_t)page / 8;
	if (limit / 4 < bytes)
		bytes = limit / 4;
	return bytes < HYC_CACHE_MIN ? HYC_CACHE_MIN : bytes;
}

/* Whether every block is stored as it is. */
static bool all_blocks_whole(const struct hyc_index *x, const struct hyc_disk_object *o)
{
	const struct hyc_disk_block *b = x->blocks + hyc_get32(o->first_block);

	for (uint32_t k = 0; k < hyc_get32(o->n_blocks); k++)
		if (hyc_get32(b[k].stored) != hyc_object_block_bytes(o, k))
			return false;
	return true;
}

/* The part of the validation that needs to know codecs. */
static int check_codecs(const struct hyc *a, struct hyc_error *err)
{
	for (uint32_t i = 0; i < a->index.n_objects; i++) {
		const struct hyc_disk_object *o = &a->index.objects[i];
		struct hyc_coding coding = hyc_object_coding(&a->index, i);
		const struct hyc_codec *codec = hyc_codec_get(coding.codec);

		if (!codec)
			return hyc_fail(err, -EOPNOTSUPP, "%s: object %u uses codec %u of a newer program; upgrade hycfs",
					a->path, i, coding.codec);
		if (codec->check(&coding))
			return hyc_fail(err, -EBADMSG, "%s: damaged or malformed archive: object %u does not fit its codec %s",
					a->path, i, codec->name);
		if (coding.codec == HYC_CODEC_STORED && !all_blocks_whole(&a->index, o))
			return hyc_fail(err, -EBADMSG,
					"%s: damaged or malformed archive: object %u of codec stored lacks stored bytes",
					a->path, i);
		if (!codec->lossy && (!(hyc_get32(o->flags) & HYC_OBJECT_EXACT) || hyc_get32(o->power) ||
				      hyc_get64(o->mse) || hyc_get64(o->max_error)))
			return hyc_fail(err, -EBADMSG,
					"%s: damaged or malformed archive: object %u of codec %s is not marked exact", a->path,
					i, codec->name);
	}
	return 0;
}

static int open_index(struct hyc *a, struct hyc_error *err)
{
	int fd = open(a->path, O_RDONLY | O_CLOEXEC);

	/* Nothing may be closed by hyc_close before the index has an fd of its own. */
	a->index.fd = -1;
	if (fd < 0)
		return hyc_fail_errno(err, -errno, "%s: cannot open the archive", a->path);
	return hyc_index_open(fd, a->path, &a->index, err);
}

/* Handles are numbered, so that what a thread keeps for one is never taken for another's. */
static atomic_uint_least64_t serials = 1;

int hyc_open(const char *path, const struct hyc_options *options, struct hyc **out, struct hyc_error *err)
{
	uint64_t cache_bytes = options && options->cache_bytes ? options->cache_bytes : hyc_cache_default();
	struct hyc *a = calloc(1, sizeof *a);
	int result;

	if (!a)
		return hyc_fail(err, -ENOMEM, "%s: no memory", path);
	a->index.fd = -1;
	a->serial = atomic_fetch_add(&serials, 1);
	a->device = options ? options->device : HYC_DEVICE_AUTO;
	a->path = strdup(path);
	result = a->path ? hyc_codec_init(err) : hyc_fail(err, -ENOMEM, "%s: no memory", path);
	if (!result && a->device == HYC_DEVICE_CUDA)
		result = hyc_cuda_probe(-1, err);
	if (!result && cache_bytes < HYC_CACHE_MIN)
		result = hyc_fail(err, -EINVAL, "%s: a cache of %llu bytes is too small; the least is %llu", path,
				  (unsigned long long)cache_bytes, (unsigned long long)HYC_CACHE_MIN);
	if (!result)
		result = open_index(a, err);
	if (!result)
		result = check_codecs(a, err);
	if (!result && options && options->view != HYC_VIEW_ORIGINAL)
		result = hyc_view_make(&a->index, options->view, path, &a->view, err);
	if (!result) {
		a->reported = calloc((size_t)a->index.n_blocks + 1, sizeof *a->reported);
		a->served = calloc((size_t)a->index.n_blocks + 1, sizeof *a->served);
		a->account = hyc_account_new();
		if (!a->reported || !a->served || !a->account || hyc_cache_new(cache_bytes, hyc_source_fill, a, &a->cache) ||
		    hyc_prefetch_new(a, options, &a->prefetch))
			result = hyc_fail(err, -ENOMEM, "%s: no memory", path);
	}
	if (result) {
		hyc_close(a);
		return result;
	}
	*out = a;
	return 0;
}

void hyc_close(struct hyc *a)
{
	if (!a)
		return;
	hyc_prefetch_free(a->prefetch);
	hyc_cache_free(a->cache);
	hyc_account_free(a->account);
	if (a->view)
		hyc_view_free(a->view);
	else
		hyc_index_fini(&a->index);
	free(a->reported);
	free(a->served);
	free(a->path);
	free(a);
}

static bool is_dir(const struct hyc_disk_file *f)
{
	return (hyc_get32(f->mode) & HYC_MODE_TYPE) == HYC_MODE_DIR;
}

static bool is_exact(const struct hyc_disk_object *o)
{
	return hyc_get32(o->flags) & HYC_OBJECT_EXACT;
}

static double sqnr_db(double signal, double noise)
{
	return noise == 0 ? HUGE_VAL : 10 * log10(signal / noise);
}

/* Sums over what is not exact. */
static void lossy_info(const struct hyc *a, struct hyc_info *info)
{
	const struct hyc_index *x = &a->index;
	double stored = 0, signal = 0, noise = 0;

	for (uint32_t i = 0; i < x->n_objects; i++) {
		const struct hyc_disk_object *o = &x->objects[i];
		double weights = (double)hyc_get64(o->bytes) / hyc_dtype_bytes(hyc_get32(o->dtype));

		if (is_exact(o))
			continue;
		info->lossy_weights += (uint64_t)weights;
		stored += hyc_account_object(a, i);
		signal += hyc_get_f32(o->power) * weights;
		noise += hyc_get_f64(o->mse) * weights;
		info->lossy_max_error = fmax(info->lossy_max_error, hyc_get_f64(o->max_error));
	}
	for (uint32_t i = 0; i < x->n_tensors; i++) {
		uint32_t object = hyc_get32(x->tensors[i].object);

		if (object != HYC_NO_OBJECT && !is_exact(&x->objects[object]))
			stored += hyc_account_record(a, i);
	}
	if (info->lossy_weights)
		info->lossy_bpw = 8 * stored / (double)info->lossy_weights;
	info->lossy_sqnr_db = sqnr_db(signal, noise);
}

void hyc_info(const struct hyc *a, struct hyc_info *info)
{
	const struct hyc_index *x = &a->index;

	*info = (struct hyc_info){
		.archive_bytes = x->archive_bytes, .n_tensors = x->n_tensors, .n_objects = x->n_objects,
		.n_blocks = x->n_blocks,
	};
	for (uint32_t i = 0; i < x->n_files; i++) {
		info->n_dirs += is_dir(&x->files[i]);
		info->n_files += !is_dir(&x->files[i]);
		info->bytes += hyc_get64(x->files[i].size);
	}
	for (uint32_t i = 0; i < x->n_objects; i++) {
		const struct hyc_disk_object *o = &x->objects[i];

		info->lossy |= !is_exact(o);
		if (hyc_get32(o->dtype) == HYC_BYTES)
			continue;
		info->tensor_bytes += hyc_get64(o->bytes);
		info->tensor_stored += (uint64_t)hyc_account_object(a, i);
	}
	lossy_info(a, info);
}

uint32_t hyc_file_count(const struct hyc *a)
{
	return a->index.n_files;
}

/* Sets codec (the one most bytes use) and exact of a file. */
static void file_coding(const struct hyc *a, uint32_t file, struct hyc_file *out)
{
	const struct hyc_disk_file *f = &a->index.files[file];
	const struct hyc_disk_extent *e = a->index.extents + hyc_get32(f->first_extent);
	uint32_t n = hyc_get32(f->n_extents), best = 0;
	uint64_t bytes[HYC_N_CODECS] = { 0 };

	out->exact = 1;
	for (uint32_t k = 0; k < n; k++) {
		uint64_t end = hyc_get64(k + 1 < n ? e[k + 1].file_off : f->size);
		const struct hyc_disk_object *o;

		if (!hyc_extent_has_object(&e[k]))
			continue;
		o = &a->index.objects[hyc_get32(e[k].target)];
		out->exact &= is_exact(o);
		bytes[hyc_get32(o->codec)] += end - hyc_get64(e[k].file_off);
	}
	for (uint32_t c = 1; c < HYC_N_CODECS; c++)
		if (bytes[c] > bytes[best])
			best = c;
	out->codec = bytes[best] ? hyc_codec_name(best) : "";
}

void hyc_file_get(const struct hyc *a, uint32_t file, struct hyc_file *out)
{
	const struct hyc_disk_file *f = &a->index.files[file];

	*out = (struct hyc_file){
		.path = a->index.names + hyc_get32(f->path_off),
		.path_len = hyc_get32(f->path_len),
		.mode = hyc_get32(f->mode),
		.size = hyc_get64(f->size),
		.mtime_sec = (int64_t)hyc_get64(f->mtime_sec),
		.mtime_nsec = hyc_get32(f->mtime_nsec),
		.parent = a->index.parents[file],
	};
	memcpy(out->hash, f->hash, sizeof out->hash);
	out->made = a->view && a->view->made[file];
	file_coding(a, file, out);
	out->stored_bytes = hyc_account_file(a, file);
}

int64_t hyc_file_find(const struct hyc *a, const char *path)
{
	return hyc_index_find(&a->index, path);
}

uint32_t hyc_tensor_count(const struct hyc *a)
{
	return a->index.n_tensors;
}

void hyc_tensor_shape(const struct hyc_index *x, uint32_t tensor, struct hyc_tensor *out)
{
	const struct hyc_disk_tensor *t = &x->tensors[tensor];
	const le64 *dims = x->dims + hyc_get32(t->first_dim);
	uint32_t dtype = hyc_get32(t->dtype);
	uint64_t elems = 1;

	*out = (struct hyc_tensor){
		.name = x->names + hyc_get32(t->name_off),
		.file = hyc_get32(t->file),
		.dtype = hyc_dtype_name(dtype),
		.ndim = hyc_get32(t->ndim),
	};
	for (uint32_t d = 0; d < out->ndim; d++) {
		out->shape[d] = hyc_get64(dims[d]);
		/* Only an empty tensor may overflow here, and it is not used then. */
		elems *= out->shape[d];
	}
	out->bytes = hyc_get32(t->object) == HYC_NO_OBJECT ? 0 : elems * hyc_dtype_bits(dtype) / 8;
}

void hyc_tensor_get(const struct hyc *a, uint32_t tensor, struct hyc_tensor *out)
{
	uint32_t object = hyc_get32(a->index.tensors[tensor].object);
	const struct hyc_disk_object *o;
	double elems;

	hyc_tensor_shape(&a->index, tensor, out);
	out->codec = "";
	out->sqnr_db = HUGE_VAL;
	out->exact = 1;
	out->stored_bytes = hyc_account_tensor(a, tensor);
	if (object == HYC_NO_OBJECT)
		return;
	o = &a->index.objects[object];
	elems = (double)out->bytes * 8 / hyc_dtype_bits(hyc_get32(a->index.tensors[tensor].dtype));
	out->codec = hyc_codec_name(hyc_get32(o->codec));
	out->exact = is_exact(o);
	out->bpw = out->stored_bytes * 8 / elems;
	out->max_error = hyc_get_f64(o->max_error);
	if (!out->exact)
		out->sqnr_db = sqnr_db(hyc_get_f32(o->power), hyc_get_f64(o->mse));
}

void hyc_codec_usage(const struct hyc *a, unsigned codec, uint64_t *n_objects, uint64_t *bytes, uint64_t *stored)
{
	*n_objects = *bytes = *stored = 0;
	for (uint32_t i = 0; i < a->index.n_objects; i++) {
		if (hyc_get32(a->index.objects[i].codec) != codec)
			continue;
		++*n_objects;
		*bytes += hyc_get64(a->index.objects[i].bytes);
		*stored += (uint64_t)hyc_account_object(a, i);
	}
}

/* What a backend decoded of a codec, in the next slot; nothing where that is nothing. */
static void add_decoded(struct hyc_stats *stats, unsigned *slot, const struct hyc_decode_count *count, unsigned codec,
			const char *backend)
{
	if (!atomic_load(&count->blocks))
		return;
	stats->decode[*slot].codec = hyc_codec_name(codec);
	stats->decode[*slot].backend = backend;
	stats->decode[*slot].blocks = atomic_load(&count->blocks);
	stats->decode[*slot].decoded_bytes = atomic_load(&count->decoded_bytes);
	stats->decode[(*slot)++].nanoseconds = atomic_load(&count->nanoseconds);
}

void hyc_stats(const struct hyc *a, struct hyc_stats *stats)
{
	struct hyc_cache_stats cache;
	unsigned slot = 0;

	hyc_cache_get_stats(a->cache, &cache);
	*stats = (struct hyc_stats){
		.cache_limit = cache.limit, .cache_bytes = cache.bytes, .hits = cache.hits, .misses = cache.misses,
		.evictions = cache.evictions, .in_flight = cache.in_flight,
		.prefetched = cache.ahead, .prefetch_used = cache.ahead_used, .prefetch_late = cache.ahead_late,
		.prefetch_wasted = cache.ahead_wasted,
		.bytes_served = atomic_load(&a->bytes_served),
		.bytes_stored_read = atomic_load(&a->bytes_stored_read),
		.errors = atomic_load(&a->errors),
	};
	for (unsigned c = 0; c < HYC_N_CODECS; c++) {
		add_decoded(stats, &slot, &a->decode[c], c, hyc_codec_backend(c));
		add_decoded(stats, &slot, &a->decode_gpu[c], c, "cuda");
	}
}
