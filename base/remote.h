/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYC_BASE_REMOTE_H
#define HYC_BASE_REMOTE_H

#include <stdbool.h>

/* Whether an open file lies on a file system that asks another machine or another program for it. Unknown ones do not. */
bool hyc_is_remote(int fd);

#endif
