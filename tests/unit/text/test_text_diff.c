/* SPDX-License-Identifier: GPL-2.0-only */
#include "text/text_diff.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void assert_diff(const char *old, const char *new, const char *wanted)
{
	struct buffer diff = {0};

	text_diff(span_of(old), span_of(new), &diff);
	assert_string_equal(buffer_text(&diff), wanted);
	buffer_free(&diff);
}

static void hunks_have_three_lines_of_context(void **state)
{
	(void)state;
	assert_diff("a\nb\n", "a\nb\n", "");
	assert_diff("", "a\n", "@@ -0,0 +1,1 @@\n+a\n");
	assert_diff("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
	assert_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		    "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
}

static void write_text(const char *path, const char *text)
{
	FILE *stream = fopen(path, "w");

	assert_non_null(stream);
	fputs(text, stream);
	assert_int_equal(fclose(stream), 0);
}

/* `patch` must make the new text of the old one. */
static void assert_patch_applies(const char *old, const char *new)
{
	char path[] = "/tmp/lanetag-diff-XXXXXX", command[256], name[64];
	struct buffer diff = {0};

	text_diff(span_of(old), span_of(new), &diff);
	assert_non_null(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/old", path);
	write_text(name, old);
	snprintf(name, sizeof(name), "%s/new", path);
	write_text(name, new);
	snprintf(name, sizeof(name), "%s/diff", path);
	write_text(name, buffer_text(&diff));
	snprintf(command, sizeof(command), "cd %s && patch -s old diff && cmp old new && rm -r %s",
		 path, path);
	assert_int_equal(system(command), 0);
	buffer_free(&diff);
}

static void random_changes_can_be_patched(void **state)
{
	(void)state;
	srand(7);
	for (unsigned round = 0; round < 40; round++) {
		struct buffer old = {0}, new = {0};

		for (unsigned line = 0; line < 60; line++) {
			int choice = rand() % 12, word = rand() % 5;

			if (choice != 0)
				buffer_printf(&old, "line %d\n", word);
			if (choice != 1)
				buffer_printf(&new, "line %d\n", choice == 2 ? 9 : word);
		}
		assert_patch_applies(buffer_text(&old), buffer_text(&new));
		buffer_free(&old);
		buffer_free(&new);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hunks_have_three_lines_of_context),
		cmocka_unit_test(random_changes_can_be_patched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
