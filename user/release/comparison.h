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
#include "config/configuration.h"

/* What a change is a change of. */
enum subject { SUBJECT_RULE, SUBJECT_HOST };

/* Users who went one way. The spans are the configurations' own. */
struct change {
	enum subject subject;
	struct span name;     /* tag header or host */
	struct span from, to; /* tag values or subsets; data NULL: none */
	bool moves_back;
	uint64_t users;
	char *key;	 /* owned */
	char **examples; /* owned, as are the texts */
	size_t *example_lengths;
	size_t example_count;
};

/* Of the ids that were added. */
struct comparison_counts {
	uint64_t users, changed, moved_back;
};

struct comparison;

/* `examples`: so many users of each change are kept to be named. NULL when memory is short. */
struct comparison *comparison_new(const struct configuration *before,
				  const struct configuration *after, uint64_t examples);
void comparison_free(struct comparison *comparison);

/* 0, or -1 when memory is short. */
int comparison_add(struct comparison *comparison, struct span id);

bool comparison_moves_back(const struct comparison *comparison);
struct comparison_counts comparison_counts(const struct comparison *comparison);

/* The changes, in the order in which they were seen first. */
size_t comparison_change_count(const struct comparison *comparison);
const struct change *comparison_change(const struct comparison *comparison, size_t index);

/*
 * Steps through the tag headers of rules that only one configuration has. *position is 0 at first.
 * False at the end.
 */
bool comparison_next_ended_rule(const struct comparison *comparison, size_t *position,
				struct span *ret_header);
bool comparison_next_new_rule(const struct comparison *comparison, size_t *position,
			      struct span *ret_header);
