/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the kernel is to schedule threads, as far as anybody may ask for it. Hints: where the kernel does not know them, nothing changes.
 * Nobody gets more or less of a processor by them, only sooner or later.
 */
#ifndef HYC_BASE_SCHEDULE_H
#define HYC_BASE_SCHEDULE_H

/* The calling thread, and those it creates from now on, answer somebody who waits: they soon get their turn, and short ones. */
void hyc_schedule_answering(void);

/* The calling thread works ahead: it does not push others off a processor when it wakes up. */
void hyc_schedule_ahead(void);

#endif
