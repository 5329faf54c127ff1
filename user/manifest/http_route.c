/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/http_route.h"

#include "base/array.h"
#include "manifest/http_actions.h"
#include "manifest/http_match.h"

#define ROUTE_MAX_DESTINATIONS 1000
#define ROUTE_MAX_WEIGHT 1000000

static void read_destination(const struct builder *builder, const struct node *node,
			     const struct path *path, struct destination_manifest *destination)
{
	static const struct field_rule fields[] = {
		{"host", FIELD_READ},
		{"subset", FIELD_READ},
		{"port", FIELD_READ},
	};
	static const struct field_rule port_fields[] = {{"number", FIELD_READ}};
	struct path host_path = path_field(path, "host"), port_path = path_field(path, "port");

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	destination->place = builder_place(builder, node);
	const char *host = builder_required_text(builder, node, path, "host");
	if (host)
		destination->host = builder_host(builder, node_get(node, "host"), span_of(host),
						 &host_path, false);
	destination->subset = builder_text(builder, node, path, "subset");
	if (destination->subset && !*destination->subset)
		destination->subset = NULL;
	if (destination->subset)
		destination->subset_place = builder_place(builder, node_get(node, "subset"));
	struct node *port = reader_child(&builder->reader, node, path, "port", NODE_MAPPING);
	if (!port)
		return;
	reader_check_fields(&builder->reader, port, &port_path, port_fields,
			    ARRAY_LENGTH(port_fields));
	destination->port =
		(uint16_t)builder_number(builder, port, &port_path, "number", 1, UINT16_MAX, 0);
}

static void read_route_destination(const struct builder *builder, const struct node *node,
				   const struct path *path,
				   struct route_destination_manifest *destination)
{
	static const struct field_rule fields[] = {
		{"destination", FIELD_READ},
		{"weight", FIELD_READ},
		{"headers", FIELD_READ},
	};
	struct path destination_path = path_field(path, "destination");

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	struct node *child =
		builder_required_child(builder, node, path, "destination", NODE_MAPPING);
	if (child)
		read_destination(builder, child, &destination_path, &destination->destination);
	destination->has_weight = !node_is_null(node_get(node, "weight"));
	destination->weight = builder_number(builder, node, path, "weight", 0, ROUTE_MAX_WEIGHT, 0);
	http_headers_read(builder, node, path, &destination->headers);
}

/* One destination takes everything, whatever its weight says; of several each needs a share. */
static void check_weights(const struct builder *builder, const struct node *list,
			  const struct path *path, struct route_destination_manifest *destinations,
			  size_t count)
{
	uint64_t sum = 0;

	if (count == 1) {
		if (destinations[0].has_weight && destinations[0].weight == 0)
			reader_warning(&builder->reader, list->items[0], path,
				       "takes every request in spite of its weight 0: it is the "
				       "only destination");
		destinations[0].weight = 1;
		return;
	}
	for (size_t i = 0; i < count; i++)
		sum += destinations[i].weight;
	if (sum == 0)
		reader_error(&builder->reader, list, path,
			     "several destinations need weights that are not all 0");
}

static void read_destinations(const struct builder *builder, const struct node *mapping,
			      const struct path *parent, struct http_route_manifest *route)
{
	struct path path = path_field(parent, "route");
	struct node *list = reader_child(&builder->reader, mapping, parent, "route", NODE_SEQUENCE);

	if (!list || list->count == 0)
		return;
	if (list->count > ROUTE_MAX_DESTINATIONS) {
		reader_error(&builder->reader, list, &path, "more than %d destinations",
			     ROUTE_MAX_DESTINATIONS);
		return;
	}
	struct route_destination_manifest *destinations =
		builder_array(builder, list, list->count, sizeof(*destinations));
	if (!destinations)
		return;
	for (size_t i = 0; i < list->count; i++) {
		struct path item = path_item(&path, i);
		read_route_destination(builder, list->items[i], &item, &destinations[i]);
	}
	check_weights(builder, list, &path, destinations, list->count);
	route->destinations = destinations;
	route->destination_count = list->count;
}

static void read_matches(const struct builder *builder, const struct node *mapping,
			 const struct path *parent, struct http_route_manifest *route)
{
	struct path path = path_field(parent, "match");
	struct node *list = reader_child(&builder->reader, mapping, parent, "match", NODE_SEQUENCE);

	if (!list)
		return;
	struct http_match_manifest *matches =
		builder_array(builder, list, list->count, sizeof(*matches));
	for (size_t i = 0; matches && i < list->count; i++) {
		struct path item = path_item(&path, i);
		http_match_read(builder, list->items[i], &item, &matches[i]);
	}
	route->matches = matches;
	route->match_count = matches ? list->count : 0;
}

static void read_mirror_entry(const struct builder *builder, const struct node *node,
			      const struct path *path, struct mirror_manifest *mirror)
{
	static const struct field_rule fields[] = {
		{"destination", FIELD_READ},
		{"percentage", FIELD_READ},
	};
	struct path destination_path = path_field(path, "destination");

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	struct node *child =
		builder_required_child(builder, node, path, "destination", NODE_MAPPING);
	if (child)
		read_destination(builder, child, &destination_path, &mirror->destination);
	mirror->share = http_percentage_read(builder, node, path, "percentage", SHARE_ALL);
}

