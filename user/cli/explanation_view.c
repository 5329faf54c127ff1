/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/explanation_view.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/output.h"
#include "manifest/wasm_plugin.h"

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
	case ROUTE_UNDECIDED:
		return "undecided: too long for a regular expression";
	case ROUTE_NO_ENDPOINT:
		return result->cluster->missing ? result->cluster->missing : "no endpoint";
	case ROUTE_REDIRECT:
		return "redirect";
	case ROUTE_DIRECT_RESPONSE:
		return "direct response";
	case ROUTE_REJECTED:
		return "configuration rejected";
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

static void write_intervals(const struct tag_rules *rules, size_t rule, uint8_t policy,
			    struct buffer *out)
{
	struct tag_interval held[LANETAG_MAX_POLICIES];
	size_t count = tag_rules_intervals(rules, rule, policy, held);

	for (size_t i = 0; i < count; i++)
		buffer_printf(out, "%s%" PRIu32 "-%" PRIu32, i ? ", " : "", held[i].from,
			      held[i].to - 1);
}

/* Which remainders decided: those of the policy, or all that the id missed. */
static void write_reason(const struct tag_rules *rules, size_t rule,
			 const struct tag_rule_decision *decision, struct buffer *out)
{
	const struct lanetag_rule *compiled = &tag_rules_ruleset(rules)->rules[rule];
	const struct tag_rule_manifest *manifest = tag_rules_manifest(rules, rule);

	if (decision->policy != lanetag_rule_policy(compiled, decision->remainder)) {
		buffer_append_text(out, decision->policy == LANETAG_POLICY_NONE
						? ": the rule excludes this id"
						: ": the rule includes this id");
	} else if (decision->policy != LANETAG_POLICY_NONE) {
		buffer_append_text(out, " is in ");
		write_intervals(rules, rule, decision->policy, out);
	} else {
		buffer_append_text(out, " is not in ");
		for (uint8_t i = 0; i < compiled->policy_count; i++) {
			buffer_append_text(out, i ? ", " : "");
			write_intervals(rules, rule, i, out);
			buffer_printf(out, " (%s)", manifest->policies[i].tag_value);
		}
	}
}

static void write_rule_notes(const struct tag_rule_manifest *manifest, struct buffer *out)
{
	if (manifest->name)
		buffer_printf(out, " (%s)", manifest->name);
	for (size_t i = 0; i < manifest->host_count; i++)
		buffer_printf(out, "%s%s", i ? ", " : "; only of requests to ", manifest->hosts[i]);
}

static void write_rule_text(const struct tag_rules *rules, size_t rule,
			    const struct tag_rule_decision *decision, struct buffer *out)
{
	const struct tag_rule_manifest *manifest = tag_rules_manifest(rules, rule);
	struct span tag = span_of("(no tag)");

	if (decision->policy != LANETAG_POLICY_NONE)
		tag = tag_rules_value(rules, rule, decision->policy);
	buffer_printf(
		out, "  %-16.*s %-16.*s %s %s: ", SPAN_ARGUMENTS(tag_rules_header(rules, rule)),
		SPAN_ARGUMENTS(tag), tag_rules_source_kind(rules, rule), manifest->source_name);
	if (decision->has_remainder) {
		buffer_printf(out, "%s %" PRIu64 " %% %" PRIu32 ", remainder %" PRIu32,
			      hash_kind_name(manifest->hash), decision->hash, manifest->modulo,
			      decision->remainder);
		write_reason(rules, rule, decision, out);
	} else {
		buffer_append_text(out, "no id, not hashed");
	}
	write_rule_notes(manifest, out);
	buffer_append_byte(out, '\n');
}

