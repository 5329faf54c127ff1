/* SPDX-License-Identifier: GPL-2.0-only */
/* Gateway (gateway.networking.k8s.io): its HTTP listeners. */
#include "base/array.h"
#include "manifest/builder.h"
#include "manifest/gateway.h"

#define NAMESPACE_NAME_LABEL "kubernetes.io/metadata.name"

/* The namespaces that may attach routes to a listener. */
struct allowed_namespaces {
	bool all;
	const char **names;
	size_t count;
};

static void allow(const struct builder *builder, const struct node *node, const struct span *names,
		  size_t count, struct allowed_namespaces *allowed)
{
	allowed->names = builder_array(builder, node, count, sizeof(*allowed->names));
	for (size_t i = 0; allowed->names && i < count; i++) {
		allowed->names[allowed->count] = arena_copy(builder->arena, names[i]);
		allowed->count += allowed->names[allowed->count] != NULL;
	}
}

/* {key: kubernetes.io/metadata.name, operator: In, values: […]} */
static bool allow_expression(const struct builder *builder, const struct node *node,
			     struct allowed_namespaces *allowed)
{
	const struct node *key = node_get(node, "key"), *operation = node_get(node, "operator");
	const struct node *values = node_get(node, "values");

	if (!key || key->kind != NODE_SCALAR || !operation || operation->kind != NODE_SCALAR ||
	    !span_equal(key->text, span_of(NAMESPACE_NAME_LABEL)) ||
	    !span_equal(operation->text, span_of("In")) || !values || values->kind != NODE_SEQUENCE)
		return false;
	struct span *names = builder_array(builder, node, values->count, sizeof(*names));
	size_t count = 0;
	for (size_t i = 0; names && i < values->count; i++) {
		if (values->items[i]->kind == NODE_SCALAR)
			names[count++] = values->items[i]->text;
	}
	allow(builder, node, names, count, allowed);
	return true;
}

/* Of the labels of namespaces only their names are known. */
static void read_selector(const struct builder *builder, const struct node *mapping,
			  const struct path *parent, struct allowed_namespaces *allowed)
{
	static const struct field_rule fields[] = {
		{"matchLabels", FIELD_READ},
		{"matchExpressions", FIELD_READ},
	};
	struct path path = path_field(parent, "selector");
	struct node *selector =
		builder_required_child(builder, mapping, parent, "selector", NODE_MAPPING);

	if (!selector)
		return;
	reader_check_fields(&builder->reader, selector, &path, fields, ARRAY_LENGTH(fields));
	const struct node *labels = node_get(selector, "matchLabels");
	const struct node *expressions = node_get(selector, "matchExpressions");
	const struct node *name = node_get(labels, NAMESPACE_NAME_LABEL);
	size_t conditions = (labels ? labels->count : 0) + (expressions ? expressions->count : 0);

	if (conditions == 0) {
		allowed->all = true;
		return;
	}
	bool is_known = conditions == 1;
	if (is_known && name && name->kind == NODE_SCALAR)
		allow(builder, selector, &name->text, 1, allowed);
	else if (is_known)
		is_known = expressions && expressions->kind == NODE_SEQUENCE &&
			   allow_expression(builder, expressions->items[0], allowed);
	if (!is_known)
		reader_warning(&builder->reader, selector, &path,
			       "labels of namespaces are not known here, only "
			       "\"" NAMESPACE_NAME_LABEL
			       "\": no route is attached to this listener");
}

static void read_namespaces(const struct builder *builder, const struct node *mapping,
			    const struct path *parent, const char *own,
			    struct allowed_namespaces *allowed)
{
	static const struct field_rule fields[] = {{"from", FIELD_READ}, {"selector", FIELD_READ}};
	struct path path = path_field(parent, "namespaces"), from_path = path_field(&path, "from");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "namespaces", NODE_MAPPING);
	const char *from = node ? builder_text(builder, node, &path, "from") : NULL;
	const struct span own_name = span_of(own);

	if (node)
		reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	if (!from || strcmp(from, "Same") == 0)
		allow(builder, mapping, &own_name, 1, allowed);
	else if (strcmp(from, "All") == 0)
		allowed->all = true;
	else if (strcmp(from, "Selector") == 0)
		read_selector(builder, node, &path, allowed);
	else if (strcmp(from, "None") != 0)
		reader_error(&builder->reader, node_get(node, "from"), &from_path,
			     "must be All, Same, Selector or None");
}

