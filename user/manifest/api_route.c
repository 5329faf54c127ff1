/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/api_route.h"

#include <stdlib.h>

#include "base/array.h"
#include "manifest/stub.h"

/* The API server's bounds. */
#define MAX_RULES 16
#define MAX_MATCHES 64
#define MAX_BACKENDS 16
#define MAX_PARENTS 32
#define MAX_HOSTNAMES 16
#define MAX_BACKEND_WEIGHT 1000000
#define DEFAULT_ATTEMPTS 2

/* What is read of a route, with the room for its entries. */
struct route_builder {
	const struct builder *builder;
	struct virtual_service_manifest *manifest;
	struct http_route_manifest *entries;
	size_t count;
};

/* A list of at most so many items; NULL if absent or (named) longer. */
static struct node *bounded_list(const struct builder *builder, const struct node *mapping,
				 const struct path *parent, const char *field, size_t maximum)
{
	struct path path = path_field(parent, field);
	struct node *list = reader_child(&builder->reader, mapping, parent, field, NODE_SEQUENCE);

	if (!list || list->count <= maximum)
		return list;
	reader_error(&builder->reader, list, &path, "more than %zu", maximum);
	return NULL;
}

static void read_hostnames(const struct builder *builder, const struct node *spec,
			   const struct path *parent, struct virtual_service_manifest *manifest)
{
	struct path path = path_field(parent, "hostnames");
	struct node *list = bounded_list(builder, spec, parent, "hostnames", MAX_HOSTNAMES);
	size_t count = list && list->count ? list->count : 1;
	struct placed_text *hosts = builder_array(builder, spec, count, sizeof(*hosts));

	manifest->hosts = hosts;
	if (hosts && (!list || !list->count)) {
		hosts[0] = (struct placed_text){builder_place(builder, spec), "*"};
		manifest->host_count = 1;
		return;
	}
	for (size_t i = 0; hosts && list && i < list->count; i++) {
		struct path item = path_item(&path, i);
		struct span text = reader_item_text(&builder->reader, list->items[i], &item);
		struct placed_text *host = &hosts[manifest->host_count];

		if (!text.data)
			continue;
		host->place = builder_place(builder, list->items[i]);
		host->text = builder_host(builder, list->items[i], text, &item, true);
		manifest->host_count += host->text != NULL;
	}
}

/* True if it is one that routes can be attached to here. */
static bool read_parent(const struct builder *builder, const struct node *node,
			const struct path *path, const char *own_namespace,
			struct parent_manifest *parent)
{
	static const struct field_rule fields[] = {
		{"group", FIELD_READ}, {"kind", FIELD_READ},	    {"namespace", FIELD_READ},
		{"name", FIELD_READ},  {"sectionName", FIELD_READ}, {"port", FIELD_READ},
	};

	if (!reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields)))
		return false;
	const char *group = builder_text(builder, node, path, "group");
	const char *kind = builder_text(builder, node, path, "kind");
	const char *namespace = builder_text(builder, node, path, "namespace");
	bool is_gateway = (!group || strcmp(group, GATEWAY_API_GROUP) == 0) &&
			  (!kind || strcmp(kind, "Gateway") == 0);

	*parent = (struct parent_manifest){
		.place = builder_place(builder, node),
		.is_service = !is_gateway,
		.namespace = namespace && *namespace ? namespace : own_namespace,
		.name = builder_required_text(builder, node, path, "name"),
		.section = builder_text(builder, node, path, "sectionName"),
	};
	parent->port = (uint16_t)builder_number(builder, node, path, "port", 1, UINT16_MAX, 0);
	if (parent->section && !*parent->section)
		parent->section = NULL;
	bool is_service = group && !*group && kind && strcmp(kind, "Service") == 0;
	if (!is_gateway && !is_service)
		reader_warning(
			&builder->reader, node, path,
			"only Gateways of the Gateway API and Services have HTTPRoutes here: "
			"this one is left out");
	return parent->name && (is_gateway || is_service);
}

