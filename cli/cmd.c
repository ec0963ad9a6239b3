/* SPDX-License-Identifier: Apache-2.0 */
/* The option parser and the help, both made from the table of a verb, so that they cannot differ. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/ordered.h"
#include "cli/cmd.h"

#define MAX_OPTIONS 16
#define LONG_BASE 256 /* getopt value of option 0 of the table: beyond every character */
#define HELP_COLUMN 30

void cmd_version(void)
{
	printf("hyc %s\n", hyc_version());
}

unsigned cmd_threads(const struct cmd_args *args)
{
	return args->jobs ? (unsigned)args->jobs : hyc_cpu_count();
}

static void help_line(const char *left, const char *right)
{
	if (strlen(left) + 2 > HELP_COLUMN)
		printf("%s\n%*s%s\n", left, HELP_COLUMN, "", right);
	else
		printf("%-*s%s\n", HELP_COLUMN, left, right);
}

static void help(const struct cmd_verb *verb)
{
	char left[120];

	printf("Usage: hyc %s [OPTION]... %s\n%s.\n\n", verb->name, verb->operands, verb->summary);
	for (const struct cmd_option *o = verb->options; o->name; o++) {
		char letter[8] = "    ";

		if (o->letter)
			snprintf(letter, sizeof letter, "-%c, ", o->letter);
		snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->value ? "=" : "", o->value ? o->value : "");
		help_line(left, o->help);
	}
	help_line("  -h, --help", "show this text");
	help_line("  -V, --version", "show the version");
	if (verb->more)
		printf("\n%s\n", verb->more);
}

/* How the user may have written the option: its letter or its name. */
static const char *option_text(const struct cmd_option *o, bool by_letter, char buf[64])
{
	if (by_letter)
		snprintf(buf, 64, "-%c", o->letter);
	else
		snprintf(buf, 64, "--%s", o->name);
	return buf;
}

static bool parse_number(const char *text, bool suffixes, uint64_t *out)
{
	static const char letters[] = "KMGT";
	const char *suffix;
	uint64_t value;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (suffixes && *end && (suffix = strchr(letters, toupper((unsigned char)*end)))) {
		if (hyc_mul_overflows(value, UINT64_C(1024) << (10 * (suffix - letters)), &value))
			return false;
		end++;
	}
	*out = value;
	return *end == '\0';
}

static int parse_choice(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (int i = 0;; i++) {
		size_t word = strcspn(words, "|");

		if (word == len && !memcmp(words, text, len))
			return i;
		if (!words[word])
			return -1;
		words += word + 1;
	}
}

static int store_item(const struct cmd_option *o, const char *text, struct cmd_args *args)
{
	struct cmd_list *list = (void *)((char *)args + o->field);

	if (list->n == CMD_LIST_MAX)
		return cmd_usage(args->verb, "--%s is given more than %d times", o->name, CMD_LIST_MAX);
	list->items[list->n++] = text;
	return 0;
}

/* Stores the value of option o in args: 0, or an exit status. */
static int store(const struct cmd_option *o, bool by_letter, const char *text, struct cmd_args *args)
{
	char *field = (char *)args + o->field, name[64];
	uint64_t number;
	int choice;

	switch (o->kind) {
	case CMD_FLAG:
		*(int *)(void *)field = 1;
		return 0;
	case CMD_TEXT:
	case CMD_LIST:
		if (!*text)
			return cmd_usage(args->verb, "the value of %s is empty", option_text(o, by_letter, name));
		if (o->kind == CMD_LIST)
			return store_item(o, text, args);
		*(const char **)(void *)field = text;
		return 0;
	case CMD_CHOICE:
		choice = parse_choice(o->value, text);
		if (choice < 0)
			return cmd_usage(args->verb, "%s cannot be '%s', only %s", option_text(o, by_letter, name), text,
					 o->value);
		*(int *)(void *)field = choice;
		return 0;
	case CMD_NUMBER:
	case CMD_SIZE:
		if (parse_number(text, o->kind == CMD_SIZE, &number) && number >= o->min && number <= o->max) {
			*(uint64_t *)(void *)field = number;
			return 0;
		}
		return cmd_usage(args->verb, "%s must be a number from %llu to %llu%s, not '%s'",
				 option_text(o, by_letter, name), (unsigned long long)o->min, (unsigned long long)o->max,
				 o->kind == CMD_SIZE ? " (K, M, G or T may follow)" : "", text);
	}
	return 0;
}

