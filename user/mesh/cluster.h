/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A destination: a host's port, narrowed by a subset's labels, with its endpoints and the
 * DestinationRule's policy. Immutable; found again across configurations by host, subset and port.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/span.h"
#include "manifest/resource.h"

struct mesh_endpoint {
	uint8_t address[16]; /* network order, IPv4-mapped */
	uint16_t port;
	const struct labels *labels; /* of the workload */
	const char *workload;	     /* its name, for logs */
};

/* Every byte counts: addresses of one network differ in their last ones, or in the port alone. */
static inline uint64_t mesh_endpoint_hash(const uint8_t address[16], uint16_t port)
{
	uint64_t halves[2];

	memcpy(halves, address, sizeof(halves));
	/* Both halves of a product depend on every bit of the factors. */
	unsigned __int128 product = (unsigned __int128)(halves[0] ^ ((uint64_t)port << 32) ^
							UINT64_C(0x9e3779b97f4a7c15)) *
				    (halves[1] ^ UINT64_C(0xd6e8feb86659fd93));
	uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);
	return (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 16;
}

enum mesh_balancing {
	MESH_BALANCE_ROUND_ROBIN, /* the default */
	MESH_BALANCE_LEAST_REQUEST,
	MESH_BALANCE_RANDOM,
	MESH_BALANCE_HASH, /* consistent: see hash_source */
};

enum mesh_hash_source {
	MESH_HASH_HEADER,
	MESH_HASH_COOKIE,
	MESH_HASH_SOURCE_IP,
	MESH_HASH_QUERY_PARAMETER,
};

struct mesh_cluster_policy {
	enum mesh_balancing balancing;
	enum mesh_hash_source hash_source; /* of MESH_BALANCE_HASH */
	struct span hash_name;		   /* of the header, cookie or parameter */
	/* Of MESH_HASH_COOKIE: who has no such cookie gets one. */
	bool makes_cookie;
	uint32_t cookie_ttl_s;	 /* 0: as long as the client's session */
	struct span cookie_path; /* may be empty */

	/* connectionPool; 0: no limit of its own */
	uint32_t maximum_connections;		  /* tcp.maxConnections */
	uint32_t maximum_pending_requests;	  /* http.http1MaxPendingRequests */
	uint32_t maximum_requests;		  /* http.http2MaxRequests: under way at a time */
	uint32_t maximum_requests_per_connection; /* http.maxRequestsPerConnection */
	uint32_t maximum_retries;		  /* http.maxRetries: under way at a time */
	uint32_t connect_timeout_ms;		  /* tcp.connectTimeout; 0: the proxy's default */
	uint32_t idle_timeout_ms;		  /* http.idleTimeout; 0: the proxy's default */

	/* outlierDetection; consecutive_*: 0 is off */
	bool outlier_detection;
	uint32_t consecutive_5xx;
	uint32_t consecutive_gateway_errors;
	uint32_t outlier_interval_ms;
	uint32_t base_ejection_ms;
	uint32_t maximum_ejection_percent; /* of the endpoints, at a time */
	uint32_t minimum_health_percent;   /* fewer healthy: all count as healthy */
};

/* So many clusters have counters of their own; the rest share those with the number 0. */
#define MESH_SERIES 256

struct mesh_ring;

struct mesh_cluster {
	size_t index;		 /* 0 .. mesh_cluster_count - 1 */
	uint16_t series;	 /* 1 .. MESH_SERIES, or 0 */
	const char *host;	 /* fully qualified: app-c.default.svc.cluster.local */
	const char *subset;	 /* or NULL */
	uint16_t port;		 /* the service's */
	const char *missing;	 /* what a route names and is not there: no endpoint; or NULL */
	uint16_t missing_status; /* what such requests are answered with */
	/* Of a destination without a port: by its host's ports. The one that was called is taken. */
	const struct mesh_cluster *const *of_ports;
	size_t of_port_count; /* else 0 */
	size_t endpoint_count;
	const struct mesh_endpoint *endpoints; /* targetPort already applied */
	const struct mesh_ring *ring;	       /* of MESH_BALANCE_HASH (mesh/ring.h); else NULL */
	/* Taken where no endpoint of this one is healthy (lanetag.io/fallback-subset); or NULL. */
	const struct mesh_cluster *fallback;
	struct mesh_cluster_policy policy;
};
