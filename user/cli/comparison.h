/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Who changes sides between two configurations: per rule (by its tag header) and, where both have
 * routes, per host.
 *
 * A user moves back where he had a tag and has none any more, or where a route leads him from a
 * side that needs a tag, in the one configuration or the other, to the side without tags. A rule
 * that the new configuration has no more is judged by the routes alone, if both have any: that is
 * how a canary is promoted.
 */
#include <jansson.h>
#include "config/configuration.h"

struct comparison;

/* `examples`: so many users of each change are kept to be named. NULL when memory is short. */
struct comparison *comparison_new(const struct configuration *before,
				  const struct configuration *after, uint64_t examples);
void comparison_free(struct comparison *comparison);

/* 0, or -1 (told) when memory is short. */
int comparison_add(struct comparison *comparison, struct span id);

bool comparison_moves_back(const struct comparison *comparison);
void comparison_print(const struct comparison *comparison);
/* NULL when memory is short. */
json_t *comparison_json(const struct comparison *comparison);
