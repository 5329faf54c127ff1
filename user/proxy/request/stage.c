/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/request/stage.h"

#include "manifest/workload.h"
#include "mesh/apply.h"
#include "policy/baggage.h"
#include "proxy/request/correlation.h"
#include "proxy/request/forwarding.h"

static const struct request_verdict all_is_well = {0, NULL};
static const struct request_verdict too_many_fields = {431, "no room for another header field"};
static const struct request_verdict no_memory = {503, "out of memory"};
static const struct request_verdict encoded_nul = {400, "%00 in the path"};

/*
 * Spans of `values` stand in the edit, so it must not move once something was written to it: room
 * for all that one request can need is made first. Restored tags and members that are kept are no
 * longer than the baggage that came, or than BAGGAGE_MAX_BYTES where it was looked up; a member is
 * looked at decoded; a value encodes to three times its size at most; and so on.
 */
static bool reserve_values(struct request *request)
{
	buffer_clear(&request->values);
	return buffer_reserve(&request->values,
			      4 * request->head.length + 5 * BAGGAGE_MAX_BYTES + 1024) != NULL;
}

/* Whether kernel and agent say the same of a rule; LANETAG_POLICY_UNKNOWN says nothing. */
static bool kernel_decided(const struct lanetag_mark *mark, size_t rule, uint8_t policy)
{
	return mark && rule < mark->rule_count && mark->policy[rule] == policy;
}

static bool kernel_differs(const struct lanetag_mark *mark, size_t rule, uint8_t policy)
{
	return mark && (rule >= mark->rule_count || (mark->policy[rule] != policy &&
						     mark->policy[rule] != LANETAG_POLICY_UNKNOWN));
}

static void count_ids(struct request *request)
{
	const struct lanetag_ruleset *ruleset = tag_rules_ruleset(request->rules);

	for (size_t i = 0; i < ruleset->source_count; i++) {
		if (request->decision.sources[i] == TAG_ID_MISSING)
			statistics_count(&request->statistics->ids_missing);
		else if (request->decision.sources[i] == TAG_ID_CONFLICTING)
			statistics_count(&request->statistics->ids_conflicting);
	}
}

/* Rules of other hosts (bits of `others`) say nothing of the kernel, which does not look at them. */
static void count_decisions(struct request *request, const struct lanetag_mark *mark,
			    uint64_t others)
{
	const struct lanetag_ruleset *ruleset = tag_rules_ruleset(request->rules);
	struct proxy_statistics *statistics = request->statistics;
	bool by_kernel = mark, differs = false;

	for (size_t i = 0; i < ruleset->rule_count; i++) {
		uint8_t policy = request->decision.rules[i].policy;
		uint32_t lane = request->decision.rules[i].lane % LANETAG_MAX_LANES;

		if (others >> i & 1) {
			statistics_count(&statistics->lane_mark_unused[lane]);
			continue;
		}
		if (kernel_decided(mark, i, policy)) {
			statistics_count(&statistics->lane_mark_agreed[lane]);
			continue;
		}
		statistics_count(&statistics->lane_mark_unused[lane]);
		by_kernel = false;
		differs = differs || kernel_differs(mark, i, policy);
	}
	request->mark_agreed = by_kernel;
	statistics_count(by_kernel ? &statistics->marks_agreed : &statistics->marks_unused);
	if (differs)
		statistics_count(&statistics->disagreements);
}

static void decide(struct request *request, const struct lanetag_mark *mark)
{
	const struct tag_rules *rules = request->rules;

	tag_rules_decide_ids(rules, &request->ids, &request->decision);
	uint64_t others = tag_rules_match_host(rules, &request->head.authority, &request->decision);
	if (mark && mark->generation != tag_rules_ruleset(rules)->generation) {
		statistics_count(&request->statistics->marks_stale);
		mark = NULL;
	}
	if (tag_rules_count(rules) == 0)
		return;
	count_ids(request);
	count_decisions(request, mark, others);
}

struct request_verdict request_inject_tags(struct request *request)
{
	const struct tag_rules *rules = request->rules;
	size_t count = tag_rules_count(rules);
	bool in_force = rules == request->configuration->tag_rules;

	request->own_tag_count = 0;
	for (size_t i = 0; i < count; i++) {
		uint8_t policy = request->decision.rules[i].policy;

		if (policy == LANETAG_POLICY_NONE)
			continue;
		if (http_edit_add(&request->edit, tag_rules_header(rules, i),
				  tag_rules_value(rules, i, policy)))
			return too_many_fields;
		if (in_force)
			request->own_tags[request->own_tag_count++] =
				(struct own_tag){(uint8_t)i, policy};
	}
	return all_is_well;
}

/* Equal hashes, equal side of the weights: the user's where an id is known. */
static uint64_t routing_hash(struct request *request)
{
	size_t count = tag_rules_count(request->rules);

	for (size_t i = 0; i < count; i++) {
		if (request->decision.rules[i].has_remainder)
			return request->decision.rules[i].hash;
	}
	return random_take(request->random);
}

/* From here on the path that came is the access log's alone. */
static struct request_verdict normalize_path(struct request *request)
{
	struct http_request_head *head = &request->head;

	buffer_clear(&request->path);
	switch (http_path_normalize(head->path, request->path_normalization, &request->path)) {
	case HTTP_PATH_IS_NORMAL:
		return all_is_well;
	case HTTP_PATH_REFUSED:
		statistics_count(&request->statistics->bad_requests);
		return encoded_nul;
	case HTTP_PATH_NORMALIZED:
		break;
	}
	size_t length = request->path.length;
	if (head->query.data) {
		buffer_append_byte(&request->path, '?');
		buffer_append_span(&request->path, head->query);
	}
	if (request->path.failed)
		return no_memory;
	head->path = (struct span){request->path.data, length};
	request->edit.target = buffer_span(&request->path);
	return all_is_well;
}

