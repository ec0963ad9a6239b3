/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fs/xattr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define PREFIX "user.hyc."

struct hyc_file_tensors {
	double stored_bits, elements;
};

void hyc_xattr_init(struct hyc_xattr *xattr, const struct hyc *archive)
{
	*xattr = (struct hyc_xattr){ .archive = archive };
	pthread_mutex_init(&xattr->lock, NULL);
}

void hyc_xattr_fini(struct hyc_xattr *xattr)
{
	free(xattr->tensors);
	pthread_mutex_destroy(&xattr->lock);
}

static struct hyc_file_tensors *sum_tensors(const struct hyc *archive)
{
	struct hyc_file_tensors *sums = calloc(hyc_file_count(archive), sizeof *sums);
	struct hyc_tensor tensor;

	for (uint32_t i = 0; sums && i < hyc_tensor_count(archive); i++) {
		double elements = 1;

		hyc_tensor_get(archive, i, &tensor);
		for (uint32_t d = 0; d < tensor.ndim; d++)
			elements *= (double)tensor.shape[d];
		sums[tensor.file].stored_bits += 8 * tensor.stored_bytes;
		sums[tensor.file].elements += elements;
	}
	return sums;
}

/* *bpw is 0 for a file without elements of tensors. */
static int get_bpw(struct hyc_xattr *xattr, uint32_t file, double *bpw)
{
	const struct hyc_file_tensors *sum;

	HYC_LOCK_SCOPE(&xattr->lock);
	if (!xattr->tensors)
		xattr->tensors = sum_tensors(xattr->archive);
	if (!xattr->tensors)
		return -ENOMEM;
	sum = &xattr->tensors[file];
	*bpw = sum->elements > 0 ? sum->stored_bits / sum->elements : 0;
	return 0;
}

static ssize_t get_hash(const struct hyc_file *file, char *value)
{
	for (unsigned i = 0; i < sizeof file->hash; i++)
		snprintf(value + 2 * i, 3, "%02x", file->hash[i]);
	return 2 * sizeof file->hash;
}

ssize_t hyc_xattr_get(struct hyc_xattr *xattr, uint32_t index, const char *name, char value[HYC_XATTR_VALUE_MAX])
{
	struct hyc_file file;
	double bpw;
	int r;

	hyc_file_get(xattr->archive, index, &file);
	if (!S_ISREG(file.mode) || strncmp(name, PREFIX, strlen(PREFIX)))
		return -ENODATA;
	name += strlen(PREFIX);
	if (!strcmp(name, "codec") && *file.codec)
		return snprintf(value, HYC_XATTR_VALUE_MAX, "%s", file.codec);
	if (!strcmp(name, "ratio") && file.size)
		return snprintf(value, HYC_XATTR_VALUE_MAX, "%.4f", file.stored_bytes / (double)file.size);
	if (!strcmp(name, "exact"))
		return snprintf(value, HYC_XATTR_VALUE_MAX, "%s", file.exact ? "yes" : "no");
	if (!strcmp(name, "xxh3") && !file.made)
		return get_hash(&file, value);
	if (!strcmp(name, "bpw")) {
		r = get_bpw(xattr, index, &bpw);
		if (r)
			return r;
		if (bpw > 0)
			return snprintf(value, HYC_XATTR_VALUE_MAX, "%.4f", bpw);
	}
	return -ENODATA;
}

ssize_t hyc_xattr_list(struct hyc_xattr *xattr, uint32_t file, char names[HYC_XATTR_NAMES_MAX])
{
	static const char *const all[] = {
		PREFIX "bpw", PREFIX "codec", PREFIX "exact", PREFIX "ratio", PREFIX "xxh3",
	};
	char value[HYC_XATTR_VALUE_MAX];
	size_t len = 0;
	ssize_t r;

	for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
		r = hyc_xattr_get(xattr, file, all[i], value);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			continue;
		memcpy(names + len, all[i], strlen(all[i]) + 1);
		len += strlen(all[i]) + 1;
	}
	return (ssize_t)len;
}
