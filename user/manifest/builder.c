/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/builder.h"

#include <stdlib.h>

#define HOST_MAX_BYTES 253 /* RFC 1035 2.3.4, as text */

int builder_begin(struct builder *builder, const struct node *document,
		  struct diagnostics *diagnostics, struct resource *resource, struct arena *arena)
{
	if (resource_read(document, diagnostics, resource))
		return -1;
	char *title = resource_title(resource);

	*builder = (struct builder){
		.reader = {.diagnostics = diagnostics, .resource = title},
		.arena = arena,
		.file = resource->place.file,
		.title = title,
	};
	return 0;
}

void builder_end(struct builder *builder)
{
	free(builder->title);
}

void *builder_array(const struct builder *builder, const struct node *node, size_t count,
		    size_t size)
{
	void *array = arena_allocate_array(builder->arena, count, size);

	if (!array)
		reader_error(&builder->reader, node, NULL, "out of memory");
	return array;
}

struct source_place builder_place(const struct builder *builder, const struct node *node)
{
	struct source_place place = node->place;

	place.file = builder->file;
	return place;
}

const char *builder_text(const struct builder *builder, const struct node *mapping,
			 const struct path *parent, const char *field)
{
	struct span text;

	if (reader_text(&builder->reader, mapping, parent, field, &text))
		return NULL;
	char *copy = arena_copy(builder->arena, text);
	if (!copy)
		reader_error(&builder->reader, mapping, parent, "out of memory");
	return copy;
}

const char *builder_required_text(const struct builder *builder, const struct node *mapping,
				  const struct path *parent, const char *field)
{
	struct path path = path_field(parent, field);

	if (node_is_null(node_get(mapping, field))) {
		reader_error(&builder->reader, mapping, &path, "missing");
		return NULL;
	}
	const char *text = builder_text(builder, mapping, parent, field);
	if (text && !*text) {
		reader_error(&builder->reader, node_get(mapping, field), &path,
			     "must not be empty");
		return NULL;
	}
	return text;
}

void builder_texts(const struct builder *builder, const struct node *mapping,
		   const struct path *parent, const char *field, const char *const **ret_texts,
		   size_t *ret_count)
{
	struct path path = path_field(parent, field);
	struct node *list = reader_child(&builder->reader, mapping, parent, field, NODE_SEQUENCE);
	size_t count = 0;

	if (!list)
		return;
	const char **texts = builder_array(builder, list, list->count, sizeof(*texts));
	for (size_t i = 0; texts && i < list->count; i++) {
		struct path item = path_item(&path, i);
		struct span text = reader_item_text(&builder->reader, list->items[i], &item);

		if (text.data && (texts[count] = arena_copy(builder->arena, text)))
			count++;
	}
	*ret_texts = texts;
	*ret_count = count;
}

void builder_labels(const struct builder *builder, const struct node *mapping,
		    const struct path *parent, const char *field, struct labels *ret_labels)
{
	struct path path = path_field(parent, field);
	struct node *node = reader_child(&builder->reader, mapping, parent, field, NODE_MAPPING);
	struct labels labels = {0};

	if (!node)
		return;
	labels.items = builder_array(builder, node, node->count, sizeof(*labels.items));
	for (size_t i = 0; labels.items && i < node->count; i++) {
		struct label *label = &labels.items[labels.count];

		label->key = arena_copy(builder->arena, node->keys[i]->text);
		label->value = (char *)builder_text(builder, node, &path, node->keys[i]->text.data);
		if (label->key && label->value)
			labels.count++;
		else if (node_is_null(node->items[i]))
			reader_error(&builder->reader, node->items[i], &path, "%s must be a text",
				     node->keys[i]->text.data);
	}
	*ret_labels = labels;
}

uint32_t builder_number(const struct builder *builder, const struct node *mapping,
			const struct path *parent, const char *field, uint32_t minimum,
			uint32_t maximum, uint32_t absent)
{
	uint64_t value = absent;

	reader_unsigned(&builder->reader, mapping, parent, field, minimum, maximum, &value);
	return (uint32_t)value;
}

