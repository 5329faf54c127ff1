/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/comparison.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

static struct configuration *rules(const char *header, unsigned percent)
{
	struct diagnostics diagnostics = {0};
	char text[512];
	int length =
		snprintf(text, sizeof(text),
			 "apiVersion: extensions.istio.io/v1alpha1\n"
			 "kind: WasmPlugin\n"
			 "metadata: {name: tags}\n"
			 "spec: {pluginConfig: {rules: [{header: u, modulo: 100, tagHeader: %s, "
			 "policies: [{percent: %u, tagValue: v2}]}]}}\n",
			 header, percent);
	const struct manifest_file file = {"rules.yaml", text, (size_t)length};
	struct configuration *configuration =
		configuration_load_files(&file, 1, MANIFEST_ALL, 1, &diagnostics);

	assert_non_null(configuration);
	diagnostics_free(&diagnostics);
	return configuration;
}

static struct comparison_counts compare(struct comparison *comparison, unsigned count)
{
	char id[16];

	for (unsigned i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "user-%u", i);
		assert_int_equal(comparison_add(comparison, span_of(id)), 0);
	}
	return comparison_counts(comparison);
}

static void who_leaves_a_tag_moves_back_and_who_gets_one_does_not(void **state)
{
	struct configuration *low = rules("a", 10), *high = rules("a", 60);
	struct comparison *grown = comparison_new(low, high, 2);
	struct comparison *shrunk = comparison_new(high, low, 2);
	struct comparison_counts up = compare(grown, 1000), down = compare(shrunk, 1000);

	(void)state;
	assert_int_equal(up.users, 1000);
	assert_in_range(up.changed, 430, 570);
	assert_int_equal(up.moved_back, 0);
	assert_int_equal(down.changed, up.changed);
	assert_int_equal(down.moved_back, up.changed);
	assert_int_equal(comparison_change_count(grown), 1);
	const struct change *change = comparison_change(grown, 0);
	assert_int_equal(change->subject, SUBJECT_RULE);
	assert_null(change->from.data);
	assert_true(span_equal(change->to, span_of("v2")));
	assert_int_equal(change->users, up.changed);
	assert_int_equal(change->example_count, 2);
	comparison_free(grown);
	comparison_free(shrunk);
	configuration_drop(low);
	configuration_drop(high);
}

static void rules_of_one_configuration_are_named(void **state)
{
	struct configuration *first = rules("a", 10), *second = rules("b", 10);
	struct comparison *comparison = comparison_new(first, second, 0);
	struct span header;
	size_t ended = 0, added = 0;

	(void)state;
	assert_true(comparison_next_ended_rule(comparison, &ended, &header));
	assert_true(span_equal(header, span_of("a")));
	assert_false(comparison_next_ended_rule(comparison, &ended, &header));
	assert_true(comparison_next_new_rule(comparison, &added, &header));
	assert_true(span_equal(header, span_of("b")));
	assert_false(comparison_next_new_rule(comparison, &added, &header));
	comparison_free(comparison);
	configuration_drop(first);
	configuration_drop(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_leaves_a_tag_moves_back_and_who_gets_one_does_not),
		cmocka_unit_test(rules_of_one_configuration_are_named),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
