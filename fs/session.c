/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libfuse's loop runs in the calling thread, which only starts workers and waits for the end; each worker
 * takes one request at a time. A watching thread beside them takes the signals (blocked everywhere else)
 * and keeps the idle time. It never waits for a worker.
 *
 * How it ends. If the mount goes away (umount by anyone, our own included), the kernel ends the connection when the
 * last file is closed: workers see ENODEV, or ECONNABORTED where one was just taking a request, and the loop returns. After a signal that may take longer than anybody
 * wants to wait, so the watcher gives running reads their time and then makes the loop return: it sets the
 * session's exit flag and interrupts the wait in fuse_session_loop_mt() with SIGUSR1, again and again, because
 * a signal just before the wait would be lost. The loop lets each worker finish the request it has.
 */
#include "config.h"

#include "fs/session.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "fs/mount.h"

#define TICK_NS INT64_C(20000000)
#define QUIET_NS INT64_C(1000000000)   /* without a read for so long, nobody is reading any more */
#define DRAIN_NS INT64_C(5000000000)   /* readers get no longer than this */
#define SECOND_NS INT64_C(1000000000)

struct watch {
	struct hycfs *fs;
	struct fuse_session *session;
	const char *mountpoint;
	int64_t timeout_ns;   /* 0: none, or no more */
	pthread_t loop;
	_Atomic int ended;    /* the loop has returned */
};

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void hyc_session_block_signals(void)
{
	sigset_t set;

	signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* The next signal, or 0 after ns nanoseconds (negative: never). The end of the loop comes as a signal, too. */
static int wait_signal(int64_t ns)
{
	struct timespec limit = { .tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS };
	sigset_t set;
	int sig;

	signal_set(&set);
	sig = sigtimedwait(&set, NULL, ns < 0 ? NULL : &limit);
	return sig > 0 ? sig : 0;
}

/* ---- idle timeout ---- */

/* Nanoseconds until the mount has been idle for long enough, 0: it has; negative: never. */
static int64_t idle_left(const struct watch *w)
{
	int64_t end;

	if (!w->timeout_ns)
		return -1;
	if (atomic_load(&w->fs->n_open))
		return w->timeout_ns;
	end = atomic_load(&w->fs->last_request_ns) + w->timeout_ns - hyc_now_ns();
	return end > 0 ? end : 0;
}

static void unmount_idle(struct watch *w)
{
	int r = hyc_unmount(w->mountpoint, false);

	if (r == -EBUSY) {
		/* A file was opened just now, or somebody's working directory is there: as good as a request. */
		atomic_store(&w->fs->last_request_ns, hyc_now_ns());
		return;
	}
	if (r)
		hyc_log(HYC_LOG_WARNING, "%s: cannot unmount after the idle timeout: %s", w->mountpoint, strerror(-r));
	else
		hyc_log(HYC_LOG_INFO, "%s: unmounted after the idle timeout", w->mountpoint);
	w->timeout_ns = 0;
}

/* ---- the end after a signal ---- */

/* Until the loop has ended by itself, reads have been quiet, time is up, or another signal shows impatience. */
static void drain(struct watch *w)
{
	int64_t quiet = 0;
	uint64_t done = atomic_load(&w->fs->reads_done);

	for (int64_t passed = 0; passed < DRAIN_NS && quiet < QUIET_NS; passed += TICK_NS) {
		uint64_t now_done;

		if (wait_signal(TICK_NS) || atomic_load(&w->ended))
			return;
		now_done = atomic_load(&w->fs->reads_done);
		quiet = now_done != done || atomic_load(&w->fs->reads_running) ? 0 : quiet + TICK_NS;
		done = now_done;
	}
}

static void stop(struct watch *w, int sig)
{
	int r = hyc_unmount(w->mountpoint, true);

	if (r && r != -EINVAL) /* EINVAL: nothing is mounted there any more */
		hyc_log(HYC_LOG_WARNING, "%s: cannot unmount after SIG%s: %s", w->mountpoint, sigabbrev_np(sig),
			strerror(-r));
	else
		hyc_log(HYC_LOG_INFO, "%s: unmounted after SIG%s", w->mountpoint, sigabbrev_np(sig));
	drain(w);
	fuse_session_exit(w->session);
	while (!atomic_load(&w->ended)) {
		pthread_kill(w->loop, SIGUSR1);
		wait_signal(TICK_NS);
	}
}

static void *watch(void *arg)
{
	struct watch *w = arg;

	while (!atomic_load(&w->ended)) {
		int64_t left = idle_left(w);
		int sig;

		if (!left) {
			unmount_idle(w);
			continue;
		}
		sig = wait_signal(left);
		if (sig && !atomic_load(&w->ended))
			stop(w, sig);
	}
	return NULL;
}

static void interrupt(int sig)
{
	(void)sig;
}

static int run_loop(struct fuse_session *session, unsigned threads)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_clone_fd(config, 0);
	r = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return r;
}

int hyc_session_run(struct fuse_session *session, struct hycfs *fs, const struct hyc_mount_options *options,
		    const char *mountpoint, struct hyc_error *err)
{
	struct watch w = {
		.fs = fs,
		.session = session,
		.mountpoint = mountpoint,
		.timeout_ns = options->timeout_s * SECOND_NS,
		.loop = pthread_self(),
	};
	pthread_t watcher;
	int r;

	signal(SIGPIPE, SIG_IGN);
	/* No SA_RESTART: it is to interrupt. */
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = interrupt }, NULL);
	atomic_store(&fs->last_request_ns, hyc_now_ns());
	r = -pthread_create(&watcher, NULL, watch, &w);
	if (r)
		return hyc_fail_errno(err, r, "%s: cannot start a thread", mountpoint);
	r = run_loop(session, options->threads);
	atomic_store(&w.ended, 1);
	pthread_kill(watcher, SIGTERM);
	pthread_join(watcher, NULL);
	if (r >= 0 || r == -ECONNABORTED)
		return 0;
	return hyc_fail_errno(err, r, "%s: cannot serve the mount", mountpoint);
}