static void read_parents(const struct builder *builder, const struct node *spec,
			 const struct path *parent, struct virtual_service_manifest *manifest)
{
	struct path path = path_field(parent, "parentRefs");
	struct node *list = bounded_list(builder, spec, parent, "parentRefs", MAX_PARENTS);

	if (!list || !list->count) {
		reader_warning(&builder->reader, spec, &path,
			       "attached to nothing: this route has no effect");
		return;
	}
	struct parent_manifest *parents =
		builder_array(builder, list, list->count, sizeof(*parents));
	for (size_t i = 0; parents && i < list->count; i++) {
		struct path item = path_item(&path, i);

		if (read_parent(builder, list->items[i], &item, manifest->resource.namespace,
				&parents[manifest->parent_count]))
			manifest->parent_count++;
	}
	manifest->parents = parents;
}

static void read_backend(const struct builder *builder, const struct node *node,
			 const struct path *path, const char *own_namespace,
			 struct route_destination_manifest *destination)
{
	static const struct field_rule fields[] = {
		{"group", FIELD_READ},	 {"kind", FIELD_READ}, {"namespace", FIELD_READ},
		{"name", FIELD_READ},	 {"port", FIELD_READ}, {"weight", FIELD_READ},
		{"filters", FIELD_READ},
	};

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	api_backend_read(builder, node, path, own_namespace, &destination->destination);
	destination->has_weight = true;
	destination->weight =
		builder_number(builder, node, path, "weight", 0, MAX_BACKEND_WEIGHT, 1);
	if (!api_backend_filters_read(builder, node, path, &destination->headers) &&
	    !destination->destination.invalid)
		destination->destination.invalid = "a filter of the backend is not supported";
}

static void answer_500(struct http_route_manifest *route)
{
	route->has_redirect = false;
	route->has_direct_response = true;
	route->direct_status = 500;
	route->direct_body = span_of("");
}

/* Requests of a rule without a backend get 500, as the specification wants it. */
static void read_backends(const struct builder *builder, const struct node *rule,
			  const struct path *parent, const char *own_namespace,
			  struct http_route_manifest *route)
{
	struct path path = path_field(parent, "backendRefs");
	struct node *list = bounded_list(builder, rule, parent, "backendRefs", MAX_BACKENDS);
	uint64_t sum = 0;

	struct route_destination_manifest *destinations =
		builder_array(builder, rule, list ? list->count : 0, sizeof(*destinations));
	for (size_t i = 0; destinations && list && i < list->count; i++) {
		struct path item = path_item(&path, i);

		read_backend(builder, list->items[i], &item, own_namespace, &destinations[i]);
		sum += destinations[i].weight;
	}
	if (route->has_redirect)
		return;
	if (!sum) {
		reader_warning(&builder->reader, rule, &path,
			       "no backend has a weight: requests get 500");
		answer_500(route);
		return;
	}
	route->destinations = destinations;
	route->destination_count = list->count;
}

/* The shorter of two durations of which 0 is none. */
static uint32_t shorter(uint32_t one, uint32_t other)
{
	return one && (!other || one < other) ? one : other;
}

static void read_timeouts(const struct builder *builder, const struct node *rule,
			  const struct path *parent, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {{"request", FIELD_READ},
						   {"backendRequest", FIELD_READ}};
	struct path path = path_field(parent, "timeouts");
	struct node *node = reader_child(&builder->reader, rule, parent, "timeouts", NODE_MAPPING);

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	route->timeout_ms = builder_duration_ms(builder, node, &path, "request");
	uint32_t backend = builder_duration_ms(builder, node, &path, "backendRequest");
	if (route->retries.attempts)
		route->retries.per_try_timeout_ms = backend;
	else
		route->timeout_ms = shorter(route->timeout_ms, backend);
}

