/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>

#include "base/array.h"
#include "base/number.h"
#include "mesh/compiler.h"

/* One http[] entry while it is compiled. */
struct rule_context {
	const struct compiled_resource *resource;
	const struct virtual_service_manifest *manifest;
	const struct path *path;
	const struct parent_manifest *parent; /* HTTPRoute: compiled for this one alone; or NULL */
};

static void compile_text_match(const struct rule_context *context, const struct path *path,
			       const struct string_match_manifest *manifest, bool ignore_case,
			       struct text_match *match)
{
	char error[300];

	match->kind = manifest->kind;
	match->ignore_case = ignore_case;
	match->text = span_of(manifest->text);
	if (manifest->kind != STRING_MATCH_REGEX)
		return;
	match->regex = regex_compile(context->resource->compiler->mesh->regexes, match->text,
				     REGEX_WHOLE, error, sizeof(error));
	if (!match->regex)
		compile_error(context->resource, manifest->place, path,
			      "\"%s\" is no regular expression that can be used: %s",
			      manifest->text, error);
}

static size_t header_slot(struct compiler *compiler, const char *name)
{
	char *lower = compile_text(compiler, span_of(name));

	if (!lower)
		return MATCH_CACHED_HEADERS;
	for (char *byte = lower; *byte; byte++)
		*byte = ascii_lower(*byte);
	uintptr_t known = (uintptr_t)name_table_get(&compiler->header_slots, 0, span_of(lower));
	if (known)
		return known - 1;
	if (compiler->header_slot_count == MATCH_CACHED_HEADERS)
		return MATCH_CACHED_HEADERS;
	size_t slot = compiler->header_slot_count++;
	compile_put(compiler, &compiler->header_slots, 0, span_of(lower), (void *)(slot + 1));
	return slot;
}

static const struct header_match *compile_headers(const struct rule_context *context,
						  const struct path *parent, const char *field,
						  const struct named_match_manifest *manifests,
						  size_t count)
{
	struct compiler *compiler = context->resource->compiler;
	struct header_match *headers = compile_array(compiler, count, sizeof(*headers));
	struct path path = path_field(parent, field);

	for (size_t i = 0; headers && i < count; i++) {
		struct path item = path_field(&path, manifests[i].name);

		headers[i].name = span_of(manifests[i].name);
		headers[i].slot = header_slot(compiler, manifests[i].name);
		compile_text_match(context, &item, &manifests[i].match, false, &headers[i].match);
	}
	return headers;
}

static void compile_query_params(const struct rule_context *context, const struct path *parent,
				 const struct http_match_manifest *manifest,
				 struct http_match *match)
{
	struct path path = path_field(parent, "queryParams");
	struct query_match *params = compile_array(context->resource->compiler,
						   manifest->query_param_count, sizeof(*params));

	if (!params)
		return;
	for (size_t i = 0; i < manifest->query_param_count; i++) {
		const struct named_match_manifest *param = &manifest->query_params[i];
		struct path item = path_field(&path, param->name);

		params[i].name = span_of(param->name);
		compile_text_match(context, &item, &param->match, false, &params[i].match);
	}
	match->query_params = params;
	match->query_param_count = manifest->query_param_count;
}

/* True if the VirtualService itself is bound to this way in. */
static bool is_bound(const struct rule_context *context, size_t gateway)
{
	const struct virtual_service_manifest *manifest = context->manifest;

	if (manifest->gateway_count == 0)
		return gateway == GATEWAY_MESH;
	for (size_t i = 0; i < manifest->gateway_count; i++) {
		const char *name = manifest->gateways[i].text;
		const struct gateway_model *known = compile_find_gateway(
			context->resource->compiler, name, manifest->resource.namespace);

		if (strcmp(name, "mesh") == 0 ? gateway == GATEWAY_MESH
					      : known && known->index == gateway)
			return true;
	}
	return false;
}

