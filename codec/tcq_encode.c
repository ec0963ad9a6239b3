/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block is searched twice: some of its columns without regard to bits, which tells how often levels occur and so
 * what they cost, then all of it. Only then are its tables made and its units coded.
 */
#include "config.h"

#include "codec/tcq_encode.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "codec/rans_encode.h"
#include "codec/tcq.h"
#include "codec/tcq_search.h"

/* The searches that learn: one in so many columns, as long as enough is left. */
#define LEARN_EVERY 8u
#define LEARN_ELEMENTS 16384u
#define LEARN_ROUNDS 2u
#define PATCH_BITS (8 * HYC_TCQ_PATCH_BYTES)
/* A unit besides its symbols: states, less what they carry; its directory entry; half a step of alignment. */
#define UNIT_BYTES 107.0
#define MAX_VALUE ((float)(HYC_TCQ_MAX_LEVEL - 8))

struct encoder {
	const struct hyc_coding *coding;
	struct hyc_tcq_object object;
	const uint8_t *src;
	uint64_t first_row;
	uint32_t n_rows;
	bool too_far;                       /* some value is beyond all levels */
	struct hyc_tcq_rates rates;
	struct hyc_tcq_values values;
	uint32_t count[2][HYC_RANS_ALPHABET];
	struct hyc_rans_code code[2];       /* by quantiser */
	int32_t *choice;                    /* unit by unit, of the shape of its values */
	uint8_t *dst;
	size_t room, pos;
	/* Of a unit, filled from the end: at most 11 bits a symbol, so never full. */
	uint16_t words[HYC_RANS_MAX_SYMBOLS];
};

/* ---- search ---- */

/* Divide a row's values by their steps. Returns 0, or -EDOM. */
static inline __attribute__((always_inline)) int load_row(struct encoder *enc, const uint8_t *src, uint32_t dtype,
							   float row_step, uint32_t every, float *out)
{
	unsigned elem_bytes = dtype == HYC_F32 ? 4 : 2;
	float inverse = 1 / row_step;
	bool finite = true, near = true;

	for (uint32_t j = 0; j < enc->values.n_cols; j++) {
		float x = hyc_tcq_load(src + (size_t)j * every * elem_bytes, dtype);
		float per_step = inverse * (1 / enc->values.col_step[j]), u = x * per_step;

		finite &= fabsf(x) <= FLT_MAX;
		/* The search needs some levels that are finite. */
		if (dtype == HYC_F16)
			near &= HYC_TCQ_F16_MAX * per_step >= 4;
		near &= fabsf(u) <= MAX_VALUE;
		out[j] = fabsf(u) <= MAX_VALUE ? u : 0;
	}
	enc->too_far |= !near;
	return finite ? 0 : -EDOM;
}

/* Fill values from one in `every` columns of a unit. */
static int load_unit(struct encoder *enc, const struct hyc_tcq_unit *unit, uint32_t every)
{
	const struct hyc_tcq_object *object = &enc->object;
	struct hyc_tcq_values *values = &enc->values;
	int result = 0;

	values->n_rows = unit->n_rows;
	values->n_cols = (unit->n_cols - 1) / every + 1;
	values->stride = (uint32_t)hyc_align_up(values->n_cols, 4);
	for (uint32_t j = 0; j < values->n_cols; j++)
		values->col_step[j] = hyc_tcq_col_scale(object, unit->first_col + j * every);
	for (uint32_t i = 0; i < unit->n_rows; i++) {
		uint64_t row = unit->first_row + i;
		const uint8_t *src = enc->src + (row * object->cols + unit->first_col) * object->elem_bytes;
		float *out = values->value + i * values->stride;

		values->row_step[i] = hyc_tcq_row_scale(object, enc->first_row + row);
		if (enc->coding->dtype == HYC_BF16)
			result |= load_row(enc, src, HYC_BF16, values->row_step[i], every, out);
		else if (enc->coding->dtype == HYC_F16)
			result |= load_row(enc, src, HYC_F16, values->row_step[i], every, out);
		else
			result |= load_row(enc, src, HYC_F32, values->row_step[i], every, out);
		for (uint32_t j = values->n_cols; j < values->stride; j++)
			out[j] = 0;
	}
	return result;
}