/* Connections that fail are tried again, and what has one of the codes. */
static void read_retry(const struct builder *builder, const struct node *rule,
		       const struct path *parent, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {
		{"codes", FIELD_READ},
		{"attempts", FIELD_READ},
		{"backoff", FIELD_IGNORED},
	};
	struct path path = path_field(parent, "retry"), codes_path = path_field(&path, "codes");
	struct node *node = reader_child(&builder->reader, rule, parent, "retry", NODE_MAPPING);
	struct buffer conditions = {0};

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	buffer_append_text(&conditions, "connect-failure,reset");
	struct node *codes = bounded_list(builder, node, &path, "codes", 200);
	for (size_t i = 0; codes && i < codes->count; i++) {
		struct path item = path_item(&codes_path, i);
		struct span text =
			codes->items[i]->kind == NODE_SCALAR ? codes->items[i]->text : span_of("");

		if (text.length != 3 || text.data[0] < '4' || text.data[0] > '5' ||
		    strspn(text.data, "0123456789") != 3)
			reader_error(&builder->reader, codes->items[i], &item,
				     "must be a status from 400 to 599");
		else
			buffer_printf(&conditions, ",%.*s", SPAN_ARGUMENTS(text));
	}
	route->retries = (struct retries_manifest){
		.present = true,
		.attempts =
			builder_number(builder, node, &path, "attempts", 0, 100, DEFAULT_ATTEMPTS),
		.retry_on = arena_copy(builder->arena, buffer_span(&conditions)),
		.retry_on_place = builder_place(builder, node),
	};
	buffer_free(&conditions);
}

static const char *joined(const struct builder *builder, const struct node *node, const char *front,
			  const char *back)
{
	struct buffer text = {0};

	buffer_printf(&text, "%s%s", front, back);
	const char *copy = text.failed ? NULL : arena_copy(builder->arena, buffer_span(&text));
	buffer_free(&text);
	if (!copy)
		reader_error(&builder->reader, node, NULL, "out of memory");
	return copy;
}

/* An entry of the route with this condition on the path; `uri` replaces what of it matched. */
static void add_entry(struct route_builder *route, const struct node *node,
		      const struct http_route_manifest *like, const struct api_match *match,
		      enum string_match_kind kind, const char *path, const char *uri)
{
	struct http_route_manifest *entry = &route->entries[route->count];
	struct http_match_manifest *copy = builder_array(route->builder, node, 1, sizeof(*copy));

	if (!copy || !path)
		return;
	*copy = match->match;
	copy->uri = (struct string_match_manifest){like->place, kind, path};
	*entry = *like;
	entry->matches = copy;
	entry->match_count = 1;
	if (uri && entry->has_redirect) {
		entry->redirect.uri = uri;
		entry->redirect.keeps_rest = true;
	} else if (uri) {
		entry->rewrite.uri = uri;
	}
	route->count++;
}

/* Only whole elements match: the prefix /a is the path /a, or begins with /a/. */
static void add_prefix_entries(struct route_builder *route, const struct node *node,
			       const struct http_route_manifest *like,
			       const struct api_match *match, const char *prefix)
{
	const struct builder *builder = route->builder;
	struct span text = span_of(prefix ? prefix : "");

	while (text.length && text.data[text.length - 1] == '/')
		text.length--;
	char *front = arena_copy(builder->arena, text);
	if (!front)
		return;
	const char *with_slash = prefix ? joined(builder, node, front, "/") : NULL;
	const char *alone = prefix && !*front ? "/" : prefix ? front : NULL;
	if (strcmp(match->path, "/") == 0) {
		add_entry(route, node, like, match, STRING_MATCH_PREFIX, "/", with_slash);
		return;
	}
	add_entry(route, node, like, match, STRING_MATCH_EXACT, match->path, alone);
	add_entry(route, node, like, match, STRING_MATCH_PREFIX,
		  joined(builder, node, match->path, "/"), with_slash);
}

static void add_match(struct route_builder *route, const struct node *node, const struct path *path,
		      const struct http_route_manifest *like, const struct api_filters *filters)
{
	struct api_match match;

	api_match_read(route->builder, node, path, &match);
	if (filters->prefix && match.kind != API_PATH_PREFIX)
		reader_error(&route->builder->reader, node, path,
			     "replacePrefixMatch needs a path of the type PathPrefix");
	if (match.kind == API_PATH_PREFIX)
		add_prefix_entries(route, node, like, &match, filters->prefix);
	else
		add_entry(route, node, like, &match,
			  match.kind == API_PATH_EXACT ? STRING_MATCH_EXACT : STRING_MATCH_REGEX,
			  match.path, NULL);
}

