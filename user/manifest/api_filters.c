/* SPDX-License-Identifier: GPL-2.0-only */
/* An HTTPRoute's filters, and the backends that they and its rules name. */
#include "base/array.h"
#include "http/values.h"
#include "manifest/api_route.h"
#include "manifest/http_actions.h"
#include "manifest/service.h"

#define MAX_FILTERS 16

static const struct field_rule filter_fields[] = {
	{"type", FIELD_READ},
	{"requestHeaderModifier", FIELD_READ},
	{"responseHeaderModifier", FIELD_READ},
	{"requestMirror", FIELD_READ},
	{"requestRedirect", FIELD_READ},
	{"urlRewrite", FIELD_READ},
	{"cors", FIELD_READ},
	{"externalAuth", FIELD_READ},
	{"extensionRef", FIELD_READ},
};

static void read_headers(const struct builder *builder, const struct node *mapping,
			 const struct path *parent, const char *field,
			 const struct header_manifest **ret_headers, size_t *ret_count,
			 const char **ret_authority)
{
	static const struct field_rule fields[] = {{"name", FIELD_READ}, {"value", FIELD_READ}};
	struct path path = path_field(parent, field);
	struct node *list = reader_child(&builder->reader, mapping, parent, field, NODE_SEQUENCE);
	size_t count = 0;

	if (!list)
		return;
	struct header_manifest *headers =
		builder_array(builder, list, list->count, sizeof(*headers));
	for (size_t i = 0; headers && i < list->count; i++) {
		struct path item = path_item(&path, i);
		const struct node *node = list->items[i];

		if (!reader_check_fields(&builder->reader, node, &item, fields,
					 ARRAY_LENGTH(fields)))
			continue;
		const char *name = builder_required_text(builder, node, &item, "name");
		const char *value = builder_text(builder, node, &item, "value");
		if (name && value && ret_authority &&
		    span_equal_ignore_case(span_of(name), span_of("Host")) &&
		    http_is_authority(span_of(value))) {
			*ret_authority = value;
			continue;
		}
		if (!name || !http_header_is_changeable(builder, node, &item, span_of(name)))
			continue;
		if (!value || !http_is_field_value(span_of(value))) {
			reader_error(&builder->reader, node, &item, "%s",
				     value ? "holds bytes that no header may hold"
					   : "needs a value");
			continue;
		}
		headers[count++] = (struct header_manifest){name, value};
	}
	*ret_headers = headers;
	*ret_count = count;
}

static void read_modifier(const struct builder *builder, const struct node *node,
			  const struct path *path, bool is_request,
			  struct header_operations_manifest *operations)
{
	static const struct field_rule fields[] = {
		{"set", FIELD_READ},
		{"add", FIELD_READ},
		{"remove", FIELD_READ},
	};
	struct path remove_path = path_field(path, "remove");

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	read_headers(builder, node, path, "set", &operations->set, &operations->set_count,
		     is_request ? &operations->authority : NULL);
	read_headers(builder, node, path, "add", &operations->add, &operations->add_count, NULL);
	builder_texts(builder, node, path, "remove", &operations->remove,
		      &operations->remove_count);
	for (size_t i = 0; i < operations->remove_count; i++)
		http_header_is_changeable(builder, node_get(node, "remove"), &remove_path,
					  span_of(operations->remove[i]));
}

static const char *read_hostname(const struct builder *builder, const struct node *node,
				 const struct path *path)
{
	struct path host_path = path_field(path, "hostname");
	const char *text = builder_text(builder, node, path, "hostname");

	return text ? builder_host(builder, node_get(node, "hostname"), span_of(text), &host_path,
				   false)
		    : NULL;
}

