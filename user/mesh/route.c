/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/address.h"
#include "base/number.h"
#include "base/word.h"
#include "http/values.h"
#include "mesh/rule_index.h"

/* An authority taken apart and in lower case. */
struct authority {
	char host[HOST_MAX_BYTES + 1];
	size_t length; /* of the host; 0: there is none */
};

/* False if no host can be that long. */
static bool read_authority(struct span text, struct authority *authority)
{
	struct span host = http_authority_host(text);
	size_t at = 0;

	if (host.length > HOST_MAX_BYTES)
		return false;
	for (; host.length - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		uint64_t word = word_lower(word_read(host.data + at));

		memcpy(authority->host + at, &word, sizeof(word));
	}
	for (; at < host.length; at++)
		authority->host[at] = ascii_lower(host.data[at]);
	authority->host[host.length] = '\0';
	authority->length = host.length;
	return true;
}

static bool is_address(const struct authority *authority)
{
	uint8_t address[16];

	return address_parse(authority->host, address) == 0;
}

/* What a host leads to: VirtualServices, else the Service's own endpoints. */
struct host_target {
	const struct virtual_host *virtual_host;
	const struct mesh_host *host;
};

struct mesh_lookup {
	const struct mesh *mesh;
	struct host_target *target;
};

static void *try_mesh_host(const void *context, struct span host)
{
	const struct mesh_lookup *lookup = context;
	struct host_target *target = lookup->target;

	target->virtual_host = mesh_find_virtual_host(lookup->mesh, SCOPE_MESH, host);
	target->host = name_table_get(&lookup->mesh->hosts, 0, host);
	return target->virtual_host || target->host ? target : NULL;
}

/* Calls from app to app: the Host decides; an address stands for the Service that has it. */
static bool find_in_mesh(const struct mesh *mesh, const struct route_query *query,
			 const struct authority *authority, struct host_target *target)
{
	const struct mesh_host *own = mesh->listeners[query->listener->index]->host;
	struct mesh_lookup lookup = {mesh, target};
	struct span host = {authority->host, authority->length};
	const char *namespace = query->source_namespace;

	if (!authority->length || is_address(authority))
		host = span_of(own->name);
	if (!namespace)
	namespace = own->service->resource.namespace;
	if (mesh_resolve_host(host, namespace, try_mesh_host, &lookup))
		return true;
	/* Istio's ALLOW_ANY: the call goes on to where it was to go. */
	target->host = own;
	return !query->refuse_foreign_hosts;
}

static bool find_target(const struct mesh *mesh, const struct route_query *query,
			struct host_target *target)
{
	struct authority authority;

	if (!read_authority(query->request->head->authority, &authority))
		return false;
	if (query->listener->kind == MESH_LISTENER_SERVICE)
		return find_in_mesh(mesh, query, &authority, target);
	target->host = NULL;
	target->virtual_host =
		mesh_find_virtual_host(mesh, scope_of_listener(query->listener->index),
				       (struct span){authority.host, authority.length});
	return target->virtual_host != NULL;
}

/*
 * Spreads hashes that a tag rule's modulo may have made alike, so that the sides of the weights do
 * not follow the lanes (the finaliser of MurmurHash3).
 */
static uint64_t mix(uint64_t hash)
{
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return hash ^ hash >> 33;
}

static const struct mesh_destination *choose_destination(const struct mesh_route *route,
							 uint64_t hash)
{
	if (route->destination_count == 1)
		return &route->destinations[0];
	uint64_t position = mix(hash) % route->weight_sum;
	for (size_t i = 0; i < route->destination_count; i++) {
		if (position < route->destinations[i].weight)
			return &route->destinations[i];
		position -= route->destinations[i].weight;
	}
	return &route->destinations[0]; /* not reached: the weights add up to weight_sum */
}

const struct mesh_cluster *mesh_cluster_at_port(const struct mesh_cluster *cluster, uint16_t port)
{
	for (size_t i = 0; i < cluster->of_port_count; i++) {
		if (cluster->of_ports[i]->port == port)
			return cluster->of_ports[i];
	}
	return cluster;
}

/* Explain's requests come in by none: then it is the first port. */
static const struct mesh_cluster *called_cluster(const struct mesh_cluster *cluster,
						 const struct mesh_listener *listener)
{
	if (!cluster->of_port_count)
		return cluster;
	return listener ? mesh_cluster_at_port(cluster, listener->port) : cluster->of_ports[0];
}

