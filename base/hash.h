/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3, in the fastest form the library has. Its plain functions are compiled for the least processor; where it also has ones that look
 * at the processor, that header puts them in the place of the plain ones (20 against 46 GB/s with AVX-512).
 */
#ifndef HYC_BASE_HASH_H
#define HYC_BASE_HASH_H

#include <xxhash.h>
#ifdef HAVE_XXH3_DISPATCH
#include <xxh_x86dispatch.h>
#endif

#endif
