/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>

#include "mesh/compiler.h"

static bool is_same(const struct mesh_cluster *a, const struct mesh_cluster *b)
{
	if (a->port != b->port || !a->subset != !b->subset || strcmp(a->host, b->host) != 0)
		return false;
	return !a->subset || strcmp(a->subset, b->subset) == 0;
}

static size_t numbered_count(const struct mesh *mesh)
{
	return mesh->cluster_count < MESH_SERIES ? mesh->cluster_count : MESH_SERIES;
}

static void give(struct mesh *mesh, struct mesh_cluster *cluster, size_t series)
{
	cluster->series = (uint16_t)series;
	mesh->series[series] = cluster;
}

/* The clusters that routes lead to were compiled first: they come first here, too. */
void mesh_number_series(struct mesh *mesh)
{
	for (size_t i = 0; i < numbered_count(mesh); i++)
		give(mesh, mesh->clusters[i], i + 1);
	mesh->next_series = numbered_count(mesh) + 1;
}

static void keep(struct mesh *mesh, struct mesh_cluster *cluster, const struct mesh *previous)
{
	for (size_t i = 1; i <= MESH_SERIES; i++) {
		if (previous->series[i] && is_same(previous->series[i], cluster)) {
			give(mesh, cluster, i);
			return;
		}
	}
}

static bool is_free(const struct mesh *mesh, const struct mesh *previous, size_t series,
		    bool even_if_used_before)
{
	return !mesh->series[series] && (even_if_used_before || !previous->series[series]);
}

/* The longer nobody has had it, the better: what is still under way counts there. */
static void give_free(struct mesh *mesh, struct mesh_cluster *cluster, const struct mesh *previous)
{
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < MESH_SERIES; i++) {
			size_t series = (mesh->next_series - 1 + i) % MESH_SERIES + 1;

			if (!is_free(mesh, previous, series, round == 1))
				continue;
			give(mesh, cluster, series);
			mesh->next_series = series % MESH_SERIES + 1;
			return;
		}
	}
}

void mesh_assign_series(struct mesh *mesh, const struct mesh *previous)
{
	size_t count = numbered_count(mesh);

	memset(mesh->series, 0, sizeof(mesh->series));
	mesh->next_series = previous->next_series;
	for (size_t i = 0; i < count; i++) {
		mesh->clusters[i]->series = 0;
		keep(mesh, mesh->clusters[i], previous);
	}
	for (size_t i = 0; i < count; i++) {
		if (!mesh->clusters[i]->series)
			give_free(mesh, mesh->clusters[i], previous);
	}
}

const struct mesh_cluster *mesh_cluster_of_series(const struct mesh *mesh, size_t series)
{
	return mesh->series[series];
}

size_t mesh_clusters_without_series(const struct mesh *mesh)
{
	return mesh->cluster_count - numbered_count(mesh);
}

bool mesh_series_is_new(const struct mesh *mesh, const struct mesh *previous, size_t series)
{
	const struct mesh_cluster *now = mesh->series[series], *before = previous->series[series];

	return now && (!before || !is_same(now, before));
}
