/* SPDX-License-Identifier: Apache-2.0 */
/* Memory limits of control groups, found below a root that each test makes. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cgroup.h"

static char root[] = "/tmp/hyc-test-cgroup.XXXXXX";

/* Write a file below root, and make the directories that lead there. */
static void put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	assert_true((size_t)snprintf(full, sizeof full, "%s%s", root, path) < sizeof full);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(full, 0777);
		*slash = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", root);
	return system(command);
}

#define V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1 "36 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

static void no_groups(void **state)
{
	(void)state;
	assert_true(hyc_cgroup_memory(root) == UINT64_MAX);
	put("/proc/self/cgroup", "");
	put("/proc/self/mountinfo", V2 V1 "nonsense\n\n1 2 3\n");
	assert_true(hyc_cgroup_memory(root) == UINT64_MAX);
	put("/proc/self/cgroup", "nonsense\n\n0\n0::/gone\n");
	assert_true(hyc_cgroup_memory(root) == UINT64_MAX);
}

static void v2_takes_the_least_on_the_way_up(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/user.slice/user 1/app\n");
	put("/proc/self/mountinfo", V2);
	put("/sys/fs/cgroup/user.slice/user 1/app/memory.max", "max\n");
	put("/sys/fs/cgroup/user.slice/memory.max", "max\n");
	assert_true(hyc_cgroup_memory(root) == UINT64_MAX);
	put("/sys/fs/cgroup/user.slice/memory.max", "3000\n");
	assert_int_equal(hyc_cgroup_memory(root), 3000);
	put("/sys/fs/cgroup/user.slice/user 1/memory.max", "2000\n");
	assert_int_equal(hyc_cgroup_memory(root), 2000);
	put("/sys/fs/cgroup/user.slice/user 1/app/memory.max", "2500\n");
	assert_int_equal(hyc_cgroup_memory(root), 2000);
	put("/sys/fs/cgroup/user.slice/user 1/app/memory.max", "1000\n");
	assert_int_equal(hyc_cgroup_memory(root), 1000);
	/* Another group's. */
	put("/sys/fs/cgroup/user.slice/user 1/app/below/memory.max", "1\n");
	put("/sys/fs/cgroup/system.slice/memory.max", "1\n");
	assert_int_equal(hyc_cgroup_memory(root), 1000);
	/* With a namespace of its own the limit stands at the root. */
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/memory.max", "700\n");
	assert_int_equal(hyc_cgroup_memory(root), 700);
	/* A group outside of the namespace. */
	put("/proc/self/cgroup", "0::/../system.slice\n");
	assert_int_equal(hyc_cgroup_memory(root), 700);
}

static void v1_has_the_memory_hierarchy(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "5:cpu,cpuacct:/other\n4:hugetlb,memory:/a/b\n1:name=systemd:/a/b\n0::/\n");
	put("/proc/self/mountinfo", "35 32 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
	    "36 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n");
	put("/sys/fs/cgroup/cpu/other/memory.limit_in_bytes", "1\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(hyc_cgroup_memory(root) == UINT64_C(9223372036854771712));
	put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4000\n");
	put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "5000\n");
	assert_int_equal(hyc_cgroup_memory(root), 4000);
}

/* A container without a namespace of its own: the mount shows what is below /docker/1, the process' path is the whole one. */
static void a_part_of_the_hierarchy(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "4:memory:/docker/1/a\n0::/\n");
	put("/proc/self/mountinfo", "36 32 0:33 /docker/1 /with\\040space rw - cgroup cgroup rw,memory\n" V2);
	put("/with space/memory.limit_in_bytes", "6000\n");
	put("/with space/docker/1/a/memory.limit_in_bytes", "1\n");
	assert_int_equal(hyc_cgroup_memory(root), 6000);
	put("/with space/a/memory.limit_in_bytes", "5000\n");
	assert_int_equal(hyc_cgroup_memory(root), 5000);
	/* /docker/1 is no part of this one's path, only of its letters. */
	put("/proc/self/cgroup", "4:memory:/docker/11/a\n");
	assert_int_equal(hyc_cgroup_memory(root), 6000);
	/* Both kinds: the least. */
	put("/proc/self/cgroup", "4:memory:/docker/1/a\n0::/x\n");
	put("/sys/fs/cgroup/x/memory.max", "900\n");
	assert_int_equal(hyc_cgroup_memory(root), 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_groups, make_root, remove_root),
		cmocka_unit_test_setup_teardown(v2_takes_the_least_on_the_way_up, make_root, remove_root),
		cmocka_unit_test_setup_teardown(v1_has_the_memory_hierarchy, make_root, remove_root),
		cmocka_unit_test_setup_teardown(a_part_of_the_hierarchy, make_root, remove_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
