/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>

#include "base/array.h"
#include <lanetag/ruleset_index.h>
#include "policy/baggage.h"
#include "policy/tag_rules_internal.h"

/* Where compilation stands: one rule of one plug-in. */
struct compiler {
	struct tag_rules *rules;
	struct diagnostics *diagnostics;
	const char *resource; /* "WasmPlugin/name" */
};

static void complain(const struct compiler *compiler, struct source_place place, const char *field,
		     const char *what)
{
	diagnostics_add(compiler->diagnostics, DIAGNOSTIC_ERROR, place, compiler->resource, field,
			"%s", what);
}

/* The bytes that may take a byte's place in a name which a server reads as the same. */
static struct span bytes_like(const char *byte)
{
	struct span alone = {byte, 1}, others = span_of("!#$%&'*+-.^_`|~");

	return memchr(others.data, *byte, others.length) ? others : alone;
}

/* For a look whether a name is this one in any spelling, and a quick one whether it can be. */
static void note_header(struct tag_rules *rules, struct span header)
{
	struct span first = bytes_like(&header.data[0]);
	struct span last = bytes_like(&header.data[header.length - 1]);

	rules->header_lengths |= UINT64_C(1) << (header.length & 63);
	for (size_t i = 0; i < first.length * last.length; i++) {
		unsigned char one = (unsigned char)first.data[i % first.length];
		unsigned char other = (unsigned char)last.data[i / first.length];

		rules->header_names |= UINT64_C(1) << HTTP_NAME_HASH(one, other, header.length);
	}
	spelling_set_add(&rules->header_spellings, header);
	spelling_set_add_start(&rules->header_starts, header);
}

/* The source's index, added if it is new; -1: there are too many. */
static int find_source(struct tag_rules *rules, const struct tag_rule_manifest *manifest)
{
	struct lanetag_ruleset *ruleset = &rules->ruleset;
	struct lanetag_source source = {.kind = (__u8)manifest->source_kind};
	size_t length = strlen(manifest->source_name);

	source.name_length = (__u8)length;
	for (size_t i = 0; i < length; i++)
		source.name[i] = manifest->source_kind == LANETAG_SOURCE_HEADER
					 ? ascii_lower(manifest->source_name[i])
					 : manifest->source_name[i];
	for (int i = 0; i < ruleset->source_count; i++) {
		if (memcmp(&ruleset->sources[i], &source, sizeof(source)) == 0)
			return i;
	}
	if (ruleset->source_count == LANETAG_MAX_SOURCES)
		return -1;
	ruleset->sources[ruleset->source_count] = source;
	rules->source_hashes[ruleset->source_count] =
		http_name_hash((struct span){source.name, length});
	rules->source_keys[ruleset->source_count] =
		lanetag_xxh64((const __u8 *)source.name, (__u32)length, source.kind);
	return ruleset->source_count++;
}

/* The draw's index, added if it is new. There are as many as rules at the most. */
static int find_draw(struct lanetag_ruleset *ruleset, const struct tag_rule_manifest *manifest,
		     int source)
{
	struct lanetag_draw draw = {
		.source = (__u8)source,
		.hash = (__u8)manifest->hash,
		.salt_length = (__u8)strlen(manifest->salt),
		.modulo = manifest->modulo,
		.seed = manifest->seed,
	};

	memcpy(draw.salt, manifest->salt, draw.salt_length);
	for (int i = 0; i < ruleset->draw_count; i++) {
		if (memcmp(&ruleset->draws[i], &draw, sizeof(draw)) == 0)
			return i;
	}
	ruleset->draws[ruleset->draw_count] = draw;
	return ruleset->draw_count++;
}

