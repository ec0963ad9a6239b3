/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of regular files: what the archive knows about them, as text.
 * user.hyc.codec, .ratio (stored bytes / size), .exact (yes or no), for a file of the archive
 * .xxh3 (XXH3-128), and for a file with tensors .bpw (stored bits for each element).
 */
#ifndef HYC_FS_XATTR_H
#define HYC_FS_XATTR_H

#include <pthread.h>

#include "base/error.h"

/* What needs a walk over all tensors is gathered when it is first asked for. */
struct hyc_xattr {
	const struct hyc *archive;
	pthread_mutex_t lock;
	struct hyc_file_tensors *tensors; /* for each file; NULL: not asked for yet */
};

void hyc_xattr_init(struct hyc_xattr *xattr, const struct hyc *archive);
void hyc_xattr_fini(struct hyc_xattr *xattr);

#define HYC_XATTR_VALUE_MAX 64
#define HYC_XATTR_NAMES_MAX 128

/* The value of attribute name of a file, without a final zero: its length, or -ENODATA, -ENOMEM. */
ssize_t hyc_xattr_get(struct hyc_xattr *xattr, uint32_t file, const char *name, char value[HYC_XATTR_VALUE_MAX]);

/* The names of a file's attributes, each with a final zero: their length together, or -ENOMEM. */
ssize_t hyc_xattr_list(struct hyc_xattr *xattr, uint32_t file, char names[HYC_XATTR_NAMES_MAX]);

#endif
