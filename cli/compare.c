/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two walks: over the entries of the archive, each looked up in the source, and over
 * the source, each looked up in the archive. Symbolic links in the source are followed,
 * as pack follows them.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/compare.h"

#define PIECE (UINT32_C(1) << 20)

struct state {
	struct compare *c;
	uint64_t done, total;
	/* The file that is being compared: */
	const char *path;
	int fd;
	uint64_t off;
	uint8_t *buf; /* PIECE bytes, owned */
};

static void HYC_PRINTF(3, 4) tell(struct compare *c, void (*fn)(void *, const char *), const char *fmt, ...)
{
	struct hyc_error sentence;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence.msg, sizeof sentence.msg, fmt, ap);
	va_end(ap);
	c->n_different += fn == c->difference;
	fn(c->arg, sentence.msg);
}

/* Sink results that are no error of the machine: the difference has been told. */
enum { DIFFERS = 1 };

static int compare_piece(struct state *s, const uint8_t *data, size_t len, struct hyc_error *err)
{
	ssize_t n = pread(s->fd, s->buf, len, (off_t)s->off);

	if (n < 0)
		return hyc_fail_errno(err, -errno, "%s/%s: cannot be read", s->c->source, s->path);
	for (ssize_t i = 0; i < n; i++) {
		if (s->buf[i] != data[i]) {
			tell(s->c, s->c->difference, "%s: differs from the source from byte %" PRIu64 " on", s->path,
			     s->off + (uint64_t)i);
			return DIFFERS;
		}
	}
	if (n == 0) {
		tell(s->c, s->c->difference, "%s: the source ends at byte %" PRIu64, s->path, s->off);
		return DIFFERS;
	}
	s->off += (uint64_t)n;
	s->done += (uint64_t)n;
	return 0;
}

static int compare_data(void *arg, const void *data, size_t len, struct hyc_error *err)
{
	struct state *s = arg;
	const uint8_t *p = data;

	while (len) {
		uint64_t before = s->off;
		int result = compare_piece(s, p, len < PIECE ? len : PIECE, err);

		if (result)
			return result;
		p += s->off - before;
		len -= s->off - before;
	}
	s->c->progress(s->c->arg, s->done, s->total);
	return 0;
}

static int compare_contents(struct state *s, uint32_t index, const struct hyc_file *file, struct hyc_error *err)
{
	struct hyc_error found;
	cleanup_free char *name = NULL;
	cleanup_fd int fd = -1;
	int result;

	if (asprintf(&name, "%s/%s", s->c->source, file->path) < 0) {
		name = NULL;
		return hyc_fail(err, -ENOMEM, "out of memory");
	}
	s->fd = fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return hyc_fail_errno(err, -errno, "%s: cannot be read", name);
	s->path = file->path;
	s->off = 0;
	result = hyc_stream(s->c->archive, index, 0, file->size, s->c->threads, compare_data, s, &found);
	if (result == -EBADMSG)
		tell(s->c, s->c->difference, "%s: cannot be compared, it is damaged", file->path);
	else if (result < 0)
		return hyc_fail(err, result, "%s", found.msg);
	return 0;
}

static void compare_attributes(struct compare *c, const struct hyc_file *file, const struct stat *st)
{
	const char *path = *file->path ? file->path : ".";

	if ((file->mode & 07777) != (st->st_mode & 07777))
		tell(c, c->note, "%s: mode is %04o, in the source %04o", path, file->mode & 07777, st->st_mode & 07777);
	if (file->mtime_sec != st->st_mtim.tv_sec || file->mtime_nsec != (uint64_t)st->st_mtim.tv_nsec)
		tell(c, c->note, "%s: mtime differs from the source", path);
}

static int compare_entry(struct state *s, uint32_t index, const struct hyc_file *file, int root, struct hyc_error *err)
{
	struct compare *c = s->c;
	struct stat st;

	if (fstatat(root, *file->path ? file->path : ".", &st, 0)) {
		if (errno != ENOENT && errno != ENOTDIR)
			return hyc_fail_errno(err, -errno, "%s/%s", c->source, file->path);
		tell(c, c->difference, "%s: not in the source", file->path);
		return 0;
	}
	if ((file->mode & S_IFMT) != (st.st_mode & S_IFMT)) {
		tell(c, c->difference, "%s: is a %s, in the source %s", file->path, S_ISDIR(file->mode) ? "directory" : "file",
		     S_ISDIR(st.st_mode) ? "a directory" : S_ISREG(st.st_mode) ? "a file" : "neither file nor directory");
		return 0;
	}
	/* Files that were packed alone have a root of their own. */
	if (*file->path)
		compare_attributes(c, file, &st);
	if (S_ISDIR(file->mode))
		return 0;
	if (file->size != (uint64_t)st.st_size) {
		tell(c, c->difference, "%s: has %" PRIu64 " bytes, in the source %lld", file->path, file->size, (long long)st.st_size);
		return 0;
	}
	return compare_contents(s, index, file, err);
}

static int compare_entries(struct state *s, struct hyc_error *err)
{
	cleanup_fd int root = open(s->c->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint32_t n = hyc_file_count(s->c->archive);
	struct hyc_file file;
	int failed = 0;

	if (root < 0)
		return hyc_fail_errno(err, -errno, "%s", s->c->source);
	for (uint32_t i = 0; i < n && !failed; i++) {
		hyc_file_get(s->c->archive, i, &file);
		failed = compare_entry(s, i, &file, root, err);
	}
	return failed;
}

static bool is_extra(const struct compare *c, const FTSENT *e, const char *path, const struct stat *archive)
{
	if (e->fts_level == 0 || (e->fts_info != FTS_F && e->fts_info != FTS_D))
		return false;
	if (e->fts_statp->st_dev == archive->st_dev && e->fts_statp->st_ino == archive->st_ino)
		return false;
	return hyc_file_find(c->archive, path) < 0;
}

/* What the source has and the archive lacks; what pack leaves out is not missed. */
static int look_for_extra(struct compare *c, struct hyc_error *err)
{
	char *roots[] = { (char *)(uintptr_t)c->source, NULL };
	FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	struct stat archive = { 0 };
	int failed = 0;
	FTSENT *e;

	if (!walk)
		return hyc_fail_errno(err, -errno, "%s", c->source);
	stat(c->name, &archive);
	while (!failed && (e = fts_read(walk))) {
		const char *path = e->fts_path + strlen(c->source);

		path += strspn(path, "/");
		if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
			failed = hyc_fail_errno(err, -e->fts_errno, "%s: cannot be read", e->fts_path);
		if (failed || !is_extra(c, e, path, &archive))
			continue;
		tell(c, c->difference, "%s: is in the source only", path);
		fts_set(walk, e, FTS_SKIP);
	}
	fts_close(walk);
	return failed;
}

int compare_with_source(struct compare *c, struct hyc_error *err)
{
	struct state s = { .c = c };
	struct hyc_info info;
	int failed;

	s.buf = malloc(PIECE);
	if (!s.buf)
		return hyc_fail(err, -ENOMEM, "out of memory");
	hyc_info(c->archive, &info);
	s.total = info.bytes;
	failed = compare_entries(&s, err);
	free(s.buf);
	return failed ? failed : look_for_extra(c, err);
}
