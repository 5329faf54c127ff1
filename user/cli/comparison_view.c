/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/comparison_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/output.h"

static double share_of(const struct comparison *comparison, uint64_t users)
{
	uint64_t all = comparison_counts(comparison).users;

	return all ? (double)users / (double)all : 0;
}

static void print_change(const struct comparison *comparison, const struct change *change)
{
	const char *none = change->subject == SUBJECT_RULE ? "(no tag)" : "(any)";
	struct span from = change->from.data ? change->from : span_of(none);
	struct span to = change->to.data ? change->to : span_of(none);
	char percent[PERCENT_TEXT];

	printf("  %.*s: %.*s -> %.*s: %" PRIu64 " users, %s%s", SPAN_ARGUMENTS(change->name),
	       SPAN_ARGUMENTS(from), SPAN_ARGUMENTS(to), change->users,
	       output_percent(share_of(comparison, change->users), percent),
	       change->moves_back ? ", BACK" : "");
	for (size_t i = 0; i < change->example_count; i++) {
		fputs(i ? ", " : ": ", stdout);
		fwrite(change->examples[i], 1, change->example_lengths[i], stdout);
	}
	puts(change->users > change->example_count && change->example_count ? ", …" : "");
}

static void print_changes(const struct comparison *comparison, enum subject subject)
{
	for (size_t i = 0; i < comparison_change_count(comparison); i++) {
		const struct change *change = comparison_change(comparison, i);

		if (change->subject == subject)
			print_change(comparison, change);
	}
}

void comparison_print(const struct comparison *comparison)
{
	const struct comparison_counts counts = comparison_counts(comparison);
	char percent[PERCENT_TEXT];
	struct span header;

	printf("%" PRIu64 " users: %" PRIu64 " change sides, %s\n", counts.users, counts.changed,
	       output_percent(share_of(comparison, counts.changed), percent));
	for (size_t i = 0; comparison_next_ended_rule(comparison, &i, &header);)
		printf("  %.*s: only in the first configuration\n", SPAN_ARGUMENTS(header));
	for (size_t i = 0; comparison_next_new_rule(comparison, &i, &header);)
		printf("  %.*s: only in the second configuration\n", SPAN_ARGUMENTS(header));
	print_changes(comparison, SUBJECT_RULE);
	print_changes(comparison, SUBJECT_HOST);
	if (counts.moved_back)
		printf("%" PRIu64 " users move back, %s\n", counts.moved_back,
		       output_percent(share_of(comparison, counts.moved_back), percent));
	else
		puts("nobody moves back");
}

static json_t *json_text(struct span text)
{
	return text.data ? output_json_text(text, NULL) : json_null();
}

static json_t *json_examples(const struct change *change)
{
	json_t *examples = json_array();

	for (size_t i = 0; i < change->example_count; i++) {
		struct span id = {change->examples[i], change->example_lengths[i]};
		json_t *example = json_object();
		bool latin1;

		json_object_set_new(example, "user", output_json_text(id, &latin1));
		if (latin1)
			json_object_set_new(example, "userEncoding", json_string("iso-8859-1"));
		json_array_append_new(examples, example);
	}
	return examples;
}

static json_t *json_change(const struct comparison *comparison, const struct change *change)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:f, s:b, s:o}",
			 change->subject == SUBJECT_RULE ? "tagHeader" : "host",
			 json_text(change->name), "from", json_text(change->from), "to",
			 json_text(change->to), "users", (json_int_t)change->users, "share",
			 share_of(comparison, change->users), "movesBack", change->moves_back,
			 "examples", json_examples(change));
}

json_t *comparison_json(const struct comparison *comparison)
{
	const struct comparison_counts counts = comparison_counts(comparison);
	json_t *rules = json_array(), *hosts = json_array();

	for (size_t i = 0; i < comparison_change_count(comparison); i++) {
		const struct change *change = comparison_change(comparison, i);

		json_array_append_new(change->subject == SUBJECT_RULE ? rules : hosts,
				      json_change(comparison, change));
	}
	return json_pack("{s:I, s:I, s:I, s:o, s:o}", "users", (json_int_t)counts.users, "changed",
			 (json_int_t)counts.changed, "movedBack", (json_int_t)counts.moved_back,
			 "rules", rules, "hosts", hosts);
}
