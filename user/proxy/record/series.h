/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * How the endpoints of each cluster do: a row of counters per series of the mesh
 * (mesh_cluster.series), written by its worker alone as those in statistics.h are. What can't be
 * counted up (who is left out now) a worker looks through (proxy/upstream/series_look.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mesh/cluster.h"

/* How a request that was given to an endpoint ended. */
enum series_end {
	SERIES_ABANDONED, /* by us: the client left */
	SERIES_1XX,	  /* a tunnel */
	SERIES_2XX,
	SERIES_3XX,
	SERIES_4XX,
	SERIES_5XX,
	SERIES_FAILED, /* no connection, no answer, none in time, or one that broke off */
	SERIES_ENDS,
	SERIES_NOT_COUNTED = SERIES_ENDS, /* what the client sent turned out to be no request */
};

#define SERIES_BUCKETS 11
/* Upper bounds in milliseconds; the last one is followed by all that took longer. */
extern const uint64_t series_bounds_ms[SERIES_BUCKETS];

struct upstream_series {
	uint64_t requests[SERIES_ENDS];
	uint64_t connects_failed;
	uint64_t durations[SERIES_BUCKETS + 1]; /* of requests, each by the first bound it keeps */
	uint64_t duration_ms;			/* the sum */
	/* gauges, as of the latest look; none in the row 0 */
	uint64_t requests_active;
	uint64_t connections;	     /* to endpoints of the cluster, idle ones included */
	uint64_t endpoints_left_out; /* ejected, or the last connect failed */
};

void series_note_end(struct upstream_series *rows, uint16_t series, enum series_end end,
		     uint64_t duration_ms);
void series_note_failed_connect(struct upstream_series *rows, uint16_t series);

/*
 * Adds a worker's rows, MESH_SERIES + 1 of them, to `sum`, while it runs. Of endpoints that are
 * left out the worker counts that leaves out most.
 */
void series_sum(const struct upstream_series *rows, struct upstream_series *sum);
