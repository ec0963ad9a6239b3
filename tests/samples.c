/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "codec/half.h"
#include "format/dtype.h"

static uint64_t state = 1;

void samples_seed(uint64_t seed)
{
	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	/* The one state it never leaves. */
	state += !state;
}

void samples_seed_from_env(void)
{
	unsigned seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 10) : 1;

	printf("SEED=%u\n", seed);
	samples_seed(seed);
}

static uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

uint32_t random32(void)
{
	return (uint32_t)(random64() >> 16);
}

double uniform(void)
{
	return (double)(random64() >> 11) * 0x1p-53;
}

double normal(void)
{
	double sum = 0;

	for (int i = 0; i < 12; i++)
		sum += uniform();
	return sum - 6;
}

void store_element(uint32_t dtype, uint8_t *p, float v)
{
	if (dtype == HYC_F32)
		hyc_store32(p, hyc_float_bits(v));
	else
		hyc_store16(p, dtype == HYC_BF16 ? hyc_float_to_bf16(v) : hyc_float_to_f16(v));
}

struct guarded guarded_new(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (len + page - 1) / page * page;
	struct guarded g = { .map_len = room + page };

	g.map = mmap(NULL, g.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g.map == MAP_FAILED || mprotect(g.map + room, page, PROT_NONE)) {
		perror("no guarded buffer");
		abort();
	}
	g.data = g.map + room - len;
	return g;
}

void guarded_free(struct guarded g)
{
	munmap(g.map, g.map_len);
}