static void compile_match_gateways(const struct rule_context *context, const struct path *parent,
				   const struct http_match_manifest *manifest,
				   struct http_match *match)
{
	struct compiler *compiler = context->resource->compiler;
	struct path path = path_field(parent, "gateways");
	size_t *gateways = compile_array(compiler, manifest->gateway_count, sizeof(*gateways));

	for (size_t i = 0; gateways && i < manifest->gateway_count; i++) {
		struct path item = path_item(&path, i);
		const char *name = manifest->gateways[i];
		bool is_mesh = strcmp(name, "mesh") == 0;
		const struct gateway_model *gateway = compile_find_gateway(
			compiler, name, context->resource->resource->namespace);

		if (!is_mesh && !gateway) {
			compile_no_such_gateway(context->resource, manifest->place, &item, name);
			gateways[i] = GATEWAY_MISSING;
			continue;
		}
		gateways[i] = is_mesh ? GATEWAY_MESH : gateway->index;
		if (!is_bound(context, gateways[i]))
			compile_error(context->resource, manifest->place, &item,
				      "the VirtualService is not bound to %s (spec.gateways)",
				      name);
	}
	match->gateways = gateways;
	match->gateway_count = manifest->gateway_count;
}

static void compile_match(const struct rule_context *context, const struct path *path,
			  const struct http_match_manifest *manifest, struct http_match *match)
{
	struct path uri = path_field(path, "uri"), scheme = path_field(path, "scheme");
	struct path method = path_field(path, "method"), authority = path_field(path, "authority");

	compile_text_match(context, &uri, &manifest->uri, manifest->ignore_uri_case, &match->uri);
	compile_text_match(context, &scheme, &manifest->scheme, false, &match->scheme);
	compile_text_match(context, &method, &manifest->method, false, &match->method);
	compile_text_match(context, &authority, &manifest->authority, false, &match->authority);
	match->headers = compile_headers(context, path, "headers", manifest->headers,
					 manifest->header_count);
	match->header_count = match->headers ? manifest->header_count : 0;
	match->without_headers =
		compile_headers(context, path, "withoutHeaders", manifest->without_headers,
				manifest->without_header_count);
	match->without_header_count = match->without_headers ? manifest->without_header_count : 0;
	compile_query_params(context, path, manifest, match);
	match->port = manifest->port;
	match->source_labels = manifest->source_labels.count ? &manifest->source_labels : NULL;
	match->source_namespace = manifest->source_namespace;
	compile_match_gateways(context, path, manifest, match);
	match->precedence = manifest->precedence;
	if (context->parent)
		compile_narrow_match(context->manifest, context->parent, match);
}

static bool can_be_http(const struct service_port_manifest *port)
{
	return port->is_tcp && !port->is_other && !port->is_named_other;
}

/* The number of the host's ports, of these that could be HTTP or of all, and the last of them. */
static size_t count_ports(const struct mesh_host *host, bool all, uint16_t *ret_port)
{
	size_t count = 0;

	for (size_t i = 0; i < host->service->port_count; i++) {
		const struct service_port_manifest *port = host->ports[i].manifest;

		if (!(all ? port->is_tcp : can_be_http(port)))
			continue;
		*ret_port = port->port;
		count++;
	}
	return count;
}

/*
 * The port of a destination that names none: the only one of its host that could be HTTP; 0: the
 * one that is called, as in Istio.
 */
static uint16_t only_port(const struct compiled_resource *resource, const struct path *path,
			  const struct destination_manifest *manifest, const struct mesh_host *host,
			  const char **ret_missing)
{
	uint16_t port = 0;
	size_t http = count_ports(host, false, &port);
	size_t count = http ? http : count_ports(host, true, &port);

	if (count == 1)
		return port;
	*ret_missing = http ? "the destination's host does not have the port that was called"
			    : "the destination's host has no port for HTTP";
	if (http == 0)
		compile_route_error(resource, manifest->place, path,
				    "the host %s has no port for HTTP", host->name);
	return 0;
}

