/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writer and reader: what is written is read back, what must not be written is refused, nothing is left behind. Malformed
 * archives are the business of archive-bad.sh.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#include "format/dtype.h"
#include "format/reader.h"
#include "format/writer.h"

static char dir[] = "/tmp/hyc-test-XXXXXX";
static char path[64];

static unsigned files_in_dir(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
	closedir(d);
	return n;
}

static struct hyc_writer *writer(void)
{
	struct hyc_writer *w;
	struct hyc_new_file root = { .path = "", .mode = HYC_MODE_DIR | 0755 };

	assert_int_equal(hyc_writer_open(path, &w, NULL), 0);
	assert_int_equal(hyc_writer_add_file(w, &root, NULL), 0);
	return w;
}

/* An object of n bytes in blocks of 100, stored as they are. */
static uint32_t add_object(struct hyc_writer *w, uint32_t dtype, uint64_t n, uint8_t fill)
{
	const struct hyc_new_digest digest = { .crc32 = 7, .hash = { fill }, .exact = 1 };
	uint8_t block[100];
	struct hyc_new_object object = {
		.codec = 0, .dtype = dtype, .bytes = n, .rows = 1, .cols = n, .block_bytes = sizeof block,
	};
	int64_t i = hyc_writer_add_object(w, &object, NULL);

	assert_true(i >= 0);
	memset(block, fill, sizeof block);
	for (uint64_t at = 0; at < n; at += sizeof block) {
		uint32_t len = n - at < sizeof block ? (uint32_t)(n - at) : sizeof block;

		assert_true(hyc_writer_add_block(w, block, len, XXH3_64bits(block, len), NULL) >= 0);
	}
	hyc_writer_finish_object(w, &digest);
	return (uint32_t)i;
}

static void open_index(struct hyc_index *x)
{
	struct hyc_error err = { 0 };
	int fd = open(path, O_RDONLY), result = hyc_index_open(fd, path, x, &err);

	if (result)
		print_error("%s\n", err.msg);
	assert_int_equal(result, 0);
}

static void written_is_read(void **state)
{
	struct hyc_writer *w = writer();
	struct hyc_new_file a = { .path = "a", .mode = HYC_MODE_REG | 0640, .mtime_sec = -5, .mtime_nsec = 999999999 };
	struct hyc_new_file d = { .path = "d", .mode = HYC_MODE_DIR | 02755 };
	struct hyc_new_file e = { .path = "d/e", .mode = HYC_MODE_REG | 0644, .kind = HYC_KIND_SAFETENSORS };
	uint64_t shape[2] = { 10, 25 };
	struct hyc_new_tensor z = { .name = "z", .start = 0, .dtype = HYC_U8, .ndim = 2, .shape = shape };
	struct hyc_new_tensor y = { .name = "y", .object = HYC_NO_OBJECT, .dtype = HYC_F32, .ndim = 1, .shape = &(uint64_t){ 0 } };
	uint8_t hash[16] = { 1, 2, 3 };
	uint64_t bytes;
	struct hyc_index x;
	uint32_t literal, tensor;

	(void)state;
	literal = add_object(w, HYC_BYTES, 30, 1);
	tensor = add_object(w, HYC_U8, 250, 2);
	z.object = tensor;
	assert_int_equal(hyc_writer_add_file(w, &a, NULL), 1);
	assert_true(hyc_writer_add_extent(w, 0, HYC_EXTENT_LITERAL, literal, 0, NULL) >= 0);
	/* The next bytes of the same object: one extent. */
	assert_true(hyc_writer_add_extent(w, 10, HYC_EXTENT_LITERAL, literal, 10, NULL) >= 0);
	hyc_writer_finish_file(w, 30, hash);
	assert_int_equal(hyc_writer_add_file(w, &d, NULL), 2);
	assert_int_equal(hyc_writer_add_file(w, &e, NULL), 3);
	assert_true(hyc_writer_add_extent(w, 0, HYC_EXTENT_LITERAL, literal, 5, NULL) >= 0);
	assert_true(hyc_writer_add_extent(w, 25, HYC_EXTENT_TENSOR, tensor, 0, NULL) >= 0);
	assert_true(hyc_writer_add_extent(w, 275, HYC_EXTENT_PADDING, 'Z', 0, NULL) >= 0);
	assert_true(hyc_writer_add_tensor(w, &z, NULL) >= 0);
	assert_true(hyc_writer_add_tensor(w, &y, NULL) >= 0);
	hyc_writer_finish_file(w, 300, hash);
	assert_int_equal(hyc_writer_commit(w, &bytes, NULL), 0);
	hyc_writer_close(w);

	open_index(&x);
	assert_int_equal(x.archive_bytes, bytes);
	assert_int_equal(x.n_files, 4);
	assert_int_equal(x.n_extents, 4);
	assert_int_equal(x.n_objects, 2);
	assert_int_equal(x.n_blocks, 4);
	assert_int_equal(x.n_tensors, 2);
	assert_string_equal(x.names + hyc_get32(x.tensors[0].name_off), "y");
	assert_int_equal(hyc_get32(x.objects[0].crc32), 7);
	assert_int_equal((int64_t)hyc_get64(x.files[1].mtime_sec), -5);
	assert_int_equal(x.parents[3], 2);
	assert_int_equal(hyc_index_find(&x, "d/e"), 3);
	assert_int_equal(hyc_index_find(&x, ""), 0);
	assert_int_equal(hyc_index_find(&x, "d/"), -ENOENT);
	assert_int_equal(hyc_object_block_bytes(&x.objects[1], 2), 50);
	hyc_index_fini(&x);
	assert_int_equal(files_in_dir(), 1);
}

