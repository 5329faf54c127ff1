/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/upstream/series_look.h"

#include <limits.h>

#include "proxy/upstream/health.h"
#include "proxy/upstream/lease.h"
#include "proxy/upstream/upstreams.h"

#define LOOK_EVERY_MS 1000
/* Endpoints per turn of the worker's loop: some tens of microseconds. */
#define LOOK_AT_ONCE 512

static void set(uint64_t *gauge, uint64_t value)
{
	__atomic_store_n(gauge, value, __ATOMIC_RELAXED);
}

static void clear_row(struct upstream_series *row)
{
	uint64_t *values = (uint64_t *)row;

	for (size_t i = 0; i < sizeof(*row) / sizeof(*values); i++)
		set(&values[i], 0);
}

/* From now on the requests that the lease's cluster of this row has under way count elsewhere. */
static void disown(struct lease *lease, size_t series)
{
	const struct mesh_cluster *cluster =
		mesh_cluster_of_series(lease->configuration->mesh, series);

	if (cluster)
		lease->clusters[cluster->index].series = 0;
}

static void start_row(struct series_look *look)
{
	look->endpoint = 0;
	look->connections = 0;
	look->left_out = 0;
}

void series_look_adopt(struct upstreams *upstreams, struct lease *previous)
{
	const struct mesh *mesh = upstreams->lease->configuration->mesh;

	start_row(&upstreams->look); /* of other endpoints than those counted so far */
	for (size_t i = 1; i <= MESH_SERIES; i++) {
		if (!mesh_series_is_new(mesh, previous->configuration->mesh, i))
			continue;
		clear_row(&upstreams->series[i]);
		disown(previous, i);
		for (struct lease *lease = upstreams->old_leases; lease; lease = lease->next)
			disown(lease, i);
	}
}

/* Counts on in the cluster's endpoints; gives what is left of the budget. */
static size_t look_at_endpoints(struct upstreams *upstreams, const struct mesh_cluster *cluster,
				size_t budget)
{
	struct series_look *look = &upstreams->look;

	for (; look->endpoint < cluster->endpoint_count && budget; budget--) {
		const struct backend *backend =
			lease_known_backend(upstreams, upstreams->lease, cluster, look->endpoint++);

		if (!backend) /* nothing was sent to it yet */
			continue;
		look->connections += backend->connection_count;
		look->left_out += backend->failed_connects || health_is_ejected(upstreams, backend);
		if (health_is_ejected(upstreams, backend) &&
		    backend->ejected_until_ms < look->changes_ms)
			look->changes_ms = backend->ejected_until_ms;
	}
	return budget;
}

static uint64_t requests_of(const struct lease *lease, size_t series)
{
	const struct mesh_cluster *cluster =
		mesh_cluster_of_series(lease->configuration->mesh, series);
	const struct cluster_state *state = cluster ? &lease->clusters[cluster->index] : NULL;

	return state && state->series == series ? state->requests : 0;
}

static uint64_t active_requests(const struct upstreams *upstreams, size_t series)
{
	uint64_t requests = requests_of(upstreams->lease, series);

	for (struct lease *lease = upstreams->old_leases; lease; lease = lease->next)
		requests += requests_of(lease, series);
	return requests;
}

/* Looks on; true: all were looked at, since `look` was started. */
static bool look_further(struct upstreams *upstreams)
{
	struct series_look *look = &upstreams->look;
	size_t budget = LOOK_AT_ONCE;

	for (; look->series <= MESH_SERIES; look->series++) {
		const struct mesh_cluster *cluster =
			mesh_cluster_of_series(upstreams->lease->configuration->mesh, look->series);
		struct upstream_series *row = &upstreams->series[look->series];

		if (!cluster)
			continue;
		budget = look_at_endpoints(upstreams, cluster, budget);
		if (look->endpoint < cluster->endpoint_count)
			return false;
		set(&row->requests_active, active_requests(upstreams, look->series));
		set(&row->connections, look->connections);
		set(&row->endpoints_left_out, look->left_out);
		start_row(look);
	}
	return true;
}

/*
 * A look is due a second after the latest one, or at once if that is longer ago; the round that the
 * look itself woke the worker for asks for no other. It takes as many rounds as it needs.
 */
void series_look_on(struct upstreams *upstreams)
{
	uint64_t due_ms = upstreams->looked_ms + LOOK_EVERY_MS;

	if (due_ms < upstreams->look_due_ms)
		upstreams->look_due_ms = due_ms;
	if (upstreams->loop->now_ms < upstreams->look_due_ms || !upstreams->lease)
		return;
	if (!upstreams->look.series)
		upstreams->look = (struct series_look){.series = 1, .changes_ms = TIMER_NEVER};
	if (!look_further(upstreams))
		return;
	upstreams->look.series = 0;
	upstreams->looked_ms = upstreams->loop->now_ms;
	upstreams->look_due_ms = upstreams->look.changes_ms;
}

int series_look_sleep(const struct upstreams *upstreams)
{
	if (upstreams->look_due_ms == TIMER_NEVER)
		return -1;
	uint64_t pause_ms = upstreams->look_due_ms > upstreams->loop->now_ms
				    ? upstreams->look_due_ms - upstreams->loop->now_ms
				    : 0;
	return pause_ms < INT_MAX ? (int)pause_ms : INT_MAX;
}
