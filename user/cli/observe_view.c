/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/observe_view.h"

#include <errno.h>
#include <jansson.h>
#include <time.h>

#define CLEAR_SCREEN "\033[H\033[J"

/* One lane of one rule, with its numbers. */
struct lane_row {
	struct span value; /* data NULL: untagged */
	uint64_t requests;
	double share; /* of the rule's requests, 0 to 1 */
	double per_second;
};

struct rule_rows {
	struct lane_row lanes[LANETAG_MAX_POLICIES + 1]; /* the last one is "untagged" */
	size_t count;
	uint64_t requests;
};

static double seconds_between(const struct observe_sample *from, const struct observe_sample *to)
{
	return (double)(to->time_ns - from->time_ns) / 1e9;
}

static void add_lane(const struct observe_report *report, struct rule_rows *rows, struct span value,
		     uint32_t lane)
{
	double seconds = seconds_between(report->previous, report->now);
	uint64_t recent = report->now->requests[lane] - report->previous->requests[lane];

	rows->lanes[rows->count++] = (struct lane_row){
		.value = value,
		.requests = report->now->requests[lane] - report->start->requests[lane],
		.per_second = seconds > 0 ? (double)recent / seconds : 0,
	};
}

/* Several policies may give the same tag value: they share a lane. */
static bool lane_seen(const struct lanetag_rule *rule, uint8_t policy)
{
	for (uint8_t i = 0; i < policy; i++) {
		if (rule->policies[i].lane == rule->policies[policy].lane)
			return true;
	}
	return false;
}

static void count_rule(const struct observe_report *report, size_t index,
		       struct rule_rows *ret_rows)
{
	const struct lanetag_rule *rule = &tag_rules_ruleset(report->rules)->rules[index];

	ret_rows->count = 0;
	ret_rows->requests = 0;
	for (uint8_t i = 0; i < rule->policy_count; i++) {
		if (!lane_seen(rule, i))
			add_lane(report, ret_rows, tag_rules_value(report->rules, index, i),
				 rule->policies[i].lane);
	}
	add_lane(report, ret_rows, (struct span){0}, rule->untagged_lane);
	for (size_t i = 0; i < ret_rows->count; i++)
		ret_rows->requests += ret_rows->lanes[i].requests;
	for (size_t i = 0; i < ret_rows->count && ret_rows->requests; i++)
		ret_rows->lanes[i].share =
			(double)ret_rows->lanes[i].requests / (double)ret_rows->requests;
}

static bool agent_only(const struct observe_report *report, size_t index)
{
	return tag_rules_ruleset(report->rules)->rules[index].flags & LANETAG_RULE_AGENT_ONLY;
}

static void show_events(const struct observe_report *report, const char *separator, FILE *stream)
{
	for (size_t i = 0; i < tagger_event_kinds() && i < OBSERVE_MAX_EVENTS; i++) {
		uint64_t count = report->now->events[i] - report->start->events[i];

		if (count)
			fprintf(stream, "%s%s=%llu", separator, tagger_event_name(i),
				(unsigned long long)count);
	}
	fputc('\n', stream);
}

static void show_screen(const struct observe_report *report, FILE *stream)
{
	fprintf(stream, CLEAR_SCREEN "lanetag observe: %zu interfaces, program %s, %.0f s\n\n",
		tagger_attached_interfaces(report->tagger), tagger_variant(report->tagger),
		seconds_between(report->start, report->now));
	fprintf(stream, "%-24s %-20s %12s %8s %12s\n", "TAG HEADER", "VALUE", "REQUESTS", "SHARE",
		"PER SECOND");
	for (size_t i = 0; i < tag_rules_count(report->rules); i++) {
		struct span header = tag_rules_header(report->rules, i);
		struct rule_rows rows;

		count_rule(report, i, &rows);
		for (size_t j = 0; j < rows.count; j++) {
			const struct lane_row *lane = &rows.lanes[j];

			fprintf(stream, "%-24.*s %-20.*s %12llu %7.2f%% %12.1f\n",
				j ? 0 : (int)header.length, header.data,
				lane->value.data ? (int)lane->value.length : 10,
				lane->value.data ? lane->value.data : "(untagged)",
				(unsigned long long)lane->requests, lane->share * 100,
				lane->per_second);
		}
		if (agent_only(report, i))
			fprintf(stream, "%-24s has id lists: only an agent can decide it\n", "");
	}
	fputs("\nflows and requests:", stream);
	show_events(report, " ", stream);
}

