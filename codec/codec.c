/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of codecs, and the choice of a backend. */
#include "config.h"

#include "codec/codec.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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

int hyc_codec_init(struct hyc_error *err)
{
	const char *wanted = getenv("HYC_BACKEND");

	if (wanted && strcmp(wanted, "scalar"))
		return hyc_fail(err, -EINVAL, "HYC_BACKEND=%s: no such backend in this build; available: scalar", wanted);
	return 0;
}

const char *hyc_backend_name(void)
{
	return "scalar";
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

static int decode_with_state(const struct hyc_codec *codec, const struct hyc_coding *coding, const uint8_t *src,
			     size_t src_len, uint8_t *dst, size_t dst_len)
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
	return codec->decode(&with_state, src, src_len, dst, dst_len);
}

int hyc_block_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	const struct hyc_codec *codec = &codecs[coding->codec];

	if (src_len == dst_len) {
		memcpy(dst, src, dst_len);
		return 0;
	}
	if (codec->build)
		return decode_with_state(codec, coding, src, src_len, dst, dst_len);
	return codec->decode(coding, src, src_len, dst, dst_len);
}
