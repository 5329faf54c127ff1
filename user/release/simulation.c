/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/simulation.h"

#include <stdlib.h>

#include "base/array.h"
#include "policy/cohorts.h"

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
	size_t slot = lanetag_xxh64((const __u8 *)lanes, (__u32)length, 0) % SIMULATION_SLOTS;

	for (; simulation->table[slot]; slot = (slot + 1) % SIMULATION_SLOTS) {
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
	if (!new)
		return -1;
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

void simulation_sort(struct simulation *simulation)
{
	if (simulation->combination_count)
		qsort(simulation->combinations, simulation->combination_count,
		      sizeof(*simulation->combinations), compare_combinations);
}

/* The tag value of a rule's lane; data NULL: untagged. */
struct span simulation_lane_value(const struct tag_rules *rules, size_t rule, uint32_t lane)
{
	const struct lanetag_rule *compiled = &tag_rules_ruleset(rules)->rules[rule];

	for (uint8_t i = 0; i < compiled->policy_count; i++) {
		if (compiled->policies[i].lane == lane)
			return tag_rules_value(rules, rule, i);
	}
	return (struct span){0};
}

/* What the rule says: the share of all policies with this lane, or the rest. */
double simulation_lane_share(const struct tag_rules *rules, size_t rule, uint32_t lane)
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
bool simulation_next_lane(const struct tag_rules *rules, size_t rule, uint8_t *position,
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

/* False where the rules' draws are correlated: then the share is no product. */
bool simulation_combination_share(const struct simulation *simulation,
				  const struct combination *combination, double *ret_share)
{
	if (simulation->independent)
		*ret_share = cohorts_combination_share(simulation->rules, combination->lanes);
	return simulation->independent;
}
