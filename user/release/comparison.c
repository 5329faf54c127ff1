/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/comparison.h"

#include <stdlib.h>

#include "base/array.h"
#include "release/explanation.h"
#include "mesh/name_table.h"

#define RULE_STAYS UINT32_MAX		    /* no change: the policies give the same tag */
#define POLICIES (LANETAG_MAX_POLICIES + 1) /* the last one: no tag */

/* A host's side for one user. */
struct side {
	const char *host;
	const char *subset; /* or NULL */
};

/* A user under one configuration. */
struct user_view {
	struct explained explained;
	struct side *sides; /* one per route; owned */
	size_t side_count;
};

#define NO_RULE SIZE_MAX

struct comparison {
	const struct configuration *before, *after;
	bool has_routes; /* both have */
	uint64_t maximum_examples;
	struct comparison_counts counts;
	size_t after_of_before[LANETAG_MAX_RULES]; /* the same tag header's rule, or NO_RULE */
	size_t before_of_after[LANETAG_MAX_RULES];
	struct change *changes;
	size_t change_count;
	struct name_table changes_by_key;
	struct buffer key;
	/* Of a rule, by the policies of before and after: the change + 1, or 0: none yet. */
	uint32_t (*rule_changes)[POLICIES][POLICIES];
	struct user_view old, new;
	struct user_view old_untagged, new_untagged; /* the same but for the tags */
	struct side *tagged_sides; /* where tags lead in `after`, and nothing else */
	size_t tagged_side_count;
};

static int start_view(struct user_view *view, const struct configuration *configuration)
{
	view->sides = calloc(mesh_explain_count(configuration->mesh) + 1, sizeof(*view->sides));
	return view->sides ? 0 : -1;
}

static size_t find_rule(const struct tag_rules *rules, struct span header)
{
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		if (span_equal_ignore_case(tag_rules_header(rules, i), header))
			return i;
	}
	return NO_RULE;
}

static void match_rules(const struct tag_rules *rules, const struct tag_rules *others,
			size_t *ret_matches)
{
	for (size_t i = 0; i < tag_rules_count(rules); i++)
		ret_matches[i] = find_rule(others, tag_rules_header(rules, i));
}

static bool same(struct span a, struct span b)
{
	return !a.data == !b.data && span_equal(a, b);
}

static void view_routes(struct user_view *view, const struct configuration *configuration)
{
	struct route_result result;

	view->side_count = 0;
	for (size_t i = 0; i < mesh_explain_count(configuration->mesh); i++) {
		explanation_route(&view->explained, i, &result);
		if (result.cluster)
			view->sides[view->side_count++] =
				(struct side){result.cluster->host, result.cluster->subset};
	}
}

static const struct side *find_side(const struct user_view *view, const char *host)
{
	for (size_t i = 0; i < view->side_count; i++) {
		if (strcmp(view->sides[i].host, host) == 0)
			return &view->sides[i];
	}
	return NULL;
}

static int keep_tagged_sides(struct comparison *comparison)
{
	const struct user_view *tagged = &comparison->new, *untagged = &comparison->new_untagged;

	for (size_t i = 0; i < tagged->side_count; i++) {
		const struct side *side = &tagged->sides[i];
		const struct side *without = find_side(untagged, side->host);

		if (!without || same(span_of(without->subset), span_of(side->subset)))
			continue;
		struct side *kept =
			ARRAY_APPEND(comparison->tagged_sides, comparison->tagged_side_count);
		if (!kept)
			return -1;
		*kept = *side;
	}
	return 0;
}

