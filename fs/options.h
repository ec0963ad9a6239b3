/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of hycfs. One table in options.c holds every option with its help,
 * so what --help says and what the parser takes cannot differ.
 */
#ifndef HYC_FS_OPTIONS_H
#define HYC_FS_OPTIONS_H

#include "base/error.h"

struct hyc_mount_options {
	const char *archive, *mountpoint; /* borrowed from argv */
	int foreground;
	int debug;                        /* print what libfuse does, stay in the foreground */
	enum hyc_log_level log;
	uint64_t cache_bytes;             /* 0: the default of libhyc */
	enum hyc_view_kind view;
	unsigned threads;                 /* that serve requests */
	enum hyc_prefetch_mode prefetch;
	enum hyc_device device;
	int readahead_kb;                 /* of the kernel; -1: its default */
	unsigned timeout_s;               /* idle time after which hycfs unmounts itself; 0: never */
	int notify_fd;                    /* -1: none */
	uid_t uid;
	gid_t gid;
	char *fsname, *subtype;           /* owned; NULL: not given */
	char *words;                      /* owned; handed to libfuse as they are, joined by commas; NULL: none */
};

enum hyc_options_result { HYC_OPTIONS_RUN, HYC_OPTIONS_HELP, HYC_OPTIONS_VERSION };

/* Fills *options, to be released with hyc_options_fini whatever is returned. -EINVAL: wrong usage. */
int hyc_options_parse(int argc, char **argv, struct hyc_mount_options *options, enum hyc_options_result *result,
		      struct hyc_error *err) HYC_CHECKED;
void hyc_options_fini(struct hyc_mount_options *options);

/* Prints the text of --help on stdout. */
void hyc_options_help(void);

#endif
