/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/request/correlation.h"

#include "kernel/causes.h"
#include "policy/baggage.h"

/* Of the edit's places: what forwarding adds later, and some operations of a route. */
#define PLACES_FOR_OTHERS 24

static unsigned ways_of(const struct request *request, struct span name)
{
	return propagation_ways(request->configuration->propagation, name, request->source_labels);
}

/* Adds a field unless it is there, or `kept` places beside those for others are all that is left. */
static void add_field(struct request *request, struct span name, struct span value, size_t kept)
{
	struct span present;

	if (http_edit_get(&request->edit, name, &present))
		return;
	if (request->edit.added_count + PLACES_FOR_OTHERS + kept >= HTTP_EDIT_MAX_ADDED ||
	    http_edit_add(&request->edit, name, value)) {
		statistics_count(&request->statistics->tags_dropped);
		return;
	}
	statistics_count(&request->statistics->tags_restored);
}

/* A tag header whose resources do not take tags from the application goes; other fields stay. */
static enum correlation_outcome by_header(struct request *request)
{
	enum correlation_outcome outcome = CORRELATION_NOTHING;

	for (size_t i = 0; i < request->head.field_count; i++) {
		const struct http_field *field = &request->head.fields[i];

		if (field->kind != HTTP_FIELD_OTHER || request_is_baggage(field))
			continue;
		unsigned ways = ways_of(request, field->name);
		bool tag = request_owns_tag(request, field->name);
		if (tag && ways && !(ways & PROPAGATION_WAY(PROPAGATION_HEADER)))
			http_edit_remove(&request->edit, i);
		else if (tag)
			outcome = CORRELATION_DECIDED;
		else if (ways && outcome == CORRELATION_NOTHING)
			outcome = CORRELATION_FOUND;
	}
	return outcome;
}

/* Never a field that frames or names the host. */
static bool travels(const struct request *request, enum propagation_way way, struct span name)
{
	return http_field_kind(name) == HTTP_FIELD_OTHER && !request_is_baggage_name(name) &&
	       ways_of(request, name) & PROPAGATION_WAY(way);
}

/* False: the value cannot be read. */
static bool restore_member(struct request *request, const struct baggage_member *member,
			   size_t kept)
{
	size_t start = request->values.length;

	if (baggage_decode(member->value, &request->values)) {
		statistics_count(&request->statistics->baggage_malformed);
		return false;
	}
	add_field(request, member->key,
		  (struct span){request->values.data + start, request->values.length - start},
		  kept);
	return true;
}

/*
 * A member just as an agent writes it for a tag of the rules in force: nothing of it has to be parsed.
 * False: it is none, or its tag does not travel this way (`travelling`: those that do). *ret_all becomes
 * false where the tag is not added, since it has a field already or there is no room.
 */
static bool restore_own(struct request *request, uint64_t travelling, struct span whole,
			bool *ret_all)
{
	const struct tag_rules *rules = request->configuration->tag_rules;
	struct http_edit *edit = &request->edit;
	uint8_t policy;
	size_t rule;

	if (!tag_rules_find_member(rules, whole, &rule, &policy) || !(travelling >> rule & 1))
		return false;
	if (request->restored >> rule & 1)
		return true;
	struct span name = tag_rules_header(rules, rule);
	struct span value = tag_rules_value(rules, rule, policy);
	size_t before = edit->added_count;

	/* Where all that was added are tags of other rules, none of them has this name. */
	if (before == request->own_tag_count && before + PLACES_FOR_OTHERS < HTTP_EDIT_MAX_ADDED &&
	    !http_names_may_hold(request->head.names, name)) {
		http_edit_add(edit, name, value);
		statistics_count(&request->statistics->tags_restored);
	} else {
		add_field(request, name, value, 0);
	}
	if (edit->added_count > before) {
		request->own_tags[request->own_tag_count++] =
			(struct own_tag){(uint8_t)rule, policy};
		request->restored |= UINT64_C(1) << rule;
	} else {
		*ret_all = false;
	}
	return true;
}

/*
 * The members that are tags of our rules: before all others, so that they have room. *ret_all: there
 * are no others, and these were all added as rules give them.
 */
static enum correlation_outcome restore_tags(struct request *request, enum propagation_way way,
					     struct span baggage, bool *ret_all)
{
	enum correlation_outcome outcome = CORRELATION_NOTHING;
	uint64_t travelling = propagation_rules(request->configuration->propagation,
						request->source_labels, PROPAGATION_WAY(way));
	struct baggage_member member;
	struct span whole;

	*ret_all = true;
	while (baggage_next_whole(&baggage, &whole)) {
		if (restore_own(request, travelling, whole, ret_all)) {
			outcome = CORRELATION_DECIDED;
			continue;
		}
		*ret_all = false;
		if (baggage_parse(whole, &member) < 0)
			statistics_count(&request->statistics->baggage_malformed);
		else if (request_owns_tag(request, member.key) &&
			 travels(request, way, member.key) && restore_member(request, &member, 0))
			outcome = CORRELATION_DECIDED;
	}
	return outcome;
}

static enum correlation_outcome restore_others(struct request *request, enum propagation_way way,
					       struct span baggage, size_t kept)
{
	enum correlation_outcome outcome = CORRELATION_NOTHING;
	struct baggage_member member;
	int result;

	while ((result = baggage_next(&baggage, &member))) {
		if (result > 0 && travels(request, way, member.key) &&
		    !request_owns_tag(request, member.key) &&
		    restore_member(request, &member, kept))
			outcome = CORRELATION_FOUND;
	}
	return outcome;
}

static enum correlation_outcome larger(enum correlation_outcome one, enum correlation_outcome other)
{
	return one > other ? one : other;
}

