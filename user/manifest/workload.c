/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/workload.h"

#include <stdlib.h>

#include "base/address.h"
#include "base/array.h"
#include "manifest/builder.h"

/* Sets a label; the later of two wins. -1 when memory is short. */
static int labels_put(struct labels *labels, struct span key, struct span value)
{
	for (size_t i = 0; i < labels->count; i++) {
		struct label *label = &labels->items[i];

		if (!span_equal(span_of(label->key), key))
			continue;
		char *copy = span_copy(value);
		if (!copy)
			return -1;
		free(label->value);
		label->value = copy;
		return 0;
	}
	struct label *grown = realloc(labels->items, (labels->count + 1) * sizeof(*labels->items));
	if (!grown)
		return -1;
	labels->items = grown;
	struct label *label = &labels->items[labels->count];
	label->key = span_copy(key);
	label->value = span_copy(value);
	if (!label->key || !label->value) {
		free(label->key);
		free(label->value);
		return -1;
	}
	labels->count++;
	return 0;
}

static void read_address(const struct builder *builder, const struct node *node,
			 const struct path *parent, struct workload_manifest *manifest)
{
	struct path path = path_field(parent, "address");
	const char *text = builder_required_text(builder, node, parent, "address");

	if (!text)
		return;
	manifest->has_address = address_parse(text, manifest->address) == 0;
	if (!manifest->has_address)
		reader_error(&builder->reader, node_get(node, "address"), &path,
			     "\"%s\" is no IP address", text);
}

static void read_ports(const struct builder *builder, const struct node *node,
		       const struct path *parent, struct workload_manifest *manifest)
{
	struct path path = path_field(parent, "ports");
	struct node *map = reader_child(&builder->reader, node, parent, "ports", NODE_MAPPING);

	if (!map)
		return;
	struct workload_port_manifest *ports =
		builder_array(builder, map, map->count, sizeof(*ports));
	for (size_t i = 0; ports && i < map->count; i++) {
		const char *name = arena_copy(builder->arena, map->keys[i]->text);
		uint32_t port =
			name ? builder_number(builder, map, &path, name, 1, UINT16_MAX, 0) : 0;

		if (!port)
			continue;
		ports[manifest->port_count].name = name;
		ports[manifest->port_count++].port = (uint16_t)port;
	}
	manifest->ports = ports;
}

void workload_read_endpoint(const struct builder *builder, const struct node *node,
			    const struct path *path, struct workload_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"address", FIELD_READ},
		{"ports", FIELD_READ},
		{"labels", FIELD_READ},
		{"weight", FIELD_READ},
		{"network", FIELD_LOST, "the address must be reachable directly"},
		{"locality", FIELD_IGNORED}, /* no balancing by locality */
		{"serviceAccount", FIELD_IGNORED},
	};
	struct path weight_path = path_field(path, "weight");
	struct labels labels = {0};

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	if (node->kind != NODE_MAPPING) {
		if (node_is_null(node))
			reader_error(&builder->reader, node, path, "must be a mapping");
		return;
	}
	manifest->is_ready = true;
	read_address(builder, node, path, manifest);
	read_ports(builder, node, path, manifest);
	if (builder_number(builder, node, path, "weight", 0, INT32_MAX, 0) > 1)
		reader_error(&builder->reader, node_get(node, "weight"), &weight_path,
			     "not supported: all endpoints of a host weigh the same");
	builder_labels(builder, node, path, "labels", &labels);
	for (size_t i = 0; i < labels.count; i++) {
		if (labels_put(&manifest->resource.labels, span_of(labels.items[i].key),
			       span_of(labels.items[i].value)))
			reader_error(&builder->reader, node, path, "out of memory");
	}
}

/* Status is written by the cluster: what we do not know of it is passed over. */
static void read_pod_status(const struct builder *builder, const struct node *document,
			    struct workload_manifest *manifest)
{
	struct path path = path_field(NULL, "status"), ip_path = path_field(&path, "podIP");
	struct node *status =
		reader_child(&builder->reader, document, NULL, "status", NODE_MAPPING);
	const struct node *conditions = node_get(status, "conditions");

