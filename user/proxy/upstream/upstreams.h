/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A worker's side towards the endpoints: what it knows of each, the configurations that its
 * requests go by, and what it counts of their clusters.
 */
#include "base/random.h"
#include "proxy/loop/loop.h"
#include "proxy/record/series.h"
#include "proxy/record/statistics.h"

struct backend;
struct lease;

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

/* How far a look has come that takes several rounds of the worker's loop. */
struct series_look {
	size_t series; /* 0: none is under way */
	size_t endpoint;
	uint64_t connections, left_out; /* of the endpoints of this series before that one */
	uint64_t changes_ms;		/* when someone is no longer left out, or TIMER_NEVER */
};

struct upstreams {
	struct loop *loop;		     /* the worker's */
	struct proxy_statistics *statistics; /* likewise */
	struct random_numbers *random;	     /* likewise */
	unsigned idle_timeout_ms;	     /* of connections, where no policy says another */

	struct lease *lease; /* the current one */
	struct lease *old_leases;
	struct lease *leaving_leases; /* that are no longer used; lease_move_step */
	bool leases_move;	      /* lease_move_step has something to do */
	struct backend_table backends;

	struct upstream_series series[MESH_SERIES + 1];
	uint64_t looked_ms, look_due_ms; /* series_look.c */
	struct series_look look;
};
