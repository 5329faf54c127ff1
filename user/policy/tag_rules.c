/* SPDX-License-Identifier: GPL-2.0-only */
/* The decision of all rules for one request. Compilation: tag_rules_compile.c. */
#include "policy/tag_rules.h"

#include <stdlib.h>

#include "http/values.h"
#include "policy/tag_rules_internal.h"

void tag_rules_free(struct tag_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->ruleset.rule_count; i++)
		free(rules->listed[i].ids);
	buffer_free(&rules->members_text);
	free(rules);
}

const struct lanetag_ruleset *tag_rules_ruleset(const struct tag_rules *rules)
{
	return &rules->ruleset;
}

size_t tag_rules_count(const struct tag_rules *rules)
{
	return rules->ruleset.rule_count;
}

struct span tag_rules_header(const struct tag_rules *rules, size_t rule)
{
	return rules->headers[rule];
}

struct span tag_rules_source_name(const struct tag_rules *rules, size_t rule)
{
	return span_of(rules->manifests[rule]->source_name);
}

const char *tag_rules_source_kind(const struct tag_rules *rules, size_t rule)
{
	static const char *const names[] = {
		[LANETAG_SOURCE_HEADER] = "header",
		[LANETAG_SOURCE_COOKIE] = "cookie",
		[LANETAG_SOURCE_QUERY_PARAM] = "queryParam",
	};

	return names[rules->manifests[rule]->source_kind];
}

struct span tag_rules_value(const struct tag_rules *rules, size_t rule, uint8_t policy)
{
	return rules->values[rule][policy];
}

struct span tag_rules_member(const struct tag_rules *rules, size_t rule, uint8_t policy)
{
	return rules->members[rule][policy];
}

bool tag_rules_find_member(const struct tag_rules *rules, struct span member, size_t *ret_rule,
			   uint8_t *ret_policy)
{
	for (size_t slot = tag_member_hash(member); rules->member_slots[slot];
	     slot = (slot + 1) % TAG_MEMBER_SLOTS) {
		size_t number = rules->member_slots[slot] - 1U;
		size_t rule = number / LANETAG_MAX_POLICIES;
		uint8_t policy = (uint8_t)(number % LANETAG_MAX_POLICIES);

		if (!span_equal(rules->members[rule][policy], member))
			continue;
		*ret_rule = rule;
		*ret_policy = policy;
		return true;
	}
	return false;
}

const struct tag_rule_manifest *tag_rules_manifest(const struct tag_rules *rules, size_t rule)
{
	return rules->manifests[rule];
}

bool tag_headers_alike(struct span a, struct span b)
{
	struct spelling one, other;

	spelling_of_field(a, &one);
	spelling_of_field(b, &other);
	return a.length == b.length && memcmp(one.text, other.text, one.length) == 0;
}

bool tag_rules_owns_header(const struct tag_rules *rules, struct span name)
{
	struct spelling spelling;

	if (!(rules->header_lengths >> (name.length & 63) & 1))
		return false;
	spelling_of_field(name, &spelling);
	return spelling_set_has(&rules->header_spellings, &spelling);
}

bool tag_rules_owns_member(const struct tag_rules *rules, struct span member,
			   struct buffer *scratch)
{
	return spelling_starts_in(&rules->header_starts, member, scratch);
}

bool tag_rules_may_own(const struct tag_rules *rules, uint64_t names)
{
	return rules->header_names & names;
}

/* One more value of a source: the first is the id, a differing one makes it conflicting. */
static void note_id(struct span value, enum tag_id_state *state, struct span *id)
{
	if (value.length == 0 || value.length > TAG_MAX_ID)
		return;
	if (*state == TAG_ID_MISSING) {
		*id = value;
		*state = TAG_ID_PRESENT;
	} else if (!span_equal(*id, value)) {
		*state = TAG_ID_CONFLICTING;
	}
}

static void find_in_fields(const struct http_request_head *head, struct span name, uint8_t hash,
			   enum tag_id_state *state, struct span *id)
{
	if (!(head->names >> hash & 1))
		return;
	for (size_t i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (field->hash == hash && span_equal_ignore_case(field->name, name))
			note_id(field->value, state, id);
	}
}

static bool is_source(const struct lanetag_source *source, enum lanetag_source_kind kind,
		      struct span name)
{
	return source->kind == kind &&
	       span_equal(name, (struct span){source->name, source->name_length});
}

