/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser takes some hundred bytes for a value of two characters, so the values are
 * counted first: every value but the first stands behind one of the four characters
 * counted here. Some in strings are counted in vain; the limit has room for that.
 */
#include "config.h"

#include "pack/json.h"

#include <errno.h>

/* About 320,000 tensors in one file; at worst 600 MB of memory. */
#define MAX_VALUES (UINT32_C(1) << 22)

static size_t count_values(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{';
	return n;
}

int hyc_json_parse(const char *shown, const char *what, const char *text, size_t len, json_t **out,
		   struct hyc_error *err)
{
	json_error_t wrong;

	if (count_values(text, len) > MAX_VALUES)
		return hyc_fail(err, -EINVAL, "%s: %s has more than %u values", shown, what, MAX_VALUES);
	*out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &wrong);
	if (!*out && json_error_code(&wrong) == json_error_out_of_memory)
		return hyc_fail(err, -ENOMEM, "%s: not enough memory to parse %s", shown, what);
	if (!*out)
		return hyc_fail(err, -EINVAL, "%s: %s is not valid JSON: %s (byte %d)", shown, what, wrong.text,
				wrong.position);
	if (!json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		return hyc_fail(err, -EINVAL, "%s: %s is not a JSON object", shown, what);
	}
	return 0;
}
