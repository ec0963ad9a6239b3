/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fs/ready.h"

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"

void hyc_ready_init(struct hyc_ready *ready, int notify_fd)
{
	*ready = (struct hyc_ready){ .pipe_fd = -1, .notify_fd = notify_fd };
	/* The reader waits for the end of the file, so no child (fusermount3) may keep it open. */
	if (notify_fd >= 0)
		fcntl(notify_fd, F_SETFD, FD_CLOEXEC);
}

int hyc_ready_daemonise(struct hyc_ready *ready, bool *is_parent, struct hyc_error *err)
{
	cleanup_fd int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[2];
	pid_t pid;

	if (null_fd < 0)
		return hyc_fail_errno(err, -errno, "cannot open /dev/null");
	if (pipe2(fds, O_CLOEXEC))
		return hyc_fail_errno(err, -errno, "cannot make a pipe");
	pid = fork();
	if (pid < 0) {
		int code = -errno;

		close(fds[0]);
		close(fds[1]);
		return hyc_fail_errno(err, code, "cannot fork");
	}
	*is_parent = pid > 0;
	ready->pipe_fd = fds[pid > 0 ? 0 : 1];
	close(fds[pid > 0 ? 1 : 0]);
	if (*is_parent)
		return 0;
	setsid();
	if (chdir("/"))
		return hyc_fail_errno(err, -errno, "cannot go to /");
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null_fd, fd);
	return 0;
}

bool hyc_ready_wait(struct hyc_ready *ready)
{
	ssize_t n;
	char byte;

	do
		n = read(ready->pipe_fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static void tell(int *fd)
{
	static const char byte = 'R';
	ssize_t n;

	if (*fd < 0)
		return;
	do
		n = write(*fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	close(hyc_steal_fd(fd));
}

void hyc_ready_tell(struct hyc_ready *ready)
{
	tell(&ready->notify_fd);
	tell(&ready->pipe_fd);
}

void hyc_ready_fini(struct hyc_ready *ready)
{
	if (ready->pipe_fd >= 0)
		close(hyc_steal_fd(&ready->pipe_fd));
	if (ready->notify_fd >= 0)
		close(hyc_steal_fd(&ready->notify_fd));
}