/* Once through the cookies, for all sources. */
static void find_in_cookies(const struct lanetag_ruleset *ruleset,
			    const struct http_request_head *head, struct tag_ids *found)
{
	struct http_parameter cookie;
	struct http_cookies cookies;

	http_cookies_start(&cookies, head);
	while (http_cookies_next(&cookies, &cookie)) {
		for (size_t i = 0; i < ruleset->source_count; i++) {
			if (is_source(&ruleset->sources[i], LANETAG_SOURCE_COOKIE, cookie.name))
				note_id(cookie.value, &found->states[i], &found->ids[i]);
		}
	}
}

/* Decodes into `room`; a value without escapes, or too long for the room, stays as it is. */
static struct span decode(struct span value, char room[LANETAG_MAX_VALUE])
{
	if (value.length > LANETAG_MAX_VALUE || !memchr(value.data, '%', value.length))
		return value;
	return (struct span){room, http_percent_decode_loosely(value, room)};
}

static void note_parameter(struct tag_ids *found, size_t source, struct span value)
{
	char other[LANETAG_MAX_VALUE];

	if (value.length == 0)
		return;
	/* the first value's room must outlive the comparison with the others */
	bool is_first = found->states[source] == TAG_ID_MISSING;
	note_id(decode(value, is_first ? found->decoded[source] : other), &found->states[source],
		&found->ids[source]);
}

/* Once through the query, for all sources. */
static void find_in_query(const struct lanetag_ruleset *ruleset, struct span query,
			  struct tag_ids *found)
{
	struct http_parameter parameter;

	while (http_query_next(&query, &parameter)) {
		for (size_t i = 0; i < ruleset->source_count; i++) {
			if (is_source(&ruleset->sources[i], LANETAG_SOURCE_QUERY_PARAM,
				      parameter.name))
				note_parameter(found, i, parameter.value);
		}
	}
}

void tag_rules_find_ids(const struct tag_rules *rules, const struct http_request_head *head,
			struct tag_ids *found)
{
	const struct lanetag_ruleset *ruleset = &rules->ruleset;
	bool cookies = false, query = false;

	for (size_t i = 0; i < ruleset->source_count; i++) {
		const struct lanetag_source *source = &ruleset->sources[i];
		struct span name = {source->name, source->name_length};

		found->states[i] = TAG_ID_MISSING;
		cookies |= source->kind == LANETAG_SOURCE_COOKIE;
		query |= source->kind == LANETAG_SOURCE_QUERY_PARAM;
		if (source->kind == LANETAG_SOURCE_HEADER)
			find_in_fields(head, name, rules->source_hashes[i], &found->states[i],
				       &found->ids[i]);
	}
	if (cookies)
		find_in_cookies(ruleset, head, found);
	if (query)
		find_in_query(ruleset, head->query, found);
}

bool tag_rules_same_sources(const struct tag_rules *a, const struct tag_rules *b)
{
	return a == b || (a->ruleset.source_count == b->ruleset.source_count &&
			  a->sources_key == b->sources_key);
}

/* Apart: its memory on the stack is more than most requests need touch. */
static __attribute__((noinline)) uint64_t hash_salted_id(const struct lanetag_draw *draw,
							 struct span id)
{
	__u8 joined[LANETAG_MAX_SALT + TAG_MAX_ID];

	memcpy(joined, draw->salt, draw->salt_length);
	memcpy(joined + draw->salt_length, id.data, id.length);
	return lanetag_draw_hash(draw, joined, (__u32)(draw->salt_length + id.length));
}

static uint64_t hash_id(const struct lanetag_draw *draw, struct span id)
{
	if (draw->salt_length)
		return hash_salted_id(draw, id);
	return lanetag_draw_hash(draw, (const __u8 *)id.data, (__u32)id.length);
}

static int compare_listed(const void *key, const void *element)
{
	const struct span *id = key;
	const struct listed_id *listed = element;

	return listed_id_compare(*id, listed->id);
}

/* What the id lists say, or what the remainder says. */
static uint8_t choose_policy(const struct tag_rules *rules, size_t rule, struct span id,
			     uint32_t remainder)
{
	const struct listed_ids *listed = &rules->listed[rule];

	if (listed->count) {
		const struct listed_id *entry = bsearch(&id, listed->ids, listed->count,
							sizeof(*listed->ids), compare_listed);
		if (entry)
			return entry->policy;
	}
	return lanetag_rule_policy(&rules->ruleset.rules[rule], remainder);
}

