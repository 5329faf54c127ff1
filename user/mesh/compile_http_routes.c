/* SPDX-License-Identifier: GPL-2.0-only */
/* What HTTPRoutes have of their own: their order, what they are attached to, and their backends. */
#include <stdlib.h>

#include "manifest/reference_grant.h"
#include "mesh/compiler.h"

#define SCOPE_GATEWAY_API 1 /* of compiler->gateways */

/* The specification's answer of a backend that cannot be one; 503 is for one without endpoints. */
#define INVALID_BACKEND_STATUS 500

const struct gateway_model *compile_find_api_gateway(const struct compiler *compiler,
						     const struct parent_manifest *parent)
{
	struct buffer name = {0};
	const struct gateway_model *found = NULL;

	buffer_printf(&name, "%s/%s", parent->namespace, parent->name);
	if (!name.failed)
		found = name_table_get(&compiler->gateways, SCOPE_GATEWAY_API, buffer_span(&name));
	buffer_free(&name);
	return found;
}

uint64_t compile_gateway_scope(const struct gateway_manifest *manifest)
{
	return manifest->is_gateway_api ? SCOPE_GATEWAY_API : 0;
}

/* Of the calls of its own namespace alone, as it is another one than the Service's. */
static bool is_consumer_route(const struct virtual_service_manifest *manifest,
			      const struct parent_manifest *parent)
{
	return parent->is_service && strcmp(parent->namespace, manifest->resource.namespace) != 0;
}

/* Narrows all matches of the route, so that it cannot share them with other parents. */
static bool narrows(const struct virtual_service_manifest *manifest,
		    const struct parent_manifest *parent)
{
	return parent->is_service && (parent->port || is_consumer_route(manifest, parent));
}

void compile_narrow_match(const struct virtual_service_manifest *manifest,
			  const struct parent_manifest *parent, struct http_match *match)
{
	match->port = parent->port;
	if (!is_consumer_route(manifest, parent))
		return;
	match->source_namespace = manifest->resource.namespace;
	match->precedence |= UINT64_C(1) << 63; /* before what the Service's own namespace says */
}

static void bind_to_server(const struct compiled_resource *resource,
			   const struct compiled_service *service,
			   const struct gateway_model *gateway,
			   const struct gateway_binding *binding, bool *is_bound)
{
	const struct virtual_service_manifest *manifest = service->manifest;
	const struct gateway_server *server = binding->server;
	uint64_t scope = scope_of_listener(binding->listener->listener.index);

	for (size_t i = 0; i < server->host_count; i++) {
		if (server->hosts[i].namespace &&
		    strcmp(server->hosts[i].namespace, manifest->resource.namespace) != 0)
			continue;
		for (size_t j = 0; j < manifest->host_count; j++) {
			const char *both = compile_narrower_host(manifest->hosts[j].text,
								 server->hosts[i].host);

			if (!both)
				continue;
			compile_bind_host(resource->compiler, scope, both, service, gateway->index);
			*is_bound = true;
		}
	}
}

static void bind_to_gateway(const struct compiled_resource *resource,
			    struct compiled_service *service, const struct parent_manifest *parent,
			    const struct path *path)
{
	const struct gateway_model *gateway = compile_find_api_gateway(resource->compiler, parent);
	bool is_bound = false;

	if (!gateway) {
		compile_route_error(resource, parent->place, path,
				    "there is no Gateway %s/%s (namespace/name) of the Gateway API",
				    parent->namespace, parent->name);
		return;
	}
	for (size_t i = 0; i < gateway->server_count; i++) {
		const struct gateway_binding *binding = &gateway->servers[i];

		if ((parent->section && strcmp(parent->section, binding->server->section) != 0) ||
		    (parent->port && parent->port != binding->server->port))
			continue;
		bind_to_server(resource, service, gateway, binding, &is_bound);
		if (is_bound && !service->explained_listener) {
			service->explained_listener = &binding->listener->listener;
			service->explained_gateway = gateway->index;
		}
	}
	if (!is_bound)
		compile_warning(resource, parent->place, path,
				"no listener of Gateway/%s takes a host of this HTTPRoute",
				parent->name);
}

static void bind_to_service(const struct compiled_resource *resource,
			    const struct compiled_service *service,
			    const struct parent_manifest *parent, const struct path *path)
{
	struct buffer host = {0};

	buffer_printf(&host, "%s.%s." SERVICE_DOMAIN, parent->name, parent->namespace);
	if (host.failed)
		resource->compiler->out_of_memory = true;
	else if (!name_table_get(&resource->compiler->mesh->hosts, 0, buffer_span(&host)))
		compile_route_error(resource, parent->place, path,
				    "there is no Service %s/%s (namespace/name)", parent->namespace,
				    parent->name);
	else
		compile_bind_host(resource->compiler, SCOPE_MESH, buffer_text(&host), service,
				  GATEWAY_MESH);
	buffer_free(&host);
}

/* `only` NULL: all parents that leave the matches as they are. */
void compile_bind_parents(const struct compiled_resource *resource,
			  struct compiled_service *service, const struct parent_manifest *only)
{
	const struct virtual_service_manifest *manifest = service->manifest;
	struct path spec = path_field(NULL, "spec"), path = path_field(&spec, "parentRefs");

