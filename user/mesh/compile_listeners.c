/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>

#include "base/address.h"
#include "base/array.h"
#include "mesh/compiler.h"

struct listener_key {
	uint8_t bytes[1 + 16 + 2];
};

static struct span key_of(const struct mesh_listener *listener, struct listener_key *key)
{
	key->bytes[0] = (uint8_t)listener->kind;
	memcpy(key->bytes + 1, listener->address, 16);
	key->bytes[17] = (uint8_t)(listener->port >> 8);
	key->bytes[18] = (uint8_t)listener->port;
	return (struct span){(const char *)key->bytes, sizeof(key->bytes)};
}

static struct listener_model *find_listener(const struct mesh *mesh,
					    const struct mesh_listener *like)
{
	struct listener_key key;

	return name_table_get(&mesh->listener_keys, 0, key_of(like, &key));
}

const struct mesh_listener *mesh_find_listener(const struct mesh *mesh,
					       const struct mesh_listener *like)
{
	const struct listener_model *found = find_listener(mesh, like);

	return found ? &found->listener : NULL;
}

/* A ServiceEntry's hosts share its addresses: the first one answers to the address itself. */
static bool has_own_listener(const struct mesh *mesh, const struct mesh_host *host,
			     const struct mesh_listener *wanted)
{
	const struct listener_model *known = find_listener(mesh, wanted);

	return known && known->host && known->host->service == host->service;
}

/* True (said) if something else wants to accept connections at the same address and port. */
static bool conflicts(const struct compiled_resource *resource, struct source_place place,
		      const struct path *path, const struct mesh_listener *wanted)
{
	char address[ADDRESS_TEXT_BYTES];

	for (int kind = MESH_LISTENER_GATEWAY; kind <= MESH_LISTENER_SERVICE; kind++) {
		struct mesh_listener like = *wanted;

		like.kind = (enum mesh_listener_kind)kind;
		const struct listener_model *other = find_listener(resource->compiler->mesh, &like);
		if (!other)
			continue;
		address_print(wanted->address, address);
		compile_error(resource, place, path, "%s port %u is already that of %s (%s:%u:%u)",
			      address, wanted->port, other->title, other->place.file,
			      other->place.line, other->place.column);
		diagnostics_note_other(resource->compiler->diagnostics, other->place);
		return true;
	}
	return false;
}

static struct listener_model *add_listener(const struct compiled_resource *resource,
					   struct source_place place,
					   const struct mesh_listener *wanted)
{
	struct compiler *compiler = resource->compiler;
	struct mesh *mesh = compiler->mesh;
	struct listener_model *model = compile_array(compiler, 1, sizeof(*model));
	struct listener_model **slot =
		model ? ARRAY_APPEND(mesh->listeners, mesh->listener_count) : NULL;
	struct listener_key key;

	if (!slot) {
		compiler->out_of_memory = true;
		return NULL;
	}
	*slot = model;
	model->listener = *wanted;
	model->listener.index = mesh->listener_count - 1;
	model->place = place;
	model->title = resource->title ? compile_text(compiler, span_of(resource->title)) : "";
	compile_put(compiler, &mesh->listener_keys, 0, key_of(wanted, &key), model);
	return model;
}

/* Several gateways may share an address and port: their hosts tell them apart. */
struct listener_model *compile_gateway_listener(const struct compiled_resource *resource,
						struct source_place place,
						const uint8_t address[16], uint16_t port)
{
	struct mesh_listener wanted = {.kind = MESH_LISTENER_GATEWAY, .port = port};

	memcpy(wanted.address, address, sizeof(wanted.address));
	struct listener_model *known = find_listener(resource->compiler->mesh, &wanted);
	return known ? known : add_listener(resource, place, &wanted);
}

/* All requests to these hosts, whatever VirtualServices have them. */
static void bind_redirect(struct compiler *compiler, const struct gateway_binding *binding,
			  size_t gateway)
{
	const struct gateway_server *server = binding->server;

	for (size_t i = 0; i < server->host_count && compiler->https_redirect; i++)
		compile_bind_host(compiler, scope_of_listener(binding->listener->listener.index),
				  server->hosts[i].host, compiler->https_redirect, gateway);
}

static bool is_for_same_pods(const struct gateway_manifest *one,
			     const struct gateway_manifest *other)
{
	return one->selector.count == other->selector.count &&
	       labels_select(&one->selector, &other->selector);
}

