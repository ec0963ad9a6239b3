/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from strangers: bounded memory, no duplicate keys, errors that name the file. */
#ifndef HYC_PACK_JSON_H
#define HYC_PACK_JSON_H

#include "base/error.h"

#include <jansson.h>

static inline void hyc_cleanup_json(json_t **json)
{
	json_decref(*json);
}
#define cleanup_json __attribute__((cleanup(hyc_cleanup_json)))

/*
 * Parse an object. what names the text in an error: "FILE: <what> is not valid JSON". *out is owned.
 * -EINVAL: malformed, a key is there twice, or more values than any model has.
 */
int hyc_json_parse(const char *shown, const char *what, const char *text, size_t len, json_t **out,
		   struct hyc_error *err) HYC_CHECKED;

#endif
