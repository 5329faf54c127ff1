/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/header_propagation.h"

#include <stdlib.h>

#include "base/array.h"
#include "http/values.h"
#include "manifest/builder.h"

#define ANNOTATION_PREFIX "lanetag.io/"
#define WAYS_ANNOTATION ANNOTATION_PREFIX "propagation-ways"

const char *propagation_way_name(enum propagation_way way)
{
	static const char *const names[PROPAGATION_WAYS] = {
		[PROPAGATION_HEADER] = "header",   [PROPAGATION_BAGGAGE] = "baggage",
		[PROPAGATION_USER_ID] = "user-id", [PROPAGATION_TRACE] = "trace",
		[PROPAGATION_THREAD] = "thread",
	};

	return names[way];
}

/* The way's bit; 0: there is none of this name. */
static unsigned way_by_name(struct span name)
{
	for (unsigned i = 0; i < PROPAGATION_WAYS; i++) {
		if (span_equal(name, span_of(propagation_way_name(i))))
			return PROPAGATION_WAY(i);
	}
	return 0;
}

static void read_ways(const struct builder *builder, const struct node *node,
		      const struct path *path, const char *text, unsigned *ret_ways)
{
	struct span rest = span_of(text), name;

	*ret_ways = 0;
	if (rest.length == 0)
		reader_error(&builder->reader, node, path, "names no way");
	while (rest.length) {
		span_cut(rest, ',', &name, &rest);
		name = span_trim(name);
		unsigned way = way_by_name(name);
		if (!way)
			reader_error(&builder->reader, node, path,
				     "\"%.*s\" is none of header, baggage, user-id, trace, thread",
				     (int)name.length, name.data);
		*ret_ways |= way;
	}
}

/* A misspelt annotation of ours would be a switch that does nothing. */
static void read_annotations(const struct builder *builder, const struct node *document,
			     struct header_propagation_manifest *manifest)
{
	struct path root = path_field(NULL, "metadata"), path = path_field(&root, "annotations");
	const struct node *metadata = node_get(document, "metadata");
	const struct node *annotations = metadata ? node_get(metadata, "annotations") : NULL;
	const struct labels *labels = &manifest->resource.annotations;

	for (size_t i = 0; annotations && i < labels->count; i++) {
		struct path item = path_field(&path, labels->items[i].key);
		const struct node *node = node_get(annotations, item.field);

		if (strcmp(labels->items[i].key, WAYS_ANNOTATION) == 0)
			read_ways(builder, node, &item, labels->items[i].value, &manifest->ways);
		else if (strncmp(labels->items[i].key, ANNOTATION_PREFIX,
				 strlen(ANNOTATION_PREFIX)) == 0)
			reader_error(&builder->reader, node, &item, "unknown annotation");
	}
}

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
	struct header_propagation_manifest manifest = {.ways = PROPAGATION_STANDARD_WAYS};
	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	read_annotations(&builder, document, &manifest);
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
