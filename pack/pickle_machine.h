/* SPDX-License-Identifier: Apache-2.0 */
/* What pickle.c, which knows opcodes, and pickle_torch.c, which knows what torch means by them, share. */
#ifndef HYC_PACK_PICKLE_MACHINE_H
#define HYC_PACK_PICKLE_MACHINE_H

#include "pack/pickle.h"

#include "pack/input.h"

#include <errno.h>

/* Limits no model comes near. */
#define HYC_PICKLE_MAX_VALUES (UINT32_C(1) << 23)
#define HYC_PICKLE_MAX_STACK (UINT32_C(1) << 20)

static inline const struct hyc_pickle_value *hyc_pickle_get(const struct hyc_pickle *p, uint32_t value)
{
	return &p->values[value];
}

/* Item i of a tuple that has it. */
static inline uint32_t hyc_pickle_item(const struct hyc_pickle *p, const struct hyc_pickle_value *tuple, uint32_t i)
{
	return p->items[tuple->at + i];
}

/* A new element at the end of a table, zeroed; NULL with err set: no memory, or the limit is reached. */
void *hyc_pickle_grow(void *table, uint32_t *n, uint32_t *room, size_t element, struct hyc_error *err);
#define HYC_PICKLE_ADD(table, n, room, err) \
	((__typeof__(table))hyc_pickle_grow(&(table), &(n), &(room), sizeof *(table), (err)))

/* A new value; 0 with err set where there is no room for it. */
uint32_t hyc_pickle_new(struct hyc_pickle *p, uint32_t kind, int64_t number, struct hyc_error *err);

/* The storage with this key; n_storages if there is none. */
uint32_t hyc_pickle_find(const struct hyc_pickle *p, const void *key, uint32_t len);

/* What calling a value with arguments gives; *result may be 0. */
int hyc_pickle_call(struct hyc_pickle *p, uint32_t callee, uint32_t args, uint32_t *result, struct hyc_error *err);

/* What the persistent id stands for: a storage. */
int hyc_pickle_persistent(struct hyc_pickle *p, uint32_t id, uint32_t *result, struct hyc_error *err);

/* The value of a global. */
int hyc_pickle_global(struct hyc_pickle *p, const char *module, size_t module_len, const char *name, size_t name_len,
		      uint32_t *result, struct hyc_error *err);

#endif