size_t tag_rules_id_keys(const struct tag_rules *rules, const struct tag_ids *ids,
			 uint64_t ret_keys[LANETAG_MAX_SOURCES])
{
	const struct lanetag_ruleset *ruleset = &rules->ruleset;
	size_t count = 0;

	for (size_t i = 0; i < ruleset->source_count; i++) {
		if (ids->states[i] != TAG_ID_PRESENT)
			continue;
		ret_keys[count++] = lanetag_xxh64((const __u8 *)ids->ids[i].data,
						  (__u32)ids->ids[i].length, rules->source_keys[i]);
	}
	return count;
}

static void decide(const struct tag_rules *rules, const struct span *ids,
		   struct tag_decision *decision)
{
	const struct lanetag_ruleset *ruleset = &rules->ruleset;
	uint64_t hashes[LANETAG_MAX_DRAWS];
	uint32_t remainders[LANETAG_MAX_DRAWS];

	for (size_t i = 0; i < ruleset->draw_count; i++) {
		const struct lanetag_draw *draw = &ruleset->draws[i];

		if (decision->sources[draw->source] != TAG_ID_PRESENT)
			continue;
		hashes[i] = hash_id(draw, ids[draw->source]);
		remainders[i] = lanetag_draw_remainder(draw, hashes[i]);
	}
	for (size_t i = 0; i < ruleset->rule_count; i++) {
		const struct lanetag_rule *rule = &ruleset->rules[i];
		struct tag_rule_decision *outcome = &decision->rules[i];
		uint8_t source = ruleset->draws[rule->draw].source;

		*outcome = (struct tag_rule_decision){.policy = LANETAG_POLICY_NONE,
						      .lane = rule->untagged_lane};
		if (decision->sources[source] != TAG_ID_PRESENT)
			continue;
		outcome->has_remainder = true;
		outcome->hash = hashes[rule->draw];
		outcome->remainder = remainders[rule->draw];
		outcome->policy = choose_policy(rules, i, ids[source], outcome->remainder);
		if (outcome->policy != LANETAG_POLICY_NONE)
			outcome->lane = rule->policies[outcome->policy].lane;
	}
}

void tag_rules_decide(const struct tag_rules *rules, const struct http_request_head *head,
		      struct tag_decision *ret_decision)
{
	struct tag_ids ids;

	tag_rules_find_ids(rules, head, &ids);
	tag_rules_decide_ids(rules, &ids, ret_decision);
}

void tag_rules_decide_ids(const struct tag_rules *rules, const struct tag_ids *ids,
			  struct tag_decision *ret_decision)
{
	memcpy(ret_decision->sources, ids->states,
	       rules->ruleset.source_count * sizeof(ids->states[0]));
	decide(rules, ids->ids, ret_decision);
}

void tag_rules_decide_id(const struct tag_rules *rules, struct span id,
			 struct tag_decision *ret_decision)
{
	struct span ids[LANETAG_MAX_SOURCES];

	id = span_trim(id);
	for (size_t i = 0; i < rules->ruleset.source_count; i++) {
		ret_decision->sources[i] = TAG_ID_MISSING;
		note_id(id, &ret_decision->sources[i], &ids[i]);
	}
	decide(rules, ids, ret_decision);
}

static bool host_holds(const char *pattern, struct span host)
{
	struct span text = span_of(pattern);

	if (text.data[0] != '*')
		return span_equal_ignore_case(text, host);
	return text.length == 1 ||
	       (host.length >= text.length &&
		span_ends_with_ignore_case(host, (struct span){text.data + 1, text.length - 1}));
}

static bool is_for_host(const struct tag_rule_manifest *rule, const struct span *host)
{
	for (size_t i = 0; host && i < rule->host_count; i++) {
		if (host_holds(rule->hosts[i], *host))
			return true;
	}
	return rule->host_count == 0;
}

uint64_t tag_rules_match_host(const struct tag_rules *rules, const struct span *authority,
			      struct tag_decision *decision)
{
	struct span host = authority ? http_authority_host(*authority) : (struct span){0};
	uint64_t others = 0;

	for (size_t i = 0; rules->has_hosts && i < rules->ruleset.rule_count; i++) {
		if (is_for_host(rules->manifests[i], authority ? &host : NULL))
			continue;
		decision->rules[i].policy = LANETAG_POLICY_NONE;
		decision->rules[i].lane = rules->ruleset.rules[i].untagged_lane;
		others |= UINT64_C(1) << i;
	}
	return others;
}
