/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/series.h"

#include <limits.h>

#include "proxy/health.h"
#include "proxy/lease.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define LOOK_EVERY_MS 1000

const uint64_t series_bounds_ms[SERIES_BUCKETS] = {
	1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000,
};

void series_note_end(struct worker *worker, uint16_t series, enum series_end end,
		     uint64_t duration_ms)
{
	struct upstream_series *row = &worker->series[series];
	size_t bucket = 0;

	while (bucket < SERIES_BUCKETS && duration_ms > series_bounds_ms[bucket])
		bucket++;
	statistics_count(&row->requests[end]);
	statistics_count(&row->durations[bucket]);
	statistics_add(&row->duration_ms, duration_ms);
}

void series_note_failed_connect(struct worker *worker, uint16_t series)
{
	statistics_count(&worker->series[series].connects_failed);
}

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

void series_adopt(struct worker *worker, struct lease *previous)
{
	const struct mesh *mesh = worker->lease->configuration->mesh;

	for (size_t i = 1; i <= MESH_SERIES; i++) {
		if (!mesh_series_is_new(mesh, previous->configuration->mesh, i))
			continue;
		clear_row(&worker->series[i]);
		disown(previous, i);
		for (struct lease *lease = worker->old_leases; lease; lease = lease->next)
			disown(lease, i);
	}
}

/* Those that are no longer left out then; TIMER_NEVER: nobody is for a time. */
static uint64_t look_at_endpoints(struct worker *worker, const struct mesh_cluster *cluster,
				  struct upstream_series *row)
{
	const struct lease *lease = worker->lease;
	size_t first = lease->clusters[cluster->index].first_backend;
	uint64_t connections = 0, left_out = 0, changes_ms = TIMER_NEVER;

	for (size_t i = 0; i < cluster->endpoint_count; i++) {
		const struct backend *backend = lease->backends[first + i];

		if (!backend) /* nothing was sent to it yet */
			continue;
		connections += backend->connection_count;
		left_out += backend->failed_connects || health_is_ejected(worker, backend);
		if (health_is_ejected(worker, backend) && backend->ejected_until_ms < changes_ms)
			changes_ms = backend->ejected_until_ms;
	}
	set(&row->connections, connections);
	set(&row->endpoints_left_out, left_out);
	return changes_ms;
}

static uint64_t requests_of(const struct lease *lease, size_t series)
{
	const struct mesh_cluster *cluster =
		mesh_cluster_of_series(lease->configuration->mesh, series);
	const struct cluster_state *state = cluster ? &lease->clusters[cluster->index] : NULL;

	return state && state->series == series ? state->requests : 0;
}

static uint64_t look(struct worker *worker)
{
	uint64_t changes_ms = TIMER_NEVER;

	for (size_t i = 1; i <= MESH_SERIES; i++) {
		const struct mesh_cluster *cluster =
			mesh_cluster_of_series(worker->lease->configuration->mesh, i);

		if (!cluster)
			continue;
		uint64_t requests = requests_of(worker->lease, i);
		for (struct lease *lease = worker->old_leases; lease; lease = lease->next)
			requests += requests_of(lease, i);
		set(&worker->series[i].requests_active, requests);
		uint64_t change_ms = look_at_endpoints(worker, cluster, &worker->series[i]);
		if (change_ms < changes_ms)
			changes_ms = change_ms;
	}
	return changes_ms;
}

/*
 * A look is due a second after the latest one, or at once if that is longer ago; the round that the
 * look itself woke the worker for asks for no other.
 */
void series_look(struct worker *worker)
{
	uint64_t due_ms = worker->looked_ms + LOOK_EVERY_MS;

	if (due_ms < worker->look_due_ms)
		worker->look_due_ms = due_ms;
	if (worker->now_ms < worker->look_due_ms || !worker->lease)
		return;
	worker->looked_ms = worker->now_ms;
	worker->look_due_ms = look(worker);
}

int series_sleep(const struct worker *worker)
{
	if (worker->look_due_ms == TIMER_NEVER)
		return -1;
	uint64_t pause_ms =
		worker->look_due_ms > worker->now_ms ? worker->look_due_ms - worker->now_ms : 0;
	return pause_ms < INT_MAX ? (int)pause_ms : INT_MAX;
}

void series_sum(const struct worker *worker, struct upstream_series *sum)
{
	const size_t summed = offsetof(struct upstream_series, endpoints_left_out);

	for (size_t i = 0; i <= MESH_SERIES; i++) {
		const uint64_t *source = (const uint64_t *)&worker->series[i];
		uint64_t *target = (uint64_t *)&sum[i];
		uint64_t left_out =
			__atomic_load_n(&worker->series[i].endpoints_left_out, __ATOMIC_RELAXED);

		for (size_t j = 0; j < summed / sizeof(*source); j++)
			target[j] += __atomic_load_n(&source[j], __ATOMIC_RELAXED);
		if (left_out > sum[i].endpoints_left_out)
			sum[i].endpoints_left_out = left_out;
	}
}
