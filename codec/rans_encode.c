/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "codec/rans_encode.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"

/*
 * Make the frequencies of the used symbols sum to HYC_RANS_SLOTS, each step where it changes the coded size least:
 * one more or less in f costs about weight / f bits.
 */
static void fix_sum(struct hyc_rans_code_symbol *symbol, const uint32_t *weight, int sum)
{
	while (sum != (int)HYC_RANS_SLOTS) {
		int step = sum < (int)HYC_RANS_SLOTS ? 1 : -1;
		unsigned best = HYC_RANS_ALPHABET;

		for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++) {
			uint64_t a, b;

			if (!symbol[s].freq || (step < 0 && symbol[s].freq == 1))
				continue;
			if (best == HYC_RANS_ALPHABET) {
				best = s;
				continue;
			}
			/* Compare weight / freq without a division. */
			a = (uint64_t)weight[s] * symbol[best].freq;
			b = (uint64_t)weight[best] * symbol[s].freq;
			if (step > 0 ? a > b : a < b)
				best = s;
		}
		symbol[best].freq = (uint16_t)(symbol[best].freq + step);
		sum += step;
	}
}

/* The symbols that get a frequency: 1 for these, else 0. weight[] gets their counts and those they stand in for. */
static unsigned choose_symbols(const uint32_t *count, uint64_t n, unsigned exception_bits, unsigned classes,
			       struct hyc_rans_code_symbol *symbol, uint32_t *weight)
{
	/* A frequency of 1 takes 1/2048 from all the others and a word in the table. */
	uint64_t slot_bits = n / 1420 + 16;
	unsigned top[2] = { 0, 1 }, used = 0;

	for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++)
		if (count[s] > count[top[s % classes]])
			top[s % classes] = s;
	if (classes == 1) {
		top[1] = top[0] ? 0 : 1;
		for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++)
			if (s != top[0] && count[s] > count[top[1]])
				top[1] = s;
	}
	for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++) {
		bool keep = (uint64_t)exception_bits * count[s] > slot_bits || s == top[0] || s == top[1];

		symbol[s].coded = (uint16_t)(keep ? s : top[s % classes]);
		symbol[s].freq = keep;
		weight[symbol[s].coded] += count[s];
		used += keep;
	}
	return used;
}

void hyc_rans_make_code(const uint32_t *count, unsigned exception_bits, unsigned classes, struct hyc_rans_code *code)
{
	struct hyc_rans_code_symbol *symbol = code->symbol;
	uint32_t weight[HYC_RANS_ALPHABET] = { 0 };
	unsigned used, start = 0;
	uint64_t n = 0;
	int sum = 0;

	memset(code, 0, sizeof *code);
	for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++)
		n += count[s];
	used = choose_symbols(count, n, exception_bits, classes, symbol, weight);
	for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++) {
		uint64_t f;

		if (!symbol[s].freq)
			continue;
		f = n ? (weight[s] * (uint64_t)HYC_RANS_SLOTS + n / 2) / n : 1;
		if (f > HYC_RANS_SLOTS - used + 1)
			f = HYC_RANS_SLOTS - used + 1;
		symbol[s].freq = (uint16_t)(f ? f : 1);
		sum += symbol[s].freq;
	}
	fix_sum(symbol, weight, sum);
	for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++) {
		struct hyc_rans_code_symbol *sym = &symbol[s];

		sym->start = (uint16_t)start;
		start += sym->freq;
		if (!sym->freq)
			continue;
		while (1u << sym->shift < sym->freq)
			sym->shift++;
		sym->reciprocal = ((UINT64_C(1) << (32 + sym->shift)) + sym->freq - 1) / sym->freq;
	}
}

/* Words from dst on, or only their number where dst is NULL. */
static size_t table_words(const struct hyc_rans_code *code, uint8_t *dst)
{
	size_t used = 0, n = 1;
	int previous = -1;

	for (unsigned s = 0; s < HYC_RANS_ALPHABET; s++) {
		unsigned gap = (unsigned)((int)s - previous), freq = code->symbol[s].freq;

		if (!freq)
			continue;
		if (dst) {
			hyc_store16(dst + 2 * n, (uint16_t)(freq | (gap < 32 ? gap << HYC_RANS_BITS : 0)));
			if (gap >= 32)
				hyc_store16(dst + 2 * n + 2, (uint16_t)s);
		}
		n += gap < 32 ? 1 : 2;
		previous = (int)s;
		used++;
	}
	if (dst)
		hyc_store16(dst, (uint16_t)used);
	return n;
}

size_t hyc_rans_table_bytes(const struct hyc_rans_code *code)
{
	return 2 * table_words(code, NULL);
}

void hyc_rans_write_table(const struct hyc_rans_code *code, uint8_t *dst)
{
	table_words(code, dst);
}

float hyc_rans_bits(const struct hyc_rans_code_symbol *symbol)
{
	return (float)HYC_RANS_BITS - log2f(symbol->freq);
}
