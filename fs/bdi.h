/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own readahead on a mount. */
#ifndef HYC_FS_BDI_H
#define HYC_FS_BDI_H

#include "base/error.h"

/* *file, owned, sets the readahead of what is mounted at mountpoint (an absolute path). Asks the mount itself nothing. */
int hyc_bdi_find(const char *mountpoint, char **file, struct hyc_error *err) HYC_CHECKED;

/* Let the kernel read ahead so much. A failure is logged. Works only once the kernel has had the answer to its first request. */
void hyc_bdi_set_readahead(const char *file, unsigned kb);

#endif
