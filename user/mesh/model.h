/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The compiled mesh from inside. */
#include "base/arena.h"
#include "manifest/destination_rule.h"
#include "manifest/gateway.h"
#include "manifest/service.h"
#include "manifest/virtual_service.h"
#include "manifest/workload.h"
#include "mesh/endpoint_directory.h"
#include "mesh/match.h"
#include "mesh/mesh.h"
#include "mesh/name_table.h"

#define HOST_MAX_BYTES 253

/* One http[] entry. */
struct mesh_rule {
	const struct http_match *matches;
	size_t match_count; /* 0: every request */
	struct mesh_route route;
};

struct route_table;

struct compiled_service {
	const struct virtual_service_manifest *manifest; /* NULL: tag-only */
	struct mesh_rule *rules;
	size_t rule_count;
	size_t catch_all; /* the first rule that takes every request; rule_count: none does */
	/* Where explain lets its request come in. */
	size_t explained_gateway;
	const struct mesh_listener *explained_listener; /* NULL: the mesh */
	const struct route_table *explained_table;	/* of its rules alone */
};

/* The routes of a VirtualService as they stand at a virtual host. */
struct host_binding {
	const struct compiled_service *service;
	size_t gateway;
};

/* An authority that requests may have: exact, "*.suffix" or "*". */
struct virtual_host {
	struct virtual_host *next; /* of all */
	struct host_binding *bindings;
	size_t binding_count;
	/* Their rules, to be looked at in this order (rule_index.h). */
	const struct route_table **tables;
	size_t table_count;
};

struct host_port {
	const struct service_port_manifest *manifest;
	const struct mesh_cluster *cluster; /* all endpoints; NULL: not HTTP, not ours to carry */
};

/* A host of a Service or ServiceEntry. */
struct mesh_host {
	const char *name; /* fully qualified */
	const struct service_manifest *service;
	struct host_port *ports; /* as those of the service */
	/* Ready workloads that the selector or the ServiceEntry gives. */
	const struct workload_manifest **workloads;
	size_t workload_count;
	bool has_virtual_service;
	struct subset_rules *rules; /* DestinationRules of this host; or NULL */
};

struct listener_model {
	struct mesh_listener listener;
	const struct mesh_host *host;		/* MESH_LISTENER_SERVICE: whose address it is */
	const struct gateway_manifest *gateway; /* MESH_LISTENER_GATEWAY: the first one, or NULL */
	/* Who asked for it, for errors. */
	struct source_place place;
	const char *title;
};

/* Scopes of mesh->virtual_hosts: app to app, or a gateway's listener. */
#define SCOPE_MESH 0
static inline uint64_t scope_of_listener(size_t listener)
{
	return (uint64_t)listener + 1;
}

struct mesh {
	struct arena arena;
	struct regex_set *regexes;
	struct listener_model **listeners;
	size_t listener_count;
	struct mesh_cluster **clusters;
	size_t cluster_count;
	struct endpoint_directory endpoints;
	const struct mesh_cluster *next_hop;		    /* tag-only; else NULL */
	const struct mesh_cluster *series[MESH_SERIES + 1]; /* whose number it is; [0]: NULL */
	size_t next_series;				    /* to be given out next */
	/* One more than there are VirtualServices: what gateways' httpsRedirect answers. */
	struct compiled_service *services;
	size_t service_count;
	const struct compiled_service **explained;
	size_t explained_count;
	struct name_table hosts;	 /* scope 0, host name -> struct mesh_host */
	struct name_table virtual_hosts; /* scope, authority -> struct virtual_host */
	struct virtual_host *all_virtual_hosts;
	bool has_wildcards;		 /* some authority is "*.suffix" */
	struct name_table addresses;	 /* scope 0, 16 bytes -> struct workload_manifest */
	struct name_table listener_keys; /* kind, address and port -> struct listener_model */
};

/* The virtual host of an exact name, else of the longest wildcard that holds it; or NULL. */
const struct virtual_host *mesh_find_virtual_host(const struct mesh *mesh, uint64_t scope,
						  struct span host);

/* Of several workloads with one address none can be told. */
extern const struct workload_manifest mesh_ambiguous_workload;

/*
 * The fully qualified candidates of a host that may be short, as a caller in `namespace` means it:
 * app-c, app-c.default, app-c.default.svc. Calls `try` until it gives something.
 */
typedef void *(*mesh_try_host)(const void *context, struct span host);
void *mesh_resolve_host(struct span host, const char *namespace, mesh_try_host try,
			const void *context);
