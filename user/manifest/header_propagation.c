/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/header_propagation.h"

#include <stdlib.h>

#include "base/array.h"
#include "http/values.h"
#include "manifest/builder.h"

static void read_names(const struct builder *builder, const struct node *spec,
		       const struct path *path, const char *field, const char *const **ret_names,
		       size_t *ret_count)
{
	struct path list_path = path_field(path, field);
	const struct node *list = node_get(spec, field);

	builder_texts(builder, spec, path, field, ret_names, ret_count);
	for (size_t i = 0; i < *ret_count; i++) {
		struct path item = path_item(&list_path, i);

		if (!http_is_token(span_of((*ret_names)[i])))
			reader_error(&builder->reader, list->items[i < list->count ? i : 0], &item,
				     "\"%s\" is no field name (RFC 9110 5.1)", (*ret_names)[i]);
	}
}

static void read_selector(const struct builder *builder, const struct node *spec,
			  const struct path *path, struct header_propagation_manifest *manifest)
{
	static const struct field_rule fields[] = {{"labels", FIELD_READ},
						   {"matchLabels", FIELD_READ}};
	struct path selector_path = path_field(path, "workloadSelector"),
		    match_path = path_field(&selector_path, "matchLabels");
	struct node *selector =
		reader_child(&builder->reader, spec, path, "workloadSelector", NODE_MAPPING);

	if (!selector)
		return;
	reader_check_fields(&builder->reader, selector, &selector_path, fields,
			    ARRAY_LENGTH(fields));
	if (node_get(selector, "labels") && node_get(selector, "matchLabels"))
		reader_error(&builder->reader, node_get(selector, "matchLabels"), &match_path,
			     "stands beside labels: a selector has one of them");
	manifest->has_workload_selector = true;
	builder_labels(builder, selector, &selector_path,
		       node_get(selector, "matchLabels") ? "matchLabels" : "labels",
		       &manifest->workload_selector);
}

static void read_spec(const struct builder *builder, const struct node *document,
		      struct header_propagation_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"headers", FIELD_READ},
		{"headerPrefixes", FIELD_READ},
		{"workloadSelector", FIELD_READ},
	};
	struct path path = path_field(NULL, "spec");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	read_names(builder, spec, &path, "headers", &manifest->headers, &manifest->header_count);
	read_names(builder, spec, &path, "headerPrefixes", &manifest->header_prefixes,
		   &manifest->header_prefix_count);
	if (!node_get(spec, "headers") && !node_get(spec, "headerPrefixes"))
		reader_error(&builder->reader, spec, &path,
			     "names no headers and no headerPrefixes");
	read_selector(builder, spec, &path, manifest);
}

int header_propagation_read(const struct node *document, struct diagnostics *diagnostics,
			    struct header_propagation_manifest *ret_manifest)
{
	struct header_propagation_manifest manifest = {0};

	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	read_spec(&builder, document, &manifest);
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}

void header_propagation_free(struct header_propagation_manifest *manifest)
{
	arena_free(&manifest->arena);
	resource_free(&manifest->resource);
	*manifest = (struct header_propagation_manifest){0};
}
