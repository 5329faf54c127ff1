/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/traffic_policy.h"

#include "base/array.h"
#include "http/values.h"

static void read_simple(const struct builder *builder, const struct node *node,
			const struct path *parent, struct traffic_settings_manifest *settings)
{
	static const struct {
		const char *name;
		enum balancing_manifest balancing;
	} names[] = {
		{"ROUND_ROBIN", BALANCING_ROUND_ROBIN},
		{"LEAST_REQUEST", BALANCING_LEAST_REQUEST},
		{"LEAST_CONN", BALANCING_LEAST_REQUEST}, /* its older name */
		{"RANDOM", BALANCING_RANDOM},
		{"UNSPECIFIED", BALANCING_NOT_SAID},
	};
	struct path path = path_field(parent, "simple");
	const char *simple = builder_text(builder, node, parent, "simple");

	if (!simple)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (strcmp(names[i].name, simple) == 0) {
			settings->balancing = names[i].balancing;
			return;
		}
	}
	reader_error(&builder->reader, node_get(node, "simple"), &path,
		     "\"%s\" is not supported: ROUND_ROBIN, LEAST_REQUEST and RANDOM are", simple);
}

/* What stands in a Set-Cookie field must not end it or an attribute of it (RFC 6265 4.1.1). */
static bool is_cookie_text(const char *text)
{
	return http_is_field_value(span_of(text)) && !strpbrk(text, ";,\" \t");
}

/* The cookie's name. */
static const char *read_cookie(const struct builder *builder, const struct node *node,
			       const struct path *parent, struct hash_cookie_manifest *ret_cookie)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_READ},
		{"path", FIELD_READ},
		{"ttl", FIELD_READ},
		{"attributes", FIELD_UNSUPPORTED},
	};
	struct path path = path_field(parent, "httpCookie");
	struct node *cookie =
		reader_child(&builder->reader, node, parent, "httpCookie", NODE_MAPPING);

	if (!cookie)
		return NULL;
	reader_check_fields(&builder->reader, cookie, &path, fields, ARRAY_LENGTH(fields));
	ret_cookie->is_made = !node_is_null(node_get(cookie, "ttl"));
	ret_cookie->ttl_ms = builder_duration_ms(builder, cookie, &path, "ttl");
	ret_cookie->path = builder_text(builder, cookie, &path, "path");
	if (ret_cookie->path && !is_cookie_text(ret_cookie->path))
		reader_error(&builder->reader, node_get(cookie, "path"), &path,
			     "\"%s\" is no path of a cookie", ret_cookie->path);
	const char *name = builder_required_text(builder, cookie, &path, "name");
	if (name && !http_is_token(span_of(name)))
		reader_error(&builder->reader, node_get(cookie, "name"), &path,
			     "\"%s\" is no name of a cookie", name);
	return name;
}

static void read_consistent_hash(const struct builder *builder, const struct node *node,
				 const struct path *parent,
				 struct traffic_settings_manifest *settings)
{
	static const struct field_rule fields[] = {
		{"httpHeaderName", FIELD_READ},	    {"httpCookie", FIELD_READ},
		{"useSourceIp", FIELD_READ},	    {"httpQueryParameterName", FIELD_READ},
		{"minimumRingSize", FIELD_IGNORED}, /* the ring's size follows from the endpoints */
		{"ringHash", FIELD_IGNORED},	    {"maglev", FIELD_IGNORED},
	};
	struct path path = path_field(parent, "consistentHash");
	struct node *hash =
		reader_child(&builder->reader, node, parent, "consistentHash", NODE_MAPPING);
	bool use_source_ip = false;
	int given = 0;

