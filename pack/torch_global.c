/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "pack/torch_global.h"

#include "format/dtype.h"

#include <stdbool.h>
#include <string.h>

#define STORAGE(name, dtype, element) { "torch", name "Storage", HYC_TORCH_STORAGE, dtype, element }
#define DTYPE(name, dtype, element) { "torch", name, HYC_TORCH_DTYPE, dtype, element }
#define HARMLESS(module, name) { module, name, HYC_TORCH_HARMLESS, HYC_BYTES, 0 }
#define MEANS(module, name, meaning) { module, name, meaning, HYC_BYTES, 0 }

static const struct hyc_torch_global globals[] = {
	{ "", "", HYC_TORCH_UNKNOWN, HYC_BYTES, 0 },
	MEANS("torch._utils", "_rebuild_tensor_v2", HYC_TORCH_REBUILD_V2),
	MEANS("torch._utils", "_rebuild_tensor_v3", HYC_TORCH_REBUILD_V3),
	MEANS("torch._utils", "_rebuild_tensor", HYC_TORCH_REBUILD_V1),
	MEANS("torch._utils", "_rebuild_parameter", HYC_TORCH_REBUILD_PARAMETER),
	MEANS("torch._utils", "_rebuild_parameter_with_state", HYC_TORCH_REBUILD_PARAMETER),
	MEANS("torch._tensor", "_rebuild_from_type_v2", HYC_TORCH_REBUILD_FROM_TYPE),
	MEANS("collections", "OrderedDict", HYC_TORCH_ORDERED_DICT),
	MEANS("torch", "Size", HYC_TORCH_SIZE),
	STORAGE("Float", HYC_F32, 4), STORAGE("Half", HYC_F16, 2), STORAGE("BFloat16", HYC_BF16, 2),
	STORAGE("Double", HYC_F64, 8), STORAGE("Long", HYC_I64, 8), STORAGE("Int", HYC_I32, 4),
	STORAGE("Short", HYC_I16, 2), STORAGE("Char", HYC_I8, 1), STORAGE("Byte", HYC_U8, 1),
	STORAGE("Bool", HYC_BOOL, 1), STORAGE("ComplexFloat", HYC_C64, 8), STORAGE("ComplexDouble", HYC_BYTES, 16),
	STORAGE("QInt8", HYC_BYTES, 1), STORAGE("QUInt8", HYC_BYTES, 1), STORAGE("QInt32", HYC_BYTES, 4),
	STORAGE("QUInt4x2", HYC_BYTES, 1), STORAGE("QUInt2x4", HYC_BYTES, 1),
	{ "torch.storage", "UntypedStorage", HYC_TORCH_STORAGE, HYC_BYTES, 1 },
	{ "torch", "UntypedStorage", HYC_TORCH_STORAGE, HYC_BYTES, 1 },
	DTYPE("float32", HYC_F32, 4), DTYPE("float16", HYC_F16, 2), DTYPE("bfloat16", HYC_BF16, 2),
	DTYPE("float64", HYC_F64, 8), DTYPE("int64", HYC_I64, 8), DTYPE("int32", HYC_I32, 4), DTYPE("int16", HYC_I16, 2),
	DTYPE("int8", HYC_I8, 1), DTYPE("uint8", HYC_U8, 1), DTYPE("bool", HYC_BOOL, 1), DTYPE("uint16", HYC_U16, 2),
	DTYPE("uint32", HYC_U32, 4), DTYPE("uint64", HYC_U64, 8), DTYPE("complex64", HYC_C64, 8),
	DTYPE("complex128", HYC_BYTES, 16), DTYPE("complex32", HYC_BYTES, 4),
	DTYPE("float8_e4m3fn", HYC_F8_E4M3, 1), DTYPE("float8_e5m2", HYC_F8_E5M2, 1),
	DTYPE("float8_e4m3fnuz", HYC_F8_E4M3FNUZ, 1), DTYPE("float8_e5m2fnuz", HYC_F8_E5M2FNUZ, 1),
	DTYPE("float8_e8m0fnu", HYC_F8_E8M0, 1), DTYPE("float4_e2m1fn_x2", HYC_BYTES, 1),
	DTYPE("bits8", HYC_BYTES, 1), DTYPE("bits16", HYC_BYTES, 2),
	HARMLESS("torch", "device"), HARMLESS("torch", "Tensor"), HARMLESS("torch.nn.parameter", "Parameter"),
	HARMLESS("builtins", "set"), HARMLESS("__builtin__", "set"), HARMLESS("builtins", "frozenset"),
	HARMLESS("__builtin__", "frozenset"), HARMLESS("builtins", "complex"), HARMLESS("__builtin__", "complex"),
	HARMLESS("builtins", "bytearray"), HARMLESS("__builtin__", "bytearray"), HARMLESS("_codecs", "encode"),
};

const struct hyc_torch_global *hyc_torch_global(int64_t id)
{
	return &globals[id];
}

static bool is(const char *name, const char *bytes, size_t len)
{
	return strlen(name) == len && !memcmp(name, bytes, len);
}

int64_t hyc_torch_global_find(const char *module, size_t module_len, const char *name, size_t name_len)
{
	for (size_t i = 1; i < sizeof globals / sizeof *globals; i++) {
		const struct hyc_torch_global *g = &globals[i];
		bool cuda = g->meaning == HYC_TORCH_STORAGE && is("torch.cuda", module, module_len);

		if (is(g->name, name, name_len) && (cuda || is(g->module, module, module_len)))
			return (int64_t)i;
	}
	return 0;
}
