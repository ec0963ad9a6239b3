/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3, in the fastest form the library has. Its plain functions are compiled for the least processor; where it also has ones that look
 * at the processor, that header puts them in the place of the plain ones (20 against 46 GB/s with AVX-512). Those leave the upper halves
 * of the vector registers in use, with which all SSE code that comes after is slower, plain C decoders by half. So the functions
 * for what may be long are ours, and clear them.
 */
#ifndef HYC_BASE_HASH_H
#define HYC_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>
#ifdef HAVE_XXH3_DISPATCH
#include <xxh_x86dispatch.h>
#endif

/* XXH3-64 of len bytes. */
uint64_t hyc_hash64(const void *data, size_t len);

/* XXH3-128 of len bytes. */
XXH128_hash_t hyc_hash128(const void *data, size_t len);

/* More bytes for an XXH3-128 that XXH3_128bits_reset() began and XXH3_128bits_digest() ends. */
void hyc_hash128_update(XXH3_state_t *state, const void *data, size_t len);

#endif