static uint32_t lane_of_value(const struct tag_rules *rules, size_t rule, uint8_t policy)
{
	for (uint8_t i = 0; i < policy; i++) {
		if (span_equal(rules->values[rule][i], rules->values[rule][policy]))
			return rules->ruleset.rules[rule].policies[i].lane;
	}
	return UINT32_MAX;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Adds to the last interval where it goes on from there. */
static size_t add_interval(struct tag_interval *intervals, size_t count, uint32_t from, uint32_t to)
{
	if (count && intervals[count - 1].to == from) {
		intervals[count - 1].to = to;
		return count;
	}
	intervals[count] = (struct tag_interval){from, to};
	return count + 1;
}

size_t tag_rules_intervals(const struct tag_rules *rules, size_t rule_index, uint8_t policy_index,
			   struct tag_interval ret_intervals[LANETAG_MAX_POLICIES])
{
	const struct lanetag_rule *rule = &rules->ruleset.rules[rule_index];
	uint32_t at = rule->policies[policy_index].from, end = rule->policies[policy_index].to;
	size_t count = 0;

	/* From border to border: in between, either some earlier policy holds all or none does. */
	while (at < end) {
		uint32_t border = end;
		bool taken = false;

		for (uint8_t i = 0; i < policy_index; i++) {
			const struct lanetag_policy *earlier = &rule->policies[i];

			if (earlier->from > at)
				border = min_u32(border, earlier->from);
			else if (earlier->to > at) {
				taken = true;
				border = min_u32(border, earlier->to);
			}
		}
		if (!taken)
			count = add_interval(ret_intervals, count, at, border);
		at = border;
	}
	return count;
}

uint64_t tag_rules_share(const struct tag_rules *rules, size_t rule, uint8_t policy)
{
	struct tag_interval intervals[LANETAG_MAX_POLICIES];
	size_t count = tag_rules_intervals(rules, rule, policy, intervals);
	uint64_t share = 0;

	for (size_t i = 0; i < count; i++)
		share += intervals[i].to - intervals[i].from;
	return share;
}

static void compile_policies(const struct compiler *compiler,
			     const struct tag_rule_manifest *manifest, size_t index)
{
	struct tag_rules *rules = compiler->rules;
	struct lanetag_rule *rule = &rules->ruleset.rules[index];

	for (uint8_t i = 0; i < manifest->policy_count; i++) {
		const struct tag_policy_manifest *policy = &manifest->policies[i];

		rule->policy_count = (__u8)(i + 1);
		rule->policies[i].from = policy->from;
		rule->policies[i].to = policy->to;
		rules->values[index][i] = span_of(policy->tag_value);
		uint32_t lane = lane_of_value(rules, index, i);
		rule->policies[i].lane = lane == UINT32_MAX ? rules->next_lane++ : lane;
		if (policy->from < policy->to && tag_rules_share(rules, index, i) == 0)
			complain(compiler, policy->place, "policies",
				 "can never match: earlier policies hold all its remainders");
	}
	rule->untagged_lane = rules->next_lane++;
}

/* The text moves while it grows: its parts are cut out once it is complete. */
static void write_members(const struct compiler *compiler)
{
	struct tag_rules *rules = compiler->rules;
	struct buffer *text = &rules->members_text;
	static const char padding[TAG_MEMBER_PADDING];
	const char *at;

	for (size_t i = 0; i < rules->ruleset.rule_count; i++) {
		for (uint8_t j = 0; j < rules->ruleset.rules[i].policy_count; j++) {
			size_t before = text->length;

			baggage_append_member(rules->headers[i], rules->values[i][j], text);
			rules->members[i][j].length = text->length - before;
		}
	}
	buffer_append(text, padding, sizeof(padding));
	if (text->failed)
		complain(compiler, (struct source_place){0}, NULL, "out of memory");
	at = text->data;
	for (size_t i = 0; i < rules->ruleset.rule_count; i++) {
		for (uint8_t j = 0; j < rules->ruleset.rules[i].policy_count; j++) {
			rules->members[i][j].data = at;
			at += rules->members[i][j].length;
		}
	}
}

/* What frames or names the host never travels, nor does what baggage itself is called. */
static bool is_never_restored(struct span header)
{
	return http_field_kind(header) != HTTP_FIELD_OTHER ||
	       span_equal_ignore_case(header, span_of("baggage"));
}

static void index_members(struct tag_rules *rules)
{
	size_t other;
	uint8_t same;

	for (size_t i = 0; i < rules->ruleset.rule_count; i++) {
		for (uint8_t j = 0; j < rules->ruleset.rules[i].policy_count; j++) {
			struct span member = rules->members[i][j];
			size_t slot = tag_member_hash(member);

			if (is_never_restored(rules->headers[i]) ||
			    tag_rules_find_member(rules, member, &other, &same))
				continue;
			while (rules->member_slots[slot])
				slot = (slot + 1) % TAG_MEMBER_SLOTS;
			rules->member_slots[slot] = (uint16_t)(i * LANETAG_MAX_POLICIES + j + 1);
		}
	}
}

static int compare_ids(const void *a, const void *b)
{
	const struct listed_id *left = a, *right = b;

	return listed_id_compare(left->id, right->id);
}

static bool list_id(struct listed_ids *listed, const char *id, uint8_t policy,
		    struct source_place place)
{
	struct listed_id *entry = ARRAY_APPEND(listed->ids, listed->count);

	if (!entry)
		return false;
	*entry = (struct listed_id){.id = span_of(id), .policy = policy, .place = place};
	return true;
}

static uint8_t policy_of_value(const struct tag_rules *rules, size_t index, const char *value)
{
	uint8_t policy = 0;

	while (!span_equal(rules->values[index][policy], span_of(value)))
		policy++; /* the manifest holds only values that some policy has */
	return policy;
}

static void compile_id_lists(const struct compiler *compiler,
			     const struct tag_rule_manifest *manifest, size_t index)
{
	struct tag_rules *rules = compiler->rules;
	struct listed_ids *listed = &rules->listed[index];
	bool complete = true;

	for (size_t i = 0; i < manifest->include_count; i++) {
		const struct tag_include_manifest *include = &manifest->includes[i];
		uint8_t policy = policy_of_value(rules, index, include->tag_value);

		for (size_t j = 0; j < include->id_count; j++)
			complete &= list_id(listed, include->ids[j], policy, include->place);
	}
	for (size_t i = 0; i < manifest->exclude_count; i++)
		complete &= list_id(listed, manifest->excludes[i], LANETAG_POLICY_NONE,
				    manifest->place);
	if (!complete)
		complain(compiler, manifest->place, "include", "out of memory");
	if (listed->count == 0)
		return;
	qsort(listed->ids, listed->count, sizeof(*listed->ids), compare_ids);
	for (size_t i = 1; i < listed->count; i++) {
		if (compare_ids(&listed->ids[i - 1], &listed->ids[i]) == 0)
			complain(compiler, listed->ids[i].place, "include",
				 "an id stands in these lists twice");
	}
	rules->ruleset.rules[index].flags |= LANETAG_RULE_AGENT_ONLY;
}

static bool header_is_taken(const struct compiler *compiler,
			    const struct tag_rule_manifest *manifest)
{
	const struct tag_rules *rules = compiler->rules;

	for (size_t i = 0; i < rules->ruleset.rule_count; i++) {
		struct source_place other = rules->manifests[i]->tag_header_place;

		if (!tag_headers_alike(rules->headers[i], span_of(manifest->tag_header)))
			continue;
		diagnostics_add(compiler->diagnostics, DIAGNOSTIC_ERROR, manifest->tag_header_place,
				compiler->resource, "tagHeader",
				"%s has a rule already, at %s:%u:%u", manifest->tag_header,
				other.file, other.line, other.column);
		diagnostics_note_other(compiler->diagnostics, other);
		return true;
	}
	return false;
}

static void compile_rule(const struct compiler *compiler, const struct tag_rule_manifest *manifest)
{
	struct tag_rules *rules = compiler->rules;
	struct lanetag_ruleset *ruleset = &rules->ruleset;

	if (header_is_taken(compiler, manifest))
		return;
	if (ruleset->rule_count == LANETAG_MAX_RULES) {
		complain(compiler, manifest->place, "rules", "more than 64 rules");
		return;
	}
	int source = find_source(rules, manifest);
	if (source < 0) {
		complain(compiler, manifest->place, "header", "more than 8 different sources");
		return;
	}
	size_t index = ruleset->rule_count++;
	ruleset->rules[index].draw = (__u8)find_draw(ruleset, manifest, source);
	rules->manifests[index] = manifest;
	rules->has_hosts |= manifest->host_count != 0;
	rules->headers[index] = span_of(manifest->tag_header);
	note_header(rules, rules->headers[index]);
	compile_policies(compiler, manifest, index);
	compile_id_lists(compiler, manifest, index);
}

/* A tag in the place of an id would be hashed at the next hop. */
static void check_sources(const struct compiler *compiler)
{
	const struct tag_rules *rules = compiler->rules;

	for (size_t i = 0; i < rules->ruleset.rule_count; i++) {
		const struct lanetag_draw *draw =
			&rules->ruleset.draws[rules->ruleset.rules[i].draw];
		const struct lanetag_source *source = &rules->ruleset.sources[draw->source];

		if (source->kind == LANETAG_SOURCE_HEADER &&
		    tag_rules_owns_header(rules, (struct span){source->name, source->name_length}))
			complain(compiler, rules->manifests[i]->place, "header",
				 "is the tag header of a rule");
	}
}

int tag_rules_compile(const struct manifest_set *manifests, uint32_t generation,
		      struct diagnostics *diagnostics, struct tag_rules **ret_rules)
{
	struct tag_rules *rules = calloc(1, sizeof(*rules));
	struct compiler compiler = {.rules = rules, .diagnostics = diagnostics};
	size_t errors = diagnostics->error_count;

	if (!rules) {
		complain(&compiler, (struct source_place){0}, NULL, "out of memory");
		return -1;
	}
	rules->ruleset.generation = generation;
	for (size_t i = 0; i < manifests->wasm_plugin_count; i++) {
		const struct wasm_plugin_manifest *plugin = &manifests->wasm_plugins[i];
		char *title = resource_title(&plugin->resource);

		compiler.resource = title;
		for (size_t j = 0; j < plugin->rule_count; j++)
			compile_rule(&compiler, &plugin->rules[j]);
		check_sources(&compiler);
		compiler.resource = NULL;
		free(title);
	}
	write_members(&compiler);
	if (diagnostics->error_count != errors) {
		tag_rules_free(rules);
		return -1;
	}
	index_members(rules);
	lanetag_ruleset_index(&rules->ruleset);
	rules->sources_key = lanetag_xxh64(
		(const __u8 *)rules->ruleset.sources,
		(__u32)(rules->ruleset.source_count * sizeof(rules->ruleset.sources[0])), 0);
	*ret_rules = rules;
	return 0;
}

static bool find_lane(const struct tag_rules *rules, struct span header, struct span value,
		      uint32_t *ret_lane)
{
	for (size_t i = 0; i < rules->ruleset.rule_count; i++) {
		const struct lanetag_rule *rule = &rules->ruleset.rules[i];

		if (!tag_headers_alike(rules->headers[i], header))
			continue;
		if (!value.data) {
			*ret_lane = rule->untagged_lane;
			return true;
		}
		for (uint8_t j = 0; j < rule->policy_count; j++) {
			if (span_equal(rules->values[i][j], value)) {
				*ret_lane = rule->policies[j].lane;
				return true;
			}
		}
	}
	return false;
}

struct lane_numbers {
	const struct tag_rules *previous;
	bool taken[LANETAG_MAX_LANES]; /* by the previous rules or already by the new ones */
	uint32_t next;
};

static uint32_t lane_number(struct lane_numbers *numbers, struct span header, struct span value)
{
	uint32_t lane;

	if (find_lane(numbers->previous, header, value, &lane))
		return lane;
	/* Never given out before, as long as there are any: a lane's counters then start at 0. */
	for (uint32_t i = 0; i < LANETAG_MAX_LANES; i++) {
		lane = (numbers->next + i) % LANETAG_MAX_LANES;
		if (!numbers->taken[lane])
			break;
	}
	numbers->taken[lane] = true;
	numbers->next = lane + 1;
	return lane;
}

static void mark_taken(struct lane_numbers *numbers, const struct tag_rules *rules)
{
	for (size_t i = 0; i < rules->ruleset.rule_count; i++) {
		const struct lanetag_rule *rule = &rules->ruleset.rules[i];

		numbers->taken[rule->untagged_lane] = true;
		for (uint8_t j = 0; j < rule->policy_count; j++)
			numbers->taken[rule->policies[j].lane] = true;
	}
}

void tag_rules_set_generation(struct tag_rules *rules, uint32_t generation)
{
	rules->ruleset.generation = generation;
}

void tag_rules_assign_lanes(struct tag_rules *rules, const struct tag_rules *previous)
{
	struct lane_numbers numbers = {.previous = previous, .next = previous->next_lane};

	mark_taken(&numbers, previous);
	for (size_t i = 0; i < rules->ruleset.rule_count; i++) {
		struct lanetag_rule *rule = &rules->ruleset.rules[i];

		for (uint8_t j = 0; j < rule->policy_count; j++)
			rule->policies[j].lane = UINT32_MAX;
		for (uint8_t j = 0; j < rule->policy_count; j++) {
			uint32_t lane = lane_of_value(rules, i, j);

			rule->policies[j].lane = lane == UINT32_MAX
							 ? lane_number(&numbers, rules->headers[i],
								       rules->values[i][j])
							 : lane;
		}
		rule->untagged_lane = lane_number(&numbers, rules->headers[i], (struct span){0});
	}
	rules->next_lane = numbers.next;
}
