/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders of the lossless codecs. Their output is free to change; what it decodes to is not. */
#ifndef HYC_CODEC_ENCODE_H
#define HYC_CODEC_ENCODE_H

#include "codec/codec.h"

/* Whether the float codec takes this dtype. */
int hyc_float_takes(uint32_t dtype);

/*
 * Each encodes src_len bytes into dst, which has room for dst_room bytes, and returns the stored length, at least 1;
 * 0 where the result would not be shorter than dst_room (then store the block as it is: pass dst_room = src_len);
 * or -ENOMEM.
 */
ssize_t hyc_float_encode(uint32_t dtype, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_room);
ssize_t hyc_zstd_encode(int level, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_room);

#endif
