/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/check_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/array.h"
#include "cli/output.h"
#include "manifest/destination_rule.h"
#include "manifest/gateway.h"
#include "manifest/header_propagation.h"
#include "manifest/reference_grant.h"
#include "manifest/service.h"
#include "manifest/virtual_service.h"
#include "manifest/wasm_plugin.h"
#include "manifest/workload.h"
#include "policy/cohorts.h"

#define MAX_KINDS 16

/* How many resources of each kind there are. */
struct kind_counts {
	const char *kinds[MAX_KINDS];
	size_t counts[MAX_KINDS];
	size_t count;
};

static void count_kind(struct kind_counts *counts, const char *kind)
{
	size_t i = 0;

	while (i < counts->count && strcmp(counts->kinds[i], kind) != 0)
		i++;
	if (i == MAX_KINDS)
		return;
	if (i == counts->count)
		counts->kinds[counts->count++] = kind;
	counts->counts[i]++;
}

static struct kind_counts count_kinds(const struct manifest_set *set)
{
	struct kind_counts counts = {0};

	for (size_t i = 0; i < set->wasm_plugin_count; i++)
		count_kind(&counts, set->wasm_plugins[i].resource.kind);
	for (size_t i = 0; i < set->header_propagation_count; i++)
		count_kind(&counts, set->header_propagations[i].resource.kind);
	for (size_t i = 0; i < set->gateway_count; i++)
		count_kind(&counts, set->gateways[i].resource.kind);
	for (size_t i = 0; i < set->virtual_service_count; i++)
		count_kind(&counts, set->virtual_services[i].resource.kind);
	for (size_t i = 0; i < set->destination_rule_count; i++)
		count_kind(&counts, set->destination_rules[i].resource.kind);
	for (size_t i = 0; i < set->service_count; i++)
		count_kind(&counts, set->services[i].resource.kind);
	for (size_t i = 0; i < set->workload_count; i++)
		count_kind(&counts, set->workloads[i].resource.kind);
	for (size_t i = 0; i < set->reference_grant_count; i++)
		count_kind(&counts, set->reference_grants[i].resource.kind);
	return counts;
}

/* What a range seems to say and does not; false where there is nothing to note. */
static bool note_of_policy(const struct tag_policy_manifest *policy, uint32_t modulo,
			   struct buffer *note)
{
	if (policy->form != POLICY_FORM_RANGE)
		return false;
	if (policy->as_written + 1 >= modulo)
		buffer_printf(note, "range %" PRIu64 " of modulo %" PRIu32 " is everybody",
			      policy->as_written, modulo);
	else
		buffer_printf(note,
			      "range %" PRIu64 " is 0 to %" PRIu64 ", both included: %" PRIu64
			      " remainders",
			      policy->as_written, policy->as_written, policy->as_written + 1);
	return true;
}

static void print_share(const char *name, uint64_t share, uint32_t modulo)
{
	char percent[PERCENT_TEXT];

	printf("  %-16s %" PRIu64 " of %" PRIu32 " remainders, %s", name, share, modulo,
	       output_percent((double)share / modulo, percent));
}

static void print_policy(const struct tag_rules *rules, size_t rule_index, uint8_t index)
{
	const struct tag_rule_manifest *rule = tag_rules_manifest(rules, rule_index);
	struct tag_interval held[LANETAG_MAX_POLICIES];
	size_t count = tag_rules_intervals(rules, rule_index, index, held);
	struct buffer note = {0};

	print_share(rule->policies[index].tag_value, tag_rules_share(rules, rule_index, index),
		    rule->modulo);
	for (size_t i = 0; i < count; i++)
		printf("%s%" PRIu32 "-%" PRIu32, i ? ", " : " (", held[i].from, held[i].to - 1);
	puts(count ? ")" : "");
	if (note_of_policy(&rule->policies[index], rule->modulo, &note))
		printf("  %-16s %s\n", "", buffer_text(&note));
	buffer_free(&note);
}