	service->explained_gateway = GATEWAY_MESH;
	for (size_t i = 0; i < manifest->parent_count; i++) {
		const struct parent_manifest *parent = &manifest->parents[i];
		struct path item = path_item(&path, i);

		if (only ? parent != only : narrows(manifest, parent))
			continue;
		if (parent->is_service)
			bind_to_service(resource, service, parent, &item);
		else
			bind_to_gateway(resource, service, parent, &item);
	}
}

size_t compile_count_services(const struct manifest_set *set)
{
	size_t count = 0;

	for (size_t i = 0; i < set->virtual_service_count; i++)
		count += 1 + set->virtual_services[i].parent_count;
	return count;
}

/* Without a time of creation it is the youngest. */
static int compare_ages(const void *left, const void *right)
{
	const struct virtual_service_manifest *a =
		*(const struct virtual_service_manifest *const *)left;
	const struct virtual_service_manifest *b =
		*(const struct virtual_service_manifest *const *)right;
	int order = strcmp(a->created ? a->created : "~", b->created ? b->created : "~");

	if (!order)
		order = strcmp(a->resource.namespace, b->resource.namespace);
	return order ? order : strcmp(a->resource.name, b->resource.name);
}

static void compile_http_route(struct compiler *compiler,
			       const struct virtual_service_manifest *manifest)
{
	bool is_shared = !manifest->parent_count;

	for (size_t i = 0; i < manifest->parent_count; i++)
		is_shared |= !narrows(manifest, &manifest->parents[i]);
	if (is_shared)
		compile_routes_of(compiler, manifest, NULL);
	for (size_t i = 0; i < manifest->parent_count; i++) {
		if (narrows(manifest, &manifest->parents[i]))
			compile_routes_of(compiler, manifest, &manifest->parents[i]);
	}
}

void compile_http_routes(struct compiler *compiler, bool rejected)
{
	const struct manifest_set *set = compiler->manifests;
	const struct virtual_service_manifest **sorted =
		calloc(set->virtual_service_count + 1, sizeof(*sorted));
	size_t count = 0;

	if (!sorted) {
		compiler->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < set->virtual_service_count; i++) {
		const struct virtual_service_manifest *manifest = &set->virtual_services[i];

		if (manifest->is_http_route && !manifest->faulty &&
		    manifest->is_rejected == rejected)
			sorted[count++] = manifest;
	}
	qsort(sorted, count, sizeof(*sorted), compare_ages);
	for (size_t i = 0; i < count; i++)
		compile_http_route(compiler, sorted[i]);
	free(sorted);
}

/* A Service of another namespace must say that it lets the route in. */
static bool is_permitted(const struct compiled_resource *resource,
			 const struct destination_manifest *manifest)
{
	const struct manifest_set *set = resource->compiler->manifests;
	const char *own = resource->resource->namespace;

	if (!manifest->name || strcmp(own, manifest->namespace) == 0)
		return true;
	for (size_t i = 0; i < set->reference_grant_count; i++) {
		if (reference_grant_permits(&set->reference_grants[i], own, manifest->namespace,
					    manifest->name))
			return true;
	}
	return false;
}

/* Why no request can go to the backend (said, unless it was when it was read); NULL: it can. */
static const char *why_invalid(const struct compiled_resource *resource, const struct path *path,
			       const struct destination_manifest *manifest,
			       const struct mesh_host *host, bool is_known)
{
	if (manifest->invalid)
		return manifest->invalid;
	if (!is_permitted(resource, manifest)) {
		compile_route_error(resource, manifest->place, path,
				    "no ReferenceGrant in the namespace %s lets HTTPRoutes of %s "
				    "lead to the Service %s: requests to it get 500",
				    manifest->namespace, resource->resource->namespace,
				    manifest->name);
		return "no ReferenceGrant permits the backend";
	}
	if (!is_known) {
		compile_warning(resource, manifest->place, path,
				"no Service has the host %s: requests to it get 500", host->name);
		return "the backend is not there";
	}
	const struct host_port *port = compile_host_port(host, manifest->port);
	if (port && !port->manifest->is_other)
		return NULL;
	compile_route_error(resource, manifest->place, path,
			    port ? "the port %u of %s is not HTTP by its protocol"
				 : "the port %u is none of %s: requests to it get 500",
			    manifest->port, host->name);
	return port ? "the backend's port is not HTTP" : "the backend has no such port";
}

const struct mesh_cluster *compile_backend(const struct compiled_resource *resource,
					   const struct path *path,
					   const struct destination_manifest *manifest)
{
	struct compiler *compiler = resource->compiler;
	bool is_known = false;
	struct mesh_host *host = compile_host(compiler, manifest->host, &is_known);

	if (!host)
		return NULL;
	const char *invalid = why_invalid(resource, path, manifest, host, is_known);
	if (invalid)
		return compile_missing_cluster(compiler, host, NULL,
					       &(struct missing_destination){
						       .what = invalid,
						       .port = manifest->port,
						       .status = INVALID_BACKEND_STATUS,
					       });
	return compile_cluster(compiler, host, NULL, manifest->port);
}
