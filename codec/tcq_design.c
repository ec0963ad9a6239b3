/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is decided for a whole object before its blocks are coded. Steps in proportion to the spread of a row are the
 * best rule without calibration; outliers must not widen them, or a single one would cost all of its row.
 */
#include "config.h"

#include "codec/tcq_encode.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "codec/tcq.h"

/* Sum of squares and number of the values of at most limit in magnitude, and the largest of them. */
static double sum_squares(uint32_t dtype, const uint8_t *src, uint64_t n, double limit, uint64_t *n_in, double *max)
{
	unsigned elem_bytes = hyc_dtype_bytes(dtype);
	double sum = 0;

	*n_in = 0;
	*max = 0;
	for (uint64_t j = 0; j < n; j++) {
		double x = fabs((double)hyc_tcq_load(src + j * elem_bytes, dtype));

		if (x <= limit) {
			sum += x * x;
			*max = x > *max ? x : *max;
			++*n_in;
		}
	}
	return sum;
}

int hyc_tcq_spread(uint32_t dtype, uint64_t cols, const uint8_t *src, uint32_t n_rows, float *spread)
{
	uint64_t max_out = cols / 256 + 1;

	for (uint32_t i = 0; i < n_rows; i++, src += cols * hyc_dtype_bytes(dtype)) {
		uint64_t n_in, last_in = cols;
		double max, in_max, rms = sqrt(sum_squares(dtype, src, cols, DBL_MAX, &n_in, &max) / (double)cols);

		if (n_in != cols)
			return -EDOM;
		/* As long as few are far out, and there is something else. */
		for (;;) {
			double sum = sum_squares(dtype, src, cols, 6 * rms, &n_in, &in_max);

			if (n_in == last_in || cols - n_in > max_out || sum == 0)
				break;
			rms = sqrt(sum / (double)n_in);
			last_in = n_in;
		}
		/* What is further out than this is coded in steps that suit it, or there would be no level for it. */
		spread[i] = (float)(rms > max / 256 ? rms : max / 256);
	}
	return 0;
}

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

int hyc_tcq_row_scales(const float *spread, uint64_t rows, uint8_t *row_scale, float *unit)
{
	float *sorted = malloc(rows * sizeof *sorted);
	uint64_t n = 0;

	if (!sorted)
		return -ENOMEM;
	for (uint64_t i = 0; i < rows; i++)
		if (spread[i] > 0)
			sorted[n++] = spread[i];
	qsort(sorted, n, sizeof *sorted, compare_floats);
	*unit = n ? sorted[n / 2] : 1;
	free(sorted);
	for (uint64_t i = 0; i < rows; i++) {
		double a = spread[i] > 0 ? 128 + round(8 * log2((double)spread[i] / *unit)) : 128;

		row_scale[i] = (uint8_t)(a < 0 ? 0 : a > 255 ? 255 : a);
	}
	return 0;
}

uint32_t hyc_tcq_unit_rows(uint64_t cols, uint32_t block_rows)
{
	uint32_t most = HYC_RANS_MAX_SYMBOLS / hyc_tcq_stripe_cols(cols);

	/* The field has 16 bits. */
	most = most < UINT16_MAX ? most : UINT16_MAX;
	return (uint32_t)hyc_div_up(block_rows, hyc_div_up(block_rows, most));
}

uint32_t hyc_tcq_params_bytes(const struct hyc_tcq_design *design, uint64_t rows, uint64_t cols)
{
	uint64_t bytes = HYC_TCQ_PARAMS_BYTES;

	if (design->row_scale && hyc_add_overflows(bytes, rows, &bytes))
		return 0;
	if (design->col_scale && hyc_add_overflows(bytes, cols, &bytes))
		return 0;
	return bytes <= UINT32_MAX ? (uint32_t)bytes : 0;
}

int hyc_tcq_write_params(const struct hyc_tcq_design *design, uint64_t rows, uint64_t cols, uint8_t *params)
{
	float step = (float)design->step;

	if (!(step >= HYC_TCQ_MIN_STEP && step <= HYC_TCQ_MAX_STEP))
		return -ERANGE;
	hyc_store32(params, hyc_float_bits(step));
	params[4] = (uint8_t)((design->row_scale ? HYC_TCQ_ROW : 0) | (design->col_scale ? HYC_TCQ_COL : 0) |
			      (design->trellis ? HYC_TCQ_TRELLIS : 0));
	params[5] = 0;
	hyc_store16(params + 6, (uint16_t)design->unit_rows);
	params += HYC_TCQ_PARAMS_BYTES;
	if (design->row_scale) {
		memcpy(params, design->row_scale, rows);
		params += rows;
	}
	if (design->col_scale)
		memcpy(params, design->col_scale, cols);
	return 0;
}
