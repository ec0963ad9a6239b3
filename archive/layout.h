/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What files that are in no index consist of: bytes held in memory, spans of objects, and padding. They become extents
 * of the kind an index has, and one kind more, so that whoever reads files needs to know no others.
 * Writing cannot fail on the way: a failure sticks, and is asked for at the end.
 */
#ifndef HYC_ARCHIVE_LAYOUT_H
#define HYC_ARCHIVE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "format/ondisk.h"

/* The kind of an extent that is never on disk: start is an offset in the heads, target is HYC_NO_OBJECT. */
#define HYC_EXTENT_MEMORY 0x100u

/* Bytes that grow up to a limit. */
struct hyc_text {
	uint8_t *data; /* owned */
	size_t len, room, limit;
	int failed;    /* 0, -ENOMEM, or -EFBIG beyond the limit */
};

void hyc_text_put(struct hyc_text *text, const void *bytes, size_t len);
void hyc_text_puts(struct hyc_text *text, const char *string);
void hyc_text_put16(struct hyc_text *text, uint16_t value);
void hyc_text_put32(struct hyc_text *text, uint32_t value);
void hyc_text_put64(struct hyc_text *text, uint64_t value);
void hyc_text_number(struct hyc_text *text, uint64_t value); /* decimal */
void hyc_text_fini(struct hyc_text *text);

/* A JSON string of valid UTF-8; with ascii everything beyond ASCII is escaped. */
void hyc_text_json(struct hyc_text *text, const char *string, bool ascii);

/* Whether a string is valid UTF-8: no overlong forms, no surrogates. */
bool hyc_text_is_utf8(const char *string, size_t len);

struct hyc_layout {
	struct hyc_text heads;           /* the bytes in memory of all files */
	struct hyc_disk_extent *extents; /* of all files; owned */
	uint32_t n_extents, room;
	uint32_t first;                  /* the first extent of the file that is being written */
	uint64_t size;                   /* of it, so far */
	int failed;                      /* 0, -ENOMEM, or -EFBIG: more than an index may hold */
};

/* Start a file. */
void hyc_layout_begin(struct hyc_layout *layout);

/* Append to it. None of them needs len to be above 0; padding is at most HYC_MAX_PADDING long. */
void hyc_layout_bytes(struct hyc_layout *layout, const void *bytes, size_t len);
void hyc_layout_pad(struct hyc_layout *layout, uint8_t fill, uint32_t len);
void hyc_layout_span(struct hyc_layout *layout, uint32_t object, uint64_t start, uint64_t len);

/* 0, or the first failure since the layout was made or rewound. */
int hyc_layout_result(const struct hyc_layout *layout);

/* Where the layout stands, and to forget whatever was written since, failures too. */
struct hyc_layout_mark {
	size_t heads;
	uint32_t extents;
};
struct hyc_layout_mark hyc_layout_mark(const struct hyc_layout *layout);
void hyc_layout_rewind(struct hyc_layout *layout, struct hyc_layout_mark mark);

void hyc_layout_fini(struct hyc_layout *layout);

#endif
