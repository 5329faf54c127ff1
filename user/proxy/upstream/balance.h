/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Which endpoint of a cluster a request goes to. */
#include "proxy/upstream/lease.h"

/*
 * The endpoint's index, or -1: the cluster has none, or outlier detection leaves all of them out.
 * Endpoints that are down are taken if all are, since they may be back. `hash` is what MESH_BALANCE_HASH goes by, or NULL: any endpoint will do.
 */
int balance_choose(struct upstreams *upstreams, struct lease *lease,
		   const struct mesh_cluster *cluster, const uint64_t *hash);
/* True if some endpoint is neither down nor left out. */
bool balance_has_healthy(const struct lease *lease, const struct mesh_cluster *cluster);
