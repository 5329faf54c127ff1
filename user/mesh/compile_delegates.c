/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http[] entries that delegate: the other VirtualService's entries are in their place, each with the
 * conditions of both (Istio: VirtualService delegation). One level, as in Istio.
 */
#include <stdlib.h>

#include "base/array.h"
#include "mesh/compiler.h"

struct expansion {
	const struct compiled_resource *root;
	struct delegated_route *routes;
	size_t count;
};

static bool is_unset(const struct string_match_manifest *match)
{
	return match->kind == STRING_MATCH_NONE || match->kind == STRING_MATCH_PRESENT;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* True if the delegate's condition is not within the root's: Istio drops such an entry. */
static bool texts_conflict(const struct string_match_manifest *root,
			   const struct string_match_manifest *leaf)
{
	if (is_unset(root) || is_unset(leaf))
		return false;
	if (root->kind == STRING_MATCH_REGEX || leaf->kind == STRING_MATCH_REGEX)
		return true;
	if (root->kind == STRING_MATCH_EXACT)
		return leaf->kind != STRING_MATCH_EXACT || strcmp(root->text, leaf->text) != 0;
	return !starts_with(leaf->text, root->text);
}

static const struct named_match_manifest *find_named(const struct named_match_manifest *list,
						     size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

static bool lists_conflict(const struct named_match_manifest *root, size_t root_count,
			   const struct named_match_manifest *leaf, size_t leaf_count)
{
	for (size_t i = 0; i < leaf_count; i++) {
		const struct named_match_manifest *same =
			find_named(root, root_count, leaf[i].name);

		if (same && texts_conflict(&same->match, &leaf[i].match))
			return true;
	}
	return false;
}

static bool matches_conflict(const struct http_match_manifest *root,
			     const struct http_match_manifest *leaf)
{
	return texts_conflict(&root->uri, &leaf->uri) ||
	       texts_conflict(&root->scheme, &leaf->scheme) ||
	       texts_conflict(&root->method, &leaf->method) ||
	       texts_conflict(&root->authority, &leaf->authority) ||
	       (root->port && leaf->port && root->port != leaf->port) ||
	       (root->source_namespace && leaf->source_namespace &&
		strcmp(root->source_namespace, leaf->source_namespace) != 0) ||
	       lists_conflict(root->headers, root->header_count, leaf->headers,
			      leaf->header_count) ||
	       lists_conflict(root->without_headers, root->without_header_count,
			      leaf->without_headers, leaf->without_header_count) ||
	       lists_conflict(root->query_params, root->query_param_count, leaf->query_params,
			      leaf->query_param_count);
}

/* The delegate's, and of the root's those with other names. */
static void merge_lists(struct compiler *compiler, const struct named_match_manifest *root,
			size_t root_count, const struct named_match_manifest **list, size_t *count)
{
	struct named_match_manifest *both =
		compile_array(compiler, root_count + *count, sizeof(*both));
	size_t merged = 0;

	if (!both)
		return;
	for (size_t i = 0; i < root_count; i++) {
		if (!find_named(*list, *count, root[i].name))
			both[merged++] = root[i];
	}
	for (size_t i = 0; i < *count; i++)
		both[merged++] = (*list)[i];
	*list = both;
	*count = merged;
}

static void merge_labels(struct compiler *compiler, const struct labels *root,
			 struct labels *labels)
{
	struct label *both = compile_array(compiler, root->count + labels->count, sizeof(*both));
	size_t merged = 0;

	if (!both)
		return;
	for (size_t i = 0; i < root->count; i++) {
		if (!labels_get(labels, root->items[i].key))
			both[merged++] = root->items[i];
	}
	for (size_t i = 0; i < labels->count; i++)
		both[merged++] = labels->items[i];
	*labels = (struct labels){both, merged};
}

/* What the delegate does not say, the root does. */
static struct http_match_manifest merge_match(struct compiler *compiler,
					      const struct http_match_manifest *root,
					      const struct http_match_manifest *leaf)
{
	struct http_match_manifest match = *leaf;

	if (match.uri.kind == STRING_MATCH_NONE) {
		match.uri = root->uri;
		match.ignore_uri_case = root->ignore_uri_case;
	}
	if (match.scheme.kind == STRING_MATCH_NONE)
		match.scheme = root->scheme;
	if (match.method.kind == STRING_MATCH_NONE)
		match.method = root->method;
	if (match.authority.kind == STRING_MATCH_NONE)
		match.authority = root->authority;
	merge_lists(compiler, root->headers, root->header_count, &match.headers,
		    &match.header_count);
	merge_lists(compiler, root->without_headers, root->without_header_count,
		    &match.without_headers, &match.without_header_count);
	merge_lists(compiler, root->query_params, root->query_param_count, &match.query_params,
		    &match.query_param_count);
	merge_labels(compiler, &root->source_labels, &match.source_labels);
	match.port = match.port ? match.port : root->port;
	if (!match.source_namespace)
		match.source_namespace = root->source_namespace;
	if (!match.gateway_count) {
		match.gateways = root->gateways;
		match.gateway_count = root->gateway_count;
	}
	return match;
}

/* Each condition of the root with each of the delegate. False: none is left of several. */
static bool merge_matches(struct compiler *compiler, const struct http_route_manifest *root,
			  struct http_route_manifest *route)
{
	if (root->match_count == 0)
		return true;
	if (route->match_count == 0) {
		route->matches = root->matches;
		route->match_count = root->match_count;
		return true;
	}
	struct http_match_manifest *matches =
		compile_array(compiler, root->match_count * route->match_count, sizeof(*matches));
	size_t count = 0;

	for (size_t i = 0; matches && i < root->match_count; i++) {
		for (size_t j = 0; j < route->match_count; j++) {
			if (!matches_conflict(&root->matches[i], &route->matches[j]))
				matches[count++] = merge_match(compiler, &root->matches[i],
							       &route->matches[j]);
		}
	}
	route->matches = matches;
	route->match_count = count;
	return count > 0;
}

static void merge_values(struct compiler *compiler, const struct header_manifest *root,
			 size_t root_count, const struct header_manifest **values, size_t *count)
{
	struct header_manifest *both = compile_array(compiler, root_count + *count, sizeof(*both));

	if (!both)
		return;
	for (size_t i = 0; i < root_count; i++)
		both[i] = root[i];
	for (size_t i = 0; i < *count; i++)
		both[root_count + i] = (*values)[i];
	*values = both;
	*count += root_count;
}

/* The root's first: of two that set one name the delegate's is the later one. */
static void merge_operations(struct compiler *compiler,
			     const struct header_operations_manifest *root,
			     struct header_operations_manifest *operations)
{
	const char **remove = compile_array(compiler, root->remove_count + operations->remove_count,
					    sizeof(char *));

	merge_values(compiler, root->set, root->set_count, &operations->set,
		     &operations->set_count);
	merge_values(compiler, root->add, root->add_count, &operations->add,
		     &operations->add_count);
	if (!operations->authority)
		operations->authority = root->authority;
	if (!remove)
		return;
	for (size_t i = 0; i < root->remove_count; i++)
		remove[i] = root->remove[i];
	for (size_t i = 0; i < operations->remove_count; i++)
		remove[root->remove_count + i] = operations->remove[i];
	operations->remove = remove;
	operations->remove_count += root->remove_count;
}

static void merge_actions(struct compiler *compiler, const struct http_route_manifest *root,
			  struct http_route_manifest *route)
{
	if (!route->rewrite.uri && !route->rewrite.authority && !route->rewrite.pattern)
		route->rewrite = root->rewrite;
	if (!route->timeout_ms)
		route->timeout_ms = root->timeout_ms;
	if (!route->retries.present)
		route->retries = root->retries;
	if (!route->fault.delay_share && !route->fault.abort_share)
		route->fault = root->fault;
	if (!route->mirror_count) {
		route->mirrors = root->mirrors;
		route->mirror_count = root->mirror_count;
	}
	merge_operations(compiler, &root->headers.request, &route->headers.request);
	merge_operations(compiler, &root->headers.response, &route->headers.response);
}

static const struct virtual_service_manifest *find_delegate(const struct compiled_resource *root,
							    const struct http_route_manifest *entry)
{
	const struct manifest_set *set = root->compiler->manifests;
	const char *namespace =
		entry->delegate_namespace ? entry->delegate_namespace : root->resource->namespace;

	for (size_t i = 0; i < set->virtual_service_count; i++) {
		const struct virtual_service_manifest *service = &set->virtual_services[i];

		if (!service->is_http_route &&
		    strcmp(service->resource.name, entry->delegate) == 0 &&
		    strcmp(service->resource.namespace, namespace) == 0)
			return service;
	}
	return NULL;
}

/* NULL, and why, if the entry leads nowhere. */
static const struct virtual_service_manifest *
resolve_delegate(const struct compiled_resource *root, const struct http_route_manifest *entry,
		 const struct path *path)
{
	const struct virtual_service_manifest *delegate = find_delegate(root, entry);
	const char *why = !delegate		 ? "there is no such VirtualService"
			  : delegate->faulty	 ? "it has errors"
			  : delegate->host_count ? "it has hosts of its own"
			  : !export_includes(&delegate->export_to, root->resource->namespace)
				  ? "its exportTo does not name this namespace"
				  : NULL;

	if (!why)
		return delegate;
	compile_route_error(root, entry->place, path, "the delegate %s/%s: %s",
			    entry->delegate_namespace ? entry->delegate_namespace
						      : root->resource->namespace,
			    entry->delegate, why);
	return NULL;
}

static void append_route(struct expansion *expansion, const struct http_route_manifest *route,
			 const struct virtual_service_manifest *owner, size_t index)
{
	struct delegated_route *added = ARRAY_APPEND(expansion->routes, expansion->count);

	if (added)
		*added = (struct delegated_route){*route, owner, index};
	else
		expansion->root->compiler->out_of_memory = true;
}

static void append_delegate(struct expansion *expansion, const struct http_route_manifest *entry,
			    const struct virtual_service_manifest *delegate)
{
	struct compiler *compiler = expansion->root->compiler;

	for (size_t i = 0; i < delegate->http_count; i++) {
		struct http_route_manifest route = delegate->http[i];

		if (route.delegate || !merge_matches(compiler, entry, &route))
			continue;
		merge_actions(compiler, entry, &route);
		append_route(expansion, &route, delegate, i);
	}
}

struct delegated_route *compile_delegates(const struct compiled_resource *root,
					  const struct virtual_service_manifest *manifest,
					  size_t *ret_count)
{
	struct path spec = path_field(NULL, "spec"), http = path_field(&spec, "http");
	struct expansion expansion = {.root = root};

	for (size_t i = 0; i < manifest->http_count; i++) {
		const struct http_route_manifest *entry = &manifest->http[i];
		struct path item = path_item(&http, i), path = path_field(&item, "delegate");

		if (!entry->delegate) {
			append_route(&expansion, entry, manifest, i);
			continue;
		}
		const struct virtual_service_manifest *delegate =
			resolve_delegate(root, entry, &path);
		if (delegate)
			append_delegate(&expansion, entry, delegate);
	}
	*ret_count = expansion.count;
	return expansion.routes;
}