/* The new path: *ret_full, or *ret_prefix for the prefix that matched, or neither. */
static void read_path(const struct builder *builder, const struct node *mapping,
		      const struct path *parent, const char **ret_full, const char **ret_prefix)
{
	static const struct field_rule fields[] = {
		{"type", FIELD_READ},
		{"replaceFullPath", FIELD_READ},
		{"replacePrefixMatch", FIELD_READ},
	};
	struct path path = path_field(parent, "path"), type_path = path_field(&path, "type");
	struct node *node = reader_child(&builder->reader, mapping, parent, "path", NODE_MAPPING);

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	const char *type = builder_required_text(builder, node, &path, "type");
	bool is_full = type && strcmp(type, "ReplaceFullPath") == 0;
	const char *field = is_full ? "replaceFullPath" : "replacePrefixMatch";
	struct path text_path = path_field(&path, field);
	const char *text = builder_text(builder, node, &path, field);

	if (type && !is_full && strcmp(type, "ReplacePrefixMatch") != 0)
		reader_error(&builder->reader, node_get(node, "type"), &type_path,
			     "must be ReplaceFullPath or ReplacePrefixMatch");
	else if (!text)
		reader_error(&builder->reader, node, &text_path, "missing");
	else if (*text && (*text != '/' || !http_is_target(span_of(text))))
		reader_error(&builder->reader, node_get(node, field), &text_path,
			     "must be a path that begins with /");
	else if (is_full)
		*ret_full = *text ? text : "/";
	else
		*ret_prefix = text;
}

static void read_redirect(const struct builder *builder, const struct node *node,
			  const struct path *path, struct http_route_manifest *route,
			  struct api_filters *filters)
{
	static const struct field_rule fields[] = {
		{"scheme", FIELD_READ}, {"hostname", FIELD_READ},   {"path", FIELD_READ},
		{"port", FIELD_READ},	{"statusCode", FIELD_READ},
	};
	static const uint16_t codes[] = {301, 302, 303, 307, 308};
	struct path scheme_path = path_field(path, "scheme"),
		    code_path = path_field(path, "statusCode");
	struct redirect_manifest *redirect = &route->redirect;
	bool is_code = false;

	route->has_redirect = true;
	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	redirect->authority = read_hostname(builder, node, path);
	redirect->scheme = builder_text(builder, node, path, "scheme");
	bool is_https = redirect->scheme && strcmp(redirect->scheme, "https") == 0;
	if (redirect->scheme && !is_https && strcmp(redirect->scheme, "http") != 0)
		reader_error(&builder->reader, node_get(node, "scheme"), &scheme_path,
			     "must be http or https");
	redirect->port = (uint16_t)builder_number(builder, node, path, "port", 1, UINT16_MAX, 0);
	/* Without a port the scheme's own; without a scheme the listener's. */
	if (!redirect->port && redirect->scheme)
		redirect->port = is_https ? 443 : 80;
	redirect->port_from_request = !redirect->port;
	redirect->status =
		(uint16_t)builder_number(builder, node, path, "statusCode", 300, 399, 302);
	for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
		is_code |= codes[i] == redirect->status;
	if (!is_code)
		reader_error(&builder->reader, node_get(node, "statusCode"), &code_path,
			     "must be 301, 302, 303, 307 or 308");
	read_path(builder, node, path, &redirect->uri, &filters->prefix);
}

static void read_rewrite(const struct builder *builder, const struct node *node,
			 const struct path *path, struct http_route_manifest *route,
			 struct api_filters *filters)
{
	static const struct field_rule fields[] = {{"hostname", FIELD_READ}, {"path", FIELD_READ}};

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	route->rewrite.authority = read_hostname(builder, node, path);
	read_path(builder, node, path, &route->rewrite.uri, &filters->prefix);
	route->rewrite.is_whole = route->rewrite.uri != NULL;
}

/* Whole hundredths, or a fraction; in millionths. */
static uint32_t read_share(const struct builder *builder, const struct node *node,
			   const struct path *path)
{
	static const struct field_rule fields[] = {{"numerator", FIELD_READ},
						   {"denominator", FIELD_READ}};
	struct path fraction_path = path_field(path, "fraction");
	struct node *fraction =
		reader_child(&builder->reader, node, path, "fraction", NODE_MAPPING);
	uint32_t percent = builder_number(builder, node, path, "percent", 0, 100, 100);

	if (!fraction)
		return percent * (SHARE_ALL / 100);
	reader_check_fields(&builder->reader, fraction, &fraction_path, fields,
			    ARRAY_LENGTH(fields));
	uint32_t whole =
		builder_number(builder, fraction, &fraction_path, "denominator", 1, INT32_MAX, 100);
	uint32_t part =
		builder_number(builder, fraction, &fraction_path, "numerator", 0, INT32_MAX, 0);
	if (part > whole)
		reader_error(&builder->reader, fraction, &fraction_path, "is more than 1");
	return part > whole ? 0 : (uint32_t)((uint64_t)part * SHARE_ALL / whole);
}

