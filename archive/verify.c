/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a whole archive: the hash of every stored block, and with "deep" what the blocks decode to, against
 * the digests of objects (CRC-32, XXH3-128) and files. Objects are decoded once each, in order, by several
 * threads; files are then hashed from a second decode only where they are not exactly one object.
 */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "archive/archive.h"
#include "base/hash.h"
#include "base/ordered.h"

struct verify {
	struct hyc *archive;
	const struct hyc_verify_options *options;
	unsigned threads;
	uint64_t n_damaged, done, total;
	/* The position of produce and of consume. */
	uint32_t object, block, at_object;
	/* The object being consumed. */
	XXH3_state_t *hash;
	uLong crc;
	bool object_damaged;
};

struct job {
	uint32_t object, block;
	int result;
	uLong crc;
	uint8_t *data;
	size_t room;
};

static void damage(struct verify *v, const char *sentence)
{
	v->n_damaged++;
	if (v->options->damage)
		v->options->damage(v->options->arg, sentence);
}

static void progress(struct verify *v, uint64_t bytes)
{
	v->done += bytes;
	if (v->options->progress)
		v->options->progress(v->options->arg, v->done, v->total);
}

static int produce(void *arg, void *slot)
{
	struct verify *v = arg;
	struct job *job = slot;
	const struct hyc_index *x = &v->archive->index;
	uint32_t need;

	if (v->object == x->n_objects)
		return 0;
	job->object = v->object;
	job->block = v->block++;
	need = hyc_object_block_bytes(&x->objects[job->object], job->block);
	if (v->block == hyc_get32(x->objects[v->object].n_blocks)) {
		v->object++;
		v->block = 0;
	}
	if (!v->options->deep || need <= job->room)
		return 1;
	free(job->data);
	job->data = malloc(need);
	job->room = job->data ? need : 0;
	return job->data ? 1 : -ENOMEM;
}

static int work(void *arg, void *slot)
{
	struct verify *v = arg;
	struct job *job = slot;
	const struct hyc_disk_object *o = &v->archive->index.objects[job->object];

	if (!v->options->deep) {
		job->result = hyc_source_check(v->archive, job->object, job->block);
		return 0;
	}
	job->result = hyc_source_block(v->archive, job->object, job->block, job->data);
	if (!job->result)
		job->crc = crc32(crc32(0, NULL, 0), job->data, hyc_object_block_bytes(o, job->block));
	return 0;
}

/* The digests of an object whose blocks were all good. */
static void check_object(struct verify *v, const struct hyc_disk_object *o)
{
	XXH128_canonical_t hash;
	char where[700], msg[800];

	XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(v->hash));
	if (!memcmp(&hash, o->hash, sizeof hash) && v->crc == hyc_get32(o->crc32))
		return;
	hyc_source_describe(v->archive, v->at_object, 0, where, sizeof where);
	snprintf(msg, sizeof msg, "%s and on: the decoded bytes do not have the recorded digest", where);
	damage(v, msg);
}

static int consume(void *arg, void *slot)
{
	struct verify *v = arg;
	struct job *job = slot;
	const struct hyc_disk_object *o = &v->archive->index.objects[job->object];
	uint32_t len = hyc_object_block_bytes(o, job->block);
	char where[700], msg[800];

	if (job->result == -ENOMEM)
		return -ENOMEM;
	v->at_object = job->object;
	if (!job->block) {
		XXH3_128bits_reset(v->hash);
		v->crc = crc32(0, NULL, 0);
		v->object_damaged = false;
	}
	if (job->result) {
		hyc_source_describe(v->archive, job->object, job->block, where, sizeof where);
		snprintf(msg, sizeof msg, "%s: %s", where,
			 job->result == -EBADMSG ? "damaged" : "cannot be read");
		damage(v, msg);
		v->object_damaged = true;
	} else if (v->options->deep) {
		hyc_hash128_update(v->hash, job->data, len);
		v->crc = crc32_combine(v->crc, job->crc, (z_off_t)len);
	}
	if (v->options->deep && job->block + 1 == hyc_get32(o->n_blocks) && !v->object_damaged)
		check_object(v, o);
	progress(v, len);
	return 0;
}