static void dropped_objects_leave_no_bytes(void **state)
{
	struct hyc_writer *w = writer();
	struct hyc_new_file a = { .path = "a", .mode = HYC_MODE_REG | 0644 };
	uint8_t hash[16] = { 0 };
	uint64_t bytes, less;
	struct hyc_index x;

	(void)state;
	add_object(w, HYC_BYTES, 1000, 1);
	/* More than the writer's buffer holds back. */
	add_object(w, HYC_BYTES, 3000000, 2);
	hyc_writer_drop_object(w);
	add_object(w, HYC_BYTES, 900, 3);
	hyc_writer_drop_object(w);
	add_object(w, HYC_BYTES, 500, 4);
	assert_int_equal(hyc_writer_add_file(w, &a, NULL), 1);
	assert_true(hyc_writer_add_extent(w, 0, HYC_EXTENT_LITERAL, 1, 0, NULL) >= 0);
	hyc_writer_finish_file(w, 500, hash);
	assert_int_equal(hyc_writer_commit(w, &bytes, NULL), 0);
	hyc_writer_close(w);
	open_index(&x);
	assert_int_equal(x.n_objects, 2);
	assert_int_equal(x.n_blocks, 15);
	less = hyc_get64(x.blocks[14].off) + hyc_get32(x.blocks[14].stored);
	assert_int_equal(less, sizeof(struct hyc_disk_super) + 1500);
	hyc_index_fini(&x);
}

static void an_abandoned_writer_leaves_the_old_archive(void **state)
{
	struct stat before, after;
	struct hyc_writer *w;

	(void)state;
	assert_int_equal(stat(path, &before), 0);
	w = writer();
	add_object(w, HYC_BYTES, 5000000, 1);
	hyc_writer_close(w);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(files_in_dir(), 1);
}

static void what_a_reader_refuses_is_not_published(void **state)
{
	struct hyc_writer *w = writer();
	struct hyc_new_file bad = { .path = "no/parent", .mode = HYC_MODE_REG | 0644 };
	struct hyc_error err = { 0 };
	struct stat before, after;
	uint64_t bytes;

	(void)state;
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(hyc_writer_add_file(w, &bad, NULL), 1);
	assert_int_equal(hyc_writer_commit(w, &bytes, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "no parent directory"));
	hyc_writer_close(w);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(files_in_dir(), 1);
}

static void a_tensor_name_twice_is_refused(void **state)
{
	struct hyc_writer *w = writer();
	struct hyc_new_file a = { .path = "a", .mode = HYC_MODE_REG | 0644 };
	struct hyc_new_tensor t = { .name = "t", .object = HYC_NO_OBJECT, .dtype = HYC_U8, .ndim = 1, .shape = &(uint64_t){ 0 } };
	struct hyc_error err = { 0 };
	uint64_t bytes;

	(void)state;
	assert_int_equal(hyc_writer_add_file(w, &a, NULL), 1);
	assert_true(hyc_writer_add_tensor(w, &t, NULL) >= 0);
	assert_true(hyc_writer_add_tensor(w, &t, NULL) >= 0);
	assert_int_equal(hyc_writer_commit(w, &bytes, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "twice"));
	hyc_writer_close(w);
}

static void places_that_cannot_be_written(void **state)
{
	struct hyc_writer *w;
	struct hyc_error err = { 0 };

	(void)state;
	assert_int_equal(hyc_writer_open("/nonexistent/x.hyc", &w, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nonexistent/x.hyc"));
	hyc_writer_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_is_read),
		cmocka_unit_test(dropped_objects_leave_no_bytes),
		cmocka_unit_test(an_abandoned_writer_leaves_the_old_archive),
		cmocka_unit_test(what_a_reader_refuses_is_not_published),
		cmocka_unit_test(a_tensor_name_twice_is_refused),
		cmocka_unit_test(places_that_cannot_be_written),
	};
	int failed;

	if (!mkdtemp(dir))
		return 99;
	snprintf(path, sizeof path, "%s/a.hyc", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return failed;
}
