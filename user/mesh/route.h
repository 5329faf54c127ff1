/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What one http[] entry of a VirtualService says shall happen to a request, compiled. Immutable.
 * The proxy applies it; which entry a request takes is mesh_route's.
 */
#include "mesh/cluster.h"

struct mesh_header_value {
	struct span name; /* as written */
	struct span value;
};

/* In this order: remove, set, add. */
struct mesh_header_operations {
	const struct mesh_header_value *set; /* in place of all fields of this name */
	size_t set_count;
	const struct mesh_header_value *add; /* beside those that are there */
	size_t add_count;
	const struct span *remove;
	size_t remove_count;
	struct span authority; /* of requests: in place of the one received; data == NULL: none */
};

/* A share of all requests, in millionths. */
#define MESH_SHARE_ALL 1000000U

struct mesh_destination {
	const struct mesh_cluster *cluster;
	uint32_t weight;
	struct mesh_header_operations request_headers;	/* after the route's */
	struct mesh_header_operations response_headers; /* after the route's */
};

struct regex;

struct mesh_rewrite {
	bool has_path;
	struct span uri; /* in place of the matched prefix, or of the whole path */
	bool is_whole;	 /* `uri` is in place of the whole path in any case */
	/* Or: what this matches of the path is replaced (regex_replace). */
	const struct regex *regex;
	struct span substitution;
	struct span authority; /* data == NULL: as received */
};

struct mesh_redirect {
	uint16_t status; /* 301, 302, 303, 307, 308 */
	struct span uri; /* for the path, and the query if it has one; data == NULL: as received */
	struct span authority;	/* data == NULL: as received */
	struct span scheme;	/* data == NULL: http */
	uint16_t port;		/* 0: none is written */
	bool port_from_request; /* derivePort: FROM_REQUEST_PORT */
	bool keeps_rest;	/* `uri` is in place of the matched prefix alone */
};

struct mesh_direct_response {
	uint16_t status;  /* 200 .. 599 */
	struct span body; /* may be empty */
};

/* Conditions of `retryOn` as bits. A connection that could not be made is
 * MESH_RETRY_CONNECT_FAILURE. */
enum mesh_retry_condition {
	MESH_RETRY_CONNECT_FAILURE =
		1 << 0, /* no connection: the request can't have been processed */
	MESH_RETRY_RESET_BEFORE_REQUEST =
		1 << 1, /* closed before any byte of the request was written */
	/* No response head: closed, timed out, or not connected; also of the next two. */
	MESH_RETRY_RESET = 1 << 2,
	MESH_RETRY_GATEWAY_ERROR = 1 << 3, /* 502, 503, 504 */
	MESH_RETRY_5XX = 1 << 4,	   /* any 5xx */
	MESH_RETRY_RETRIABLE_4XX = 1 << 5, /* 409 */
};

struct mesh_retries {
	bool present;		      /* false: the manifest says nothing */
	uint32_t attempts;	      /* besides the first; 0: never */
	uint32_t per_try_timeout_ms;  /* 0: the route's timeout alone */
	uint32_t conditions;	      /* enum mesh_retry_condition */
	const uint16_t *status_codes; /* retryOn: codes by number */
	size_t status_code_count;
};

struct mesh_fault {
	uint32_t delay_share; /* in millionths; 0: no delay */
	uint32_t delay_ms;
	uint32_t abort_share; /* in millionths; 0: no abort */
	uint16_t abort_status;
};

struct mesh_mirror {
	const struct mesh_cluster *cluster;
	uint32_t share; /* in millionths */
};

enum mesh_route_kind {
	MESH_ROUTE_FORWARD,
	MESH_ROUTE_REDIRECT,
	MESH_ROUTE_DIRECT_RESPONSE,
	MESH_ROUTE_REJECTED
};

struct mesh_route {
	enum mesh_route_kind kind;
	const char *virtual_service; /* namespace/name, for logs; NULL: tag-only */
	const char *name;	     /* of the http[] entry, or NULL */

	const struct mesh_destination *destinations; /* MESH_ROUTE_FORWARD: at least one */
	size_t destination_count;
	uint64_t weight_sum; /* > 0 */

	struct mesh_rewrite rewrite;
	struct mesh_redirect redirect;
	struct mesh_direct_response direct_response;
	struct mesh_header_operations request_headers;
	struct mesh_header_operations response_headers;
	uint32_t timeout_ms; /* of the whole exchange, retries included; 0: none */
	struct mesh_retries retries;
	struct mesh_fault fault;
	const struct mesh_mirror *mirrors;
	size_t mirror_count;
};
