/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the user how far packing has come, not more often than is of use. */
#ifndef HYC_PACK_TELL_H
#define HYC_PACK_TELL_H

#include "pack/pack.h"

struct hyc_tell {
	const struct hyc_pack_options *options;
	uint64_t done, total; /* bytes to be looked at or packed */
	int64_t told_ns;
};

/* More bytes are done. */
void hyc_tell(struct hyc_tell *tell, uint64_t bytes);

#endif
