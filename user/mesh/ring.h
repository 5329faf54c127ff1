/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Consistent hashing whose cost does not depend on how many endpoints there are. Each endpoint has
 * points on a ring, each with a delay that grows from point to point; a hash goes to the point that
 * is reached first from it, delay and way added. What no hash can go to is left out, so few
 * endpoints have many points each and many have few. Several probes per hash, of which the quickest
 * decides, even out the shares (as in multi-probe consistent hashing, arXiv:1505.00062).
 *
 * When an endpoint goes, only what it had moves; when one comes, only what it gets. Shares differ by
 * about 1 % among three endpoints and by 8 % among 5,000 (standard deviation). Immutable; the same
 * endpoints give the same ring in every process.
 */
#include "mesh/cluster.h"

struct arena;

struct ring_point {
	uint32_t position;
	uint32_t delay;
	uint32_t endpoint; /* of the cluster */
};

struct mesh_ring {
	struct ring_point *points; /* by position */
	size_t count;
	uint32_t *starts; /* by the position's high bits: the first point not before them */
	unsigned shift;
};

/* NULL when memory is short; the arena owns it. */
const struct mesh_ring *mesh_ring_new(struct arena *arena, const struct mesh_endpoint *endpoints,
				      size_t count);

/* The endpoint may be used? */
typedef bool (*mesh_ring_usable)(const void *context, size_t endpoint);

/* The endpoint of a hash, whatever its health. */
size_t mesh_ring_choose(const struct mesh_ring *ring, uint64_t hash);
/*
 * The same endpoint if it is usable, else another one that is; the endpoint of before if none is.
 */
size_t mesh_ring_choose_usable(const struct mesh_ring *ring, uint64_t hash, mesh_ring_usable usable,
			       const void *context);
