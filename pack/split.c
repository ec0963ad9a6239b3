/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of the splitter for a file. */
#include "config.h"

#include "pack/split.h"

#include "base/cleanup.h"
#include "format/ondisk.h"
#include "pack/input.h"
#include "pack/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int split_open_safetensors(int fd, const char *shown, uint64_t file_bytes, struct hyc_plan *plan,
				  struct hyc_error *err)
{
	cleanup_free uint8_t *head = NULL;
	uint8_t length[8];
	uint64_t head_bytes;
	int failed = hyc_read_exactly(fd, length, file_bytes < 8 ? (size_t)file_bytes : 8, 0);

	if (failed)
		return hyc_fail_errno(err, failed, "%s: cannot be read", shown);
	failed = hyc_safetensors_head_bytes(shown, length, file_bytes, &head_bytes, err);
	if (failed)
		return failed;
	head = malloc(head_bytes);
	if (!head)
		return hyc_fail(err, -ENOMEM, "%s: not enough memory for its header", shown);
	failed = hyc_read_exactly(fd, head, head_bytes, 0);
	if (failed)
		return hyc_fail_errno(err, failed, "%s: cannot be read", shown);
	return hyc_split_safetensors(shown, head, head_bytes, file_bytes, plan, err);
}

/* Ends of names that may be checkpoints of torch; what others keep in such files is no matter for a note. */
static const char *const torch_names[] = { ".bin", ".pt", ".pth", ".ckpt" };

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && !strcasecmp(name + len - end_len, end);
}

static bool is_torch_name(const char *name)
{
	for (size_t i = 0; i < sizeof torch_names / sizeof *torch_names; i++)
		if (ends_with(name, torch_names[i]))
			return true;
	return false;
}

typedef int splitter(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err);

#define LFS_POINTER "version https://git-lfs"

static int refuse_pointer(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err)
{
	(void)in;
	(void)plan;
	return hyc_foreign(err, "a Git LFS pointer, not the weights; fetch them with git lfs pull");
}

static int refuse_gguf(const struct hyc_input *in, struct hyc_plan *plan, struct hyc_error *err)
{
	(void)in;
	(void)plan;
	return hyc_foreign(err, "it does not begin as a GGUF file does");
}

/* The splitter for a file by its name and first bytes, of which there may be less than HEAD_BYTES; or NULL. */
#define HEAD_BYTES 32u
static splitter *choose(const char *shown, const uint8_t head[HEAD_BYTES], size_t len)
{
	static const uint8_t legacy[] = { 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.' };
	bool zip = len >= 4 && !memcmp(head, "PK\3\4", 4), torch = is_torch_name(shown), gguf = ends_with(shown, ".gguf");

	if (!torch && !gguf && !ends_with(shown, ".npz"))
		return NULL;
	if (len >= strlen(LFS_POINTER) && !memcmp(head, LFS_POINTER, strlen(LFS_POINTER)))
		return refuse_pointer;
	if (gguf)
		return len >= 4 && !memcmp(head, "GGUF", 4) ? hyc_split_gguf : refuse_gguf;
	if (zip)
		return torch ? hyc_split_torch_zip : hyc_split_npz;
	return torch && len && *head == 0x80 && memmem(head, len, legacy, sizeof legacy) ? hyc_split_torch_legacy : NULL;
}

/* The whole file is one literal. */
static int split_plain(const char *shown, uint64_t file_bytes, struct hyc_plan *plan, struct hyc_error *err)
{
	plan->kind = HYC_KIND_PLAIN;
	return hyc_plan_fill(plan, file_bytes) ? hyc_fail(err, -ENOMEM, "%s: not enough memory", shown) : 0;
}

/* What is not understood is kept, with a note. */
static int split_or_keep(const char *shown, splitter *split, const struct hyc_input *in, struct hyc_plan *plan,
			 struct hyc_error *err)
{
	struct hyc_error why = { 0 };
	int failed = split(in, plan, &why);

	if (!failed)
		return 0;
	if (failed != -EINVAL)
		return hyc_fail(err, failed, "%s: %s", shown, why.msg);
	hyc_plan_fini(plan);
	if (asprintf(&plan->note, "kept as an ordinary file: %s", why.msg) < 0) {
		plan->note = NULL;
		return hyc_fail(err, -ENOMEM, "%s: not enough memory", shown);
	}
	return split_plain(shown, in->bytes, plan, err);
}

int hyc_split_file(int fd, const char *shown, uint64_t file_bytes, struct hyc_plan *plan, struct hyc_error *err)
{
	struct hyc_input in = { .fd = fd, .bytes = file_bytes };
	uint8_t head[HEAD_BYTES];
	size_t len = file_bytes < sizeof head ? (size_t)file_bytes : sizeof head;
	splitter *split;
	int failed;

	if (hyc_safetensors_named(shown))
		return split_open_safetensors(fd, shown, file_bytes, plan, err);
	failed = hyc_read_exactly(fd, head, len, 0);
	if (failed)
		return hyc_fail_errno(err, failed, "%s: cannot be read", shown);
	split = choose(shown, head, len);
	return split ? split_or_keep(shown, split, &in, plan, err) : split_plain(shown, file_bytes, plan, err);
}
