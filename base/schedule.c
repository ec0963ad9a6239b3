/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_setattr(2) with the length of a slice is Linux 6.12's; older kernels ignore it for threads like these. The C library of
 * today has neither the call nor its structure.
 */
#include "config.h"

#include "base/schedule.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANSWER_NS UINT64_C(100000) /* the shortest slice there is, and about what a reply of 128 KiB takes */

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void set(int policy, uint64_t slice_ns)
{
	struct attributes a = { .size = sizeof a, .policy = (uint32_t)policy, .runtime = slice_ns };
	long nice = syscall(SYS_getpriority, 0, 0);

	/* Who was given another policy keeps it. */
	if (sched_getscheduler(0) != SCHED_OTHER)
		return;
	/* Unset it would become 0. The call itself counts from 40 down, so that it is never negative. */
	if (nice > 0)
		a.nice = (int32_t)(20 - nice);
	syscall(SYS_sched_setattr, 0, &a, 0);
}

void hyc_schedule_answering(void)
{
	set(SCHED_OTHER, ANSWER_NS);
}

void hyc_schedule_ahead(void)
{
	set(SCHED_BATCH, 0);
}