static void fini(void *slot)
{
	struct job *job = slot;

	free(job->data);
}

static int hash_sink(void *arg, const void *data, size_t len, struct hyc_error *err)
{
	struct verify *v = arg;

	(void)err;
	hyc_hash128_update(v->hash, data, len);
	progress(v, len);
	return 0;
}

/* Whether the digest of a file is that of the one object it shows whole, which was checked already. */
static bool same_as_object(const struct hyc_index *x, const struct hyc_disk_file *f)
{
	const struct hyc_disk_extent *e = x->extents + hyc_get32(f->first_extent);
	const struct hyc_disk_object *o;

	if (hyc_get32(f->n_extents) != 1 || hyc_get32(e->kind) == HYC_EXTENT_PADDING)
		return false;
	o = &x->objects[hyc_get32(e->target)];
	return hyc_get64(o->bytes) == hyc_get64(f->size) && !memcmp(o->hash, f->hash, sizeof f->hash);
}

static bool is_regular(const struct hyc_disk_file *f)
{
	return (hyc_get32(f->mode) & HYC_MODE_TYPE) == HYC_MODE_REG;
}

static int check_files(struct verify *v, struct hyc_error *err)
{
	const struct hyc_index *x = &v->archive->index;

	for (uint32_t i = 0; i < x->n_files; i++) {
		const struct hyc_disk_file *f = &x->files[i];
		XXH128_canonical_t hash;
		char msg[400];
		int result;

		if (!is_regular(f) || same_as_object(x, f))
			continue;
		XXH3_128bits_reset(v->hash);
		result = hyc_stream(v->archive, i, 0, hyc_get64(f->size), v->threads, hash_sink, v, err);
		if (result == -ENOMEM || result == -EAGAIN)
			return result;
		XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(v->hash));
		if (!result && !memcmp(&hash, f->hash, sizeof hash))
			continue;
		snprintf(msg, sizeof msg, "file %.300s: %s", x->names + hyc_get32(f->path_off),
			 result ? "cannot be decoded whole" : "its bytes do not have the recorded digest");
		damage(v, msg);
	}
	return 0;
}

static uint64_t total_bytes(const struct verify *v)
{
	const struct hyc_index *x = &v->archive->index;
	uint64_t total = 0;

	for (uint32_t i = 0; i < x->n_objects; i++)
		total += hyc_get64(x->objects[i].bytes);
	for (uint32_t i = 0; v->options->deep && i < x->n_files; i++)
		if (is_regular(&x->files[i]) && !same_as_object(x, &x->files[i]))
			total += hyc_get64(x->files[i].size);
	return total;
}

int hyc_verify(struct hyc *a, const struct hyc_verify_options *options, uint64_t *n_damaged, struct hyc_error *err)
{
	static const struct hyc_ordered_ops ops = { produce, work, consume, fini };
	struct verify v = { .archive = a, .options = options, .threads = options->threads };
	int result;

	if (a->view)
		return hyc_fail(err, -EINVAL, "%s: files of a view have no digests; verify the archive itself", a->path);
	if (!v.threads)
		v.threads = hyc_cpu_count();
	v.total = total_bytes(&v);
	v.hash = XXH3_createState();
	if (!v.hash)
		return hyc_fail(err, -ENOMEM, "%s: no memory", a->path);
	XXH3_128bits_reset(v.hash);
	result = hyc_ordered_run(v.threads, sizeof(struct job), &ops, &v);
	if (result)
		result = hyc_fail_errno(err, result, "%s: cannot verify", a->path);
	else if (options->deep)
		result = check_files(&v, err);
	XXH3_freeState(v.hash);
	*n_damaged = v.n_damaged;
	return result;
}
