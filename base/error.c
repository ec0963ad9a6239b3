/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static HYC_PRINTF(3, 0) void format_msg(struct hyc_error *err, int code, const char *fmt, va_list ap)
{
	err->code = code;
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
	/* Names from an archive may hold anything; a message is one printable line. */
	for (char *c = err->msg; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

int hyc_fail(struct hyc_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	format_msg(err, code, fmt, ap);
	va_end(ap);
	return code;
}

int hyc_fail_errno(struct hyc_error *err, int code, const char *fmt, ...)
{
	va_list ap;
	char reason[128];
	size_t len;

	if (!err)
		return code;
	va_start(ap, fmt);
	format_msg(err, code, fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof err->msg - len, ": %s", strerror_r(-code, reason, sizeof reason));
	return code;
}