/* Tries every tag by itself: which sides does it lead to, that no tag does not? */
static int find_tagged_sides(struct comparison *comparison)
{
	const struct tag_rules *rules = comparison->after->tag_rules;
	struct user_view *tagged = &comparison->new, *untagged = &comparison->new_untagged;

	explanation_start(&untagged->explained, comparison->after, span_of(""), false);
	view_routes(untagged, comparison->after);
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		for (uint8_t j = 0; j < tag_rules_ruleset(rules)->rules[i].policy_count; j++) {
			explanation_start(&tagged->explained, comparison->after, span_of(""),
					  false);
			http_edit_add(&tagged->explained.request, tag_rules_header(rules, i),
				      tag_rules_value(rules, i, j));
			view_routes(tagged, comparison->after);
			if (keep_tagged_sides(comparison))
				return -1;
		}
	}
	return 0;
}

struct comparison *comparison_new(const struct configuration *before,
				  const struct configuration *after, uint64_t examples)
{
	struct comparison *comparison = calloc(1, sizeof(*comparison));

	if (!comparison)
		return NULL;
	comparison->before = before;
	comparison->after = after;
	comparison->has_routes =
		mesh_explain_count(before->mesh) > 0 && mesh_explain_count(after->mesh) > 0;
	comparison->maximum_examples = examples;
	comparison->rule_changes =
		calloc(tag_rules_count(before->tag_rules) + 1, sizeof(*comparison->rule_changes));
	match_rules(before->tag_rules, after->tag_rules, comparison->after_of_before);
	match_rules(after->tag_rules, before->tag_rules, comparison->before_of_after);
	if (!comparison->rule_changes || start_view(&comparison->old, before) ||
	    start_view(&comparison->new, after) || start_view(&comparison->old_untagged, before) ||
	    start_view(&comparison->new_untagged, after) || find_tagged_sides(comparison)) {
		comparison_free(comparison);
		return NULL;
	}
	return comparison;
}

void comparison_free(struct comparison *comparison)
{
	if (!comparison)
		return;
	for (size_t i = 0; i < comparison->change_count; i++) {
		struct change *change = &comparison->changes[i];

		for (size_t j = 0; j < change->example_count; j++)
			free(change->examples[j]);
		free(change->examples);
		free(change->key);
		free(change->example_lengths);
	}
	name_table_free(&comparison->changes_by_key);
	buffer_free(&comparison->key);
	free(comparison->rule_changes);
	free(comparison->changes);
	free(comparison->old.sides);
	free(comparison->new.sides);
	free(comparison->old_untagged.sides);
	free(comparison->new_untagged.sides);
	free(comparison->tagged_sides);
	free(comparison);
}

static int keep_example(struct change *change, struct span id)
{
	size_t lengths = change->example_count;
	char **example = ARRAY_APPEND(change->examples, change->example_count);
	size_t *length = example ? ARRAY_APPEND(change->example_lengths, lengths) : NULL;

	if (length)
		*example = span_copy(id);
	if (!length || !*example) {
		if (example)
			change->example_count--;
		return -1;
	}
	*length = id.length;
	return 0;
}

static void append_part(struct buffer *key, struct span part)
{
	const uint64_t length = part.data ? part.length : UINT64_MAX;

	buffer_append(key, (const char *)&length, sizeof(length));
	if (part.data)
		buffer_append_span(key, part);
}

/* All that tells one change from another, in bytes. */
static struct span change_key(struct buffer *key, const struct change *change)
{
	buffer_clear(key);
	buffer_append_byte(key, (char)change->subject);
	buffer_append_byte(key, (char)change->moves_back);
	append_part(key, change->name);
	append_part(key, change->from);
	append_part(key, change->to);
	return buffer_span(key);
}

/* Its number + 1, in the order in which changes were seen first; 0 when memory is short. */
static uint32_t find_or_add_change(struct comparison *comparison, const struct change *like)
{
	struct span key = change_key(&comparison->key, like);

	if (comparison->key.failed)
		return 0;
	uintptr_t number = (uintptr_t)name_table_get(&comparison->changes_by_key, 0, key);
	if (number)
		return (uint32_t)number;
	struct change *change = ARRAY_APPEND(comparison->changes, comparison->change_count);
	if (!change)
		return 0;
	*change = *like;
	change->key = span_copy(key);
	number = comparison->change_count;
	if (!change->key || name_table_put(&comparison->changes_by_key, 0,
					   (struct span){change->key, key.length}, (void *)number))
		return 0;
	return (uint32_t)number;
}

