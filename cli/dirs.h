/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories for unpack: made and opened so that a symbolic link below the top one
 * cannot lead out of it. Paths below the top come from an open archive: relative,
 * without empty components, "." and "..".
 */
#ifndef HYC_CLI_DIRS_H
#define HYC_CLI_DIRS_H

#include <stdbool.h>

#include "base/error.h"

/* Bytes that a user may still write where path is, or would be once it is made. */
int dirs_free_bytes(const char *path, uint64_t *out, struct hyc_error *err) HYC_CHECKED;

/*
 * Opens path as a top directory, made with its parents if missing.
 * Links in path itself are the user's and followed. Returns an owned descriptor or -errno.
 */
int dirs_make_root(const char *path, bool *made, struct hyc_error *err) HYC_CHECKED;

/*
 * Opens the directory that is the first len bytes of path, below root; shown is root's name for messages.
 * flags: O_PATH or O_RDONLY. Returns an owned descriptor or -errno.
 */
int dirs_open(int root, const char *shown, const char *path, size_t len, int flags, struct hyc_error *err) HYC_CHECKED;

/* Makes the directory path below root with mode 0700; its parent is there. *made: it was not there before. */
int dirs_make(int root, const char *shown, const char *path, bool *made, struct hyc_error *err) HYC_CHECKED;

#endif