	manifest->is_ready = true;
	if (!status)
		return;
	const char *address = builder_text(builder, status, &path, "podIP");
	if (address && *address) {
		manifest->has_address = address_parse(address, manifest->address) == 0;
		if (!manifest->has_address)
			reader_error(&builder->reader, node_get(status, "podIP"), &ip_path,
				     "\"%s\" is no IP address", address);
	}
	const struct node *phase = node_get(status, "phase");
	if (phase && phase->kind == NODE_SCALAR &&
	    (span_equal(phase->text, span_of("Succeeded")) ||
	     span_equal(phase->text, span_of("Failed"))))
		manifest->has_address = false; /* it is over; the address may be another's by now */
	for (size_t i = 0; conditions && conditions->kind == NODE_SEQUENCE && i < conditions->count;
	     i++) {
		const struct node *type = node_get(conditions->items[i], "type");
		const struct node *value = node_get(conditions->items[i], "status");

		if (type && value && type->kind == NODE_SCALAR && value->kind == NODE_SCALAR &&
		    span_equal(type->text, span_of("Ready")))
			manifest->is_ready = span_equal(value->text, span_of("True"));
	}
}

static size_t count_container_ports(const struct node *containers)
{
	size_t count = 0;

	for (size_t i = 0; i < containers->count; i++) {
		const struct node *ports = node_get(containers->items[i], "ports");
		count += ports && ports->kind == NODE_SEQUENCE ? ports->count : 0;
	}
	return count;
}

static void read_container_ports(const struct builder *builder, const struct node *container,
				 const struct path *path, struct workload_port_manifest *ports,
				 size_t *count)
{
	struct path ports_path = path_field(path, "ports");
	const struct node *list = node_get(container, "ports");

	for (size_t i = 0; list && list->kind == NODE_SEQUENCE && i < list->count; i++) {
		struct path item = path_item(&ports_path, i);
		const char *name = builder_text(builder, list->items[i], &item, "name");
		uint32_t port = builder_number(builder, list->items[i], &item, "containerPort", 1,
					       UINT16_MAX, 0);
		if (!name || !port)
			continue;
		ports[*count].name = name;
		ports[(*count)++].port = (uint16_t)port;
	}
}

/* Of a Pod's many fields only the names of ports and hostNetwork matter here. */
static void read_pod_spec(const struct builder *builder, const struct node *document,
			  struct workload_manifest *manifest)
{
	struct path path = path_field(NULL, "spec"),
		    containers_path = path_field(&path, "containers");
	const struct node *spec = node_get(document, "spec");
	const struct node *containers = node_get(spec, "containers");

	if (!spec || spec->kind != NODE_MAPPING)
		return;
	reader_bool(&builder->reader, spec, &path, "hostNetwork", &manifest->shares_address);
	if (!containers || containers->kind != NODE_SEQUENCE)
		return;
	struct workload_port_manifest *ports = builder_array(
		builder, containers, count_container_ports(containers), sizeof(*ports));
	for (size_t i = 0; ports && i < containers->count; i++) {
		struct path item = path_item(&containers_path, i);
		read_container_ports(builder, containers->items[i], &item, ports,
				     &manifest->port_count);
	}
	manifest->ports = ports;
}

int pod_read(const struct node *document, struct diagnostics *diagnostics,
	     struct workload_manifest *ret_manifest)
{
	struct workload_manifest manifest = {.kind = WORKLOAD_POD};

	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	read_pod_spec(&builder, document, &manifest);
	read_pod_status(&builder, document, &manifest);
	if (!node_is_null(node_get(node_get(document, "metadata"), "deletionTimestamp")))
		manifest.is_ready = false;
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}

int workload_entry_read(const struct node *document, struct diagnostics *diagnostics,
			struct workload_manifest *ret_manifest)
{
	struct workload_manifest manifest = {.kind = WORKLOAD_ENTRY};
	struct path path = path_field(NULL, "spec");

	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	struct node *spec = builder_required_child(&builder, document, NULL, "spec", NODE_MAPPING);
	if (spec)
		workload_read_endpoint(&builder, spec, &path, &manifest);
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}

uint16_t workload_port(const struct workload_manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->port_count; i++) {
		if (strcmp(manifest->ports[i].name, name) == 0)
			return manifest->ports[i].port;
	}
	return 0;
}

void workload_free(struct workload_manifest *manifest)
{
	arena_free(&manifest->arena);
	resource_free(&manifest->resource);
	*manifest = (struct workload_manifest){0};
}