static bool has_symbol(int32_t k)
{
	return k >= -HYC_TCQ_MAX_K && k <= HYC_TCQ_MAX_K;
}

/* A level without a symbol of its own has one with its parity. */
static unsigned symbol_of(int32_t k)
{
	return has_symbol(k) ? (unsigned)(k + HYC_TCQ_SYMBOL_ZERO) : (unsigned)k & 1;
}

static void count_unit(struct encoder *enc, const int32_t *choice, uint32_t weight)
{
	const struct hyc_tcq_values *values = &enc->values;

	for (uint32_t i = 0; i < values->n_rows; i++, choice += values->stride)
		for (uint32_t j = 0; j < values->n_cols; j++)
			enc->count[choice[j] & 1][symbol_of(choice[j] >> 1)] += weight;
}

static void make_codes(struct encoder *enc)
{
	for (unsigned q = 0; q < 1u + enc->object.trellis; q++)
		hyc_rans_make_code(enc->count[q], PATCH_BITS - HYC_RANS_BITS, 2, &enc->code[q]);
}

/* Search one in `every` columns of the block, keep the choices only of a search of all of them. */
static int search_block(struct encoder *enc, uint32_t every)
{
	struct hyc_tcq_unit unit = { .n_cols = 0 };
	int32_t *choice = enc->choice;

	memset(enc->count, 0, sizeof enc->count);
	while (hyc_tcq_next_place(&enc->object, enc->n_rows, &unit)) {
		int result = load_unit(enc, &unit, every);

		if (result)
			return result;
		hyc_tcq_search(&enc->values, &enc->rates, enc->object.trellis, choice);
		count_unit(enc, choice, unit.n_cols / enc->values.n_cols);
		if (every == 1)
			choice += (size_t)enc->values.n_rows * enc->values.stride;
	}
	return 0;
}

/* Learn what levels cost: at first as if they cost nothing, then again. */
static int learn_rates(struct encoder *enc, float lambda, uint32_t every)
{
	uint64_t enough = enc->n_rows * enc->object.cols / LEARN_ELEMENTS;

	every = every < enough ? every : enough ? (uint32_t)enough : 1;
	hyc_tcq_set_rates(&enc->rates, NULL, enc->object.trellis, PATCH_BITS, lambda);
	for (unsigned round = 0; lambda > 0 && round < LEARN_ROUNDS; round++) {
		int result = search_block(enc, every);

		if (result)
			return result;
		hyc_tcq_set_rates(&enc->rates, enc->count, enc->object.trellis, PATCH_BITS, lambda);
	}
	return 0;
}

/* ---- output ---- */

/* Room for len bytes of output, zeroed, or NULL once it is full. */
static uint8_t *reserve(struct encoder *enc, size_t len)
{
	uint8_t *p = enc->dst + enc->pos;

	if (!enc->dst || len > enc->room - enc->pos) {
		enc->dst = NULL;
		return NULL;
	}
	enc->pos += len;
	return memset(p, 0, len);
}

static int32_t level_of(const struct encoder *enc, int32_t choice)
{
	return enc->object.trellis ? hyc_tcq_level(choice >> 1, choice & 1) : choice >> 1;
}

static bool needs_patch(const struct encoder *enc, int32_t choice)
{
	int32_t k = choice >> 1;
	unsigned symbol = symbol_of(k);

	return !has_symbol(k) || enc->code[choice & 1].symbol[symbol].coded != symbol;
}

