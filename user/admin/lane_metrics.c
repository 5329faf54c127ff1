/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/lane_metrics.h"

#include "admin/exposition.h"
#include "base/array.h"

/* One lane of the rules in force, while lanes are stepped through. */
struct lane {
	struct span labels; /* its tag header and tag value, or "untagged" */
	uint32_t number;
};

typedef void lane_writer(const struct admin_snapshot *snapshot, const struct lane *lane,
			 struct buffer *out);

/* Policies with the same tag value share a lane: it is written once. */
static bool lane_is_repeated(const struct lanetag_rule *rule, uint8_t policy)
{
	for (uint8_t i = 0; i < policy; i++) {
		if (rule->policies[i].lane == rule->policies[policy].lane)
			return true;
	}
	return false;
}

static void write_lane(const struct admin_snapshot *snapshot, struct span rule, struct span value,
		       uint32_t number, lane_writer *writer, struct buffer *out)
{
	struct buffer labels = {0};

	buffer_append_text(&labels, "rule=\"");
	exposition_label_value(&labels, rule);
	buffer_append_text(&labels, "\",tag_value=\"");
	exposition_label_value(&labels, value);
	buffer_append_byte(&labels, '"');
	out->failed = out->failed || labels.failed;
	writer(snapshot, &(struct lane){buffer_span(&labels), number}, out);
	buffer_free(&labels);
}

static size_t lane_count(const struct lanetag_rule *rule)
{
	size_t count = 1; /* untagged */

	for (uint8_t i = 0; i < rule->policy_count; i++)
		count += !lane_is_repeated(rule, i);
	return count;
}

/* The rules from the first one on whose lanes together are not more than the snapshot's limit. */
static size_t detailed_rules(const struct admin_snapshot *snapshot, size_t *ret_lanes_behind)
{
	const struct tag_rules *rules = snapshot->configuration->tag_rules;
	size_t lanes = 0, detailed = 0;

	*ret_lanes_behind = 0;
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		size_t count = lane_count(&tag_rules_ruleset(rules)->rules[i]);

		lanes += count;
		if (lanes <= snapshot->detailed_lanes)
			detailed++;
		else
			*ret_lanes_behind += count;
	}
	return detailed;
}

/* Of the first `rule_count` rules. */
static void write_each_lane(const struct admin_snapshot *snapshot, size_t rule_count,
			    lane_writer *writer, struct buffer *out)
{
	const struct tag_rules *rules = snapshot->configuration->tag_rules;
	const struct lanetag_ruleset *ruleset = tag_rules_ruleset(rules);

	for (size_t i = 0; i < rule_count; i++) {
		const struct lanetag_rule *rule = &ruleset->rules[i];
		struct span header = tag_rules_header(rules, i);

		for (uint8_t j = 0; j < rule->policy_count; j++) {
			if (!lane_is_repeated(rule, j))
				write_lane(snapshot, header, tag_rules_value(rules, i, j),
					   rule->policies[j].lane, writer, out);
		}
		write_lane(snapshot, header, span_of("untagged"), rule->untagged_lane, writer, out);
	}
}

static void write_requests(const struct admin_snapshot *snapshot, const struct lane *lane,
			   struct buffer *out)
{
	const struct proxy_statistics *statistics = &snapshot->statistics;

	exposition_sample(out, "lanetag_lane_requests_total", lane->labels, "mark=\"agreed\"",
			  statistics->lane_mark_agreed[lane->number]);
	exposition_sample(out, "lanetag_lane_requests_total", lane->labels, "mark=\"unused\"",
			  statistics->lane_mark_unused[lane->number]);
}

static void write_kernel_requests(const struct admin_snapshot *snapshot, const struct lane *lane,
				  struct buffer *out)
{
	exposition_sample(out, "lanetag_kernel_lane_requests_total", lane->labels, NULL,
			  snapshot->kernel_lane_requests[lane->number]);
}

static void write_responses(const struct admin_snapshot *snapshot, const struct lane *lane,
			    struct buffer *out)
{
	static const char *const classes[] = {
		"class=\"none\"", "class=\"1xx\"", "class=\"2xx\"",
		"class=\"3xx\"",  "class=\"4xx\"", "class=\"5xx\"",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(classes); i++)
		exposition_sample(out, "lanetag_lane_responses_total", lane->labels, classes[i],
				  snapshot->statistics.lane_outcomes[lane->number].responses[i]);
}

static void write_request_bytes(const struct admin_snapshot *snapshot, const struct lane *lane,
				struct buffer *out)
{
	exposition_sample(out, "lanetag_lane_request_bytes_total", lane->labels, NULL,
			  snapshot->statistics.lane_outcomes[lane->number].request_bytes);
}

static void write_response_bytes(const struct admin_snapshot *snapshot, const struct lane *lane,
				 struct buffer *out)
{
	exposition_sample(out, "lanetag_lane_response_bytes_total", lane->labels, NULL,
			  snapshot->statistics.lane_outcomes[lane->number].response_bytes);
}

static void write_durations(const struct admin_snapshot *snapshot, const struct lane *lane,
			    struct buffer *out)
{
	const struct lane_outcomes *outcomes = &snapshot->statistics.lane_outcomes[lane->number];
	const struct histogram histogram = {
		.bounds = outcome_bounds_us,
		.bound_count = OUTCOME_BUCKETS,
		.counts = outcomes->durations,
		.sum = outcomes->duration_us,
		.per_second = 1000000,
	};

	exposition_histogram(out, "lanetag_lane_request_duration_seconds", lane->labels,
			     &histogram);
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	lane_writer *writer;
	bool of_kernel; /* only where the tagger runs */
	bool is_detail; /* only of so many lanes */
} families[] = {
	{"lanetag_lane_requests_total", "counter",
	 "Requests at the gateway per rule and tag value, by who decided.", write_requests, false,
	 false},
	{"lanetag_kernel_lane_requests_total", "counter",
	 "Requests per rule and tag value as the kernel tagger counted them.",
	 write_kernel_requests, true, false},
	{"lanetag_lane_responses_total", "counter",
	 "Requests at the gateway that came to their end, by class of status; none: the client or "
	 "the upstream left before.",
	 write_responses, false, true},
	{"lanetag_lane_request_bytes_total", "counter", "Bytes of requests' bodies at the gateway.",
	 write_request_bytes, false, true},
	{"lanetag_lane_response_bytes_total", "counter",
	 "Bytes of responses' bodies at the gateway.", write_response_bytes, false, true},
	{"lanetag_lane_request_duration_seconds", "histogram",
	 "From a request's head to the end of its response, at the gateway.", write_durations,
	 false, true},
};

void lane_metrics_write(const struct admin_snapshot *snapshot, struct buffer *out)
{
	size_t behind, all = tag_rules_count(snapshot->configuration->tag_rules);
	size_t detailed = detailed_rules(snapshot, &behind);

	exposition_single(out, "lanetag_lanes_without_detail", "gauge",
			  "Lanes of rules that only have their requests counted here: more than "
			  "--limit detailed-lanes.",
			  behind);
	for (size_t i = 0; i < ARRAY_LENGTH(families); i++) {
		if (families[i].of_kernel && !snapshot->kernel_active)
			continue;
		exposition_family(out, families[i].name, families[i].type, families[i].help);
		write_each_lane(snapshot, families[i].is_detail ? detailed : all,
				families[i].writer, out);
	}
}
