/* SPDX-License-Identifier: GPL-2.0-only */
/* A directory of manifests with a change that is decided but not in its place: seen whole. */
#include "unit/manifest/manifest_test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manifest/directory.h"

static char place[64];

static void put(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void make(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(place, "/tmp/lanetag-directory-XXXXXX");
	if (!mkdtemp(place))
		return -1;
	put("a.yaml", "old a");
	put("b.yml", "old b");
	put("c.json", "old c");
	put(".hidden.yaml", "hidden");
	put("notes.txt", "notes");
	make(".lanetag");
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", place);
	return system(command);
}

static void decide(void)
{
	make(".lanetag/pending");
	put(".lanetag/pending/a.yaml", "new a");
	put(".lanetag/pending/b.yml.removed", "");
	put(".lanetag/pending/d.yaml", "new d");
}

/* Names and texts in one line. */
static void expect(const char *wanted)
{
	struct manifest_directory directory;
	char is[256] = "";

	assert_int_equal(manifest_directory_open(place, &directory), 0);
	for (size_t i = 0; i < directory.count; i++) {
		char text[32] = "";
		int fd = manifest_directory_open_file(&directory, directory.names[i], NULL);

		assert_true(fd >= 0);
		assert_true(read(fd, text, sizeof(text) - 1) >= 0);
		close(fd);
		snprintf(is + strlen(is), sizeof(is) - strlen(is), "%s=%s ", directory.names[i],
			 text);
	}
	manifest_directory_close(&directory);
	assert_string_equal(is, wanted);
}

static void without_a_change_it_is_what_stands_there(void **state)
{
	(void)state;
	expect("a.yaml=old a b.yml=old b c.json=old c ");
}

static void a_decided_change_is_seen_whole(void **state)
{
	(void)state;
	decide();
	expect("a.yaml=new a c.json=old c d.yaml=new d ");
}

static void files_in_their_places_change_nothing_more(void **state)
{
	(void)state;
	decide();
	put("a.yaml", "new a");
	put("d.yaml", "new d");
	expect("a.yaml=new a c.json=old c d.yaml=new d ");
}

static void what_went_from_the_pending_ones_is_in_its_place(void **state)
{
	struct manifest_directory directory;
	char text[32] = "", path[256];

	(void)state;
	decide();
	assert_int_equal(manifest_directory_open(place, &directory), 0);
	put("a.yaml", "new a");
	snprintf(path, sizeof(path), "%s/.lanetag/pending/a.yaml", place);
	unlink(path);
	int fd = manifest_directory_open_file(&directory, "a.yaml", NULL);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_string_equal(text, "new a");
	close(fd);
	manifest_directory_close(&directory);
}

static void a_change_while_it_is_read_is_noticed(void **state)
{
	struct manifest_directory directory;

	(void)state;
	usleep(30000); /* until the clock of the file system tells */
	assert_int_equal(manifest_directory_open(place, &directory), 0);
	assert_false(manifest_directory_changed(&directory));
	decide();
	assert_true(manifest_directory_changed(&directory));
	manifest_directory_close(&directory);
}

static void just_behind_a_change_no_one_can_tell(void **state)
{
	struct manifest_directory directory;

	(void)state;
	decide();
	assert_int_equal(manifest_directory_open(place, &directory), 0);
	assert_true(manifest_directory_changed(&directory));
	manifest_directory_close(&directory);
}

static void a_link_in_place_of_the_pending_ones_is_not_followed(void **state)
{
	char path[256];

	(void)state;
	make("elsewhere");
	put("elsewhere/a.yaml", "forged");
	snprintf(path, sizeof(path), "%s/.lanetag/pending", place);
	assert_int_equal(symlink("../elsewhere", path), 0);
	expect("a.yaml=old a b.yml=old b c.json=old c ");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_change_it_is_what_stands_there),
		TEST(a_decided_change_is_seen_whole),
		TEST(files_in_their_places_change_nothing_more),
		TEST(what_went_from_the_pending_ones_is_in_its_place),
		TEST(a_change_while_it_is_read_is_noticed),
		TEST(just_behind_a_change_no_one_can_tell),
		TEST(a_link_in_place_of_the_pending_ones_is_not_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
