/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/tcq-model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "format/dtype.h"

/* The value that is bits of significand long and an integer times 2^lowest, nearest to x, ties to even. */
static double nearest(double x, int bits, int lowest)
{
	int e;

	frexp(x, &e);
	e = e - bits > lowest ? e - bits : lowest;
	return ldexp(nearbyint(ldexp(x, -e)), e);
}

static double rounded(double x, uint32_t dtype)
{
	double y = dtype == HYC_F32 ? x : dtype == HYC_BF16 ? nearest(x, 8, -133) : nearest(x, 11, -24);

	return dtype == HYC_F16 && fabs(y) > 65504 ? copysign(INFINITY, y) : y;
}

double tcq_model_get(const uint8_t *p, uint32_t dtype)
{
	uint32_t v = dtype == HYC_F32 ? hyc_load32(p) : hyc_load16(p);
	int fraction_bits = dtype == HYC_F32 ? 23 : dtype == HYC_BF16 ? 7 : 10;
	int exponent_bits = dtype == HYC_F16 ? 5 : 8;
	int bias = (1 << (exponent_bits - 1)) - 1;
	uint32_t fraction = v & ((1u << fraction_bits) - 1), e = v >> fraction_bits & ((1u << exponent_bits) - 1);
	double x = e ? ldexp(fraction | 1u << fraction_bits, (int)e - bias - fraction_bits) :
		       ldexp(fraction, 1 - bias - fraction_bits);

	if (e == (1u << exponent_bits) - 1)
		x = fraction ? NAN : INFINITY;
	return v >> (fraction_bits + exponent_bits) ? -x : x;
}

void tcq_model_put(uint8_t *p, uint32_t dtype, double x)
{
	float f = (float)rounded(x, dtype);
	unsigned sign = signbit(x) ? 0x8000 : 0;
	uint32_t u;
	int e;

	memcpy(&u, &f, sizeof u);
	x = frexp(fabs((double)f), &e);
	if (dtype == HYC_F32)
		hyc_store32(p, u);
	else if (dtype == HYC_BF16)
		hyc_store16(p, (uint16_t)(u >> 16));
	else if (isinf(f))
		hyc_store16(p, (uint16_t)(sign | 0x7c00));
	else if (f == 0 || e < -13)
		hyc_store16(p, (uint16_t)(sign | (unsigned)ldexp(x, e + 24)));
	else
		hyc_store16(p, (uint16_t)(sign | (unsigned)(e + 14) << 10 | ((unsigned)ldexp(x, 11) & 0x3ff)));
}

struct reader {
	const uint8_t *src;
	size_t len, pos;
};

static unsigned take(struct reader *r, unsigned bytes)
{
	unsigned v = 0;

	assert_true(r->len - r->pos >= bytes);
	for (unsigned b = 0; b < bytes; b++)
		v |= (unsigned)r->src[r->pos++] << (8 * b);
	return v;
}

static void align(struct reader *r, size_t to)
{
	while (r->pos % to)
		assert_int_equal(take(r, 1), 0);
}

struct table {
	unsigned freq[1024], start[1024];
	uint16_t symbol[2048];
};

static void model_table(struct reader *r, struct table *t)
{
	unsigned sum = 0, s = 0;

	memset(t, 0, sizeof *t);
	while (sum < 2048) {
		unsigned v = take(r, 1);

		if (!v) {
			s += take(r, 1) + 1;
			continue;
		}
		if (v >= 128)
			v = (v - 128) * 256 + take(r, 1);
		t->freq[s] = v;
		t->start[s] = sum;
		for (unsigned i = 0; i < v; i++)
			t->symbol[sum++] = (uint16_t)s;
		s++;
	}
	assert_int_equal(sum, 2048);
}

static double model_scale(uint8_t s)
{
	return ldexp((double)(float)pow(2, (s % 8) / 8.0), s / 8 - 16);
}

