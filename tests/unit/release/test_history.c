/* SPDX-License-Identifier: GPL-2.0-only */
/* Changes of a directory of manifests, and their history: errors come back as text, none is printed. */
#include "release/store.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	char directory[64];
	struct store store;
	struct changes changes;
	struct buffer says;
};

static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	fputs(text, stream);
	assert_int_equal(fclose(stream), 0);
}

static void assert_file(const struct fixture *fixture, const char *name, const char *wanted)
{
	char path[128], text[128] = "";

	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	assert_string_equal(text, wanted);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/lanetag-history-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	write_file(fixture, "a.yaml", "x: 1\n");
	write_file(fixture, "notes.txt", "no manifest\n");
	*state = fixture;
	return store_open(fixture->directory, "test", true, &fixture->store, &fixture->says);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];

	changes_free(&fixture->changes);
	store_close(&fixture->store);
	buffer_free(&fixture->says);
	snprintf(command, sizeof(command), "rm -rf %s", fixture->directory);
	int status = system(command);
	free(fixture);
	return status;
}

/* Puts `to` in the place of the value in a.yaml. */
static void change_value(struct fixture *fixture, const char *to)
{
	const struct source_place place = {"a.yaml", 1, 4};
	size_t offset;

	changes_free(&fixture->changes);
	assert_int_equal(changes_open(fixture->directory, &fixture->changes, &fixture->says), 0);
	assert_int_equal(fixture->changes.file_count, 1);
	struct changed_file *file = changes_find(&fixture->changes, place, &offset);
	assert_non_null(file);
	assert_int_equal(changes_edit(file, offset, offset + 1, to), 0);
}

static void apply(struct fixture *fixture, const char *to, const char *why)
{
	change_value(fixture, to);
	assert_true(changes_finish(&fixture->changes));
	assert_int_equal(store_apply(&fixture->store, &fixture->changes, why, &fixture->says), 0);
}

static void a_change_is_kept_with_its_reason_newest_first(void **state)
{
	struct fixture *fixture = *state;
	struct history_entry *entries;
	size_t count;

	apply(fixture, "2", "first");
	apply(fixture, "3", "second\x1b");
	assert_file(fixture, "a.yaml", "x: 3\n");
	assert_int_equal(store_history(&fixture->store, &entries, &count, &fixture->says), 0);
	assert_int_equal(count, 2);
	assert_string_equal(entries[0].why, "second?");
	assert_string_equal(entries[1].why, "first");
	changes_free(&fixture->changes);
	assert_int_equal(changes_open(fixture->directory, &fixture->changes, &fixture->says), 0);
	assert_int_equal(
		store_recall(&fixture->store, &entries[1], &fixture->changes, &fixture->says), 0);
	assert_true(changes_finish(&fixture->changes));
	assert_string_equal(buffer_text(&fixture->changes.files[0].new), "x: 1\n");
	history_free(entries, count);
	assert_int_equal(fixture->says.length, 0);
}

static void a_change_that_is_undone_leaves_no_history(void **state)
{
	struct fixture *fixture = *state;
	struct history_entry *entries;
	size_t count;

	apply(fixture, "2", "first");
	assert_int_equal(store_undo(&fixture->store, &fixture->changes, &fixture->says), 0);
	assert_file(fixture, "a.yaml", "x: 1\n");
	assert_int_equal(store_history(&fixture->store, &entries, &count, &fixture->says), 0);
	assert_int_equal(count, 0);
	history_free(entries, count);
}

static void a_second_command_is_refused_with_the_name_of_the_first(void **state)
{
	struct fixture *fixture = *state;
	struct store second;

	assert_int_equal(store_open(fixture->directory, "other", false, &second, &fixture->says),
			 1);
	store_close(&second);
	assert_non_null(strstr(buffer_text(&fixture->says), "another command works here: test, "));
}

static void a_directory_that_is_not_there_is_an_error_as_text(void **state)
{
	struct fixture *fixture = *state;
	struct store store;
	struct changes changes;

	assert_int_equal(store_open("/nowhere/at/all", "test", false, &store, &fixture->says), -1);
	store_close(&store);
	assert_int_equal(changes_open("/nowhere/at/all", &changes, &fixture->says), -1);
	changes_free(&changes);
	assert_string_equal(buffer_text(&fixture->says),
			    "/nowhere/at/all: No such file or directory\n"
			    "/nowhere/at/all: No such file or directory\n");
}

static void an_edit_within_another_goes_with_it(void **state)
{
	struct fixture *fixture = *state;

	change_value(fixture, "9");
	assert_int_equal(changes_edit(&fixture->changes.files[0], 0, 5, "y: 0\n"), 0);
	assert_true(changes_finish(&fixture->changes));
	assert_string_equal(buffer_text(&fixture->changes.files[0].new), "y: 0\n");
	struct buffer diff = {0};
	changes_diff(&fixture->changes, &diff);
	assert_string_equal(buffer_text(&diff),
			    "--- a/a.yaml\n+++ b/a.yaml\n@@ -1,1 +1,1 @@\n-x: 1\n+y: 0\n");
	buffer_free(&diff);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_change_is_kept_with_its_reason_newest_first),
		TEST(a_change_that_is_undone_leaves_no_history),
		TEST(a_second_command_is_refused_with_the_name_of_the_first),
		TEST(a_directory_that_is_not_there_is_an_error_as_text),
		TEST(an_edit_within_another_goes_with_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