/* In Istio each is played by pods of its own: who reaches the one need not reach the other. */
static void warn_of_shared_port(const struct compiled_resource *resource,
				const struct gateway_server *server,
				const struct gateway_manifest *gateway,
				const struct listener_model *listener)
{
	struct path spec = path_field(NULL, "spec"), path = path_field(&spec, "selector");

	if (gateway->is_gateway_api || listener->gateway->is_gateway_api ||
	    is_for_same_pods(gateway, listener->gateway))
		return;
	compile_warning(
		resource, server->place, &path,
		"not the one of Gateway/%s (%s:%u), but both listen on port %u here: a client "
		"of one reaches the hosts of both. Give each an agent with its own manifests, or "
		"its own `bind`",
		listener->gateway->resource.name, listener->place.file, listener->place.line,
		server->port);
}

static void compile_server(const struct compiled_resource *resource,
			   const struct gateway_server *server, struct gateway_model *gateway)
{
	if (server->is_left_out)
		return;
	struct listener_model *listener =
		compile_gateway_listener(resource, server->place, server->address, server->port);
	if (!listener)
		return;
	if (listener->gateway)
		warn_of_shared_port(resource, server, gateway->manifest, listener);
	else
		listener->gateway = gateway->manifest;
	struct gateway_binding *binding = &gateway->servers[gateway->server_count++];
	*binding = (struct gateway_binding){server, listener};
	if (server->https_redirect)
		bind_redirect(resource->compiler, binding, gateway->index);
}

static void compile_gateway(struct compiler *compiler, const struct gateway_manifest *manifest,
			    size_t index)
{
	struct gateway_model *gateway = compile_array(compiler, 1, sizeof(*gateway));
	char *title = resource_title(&manifest->resource);
	struct compiled_resource resource = {compiler, &manifest->resource, title};
	struct buffer name = {0};

	buffer_printf(&name, "%s/%s", manifest->resource.namespace, manifest->resource.name);
	if (!gateway || name.failed) {
		compiler->out_of_memory = true;
		goto out;
	}
	gateway->manifest = manifest;
	gateway->index = index;
	gateway->servers =
		compile_array(compiler, manifest->server_count, sizeof(*gateway->servers));
	for (size_t i = 0; gateway->servers && i < manifest->server_count; i++)
		compile_server(&resource, &manifest->servers[i], gateway);
	compile_put(compiler, &compiler->gateways, compile_gateway_scope(manifest),
		    buffer_span(&name), gateway);
out:
	buffer_free(&name);
	free(title);
}

void compile_gateways(struct compiler *compiler)
{
	for (size_t i = 0; i < compiler->manifests->gateway_count; i++)
		compile_gateway(compiler, &compiler->manifests->gateways[i], i);
}

/*
 * Istio's spellings: "name" and "./name" (in the own namespace), "namespace/name", and the older
 * "name.namespace" with anything behind it. So a dot in a name wants the namespace in front.
 */
static void print_gateway_name(struct span reference, const char *own_namespace, struct buffer *out)
{
	struct span place = span_of(own_namespace), name = reference, first, rest;

	if (span_cut(reference, '/', &first, &rest)) {
		name = rest;
		if (!span_equal(first, span_of(".")))
			place = first;
	} else if (span_cut(reference, '.', &first, &rest)) {
		name = first;
		span_cut(rest, '.', &place, &rest);
	}
	buffer_printf(out, "%.*s/%.*s", SPAN_ARGUMENTS(place), SPAN_ARGUMENTS(name));
}

const struct gateway_model *compile_find_gateway(const struct compiler *compiler,
						 const char *reference, const char *namespace)
{
	struct buffer name = {0};
	const struct gateway_model *found = NULL;

	print_gateway_name(span_of(reference), namespace, &name);
	if (!name.failed)
		found = name_table_get(&compiler->gateways, 0, buffer_span(&name));
	buffer_free(&name);
	return found;
}

void compile_no_such_gateway(const struct compiled_resource *resource,
			     const struct source_place place, const struct path *path,
			     const char *reference)
{
	struct buffer name = {0};

	print_gateway_name(span_of(reference), resource->resource->namespace, &name);
	compile_route_error(resource, place, path, "there is no Gateway %s (namespace/name)",
			    name.failed ? reference : buffer_text(&name));
	buffer_free(&name);
}

