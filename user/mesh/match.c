/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/match.h"

#include "http/values.h"

enum outcome {
	OUTCOME_NO,
	OUTCOME_YES,
	OUTCOME_UNKNOWN, /* neither is known */
};

void match_request_start(struct match_request *request, const struct route_query *query)
{
	struct span path = query->request->head->path;

	/* The values are defined by their bits alone. */
	request->query = query;
	request->path = path.length ? path : span_of("/");
	request->looked_up = 0;
	request->present = 0;
	request->regex_work = 0;
	request->undecided = false;
}

static enum outcome match_regex(const struct regex *regex, struct match_request *request,
				struct span text)
{
	request->regex_work += regex_work(regex, text);
	if (request->regex_work > MATCH_MAX_REGEX_WORK) {
		request->undecided = true;
		return OUTCOME_UNKNOWN;
	}
	switch (regex_match(regex, text)) {
	case REGEX_MATCH:
		return OUTCOME_YES;
	case REGEX_NO_MATCH:
		return OUTCOME_NO;
	default:
		request->undecided = true;
		return OUTCOME_UNKNOWN;
	}
}

static enum outcome match_text(const struct text_match *match, struct match_request *request,
			       struct span text)
{
	switch (match->kind) {
	case STRING_MATCH_EXACT:
		return match->ignore_case ? span_equal_ignore_case(text, match->text)
					  : span_equal(text, match->text);
	case STRING_MATCH_PREFIX:
		return match->ignore_case ? span_starts_with_ignore_case(text, match->text)
					  : span_starts_with(text, match->text);
	case STRING_MATCH_REGEX:
		return match_regex(match->regex, request, text);
	default:
		return OUTCOME_YES;
	}
}

static bool text_holds(const struct text_match *match, struct match_request *request,
		       struct span text)
{
	return match_text(match, request, text) != OUTCOME_NO;
}

bool match_request_header(const struct header_match *header, struct match_request *request,
			  struct span *ret_value)
{
	if (header->slot >= MATCH_CACHED_HEADERS)
		return http_edit_get(request->query->request, header->name, ret_value);
	uint64_t bit = UINT64_C(1) << header->slot;
	if (!(request->looked_up & bit)) {
		request->looked_up |= bit;
		if (http_edit_get(request->query->request, header->name,
				  &request->values[header->slot]))
			request->present |= bit;
	}
	if (!(request->present & bit))
		return false;
	*ret_value = request->values[header->slot];
	return true;
}

static enum outcome match_header(const struct header_match *header, struct match_request *request)
{
	struct span value;

	return match_request_header(header, request, &value)
		       ? match_text(&header->match, request, value)
		       : OUTCOME_NO;
}

/* Of withoutHeaders: a field that is missing counts as an empty one, unless any value will do. */
static enum outcome match_unwanted_header(const struct header_match *header,
					  struct match_request *request)
{
	struct span value;

	if (match_request_header(header, request, &value))
		return match_text(&header->match, request, value);
	return header->match.kind == STRING_MATCH_PRESENT
		       ? OUTCOME_NO
		       : match_text(&header->match, request, span_of(""));
}

static bool headers_hold(const struct http_match *match, struct match_request *request)
{
	for (size_t i = 0; i < match->header_count; i++) {
		if (match_header(&match->headers[i], request) == OUTCOME_NO)
			return false;
	}
	for (size_t i = 0; i < match->without_header_count; i++) {
		if (match_unwanted_header(&match->without_headers[i], request) == OUTCOME_YES)
			return false;
	}
	return true;
}

static bool query_params_hold(const struct http_match *match, struct match_request *request)
{
	for (size_t i = 0; i < match->query_param_count; i++) {
		const struct query_match *parameter = &match->query_params[i];
		struct span value;

		if (!http_query_parameter(request->query->request->head->query, parameter->name,
					  &value))
			return false;
		if (!value.data)
			value = span_of("");
		if (!text_holds(&parameter->match, request, value))
			return false;
	}
	return true;
}

static bool source_holds(const struct http_match *match, const struct route_query *query)
{
	if (match->source_namespace &&
	    (!query->source_namespace || strcmp(match->source_namespace, query->source_namespace)))
		return false;
	if (!match->source_labels)
		return true;
	return query->source_labels && labels_select(match->source_labels, query->source_labels);
}

/* Explain's requests come in by no listener: the VirtualService is given. */
static bool is_visible(const struct http_match *match, const struct route_query *query,
		       size_t gateway)
{
	return !match->export_to || gateway != GATEWAY_MESH || !query->listener ||
	       export_includes(match->export_to, query->source_namespace);
}

static bool way_in_holds(const struct http_match *match, const struct route_query *query,
			 size_t gateway)
{
	if (match->port && (!query->listener || query->listener->port != match->port))
		return false;
	for (size_t i = 0; i < match->gateway_count; i++) {
		if (match->gateways[i] == gateway)
			return true;
	}
	return match->gateway_count == 0;
}

bool http_match_is_for_caller(const struct http_match *match, const struct route_query *query,
			      size_t gateway)
{
	return way_in_holds(match, query, gateway) && source_holds(match, query) &&
	       is_visible(match, query, gateway);
}

/* Cheap conditions first. Where one does not hold, it does not matter what another could not say. */
bool http_match_holds(const struct http_match *match, struct match_request *request, size_t gateway)
{
	const struct http_request_head *head = request->query->request->head;

	request->undecided = false;
	return http_match_is_for_caller(match, request->query, gateway) &&
	       text_holds(&match->method, request, head->method) &&
	       text_holds(&match->scheme, request, span_of("http")) &&
	       text_holds(&match->uri, request, request->path) &&
	       text_holds(&match->authority, request, head->authority) &&
	       headers_hold(match, request) && query_params_hold(match, request);
}

static bool is_any_path(const struct text_match *uri)
{
	switch (uri->kind) {
	case STRING_MATCH_NONE:
		return true;
	case STRING_MATCH_PREFIX:
		return span_equal(uri->text, span_of("/"));
	case STRING_MATCH_REGEX:
		return span_equal(uri->text, span_of(".*"));
	default:
		return false;
	}
}

bool http_match_is_catch_all(const struct http_match *match)
{
	return is_any_path(&match->uri) && match->scheme.kind == STRING_MATCH_NONE &&
	       match->method.kind == STRING_MATCH_NONE &&
	       match->authority.kind == STRING_MATCH_NONE && !match->header_count &&
	       !match->without_header_count && !match->query_param_count && !match->port &&
	       !match->source_labels && !match->source_namespace && !match->gateway_count &&
	       !match->export_to;
}
