/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hyc top: what a mount is doing, from its .hycfs/stats.json. On a terminal it is drawn anew each second, with
 * what happened in that second; otherwise once, with sums. The file is the only interface, so the mount may be another user's
 * or of another version: what is not in it is shown as 0.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cmd.h"

#define HOME_AND_CLEAR "\033[H\033[J"
#define MAX_STATS_BYTES (1 << 20)

static const struct cmd_option options[] = {
	CMD_JSON_OPTION,
	{ NULL, 0, CMD_FLAG, 0, NULL, NULL, 0, 0 },
};

/* All of a small file whose size the file system does not know; NULL with errno. */
static char *read_text(const char *path)
{
	cleanup_file FILE *f = fopen(path, "re");
	cleanup_free char *text = f ? malloc(MAX_STATS_BYTES) : NULL;
	size_t n;

	if (!text)
		return NULL;
	n = fread(text, 1, MAX_STATS_BYTES - 1, f);
	if (ferror(f))
		return NULL;
	text[n] = '\0';
	return hyc_steal(&text);
}

/* The statistics of a mount; NULL after a message. */
static json_t *read_stats(const char *mountpoint)
{
	cleanup_free char *path = NULL, *text = NULL;
	json_t *stats;

	if (asprintf(&path, "%s/.hycfs/stats.json", mountpoint) < 0) {
		path = NULL;
		cmd_error("%s: no memory", mountpoint);
		return NULL;
	}
	text = read_text(path);
	if (!text) {
		if (errno == ENOENT || errno == ENOTDIR)
			cmd_error("%s: no archive is mounted there; hycfs ARCHIVE MOUNTPOINT does it", mountpoint);
		else
			cmd_error("%s: %s", path, strerror(errno));
		return NULL;
	}
	stats = json_loads(text, 0, NULL);
	if (!json_is_object(stats)) {
		json_decref(stats);
		cmd_error("%s: holds no statistics", path);
		return NULL;
	}
	return stats;
}

static double number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* What was added since before; since the mount where that is NULL. */
static double growth(const json_t *now, const json_t *before, const char *name)
{
	double n = number(now, name) - (before ? number(before, name) : 0);

	return n > 0 ? n : 0;
}

static void print_decoders(json_t *now, json_t *before)
{
	json_t *speeds = json_object_get(now, "decode_gbps"), *by_backend, *blocks;
	const char *codec, *backend;

	json_object_foreach(json_object_get(now, "blocks_decoded"), codec, by_backend) {
		json_object_foreach(by_backend, backend, blocks) {
			json_t *old = json_object_get(json_object_get(before, "blocks_decoded"), codec);
			double n = json_number_value(blocks) - json_number_value(json_object_get(old, backend));

			printf("decode    ");
			cmd_put_name(stdout, codec);
			printf(", ");
			cmd_put_name(stdout, backend);
			printf(": %.2f GB/s a thread, %.0f blocks\n",
			       number(json_object_get(speeds, codec), backend), n > 0 ? n : 0);
		}
	}
}

/* before: NULL for sums since the mount. */
static void print_text(const char *mountpoint, json_t *now, json_t *before)
{
	double seconds = before ? growth(now, before, "uptime_s") : 0, up = number(now, "uptime_s");
	double hits = growth(now, before, "hits"), misses = growth(now, before, "misses");
	const char *per = before ? "/s" : "";
	char a[CMD_SIZE_LEN], b[CMD_SIZE_LEN];
	json_t *latency = json_object_get(now, "read_latency_us");

	if (seconds <= 0)
		seconds = 1;
	printf("mount     ");
	cmd_put_name(stdout, mountpoint);
	printf(", up %.0f:%02.0f:%02.0f\n", (double)((uint64_t)up / 3600), (double)((uint64_t)up / 60 % 60),
	       (double)((uint64_t)up % 60));
	printf("reads     %.0f%s, %.0f us half of them, %.0f us 90 %%, %.0f us 99 %%\n",
	       growth(now, before, "reads") / seconds, per, number(latency, "p50"), number(latency, "p90"),
	       number(latency, "p99"));
	printf("served    %s%s", cmd_human(a, growth(now, before, "bytes_served") / seconds), per);
	printf(", read of the archive %s%s\n", cmd_human(b, growth(now, before, "bytes_stored_read") / seconds), per);
	printf("cache     %s of %s, %.0f evictions%s\n", cmd_human(a, number(now, "cache_bytes")),
	       cmd_human(b, number(now, "cache_limit")), growth(now, before, "evictions") / seconds, per);
	printf("blocks    %.0f hits%s, %.0f misses%s", hits / seconds, per, misses / seconds, per);
	printf(" (%s hits), %.0f in flight\n", cmd_percent(a, hits, hits + misses), number(now, "in_flight"));
	printf("prefetch  %.0f%s, %.0f%s of them read, %.0f%s dropped unread\n", growth(now, before, "prefetched") / seconds,
	       per, growth(now, before, "prefetch_used") / seconds, per, growth(now, before, "prefetch_wasted") / seconds, per);
	print_decoders(now, before);
	printf("errors    %.0f\n", number(now, "errors"));
}

/* Until the mount goes, or the user does. */
static int watch(const char *mountpoint, json_t *stats)
{
	const struct timespec second = { .tv_sec = 1 };
	json_t *before = NULL;

	while (stats) {
		fputs(HOME_AND_CLEAR, stdout);
		print_text(mountpoint, stats, before);
		if (fflush(stdout))
			break;
		json_decref(before);
		before = stats;
		nanosleep(&second, NULL);
		stats = read_stats(mountpoint);
	}
	json_decref(before);
	json_decref(stats);
	/* The mount was there, and is no more: read_stats has said so. */
	return CMD_FAILED;
}

static int run(const struct cmd_args *args)
{
	const char *mountpoint = args->operands[0], *term = getenv("TERM");
	json_t *stats = read_stats(mountpoint);

	if (!stats)
		return CMD_FAILED;
	if (args->json)
		return cmd_json_print(stats, CMD_DONE);
	if (isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0)
		return watch(mountpoint, stats);
	print_text(mountpoint, stats, NULL);
	json_decref(stats);
	return CMD_DONE;
}

const struct cmd_verb cmd_top = {
	.name = "top",
	.operands = "MOUNTPOINT",
	.summary = "Show what a mount is doing: speeds, cache and latency",
	.more = "On a terminal the figures are those of the last second, until Ctrl-C; otherwise sums since the mount, once.",
	.options = options,
	.min_operands = 1,
	.max_operands = 1,
	.required = { "MOUNTPOINT" },
	.run = run,
};
