/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/gateway.h"

#include <stdlib.h>

#include "base/address.h"
#include "base/array.h"
#include "manifest/builder.h"

static const char *read_host(const struct builder *builder, const struct node *node,
			     const struct path *path, const char *own_namespace,
			     const char **ret_namespace)
{
	struct span text = reader_item_text(&builder->reader, node, path), namespace, host;

	if (!text.data)
		return NULL;
	if (!span_cut(text, '/', &namespace, &host)) {
		*ret_namespace = NULL;
		return builder_host(builder, node, text, path, true);
	}
	if (span_equal(namespace, span_of(".")))
		*ret_namespace = own_namespace;
	else if (span_equal(namespace, span_of("*")))
		*ret_namespace = NULL;
	else
		*ret_namespace = builder_host(builder, node, namespace, path, false);
	return builder_host(builder, node, host, path, true);
}

static void read_hosts(const struct builder *builder, const struct node *mapping,
		       const struct path *parent, const char *own_namespace,
		       struct gateway_server *server)
{
	struct path path = path_field(parent, "hosts");
	struct node *list =
		builder_required_child(builder, mapping, parent, "hosts", NODE_SEQUENCE);

	if (!list)
		return;
	struct gateway_host *hosts = builder_array(builder, list, list->count, sizeof(*hosts));
	for (size_t i = 0; hosts && i < list->count; i++) {
		struct path item = path_item(&path, i);
		struct gateway_host *host = &hosts[server->host_count];

		host->place = builder_place(builder, list->items[i]);
		host->host =
			read_host(builder, list->items[i], &item, own_namespace, &host->namespace);
		if (host->host)
			server->host_count++;
	}
	server->hosts = hosts;
}

static void read_protocol(const struct builder *builder, const struct node *port,
			  const struct path *parent, struct gateway_server *server)
{
	static const char *const others[] = {"HTTPS", "GRPC", "GRPC-WEB", "TLS", "TCP", "MONGO"};
	struct path path = path_field(parent, "protocol");
	const struct node *node = node_get(port, "protocol");
	const char *protocol = builder_required_text(builder, port, parent, "protocol");

	if (!protocol || span_equal_ignore_case(span_of(protocol), span_of("HTTP")))
		return;
	if (span_equal_ignore_case(span_of(protocol), span_of("HTTP2"))) {
		/* Istio's gateways take both versions at such a port; most clients speak HTTP/1.1. */
		reader_warning(&builder->reader, node, &path,
			       "requests of HTTP/2 are not supported: only those of HTTP/1.1 are");
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(others) && !server->is_left_out; i++)
		server->is_left_out = span_equal_ignore_case(span_of(protocol), span_of(others[i]));
	if (server->is_left_out)
		reader_warning(
			&builder->reader, node, &path,
			"%s is not supported: nothing listens on port %u, the servers of HTTP "
			"are served",
			protocol, server->port);
	else
		reader_error(&builder->reader, node, &path, "%s is not supported: only HTTP is",
			     protocol);
}

static void read_port(const struct builder *builder, const struct node *mapping,
		      const struct path *parent, struct gateway_server *server)
{
	static const struct field_rule fields[] = {
		{"number", FIELD_READ},
		{"protocol", FIELD_READ},
		{"name", FIELD_IGNORED},
		{"targetPort", FIELD_UNSUPPORTED, "the agent listens on `number`"},
	};
	struct path path = path_field(parent, "port");
	struct node *port = builder_required_child(builder, mapping, parent, "port", NODE_MAPPING);

	if (!port)
		return;
	reader_check_fields(&builder->reader, port, &path, fields, ARRAY_LENGTH(fields));
	if (node_is_null(node_get(port, "number")))
		builder_required_text(builder, port, &path, "number");
	server->port = (uint16_t)builder_number(builder, port, &path, "number", 1, UINT16_MAX, 0);
	read_protocol(builder, port, &path, server);
}

static void read_tls(const struct builder *builder, const struct node *mapping,
		     const struct path *parent, struct gateway_server *server)
{
	struct path path = path_field(parent, "tls");
	const struct node *tls = node_get(mapping, "tls");

	if (server->is_left_out || node_is_null(tls))
		return;
	/* At a plain port Istio looks at this field alone. */
	if (tls->kind != NODE_MAPPING)
		reader_error(&builder->reader, tls, &path, "must be a mapping");
	else
		reader_bool(&builder->reader, tls, &path, "httpsRedirect", &server->https_redirect);
}

static void read_bind(const struct builder *builder, const struct node *mapping,
		      const struct path *parent, struct gateway_server *server)
{
	struct path path = path_field(parent, "bind");
	const char *bind = builder_text(builder, mapping, parent, "bind");

	if (!bind)
		return;
	if (address_parse(bind, server->address))
		reader_error(&builder->reader, node_get(mapping, "bind"), &path,
			     "\"%s\" is no IP address", bind);
	else if (address_is_any(server->address))
		memset(server->address, 0, sizeof(server->address));
}

static void read_server(const struct builder *builder, const struct node *node,
			const struct path *path, const char *own_namespace,
			struct gateway_server *server)
{
	static const struct field_rule fields[] = {
		{"port", FIELD_READ}, {"hosts", FIELD_READ},
		{"bind", FIELD_READ}, {"name", FIELD_IGNORED},
		{"tls", FIELD_READ},  {"defaultEndpoint", FIELD_UNSUPPORTED},
	};

	if (node_is_null(node))
		reader_error(&builder->reader, node, path, "must be a mapping");
	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	if (node->kind != NODE_MAPPING)
		return;
	server->place = builder_place(builder, node);
	read_port(builder, node, path, server);
	read_bind(builder, node, path, server);
	read_tls(builder, node, path, server);
	read_hosts(builder, node, path, own_namespace, server);
}

static void read_spec(const struct builder *builder, const struct node *document,
		      struct gateway_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"servers", FIELD_READ},
		/* Which of several gateways carries it: the node's agent is the only one here. */
		{"selector", FIELD_READ},
	};
	struct path path = path_field(NULL, "spec"), servers_path = path_field(&path, "servers");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	builder_labels(builder, spec, &path, "selector", &manifest->selector);
	struct node *list = builder_required_child(builder, spec, &path, "servers", NODE_SEQUENCE);
	if (!list)
		return;
	manifest->servers = builder_array(builder, list, list->count, sizeof(*manifest->servers));
	for (size_t i = 0; manifest->servers && i < list->count; i++) {
		struct path item = path_item(&servers_path, i);
		struct gateway_server *server = &manifest->servers[manifest->server_count];

		*server = (struct gateway_server){0}; /* of one that was wrong */
		read_server(builder, list->items[i], &item, manifest->resource.namespace, server);
		if (server->port)
			manifest->server_count++;
	}
}

int gateway_read(const struct node *document, struct diagnostics *diagnostics,
		 struct gateway_manifest *ret_manifest)
{
	struct gateway_manifest manifest = {0};

	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	read_spec(&builder, document, &manifest);
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}

void gateway_free(struct gateway_manifest *manifest)
{
	arena_free(&manifest->arena);
	resource_free(&manifest->resource);
	*manifest = (struct gateway_manifest){0};
}