static enum correlation_outcome by_baggage(struct request *request)
{
	const struct http_request_head *head = &request->head;
	enum correlation_outcome outcome = CORRELATION_NOTHING;
	bool all_are_tags = true, all;

	if (!http_names_may_hold(head->names, request_baggage_name))
		return outcome;
	for (size_t i = 0; i < head->field_count; i++) {
		if (!request_is_baggage(&head->fields[i]))
			continue;
		outcome = larger(outcome, restore_tags(request, PROPAGATION_BAGGAGE,
						       head->fields[i].value, &all));
		all_are_tags = all_are_tags && all;
	}
	request->baggage_restored = all_are_tags;
	if (all_are_tags)
		return outcome;
	/* A further way may have the tags. */
	size_t kept = outcome == CORRELATION_DECIDED ? 0 : tag_rules_count(request->rules);
	for (size_t i = 0; i < head->field_count; i++) {
		if (request_is_baggage(&head->fields[i]))
			outcome = larger(outcome, restore_others(request, PROPAGATION_BAGGAGE,
								 head->fields[i].value, kept));
	}
	return outcome;
}

/* The rules know the user: that none of them tags it is an answer too. */
static enum correlation_outcome by_user_id(struct request *request)
{
	const struct tag_rules *rules = request->rules;
	enum correlation_outcome outcome = CORRELATION_NOTHING;

	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		const struct tag_rule_decision *decision = &request->decision.rules[i];

		if (!decision->has_remainder || !(ways_of(request, tag_rules_header(rules, i)) &
						  PROPAGATION_WAY(PROPAGATION_USER_ID)))
			continue;
		outcome = CORRELATION_DECIDED;
		if (decision->policy != LANETAG_POLICY_NONE)
			add_field(request, tag_rules_header(rules, i),
				  tag_rules_value(rules, i, decision->policy), 0);
	}
	return outcome;
}

/* True if a tag of our rules may come this way: else nothing needs to be looked up. */
static bool is_open(const struct request *request, enum propagation_way way)
{
	const struct tag_rules *rules = request->configuration->tag_rules;

	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		if (ways_of(request, tag_rules_header(rules, i)) & PROPAGATION_WAY(way))
			return true;
	}
	return false;
}

/* What the kernel found: that the request had no tags is an answer too. */
static enum correlation_outcome take_cause(struct request *request, enum propagation_way way,
					   enum arrivals_outcome outcome,
					   const struct arrivals_tags *tags)
{
	size_t start = request->values.length;

	if (outcome == ARRIVALS_AMBIGUOUS)
		statistics_count(&request->statistics->causes_ambiguous);
	if (outcome != ARRIVALS_FOUND)
		return CORRELATION_NOTHING;
	/* There is room: see reserve_values in request.c. */
	buffer_append(&request->values, tags->text, tags->length);
	struct span baggage = {request->values.data + start, tags->length};
	bool all;
	restore_tags(request, way, baggage, &all);
	restore_others(request, way, baggage, 0);
	return CORRELATION_DECIDED;
}

static enum correlation_outcome by_trace(struct request *request)
{
	const struct causes *causes = request->causes;
	struct arrivals_id ids[ARRIVALS_MAX_FIELDS];
	struct arrivals_tags tags;
	size_t count = 0;

	if (!causes || !causes->arrivals || !is_open(request, PROPAGATION_TRACE))
		return CORRELATION_NOTHING;
	for (size_t i = 0; i < request->head.field_count; i++) {
		const struct http_field *field = &request->head.fields[i];
		size_t number = arrivals_field(causes->fields, field->name);

		if (number == causes->fields->count)
			continue;
		if (count == ARRIVALS_MAX_FIELDS) /* some are there twice: whose, who knows */
			return CORRELATION_NOTHING;
		ids[count++] = (struct arrivals_id){number, field->value};
	}
	return take_cause(request, PROPAGATION_TRACE,
			  arrivals_find(causes->arrivals, causes->fields,
					request->connection->remote_address, ids, count, &tags),
			  &tags);
}

static enum correlation_outcome by_thread(struct request *request)
{
	const struct causes *causes = request->causes;
	struct arrivals_tags tags;

	if (!causes || !causes->threads || !is_open(request, PROPAGATION_THREAD))
		return CORRELATION_NOTHING;
	return take_cause(
		request, PROPAGATION_THREAD,
		threads_find(causes->threads, request->connection, request->position, &tags),
		&tags);
}

/*
 * In order. What the call itself bears counts as one, so that a header beside baggage is no reason
 * to leave the rest of the baggage out.
 */
static const struct {
	enum correlation_outcome (*ask)(struct request *request); /* NULL: not built in */
	bool borne; /* by the call itself: asked in any case */
} ways[PROPAGATION_WAYS] = {
	[PROPAGATION_HEADER] = {by_header, true},    [PROPAGATION_BAGGAGE] = {by_baggage, true},
	[PROPAGATION_USER_ID] = {by_user_id, false}, [PROPAGATION_TRACE] = {by_trace, false},
	[PROPAGATION_THREAD] = {by_thread, false},
};

void correlation_restore_tags(struct request *request)
{
	enum correlation_outcome found = CORRELATION_NOTHING;

	request->propagated_by = PROPAGATION_WAYS;
	for (unsigned way = 0; way < PROPAGATION_WAYS; way++) {
		if (!ways[way].ask || (found == CORRELATION_DECIDED && !ways[way].borne))
			continue;
		enum correlation_outcome outcome = ways[way].ask(request);
		if (outcome > found) {
			found = outcome;
			request->propagated_by = way;
		}
	}
	statistics_count(&request->statistics->propagated_by[request->propagated_by]);
}
