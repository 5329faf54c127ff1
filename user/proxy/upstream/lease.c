/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/upstream/lease.h"

#include <stdlib.h>
#include <unistd.h>

#include "proxy/upstream/backend.h"
#include "proxy/upstream/upstreams.h"

/* Endpoints per turn of the worker's loop: some tens of microseconds. */
#define MOVED_AT_ONCE 256

static int prepare(struct lease *lease)
{
	const struct mesh *mesh = lease->configuration->mesh;
	size_t clusters = mesh_cluster_count(mesh);

	lease->listener_count = mesh_listener_count(mesh);
	lease->clusters = calloc(clusters + 1, sizeof(*lease->clusters));
	lease->listener_fds = malloc((lease->listener_count + 1) * sizeof(*lease->listener_fds));
	lease->listeners = calloc(lease->listener_count + 1, sizeof(struct listener *));
	if (!lease->clusters || !lease->listener_fds || !lease->listeners)
		return -1;
	for (size_t i = 0; i < clusters; i++) {
		lease->clusters[i].first_backend = (uint32_t)lease->backend_count;
		lease->clusters[i].series = mesh_cluster(mesh, i)->series;
		lease->backend_count += mesh_cluster(mesh, i)->endpoint_count;
	}
	for (size_t i = 0; i < lease->listener_count; i++)
		lease->listener_fds[i] = -1;
	lease->backends = calloc(lease->backend_count + 1, sizeof(struct backend *));
	return lease->backends ? 0 : -1;
}

struct lease *lease_new(struct configuration *configuration)
{
	struct lease *lease = calloc(1, sizeof(*lease));

	if (!lease)
		return NULL;
	lease->configuration = configuration_take(configuration);
	if (prepare(lease)) {
		lease->listener_count = 0;
		lease_free(NULL, lease);
		return NULL;
	}
	return lease;
}

void lease_free(struct upstreams *upstreams, struct lease *lease)
{
	if (!lease)
		return;
	for (size_t i = 0; upstreams && lease->backends && i < lease->backend_count; i++) {
		if (lease->backends[i])
			backend_drop(upstreams, lease->backends[i]);
	}
	for (size_t i = 0; i < lease->listener_count; i++) {
		if (lease->listener_fds[i] >= 0)
			close(lease->listener_fds[i]);
	}
	for (size_t i = 0; i < lease->extra_count; i++) {
		if (lease->extra_sockets[i].fd >= 0)
			close(lease->extra_sockets[i].fd);
	}
	configuration_drop(lease->configuration);
	free(lease->extra_sockets);
	free(lease->backends);
	free(lease->clusters);
	free(lease->listener_fds);
	free(lease->listeners);
	free(lease);
}

static void count_health(struct cluster_state *state, bool is_down, bool is_ejected, int sign)
{
	state->down += (uint32_t)(sign * is_down);
	state->unusable += (uint32_t)(sign * (is_down || is_ejected));
	state->ejected += (uint32_t)(sign * is_ejected);
}

/* A backend's place in a lease, filled. */
static void fill(struct lease *lease, const struct mesh_cluster *cluster, size_t endpoint,
		 struct backend *backend)
{
	struct cluster_state *state = &lease->clusters[cluster->index];

	lease->backends[state->first_backend + endpoint] = backend;
	count_health(state, backend->is_down, backend->is_ejected, 1);
}

struct backend *lease_backend(struct upstreams *upstreams, struct lease *lease,
			      const struct mesh_cluster *cluster, size_t endpoint)
{
	struct backend *backend =
		lease->backends[lease->clusters[cluster->index].first_backend + endpoint];

	if (backend)
		return backend;
	backend = backend_take(upstreams, cluster->endpoints[endpoint].address,
			       cluster->endpoints[endpoint].port);
	if (backend)
		fill(lease, cluster, endpoint, backend);
	return backend;
}

struct backend *lease_known_backend(struct upstreams *upstreams, struct lease *lease,
				    const struct mesh_cluster *cluster, size_t endpoint)
{
	struct backend *backend =
		lease->backends[lease->clusters[cluster->index].first_backend + endpoint];

	if (backend)
		return backend;
	backend = backend_take_known(upstreams, cluster->endpoints[endpoint].address,
				     cluster->endpoints[endpoint].port);
	if (backend)
		fill(lease, cluster, endpoint, backend);
	return backend;
}

static void count_in_lease(struct lease *lease, const struct backend *backend, bool was_down,
			   bool was_ejected)
{
	struct mesh_place_cursor cursor = {0};

	while (mesh_next_place(lease->configuration->mesh, backend->address, backend->port,
			       &cursor)) {
		struct cluster_state *state = &lease->clusters[cursor.cluster];

		/* Else it counts once its place is filled. */
		if (lease->backends[state->first_backend + cursor.endpoint] != backend)
			continue;
		count_health(state, was_down, was_ejected, -1);
		count_health(state, backend->is_down, backend->is_ejected, 1);
	}
}

void lease_count_backend(struct upstreams *upstreams, const struct backend *backend, bool was_down,
			 bool was_ejected)
{
	if (upstreams->lease)
		count_in_lease(upstreams->lease, backend, was_down, was_ejected);
	for (struct lease *lease = upstreams->old_leases; lease; lease = lease->next)
		count_in_lease(lease, backend, was_down, was_ejected);
}

/* Takes known backends until the budget is used up; gives what is left of it. */
static size_t take_known(struct upstreams *upstreams, struct lease *lease, size_t budget)
{
	const struct mesh *mesh = lease->configuration->mesh;
	size_t count = mesh_cluster_count(mesh);

	for (; lease->moved_cluster < count && budget; budget--) {
		const struct mesh_cluster *cluster = mesh_cluster(mesh, lease->moved_cluster);

		if (lease->moved_endpoint < cluster->endpoint_count) {
			lease_known_backend(upstreams, lease, cluster, lease->moved_endpoint++);
			continue;
		}
		lease->moved_endpoint = 0;
		lease->moved_cluster++;
	}
	return budget;
}

/* Gives backends back, from the last one on. */
static size_t give_back(struct upstreams *upstreams, struct lease *lease, size_t budget)
{
	for (; lease->backend_count && budget; budget--) {
		struct backend *backend = lease->backends[--lease->backend_count];

		if (backend)
			backend_drop(upstreams, backend);
	}
	return budget;
}

bool lease_move_step(struct upstreams *upstreams)
{
	size_t budget = MOVED_AT_ONCE;

	if (upstreams->lease)
		budget = take_known(upstreams, upstreams->lease, budget);
	while (budget && upstreams->leaving_leases) {
		struct lease *lease = upstreams->leaving_leases;

		budget = give_back(upstreams, lease, budget);
		if (lease->backend_count)
			break;
		upstreams->leaving_leases = lease->next;
		lease_free(upstreams, lease);
	}
	return budget == 0;
}

void lease_leave(struct upstreams *upstreams, struct lease *lease)
{
	lease->next = upstreams->leaving_leases;
	upstreams->leaving_leases = lease;
	upstreams->leases_move = true;
}

struct lease *lease_take(struct lease *lease)
{
	lease->requests++;
	return lease;
}

void lease_drop(struct upstreams *upstreams, struct lease *lease)
{
	if (--lease->requests > 0 || lease->is_current)
		return;
	for (struct lease **link = &upstreams->old_leases; *link; link = &(*link)->next) {
		if (*link == lease) {
			*link = lease->next;
			break;
		}
	}
	lease_leave(upstreams, lease);
}