/* One user more goes this way. */
static int count_change(struct comparison *comparison, uint32_t number, struct span id)
{
	if (!number)
		return -1;
	struct change *change = &comparison->changes[number - 1];
	change->users++;
	return change->example_count < comparison->maximum_examples ? keep_example(change, id) : 0;
}

/* The value that the user's request has; data NULL: none, or no such rule. */
static struct span tag_value(const struct user_view *view, size_t rule)
{
	const struct tag_rules *rules = view->explained.configuration->tag_rules;

	if (rule == NO_RULE || view->explained.decision.rules[rule].policy == LANETAG_POLICY_NONE)
		return (struct span){0};
	return tag_rules_value(rules, rule, view->explained.decision.rules[rule].policy);
}

/* What this user's changes come to. */
struct moves {
	bool any, back;
	int error;
};

static void note_change(struct comparison *comparison, uint32_t number, struct span id,
			struct moves *moves)
{
	moves->any = true;
	if (count_change(comparison, number, id))
		moves->error = -1;
	else
		moves->back |= comparison->changes[number - 1].moves_back;
}

static uint8_t policy_of(const struct user_view *view, size_t rule)
{
	uint8_t policy =
		rule == NO_RULE ? LANETAG_POLICY_NONE : view->explained.decision.rules[rule].policy;

	return policy == LANETAG_POLICY_NONE ? LANETAG_MAX_POLICIES : policy;
}

/* `before` and `after`: the rule's number on either side, or NO_RULE. */
static struct change rule_change(const struct comparison *comparison, size_t before, size_t after)
{
	struct change change = {
		.subject = SUBJECT_RULE,
		.name = before != NO_RULE ? tag_rules_header(comparison->before->tag_rules, before)
					  : tag_rules_header(comparison->after->tag_rules, after),
		.from = tag_value(&comparison->old, before),
		.to = tag_value(&comparison->new, after),
	};

	change.moves_back = change.from.data && !change.to.data &&
			    (after != NO_RULE || !comparison->has_routes);
	return change;
}

/* A rule of the first configuration: the policies say all, so each pair is looked at once. */
static void compare_rule(struct comparison *comparison, size_t rule, struct span id,
			 struct moves *moves)
{
	size_t other = comparison->after_of_before[rule];
	uint32_t *known = &comparison->rule_changes[rule][policy_of(&comparison->old, rule)]
						   [policy_of(&comparison->new, other)];

	if (!*known) {
		const struct change change = rule_change(comparison, rule, other);

		*known = same(change.from, change.to) ? RULE_STAYS
						      : find_or_add_change(comparison, &change);
	}
	if (*known != RULE_STAYS)
		note_change(comparison, *known, id, moves);
}

static void compare_rules(struct comparison *comparison, struct span id, struct moves *moves)
{
	const struct tag_rules *after = comparison->after->tag_rules;

	for (size_t i = 0; i < tag_rules_count(comparison->before->tag_rules); i++)
		compare_rule(comparison, i, id, moves);
	for (size_t i = 0; i < tag_rules_count(after); i++) {
		const struct change change = rule_change(comparison, NO_RULE, i);

		if (comparison->before_of_after[i] == NO_RULE && change.to.data)
			note_change(comparison, find_or_add_change(comparison, &change), id, moves);
	}
}

static bool is_tagged_side(const struct comparison *comparison, const struct side *side)
{
	for (size_t i = 0; i < comparison->tagged_side_count; i++) {
		const struct side *other = &comparison->tagged_sides[i];

		if (strcmp(other->host, side->host) == 0 &&
		    same(span_of(other->subset), span_of(side->subset)))
			return true;
	}
	return false;
}

