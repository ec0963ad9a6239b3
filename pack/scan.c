/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the sources and collects the entries of the archive. Symbolic links are
 * followed, since a snapshot in a Hugging Face cache is a directory of links into a
 * store of blobs; a link that leads back to a directory above it is refused. Names that
 * the format has no room for are refused here, before any work is done.
 */
#include "config.h"

#include "pack/scan.h"

#include "base/cleanup.h"
#include "base/read.h"
#include "format/ondisk.h"
#include "pack/note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* More entries than any model has; a tree of links that fan out must not fill the memory. */
#define MAX_ENTRIES (UINT32_C(1) << 22)
/* Of a source's name in a message: the sentence must have room, too. */
#define MAX_SHOWN 300
/* How the names of unfinished archives begin, where the file system cannot do without (format/writer.c). */
#define TEMPORARY ".hyc-"

struct walk {
	struct hyc_scan *scan;
	const struct hyc_pack_options *options;
	struct stat output;     /* of an archive that is there already */
	struct stat output_dir; /* of the directory it is in */
	bool have_output, have_output_dir;
	size_t prefix;          /* length of the part of a source's name that is not in the archive */
	struct { dev_t dev; ino_t ino; } above[HYC_MAX_DEPTH + 1];
};

static const char *tail(const char *name)
{
	size_t len = strlen(name);

	return len > MAX_SHOWN ? name + len - MAX_SHOWN : name;
}

/* Takes source over, also on failure. */
static int add_entry(struct hyc_scan *scan, char *source, const char *path, const struct stat *st,
		     struct hyc_error *err)
{
	struct hyc_entry *e;
	bool dir = S_ISDIR(st->st_mode);

	if (scan->n_entries == scan->room) {
		size_t room = scan->room ? 2 * scan->room : 64;
		struct hyc_entry *grown = reallocarray(scan->entries, room, sizeof *grown);

		if (!grown) {
			free(source);
			return hyc_fail(err, -ENOMEM, "not enough memory for the list of files");
		}
		scan->entries = grown;
		scan->room = room;
	}
	e = &scan->entries[scan->n_entries++];
	*e = (struct hyc_entry) {
		.source = source, .shown = tail(source), .path = path, .fd = -1,
		.mode = (dir ? HYC_MODE_DIR : HYC_MODE_REG) | (st->st_mode & 07777),
		.bytes = dir ? 0 : (uint64_t)st->st_size,
		.mtime = st->st_mtim, .dev = st->st_dev, .ino = st->st_ino,
	};
	scan->bytes += e->bytes;
	if (scan->n_entries > MAX_ENTRIES)
		return hyc_fail(err, -EINVAL, "%s: more than %u files and directories; pack a part of them", e->shown,
				MAX_ENTRIES);
	return 0;
}

static bool is_archive(const char *name)
{
	cleanup_fd int fd = open(name, O_RDONLY | O_CLOEXEC);
	char magic[8];

	return fd >= 0 && !hyc_read_exactly(fd, magic, sizeof magic, 0) && !memcmp(magic, HYC_MAGIC, sizeof magic);
}

/* 1: pack it; 0: leave it out; or the error. */
static int wanted(const struct walk *w, const char *source, const struct stat *st, bool named, struct hyc_error *err)
{
	if (w->have_output && st->st_dev == w->output.st_dev && st->st_ino == w->output.st_ino) {
		if (named || !is_archive(source))
			return hyc_fail(err, -EINVAL, "%s: is to be packed and to be replaced; choose another name with -o",
					tail(source));
		hyc_pack_note(w->options, "%s: left out, it is the archive that will be replaced", tail(source));
		return 0;
	}
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		return 1;
	if (named)
		return hyc_fail(err, -EINVAL, "%s: is neither a file nor a directory", tail(source));
	hyc_pack_note(w->options, "%s: left out, it is neither a file nor a directory", tail(source));
	return 0;
}

static bool is_temporary(const struct walk *w, const struct stat *dir, const char *name, const struct stat *st)
{
	return w->have_output_dir && dir->st_dev == w->output_dir.st_dev && dir->st_ino == w->output_dir.st_ino &&
	       S_ISREG(st->st_mode) && !strncmp(name, TEMPORARY, strlen(TEMPORARY));
}

/* path is the new entry's, depth the number of its components. */
static int check_path(const char *source, const char *path, const char *name, unsigned depth, struct hyc_error *err)
{
	if (strlen(name) > HYC_MAX_COMPONENT)
		return hyc_fail(err, -EINVAL, "%s: the name is longer than %u bytes", tail(source), HYC_MAX_COMPONENT);
	if (strlen(path) > HYC_MAX_NAME)
		return hyc_fail(err, -EINVAL, "%s: the path is longer than %u bytes", tail(source), HYC_MAX_NAME);
	if (depth > HYC_MAX_DEPTH)
		return hyc_fail(err, -EINVAL, "%s: more than %u directories deep", tail(source), HYC_MAX_DEPTH);
	if (!strcmp(path, ".hycfs"))
		return hyc_fail(err, -EINVAL, "%s: this name is reserved for the mount's own files; rename it",
				tail(source));
	return 0;
}