	if (!hash)
		return;
	reader_check_fields(&builder->reader, hash, &path, fields, ARRAY_LENGTH(fields));
	const char *header = builder_text(builder, hash, &path, "httpHeaderName");
	const char *parameter = builder_text(builder, hash, &path, "httpQueryParameterName");
	const char *cookie = read_cookie(builder, hash, &path, &settings->cookie);
	reader_bool(&builder->reader, hash, &path, "useSourceIp", &use_source_ip);
	if (use_source_ip && ++given)
		settings->balancing = BALANCING_HASH_SOURCE_IP;
	if (header && ++given)
		settings->balancing = BALANCING_HASH_HEADER;
	if (parameter && ++given)
		settings->balancing = BALANCING_HASH_QUERY_PARAMETER;
	if (cookie && ++given)
		settings->balancing = BALANCING_HASH_COOKIE;
	settings->hash_name = header ? header : parameter ? parameter : cookie;
	if (header && !http_is_token(span_of(header)))
		reader_error(&builder->reader, hash, &path, "\"%s\" is no header name", header);
	if (given != 1)
		reader_error(&builder->reader, hash, &path,
			     "needs exactly one of httpHeaderName, httpCookie, useSourceIp, "
			     "httpQueryParameterName");
}

/* Localities are not ours. */
static void check_locality(const struct builder *builder, const struct node *mapping,
			   const struct path *parent)
{
	struct path path = path_field(parent, "localityLbSetting");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "localityLbSetting", NODE_MAPPING);
	bool enabled = true;

	if (!node)
		return;
	reader_bool(&builder->reader, node, &path, "enabled", &enabled);
	if (enabled)
		reader_warning(&builder->reader, node, &path,
			       "not supported: requests go to endpoints of all localities alike");
}

static void read_load_balancer(const struct builder *builder, const struct node *mapping,
			       const struct path *parent,
			       struct traffic_settings_manifest *settings)
{
	static const struct field_rule fields[] = {
		{"simple", FIELD_READ},
		{"consistentHash", FIELD_READ},
		{"localityLbSetting", FIELD_READ},
		{"warmupDurationSecs", FIELD_LOST, "a new endpoint gets its whole share at once"},
		{"warmup", FIELD_LOST, "a new endpoint gets its whole share at once"},
	};
	struct path path = path_field(parent, "loadBalancer");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "loadBalancer", NODE_MAPPING);

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	if (!node_is_null(node_get(node, "simple")) &&
	    !node_is_null(node_get(node, "consistentHash")))
		reader_error(&builder->reader, node, &path,
			     "simple and consistentHash cannot both stand here");
	read_simple(builder, node, &path, settings);
	read_consistent_hash(builder, node, &path, settings);
	check_locality(builder, node, &path);
}

static void read_tcp_pool(const struct builder *builder, const struct node *node,
			  const struct path *path, struct connection_pool_manifest *pool)
{
	static const struct field_rule fields[] = {
		{"maxConnections", FIELD_READ},
		{"connectTimeout", FIELD_READ},
		{"tcpKeepalive", FIELD_IGNORED}, /* idle connections are closed long before */
		{"maxConnectionDuration", FIELD_LOST, "connections have no greatest age"},
		{"idleTimeout", FIELD_LOST, "http.idleTimeout is the one of HTTP"},
	};

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	pool->maximum_connections =
		builder_number(builder, node, path, "maxConnections", 0, INT32_MAX, 0);
	pool->connect_timeout_ms =
		builder_positive_duration_ms(builder, node, path, "connectTimeout");
}

