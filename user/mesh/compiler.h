/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * From manifests to a mesh, step by step: hosts (compile_hosts.c), clusters (compile_clusters.c),
 * routes (compile_routes.c), listeners and virtual hosts (compile_listeners.c); or in tag-only mode
 * one route for all (compile_tag_only.c).
 */
#include "mesh/model.h"

struct compiler;

/* The DestinationRules of one host. */
struct subset_rules {
	const struct destination_rule_manifest **rules;
	size_t count;
	const struct destination_rule_manifest *with_policy; /* or NULL */
};

struct found_subset {
	const struct subset_manifest *subset;
	const struct destination_rule_manifest *rule;
};

/* A workload under one of its labels; sorted, so that a selector need not look at all workloads. */
struct labelled_workload {
	const char *namespace;
	const struct label *label;
	const struct workload_manifest *workload;
};

/* A gateway's server, with the listener that it opened. */
struct gateway_binding {
	const struct gateway_server *server;
	const struct listener_model *listener;
};

struct gateway_model {
	const struct gateway_manifest *manifest;
	struct gateway_binding *servers;
	size_t server_count;
	size_t index;
};

struct compiler {
	struct mesh *mesh;
	const struct manifest_set *manifests;
	struct diagnostics *diagnostics;
	struct labelled_workload *labelled;
	size_t labelled_count;
	struct name_table rules;	 /* resolved host -> struct subset_rules */
	struct name_table subsets;	 /* scope: subset_rules; name -> struct found_subset */
	struct name_table unknown_hosts; /* name -> struct mesh_host without a service */
	struct name_table left_out;	 /* host -> the service_manifest that says why */
	struct name_table clusters;	 /* host|subset|port -> struct mesh_cluster */
	struct name_table gateways;	 /* namespace/name -> struct gateway_model */
	const struct compiled_service *https_redirect; /* or NULL: tag-only */
	struct name_table header_slots; /* lower-case name -> slot + 1, as a pointer */
	size_t header_slot_count;
	bool has_wildcard_rules; /* some DestinationRule's host is one */
	bool out_of_memory;	 /* said once, at the end */
};

/* A resource while it is compiled, for errors that name it. */
struct compiled_resource {
	struct compiler *compiler;
	const struct resource *resource;
	const char *title;
};

