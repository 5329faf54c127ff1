/* SPDX-License-Identifier: GPL-2.0-only */
/* Which bucket of the histogram a duration counts in: a bound holds what is equal to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/record/series.h"

static struct upstream_series series[MESH_SERIES + 1];

static void note(uint64_t duration_ms)
{
	series[1] = (struct upstream_series){0};
	series_note_end(series, 1, SERIES_2XX, duration_ms);
}

static void expect_bucket(uint64_t duration_ms, size_t bucket)
{
	note(duration_ms);
	for (size_t i = 0; i <= SERIES_BUCKETS; i++)
		assert_int_equal(series[1].durations[i], i == bucket);
}

static void a_bound_holds_what_is_equal_to_it_and_no_more(void **state)
{
	(void)state;
	expect_bucket(0, 0);
	for (size_t i = 0; i < SERIES_BUCKETS; i++) {
		expect_bucket(series_bounds_ms[i] - 1,
			      i && series_bounds_ms[i] - 1 == series_bounds_ms[i - 1] ? i - 1 : i);
		expect_bucket(series_bounds_ms[i], i);
		expect_bucket(series_bounds_ms[i] + 1, i + 1);
	}
	expect_bucket(UINT64_MAX, SERIES_BUCKETS);
}

static void the_bounds_rise(void **state)
{
	(void)state;
	for (size_t i = 1; i < SERIES_BUCKETS; i++)
		assert_true(series_bounds_ms[i] > series_bounds_ms[i - 1]);
}

static void an_end_counts_once_and_with_its_duration(void **state)
{
	(void)state;
	note(7);
	for (size_t i = 0; i < SERIES_ENDS; i++)
		assert_int_equal(series[1].requests[i], i == SERIES_2XX);
	assert_int_equal(series[1].duration_ms, 7);
	assert_int_equal(series[0].duration_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bound_holds_what_is_equal_to_it_and_no_more),
		cmocka_unit_test(the_bounds_rise),
		cmocka_unit_test(an_end_counts_once_and_with_its_duration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
