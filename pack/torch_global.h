/* SPDX-License-Identifier: Apache-2.0 */
/* The names that pickles of torch may refer to, and what they mean. */
#ifndef HYC_PACK_TORCH_GLOBAL_H
#define HYC_PACK_TORCH_GLOBAL_H

#include <stddef.h>
#include <stdint.h>

enum hyc_torch_meaning {
	HYC_TORCH_UNKNOWN,
	HYC_TORCH_HARMLESS,     /* makes something that has no tensors */
	HYC_TORCH_ORDERED_DICT,
	HYC_TORCH_SIZE,
	HYC_TORCH_REBUILD_V1, HYC_TORCH_REBUILD_V2, HYC_TORCH_REBUILD_V3,
	HYC_TORCH_REBUILD_PARAMETER,
	HYC_TORCH_REBUILD_FROM_TYPE,
	HYC_TORCH_STORAGE,      /* a class of storages, with a dtype */
	HYC_TORCH_DTYPE
};

struct hyc_torch_global {
	const char *module, *name;
	uint32_t meaning;
	uint32_t dtype;         /* HYC_BYTES: the archive format has none for it */
	uint32_t element;       /* bytes */
};

/* Known globals are 1, 2, ...; 0 stands for all others. */
const struct hyc_torch_global *hyc_torch_global(int64_t id);
int64_t hyc_torch_global_find(const char *module, size_t module_len, const char *name, size_t name_len);

#endif
