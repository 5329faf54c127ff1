/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/explanation.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

/* A request as it leaves the gateway: the id in every header that a rule reads, and the tags. */
struct explained {
	const struct configuration *configuration;
	struct tag_decision decision;
	struct http_request_head head;
	struct http_edit request;
	uint64_t hash; /* decides weights, as in the proxy */
};

/* As the proxy takes it: of the first rule that drew one. */
static uint64_t routing_hash(const struct tag_rules *rules, const struct tag_decision *decision)
{
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		if (decision->rules[i].has_remainder)
			return decision->rules[i].hash;
	}
	return 0;
}

static void explain(const struct configuration *configuration, struct span id,
		    struct explained *explained)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	const struct tag_rules *rules = configuration->tag_rules;
	const struct lanetag_ruleset *ruleset = tag_rules_ruleset(rules);
	struct http_refusal refusal;

	explained->configuration = configuration;
	tag_rules_decide_id(rules, id, &explained->decision);
	http_request_parse(text, sizeof(text) - 1, 0, &http_default_limits, &explained->head,
			   &refusal);
	http_edit_start(&explained->request, &explained->head);
	for (uint8_t i = 0; i < ruleset->source_count; i++) {
		const struct lanetag_source *source = &ruleset->sources[i];

		if (source->kind == LANETAG_SOURCE_HEADER)
			http_edit_add(&explained->request,
				      (struct span){source->name, source->name_length}, id);
	}
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		const struct tag_rule_decision *decision = &explained->decision.rules[i];

		if (decision->policy != LANETAG_POLICY_NONE)
			http_edit_add(&explained->request, tag_rules_header(rules, i),
				      tag_rules_value(rules, i, decision->policy));
	}
	explained->hash = routing_hash(rules, &explained->decision);
}

/* Why a route leads nowhere; NULL where it leads to a cluster. */
static const char *why_nowhere(const struct route_result *result)
{
	switch (result->action) {
	case ROUTE_FORWARD:
		return NULL;
	case ROUTE_NO_HOST:
		return "no host";
	case ROUTE_NO_MATCH:
		return "no route matches";
	case ROUTE_NO_ENDPOINT:
		return "no endpoint";
	case ROUTE_REDIRECT:
		return "redirect";
	case ROUTE_DIRECT_RESPONSE:
		return "direct response";
	}
	return "unknown";
}

static void write_route_text(const struct route_result *result, struct buffer *out)
{
	const char *nowhere = why_nowhere(result);

	if (result->cluster)
		buffer_printf(out, "  %s -> %s", result->cluster->host,
			      result->cluster->subset ? result->cluster->subset : "any");
	else
		buffer_append_text(out, "  -");
	if (nowhere)
		buffer_printf(out, " (%s)", nowhere);
	buffer_append_byte(out, '\n');
}

void explanation_write_text(const struct configuration *configuration, struct span id,
			    struct buffer *out)
{
	const struct tag_rules *rules = configuration->tag_rules;
	struct explained explained;
	struct route_result result;

	explain(configuration, id, &explained);
	buffer_printf(out, "user %.*s\n", SPAN_ARGUMENTS(id));
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		const struct tag_rule_decision *decision = &explained.decision.rules[i];
		struct span tag = span_of("(no tag)");

		if (decision->policy != LANETAG_POLICY_NONE)
			tag = tag_rules_value(rules, i, decision->policy);
		buffer_printf(out, "  %-16.*s %-16.*s ", SPAN_ARGUMENTS(tag_rules_header(rules, i)),
			      SPAN_ARGUMENTS(tag));
		if (decision->has_remainder)
			buffer_printf(out, "%.*s: hash %" PRIu64 ", remainder %" PRIu32 "\n",
				      SPAN_ARGUMENTS(tag_rules_source_name(rules, i)),
				      decision->hash, decision->remainder);
		else
			buffer_printf(out, "%.*s: not hashed\n",
				      SPAN_ARGUMENTS(tag_rules_source_name(rules, i)));
	}
	for (size_t i = 0; i < mesh_explain_count(configuration->mesh); i++) {
		mesh_explain(configuration->mesh, i, &explained.request, explained.hash, &result);
		write_route_text(&result, out);
	}
}