/* The destination by each port that could be called; itself without endpoints for others. */
static const struct mesh_cluster *compile_called_ports(struct compiler *compiler,
						       struct mesh_host *host,
						       const struct found_subset *subset,
						       const char *missing)
{
	const struct mesh_cluster **ports =
		compile_array(compiler, host->service->port_count, sizeof(struct mesh_cluster *));
	size_t count = 0;

	for (size_t i = 0; ports && i < host->service->port_count; i++) {
		const struct service_port_manifest *port = host->ports[i].manifest;

		if (can_be_http(port))
			ports[count] = compile_cluster(compiler, host, subset, port->port);
		count += can_be_http(port) && ports[count];
	}
	return compile_missing_cluster(
		compiler, host, subset ? subset->subset->name : NULL,
		&(struct missing_destination){.what = missing, .of_ports = ports, .count = count});
}

static uint16_t destination_port(const struct compiled_resource *resource, const struct path *path,
				 const struct destination_manifest *manifest,
				 const struct mesh_host *host, const char **ret_missing)
{
	if (!manifest->port)
		return only_port(resource, path, manifest, host, ret_missing);
	const struct host_port *port = compile_host_port(host, manifest->port);
	if (!port) {
		*ret_missing = "the destination's host has no such port";
		compile_route_error(resource, manifest->place, path, "the host %s has no port %u",
				    host->name, manifest->port);
	} else if (port->manifest->is_other) {
		*ret_missing = "the destination's port is not HTTP";
		compile_route_error(resource, manifest->place, path,
				    "the port %u of %s is not HTTP by its protocol", manifest->port,
				    host->name);
	}
	return manifest->port;
}

/* Not known, or known as one that no request can go to. */
static void name_unknown_host(const struct compiled_resource *resource,
			      const struct destination_manifest *manifest, const struct path *path,
			      const char *name, const char **ret_missing)
{
	const struct service_manifest *left_out =
		name_table_get(&resource->compiler->left_out, 0, span_of(name));

	if (left_out) {
		*ret_missing = "no request can go to the destination's host";
		compile_route_error(resource, manifest->place, path,
				    "no request can go to %s: %s (%s:%u)", name, left_out->left_out,
				    left_out->resource.place.file, left_out->resource.place.line);
	} else {
		compile_warning(resource, manifest->place, path,
				"no Service or ServiceEntry has the host %s: requests get 503",
				name);
	}
}

const struct mesh_cluster *compile_destination(const struct compiled_resource *resource,
					       const struct path *path,
					       const struct destination_manifest *manifest)
{
	struct compiler *compiler = resource->compiler;
	struct path host_path = path_field(path, "host"), subset_path = path_field(path, "subset");
	const char *name =
		compile_host_name(compiler, manifest->host, resource->resource->namespace);
	const struct found_subset *subset = NULL;
	const char *missing = NULL;
	uint16_t port = manifest->port;
	bool is_known;
	struct mesh_host *host = compile_host(compiler, name, &is_known);

	if (!host)
		return NULL;
	if (is_known)
		port = destination_port(resource, path, manifest, host, &missing);
	else
		name_unknown_host(resource, manifest, &host_path, name, &missing);
	if (manifest->subset) {
		subset = compile_find_subset(compiler, host, manifest->subset);
		if (!subset) {
			missing = "no DestinationRule has the destination's subset";
			compile_route_error(
				resource, manifest->subset_place, &subset_path,
				"no DestinationRule of the host %s has the subset \"%s\"", name,
				manifest->subset);
		}
	}
	if (missing && is_known && !port && (subset || !manifest->subset))
		return compile_called_ports(compiler, host, subset, missing);
	if (missing)
		return compile_missing_cluster(
			compiler, host, manifest->subset,
			&(struct missing_destination){.what = missing, .port = port});
	return compile_cluster(compiler, host, subset, port);
}

