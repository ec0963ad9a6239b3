/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes a splitter looks at: a file, or memory where splitters are tested. Splitters that take one tell in
 * err only what is wrong, not which file it is in: their caller keeps the file as an ordinary one and says so.
 */
#ifndef HYC_PACK_INPUT_H
#define HYC_PACK_INPUT_H

#include "base/error.h"

#include <errno.h>

struct hyc_input {
	int fd;                /* -1: mem */
	const uint8_t *mem;    /* bytes of them */
	uint64_t bytes;
};

/* Read len bytes at off, which must lie inside. 0 or -errno; err says that the file cannot be read. */
int hyc_input_read(const struct hyc_input *in, uint64_t off, void *buf, size_t len, struct hyc_error *err) HYC_CHECKED;

/* The same into new memory, owned by the caller. */
int hyc_input_load(const struct hyc_input *in, uint64_t off, size_t len, uint8_t **out, struct hyc_error *err) HYC_CHECKED;

/* What is wrong with the content: -EINVAL. */
#define hyc_foreign(err, ...) ((void)hyc_fail(err, -EINVAL, __VA_ARGS__), -EINVAL)

#endif
