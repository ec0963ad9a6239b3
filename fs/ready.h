/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going into the background, and telling the world when the mount is ready: the process the
 * user started ends with status 0, and the descriptor of notify_fd= gets its byte, only then.
 */
#ifndef HYC_FS_READY_H
#define HYC_FS_READY_H

#include <stdbool.h>

#include "base/error.h"

struct hyc_ready {
	int pipe_fd;   /* between the daemon and the parent that waits for it, or -1 */
	int notify_fd; /* or -1 */
};

void hyc_ready_init(struct hyc_ready *ready, int notify_fd);

/* Fork. The child is the daemon: own session, directory /, standard descriptors on /dev/null. */
int hyc_ready_daemonise(struct hyc_ready *ready, bool *is_parent, struct hyc_error *err) HYC_CHECKED;

/* In the parent: wait until the daemon is ready; false if it ended before. */
bool hyc_ready_wait(struct hyc_ready *ready);

/* In the daemon, or in the foreground: the mount is ready; once. */
void hyc_ready_tell(struct hyc_ready *ready);

/* Close what is open, without telling. */
void hyc_ready_fini(struct hyc_ready *ready);

#endif