static void read_mirror(const struct builder *builder, const struct node *node,
			const struct path *path, const char *own_namespace,
			struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {
		{"backendRef", FIELD_READ},
		{"percent", FIELD_READ},
		{"fraction", FIELD_READ},
	};
	struct path backend_path = path_field(path, "backendRef");
	struct mirror_manifest *mirror =
		(struct mirror_manifest *)&route->mirrors[route->mirror_count];

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	struct node *backend =
		builder_required_child(builder, node, path, "backendRef", NODE_MAPPING);
	if (!backend)
		return;
	api_backend_read(builder, backend, &backend_path, own_namespace, &mirror->destination);
	mirror->share = read_share(builder, node, path);
	route->mirror_count++;
}

/* One filter. False: it is of another type, which costs the rule. */
static bool read_filter(const struct builder *builder, const struct node *node,
			const struct path *path, const char *own_namespace,
			struct http_route_manifest *route, struct api_filters *filters)
{
	const char *type = builder_required_text(builder, node, path, "type");
	static const char *const types[][2] = {
		{"RequestHeaderModifier", "requestHeaderModifier"},
		{"ResponseHeaderModifier", "responseHeaderModifier"},
		{"RequestMirror", "requestMirror"},
		{"RequestRedirect", "requestRedirect"},
		{"URLRewrite", "urlRewrite"},
	};
	size_t index = 0;

	while (type && index < ARRAY_LENGTH(types) && strcmp(type, types[index][0]) != 0)
		index++;
	if (!type || index == ARRAY_LENGTH(types))
		return !type;
	struct path inner = path_field(path, types[index][1]);
	struct node *child =
		builder_required_child(builder, node, path, types[index][1], NODE_MAPPING);
	if (!child)
		return true;
	switch (index) {
	case 0:
		read_modifier(builder, child, &inner, true, &route->headers.request);
		break;
	case 1:
		read_modifier(builder, child, &inner, false, &route->headers.response);
		break;
	case 2:
		read_mirror(builder, child, &inner, own_namespace, route);
		break;
	case 3:
		read_redirect(builder, child, &inner, route, filters);
		break;
	default:
		read_rewrite(builder, child, &inner, route, filters);
	}
	return true;
}

/* The list, or NULL: there is none that can be read. */
static struct node *filter_list(const struct builder *builder, const struct node *mapping,
				const struct path *parent)
{
	struct path path = path_field(parent, "filters");
	struct node *list =
		reader_child(&builder->reader, mapping, parent, "filters", NODE_SEQUENCE);

	if (!list || list->count <= MAX_FILTERS)
		return list;
	reader_error(&builder->reader, list, &path, "more than %d filters", MAX_FILTERS);
	return NULL;
}

/* A filter that cannot be applied must not be skipped: such requests get an error. */
static void refuse_filter(const struct builder *builder, const struct node *node,
			  const struct path *path, const char *why)
{
	const struct node *type = node_get(node, "type");

	reader_route_error(&builder->reader, node, path,
			   "the filter %.*s is not supported%s: such requests get 500",
			   SPAN_ARGUMENTS(type->text), why);
}

void api_filters_read(const struct builder *builder, const struct node *rule,
		      const struct path *path, const char *own_namespace,
		      struct http_route_manifest *route, struct api_filters *filters)
{
	struct path list_path = path_field(path, "filters");
	struct node *list = filter_list(builder, rule, path);

