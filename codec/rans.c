/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/bytes.h"
#include "codec/rans.h"

size_t hyc_rans_read_table(const uint8_t *src, size_t src_len, unsigned b, uint32_t *table)
{
	size_t pos = 2;
	uint32_t n_symbols, start = 0;
	int64_t symbol = -1;

	if (src_len < 2)
		return 0;
	n_symbols = hyc_load16(src);
	for (uint32_t i = 0; i < n_symbols; i++) {
		uint32_t word, freq, gap;

		if (src_len - pos < 2)
			return 0;
		word = hyc_load16(src + pos);
		pos += 2;
		freq = word & (HYC_RANS_SLOTS - 1);
		gap = word >> HYC_RANS_BITS;
		if (gap) {
			symbol += gap;
		} else {
			if (src_len - pos < 2)
				return 0;
			if (hyc_load16(src + pos) <= symbol)
				return 0;
			symbol = hyc_load16(src + pos);
			pos += 2;
		}
		if (symbol >= (INT64_C(1) << b) || !freq || freq > HYC_RANS_SLOTS - start)
			return 0;
		for (uint32_t k = 0; k < freq; k++)
			table[start + k] = hyc_rans_slot(freq, k, (uint32_t)symbol);
		start += freq;
	}
	return start == HYC_RANS_SLOTS ? pos : 0;
}
