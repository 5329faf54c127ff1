/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The proxy: listeners of the configuration's mesh, sessions, upstream pools, splicing. The only
 * room with sockets of users' traffic. One edge-triggered epoll loop per worker thread.
 */
#include "config/configuration.h"
#include "kernel/tagger.h"
#include "proxy/clients.h"
#include "proxy/statistics.h"

struct worker;

struct proxy_options {
	unsigned workers; /* 0: one per CPU that the process may use */
	/* limits; 0 takes the default of docs/configuration.md */
	size_t maximum_head_bytes;
	size_t maximum_fields;
	size_t maximum_target_bytes;
	bool allow_bare_lf;
	unsigned header_timeout_ms;  /* from a head's first byte to its last */
	unsigned body_timeout_ms;    /* between two pieces of a body from or to a client */
	unsigned idle_timeout_ms;    /* between two requests of a connection */
	unsigned tunnel_timeout_ms;  /* without a byte in either direction */
	unsigned connect_timeout_ms; /* to one endpoint */
	unsigned upstream_response_timeout_ms; /* to the response's head, and between its pieces */
	unsigned upstream_idle_timeout_ms;     /* of pooled connections */
	size_t maximum_connections;
	size_t maximum_connections_per_client;	/* 0: as many as it likes */
	size_t maximum_requests_per_connection; /* 0: as many as it likes */
};

/* Private to the room. */
struct proxy {
	struct proxy_options options; /* without zeroes where these stand for defaults */
	struct http_limits request_limits;
	struct http_limits response_limits;
	struct tagger *tagger; /* or NULL */
	struct configuration *configuration;
	struct worker *workers;
	unsigned worker_count;
	_Atomic size_t connections;
	struct clients clients;
};

/*
 * Opens the listeners and starts the workers. `tagger` may be NULL; it must outlive the proxy. 0
 * and *ret_proxy, or a negative errno (logged).
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

/* Stops accepting, waits for requests under way up to `timeout_ms`, then closes. Frees the proxy.
 */
void proxy_stop(struct proxy *proxy, unsigned timeout_ms);

/*
 * Counts a new client connection against the limits. False: one is reached, refuse it. Any thread.
 * *ret_counted: the client has an entry, to be given back by proxy_connection_closed.
 */
bool proxy_connection_opened(struct proxy *proxy, const struct lanetag_connection *peers,
			     bool *ret_counted);
/* `peers`: of a client that has an entry, else NULL. */
void proxy_connection_closed(struct proxy *proxy, const struct lanetag_connection *peers);
