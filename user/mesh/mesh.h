/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Hosts, routes, subsets and endpoints, compiled from Gateway, VirtualService, DestinationRule,
 * Service and workloads. Immutable; read by any number of threads. What changes while requests run
 * (round-robin positions, health, pools) is the proxy's, found by the indexes of clusters and
 * endpoints.
 */
#include "http/edit.h"
#include "manifest/manifest.h"
#include "mesh/cluster.h"
#include "mesh/route.h"

enum mesh_listener_kind {
	MESH_LISTENER_GATEWAY,	   /* the edge: clients' own tags are removed, rules are applied */
	MESH_LISTENER_SERVICE,	   /* a Service's address: calls from app to app */
	MESH_LISTENER_INTERCEPTED, /* none of the mesh's: such calls, wherever they were to */
};

struct mesh_listener {
	enum mesh_listener_kind kind;
	uint8_t address[16]; /* network order, IPv4-mapped; all zero: any address */
	uint16_t port;
	size_t index;
};

enum route_action {
	ROUTE_FORWARD,
	ROUTE_NO_HOST,	       /* 404: no virtual host has this authority */
	ROUTE_NO_MATCH,	       /* 404: none of its routes matches */
	ROUTE_UNDECIDED,       /* 431: a regular expression could not say whether a route matches */
	ROUTE_NO_ENDPOINT,     /* 503: the cluster has no endpoint */
	ROUTE_REDIRECT,	       /* route->redirect; mesh_write_location */
	ROUTE_DIRECT_RESPONSE, /* route->direct_response */
	ROUTE_REJECTED,	       /* 503: the host's VirtualService is wrong and never was good */
};

struct route_result {
	enum route_action action;
	const struct mesh_cluster *cluster; /* ROUTE_FORWARD, ROUTE_NO_ENDPOINT */
	const struct mesh_route
		*route; /* NULL where none was chosen (a Service without VirtualService) */
	const struct mesh_destination *destination; /* of `route`, the one that the weights chose */
	size_t matched_prefix; /* bytes of the path that `prefix` took: rewrite.uri replaces them */
	bool fell_back;	       /* `cluster` is the fallback of a destination that has no endpoint */
};

struct route_query {
	const struct mesh_listener *listener;
	const struct http_edit *request;    /* method, target, authority, effective header fields */
	const struct labels *source_labels; /* of the calling workload, or NULL */
	const char *source_namespace;	    /* or NULL */
	bool refuse_foreign_hosts;	    /* at a Service's address: those that no resource has */
	uint64_t hash;			    /* decides weights: equal hashes, equal side */
};

struct mesh;

/*
 * Tag-only: every request goes to one next hop, which routes. VirtualServices, DestinationRules and
 * Services' addresses are then that one's affair. What this points to must outlive the mesh.
 */
struct mesh_tag_only {
	const char *host; /* of a Service or ServiceEntry, as one in the namespace "default" means
			     it; in lower case. Or an IP address, of IPv6 in brackets */
	uint8_t address[16];		       /* if it is one; else all zero */
	uint16_t port;			       /* not 0 */
	const struct mesh_listener *listeners; /* of the kind MESH_LISTENER_GATEWAY */
	size_t listener_count;		       /* 0: the ports of the Gateways */
};

/*
 * 0 and *ret_mesh (mesh_free), or -1 with the errors named in `diagnostics`. `tag_only` is NULL
 * where the manifests say the routes.
 */
int mesh_compile(const struct manifest_set *manifests, const struct mesh_tag_only *tag_only,
		 struct diagnostics *diagnostics, struct mesh **ret_mesh);
void mesh_free(struct mesh *mesh);

size_t mesh_listener_count(const struct mesh *mesh);
const struct mesh_listener *mesh_listener(const struct mesh *mesh, size_t index);
/* The listener of `mesh` with the same kind, address and port; NULL: it is gone. */
const struct mesh_listener *mesh_find_listener(const struct mesh *mesh,
					       const struct mesh_listener *like);
/* Where all requests go in tag-only mode; else NULL. */
const struct mesh_cluster *mesh_next_hop(const struct mesh *mesh);
size_t mesh_cluster_count(const struct mesh *mesh);
const struct mesh_cluster *mesh_cluster(const struct mesh *mesh, size_t index);

/* Steps over the places of an address and port among the clusters' endpoints; zeroed: the start. */
struct mesh_place_cursor {
	size_t cluster;	 /* mesh_cluster.index */
	size_t endpoint; /* of its endpoints */
	uint32_t next;
	bool started;
};
bool mesh_next_place(const struct mesh *mesh, const uint8_t address[16], uint16_t port,
		     struct mesh_place_cursor *cursor);

/*
 * Clusters are counted in numbered series: first those that routes lead to, then Services without a
 * route. Takes the numbers of `previous` for the clusters that both have, so that counters go on,
 * and numbers that were free for long for the others. Before anybody else sees `mesh`.
 */
void mesh_assign_series(struct mesh *mesh, const struct mesh *previous);
/* `series` from 1 to MESH_SERIES; NULL: nobody has it. */
const struct mesh_cluster *mesh_cluster_of_series(const struct mesh *mesh, size_t series);
size_t mesh_clusters_without_series(const struct mesh *mesh);
/* True: the cluster that has it did not have it in `previous`; its counters begin at 0. */
bool mesh_series_is_new(const struct mesh *mesh, const struct mesh *previous, size_t series);

/*
 * What a destination leads calls to `port` to: itself, or the one of its of_ports; without any at
 * that port itself, which then has no endpoint.
 */
const struct mesh_cluster *mesh_cluster_at_port(const struct mesh_cluster *cluster, uint16_t port);

/* The workload with this address, or NULL: whose call is this? */
const struct workload_manifest *mesh_workload_by_address(const struct mesh *mesh,
							 const uint8_t address[16]);

/* Never fails: what cannot be routed is an action of its own. No allocation. */
void mesh_route(const struct mesh *mesh, const struct route_query *query,
		struct route_result *ret_result);

/*
 * The route's rewrite of a request target (path and query, origin-form), appended to `out`. Without
 * a rewrite of the path the target as it is. -1: the rewrite ran into the limits of its regular
 * expression.
 */
int mesh_write_target(const struct route_result *result, struct span target, struct buffer *out);

/* The Location of ROUTE_REDIRECT, appended to `out`. */
void mesh_write_location(const struct route_query *query, const struct route_result *result,
			 struct buffer *out);

/*
 * For explain: steps over the VirtualServices in their order and gives for each where a request
 * with these effective headers goes; `hash` decides weights. A VirtualService whose destination
 * hosts all stood in earlier ones is left out: hosts with several VirtualServices count once.
 */
size_t mesh_explain_count(const struct mesh *mesh);
void mesh_explain(const struct mesh *mesh, size_t index, const struct http_edit *request,
		  uint64_t hash, struct route_result *ret_result);