static size_t put_patches(struct encoder *enc, const struct hyc_tcq_unit *unit, const int32_t *choice, uint32_t stride)
{
	size_t n = 0;

	for (uint32_t i = 0; i < unit->n_rows; i++) {
		for (uint32_t j = 0; j < unit->n_cols; j++) {
			int32_t c = choice[i * stride + j];
			uint8_t *out;

			if (!needs_patch(enc, c))
				continue;
			out = reserve(enc, HYC_TCQ_PATCH_BYTES);
			if (!out)
				return 0;
			hyc_store16(out, (uint16_t)(i * unit->n_cols + j));
			hyc_store16(out + 2, (uint16_t)level_of(enc, c));
			n++;
		}
	}
	reserve(enc, hyc_align_up(enc->pos, 16) - enc->pos);
	return n;
}

/* The lanes take a row's symbols in the decoder's order reversed: of 64 columns the odd ones first. */
static uint16_t *put_row(const struct encoder *enc, const int32_t *choice, uint32_t n_cols, uint32_t *x, uint16_t *w)
{
	for (uint32_t group = (n_cols - 1) / HYC_RANS_GROUP + 1; group-- > 0;) {
		for (uint32_t e = HYC_RANS_GROUP; e-- > 0;) {
			uint32_t l = e % HYC_RANS_LANES, j = group * HYC_RANS_GROUP + 2 * l + e / HYC_RANS_LANES;
			const struct hyc_rans_code_symbol *symbol;

			if (j >= n_cols)
				continue;
			symbol = enc->code[choice[j] & 1].symbol;
			w = hyc_rans_put(&x[l], &symbol[symbol[symbol_of(choice[j] >> 1)].coded], w);
		}
	}
	return w;
}

/* Code a unit as one stream; its directory entry goes to dir. */
static void put_unit(struct encoder *enc, const struct hyc_tcq_unit *unit, const int32_t *choice, uint32_t stride,
		     uint8_t *dir)
{
	uint32_t x[HYC_RANS_LANES];
	uint16_t *end = enc->words + HYC_RANS_MAX_SYMBOLS, *w = end;
	size_t n_patches;
	uint8_t *out;

	for (unsigned l = 0; l < HYC_RANS_LANES; l++)
		x[l] = HYC_RANS_LOW;
	for (uint32_t i = unit->n_rows; i-- > 0;)
		w = put_row(enc, choice + (size_t)i * stride, unit->n_cols, x, w);
	out = reserve(enc, HYC_RANS_STATES_BYTES);
	for (unsigned l = 0; out && l < HYC_RANS_LANES; l++)
		hyc_store32(out + 4 * l, x[l]);
	out = reserve(enc, hyc_align_up(2 * (size_t)(end - w), 16));
	for (uint16_t *v = w; out && v < end; v++, out += 2)
		hyc_store16(out, *v);
	n_patches = put_patches(enc, unit, choice, stride);
	/* A unit of 65536 patches would not be worth having. */
	if (n_patches > UINT16_MAX)
		enc->dst = NULL;
	if (!enc->dst)
		return;
	hyc_store16(dir, (uint16_t)(end - w));
	hyc_store16(dir + 2, (uint16_t)n_patches);
}

static size_t count_units(const struct encoder *enc)
{
	return hyc_div_up(enc->n_rows, enc->object.unit_rows) * hyc_div_up(enc->object.cols, HYC_TCQ_STRIPE);
}

/* Bytes of a table, written to dst where that is not NULL. */
static size_t write_table(const struct hyc_rans_code *code, uint8_t *dst)
{
	uint32_t left = HYC_RANS_SLOTS, zeros = 0;
	size_t n = 0;

	for (unsigned s = 0; left; s++) {
		uint32_t freq = code->symbol[s].freq;
		bool is_long = freq >= HYC_TCQ_LONG_FREQ;

		zeros += !freq;
		if (zeros == 256 || (zeros && freq)) {
			if (dst) {
				dst[n] = 0;
				dst[n + 1] = (uint8_t)(zeros - 1);
			}
			n += 2;
			zeros = 0;
		}
		if (!freq)
			continue;
		if (dst) {
			dst[n] = (uint8_t)(is_long ? HYC_TCQ_LONG_FREQ + (freq >> 8) : freq);
			if (is_long)
				dst[n + 1] = (uint8_t)freq;
		}
		n += is_long ? 2 : 1;
		left -= freq;
	}
	return n;
}

