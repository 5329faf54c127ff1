/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/http_match.h"

#include "base/array.h"
#include "http/values.h"

#define MATCH_MAX_TEXT 4096

static void read_string_match(const struct builder *builder, const struct node *node,
			      const struct path *path, bool may_be_empty,
			      struct string_match_manifest *match)
{
	static const struct field_rule fields[] = {
		{"exact", FIELD_READ},
		{"prefix", FIELD_READ},
		{"regex", FIELD_READ},
	};

	static const enum string_match_kind kinds[] = {
		STRING_MATCH_EXACT,
		STRING_MATCH_PREFIX,
		STRING_MATCH_REGEX,
	};
	size_t given = 0;

	if (!node_is_null(node))
		reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	match->place = builder_place(builder, node);
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
		const char *text = builder_text(builder, node, path, fields[i].name);
		if (!text)
			continue;
		given++;
		match->kind = kinds[i];
		match->text = text;
		match->place = builder_place(builder, node_get(node, fields[i].name));
		if (strlen(text) > MATCH_MAX_TEXT)
			reader_error(&builder->reader, node, path, "longer than %d bytes",
				     MATCH_MAX_TEXT);
		else if (!*text && match->kind != STRING_MATCH_EXACT)
			reader_error(&builder->reader, node, path, "must not be empty");
	}
	/* No regular expression: to Istio it says that there must be one. */
	if (may_be_empty && match->kind == STRING_MATCH_REGEX && strcmp(match->text, "*") == 0)
		match->kind = STRING_MATCH_PRESENT;
	bool says_nothing = node_is_null(node) || (node->kind == NODE_MAPPING && !node->count);
	if (says_nothing && may_be_empty)
		match->kind = STRING_MATCH_PRESENT;
	else if (says_nothing)
		reader_error(&builder->reader, node, path, "needs one of exact, prefix, regex");
	else if (given > 1)
		reader_error(&builder->reader, node, path,
			     "only one of exact, prefix, regex may stand here");
}

static void read_optional_match(const struct builder *builder, const struct node *mapping,
				const struct path *parent, const char *field,
				struct string_match_manifest *match)
{
	struct path path = path_field(parent, field);
	struct node *node = node_get(mapping, field);

	if (!node_is_null(node))
		read_string_match(builder, node, &path, false, match);
}

/* A mapping of names to conditions: headers, withoutHeaders, queryParams. */
static void read_named_matches(const struct builder *builder, const struct node *mapping,
			       const struct path *parent, const char *field, bool are_headers,
			       const struct named_match_manifest **ret_matches, size_t *ret_count)
{
	struct path path = path_field(parent, field);
	struct node *node = reader_child(&builder->reader, mapping, parent, field, NODE_MAPPING);
	size_t count = 0;

	if (!node)
		return;
	struct named_match_manifest *matches =
		builder_array(builder, node, node->count, sizeof(*matches));
	for (size_t i = 0; matches && i < node->count; i++) {
		struct span name = node->keys[i]->text;
		struct path item = path_field(&path, name.data);

		if (are_headers ? !http_is_token(name) : !name.length) {
			reader_error(&builder->reader, node->keys[i], &item, "is no %s",
				     are_headers ? "header name (Istio's pseudo headers are uri, "
						   "scheme, method and authority here)"
						 : "parameter name");
			continue;
		}
		matches[count].name = arena_copy(builder->arena, name);
		if (!matches[count].name)
			return;
		read_string_match(builder, node->items[i], &item, true, &matches[count].match);
		count++;
	}
	*ret_matches = matches;
	*ret_count = count;
}

void http_match_read(const struct builder *builder, const struct node *node,
		     const struct path *path, struct http_match_manifest *match)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_IGNORED},
		{"statPrefix", FIELD_IGNORED},
		{"uri", FIELD_READ},
		{"scheme", FIELD_READ},
		{"method", FIELD_READ},
		{"authority", FIELD_READ},
		{"headers", FIELD_READ},
		{"withoutHeaders", FIELD_READ},
		{"queryParams", FIELD_READ},
		{"ignoreUriCase", FIELD_READ},
		{"port", FIELD_READ},
		{"sourceLabels", FIELD_READ},
		{"sourceNamespace", FIELD_READ},
		{"gateways", FIELD_READ},
	};

	match->place = builder_place(builder, node);
	/* {} takes every request, as in Istio; nothing at all is more likely a slip. */
	if (node->kind != NODE_MAPPING)
		reader_error(&builder->reader, node, path, "must be a mapping");
	else
		reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	read_optional_match(builder, node, path, "uri", &match->uri);
	read_optional_match(builder, node, path, "scheme", &match->scheme);
	read_optional_match(builder, node, path, "method", &match->method);
	read_optional_match(builder, node, path, "authority", &match->authority);
	read_named_matches(builder, node, path, "headers", true, &match->headers,
			   &match->header_count);
	read_named_matches(builder, node, path, "withoutHeaders", true, &match->without_headers,
			   &match->without_header_count);
	read_named_matches(builder, node, path, "queryParams", false, &match->query_params,
			   &match->query_param_count);
	reader_bool(&builder->reader, node, path, "ignoreUriCase", &match->ignore_uri_case);
	match->port = (uint16_t)builder_number(builder, node, path, "port", 1, UINT16_MAX, 0);
	builder_labels(builder, node, path, "sourceLabels", &match->source_labels);
	match->source_namespace = builder_text(builder, node, path, "sourceNamespace");
	builder_texts(builder, node, path, "gateways", &match->gateways, &match->gateway_count);
}
