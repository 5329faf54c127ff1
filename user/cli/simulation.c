/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/simulation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "cli/output.h"
#include "manifest/wasm_plugin.h"
#include "policy/cohorts.h"

#define TABLE_SLOTS (2 * SIMULATION_MAX_COMBINATIONS) /* a power of two, half empty at least */

#define PRINTED_COMBINATIONS 20
#define JSON_COMBINATIONS 1000

struct combination {
	uint64_t ids;
	uint16_t lanes[LANETAG_MAX_RULES];
};

struct simulation {
	const struct tag_rules *rules;
	bool independent; /* the rules' draws are */
	uint64_t ids;
	uint64_t empty_ids;
	uint64_t lanes[LANETAG_MAX_LANES];
	struct combination *combinations;
	size_t combination_count;
	uint64_t others;	     /* ids whose combination found no room */
	uint32_t table[TABLE_SLOTS]; /* index into combinations, plus 1 */
};

struct simulation *simulation_new(const struct tag_rules *rules)
{
	struct simulation *simulation = calloc(1, sizeof(*simulation));

	if (!simulation)
		return NULL;
	simulation->rules = rules;
	simulation->independent = cohorts_draws_are_independent(rules);
	return simulation;
}

void simulation_free(struct simulation *simulation)
{
	if (simulation)
		free(simulation->combinations);
	free(simulation);
}

static int count_combination(struct simulation *simulation, const uint16_t *lanes)
{
	size_t length = tag_rules_count(simulation->rules) * sizeof(*lanes);
	size_t slot = lanetag_xxh64((const __u8 *)lanes, (__u32)length, 0) % TABLE_SLOTS;

	for (; simulation->table[slot]; slot = (slot + 1) % TABLE_SLOTS) {
		struct combination *found = &simulation->combinations[simulation->table[slot] - 1];

		if (memcmp(found->lanes, lanes, length) != 0)
			continue;
		found->ids++;
		return 0;
	}
	if (simulation->combination_count == SIMULATION_MAX_COMBINATIONS) {
		simulation->others++;
		return 0;
	}
	struct combination *new =
		ARRAY_APPEND(simulation->combinations, simulation->combination_count);
	if (!new) {
		fprintf(stderr, "lanetag simulate: out of memory\n");
		return -1;
	}
	memcpy(new->lanes, lanes, length);
	new->ids = 1;
	simulation->table[slot] = (uint32_t)simulation->combination_count;
	return 0;
}

int simulation_add(struct simulation *simulation, struct span id)
{
	uint16_t lanes[LANETAG_MAX_RULES] = {0};
	struct tag_decision decision;

	tag_rules_decide_id(simulation->rules, id, &decision);
	simulation->ids++;
	simulation->empty_ids += id.length == 0;
	for (size_t i = 0; i < tag_rules_count(simulation->rules); i++) {
		lanes[i] = (uint16_t)decision.rules[i].lane;
		simulation->lanes[lanes[i]]++;
	}
	return count_combination(simulation, lanes);
}

static int compare_combinations(const void *left, const void *right)
{
	const struct combination *a = left, *b = right;

	if (a->ids != b->ids)
		return a->ids > b->ids ? -1 : 1;
	return memcmp(a->lanes, b->lanes, sizeof(a->lanes));
}

static void sort_combinations(struct simulation *simulation)
{
	if (simulation->combination_count)
		qsort(simulation->combinations, simulation->combination_count,
		      sizeof(*simulation->combinations), compare_combinations);
}

static double share_of(const struct simulation *simulation, uint64_t ids)
{
	return simulation->ids ? (double)ids / (double)simulation->ids : 0;
}

/* The tag value of a rule's lane; data NULL: untagged. */
static struct span lane_value(const struct tag_rules *rules, size_t rule, uint32_t lane)
{
	const struct lanetag_rule *compiled = &tag_rules_ruleset(rules)->rules[rule];

	for (uint8_t i = 0; i < compiled->policy_count; i++) {
		if (compiled->policies[i].lane == lane)
			return tag_rules_value(rules, rule, i);
	}
	return (struct span){0};
}

/* What the rule says: the share of all policies with this lane, or the rest. */
static double lane_share(const struct tag_rules *rules, size_t rule, uint32_t lane)
{
	const struct lanetag_rule *compiled = &tag_rules_ruleset(rules)->rules[rule];
	uint32_t modulo = tag_rules_ruleset(rules)->draws[compiled->draw].modulo;
	uint64_t share = 0, tagged = 0;

	for (uint8_t i = 0; i < compiled->policy_count; i++) {
		uint64_t held = tag_rules_share(rules, rule, i);

		tagged += held;
		share += compiled->policies[i].lane == lane ? held : 0;
	}
	return (double)(lane == compiled->untagged_lane ? modulo - tagged : share) / modulo;
}

/* Steps through a rule's lanes: each once, the untagged one last. False at the end. */
static bool next_lane(const struct tag_rules *rules, size_t rule, uint8_t *position,
		      uint32_t *ret_lane)
{
	const struct lanetag_rule *compiled = &tag_rules_ruleset(rules)->rules[rule];

	for (; *position < compiled->policy_count; ++*position) {
		bool seen = false;

		for (uint8_t i = 0; i < *position; i++)
			seen |= compiled->policies[i].lane == compiled->policies[*position].lane;
		if (seen)
			continue;
		*ret_lane = compiled->policies[(*position)++].lane;
		return true;
	}
	*ret_lane = compiled->untagged_lane;
	return (*position)++ == compiled->policy_count;
}

