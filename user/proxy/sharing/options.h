/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The proxy's limits and timeouts, as people set them. */
#include <stdbool.h>
#include <stddef.h>
#include "base/keyed_hash.h"
#include "http/path.h"

struct causes;
struct interception;

/* What the access log shows of user ids. */
enum access_log_user_ids {
	ACCESS_LOG_USER_IDS_HASHED,
	ACCESS_LOG_USER_IDS_RAW,
	ACCESS_LOG_USER_IDS_NONE,
};

/* Of a worker's receive buffer, so large that bodies of 64 KiB go in one piece: heads are smaller. */
#define PROXY_RECEIVE_BYTES (256 * 1024)

#define PROXY_OPTION_ANY (SIZE_MAX / 2) /* any number */

struct proxy_options {
	const struct causes *causes;	   /* of calls on hops; or NULL. Outlives the proxy */
	struct interception *interception; /* of pods' calls; or NULL. Outlives the proxy */
	/* Whose pods' calls are intercepted; none named: of all namespaces. */
	const char *const *intercepted_namespaces;
	size_t intercepted_namespace_count;
	unsigned workers; /* 0: one per CPU that the process may use */
	/* Below: 0 takes the default (proxy_options_fill). */
	size_t maximum_head_bytes;
	size_t maximum_fields;
	size_t maximum_target_bytes;
	bool allow_bare_lf;
	enum http_path_normalization path_normalization;
	bool refuse_foreign_hosts;   /* at a Service's address: those that no resource has */
	unsigned header_timeout_ms;  /* from a head's first byte to its last */
	unsigned body_timeout_ms;    /* between two pieces of a body from or to a client */
	unsigned idle_timeout_ms;    /* between two requests of a connection */
	unsigned tunnel_timeout_ms;  /* without a byte in either direction */
	unsigned connect_timeout_ms; /* to one endpoint */
	unsigned upstream_response_timeout_ms; /* to the response's head, and between its pieces */
	unsigned upstream_idle_timeout_ms;     /* of pooled connections */
	size_t detailed_lanes;	/* that the metrics tell all of; admin/lane_metrics.h */
	unsigned rules_kept_ms; /* after a reload, for users with requests under way */
	size_t maximum_connections;
	size_t maximum_waiting_bytes; /* of all workers, in user space */
	/* At gateways alone where it is the default, PROXY_OPTION_ANY: as many as it likes. */
	size_t maximum_connections_per_client;
	size_t maximum_requests_per_connection; /* 0: as many as it likes */
	const char *access_log;			/* a file, "-": standard output, NULL: none */
	bool access_log_is_common;		/* Common Log Format; else JSON */
	enum access_log_user_ids access_log_user_ids;
	struct keyed_hash_key access_log_key; /* of the hashes of user ids */
};

/*
 * Sets one from "name=value", such as "header-timeout=10000" (milliseconds) or "head-bytes=16384".
 * 0, or -1 if there is no such name or the value is out of its bounds (proxy_options_describe).
 */
int proxy_options_set(struct proxy_options *options, const char *assignment);

/* Puts defaults in place of zeroes, and takes bounds into account that lie in the proxy itself. */
void proxy_options_fill(struct proxy_options *options);

/* The index-th name, what it means, default and bounds; false behind the last. */
struct proxy_option_description {
	const char *name;
	const char *meaning;
	size_t standard; /* 0: no limit, or `computed` */
	const char
		*computed; /* a default that depends on the machine or on others, in words; NULL */
	size_t minimum, maximum;
};
bool proxy_options_describe(size_t index, struct proxy_option_description *ret_description);
