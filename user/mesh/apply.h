/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What a route and a cluster ask of one request, worked out. Pure: no state, no allocation. */
#include "http/edit.h"
#include "mesh/route.h"

/*
 * Applies the operations to a request's or a response's head: remove, then set, then add. -1 if the
 * edit has no room for all of them; what fits is done.
 */
int mesh_apply_operations(const struct mesh_header_operations *operations, struct http_edit *edit);

/* Nearly all routes have none. */
static inline int mesh_apply_headers(const struct mesh_header_operations *operations,
				     struct http_edit *edit)
{
	if (!(operations->remove_count | operations->set_count | operations->add_count))
		return 0;
	return mesh_apply_operations(operations, edit);
}

/* True if one of the values is of a field of this name. */
bool mesh_values_hold(const struct mesh_header_value *values, size_t count, struct span name);
/* True if they remove the fields of this name, or set their own in their place. */
bool mesh_operations_replace(const struct mesh_header_operations *operations, struct span name);

/* True for `share` millionths of all values of `draw` (a random number, or a hash of the user). */
bool mesh_share_holds(uint32_t share, uint64_t draw);

/*
 * The hash that MESH_BALANCE_HASH goes by. False: the request has no such header, cookie or
 * parameter, so that any endpoint will do.
 */
bool mesh_balance_hash(const struct mesh_cluster_policy *policy, const struct http_edit *request,
		       const uint8_t source_address[16], uint64_t *ret_hash);

/*
 * For a client without the cookie that the hash is taken of: the Set-Cookie of a new one, which
 * `draw` (a random number) alone decides, and the hash that a request with it has.
 */
void mesh_write_cookie(const struct mesh_cluster_policy *policy, uint64_t draw, struct buffer *out);
uint64_t mesh_cookie_hash(uint64_t draw);
