/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/service.h"

#include <stdlib.h>

#include "base/address.h"
#include "base/array.h"
#include "manifest/builder.h"

/* True if a port's name is one of these, alone or in front of a "-". */
static bool name_says(const char *name, const char *const *protocols, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(protocols[i]);

		if (strncmp(name, protocols[i], length) == 0 &&
		    (name[length] == '\0' || name[length] == '-'))
			return true;
	}
	return false;
}

static bool name_says_http(const char *name)
{
	static const char *const names[] = {"http", "http2", "grpc-web", "web"};

	return name_says(name, names, ARRAY_LENGTH(names));
}

/* Istio's names for what is no HTTP, or none that we speak. */
static bool name_says_other(const char *name)
{
	static const char *const names[] = {"grpc",  "https", "mongo", "mysql",
					    "redis", "tcp",   "tls",   "udp"};

	return !name_says_http(name) && name_says(name, names, ARRAY_LENGTH(names));
}

static bool application_is_http(const char *protocol)
{
	static const char *const names[] = {"http", "http2", "grpc-web", "kubernetes.io/h2c",
					    "kubernetes.io/ws"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (span_equal_ignore_case(span_of(protocol), span_of(names[i])))
			return true;
	}
	return false;
}

static void read_target_port(const struct builder *builder, const struct node *node,
			     const struct path *parent, struct service_port_manifest *port)
{
	const struct node *target = node_get(node, "targetPort");

	port->target_port = port->port;
	if (node_is_null(target))
		return;
	if (target->kind == NODE_SCALAR && target->text.length && target->plain &&
	    strspn(target->text.data, "0123456789") == target->text.length) {
		port->target_port = (uint16_t)builder_number(builder, node, parent, "targetPort", 1,
							     UINT16_MAX, 0);
		return;
	}
	port->target_port = 0;
	port->target_port_name = builder_required_text(builder, node, parent, "targetPort");
}

static void read_protocol(const struct builder *builder, const struct node *node,
			  const struct path *path, struct service_port_manifest *port)
{
	const char *protocol = builder_text(builder, node, path, "protocol");
	const char *application = builder_text(builder, node, path, "appProtocol");

	port->is_tcp = !protocol || strcmp(protocol, "TCP") == 0;
	if (application) {
		port->is_http = application_is_http(application);
		port->is_other = !port->is_http;
	} else {
		port->is_http = name_says_http(port->name);
		port->is_named_other = name_says_other(port->name);
	}
	port->is_http = port->is_http && port->is_tcp;
	port->is_other = port->is_other || !port->is_tcp;
}

static void read_service_port(const struct builder *builder, const struct node *node,
			      const struct path *path, struct service_port_manifest *port)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_READ},	     {"port", FIELD_READ},     {"targetPort", FIELD_READ},
		{"appProtocol", FIELD_READ}, {"protocol", FIELD_READ}, {"nodePort", FIELD_IGNORED},
	};

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	port->place = builder_place(builder, node);
	if (node_is_null(node_get(node, "port")))
		builder_required_text(builder, node, path, "port");
	port->port = (uint16_t)builder_number(builder, node, path, "port", 1, UINT16_MAX, 0);
	port->name = builder_text(builder, node, path, "name");
	if (!port->name)
		port->name = "";
	read_target_port(builder, node, path, port);
	read_protocol(builder, node, path, port);
}

