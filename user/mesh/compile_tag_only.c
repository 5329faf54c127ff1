/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tag-only: at every way in a virtual host for every authority, with one rule for every request. So
 * a request's way is the same as with routes.
 */
#include "base/address.h"
#include "mesh/compiler.h"

/* An address as a ServiceEntry with one endpoint says it. */
struct address_host {
	struct service_manifest service;
	struct service_port_manifest port;
	struct workload_manifest endpoint;
};

static void add_address(struct compiler *compiler, const struct mesh_tag_only *tag_only)
{
	struct address_host *host = compile_array(compiler, 1, sizeof(*host));

	if (!host)
		return;
	host->port = (struct service_port_manifest){
		.name = "",
		.port = tag_only->port,
		.target_port = tag_only->port,
		.is_tcp = true,
		.is_http = true,
	};
	host->endpoint = (struct workload_manifest){
		.resource = {.name = "next-hop"},
		.kind = WORKLOAD_INLINE,
		.has_address = true,
		.is_ready = true,
	};
	memcpy(host->endpoint.address, tag_only->address, sizeof(host->endpoint.address));
	host->service = (struct service_manifest){
		.ports = &host->port,
		.port_count = 1,
		.endpoints = &host->endpoint,
		.endpoint_count = 1,
	};
	compile_add_host(compiler, &host->service, tag_only->host);
}

static const struct mesh_cluster *compile_next_hop(const struct compiled_resource *resource,
						   const struct mesh_tag_only *tag_only)
{
	const struct destination_manifest destination = {
		.host = tag_only->host,
		.port = tag_only->port,
	};

	if (!address_is_any(tag_only->address))
		add_address(resource->compiler, tag_only);
	return compile_destination(resource, NULL, &destination);
}

/* The routes that there are: one. NULL where the next hop is wrong (said), or memory is short. */
static struct compiled_service *compile_service(const struct compiled_resource *resource,
						const struct mesh_tag_only *tag_only)
{
	struct compiler *compiler = resource->compiler;
	struct mesh *mesh = compiler->mesh;
	struct mesh_destination *destination = compile_array(compiler, 1, sizeof(*destination));

	mesh->services = compile_array(compiler, 1, sizeof(*mesh->services));
	struct mesh_rule *rule = compile_array(compiler, 1, sizeof(*rule));
	mesh->next_hop = compile_next_hop(resource, tag_only);
	if (!destination || !mesh->services || !rule || !mesh->next_hop)
		return NULL;
	/* All requests need it: this is no matter of one route. */
	if (mesh->next_hop->missing)
		compile_error(resource, (struct source_place){0}, NULL, "no next hop: %s",
			      mesh->next_hop->missing);
	destination->cluster = mesh->next_hop;
	destination->weight = 1;
	rule->route.destinations = destination;
	rule->route.destination_count = 1;
	rule->route.weight_sum = 1;
	mesh->services[0].rules = rule;
	mesh->services[0].rule_count = 1;
	mesh->service_count = 1;
	return &mesh->services[0];
}

void compile_tag_only(struct compiler *compiler, const struct mesh_tag_only *tag_only)
{
	static const struct resource option = {.name = "next-hop", .namespace = "default"};
	const struct compiled_resource resource = {compiler, &option, "--no-route"};
	struct mesh *mesh = compiler->mesh;
	struct compiled_service *service = compile_service(&resource, tag_only);

	for (size_t i = 0; i < tag_only->listener_count; i++)
		compile_gateway_listener(&resource, (struct source_place){0},
					 tag_only->listeners[i].address,
					 tag_only->listeners[i].port);
	if (mesh->listener_count == 0)
		compile_error(&resource, (struct source_place){0}, NULL,
			      "nothing says where to listen: neither a Gateway nor --listen");
	if (!service || mesh->listener_count == 0)
		return;
	for (size_t i = 0; i < mesh->listener_count; i++)
		compile_bind_host(compiler, scope_of_listener(i), "*", service, GATEWAY_MESH);
	service->explained_gateway = GATEWAY_MESH;
	service->explained_listener = &mesh->listeners[0]->listener;
}
