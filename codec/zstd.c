/* SPDX-License-Identifier: Apache-2.0 */
/* zstd frames for everything that is not a float tensor. Contexts are kept per thread: making one costs more than a small block. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"
#include "codec/decoders.h"
#include "codec/encode.h"

static pthread_key_t cctx_key, dctx_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int keys_failed;

static void free_cctx(void *p)
{
	ZSTD_freeCCtx(p);
}

static void free_dctx(void *p)
{
	ZSTD_freeDCtx(p);
}

static void make_keys(void)
{
	keys_failed = pthread_key_create(&cctx_key, free_cctx) || pthread_key_create(&dctx_key, free_dctx);
}

static ZSTD_DCtx *thread_dctx(void)
{
	ZSTD_DCtx *ctx;

	if (pthread_once(&once, make_keys) || keys_failed)
		return NULL;
	ctx = pthread_getspecific(dctx_key);
	if (ctx)
		return ctx;
	ctx = ZSTD_createDCtx();
	if (ctx && pthread_setspecific(dctx_key, ctx)) {
		ZSTD_freeDCtx(ctx);
		ctx = NULL;
	}
	return ctx;
}

static ZSTD_CCtx *thread_cctx(void)
{
	ZSTD_CCtx *ctx;

	if (pthread_once(&once, make_keys) || keys_failed)
		return NULL;
	ctx = pthread_getspecific(cctx_key);
	if (ctx)
		return ctx;
	ctx = ZSTD_createCCtx();
	if (ctx && pthread_setspecific(cctx_key, ctx)) {
		ZSTD_freeCCtx(ctx);
		ctx = NULL;
	}
	return ctx;
}

int hyc_zstd_check(const struct hyc_coding *coding)
{
	return coding->params_len ? -EBADMSG : 0;
}

int hyc_zstd_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	ZSTD_DCtx *ctx = thread_dctx();
	size_t got;

	(void)coding;
	if (!ctx)
		return -ENOMEM;
	/* One frame and nothing else: ZSTD_decompressDCtx alone would also take several, and frames of old versions. */
	if (src_len < 4 || hyc_load32(src) != ZSTD_MAGICNUMBER || ZSTD_findFrameCompressedSize(src, src_len) != src_len)
		return -EBADMSG;
	got = ZSTD_decompressDCtx(ctx, dst, dst_len, src, src_len);
	return !ZSTD_isError(got) && got == dst_len ? 0 : -EBADMSG;
}

ssize_t hyc_zstd_encode(int level, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_room)
{
	ZSTD_CCtx *ctx = thread_cctx();
	size_t got;

	if (!ctx)
		return -ENOMEM;
	if (ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level)))
		return -ENOMEM;
	got = ZSTD_compress2(ctx, dst, dst_room, src, src_len);
	if (ZSTD_isError(got))
		return ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation ? -ENOMEM : 0;
	return got < dst_room ? (ssize_t)got : 0;
}
