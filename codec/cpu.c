/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "codec/cpu.h"

#ifdef __x86_64__

int hyc_cpu_has_avx2(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

int hyc_cpu_has_avx512(void)
{
	return hyc_cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
	       __builtin_cpu_supports("avx512bitalg");
}

#else

int hyc_cpu_has_avx2(void)
{
	return 0;
}

int hyc_cpu_has_avx512(void)
{
	return 0;
}

#endif
