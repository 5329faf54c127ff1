/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What an http[] entry does to requests besides forwarding them. Each reads one field of `route`.
 */
#include "manifest/builder.h"
#include "manifest/virtual_service.h"

#define SHARE_ALL 1000000 /* shares are in millionths */

void http_redirect_read(const struct builder *builder, const struct node *node,
			const struct path *path, struct http_route_manifest *route);
void http_direct_response_read(const struct builder *builder, const struct node *node,
			       const struct path *path, struct http_route_manifest *route);
void http_rewrite_read(const struct builder *builder, const struct node *node,
		       const struct path *path, struct http_route_manifest *route);
void http_retries_read(const struct builder *builder, const struct node *node,
		       const struct path *path, struct http_route_manifest *route);
void http_fault_read(const struct builder *builder, const struct node *node,
		     const struct path *path, struct http_route_manifest *route);
/* `headers` of an entry or of one of its destinations. */
void http_headers_read(const struct builder *builder, const struct node *mapping,
		       const struct path *parent, struct headers_manifest *headers);
/* False (named): the connection or the agent alone may set a header of this name. */
bool http_header_is_changeable(const struct builder *builder, const struct node *node,
			       const struct path *path, struct span name);
/* {value: PER CENT}, or `absent`. */
uint32_t http_percentage_read(const struct builder *builder, const struct node *mapping,
			      const struct path *parent, const char *field, uint32_t absent);