void compile_bind_host(struct compiler *compiler, uint64_t scope, const char *host,
		       const struct compiled_service *service, size_t gateway)
{
	struct name_table *table = &compiler->mesh->virtual_hosts;
	struct virtual_host *virtual_host = name_table_get(table, scope, span_of(host));

	if (!virtual_host) {
		virtual_host = compile_array(compiler, 1, sizeof(*virtual_host));
		if (!virtual_host)
			return;
		virtual_host->next = compiler->mesh->all_virtual_hosts;
		compiler->mesh->all_virtual_hosts = virtual_host;
		compile_put(compiler, table, scope, span_of(host), virtual_host);
		compiler->mesh->has_wildcards |= host[0] == '*' && host[1] != '\0';
	}
	if (virtual_host->binding_count && service->manifest && service->manifest->is_rejected)
		return;
	struct host_binding *last =
		virtual_host->binding_count
			? &virtual_host->bindings[virtual_host->binding_count - 1]
			: NULL;
	if (last && last->service == service && last->gateway == gateway)
		return;
	size_t count = virtual_host->binding_count;
	if ((count & (count - 1)) == 0) {
		struct host_binding *grown =
			compile_array(compiler, count ? 2 * count : 1, sizeof(*grown));
		if (!grown)
			return;
		if (count)
			memcpy(grown, virtual_host->bindings, count * sizeof(*grown));
		virtual_host->bindings = grown;
	}
	virtual_host->bindings[virtual_host->binding_count++] =
		(struct host_binding){service, gateway};
}

const char *compile_narrower_host(const char *one, const char *other)
{
	struct span a = span_of(one), b = span_of(other);

	if (strcmp(one, "*") == 0 || strcmp(one, other) == 0)
		return other;
	if (strcmp(other, "*") == 0)
		return one;
	if (*one == '*' && span_ends_with_ignore_case(b, (struct span){a.data + 1, a.length - 1}))
		return other;
	if (*other == '*' && span_ends_with_ignore_case(a, (struct span){b.data + 1, b.length - 1}))
		return one;
	return NULL;
}

/* True if some server of the gateway takes requests to this host. */
static bool bind_to_gateway(const struct compiled_resource *resource,
			    const struct compiled_service *service, const char *host,
			    const struct gateway_model *gateway)
{
	bool is_bound = false;

	for (size_t i = 0; i < gateway->server_count; i++) {
		const struct gateway_server *server = gateway->servers[i].server;
		size_t listener = gateway->servers[i].listener->listener.index;

		for (size_t j = 0; j < server->host_count; j++) {
			const char *namespace = server->hosts[j].namespace;
			const char *both = compile_narrower_host(host, server->hosts[j].host);

			if (!both ||
			    (namespace && strcmp(namespace, resource->resource->namespace) != 0))
				continue;
			is_bound = true;
			if (!server->https_redirect)
				compile_bind_host(resource->compiler, scope_of_listener(listener),
						  both, service, gateway->index);
		}
	}
	return is_bound;
}

static void bind_hosts_to_gateway(const struct compiled_resource *resource,
				  const struct compiled_service *service,
				  const struct gateway_model *gateway,
				  const struct source_place place, const struct path *path)
{
	const struct virtual_service_manifest *manifest = service->manifest;
	const struct resource *owner = &gateway->manifest->resource;
	bool is_bound = false;

	if (!export_includes(&manifest->export_to, owner->namespace)) {
		compile_warning(resource, place, path,
				"no effect at Gateway/%s: exportTo leaves its namespace %s out",
				owner->name, owner->namespace);
		return;
	}
	for (size_t i = 0; i < manifest->host_count; i++) {
		const char *host = manifest->hosts[i].text;
		const char *full =
			compile_host_name(resource->compiler, host, manifest->resource.namespace);

		is_bound |= bind_to_gateway(resource, service, host, gateway);
		if (strcmp(host, full) != 0)
			is_bound |= bind_to_gateway(resource, service, full, gateway);
	}
	if (!is_bound)
		compile_warning(resource, place, path,
				"no server of Gateway/%s takes a host of this VirtualService",
				owner->name);
}

static void bind_hosts_to_mesh(const struct compiled_resource *resource,
			       const struct compiled_service *service)
{
	const struct virtual_service_manifest *manifest = service->manifest;
	struct path spec = path_field(NULL, "spec"), path = path_field(&spec, "hosts");

	for (size_t i = 0; i < manifest->host_count; i++) {
		struct path item = path_item(&path, i);
		const char *host = manifest->hosts[i].text;

		if (strcmp(host, "*") == 0) {
			compile_error(resource, manifest->hosts[i].place, &item,
				      "\"*\" can stand for the hosts of a gateway only, not for "
				      "those of the mesh");
			continue;
		}
		compile_bind_host(
			resource->compiler, SCOPE_MESH,
			compile_host_name(resource->compiler, host, manifest->resource.namespace),
			service, GATEWAY_MESH);
	}
}

/* Explain looks at a VirtualService from the first of its gateways. */
static void choose_explained_way_in(const struct compiler *compiler,
				    struct compiled_service *service)
{
	const struct virtual_service_manifest *manifest = service->manifest;
	const struct gateway_model *gateway =
		manifest->gateway_count ? compile_find_gateway(compiler, manifest->gateways[0].text,
							       manifest->resource.namespace)
					: NULL;

