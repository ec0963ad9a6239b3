/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "pack/tell.h"

#include <time.h>

#define INTERVAL_NS INT64_C(50000000)

void hyc_tell(struct hyc_tell *tell, uint64_t bytes)
{
	struct timespec now;
	int64_t ns;

	tell->done += bytes;
	if (!tell->options->progress)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (tell->done < tell->total && ns - tell->told_ns < INTERVAL_NS)
		return;
	tell->told_ns = ns;
	tell->options->progress(tell->options->arg, tell->done, tell->total);
}