/* `mirror` with `mirrorPercentage`, and the list `mirrors`, come to the same. */
static void read_mirrors(const struct builder *builder, const struct node *mapping,
			 const struct path *parent, struct http_route_manifest *route)
{
	struct path mirror_path = path_field(parent, "mirror");
	struct path list_path = path_field(parent, "mirrors");
	struct node *one = reader_child(&builder->reader, mapping, parent, "mirror", NODE_MAPPING);
	struct node *list =
		reader_child(&builder->reader, mapping, parent, "mirrors", NODE_SEQUENCE);
	size_t count = (one ? 1 : 0) + (list ? list->count : 0);

	if (count == 0)
		return;
	struct mirror_manifest *mirrors = builder_array(builder, mapping, count, sizeof(*mirrors));
	if (!mirrors)
		return;
	if (one) {
		read_destination(builder, one, &mirror_path, &mirrors[0].destination);
		uint32_t percent =
			builder_number(builder, mapping, parent, "mirrorPercent", 0, 100, 100);
		percent =
			builder_number(builder, mapping, parent, "mirror_percent", 0, 100, percent);
		mirrors[0].share = http_percentage_read(
			builder, mapping, parent, "mirrorPercentage", percent * (SHARE_ALL / 100));
	}
	for (size_t i = 0; list && i < list->count; i++) {
		struct path item = path_item(&list_path, i);
		read_mirror_entry(builder, list->items[i], &item, &mirrors[(one ? 1 : 0) + i]);
	}
	route->mirrors = mirrors;
	route->mirror_count = count;
}

static void read_actions(const struct builder *builder, const struct node *node,
			 const struct path *path, struct http_route_manifest *route)
{
	static const struct {
		const char *field;
		void (*read)(const struct builder *builder, const struct node *node,
			     const struct path *path, struct http_route_manifest *route);
	} actions[] = {
		{"redirect", http_redirect_read}, {"directResponse", http_direct_response_read},
		{"rewrite", http_rewrite_read},	  {"retries", http_retries_read},
		{"fault", http_fault_read},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(actions); i++) {
		struct path field = path_field(path, actions[i].field);
		struct node *child =
			reader_child(&builder->reader, node, path, actions[i].field, NODE_MAPPING);
		if (child)
			actions[i].read(builder, child, &field, route);
	}
}

static void read_delegate(const struct builder *builder, const struct node *mapping,
			  const struct path *parent, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {{"name", FIELD_READ}, {"namespace", FIELD_READ}};
	struct path path = path_field(parent, "delegate");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "delegate", NODE_MAPPING);

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	route->delegate = builder_required_text(builder, node, &path, "name");
	route->delegate_namespace = builder_text(builder, node, &path, "namespace");
}

static void check_combination(const struct builder *builder, const struct node *node,
			      const struct path *path, const struct http_route_manifest *route)
{
	static const char *const only_beside_route[] = {"rewrite", "fault"};
	bool forwards = !node_is_null(node_get(node, "route"));
	int ways = (forwards ? 1 : 0) + (route->has_redirect ? 1 : 0) +
		   (route->has_direct_response ? 1 : 0);

	if (route->delegate && ways == 0)
		return;
	if (ways != 1 || route->delegate)
		reader_error(&builder->reader, node, path,
			     "needs exactly one of route, redirect, directResponse, delegate");
	else if (forwards && !route->destination_count)
		reader_error(&builder->reader, node, path, "route needs a destination");
	for (size_t i = 0; ways == 1 && !forwards && i < ARRAY_LENGTH(only_beside_route); i++) {
		if (!node_is_null(node_get(node, only_beside_route[i])))
			reader_error(&builder->reader, node, path, "%s can only stand beside route",
				     only_beside_route[i]);
	}
}

void http_route_read(const struct builder *builder, const struct node *node,
		     const struct path *path, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_READ},
		{"match", FIELD_READ},
		{"route", FIELD_READ},
		{"redirect", FIELD_READ},
		{"directResponse", FIELD_READ},
		{"rewrite", FIELD_READ},
		{"timeout", FIELD_READ},
		{"retries", FIELD_READ},
		{"fault", FIELD_READ},
		{"mirror", FIELD_READ},
		{"mirrorPercentage", FIELD_READ},
		{"mirrorPercent", FIELD_READ},
		{"mirror_percent", FIELD_READ}, /* as Istio's own schema has it too */
		{"mirrors", FIELD_READ},
		{"headers", FIELD_READ},
		{"websocketUpgrade", FIELD_IGNORED}, /* of Istio's first version; always possible */
		{"delegate", FIELD_READ},
		{"corsPolicy", FIELD_UNSUPPORTED, "let the application answer CORS requests"},
	};

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	route->place = builder_place(builder, node);
	if (node->kind != NODE_MAPPING) {
		if (node_is_null(node))
			reader_error(&builder->reader, node, path, "must be a mapping");
		return;
	}
	route->name = builder_text(builder, node, path, "name");
	read_matches(builder, node, path, route);
	read_destinations(builder, node, path, route);
	read_actions(builder, node, path, route);
	read_mirrors(builder, node, path, route);
	read_delegate(builder, node, path, route);
	route->timeout_ms = builder_duration_ms(builder, node, path, "timeout");
	http_headers_read(builder, node, path, &route->headers);
	check_combination(builder, node, path, route);
}
