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
struct worker;

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

/*
 * Grows by linear hashing: each new backend splits one bucket, so none waits for all to move.
 * Segment n > 0 has as many buckets as all before it together. A zeroed struct is an empty table.
 */
#define BACKEND_FIRST_BUCKETS 64 /* a power of two */
#define BACKEND_SEGMENTS 26

struct backend_table {
	struct backend **segments[BACKEND_SEGMENTS];
	size_t bucket_count; /* in use */
	size_t count;
	size_t search_start; /* the bucket where the latest search for idle connections ended */
};

void backend_table_free(struct backend_table *table);
/* Some backend that has idle connections, or NULL. */
struct backend *backend_find_idle(struct backend_table *table);

struct backend *backend_take(struct worker *worker, const uint8_t address[16], uint16_t port);
/* Only what the worker has already; else NULL. */
struct backend *backend_take_known(struct worker *worker, const uint8_t address[16], uint16_t port);
void backend_drop(struct worker *worker, struct backend *backend);
bool backend_is_down(const struct worker *worker, const struct backend *backend);
/* After a connection attempt: passive health. */
void backend_note_connect(struct worker *worker, struct backend *backend, bool succeeded);
/* `down_until_ms` or `ejected_until_ms` is another one, or over: the leases count anew. */
void backend_health_changed(struct worker *worker, struct backend *backend);
