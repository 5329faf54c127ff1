/* SPDX-License-Identifier: GPL-2.0-only */
/* What users are promised of cohorts, held over 10^6 ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <lanetag/decision.h>
#include "base/buffer.h"
#include "manifest/manifest.h"
#include "manifest/wasm_plugin.h"
#include "policy/cohorts.h"

#define IDS 1000000U

static uint32_t draw_remainder(const struct lanetag_draw *draw, uint32_t id)
{
	__u8 text[LANETAG_MAX_SALT + 16];

	memcpy(text, draw->salt, draw->salt_length);
	int length = snprintf((char *)text + draw->salt_length, 16, "user-%u", id);
	return lanetag_draw_remainder(
		draw, lanetag_draw_hash(draw, text, draw->salt_length + (__u32)length));
}

struct fixture {
	struct manifest_set manifests;
	struct tag_rules *rules;
};

/* Compiles one plug-in whose rules are these lines. */
static const struct lanetag_ruleset *compile(struct fixture *fixture, const char *rules)
{
	struct diagnostics diagnostics = {0};
	struct node **documents = NULL;
	struct buffer text = {0};

	*fixture = (struct fixture){0};
	buffer_printf(&text,
		      "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\n"
		      "metadata: {name: cohorts}\nspec:\n  pluginConfig:\n    rules:\n%s",
		      rules);
	size_t count = nodes_read_memory("rules", buffer_span(&text), &diagnostics, &documents);
	assert_int_equal(count, 1);
	fixture->manifests.wasm_plugins = calloc(1, sizeof(struct wasm_plugin_manifest));
	fixture->manifests.wasm_plugin_count = 1;
	assert_int_equal(
		wasm_plugin_read(documents[0], &diagnostics, fixture->manifests.wasm_plugins), 0);
	assert_int_equal(tag_rules_compile(&fixture->manifests, 1, &diagnostics, &fixture->rules),
			 0);
	assert_int_equal(diagnostics.error_count, 0);
	nodes_free(documents, count);
	buffer_free(&text);
	diagnostics_free(&diagnostics);
	return tag_rules_ruleset(fixture->rules);
}

static void release(struct fixture *fixture)
{
	tag_rules_free(fixture->rules);
	wasm_plugin_free(fixture->manifests.wasm_plugins);
	free(fixture->manifests.wasm_plugins);
}

static void nobody_leaves_while_a_ratio_grows(void **state)
{
	static const char *const forms[] = {
		"    - {header: u, modulo: 100, tagHeader: t, policies: [{range: %u, tagValue: "
		"v}]}\n",
		"    - {header: u, tagHeader: t, policies: [{percent: %u, tagValue: v}]}\n",
		"    - {header: u, modulo: 101, tagHeader: t, policies: [{slots: [0, %u], "
		"tagValue: v}]}\n",
		"    - {header: u, tagHeader: t, partitionedPolicies: [{weight: %u, tagValue: "
		"v}]}\n",
	};
	uint32_t *remainders = calloc(IDS, sizeof(*remainders));

	(void)state;
	assert_non_null(remainders);
	for (size_t form = 0; form < 4; form++) {
		bool *tagged = calloc(IDS, sizeof(*tagged));
		size_t left = 0;

		assert_non_null(tagged);
		for (unsigned step = form == 2; step <= 100; step++) {
			struct fixture fixture;
			char rule[160];

			snprintf(rule, sizeof(rule), forms[form], step);
			const struct lanetag_ruleset *ruleset = compile(&fixture, rule);
			for (uint32_t id = 0; id < IDS; id++) {
				if (step <= 1)
					remainders[id] = draw_remainder(&ruleset->draws[0], id);
				bool now = lanetag_rule_policy(&ruleset->rules[0],
							       remainders[id]) == 0;
				left += tagged[id] && !now;
				tagged[id] = now;
			}
			release(&fixture);
		}
		free(tagged);
		assert_int_equal(left, 0);
	}
	free(remainders);
}

