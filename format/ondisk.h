/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structs of an archive as they lie on disk. doc/format.md is the normative
 * text; this header is its C form. Every field is an array of bytes, so a raw
 * read does not compile: use hyc_get16/32/64 and hyc_put16/32/64 (base/bytes.h).
 */
#ifndef HYC_FORMAT_ONDISK_H
#define HYC_FORMAT_ONDISK_H

#include "base/bytes.h"

#define HYC_MAGIC "\x89HYC\r\n\x1a\n"
#define HYC_VERSION 1u
#define HYC_INCOMPAT_KNOWN UINT64_C(0)

/* Limits of section 3.6. */
#define HYC_MAX_INDEX_BYTES (UINT64_C(1) << 30)
#define HYC_INDEX_SLACK (UINT64_C(1) << 20)
#define HYC_INDEX_EXPANSION UINT64_C(255)
#define HYC_MAX_NAME 4096u
#define HYC_MAX_COMPONENT 255u
#define HYC_MAX_DEPTH 64u
#define HYC_MAX_BLOCK (UINT32_C(1) << 24)
#define HYC_MAX_BYTES (UINT64_C(1) << 62)
#define HYC_MAX_EXPANSION (UINT64_C(1) << 20)
#define HYC_MAX_PADDING (UINT64_C(1) << 20)
#define HYC_MAX_NDIM 64u

struct hyc_disk_super {
	uint8_t magic[8];
	le32 version;
	le32 superblock_bytes;
	le64 incompat;
	le64 compat;
	le64 archive_bytes;
	le64 index_off;
	le64 index_stored;
	le64 index_bytes;
	uint8_t index_hash[16];
	uint8_t reserved[40];
	le64 check;
};
_Static_assert(sizeof(struct hyc_disk_super) == 128, "superblock");

struct hyc_disk_index {
	le32 n_files;
	le32 n_extents;
	le32 n_objects;
	le32 n_tensors;
	le32 n_blocks;
	le32 n_dims;
	le32 params_bytes;
	le32 names_bytes;
	uint8_t reserved[16];
};
_Static_assert(sizeof(struct hyc_disk_index) == 48, "index header");

struct hyc_disk_file {
	le32 path_off;
	le32 path_len;
	le32 mode;
	le32 kind;
	le64 size;
	le64 mtime_sec;
	le32 mtime_nsec;
	le32 first_extent;
	le32 n_extents;
	le32 reserved;
	uint8_t hash[16];
};
_Static_assert(sizeof(struct hyc_disk_file) == 64, "file");

struct hyc_disk_extent {
	le64 file_off;
	le32 kind;
	le32 target;
	le64 start;
};
_Static_assert(sizeof(struct hyc_disk_extent) == 24, "extent");

struct hyc_disk_object {
	le32 codec;
	le32 dtype;
	le64 bytes;
	le64 rows;
	le64 cols;
	le32 block_bytes;
	le32 first_block;
	le32 n_blocks;
	le32 crc32;
	uint8_t hash[16];
	le32 params_off;
	le32 params_len;
	le32 flags;
	le32 power; /* f32 */
	le64 mse;
	le64 max_error;
};
_Static_assert(sizeof(struct hyc_disk_object) == 96, "object");

struct hyc_disk_tensor {
	le32 name_off;
	le32 name_len;
	le32 file;
	le32 object;
	le64 start;
	le32 dtype;
	le32 ndim;
	le32 first_dim;
	le32 flags;
};
_Static_assert(sizeof(struct hyc_disk_tensor) == 40, "tensor");

struct hyc_disk_block {
	le64 off;
	le32 stored;
	le32 reserved;
	le64 hash;
};
_Static_assert(sizeof(struct hyc_disk_block) == 24, "block");

#define HYC_MODE_DIR 0x4000u
#define HYC_MODE_REG 0x8000u
#define HYC_MODE_TYPE 0xf000u
#define HYC_NO_OBJECT UINT32_MAX
#define HYC_OBJECT_EXACT 1u
#define HYC_TENSOR_STRIDED 1u

enum hyc_file_kind {
	HYC_KIND_PLAIN = 0, HYC_KIND_SAFETENSORS = 1, HYC_KIND_TORCH_ZIP = 2, HYC_KIND_TORCH_LEGACY = 3, HYC_KIND_GGUF = 4,
	HYC_KIND_NPZ = 5
};
enum hyc_extent_kind { HYC_EXTENT_LITERAL = 0, HYC_EXTENT_TENSOR = 1, HYC_EXTENT_PADDING = 2 };

#endif