static int walk_dir(struct walk *w, const char *dir, const struct stat *st, unsigned depth, struct hyc_error *err);

static int walk_name(struct walk *w, const char *dir, const struct stat *dir_st, const char *name, unsigned depth,
		     struct hyc_error *err)
{
	cleanup_free char *source = NULL;
	char *path;
	struct stat st;
	int want, failed;

	if (asprintf(&source, "%s/%s", dir, name) < 0) {
		source = NULL;
		return hyc_fail(err, -ENOMEM, "not enough memory for the list of files");
	}
	path = source + w->prefix;
	failed = check_path(source, path, name, depth, err);
	if (failed)
		return failed;
	if (stat(source, &st)) {
		struct stat link;

		if (errno == ENOENT && !lstat(source, &link))
			return hyc_fail(err, -ENOENT, "%s: this symbolic link leads nowhere", tail(source));
		return hyc_fail_errno(err, -errno, "%s: cannot be packed", tail(source));
	}
	if (is_temporary(w, dir_st, name, &st)) {
		hyc_pack_note(w->options, "%s: left out, an unfinished archive; delete it", tail(source));
		return 0;
	}
	want = wanted(w, source, &st, false, err);
	if (want <= 0)
		return want;
	failed = add_entry(w->scan, hyc_steal(&source), path, &st, err);
	if (failed || !S_ISDIR(st.st_mode))
		return failed;
	/* The entries may move while the directory is walked, its name does not. */
	return walk_dir(w, w->scan->entries[w->scan->n_entries - 1].source, &st, depth, err);
}

static int no_dots(const struct dirent *d)
{
	return strcmp(d->d_name, ".") && strcmp(d->d_name, "..");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* What is in dir, which is depth components deep itself. */
static int walk_dir(struct walk *w, const char *dir, const struct stat *st, unsigned depth, struct hyc_error *err)
{
	struct dirent **names;
	int n, failed = 0;

	for (unsigned i = 0; i < depth; i++)
		if (w->above[i].dev == st->st_dev && w->above[i].ino == st->st_ino)
			return hyc_fail(err, -ELOOP, "%s: this symbolic link leads back to a directory above it",
					tail(dir));
	w->above[depth].dev = st->st_dev;
	w->above[depth].ino = st->st_ino;
	n = scandir(dir, &names, no_dots, by_name);
	if (n < 0)
		return hyc_fail_errno(err, -errno, "%s: cannot be read", tail(dir));
	for (int i = 0; i < n; i++) {
		if (!failed)
			failed = walk_name(w, dir, st, names[i]->d_name, depth + 1, err);
		free(names[i]);
	}
	free(names);
	return failed;
}

/* Slashes at the end of source go, so that the paths of the archive begin right behind its name and one slash. */
static int scan_dir(struct walk *w, const char *source, const struct stat *st, struct hyc_error *err)
{
	cleanup_free char *dir = strdup(source);
	char *copy = strdup(source);
	size_t len = strlen(source);
	int failed;

	if (!dir || !copy) {
		free(copy);
		return hyc_fail(err, -ENOMEM, "not enough memory for the list of files");
	}
	failed = add_entry(w->scan, copy, "", st, err);
	if (failed)
		return failed;
	while (len && dir[len - 1] == '/')
		dir[--len] = '\0';
	w->prefix = strlen(len ? dir : "/.") + 1;
	return walk_dir(w, len ? dir : "/.", st, 0, err);
}

static int scan_file(struct walk *w, const char *source, const struct stat *st, struct hyc_error *err)
{
	char *copy = strdup(source);
	const char *base;
	int failed;

	if (!copy)
		return hyc_fail(err, -ENOMEM, "not enough memory for the list of files");
	base = strrchr(copy, '/') ? strrchr(copy, '/') + 1 : copy;
	failed = check_path(copy, base, base, 1, err);
	if (failed) {
		free(copy);
		return failed;
	}
	return add_entry(w->scan, copy, base, st, err);
}

/* The root that holds single files is as new as the newest of them. */
static void update_root(struct hyc_entry *root, const struct timespec *mtime)
{
	if (mtime->tv_sec > root->mtime.tv_sec ||
	    (mtime->tv_sec == root->mtime.tv_sec && mtime->tv_nsec > root->mtime.tv_nsec))
		root->mtime = *mtime;
}

static int scan_files(struct walk *w, const char *const *sources, size_t n, struct hyc_error *err)
{
	struct stat root = { .st_mode = S_IFDIR | 0755 };
	char *name = strdup("the archive's root");
	int failed = name ? add_entry(w->scan, name, "", &root, err) :
		hyc_fail(err, -ENOMEM, "not enough memory for the list of files");

	for (size_t i = 0; i < n && !failed; i++) {
		struct stat st;

		if (stat(sources[i], &st))
			return hyc_fail_errno(err, -errno, "%s: cannot be packed", tail(sources[i]));
		if (S_ISDIR(st.st_mode))
			return hyc_fail(err, -EINVAL, "%s: is a directory; pack one directory, or one or more files",
					tail(sources[i]));
		failed = wanted(w, sources[i], &st, true, err);
		if (failed < 0)
			return failed;
		failed = scan_file(w, sources[i], &st, err);
		if (i == 0)
			w->scan->entries[0].mtime = st.st_mtim;
		update_root(&w->scan->entries[0], &st.st_mtim);
	}
	return failed;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct hyc_entry *)a)->path, ((const struct hyc_entry *)b)->path);
}

