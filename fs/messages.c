/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fs/messages.h"

#include <syslog.h>
#include <time.h>

#include "base/cleanup.h"

#define LINE_MAX_BYTES 1088 /* a time, a level and the longest message of hyc_log */

struct hyc_messages {
	pthread_mutex_t lock;
	int to_syslog;
	unsigned next, count; /* the ring: count lines, the next one goes to next */
	char line[HYC_MESSAGES_KEPT][LINE_MAX_BYTES];
};

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[HYC_LOG_ERROR] = { "error", LOG_ERR },
	[HYC_LOG_WARNING] = { "warning", LOG_WARNING },
	[HYC_LOG_INFO] = { "info", LOG_INFO },
	[HYC_LOG_DEBUG] = { "debug", LOG_DEBUG },
};

struct hyc_messages *hyc_messages_new(void)
{
	struct hyc_messages *messages = calloc(1, sizeof *messages);

	if (messages)
		pthread_mutex_init(&messages->lock, NULL);
	return messages;
}

void hyc_messages_free(struct hyc_messages *messages)
{
	if (!messages)
		return;
	pthread_mutex_destroy(&messages->lock);
	free(messages);
}

void hyc_messages_add(void *arg, enum hyc_log_level level, const char *msg)
{
	struct hyc_messages *messages = arg;
	time_t now = time(NULL);
	char when[32];
	struct tm tm;

	if (!gmtime_r(&now, &tm) || !strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm))
		when[0] = '\0';
	{
		HYC_LOCK_SCOPE(&messages->lock);
		snprintf(messages->line[messages->next], LINE_MAX_BYTES, "%s %s: %s", when, levels[level].name, msg);
		messages->next = (messages->next + 1) % HYC_MESSAGES_KEPT;
		messages->count += messages->count < HYC_MESSAGES_KEPT;
	}
	if (messages->to_syslog)
		syslog(levels[level].priority, "%s", msg);
	else
		fprintf(stderr, "hycfs: %s: %s\n", levels[level].name, msg);
}

void hyc_messages_to_syslog(struct hyc_messages *messages)
{
	openlog("hycfs", LOG_PID, LOG_DAEMON);
	messages->to_syslog = 1;
}

void hyc_messages_print(struct hyc_messages *messages, FILE *out)
{
	HYC_LOCK_SCOPE(&messages->lock);
	for (unsigned i = 0; i < messages->count; i++)
		fprintf(out, "%s\n",
			messages->line[(messages->next + HYC_MESSAGES_KEPT - messages->count + i) % HYC_MESSAGES_KEPT]);
}