static bool is_plain(struct span text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < 0x20 || text.data[i] > 0x7e || text.data[i] == '"' ||
		    text.data[i] == '\\')
			return false;
	}
	return true;
}

/* Bytes that are no UTF-8 are taken for ISO-8859-1, as header values once were. */
static json_t *json_of_latin1(struct span text)
{
	struct buffer utf8 = {0};

	for (size_t i = 0; i < text.length; i++) {
		unsigned char byte = (unsigned char)text.data[i];

		if (byte >= 0x80)
			buffer_append_byte(&utf8, (char)(0xc0 | byte >> 6));
		buffer_append_byte(&utf8, (char)(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte));
	}
	json_t *value = utf8.failed ? NULL : json_stringn(utf8.data, utf8.length);
	buffer_free(&utf8);
	return value;
}

static void write_json_string(struct span text, struct buffer *out)
{
	if (is_plain(text)) {
		buffer_append_byte(out, '"');
		buffer_append_span(out, text);
		buffer_append_byte(out, '"');
		return;
	}
	json_t *value = json_stringn(text.data, text.length);
	if (!value)
		value = json_of_latin1(text);
	char *encoded = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
	if (encoded)
		buffer_append_text(out, encoded);
	else
		out->failed = true;
	free(encoded);
	json_decref(value);
}

static void write_member(const char *name, struct span value, struct buffer *out)
{
	buffer_printf(out, "\"%s\":", name);
	if (value.data)
		write_json_string(value, out);
	else
		buffer_append_text(out, "null");
}

static const char *source_member(const struct lanetag_ruleset *ruleset, size_t rule)
{
	static const char *const names[] = {"header", "cookie", "queryParam"};
	uint8_t source = ruleset->draws[ruleset->rules[rule].draw].source;

	return names[ruleset->sources[source].kind];
}

static void write_rule_json(const struct explained *explained, size_t rule, struct buffer *out)
{
	const struct tag_rules *rules = explained->configuration->tag_rules;
	const struct tag_rule_decision *decision = &explained->decision.rules[rule];
	struct span tag = {0};

	if (decision->policy != LANETAG_POLICY_NONE)
		tag = tag_rules_value(rules, rule, decision->policy);
	buffer_append_byte(out, '{');
	write_member("tagHeader", tag_rules_header(rules, rule), out);
	buffer_append_byte(out, ',');
	write_member(source_member(tag_rules_ruleset(rules), rule),
		     tag_rules_source_name(rules, rule), out);
	if (decision->has_remainder)
		buffer_printf(out, ",\"hash\":%" PRIu64 ",\"remainder\":%" PRIu32 ",",
			      decision->hash, decision->remainder);
	else
		buffer_append_text(out, ",\"hash\":null,\"remainder\":null,");
	write_member("tagValue", tag, out);
	buffer_append_byte(out, '}');
}

static void write_route_json(const struct route_result *result, struct buffer *out)
{
	const struct mesh_cluster *cluster = result->cluster;
	const char *nowhere = why_nowhere(result);

	buffer_append_byte(out, '{');
	write_member("host", span_of(cluster ? cluster->host : NULL), out);
	buffer_append_byte(out, ',');
	write_member("subset", span_of(cluster ? cluster->subset : NULL), out);
	if (nowhere) {
		buffer_append_byte(out, ',');
		write_member("reason", span_of(nowhere), out);
	}
	buffer_append_byte(out, '}');
}

void explanation_write_json(const struct configuration *configuration, struct span id,
			    struct buffer *out)
{
	struct explained explained;
	struct route_result result;

	explain(configuration, id, &explained);
	buffer_append_byte(out, '{');
	write_member("user", id, out);
	buffer_append_text(out, ",\"rules\":[");
	for (size_t i = 0; i < tag_rules_count(configuration->tag_rules); i++) {
		if (i)
			buffer_append_byte(out, ',');
		write_rule_json(&explained, i, out);
	}
	buffer_append_text(out, "],\"routes\":[");
	for (size_t i = 0; i < mesh_explain_count(configuration->mesh); i++) {
		mesh_explain(configuration->mesh, i, &explained.request, explained.hash, &result);
		if (i)
			buffer_append_byte(out, ',');
		write_route_json(&result, out);
	}
	buffer_append_text(out, "]}\n");
}
