/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * An exchange's place in its cluster (connectionPool's limits), and the connection that it carries
 * its request by.
 */
#include "proxy/exchange/exchange.h"

static inline struct cluster_state *place_cluster(struct exchange *exchange)
{
	return &exchange->lease->clusters[exchange->cluster->index];
}

/* A limit is split evenly between the workers, which share no counts. 0: there is none. */
bool place_limit_is_reached(const struct worker *worker, uint32_t count, uint32_t limit);
/* Whether the cluster has room for one more request. */
bool place_is_free(const struct worker *worker, struct exchange *exchange);
/* Into the cluster's queue for a place, and out of it. */
void place_wait(struct exchange *exchange, uint64_t deadline_ms);
void place_leave_queue(struct exchange *exchange);
/* Gives the connection back (keep: to the pool), and the place with it. */
void place_give_back(struct worker *worker, struct exchange *exchange, bool keep);
/* The same, and takes the exchange out of its cluster's queue and counts. */
void place_abandon(struct worker *worker, struct exchange *exchange);
