/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/ring.h"

#include <lanetag/hash.h>
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"

#define CIRCUMFERENCE 4294967296.0 /* positions are 32 bits */
/* Between the delays of an endpoint's points: the larger, the fewer points are within reach. */
#define DELAY_STEP 4096
#define PROBES 8
/* Of the usual way of a hash: points with a longer delay are nearly never within reach. */
#define DELAY_REACH 4.5
/* While usable endpoints are searched for: so many points are looked at per probe. */
#define WALK_MAXIMUM 64

/* The finaliser of SplitMix64. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static uint64_t endpoint_seed(const struct mesh_endpoint *endpoint)
{
	__u8 key[16 + 2];

	memcpy(key, endpoint->address, 16);
	key[16] = (__u8)(endpoint->port >> 8);
	key[17] = (__u8)endpoint->port;
	return lanetag_xxh64(key, sizeof(key), 0);
}

static struct ring_point make_point(uint64_t seed, size_t endpoint, uint32_t number)
{
	uint64_t random = mix(seed + number * UINT64_C(0x9e3779b97f4a7c15));

	return (struct ring_point){
		.position = (uint32_t)(random >> 32),
		.delay = number * DELAY_STEP + (uint32_t)random % DELAY_STEP,
		.endpoint = (uint32_t)endpoint,
	};
}

/* A ring while it is made: all points within some delay, also those that no hash can go to. */
struct draft {
	const struct mesh_endpoint *endpoints;
	size_t endpoint_count;
	uint32_t points_each;
	struct ring_point *points;
	size_t count;
	uint32_t *starts;
	unsigned shift;
};

/* Of two in one place the quicker one comes first, else the one with the lower address. */
static bool comes_before(const struct draft *draft, const struct ring_point *one,
			 const struct ring_point *other)
{
	if (one->position != other->position)
		return one->position < other->position;
	if (one->delay != other->delay)
		return one->delay < other->delay;
	const struct mesh_endpoint *a = &draft->endpoints[one->endpoint];
	const struct mesh_endpoint *b = &draft->endpoints[other->endpoint];
	int order = memcmp(a->address, b->address, sizeof(a->address));
	return order ? order < 0 : a->port < b->port;
}

/* From counts per bucket to where each bucket starts. */
static void sum_up(uint32_t *starts, size_t buckets)
{
	uint32_t start = 0;

	for (size_t i = 0; i <= buckets; i++) {
		uint32_t count = starts[i];

		starts[i] = start;
		start += count;
	}
}

static unsigned shift_for(size_t count)
{
	unsigned shift = 32;

	while (shift > 0 && (size_t)1 << (32 - shift) < count)
		shift--;
	return shift;
}

/* Buckets hold about one point each, so that sorting into them and within is linear. */
static void sort_points(struct draft *draft, size_t buckets)
{
	for (size_t i = 0; i < draft->endpoint_count; i++) {
		uint64_t seed = endpoint_seed(&draft->endpoints[i]);

		for (uint32_t j = 0; j < draft->points_each; j++)
			draft->starts[make_point(seed, i, j).position >> draft->shift]++;
	}
	sum_up(draft->starts, buckets);
	for (size_t i = 0; i < draft->endpoint_count; i++) {
		uint64_t seed = endpoint_seed(&draft->endpoints[i]);

		for (uint32_t j = 0; j < draft->points_each; j++) {
			struct ring_point point = make_point(seed, i, j);

			draft->points[draft->starts[point.position >> draft->shift]++] = point;
		}
	}
	for (size_t i = 1; i < draft->count; i++) {
		struct ring_point point = draft->points[i];
		size_t at = i;

		for (; at && comes_before(draft, &point, &draft->points[at - 1]); at--)
			draft->points[at] = draft->points[at - 1];
		draft->points[at] = point;
	}
}

static size_t find_quickest(const struct draft *draft)
{
	size_t quickest = 0;

	for (size_t i = 1; i < draft->count; i++) {
		if (draft->points[i].delay < draft->points[quickest].delay)
			quickest = i;
	}
	return quickest;
}

/*
 * Leaves the points that some hash can go to: those that are quicker than the next one behind them
 * and the way there. False: points with longer delays would be among them.
 */
static bool thin_out(struct draft *draft)
{
	size_t start = find_quickest(draft), kept = start;
	uint64_t slowest = 0;

	for (size_t i = 1; i <= draft->count; i++) {
		size_t at = (start + draft->count - i) % draft->count;
		struct ring_point *point = &draft->points[at], *next = &draft->points[kept];
		uint64_t reach =
			(uint64_t)next->delay + (i == draft->count && kept == at
							 ? UINT32_MAX
							 : next->position - point->position);

		if (at != start && point->delay >= reach) {
			point->endpoint = UINT32_MAX;
			continue;
		}
		slowest = reach > slowest ? reach : slowest;
		kept = at;
	}
	size_t count = 0;
	for (size_t i = 0; i < draft->count; i++) {
		if (draft->points[i].endpoint != UINT32_MAX)
			draft->points[count++] = draft->points[i];
	}
	draft->count = count;
	return slowest <= (uint64_t)draft->points_each * DELAY_STEP;
}

