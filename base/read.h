/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a place of a file. */
#ifndef HYC_BASE_READ_H
#define HYC_BASE_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Read exactly len bytes at off. 0, -errno, or `shorter` where the file ends before. */
int hyc_read_at(int fd, void *buf, size_t len, uint64_t off, int shorter) HYC_CHECKED;

#endif
