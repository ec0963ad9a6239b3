/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be packed: the tree of the archive, found by walking the sources. */
#ifndef HYC_PACK_SCAN_H
#define HYC_PACK_SCAN_H

#include "pack/pack.h"
#include "pack/split.h"

#include <sys/stat.h>

/* A file or directory. Everything is owned by the scan. */
struct hyc_entry {
	char *source;       /* what to open */
	const char *shown;  /* source, or the end of it where it is too long for a message */
	const char *path;   /* in the archive, "" for the root */
	uint32_t mode;      /* as st_mode: HYC_MODE_REG or HYC_MODE_DIR and permissions */
	uint64_t bytes;     /* 0 for a directory */
	struct timespec mtime;
	dev_t dev;
	ino_t ino;
	struct hyc_plan plan; /* of a file; filled and emptied by others */
	int fd;             /* of a file while it is read, else -1 */
};

/* Entries in ascending bytewise order of path; the first is the root. */
struct hyc_scan {
	struct hyc_entry *entries;
	size_t n_entries, room;
	uint64_t bytes;     /* sum of the sizes of the files */
};

/* Walk the sources. *out is to be given to hyc_scan_fini also after a failure. */
int hyc_scan_sources(const char *const *sources, size_t n_sources, const struct hyc_pack_options *options,
		     struct hyc_scan *out, struct hyc_error *err) HYC_CHECKED;
void hyc_scan_fini(struct hyc_scan *scan);

/* The entry with this path, or NULL. */
const struct hyc_entry *hyc_scan_find(const struct hyc_scan *scan, const char *path);

/* Open the file of an entry into entry->fd; -EINVAL if it is not the one that was scanned, in the state it was in. */
int hyc_entry_open(struct hyc_entry *entry, struct hyc_error *err) HYC_CHECKED;

/* Close it. -EINVAL if it has changed since it was scanned. */
int hyc_entry_close(struct hyc_entry *entry, struct hyc_error *err) HYC_CHECKED;

/* Read len bytes of a piece of the entry, which is open, from off on. -EINVAL with a sentence where its file is shorter than it was. */
int hyc_entry_read(const struct hyc_entry *entry, const struct hyc_piece *piece, uint64_t off, uint8_t *buf, size_t len,
		   struct hyc_error *err) HYC_CHECKED;

/* Read exactly len bytes. 0, -errno, or -ESTALE where the file is shorter than it was. */
int hyc_read_exactly(int fd, void *buf, size_t len, uint64_t off) HYC_CHECKED;

#endif
