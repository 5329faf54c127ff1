/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * HTTPRoute (gateway.networking.k8s.io) into the form of a VirtualService: each match of each rule is an
 * entry of its own, in the order that the specification gives.
 */
#include "manifest/builder.h"
#include "manifest/virtual_service.h"

#define GATEWAY_API_GROUP "gateway.networking.k8s.io"

/* -1: not even its metadata could be read. Freed by virtual_service_free. */
int api_route_read(const struct node *document, struct diagnostics *diagnostics,
		   struct virtual_service_manifest *ret_manifest);

/* A path's condition. */
enum api_path_kind { API_PATH_REGEX = 1, API_PATH_PREFIX, API_PATH_EXACT };

/* One of a rule's matches[]. */
struct api_match {
	enum api_path_kind kind;
	struct http_match_manifest match; /* without uri */
	const char *path;		  /* of a prefix without a "/" at its end, but "/" itself */
};

/* `node` may be NULL: every request. */
void api_match_read(const struct builder *builder, const struct node *node, const struct path *path,
		    struct api_match *match);

/* What a rule's filters do beside what an entry has. */
struct api_filters {
	const char *prefix;   /* in place of the matched prefix of a rewrite or redirect; or NULL */
	bool are_unsupported; /* said already: such requests must get 500 */
};

/* A rule's filters[], into `route`. */
void api_filters_read(const struct builder *builder, const struct node *rule,
		      const struct path *path, const char *own_namespace,
		      struct http_route_manifest *route, struct api_filters *filters);
/* Those of a backend: changes of header fields alone. False (named): another one. */
bool api_backend_filters_read(const struct builder *builder, const struct node *backend,
			      const struct path *path, struct headers_manifest *headers);
/* name, namespace, kind, port of a backend. */
void api_backend_read(const struct builder *builder, const struct node *node,
		      const struct path *path, const char *own_namespace,
		      struct destination_manifest *destination);
