/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/status.h"

#include <jansson.h>
#include <stdlib.h>

#include "manifest/unenforced.h"
#include "manifest/wasm_plugin.h"
#include "version.h"

static json_t *describe_lane(const struct admin_snapshot *snapshot, json_t *tag_value,
			     uint32_t lane)
{
	uint64_t requests = snapshot->statistics.lane_mark_agreed[lane] +
			    snapshot->statistics.lane_mark_unused[lane];

	const struct lane_outcomes *outcomes = &snapshot->statistics.lane_outcomes[lane];

	return json_pack("{s:o, s:I, s:I}", "tagValue", tag_value, "requests", (json_int_t)requests,
			 "failed", (json_int_t)(outcomes->responses[0] + outcomes->responses[5]));
}

static json_t *describe_rules(const struct admin_snapshot *snapshot)
{
	const struct tag_rules *rules = snapshot->configuration->tag_rules;
	json_t *list = json_array();

	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		const struct lanetag_rule *rule = &tag_rules_ruleset(rules)->rules[i];
		struct span header = tag_rules_header(rules, i);
		json_t *lanes = json_array();

		for (uint8_t j = 0; j < rule->policy_count; j++) {
			struct span value = tag_rules_value(rules, i, j);
			json_array_append_new(lanes,
					      describe_lane(snapshot,
							    json_stringn(value.data, value.length),
							    rule->policies[j].lane));
		}
		json_array_append_new(lanes,
				      describe_lane(snapshot, json_null(), rule->untagged_lane));
		json_array_append_new(list, json_pack("{s:s%, s:s?, s:o}", "tagHeader", header.data,
						      header.length, "name",
						      tag_rules_manifest(rules, i)->name, "lanes",
						      lanes));
	}
	return list;
}

static json_t *describe_destination(const struct admin_snapshot *snapshot,
				    const struct mesh_cluster *cluster)
{
	const struct upstream_series *series = &snapshot->upstreams[cluster->series];
	uint64_t left_out = series->endpoints_left_out, requests = 0;

	for (size_t i = 0; i < SERIES_ENDS; i++)
		requests += series->requests[i];
	return json_pack(
		"{s:s, s:s?, s:i, s:I, s:I, s:I, s:I}", "host", cluster->host, "subset",
		cluster->subset, "port", (int)cluster->port, "endpoints",
		(json_int_t)cluster->endpoint_count, "healthy",
		(json_int_t)(left_out < cluster->endpoint_count ? cluster->endpoint_count - left_out
								: 0),
		"requests", (json_int_t)requests, "failed",
		(json_int_t)(series->requests[SERIES_5XX] + series->requests[SERIES_FAILED]));
}

/* Those that have counters of their own. */
static json_t *describe_destinations(const struct admin_snapshot *snapshot)
{
	const struct mesh *mesh = snapshot->configuration->mesh;
	json_t *list = json_array();

	for (size_t i = 0; i < mesh_cluster_count(mesh); i++) {
		if (mesh_cluster(mesh, i)->series)
			json_array_append_new(
				list, describe_destination(snapshot, mesh_cluster(mesh, i)));
	}
	return list;
}

static json_t *describe_table(const struct tagger_table *table)
{
	return json_pack("{s:I, s:I, s:I}", "entries", (json_int_t)table->entries, "capacity",
			 (json_int_t)table->capacity, "evictions", (json_int_t)table->evictions);
}

static json_t *describe_tables(const struct admin_snapshot *snapshot)
{
	if (!snapshot->kernel_active)
		return json_null();
	return json_pack("{s:o, s:o}", "flows", describe_table(&snapshot->kernel_tables.flows),
			 "marks", describe_table(&snapshot->kernel_tables.marks));
}

/* Many more would say no more. */
#define MAX_NOT_ENFORCED 50

static json_t *describe_unenforced(const struct manifest_set *set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->unenforced_count && i < MAX_NOT_ENFORCED; i++) {
		const struct unenforced *one = &set->unenforced[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s?}", "resource",
						      one->title, "namespace", one->namespace,
						      "lost", one->lost, "hosts", one->hosts));
	}
	return list;
}

void status_write(const struct admin_snapshot *snapshot, struct buffer *out)
{
	const struct proxy_statistics *statistics = &snapshot->statistics;
	json_t *status = json_pack(
		"{s:s, s:I, s:b, s:o, s:{s:I, s:I, s:I, s:b, s:s?, s:I, s:o}, s:{s:I, s:I, s:I}, "
		"s:I, s:o, s:o, s:o}",
		"version", LANETAG_VERSION, "generation",
		(json_int_t)snapshot->configuration->generation, "kernelTagger",
		snapshot->kernel_active, "kernelTables", describe_tables(snapshot), "reloads",
		"succeeded", (json_int_t)snapshot->reloads_succeeded, "failed",
		(json_int_t)snapshot->reloads_failed, "partial",
		(json_int_t)snapshot->reloads_partial, "lastFailed", snapshot->last_reload_failed,
		"lastError", snapshot->last_reload_error, "unreadableSources",
		(json_int_t)(snapshot->rejections ? snapshot->rejections->unreadable : 0),
		"rejected", rejections_json(snapshot->rejections), "decisions", "agreed",
		(json_int_t)statistics->marks_agreed, "unused",
		(json_int_t)statistics->marks_unused, "disagreements",
		(json_int_t)statistics->disagreements, "requests", (json_int_t)statistics->requests,
		"rules", describe_rules(snapshot), "destinations", describe_destinations(snapshot),
		"notEnforced", describe_unenforced(&snapshot->configuration->manifests));
	char *text = status ? json_dumps(status, JSON_INDENT(2)) : NULL;

	if (text)
		buffer_append_text(out, text);
	else
		out->failed = true;
	buffer_append_byte(out, '\n');
	free(text);
	json_decref(status);
}
