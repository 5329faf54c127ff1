/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/balance.h"

#include "mesh/apply.h"
#include "proxy/health.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

/* A choice between the endpoints of one cluster. */
struct choice {
	struct worker *worker;
	struct lease *lease;
	const struct mesh_cluster *cluster;
	bool ignores_ejection; /* too few are healthy to leave any out */
};

static bool is_usable(const struct choice *choice, size_t endpoint)
{
	const struct backend *backend =
		lease_backend(choice->worker, choice->lease, choice->cluster, endpoint);

	return backend && !backend_is_down(choice->worker, backend) &&
	       (choice->ignores_ejection || !health_is_ejected(choice->worker, backend));
}

static bool too_few_are_healthy(const struct choice *choice)
{
	const struct mesh_cluster *cluster = choice->cluster;
	size_t healthy = 0;

	if (!cluster->policy.outlier_detection || !cluster->policy.minimum_health_percent)
		return false;
	for (size_t i = 0; i < cluster->endpoint_count; i++)
		healthy += is_usable(choice, i);
	return healthy * 100 <
	       (size_t)cluster->policy.minimum_health_percent * cluster->endpoint_count;
}

static bool all_are_left_out(const struct choice *choice)
{
	if (!choice->cluster->policy.outlier_detection || choice->ignores_ejection)
		return false;
	for (size_t i = 0; i < choice->cluster->endpoint_count; i++) {
		const struct backend *backend =
			lease_backend(choice->worker, choice->lease, choice->cluster, i);

		if (!backend || !health_is_ejected(choice->worker, backend))
			return false;
	}
	return true;
}

/* From `start` on, the first endpoint that is usable; `start` itself if none is. */
static size_t first_usable(const struct choice *choice, size_t start)
{
	for (size_t i = 0; i < choice->cluster->endpoint_count; i++) {
		size_t endpoint = (start + i) % choice->cluster->endpoint_count;

		if (is_usable(choice, endpoint))
			return endpoint;
	}
	return start;
}

bool balance_has_healthy(struct worker *worker, struct lease *lease,
			 const struct mesh_cluster *cluster)
{
	const struct choice choice = {worker, lease, cluster, false};

	return cluster->endpoint_count && is_usable(&choice, first_usable(&choice, 0));
}

/* The power of two choices: the one with fewer requests under way. */
static size_t choose_least_request(const struct choice *choice)
{
	uint64_t draw = random_take(&choice->worker->random);
	size_t count = choice->cluster->endpoint_count;
	size_t one = first_usable(choice, (draw >> 32) % count);
	size_t other = first_usable(choice, (draw & 0xffffffff) % count);
	const struct backend *a =
		lease_backend(choice->worker, choice->lease, choice->cluster, one);
	const struct backend *b =
		lease_backend(choice->worker, choice->lease, choice->cluster, other);

	return a && b && b->requests < a->requests ? other : one;
}

static size_t choose_by_hash(const struct choice *choice, uint64_t hash)
{
	uint64_t highest = 0;
	bool chosen_is_usable = false;
	size_t chosen = 0;

	for (size_t i = 0; i < choice->cluster->endpoint_count; i++) {
		uint64_t score = mesh_endpoint_score(&choice->cluster->endpoints[i], hash);
		bool usable = is_usable(choice, i);

		if (usable < chosen_is_usable || (usable == chosen_is_usable && score < highest))
			continue;
		highest = score;
		chosen = i;
		chosen_is_usable = usable;
	}
	return chosen;
}

int balance_choose(struct worker *worker, struct lease *lease, const struct mesh_cluster *cluster,
		   const uint64_t *hash)
{
	struct choice choice = {worker, lease, cluster, false};
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
					 random_take(&worker->random) % cluster->endpoint_count);
	return (int)first_usable(&choice,
				 lease->clusters[cluster->index].next++ % cluster->endpoint_count);
}
