/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error rule of the house: a function that can fail for a reason a person
 * should read takes a struct hyc_error last, returns 0 or -errno, and fills the
 * error once, where the failure is decided. On success it is left alone.
 * Functions on the data path return -errno only.
 */
#ifndef HYC_BASE_ERROR_H
#define HYC_BASE_ERROR_H

#include "include/hyc.h"

#define HYC_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define HYC_CHECKED __attribute__((warn_unused_result))

/* Fill err (may be NULL) with code and a formatted sentence; returns code, which is negative. */
int hyc_fail(struct hyc_error *err, int code, const char *fmt, ...) HYC_PRINTF(3, 4);

/* The same with ": " and the text of errno value -code behind the sentence. */
int hyc_fail_errno(struct hyc_error *err, int code, const char *fmt, ...) HYC_PRINTF(3, 4);

#endif
