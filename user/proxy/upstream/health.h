/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Outlier detection: endpoints that answer with errors are left out for a while. Each worker judges
 * by what it has seen itself.
 */
#include "proxy/upstream/upstream.h"

struct lease;
struct mesh_cluster;

/* What an endpoint answered; a connection that failed counts as 503, a timeout as 504. */
void health_note_status(struct worker *worker, struct lease *lease,
			const struct mesh_cluster *cluster, struct backend *backend,
			unsigned status);
/* Left out now? */
bool health_is_ejected(const struct worker *worker, const struct backend *backend);
