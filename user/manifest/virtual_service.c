/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/virtual_service.h"

#include <stdlib.h>

#include "base/array.h"
#include "manifest/builder.h"
#include "manifest/http_route.h"
#include "manifest/stub.h"

static void read_hosts(const struct builder *builder, const struct node *spec,
		       const struct path *parent, struct virtual_service_manifest *manifest)
{
	struct path path = path_field(parent, "hosts");
	/* Without hosts it is there for others to delegate to. */
	struct node *list = reader_child(&builder->reader, spec, parent, "hosts", NODE_SEQUENCE);

	if (!list)
		return;
	struct placed_text *hosts = builder_array(builder, list, list->count, sizeof(*hosts));
	for (size_t i = 0; hosts && i < list->count; i++) {
		struct path item = path_item(&path, i);
		struct span text = reader_item_text(&builder->reader, list->items[i], &item);
		struct placed_text *host = &hosts[manifest->host_count];

		if (!text.data)
			continue;
		host->place = builder_place(builder, list->items[i]);
		host->text = builder_host(builder, list->items[i], text, &item, true);
		if (host->text)
			manifest->host_count++;
	}
	manifest->hosts = hosts;
}

static void read_gateways(const struct builder *builder, const struct node *spec,
			  const struct path *parent, struct virtual_service_manifest *manifest)
{
	struct path path = path_field(parent, "gateways");
	struct node *list = reader_child(&builder->reader, spec, parent, "gateways", NODE_SEQUENCE);

	if (!list)
		return;
	struct placed_text *gateways = builder_array(builder, list, list->count, sizeof(*gateways));
	for (size_t i = 0; gateways && i < list->count; i++) {
		struct path item = path_item(&path, i);
		struct span text = reader_item_text(&builder->reader, list->items[i], &item);
		struct placed_text *gateway = &gateways[manifest->gateway_count];

		if (!text.data)
			continue;
		gateway->place = builder_place(builder, list->items[i]);
		gateway->text = arena_copy(builder->arena, text);
		if (gateway->text)
			manifest->gateway_count++;
	}
	manifest->gateways = gateways;
}

static void read_http(const struct builder *builder, const struct node *spec,
		      const struct path *parent, struct virtual_service_manifest *manifest)
{
	struct path path = path_field(parent, "http");
	bool is_other = node_get(spec, "tls") || node_get(spec, "tcp");
	struct node *list =
		is_other ? reader_child(&builder->reader, spec, parent, "http", NODE_SEQUENCE)
			 : builder_required_child(builder, spec, parent, "http", NODE_SEQUENCE);

	if (!list)
		return;
	struct http_route_manifest *routes =
		builder_array(builder, list, list->count, sizeof(*routes));
	for (size_t i = 0; routes && i < list->count; i++) {
		struct path item = path_item(&path, i);
		http_route_read(builder, list->items[i], &item, &routes[i]);
	}
	manifest->http = routes;
	manifest->http_count = routes ? list->count : 0;
}

static void read_spec(const struct builder *builder, const struct node *document,
		      struct virtual_service_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"hosts", FIELD_READ},
		{"gateways", FIELD_READ},
		{"http", FIELD_READ},
		{"exportTo", FIELD_READ},
		{"tls", FIELD_LOST, "connections of TLS are not routed, only requests of HTTP are"},
		{"tcp", FIELD_LOST, "connections of TCP are not routed, only requests of HTTP are"},
	};
	struct path path = path_field(NULL, "spec");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	read_hosts(builder, spec, &path, manifest);
	read_gateways(builder, spec, &path, manifest);
	read_http(builder, spec, &path, manifest);
	manifest->export_to = builder_export(builder, spec, &path, manifest->resource.namespace);
}

int virtual_service_read(const struct node *document, struct diagnostics *diagnostics,
			 struct virtual_service_manifest *ret_manifest)
{
	struct virtual_service_manifest manifest = {0};
	size_t errors_before = diagnostics->error_count;

	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	read_spec(&builder, document, &manifest);
	builder_end(&builder);
	manifest.is_rejected =
		labels_get(&manifest.resource.annotations, MANIFEST_REJECTED_ANNOTATION) != NULL;
	manifest.faulty = diagnostics->error_count != errors_before;
	*ret_manifest = manifest;
	return 0;
}

void virtual_service_free(struct virtual_service_manifest *manifest)
{
	arena_free(&manifest->arena);
	resource_free(&manifest->resource);
	*manifest = (struct virtual_service_manifest){0};
}
