/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of codecs, and the choice of a backend. */
#include "config.h"

#include "codec/codec.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu.h"
#include "codec/cuda/cuda.h"
#include "codec/decoders.h"

static int check_stored(const struct hyc_coding *coding)
{
	return coding->params_len ? -EBADMSG : 0;
}

/* A stored object has only blocks that are stored as they are, and those never reach a codec. */
static int decode_stored(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst,
			 size_t dst_len)
{
	(void)coding, (void)src, (void)src_len, (void)dst, (void)dst_len;
	return -EBADMSG;
}

static const struct hyc_codec codecs[HYC_N_CODECS] = {
	[HYC_CODEC_STORED] = { "stored", 0, check_stored, decode_stored, NULL, NULL },
	[HYC_CODEC_ZSTD] = { "zstd", 0, hyc_zstd_check, hyc_zstd_decode, NULL, NULL },
	[HYC_CODEC_FLOAT] = { "float", 0, hyc_float_check, hyc_float_decode, NULL, NULL },
	[HYC_CODEC_HYPER] = { "hyper", 1, hyc_hyper_check, hyc_hyper_decode, hyc_hyper_state_bytes, hyc_hyper_build },
	[HYC_CODEC_TCQ] = { "tcq", 1, hyc_tcq_check, hyc_tcq_decode, NULL, NULL },
};

const struct hyc_codec *hyc_codec_get(uint32_t id)
{
	return id < HYC_N_CODECS ? &codecs[id] : NULL;
}

const char *hyc_codec_name(unsigned codec)
{
	return codec < HYC_N_CODECS ? codecs[codec].name : NULL;
}

static int always(void)
{
	return 1;
}

static const struct hyc_backend scalar = {
	.name = "scalar", .available = always,
};

#ifdef HAVE_AVX2
static const struct hyc_backend avx2 = {
	.name = "avx2", .available = hyc_cpu_has_avx2,
	.decode = {
		[HYC_CODEC_FLOAT] = hyc_float_decode_avx2,
		[HYC_CODEC_TCQ] = hyc_tcq_decode_avx2,
		[HYC_CODEC_HYPER] = hyc_hyper_decode_avx2,
	},
};
#endif

#ifdef HAVE_AVX512
static const struct hyc_backend avx512 = {
	.name = "avx512", .available = hyc_cpu_has_avx512,
	.decode = {
		[HYC_CODEC_FLOAT] = hyc_float_decode_avx512,
		[HYC_CODEC_TCQ] = hyc_tcq_decode_avx512,
		[HYC_CODEC_HYPER] = hyc_hyper_decode_avx512,
	},
};
#endif

/* Not in the list, as it is never chosen by itself: a block alone takes longer there and back than here. Only who names it has it. */
static const struct hyc_backend cuda = {
	.name = "cuda", .available = always,
	.decode = {
		[HYC_CODEC_FLOAT] = hyc_cuda_decode, [HYC_CODEC_HYPER] = hyc_cuda_decode, [HYC_CODEC_TCQ] = hyc_cuda_decode,
	},
};

static const struct hyc_backend *const backends[] = {
	&scalar,
#ifdef HAVE_AVX2
	&avx2,
#endif
#ifdef HAVE_AVX512
	&avx512,
#endif
	NULL,
};

static const struct hyc_backend *_Atomic chosen;

static const struct hyc_backend *chosen_or_scalar(void)
{
	const struct hyc_backend *backend = atomic_load_explicit(&chosen, memory_order_acquire);

	return backend ? backend : &scalar;
}

const struct hyc_backend *hyc_backend_at(unsigned i)
{
	return i < sizeof backends / sizeof *backends ? backends[i] : NULL;
}

const struct hyc_backend *hyc_backend_decoder(const struct hyc_backend *backend, uint32_t codec)
{
	if (!backend->decode[codec])
		return &scalar;
	for (unsigned i = 0; backends[i]; i++)
		if (backends[i]->decode[codec] == backend->decode[codec])
			return backends[i];
	return backend;
}

const char *hyc_backend_available(unsigned n)
{
	for (unsigned i = 0; backends[i]; i++)
		if (backends[i]->available() && !n--)
			return backends[i]->name;
	return NULL;
}

static const struct hyc_backend *find_available(const char *name)
{
	for (unsigned i = 0; backends[i]; i++)
		if (!strcmp(backends[i]->name, name) && backends[i]->available())
			return backends[i];
	return NULL;
}

