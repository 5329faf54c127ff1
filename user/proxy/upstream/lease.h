/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A worker's hold on one configuration: one reference of the shared count, and a plain count of the
 * worker's requests under way. New requests take the newest lease; one that was replaced goes when
 * its last request ends. Beside it stands what the worker knows of the configuration's clusters.
 */
#include "config/configuration.h"
#include "proxy/handover/takeover.h"

struct backend;
struct exchange;
struct listener;
struct upstreams;

struct cluster_state {
	uint32_t first_backend; /* index into lease->backends */
	/* Of the endpoints in lease->backends; counted when one changes, not for each request. */
	uint32_t down;
	uint32_t ejected;  /* left out by outlier detection */
	uint32_t unusable; /* the one or the other */
	uint32_t next;	   /* round robin */
	uint16_t series;   /* where its requests are counted; the cluster's, or 0 */
	/* Counted against connectionPool's limits. */
	uint32_t requests; /* under way */
	uint32_t retries;
	uint32_t pending_count;
	struct exchange *pending; /* wait for a place, in order */
	struct exchange **pending_end;
};

struct lease {
	struct configuration *configuration;
	size_t requests; /* under way */
	bool is_current;
	struct lease *next; /* among those posted to the worker, its old ones or its leaving ones */

	struct cluster_state *clusters; /* by mesh_cluster.index */
	struct backend **backends;	/* of all clusters' endpoints; NULL: not met yet */
	size_t backend_count;
	size_t moved_cluster, moved_endpoint; /* lease_move_step: all before were looked at */

	int *listener_fds; /* by mesh_listener.index: a new socket of this worker, or -1 */
	size_t listener_count;
	struct listener **listeners; /* the worker's, by mesh_listener.index; NULL: not open */
	/*
	 * Of no listener of the mesh, or taken over from another process beyond one per listener.
	 */
	struct proxy_socket *extra_sockets;
	size_t extra_count;
};

/* Takes a reference of the configuration. NULL when memory is short. No listener has a socket. */
struct lease *lease_new(struct configuration *configuration);
/* Closes sockets that no worker took. `upstreams` may be NULL if no worker ever used it. */
void lease_free(struct upstreams *upstreams, struct lease *lease);

/*
 * What moves from one lease to the next: who is down stays down across a reload. In steps of
 * bounded length, so that no request waits for thousands of endpoints: first the worker's current
 * lease takes what the worker knows of its endpoints, then the worker's leaving leases give theirs
 * back and go. False: nothing is left to do.
 */
bool lease_move_step(struct upstreams *upstreams);
/* The worker's state of an endpoint as far as there is one; else NULL. */
struct backend *lease_known_backend(struct upstreams *upstreams, struct lease *lease,
				    const struct mesh_cluster *cluster, size_t endpoint);
/* A backend's health has changed: the clusters of the worker's leases count it as it is now. */
void lease_count_backend(struct upstreams *upstreams, const struct backend *backend, bool was_down,
			 bool was_ejected);
/* The worker's state of an endpoint; NULL when memory is short. */
struct backend *lease_backend(struct upstreams *upstreams, struct lease *lease,
			      const struct mesh_cluster *cluster, size_t endpoint);

/* No longer used: lease_move_step frees it. */
void lease_leave(struct upstreams *upstreams, struct lease *lease);

struct lease *lease_take(struct lease *lease);
void lease_drop(struct upstreams *upstreams, struct lease *lease);