static const struct mesh_header_value *
compile_values(struct compiler *compiler, const struct header_manifest *manifests, size_t count)
{
	struct mesh_header_value *values = compile_array(compiler, count, sizeof(*values));

	for (size_t i = 0; values && i < count; i++)
		values[i] = (struct mesh_header_value){span_of(manifests[i].name),
						       span_of(manifests[i].value)};
	return values;
}

static void compile_operations(struct compiler *compiler,
			       const struct header_operations_manifest *manifest,
			       struct mesh_header_operations *operations)
{
	struct span *remove = compile_array(compiler, manifest->remove_count, sizeof(*remove));

	for (size_t i = 0; remove && i < manifest->remove_count; i++)
		remove[i] = span_of(manifest->remove[i]);
	operations->authority = span_of(manifest->authority);
	operations->remove = remove;
	operations->remove_count = manifest->remove_count;
	operations->set = compile_values(compiler, manifest->set, manifest->set_count);
	operations->set_count = manifest->set_count;
	operations->add = compile_values(compiler, manifest->add, manifest->add_count);
	operations->add_count = manifest->add_count;
}

static void compile_destinations(const struct rule_context *context,
				 const struct http_route_manifest *manifest,
				 struct mesh_route *route)
{
	struct compiler *compiler = context->resource->compiler;
	bool is_http_route = context->manifest->is_http_route;
	struct path path = path_field(context->path, is_http_route ? "backendRefs" : "route");
	struct mesh_destination *destinations =
		compile_array(compiler, manifest->destination_count, sizeof(*destinations));

	for (size_t i = 0; destinations && i < manifest->destination_count; i++) {
		const struct route_destination_manifest *from = &manifest->destinations[i];
		struct path item = path_item(&path, i), inner = path_field(&item, "destination");
		struct mesh_destination *to = &destinations[route->destination_count];

		to->cluster = is_http_route ? compile_backend(context->resource, &item,
							      &from->destination)
					    : compile_destination(context->resource, &inner,
								  &from->destination);
		if (!to->cluster)
			continue;
		to->weight = from->weight;
		route->weight_sum += from->weight;
		compile_operations(compiler, &from->headers.request, &to->request_headers);
		compile_operations(compiler, &from->headers.response, &to->response_headers);
		route->destination_count++;
	}
	route->destinations = destinations;
}

static void compile_mirrors(const struct rule_context *context,
			    const struct http_route_manifest *manifest, struct mesh_route *route)
{
	bool is_http_route = context->manifest->is_http_route;
	struct path path = path_field(context->path, is_http_route ? "filters" : "mirror");
	struct mesh_mirror *mirrors = compile_array(context->resource->compiler,
						    manifest->mirror_count, sizeof(*mirrors));

	for (size_t i = 0; mirrors && i < manifest->mirror_count; i++) {
		const struct mirror_manifest *from = &manifest->mirrors[i];
		struct mesh_mirror *to = &mirrors[route->mirror_count];

		to->cluster =
			is_http_route
				? compile_backend(context->resource, &path, &from->destination)
				: compile_destination(context->resource, &path, &from->destination);
		to->share = from->share;
		route->mirror_count += to->cluster != NULL;
	}
	route->mirrors = mirrors;
}

struct retry_word {
	const char *name;
	uint32_t conditions;
};

/* Envoy's words. What only gRPC, HTTP/2 or Envoy can say is known, and never happens here. */
static const struct retry_word retry_words[] = {
	{"5xx", MESH_RETRY_5XX},
	{"gateway-error", MESH_RETRY_GATEWAY_ERROR},
	{"connect-failure", MESH_RETRY_CONNECT_FAILURE},
	{"reset", MESH_RETRY_RESET},
	{"reset-before-request", MESH_RETRY_RESET_BEFORE_REQUEST},
	{"retriable-4xx", MESH_RETRY_RETRIABLE_4XX},
	{"retriable-status-codes", 0}, /* the codes stand beside it */
	{"refused-stream", 0},
	{"cancelled", 0},
	{"deadline-exceeded", 0},
	{"internal", 0},
	{"resource-exhausted", 0},
	{"unavailable", 0},
	{"http3-post-connect-failure", 0},
	{"retriable-headers", 0}, /* Istio has no field that names them */
	{"envoy-ratelimited", 0}, /* only Envoy's own answers bear that header */
};

