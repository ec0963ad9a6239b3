/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on given files, and on all files of given directories, without libFuzzer. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define CASE_SECONDS 60

static unsigned n_run;

static int run_file(const char *path, size_t len)
{
	cleanup_file FILE *f = fopen(path, "rb");
	/* Exactly as large as the input, so that AddressSanitizer sees each byte read beyond it. */
	cleanup_free uint8_t *data = malloc(len ? len : 1);

	if (!f || !data || fread(data, 1, len, f) != len) {
		fprintf(stderr, "%s: cannot read: %s\n", path, strerror(errno));
		return 1;
	}
	alarm(CASE_SECONDS);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, len);
	alarm(0);
	n_run++;
	return 0;
}

static int run(const char *path)
{
	struct stat st;
	struct dirent *entry;
	int failed = 0;
	DIR *dir;

	if (stat(path, &st)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	if (!S_ISDIR(st.st_mode)) {
		printf("%s\n", path);
		return run_file(path, (size_t)st.st_size);
	}
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char name[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		failed |= run(name);
	}
	if (dir)
		closedir(dir);
	return failed || !dir;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= run(argv[i]);
	printf("%u inputs\n", n_run);
	return failed || !n_run;
}
