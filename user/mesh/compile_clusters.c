/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/array.h"
#include "mesh/compiler.h"
#include "mesh/ring.h"

/* The port where this workload serves a service's port, or 0: it does not. */
static uint16_t endpoint_port(const struct service_port_manifest *port,
			      const struct workload_manifest *workload)
{
	uint16_t own = 0;

	if (workload->kind != WORKLOAD_POD && *port->name)
		own = workload_port(workload, port->name);
	if (own)
		return own;
	return port->target_port_name ? workload_port(workload, port->target_port_name)
				      : port->target_port;
}

static void fill_endpoints(struct compiler *compiler, struct mesh_cluster *cluster,
			   const struct mesh_host *host, const struct subset_manifest *subset,
			   const struct service_port_manifest *port)
{
	struct mesh_endpoint *endpoints =
		compile_array(compiler, host->workload_count, sizeof(*endpoints));

	for (size_t i = 0; endpoints && i < host->workload_count; i++) {
		const struct workload_manifest *workload = host->workloads[i];
		struct mesh_endpoint *endpoint = &endpoints[cluster->endpoint_count];

		if (subset && !labels_select(&subset->labels, &workload->resource.labels))
			continue;
		endpoint->port = endpoint_port(port, workload);
		if (!endpoint->port)
			continue;
		memcpy(endpoint->address, workload->address, sizeof(endpoint->address));
		endpoint->labels = &workload->resource.labels;
		endpoint->workload = workload->resource.name;
		cluster->endpoint_count++;
	}
	cluster->endpoints = endpoints;
}

static const struct port_settings_manifest *
find_port_settings(const struct traffic_policy_manifest *policy, uint16_t port)
{
	for (size_t i = 0; i < policy->port_count; i++) {
		if (policy->ports[i].port == port)
			return &policy->ports[i];
	}
	return NULL;
}

/* A level's settings for this port; none of its others are added to those. */
static struct traffic_settings_manifest level_settings(const struct traffic_policy_manifest *policy,
						       uint16_t port)
{
	const struct port_settings_manifest *for_port = find_port_settings(policy, port);

	return for_port ? for_port->settings : policy->settings;
}

/*
 * As Istio puts them together: a subset's settings replace the host's, each as a whole; but a
 * subset's settings for the port replace them all.
 */
static struct traffic_settings_manifest
choose_settings(const struct mesh_host *host, const struct subset_manifest *subset, uint16_t port)
{
	static const struct traffic_policy_manifest nothing;
	const struct traffic_policy_manifest *of_host = host->rules && host->rules->with_policy
								? &host->rules->with_policy->policy
								: &nothing;
	const struct traffic_policy_manifest *of_subset = subset ? &subset->policy : &nothing;
	const struct port_settings_manifest *for_port = find_port_settings(of_subset, port);
	struct traffic_settings_manifest settings = level_settings(of_host, port);

	if (for_port)
		return for_port->settings;

	if (of_subset->settings.balancing != BALANCING_NOT_SAID) {
		settings.balancing = of_subset->settings.balancing;
		settings.hash_name = of_subset->settings.hash_name;
		settings.cookie = of_subset->settings.cookie;
	}
	if (of_subset->settings.pool.present)
		settings.pool = of_subset->settings.pool;
	if (of_subset->settings.outlier.present)
		settings.outlier = of_subset->settings.outlier;
	return settings;
}

static void set_balancing(struct mesh_cluster_policy *policy,
			  const struct traffic_settings_manifest *settings)
{
	static const struct {
		enum mesh_balancing balancing;
		enum mesh_hash_source source;
	} meanings[] = {
		[BALANCING_NOT_SAID] = {MESH_BALANCE_ROUND_ROBIN},
		[BALANCING_ROUND_ROBIN] = {MESH_BALANCE_ROUND_ROBIN},
		[BALANCING_LEAST_REQUEST] = {MESH_BALANCE_LEAST_REQUEST},
		[BALANCING_RANDOM] = {MESH_BALANCE_RANDOM},
		[BALANCING_HASH_HEADER] = {MESH_BALANCE_HASH, MESH_HASH_HEADER},
		[BALANCING_HASH_COOKIE] = {MESH_BALANCE_HASH, MESH_HASH_COOKIE},
		[BALANCING_HASH_SOURCE_IP] = {MESH_BALANCE_HASH, MESH_HASH_SOURCE_IP},
		[BALANCING_HASH_QUERY_PARAMETER] = {MESH_BALANCE_HASH, MESH_HASH_QUERY_PARAMETER},
	};

	policy->balancing = meanings[settings->balancing].balancing;
	policy->hash_source = meanings[settings->balancing].source;
	policy->hash_name = span_of(settings->hash_name);
	policy->makes_cookie = settings->cookie.is_made;
	policy->cookie_ttl_s = (settings->cookie.ttl_ms + 999) / 1000;
	policy->cookie_path = span_of(settings->cookie.path);
}