/* A ServiceEntry's protocol says what a Service's port name says. */
static void read_entry_port(const struct builder *builder, const struct node *node,
			    const struct path *path, struct service_port_manifest *port)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_READ},
		{"number", FIELD_READ},
		{"protocol", FIELD_READ},
		{"targetPort", FIELD_READ},
	};

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	port->place = builder_place(builder, node);
	if (node_is_null(node_get(node, "number")))
		builder_required_text(builder, node, path, "number");
	port->port = (uint16_t)builder_number(builder, node, path, "number", 1, UINT16_MAX, 0);
	port->name = builder_required_text(builder, node, path, "name");
	if (!port->name)
		port->name = "";
	read_target_port(builder, node, path, port);
	const char *protocol = builder_text(builder, node, path, "protocol");
	struct span text = span_of(protocol ? protocol : "");
	port->is_http = protocol ? span_equal_ignore_case(text, span_of("HTTP")) ||
					   span_equal_ignore_case(text, span_of("HTTP2"))
				 : name_says_http(port->name);
	port->is_named_other = !protocol && name_says_other(port->name);
	port->is_other =
		protocol && !port->is_http && !span_equal_ignore_case(text, span_of("TCP"));
	port->is_tcp = !span_equal_ignore_case(text, span_of("UDP"));
}

static void read_ports(const struct builder *builder, const struct node *spec,
		       const struct path *parent, struct service_manifest *manifest)
{
	struct path path = path_field(parent, "ports");
	struct node *list = reader_child(&builder->reader, spec, parent, "ports", NODE_SEQUENCE);
	size_t count = 0;

	if (!list)
		return;
	struct service_port_manifest *ports =
		builder_array(builder, list, list->count, sizeof(*ports));
	for (size_t i = 0; ports && i < list->count; i++) {
		struct path item = path_item(&path, i);

		ports[count] = (struct service_port_manifest){0};
		if (manifest->is_entry)
			read_entry_port(builder, list->items[i], &item, &ports[count]);
		else
			read_service_port(builder, list->items[i], &item, &ports[count]);
		for (size_t j = 0; j < count; j++) {
			if (ports[count].is_tcp && ports[j].is_tcp &&
			    ports[j].port == ports[count].port)
				reader_error(&builder->reader, list->items[i], &item,
					     "the port %u stands twice, first in line %u",
					     ports[j].port, ports[j].place.line);
		}
		count += ports[count].port != 0;
	}
	manifest->ports = ports;
	manifest->port_count = count;
}

static void add_address(const struct builder *builder, const struct node *node,
			const struct path *path, const char *text, uint8_t (*addresses)[16],
			size_t *count)
{
	if (address_parse(text, addresses[*count]) || address_is_any(addresses[*count])) {
		reader_error(&builder->reader, node, path,
			     "\"%s\" is no IP address that can be called%s", text,
			     strchr(text, '/') ? " (ranges are not supported)" : "");
		return;
	}
	for (size_t i = 0; i < *count; i++) {
		if (memcmp(addresses[i], addresses[*count], 16) == 0)
			return; /* clusterIPs begins with clusterIP again */
	}
	(*count)++;
}

/* The addresses of the single field and of the list, each once. "None": the host has no address. */
static void read_addresses(const struct builder *builder, const struct node *spec,
			   const struct path *parent, const char *single, const char *list_name,
			   struct service_manifest *manifest)
{
	const char *const *texts = NULL;
	size_t text_count = 0, count = 0;
	struct path list_path = path_field(parent, list_name);
	const char *one = single ? builder_text(builder, spec, parent, single) : NULL;

	builder_texts(builder, spec, parent, list_name, &texts, &text_count);
	uint8_t(*addresses)[16] = builder_array(builder, spec, text_count + 1, sizeof(*addresses));
	if (!addresses)
		return;
	if (one && *one && strcmp(one, "None") != 0) {
		struct path path = path_field(parent, single);
		add_address(builder, node_get(spec, single), &path, one, addresses, &count);
	}
	for (size_t i = 0; i < text_count; i++) {
		struct path item = path_item(&list_path, i);
		if (strcmp(texts[i], "None") != 0)
			add_address(builder, node_get(spec, list_name), &item, texts[i], addresses,
				    &count);
	}
	manifest->addresses = (const uint8_t(*)[16])addresses;
	manifest->address_count = count;
}

static void name_host(const struct builder *builder, const struct node *spec,
		      struct service_manifest *manifest)
{
	struct buffer text = {0};
	const char **hosts = builder_array(builder, spec, 1, sizeof(*hosts));