static void put_block(struct encoder *enc)
{
	struct hyc_tcq_unit unit = { .n_cols = 0 };
	const int32_t *choice = enc->choice;
	uint8_t *dir, *table;

	for (unsigned q = 0; q < 1u + enc->object.trellis; q++) {
		table = reserve(enc, write_table(&enc->code[q], NULL));
		if (table)
			write_table(&enc->code[q], table);
	}
	reserve(enc, hyc_align_up(enc->pos, 4) - enc->pos);
	dir = reserve(enc, hyc_align_up(enc->pos + 4 * count_units(enc), 16) - enc->pos);
	while (enc->dst && hyc_tcq_next_place(&enc->object, enc->n_rows, &unit)) {
		uint32_t stride = (uint32_t)hyc_align_up(unit.n_cols, 4);

		put_unit(enc, &unit, choice, stride, dir);
		dir += 4;
		choice += (size_t)unit.n_rows * stride;
	}
}

/* What the choices decode to. */
static void put_decoded(const struct encoder *enc, uint8_t *decoded)
{
	const struct hyc_tcq_object *object = &enc->object;
	struct hyc_tcq_unit unit = { .n_cols = 0 };
	const int32_t *choice = enc->choice;
	uint32_t dtype = enc->coding->dtype;

	while (hyc_tcq_next_place(object, enc->n_rows, &unit)) {
		uint32_t stride = (uint32_t)hyc_align_up(unit.n_cols, 4);

		for (uint32_t i = 0; i < unit.n_rows; i++, choice += stride) {
			uint64_t row = unit.first_row + i;
			float row_scale = hyc_tcq_row_scale(object, enc->first_row + row);
			uint8_t *out = decoded + (row * object->cols + unit.first_col) * object->elem_bytes;

			for (uint32_t j = 0; j < unit.n_cols; j++, out += object->elem_bytes) {
				float col_scale = hyc_tcq_col_scale(object, unit.first_col + j);
				int32_t m = level_of(enc, choice[j]);

				hyc_tcq_store(out, dtype, hyc_tcq_element(dtype, m, col_scale, row_scale));
			}
		}
	}
}

static void measure(uint32_t dtype, const uint8_t *src, const uint8_t *decoded, size_t len,
		    struct hyc_tcq_result *result)
{
	*result = (struct hyc_tcq_result) { .power = 0 };
	for (size_t at = 0; at < len; at += hyc_dtype_bytes(dtype)) {
		double x = hyc_tcq_load(src + at, dtype), error = fabs(x - hyc_tcq_load(decoded + at, dtype));

		result->power += x * x;
		result->squared_error += error * error;
		if (error > result->max_error)
			result->max_error = error;
	}
}

/* ---- blocks ---- */

static void encoder_fini(struct encoder *enc)
{
	free(enc->choice);
	free(enc->values.value);
	free(enc->values.survivors);
	free(enc->values.row_step);
	free(enc);
}

/* The encoder of a block, or NULL and *result is the reason. */
static struct encoder *encoder_new(const struct hyc_coding *coding, const uint8_t *src, size_t src_len, int *result)
{
	struct encoder *enc = calloc(1, sizeof *enc);
	struct hyc_tcq_unit unit = { .n_cols = 0 };
	size_t unit_most = 0, all = 0;