	service->explained_gateway = gateway ? gateway->index : GATEWAY_MESH;
	if (gateway && gateway->server_count)
		service->explained_listener = &gateway->servers[0].listener->listener;
}

void compile_bind_hosts(const struct compiled_resource *resource, struct compiled_service *service)
{
	const struct virtual_service_manifest *manifest = service->manifest;
	struct path spec = path_field(NULL, "spec"), path = path_field(&spec, "gateways");

	choose_explained_way_in(resource->compiler, service);
	if (manifest->gateway_count == 0)
		bind_hosts_to_mesh(resource, service);
	for (size_t i = 0; i < manifest->gateway_count; i++) {
		struct path item = path_item(&path, i);
		const char *reference = manifest->gateways[i].text;
		const struct gateway_model *gateway = compile_find_gateway(
			resource->compiler, reference, manifest->resource.namespace);

		if (strcmp(reference, "mesh") == 0)
			bind_hosts_to_mesh(resource, service);
		else if (gateway)
			bind_hosts_to_gateway(resource, service, gateway,
					      manifest->gateways[i].place, &item);
		else
			compile_no_such_gateway(resource, manifest->gateways[i].place, &item,
						reference);
	}
}

/* a.b.c: *.b.c, then *.c: the byte in front of each dot becomes the star. */
static const struct virtual_host *find_wildcard_host(const struct mesh *mesh, uint64_t scope,
						     struct span host)
{
	const struct virtual_host *found = NULL;
	char wildcard[HOST_MAX_BYTES];

	if (host.length)
		memcpy(wildcard, host.data, host.length);
	for (size_t i = 1; i < host.length && !found; i++) {
		if (host.data[i] != '.')
			continue;
		wildcard[i - 1] = '*';
		found = name_table_get(&mesh->virtual_hosts, scope,
				       (struct span){wildcard + i - 1, host.length - i + 1});
	}
	return found;
}

const struct virtual_host *mesh_find_virtual_host(const struct mesh *mesh, uint64_t scope,
						  struct span host)
{
	const struct virtual_host *found = name_table_get(&mesh->virtual_hosts, scope, host);

	if (found || host.length > HOST_MAX_BYTES)
		return found;
	if (mesh->has_wildcards)
		found = find_wildcard_host(mesh, scope, host);
	return found ? found : name_table_get(&mesh->virtual_hosts, scope, (struct span){"*", 1});
}

static void open_port(const struct compiled_resource *resource, struct mesh_host *host,
		      struct host_port *port, size_t index)
{
	const struct service_manifest *service = host->service;
	struct path spec = path_field(NULL, "spec"), ports = path_field(&spec, "ports");
	struct path path = path_item(&ports, index);

	port->cluster = compile_cluster(resource->compiler, host, NULL, port->manifest->port);
	for (size_t i = 0; i < service->address_count; i++) {
		struct mesh_listener wanted = {
			.kind = MESH_LISTENER_SERVICE,
			.port = port->manifest->port,
		};

		memcpy(wanted.address, service->addresses[i], sizeof(wanted.address));
		if (has_own_listener(resource->compiler->mesh, host, &wanted) ||
		    conflicts(resource, port->manifest->place, &path, &wanted))
			continue;
		struct listener_model *listener =
			add_listener(resource, port->manifest->place, &wanted);
		if (listener)
			listener->host = host;
	}
}

static void open_host(const struct compiled_resource *resource, struct mesh_host *host)
{
	host->has_virtual_service =
		mesh_find_virtual_host(resource->compiler->mesh, SCOPE_MESH, span_of(host->name));
	for (size_t i = 0; i < host->service->port_count; i++) {
		const struct service_port_manifest *port = &host->service->ports[i];

		if (port->is_http ||
		    (host->has_virtual_service && !port->is_other && !port->is_named_other))
			open_port(resource, host, &host->ports[i], i);
	}
}

void compile_service_listeners(struct compiler *compiler)
{
	for (size_t i = 0; i < compiler->manifests->service_count; i++) {
		const struct service_manifest *service = &compiler->manifests->services[i];
		char *title = resource_title(&service->resource);
		struct compiled_resource resource = {compiler, &service->resource, title};

		for (size_t j = 0; j < service->host_count; j++) {
			struct mesh_host *host = name_table_get(&compiler->mesh->hosts, 0,
								span_of(service->hosts[j]));
			if (host && host->service == service)
				open_host(&resource, host);
		}
		free(title);
	}
}
