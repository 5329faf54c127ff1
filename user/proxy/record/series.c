/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/record/series.h"

#include <limits.h>

#include "proxy/upstream/health.h"
#include "proxy/upstream/lease.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

#define LOOK_EVERY_MS 1000
/* Endpoints per turn of the worker's loop: some tens of microseconds. */
#define LOOK_AT_ONCE 512

const uint64_t series_bounds_ms[SERIES_BUCKETS] = {
	1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000,
};

void series_note_end(struct worker *worker, uint16_t series, enum series_end end,
		     uint64_t duration_ms)
{
	struct upstream_series *row = &worker->series[series];
	size_t bucket = 0;

	if (end == SERIES_NOT_COUNTED)
		return;
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

static void start_row(struct series_look *look)
{
	look->endpoint = 0;
	look->connections = 0;
	look->left_out = 0;
}

void series_adopt(struct worker *worker, struct lease *previous)
{
	const struct mesh *mesh = worker->lease->configuration->mesh;

	start_row(&worker->look); /* of other endpoints than those counted so far */
	for (size_t i = 1; i <= MESH_SERIES; i++) {
		if (!mesh_series_is_new(mesh, previous->configuration->mesh, i))
			continue;
		clear_row(&worker->series[i]);
		disown(previous, i);
		for (struct lease *lease = worker->old_leases; lease; lease = lease->next)
			disown(lease, i);
	}
}

/* Counts on in the cluster's endpoints; gives what is left of the budget. */
static size_t look_at_endpoints(struct worker *worker, const struct mesh_cluster *cluster,
				size_t budget)
{
	struct series_look *look = &worker->look;

	for (; look->endpoint < cluster->endpoint_count && budget; budget--) {
		const struct backend *backend =
			lease_known_backend(worker, worker->lease, cluster, look->endpoint++);

		if (!backend) /* nothing was sent to it yet */
			continue;
		look->connections += backend->connection_count;
		look->left_out += backend->failed_connects || health_is_ejected(worker, backend);
		if (health_is_ejected(worker, backend) &&
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

static uint64_t active_requests(const struct worker *worker, size_t series)
{
	uint64_t requests = requests_of(worker->lease, series);

	for (struct lease *lease = worker->old_leases; lease; lease = lease->next)
		requests += requests_of(lease, series);
	return requests;
}

/* Looks on; true: all were looked at, since `look` was started. */
static bool look_on(struct worker *worker)
{
	struct series_look *look = &worker->look;
	size_t budget = LOOK_AT_ONCE;

	for (; look->series <= MESH_SERIES; look->series++) {
		const struct mesh_cluster *cluster =
			mesh_cluster_of_series(worker->lease->configuration->mesh, look->series);
		struct upstream_series *row = &worker->series[look->series];

		if (!cluster)
			continue;
		budget = look_at_endpoints(worker, cluster, budget);
		if (look->endpoint < cluster->endpoint_count)
			return false;
		set(&row->requests_active, active_requests(worker, look->series));
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
void series_look(struct worker *worker)
{
	uint64_t due_ms = worker->looked_ms + LOOK_EVERY_MS;

	if (due_ms < worker->look_due_ms)
		worker->look_due_ms = due_ms;
	if (worker->now_ms < worker->look_due_ms || !worker->lease)
		return;
	if (!worker->look.series)
		worker->look = (struct series_look){.series = 1, .changes_ms = TIMER_NEVER};
	if (!look_on(worker))
		return;
	worker->look.series = 0;
	worker->looked_ms = worker->now_ms;
	worker->look_due_ms = worker->look.changes_ms;
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
