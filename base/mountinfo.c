/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/mountinfo.h"

#include <stdio.h>
#include <string.h>

/* Undo the octal escapes (\040) in place. */
static void unescape(char *text)
{
	char *to = text;
	unsigned byte;
	int digits;

	while (*text) {
		if (*text == '\\' && sscanf(text + 1, "%3o%n", &byte, &digits) == 1 && digits == 3) {
			*to++ = (char)byte;
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

bool hyc_mountinfo_parse(char *line, struct hyc_mountinfo *out)
{
	/* ID PARENT MAJOR:MINOR TOP PATH OPTIONS [FIELD]... - TYPE SOURCE OPTIONS */
	char *device, *top, *path, *rest = line, *last;

	line[strcspn(line, "\n")] = '\0';
	strsep(&rest, " ");
	strsep(&rest, " ");
	device = strsep(&rest, " ");
	top = strsep(&rest, " ");
	path = strsep(&rest, " ");
	last = rest ? strstr(rest, " - ") : NULL;
	if (!last)
		return false;
	last += 3;
	unescape(top);
	unescape(path);
	*out = (struct hyc_mountinfo){ .device = device, .top = top, .path = path, .type = strsep(&last, " ") };
	strsep(&last, " ");
	out->options = last;
	return last;
}
