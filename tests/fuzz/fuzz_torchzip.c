/* SPDX-License-Identifier: Apache-2.0 */
/* Zip files, as checkpoints of torch and as files of numpy. */
#include "config.h"

#include "tests/fuzz/fuzz_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_split(hyc_split_torch_zip, data, size);
	fuzz_split(hyc_split_npz, data, size);
	return 0;
}