	*filters = (struct api_filters){0};
	if (!list)
		return;
	route->mirrors = builder_array(builder, list, list->count, sizeof(*route->mirrors));
	for (size_t i = 0; route->mirrors && i < list->count; i++) {
		struct path item = path_item(&list_path, i);
		const struct node *node = list->items[i];

		if (!reader_check_fields(&builder->reader, node, &item, filter_fields,
					 ARRAY_LENGTH(filter_fields)) ||
		    read_filter(builder, node, &item, own_namespace, route, filters))
			continue;
		filters->are_unsupported = true;
		refuse_filter(builder, node, &item, "");
	}
	if (route->has_redirect && (route->rewrite.uri || route->rewrite.authority))
		reader_error(&builder->reader, list, &list_path,
			     "RequestRedirect and URLRewrite cannot both stand here");
}

bool api_backend_filters_read(const struct builder *builder, const struct node *backend,
			      const struct path *path, struct headers_manifest *headers)
{
	struct path list_path = path_field(path, "filters");
	struct node *list = filter_list(builder, backend, path);
	bool is_supported = true;

	for (size_t i = 0; list && i < list->count; i++) {
		struct path item = path_item(&list_path, i);
		const struct node *node = list->items[i];
		struct path request_path = path_field(&item, "requestHeaderModifier");
		struct path response_path = path_field(&item, "responseHeaderModifier");

		if (!reader_check_fields(&builder->reader, node, &item, filter_fields,
					 ARRAY_LENGTH(filter_fields)))
			continue;
		const char *type = builder_required_text(builder, node, &item, "type");
		if (type && strcmp(type, "RequestHeaderModifier") == 0) {
			read_modifier(builder, node_get(node, "requestHeaderModifier"),
				      &request_path, true, &headers->request);
		} else if (type && strcmp(type, "ResponseHeaderModifier") == 0) {
			read_modifier(builder, node_get(node, "responseHeaderModifier"),
				      &response_path, false, &headers->response);
		} else if (type) {
			refuse_filter(builder, node, &item, " of one backend");
			is_supported = false;
		}
	}
	return is_supported;
}

static void refuse_backend(const struct builder *builder, const struct node *node,
			   const struct path *path, const char *why,
			   struct destination_manifest *destination)
{
	destination->invalid = why;
	reader_route_error(&builder->reader, node, path, "%s: requests to it get 500", why);
}

/* A Service's host, or (Istio's Hostname) that of a ServiceEntry. */
static void name_host(const struct builder *builder, const struct node *node,
		      const struct path *path, bool is_service,
		      struct destination_manifest *destination)
{
	struct path name_path = path_field(path, "name");
	struct buffer host = {0};

	if (is_service)
		buffer_printf(&host, "%s.%s." SERVICE_DOMAIN, destination->name,
			      destination->namespace);
	else
		buffer_append_text(&host, destination->name);
	if (!host.failed)
		destination->host = builder_host(builder, node_get(node, "name"),
						 buffer_span(&host), &name_path, false);
	if (!is_service)
		destination->name = NULL;
	buffer_free(&host);
}

void api_backend_read(const struct builder *builder, const struct node *node,
		      const struct path *path, const char *own_namespace,
		      struct destination_manifest *destination)
{
	const char *name = builder_required_text(builder, node, path, "name");
	const char *namespace = builder_text(builder, node, path, "namespace");
	const char *group = builder_text(builder, node, path, "group");
	const char *kind = builder_text(builder, node, path, "kind");
	bool is_service = (!group || !*group) && (!kind || strcmp(kind, "Service") == 0);
	bool is_host = group && strcmp(group, "networking.istio.io") == 0 && kind &&
		       strcmp(kind, "Hostname") == 0;

	destination->place = builder_place(builder, node);
	destination->name = name ? name : "";
	destination->namespace = namespace && *namespace ? namespace : own_namespace;
	if (name)
		name_host(builder, node, path, !is_host, destination);
	destination->port = (uint16_t)builder_number(builder, node, path, "port", 1, UINT16_MAX, 0);
	if (!is_service && !is_host)
		refuse_backend(builder, node, path, "only a Service can be a backend", destination);
	else if (!destination->port)
		refuse_backend(builder, node, path, "the backend names no port", destination);
}
