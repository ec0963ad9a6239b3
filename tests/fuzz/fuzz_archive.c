/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and reading an archive. With bit 0 of the first byte clear, the rest of an input is an archive as it is. With
 * the bit set the rest is superblock, blocks and the index before its compression; the index is then compressed and all
 * sizes, checks and hashes are made good, so that mutations get past them to the rules and decoders behind.
 */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/ondisk.h"
#include "include/hyc.h"
#include "tests/fuzz/fuzz.h"

#define MAX_ENTRIES 64u         /* looked at in each table */
#define MAX_READ 4096u
#define MAX_DEEP (4u << 20)     /* decoded bytes that are worth a deep verification */

static void fix_block_hashes(const uint8_t *image, uint64_t index_off, uint8_t *index, size_t index_len)
{
	const struct hyc_disk_index *h = (const void *)index;
	uint64_t at = sizeof *h + sizeof(struct hyc_disk_file) * (uint64_t)hyc_get32(h->n_files) +
		      sizeof(struct hyc_disk_extent) * (uint64_t)hyc_get32(h->n_extents) +
		      sizeof(struct hyc_disk_object) * (uint64_t)hyc_get32(h->n_objects) +
		      sizeof(struct hyc_disk_tensor) * (uint64_t)hyc_get32(h->n_tensors);

	for (uint32_t i = 0; i < hyc_get32(h->n_blocks); i++, at += sizeof(struct hyc_disk_block)) {
		struct hyc_disk_block *b = (void *)(index + at);

		if (!hyc_range_ok(at, sizeof *b, index_len))
			return;
		if (hyc_range_ok(hyc_get64(b->off), hyc_get32(b->stored), index_off))
			b->hash = hyc_put64(XXH3_64bits(image + hyc_get64(b->off), hyc_get32(b->stored)));
	}
}

/* Writes the archive that an input without hashes stands for. False where it stands for none. */
static bool write_fixed(int fd, const uint8_t *image, size_t len)
{
	struct hyc_disk_super s;
	cleanup_free uint8_t *index = NULL, *frame = NULL;
	XXH128_canonical_t hash;
	size_t index_len, room, frame_len;
	uint64_t index_off;

	if (len < sizeof s + sizeof(struct hyc_disk_index))
		return false;
	memcpy(&s, image, sizeof s);
	index_off = hyc_get64(s.index_off);
	if (index_off < sizeof s || index_off > len - sizeof(struct hyc_disk_index))
		return false;
	index_len = len - (size_t)index_off;
	room = ZSTD_compressBound(index_len);
	index = malloc(index_len);
	frame = malloc(room);
	if (!index || !frame)
		return false;
	memcpy(index, image + index_off, index_len);
	fix_block_hashes(image, index_off, index, index_len);
	frame_len = ZSTD_compress(frame, room, index, index_len, 1);
	s.archive_bytes = hyc_put64(index_off + frame_len);
	s.index_stored = hyc_put64(frame_len);
	s.index_bytes = hyc_put64(index_len);
	XXH128_canonicalFromHash(&hash, XXH3_128bits(frame, frame_len));
	memcpy(s.index_hash, &hash, sizeof s.index_hash);
	s.check = hyc_put64(XXH3_64bits(&s, offsetof(struct hyc_disk_super, check)));
	return pwrite(fd, &s, sizeof s, 0) == sizeof s &&
	       pwrite(fd, image + sizeof s, index_off - sizeof s, sizeof s) == (ssize_t)(index_off - sizeof s) &&
	       pwrite(fd, frame, frame_len, (off_t)index_off) == (ssize_t)frame_len;
}

