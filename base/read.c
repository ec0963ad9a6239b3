/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/read.h"

#include <errno.h>
#include <unistd.h>

int hyc_read_at(int fd, void *buf, size_t len, uint64_t off, int shorter)
{
	char *p = buf;

	while (len) {
		ssize_t got = pread(fd, p, len, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return shorter;
		p += got;
		off += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}