void compile_error(const struct compiled_resource *resource, struct source_place place,
		   const struct path *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same of something that the resource names and that is not there: it costs the route alone. */
void compile_route_error(const struct compiled_resource *resource, struct source_place place,
			 const struct path *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void compile_warning(const struct compiled_resource *resource, struct source_place place,
		     const struct path *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Zeroed memory of the mesh; NULL sets `out_of_memory`. */
void *compile_array(struct compiler *compiler, size_t count, size_t size);
/* name_table_put with the name copied, which notes when memory is short. */
void compile_put(struct compiler *compiler, struct name_table *table, uint64_t scope,
		 struct span name, void *value);
char *compile_text(struct compiler *compiler, struct span text);

/* compile_hosts.c: everything that clusters are made of. */
void compile_hosts(struct compiler *compiler);
/* A host of this Service or ServiceEntry. `name` and `service` are not copied. */
void compile_add_host(struct compiler *compiler, const struct service_manifest *service,
		      const char *name);
/* The host as someone in `namespace` means it: fully qualified where that can be known. */
const char *compile_host_name(struct compiler *compiler, const char *host, const char *namespace);
/* The host of this name; *ret_known tells whether a Service or ServiceEntry has it. */
struct mesh_host *compile_host(struct compiler *compiler, const char *name, bool *ret_known);
const struct host_port *compile_host_port(const struct mesh_host *host, uint16_t port);
const struct found_subset *compile_find_subset(const struct compiler *compiler,
					       const struct mesh_host *host, const char *name);

/* compile_clusters.c. `subset` may be NULL; NULL when memory is short. */
const struct mesh_cluster *compile_cluster(struct compiler *compiler, const struct mesh_host *host,
					   const struct found_subset *subset, uint16_t port);

struct missing_destination {
	const char *what;
	uint16_t port;	 /* or 0 */
	uint16_t status; /* of the answer; 0: 503. Those of others have other texts in `what` */
	const struct mesh_cluster *const *of_ports; /* what is there all the same; or NULL */
	size_t count;
};

/* One without endpoints, for a route that names what is not there. */
const struct mesh_cluster *compile_missing_cluster(struct compiler *compiler,
						   const struct mesh_host *host, const char *subset,
						   const struct missing_destination *missing);

/* series.c: numbers for a mesh that has no predecessor. */
void mesh_number_series(struct mesh *mesh);

/* compile_listeners.c */
void compile_gateways(struct compiler *compiler);
/* The listener at a gateway's address and port, made where there is none yet. */
struct listener_model *compile_gateway_listener(const struct compiled_resource *resource,
						struct source_place place,
						const uint8_t address[16], uint16_t port);
/* Leads an authority ("*": every one) of a scope to these routes. */
void compile_bind_host(struct compiler *compiler, uint64_t scope, const char *host,
		       const struct compiled_service *service, size_t gateway);
/* The gateway that `reference` means in a resource of this namespace, or NULL. */
const struct gateway_model *compile_find_gateway(const struct compiler *compiler,
						 const char *reference, const char *namespace);
/* The error that it means none. */
void compile_no_such_gateway(const struct compiled_resource *resource,
			     const struct source_place place, const struct path *path,
			     const char *reference);
void compile_bind_hosts(const struct compiled_resource *resource, struct compiled_service *service);
void compile_service_listeners(struct compiler *compiler);
/* The narrower of two hosts if one holds the other, else NULL. */
const char *compile_narrower_host(const char *one, const char *other);

/* compile_http_routes.c */
/* Of compiler->gateways: a Gateway of each API may have the same name. */
uint64_t compile_gateway_scope(const struct gateway_manifest *manifest);
/* The Gateway of the Gateway API, or NULL. */
const struct gateway_model *compile_find_api_gateway(const struct compiler *compiler,
						     const struct parent_manifest *parent);
/* At most so many compiled_services come of the set. */
size_t compile_count_services(const struct manifest_set *set);
/* HTTPRoutes that are (not) rejected, the oldest first. */
void compile_http_routes(struct compiler *compiler, bool rejected);
void compile_bind_parents(const struct compiled_resource *resource,
			  struct compiled_service *service, const struct parent_manifest *only);
/* What a parent that is a Service asks of every request besides. */
void compile_narrow_match(const struct virtual_service_manifest *manifest,
			  const struct parent_manifest *parent, struct http_match *match);
/* Of an HTTPRoute, as compile_destination. */
const struct mesh_cluster *compile_backend(const struct compiled_resource *resource,
					   const struct path *path,
					   const struct destination_manifest *manifest);

/* An http[] entry, and the VirtualService that has it. */
struct delegated_route {
	struct http_route_manifest route;
	const struct virtual_service_manifest *owner;
	size_t index; /* of its http[] */
};

/*
 * compile_delegates.c: the entries, those of delegates in the place of the ones that delegate. The
 * caller frees the array; what it points to is the compiler's.
 */
struct delegated_route *compile_delegates(const struct compiled_resource *root,
					  const struct virtual_service_manifest *manifest,
					  size_t *ret_count);

/* compile_routes.c */
/* Room for all, and what gateways' httpsRedirect answers. */
void compile_allocate_services(struct compiler *compiler);
void compile_virtual_services(struct compiler *compiler);
/* Routes of one VirtualService or HTTPRoute; of that with `parent` for this one alone. */
void compile_routes_of(struct compiler *compiler, const struct virtual_service_manifest *manifest,
		       const struct parent_manifest *parent);
/*
 * What is not there is said, and leads to a cluster without endpoints. NULL when memory is short.
 */
const struct mesh_cluster *compile_destination(const struct compiled_resource *resource,
					       const struct path *path,
					       const struct destination_manifest *manifest);

/* compile_tag_only.c */
void compile_tag_only(struct compiler *compiler, const struct mesh_tag_only *tag_only);
