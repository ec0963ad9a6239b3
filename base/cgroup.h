/* SPDX-License-Identifier: Apache-2.0 */
/* What the control groups of this process allow it. */
#ifndef HYC_BASE_CGROUP_H
#define HYC_BASE_CGROUP_H

#include <stdint.h>

/*
 * The least memory limit of the process' groups and of all above them, as far as they can be seen; UINT64_MAX: there is none.
 * root is put before all paths: "" but in tests.
 */
uint64_t hyc_cgroup_memory(const char *root);

#endif
