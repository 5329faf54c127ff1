/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The conditions of an http[] entry's match[], compiled, and their evaluation. */
#include "manifest/virtual_service.h"
#include "mesh/mesh.h"
#include "mesh/regex.h"

/* A gateway's index, or this: calls from app to app. */
#define GATEWAY_MESH SIZE_MAX
/* Or this: one that is not there, so that no request comes by it. */
#define GATEWAY_MISSING (SIZE_MAX - 1)

/* The values of this many header names are looked up once per request. */
#define MATCH_CACHED_HEADERS 64

/* What all regular expressions may take that one request is held against, as regex_work. */
#define MATCH_MAX_REGEX_WORK (4 * REGEX_MAX_WORK)

struct text_match {
	enum string_match_kind kind;
	bool ignore_case; /* of exact and prefix */
	struct span text;
	const struct regex *regex;
};

struct header_match {
	struct span name;
	size_t slot; /* of the request's looked-up values; >= MATCH_CACHED_HEADERS: none */
	struct text_match match;
};

struct query_match {
	struct span name;
	struct text_match match;
};

struct http_match {
	struct text_match uri, scheme, method, authority;
	const struct header_match *headers;
	size_t header_count;
	const struct header_match *without_headers;
	size_t without_header_count;
	const struct query_match *query_params;
	size_t query_param_count;
	uint16_t port; /* 0: any */
	const struct labels *source_labels;
	const char *source_namespace; /* or NULL */
	/* Of calls from app to app: who sees the VirtualService; NULL: all do. */
	const struct export_manifest *export_to;
	const size_t *gateways;
	size_t gateway_count; /* 0: all of the VirtualService */
	uint64_t precedence;  /* of HTTPRoutes: the higher is tried first */
};

/* A request while it is matched: what was looked up already. */
struct match_request {
	const struct route_query *query;
	struct span path;
	uint64_t looked_up; /* bit: slot */
	uint64_t present;
	struct span values[MATCH_CACHED_HEADERS];
	uint64_t regex_work; /* of all regular expressions so far, at the most */
	bool undecided;	     /* of the last http_match_holds: see there */
};

void match_request_start(struct match_request *request, const struct route_query *query);

/* The effective value of the header that a condition is about; false if there is none. */
bool match_request_header(const struct header_match *header, struct match_request *request,
			  struct span *ret_value);

/* True if there is no request for which it does not hold. */
bool http_match_is_catch_all(const struct http_match *match);

/* True if the conditions on the way in and on the caller hold, which no request of its changes. */
bool http_match_is_for_caller(const struct http_match *match, const struct route_query *query,
			      size_t gateway);

/*
 * True if all conditions hold for a request that came in by `gateway`. With request->undecided it
 * is not known: no condition fails, and a regular expression could not say (past its bounds).
 */
bool http_match_holds(const struct http_match *match, struct match_request *request,
		      size_t gateway);
