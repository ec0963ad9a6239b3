/* SPDX-License-Identifier: Apache-2.0 */
/* One line of progress on stderr: drawn only on a terminal, and only for what takes longer than a second. */
#ifndef HYC_CLI_PROGRESS_H
#define HYC_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *label; /* borrowed */
	bool enabled, drawn;
	uint64_t start_ns, last_ns;
};

/* never: draw nothing whatever stderr is. */
void progress_init(struct progress *p, const char *label, bool never);

/* Call as often as you like; it draws at most ten times a second. */
void progress_update(struct progress *p, uint64_t done, uint64_t total);

/* Wipes the line, so that something else can be printed; the next update draws it again. */
void progress_clear(struct progress *p);

/* Seconds since progress_init. */
double progress_seconds(const struct progress *p);

#endif