static bool compile_retry_word(struct span word, struct mesh_retries *retries, uint16_t *codes)
{
	uint64_t code;

	for (size_t i = 0; i < ARRAY_LENGTH(retry_words); i++) {
		if (span_equal(word, span_of(retry_words[i].name))) {
			retries->conditions |= retry_words[i].conditions;
			return true;
		}
	}
	if (parse_unsigned(word, 599, &code) || code < 100)
		return false;
	codes[retries->status_code_count++] = (uint16_t)code;
	return true;
}

/* Istio's default: connect-failure, refused-stream, unavailable, cancelled, 503. */
static void compile_retries(const struct rule_context *context,
			    const struct retries_manifest *manifest, struct mesh_retries *retries)
{
	static const char by_default[] = "connect-failure,503";
	struct path path = path_field(context->path, "retries");
	struct path words_path = path_field(&path, "retryOn");
	const char *text = manifest->retry_on ? manifest->retry_on : by_default;
	struct span rest = span_of(text), word;

	if (!manifest->present)
		return;
	uint16_t *codes =
		compile_array(context->resource->compiler, strlen(text) / 3 + 1, sizeof(*codes));
	retries->present = true;
	retries->attempts = manifest->attempts;
	/* Attempts of 0 turn the whole policy off, as in Istio. */
	retries->per_try_timeout_ms = manifest->attempts ? manifest->per_try_timeout_ms : 0;
	retries->status_codes = codes;
	while (codes && rest.length) {
		span_cut(rest, ',', &word, &rest);
		word = span_trim(word);
		if (word.length && !compile_retry_word(word, retries, codes))
			compile_error(context->resource, manifest->retry_on_place, &words_path,
				      "\"%.*s\" is no condition that is known",
				      SPAN_ARGUMENTS(word));
	}
}

static void compile_answers(const struct http_route_manifest *manifest, struct mesh_route *route)
{
	route->kind = manifest->has_redirect	      ? MESH_ROUTE_REDIRECT
		      : manifest->has_direct_response ? MESH_ROUTE_DIRECT_RESPONSE
						      : MESH_ROUTE_FORWARD;
	route->redirect = (struct mesh_redirect){
		.status = manifest->redirect.status,
		.uri = span_of(manifest->redirect.uri),
		.authority = span_of(manifest->redirect.authority),
		.scheme = span_of(manifest->redirect.scheme),
		.port = manifest->redirect.port,
		.port_from_request = manifest->redirect.port_from_request,
		.keeps_rest = manifest->redirect.keeps_rest,
	};
	route->direct_response =
		(struct mesh_direct_response){manifest->direct_status, manifest->direct_body};
	route->timeout_ms = manifest->timeout_ms;
	route->fault = (struct mesh_fault){
		.delay_share = manifest->fault.delay_share,
		.delay_ms = manifest->fault.delay_ms,
		.abort_share = manifest->fault.abort_share,
		.abort_status = manifest->fault.abort_status,
	};
}

static void compile_rewrite(const struct rule_context *context,
			    const struct rewrite_manifest *manifest, struct mesh_rewrite *rewrite)
{
	struct path path = path_field(context->path, "rewrite");
	struct path regex_path = path_field(&path, "uriRegexRewrite");
	char error[300];

	*rewrite = (struct mesh_rewrite){
		.has_path = manifest->uri || manifest->pattern,
		.uri = span_of(manifest->uri),
		.is_whole = manifest->is_whole,
		.substitution = span_of(manifest->substitution),
		.authority = span_of(manifest->authority),
	};
	if (!manifest->pattern)
		return;
	rewrite->regex =
		regex_compile(context->resource->compiler->mesh->regexes,
			      span_of(manifest->pattern), REGEX_PARTS, error, sizeof(error));
	const char *why =
		rewrite->regex ? regex_check_rewrite(rewrite->regex, rewrite->substitution) : error;
	if (why)
		compile_error(context->resource, manifest->pattern_place, &regex_path,
			      "\"%s\" to \"%s\": %s", manifest->pattern, manifest->substitution,
			      why);
}

