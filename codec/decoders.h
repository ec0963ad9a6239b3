/* SPDX-License-Identifier: Apache-2.0 */
/* The decoders, as codec.c registers them: plain C, and the kernels of other instruction sets. See codec.h for the contract. */
#ifndef HYC_CODEC_DECODERS_H
#define HYC_CODEC_DECODERS_H

#include "codec/codec.h"

#define HYC_FLOAT_MAX_BLOCK ((size_t)1 << 24)

int hyc_float_check(const struct hyc_coding *coding);
int hyc_float_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len);

int hyc_tcq_check(const struct hyc_coding *coding);
int hyc_tcq_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len);

int hyc_hyper_check(const struct hyc_coding *coding);
size_t hyc_hyper_state_bytes(const struct hyc_coding *coding);
void hyc_hyper_build(const struct hyc_coding *coding, void *state);
int hyc_hyper_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len);

/* Only where the build has them (HAVE_AVX2, HAVE_AVX512 of config.h), and only for processors that hyc_cpu_has_... says have them. */
hyc_decode_fn hyc_float_decode_avx2, hyc_float_decode_avx512;
hyc_decode_fn hyc_tcq_decode_avx2, hyc_tcq_decode_avx512;
hyc_decode_fn hyc_hyper_decode_avx2, hyc_hyper_decode_avx512;

int hyc_zstd_check(const struct hyc_coding *coding);
int hyc_zstd_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len);

#endif