/* -1 when memory is short; 0: larger delays are needed. */
static int try_draft(struct draft *draft)
{
	int result = -1;

	draft->count = draft->endpoint_count * draft->points_each;
	draft->shift = shift_for(draft->count);
	size_t buckets = (size_t)1 << (32 - draft->shift);
	draft->points = malloc(draft->count * sizeof(*draft->points));
	draft->starts = calloc(buckets + 1, sizeof(*draft->starts));
	if (draft->points && draft->starts) {
		sort_points(draft, buckets);
		result = thin_out(draft);
	}
	free(draft->starts);
	if (result > 0)
		return result;
	free(draft->points);
	return result;
}

static const struct mesh_ring *keep(struct arena *arena, const struct draft *draft)
{
	struct mesh_ring *ring = arena_allocate(arena, sizeof(*ring));
	unsigned shift = shift_for(draft->count);
	size_t buckets = (size_t)1 << (32 - shift);

	if (!ring)
		return NULL;
	ring->shift = shift;
	ring->count = draft->count;
	ring->points = arena_allocate_array(arena, ring->count, sizeof(*ring->points));
	ring->starts = arena_allocate_array(arena, buckets + 1, sizeof(*ring->starts));
	if (!ring->points || !ring->starts)
		return NULL;
	memcpy(ring->points, draft->points, ring->count * sizeof(*ring->points));
	for (size_t i = 0; i < ring->count; i++)
		ring->starts[ring->points[i].position >> shift]++;
	sum_up(ring->starts, buckets);
	return ring;
}

const struct mesh_ring *mesh_ring_new(struct arena *arena, const struct mesh_endpoint *endpoints,
				      size_t count)
{
	/* So far a hash goes before it has met a point, as a rule. */
	double way = sqrt(2 * CIRCUMFERENCE * DELAY_STEP / (double)count);
	struct draft draft = {
		.endpoints = endpoints,
		.endpoint_count = count,
		.points_each = (uint32_t)(DELAY_REACH * way / DELAY_STEP) + 1,
	};
	int result = 0;

	while (!result && draft.points_each < UINT32_MAX / DELAY_STEP &&
	       count < UINT32_MAX / draft.points_each) {
		result = try_draft(&draft);
		draft.points_each *= result ? 1 : 2;
	}
	if (result <= 0)
		return NULL;
	const struct mesh_ring *ring = keep(arena, &draft);
	free(draft.points);
	return ring;
}

static uint32_t probe_position(uint64_t hash, uint64_t number)
{
	return (uint32_t)((hash + number * (hash << 1 | 1) * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* The first point at or behind the position; behind the last one comes the first. */
static size_t find_point(const struct mesh_ring *ring, uint32_t position)
{
	size_t at = ring->starts[(uint64_t)position >> ring->shift];

	while (at < ring->count && ring->points[at].position < position)
		at++;
	return at < ring->count ? at : 0;
}

static uint64_t time_to(const struct ring_point *point, uint32_t position)
{
	return (uint64_t)point->delay + (uint32_t)(point->position - position);
}

size_t mesh_ring_choose(const struct mesh_ring *ring, uint64_t hash)
{
	uint64_t quickest = UINT64_MAX;
	size_t chosen = 0;

	hash = mix(hash);
	for (uint64_t i = 0; i < PROBES; i++) {
		uint32_t position = probe_position(hash, i);
		const struct ring_point *point = &ring->points[find_point(ring, position)];
		uint64_t time = time_to(point, position);

		if (time < quickest) {
			quickest = time;
			chosen = point->endpoint;
		}
	}
	return chosen;
}

/* From a point on, the first one whose endpoint is usable; ring->count: none within `maximum`. */
static size_t walk(const struct mesh_ring *ring, size_t at, size_t maximum, mesh_ring_usable usable,
		   const void *context)
{
	for (size_t i = 0; i < maximum && i < ring->count; i++) {
		if (usable(context, ring->points[at].endpoint))
			return at;
		at = at + 1 < ring->count ? at + 1 : 0;
	}
	return ring->count;
}

size_t mesh_ring_choose_usable(const struct mesh_ring *ring, uint64_t hash, mesh_ring_usable usable,
			       const void *context)
{
	size_t chosen = mesh_ring_choose(ring, hash), found = ring->count;
	uint64_t quickest = UINT64_MAX;

	if (usable(context, chosen))
		return chosen;
	hash = mix(hash);
	for (uint64_t i = 0; i < PROBES; i++) {
		uint32_t position = probe_position(hash, i);
		size_t at = walk(ring, find_point(ring, position), WALK_MAXIMUM, usable, context);

		if (at == ring->count || time_to(&ring->points[at], position) >= quickest)
			continue;
		found = at;
		quickest = time_to(&ring->points[at], position);
	}
	if (found == ring->count) /* nearly all are down */
		found = walk(ring, find_point(ring, probe_position(hash, 0)), ring->count, usable,
			     context);
	return found == ring->count ? chosen : ring->points[found].endpoint;
}