static void show_lines(const struct observe_report *report, FILE *stream)
{
	double elapsed = seconds_between(report->start, report->now);

	for (size_t i = 0; i < tag_rules_count(report->rules); i++) {
		struct span header = tag_rules_header(report->rules, i);
		struct rule_rows rows;

		count_rule(report, i, &rows);
		for (size_t j = 0; j < rows.count; j++) {
			const struct lane_row *lane = &rows.lanes[j];

			fprintf(stream, "elapsed=%.1f tagHeader=%.*s tagValue=", elapsed,
				SPAN_ARGUMENTS(header));
			if (lane->value.data)
				fprintf(stream, "\"%.*s\"", SPAN_ARGUMENTS(lane->value));
			else
				fputs("none", stream);
			fprintf(stream, " requests=%llu share=%.2f%% perSecond=%.1f\n",
				(unsigned long long)lane->requests, lane->share * 100,
				lane->per_second);
		}
		if (agent_only(report, i))
			fprintf(stream, "elapsed=%.1f tagHeader=%.*s agentOnly=true\n", elapsed,
				SPAN_ARGUMENTS(header));
	}
	fprintf(stream, "elapsed=%.1f", elapsed);
	show_events(report, " ", stream);
}

static json_t *text_of(struct span text)
{
	return text.data ? json_stringn(text.data, text.length) : json_null();
}

static json_t *rule_object(const struct observe_report *report, size_t index)
{
	struct rule_rows rows;
	json_t *values = json_array();

	count_rule(report, index, &rows);
	for (size_t i = 0; i < rows.count; i++)
		json_array_append_new(values, json_pack("{s:o, s:I, s:f, s:f}", "tagValue",
							text_of(rows.lanes[i].value), "requests",
							(json_int_t)rows.lanes[i].requests, "share",
							rows.lanes[i].share, "perSecond",
							rows.lanes[i].per_second));
	return json_pack("{s:o, s:o, s:b, s:I, s:o}", "tagHeader",
			 text_of(tag_rules_header(report->rules, index)), "source",
			 text_of(tag_rules_source_name(report->rules, index)), "agentOnly",
			 agent_only(report, index), "requests", (json_int_t)rows.requests, "values",
			 values);
}

static json_t *report_object(const struct observe_report *report)
{
	json_t *rules = json_array(), *events = json_object();

	for (size_t i = 0; i < tag_rules_count(report->rules); i++)
		json_array_append_new(rules, rule_object(report, i));
	for (size_t i = 0; i < tagger_event_kinds() && i < OBSERVE_MAX_EVENTS; i++)
		json_object_set_new(events, tagger_event_name(i),
				    json_integer((json_int_t)(report->now->events[i] -
							      report->start->events[i])));
	return json_pack("{s:f, s:I, s:s, s:o, s:o}", "elapsed",
			 seconds_between(report->start, report->now), "interfaces",
			 (json_int_t)tagger_attached_interfaces(report->tagger), "variant",
			 tagger_variant(report->tagger), "rules", rules, "events", events);
}

static void show_json(const struct observe_report *report, FILE *stream)
{
	json_t *object = report_object(report);

	if (object) {
		json_dumpf(object, stream,
			   JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
		fputc('\n', stream);
	}
	json_decref(object);
}

int observe_show(const struct observe_report *report, enum observe_format format, FILE *stream)
{
	if (format == OBSERVE_JSON)
		show_json(report, stream);
	else if (format == OBSERVE_SCREEN)
		show_screen(report, stream);
	else
		show_lines(report, stream);
	return fflush(stream) == 0 ? 0 : -errno;
}
