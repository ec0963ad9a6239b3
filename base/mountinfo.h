/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of /proc/self/mountinfo. */
#ifndef HYC_BASE_MOUNTINFO_H
#define HYC_BASE_MOUNTINFO_H

#include <stdbool.h>

struct hyc_mountinfo {
	const char *device;  /* MAJOR:MINOR */
	const char *top;     /* what of the file system is mounted */
	const char *path;    /* where */
	const char *type;
	const char *options; /* of the file system */
};

/* Cut a line into its fields, which point into it. False where it is not one. */
bool hyc_mountinfo_parse(char *line, struct hyc_mountinfo *out);

#endif
