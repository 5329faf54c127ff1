/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/array.h"
#include "manifest/header_propagation.h"
#include "policy/propagation.h"

static const char *const names[] = {"x-lane", "X-Team"};
static const char *const prefixes[] = {"appver-", "X-Canary-"};
static struct label app_a[] = {{"app", "a"}}, app_a_v2[] = {{"version", "v2"}, {"app", "a"}},
		    app_b[] = {{"app", "b"}};

/* Everybody's names, and prefixes of app a alone. */
static struct header_propagation_manifest manifests[] = {
	{.headers = names, .header_count = 2, .ways = PROPAGATION_WAY(PROPAGATION_BAGGAGE)},
	{.header_prefixes = prefixes,
	 .header_prefix_count = 2,
	 .has_workload_selector = true,
	 .workload_selector = {app_a, 1},
	 .ways = PROPAGATION_WAY(PROPAGATION_THREAD)},
	/* One of everybody's names, by another way. */
	{.headers = names, .header_count = 1, .ways = PROPAGATION_WAY(PROPAGATION_TRACE)},
};

static struct propagation *compile(struct header_propagation_manifest *list, size_t count)
{
	struct manifest_set set = {.header_propagations = list, .header_propagation_count = count};
	struct diagnostics diagnostics = {0};
	struct propagation *propagation;

	assert_int_equal(propagation_compile(&set, &diagnostics, &propagation), 0);
	assert_int_equal(diagnostics.count, 0);
	return propagation;
}

static void nothing_travels_where_nothing_is_said(void **state)
{
	struct propagation *propagation = compile(NULL, 0);

	(void)state;
	assert_true(propagation_is_empty(propagation));
	assert_false(propagation_matches(propagation, span_of("appver-a"), NULL));
	propagation_free(propagation);
}

static void names_and_prefixes_match_in_any_case(void **state)
{
	static const struct {
		const char *name;
		bool travels;
	} rows[] = {
		{"x-lane", true},    {"X-LANE", true},	    {"x-team", true},
		{"x-lane-2", false}, {"x-lan", false},	    {"", false},
		{"appver-a", true},  {"AppVer-C", true},    {"appver-", true},
		{"appver", false},   {"x-appver-a", false}, {"x-canary-1", true},
		{"appver_a", false}, {"baggage", false},
	};
	struct labels labels = {app_a, 1};
	struct propagation *propagation = compile(manifests, ARRAY_LENGTH(manifests));

	(void)state;
	assert_false(propagation_is_empty(propagation));
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (propagation_matches(propagation, span_of(rows[i].name), &labels) !=
		    rows[i].travels)
			fail_msg("%s", rows[i].name);
	}
	propagation_free(propagation);
}

static void a_selector_narrows_its_own_resource_alone(void **state)
{
	struct labels a_v2 = {app_a_v2, 2}, b = {app_b, 1}, none = {NULL, 0};
	struct propagation *propagation = compile(manifests, ARRAY_LENGTH(manifests));

	(void)state;
	assert_true(propagation_matches(propagation, span_of("appver-a"), &a_v2));
	assert_false(propagation_matches(propagation, span_of("appver-a"), &b));
	assert_false(propagation_matches(propagation, span_of("appver-a"), &none));
	assert_false(propagation_matches(propagation, span_of("appver-a"), NULL));
	assert_true(propagation_matches(propagation, span_of("x-lane"), &b));
	assert_true(propagation_matches(propagation, span_of("x-lane"), NULL));
	propagation_free(propagation);
}

static void ways_of_several_resources_add_up(void **state)
{
	struct labels a = {app_a, 1};
	struct propagation *propagation = compile(manifests, ARRAY_LENGTH(manifests));

	(void)state;
	assert_int_equal(propagation_ways(propagation, span_of("x-lane"), &a),
			 PROPAGATION_WAY(PROPAGATION_BAGGAGE) | PROPAGATION_WAY(PROPAGATION_TRACE));
	assert_int_equal(propagation_ways(propagation, span_of("x-team"), NULL),
			 PROPAGATION_WAY(PROPAGATION_BAGGAGE));
	assert_int_equal(propagation_ways(propagation, span_of("appver-a"), &a),
			 PROPAGATION_WAY(PROPAGATION_THREAD));
	assert_int_equal(propagation_ways(propagation, span_of("appver-a"), NULL), 0);
	propagation_free(propagation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_travels_where_nothing_is_said),
		cmocka_unit_test(names_and_prefixes_match_in_any_case),
		cmocka_unit_test(a_selector_narrows_its_own_resource_alone),
		cmocka_unit_test(ways_of_several_resources_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
