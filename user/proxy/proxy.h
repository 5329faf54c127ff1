/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The proxy: listeners of the configuration's mesh, sessions, upstream pools, splicing. The only room
 * with sockets of users' traffic. One edge-triggered epoll loop per worker thread.
 */
#include "config/configuration.h"
#include "kernel/tagger.h"
#include "proxy/statistics.h"

struct proxy;

struct proxy_options {
	unsigned workers; /* 0: one per CPU that the process may use */
	/* limits; 0 takes the default of docs/configuration.md */
	size_t maximum_head_bytes;
	size_t maximum_fields;
	size_t maximum_target_bytes;
	unsigned header_timeout_ms;
	unsigned body_timeout_ms;
	unsigned idle_timeout_ms;
	unsigned connect_timeout_ms;
	size_t maximum_connections;
	size_t maximum_connections_per_client;
	size_t maximum_requests_per_connection;
};

/*
 * Opens the listeners and starts the workers. `tagger` may be NULL; it must outlive the proxy. 0 and
 * *ret_proxy, or a negative errno (logged).
 */
int proxy_start(const struct proxy_options *options, struct tagger *tagger,
		struct configuration *configuration, struct proxy **ret_proxy);

/*
 * Swaps the configuration without losing a request: requests under way end with the one they began
 * with, idle connections go on, new listeners open, listeners that are gone stop accepting. 0, or a
 * negative errno: then the old configuration stays in force.
 */
int proxy_apply(struct proxy *proxy, struct configuration *configuration);

/* Sums over all workers, while they run. */
void proxy_read_statistics(const struct proxy *proxy, struct proxy_statistics *ret_statistics);

/* Stops accepting, waits for requests under way up to `timeout_ms`, then closes. Frees the proxy. */
void proxy_stop(struct proxy *proxy, unsigned timeout_ms);
