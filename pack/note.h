/* SPDX-License-Identifier: Apache-2.0 */
/* Tell the user something that is no error: one printable line, as an error's would be. */
#ifndef HYC_PACK_NOTE_H
#define HYC_PACK_NOTE_H

#include "base/error.h"
#include "pack/pack.h"

#include <errno.h>

#define hyc_pack_note(options, ...) \
	do { \
		if ((options)->note) { \
			struct hyc_error note_; \
			hyc_fail(&note_, -EINVAL, __VA_ARGS__); \
			(options)->note((options)->arg, note_.msg); \
		} \
	} while (0)

#endif
