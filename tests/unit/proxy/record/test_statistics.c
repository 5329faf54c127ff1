/* SPDX-License-Identifier: GPL-2.0-only */
/* Which bucket of a lane's histogram a duration counts in: a bound holds what is equal to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/record/statistics.h"

static struct proxy_statistics statistics;

static void expect_bucket(uint64_t duration_us, size_t bucket)
{
	const struct request_outcome outcome = {.status = 200, .duration_us = duration_us};
	const uint16_t lane = 1;

	statistics.lane_outcomes[lane] = (struct lane_outcomes){0};
	statistics_note_outcome(&statistics, &lane, 1, &outcome);
	for (size_t i = 0; i <= OUTCOME_BUCKETS; i++)
		assert_int_equal(statistics.lane_outcomes[lane].durations[i], i == bucket);
	assert_int_equal(statistics.lane_outcomes[lane].duration_us, duration_us);
}

static void a_bound_holds_what_is_equal_to_it_and_no_more(void **state)
{
	(void)state;
	expect_bucket(0, 0);
	for (size_t i = 0; i < OUTCOME_BUCKETS; i++) {
		expect_bucket(outcome_bounds_us[i] - 1, i);
		expect_bucket(outcome_bounds_us[i], i);
		expect_bucket(outcome_bounds_us[i] + 1, i + 1);
	}
	expect_bucket(UINT64_MAX, OUTCOME_BUCKETS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bound_holds_what_is_equal_to_it_and_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
