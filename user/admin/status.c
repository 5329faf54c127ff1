/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/status.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *describe_lane(const struct admin_snapshot *snapshot, json_t *tag_value,
			     uint32_t lane)
{
	uint64_t requests = snapshot->statistics.lane_by_kernel[lane] +
			    snapshot->statistics.lane_by_agent[lane];

	return json_pack("{s:o, s:I}", "tagValue", tag_value, "requests", (json_int_t)requests);
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
		json_array_append_new(list, json_pack("{s:s%, s:o}", "tagHeader", header.data,
						      header.length, "lanes", lanes));
	}
	return list;
}

void status_write(const struct admin_snapshot *snapshot, struct buffer *out)
{
	const struct proxy_statistics *statistics = &snapshot->statistics;
	json_t *status = json_pack(
		"{s:s, s:I, s:b, s:{s:I, s:I, s:b, s:s?}, s:{s:I, s:I, s:I}, s:I, s:o}", "version",
		LANETAG_VERSION, "generation", (json_int_t)snapshot->configuration->generation,
		"kernelTagger", snapshot->kernel_active, "reloads", "succeeded",
		(json_int_t)snapshot->reloads_succeeded, "failed",
		(json_int_t)snapshot->reloads_failed, "lastFailed", snapshot->last_reload_failed,
		"lastError", snapshot->last_reload_error, "decisions", "kernel",
		(json_int_t)statistics->decided_by_kernel, "agent",
		(json_int_t)statistics->decided_by_agent, "disagreements",
		(json_int_t)statistics->disagreements, "requests", (json_int_t)statistics->requests,
		"rules", describe_rules(snapshot));
	char *text = status ? json_dumps(status, JSON_INDENT(2)) : NULL;

	if (text)
		buffer_append_text(out, text);
	else
		out->failed = true;
	buffer_append_byte(out, '\n');
	free(text);
	json_decref(status);
}
