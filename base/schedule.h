/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYC_BASE_SCHEDULE_H
#define HYC_BASE_SCHEDULE_H

/*
 * The calling thread works ahead: it does not push others off a processor when it wakes up, and gets as much of them as before.
 * (Short slices for the threads that answer the kernel halve the small random reads.)
 */
void hyc_schedule_ahead(void);

#endif