/* From where tags led to where none did; or from where tags will lead to where none will. */
static bool moves_back(const struct comparison *comparison, const struct side *was,
		       const struct side *now)
{
	const struct side *before = find_side(&comparison->old_untagged, was->host);
	const struct side *after = find_side(&comparison->new_untagged, was->host);
	struct span to = span_of(now->subset);

	return (before && same(span_of(before->subset), to)) ||
	       (after && same(span_of(after->subset), to) && is_tagged_side(comparison, was));
}

static void compare_hosts(struct comparison *comparison, struct span id, struct moves *moves)
{
	const struct user_view *old = &comparison->old;

	for (size_t i = 0; i < old->side_count; i++) {
		const char *host = old->sides[i].host;
		const struct side *now = find_side(&comparison->new, host);

		/* a host that stands twice counts by its first side */
		if (!now || find_side(old, host) != &old->sides[i])
			continue;
		struct change change = {
			.subject = SUBJECT_HOST,
			.name = span_of(host),
			.from = span_of(old->sides[i].subset),
			.to = span_of(now->subset),
		};

		if (same(change.from, change.to))
			continue;
		change.moves_back = moves_back(comparison, &old->sides[i], now);
		note_change(comparison, find_or_add_change(comparison, &change), id, moves);
	}
}

int comparison_add(struct comparison *comparison, struct span id)
{
	struct moves moves = {0};

	comparison->old.explained.configuration = comparison->before;
	comparison->new.explained.configuration = comparison->after;
	if (!comparison->has_routes) {
		tag_rules_decide_id(comparison->before->tag_rules, id,
				    &comparison->old.explained.decision);
		tag_rules_decide_id(comparison->after->tag_rules, id,
				    &comparison->new.explained.decision);
	} else {
		explanation_start(&comparison->old.explained, comparison->before, id, true);
		explanation_start(&comparison->new.explained, comparison->after, id, true);
	}
	compare_rules(comparison, id, &moves);
	if (comparison->has_routes) {
		explanation_start(&comparison->old_untagged.explained, comparison->before, id,
				  false);
		explanation_start(&comparison->new_untagged.explained, comparison->after, id,
				  false);
		view_routes(&comparison->old, comparison->before);
		view_routes(&comparison->new, comparison->after);
		view_routes(&comparison->old_untagged, comparison->before);
		view_routes(&comparison->new_untagged, comparison->after);
		compare_hosts(comparison, id, &moves);
	}
	comparison->counts.users++;
	comparison->counts.changed += moves.any;
	comparison->counts.moved_back += moves.back;
	return moves.error;
}

bool comparison_moves_back(const struct comparison *comparison)
{
	return comparison->counts.moved_back > 0;
}

size_t comparison_change_count(const struct comparison *comparison)
{
	return comparison->change_count;
}

const struct change *comparison_change(const struct comparison *comparison, size_t index)
{
	return &comparison->changes[index];
}

struct comparison_counts comparison_counts(const struct comparison *comparison)
{
	return comparison->counts;
}

/* The next rule from `*position` on that has no match, in `rules`. */
static bool next_unmatched(const struct tag_rules *rules, const size_t *matches, size_t *position,
			   struct span *ret_header)
{
	for (; *position < tag_rules_count(rules); ++*position) {
		if (matches[*position] != NO_RULE)
			continue;
		*ret_header = tag_rules_header(rules, (*position)++);
		return true;
	}
	return false;
}

bool comparison_next_ended_rule(const struct comparison *comparison, size_t *position,
				struct span *ret_header)
{
	return next_unmatched(comparison->before->tag_rules, comparison->after_of_before, position,
			      ret_header);
}

bool comparison_next_new_rule(const struct comparison *comparison, size_t *position,
			      struct span *ret_header)
{
	return next_unmatched(comparison->after->tag_rules, comparison->before_of_after, position,
			      ret_header);
}
