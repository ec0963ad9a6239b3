/* SPDX-License-Identifier: Apache-2.0 */
/* What this processor has, and the operating system saves. Other processors than x86-64 have none of it. */
#ifndef HYC_CODEC_CPU_H
#define HYC_CODEC_CPU_H

/* AVX2 and BMI2. */
int hyc_cpu_has_avx2(void);

/* AVX-512 F, BW, DQ, VL, VBMI and VBMI2: Ice Lake, Zen 4, or later. */
int hyc_cpu_has_avx512(void);

#endif