static void print_share(const struct simulation *simulation, uint64_t ids, const double *expected)
{
	char percent[PERCENT_TEXT];

	printf("%12" PRIu64 " ids, %8s", ids, output_percent(share_of(simulation, ids), percent));
	if (expected)
		printf(", by the rules %s", output_percent(*expected, percent));
	putchar('\n');
}

static void print_rule(const struct simulation *simulation, size_t rule)
{
	const struct tag_rules *rules = simulation->rules;
	uint8_t position = 0;
	uint32_t lane;

	printf("%.*s\n", SPAN_ARGUMENTS(tag_rules_header(rules, rule)));
	while (next_lane(rules, rule, &position, &lane)) {
		struct span value = lane_value(rules, rule, lane);
		double expected = lane_share(rules, rule, lane);

		if (!value.data)
			value = span_of("(untagged)");
		printf("  %-24.*s", SPAN_ARGUMENTS(value));
		print_share(simulation, simulation->lanes[lane], &expected);
	}
}

/* False where the rules' draws hang together and the share is not simply a product. */
static bool combination_share(const struct simulation *simulation,
			      const struct combination *combination, double *ret_share)
{
	if (simulation->independent)
		*ret_share = cohorts_combination_share(simulation->rules, combination->lanes);
	return simulation->independent;
}

static void print_combination(const struct simulation *simulation,
			      const struct combination *combination)
{
	const struct tag_rules *rules = simulation->rules;
	double expected;
	size_t tags = 0;

	bool known = combination_share(simulation, combination, &expected);
	printf("  ");
	print_share(simulation, combination->ids, known ? &expected : NULL);
	printf("    ");
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		struct span value = lane_value(rules, i, combination->lanes[i]);

		if (value.data)
			printf("%s%.*s: %.*s", tags++ ? ", " : "",
			       SPAN_ARGUMENTS(tag_rules_header(rules, i)), SPAN_ARGUMENTS(value));
	}
	puts(tags ? "" : "no tag");
}

void simulation_print(struct simulation *simulation)
{
	uint64_t left = simulation->others;

	printf("%" PRIu64 " ids", simulation->ids);
	if (simulation->empty_ids)
		printf(", of which %" PRIu64 " are empty and get no tag", simulation->empty_ids);
	putchar('\n');
	for (size_t i = 0; i < tag_rules_count(simulation->rules); i++)
		print_rule(simulation, i);
	sort_combinations(simulation);
	puts("combinations");
	for (size_t i = 0; i < simulation->combination_count; i++) {
		if (i < PRINTED_COMBINATIONS)
			print_combination(simulation, &simulation->combinations[i]);
		else
			left += simulation->combinations[i].ids;
	}
	if (left) {
		printf("  ");
		print_share(simulation, left, NULL);
		puts("    all other combinations");
	}
}

static json_t *json_value(struct span value)
{
	return value.data ? output_json_text(value, NULL) : json_null();
}

static json_t *json_rule(const struct simulation *simulation, size_t rule)
{
	const struct tag_rules *rules = simulation->rules;
	json_t *lanes = json_array();
	uint8_t position = 0;
	uint32_t lane;

	while (next_lane(rules, rule, &position, &lane))
		json_array_append_new(lanes,
				      json_pack("{s:o, s:I, s:f, s:f}", "tagValue",
						json_value(lane_value(rules, rule, lane)), "ids",
						(json_int_t)simulation->lanes[lane], "share",
						share_of(simulation, simulation->lanes[lane]),
						"expected", lane_share(rules, rule, lane)));
	return json_pack("{s:o, s:o}", "tagHeader", json_value(tag_rules_header(rules, rule)),
			 "lanes", lanes);
}

static json_t *json_combination(const struct simulation *simulation,
				const struct combination *combination)
{
	const struct tag_rules *rules = simulation->rules;
	json_t *tags = json_object();
	double expected;

	for (size_t i = 0; i < tag_rules_count(rules); i++)
		json_object_set_new(tags, tag_rules_manifest(rules, i)->tag_header,
				    json_value(lane_value(rules, i, combination->lanes[i])));
	bool known = combination_share(simulation, combination, &expected);
	return json_pack("{s:o, s:I, s:f, s:o}", "tags", tags, "ids", (json_int_t)combination->ids,
			 "share", share_of(simulation, combination->ids), "expected",
			 known ? json_real(expected) : json_null());
}

json_t *simulation_json(struct simulation *simulation)
{
	json_t *rules = json_array(), *combinations = json_array();
	uint64_t left = simulation->others;

	for (size_t i = 0; i < tag_rules_count(simulation->rules); i++)
		json_array_append_new(rules, json_rule(simulation, i));
	sort_combinations(simulation);
	for (size_t i = 0; i < simulation->combination_count; i++) {
		if (i < JSON_COMBINATIONS)
			json_array_append_new(
				combinations,
				json_combination(simulation, &simulation->combinations[i]));
		else
			left += simulation->combinations[i].ids;
	}
	return json_pack("{s:I, s:I, s:o, s:o, s:I}", "ids", (json_int_t)simulation->ids,
			 "emptyIds", (json_int_t)simulation->empty_ids, "rules", rules,
			 "combinations", combinations, "otherCombinations", (json_int_t)left);
}