static void find_caller(struct request *request)
{
	const struct workload_manifest *workload = mesh_workload_by_address(
		request->configuration->mesh, request->connection->remote_address);

	request->source_labels = workload ? &workload->resource.labels : NULL;
	request->source_namespace = workload ? workload->resource.namespace : NULL;
}

static bool has_faults(const struct mesh_route *route)
{
	return route && route->fault.delay_share | route->fault.abort_share;
}

static struct request_verdict route_verdict(struct request *request)
{
	struct proxy_statistics *statistics = request->statistics;

	if (request->route.fell_back)
		statistics_count(&statistics->fallbacks);
	switch (request->route.action) {
	case ROUTE_NO_HOST:
		statistics_count(&statistics->no_host);
		return (struct request_verdict){404, "no such host"};
	case ROUTE_NO_MATCH:
		statistics_count(&statistics->no_match);
		return (struct request_verdict){404, "no route matches"};
	case ROUTE_UNDECIDED:
		statistics_count(&statistics->regex_undecided);
		return (struct request_verdict){
			431, "too long for a regular expression of the host's routes"};
	case ROUTE_NO_ENDPOINT:
		statistics_count(&statistics->no_endpoint);
		/* Faults come before the destination, as in Istio: they need none. */
		if (has_faults(request->route.route)) {
			request->route.action = ROUTE_FORWARD;
			return all_is_well;
		}
		if (request->route.cluster->missing)
			return (struct request_verdict){request->route.cluster->missing_status,
							request->route.cluster->missing};
		return (struct request_verdict){503, "no endpoint for this destination"};
	case ROUTE_REJECTED:
		statistics_count(&statistics->rejected);
		return (struct request_verdict){503, "configuration rejected"};
	default:
		return all_is_well;
	}
}

struct request_verdict request_tag_and_route(struct request *request,
					     const struct lanetag_mark *mark)
{
	struct request_verdict verdict;

	http_edit_start(&request->edit, &request->head);
	request->source_labels = NULL;
	request->source_namespace = NULL;
	request->mark_agreed = false;
	request->own_tag_count = 0;
	request->restored = 0;
	request->baggage_restored = false;
	request->propagated_by = PROPAGATION_WAYS;
	request->id = (struct span){NULL, 0};
	request->route = (struct route_result){.action = ROUTE_NO_HOST};
	if (!reserve_values(request))
		return no_memory;
	verdict = normalize_path(request);
	if (verdict.status)
		return verdict;
	if (request->listener->kind == MESH_LISTENER_GATEWAY) {
		request_remove_forged_tags(request);
		decide(request, mark);
		verdict = request_inject_tags(request);
	} else {
		find_caller(request);
		tag_rules_decide_ids(request->rules, &request->ids, &request->decision);
		tag_rules_match_host(request->rules, NULL, &request->decision);
		correlation_restore_tags(request);
		verdict = all_is_well;
	}
	if (verdict.status)
		return verdict;
	request->hash = routing_hash(request);
	struct route_query query = {
		.listener = request->listener,
		.request = &request->edit,
		.source_labels = request->source_labels,
		.source_namespace = request->source_namespace,
		.refuse_foreign_hosts = request->refuse_foreign_hosts,
		.hash = request->hash,
	};
	mesh_route(request->configuration->mesh, &query, &request->route);
	return route_verdict(request);
}

/* As in Istio, the destination's comes before the rewrite's, and that before the route's. */
static void rewrite_authority(const struct route_result *result, struct http_edit *edit)
{
	const struct mesh_destination *destination = result->destination;
	struct span authority = result->route->rewrite.authority;

	if (destination && destination->request_headers.authority.data)
		authority = destination->request_headers.authority;
	else if (!authority.data)
		authority = result->route->request_headers.authority;
	if (authority.data)
		http_edit_set_authority(edit, authority);
}

/* The route's rewrite and what it does to header fields, then its destination's. */
static struct request_verdict apply_route(struct request *request)
{
	const struct route_result *result = &request->route;
	struct http_edit *edit = &request->edit;
	const struct mesh_route *route = result->route;

	/* Only a client of HTTP/1.0 may leave the Host out; the next hop speaks 1.1. */
	if (!request->head.has_host && !request->head.absolute_form)
		http_edit_set_authority(edit, span_of(result->cluster->host));
	if (!route)
		return all_is_well;
	if (route->rewrite.has_path) {
		buffer_clear(&request->target);
		if (mesh_write_target(result, edit->target, &request->target)) {
			statistics_count(&request->statistics->regex_undecided);
			return (struct request_verdict){500, "the path's rewrite takes too long"};
		}
		if (request->target.failed)
			return no_memory;
		edit->target = buffer_span(&request->target);
	}
	rewrite_authority(result, edit);
	if (mesh_apply_headers(&route->request_headers, edit) ||
	    (result->destination &&
	     mesh_apply_headers(&result->destination->request_headers, edit)))
		return too_many_fields;
	return all_is_well;
}

struct request_verdict request_prepare(struct request *request)
{
	struct request_verdict verdict = apply_route(request);
	if (verdict.status)
		return verdict;
	const struct mesh_cluster *cluster = request->route.cluster;
	const struct labels *destination =
		cluster && cluster->endpoint_count ? cluster->endpoints[0].labels : NULL;

	request_propagate(request, destination);
	if (http_edit_remove_hop_by_hop(&request->edit) || forwarding_add_fields(request))
		return too_many_fields;
	return request->values.failed ? no_memory : all_is_well;
}
