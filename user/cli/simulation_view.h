/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A simulation as text and as JSON. */
#include <jansson.h>
#include "release/simulation.h"

/* Either of these ends it: no ids may be added afterwards. */
void simulation_print(struct simulation *simulation);
/* NULL when memory is short. */
json_t *simulation_json(struct simulation *simulation);
