/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag check: what is wrong with manifests, and what their rules really come to. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cli/commands.h"
#include "config/configuration.h"
#include "manifest/wasm_plugin.h"

static const char usage[] =
	"usage: lanetag check PATH…\n"
	"\n"
	"Validates manifests, files or directories, without any side effect. Errors go to standard "
	"error as\n"
	"file:line:column: Kind/name: field: what is wrong; the exit status is then 1. Without "
	"errors it prints\n"
	"each rule's shares as they really are, and how the cohorts of each two rules stand to "
	"each other.\n"
	"\n"
	"example: lanetag check examples/tutorial/step1\n";

static void print_share(const char *name, uint64_t share, uint32_t modulo)
{
	printf("  %-16s %" PRIu64 " of %" PRIu32 " remainders, %.4g %%\n", name, share, modulo,
	       100.0 * (double)share / modulo);
}

static void print_rule(const struct tag_rules *rules, size_t index)
{
	const struct tag_rule_manifest *rule = tag_rules_manifest(rules, index);
	uint64_t untagged = rule->modulo;

	printf("%s: %s of %s %% %" PRIu32 "\n", rule->tag_header, hash_kind_name(rule->hash),
	       rule->source_name, rule->modulo);
	for (size_t i = 0; i < rule->policy_count; i++) {
		uint64_t share = tag_rules_share(rules, index, (uint8_t)i);

		untagged -= share;
		print_share(rule->policies[i].tag_value, share, rule->modulo);
	}
	print_share("(untagged)", untagged, rule->modulo);
	if (rule->include_count || rule->exclude_count)
		printf("  and ids that the rule lists\n");
}

static int compare_numbers(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

static size_t add_bounds(const struct lanetag_rule *rule, uint32_t *bounds, size_t count)
{
	for (uint8_t i = 0; i < rule->policy_count; i++) {
		bounds[count++] = rule->policies[i].from;
		bounds[count++] = rule->policies[i].to;
	}
	return count;
}

/* Of two rules with the same draw: where one tags a remainder, does the other? */
static const char *cohorts_of_one_draw(const struct lanetag_rule *a, const struct lanetag_rule *b)
{
	uint32_t bounds[4 * LANETAG_MAX_POLICIES];
	size_t count = add_bounds(b, bounds, add_bounds(a, bounds, 0));
	bool both = false, only_a = false, only_b = false;

	qsort(bounds, count, sizeof(*bounds), compare_numbers);
	for (size_t i = 0; i + 1 < count; i++) {
		if (bounds[i] == bounds[i + 1])
			continue;
		bool in_a = lanetag_rule_policy(a, bounds[i]) != LANETAG_POLICY_NONE;
		bool in_b = lanetag_rule_policy(b, bounds[i]) != LANETAG_POLICY_NONE;

		both |= in_a && in_b;
		only_a |= in_a && !in_b;
		only_b |= in_b && !in_a;
	}
	if (!both)
		return "exclusive: no user gets both";
	if (!only_a && !only_b)
		return "nested: the same users";
	if (!only_a)
		return "nested: the first's users are among the second's";
	if (!only_b)
		return "nested: the second's users are among the first's";
	return "overlapping: drawn alike, some users get both";
}

static const char *cohorts(const struct tag_rules *rules, size_t first, size_t second)
{
	const struct lanetag_ruleset *ruleset = tag_rules_ruleset(rules);
	const struct lanetag_rule *a = &ruleset->rules[first], *b = &ruleset->rules[second];
	const struct lanetag_draw *x = &ruleset->draws[a->draw], *y = &ruleset->draws[b->draw];

	if (a->draw == b->draw)
		return cohorts_of_one_draw(a, b);
	if (x->source == y->source && x->hash == y->hash && x->seed == y->seed &&
	    x->salt_length == y->salt_length && memcmp(x->salt, y->salt, x->salt_length) == 0)
		return "dependent: the same hash by different modulos (a salt makes them "
		       "independent)";
	return "independent";
}

static void print_cohorts(const struct tag_rules *rules)
{
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		for (size_t j = i + 1; j < tag_rules_count(rules); j++)
			printf("%.*s and %.*s: %s\n", SPAN_ARGUMENTS(tag_rules_header(rules, i)),
			       SPAN_ARGUMENTS(tag_rules_header(rules, j)), cohorts(rules, i, j));
	}
}

static void print_configuration(const struct configuration *configuration)
{
	const struct manifest_set *set = &configuration->manifests;

	for (size_t i = 0; i < tag_rules_count(configuration->tag_rules); i++)
		print_rule(configuration->tag_rules, i);
	print_cohorts(configuration->tag_rules);
	for (size_t i = 0; i < set->passed_over_count; i++)
		printf("passed over: %zu of %s %s\n", set->passed_over[i].count,
		       set->passed_over[i].api_version, set->passed_over[i].kind);
	printf("%zu file%s, no errors\n", set->file_count, set->file_count == 1 ? "" : "s");
}

int command_check(int argc, char **argv)
{
	struct diagnostics diagnostics = {0};
	int first = 1;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first++;
	if (first >= argc || (first == 1 && argv[1][0] == '-')) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	struct configuration *configuration = configuration_load(
		(const char *const *)argv + first, (size_t)(argc - first), 1, &diagnostics);
	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	if (!configuration)
		return EXIT_NEGATIVE;
	print_configuration(configuration);
	configuration_drop(configuration);
	return 0;
}
