/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/destination_rule.h"

#include <stdlib.h>

#include "base/array.h"
#include "manifest/builder.h"
#include "manifest/traffic_policy.h"

#define FALLBACK_ANNOTATION "lanetag.io/fallback-subset"
#define ANNOTATION_PREFIX "lanetag.io/"

static void read_policy(const struct builder *builder, const struct node *mapping,
			const struct path *parent, struct traffic_policy_manifest *policy)
{
	struct path path = path_field(parent, "trafficPolicy");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "trafficPolicy", NODE_MAPPING);

	if (node)
		traffic_policy_read(builder, node, &path, policy);
}

static void read_subset(const struct builder *builder, const struct node *node,
			const struct path *path, struct subset_manifest *subset)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_READ},
		{"labels", FIELD_READ},
		{"trafficPolicy", FIELD_READ},
	};

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	subset->place = builder_place(builder, node);
	subset->name = builder_required_text(builder, node, path, "name");
	builder_labels(builder, node, path, "labels", &subset->labels);
	read_policy(builder, node, path, &subset->policy);
}

static const struct subset_manifest *find_subset(const struct subset_manifest *subsets,
						 size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(subsets[i].name, name) == 0)
			return &subsets[i];
	}
	return NULL;
}

static void read_subsets(const struct builder *builder, const struct node *spec,
			 const struct path *parent, struct destination_rule_manifest *manifest)
{
	struct path path = path_field(parent, "subsets");
	struct node *list = reader_child(&builder->reader, spec, parent, "subsets", NODE_SEQUENCE);

	if (!list)
		return;
	struct subset_manifest *subsets =
		builder_array(builder, list, list->count, sizeof(*subsets));
	for (size_t i = 0; subsets && i < list->count; i++) {
		struct path item = path_item(&path, i);
		struct subset_manifest *subset = &subsets[manifest->subset_count];

		*subset = (struct subset_manifest){0};
		read_subset(builder, list->items[i], &item, subset);
		if (!subset->name)
			continue;
		const struct subset_manifest *same =
			find_subset(subsets, manifest->subset_count, subset->name);
		if (same)
			reader_error(&builder->reader, list->items[i], &item,
				     "the subset \"%s\" stands twice, first in line %u",
				     subset->name, same->place.line);
		else
			manifest->subset_count++;
	}
	manifest->subsets = subsets;
}

/* A misspelt annotation of ours would be a fallback that never comes. */
static void read_annotations(const struct builder *builder, const struct node *document,
			     struct destination_rule_manifest *manifest)
{
	const struct node *metadata = node_get(document, "metadata");
	const struct node *annotations = node_get(metadata, "annotations");
	struct path root = path_field(NULL, "metadata");
	struct path path = path_field(&root, "annotations");
	const struct labels *labels = &manifest->resource.annotations;

	for (size_t i = 0; i < labels->count; i++) {
		struct path item = path_field(&path, labels->items[i].key);

		if (!span_starts_with(span_of(item.field), span_of(ANNOTATION_PREFIX)))
			continue;
		if (strcmp(item.field, FALLBACK_ANNOTATION) != 0)
			reader_error(&builder->reader, node_get(annotations, item.field), &item,
				     "unknown annotation");
		else if (!find_subset(manifest->subsets, manifest->subset_count,
				      labels->items[i].value))
			reader_error(&builder->reader, node_get(annotations, item.field), &item,
				     "there is no subset \"%s\" in this DestinationRule",
				     labels->items[i].value);
		else
			manifest->fallback_subset = labels->items[i].value;
	}
}

static void read_spec(const struct builder *builder, const struct node *document,
		      struct destination_rule_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"host", FIELD_READ},
		{"subsets", FIELD_READ},
		{"trafficPolicy", FIELD_READ},
		{"exportTo", FIELD_READ},
		{"workloadSelector", FIELD_UNSUPPORTED, "the rule holds for every caller"},
	};
	struct path path = path_field(NULL, "spec"), host_path = path_field(&path, "host");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	const char *host = builder_required_text(builder, spec, &path, "host");
	if (host) {
		manifest->host = builder_host(builder, node_get(spec, "host"), span_of(host),
					      &host_path, true);
		manifest->host_place = builder_place(builder, node_get(spec, "host"));
	}
	manifest->has_policy = !node_is_null(node_get(spec, "trafficPolicy"));
	read_policy(builder, spec, &path, &manifest->policy);
	read_subsets(builder, spec, &path, manifest);
	read_annotations(builder, document, manifest);
	builder_warn_of_export(builder, spec, &path);
}

int destination_rule_read(const struct node *document, struct diagnostics *diagnostics,
			  struct destination_rule_manifest *ret_manifest)
{
	struct destination_rule_manifest manifest = {0};

	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	read_spec(&builder, document, &manifest);
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}

void destination_rule_free(struct destination_rule_manifest *manifest)
{
	arena_free(&manifest->arena);
	resource_free(&manifest->resource);
	*manifest = (struct destination_rule_manifest){0};
}