/* "scalar, avx2" */
static void list_available(char *list, size_t room)
{
	size_t len = 0;
	const char *name;

	for (unsigned i = 0; (name = hyc_backend_available(i)) && len < room; i++)
		len += (size_t)snprintf(list + len, room - len, "%s%s", i ? ", " : "", name);
}

/* The backend of this name, or an error that begins with what was said. */
static const struct hyc_backend *find_wanted(const char *said, const char *name, struct hyc_error *err)
{
	const struct hyc_backend *backend = find_available(name);
	struct hyc_error missing;
	char list[128];

	if (!strcmp(name, cuda.name)) {
		if (!hyc_cuda_probe(-1, &missing))
			return &cuda;
		hyc_fail(err, -EINVAL, "%s%s: %s", said, name, missing.msg);
	} else if (!backend) {
		list_available(list, sizeof list);
		hyc_fail(err, -EINVAL, "%s%.64s: no such backend in this build or on this processor; available: %s", said,
			 name, list);
	}
	return backend;
}

int hyc_backend_choose(const char *name, struct hyc_error *err)
{
	const struct hyc_backend *backend = find_wanted("", name, err);

	if (!backend)
		return -EINVAL;
	atomic_store_explicit(&chosen, backend, memory_order_release);
	return 0;
}

int hyc_codec_init(struct hyc_error *err)
{
	const char *wanted = getenv("HYC_BACKEND");
	const struct hyc_backend *best = &scalar, *none = NULL;

	if (atomic_load_explicit(&chosen, memory_order_acquire))
		return 0;
	if (wanted) {
		best = find_wanted("HYC_BACKEND=", wanted, err);
		if (!best)
			return -EINVAL;
	}
	for (unsigned i = 0; !wanted && backends[i]; i++)
		if (backends[i]->available())
			best = backends[i];
	atomic_compare_exchange_strong(&chosen, &none, best);
	return 0;
}

const char *hyc_backend_name(void)
{
	return chosen_or_scalar()->name;
}

const char *hyc_codec_backend(unsigned codec)
{
	return codec < HYC_N_CODECS ? hyc_backend_decoder(chosen_or_scalar(), codec)->name : NULL;
}

/* The state of the last object this thread decoded, kept for its other blocks. */
struct kept_state {
	void *memory; /* freed by the thread's end */
	size_t room;
	uint64_t key; /* 0: nothing to use again */
};

static _Thread_local struct kept_state kept;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;
static pthread_key_t kept_memory;
static int kept_error;

static void make_kept_memory(void)
{
	kept_error = pthread_key_create(&kept_memory, free);
}

static int make_room(struct kept_state *k, size_t bytes)
{
	void *memory;

	pthread_once(&kept_once, make_kept_memory);
	if (kept_error)
		return -ENOMEM;
	if (k->room >= bytes)
		return 0;
	memory = malloc(bytes);
	if (!memory || pthread_setspecific(kept_memory, memory)) {
		free(memory);
		return -ENOMEM;
	}
	free(k->memory);
	k->memory = memory;
	k->room = bytes;
	return 0;
}

static int decode_with_state(const struct hyc_codec *codec, hyc_decode_fn *decode, const struct hyc_coding *coding,
			     const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	struct hyc_coding with_state = *coding;
	struct kept_state *k = &kept;

	if (!coding->key || coding->key != k->key) {
		k->key = 0;
		if (make_room(k, codec->state_bytes(coding)))
			return -ENOMEM;
		codec->build(coding, k->memory);
		k->key = coding->key;
	}
	with_state.state = k->memory;
	return decode(&with_state, src, src_len, dst, dst_len);
}

int hyc_block_decode_with(const struct hyc_backend *backend, const struct hyc_coding *coding, const uint8_t *src,
			  size_t src_len, uint8_t *dst, size_t dst_len)
{
	const struct hyc_codec *codec = &codecs[coding->codec];
	hyc_decode_fn *decode = backend->decode[coding->codec];

	if (src_len == dst_len) {
		memcpy(dst, src, dst_len);
		return 0;
	}
	if (!decode)
		decode = codec->decode;
	if (codec->build)
		return decode_with_state(codec, decode, coding, src, src_len, dst, dst_len);
	return decode(coding, src, src_len, dst, dst_len);
}

int hyc_cpu_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	hyc_decode_fn *decode = codecs[coding->codec].decode;

	for (unsigned i = 0; backends[i]; i++)
		if (backends[i]->decode[coding->codec] && backends[i]->available())
			decode = backends[i]->decode[coding->codec];
	return decode(coding, src, src_len, dst, dst_len);
}

int hyc_block_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	return hyc_block_decode_with(chosen_or_scalar(), coding, src, src_len, dst, dst_len);
}
