/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * VirtualService (networking.istio.io): which request goes where, as written. HTTPRoutes are read into the
 * same (manifest/http_route_resource.h).
 */
#include "base/arena.h"
#include "manifest/resource.h"

enum string_match_kind {
	STRING_MATCH_NONE, /* no condition */
	STRING_MATCH_PRESENT,
	STRING_MATCH_EXACT,
	STRING_MATCH_PREFIX,
	STRING_MATCH_REGEX,
};

struct string_match_manifest {
	struct source_place place;
	enum string_match_kind kind;
	const char *text; /* of exact, prefix, regex */
};

struct named_match_manifest {
	const char *name;
	struct string_match_manifest match;
};

/* One element of match[]: all that it says must hold. */
struct http_match_manifest {
	struct source_place place;
	struct string_match_manifest uri;
	struct string_match_manifest scheme;
	struct string_match_manifest method;
	struct string_match_manifest authority;
	const struct named_match_manifest *headers;
	size_t header_count;
	const struct named_match_manifest *without_headers;
	size_t without_header_count;
	const struct named_match_manifest *query_params;
	size_t query_param_count;
	bool ignore_uri_case;
	uint16_t port; /* 0: any */
	struct labels source_labels;
	const char *source_namespace; /* or NULL */
	const char *const *gateways;
	size_t gateway_count; /* 0: those of the VirtualService */
	uint64_t precedence;  /* HTTPRoute: the higher is tried first; else 0 */
};

struct destination_manifest {
	struct source_place place;
	struct source_place subset_place;
	const char *host; /* as written, lower case; NULL: it was wrong */
	const char *subset;
	uint16_t port;	       /* 0: not said */
	const char *invalid;   /* HTTPRoute: why it is no backend, said already; or NULL */
	const char *namespace; /* HTTPRoute: of the Service; or NULL */
	const char *name;      /* HTTPRoute: of the Service; or NULL */
};

struct header_manifest {
	const char *name;
	const char *value;
};

struct header_operations_manifest {
	const struct header_manifest *set;
	size_t set_count;
	const struct header_manifest *add;
	size_t add_count;
	const char *const *remove;
	size_t remove_count;
	const char *authority; /* set of Host or :authority, of requests; or NULL */
};

struct headers_manifest {
	struct header_operations_manifest request;
	struct header_operations_manifest response;
};

struct route_destination_manifest {
	struct destination_manifest destination;
	bool has_weight;
	uint32_t weight;
	struct headers_manifest headers;
};

/* NULL: not said. */
struct rewrite_manifest {
	const char *uri, *authority;
	/* uriRegexRewrite: both or neither, and then no `uri` */
	const char *pattern, *substitution;
	struct source_place pattern_place;
	bool is_whole; /* `uri` replaces the whole path, whatever matched */
};

struct redirect_manifest {
	const char *uri, *authority, *scheme; /* NULL: not said */
	uint16_t port;
	bool port_from_request;
	bool keeps_rest; /* `uri` is in place of the matched prefix alone */
	uint16_t status;
};

struct retries_manifest {
	bool present;
	uint32_t attempts;
	uint32_t per_try_timeout_ms;
	const char *retry_on; /* as written, or NULL */
	struct source_place retry_on_place;
};

struct fault_manifest {
	uint32_t delay_share, abort_share; /* in millionths */
	uint32_t delay_ms;
	uint16_t abort_status;
};

struct mirror_manifest {
	struct destination_manifest destination;
	uint32_t share; /* in millionths */
};

struct http_route_manifest {
	struct source_place place;
	const char *name; /* or NULL */
	size_t index;	  /* in the manifest's list */
	/* Another VirtualService, whose entries are in the place of this one; else NULL. */
	const char *delegate, *delegate_namespace;
	const struct http_match_manifest *matches;
	size_t match_count; /* 0: every request */
	const struct route_destination_manifest *destinations;
	size_t destination_count;
	bool has_redirect;
	struct redirect_manifest redirect;
	bool has_direct_response;
	uint16_t direct_status;
	struct span direct_body;
	struct rewrite_manifest rewrite;
	uint32_t timeout_ms;
	struct retries_manifest retries;
	struct fault_manifest fault;
	const struct mirror_manifest *mirrors;
	size_t mirror_count;
	struct headers_manifest headers;
};

struct placed_text {
	struct source_place place;
	const char *text;
};

/* What an HTTPRoute is attached to. */
struct parent_manifest {
	struct source_place place;
	bool is_service; /* calls of this Service; false: a Gateway of the Gateway API */
	const char *namespace, *name;
	const char *section; /* the listener's name; NULL: any */
	uint16_t port;	     /* 0: any */
};

struct virtual_service_manifest {
	struct resource resource;
	struct arena arena;
	bool faulty;			 /* something of it was wrong: not to be compiled */
	bool is_rejected;		 /* in the place of one that is wrong (manifest/stub.h) */
	const struct placed_text *hosts; /* as written, lower case */
	size_t host_count;
	const struct placed_text *gateways; /* mesh, NAME or NAMESPACE/NAME */
	size_t gateway_count;		    /* 0: mesh */
	struct export_manifest export_to;
	const struct http_route_manifest *http;
	size_t http_count;
	bool is_http_route;  /* with `parents` in place of `gateways` */
	const char *created; /* HTTPRoute: creationTimestamp, or NULL */
	const struct parent_manifest *parents;
	size_t parent_count;
};

/* -1: not even its metadata could be read. */
int virtual_service_read(const struct node *document, struct diagnostics *diagnostics,
			 struct virtual_service_manifest *ret_manifest);
void virtual_service_free(struct virtual_service_manifest *manifest);