static void remainders_are_even(void **state)
{
	static const enum lanetag_hash_kind kinds[] = {LANETAG_HASH_FNV1A32, LANETAG_HASH_XXH32,
						       LANETAG_HASH_XXH64};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct lanetag_draw draw = {.hash = (__u8)kinds[i], .modulo = 100};
		double chi_square = 0, expected = IDS / 100.0;
		uint32_t counts[100] = {0};

		for (uint32_t id = 0; id < IDS; id++)
			counts[draw_remainder(&draw, id)]++;
		for (int j = 0; j < 100; j++)
			chi_square += (counts[j] - expected) * (counts[j] - expected) / expected;
		printf("# %s: chi-square %.1f over 99 degrees of freedom\n",
		       hash_kind_name(kinds[i]), chi_square);
		assert_true(chi_square < 149);
	}
}

/* Of 10^6 ids, how many does the first policy of both rules hold? */
static uint32_t overlap(const char *rules)
{
	struct fixture fixture;
	const struct lanetag_ruleset *ruleset = compile(&fixture, rules);
	uint32_t both = 0;

	for (uint32_t id = 0; id < IDS; id++) {
		bool held = true;

		for (size_t rule = 0; rule < 2; rule++) {
			const struct lanetag_draw *draw =
				&ruleset->draws[ruleset->rules[rule].draw];
			held &= lanetag_rule_policy(&ruleset->rules[rule],
						    draw_remainder(draw, id)) == 0;
		}
		both += held;
	}
	release(&fixture);
	printf("# overlap of two rules: %.2f %%\n", both * 100.0 / IDS);
	return both;
}

static void without_salt_the_same_users_get_every_canary(void **state)
{
	(void)state;
	uint32_t both = overlap(
		"    - {header: u, tagHeader: a, policies: [{percent: 10, tagValue: v}]}\n"
		"    - {header: u, tagHeader: b, policies: [{percent: 10, tagValue: v}]}\n");
	assert_in_range(both, IDS * 99 / 1000, IDS * 101 / 1000);
}

static void salts_and_seeds_draw_independent_cohorts(void **state)
{
	(void)state;
	assert_in_range(overlap("    - {header: u, salt: 'a:', tagHeader: a, policies: [{percent: "
				"10, tagValue: v}]}\n"
				"    - {header: u, salt: 'b:', tagHeader: b, policies: [{percent: "
				"10, tagValue: v}]}\n"),
			IDS * 9 / 1000, IDS * 11 / 1000);
	assert_in_range(overlap("    - {header: u, hash: xxh64, seed: 1, tagHeader: a, policies: "
				"[{percent: 10, tagValue: v}]}\n"
				"    - {header: u, hash: xxh64, seed: 2, tagHeader: b, policies: "
				"[{percent: 10, tagValue: v}]}\n"),
			IDS * 9 / 1000, IDS * 11 / 1000);
}

static void slots_exclude_each_other(void **state)
{
	(void)state;
	assert_int_equal(overlap("    - {header: u, modulo: 100, tagHeader: a, policies: [{slots: "
				 "[0, 10], tagValue: v}]}\n"
				 "    - {header: u, modulo: 100, tagHeader: b, policies: [{slots: "
				 "[10, 20], tagValue: v}]}\n"),
			 0);
}

#define ONE_OF(modulo, salt, header)                                                 \
	"    - {header: u, modulo: " modulo ", salt: '" salt "', tagHeader: " header \
	", policies: [{slots: [0, 1], tagValue: v}]}\n"
#define PERCENT(percent, more, header)                                                    \
	"    - {header: u, " more " tagHeader: " header ", policies: [{percent: " percent \
	", tagValue: v}]}\n"
#define SLOTS(modulo, from, to, header)                                                          \
	"    - {header: u, modulo: " modulo ", tagHeader: " header ", policies: [{slots: [" from \
	", " to "], tagValue: v}]}\n"

