/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stress-mmap MOUNTED SOURCE PROCESSES THREADS SECONDS SEED: processes of threads that fault at random through mappings of a mounted file and
 * compare what they see with the source. Now and then one drops the pages, so that the mount is asked again. Ends with 0 when every
 * process ended by itself in time without having seen a wrong byte.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 120 /* for the end of a read on a loaded machine */
#define MAX_THREADS 64

static const char *mounted, *source;
static const uint8_t *want, *seen;
static size_t size;
static int fd;
static time_t end;
static atomic_ulong touched, wrong;

static const uint8_t *map(const char *path, int *file)
{
	struct stat st;
	void *p;

	*file = open(path, O_RDONLY | O_CLOEXEC);
	if (*file < 0 || fstat(*file, &st) || (size && (size_t)st.st_size != size)) {
		fprintf(stderr, "%s: %s\n", path, errno ? strerror(errno) : "another size");
		exit(1);
	}
	size = (size_t)st.st_size;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, *file, 0);
	if (p == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	return p;
}

static size_t random_below(uint64_t *state, size_t n)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)((*state >> 24) % n);
}

static void *fault(void *arg)
{
	uint64_t state = (uintptr_t)arg;

	while (time(NULL) < end) {
		for (unsigned i = 0; i < 100; i++) {
			size_t off = random_below(&state, size), len = 1 + random_below(&state, i % 16 ? 64 : 300000);

			if (len > size - off)
				len = size - off;
			if (memcmp(seen + off, want + off, len)) {
				fprintf(stderr, "%s: wrong bytes in %zu at %zu\n", mounted, len, off);
				atomic_fetch_add(&wrong, 1);
			}
			atomic_fetch_add(&touched, 1);
		}
		if (random_below(&state, 4) == 0) {
			size_t off = random_below(&state, size) & ~(size_t)4095;

			madvise((void *)(uintptr_t)(seen + off), size - off, random_below(&state, 2) ? MADV_DONTNEED : MADV_RANDOM);
			posix_fadvise(fd, (off_t)off, 0, POSIX_FADV_DONTNEED);
		}
	}
	return NULL;
}

static int process(unsigned number, unsigned n_threads, unsigned seed)
{
	pthread_t id[MAX_THREADS];
	int other;

	/* The default action ends a process that hangs, even one that waits in the kernel for the mount. */
	alarm((unsigned)(end - time(NULL)) + PATIENCE_S);
	want = map(source, &other);
	seen = map(mounted, &fd);
	for (unsigned i = 0; i < n_threads; i++)
		if (pthread_create(&id[i], NULL, fault, (void *)(uintptr_t)(seed + number * 1000 + i)))
			return 1;
	for (unsigned i = 0; i < n_threads; i++)
		pthread_join(id[i], NULL);
	printf("process %u: %lu places\n", number, atomic_load(&touched));
	fflush(stdout);
	return atomic_load(&wrong) || !atomic_load(&touched);
}

int main(int argc, char **argv)
{
	unsigned n_processes, n_threads, seed, failed = 0;
	int status;

	if (argc != 7) {
		fprintf(stderr, "usage: stress-mmap MOUNTED SOURCE PROCESSES THREADS SECONDS SEED\n");
		return 2;
	}
	mounted = argv[1];
	source = argv[2];
	n_processes = (unsigned)atoi(argv[3]);
	n_threads = (unsigned)atoi(argv[4]);
	end = time(NULL) + atoi(argv[5]);
	seed = (unsigned)atoi(argv[6]);
	if (!n_threads || n_threads > MAX_THREADS) {
		fprintf(stderr, "THREADS must be a number from 1 to %d\n", MAX_THREADS);
		return 2;
	}
	for (unsigned i = 0; i < n_processes; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("fork");
			return 1;
		}
		if (!pid)
			_exit(process(i, n_threads, seed));
	}
	for (unsigned i = 0; i < n_processes; i++)
		failed += wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status);
	if (failed)
		fprintf(stderr, "%u processes failed or did not end\n", failed);
	return failed != 0;
}