static void read_http_pool(const struct builder *builder, const struct node *node,
			   const struct path *path, struct connection_pool_manifest *pool)
{
	static const struct field_rule fields[] = {
		{"http1MaxPendingRequests", FIELD_READ},
		{"http2MaxRequests", FIELD_READ},
		{"maxRequestsPerConnection", FIELD_READ},
		{"maxRetries", FIELD_READ},
		{"idleTimeout", FIELD_READ},
		{"h2UpgradePolicy", FIELD_READ},
		{"useClientProtocol", FIELD_IGNORED},	 /* it is HTTP/1.1 on both sides */
		{"maxConcurrentStreams", FIELD_IGNORED}, /* of HTTP/2 */
		{"http2KeepAlive", FIELD_IGNORED},
	};
	struct path upgrade_path = path_field(path, "h2UpgradePolicy");

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	pool->maximum_pending_requests =
		builder_number(builder, node, path, "http1MaxPendingRequests", 0, INT32_MAX, 0);
	pool->maximum_requests =
		builder_number(builder, node, path, "http2MaxRequests", 0, INT32_MAX, 0);
	pool->maximum_requests_per_connection =
		builder_number(builder, node, path, "maxRequestsPerConnection", 0, INT32_MAX, 0);
	pool->maximum_retries = builder_number(builder, node, path, "maxRetries", 0, INT32_MAX, 0);
	pool->idle_timeout_ms = builder_duration_ms(builder, node, path, "idleTimeout");
	const char *upgrade = builder_text(builder, node, path, "h2UpgradePolicy");
	if (upgrade && strcmp(upgrade, "DEFAULT") && strcmp(upgrade, "DO_NOT_UPGRADE"))
		reader_warning(&builder->reader, node, &upgrade_path,
			       "HTTP/2 is not supported: requests go on as HTTP/1.1");
}

static void read_connection_pool(const struct builder *builder, const struct node *mapping,
				 const struct path *parent, struct connection_pool_manifest *pool)
{
	static const struct field_rule fields[] = {{"tcp", FIELD_READ}, {"http", FIELD_READ}};
	struct path path = path_field(parent, "connectionPool");
	struct path tcp_path = path_field(&path, "tcp"), http_path = path_field(&path, "http");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "connectionPool", NODE_MAPPING);

	if (!node)
		return;
	pool->present = true;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	struct node *tcp = reader_child(&builder->reader, node, &path, "tcp", NODE_MAPPING);
	struct node *http = reader_child(&builder->reader, node, &path, "http", NODE_MAPPING);
	if (tcp)
		read_tcp_pool(builder, tcp, &tcp_path, pool);
	if (http)
		read_http_pool(builder, http, &http_path, pool);
}

static uint32_t duration_or(const struct builder *builder, const struct node *node,
			    const struct path *path, const char *field, uint32_t absent)
{
	uint32_t value = builder_positive_duration_ms(builder, node, path, field);

	return value ? value : absent;
}

/* The defaults are Istio's. */
static void read_outlier_detection(const struct builder *builder, const struct node *mapping,
				   const struct path *parent,
				   struct outlier_detection_manifest *outlier)
{
	static const struct field_rule fields[] = {
		{"consecutive5xxErrors", FIELD_READ},
		{"consecutiveGatewayErrors", FIELD_READ},
		{"consecutiveErrors", FIELD_READ}, /* the older name */
		{"interval", FIELD_READ},
		{"baseEjectionTime", FIELD_READ},
		{"maxEjectionPercent", FIELD_READ},
		{"minHealthPercent", FIELD_READ},
		{"splitExternalLocalOriginErrors", FIELD_READ},
		/* Counts only where they are split, which is an error. */
		{"consecutiveLocalOriginFailures", FIELD_IGNORED},
	};
	struct path path = path_field(parent, "outlierDetection");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "outlierDetection", NODE_MAPPING);
	bool split = false;

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	uint32_t older = builder_number(builder, node, &path, "consecutiveErrors", 0, INT32_MAX, 0);
	*outlier = (struct outlier_detection_manifest){
		.present = true,
		.consecutive_5xx = builder_number(builder, node, &path, "consecutive5xxErrors", 0,
						  INT32_MAX, 5),
		.consecutive_gateway_errors = builder_number(
			builder, node, &path, "consecutiveGatewayErrors", 0, INT32_MAX, older),
		.interval_ms = duration_or(builder, node, &path, "interval", 10000),
		.base_ejection_ms = duration_or(builder, node, &path, "baseEjectionTime", 30000),
		.maximum_ejection_percent =
			builder_number(builder, node, &path, "maxEjectionPercent", 0, 100, 10),
		.minimum_health_percent =
			builder_number(builder, node, &path, "minHealthPercent", 0, 100, 0),
	};
	reader_bool(&builder->reader, node, &path, "splitExternalLocalOriginErrors", &split);
	if (split)
		reader_warning(&builder->reader, node, &path,
			       "splitExternalLocalOriginErrors is not supported: a connection that "
			       "fails counts as an answer of 5xx does");
}

