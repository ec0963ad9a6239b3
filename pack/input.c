/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "pack/input.h"

#include "base/checked.h"
#include "pack/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int hyc_input_read(const struct hyc_input *in, uint64_t off, void *buf, size_t len, struct hyc_error *err)
{
	int failed;

	if (!hyc_range_ok(off, len, in->bytes))
		return hyc_foreign(err, "something lies beyond its end");
	if (in->fd < 0) {
		if (len)
			memcpy(buf, in->mem + off, len);
		return 0;
	}
	failed = hyc_read_exactly(in->fd, buf, len, off);
	return failed ? hyc_fail_errno(err, failed == -EINVAL ? -EIO : failed, "cannot be read") : 0;
}

int hyc_input_load(const struct hyc_input *in, uint64_t off, size_t len, uint8_t **out, struct hyc_error *err)
{
	uint8_t *bytes = malloc(len + 1);
	int failed;

	*out = NULL;
	if (!bytes)
		return hyc_fail(err, -ENOMEM, "not enough memory to read it");
	failed = hyc_input_read(in, off, bytes, len, err);
	if (failed)
		free(bytes);
	else
		*out = bytes;
	return failed;
}
