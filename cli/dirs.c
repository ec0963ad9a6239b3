/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cli/dirs.h"

/* Cuts the last component off: "a/b" to "a", "/a" to "/", "a" to ".". False where nothing is left to cut. */
static bool cut_component(char *path)
{
	size_t len = strlen(path);

	if (!strcmp(path, "/") || !strcmp(path, "."))
		return false;
	while (len > 0 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0)
		path[len++] = '.';
	path[len] = '\0';
	return true;
}

int dirs_free_bytes(const char *path, uint64_t *out, struct hyc_error *err)
{
	cleanup_free char *there = strdup(path);
	struct statvfs fs;

	if (!there)
		return hyc_fail(err, -ENOMEM, "out of memory");
	while (statvfs(there, &fs)) {
		if (errno == EINTR)
			continue;
		if (errno != ENOENT || !cut_component(there))
			return hyc_fail_errno(err, -errno, "%s", path);
	}
	/* A file system without blocks does not tell. */
	if (fs.f_blocks == 0 || hyc_mul_overflows(fs.f_bavail, fs.f_frsize, out))
		*out = UINT64_MAX;
	return 0;
}

static int make_with_parents(char *path)
{
	char *p = path;

	while ((p = strchr(p + 1, '/'))) {
		*p = '\0';
		if (mkdir(path, 0777) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

int dirs_make_root(const char *path, bool *made, struct hyc_error *err)
{
	cleanup_free char *copy = strdup(path);
	int failed, fd;

	if (!copy)
		return hyc_fail(err, -ENOMEM, "out of memory");
	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	failed = make_with_parents(copy);
	if (failed)
		return hyc_fail_errno(err, failed, "%s: cannot be made", copy);
	*made = mkdir(copy, 0700) == 0;
	if (!*made && errno != EEXIST)
		return hyc_fail_errno(err, -errno, "%s: cannot be made", copy);
	fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return hyc_fail_errno(err, -errno, "%s: cannot be used as a directory", copy);
	return fd;
}

int dirs_open(int root, const char *shown, const char *path, size_t len, int flags, struct hyc_error *err)
{
	const char *end = path + len, *next;
	int fd = openat(root, ".", (len ? O_PATH : flags) | O_DIRECTORY | O_CLOEXEC);

	for (const char *p = path; fd >= 0 && p < end; p = next + 1) {
		char component[NAME_MAX + 1];
		int below;

		next = memchr(p, '/', (size_t)(end - p));
		if (!next)
			next = end;
		snprintf(component, sizeof component, "%.*s", (int)(next - p), p);
		below = openat(fd, component, (next < end ? O_PATH : flags) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = below;
		if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
			return hyc_fail(err, -errno, "%s/%.*s: something that is no directory is in the way "
					"(symbolic links are not followed); move it away", shown, (int)(next - path), path);
	}
	if (fd < 0)
		return hyc_fail_errno(err, -errno, "%s/%.*s: cannot be opened", shown, (int)len, path);
	return fd;
}

int dirs_make(int root, const char *shown, const char *path, bool *made, struct hyc_error *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_fd int parent = dirs_open(root, shown, path, slash ? (size_t)(slash - path) : 0, O_PATH, err);
	cleanup_fd int fd = -1;

	*made = false;
	if (parent < 0)
		return parent;
	if (mkdirat(parent, slash ? slash + 1 : path, 0700) == 0)
		*made = true;
	else if (errno != EEXIST)
		return hyc_fail_errno(err, -errno, "%s/%s: cannot be made", shown, path);
	fd = dirs_open(root, shown, path, strlen(path), O_PATH, err);
	return fd < 0 ? fd : 0;
}
