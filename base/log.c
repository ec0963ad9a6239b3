/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

/* The one global of this file: where messages go. Set before threads start, read-only after. */
static struct {
	void (*fn)(void *arg, enum hyc_log_level level, const char *msg);
	void *arg;
	enum hyc_log_level max_level;
} sink = { NULL, NULL, HYC_LOG_WARNING };

void hyc_set_log(void (*fn)(void *arg, enum hyc_log_level level, const char *msg), void *arg,
		 enum hyc_log_level max_level)
{
	sink.fn = fn;
	sink.arg = arg;
	sink.max_level = max_level;
}

void hyc_log(enum hyc_log_level level, const char *fmt, ...)
{
	char msg[1024];
	va_list ap;

	if (level > sink.max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	for (char *c = msg; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	if (sink.fn)
		sink.fn(sink.arg, level, msg);
	else
		fprintf(stderr, "hyc: %s\n", msg);
}