struct getopt_tables {
	struct option longs[MAX_OPTIONS + 3];
	char shorts[2 * MAX_OPTIONS + 4]; /* the colon, letters each with one, h, V, zero */
};

static void make_tables(const struct cmd_verb *verb, struct getopt_tables *t)
{
	char *s = t->shorts;
	int i;

	*s++ = ':'; /* tell a missing value from an unknown option */
	for (i = 0; verb->options[i].name; i++) {
		const struct cmd_option *o = &verb->options[i];

		t->longs[i] = (struct option){ o->name, o->kind == CMD_FLAG ? no_argument : required_argument, NULL,
					       LONG_BASE + i };
		if (o->letter) {
			*s++ = o->letter;
			if (o->kind != CMD_FLAG)
				*s++ = ':';
		}
	}
	*s++ = 'h';
	*s++ = 'V';
	*s = '\0';
	t->longs[i++] = (struct option){ "help", no_argument, NULL, 'h' };
	t->longs[i++] = (struct option){ "version", no_argument, NULL, 'V' };
	t->longs[i] = (struct option){ NULL, 0, NULL, 0 };
}

static const struct cmd_option *find_option(const struct cmd_verb *verb, int c)
{
	for (const struct cmd_option *o = verb->options; o->name; o++)
		if (c == LONG_BASE + (o - verb->options) || (o->letter && c == o->letter))
			return o;
	return NULL;
}

static int bad_option(const struct cmd_verb *verb, int c, char **argv)
{
	const struct cmd_option *o = find_option(verb, optopt);
	char name[64];

	if (c == ':' && o)
		return cmd_usage(verb, "%s needs a value: %s", option_text(o, optopt < LONG_BASE, name), o->value);
	if (optopt == 0)
		return cmd_usage(verb, "unknown option '%s'", argv[optind - 1]);
	if (optopt < LONG_BASE && optopt != 'h' && optopt != 'V')
		return cmd_usage(verb, "unknown option '-%c'", optopt);
	return cmd_usage(verb, "'%.*s' takes no value", (int)strcspn(argv[optind - 1], "="), argv[optind - 1]);
}

static int check_operands(const struct cmd_args *args)
{
	const struct cmd_verb *verb = args->verb;

	if (args->n_operands < verb->min_operands)
		return cmd_usage(verb, "%s is missing", verb->required[args->n_operands]);
	if (args->n_operands > verb->max_operands)
		return cmd_usage(verb, "'%s' is one operand too many", args->operands[verb->max_operands]);
	for (int i = 0; i < args->n_operands; i++)
		if (!args->operands[i][0])
			return cmd_usage(verb, "an operand is empty");
	return -1;
}

int cmd_parse(const struct cmd_verb *verb, int argc, char **argv, struct cmd_args *args)
{
	struct getopt_tables tables;
	int c;

	*args = (struct cmd_args){ .verb = verb, .length = UINT64_MAX };
	make_tables(verb, &tables);
	opterr = 0;
	while ((c = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		const struct cmd_option *o = find_option(verb, c);
		int status;

		if (c == 'h') {
			help(verb);
			return CMD_DONE;
		}
		if (c == 'V') {
			cmd_version();
			return CMD_DONE;
		}
		status = o ? store(o, c < LONG_BASE, optarg, args) : bad_option(verb, c, argv);
		if (status)
			return status;
	}
	args->operands = argv + optind;
	args->n_operands = argc - optind;
	return check_operands(args);
}
