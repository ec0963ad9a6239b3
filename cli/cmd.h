/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of hyc share: one table for each verb, from which both its --help
 * and its parser are made, and the few ways to print an error, a size or JSON.
 * A verb is a const struct cmd_verb in cmd_<verb>.c; its run() returns the exit status.
 */
#ifndef HYC_CLI_CMD_H
#define HYC_CLI_CMD_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"

enum cmd_status { CMD_DONE = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

enum cmd_kind {
	CMD_FLAG,   /* int: 1 where given */
	CMD_TEXT,   /* const char * */
	CMD_NUMBER, /* uint64_t from min to max */
	CMD_SIZE,   /* the same; K, M, G and T multiply by powers of 1024 */
	CMD_CHOICE, /* int: which of the words in value, counted from 0 */
	CMD_LIST,   /* struct cmd_list: may be given several times */
};

#define CMD_LIST_MAX 256

struct cmd_list {
	const char *items[CMD_LIST_MAX + 1]; /* ends with NULL */
	size_t n;
};

struct cmd_option {
	const char *name;   /* long name; NULL ends the table */
	char letter;        /* short name, or 0 */
	enum cmd_kind kind;
	size_t field;       /* offset in struct cmd_args */
	const char *value;  /* what help calls the value; for CMD_CHOICE the words, joined by '|' */
	const char *help;
	uint64_t min, max;
};

/* Everything any verb can be told; a verb's table says which of it. */
struct cmd_args {
	const struct cmd_verb *verb;
	char **operands; /* ends with NULL */
	int n_operands;
	const char *output, *directory, *source, *backend;
	uint64_t jobs;   /* 0: all processors */
	uint64_t offset, length; /* length is UINT64_MAX where not given */
	int codec, progress, json, tensors, deep;
	const char *bpw, *hyper_side, *hyper_nodes, *hyper_classes, *hyper_threshold, *hyper_limit;
	struct cmd_list keep, lossy;
};

struct cmd_verb {
	const char *name;
	const char *operands;   /* as the usage line shows them */
	const char *summary;    /* one sentence */
	const char *more;       /* more text for --help, or NULL */
	const struct cmd_option *options;
	int min_operands, max_operands;
	const char *required[2]; /* names of the first min_operands operands */
	int (*run)(const struct cmd_args *args);
};

extern const struct cmd_verb cmd_pack, cmd_ls, cmd_info, cmd_cat, cmd_unpack, cmd_verify, cmd_bench, cmd_top;

#define CMD_JOBS_OPTION \
	{ "jobs", 'j', CMD_NUMBER, offsetof(struct cmd_args, jobs), "N", "threads to work with, 1 to 256 [all processors]", 1, 256 }
#define CMD_JSON_OPTION { "json", 0, CMD_FLAG, offsetof(struct cmd_args, json), NULL, "print JSON", 0, 0 }

/* Parses argv[1..] by the table of verb. -1: go on with *args; else the exit status (--help and --version were answered). */
int cmd_parse(const struct cmd_verb *verb, int argc, char **argv, struct cmd_args *args);
void cmd_version(void);

/* One line on stderr, control characters made harmless; returns CMD_FAILED. */
int cmd_error(const char *fmt, ...) HYC_PRINTF(1, 2);

/* The same with a pointer to the help; verb may be NULL. Returns CMD_USAGE. */
int cmd_usage(const struct cmd_verb *verb, const char *fmt, ...) HYC_PRINTF(2, 3);

/* Opens an archive, or prints why not and returns NULL. */
struct hyc *cmd_open(const char *path);

/* Flushes stdout: CMD_FAILED with a message where not everything could be written, else status. */
int cmd_finish(int status);

/* Number of threads for -j. */
unsigned cmd_threads(const struct cmd_args *args);

/* "52.5 MB", in powers of 1000. Returns buf. */
#define CMD_SIZE_LEN 16
const char *cmd_human(char buf[CMD_SIZE_LEN], double bytes);

/* "65.7 %", or "-" where whole is 0. Returns buf. */
const char *cmd_percent(char buf[CMD_SIZE_LEN], double part, double whole);

/* "1 file", "8 files". Returns buf. */
#define CMD_COUNT_LEN 40
const char *cmd_count(char buf[CMD_COUNT_LEN], uint64_t n, const char *noun);

/* Prints a name from an archive so that it cannot drive the terminal; returns the columns it took. */
int cmd_put_name(FILE *out, const char *name);

/* A JSON number; null for what is none, such as an infinite ratio. */
json_t *cmd_json_real(double number);

/* A JSON string of any bytes: what is no UTF-8 becomes U+FFFD. */
json_t *cmd_json_text(const char *text);

/* Prints and frees root (NULL: out of memory was met while it was made) and returns status, or CMD_FAILED with a message. */
int cmd_json_print(json_t *root, int status);

#endif