void explanation_write_text(const struct configuration *configuration, struct span id,
			    const struct explained_target *target, struct buffer *out)
{
	const struct tag_rules *rules = configuration->tag_rules;
	struct explained explained;
	struct route_result result;

	explanation_start(&explained, configuration, id, true);
	explanation_ask(&explained, target);
	buffer_append_text(out, "user ");
	buffer_append_span(out, id);
	buffer_append_byte(out, '\n');
	if (target->access_log_key)
		buffer_printf(out, "  access log %016" PRIx64 "\n",
			      keyed_hash(target->access_log_key, id));
	for (size_t i = 0; i < tag_rules_count(rules); i++)
		write_rule_text(rules, i, &explained.decision.rules[i], out);
	if (target->path.data)
		buffer_printf(out, "  path %.*s\n", SPAN_ARGUMENTS(target->path));
	for (size_t i = 0; i < mesh_explain_count(configuration->mesh); i++) {
		explanation_route(&explained, i, &result);
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

/* Gives true if the text is no UTF-8 and stands as ISO-8859-1. */
static bool write_json_string(struct span text, struct buffer *out)
{
	bool latin1 = false;

	if (is_plain(text)) {
		buffer_append_byte(out, '"');
		buffer_append_span(out, text);
		buffer_append_byte(out, '"');
		return false;
	}
	json_t *value = output_json_text(text, &latin1);
	char *encoded = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
	if (encoded)
		buffer_append_text(out, encoded);
	else
		out->failed = true;
	free(encoded);
	json_decref(value);
	return latin1;
}

static void write_member(const char *name, struct span value, struct buffer *out)
{
	buffer_printf(out, "\"%s\":", name);
	if (value.data)
		write_json_string(value, out);
	else
		buffer_append_text(out, "null");
}

#define TAG_NONE LANETAG_MAX_POLICIES

struct explained_words {
	struct buffer before[LANETAG_MAX_RULES];
	struct buffer tags[LANETAG_MAX_RULES][LANETAG_MAX_POLICIES + 1]; /* the last: none */
};

static void write_words(struct explained_words *words, const struct tag_rules *rules, size_t rule)
{
	struct buffer *before = &words->before[rule];

	buffer_append_byte(before, '{');
	write_member("tagHeader", tag_rules_header(rules, rule), before);
	buffer_append_byte(before, ',');
	if (tag_rules_manifest(rules, rule)->name) {
		write_member("name", span_of(tag_rules_manifest(rules, rule)->name), before);
		buffer_append_byte(before, ',');
	}
	write_member(tag_rules_source_kind(rules, rule), tag_rules_source_name(rules, rule),
		     before);
	for (uint8_t i = 0; i <= TAG_NONE; i++) {
		struct span value = {0};

		if (i < tag_rules_ruleset(rules)->rules[rule].policy_count)
			value = tag_rules_value(rules, rule, i);
		write_member("tagValue", value, &words->tags[rule][i]);
		buffer_append_byte(&words->tags[rule][i], '}');
	}
}

struct explained_words *explained_words_new(const struct configuration *configuration)
{
	struct explained_words *words = calloc(1, sizeof(*words));

	for (size_t i = 0; words && i < tag_rules_count(configuration->tag_rules); i++)
		write_words(words, configuration->tag_rules, i);
	return words;
}

void explained_words_free(struct explained_words *words)
{
	for (size_t i = 0; words && i < LANETAG_MAX_RULES; i++) {
		buffer_free(&words->before[i]);
		for (size_t j = 0; j <= TAG_NONE; j++)
			buffer_free(&words->tags[i][j]);
	}
	free(words);
}

static void write_number(uint64_t number, struct buffer *out)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	buffer_append(out, digits + at, sizeof(digits) - at);
}

static void write_rule_json(const struct explained *explained, const struct explained_words *words,
			    size_t rule, struct buffer *out)
{
	const struct tag_rule_decision *decision = &explained->decision.rules[rule];
	size_t tag = decision->policy == LANETAG_POLICY_NONE ? TAG_NONE : decision->policy;

	buffer_append_span(out, buffer_span(&words->before[rule]));
	if (decision->has_remainder) {
		buffer_append_text(out, ",\"hash\":");
		write_number(decision->hash, out);
		buffer_append_text(out, ",\"remainder\":");
		write_number(decision->remainder, out);
		buffer_append_byte(out, ',');
	} else {
		buffer_append_text(out, ",\"hash\":null,\"remainder\":null,");
	}
	buffer_append_span(out, buffer_span(&words->tags[rule][tag]));
}

static void write_route_json(const struct route_result *result, struct buffer *out)
{
	const struct mesh_cluster *cluster = result->cluster;
	const char *nowhere = why_nowhere(result);

	buffer_append_byte(out, '{');
	write_member("host", span_of(cluster ? cluster->host : NULL), out);
	buffer_append_byte(out, ',');
	write_member("subset", span_of(cluster ? cluster->subset : NULL), out);
	if (nowhere && !cluster) {
		buffer_append_byte(out, ',');
		write_member("reason", span_of(nowhere), out);
	}
	buffer_append_byte(out, '}');
}

void explanation_write_json(const struct configuration *configuration,
			    const struct explained_words *words, struct span id,
			    const struct explained_target *target, struct buffer *out)
{
	struct explained explained;
	struct route_result result;

	explanation_start(&explained, configuration, id, true);
	explanation_ask(&explained, target);
	buffer_append_byte(out, '{');
	buffer_append_text(out, "\"user\":");
	if (write_json_string(id, out))
		buffer_append_text(out, ",\"userEncoding\":\"iso-8859-1\"");
	if (target->access_log_key)
		buffer_printf(out, ",\"accessLog\":\"%016" PRIx64 "\"",
			      keyed_hash(target->access_log_key, id));
	if (target->path.data) {
		buffer_append_byte(out, ',');
		write_member("path", target->path, out);
	}
	buffer_append_text(out, ",\"rules\":[");
	for (size_t i = 0; i < tag_rules_count(configuration->tag_rules); i++) {
		if (i)
			buffer_append_byte(out, ',');
		write_rule_json(&explained, words, i, out);
	}
	buffer_append_text(out, "],\"routes\":[");
	for (size_t i = 0; i < mesh_explain_count(configuration->mesh); i++) {
		explanation_route(&explained, i, &result);
		if (i)
			buffer_append_byte(out, ',');
		write_route_json(&result, out);
	}
	buffer_append_text(out, "]}\n");
}
