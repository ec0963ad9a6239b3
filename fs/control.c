/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fs/control.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

const char *const hyc_control_name[HYC_N_CONTROLS] = {
	[HYC_CONTROL_DIR] = ".hycfs",
	[HYC_CONTROL_LOG] = "log",
	[HYC_CONTROL_STATS] = "stats.json",
};

#define N_DECODE (sizeof((struct hyc_stats *)0)->decode / sizeof((struct hyc_stats *)0)->decode[0])

static void put_number(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, "  \"%s\": %" PRIu64 ",\n", name, value);
}

/* { codec: { backend: value } }; the slots of a codec may be anywhere in the list. */
static void put_decode(FILE *out, const char *name, const struct hyc_stats *stats, bool speed)
{
	const char *comma = "";

	fprintf(out, "  \"%s\": {", name);
	for (unsigned i = 0; i < N_DECODE; i++) {
		const char *codec = stats->decode[i].codec, *inner_comma = "";
		bool seen = !codec;

		for (unsigned j = 0; j < i && !seen; j++)
			seen = stats->decode[j].codec && !strcmp(stats->decode[j].codec, codec);
		if (seen)
			continue;
		fprintf(out, "%s\n    \"%s\": {", comma, codec);
		for (unsigned j = i; j < N_DECODE; j++) {
			uint64_t ns = stats->decode[j].nanoseconds;

			if (!stats->decode[j].codec || strcmp(stats->decode[j].codec, codec))
				continue;
			fprintf(out, "%s\"%s\": ", inner_comma, stats->decode[j].backend);
			if (speed)
				fprintf(out, "%.3f", ns ? (double)stats->decode[j].decoded_bytes / (double)ns : 0);
			else
				fprintf(out, "%" PRIu64, stats->decode[j].blocks);
			inner_comma = ", ";
		}
		fputc('}', out);
		comma = ",";
	}
	fprintf(out, "%s},\n", *comma ? "\n  " : "");
}

static void put_stats(struct hycfs *fs, FILE *out)
{
	const struct hyc_latency *latency = &fs->read_latency;
	struct hyc_stats stats;

	hyc_stats(fs->archive, &stats);
	fprintf(out, "{\n  \"uptime_s\": %.3f,\n", (double)(hyc_now_ns() - fs->started_ns) / 1e9);
	put_number(out, "cache_bytes", stats.cache_bytes);
	put_number(out, "cache_limit", stats.cache_limit);
	put_number(out, "hits", stats.hits);
	put_number(out, "misses", stats.misses);
	put_number(out, "evictions", stats.evictions);
	put_number(out, "in_flight", stats.in_flight);
	put_number(out, "prefetched", stats.prefetched);
	put_number(out, "prefetch_used", stats.prefetch_used);
	put_number(out, "prefetch_late", stats.prefetch_late);
	put_number(out, "prefetch_wasted", stats.prefetch_wasted);
	put_decode(out, "blocks_decoded", &stats, false);
	put_decode(out, "decode_gbps", &stats, true);
	put_number(out, "reads", atomic_load(&fs->reads_done));
	put_number(out, "bytes_served", stats.bytes_served);
	put_number(out, "bytes_stored_read", stats.bytes_stored_read);
	put_number(out, "errors", stats.errors);
	fprintf(out, "  \"read_latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f}\n}\n",
		(double)hyc_latency_percentile(latency, 0.50) / 1e3,
		(double)hyc_latency_percentile(latency, 0.90) / 1e3,
		(double)hyc_latency_percentile(latency, 0.99) / 1e3);
}

struct hyc_snapshot *hyc_control_snapshot(struct hycfs *fs, enum hyc_control file)
{
	struct hyc_snapshot *snapshot = calloc(1, sizeof *snapshot);
	FILE *out;
	int failed;

	if (!snapshot)
		return NULL;
	atomic_init(&snapshot->refs, 1);
	out = open_memstream(&snapshot->text, &snapshot->len);
	if (!out) {
		free(snapshot);
		return NULL;
	}
	if (file == HYC_CONTROL_LOG)
		hyc_messages_print(fs->messages, out);
	else
		put_stats(fs, out);
	failed = ferror(out);
	if (fclose(out) || failed) {
		hyc_snapshot_put(snapshot);
		return NULL;
	}
	return snapshot;
}

struct hyc_snapshot *hyc_snapshot_get(struct hyc_snapshot *snapshot)
{
	atomic_fetch_add(&snapshot->refs, 1);
	return snapshot;
}

void hyc_snapshot_put(struct hyc_snapshot *snapshot)
{
	if (!snapshot || atomic_fetch_sub(&snapshot->refs, 1) > 1)
		return;
	free(snapshot->text);
	free(snapshot);
}
