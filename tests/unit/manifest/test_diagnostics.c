/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

static void what_is_said_has_its_place_resource_and_field(void **state)
{
	struct diagnostics diagnostics = {0};
	char *text;

	(void)state;
	diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, (struct source_place){"b.yaml", 2, 3},
			"K/n", "spec.a", "is %d", 1);
	diagnostics_add(&diagnostics, DIAGNOSTIC_WARNING, (struct source_place){"a.yaml", 9, 1},
			NULL, NULL, "odd");
	diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, (struct source_place){"a.yaml", 0, 0}, NULL,
			NULL, "gone");
	diagnostics_sort(&diagnostics);
	text = diagnostics_text(&diagnostics);
	assert_string_equal(text, "a.yaml: gone\na.yaml:9:1: warning: odd\n"
				  "b.yaml:2:3: K/n: spec.a: is 1\n");
	assert_int_equal(diagnostics.error_count, 2);
	free(text);
	diagnostics_free(&diagnostics);
}

static void no_byte_of_a_manifest_steers_a_terminal(void **state)
{
	struct diagnostics diagnostics = {0};

	(void)state;
	diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, (struct source_place){"a.yaml", 1, 1},
			"K/n", NULL, "not \"%s\"", "\x1b[31m\r\n\x7f\xc3\xa9");
	assert_said(&diagnostics, "a.yaml:1:1: K/n: not \"?[31m???\xc3\xa9\"\n");
	diagnostics_free(&diagnostics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_has_its_place_resource_and_field),
		cmocka_unit_test(no_byte_of_a_manifest_steers_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
