/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Passive health, and outlier detection: endpoints that can't be connected to are down for a while,
 * those that answer with errors are left out. Each worker judges by what it has seen itself.
 */
#include "proxy/upstream/backend.h"

struct lease;
struct mesh_cluster;
struct upstreams;

/* After a connection attempt. */
void health_note_connect(struct upstreams *upstreams, struct backend *backend, bool succeeded);
/* `down_until_ms` or `ejected_until_ms` is another one, or over: the leases count anew. */
void health_update(struct upstreams *upstreams, struct backend *backend);

/* What an endpoint answered; a connection that failed counts as 503, a timeout as 504. */
void health_note_status(struct upstreams *upstreams, struct lease *lease,
			const struct mesh_cluster *cluster, struct backend *backend,
			unsigned status);
/* Left out now? */
bool health_is_ejected(const struct upstreams *upstreams, const struct backend *backend);
