/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target defines and its driver, libFuzzer or replay.c, calls. */
#ifndef HYC_TESTS_FUZZ_H
#define HYC_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
