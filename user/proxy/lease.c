/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/lease.h"

#include <stdlib.h>
#include <unistd.h>

#include "proxy/upstream.h"
#include "proxy/worker.h"

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

void lease_free(struct worker *worker, struct lease *lease)
{
	if (!lease)
		return;
	for (size_t i = 0; worker && lease->backends && i < lease->backend_count; i++) {
		if (lease->backends[i])
			backend_drop(worker, lease->backends[i]);
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

struct backend *lease_backend(struct worker *worker, struct lease *lease,
			      const struct mesh_cluster *cluster, size_t endpoint)
{
	struct backend **slot =
		&lease->backends[lease->clusters[cluster->index].first_backend + endpoint];

	if (!*slot)
		*slot = backend_take(worker, cluster->endpoints[endpoint].address,
				     cluster->endpoints[endpoint].port);
	return *slot;
}

void lease_take_known_backends(struct worker *worker, struct lease *lease)
{
	const struct mesh *mesh = lease->configuration->mesh;

	for (size_t i = 0; i < mesh_cluster_count(mesh); i++) {
		const struct mesh_cluster *cluster = mesh_cluster(mesh, i);
		struct backend **backends = &lease->backends[lease->clusters[i].first_backend];

		for (size_t j = 0; j < cluster->endpoint_count; j++)
			backends[j] = backend_take_known(worker, cluster->endpoints[j].address,
							 cluster->endpoints[j].port);
	}
}

struct lease *lease_take(struct lease *lease)
{
	lease->requests++;
	return lease;
}

void lease_drop(struct worker *worker, struct lease *lease)
{
	if (--lease->requests > 0 || lease->is_current)
		return;
	for (struct lease **link = &worker->old_leases; *link; link = &(*link)->next) {
		if (*link == lease) {
			*link = lease->next;
			break;
		}
	}
	lease_free(worker, lease);
}
