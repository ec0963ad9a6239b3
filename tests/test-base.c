/* SPDX-License-Identifier: Apache-2.0 */
/* The base room: checked arithmetic, little-endian fields, hashes, messages, and the ordered pipeline. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/ordered.h"

static void checked_arithmetic(void **state)
{
	uint64_t v;

	(void)state;
	assert_false(hyc_add_overflows(UINT64_MAX - 1, 1, &v));
	assert_true(hyc_add_overflows(UINT64_MAX, 1, &v));
	assert_false(hyc_mul_overflows(UINT32_MAX, UINT32_MAX, &v));
	assert_true(hyc_mul_overflows(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
	assert_true(hyc_range_ok(0, 0, 0));
	assert_true(hyc_range_ok(5, 5, 10));
	assert_false(hyc_range_ok(6, 5, 10));
	assert_false(hyc_range_ok(UINT64_MAX, 2, 10));
	assert_false(hyc_range_ok(2, UINT64_MAX, 10));
	assert_int_equal(hyc_div_up(0, 5), 0);
	assert_int_equal(hyc_div_up(5, 5), 1);
	assert_int_equal(hyc_div_up(6, 5), 2);
	assert_int_equal(hyc_div_up(UINT64_MAX, 2), UINT64_MAX / 2 + 1);
	assert_int_equal(hyc_align_up(17, 16), 32);
}

static void little_endian(void **state)
{
	uint8_t b[9] = { 0xff, 1, 2, 3, 4, 5, 6, 7, 8 };

	(void)state;
	assert_int_equal(hyc_load16(b + 1), 0x0201);
	assert_int_equal(hyc_load32(b + 1), 0x04030201);
	assert_true(hyc_load64(b + 1) == UINT64_C(0x0807060504030201));
	assert_true(hyc_get64(hyc_put64(UINT64_C(0x123456789abcdef0))) == UINT64_C(0x123456789abcdef0));
	assert_int_equal(hyc_put32(0x11223344).b[0], 0x44);
	assert_true(hyc_get_f64(hyc_put_f64(-1.5)) == -1.5);
}

/* The published values for no bytes; long ones, of which the library hashes most with vectors, whole and in parts. */
static void hashes(void **state)
{
	static uint8_t data[1 << 16];
	XXH3_state_t *parts = XXH3_createState();

	(void)state;
	assert_non_null(parts);
	assert_true(hyc_hash64(data, 0) == UINT64_C(0x2d06800538d394c2));
	assert_true(hyc_hash128(data, 0).high64 == UINT64_C(0x99aa06d3014798d8));
	assert_true(hyc_hash128(data, 0).low64 == UINT64_C(0x6001c324468d497f));
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 167 + (i >> 8));
	assert_true(hyc_hash64(data, sizeof data) == XXH3_64bits(data, sizeof data));
	XXH3_128bits_reset(parts);
	for (size_t from = 0, len = 1; from < sizeof data; from += len, len = 2 * len + 1) {
		if (len > sizeof data - from)
			len = sizeof data - from;
		hyc_hash128_update(parts, data + from, len);
	}
	assert_true(XXH128_isEqual(XXH3_128bits_digest(parts), hyc_hash128(data, sizeof data)));
	XXH3_freeState(parts);
}

static void messages_are_one_line(void **state)
{
	struct hyc_error err = { 0 };

	(void)state;
	assert_int_equal(hyc_fail(&err, -EBADMSG, "name\nwith %s", "\x1b[31mcolour\x7f"), -EBADMSG);
	assert_int_equal(err.code, -EBADMSG);
	assert_string_equal(err.msg, "name?with ?[31mcolour?");
	assert_int_equal(hyc_fail_errno(&err, -ENOSPC, "f"), -ENOSPC);
	assert_string_equal(err.msg, "f: No space left on device");
	assert_int_equal(hyc_fail(NULL, -EIO, "x"), -EIO);
}

/* A pipeline that squares numbers; jobs take uneven time, and one may fail. */
struct squares {
	int next, count, consumed, fail_work_at, fail_consume_at;
	atomic_int inits, finis;
};

struct square {
	int n, result;
	int *owned;
};

static int produce(void *arg, void *slot)
{
	struct squares *s = arg;
	struct square *q = slot;

	if (s->next == s->count)
		return 0;
	if (!q->owned) {
		q->owned = malloc(sizeof *q->owned);
		atomic_fetch_add(&s->inits, 1);
	}
	q->n = s->next++;
	return 1;
}

static int work(void *arg, void *slot)
{
	struct squares *s = arg;
	struct square *q = slot;
	struct timespec t = { 0, q->n * 7919 % 200 * 1000 };

	nanosleep(&t, NULL);
	*q->owned = q->n * q->n;
	return q->n == s->fail_work_at ? -EBADMSG : 0;
}

static int consume(void *arg, void *slot)
{
	struct squares *s = arg;
	struct square *q = slot;

	assert_int_equal(q->n, s->consumed);
	assert_int_equal(*q->owned, q->n * q->n);
	s->consumed++;
	return q->n == s->fail_consume_at ? -ENOSPC : 0;
}

static void fini(void *slot)
{
	struct square *q = slot;

	free(q->owned);
}

static const struct hyc_ordered_ops ops = { produce, work, consume, fini };

static void ordered_keeps_order(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= 8; threads++) {
		struct squares s = { .count = 200, .fail_work_at = -1, .fail_consume_at = -1 };

		assert_int_equal(hyc_ordered_run(threads, sizeof(struct square), &ops, &s), 0);
		assert_int_equal(s.consumed, 200);
		assert_in_range(atomic_load(&s.inits), 1, 2 * threads + 1);
	}
}

static void ordered_with_nothing_to_do(void **state)
{
	struct squares s = { .count = 0, .fail_work_at = -1, .fail_consume_at = -1 };

	(void)state;
	assert_int_equal(hyc_ordered_run(4, sizeof(struct square), &ops, &s), 0);
}

static void ordered_stops_at_the_first_error(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= 4; threads++) {
		struct squares s = { .count = 100, .fail_work_at = 40, .fail_consume_at = -1 };

		assert_int_equal(hyc_ordered_run(threads, sizeof(struct square), &ops, &s), -EBADMSG);
		assert_int_equal(s.consumed, 40);
		s = (struct squares){ .count = 100, .fail_work_at = 40, .fail_consume_at = 30 };
		assert_int_equal(hyc_ordered_run(threads, sizeof(struct square), &ops, &s), -ENOSPC);
		assert_int_equal(s.consumed, 31);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checked_arithmetic),
		cmocka_unit_test(little_endian),
		cmocka_unit_test(hashes),
		cmocka_unit_test(messages_are_one_line),
		cmocka_unit_test(ordered_keeps_order),
		cmocka_unit_test(ordered_with_nothing_to_do),
		cmocka_unit_test(ordered_stops_at_the_first_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