/* tls: endpoints that want it cannot be called. Those of Istio's own take plain HTTP, too. */
static void check_tls(const struct builder *builder, const struct node *mapping,
		      const struct path *parent)
{
	struct path path = path_field(parent, "tls");
	struct node *node = reader_child(&builder->reader, mapping, parent, "tls", NODE_MAPPING);
	const char *mode = node ? builder_text(builder, node, &path, "mode") : NULL;

	if (!mode || strcmp(mode, "DISABLE") == 0)
		return;
	if (strcmp(mode, "ISTIO_MUTUAL") == 0)
		reader_warning(
			&builder->reader, node, &path,
			"not supported: the endpoints are called by plain HTTP, without Istio's "
			"mutual TLS");
	else
		reader_error(&builder->reader, node, &path,
			     "TLS is not supported: only the modes DISABLE and ISTIO_MUTUAL are");
}

static void read_settings(const struct builder *builder, const struct node *node,
			  const struct path *path, struct traffic_settings_manifest *settings)
{
	read_load_balancer(builder, node, path, settings);
	read_connection_pool(builder, node, path, &settings->pool);
	read_outlier_detection(builder, node, path, &settings->outlier);
	check_tls(builder, node, path);
}

static void read_port_settings(const struct builder *builder, const struct node *node,
			       const struct path *path, struct port_settings_manifest *port)
{
	static const struct field_rule fields[] = {
		{"port", FIELD_READ},
		{"loadBalancer", FIELD_READ},
		{"connectionPool", FIELD_READ},
		{"outlierDetection", FIELD_READ},
		{"tls", FIELD_READ},
	};
	static const struct field_rule port_fields[] = {{"number", FIELD_READ}};
	struct path port_path = path_field(path, "port");

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	struct node *number = builder_required_child(builder, node, path, "port", NODE_MAPPING);
	if (number) {
		reader_check_fields(&builder->reader, number, &port_path, port_fields,
				    ARRAY_LENGTH(port_fields));
		port->port = (uint16_t)builder_number(builder, number, &port_path, "number", 1,
						      UINT16_MAX, 0);
	}
	read_settings(builder, node, path, &port->settings);
}

void traffic_policy_read(const struct builder *builder, const struct node *node,
			 const struct path *path, struct traffic_policy_manifest *policy)
{
	static const struct field_rule fields[] = {
		{"loadBalancer", FIELD_READ},
		{"connectionPool", FIELD_READ},
		{"outlierDetection", FIELD_READ},
		{"portLevelSettings", FIELD_READ},
		{"tls", FIELD_READ},
		{"tunnel", FIELD_UNSUPPORTED},
		{"proxyProtocol", FIELD_UNSUPPORTED},
		{"retryBudget", FIELD_LOST, "connectionPool.http.maxRetries bounds retries alone"},
	};
	struct path ports_path = path_field(path, "portLevelSettings");

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	read_settings(builder, node, path, &policy->settings);
	struct node *list =
		reader_child(&builder->reader, node, path, "portLevelSettings", NODE_SEQUENCE);
	if (!list)
		return;
	struct port_settings_manifest *ports =
		builder_array(builder, list, list->count, sizeof(*ports));
	for (size_t i = 0; ports && i < list->count; i++) {
		struct path item = path_item(&ports_path, i);
		read_port_settings(builder, list->items[i], &item, &ports[i]);
	}
	policy->ports = ports;
	policy->port_count = ports ? list->count : 0;
}
