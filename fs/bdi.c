/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /sys/class/bdi/MAJOR:MINOR/read_ahead_kb. The device is looked up in mountinfo and not with stat(2), which would ask
 * the mount before anybody answers there.
 */
#include "config.h"

#include "fs/bdi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mountinfo.h"

/* The device of the last mount at mountpoint, which is the one on top. */
static int find_device(const char *mountpoint, char device[32])
{
	cleanup_file FILE *f = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t room = 0;
	int r = -ENOENT;

	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		struct hyc_mountinfo mount;

		if (!hyc_mountinfo_parse(line, &mount) || strcmp(mount.path, mountpoint))
			continue;
		snprintf(device, 32, "%.31s", mount.device);
		r = 0;
	}
	return r;
}

int hyc_bdi_find(const char *mountpoint, char **file, struct hyc_error *err)
{
	char device[32];
	int r = find_device(mountpoint, device);

	if (r)
		return hyc_fail_errno(err, r, "%s: readahead_kb: cannot find the mount", mountpoint);
	if (asprintf(file, "/sys/class/bdi/%s/read_ahead_kb", device) < 0) {
		*file = NULL;
		return hyc_fail_errno(err, -ENOMEM, "%s: readahead_kb", mountpoint);
	}
	if (access(*file, W_OK)) {
		r = hyc_fail_errno(err, -errno, "%s: readahead_kb cannot be set: %s", mountpoint, *file);
		free(*file);
		*file = NULL;
	}
	return r;
}

void hyc_bdi_set_readahead(const char *file, unsigned kb)
{
	FILE *f = fopen(file, "we");
	int bad = !f || fprintf(f, "%u\n", kb) < 0;

	if ((f && fclose(f)) || bad)
		hyc_log(HYC_LOG_WARNING, "%s: cannot be set to %u: %s", file, kb, strerror(errno));
}
