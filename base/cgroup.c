/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory limits of control groups. /proc/self/cgroup names the process' group in each hierarchy, mountinfo says where hierarchies
 * are mounted and which of their groups is at the mount's root: a container may see a part only.
 */
#include "config.h"

#include "base/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"

/* The two kinds of hierarchy. */
static const struct kind {
	const char *type;       /* of the file system */
	const char *controller; /* "": it is not named */
	const char *limit;
} kinds[] = {
	{ "cgroup2", "", "memory.max" },
	{ "cgroup", "memory", "memory.limit_in_bytes" },
};

static FILE *open_below(const char *root, const char *path)
{
	cleanup_free char *full = NULL;

	if (asprintf(&full, "%s%s", root, path) < 0) {
		full = NULL;
		return NULL;
	}
	return fopen(full, "re");
}

/* Whether a list with commas has the word. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (strncmp(list, word, len) || (list[len] && list[len] != ',')) {
		list = strchr(list, ',');
		if (!list)
			return false;
		list++;
	}
	return true;
}

/* The process' group in the hierarchy, from its root on. NULL: none. */
static char *own_group(const char *root, const struct kind *kind)
{
	cleanup_file FILE *f = open_below(root, "/proc/self/cgroup");
	cleanup_free char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		/* NUMBER:CONTROLLERS:GROUP */
		char *rest = line, *controllers;

		line[strcspn(line, "\n")] = '\0';
		strsep(&rest, ":");
		controllers = strsep(&rest, ":");
		if (rest && (*kind->controller ? has_word(controllers, kind->controller) : !*controllers))
			return strdup(rest);
	}
	return NULL;
}

/* What the file holds; UINT64_MAX for "max", and where there is none. */
static uint64_t read_limit(const char *root, const char *group, const char *name)
{
	cleanup_free char *path = NULL;
	cleanup_file FILE *f = NULL;
	unsigned long long limit;

	if (asprintf(&path, "%s/%s", group, name) < 0) {
		path = NULL;
		return UINT64_MAX;
	}
	f = open_below(root, path);
	return f && fscanf(f, "%llu", &limit) == 1 ? limit : UINT64_MAX;
}

/* The least limit of the group, which is so far below the mount, and of those between. */
static uint64_t least_limit(const char *root, const char *mount, const char *below, const char *name)
{
	cleanup_free char *group = NULL;
	uint64_t least = UINT64_MAX;
	char *end;

	if (asprintf(&group, "%s%s", mount, below) < 0) {
		group = NULL;
		return least;
	}
	do {
		uint64_t limit = read_limit(root, group, name);

		if (limit < least)
			least = limit;
		end = strrchr(group + strlen(mount), '/');
		if (end)
			*end = '\0';
	} while (end);
	return least;
}

/* Where the group is below the mount; "" where it cannot be seen there. */
static const char *below_mount(const char *group, const char *top)
{
	size_t len = strcmp(top, "/") ? strlen(top) : 0;

	if (strstr(group, "/..") || strncmp(group, top, len) || (group[len] && group[len] != '/'))
		return "";
	return group + len;
}

static uint64_t least_of_kind(const char *root, const struct kind *kind)
{
	cleanup_free char *group = own_group(root, kind), *line = NULL;
	cleanup_file FILE *f = group ? open_below(root, "/proc/self/mountinfo") : NULL;
	uint64_t least = UINT64_MAX;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		struct hyc_mountinfo mount;
		uint64_t limit;

		if (!hyc_mountinfo_parse(line, &mount) || strcmp(mount.type, kind->type) ||
		    (*kind->controller && !has_word(mount.options, kind->controller)))
			continue;
		limit = least_limit(root, mount.path, below_mount(group, mount.top), kind->limit);
		if (limit < least)
			least = limit;
	}
	return least;
}

uint64_t hyc_cgroup_memory(const char *root)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		uint64_t limit = least_of_kind(root, &kinds[i]);

		if (limit < least)
			least = limit;
	}
	return least;
}
