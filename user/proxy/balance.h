/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Which endpoint of a cluster a request goes to. */
#include "proxy/lease.h"

/*
 * The endpoint's index, or -1 if the cluster has none. Endpoints that are down are only taken if
 * all are. `attempt` counts from 0: each further one gets another endpoint, as long as there is
 * one.
 */
int balance_choose(struct worker *worker, struct lease *lease, const struct mesh_cluster *cluster,
		   uint64_t hash, unsigned attempt);
