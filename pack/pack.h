/* SPDX-License-Identifier: Apache-2.0 */
/* Make an archive from model directories and files. The only header of this room that cli sees. */
#ifndef HYC_PACK_PACK_H
#define HYC_PACK_PACK_H

#include "include/hyc.h"

enum hyc_pack_codec { HYC_PACK_LOSSLESS, HYC_PACK_STORED, HYC_PACK_HYPER, HYC_PACK_TCQ };

#define HYC_PACK_MIN_BPW 2
#define HYC_PACK_MAX_BPW 9
#define HYC_PACK_DEFAULT_BPW 4

/* Of the hyper codec, by the names of its publication. */
struct hyc_pack_hyper {
	double side;      /* l: of the centre square */
	double nodes;     /* U: nodes of the trajectory; whole */
	double classes;   /* M: the most categories beyond the square; whole */
	double threshold; /* mean absolute error that is good enough */
	double limit;     /* tensors of a larger one stay lossless */
};
#define HYC_PACK_HYPER_DEFAULTS { .side = 0.1, .nodes = 1600, .classes = 3, .threshold = 0.001, .limit = 0.006 }

struct hyc_pack_options {
	const char *output;          /* path of the archive; replaced atomically */
	enum hyc_pack_codec codec;
	/*
	 * The lossy codecs take tensors of F32, F16 and BF16 with two dimensions and more, 16384 elements and more,
	 * and finite values only. Tensors that a pattern of keep matches stay lossless; of the others those that a
	 * pattern of lossy matches are taken whatever their shape. Patterns are those of fnmatch(3), for whole names;
	 * the lists end with NULL, and may be NULL.
	 */
	const char *const *keep, *const *lossy;
	double bpw;                  /* of HYC_PACK_TCQ: stored bits for each weight of the lossy tensors */
	struct hyc_pack_hyper hyper; /* of HYC_PACK_HYPER */
	unsigned threads;            /* 0: all processors */
	void (*progress)(void *arg, uint64_t done, uint64_t total); /* source bytes; caller's thread; may be NULL */
	void (*note)(void *arg, const char *sentence);              /* something the user should know; may be NULL */
	void *arg;
};

struct hyc_pack_result {
	uint64_t source_bytes;  /* bytes of all packed files */
	uint64_t archive_bytes;
	uint32_t n_files, n_tensors;
	uint32_t n_lossy;       /* tensors that a lossy codec took */
	double lossy_bpw;       /* bits that each of their weights takes in the archive; 0 where there are none */
};

/* Why the parameters of the hyper codec are refused: "nodes must be a whole number from 4 to 4096", or NULL. */
const char *hyc_pack_hyper_refuse(const struct hyc_pack_hyper *hyper, char *text, size_t room);

/*
 * Pack sources into options->output. One directory: what is in it becomes the root; files: the root holds them.
 * Symbolic links are followed. The archive appears whole or not at all, whatever happens; the sources are only read.
 * -EINVAL: a source is malformed or cannot be packed, or an option is out of range; other errors are those of the file
 * system.
 */
int hyc_pack(const char *const *sources, size_t n_sources, const struct hyc_pack_options *options,
	     struct hyc_pack_result *result, struct hyc_error *err);

#endif
