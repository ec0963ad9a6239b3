/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fs/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void fill_node(const struct hyc *archive, uint32_t index, struct hyc_tree *tree)
{
	struct hyc_file file;
	const char *slash;

	hyc_file_get(archive, index, &file);
	slash = strrchr(file.path, '/');
	tree->node[index].name = slash ? slash + 1 : file.path;
	tree->node[index].size = file.size;
	tree->node[index].mtime_sec = file.mtime_sec;
	tree->node[index].mtime_nsec = file.mtime_nsec;
	tree->node[index].mode = file.mode;
	tree->node[index].parent = file.parent;
	if (index)
		tree->node[file.parent].n_subdirs += S_ISDIR(file.mode);
}

int hyc_tree_init(struct hyc_tree *tree, const struct hyc *archive)
{
	uint32_t n = hyc_file_count(archive);
	uint32_t *next;

	*tree = (struct hyc_tree){
		.n_nodes = n,
		.node = calloc(n, sizeof *tree->node),
		.first = calloc((size_t)n + 2, sizeof *tree->first),
		.child = calloc(n, sizeof *tree->child),
	};
	if (!tree->node || !tree->first || !tree->child)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		fill_node(archive, i, tree);

	/*
	 * A counting sort by parent, which keeps the order of each directory's children. Counts are kept
	 * two places up and then summed, so that filling child[] moves them down to where they belong.
	 */
	next = tree->first + 1;
	for (uint32_t i = 1; i < n; i++)
		next[tree->node[i].parent + 1]++;
	for (uint32_t i = 0; i < n; i++)
		next[i + 1] += next[i];
	for (uint32_t i = 1; i < n; i++)
		tree->child[next[tree->node[i].parent]++] = i;
	return 0;
}

void hyc_tree_fini(struct hyc_tree *tree)
{
	free(tree->node);
	free(tree->first);
	free(tree->child);
}

int64_t hyc_tree_lookup(const struct hyc_tree *tree, uint32_t dir, const char *name)
{
	uint32_t low = tree->first[dir], high = tree->first[dir + 1];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = strcmp(name, tree->node[tree->child[middle]].name);

		if (!order)
			return tree->child[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -ENOENT;
}
