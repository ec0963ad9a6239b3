/* SPDX-License-Identifier: Apache-2.0 */
/* Plans, and the choice of the splitter for a file. */
#include "config.h"

#include "pack/split.h"

#include "base/cleanup.h"
#include "format/dtype.h"
#include "format/ondisk.h"
#include "pack/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int hyc_plan_add(struct hyc_plan *plan, const struct hyc_piece *piece)
{
	struct hyc_piece *p;

	if (plan->n_pieces == plan->room) {
		size_t room = plan->room ? 2 * plan->room : 1;
		struct hyc_piece *grown = reallocarray(plan->pieces, room, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		plan->pieces = grown;
		plan->room = room;
	}
	p = &plan->pieces[plan->n_pieces];
	*p = *piece;
	p->shape = NULL;
	if (piece->name) {
		size_t shape_bytes = piece->ndim * sizeof *piece->shape, name_bytes = strlen(piece->name) + 1;
		char *copy = malloc(shape_bytes + name_bytes);

		if (!copy)
			return -ENOMEM;
		if (shape_bytes)
			memcpy(copy, piece->shape, shape_bytes);
		p->shape = (const uint64_t *)(void *)copy;
		p->name = memcpy(copy + shape_bytes, piece->name, name_bytes);
	}
	plan->n_pieces++;
	return 0;
}

void hyc_plan_fini(struct hyc_plan *plan)
{
	for (size_t i = 0; i < plan->n_pieces; i++)
		free((void *)(uintptr_t)plan->pieces[i].shape);
	free(plan->pieces);
	*plan = (struct hyc_plan) { 0 };
}

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

int hyc_split_file(int fd, const char *shown, uint64_t file_bytes, struct hyc_plan *plan, struct hyc_error *err)
{
	struct hyc_piece all = { .len = file_bytes, .dtype = HYC_BYTES };

	if (hyc_safetensors_named(shown))
		return split_open_safetensors(fd, shown, file_bytes, plan, err);
	plan->kind = HYC_KIND_PLAIN;
	if (file_bytes && hyc_plan_add(plan, &all))
		return hyc_fail(err, -ENOMEM, "%s: not enough memory", shown);
	return 0;
}
