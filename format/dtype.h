/* SPDX-License-Identifier: Apache-2.0 */
/* Element types: those of the safetensors format, and BYTES for what is no tensor. */
#ifndef HYC_FORMAT_DTYPE_H
#define HYC_FORMAT_DTYPE_H

#include <stdint.h>

/* Ids are part of the format (doc/format.md, section 3.7). */
enum hyc_dtype {
	HYC_BYTES, HYC_BOOL, HYC_U8, HYC_I8, HYC_F16, HYC_BF16, HYC_F8_E4M3, HYC_F8_E5M2, HYC_F8_E4M3FNUZ, HYC_F8_E5M2FNUZ,
	HYC_F8_E8M0, HYC_F4, HYC_F6_E2M3, HYC_F6_E3M2, HYC_I16, HYC_U16, HYC_F32, HYC_I32, HYC_U32, HYC_F64, HYC_I64, HYC_U64,
	HYC_C64, HYC_N_DTYPES
};

/* Name of a valid dtype, static. */
const char *hyc_dtype_name(uint32_t dtype);

/* Bits of one element of a valid dtype. */
unsigned hyc_dtype_bits(uint32_t dtype);

/* Bytes of one element of an object: bits / 8, and 1 for dtypes of less than a byte. */
unsigned hyc_dtype_bytes(uint32_t dtype);

/* The dtype with this name, or -1. */
int hyc_dtype_find(const char *name);

#endif
