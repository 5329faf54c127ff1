/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A request in the request stage (stage.h), and what the steps of the stage share.
 */
#include <lanetag/mark.h>
#include "base/random.h"
#include "config/configuration.h"
#include "http/edit.h"
#include "http/path.h"
#include "proxy/record/statistics.h"

struct request {
	/* Given */
	const struct configuration *configuration;
	const struct mesh_listener *listener;
	const struct lanetag_connection *connection;
	const struct causes *causes; /* or NULL */
	uint64_t position; /* stream offset of the head's first byte, where there are causes */
	struct proxy_statistics *statistics;
	struct random_numbers *random;
	enum http_path_normalization path_normalization;
	bool refuse_foreign_hosts;

	/* Parsed; its path is normalised before the route is picked. */
	struct http_request_head head;
	/* To decide by: the configuration's, or older ones that the user is held with. */
	const struct tag_rules *rules;
	struct tag_ids ids; /* in the head, by these rules */

	/* Worked out */
	struct http_edit edit;
	/*
	 * Tags as rules in force give them that were added to `edit`, in this order. Steps behind may have
	 * removed or replaced some of the fields.
	 */
	struct own_tag {
		uint8_t rule, policy;
	} own_tags[LANETAG_MAX_RULES];
	size_t own_tag_count;
	uint64_t restored;     /* rules of own_tags that a hop took from the request's baggage */
	bool baggage_restored; /* ... and all members are such tags */
	struct tag_decision decision; /* gateways, or where an id is known */
	bool mark_agreed;
	enum propagation_way propagated_by; /* on hops; PROPAGATION_WAYS: nothing did */
	const struct labels *source_labels; /* of the calling workload, or NULL */
	const char *source_namespace;
	uint64_t hash; /* decides weights */
	struct route_result route;

	struct span id; /* X-Request-Id, received or our own; data == NULL: not known yet */

	struct buffer values; /* what `edit` points to and nobody else owns */
	struct buffer
		path; /* the normalised path and the query, where they differ from the head's */
	struct buffer target; /* the rewritten target */
};

/*
 * At the edge (forged_tags.c): takes out what a client sent that anything behind could take for a
 * tag, and writes the baggage anew, as one field, from the members that are left: strictly valid
 * ones of others, byte for byte and in their order. There is always room for it.
 */
void request_remove_forged_tags(struct request *request);
/*
 * True if what reads `text` as members of baggage may find a tag there (tag_rules_owns_member), by
 * the rules in force or by those that this request is decided by.
 */
bool request_reads_as_tag(struct request *request, struct span text);
/*
 * Writes what propagates to a workload with these labels into the baggage (propagate.c): our tags,
 * then other fields, then others' members. What has no room is counted; no request fails for it.
 */
void request_propagate(struct request *request, const struct labels *destination);

/* A tag by the rules in force, or by those that this request is decided by. */
static inline bool request_owns_tag(const struct request *request, struct span name)
{
	const struct tag_rules *in_force = request->configuration->tag_rules;

	return tag_rules_owns_header(in_force, name) ||
	       (request->rules != in_force && tag_rules_owns_header(request->rules, name));
}

/*
 * True of a client's trailer that must not pass the edge: tag headers in any spelling, and baggage,
 * which has no place there.
 */
bool request_is_forged_trailer(const struct tag_rules *rules, struct span name);

#define REQUEST_BAGGAGE "baggage"

static const struct span request_baggage_name = {REQUEST_BAGGAGE, sizeof(REQUEST_BAGGAGE) - 1};

static inline bool request_is_baggage_name(struct span name)
{
	return span_equal_ignore_case(name, request_baggage_name);
}

static inline bool request_is_baggage(const struct http_field *field)
{
	return field->kind == HTTP_FIELD_OTHER && request_is_baggage_name(field->name);
}
