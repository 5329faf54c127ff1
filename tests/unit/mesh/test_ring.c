/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "mesh/ring.h"

#define MOST 5000
#define USERS 10000

struct places {
	struct arena arena;
	struct mesh_endpoint endpoints[MOST];
	const struct mesh_ring *ring;
};

/* Endpoints with the numbers [0, count) but `without`, in an order that depends on `turn`. */
static void places_start(struct places *places, size_t count, size_t without, size_t turn)
{
	size_t used = 0;

	*places = (struct places){0};
	for (size_t i = 0; i < count; i++) {
		size_t number = (i + turn) % count;

		if (number == without)
			continue;
		places->endpoints[used++] = (struct mesh_endpoint){
			.address =
				{[10] = 255, 255, 10, 0, (uint8_t)(number >> 8), (uint8_t)number},
			.port = 8080,
		};
	}
	places->ring = mesh_ring_new(&places->arena, places->endpoints, used);
	assert_non_null(places->ring);
}

static void places_stop(struct places *places)
{
	arena_free(&places->arena);
}

static size_t number_of(const struct places *places, size_t endpoint)
{
	const uint8_t *address = places->endpoints[endpoint].address;

	return (size_t)address[14] << 8 | address[15];
}

static uint64_t hash_of(uint64_t user)
{
	return (user + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void only_what_an_endpoint_had_moves_when_it_goes(void **state)
{
	static const size_t counts[] = {2, 3, 5, 16, 17, 100, MOST};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		static struct places all, less;
		size_t gone = counts[i] / 2, moved = 0;

		places_start(&all, counts[i], SIZE_MAX, 0);
		places_start(&less, counts[i], gone, 1);
		for (uint64_t user = 0; user < USERS; user++) {
			size_t before = number_of(&all, mesh_ring_choose(all.ring, hash_of(user)));
			size_t after = number_of(&less, mesh_ring_choose(less.ring, hash_of(user)));

			moved += before != after;
			if (before != gone)
				assert_int_equal(before, after);
		}
		assert_in_range(moved, 0, USERS / counts[i] + USERS / 100);
		places_stop(&all);
		places_stop(&less);
	}
}

static void endpoints_get_equal_shares(void **state)
{
	static struct places places;
	unsigned users[5] = {0};

	(void)state;
	places_start(&places, 5, SIZE_MAX, 0);
	for (uint64_t user = 0; user < USERS; user++)
		users[mesh_ring_choose(places.ring, hash_of(user))]++;
	for (size_t i = 0; i < 5; i++)
		assert_in_range(users[i], 1800, 2200);
	places_stop(&places);
}

static void many_endpoints_all_get_their_share(void **state)
{
	static struct places places;
	static unsigned users[1000];

	(void)state;
	places_start(&places, 1000, SIZE_MAX, 0);
	for (uint64_t user = 0; user < 1000000; user++)
		users[mesh_ring_choose(places.ring, hash_of(user))]++;
	for (size_t i = 0; i < 1000; i++)
		assert_in_range(users[i], 650, 1400);
	places_stop(&places);
}

struct without {
	const struct places *places;
	size_t first, end; /* numbers that are not usable */
};

static bool is_usable(const void *context, size_t endpoint)
{
	const struct without *without = context;
	size_t number = number_of(without->places, endpoint);

	return number < without->first || number >= without->end;
}

static void only_those_of_who_is_down_go_elsewhere(void **state)
{
	static struct places all;
	unsigned users[50] = {0};

	(void)state;
	places_start(&all, 50, SIZE_MAX, 0);
	const struct without without = {&all, 7, 12};
	for (uint64_t user = 0; user < USERS; user++) {
		size_t before = number_of(&all, mesh_ring_choose(all.ring, hash_of(user)));
		size_t now = number_of(&all, mesh_ring_choose_usable(all.ring, hash_of(user),
								     is_usable, &without));

		if (before < 7 || before >= 12)
			assert_int_equal(before, now);
		users[now]++;
	}
	for (size_t i = 0; i < 50; i++)
		assert_in_range(users[i], i < 7 || i >= 12 ? 150 : 0, i < 7 || i >= 12 ? 320 : 0);
	places_stop(&all);
}

static void the_last_that_is_up_is_found(void **state)
{
	static struct places places;

	(void)state;
	places_start(&places, MOST, SIZE_MAX, 0);
	const struct without without = {&places, 1, MOST};
	for (uint64_t user = 0; user < 20; user++)
		assert_int_equal(
			mesh_ring_choose_usable(places.ring, hash_of(user), is_usable, &without),
			0);
	places_stop(&places);
}

static void an_address_that_stands_there_twice_is_no_matter(void **state)
{
	struct arena arena = {0};
	struct mesh_endpoint endpoints[2] = {{.port = 80}, {.port = 80}};
	const struct mesh_ring *ring = mesh_ring_new(&arena, endpoints, 2);

	(void)state;
	for (uint64_t user = 0; user < 100; user++)
		assert_in_range(mesh_ring_choose(ring, hash_of(user)), 0, 1);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_an_endpoint_had_moves_when_it_goes),
		cmocka_unit_test(endpoints_get_equal_shares),
		cmocka_unit_test(many_endpoints_all_get_their_share),
		cmocka_unit_test(only_those_of_who_is_down_go_elsewhere),
		cmocka_unit_test(the_last_that_is_up_is_found),
		cmocka_unit_test(an_address_that_stands_there_twice_is_no_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
