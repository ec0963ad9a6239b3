/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parsers of foreign headers: whatever the bytes are, a plan covers its file without a
 * gap, and a weight map names plain files only. The bytes are taken as a whole safetensors
 * file, as the header of one of a size they choose, and as an index.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/split.h"
#include "pack/weight_map.h"
#include "tests/fuzz/fuzz_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void split(const uint8_t *head, size_t size, uint64_t file_bytes)
{
	struct hyc_plan plan = { 0 };
	struct hyc_error err = { 0 };
	uint64_t head_bytes;

	if (hyc_safetensors_head_bytes("x.safetensors", head, file_bytes, &head_bytes, &err))
		demand(err.code < 0 && *err.msg);
	else if (head_bytes > size)
		return;
	else if (hyc_split_safetensors("x.safetensors", head, head_bytes, file_bytes, &plan, &err))
		demand(err.code < 0 && *err.msg);
	else
		check_plan(&plan, file_bytes);
	hyc_plan_fini(&plan);
}

static void split_header(const uint8_t *data, size_t size)
{
	uint8_t *head;

	/* Two bytes choose how many bytes of data follow the header. */
	if (size < 2)
		return;
	head = malloc(8 + size - 2);
	if (!head)
		return;
	hyc_store64(head, size - 2);
	memcpy(head + 8, data + 2, size - 2);
	split(head, 8 + size - 2, 8 + size - 2 + hyc_load16(data));
	free(head);
}

static void check_weight_map(const char *text, size_t size)
{
	struct hyc_error err = { 0 };
	json_t *files = NULL, *value;
	const char *file;

	if (hyc_weight_map_parse("x.index.json", text, size, &files, &err))
		demand(err.code < 0 && *err.msg && !files);
	json_object_foreach(files, file, value)
		demand(*file && !strchr(file, '/') && strcmp(file, "..") != 0);
	json_decref(files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	split(data, size, size);
	split_header(data, size);
	check_weight_map((const char *)data, size);
	return 0;
}