static bool write_as_it_is(int fd, const uint8_t *image, size_t len)
{
	return pwrite(fd, image, len, 0) == (ssize_t)len;
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Reads a little at off in two ways, which have to agree. sound: nothing may fail. */
static void read_at(struct hyc *archive, uint32_t file, uint64_t off, uint64_t size, bool sound)
{
	uint64_t left = off < size ? size - off : 0;
	cleanup_free uint8_t *buf = malloc(MAX_READ);
	struct hyc_pin pin;
	ssize_t got;

	if (!buf)
		return;
	got = hyc_read(archive, file, buf, MAX_READ, off);
	must(got < 0 ? !sound : got == (ssize_t)(left < MAX_READ ? left : MAX_READ));
	if (hyc_pin(archive, file, off, MAX_READ, &pin))
		return;
	must(pin.len <= MAX_READ && (left == 0) == (pin.len == 0));
	must(got < 0 || !pin.len || !memcmp(pin.data, buf, pin.len));
	if (pin.len)
		hyc_unpin(archive, &pin);
}

static void look_at_file(struct hyc *archive, uint32_t i, bool sound)
{
	struct hyc_file file;

	hyc_file_get(archive, i, &file);
	must(strlen(file.path) == file.path_len && hyc_file_find(archive, file.path) == i && file.parent <= i);
	if ((file.mode & HYC_MODE_TYPE) == HYC_MODE_DIR)
		return;
	read_at(archive, i, 0, file.size, sound);
	read_at(archive, i, file.size / 2, file.size, sound);
	read_at(archive, i, file.size - 1, file.size, sound);
	read_at(archive, i, file.size, file.size, sound);
}

static bool deeply_sound(struct hyc *archive)
{
	const struct hyc_verify_options options = { .deep = 1, .threads = 1 };
	uint64_t n_objects, bytes, stored, all = 0, n_damaged = 1;
	struct hyc_info info;
	struct hyc_error err;

	hyc_info(archive, &info);
	for (unsigned codec = 0; hyc_codec_name(codec); codec++) {
		hyc_codec_usage(archive, codec, &n_objects, &bytes, &stored);
		all += bytes < MAX_DEEP ? bytes : MAX_DEEP;
	}
	if (all >= MAX_DEEP || info.bytes >= MAX_DEEP)
		return false;
	return !hyc_verify(archive, &options, &n_damaged, &err) && !n_damaged;
}

static void look_at(struct hyc *archive)
{
	bool sound = deeply_sound(archive);

	for (uint32_t i = 0; i < hyc_file_count(archive) && i < MAX_ENTRIES; i++)
		look_at_file(archive, i, sound);
	for (uint32_t i = 0; i < hyc_tensor_count(archive) && i < MAX_ENTRIES; i++) {
		struct hyc_tensor tensor;

		hyc_tensor_get(archive, i, &tensor);
		must(tensor.ndim <= 64 && tensor.file < hyc_file_count(archive) && *tensor.name && *tensor.dtype);
	}
}

/* A view may be refused, but not because the archive is. */
static void look_at_view(const char *path, unsigned view)
{
	const struct hyc_options options = { .view = (enum hyc_view_kind)view };
	struct hyc_error err = { 0 };
	struct hyc *archive;

	if (hyc_open(path, &options, &archive, &err)) {
		must(err.code == -EEXIST && !strchr(err.msg, '\n'));
		return;
	}
	look_at(archive);
	hyc_close(archive);
}

static void ignore_message(void *arg, enum hyc_log_level level, const char *msg)
{
	(void)arg, (void)level, (void)msg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_fd int fd = memfd_create("archive", MFD_CLOEXEC);
	struct hyc_error err = { 0 };
	struct hyc *archive;
	char path[40];

	if (!size || fd < 0)
		return 0;
	if (!(data[0] & 1 ? write_fixed(fd, data + 1, size - 1) : write_as_it_is(fd, data + 1, size - 1)))
		return 0;
	hyc_set_log(ignore_message, NULL, HYC_LOG_ERROR);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (hyc_open(path, NULL, &archive, &err)) {
		must(err.code < 0 && *err.msg && !strchr(err.msg, '\n'));
		return 0;
	}
	look_at(archive);
	hyc_close(archive);
	for (unsigned view = HYC_VIEW_SAFETENSORS; hyc_view_name(view); view++)
		look_at_view(path, view);
	return 0;
}
