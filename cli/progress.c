/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line is made to fit the terminal: the bar takes what the figures leave, and
 * goes first where there is no room. It is written with one write, so it does not
 * flicker and never stands half-drawn beside a message.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/progress.h"

#define SECOND UINT64_C(1000000000)
#define MAX_BAR 40
#define MAX_LINE 200

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

void progress_init(struct progress *p, const char *label, bool never)
{
	const char *term = getenv("TERM");

	*p = (struct progress){ .label = label, .start_ns = now_ns() };
	p->enabled = !never && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

double progress_seconds(const struct progress *p)
{
	return (double)(now_ns() - p->start_ns) / (double)SECOND;
}

static int terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0)
		return 80;
	return size.ws_col < MAX_LINE ? size.ws_col : MAX_LINE;
}

static void format_eta(char *buf, size_t room, double seconds)
{
	uint64_t s = seconds < 360000 ? (uint64_t)(seconds + 0.5) : 359999;

	if (s >= 3600)
		snprintf(buf, room, "%u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
	else
		snprintf(buf, room, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static void put_stderr(const char *text, size_t len)
{
	/* A progress line that cannot be written is no reason to stop. */
	ssize_t ignored = write(STDERR_FILENO, text, len);
	(void)ignored;
}

static void draw(const struct progress *p, uint64_t done, uint64_t total, double seconds)
{
	char figures[120], done_text[CMD_SIZE_LEN], total_text[CMD_SIZE_LEN], eta[16] = "-", line[MAX_LINE + MAX_BAR + 16];
	double speed = (double)done / seconds, share = total ? (double)done / (double)total : 1;
	int columns = terminal_columns(), label = (int)strnlen(p->label, 30), bar, n;

	if (done)
		format_eta(eta, sizeof eta, (double)(total - done) / speed);
	n = snprintf(figures, sizeof figures, "%3.0f %%  %s / %s  %.1f MB/s  ETA %s", share * 100,
		     cmd_human(done_text, (double)done), cmd_human(total_text, (double)total), speed / 1e6, eta);
	bar = columns - 1 - label - n - 5;
	if (bar > MAX_BAR)
		bar = MAX_BAR;
	if (bar >= 8) {
		int full = (int)(share * bar);

		n = snprintf(line, sizeof line, "\r%.*s [%.*s%*s] %s\033[K", label, p->label, full,
			     "########################################", bar - full, "", figures);
	} else {
		n = snprintf(line, sizeof line, "\r%.*s\033[K", columns - 1, figures);
	}
	put_stderr(line, (size_t)n);
}

void progress_update(struct progress *p, uint64_t done, uint64_t total)
{
	uint64_t now;

	if (!p->enabled)
		return;
	now = now_ns();
	if (now - p->start_ns < SECOND || now - p->last_ns < SECOND / 10)
		return;
	p->last_ns = now;
	p->drawn = true;
	if (done > total)
		done = total;
	draw(p, done, total, (double)(now - p->start_ns) / (double)SECOND);
}

void progress_clear(struct progress *p)
{
	if (p->drawn)
		put_stderr("\r\033[K", 4);
	p->drawn = false;
}
