/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/hash.h"

#if defined(__x86_64__) && defined(HAVE_XXH3_DISPATCH)
#include <immintrin.h>

__attribute__((target("avx"))) static void clear(void)
{
	_mm256_zeroupper();
}

static void clear_upper_halves(void)
{
	if (__builtin_cpu_supports("avx"))
		clear();
}
#else
static void clear_upper_halves(void)
{
}
#endif

uint64_t hyc_hash64(const void *data, size_t len)
{
	uint64_t hash = XXH3_64bits(data, len);

	clear_upper_halves();
	return hash;
}

XXH128_hash_t hyc_hash128(const void *data, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits(data, len);

	clear_upper_halves();
	return hash;
}

void hyc_hash128_update(XXH3_state_t *state, const void *data, size_t len)
{
	XXH3_128bits_update(state, data, len);
	clear_upper_halves();
}
