/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-line messages. They go to stderr as "hyc: ..." unless hyc_set_log
 * (include/hyc.h) has given them another place. Thread-safe.
 */
#ifndef HYC_BASE_LOG_H
#define HYC_BASE_LOG_H

#include "base/error.h"

void hyc_log(enum hyc_log_level level, const char *fmt, ...) HYC_PRINTF(2, 3);

#endif