static uint64_t untagged_share(const struct tag_rules *rules, size_t index)
{
	const struct tag_rule_manifest *rule = tag_rules_manifest(rules, index);
	uint64_t untagged = rule->modulo;

	for (size_t i = 0; i < rule->policy_count; i++)
		untagged -= tag_rules_share(rules, index, (uint8_t)i);
	return untagged;
}

static size_t included_count(const struct tag_rule_manifest *rule)
{
	size_t count = 0;

	for (size_t i = 0; i < rule->include_count; i++)
		count += rule->includes[i].id_count;
	return count;
}

static void print_rule(const struct tag_rules *rules, size_t index)
{
	const struct tag_rule_manifest *rule = tag_rules_manifest(rules, index);

	printf("%s", rule->tag_header);
	if (rule->name)
		printf(" (%s)", rule->name);
	printf(": %s of %s %% %" PRIu32, hash_kind_name(rule->hash), rule->source_name,
	       rule->modulo);
	for (size_t i = 0; i < rule->host_count; i++)
		printf("%s%s", i ? ", " : ", of requests to ", rule->hosts[i]);
	putchar('\n');
	for (size_t i = 0; i < rule->policy_count; i++)
		print_policy(rules, index, (uint8_t)i);
	print_share("(untagged)", untagged_share(rules, index), rule->modulo);
	putchar('\n');
	if (rule->include_count || rule->exclude_count)
		printf("  and ids that the rule lists: %zu included, %zu excluded\n",
		       included_count(rule), rule->exclude_count);
}

static const char *relation_text(const struct cohort_pair *pair)
{
	switch (pair->relation) {
	case COHORTS_INDEPENDENT:
		return "independent";
	case COHORTS_SAME:
		return "nested: the same users";
	case COHORTS_FIRST_INSIDE:
		return "nested: the first's users are among the second's";
	case COHORTS_SECOND_INSIDE:
		return "nested: the second's users are among the first's";
	case COHORTS_EXCLUSIVE:
		return "exclusive: no user gets both";
	case COHORTS_OVERLAPPING:
		return "overlapping";
	}
	return "unknown";
}

/* What ties remainders that are not simply the same; NULL: nothing to say. */
static const char *tie_text(const struct cohort_pair *pair)
{
	if (pair->relation == COHORTS_INDEPENDENT)
		return NULL;
	switch (pair->tie) {
	case COHORTS_SAME_HASH:
		return "the same hash by different modulos (a salt makes them independent)";
	case COHORTS_LOW_BITS:
		return "whatever the salt, fnv1a32 ties the low bits that an even modulo sees "
		       "(xxh32 and xxh64 do not)";
	default:
		return NULL;
	}
}

static void print_pair(const struct tag_rules *rules, size_t first, size_t second)
{
	struct cohort_pair pair;
	char both[PERCENT_TEXT], chance[PERCENT_TEXT];

	cohorts_compare(rules, first, second, &pair);
	const char *tie = tie_text(&pair);
	printf("%.*s and %.*s: %s", SPAN_ARGUMENTS(tag_rules_header(rules, first)),
	       SPAN_ARGUMENTS(tag_rules_header(rules, second)), relation_text(&pair));
	if (pair.relation != COHORTS_EXCLUSIVE)
		printf("; %s get both, by chance %s", output_percent(pair.both, both),
		       output_percent(pair.first * pair.second, chance));
	if (tie)
		printf("; %s", tie);
	putchar('\n');
}

static void print_next_hop(const struct mesh_cluster *next_hop)
{
	if (next_hop)
		printf("tag only: every request goes to %s port %u (%zu endpoint%s)\n",
		       next_hop->host, next_hop->port, next_hop->endpoint_count,
		       next_hop->endpoint_count == 1 ? "" : "s");
}

