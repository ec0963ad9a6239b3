/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slow model of the tcq codec, written from section 7 of doc/format.md with integers of any step and numbers in
 * double precision, in which every product of two floats is exact. What is malformed fails the test.
 */
#ifndef HYC_TESTS_TCQ_MODEL_H
#define HYC_TESTS_TCQ_MODEL_H

#include "codec/codec.h"

/* An element of BF16, F16 or F32 as a number; and the element nearest to a number that is not NaN. */
double tcq_model_get(const uint8_t *p, uint32_t dtype);
void tcq_model_put(uint8_t *p, uint32_t dtype, double x);

/* Decode a block of rows. */
void tcq_model_decode(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, uint8_t *dst,
		      size_t dst_len);

/* Offset of the directory in a block. */
size_t tcq_model_directory(const struct hyc_coding *coding, const uint8_t *src, size_t src_len);

#endif