/* Where not every namespace sees the VirtualService, also "every request" is a condition. */
static void compile_matches(const struct rule_context *context,
			    const struct http_route_manifest *manifest, struct mesh_rule *rule)
{
	const struct export_manifest *export_to = &context->manifest->export_to;
	size_t count = manifest->match_count;
	struct path path = path_field(context->path, "match");

	if (count == 0 && export_to->is_limited)
		count = 1;
	struct http_match *matches =
		compile_array(context->resource->compiler, count, sizeof(*matches));
	for (size_t i = 0; matches && i < count; i++) {
		struct path item = path_item(&path, i);

		if (i < manifest->match_count)
			compile_match(context, &item, &manifest->matches[i], &matches[i]);
		if (export_to->is_limited)
			matches[i].export_to = export_to;
	}
	rule->matches = matches;
	rule->match_count = matches ? count : 0;
}

static void compile_rule(const struct rule_context *context,
			 const struct http_route_manifest *manifest, const char *service_name,
			 struct mesh_rule *rule)
{
	struct compiler *compiler = context->resource->compiler;

	compile_matches(context, manifest, rule);
	rule->route.virtual_service = service_name;
	rule->route.name = manifest->name;
	compile_answers(manifest, &rule->route);
	compile_rewrite(context, &manifest->rewrite, &rule->route.rewrite);
	compile_destinations(context, manifest, &rule->route);
	compile_mirrors(context, manifest, &rule->route);
	compile_retries(context, &manifest->retries, &rule->route.retries);
	compile_operations(compiler, &manifest->headers.request, &rule->route.request_headers);
	compile_operations(compiler, &manifest->headers.response, &rule->route.response_headers);
}

static const char *full_name(struct compiler *compiler, const struct resource *resource)
{
	struct buffer text = {0};

	buffer_printf(&text, "%s/%s", resource->namespace, resource->name);
	const char *name = text.failed ? NULL : compile_text(compiler, buffer_span(&text));
	buffer_free(&text);
	if (!name)
		compiler->out_of_memory = true;
	return name;
}

static bool takes_every_request(const struct mesh_rule *rule)
{
	for (size_t i = 0; i < rule->match_count; i++) {
		if (http_match_is_catch_all(&rule->matches[i]))
			return true;
	}
	return rule->match_count == 0;
}

static void find_catch_all(struct compiled_service *service)
{
	service->catch_all = 0;
	while (service->catch_all < service->rule_count &&
	       !takes_every_request(&service->rules[service->catch_all]))
		service->catch_all++;
}

/* What stands behind an entry that takes every request is most likely meant to stand before it. */
static void warn_of_unreachable(const struct compiled_resource *resource,
				const struct virtual_service_manifest *manifest)
{
	struct path spec = path_field(NULL, "spec"), http = path_field(&spec, "http");

	for (size_t i = 0; i + 1 < manifest->http_count; i++) {
		struct path item = path_item(&http, i + 1);

		if (manifest->http[i].match_count || manifest->http[i].delegate)
			continue;
		compile_warning(resource, manifest->http[i + 1].place, &item,
				"never reached: the entry in line %u takes every request",
				manifest->http[i].place.line);
		return;
	}
}

static bool has_delegates(const struct virtual_service_manifest *manifest)
{
	size_t i = 0;

	while (i < manifest->http_count && !manifest->http[i].delegate)
		i++;
	return i < manifest->http_count;
}

static void compile_own_rules(const struct compiled_resource *resource,
			      const struct virtual_service_manifest *manifest,
			      const struct parent_manifest *parent, const char *name,
			      struct compiled_service *service)
{
	struct path spec = path_field(NULL, "spec");
	struct path http = path_field(&spec, manifest->is_http_route ? "rules" : "http");

