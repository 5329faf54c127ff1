/* SPDX-License-Identifier: GPL-2.0-only */
#include "config/watch.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	char directory[32];
	struct watch *watch;
};

static void run_in(const char *directory, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && { %s; }", directory, command);
	assert_int_equal(system(line), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const char *paths[1];
	char path[64];

	assert_non_null(fixture);
	strcpy(fixture->directory, "/tmp/lanetag-watch-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	run_in(fixture->directory, "mkdir manifests && echo a >manifests/a.yaml");
	snprintf(path, sizeof(path), "%s/manifests", fixture->directory);
	paths[0] = path;
	assert_int_equal(watch_open(paths, 1, &fixture->watch), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	watch_close(fixture->watch);
	char line[64];
	snprintf(line, sizeof(line), "rm -rf %s", fixture->directory);
	assert_int_equal(system(line), 0);
	free(fixture);
	return 0;
}

static void assert_noticed(void **state, const char *command, bool noticed)
{
	struct fixture *fixture = *state;

	while (watch_changed(fixture->watch))
		;
	run_in(fixture->directory, command);
	if (watch_changed(fixture->watch) != noticed)
		fail_msg("%s: %s", command, noticed ? "not noticed" : "noticed");
}

static void changes_of_manifests_are_noticed(void **state)
{
	assert_noticed(state, "echo b >manifests/a.yaml", true);
	assert_noticed(state, "echo b >b.yaml && mv b.yaml manifests/", true);
	assert_noticed(state, "rm manifests/b.yaml", true);
}

static void the_directory_itself_may_be_replaced(void **state)
{
	assert_noticed(state, "mv manifests old", true);
	assert_noticed(state, "mkdir manifests", true);
	assert_noticed(state, "echo c >manifests/c.yaml", true);
}

static void the_swap_of_a_mounted_config_map_is_noticed(void **state)
{
	assert_noticed(state, "mkdir manifests/..1 && ln -s ..1 manifests/..data", true);
	assert_noticed(state,
		       "mkdir manifests/..2 && ln -s ..2 manifests/..t && "
		       "mv -T manifests/..t manifests/..data",
		       true);
}

static void files_beside_the_directory_are_nothing_to_reload_for(void **state)
{
	assert_noticed(state, "echo x >agent.log", false);
	assert_noticed(state, "rm agent.log", false);
}

static void hidden_files_are_nothing_to_reload_for(void **state)
{
	assert_noticed(state, "echo x >manifests/.a.yaml.swp && rm manifests/.a.yaml.swp", false);
	assert_noticed(state, "echo x >manifests/.b && mv manifests/.b manifests/b.yaml", true);
}

static void the_directories_above_may_be_replaced(void **state)
{
	struct fixture *fixture = *state;
	const char *paths[1];
	char path[64];

	watch_close(fixture->watch);
	snprintf(path, sizeof(path), "%s/a/b/c/manifests", fixture->directory);
	paths[0] = path;
	run_in(fixture->directory, "mkdir -p a/b/c/manifests");
	assert_int_equal(watch_open(paths, 1, &fixture->watch), 0);
	assert_noticed(state, "rm -r a", true);
	assert_noticed(state, "mkdir x", false);
	assert_noticed(state, "mkdir a", true);
	assert_noticed(state, "mkdir -p a/b/c", true);
	assert_noticed(state, "mkdir a/b/c/manifests", true);
	assert_noticed(state, "echo a >a/b/c/manifests/a.yaml", true);
	assert_noticed(state, "mv a/b a/x", true);
	assert_noticed(state, "mv a/x a/b", true);
	assert_noticed(state, "echo a >a/b/c/manifests/a.yaml", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changes_of_manifests_are_noticed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_directory_itself_may_be_replaced, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_swap_of_a_mounted_config_map_is_noticed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			files_beside_the_directory_are_nothing_to_reload_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_directories_above_may_be_replaced, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(hidden_files_are_nothing_to_reload_for, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