static int stat_dir_of(const char *name, struct stat *st)
{
	const char *slash = strrchr(name, '/');
	cleanup_free char *dir = slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");

	return dir ? stat(dir, st) : -1;
}

int hyc_scan_sources(const char *const *sources, size_t n_sources, const struct hyc_pack_options *options,
		     struct hyc_scan *out, struct hyc_error *err)
{
	struct walk w = { .scan = out, .options = options };
	struct stat st;
	int failed;

	*out = (struct hyc_scan) { 0 };
	w.have_output = !stat(options->output, &w.output);
	w.have_output_dir = !stat_dir_of(options->output, &w.output_dir);
	if (w.have_output && S_ISDIR(w.output.st_mode))
		return hyc_fail(err, -EISDIR, "%s: is a directory; choose another name for the archive with -o",
				tail(options->output));
	if (n_sources == 1 && !stat(sources[0], &st) && S_ISDIR(st.st_mode))
		failed = scan_dir(&w, sources[0], &st, err);
	else
		failed = scan_files(&w, sources, n_sources, err);
	if (failed)
		return failed;
	qsort(out->entries, out->n_entries, sizeof *out->entries, by_path);
	for (size_t i = 1; i < out->n_entries; i++)
		if (!strcmp(out->entries[i - 1].path, out->entries[i].path))
			return hyc_fail(err, -EINVAL, "%s: another source has the same name, %s", out->entries[i].shown,
					out->entries[i - 1].shown);
	return 0;
}

void hyc_scan_fini(struct hyc_scan *scan)
{
	for (size_t i = 0; i < scan->n_entries; i++) {
		hyc_plan_fini(&scan->entries[i].plan);
		hyc_cleanup_fd(&scan->entries[i].fd);
		free(scan->entries[i].source);
	}
	free(scan->entries);
}

const struct hyc_entry *hyc_scan_find(const struct hyc_scan *scan, const char *path)
{
	struct hyc_entry key = { .path = path };

	return bsearch(&key, scan->entries, scan->n_entries, sizeof key, by_path);
}

static int check_unchanged(const struct hyc_entry *e, struct hyc_error *err)
{
	struct stat st;

	if (fstat(e->fd, &st))
		return hyc_fail_errno(err, -errno, "%s: cannot be read", e->shown);
	if (st.st_dev != e->dev || st.st_ino != e->ino || (uint64_t)st.st_size != e->bytes ||
	    st.st_mtim.tv_sec != e->mtime.tv_sec || st.st_mtim.tv_nsec != e->mtime.tv_nsec)
		return hyc_fail(err, -EINVAL,
				"%s: was changed while it was packed; pack again when nothing writes to it", e->shown);
	return 0;
}

int hyc_entry_open(struct hyc_entry *e, struct hyc_error *err)
{
	int failed;

	/* It was a regular file a moment ago; if it is a fifo now, do not wait for its writer. */
	e->fd = open(e->source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (e->fd < 0)
		return hyc_fail_errno(err, -errno, "%s: cannot be read", e->shown);
	failed = check_unchanged(e, err);
	if (failed) {
		close(e->fd);
		e->fd = -1;
	}
	return failed;
}

int hyc_entry_close(struct hyc_entry *e, struct hyc_error *err)
{
	int failed = check_unchanged(e, err);

	close(e->fd);
	e->fd = -1;
	return failed;
}

int hyc_entry_read(const struct hyc_entry *entry, const struct hyc_piece *piece, uint64_t off, uint8_t *buf, size_t len,
		   struct hyc_error *err)
{
	int failed = hyc_piece_read(entry->fd, piece, off, buf, len);

	if (failed == -ESTALE)
		return hyc_fail(err, -EINVAL, "%s: became shorter while it was packed; pack again when nothing writes to it",
				entry->shown);
	return failed ? hyc_fail_errno(err, failed, "%s: cannot be read", entry->shown) : 0;
}

int hyc_read_exactly(int fd, void *buf, size_t len, uint64_t off)
{
	return hyc_read_at(fd, buf, len, off, -ESTALE);
}
