/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/schedule.h"

#include <pthread.h>
#include <sched.h>

void hyc_schedule_ahead(void)
{
	struct sched_param none = { .sched_priority = 0 };

	/* Who was given another policy keeps it. */
	if (sched_getscheduler(0) == SCHED_OTHER)
		pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
}
