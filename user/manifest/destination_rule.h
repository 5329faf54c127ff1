/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* DestinationRule (networking.istio.io): the subsets of a host and how its endpoints are used. */
#include "base/arena.h"
#include "manifest/resource.h"

enum balancing_manifest {
	BALANCING_NOT_SAID,
	BALANCING_ROUND_ROBIN,
	BALANCING_LEAST_REQUEST,
	BALANCING_RANDOM,
	BALANCING_HASH_HEADER,
	BALANCING_HASH_COOKIE,
	BALANCING_HASH_SOURCE_IP,
	BALANCING_HASH_QUERY_PARAMETER,
};

struct connection_pool_manifest {
	bool present;
	/* 0: not said */
	uint32_t maximum_connections;
	uint32_t maximum_pending_requests;
	uint32_t maximum_requests;
	uint32_t maximum_requests_per_connection;
	uint32_t maximum_retries;
	uint32_t connect_timeout_ms;
	uint32_t idle_timeout_ms;
};

struct outlier_detection_manifest {
	bool present;
	uint32_t consecutive_5xx; /* 0: off */
	uint32_t consecutive_gateway_errors;
	uint32_t interval_ms;
	uint32_t base_ejection_ms;
	uint32_t maximum_ejection_percent;
	uint32_t minimum_health_percent;
};

/* The cookie that a client gets who has none (BALANCING_HASH_COOKIE). */
struct hash_cookie_manifest {
	bool is_made;	  /* a ttl was given */
	uint32_t ttl_ms;  /* 0: as long as the client's session */
	const char *path; /* or NULL */
};

struct traffic_settings_manifest {
	enum balancing_manifest balancing;
	const char *hash_name; /* of a header, cookie, query parameter */
	struct hash_cookie_manifest cookie;
	struct connection_pool_manifest pool;
	struct outlier_detection_manifest outlier;
};

struct port_settings_manifest {
	uint16_t port;
	struct traffic_settings_manifest settings;
};

struct traffic_policy_manifest {
	struct traffic_settings_manifest settings;
	const struct port_settings_manifest *ports;
	size_t port_count;
};

struct subset_manifest {
	struct source_place place;
	const char *name;
	struct labels labels;
	struct traffic_policy_manifest policy;
};

struct destination_rule_manifest {
	struct resource resource;
	struct arena arena;
	struct source_place host_place;
	const char *host; /* as written, lower case; NULL: it was wrong */
	bool has_policy;
	struct traffic_policy_manifest policy;
	const struct subset_manifest *subsets;
	size_t subset_count;
	const char *fallback_subset; /* annotation lanetag.io/fallback-subset, or NULL */
};

/* -1: not even its metadata could be read. */
int destination_rule_read(const struct node *document, struct diagnostics *diagnostics,
			  struct destination_rule_manifest *ret_manifest);
void destination_rule_free(struct destination_rule_manifest *manifest);
