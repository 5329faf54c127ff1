/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Counts which lanes, and which combinations of lanes, many ids get. */
#include <jansson.h>
#include "policy/tag_rules.h"

/* So many different combinations are told apart; ids with further ones are counted together. */
#define SIMULATION_MAX_COMBINATIONS 65536

struct simulation;

/* `rules` must outlive it. NULL when memory is short. */
struct simulation *simulation_new(const struct tag_rules *rules);
void simulation_free(struct simulation *simulation);

/* 0, or -1 (told) when memory is short. */
int simulation_add(struct simulation *simulation, struct span id);

/* Either of these ends it: no ids may be added afterwards. */
void simulation_print(struct simulation *simulation);
/* NULL when memory is short. */
json_t *simulation_json(struct simulation *simulation);
