/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lossy coding begins before anything is packed: which tensors are taken, and how each will be coded, is decided from
 * looks at all of them. What is decided hangs on the pieces; the pipeline then codes their blocks as it does those of
 * all others.
 */
#ifndef HYC_PACK_LOSSY_H
#define HYC_PACK_LOSSY_H

#include "pack/coding.h"
#include "pack/scan.h"
#include "pack/tell.h"

#include <stdbool.h>

struct hyc_hyper;
struct hyc_tcq_plan;

/* A tensor that may be coded with loss. */
struct hyc_lossy_tensor {
	struct hyc_piece *piece;         /* borrowed from the plan of its entry */
	size_t entry;                    /* index in the scan */
	struct hyc_piece_coding how;     /* block_bytes is set first, the rest where it is not left out */
	bool left_out;                   /* stays lossless */
	const char *why;                 /* that is, for the user: "it has ...". Static */
	const struct hyc_lossy_tensor *twin; /* an earlier one of the same bytes, coded the same way; or NULL */
	struct hyc_tcq_plan *tcq;        /* owned; NULL with another codec and for a twin */
	struct hyc_hyper_plan *hyper;    /* owned; NULL with another codec */
};

struct hyc_lossy {
	struct hyc_lossy_tensor *tensors; /* in the order of their places in the sources */
	size_t n, room;
	struct hyc_hyper *hyper;          /* what all plans share; owned */
};

/*
 * Choose the tensors and design their coding, if the options ask for a lossy codec. The entries' plans must be there.
 * *out is to be given to hyc_lossy_fini after the packing, also after a failure.
 */
int hyc_lossy_design(struct hyc_scan *scan, const struct hyc_pack_options *options, struct hyc_lossy *out,
		     struct hyc_tell *tell, struct hyc_error *err) HYC_CHECKED;
void hyc_lossy_fini(struct hyc_lossy *lossy);

/* A tensor stays lossless; why is static. */
static inline void hyc_lossy_leave_out(struct hyc_lossy_tensor *tensor, const char *why)
{
	tensor->left_out = true;
	tensor->why = why;
}

/* What both codecs bring: choose block sizes and parameters, and leave tensors out with a reason. */
int hyc_lossy_design_tcq(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
			 struct hyc_tell *tell, struct hyc_error *err) HYC_CHECKED;
int hyc_lossy_design_hyper(struct hyc_lossy *lossy, struct hyc_scan *scan, const struct hyc_pack_options *options,
			   struct hyc_tell *tell, struct hyc_error *err) HYC_CHECKED;

#endif
