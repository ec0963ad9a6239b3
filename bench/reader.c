/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a file as fast as it can and says how fast that was, as one JSON object.
 *
 *     reader [-t N] [-m MODE] [-b BYTES] [-l BYTES] [-r OPS] [-s STEP] [-S SEED] [-k] [-p] [-w] [-H XXH3_128] FILE
 *
 * MODE is read, mmap (and a copy), direct (O_DIRECT), or memory: the file is copied into memory first, and what is measured is memcpy.
 * N threads read a contiguous part of the file each, or, with -r, OPS pieces of BYTES at random places that are multiples of STEP, no place
 * twice if there are enough. The file's pages are dropped first, unless -k keeps them; -p takes as much memory as the file has and gives it
 * back then, because a guest's free pages may have gone back to its host, and the first touch of one costs more than a copy does. -l is
 * how much of the file is used. -w touches one page of every 64 KiB before the clock starts, so that a server has it in its own cache. After the clock has stopped, the whole file is hashed and
 * compared with -H, and random O_DIRECT pieces are compared with the pages that were hashed: wrong bytes are an error, never a figure.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"

enum mode { READ, MMAP, DIRECT, MEMORY };

struct job {
	const char *path;
	enum mode mode;
	unsigned threads;
	size_t piece;
	uint64_t length, ops, step, seed, stride;
	int keep, prime, warm;
	const char *hash;
	const uint8_t *map; /* of the whole file, for mmap and for the check */
	uint8_t *memory;    /* the part of it that is used */
	pthread_barrier_t start;
	double *latencies; /* of each random operation, in seconds */
};

struct worker {
	struct job *job;
	pthread_t thread;
	unsigned number;
	uint64_t bytes;
	const char *failed; /* what, NULL if nothing */
	int error;
};

