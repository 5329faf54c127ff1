/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/explanation.h"

/* As the proxy takes it: of the first rule that drew one. */
static uint64_t routing_hash(const struct tag_rules *rules, const struct tag_decision *decision)
{
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		if (decision->rules[i].has_remainder)
			return decision->rules[i].hash;
	}
	return 0;
}

void explanation_start(struct explained *explained, const struct configuration *configuration,
		       struct span id, bool with_tags)
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
	for (size_t i = 0; with_tags && i < tag_rules_count(rules); i++) {
		const struct tag_rule_decision *decision = &explained->decision.rules[i];

		if (decision->policy != LANETAG_POLICY_NONE)
			http_edit_add(&explained->request, tag_rules_header(rules, i),
				      tag_rules_value(rules, i, decision->policy));
	}
	explained->hash = routing_hash(rules, &explained->decision);
}

int explained_target_read(struct span text, enum http_path_normalization way, struct buffer *room,
			  struct explained_target *ret_target, const char **ret_reason)
{
	struct http_request_head head;
	struct http_refusal refusal = {.reason = "more than a target"};
	struct buffer request = {0};
	bool ends_early = !text.length || memchr(text.data, ' ', text.length);

	buffer_printf(&request, "GET %.*s HTTP/1.1\r\nHost: localhost\r\n\r\n",
		      SPAN_ARGUMENTS(text));
	bool is_good = !request.failed && !ends_early &&
		       http_request_parse(request.data, request.length, 0, &http_default_limits,
					  &head, &refusal) == HTTP_PARSE_COMPLETE;
	if (is_good && http_path_normalize(head.path, way, room) == HTTP_PATH_REFUSED) {
		refusal.reason = "%00 in the path";
		is_good = false;
	}
	*ret_reason = refusal.reason;
	if (is_good) {
		size_t length = room->length;

		if (!length)
			buffer_append_span(room, head.path);
		length = room->length;
		buffer_append_span(room, head.query);
		ret_target->path = (struct span){room->data, length};
		ret_target->query = (struct span){head.query.data ? room->data + length : NULL,
						  head.query.length};
	}
	buffer_free(&request);
	return is_good && !room->failed ? 0 : -1;
}

void explanation_ask(struct explained *explained, const struct explained_target *target)
{
	if (!target->path.data)
		return;
	explained->head.path = target->path;
	explained->head.query = target->query;
}

void explanation_route(const struct explained *explained, size_t index,
		       struct route_result *ret_result)
{
	mesh_explain(explained->configuration->mesh, index, &explained->request, explained->hash,
		     ret_result);
}
