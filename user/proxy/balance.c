/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/balance.h"

#include "proxy/upstream.h"
#include "proxy/worker.h"

static bool is_down(struct worker *worker, struct lease *lease, const struct mesh_cluster *cluster,
		    size_t endpoint)
{
	const struct backend *backend = lease_backend(worker, lease, cluster, endpoint);

	return !backend || backend_is_down(worker, backend);
}

/* From `start` on, the first endpoint that is not down; `start` itself if all are. */
static size_t first_up(struct worker *worker, struct lease *lease,
		       const struct mesh_cluster *cluster, size_t start)
{
	for (size_t i = 0; i < cluster->endpoint_count; i++) {
		size_t endpoint = (start + i) % cluster->endpoint_count;

		if (!is_down(worker, lease, cluster, endpoint))
			return endpoint;
	}
	return start;
}

/* Power of two choices: the one with fewer requests under way. */
static size_t choose_least_request(struct worker *worker, struct lease *lease,
				   const struct mesh_cluster *cluster)
{
	uint64_t draw = random_next(&worker->random_state);
	size_t one = first_up(worker, lease, cluster, (draw >> 32) % cluster->endpoint_count);
	size_t other =
		first_up(worker, lease, cluster, (draw & 0xffffffff) % cluster->endpoint_count);
	const struct backend *a = lease_backend(worker, lease, cluster, one);
	const struct backend *b = lease_backend(worker, lease, cluster, other);

	return a && b && b->requests < a->requests ? other : one;
}

static uint64_t mix(uint64_t hash)
{
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return hash ^ hash >> 33;
}

/*
 * Rendezvous hashing: the endpoint whose address draws the highest with this hash. An endpoint that
 * comes or goes moves only its own share.
 */
static size_t choose_by_hash(struct worker *worker, struct lease *lease,
			     const struct mesh_cluster *cluster, uint64_t hash)
{
	uint64_t highest = 0;
	size_t chosen = 0;
	bool chosen_is_up = false;

	for (size_t i = 0; i < cluster->endpoint_count; i++) {
		const struct mesh_endpoint *endpoint = &cluster->endpoints[i];
		bool is_up = !is_down(worker, lease, cluster, i);
		uint64_t halves[2];

		memcpy(halves, endpoint->address, sizeof(halves));
		uint64_t draw = mix(hash ^ mix(halves[0] ^ mix(halves[1] ^ endpoint->port)));
		if ((is_up && !chosen_is_up) || (is_up == chosen_is_up && draw >= highest)) {
			highest = draw;
			chosen = i;
			chosen_is_up = is_up;
		}
	}
	return chosen;
}

int balance_choose(struct worker *worker, struct lease *lease, const struct mesh_cluster *cluster,
		   uint64_t hash, unsigned attempt)
{
	size_t count = cluster->endpoint_count;
	size_t start;

	if (count == 0)
		return -1;
	if (count == 1)
		return 0;
	switch (cluster->policy.balancing) {
	case MESH_BALANCE_RANDOM:
		start = random_next(&worker->random_state) % count;
		break;
	case MESH_BALANCE_LEAST_REQUEST:
		start = choose_least_request(worker, lease, cluster);
		break;
	case MESH_BALANCE_HASH:
		start = (choose_by_hash(worker, lease, cluster, hash) + attempt) % count;
		break;
	default:
		start = lease->clusters[cluster->index].next++ % count;
		break;
	}
	return (int)first_up(worker, lease, cluster, start);
}