/* The levels of one unit. */
static void model_unit(struct reader *r, const struct table *table, bool trellis, unsigned n_words,
		       unsigned n_patches, unsigned rows, unsigned w, int *level)
{
	static const unsigned next[8] = { 0, 4, 1, 5, 6, 3, 2, 7 };
	unsigned state[256] = { 0 }, words = 0;
	uint32_t x[32];
	struct reader word;

	for (unsigned l = 0; l < 32; l++)
		x[l] = take(r, 4);
	word = *r;
	for (unsigned row = 0; row < rows; row++) {
		for (unsigned step = 0; step < 2 * ((w + 63) / 64); step++) {
			for (unsigned lane = 0; lane < 32; lane++) {
				unsigned col = step / 2 * 64 + 2 * lane + step % 2, q, s;
				int k;

				if (col >= w)
					continue;
				q = trellis ? state[col] / 4 : 0;
				s = table[q].symbol[x[lane] % 2048];
				x[lane] = table[q].freq[s] * (x[lane] / 2048) + x[lane] % 2048 - table[q].start[s];
				if (x[lane] < 65536) {
					x[lane] = x[lane] * 65536 + take(&word, 2);
					words++;
				}
				k = (int)s - 512;
				level[row * w + col] = trellis ? 2 * k - (int)q * ((k > 0) - (k < 0)) : k;
				state[col] = next[state[col]] ^ (s & 1);
			}
		}
	}
	assert_int_equal(words, n_words);
	for (unsigned l = 0; l < 32; l++)
		assert_int_equal(x[l], 65536);
	r->pos += 2 * n_words;
	align(r, 16);
	for (unsigned i = 0; i < n_patches; i++) {
		unsigned at = take(r, 2);

		assert_true(at < rows * w);
		level[at] = (int16_t)take(r, 2);
	}
	align(r, 16);
}

/* Read the tables and the zero bytes behind them. */
static void model_tables(struct reader *r, const uint8_t *params, struct table table[2])
{
	model_table(r, &table[0]);
	if (params[4] & 4)
		model_table(r, &table[1]);
	align(r, 4);
}

size_t tcq_model_directory(const struct hyc_coding *c, const uint8_t *src, size_t src_len)
{
	struct reader r = { src, src_len, 0 };
	struct table table[2];

	model_tables(&r, c->params, table);
	return r.pos;
}

void tcq_model_decode(const struct hyc_coding *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len)
{
	const uint8_t *p = c->params, *a = p + 8, *b = a + (p[4] & 1 ? c->rows : 0);
	unsigned elem = hyc_dtype_bytes(c->dtype), unit_rows = hyc_load16(p + 6);
	unsigned cols = (unsigned)c->cols, rows = (unsigned)(dst_len / elem / cols), n_units = 0;
	size_t first = (size_t)(c->pos / elem / cols);
	struct reader r = { src, src_len, 0 }, dir;
	struct table table[2];
	static int level[65536];
	uint32_t bits = hyc_load32(p);
	float step;

	memcpy(&step, &bits, sizeof step);
	model_tables(&r, p, table);
	dir = r;
	for (unsigned i = 0; i < rows; i += unit_rows)
		for (unsigned j = 0; j < cols; j += 256)
			n_units++;
	r.pos += 4 * n_units;
	align(&r, 16);
	for (unsigned i = 0; i < rows; i += unit_rows) {
		for (unsigned j = 0; j < cols; j += 256) {
			unsigned h = rows - i < unit_rows ? rows - i : unit_rows, w = cols - j < 256 ? cols - j : 256;
			unsigned n_words = take(&dir, 2), n_patches = take(&dir, 2);

			model_unit(&r, table, p[4] & 4, n_words, n_patches, h, w, level);
			for (unsigned e = 0; e < h * w; e++) {
				unsigned row = i + e / w, col = j + e % w;
				float ri = (float)(step * (p[4] & 1 ? model_scale(a[first + row]) : 1));
				float mc = (float)(level[e] * (p[4] & 2 ? model_scale(b[col]) : 1));
				float value = (float)((double)mc * ri);

				tcq_model_put(dst + ((size_t)row * cols + col) * elem, c->dtype, (double)value);
			}
		}
	}
	assert_int_equal(r.pos, src_len);
}
