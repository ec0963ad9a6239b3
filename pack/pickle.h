/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the pickles of torch without running them: a machine with the opcodes of protocols 1 to 5 whose values are
 * plain data, and that knows what the few functions mean which torch writes for tensors. Whatever else a pickle
 * names becomes a value nobody looks into. Memory grows with the pickle's length, and both have a limit; nothing recurses.
 */
#ifndef HYC_PACK_PICKLE_H
#define HYC_PACK_PICKLE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define HYC_PICKLE_MAX_BYTES (UINT64_C(64) << 20)

enum hyc_pickle_kind {
	HYC_PICKLE_OPAQUE, HYC_PICKLE_NONE, HYC_PICKLE_BOOL, HYC_PICKLE_INT, HYC_PICKLE_STR, HYC_PICKLE_TUPLE, HYC_PICKLE_LIST,
	HYC_PICKLE_DICT, HYC_PICKLE_GLOBAL, HYC_PICKLE_STORAGE, HYC_PICKLE_TENSOR
};

/* Values are named by their index; 0 is the opaque one. */
struct hyc_pickle_value {
	uint32_t kind;
	uint32_t n;           /* bytes of a string, length of a tuple, list or dict */
	union {
		int64_t number;   /* of BOOL, INT, GLOBAL (enum hyc_torch_global), STORAGE and TENSOR (index) */
		uint64_t at;      /* STR: in the pickle. TUPLE: first of its items */
		struct { uint32_t first, last; } links; /* LIST, DICT: in links; 0: none */
	};
};

/* An item of a list, or a pair of a dict. */
struct hyc_pickle_link {
	uint32_t key, value, next;
};

struct hyc_pickle_storage {
	const char *key;      /* borrowed from the pickle, without a zero byte at its end */
	uint32_t key_len;
	uint32_t dtype;       /* HYC_BYTES: not known */
	uint32_t element;     /* bytes of one */
	uint64_t bytes;
};

struct hyc_pickle_tensor {
	uint32_t storage;
	uint32_t dtype;       /* HYC_BYTES: the archive format has none for it */
	uint32_t element, ndim;
	uint64_t offset;      /* elements */
	uint32_t shape, strides; /* tuples of ndim sizes */
	bool plain;           /* not conjugated, negated or so on */
};

struct hyc_pickle {
	const uint8_t *bytes; /* borrowed */
	struct hyc_pickle_value *values;
	uint32_t n_values, room_values;
	uint32_t *items;
	uint32_t n_items, room_items;
	struct hyc_pickle_link *links;
	uint32_t n_links, room_links;
	struct hyc_pickle_storage *storages;
	uint32_t n_storages, room_storages;
	struct hyc_pickle_tensor *tensors;
	uint32_t n_tensors, room_tensors;
	uint32_t *slots, n_slots; /* hash table of storages by key: index + 1 */
	uint32_t root;
	char foreign[200];    /* "module name" of the first global that is not known; or empty */
};

/*
 * Read the pickle that bytes begin with; *used becomes its length. Storages and tensors are added to those that are there
 * already. *p is zero at first, and to be given to hyc_pickle_fini after the last one, also after a failure.
 * -EINVAL: malformed; err tells why, without a file.
 */
int hyc_pickle_read(struct hyc_pickle *p, const uint8_t *bytes, size_t len, size_t *used, struct hyc_error *err) HYC_CHECKED;
void hyc_pickle_fini(struct hyc_pickle *p);

/* Value i of the shape or strides of a tensor. */
uint64_t hyc_pickle_size(const struct hyc_pickle *p, uint32_t tuple, uint32_t i);

#endif
