/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hyper codec's layout (doc/format.md, section 8), shared by its encoder and every decoder: an object's
 * parameters, the table of pairs they stand for, and a parsed block whose sections are proven to lie inside it.
 */
#ifndef HYC_CODEC_HYPER_H
#define HYC_CODEC_HYPER_H

#include <stdbool.h>

#include "codec/codec.h"
#include "codec/rans.h"

#define HYC_HYPER_PARAMS_BYTES 40u
#define HYC_HYPER_MIN_SIDE 1e-6
#define HYC_HYPER_MAX_SIDE 1e6
#define HYC_HYPER_MIN_NODES 4u
#define HYC_HYPER_MAX_NODES 4096u
#define HYC_HYPER_MAX_CLASSES 10u
#define HYC_HYPER_MAX_TILE_LOG2 3u
#define HYC_HYPER_MIN_UNIT_LOG2 10u
#define HYC_HYPER_MAX_UNIT_LOG2 16u
#define HYC_HYPER_MAX_BLOCK ((size_t)1 << 24)
/* Bytes of a block that are not words, states, table or directory: its first two. */
#define HYC_HYPER_HEAD_BYTES 2u
#define HYC_HYPER_CONSTANT_BYTES 4u

enum hyc_hyper_mode { HYC_HYPER_CONSTANT = 0, HYC_HYPER_PLAIN = 1, HYC_HYPER_RANS = 2 };

/* An object's parameters, and what follows from them. */
struct hyc_hyper_object {
	double side, dx, dy;      /* of the centre square; of a step of the trajectory */
	float cx, cy, radius;
	uint32_t nodes, classes;  /* without the centroid; without class 0 */
	uint32_t tile_log2;
	uint32_t grid;            /* nodes of a column of the square */
	uint32_t tiles;           /* of a class */
	uint32_t tiles_per_column;
	uint32_t symbols;
};

/* What fits in struct hyc_hyper_object but is out of the format's domain: 0 or -EBADMSG. Fills in grid to symbols. */
int hyc_hyper_object_settle(uint32_t dtype, struct hyc_hyper_object *object);

/* 0 or -EBADMSG. */
int hyc_hyper_parse_params(const struct hyc_coding *coding, struct hyc_hyper_object *object);

/* params has HYC_HYPER_PARAMS_BYTES bytes. */
void hyc_hyper_write_params(const struct hyc_hyper_object *object, uint8_t *params);

/* Pairs of the table: all indices are below. */
static inline uint32_t hyc_hyper_entries(const struct hyc_hyper_object *object)
{
	return object->symbols << 2 * object->tile_log2;
}

/* Index of a node in a class: the symbol of its tile, then its column and row in there. */
static inline uint32_t hyc_hyper_index(const struct hyc_hyper_object *o, uint32_t class, uint32_t node)
{
	uint32_t column = (node - 1) / o->grid, row = (node - 1) % o->grid, q = o->tile_log2, mask = (1u << q) - 1;

	if (!node)
		return 0;
	return (1 + class * o->tiles + (column >> q) * o->tiles_per_column + (row >> q)) << 2 * q |
	       (column & mask) << q | (row & mask);
}

/* A node, in the square of class 0. */
void hyc_hyper_node(const struct hyc_hyper_object *object, uint32_t node, double xy[2]);

/* What a node stands for in a class: the published reconstruction. */
void hyc_hyper_value(const struct hyc_hyper_object *object, uint32_t class, const double node[2], float xy[2]);

/* The table of finished pairs of an object, as hyc_hyper_build makes it. */
struct hyc_hyper_state {
	struct hyc_hyper_object object;
	uint32_t pair_bytes;
	/* pair_bytes for each index: the two elements as they are in the tensor */
	_Alignas(8) uint8_t pairs[];
};

struct hyc_hyper_block {
	size_t n;                 /* pairs; the last one may have but its first element in the block */
	enum hyc_hyper_mode mode;
	unsigned unit_log2;
	const uint8_t *indices;   /* constant: one u16; plain: one for each pair */
	const uint8_t *directory; /* 4 bytes for each unit */
	const uint8_t *units, *end;
	uint32_t table[HYC_RANS_SLOTS];
};

/* A unit of n pairs. */
struct hyc_hyper_unit {
	size_t n;
	uint32_t n_words, n_exceptions;
	const uint8_t *states, *words, *exceptions, *planes;
};

/* Parse a block's header and table and check that its units fill it exactly. 0 or -EBADMSG. */
int hyc_hyper_parse(const struct hyc_coding *coding, const struct hyc_hyper_object *object, const uint8_t *src,
		    size_t src_len, size_t dst_len, struct hyc_hyper_block *block);

/* The sections of a unit that starts at *pos; *pos moves to the next one. Only for a block hyc_hyper_parse accepted. */
void hyc_hyper_unit(const struct hyc_hyper_block *block, const struct hyc_hyper_object *object, size_t i,
		    const uint8_t **pos, struct hyc_hyper_unit *unit);

/*
 * The rest of a unit in plain C: its pairs from `first` on, a multiple of HYC_RANS_GROUP, its end and its exceptions. x
 * are the lanes' states, w is the next word, dst where the unit's pairs go: dst_len bytes, but one element of the
 * last pair where the object ends so. 0 or -EBADMSG.
 */
int hyc_hyper_finish(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *unit,
		     const struct hyc_hyper_state *state, uint32_t x[HYC_RANS_LANES], const uint8_t *w, size_t first,
		     uint8_t *dst, size_t dst_len);

#define HYC_HYPER_MOST_TOGETHER 4u

/* Decode n units, each to its dst and len. 0 or -EBADMSG. */
typedef int hyc_hyper_decode_units(const struct hyc_hyper_block *block, const struct hyc_hyper_unit *units,
				   const struct hyc_hyper_state *state, uint8_t *const *dst, const size_t *len, unsigned n);

/* A parsed block, its units by calls of decode_units for up to `together`, at most HYC_HYPER_MOST_TOGETHER, of them. */
int hyc_hyper_decode_by(const struct hyc_hyper_block *block, const struct hyc_hyper_state *state, uint8_t *dst,
			size_t dst_len, unsigned together, hyc_hyper_decode_units *decode_units);

/* A parsed block with AVX2, for the AVX-512 decoder. */
int hyc_hyper_block_avx2(const struct hyc_hyper_block *block, const struct hyc_hyper_state *state, uint8_t *dst,
			 size_t dst_len);

#endif
