/* SPDX-License-Identifier: Apache-2.0 */
/* Compares an archive with the directory it was packed from, for hyc verify --source. */
#ifndef HYC_CLI_COMPARE_H
#define HYC_CLI_COMPARE_H

#include "base/error.h"

struct compare {
	struct hyc *archive;
	const char *name;   /* of the archive, which may lie in the source */
	const char *source;
	unsigned threads;
	void (*difference)(void *arg, const char *sentence); /* contents differ, or one side lacks the file */
	void (*note)(void *arg, const char *sentence);       /* mode or mtime differ */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t n_different; /* set: number of calls of difference */
};

/* 0 where the comparison ran to its end, whatever it found. */
int compare_with_source(struct compare *c, struct hyc_error *err) HYC_CHECKED;

#endif
