/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoder of the tcq codec, without calibration. An object is designed first: a scale for each row from the spread of
 * its values, and a step. Its blocks can then be coded in any order, each by itself. How many bits a step costs is
 * found out by estimates on samples.
 *
 * Elements are BF16, F16 or F32, blocks whole rows. Blocks of 256 rows and more are best; with few rows the trellis
 * gains little, and every unit takes some 110 bytes.
 */
#ifndef HYC_CODEC_TCQ_ENCODE_H
#define HYC_CODEC_TCQ_ENCODE_H

#include "codec/codec.h"

/* A good weight of bits against squared errors, in squared steps per bit. */
#define HYC_TCQ_LAMBDA 0.3f

/*
 * The spread of each of n_rows rows: the root mean square of its values, outliers left out. 0 for a row of zeros.
 * -EDOM: a value is NaN or infinite; this codec is not for that object.
 */
int hyc_tcq_spread(uint32_t dtype, uint64_t cols, const uint8_t *src, uint32_t n_rows, float *spread);

/*
 * Turn the spreads of all rows of an object into scales, row_scale[rows]. *unit becomes the spread that a scale of 1
 * stands for, by which steps are to be multiplied; 1 where all rows are 0. 0 or -ENOMEM.
 */
int hyc_tcq_row_scales(const float *spread, uint64_t rows, uint8_t *row_scale, float *unit);

struct hyc_tcq_design {
	double step;              /* between levels of a row or column of scale 1 */
	int trellis;
	uint32_t unit_rows;       /* see hyc_tcq_unit_rows */
	const uint8_t *row_scale; /* one for each row; NULL: all are 1 */
	const uint8_t *col_scale; /* likewise */
};

/* The rows of a unit that suit blocks of block_rows rows: as many as possible, in bands of about the same height. */
uint32_t hyc_tcq_unit_rows(uint64_t cols, uint32_t block_rows);

/* Bytes of the parameters of an object; 0 where they would be too many. */
uint32_t hyc_tcq_params_bytes(const struct hyc_tcq_design *design, uint64_t rows, uint64_t cols);

/* Write them. -ERANGE: the step is outside what the format can hold; this codec is not for that object. */
int hyc_tcq_write_params(const struct hyc_tcq_design *design, uint64_t rows, uint64_t cols, uint8_t *params);

struct hyc_tcq_result {
	double power;         /* sum of the squares of the values */
	double squared_error; /* sum, of what is decoded */
	double max_error;
};

/*
 * Encode the block of src_len bytes at coding->pos into dst, which has room for dst_room bytes. Returns the stored
 * length; 0 where the block is to be stored as it is, because the result would not be shorter than dst_room (pass
 * src_len) or because a value is too far out for its row; or
 *   -EDOM    a value is NaN or infinite
 *   -EINVAL  coding is none that hyc_tcq_check accepts, or the block is not whole rows
 *   -ENOMEM
 * decoded, of src_len bytes, becomes what the block decodes to. *result is about that, also where 0 is returned.
 */
ssize_t hyc_tcq_encode(const struct hyc_coding *coding, float lambda, const uint8_t *src, size_t src_len, uint8_t *dst,
		       size_t dst_room, uint8_t *decoded, struct hyc_tcq_result *result);

/* Estimate the stored bytes of a block from one in `every` of its columns. 0 or the errors above. */
int hyc_tcq_estimate(const struct hyc_coding *coding, float lambda, const uint8_t *src, size_t src_len, unsigned every,
		     double *stored);

#endif
