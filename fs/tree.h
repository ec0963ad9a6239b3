/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory tree of an archive, for look-ups by (directory, name), listings and attributes. Nodes are
 * the entries of the archive, by index; the root is 0. Immutable once made.
 *
 * The archive has its entries in order of their paths, in which "a-b" stands between "a" and "a/x":
 * a directory's children are in order, but not side by side. So they are gathered here. Attributes are
 * kept because hyc_file_get also works out what a file takes in the archive, which is too much for each read.
 */
#ifndef HYC_FS_TREE_H
#define HYC_FS_TREE_H

#include "base/error.h"

struct hyc_node {
	const char *name;       /* last component of the path, "" for the root; borrowed from the archive */
	uint64_t size;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	uint32_t mode;
	uint32_t parent;
	uint32_t n_subdirs;
};

struct hyc_tree {
	uint32_t n_nodes;
	struct hyc_node *node;
	uint32_t *first;        /* node i has the children child[first[i]] to child[first[i + 1] - 1] */
	uint32_t *child;        /* each directory's in ascending order of name */
};

/* -ENOMEM. The archive must outlive the tree, which is released with hyc_tree_fini in either case. */
int hyc_tree_init(struct hyc_tree *tree, const struct hyc *archive) HYC_CHECKED;
void hyc_tree_fini(struct hyc_tree *tree);

/* The child of directory dir with this name, or -ENOENT. */
int64_t hyc_tree_lookup(const struct hyc_tree *tree, uint32_t dir, const char *name);

#endif