static void take_cluster(const struct mesh_cluster *cluster, struct route_result *result)
{
	result->cluster = cluster;
	result->action = ROUTE_FORWARD;
	if (cluster->endpoint_count)
		return;
	if (cluster->fallback && cluster->fallback->endpoint_count) {
		result->cluster = cluster->fallback;
		result->fell_back = true;
		return;
	}
	result->action = ROUTE_NO_ENDPOINT;
}

static void take_route(const struct mesh_route *route, const struct route_query *query,
		       struct route_result *result)
{
	result->route = route;
	switch (route->kind) {
	case MESH_ROUTE_REDIRECT:
		result->action = ROUTE_REDIRECT;
		break;
	case MESH_ROUTE_DIRECT_RESPONSE:
		result->action = ROUTE_DIRECT_RESPONSE;
		break;
	case MESH_ROUTE_REJECTED:
		result->action = ROUTE_REJECTED;
		break;
	case MESH_ROUTE_FORWARD:
		result->destination = choose_destination(route, query->hash);
		take_cluster(called_cluster(result->destination->cluster, query->listener), result);
		break;
	}
}

/* Without a condition on the path it is the prefix "/", as in Istio. */
static size_t prefix_of(const struct text_match *uri)
{
	if (uri->kind == STRING_MATCH_NONE)
		return 1;
	return uri->kind == STRING_MATCH_PREFIX ? uri->text.length : 0;
}

/* By the first table that has an entry that holds. */
static void route_by(const struct route_table *const *tables, size_t count,
		     struct match_request *request, struct route_result *result)
{
	for (size_t i = 0; i < count; i++) {
		const struct route_entry *entry = route_table_find(tables[i], request);

		if (!entry)
			continue;
		result->matched_prefix = entry->match ? prefix_of(&entry->match->uri) : 1;
		/* Another route must not serve what this one may be there to keep out. */
		if (request->undecided)
			result->action = ROUTE_UNDECIDED;
		else
			take_route(&entry->rule->route, request->query, result);
		return;
	}
	result->action = ROUTE_NO_MATCH;
}

static bool is_for_caller(const struct host_binding *binding, const struct route_query *query)
{
	const struct compiled_service *service = binding->service;

	for (size_t i = 0; i < service->rule_count; i++) {
		const struct mesh_rule *rule = &service->rules[i];

		for (size_t j = 0; j < rule->match_count; j++) {
			if (http_match_is_for_caller(&rule->matches[j], query, binding->gateway))
				return true;
		}
		if (rule->match_count == 0)
			return true;
	}
	return false;
}

/*
 * True if no entry is for this caller, its port and its way in: then Istio's proxies have no routes
 * of the VirtualServices, and the Service's own.
 */
static bool is_without_routes(const struct virtual_host *virtual_host,
			      const struct route_query *query)
{
	for (size_t i = 0; i < virtual_host->binding_count; i++) {
		if (is_for_caller(&virtual_host->bindings[i], query))
			return false;
	}
	return true;
}

static void route_to_service(const struct mesh_host *host, const struct mesh_listener *listener,
			     struct route_result *result)
{
	for (size_t i = 0; i < host->service->port_count; i++) {
		if (host->ports[i].manifest->port == listener->port && host->ports[i].cluster) {
			take_cluster(host->ports[i].cluster, result);
			return;
		}
	}
}

void mesh_route(const struct mesh *mesh, const struct route_query *query,
		struct route_result *ret_result)
{
	struct host_target target = {0};
	struct match_request request;

	*ret_result = (struct route_result){.action = ROUTE_NO_HOST};
	if (!find_target(mesh, query, &target))
		return;
	if (!target.virtual_host) {
		route_to_service(target.host, query->listener, ret_result);
		return;
	}
	match_request_start(&request, query);
	route_by(target.virtual_host->tables, target.virtual_host->table_count, &request,
		 ret_result);
	if (ret_result->action == ROUTE_NO_MATCH && target.host &&
	    is_without_routes(target.virtual_host, query))
		route_to_service(target.host, query->listener, ret_result);
}

size_t mesh_explain_count(const struct mesh *mesh)
{
	return mesh->explained_count;
}

