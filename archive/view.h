/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: the tensors of an archive shown as the files of another container, made from the index alone. A view is an
 * index of its own, with other files, extents and tensors over the same objects and blocks; an archive opened with one
 * has it in the place of the archive's, so whoever lists and reads files sees no difference.
 */
#ifndef HYC_ARCHIVE_VIEW_H
#define HYC_ARCHIVE_VIEW_H

#include "archive/layout.h"
#include "format/reader.h"
#include "include/hyc.h"

struct hyc_view {
	struct hyc_index stored;  /* the archive's own index; owned, together with everything the view's borrows */
	struct hyc_layout layout; /* heads and extents of the view */
	struct hyc_disk_file *files;
	struct hyc_disk_tensor *tensors;
	uint32_t *parents;
	uint8_t *made;            /* of each file: 1 if it is not in the archive but made for the view */
	char *names;
};

/* Take the index over and put the view's in its place. path is for messages. On failure the index is left alone. */
int hyc_view_make(struct hyc_index *index, enum hyc_view_kind kind, const char *path, struct hyc_view **out,
		  struct hyc_error *err) HYC_CHECKED;

/* Frees the view and the index it took over; NULL is fine. */
void hyc_view_free(struct hyc_view *view);

/* ---- names (view_names.c) ---- */

/* A path cut into what matters for its counterpart in another container; all point into the path. */
struct hyc_weights_name {
	const char *dir, *stem, *variant, *shard, *end; /* each ends where the next one starts; end is that of the file's name */
	size_t dir_len, stem_len, variant_len, shard_len, end_len;
	bool torch;                                     /* by its end: a torch file, not a safetensors one */
};

/* "d/model.fp16-00001-of-00002.safetensors": d/, model, .fp16, -00001-of-00002, .safetensors. Any name can be cut. */
void hyc_weights_name_cut(const char *path, struct hyc_weights_name *out);

/* Order by directory, then by what the names have in common in both containers: 0 if they are names of one model. */
int hyc_weights_name_compare(const struct hyc_weights_name *a, const struct hyc_weights_name *b);

/* The path of the counterpart of that file, or of its set's index (with the own container for torch == name->torch). False: too long. */
bool hyc_weights_path(const struct hyc_weights_name *name, bool torch, char out[HYC_MAX_NAME + 1]);
bool hyc_weights_index_path(const struct hyc_weights_name *name, bool torch, char out[HYC_MAX_NAME + 1]);

/* ---- containers ---- */

/*
 * Write the file that holds the tensors [first, first + n) of the index. 0, -ENOMEM, or -EINVAL where the container
 * cannot hold them; *why says what it is then. Failures of the layout itself are left for its caller to ask for.
 */
int hyc_view_safetensors(const struct hyc_index *index, uint32_t first, uint32_t n, struct hyc_layout *layout,
			 const char **why) HYC_CHECKED;

/* folder is what stands before the names of the zip's records. */
int hyc_view_torch(const struct hyc_index *index, uint32_t first, uint32_t n, const char *folder, struct hyc_layout *layout,
		   const char **why) HYC_CHECKED;

/* The data.pkl of a torch file. keys[i] is the number of tensor i's storage; its bytes are those of its object, or none. */
int hyc_view_pickle(const struct hyc_index *index, uint32_t first, uint32_t n, const uint32_t *keys,
		    struct hyc_text *out, const char **why) HYC_CHECKED;

/* The bytes of a tensor, checked when the index was opened. */
uint64_t hyc_view_tensor_bytes(const struct hyc_index *index, uint32_t tensor);

/* Whether all that is said of a tensor can be said in either container: UTF-8, no strides, sizes in 63 bits. */
bool hyc_view_tensor_plain(const struct hyc_index *index, uint32_t tensor, const char **why);

/* Files are aligned so that each page of a tensor is one page of the file. */
#define HYC_VIEW_ALIGN 4096u

#endif
