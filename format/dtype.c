/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "format/dtype.h"

#include <string.h>

static const struct {
	const char *name;
	uint8_t bits;
} dtypes[HYC_N_DTYPES] = {
	[HYC_BYTES] = { "BYTES", 8 },
	[HYC_BOOL] = { "BOOL", 8 },
	[HYC_U8] = { "U8", 8 },
	[HYC_I8] = { "I8", 8 },
	[HYC_F16] = { "F16", 16 },
	[HYC_BF16] = { "BF16", 16 },
	[HYC_F8_E4M3] = { "F8_E4M3", 8 },
	[HYC_F8_E5M2] = { "F8_E5M2", 8 },
	[HYC_F8_E4M3FNUZ] = { "F8_E4M3FNUZ", 8 },
	[HYC_F8_E5M2FNUZ] = { "F8_E5M2FNUZ", 8 },
	[HYC_F8_E8M0] = { "F8_E8M0", 8 },
	[HYC_F4] = { "F4", 4 },
	[HYC_F6_E2M3] = { "F6_E2M3", 6 },
	[HYC_F6_E3M2] = { "F6_E3M2", 6 },
	[HYC_I16] = { "I16", 16 },
	[HYC_U16] = { "U16", 16 },
	[HYC_F32] = { "F32", 32 },
	[HYC_I32] = { "I32", 32 },
	[HYC_U32] = { "U32", 32 },
	[HYC_F64] = { "F64", 64 },
	[HYC_I64] = { "I64", 64 },
	[HYC_U64] = { "U64", 64 },
	[HYC_C64] = { "C64", 64 },
};

const char *hyc_dtype_name(uint32_t dtype)
{
	return dtypes[dtype].name;
}

unsigned hyc_dtype_bits(uint32_t dtype)
{
	return dtypes[dtype].bits;
}

unsigned hyc_dtype_bytes(uint32_t dtype)
{
	return dtypes[dtype].bits < 8 ? 1 : dtypes[dtype].bits / 8u;
}

int hyc_dtype_find(const char *name)
{
	for (int i = HYC_BYTES + 1; i < HYC_N_DTYPES; i++)
		if (!strcmp(dtypes[i].name, name))
			return i;
	return -1;
}