void check_print(const struct configuration *configuration)
{
	const struct tag_rules *rules = configuration->tag_rules;
	const struct manifest_set *set = &configuration->manifests;
	struct kind_counts kinds = count_kinds(set);

	for (size_t i = 0; i < tag_rules_count(rules); i++)
		print_rule(rules, i);
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		for (size_t j = i + 1; j < tag_rules_count(rules); j++)
			print_pair(rules, i, j);
	}
	print_next_hop(mesh_next_hop(configuration->mesh));
	for (size_t i = 0; i < kinds.count; i++)
		printf("%s%zu %s%s", i ? ", " : "resources: ", kinds.counts[i], kinds.kinds[i],
		       i + 1 == kinds.count ? "\n" : "");
	for (size_t i = 0; i < set->passed_over_count; i++)
		printf("passed over: %zu of %s %s\n", set->passed_over[i].count,
		       set->passed_over[i].api_version, set->passed_over[i].kind);
	printf("%zu file%s, no errors\n", set->file_count, set->file_count == 1 ? "" : "s");
}

static json_t *json_place(unsigned number)
{
	return number ? json_integer(number) : json_null();
}

static json_t *json_diagnostics(const struct diagnostics *diagnostics)
{
	json_t *list = json_array();

	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];
		const char *severity = item->severity == DIAGNOSTIC_WARNING ? "warning" : "error";

		json_array_append_new(
			list, json_pack("{s:s, s:o, s:o, s:o, s:o}", "severity", severity, "file",
					item->file ? output_json_text(span_of(item->file), NULL)
						   : json_null(),
					"line", json_place(item->line), "column",
					json_place(item->column), "text",
					output_json_text(span_of(item->text), NULL)));
	}
	return list;
}

static json_t *json_policy(const struct tag_rules *rules, size_t rule_index, uint8_t index)
{
	const struct tag_rule_manifest *rule = tag_rules_manifest(rules, rule_index);
	struct tag_interval held[LANETAG_MAX_POLICIES];
	size_t count = tag_rules_intervals(rules, rule_index, index, held);
	uint64_t share = tag_rules_share(rules, rule_index, index);
	json_t *remainders = json_array();
	struct buffer note = {0};

	for (size_t i = 0; i < count; i++)
		json_array_append_new(remainders, json_pack("[I, I]", (json_int_t)held[i].from,
							    (json_int_t)held[i].to));
	json_t *policy = json_pack(
		"{s:o, s:o, s:I, s:f}", "tagValue",
		output_json_text(tag_rules_value(rules, rule_index, index), NULL), "slots",
		remainders, "remainders", (json_int_t)share, "share", (double)share / rule->modulo);
	if (note_of_policy(&rule->policies[index], rule->modulo, &note))
		json_object_set_new(policy, "note", json_string(buffer_text(&note)));
	buffer_free(&note);
	return policy;
}

static json_t *json_rule(const struct tag_rules *rules, size_t index)
{
	const struct tag_rule_manifest *rule = tag_rules_manifest(rules, index);
	uint64_t untagged = untagged_share(rules, index);
	json_t *policies = json_array(), *hosts = json_array();

	for (size_t i = 0; i < rule->policy_count; i++)
		json_array_append_new(policies, json_policy(rules, index, (uint8_t)i));
	for (size_t i = 0; i < rule->host_count; i++)
		json_array_append_new(hosts, json_string(rule->hosts[i]));
	return json_pack("{s:s, s:s?, s:o, s:s, s:s, s:I, s:o, s:{s:I, s:f}, s:I, s:I}",
			 "tagHeader", rule->tag_header, "name", rule->name, "hosts", hosts,
			 tag_rules_source_kind(rules, index), rule->source_name, "hash",
			 hash_kind_name(rule->hash), "modulo", (json_int_t)rule->modulo, "policies",
			 policies, "untagged", "remainders", (json_int_t)untagged, "share",
			 (double)untagged / rule->modulo, "included",
			 (json_int_t)included_count(rule), "excluded",
			 (json_int_t)rule->exclude_count);
}

