/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a sharded model, *.index.json: its weight_map says which file holds a
 * tensor. Loaders join these names to a directory, so names that lead out of it are refused.
 */
#ifndef HYC_PACK_WEIGHT_MAP_H
#define HYC_PACK_WEIGHT_MAP_H

#include "pack/json.h"
#include "pack/scan.h"

/* Whether a file of this name is to be such an index. */
int hyc_weight_map_named(const char *name);

/* Check an index. *files, owned, gets an object whose keys are the files it names; NULL where it has no weight_map. */
int hyc_weight_map_parse(const char *shown, const char *text, size_t len, json_t **files,
			 struct hyc_error *err) HYC_CHECKED;

/* Check the open index of an entry; a file it names that is not among those scanned is worth a note. */
int hyc_weight_map_check(const struct hyc_scan *scan, const struct hyc_entry *entry,
			 const struct hyc_pack_options *options, struct hyc_error *err) HYC_CHECKED;

#endif