static void set_policy(struct mesh_cluster_policy *policy,
		       const struct traffic_settings_manifest *settings)
{
	const struct connection_pool_manifest *pool = &settings->pool;
	const struct outlier_detection_manifest *outlier = &settings->outlier;

	set_balancing(policy, settings);
	policy->maximum_connections = pool->maximum_connections;
	policy->maximum_pending_requests = pool->maximum_pending_requests;
	policy->maximum_requests = pool->maximum_requests;
	policy->maximum_requests_per_connection = pool->maximum_requests_per_connection;
	policy->maximum_retries = pool->maximum_retries;
	policy->connect_timeout_ms = pool->connect_timeout_ms;
	policy->idle_timeout_ms = pool->idle_timeout_ms;
	policy->outlier_detection = outlier->present;
	policy->consecutive_5xx = outlier->consecutive_5xx;
	policy->consecutive_gateway_errors = outlier->consecutive_gateway_errors;
	policy->outlier_interval_ms = outlier->interval_ms;
	policy->base_ejection_ms = outlier->base_ejection_ms;
	policy->maximum_ejection_percent = outlier->maximum_ejection_percent;
	policy->minimum_health_percent = outlier->minimum_health_percent;
}

static struct mesh_cluster *add_cluster(struct compiler *compiler)
{
	struct mesh *mesh = compiler->mesh;
	struct mesh_cluster *cluster = compile_array(compiler, 1, sizeof(*cluster));
	struct mesh_cluster **slot =
		cluster ? ARRAY_APPEND(mesh->clusters, mesh->cluster_count) : NULL;

	if (!slot) {
		compiler->out_of_memory = true;
		return NULL;
	}
	*slot = cluster;
	cluster->index = mesh->cluster_count - 1;
	return cluster;
}

static void set_fallback(struct compiler *compiler, struct mesh_cluster *cluster,
			 const struct mesh_host *host, const struct found_subset *subset)
{
	const char *name = subset->rule->fallback_subset;

	if (!name || strcmp(name, subset->subset->name) == 0)
		return;
	const struct found_subset *fallback = compile_find_subset(compiler, host, name);
	if (fallback)
		cluster->fallback = compile_cluster(compiler, host, fallback, cluster->port);
}

static struct mesh_cluster *new_cluster(struct compiler *compiler, const struct mesh_host *host,
					const struct found_subset *subset, uint16_t port)
{
	struct mesh_cluster *cluster = add_cluster(compiler);
	const struct host_port *host_port = compile_host_port(host, port);

	if (!cluster)
		return NULL;
	cluster->host = host->name;
	cluster->subset = subset ? subset->subset->name : NULL;
	cluster->port = port;
	const struct traffic_settings_manifest settings =
		choose_settings(host, subset ? subset->subset : NULL, port);
	set_policy(&cluster->policy, &settings);
	if (host_port)
		fill_endpoints(compiler, cluster, host, subset ? subset->subset : NULL,
			       host_port->manifest);
	if (cluster->policy.balancing == MESH_BALANCE_HASH && cluster->endpoint_count > 1) {
		cluster->ring = mesh_ring_new(&compiler->mesh->arena, cluster->endpoints,
					      cluster->endpoint_count);
		if (!cluster->ring)
			compiler->out_of_memory = true;
	}
	return cluster;
}

const struct mesh_cluster *compile_cluster(struct compiler *compiler, const struct mesh_host *host,
					   const struct found_subset *subset, uint16_t port)
{
	struct buffer key = {0};

	buffer_printf(&key, "%s|%u|%s", host->name, port, subset ? subset->subset->name : "");
	if (key.failed) {
		compiler->out_of_memory = true;
		return NULL;
	}
	struct mesh_cluster *cluster = name_table_get(&compiler->clusters, 0, buffer_span(&key));
	if (!cluster) {
		cluster = new_cluster(compiler, host, subset, port);
		if (cluster)
			compile_put(compiler, &compiler->clusters, 0, buffer_span(&key), cluster);
		if (cluster && subset)
			set_fallback(compiler, cluster, host, subset);
	}
	buffer_free(&key);
	return cluster;
}

const struct mesh_cluster *compile_missing_cluster(struct compiler *compiler,
						   const struct mesh_host *host, const char *subset,
						   const struct missing_destination *missing)
{
	const struct mesh_cluster wanted = {
		.host = host->name,
		.subset = subset,
		.port = missing->port,
		.missing = missing->what,
		.missing_status = missing->status ? missing->status : 503,
		.of_ports = missing->of_ports,
		.of_port_count = missing->count,
	};
	struct buffer key = {0};

	buffer_printf(&key, "%s|%u|%s|%s", wanted.host, wanted.port, subset ? subset : "",
		      wanted.missing);
	if (key.failed) {
		compiler->out_of_memory = true;
		return NULL;
	}
	struct mesh_cluster *cluster = name_table_get(&compiler->clusters, 0, buffer_span(&key));
	if (!cluster) {
		cluster = add_cluster(compiler);
		if (cluster) {
			size_t index = cluster->index;

			*cluster = wanted;
			cluster->index = index;
			compile_put(compiler, &compiler->clusters, 0, buffer_span(&key), cluster);
		}
	}
	buffer_free(&key);
	return cluster;
}
