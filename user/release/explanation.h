/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What a configuration makes of a user: hash, remainder and tag per rule, then routes. */
#include "base/keyed_hash.h"
#include "config/configuration.h"
#include "http/path.h"

/* A user's request as it leaves the gateway: the id in every header that a rule reads, and tags. */
struct explained {
	const struct configuration *configuration;
	struct tag_decision decision;
	struct http_request_head head;
	struct http_edit request;
	uint64_t hash; /* decides weights, as in the proxy */
};

/* `id` must live as long as `explained`, which must not move. With or without the tags. */
void explanation_start(struct explained *explained, const struct configuration *configuration,
		       struct span id, bool with_tags);
/* Where VirtualService `index` (below mesh_explain_count) sends it. */
void explanation_route(const struct explained *explained, size_t index,
		       struct route_result *ret_result);

/*
 * What else is asked: a target for the routes (path.data == NULL: "/", and nothing is said about it),
 * and what the access log has for the id.
 */
struct explained_target {
	struct span path; /* as routes are matched with it */
	struct span query;
	const struct keyed_hash_key *access_log_key; /* the id's hash by it is shown; or NULL */
};

/*
 * Of a target as clients send it ("/a/../b?c=d"). The result's path may be in `room`. 0, or -1
 * if a request with it is refused: *ret_reason says why.
 */
int explained_target_read(struct span text, enum http_path_normalization way, struct buffer *room,
			  struct explained_target *ret_target, const char **ret_reason);

/* Routes of an explanation that has started are asked about this target. */
void explanation_ask(struct explained *explained, const struct explained_target *target);
