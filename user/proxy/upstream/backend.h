/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A backend is an endpoint as a worker knows it: its connections and its health. It is found by
 * address and port, whatever the configuration.
 */
#include "mesh/cluster.h"
#include "proxy/loop/connection.h"
#include "proxy/loop/timer.h"

struct upstream;
struct backend_table;
struct upstreams;

struct backend {
	struct connection connection; /* no socket: only so that the timer finds the backend */
	struct timer timer;	      /* when `is_down` or `is_ejected` ends */
	struct backend *next;	      /* in the worker's table */
	uint64_t hash;
	uint8_t address[16];
	uint16_t port;
	bool is_down;	     /* as the leases' clusters count it */
	bool is_ejected;     /* the same of outlier detection */
	uint32_t references; /* leases' and connections' */
	struct upstream *idle;
	uint32_t idle_count;
	uint32_t connection_count;
	uint32_t requests;	   /* under way */
	uint32_t failed_connects;  /* in a row */
	uint64_t down_until_ms;	   /* tried only if no other is left */
	uint64_t ejected_until_ms; /* outlier detection (health.h) */
	uint32_t ejections;
	uint32_t errors_5xx; /* in a row */
	uint32_t errors_gateway;
};

void backend_table_free(struct backend_table *table);
/* Some backend that has idle connections, or NULL. */
struct backend *backend_find_idle(struct backend_table *table);

struct backend *backend_take(struct upstreams *upstreams, const uint8_t address[16], uint16_t port);
/* Only what the worker has already; else NULL. */
struct backend *backend_take_known(struct upstreams *upstreams, const uint8_t address[16],
				   uint16_t port);
void backend_drop(struct upstreams *upstreams, struct backend *backend);
bool backend_is_down(const struct upstreams *upstreams, const struct backend *backend);
