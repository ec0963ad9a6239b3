/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "archive/layout.h"

/* ---- bytes ---- */

static bool reserve(struct hyc_text *t, size_t len)
{
	size_t room = t->room ? t->room : 256;
	uint8_t *grown;

	if (t->failed)
		return false;
	if (len > t->limit - t->len) {
		t->failed = -EFBIG;
		return false;
	}
	if (len <= t->room - t->len)
		return true;
	while (room - t->len < len)
		room *= 2;
	grown = realloc(t->data, room);
	if (!grown) {
		t->failed = -ENOMEM;
		return false;
	}
	t->data = grown;
	t->room = room;
	return true;
}

void hyc_text_put(struct hyc_text *t, const void *bytes, size_t len)
{
	if (!len || !reserve(t, len))
		return;
	memcpy(t->data + t->len, bytes, len);
	t->len += len;
}

void hyc_text_puts(struct hyc_text *t, const char *string)
{
	hyc_text_put(t, string, strlen(string));
}

void hyc_text_put16(struct hyc_text *t, uint16_t value)
{
	uint8_t b[2];

	hyc_store16(b, value);
	hyc_text_put(t, b, sizeof b);
}

void hyc_text_put32(struct hyc_text *t, uint32_t value)
{
	le32 b = hyc_put32(value);

	hyc_text_put(t, &b, sizeof b);
}

void hyc_text_put64(struct hyc_text *t, uint64_t value)
{
	le64 b = hyc_put64(value);

	hyc_text_put(t, &b, sizeof b);
}

void hyc_text_number(struct hyc_text *t, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
	hyc_text_puts(t, digits);
}

void hyc_text_fini(struct hyc_text *t)
{
	free(t->data);
	*t = (struct hyc_text){ .limit = t->limit };
}

/* The code point at s and its length in bytes, 0 where there is none. */
static size_t decode_utf8(const unsigned char *s, size_t left, uint32_t *point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;

	if (!len || len > left)
		return 0;
	*point = len == 1 ? s[0] : s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (s[i] & 0x3fu);
	}
	return *point < least[len] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000) ? 0 : len;
}

bool hyc_text_is_utf8(const char *string, size_t len)
{
	uint32_t point;

	for (size_t i = 0, n; i < len; i += n) {
		n = decode_utf8((const unsigned char *)string + i, len - i, &point);
		if (!n)
			return false;
	}
	return true;
}

static void put_escape(struct hyc_text *t, uint32_t unit)
{
	char text[8];

	snprintf(text, sizeof text, "\\u%04x", unit & 0xffff);
	hyc_text_puts(t, text);
}

/* Bytes from string on that JSON shows as they are, in either form. */
static size_t plain_ascii(const char *string)
{
	size_t n = 0;

	while (string[n] >= 0x20 && string[n] < 0x7f && string[n] != '"' && string[n] != '\\')
		n++;
	return n;
}

void hyc_text_json(struct hyc_text *t, const char *string, bool ascii)
{
	static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	size_t left = strlen(string), len;
	uint32_t point = 0;

	hyc_text_puts(t, "\"");
	for (; left; string += len, left -= len) {
		const char *found;

		len = plain_ascii(string);
		if (len) {
			hyc_text_put(t, string, len);
			continue;
		}
		len = decode_utf8((const unsigned char *)string, left, &point);
		if (!len) /* the callers have seen to it that there is none */
			len = 1;
		found = point < 0x80 ? strchr(special, (int)point) : NULL;
		if (found) {
			hyc_text_put(t, (char[]){ '\\', letter[found - special] }, 2);
		} else if (point < 0x20) {
			put_escape(t, point);
		} else if (!ascii) {
			hyc_text_put(t, string, len);
		} else if (point < 0x10000) {
			put_escape(t, point);
		} else {
			put_escape(t, 0xd800 + ((point - 0x10000) >> 10));
			put_escape(t, 0xdc00 + (point & 0x3ff));
		}
	}
	hyc_text_puts(t, "\"");
}

/* ---- extents ---- */

void hyc_layout_begin(struct hyc_layout *l)
{
	l->first = l->n_extents;
	l->size = 0;
}

static void append(struct hyc_layout *l, uint32_t kind, uint32_t target, uint64_t start, uint64_t len)
{
	struct hyc_disk_extent *grown;
	uint64_t end;

	if (l->failed || !len)
		return;
	if (hyc_add_overflows(l->size, len, &end) || end > HYC_MAX_BYTES || l->n_extents == UINT32_MAX / 2) {
		l->failed = -EFBIG;
		return;
	}
	if (l->n_extents == l->room) {
		uint32_t room = l->room ? 2 * l->room : 64;

		grown = realloc(l->extents, room * sizeof *grown);
		if (!grown) {
			l->failed = -ENOMEM;
			return;
		}
		l->extents = grown;
		l->room = room;
	}
	l->extents[l->n_extents++] = (struct hyc_disk_extent){
		.file_off = hyc_put64(l->size), .kind = hyc_put32(kind), .target = hyc_put32(target),
		.start = hyc_put64(start),
	};
	l->size = end;
}

void hyc_layout_bytes(struct hyc_layout *l, const void *bytes, size_t len)
{
	const struct hyc_disk_extent *last = l->n_extents > l->first ? &l->extents[l->n_extents - 1] : NULL;
	size_t start = l->heads.len;

	hyc_text_put(&l->heads, bytes, len);
	if (l->heads.failed || l->failed)
		return;
	/* The heads grow by files, one after the other: what follows memory directly is one extent with it. */
	if (last && hyc_get32(last->kind) == HYC_EXTENT_MEMORY)
		l->size += len;
	else
		append(l, HYC_EXTENT_MEMORY, HYC_NO_OBJECT, start, len);
}

void hyc_layout_pad(struct hyc_layout *l, uint8_t fill, uint32_t len)
{
	append(l, HYC_EXTENT_PADDING, fill, 0, len);
}

void hyc_layout_span(struct hyc_layout *l, uint32_t object, uint64_t start, uint64_t len)
{
	append(l, HYC_EXTENT_TENSOR, object, start, len);
}

int hyc_layout_result(const struct hyc_layout *l)
{
	return l->failed ? l->failed : l->heads.failed;
}

struct hyc_layout_mark hyc_layout_mark(const struct hyc_layout *l)
{
	return (struct hyc_layout_mark){ l->heads.len, l->n_extents };
}

void hyc_layout_rewind(struct hyc_layout *l, struct hyc_layout_mark mark)
{
	l->heads.len = mark.heads;
	l->heads.failed = 0;
	l->n_extents = mark.extents;
	l->failed = 0;
	hyc_layout_begin(l);
}

void hyc_layout_fini(struct hyc_layout *l)
{
	hyc_text_fini(&l->heads);
	free(l->extents);
	l->extents = NULL;
	l->n_extents = l->room = 0;
}