	service->rules =
		compile_array(resource->compiler, manifest->http_count, sizeof(*service->rules));
	service->rule_count = service->rules ? manifest->http_count : 0;
	for (size_t i = 0; i < service->rule_count; i++) {
		struct path item =
			path_item(&http, manifest->is_http_route ? manifest->http[i].index : i);
		struct rule_context context = {resource, manifest, &item, parent};

		compile_rule(&context, &manifest->http[i], name, &service->rules[i]);
	}
}

/* Hosts are meant as the delegate's namespace means them; the gateways are the root's. */
static void compile_delegated_rules(const struct compiled_resource *resource,
				    const struct virtual_service_manifest *manifest,
				    const char *name, struct compiled_service *service)
{
	struct compiler *compiler = resource->compiler;
	struct path spec = path_field(NULL, "spec"), http = path_field(&spec, "http");
	size_t count;
	struct delegated_route *routes = compile_delegates(resource, manifest, &count);

	service->rules = compile_array(compiler, count, sizeof(*service->rules));
	service->rule_count = service->rules ? count : 0;
	for (size_t i = 0; i < service->rule_count; i++) {
		char *title = resource_title(&routes[i].owner->resource);
		struct compiled_resource owner = {compiler, &routes[i].owner->resource, title};
		struct path item = path_item(&http, routes[i].index);
		struct rule_context context = {&owner, manifest, &item, NULL};

		compile_rule(&context, &routes[i].route, name, &service->rules[i]);
		free(title);
	}
	free(routes);
}

void compile_routes_of(struct compiler *compiler, const struct virtual_service_manifest *manifest,
		       const struct parent_manifest *parent)
{
	struct compiled_service *service =
		&compiler->mesh->services[compiler->mesh->service_count++];
	char *title = resource_title(&manifest->resource);
	struct compiled_resource resource = {compiler, &manifest->resource, title};
	const char *name = full_name(compiler, &manifest->resource);

	service->manifest = manifest;
	if (has_delegates(manifest))
		compile_delegated_rules(&resource, manifest, name, service);
	else
		compile_own_rules(&resource, manifest, parent, name, service);
	if (manifest->is_rejected && service->rule_count)
		service->rules[0].route.kind = MESH_ROUTE_REJECTED;
	find_catch_all(service);
	if (manifest->is_http_route) {
		compile_bind_parents(&resource, service, parent);
	} else {
		warn_of_unreachable(&resource, manifest);
		compile_bind_hosts(&resource, service);
	}
	free(title);
}

void compile_allocate_services(struct compiler *compiler)
{
	size_t count = compile_count_services(compiler->manifests);
	struct mesh_rule *rule = compile_array(compiler, 1, sizeof(*rule));
	struct compiled_service *services = compile_array(compiler, count + 1, sizeof(*services));

	if (!rule || !services)
		return;
	rule->route.kind = MESH_ROUTE_REDIRECT;
	rule->route.redirect = (struct mesh_redirect){.status = 301, .scheme = span_of("https")};
	services[count] = (struct compiled_service){.rules = rule, .rule_count = 1};
	compiler->mesh->services = services;
	compiler->https_redirect = &services[count];
}

void compile_virtual_services(struct compiler *compiler)
{
	const struct manifest_set *set = compiler->manifests;
	struct mesh *mesh = compiler->mesh;

	/* Rejected ones last: they get the hosts that no other one has. */
	for (int rejected = 0; mesh->services && rejected <= 1; rejected++) {
		compile_http_routes(compiler, rejected);
		for (size_t i = 0; i < set->virtual_service_count; i++) {
			const struct virtual_service_manifest *manifest = &set->virtual_services[i];

			if (!manifest->faulty && !manifest->is_http_route && manifest->host_count &&
			    manifest->is_rejected == rejected)
				compile_routes_of(compiler, manifest, NULL);
		}
	}
}
