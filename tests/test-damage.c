/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random damage: test-damage ARCHIVE SOURCE-DIR FLIPS TRUNCATIONS SEED
 *
 * Each case is a copy of ARCHIVE with one byte changed or its end cut off. It has to be refused when it is opened, or
 * each read of it gives the bytes of the file in SOURCE-DIR or an error; and a verification that decodes nothing has to
 * notice whatever makes a read fail. A case that crashes or hangs ends the program.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

#define CASE_SECONDS 60
#define READ_BYTES (192 * 1024) /* so that most reads cross a block */

struct blob {
	uint8_t *data;
	size_t len;
};

struct tally {
	unsigned refused, unreadable, harmless;
	uint64_t reads, failed_reads;
};

static struct blob original, *contents; /* of the archive, and of each of its files */
static uint64_t state;
static char damage[100];

static _Noreturn HYC_PRINTF(1, 2) void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "test-damage: %s: ", damage);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static uint64_t random_below(uint64_t n)
{
	/* splitmix64 */
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % n;
}

static struct blob load(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct blob blob = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	blob.len = (size_t)st.st_size;
	blob.data = malloc(blob.len + 1);
	if (!blob.data || read(fd, blob.data, blob.len) != (ssize_t)blob.len)
		die("%s: cannot be read at once", path);
	return blob;
}

static void ignore_message(void *arg, enum hyc_log_level level, const char *msg)
{
	(void)arg, (void)level, (void)msg;
}

/* Every byte of the file, in one pass of reads from a random start. Returns how many of them failed. */
static unsigned read_file(struct hyc *archive, uint32_t file, struct tally *tally)
{
	static uint8_t buf[READ_BYTES];
	const struct blob *want = &contents[file];
	uint64_t off = 0, len = 1 + random_below(READ_BYTES);
	unsigned failed = 0;

	for (; off < want->len; off += len, len = READ_BYTES) {
		size_t expected = len < want->len - off ? len : want->len - off;
		ssize_t got = hyc_read(archive, file, buf, len, off);

		tally->reads++;
		if (got < 0)
			failed++;
		else if ((size_t)got != expected)
			die("file %u: %zd bytes at %" PRIu64 " instead of %zu", file, got, off, expected);
		else if (memcmp(buf, want->data + off, expected))
			die("file %u: wrong bytes between %" PRIu64 " and %" PRIu64, file, off, off + expected);
	}
	tally->failed_reads += failed;
	return failed;
}

static void check_open(struct hyc *archive, struct tally *tally)
{
	struct hyc_verify_options options = { .threads = 1 };
	uint64_t n_damaged = 0;
	unsigned failed = 0;
	struct hyc_error err;

	for (uint32_t i = 0; i < hyc_file_count(archive); i++)
		failed += read_file(archive, i, tally);
	if (hyc_verify(archive, &options, &n_damaged, &err))
		die("verify ended early: %s", err.msg);
	if (failed && !n_damaged)
		die("%u reads failed, but verify found nothing", failed);
	if (!failed && n_damaged)
		die("verify found %" PRIu64 " damaged things, but every read is right", n_damaged);
	if (failed)
		tally->unreadable++;
	else
		tally->harmless++;
}

static void check_case(int fd, struct tally *tally)
{
	char path[40];
	struct hyc *archive;
	struct hyc_error err;
	int result;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	alarm(CASE_SECONDS);
	result = hyc_open(path, NULL, &archive, &err);
	if (!result) {
		check_open(archive, tally);
		hyc_close(archive);
	} else if (!*err.msg || strchr(err.msg, '\n')) {
		die("no sentence for error %d", result);
	} else {
		tally->refused++;
	}
	alarm(0);
}

static void put(int fd, uint8_t byte, uint64_t at)
{
	if (pwrite(fd, &byte, 1, (off_t)at) != 1)
		die("pwrite: %s", strerror(errno));
}

static void put_all(int fd)
{
	if (pwrite(fd, original.data, original.len, 0) != (ssize_t)original.len)
		die("pwrite: %s", strerror(errno));
}

static void report(const char *what, unsigned n, const struct tally *t)
{
	printf("%u %s: %u refused at open, %u found by reads and by verify, %u harmless; %" PRIu64 " reads, %" PRIu64
	       " of them failed, none wrong\n",
	       n, what, t->refused, t->unreadable, t->harmless, t->reads, t->failed_reads);
}

static void run_flips(int fd, unsigned n)
{
	struct tally tally = { 0 };

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = random_below(original.len);
		uint8_t old = original.data[at], new = (uint8_t)(old ^ (1 + random_below(255)));

		snprintf(damage, sizeof damage, "byte %" PRIu64 " %02x -> %02x", at, old, new);
		put(fd, new, at);
		check_case(fd, &tally);
		put(fd, old, at);
	}
	report("byte flips", n, &tally);
}

static void run_truncations(int fd, unsigned n)
{
	struct tally tally = { 0 };

	for (unsigned i = 0; i < n; i++) {
		uint64_t len = random_below(original.len);

		snprintf(damage, sizeof damage, "cut to %" PRIu64 " bytes", len);
		if (ftruncate(fd, (off_t)len))
			die("ftruncate: %s", strerror(errno));
		check_case(fd, &tally);
		put_all(fd);
	}
	report("truncations", n, &tally);
}

/* The undamaged archive has to hold what the directory holds. */
static void load_contents(const char *path, const char *dir)
{
	struct tally tally = { 0 };
	struct hyc *archive;
	struct hyc_error err;

	if (hyc_open(path, NULL, &archive, &err))
		die("%s", err.msg);
	contents = calloc(hyc_file_count(archive), sizeof *contents);
	if (!contents)
		die("no memory");
	for (uint32_t i = 0; i < hyc_file_count(archive); i++) {
		char name[4096];
		struct hyc_file file;

		hyc_file_get(archive, i, &file);
		if (S_ISDIR(file.mode))
			continue;
		snprintf(name, sizeof name, "%s/%s", dir, file.path);
		contents[i] = load(name);
		if (contents[i].len != file.size)
			die("%s has another size in the archive", name);
	}
	check_open(archive, &tally);
	if (tally.unreadable || !tally.reads)
		die("cannot be read before it is damaged");
	hyc_close(archive);
}

int main(int argc, char **argv)
{
	cleanup_fd int fd = memfd_create("damaged", MFD_CLOEXEC);

	if (argc != 6 || fd < 0) {
		fprintf(stderr, "usage: test-damage ARCHIVE SOURCE-DIR FLIPS TRUNCATIONS SEED\n");
		return 2;
	}
	state = strtoull(argv[5], NULL, 0);
	strcpy(damage, "undamaged");
	hyc_set_log(ignore_message, NULL, HYC_LOG_ERROR);
	original = load(argv[1]);
	load_contents(argv[1], argv[2]);
	put_all(fd);
	run_flips(fd, (unsigned)atoi(argv[3]));
	run_truncations(fd, (unsigned)atoi(argv[4]));
	free(original.data);
	return 0;
}