	buffer_printf(&text, "%s.%s.%s", manifest->resource.name, manifest->resource.namespace,
		      SERVICE_DOMAIN);
	if (hosts && !text.failed) {
		hosts[0] = arena_copy(builder->arena, buffer_span(&text));
		manifest->hosts = hosts;
		manifest->host_count = hosts[0] ? 1 : 0;
	}
	buffer_free(&text);
}

/* Fields where all values but one change what we would have to do. */
static void check_balancing(const struct builder *builder, const struct node *spec,
			    const struct path *parent)
{
	struct path affinity_path = path_field(parent, "sessionAffinity");
	struct path policy_path = path_field(parent, "internalTrafficPolicy");
	const char *affinity = builder_text(builder, spec, parent, "sessionAffinity");
	const char *policy = builder_text(builder, spec, parent, "internalTrafficPolicy");

	if (affinity && strcmp(affinity, "None") != 0)
		reader_warning(&builder->reader, node_get(spec, "sessionAffinity"), &affinity_path,
			       "%s has no effect here, as in Istio: use a DestinationRule's "
			       "consistentHash",
			       affinity);
	if (policy && strcmp(policy, "Cluster") != 0)
		reader_error(&builder->reader, node_get(spec, "internalTrafficPolicy"),
			     &policy_path, "%s is not supported: all endpoints are used", policy);
}

/*
 * Clusters are full of hosts that lie outside. That one of them can't be called by us is an error
 * only where a route leads there.
 */
static void leave_out(const struct builder *builder, const struct node *node,
		      const struct path *path, const char *reason,
		      struct service_manifest *manifest)
{
	manifest->left_out = reason;
	reader_warning(&builder->reader, node, path, "%s: no route may lead here", reason);
}

static void read_service_spec(const struct builder *builder, const struct node *document,
			      struct service_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"clusterIP", FIELD_READ},
		{"clusterIPs", FIELD_READ},
		{"ports", FIELD_READ},
		{"selector", FIELD_READ},
		{"type", FIELD_READ},
		{"publishNotReadyAddresses", FIELD_READ},
		{"sessionAffinity", FIELD_READ},
		{"internalTrafficPolicy", FIELD_READ},
		{"sessionAffinityConfig", FIELD_IGNORED},
		/* How the cluster makes and publishes the addresses: */
		{"ipFamilies", FIELD_IGNORED},
		{"ipFamilyPolicy", FIELD_IGNORED},
		{"externalIPs", FIELD_IGNORED},
		{"externalName", FIELD_IGNORED},
		{"externalTrafficPolicy", FIELD_IGNORED},
		{"healthCheckNodePort", FIELD_IGNORED},
		{"loadBalancerIP", FIELD_IGNORED},
		{"loadBalancerClass", FIELD_IGNORED},
		{"loadBalancerSourceRanges", FIELD_IGNORED},
		{"allocateLoadBalancerNodePorts", FIELD_IGNORED},
		{"trafficDistribution", FIELD_IGNORED},
	};
	struct path path = path_field(NULL, "spec"), type_path = path_field(&path, "type");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	name_host(builder, spec, manifest);
	const char *type = builder_text(builder, spec, &path, "type");
	if (type && strcmp(type, "ExternalName") == 0) {
		leave_out(builder, node_get(spec, "type"), &type_path,
			  "ExternalName is not supported", manifest);
		return;
	}
	if (type && strcmp(type, "ClusterIP") && strcmp(type, "NodePort") &&
	    strcmp(type, "LoadBalancer"))
		reader_error(
			&builder->reader, node_get(spec, "type"), &type_path,
			"%s is not known: ClusterIP, NodePort, LoadBalancer and ExternalName are",
			type);
	check_balancing(builder, spec, &path);
	read_addresses(builder, spec, &path, "clusterIP", "clusterIPs", manifest);
	read_ports(builder, spec, &path, manifest);
	builder_labels(builder, spec, &path, "selector", &manifest->selector);
	manifest->has_selector = manifest->selector.count > 0;
	reader_bool(&builder->reader, spec, &path, "publishNotReadyAddresses",
		    &manifest->with_not_ready);
}

