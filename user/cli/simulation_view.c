/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/simulation_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/output.h"
#include "manifest/wasm_plugin.h"

#define PRINTED_COMBINATIONS 20
#define JSON_COMBINATIONS 1000

static double share_of(const struct simulation *simulation, uint64_t ids)
{
	return simulation->ids ? (double)ids / (double)simulation->ids : 0;
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
	while (simulation_next_lane(rules, rule, &position, &lane)) {
		struct span value = simulation_lane_value(rules, rule, lane);
		double expected = simulation_lane_share(rules, rule, lane);

		if (!value.data)
			value = span_of("(untagged)");
		printf("  %-24.*s", SPAN_ARGUMENTS(value));
		print_share(simulation, simulation->lanes[lane], &expected);
	}
}

static void print_combination(const struct simulation *simulation,
			      const struct combination *combination)
{
	const struct tag_rules *rules = simulation->rules;
	double expected;
	size_t tags = 0;

	bool known = simulation_combination_share(simulation, combination, &expected);
	printf("  ");
	print_share(simulation, combination->ids, known ? &expected : NULL);
	printf("    ");
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		struct span value = simulation_lane_value(rules, i, combination->lanes[i]);

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
	simulation_sort(simulation);
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

	while (simulation_next_lane(rules, rule, &position, &lane))
		json_array_append_new(
			lanes, json_pack("{s:o, s:I, s:f, s:f}", "tagValue",
					 json_value(simulation_lane_value(rules, rule, lane)),
					 "ids", (json_int_t)simulation->lanes[lane], "share",
					 share_of(simulation, simulation->lanes[lane]), "expected",
					 simulation_lane_share(rules, rule, lane)));
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
		json_object_set_new(
			tags, tag_rules_manifest(rules, i)->tag_header,
			json_value(simulation_lane_value(rules, i, combination->lanes[i])));
	bool known = simulation_combination_share(simulation, combination, &expected);
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
	simulation_sort(simulation);
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