#define PAGE 4096u
#define ALIGN PAGE
#define MAX_PIECE (64u << 20)
#define WARM_STEP (64u << 10)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* splitmix64: the n-th random number of a seed, the same everywhere. */
static uint64_t mix(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int fail(struct worker *w, const char *what, int error)
{
	w->failed = what;
	w->error = error;
	return -1;
}

/* A memcpy of many pages may go through them from the last to the first, and the kernel then sees a file that is read backwards. */
static void copy_forward(uint8_t *to, const uint8_t *from, size_t len)
{
	for (size_t done = 0; done < len; done += PAGE) {
		memcpy(to + done, from + done, len - done < PAGE ? len - done : PAGE);
		__asm__ volatile("" : : "r"(to) : "memory");
	}
}

/* One piece into the buffer, all of it. */
static int fetch(struct worker *w, int fd, uint8_t *buffer, uint64_t off, size_t len)
{
	size_t done = 0;

	if (w->job->mode == MMAP || w->job->mode == MEMORY) {
		copy_forward(buffer, (w->job->mode == MMAP ? w->job->map : w->job->memory) + off, len);
		return 0;
	}
	while (done < len) {
		ssize_t n = pread(fd, buffer + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(w, "cannot be read", errno);
		if (n == 0)
			return fail(w, "ends too early", 0);
		done += (size_t)n;
	}
	return 0;
}

/* A step through all places that meets each once, if there are as many places as operations. */
static uint64_t stride_for(uint64_t places)
{
	uint64_t stride = places * 618 / 1000 + 1;

	for (;; stride++) {
		uint64_t a = places, b = stride;

		while (b) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			return stride;
	}
}

static uint64_t place(const struct job *job, uint64_t op)
{
	uint64_t places = job->length / job->step;

	return (job->ops <= places ? (job->seed + op * job->stride) % places : mix(job->seed, op) % places) * job->step;
}

static int read_random(struct worker *w, int fd, uint8_t *buffer)
{
	const struct job *job = w->job;

	for (uint64_t op = w->number; op < job->ops; op += job->threads) {
		double began = now();

		if (fetch(w, fd, buffer, place(job, op), job->piece))
			return -1;
		job->latencies[op] = now() - began;
		w->bytes += job->piece;
	}
	return 0;
}

static int read_range(struct worker *w, int fd, uint8_t *buffer)
{
	const struct job *job = w->job;
	uint64_t units = job->length / ALIGN;
	uint64_t from = units * w->number / job->threads * ALIGN;
	uint64_t to = w->number + 1 == job->threads ? job->length : units * (w->number + 1) / job->threads * ALIGN;

	for (uint64_t off = from; off < to;) {
		size_t len = to - off < job->piece ? (size_t)(to - off) : job->piece;

		if (fetch(w, fd, buffer, off, len))
			return -1;
		off += len;
		w->bytes += len;
	}
	return 0;
}

static int touch(struct worker *w, int fd, uint8_t *buffer)
{
	for (uint64_t off = (uint64_t)w->number * WARM_STEP; off + ALIGN <= w->job->length; off += (uint64_t)w->job->threads * WARM_STEP)
		if (fetch(w, fd, buffer, off, ALIGN))
			return -1;
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct job *job = w->job;
	cleanup_fd int fd = open(job->path, O_RDONLY | O_CLOEXEC | (job->mode == DIRECT ? O_DIRECT : 0));
	cleanup_free uint8_t *buffer = aligned_alloc(ALIGN, (job->piece + ALIGN - 1) / ALIGN * ALIGN);

	if (fd < 0)
		fail(w, "cannot be opened", errno);
	else if (!buffer)
		fail(w, "needs more memory than there is", 0);
	else
		memset(buffer, 1, job->piece); /* or its page faults are measured */
	if (job->warm && !w->failed)
		touch(w, fd, buffer);
	pthread_barrier_wait(&job->start);
	if (!w->failed && job->ops)
		read_random(w, fd, buffer);
	else if (!w->failed)
		read_range(w, fd, buffer);
	return NULL;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Some of the random O_DIRECT pieces against the page cache. */
static int check_direct(struct job *job)
{
	struct worker w = { .job = job };
	cleanup_fd int fd = open(job->path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	cleanup_free uint8_t *buffer = aligned_alloc(ALIGN, (job->piece + ALIGN - 1) / ALIGN * ALIGN);

	for (uint64_t op = 0; op < job->ops && op < 256; op++) {
		uint64_t off = place(job, op);

		if (fd >= 0 && buffer && !fetch(&w, fd, buffer, off, job->piece) && !memcmp(buffer, job->map + off, job->piece))
			continue;
		fprintf(stderr, "reader: %s: wrong bytes by O_DIRECT at %llu\n", job->path, (unsigned long long)off);
		return -1;
	}
	return 0;
}

/* The whole file, not only what -l says, against the hash. */
static int check(struct job *job, uint64_t size)
{
	XXH128_canonical_t canonical;
	char hex[33];

	if (job->mode == DIRECT && job->ops && check_direct(job))
		return -1;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(job->map, size));
	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", canonical.digest[i]);
	if (!strcmp(job->hash, hex))
		return 0;
	fprintf(stderr, "reader: %s: wrong bytes: its XXH3-128 is %s, not %s\n", job->path, hex, job->hash);
	return -1;
}

static int report(struct job *job, const struct worker *workers, double elapsed, const struct rusage *before)
{
	struct rusage usage;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < job->threads; i++) {
		bytes += workers[i].bytes;
		if (workers[i].failed) {
			fprintf(stderr, "reader: %s %s%s%s\n", job->path, workers[i].failed, workers[i].error ? ": " : "",
				workers[i].error ? strerror(workers[i].error) : "");
			return -1;
		}
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"bytes\": %llu, \"seconds\": %.6f, \"gbps\": %.6f, \"user_s\": %.3f, \"system_s\": %.3f", (unsigned long long)bytes,
	       elapsed, (double)bytes / elapsed / 1e9, seconds(usage.ru_utime) - seconds(before->ru_utime),
	       seconds(usage.ru_stime) - seconds(before->ru_stime));
	if (job->ops) {
		qsort(job->latencies, job->ops, sizeof *job->latencies, by_value);
		printf(", \"ops_per_s\": %.1f, \"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f", (double)job->ops / elapsed,
		       1e6 * job->latencies[job->ops / 2], 1e6 * job->latencies[job->ops * 9 / 10],
		       1e6 * job->latencies[job->ops * 99 / 100]);
	}
	printf("}\n");
	return 0;
}

static void prime_memory(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	memset(p, 1, bytes);
	__asm__ volatile("" : : "r"(p) : "memory");
	munmap(p, bytes);
}

static int run(struct job *job, int fd, uint64_t size)
{
	cleanup_free struct worker *workers = calloc(job->threads, sizeof *workers);
	struct rusage before;
	double began;

	job->latencies = calloc(job->ops + 1, sizeof *job->latencies);
	if (!workers || !job->latencies) {
		fprintf(stderr, "reader: out of memory\n");
		return -1;
	}
	job->stride = stride_for(job->length / job->step);
	if (!job->keep)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (job->prime)
		prime_memory(job->length);
	pthread_barrier_init(&job->start, NULL, job->threads + 1);
	for (unsigned i = 0; i < job->threads; i++) {
		workers[i].job = job;
		workers[i].number = i;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
			fprintf(stderr, "reader: no more threads\n");
			exit(1);
		}
	}
	getrusage(RUSAGE_SELF, &before);
	pthread_barrier_wait(&job->start);
	began = now();
	for (unsigned i = 0; i < job->threads; i++)
		pthread_join(workers[i].thread, NULL);
	if (report(job, workers, now() - began, &before))
		return -1;
	return job->hash ? check(job, size) : 0;
}

/* What is measured as memcpy comes from huge pages, where the kernel gives them. */
static int load(struct job *job)
{
	job->memory = mmap(NULL, job->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (job->memory == MAP_FAILED)
		return -1;
	madvise(job->memory, job->length, MADV_HUGEPAGE);
	memcpy(job->memory, job->map, job->length);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: reader [-t THREADS] [-m read|mmap|direct|memory] [-b BYTES] [-l BYTES] [-r OPS] [-s STEP] [-S SEED] [-k] [-p] [-w]\n"
			"              [-H XXH3_128] FILE\n");
	return 2;
}

static int parse(struct job *job, int argc, char **argv)
{
	static const char *const modes[] = { [READ] = "read", [MMAP] = "mmap", [DIRECT] = "direct", [MEMORY] = "memory" };
	int option;

	while ((option = getopt(argc, argv, "t:m:b:l:r:s:S:kpwH:")) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (option) {
		case 't': job->threads = (unsigned)number; break;
		case 'b': job->piece = number; break;
		case 'l': job->length = number; break;
		case 'r': job->ops = number; break;
		case 's': job->step = number; break;
		case 'S': job->seed = number; break;
		case 'k': job->keep = 1; break;
		case 'p': job->prime = 1; break;
		case 'w': job->warm = 1; break;
		case 'H': job->hash = optarg; break;
		case 'm':
			for (job->mode = READ; job->mode <= MEMORY && strcmp(optarg, modes[job->mode]); job->mode++)
				;
			break;
		default: return -1;
		}
	}
	if (optind + 1 != argc || job->mode > MEMORY || !job->threads || job->threads > 1024 || !job->piece || job->piece > MAX_PIECE ||
	    !job->step || job->ops > (1u << 28))
		return -1;
	job->path = argv[optind];
	return 0;
}

int main(int argc, char **argv)
{
	struct job job = { .threads = 1, .piece = 1 << 20, .step = 4096, .seed = 1 };
	cleanup_fd int fd = -1;
	struct stat st;
	int status;

	if (parse(&job, argc, argv))
		return usage();
	fd = open(job.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		fprintf(stderr, "reader: %s: %s\n", job.path, strerror(errno));
		return 1;
	}
	if (!job.length || job.length > (uint64_t)st.st_size)
		job.length = (uint64_t)st.st_size;
	if (job.mode == DIRECT && !job.ops)
		job.length -= job.length % ALIGN;
	if (job.ops && job.length >= job.piece)
		job.length -= job.piece - (job.piece < job.step ? job.piece : job.step);
	if (job.length < job.step || job.length < (job.ops ? job.piece : 1)) {
		fprintf(stderr, "reader: %s: too small for that\n", job.path);
		return 1;
	}
	job.map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (job.map == MAP_FAILED) {
		fprintf(stderr, "reader: %s: %s\n", job.path, strerror(errno));
		return 1;
	}
	if (job.mode == MEMORY && load(&job)) {
		fprintf(stderr, "reader: out of memory\n");
		return 1;
	}
	status = run(&job, fd, (uint64_t)st.st_size);
	free(job.latencies);
	return status ? 1 : 0;
}
