/* SPDX-License-Identifier: GPL-2.0-only */
/* The memory limit of a process, in trees that look like /proc and /sys/fs/cgroup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory_limit.h"

#define MIB (1024ULL * 1024)

struct tree {
	char root[64];
};

static int plant(void **state)
{
	struct tree *tree = malloc(sizeof(*tree));

	strcpy(tree->root, "/tmp/lanetag-memory-XXXXXX");
	assert_non_null(mkdtemp(tree->root));
	*state = tree;
	return 0;
}

static int fell(void **state)
{
	struct tree *tree = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", tree->root);
	int status = system(command);
	free(tree);
	return status;
}

/* A file with its directories. */
static void put(const struct tree *tree, const char *path, const char *text)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s%s", tree->root, path);
	for (char *at = name + strlen(tree->root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		assert_true(mkdir(name, 0755) == 0 || errno == EEXIST);
		*at = '/';
	}
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

static uint64_t machine_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void expect(const struct tree *tree, uint64_t bytes, bool in_cgroup)
{
	bool got_in_cgroup = !in_cgroup;

	assert_int_equal(memory_limit_read(tree->root, &got_in_cgroup), bytes);
	assert_int_equal(got_in_cgroup, in_cgroup);
}

static void without_cgroups_it_is_the_machines(void **state)
{
	expect(*state, machine_memory(), false);
}

static void a_container_sees_its_limit_at_the_root_in_v2(void **state)
{
	put(*state, "/proc/self/cgroup", "0::/\n");
	put(*state, "/sys/fs/cgroup/memory.max", "134217728\n");
	expect(*state, 128 * MIB, true);
}

static void the_least_limit_from_the_cgroup_up_counts(void **state)
{
	put(*state, "/proc/self/cgroup", "0::/kubepods.slice/pod.slice/agent.scope\n");
	put(*state, "/sys/fs/cgroup/kubepods.slice/pod.slice/agent.scope/memory.max", "max\n");
	put(*state, "/sys/fs/cgroup/kubepods.slice/pod.slice/memory.max", "100663296\n");
	put(*state, "/sys/fs/cgroup/kubepods.slice/memory.max", "201326592\n");
	expect(*state, 96 * MIB, true);
}

static void max_is_no_limit(void **state)
{
	put(*state, "/proc/self/cgroup", "0::/a\n");
	put(*state, "/sys/fs/cgroup/a/memory.max", "max\n");
	expect(*state, machine_memory(), false);
}

static void v1_is_read_too_also_where_the_path_is_the_hosts(void **state)
{
	put(*state, "/proc/self/cgroup",
	    "12:cpuset:/x\n4:cpu,memory:/docker/abc\n1:name=systemd:/docker/abc\n");
	put(*state, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
	expect(*state, 64 * MIB, true);
	put(*state, "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "33554432\n");
	expect(*state, 32 * MIB, true);
}

static void v1s_number_for_no_limit_is_none(void **state)
{
	put(*state, "/proc/self/cgroup", "4:memory:/\n0::/\n");
	put(*state, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	expect(*state, machine_memory(), false);
}

static void what_is_no_number_is_no_limit(void **state)
{
	put(*state, "/proc/self/cgroup", "nonsense\n0::/a\n7:memory\n");
	put(*state, "/sys/fs/cgroup/a/memory.max", "-1 lots\n");
	put(*state, "/sys/fs/cgroup/memory.max", "");
	expect(*state, machine_memory(), false);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, plant, fell)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(without_cgroups_it_is_the_machines),
		CASE(a_container_sees_its_limit_at_the_root_in_v2),
		CASE(the_least_limit_from_the_cgroup_up_counts),
		CASE(max_is_no_limit),
		CASE(v1_is_read_too_also_where_the_path_is_the_hosts),
		CASE(v1s_number_for_no_limit_is_none),
		CASE(what_is_no_number_is_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
