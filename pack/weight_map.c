/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the index of a sharded model. The index is packed as it is, whatever else it holds. */
#include "config.h"

#include "pack/weight_map.h"

#include "base/cleanup.h"
#include "pack/note.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_BYTES (UINT64_C(256) << 20)

int hyc_weight_map_named(const char *name)
{
	size_t len = strlen(name), end = strlen(".index.json");

	return len >= end && !strcasecmp(name + len - end, ".index.json");
}

static bool is_plain_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

int hyc_weight_map_parse(const char *shown, const char *text, size_t len, json_t **files, struct hyc_error *err)
{
	cleanup_json json_t *root = NULL, *set = NULL;
	const char *tensor;
	json_t *map, *file;
	int failed = hyc_json_parse(shown, "the index", text, len, &root, err);

	*files = NULL;
	if (failed)
		return failed;
	map = json_object_get(root, "weight_map");
	if (!map)
		return 0;
	if (!json_is_object(map))
		return hyc_fail(err, -EINVAL, "%s: its weight_map is not an object", shown);
	set = json_object();
	if (!set)
		return hyc_fail(err, -ENOMEM, "%s: not enough memory for its weight_map", shown);
	json_object_foreach(map, tensor, file) {
		if (!json_is_string(file))
			return hyc_fail(err, -EINVAL, "%s: its weight_map gives no file name for tensor %.200s", shown,
					tensor);
		if (!is_plain_name(json_string_value(file)))
			return hyc_fail(err, -EINVAL, "%s: its weight_map has %.200s for tensor %.200s: no plain file name",
					shown, json_string_value(file), tensor);
		if (json_object_set_new(set, json_string_value(file), json_null()))
			return hyc_fail(err, -ENOMEM, "%s: not enough memory for its weight_map", shown);
	}
	*files = hyc_steal(&set);
	return 0;
}

/* One note, however many are missing. */
static int note_missing(const struct hyc_scan *scan, const struct hyc_entry *entry, json_t *files,
			const struct hyc_pack_options *options, struct hyc_error *err)
{
	const char *slash = strrchr(entry->path, '/'), *file, *first = NULL;
	int dir_len = slash ? (int)(slash + 1 - entry->path) : 0;
	json_t *value;
	size_t missing = 0;

	json_object_foreach(files, file, value) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%.*s%s", dir_len, entry->path, file) < 0) {
			path = NULL;
			return hyc_fail(err, -ENOMEM, "%s: not enough memory for its weight_map", entry->shown);
		}
		if (hyc_scan_find(scan, path))
			continue;
		missing++;
		if (!first || strcmp(file, first) < 0)
			first = file;
	}
	if (missing)
		hyc_pack_note(options, "%s: names %zu file%s that %s not there, such as %.200s", entry->shown, missing,
			      missing == 1 ? "" : "s", missing == 1 ? "is" : "are", first);
	return 0;
}

int hyc_weight_map_check(const struct hyc_scan *scan, const struct hyc_entry *entry,
			 const struct hyc_pack_options *options, struct hyc_error *err)
{
	cleanup_free char *text = NULL;
	cleanup_json json_t *files = NULL;
	int failed;

	if (entry->bytes > MAX_BYTES)
		return hyc_fail(err, -EINVAL, "%s: the index has %" PRIu64 " bytes, more than %" PRIu64, entry->shown,
				entry->bytes, MAX_BYTES);
	text = malloc(entry->bytes + 1);
	if (!text)
		return hyc_fail(err, -ENOMEM, "%s: not enough memory for the index", entry->shown);
	failed = hyc_read_exactly(entry->fd, text, entry->bytes, 0);
	if (failed)
		return hyc_fail_errno(err, failed, "%s: cannot be read", entry->shown);
	failed = hyc_weight_map_parse(entry->shown, text, entry->bytes, &files, err);
	if (failed || !files)
		return failed;
	return note_missing(scan, entry, files, options, err);
}
