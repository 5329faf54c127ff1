/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The proxy: listeners of the configuration's mesh, sessions, upstream pools, splicing. The only
 * directory with sockets of users' traffic. One edge-triggered epoll loop per worker thread.
 */
#include "config/configuration.h"
#include "proxy/handover/takeover.h"
#include "proxy/record/series.h"
#include "proxy/sharing/shared.h"

struct heartbeat;
struct tagger;
struct thread;

/* Private to this directory. */
struct proxy {
	struct shared shared;
	struct configuration *configuration;
	struct thread *threads;	     /* shared.worker_count of them */
	struct heartbeat *heartbeat; /* with options.interception; else NULL */
};

/*
 * Opens the listeners and starts the workers. `tagger` may be NULL; it must outlive the proxy.
 * `sockets` are listening ones of an agent that ran before (none: an empty list): the proxy takes
 * those out of it (fd is then -1) that the configuration has a listener for; the caller frees the
 * list, which closes the others. 0 and *ret_proxy, or a negative errno (logged).
 */
int proxy_start(const struct proxy_options *options, struct tagger *tagger,
		struct configuration *configuration, struct proxy_sockets *sockets,
		struct proxy **ret_proxy);

/*
 * Duplicates of all listening sockets, for an agent that comes after (proxy_sockets_free). From
 * then on the proxy leaves what is queued to it when it stops. 0 or a negative errno.
 */
int proxy_share_sockets(struct proxy *proxy, struct proxy_sockets *ret_sockets);

/*
 * Swaps the configuration without losing a request: requests under way end with the one they began
 * with, idle connections go on, new listeners open, listeners that are gone stop accepting. 0, or a
 * negative errno: then the old configuration stays in force.
 */
int proxy_apply(struct proxy *proxy, struct configuration *configuration);

/*
 * Puts other programs of the kernel in place of those of the start, while requests run; either may
 * be NULL. What was there before may be freed once proxy_wait_for_workers says true.
 */
void proxy_set_kernel(struct proxy *proxy, struct tagger *tagger, const struct causes *causes);
/* Waits until each worker has gone round its loop; false: not within `timeout_ms`. */
bool proxy_wait_for_workers(struct proxy *proxy, unsigned timeout_ms);

/* The limit of this name, as it is in force. */
size_t proxy_detailed_lanes(const struct proxy *proxy);
/* Sums over all workers, while they run. */
void proxy_read_statistics(const struct proxy *proxy, struct proxy_statistics *ret_statistics);
/* The same per cluster: MESH_SERIES + 1 rows, zeroed by the caller. */
void proxy_read_series(const struct proxy *proxy, struct upstream_series *series);

/*
 * Stops accepting, waits for requests under way up to `timeout_ms`, then closes. Frees the proxy.
 */
void proxy_stop(struct proxy *proxy, unsigned timeout_ms);
