/* SPDX-License-Identifier: GPL-2.0-only */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/sharing/holds.h"

#define KEEP_MS 1000
#define USER 4711
#define OTHER 4712

static int start(void **state)
{
	struct holds *holds = holds_new(KEEP_MS);

	assert_non_null(holds);
	holds_set_current(holds, 1, 0);
	*state = holds;
	return 0;
}

static int stop(void **state)
{
	free(*state);
	return 0;
}

static uint32_t take(struct holds *holds, uint64_t key, uint64_t now_ms, struct hold *hold)
{
	return holds_take(holds, &key, 1, now_ms, hold);
}

static void a_user_changes_between_requests(void **state)
{
	struct holds *holds = *state;
	struct hold first, second, other;

	assert_int_equal(take(holds, USER, 0, &first), 1);
	holds_set_current(holds, 2, 10);
	assert_int_equal(take(holds, USER, 20, &second), 1);
	assert_int_equal(take(holds, OTHER, 20, &other), 2);
	holds_release(holds, &first);
	holds_release(holds, &first); /* empty by now */
	assert_int_equal(take(holds, USER, 30, &first), 1);
	holds_release(holds, &first);
	holds_release(holds, &second);
	assert_int_equal(take(holds, USER, 40, &first), 2);
	holds_release(holds, &first);
	holds_release(holds, &other);
}

static void requests_that_never_end_hold_nobody_for_ever(void **state)
{
	struct holds *holds = *state;
	struct hold tunnel, request;

	assert_int_equal(take(holds, USER, 0, &tunnel), 1);
	holds_set_current(holds, 2, 10);
	assert_true(holds_keeps(holds, 1, 10 + KEEP_MS - 1));
	assert_int_equal(take(holds, USER, 10 + KEEP_MS - 1, &request), 1);
	holds_release(holds, &request);
	assert_false(holds_keeps(holds, 1, 10 + KEEP_MS));
	assert_int_equal(take(holds, USER, 10 + KEEP_MS, &request), 2);
	holds_set_current(holds, 3, 2000);
	holds_release(holds, &tunnel);
	assert_int_equal(take(holds, USER, 2000, &tunnel), 2); /* held by the other now */
	holds_release(holds, &request);
	holds_release(holds, &tunnel);
	assert_true(
		holds_keeps(holds, 3, 2000 + 10 * KEEP_MS)); /* the current one is kept for ever */
	assert_true(holds_keeps(holds, 4, 2000 + 10 * KEEP_MS)); /* as is one that is about to be */
	assert_int_equal(take(holds, USER, 2000, &request), 3);
	holds_release(holds, &request);
}

static void reloads_without_end_keep_a_bounded_number(void **state)
{
	struct holds *holds = *state;
	struct hold first, next;

	take(holds, USER, 0, &first);
	holds_set_current(holds, HOLDS_GENERATIONS, 1);
	assert_int_equal(take(holds, USER, 1, &next), 1);
	holds_release(holds, &next);
	holds_set_current(holds, HOLDS_GENERATIONS + 1, 2);
	assert_int_equal(take(holds, USER, 2, &next), HOLDS_GENERATIONS + 1);
	holds_release(holds, &next);
	holds_release(holds, &first);
}

static void several_ids_go_by_the_oldest(void **state)
{
	struct holds *holds = *state;
	const uint64_t both[] = {USER, OTHER};
	struct hold account, request, hop;

	take(holds, OTHER, 0, &account);
	holds_set_current(holds, 2, 10);
	assert_int_equal(holds_take(holds, both, 2, 20, &request), 1);
	holds_release(holds, &account);
	/* An application that passes on one of the two. */
	assert_int_equal(take(holds, USER, 30, &hop), 1);
	holds_release(holds, &hop);
	assert_int_equal(take(holds, OTHER, 30, &hop), 1);
	holds_release(holds, &hop);
	holds_release(holds, &request);
	assert_int_equal(holds_take(holds, both, 2, 40, &request), 2);
	holds_release(holds, &request);
	assert_int_equal(holds_take(holds, NULL, 0, 40, &request), 2);
}

/* As a thread sees it that has read which generation is current, and then had to wait. */
static void a_late_thread_takes_nobody_back(void **state)
{
	struct holds *holds = *state;
	struct hold request, late;

	holds_set_current(holds, HOLDS_GENERATIONS, 0);
	assert_int_equal(take(holds, USER, 0, &request), HOLDS_GENERATIONS);
	holds_release(holds, &request);
	atomic_store(&holds->current, 1);
	assert_int_equal(take(holds, USER, 0, &late), HOLDS_GENERATIONS);
	assert_int_equal(take(holds, OTHER, 0, &request), 1);
	holds_release(holds, &request);
	atomic_store(&holds->current, HOLDS_GENERATIONS);
	holds_set_current(holds, HOLDS_GENERATIONS + 1, 0);
	/* What it decides by is kept from now on. */
	assert_int_equal(take(holds, USER, 0, &request), HOLDS_GENERATIONS);
	holds_release(holds, &request);
	holds_release(holds, &late);
}

/* One thread per worker: a chain's calls must agree with its beginning, whatever is published. */
struct chains {
	struct holds *holds;
	_Atomic bool done;
	_Atomic unsigned disagreements;
};

#define ENOUGH 2 /* generations */

static void *run_chains(void *context)
{
	struct chains *chains = context;

	/* On a busy machine longer: until it has come to some reloads, or it never will. */
	for (unsigned i = 0; i < 100000 || (atomic_load(&chains->holds->current) <= ENOUGH &&
					    i < 100 * 1000 * 1000);
	     i++) {
		struct hold request, hop;
		uint64_t user = i % 3;
		uint32_t decided = take(chains->holds, user, 0, &request);

		for (int j = 0; j < 2; j++) {
			if (take(chains->holds, user, 0, &hop) != decided)
				chains->disagreements++;
			holds_release(chains->holds, &hop);
		}
		holds_release(chains->holds, &request);
	}
	return NULL;
}

static void *publish(void *context)
{
	struct chains *chains = context;
	uint32_t generation = 1;

	while (!chains->done) {
		/* Kept as long as a chain lasts: not more than 15 in its time. */
		struct hold probe;

		holds_set_current(chains->holds, ++generation, 0);
		for (uint64_t user = 0; user < 3 && !chains->done; user++) {
			while (take(chains->holds, user, 0, &probe) != generation && !chains->done)
				holds_release(chains->holds, &probe);
			holds_release(chains->holds, &probe);
		}
	}
	return NULL;
}

static void threads_never_disagree_about_a_request(void **state)
{
	struct chains chains = {.holds = *state};
	pthread_t threads[3], publisher;

	assert_int_equal(pthread_create(&publisher, NULL, publish, &chains), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_chains, &chains), 0);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	chains.done = true;
	pthread_join(publisher, NULL);
	assert_int_equal(chains.disagreements, 0);
	assert_true(atomic_load(&chains.holds->current) > ENOUGH);
	for (size_t i = 0; i < HOLDS_SLOTS; i++)
		assert_int_equal((uint32_t)chains.holds->slots[i], 0);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		CLAIM(a_user_changes_between_requests),
		CLAIM(requests_that_never_end_hold_nobody_for_ever),
		CLAIM(reloads_without_end_keep_a_bounded_number),
		CLAIM(several_ids_go_by_the_oldest),
		CLAIM(a_late_thread_takes_nobody_back),
		CLAIM(threads_never_disagree_about_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
