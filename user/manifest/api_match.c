/* SPDX-License-Identifier: GPL-2.0-only */
/* An HTTPRoute's rules[].matches[]. */
#include "base/array.h"
#include "http/values.h"
#include "manifest/api_route.h"

#define MATCH_MAX_TEXT 4096

/* type: Exact or RegularExpression, and value. */
static void read_value(const struct builder *builder, const struct node *node,
		       const struct path *path, struct string_match_manifest *match)
{
	struct path type_path = path_field(path, "type"), value_path = path_field(path, "value");
	const char *type = builder_text(builder, node, path, "type");

	match->place = builder_place(builder, node);
	match->kind = STRING_MATCH_EXACT;
	match->text = builder_required_text(builder, node, path, "value");
	if (!match->text)
		match->text = "";
	if (type && strcmp(type, "RegularExpression") == 0)
		match->kind = STRING_MATCH_REGEX;
	else if (type && strcmp(type, "Exact") != 0)
		reader_error(&builder->reader, node_get(node, "type"), &type_path,
			     "must be Exact or RegularExpression");
	if (strlen(match->text) > MATCH_MAX_TEXT)
		reader_error(&builder->reader, node_get(node, "value"), &value_path,
			     "longer than %d bytes", MATCH_MAX_TEXT);
}

static bool is_known(const struct named_match_manifest *matches, size_t count, const char *name,
		     bool are_headers)
{
	for (size_t i = 0; i < count; i++) {
		if (are_headers ? span_equal_ignore_case(span_of(matches[i].name), span_of(name))
				: strcmp(matches[i].name, name) == 0)
			return true;
	}
	return false;
}

/* headers, queryParams: of several with one name the first counts. */
static void read_values(const struct builder *builder, const struct node *mapping,
			const struct path *parent, const char *field, bool are_headers,
			const struct named_match_manifest **ret_matches, size_t *ret_count)
{
	static const struct field_rule fields[] = {
		{"type", FIELD_READ},
		{"name", FIELD_READ},
		{"value", FIELD_READ},
	};
	struct path path = path_field(parent, field);
	struct node *list = reader_child(&builder->reader, mapping, parent, field, NODE_SEQUENCE);

	if (!list)
		return;
	if (list->count > 16) {
		reader_error(&builder->reader, list, &path, "more than 16");
		return;
	}
	struct named_match_manifest *matches =
		builder_array(builder, list, list->count, sizeof(*matches));
	for (size_t i = 0; matches && i < list->count; i++) {
		struct path item = path_item(&path, i);
		const struct node *node = list->items[i];

		if (!reader_check_fields(&builder->reader, node, &item, fields,
					 ARRAY_LENGTH(fields)))
			continue;
		const char *name = builder_required_text(builder, node, &item, "name");
		if (!name || is_known(matches, *ret_count, name, are_headers))
			continue;
		if (are_headers && !http_is_token(span_of(name))) {
			reader_error(&builder->reader, node, &item, "is no header name");
			continue;
		}
		matches[*ret_count].name = name;
		read_value(builder, node, &item, &matches[(*ret_count)++].match);
	}
	*ret_matches = matches;
}

static void read_path(const struct builder *builder, const struct node *mapping,
		      const struct path *parent, struct api_match *match)
{
	static const struct field_rule fields[] = {{"type", FIELD_READ}, {"value", FIELD_READ}};
	struct path path = path_field(parent, "path"), type_path = path_field(&path, "type");
	struct path value_path = path_field(&path, "value");
	struct node *node = reader_child(&builder->reader, mapping, parent, "path", NODE_MAPPING);
	const char *type = node ? builder_text(builder, node, &path, "type") : NULL;
	const char *value = node ? builder_text(builder, node, &path, "value") : NULL;

	match->kind = API_PATH_PREFIX;
	match->path = value && *value ? value : "/";
	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	if (type && strcmp(type, "Exact") == 0)
		match->kind = API_PATH_EXACT;
	else if (type && strcmp(type, "RegularExpression") == 0)
		match->kind = API_PATH_REGEX;
	else if (type && strcmp(type, "PathPrefix") != 0)
		reader_error(&builder->reader, node_get(node, "type"), &type_path,
			     "must be Exact, PathPrefix or RegularExpression");
	if (match->kind != API_PATH_REGEX && match->path[0] != '/')
		reader_error(&builder->reader, node_get(node, "value"), &value_path,
			     "must begin with /");
	if (strlen(match->path) > MATCH_MAX_TEXT)
		reader_error(&builder->reader, node_get(node, "value"), &value_path,
			     "longer than %d bytes", MATCH_MAX_TEXT);
	struct span text = span_of(match->path);
	while (match->kind == API_PATH_PREFIX && text.length > 1 &&
	       text.data[text.length - 1] == '/')
		text.length--;
	const char *trimmed = arena_copy(builder->arena, text);
	if (trimmed)
		match->path = trimmed;
}

/*
 * Exact before prefix before regular expression, then the longer path, then with a method, then the
 * more headers, then the more query parameters. Where the specification leaves the place of regular
 * expressions open, it is Istio's.
 */
static uint64_t precedence_of(const struct api_match *match)
{
	uint64_t precedence = match->kind;

	precedence = precedence << 16 | strlen(match->path);
	precedence = precedence << 1 | (match->match.method.kind != STRING_MATCH_NONE);
	precedence = precedence << 8 | match->match.header_count;
	return precedence << 8 | match->match.query_param_count;
}

void api_match_read(const struct builder *builder, const struct node *node, const struct path *path,
		    struct api_match *match)
{
	static const struct field_rule fields[] = {
		{"path", FIELD_READ},
		{"headers", FIELD_READ},
		{"queryParams", FIELD_READ},
		{"method", FIELD_READ},
	};

	*match = (struct api_match){.kind = API_PATH_PREFIX, .path = "/"};
	if (node &&
	    reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields))) {
		match->match.place = builder_place(builder, node);
		read_path(builder, node, path, match);
		read_values(builder, node, path, "headers", true, &match->match.headers,
			    &match->match.header_count);
		read_values(builder, node, path, "queryParams", false, &match->match.query_params,
			    &match->match.query_param_count);
		match->match.method.text = builder_text(builder, node, path, "method");
		match->match.method.place = match->match.place;
		if (match->match.method.text)
			match->match.method.kind = STRING_MATCH_EXACT;
	}
	match->match.precedence = precedence_of(match);
}