void mesh_explain(const struct mesh *mesh, size_t index, const struct http_edit *request,
		  uint64_t hash, struct route_result *ret_result)
{
	const struct compiled_service *service = mesh->explained[index];
	const struct route_query query = {
		.listener = service->explained_listener,
		.request = request,
		.hash = hash,
	};
	struct match_request matched;

	*ret_result = (struct route_result){0};
	match_request_start(&matched, &query);
	route_by(&service->explained_table, 1, &matched, ret_result);
}

/* A path must begin with "/", whatever a substitution makes of it. */
static int replace_in_path(const struct mesh_rewrite *rewrite, struct span path, struct buffer *out)
{
	size_t start = out->length;

	buffer_append_byte(out, '/');
	if (regex_replace(rewrite->regex, path, rewrite->substitution, out) == REGEX_UNDECIDED)
		return -1;
	if (!out->failed && out->length > start + 1 && out->data[start + 1] == '/') {
		memmove(out->data + start, out->data + start + 1, out->length - start - 1);
		out->length--;
	}
	return 0;
}

int mesh_write_target(const struct route_result *result, struct span target, struct buffer *out)
{
	const struct mesh_rewrite *rewrite = result->route ? &result->route->rewrite : NULL;
	struct span path, query;

	if (!rewrite || !rewrite->has_path) {
		buffer_append_span(out, target);
		return 0;
	}
	bool has_query = span_cut(target, '?', &path, &query);
	if (rewrite->regex && replace_in_path(rewrite, path, out))
		return -1;
	if (!rewrite->regex)
		buffer_append_span(out, rewrite->uri);
	if (!rewrite->regex && !rewrite->is_whole && result->matched_prefix &&
	    result->matched_prefix < path.length)
		buffer_append(out, path.data + result->matched_prefix,
			      path.length - result->matched_prefix);
	if (has_query) {
		buffer_append_byte(out, '?');
		buffer_append_span(out, query);
	}
	return 0;
}

/* The authority of a Location: its host, and the port where one must stand. */
static void write_location_authority(const struct route_query *query,
				     const struct mesh_redirect *redirect, struct buffer *out)
{
	struct span authority =
		redirect->authority.data ? redirect->authority : query->request->head->authority;
	bool other_scheme =
		redirect->scheme.length && !span_equal(redirect->scheme, span_of("http"));
	uint16_t port = redirect->port;

	if (port || redirect->port_from_request || (other_scheme && !redirect->authority.data)) {
		/* Another one takes its place; the one received would be wrong. */
		struct span host = http_authority_host(authority);
		bool brackets = authority.length && authority.data[0] == '[';

		buffer_printf(out, brackets ? "[%.*s]" : "%.*s", SPAN_ARGUMENTS(host));
	} else {
		buffer_append_span(out, authority);
	}
	if (redirect->port_from_request && query->listener)
		port = query->listener->port;
	if (port && port != (other_scheme ? 443 : 80))
		buffer_printf(out, ":%u", port);
}

/* Not what OPTIONS * has in its place. */
static struct span path_of(const struct http_request_head *head)
{
	return span_starts_with(head->path, span_of("/")) ? head->path : span_of("/");
}

void mesh_write_location(const struct route_query *query, const struct route_result *result,
			 struct buffer *out)
{
	const struct mesh_redirect *redirect = &result->route->redirect;
	const struct http_request_head *head = query->request->head;

	/* Who has sent no Host resolves a relative reference (RFC 9110 10.2.2). */
	if (redirect->authority.data || head->authority.length) {
		buffer_append_span(out,
				   redirect->scheme.length ? redirect->scheme : span_of("http"));
		buffer_append_text(out, "://");
		write_location_authority(query, redirect, out);
	}
	struct span path = path_of(head);
	buffer_append_span(out, redirect->uri.data ? redirect->uri : path);
	if (redirect->keeps_rest && result->matched_prefix && result->matched_prefix < path.length)
		buffer_append(out, path.data + result->matched_prefix,
			      path.length - result->matched_prefix);
	if (head->query.data &&
	    !(redirect->uri.data && memchr(redirect->uri.data, '?', redirect->uri.length))) {
		buffer_append_byte(out, '?');
		buffer_append_span(out, head->query);
	}
}