/* Without kinds those of the protocol are allowed. */
static bool allows_http_routes(const struct node *allowed_routes)
{
	const struct node *kinds = node_get(allowed_routes, "kinds");

	if (!kinds || kinds->kind != NODE_SEQUENCE || !kinds->count)
		return true;
	for (size_t i = 0; i < kinds->count; i++) {
		const struct node *kind = node_get(kinds->items[i], "kind");

		if (kind && kind->kind == NODE_SCALAR &&
		    span_equal(kind->text, span_of("HTTPRoute")))
			return true;
	}
	return false;
}

static void read_hosts(const struct builder *builder, const struct node *node,
		       const struct path *path, const char *own, struct gateway_server *server)
{
	static const struct field_rule fields[] = {{"namespaces", FIELD_READ},
						   {"kinds", FIELD_READ}};
	struct path routes_path = path_field(path, "allowedRoutes");
	struct path host_path = path_field(path, "hostname");
	struct node *routes =
		reader_child(&builder->reader, node, path, "allowedRoutes", NODE_MAPPING);
	struct allowed_namespaces allowed = {0};
	const char *text = builder_text(builder, node, path, "hostname"), *host = "*";

	if (routes)
		reader_check_fields(&builder->reader, routes, &routes_path, fields,
				    ARRAY_LENGTH(fields));
	read_namespaces(builder, routes ? routes : node, routes ? &routes_path : path, own,
			&allowed);
	if (text && *text)
		host = builder_host(builder, node_get(node, "hostname"), span_of(text), &host_path,
				    true);
	if (!host || !allows_http_routes(routes))
		return;
	size_t count = allowed.all ? 1 : allowed.count;
	struct gateway_host *hosts = builder_array(builder, node, count, sizeof(*hosts));
	for (size_t i = 0; hosts && i < count; i++)
		hosts[i] = (struct gateway_host){
			.place = builder_place(builder, node),
			.namespace = allowed.all ? NULL : allowed.names[i],
			.host = host,
		};
	server->hosts = hosts;
	server->host_count = hosts ? count : 0;
}

/* False: this listener is left out. */
static bool is_http(const struct builder *builder, const struct node *node, const struct path *path)
{
	struct path protocol_path = path_field(path, "protocol");
	const char *protocol = builder_required_text(builder, node, path, "protocol");

	if (!protocol || strcmp(protocol, "HTTP") == 0)
		return protocol != NULL;
	reader_warning(&builder->reader, node_get(node, "protocol"), &protocol_path,
		       "%s is not supported, only HTTP is: this listener is left out%s", protocol,
		       strcmp(protocol, "HTTPS") == 0 ? ", TLS must end before the agent" : "");
	return false;
}

/* True if there is one to listen for. */
static bool read_listener(const struct builder *builder, const struct node *node,
			  const struct path *path, const char *own, struct gateway_server *server)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_READ},	  {"hostname", FIELD_READ},	 {"port", FIELD_READ},
		{"protocol", FIELD_READ}, {"allowedRoutes", FIELD_READ}, {"tls", FIELD_IGNORED},
	};

	*server = (struct gateway_server){.place = builder_place(builder, node)};
	if (!reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields)))
		return false;
	server->section = builder_required_text(builder, node, path, "name");
	if (node_is_null(node_get(node, "port")))
		builder_required_text(builder, node, path, "port");
	server->port = (uint16_t)builder_number(builder, node, path, "port", 1, UINT16_MAX, 0);
	if (!is_http(builder, node, path))
		return false;
	read_hosts(builder, node, path, own, server);
	return server->port && server->section;
}

static void read_spec(const struct builder *builder, const struct node *document,
		      struct gateway_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"gatewayClassName", FIELD_IGNORED},
		{"listeners", FIELD_READ},
		{"addresses", FIELD_IGNORED}, /* the agent listens on all of its node's */
		{"infrastructure", FIELD_IGNORED},
	};
	struct path path = path_field(NULL, "spec"), list_path = path_field(&path, "listeners");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	struct node *list =
		builder_required_child(builder, spec, &path, "listeners", NODE_SEQUENCE);
	if (!list)
		return;
	manifest->servers = builder_array(builder, list, list->count, sizeof(*manifest->servers));
	for (size_t i = 0; manifest->servers && i < list->count; i++) {
		struct path item = path_item(&list_path, i);

		if (read_listener(builder, list->items[i], &item, manifest->resource.namespace,
				  &manifest->servers[manifest->server_count]))
			manifest->server_count++;
	}
}

int gateway_api_gateway_read(const struct node *document, struct diagnostics *diagnostics,
			     struct gateway_manifest *ret_manifest)
{
	struct gateway_manifest manifest = {.is_gateway_api = true};
	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;
	read_spec(&builder, document, &manifest);
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}