uint32_t builder_duration_ms(const struct builder *builder, const struct node *mapping,
			     const struct path *parent, const char *field)
{
	struct path path = path_field(parent, field);
	uint64_t value = 0;

	if (reader_duration_ms(&builder->reader, mapping, parent, field, &value) == 0 &&
	    value > UINT32_MAX) {
		reader_error(&builder->reader, node_get(mapping, field), &path,
			     "must be at most 1193h");
		return 0;
	}
	return (uint32_t)value;
}

uint32_t builder_positive_duration_ms(const struct builder *builder, const struct node *mapping,
				      const struct path *parent, const char *field)
{
	struct path path = path_field(parent, field);
	uint64_t value = 1;

	if (reader_duration_ms(&builder->reader, mapping, parent, field, &value) == 0 && value == 0)
		reader_error(&builder->reader, node_get(mapping, field), &path,
			     "must be at least 1ms");
	return builder_duration_ms(builder, mapping, parent, field);
}

struct export_manifest builder_export(const struct builder *builder, const struct node *mapping,
				      const struct path *parent, const char *own_namespace)
{
	struct export_manifest export = {0};
	const char **namespaces = NULL;
	size_t kept = 0;

	builder_texts(builder, mapping, parent, "exportTo", &export.namespaces, &export.count);
	namespaces = (const char **)export.namespaces;
	export.is_limited = export.count > 0;
	for (size_t i = 0; i < export.count; i++) {
		if (strcmp(namespaces[i], "*") == 0)
			return (struct export_manifest){0};
		if (strcmp(namespaces[i], "~") != 0)
			namespaces[kept++] =
				strcmp(namespaces[i], ".") == 0 ? own_namespace : namespaces[i];
	}
	export.count = kept;
	return export;
}

void builder_warn_of_export(const struct builder *builder, const struct node *mapping,
			    const struct path *parent)
{
	struct path path = path_field(parent, "exportTo");

	if (builder_export(builder, mapping, parent, "").is_limited)
		reader_warning(&builder->reader, node_get(mapping, "exportTo"), &path,
			       "not supported: it holds for callers of all namespaces");
}

struct node *builder_required_child(const struct builder *builder, const struct node *mapping,
				    const struct path *parent, const char *field,
				    enum node_kind kind)
{
	struct path path = path_field(parent, field);
	struct node *child = node_get(mapping, field);

	if (node_is_null(child) ||
	    (child->kind == kind && kind == NODE_SEQUENCE && !child->count)) {
		reader_error(&builder->reader, child ? child : mapping, &path, "missing");
		return NULL;
	}
	return reader_child(&builder->reader, mapping, parent, field, kind);
}

bool builder_is_host(struct span text)
{
	if (text.length == 0 || text.length > HOST_MAX_BYTES || text.data[0] == '.' ||
	    text.data[text.length - 1] == '.')
		return false;
	for (size_t i = 0; i < text.length; i++) {
		char byte = text.data[i];

		if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9') && byte != '-' &&
		    byte != '.' && byte != '_')
			return false;
		if (byte == '.' && text.data[i + 1] == '.')
			return false;
	}
	return true;
}

const char *builder_host(const struct builder *builder, const struct node *node, struct span text,
			 const struct path *path, bool wildcards)
{
	char *host = arena_copy(builder->arena, text);

	if (!host) {
		reader_error(&builder->reader, node, path, "out of memory");
		return NULL;
	}
	for (char *byte = host; *byte; byte++)
		*byte = ascii_lower(*byte);
	struct span name = {host, text.length};
	if (wildcards && span_equal(name, span_of("*")))
		return host;
	if (wildcards && span_starts_with(name, span_of("*.")))
		name = (struct span){host + 2, text.length - 2};
	if (!builder_is_host(name)) {
		reader_error(&builder->reader, node, path, "\"%s\" is no host%s", host,
			     wildcards	    ? " (a wildcard is \"*\" or \"*.\" and a host)"
			     : *host == '*' ? " (no wildcard can stand here)"
					    : "");
		return NULL;
	}
	return host;
}