static void what_check_says_of_two_rules_is_what_happens(void **state)
{
	static const struct {
		const char *rules;
		enum cohort_relation relation;
		double both;
	} rows[] = {
		{PERCENT("10", "", "a") PERCENT("10", "", "b"), COHORTS_SAME, 0.1},
		{PERCENT("10", "", "a") PERCENT("50", "", "b"), COHORTS_FIRST_INSIDE, 0.1},
		{PERCENT("50", "", "a") PERCENT("10", "", "b"), COHORTS_SECOND_INSIDE, 0.1},
		{PERCENT("0", "", "a") PERCENT("50", "", "b"), COHORTS_EXCLUSIVE, 0},
		{SLOTS("100", "0", "10", "a") SLOTS("100", "10", "20", "b"), COHORTS_EXCLUSIVE, 0},
		{SLOTS("100", "0", "20", "a") SLOTS("100", "10", "40", "b"), COHORTS_OVERLAPPING,
		 0.1},
		/* the same hash by modulos with a common divisor, and without */
		{SLOTS("10", "0", "5", "a") SLOTS("100", "0", "50", "b"), COHORTS_INDEPENDENT,
		 0.25},
		{SLOTS("10", "0", "1", "a") SLOTS("20", "0", "1", "b"), COHORTS_SECOND_INSIDE,
		 0.05},
		{SLOTS("10", "0", "1", "a") SLOTS("20", "1", "2", "b"), COHORTS_EXCLUSIVE, 0},
		{SLOTS("10", "0", "2", "a") SLOTS("20", "1", "3", "b"), COHORTS_OVERLAPPING, 0.05},
		{SLOTS("10", "0", "5", "a") SLOTS("21", "0", "7", "b"), COHORTS_INDEPENDENT,
		 1 / 6.0},
		/* fnv1a32: the salts' states differ in bit 0 (a:, b:), in bit 1 (a:, s2) */
		{ONE_OF("2", "a:", "a") ONE_OF("2", "b:", "b"), COHORTS_EXCLUSIVE, 0},
		{ONE_OF("2", "a:", "a") ONE_OF("2", "s2", "b"), COHORTS_SAME, 0.5},
		{ONE_OF("4", "a:", "a") ONE_OF("2", "s2", "b"), COHORTS_FIRST_INSIDE, 0.25},
		{ONE_OF("4", "a:", "a") ONE_OF("4", "s2", "b"), COHORTS_EXCLUSIVE, 0},
		{ONE_OF("3", "a:", "a") ONE_OF("3", "s2", "b"), COHORTS_INDEPENDENT, 1 / 9.0},
		{ONE_OF("2", "a:", "a") ONE_OF("3", "a:", "b"), COHORTS_INDEPENDENT, 1 / 6.0},
		{PERCENT("50", "salt: 'a:',", "a") PERCENT("50", "salt: 'b:',", "b"),
		 COHORTS_INDEPENDENT, 0.25},
		{PERCENT("10", "hash: xxh32, salt: 'a:',", "a")
			 PERCENT("10", "hash: xxh32, salt: 'b:',", "b"),
		 COHORTS_INDEPENDENT, 0.01},
		{PERCENT("10", "hash: xxh64, seed: 1,", "a")
			 PERCENT("10", "hash: xxh64, seed: 2,", "b"),
		 COHORTS_INDEPENDENT, 0.01},
		{PERCENT("10", "", "a") PERCENT("10", "hash: xxh32,", "b"), COHORTS_INDEPENDENT,
		 0.01},
		/* one that has all users holds the other's: by its share, not by their hashes */
		{PERCENT("100", "", "a") PERCENT("10", "hash: xxh32,", "b"), COHORTS_INDEPENDENT,
		 0.1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture fixture;
		struct cohort_pair pair;

		compile(&fixture, rows[i].rules);
		cohorts_compare(fixture.rules, 0, 1, &pair);
		release(&fixture);
		if (pair.relation != rows[i].relation)
			fail_msg("relation %d of:\n%s", pair.relation, rows[i].rules);
		if (pair.both < rows[i].both - 1e-9 || pair.both > rows[i].both + 1e-9)
			fail_msg("both %f of:\n%s", pair.both, rows[i].rules);
		double measured = overlap(rows[i].rules) / (double)IDS;
		if (measured < rows[i].both - 0.002 || measured > rows[i].both + 0.002 ||
		    (rows[i].both == 0 && measured > 0))
			fail_msg("measured %f of:\n%s", measured, rows[i].rules);
	}
}

static void rules_that_draw_alike_are_one_group(void **state)
{
	struct fixture fixture;
	size_t group[LANETAG_MAX_RULES];

	(void)state;
	compile(&fixture,
		PERCENT("10", "", "a") PERCENT("10", "salt: 'b:',", "b") PERCENT("50", "", "c")
			PERCENT("100", "", "d") PERCENT("20", "", "e") PERCENT("0", "", "f"));
	assert_int_equal(cohorts_nested_group(fixture.rules, 0, group), 3);
	assert_int_equal(group[0], 0);
	assert_int_equal(group[1], 2);
	assert_int_equal(group[2], 4);
	for (size_t i = 1; i < 6; i++)
		assert_int_equal(cohorts_nested_group(fixture.rules, i, group), 0);
	release(&fixture);
}

static void combinations_are_as_frequent_as_reckoned(void **state)
{
	struct fixture fixture;
	const struct lanetag_ruleset *ruleset =
		compile(&fixture, SLOTS("100", "0", "30", "a") SLOTS("100", "20", "50", "b")
					  PERCENT("40", "hash: xxh32,", "c"));
	double shares = 0;

	(void)state;
	assert_true(cohorts_draws_are_independent(fixture.rules));
	for (unsigned tagged = 0; tagged < 8; tagged++) {
		uint16_t lanes[LANETAG_MAX_RULES] = {0};
		uint32_t ids = 0;

		for (unsigned rule = 0; rule < 3; rule++)
			lanes[rule] = (uint16_t)(tagged >> rule & 1
							 ? ruleset->rules[rule].policies[0].lane
							 : ruleset->rules[rule].untagged_lane);
		for (uint32_t id = 0; id < IDS; id++) {
			bool all = true;

			for (unsigned rule = 0; rule < 3; rule++) {
				const struct lanetag_rule *compiled = &ruleset->rules[rule];
				uint32_t remainder =
					draw_remainder(&ruleset->draws[compiled->draw], id);

				all &= (lanetag_rule_policy(compiled, remainder) == 0) ==
				       (tagged >> rule & 1);
			}
			ids += all;
		}
		double share = cohorts_combination_share(fixture.rules, lanes);
		assert_in_range(ids, (share - 0.002) * IDS < 0 ? 0 : (share - 0.002) * IDS,
				(share + 0.002) * IDS);
		shares += share;
	}
	assert_true(shares > 0.999999 && shares < 1.000001);
	release(&fixture);
	compile(&fixture, ONE_OF("2", "a:", "a") ONE_OF("2", "b:", "b"));
	assert_false(cohorts_draws_are_independent(fixture.rules));
	release(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_leaves_while_a_ratio_grows),
		cmocka_unit_test(remainders_are_even),
		cmocka_unit_test(without_salt_the_same_users_get_every_canary),
		cmocka_unit_test(salts_and_seeds_draw_independent_cohorts),
		cmocka_unit_test(slots_exclude_each_other),
		cmocka_unit_test(what_check_says_of_two_rules_is_what_happens),
		cmocka_unit_test(rules_that_draw_alike_are_one_group),
		cmocka_unit_test(combinations_are_as_frequent_as_reckoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
