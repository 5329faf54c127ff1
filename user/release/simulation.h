/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Counts which lanes, and which combinations of lanes, many ids get. */
#include "policy/tag_rules.h"

/* So many different combinations are told apart; ids with further ones are counted together. */
#define SIMULATION_MAX_COMBINATIONS 65536

#define SIMULATION_SLOTS (2 * SIMULATION_MAX_COMBINATIONS) /* a power of two, half empty at least */

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
	uint64_t others;		  /* ids whose combination found no room */
	uint32_t table[SIMULATION_SLOTS]; /* index into combinations, plus 1 */
};

/* `rules` must outlive it. NULL when memory is short. */
struct simulation *simulation_new(const struct tag_rules *rules);
void simulation_free(struct simulation *simulation);

/* 0, or -1 when memory is short. */
int simulation_add(struct simulation *simulation, struct span id);

/* Puts the combinations with the most ids first. No ids may be added afterwards. */
void simulation_sort(struct simulation *simulation);

/* The tag value of a rule's lane; data NULL: untagged. */
struct span simulation_lane_value(const struct tag_rules *rules, size_t rule, uint32_t lane);
/* The share by the rule: of all policies with this lane, or the rest. */
double simulation_lane_share(const struct tag_rules *rules, size_t rule, uint32_t lane);
/* Steps through a rule's lanes: each once, the untagged one last. False at the end. */
bool simulation_next_lane(const struct tag_rules *rules, size_t rule, uint8_t *position,
			  uint32_t *ret_lane);
/* False where the rules' draws are correlated: then the share is no product. */
bool simulation_combination_share(const struct simulation *simulation,
				  const struct combination *combination, double *ret_share);
