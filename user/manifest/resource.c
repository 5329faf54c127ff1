/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/resource.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"

#define RESOURCE_MAX_NAME 253 /* of Kubernetes' object names */

const char *labels_get(const struct labels *labels, const char *key)
{
	for (size_t i = 0; i < labels->count; i++) {
		if (strcmp(labels->items[i].key, key) == 0)
			return labels->items[i].value;
	}
	return NULL;
}

bool labels_select(const struct labels *selector, const struct labels *labels)
{
	for (size_t i = 0; i < selector->count; i++) {
		const char *value = labels_get(labels, selector->items[i].key);

		if (!value || strcmp(value, selector->items[i].value) != 0)
			return false;
	}
	return true;
}

int reader_labels(const struct reader *reader, const struct node *mapping,
		  const struct path *parent, const char *field, struct labels *ret_labels)
{
	struct path path = path_field(parent, field);
	struct node *node = node_get(mapping, field);
	struct labels labels = {0};
	int result = 0;

	if (node_is_null(node))
		return 1;
	if (!reader_child(reader, mapping, parent, field, NODE_MAPPING))
		return -1;
	labels.items = calloc(node->count + 1, sizeof(*labels.items));
	if (!labels.items) {
		reader_error(reader, node, &path, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < node->count; i++) {
		struct label *label = &labels.items[labels.count];
		const char *key = node->keys[i]->text.data;

		if (reader_string(reader, node, &path, key, &label->value)) {
			/* Kubernetes takes no null here, but an empty text is one. */
			if (node_is_null(node->items[i]))
				reader_error(reader, node->items[i], &path, "%s must be a text",
					     key);
			result = -1;
			continue;
		}
		labels.count++;
		label->key = span_copy(node->keys[i]->text);
		if (!label->key) {
			reader_error(reader, node, &path, "out of memory");
			result = -1;
			break;
		}
	}
	if (result)
		labels_free(&labels);
	else
		*ret_labels = labels;
	return result;
}

void labels_free(struct labels *labels)
{
	for (size_t i = 0; i < labels->count; i++) {
		free(labels->items[i].key);
		free(labels->items[i].value);
	}
	free(labels->items);
	*labels = (struct labels){0};
}

char *resource_title(const struct resource *resource)
{
	char *title;

	if (asprintf(&title, "%s/%s", resource->kind ? resource->kind : "?",
		     resource->name ? resource->name : "?") < 0)
		return NULL;
	return title;
}

/* Kubernetes' names (RFC 1123): what stands in a log line or a host without harm. */
static bool is_name(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > RESOURCE_MAX_NAME || name[0] == '.' || name[0] == '-' ||
	    name[length - 1] == '.' || name[length - 1] == '-')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length;
}

static int read_name(const struct reader *reader, const struct node *metadata,
		     const struct path *parent, const char *field, char **ret_name)
{
	struct path path = path_field(parent, field);
	int result = reader_string(reader, metadata, parent, field, ret_name);

	if (result == 0 && !is_name(*ret_name)) {
		reader_error(reader, node_get(metadata, field), &path,
			     "\"%s\" is no name (lower-case letters, digits, '-' and '.', at most "
			     "%d characters)",
			     *ret_name, RESOURCE_MAX_NAME);
		result = -1;
	}
	return result;
}

static int read_metadata(const struct reader *reader, const struct node *document,
			 struct resource *resource)
{
	const struct path root = path_field(NULL, "metadata");
	const struct node *metadata =
		reader_child(reader, document, NULL, "metadata", NODE_MAPPING);
	int result = 0;

	if (!metadata) {
		if (node_is_null(node_get(document, "metadata")))
			reader_error(reader, document, &root, "missing");
		return -1;
	}
	int name = read_name(reader, metadata, &root, "name", &resource->name);
	if (name > 0) {
		struct path path = path_field(&root, "name");
		reader_error(reader, metadata, &path, "missing");
	}
	int namespace = read_name(reader, metadata, &root, "namespace", &resource->namespace);
	if (namespace > 0)
		resource->namespace = strdup("default");
	if (name || namespace < 0 || !resource->namespace)
		result = -1;

	/* With the name known, the labels' errors can say whose they are. */
	char *title = resource_title(resource);
	struct reader named = {reader->diagnostics, title ? title : reader->resource};
	if (reader_labels(&named, metadata, &root, "labels", &resource->labels) < 0)
		result = -1;
	if (reader_labels(&named, metadata, &root, "annotations", &resource->annotations) < 0)
		result = -1;
	free(title);
	return result;
}

static int read_type(const struct reader *reader, const struct node *document, const char *field,
		     char **ret_value)
{
	struct path path = path_field(NULL, field);
	int result = reader_string(reader, document, NULL, field, ret_value);

	if (result > 0)
		reader_error(reader, document, &path, "missing");
	return result ? -1 : 0;
}

int resource_read(const struct node *document, struct diagnostics *diagnostics,
		  struct resource *ret_resource)
{
	static const struct field_rule fields[] = {
		{"apiVersion", FIELD_READ}, {"kind", FIELD_READ},      {"metadata", FIELD_READ},
		{"spec", FIELD_READ},	    {"status", FIELD_IGNORED},
	};
	struct reader reader = {.diagnostics = diagnostics};
	struct resource resource = {.place = document->place};
	int result = -1;

	resource.place.file = document->place.file ? strdup(document->place.file) : NULL;
	if (document->kind != NODE_MAPPING) {
		reader_error(&reader, document, NULL, "a manifest must be a mapping");
		goto out;
	}
	int kind = read_type(&reader, document, "kind", &resource.kind);
	reader.resource = resource.kind;
	int api_version = read_type(&reader, document, "apiVersion", &resource.api_version);
	result = read_metadata(&reader, document, &resource);
	if (kind || api_version)
		result = -1;
	char *title = resource_title(&resource);
	if (resource.kind)
		reader.resource = title;
	if (!reader_check_fields(&reader, document, NULL, fields, ARRAY_LENGTH(fields)))
		result = -1;
	free(title);
out:
	if (result)
		resource_free(&resource);
	else
		*ret_resource = resource;
	return result;
}

void resource_free(struct resource *resource)
{
	free(resource->api_version);
	free(resource->kind);
	free(resource->name);
	free(resource->namespace);
	labels_free(&resource->labels);
	labels_free(&resource->annotations);
	free((char *)resource->place.file);
	*resource = (struct resource){0};
}

bool export_includes(const struct export_manifest *export_to, const char *namespace)
{
	for (size_t i = 0; namespace && i < export_to->count; i++) {
		if (strcmp(export_to->namespaces[i], namespace) == 0)
			return true;
	}
	return !export_to->is_limited;
}