static void read_entry_hosts(const struct builder *builder, const struct node *spec,
			     const struct path *parent, struct service_manifest *manifest)
{
	struct path path = path_field(parent, "hosts");
	struct node *list = builder_required_child(builder, spec, parent, "hosts", NODE_SEQUENCE);

	if (!list)
		return;
	const char **hosts = builder_array(builder, list, list->count, sizeof(*hosts));
	for (size_t i = 0; hosts && i < list->count; i++) {
		struct path item = path_item(&path, i);
		struct span text = reader_item_text(&builder->reader, list->items[i], &item);

		if (!text.data)
			continue;
		hosts[manifest->host_count] =
			builder_host(builder, list->items[i], text, &item, true);
		manifest->host_count += hosts[manifest->host_count] != NULL;
	}
	manifest->hosts = hosts;
}

static void name_endpoint(struct workload_manifest *endpoint, const struct resource *owner,
			  size_t index)
{
	struct resource *resource = &endpoint->resource;

	resource->place.line = owner->place.line;
	resource->kind = strdup(owner->kind);
	resource->namespace = strdup(owner->namespace);
	if (asprintf(&resource->name, "%s[%zu]", owner->name, index) < 0)
		resource->name = NULL;
}

static void read_endpoints(const struct builder *builder, const struct node *spec,
			   const struct path *parent, struct service_manifest *manifest)
{
	struct path path = path_field(parent, "endpoints");
	struct node *list =
		reader_child(&builder->reader, spec, parent, "endpoints", NODE_SEQUENCE);

	if (!list)
		return;
	manifest->endpoints = calloc(list->count + 1, sizeof(*manifest->endpoints));
	if (!manifest->endpoints) {
		reader_error(&builder->reader, list, &path, "out of memory");
		return;
	}
	for (size_t i = 0; i < list->count; i++) {
		struct path item = path_item(&path, i);
		struct workload_manifest *endpoint = &manifest->endpoints[i];

		manifest->endpoint_count++;
		endpoint->kind = WORKLOAD_INLINE;
		name_endpoint(endpoint, &manifest->resource, i);
		if (!endpoint->resource.name || !endpoint->resource.namespace) {
			reader_error(&builder->reader, list, &item, "out of memory");
			return;
		}
		struct builder own = {builder->reader, &endpoint->arena, builder->file};
		workload_read_endpoint(&own, list->items[i], &item, endpoint);
	}
}

static void read_workload_selector(const struct builder *builder, const struct node *spec,
				   const struct path *parent, struct service_manifest *manifest)
{
	static const struct field_rule fields[] = {{"labels", FIELD_READ}};
	struct path path = path_field(parent, "workloadSelector");
	struct node *node =
		reader_child(&builder->reader, spec, parent, "workloadSelector", NODE_MAPPING);

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	builder_labels(builder, node, &path, "labels", &manifest->selector);
	manifest->has_selector = true;
	if (manifest->endpoint_count)
		reader_error(&builder->reader, node, &path,
			     "endpoints and workloadSelector cannot both stand here");
}

/* Whether the endpoints stand there with IP addresses. */
static bool has_addresses(const struct node *spec)
{
	const struct node *list = node_get(spec, "endpoints");
	uint8_t address[16];

	if (!list || list->kind != NODE_SEQUENCE || list->count == 0)
		return false;
	for (size_t i = 0; i < list->count; i++) {
		const struct node *text = node_get(list->items[i], "address");

		if (!text || text->kind != NODE_SCALAR || address_parse(text->text.data, address))
			return false;
	}
	return true;
}

static bool has_wildcard(const struct service_manifest *manifest)
{
	for (size_t i = 0; i < manifest->host_count; i++) {
		if (strchr(manifest->hosts[i], '*'))
			return true;
	}
	return false;
}

