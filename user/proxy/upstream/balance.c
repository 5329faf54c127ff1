/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/upstream/balance.h"

#include "mesh/ring.h"
#include "proxy/upstream/health.h"
#include "proxy/upstream/upstreams.h"

/* Where the chosen endpoint is not usable: so many of the next ones are tried, then so many others. */
#define NEIGHBOURS 8
#define DRAWS 64

/* A choice between the endpoints of one cluster. */
struct choice {
	struct upstreams *upstreams;
	struct lease *lease;
	const struct mesh_cluster *cluster;
	bool ignores_ejection; /* too few are healthy to leave any out */
};

static bool is_usable(const struct choice *choice, size_t endpoint)
{
	const struct backend *backend =
		lease_backend(choice->upstreams, choice->lease, choice->cluster, endpoint);

	return backend && !backend_is_down(choice->upstreams, backend) &&
	       (choice->ignores_ejection || !health_is_ejected(choice->upstreams, backend));
}

static const struct cluster_state *state_of(const struct choice *choice)
{
	return &choice->lease->clusters[choice->cluster->index];
}

static size_t unusable_count(const struct choice *choice)
{
	const struct cluster_state *state = state_of(choice);

	return choice->ignores_ejection ? state->down : state->unusable;
}

static bool too_few_are_healthy(const struct choice *choice)
{
	const struct mesh_cluster *cluster = choice->cluster;
	size_t healthy = cluster->endpoint_count - state_of(choice)->unusable;

	if (!cluster->policy.outlier_detection || !cluster->policy.minimum_health_percent)
		return false;
	return healthy * 100 <
	       (size_t)cluster->policy.minimum_health_percent * cluster->endpoint_count;
}

static bool all_are_left_out(const struct choice *choice)
{
	return choice->cluster->policy.outlier_detection && !choice->ignores_ejection &&
	       state_of(choice)->ejected == choice->cluster->endpoint_count;
}

/* From `start` on, the first endpoint that is usable; `start` itself if none is. */
static size_t find_usable(const struct choice *choice, size_t start, size_t maximum)
{
	size_t count = choice->cluster->endpoint_count;

	for (size_t i = 0; i < maximum && i < count; i++) {
		size_t endpoint = (start + i) % count;

		if (is_usable(choice, endpoint))
			return endpoint;
	}
	return count;
}

/*
 * `start`, or a usable endpoint in its place: one of the next ones, else any. `start` itself if
 * none is usable.
 */
static size_t first_usable(const struct choice *choice, size_t start)
{
	size_t count = choice->cluster->endpoint_count;

	/* The counts follow a reload in steps: they may say too few, never too many. */
	if (is_usable(choice, start) || unusable_count(choice) >= count)
		return start;
	size_t found = find_usable(choice, start, NEIGHBOURS);
	/* Many neighbours fail together (a zone, a node): a draw finds others sooner. */
	for (size_t i = 0; found == count && i < DRAWS; i++)
		found = find_usable(choice, random_take(choice->upstreams->random) % count, 1);
	if (found == count)
		found = find_usable(choice, start, count);
	return found == count ? start : found;
}

bool balance_has_healthy(const struct lease *lease, const struct mesh_cluster *cluster)
{
	return lease->clusters[cluster->index].unusable < cluster->endpoint_count;
}

/* The power of two choices: the one with fewer requests under way. */
static size_t choose_least_request(const struct choice *choice)
{
	uint64_t draw = random_take(choice->upstreams->random);
	size_t count = choice->cluster->endpoint_count;
	size_t one = first_usable(choice, (draw >> 32) % count);
	size_t other = first_usable(choice, (draw & 0xffffffff) % count);
	const struct backend *a =
		lease_backend(choice->upstreams, choice->lease, choice->cluster, one);
	const struct backend *b =
		lease_backend(choice->upstreams, choice->lease, choice->cluster, other);

	return a && b && b->requests < a->requests ? other : one;
}

static bool ring_usable(const void *context, size_t endpoint)
{
	return is_usable(context, endpoint);
}

static size_t choose_by_hash(const struct choice *choice, uint64_t hash)
{
	if (unusable_count(choice) >= choice->cluster->endpoint_count)
		return mesh_ring_choose(choice->cluster->ring, hash);
	return mesh_ring_choose_usable(choice->cluster->ring, hash, ring_usable, choice);
}

int balance_choose(struct upstreams *upstreams, struct lease *lease,
		   const struct mesh_cluster *cluster, const uint64_t *hash)
{
	struct choice choice = {upstreams, lease, cluster, false};
	enum mesh_balancing balancing = cluster->policy.balancing;

	choice.ignores_ejection = too_few_are_healthy(&choice);
	if (cluster->endpoint_count == 0 || all_are_left_out(&choice))
		return -1;
	if (cluster->endpoint_count == 1)
		return 0;
	if (balancing == MESH_BALANCE_HASH && hash)
		return (int)choose_by_hash(&choice, *hash);
	if (balancing == MESH_BALANCE_LEAST_REQUEST)
		return (int)choose_least_request(&choice);
	if (balancing == MESH_BALANCE_RANDOM)
		return (int)first_usable(&choice,
					 random_take(upstreams->random) % cluster->endpoint_count);
	return (int)first_usable(&choice,
				 lease->clusters[cluster->index].next++ % cluster->endpoint_count);
}