static void read_rule(struct route_builder *route, const struct node *rule, const struct path *path,
		      size_t index)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_READ},
		{"matches", FIELD_READ},
		{"filters", FIELD_READ},
		{"retry", FIELD_READ},
		{"backendRefs", FIELD_READ},
		{"timeouts", FIELD_READ},
		{"sessionPersistence", FIELD_IGNORED},
	};
	const struct builder *builder = route->builder;
	const char *own_namespace = route->manifest->resource.namespace;
	struct path matches_path = path_field(path, "matches");
	struct http_route_manifest like = {.place = builder_place(builder, rule), .index = index};
	struct api_filters filters;

	if (rule->kind != NODE_MAPPING) {
		reader_error(&builder->reader, rule, path, "must be a mapping");
		return;
	}
	reader_check_fields(&builder->reader, rule, path, fields, ARRAY_LENGTH(fields));
	like.name = builder_text(builder, rule, path, "name");
	api_filters_read(builder, rule, path, own_namespace, &like, &filters);
	read_backends(builder, rule, path, own_namespace, &like);
	read_retry(builder, rule, path, &like);
	read_timeouts(builder, rule, path, &like);
	if (filters.are_unsupported)
		answer_500(&like);
	if (!node_is_null(node_get(rule, "sessionPersistence")))
		reader_warning(&builder->reader, rule, path,
			       "sessionPersistence has no effect: the user's id keeps him at one "
			       "backend");
	struct node *matches = bounded_list(builder, rule, path, "matches", MAX_MATCHES);
	if (!matches || !matches->count)
		add_match(route, NULL, path, &like, &filters);
	for (size_t i = 0; matches && i < matches->count; i++) {
		struct path item = path_item(&matches_path, i);

		add_match(route, matches->items[i], &item, &like, &filters);
	}
}

static int compare_entries(const void *left, const void *right)
{
	const struct http_route_manifest *a = left, *b = right;
	uint64_t one = a->matches[0].precedence, other = b->matches[0].precedence;

	if (one != other)
		return one > other ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	/* Of one rule any will do; the order must only be the same each time. */
	return strcmp(a->matches[0].uri.text, b->matches[0].uri.text);
}

static void read_rules(const struct builder *builder, const struct node *spec,
		       const struct path *parent, struct virtual_service_manifest *manifest)
{
	struct path path = path_field(parent, "rules");
	struct node *list = bounded_list(builder, spec, parent, "rules", MAX_RULES);
	struct route_builder route = {.builder = builder, .manifest = manifest};
	size_t count = 0;

	for (size_t i = 0; list && i < list->count; i++) {
		const struct node *matches = node_get(list->items[i], "matches");

		count += matches && matches->count ? 2 * matches->count : 2;
	}
	route.entries = builder_array(builder, spec, count, sizeof(*route.entries));
	for (size_t i = 0; route.entries && list && i < list->count; i++) {
		struct path item = path_item(&path, i);

		read_rule(&route, list->items[i], &item, i);
	}
	if (route.count)
		qsort(route.entries, route.count, sizeof(*route.entries), compare_entries);
	manifest->http = route.entries;
	manifest->http_count = route.count;
}

static void read_spec(const struct builder *builder, const struct node *document,
		      struct virtual_service_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"parentRefs", FIELD_READ},
		{"hostnames", FIELD_READ},
		{"rules", FIELD_READ},
		{"useDefaultGateways", FIELD_IGNORED},
	};
	struct path path = path_field(NULL, "spec");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	read_parents(builder, spec, &path, manifest);
	read_hostnames(builder, spec, &path, manifest);
	read_rules(builder, spec, &path, manifest);
	const struct node *created = node_get(node_get(document, "metadata"), "creationTimestamp");
	if (created && created->kind == NODE_SCALAR && !node_is_null(created))
		manifest->created = arena_copy(builder->arena, created->text);
}

int api_route_read(const struct node *document, struct diagnostics *diagnostics,
		   struct virtual_service_manifest *ret_manifest)
{
	struct virtual_service_manifest manifest = {.is_http_route = true};
	size_t errors_before = diagnostics->error_count;
	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;
	read_spec(&builder, document, &manifest);
	builder_end(&builder);
	manifest.is_rejected =
		labels_get(&manifest.resource.annotations, MANIFEST_REJECTED_ANNOTATION) != NULL;
	manifest.faulty = diagnostics->error_count != errors_before;
	*ret_manifest = manifest;
	return 0;
}
