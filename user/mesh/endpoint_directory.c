/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/endpoint_directory.h"

#include <stdlib.h>
#include <string.h>

#include "mesh/model.h"

static size_t count_endpoints(struct mesh_cluster *const *clusters, size_t count)
{
	size_t endpoints = 0;

	for (size_t i = 0; i < count; i++)
		endpoints += clusters[i]->endpoint_count;
	return endpoints;
}

static void add(struct endpoint_directory *directory, uint32_t number, uint32_t cluster,
		uint32_t endpoint, const struct mesh_endpoint *what)
{
	uint32_t *bucket = &directory->buckets[mesh_endpoint_hash(what->address, what->port) &
					       directory->bucket_mask];

	directory->places[number] = (struct endpoint_place){cluster, endpoint, *bucket};
	*bucket = number + 1;
}

int endpoint_directory_build(struct endpoint_directory *directory,
			     struct mesh_cluster *const *clusters, size_t count)
{
	size_t endpoints = count_endpoints(clusters, count), buckets = 1;
	uint32_t number = 0;

	while (buckets < endpoints)
		buckets *= 2;
	directory->places = calloc(endpoints + 1, sizeof(*directory->places));
	directory->buckets = calloc(buckets, sizeof(*directory->buckets));
	if (!directory->places || !directory->buckets || endpoints >= UINT32_MAX)
		return -1;
	directory->bucket_mask = buckets - 1;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < clusters[i]->endpoint_count; j++)
			add(directory, number++, (uint32_t)i, (uint32_t)j,
			    &clusters[i]->endpoints[j]);
	}
	return 0;
}

void endpoint_directory_free(struct endpoint_directory *directory)
{
	free(directory->places);
	free(directory->buckets);
	*directory = (struct endpoint_directory){0};
}

bool mesh_next_place(const struct mesh *mesh, const uint8_t address[16], uint16_t port,
		     struct mesh_place_cursor *cursor)
{
	const struct endpoint_directory *directory = &mesh->endpoints;
	uint32_t number = cursor->next;

	if (!cursor->started)
		number = directory->buckets[mesh_endpoint_hash(address, port) &
					    directory->bucket_mask];
	cursor->started = true;
	while (number) {
		const struct endpoint_place *place = &directory->places[number - 1];
		const struct mesh_endpoint *endpoint =
			&mesh->clusters[place->cluster]->endpoints[place->endpoint];

		number = place->next;
		if (endpoint->port != port || memcmp(endpoint->address, address, 16) != 0)
			continue;
		cursor->next = number;
		cursor->cluster = place->cluster;
		cursor->endpoint = place->endpoint;
		return true;
	}
	return false;
}