static json_t *json_pair(const struct tag_rules *rules, size_t first, size_t second)
{
	static const char *const relations[] = {
		[COHORTS_INDEPENDENT] = "independent", [COHORTS_SAME] = "nested",
		[COHORTS_FIRST_INSIDE] = "nested",     [COHORTS_SECOND_INSIDE] = "nested",
		[COHORTS_EXCLUSIVE] = "exclusive",     [COHORTS_OVERLAPPING] = "overlapping",
	};
	struct cohort_pair pair;

	cohorts_compare(rules, first, second, &pair);
	const char *tie = tie_text(&pair);
	json_t *object =
		json_pack("{s:[o, o], s:s, s:[f, f], s:f, s:f}", "rules",
			  output_json_text(tag_rules_header(rules, first), NULL),
			  output_json_text(tag_rules_header(rules, second), NULL), "relation",
			  relations[pair.relation], "shares", pair.first, pair.second, "both",
			  pair.both, "byChance", pair.first * pair.second);
	if (pair.relation == COHORTS_SAME)
		json_object_set_new(object, "inside", json_string("each other"));
	if (pair.relation == COHORTS_FIRST_INSIDE)
		json_object_set_new(object, "inside", json_string("first in second"));
	if (pair.relation == COHORTS_SECOND_INSIDE)
		json_object_set_new(object, "inside", json_string("second in first"));
	if (tie)
		json_object_set_new(object, "note", json_string(tie));
	return object;
}

static void add_manifests(const struct manifest_set *set, json_t *report)
{
	struct kind_counts kinds = count_kinds(set);
	json_t *resources = json_object(), *passed_over = json_array();

	for (size_t i = 0; i < kinds.count; i++)
		json_object_set_new(resources, kinds.kinds[i],
				    json_integer((json_int_t)kinds.counts[i]));
	for (size_t i = 0; i < set->passed_over_count; i++)
		json_array_append_new(passed_over,
				      json_pack("{s:s, s:s, s:I}", "apiVersion",
						set->passed_over[i].api_version, "kind",
						set->passed_over[i].kind, "count",
						(json_int_t)set->passed_over[i].count));
	json_object_set_new(report, "files", json_integer((json_int_t)set->file_count));
	json_object_set_new(report, "resources", resources);
	json_object_set_new(report, "passedOver", passed_over);
}

static void add_next_hop(const struct mesh_cluster *next_hop, json_t *report)
{
	if (next_hop)
		json_object_set_new(report, "nextHop",
				    json_pack("{s:s, s:i, s:I}", "host", next_hop->host, "port",
					      (int)next_hop->port, "endpoints",
					      (json_int_t)next_hop->endpoint_count));
}

json_t *check_json(const struct configuration *configuration, const struct diagnostics *diagnostics,
		   const struct rejections *rejections)
{
	json_t *report = json_object(), *rules = json_array(), *cohorts = json_array();

	json_object_set_new(report, "valid", json_boolean(configuration != NULL));
	json_object_set_new(report, "diagnostics", json_diagnostics(diagnostics));
	json_object_set_new(report, "rejected", rejections_json(rejections));
	for (size_t i = 0; configuration && i < tag_rules_count(configuration->tag_rules); i++) {
		json_array_append_new(rules, json_rule(configuration->tag_rules, i));
		for (size_t j = i + 1; j < tag_rules_count(configuration->tag_rules); j++)
			json_array_append_new(cohorts, json_pair(configuration->tag_rules, i, j));
	}
	json_object_set_new(report, "rules", rules);
	json_object_set_new(report, "cohorts", cohorts);
	if (configuration) {
		add_next_hop(mesh_next_hop(configuration->mesh), report);
		add_manifests(&configuration->manifests, report);
	}
	return report;
}