/* True: by its resolution or its hosts no request can go there, which is said. */
static bool is_left_out(const struct builder *builder, const struct node *spec,
			const struct path *parent, struct service_manifest *manifest)
{
	struct path resolution_path = path_field(parent, "resolution");
	struct path hosts_path = path_field(parent, "hosts");
	const struct node *node = node_get(spec, "resolution");
	const char *resolution = builder_text(builder, spec, parent, "resolution");

	if (!resolution || strcmp(resolution, "NONE") == 0) {
		leave_out(builder, node ? node : spec, &resolution_path,
			  "resolution NONE is not supported", manifest);
	} else if (strncmp(resolution, "DNS", 3) == 0 && !has_addresses(spec)) {
		leave_out(builder, node, &resolution_path,
			  "names that DNS must resolve are not supported", manifest);
	} else if (has_wildcard(manifest)) {
		leave_out(builder, node_get(spec, "hosts"), &hosts_path,
			  "wildcards are not supported in a ServiceEntry", manifest);
	}
	return manifest->left_out;
}

/* Of an entry that is not left out: a resolution stands there. */
static void check_resolution(const struct builder *builder, const struct node *spec,
			     const struct path *parent, const struct service_manifest *manifest)
{
	struct path path = path_field(parent, "resolution");
	const struct node *node = node_get(spec, "resolution");
	const char *resolution = builder_text(builder, spec, parent, "resolution");

	if (strncmp(resolution, "DNS", 3) == 0)
		return; /* their addresses are IP addresses: nothing is left to resolve */
	if (strcmp(resolution, "STATIC") != 0)
		reader_error(&builder->reader, node, &path,
			     "%s is not known: STATIC, DNS, DNS_ROUND_ROBIN and NONE are",
			     resolution);
	else if (!manifest->endpoint_count && !manifest->has_selector)
		reader_error(&builder->reader, node, &path,
			     "STATIC needs endpoints or a workloadSelector");
}

static void read_entry_spec(const struct builder *builder, const struct node *document,
			    struct service_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"hosts", FIELD_READ},
		{"addresses", FIELD_READ},
		{"ports", FIELD_READ},
		{"endpoints", FIELD_READ},
		{"workloadSelector", FIELD_READ},
		{"resolution", FIELD_READ},
		{"exportTo", FIELD_READ},
		{"location", FIELD_IGNORED}, /* decides about mutual TLS */
		{"subjectAltNames", FIELD_IGNORED},
	};
	struct path path = path_field(NULL, "spec");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	read_entry_hosts(builder, spec, &path, manifest);
	if (is_left_out(builder, spec, &path, manifest))
		return;
	read_addresses(builder, spec, &path, NULL, "addresses", manifest);
	builder_required_child(builder, spec, &path, "ports", NODE_SEQUENCE);
	read_ports(builder, spec, &path, manifest);
	read_endpoints(builder, spec, &path, manifest);
	read_workload_selector(builder, spec, &path, manifest);
	check_resolution(builder, spec, &path, manifest);
	builder_warn_of_export(builder, spec, &path);
}

static int read_either(const struct node *document, struct diagnostics *diagnostics, bool is_entry,
		       struct service_manifest *ret_manifest)
{
	struct service_manifest manifest = {.is_entry = is_entry};

	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	if (is_entry)
		read_entry_spec(&builder, document, &manifest);
	else
		read_service_spec(&builder, document, &manifest);
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}

int service_read(const struct node *document, struct diagnostics *diagnostics,
		 struct service_manifest *ret_manifest)
{
	return read_either(document, diagnostics, false, ret_manifest);
}

int service_entry_read(const struct node *document, struct diagnostics *diagnostics,
		       struct service_manifest *ret_manifest)
{
	return read_either(document, diagnostics, true, ret_manifest);
}

void service_free(struct service_manifest *manifest)
{
	for (size_t i = 0; i < manifest->endpoint_count; i++)
		workload_free(&manifest->endpoints[i]);
	free(manifest->endpoints);
	arena_free(&manifest->arena);
	resource_free(&manifest->resource);
	*manifest = (struct service_manifest){0};
}