	*result = -ENOMEM;
	if (!enc)
		return NULL;
	*result = -EINVAL;
	enc->coding = coding;
	enc->src = src;
	if (hyc_tcq_parse_params(coding, &enc->object))
		goto fail;
	enc->n_rows = hyc_tcq_block_rows(&enc->object, coding->pos, src_len);
	if (!enc->n_rows)
		goto fail;
	enc->first_row = coding->pos / (coding->cols * enc->object.elem_bytes);
	while (hyc_tcq_next_place(&enc->object, enc->n_rows, &unit)) {
		size_t n = unit.n_rows * hyc_align_up(unit.n_cols, 4);

		unit_most = n > unit_most ? n : unit_most;
		all += n;
	}
	*result = -ENOMEM;
	enc->choice = malloc(all * sizeof *enc->choice);
	enc->values.value = malloc(unit_most * sizeof *enc->values.value);
	enc->values.survivors = malloc(unit_most);
	enc->values.row_step = malloc(enc->object.unit_rows * sizeof *enc->values.row_step);
	enc->values.dtype = coding->dtype;
	if (!enc->choice || !enc->values.value || !enc->values.survivors || !enc->values.row_step)
		goto fail;
	*result = 0;
	return enc;
fail:
	encoder_fini(enc);
	return NULL;
}

ssize_t hyc_tcq_encode(const struct hyc_coding *coding, float lambda, const uint8_t *src, size_t src_len, uint8_t *dst,
		       size_t dst_room, uint8_t *decoded, struct hyc_tcq_result *result)
{
	int failed;
	struct encoder *enc = encoder_new(coding, src, src_len, &failed);
	size_t stored = 0;

	if (!enc)
		return failed;
	enc->dst = dst;
	enc->room = dst_room;
	failed = learn_rates(enc, lambda, LEARN_EVERY);
	if (!failed)
		failed = search_block(enc, 1);
	if (!failed && !enc->too_far) {
		make_codes(enc);
		put_block(enc);
		if (enc->dst && enc->pos < dst_room)
			stored = enc->pos;
	}
	if (stored)
		put_decoded(enc, decoded);
	else
		memcpy(decoded, src, src_len);
	encoder_fini(enc);
	if (failed)
		return failed;
	measure(coding->dtype, src, decoded, src_len, result);
	return (ssize_t)stored;
}

/* Bits of n elements, patches included, by the counts of one in `every` of them. */
static double counted_bits(const struct encoder *enc, double n, unsigned every)
{
	double bits = 0, counted = 0, different = 0;

	for (unsigned q = 0; q < 1u + enc->object.trellis; q++) {
		for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++) {
			const struct hyc_rans_code_symbol *symbol = &enc->code[q].symbol[s];
			uint32_t count = enc->count[q][s];

			counted += count;
			different += count > 0;
			bits += count * (double)hyc_rans_bits(&enc->code[q].symbol[symbol->coded]);
			if (s < 2 || symbol->coded != s)
				bits += count * (double)PATCH_BITS;
		}
	}
	/* A code fits its sample better than it fits all, by half a nat for each symbol (Miller and Madow). */
	bits += different / 2 * (every - 1) / log(2);
	return bits * n / counted;
}

int hyc_tcq_estimate(const struct hyc_coding *coding, float lambda, const uint8_t *src, size_t src_len, unsigned every,
		     double *stored)
{
	int failed;
	struct encoder *enc = encoder_new(coding, src, src_len, &failed);

	if (!enc)
		return failed;
	failed = learn_rates(enc, lambda, every);
	if (!failed)
		failed = search_block(enc, every);
	*stored = (double)src_len;
	if (!failed && !enc->too_far) {
		make_codes(enc);
		double bytes = counted_bits(enc, (double)(src_len / enc->object.elem_bytes), every) / 8 +
			       UNIT_BYTES * (double)count_units(enc);

		for (unsigned q = 0; q < 1u + enc->object.trellis; q++)
			bytes += (double)write_table(&enc->code[q], NULL);
		*stored = bytes < *stored ? bytes : *stored;
	}
	encoder_fini(enc);
	return failed;
}
