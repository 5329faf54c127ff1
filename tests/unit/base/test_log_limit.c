/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/log_limit.h"

#define SECOND LOG_LIMIT_INTERVAL_NS
#define START (UINT64_C(1000) * SECOND)

static unsigned written(struct log_limit *limit, const char *event, unsigned times, uint64_t now)
{
	unsigned count = 0;

	for (unsigned i = 0; i < times; i++)
		count += log_limit_allows(limit, LOG_LEVEL_WARNING, event, now);
	return count;
}

static void a_burst_is_written_then_one_a_second(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	assert_int_equal(written(&limit, "flood", 1000, START), LOG_LIMIT_BURST);
	assert_int_equal(written(&limit, "flood", 1000, START + SECOND - 1), 0);
	assert_int_equal(written(&limit, "flood", 1000, START + SECOND), 1);
	assert_int_equal(written(&limit, "flood", 1000, START + 4 * SECOND), 3);
}

static void after_quiet_there_is_a_burst_again_and_no_more(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	written(&limit, "flood", 1000, START);
	assert_int_equal(written(&limit, "flood", 1000, START + 3600 * SECOND), LOG_LIMIT_BURST);
}

static void a_flood_holds_back_no_other_event(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	written(&limit, "flood", 100000, START);
	assert_true(log_limit_allows(&limit, LOG_LEVEL_ERROR, "other", START));
	assert_false(log_limit_allows(&limit, LOG_LEVEL_WARNING, "flood", START));
}

static void what_was_held_back_is_told_once_with_its_number(void **state)
{
	struct log_limit limit = {0};
	struct log_account held_back;

	(void)state;
	written(&limit, "flood", LOG_LIMIT_BURST, START);
	assert_false(log_limit_take_suppressed(&limit, START + SECOND, true, &held_back));
	written(&limit, "flood", 32, START);
	assert_false(log_limit_take_suppressed(&limit, START + SECOND - 1, false, &held_back));
	assert_true(log_limit_take_suppressed(&limit, START + SECOND, false, &held_back));
	assert_string_equal(held_back.event, "flood");
	assert_int_equal(held_back.level, LOG_LEVEL_WARNING);
	assert_int_equal(held_back.suppressed, 32);
	assert_false(log_limit_take_suppressed(&limit, START + 60 * SECOND, true, &held_back));
}

static void at_the_end_all_is_told_at_once(void **state)
{
	struct log_limit limit = {0};
	struct log_account held_back;

	(void)state;
	written(&limit, "flood", LOG_LIMIT_BURST + 1, START);
	written(&limit, "other", LOG_LIMIT_BURST + 2, START);
	assert_false(log_limit_take_suppressed(&limit, START, false, &held_back));
	assert_true(log_limit_take_suppressed(&limit, START, true, &held_back));
	assert_int_equal(held_back.suppressed, 1);
	assert_true(log_limit_take_suppressed(&limit, START, true, &held_back));
	assert_int_equal(held_back.suppressed, 2);
	assert_false(log_limit_take_suppressed(&limit, START, true, &held_back));
}

static void more_events_than_accounts_are_written(void **state)
{
	static char names[LOG_LIMIT_EVENTS][8];
	struct log_limit limit = {0};

	(void)state;
	for (size_t i = 0; i < LOG_LIMIT_EVENTS; i++) {
		snprintf(names[i], sizeof(names[i]), "%zu", i);
		assert_int_equal(written(&limit, names[i], 11, START), LOG_LIMIT_BURST);
	}
	assert_int_equal(written(&limit, "one too many", 11, START), 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_written_then_one_a_second),
		cmocka_unit_test(after_quiet_there_is_a_burst_again_and_no_more),
		cmocka_unit_test(a_flood_holds_back_no_other_event),
		cmocka_unit_test(what_was_held_back_is_told_once_with_its_number),
		cmocka_unit_test(at_the_end_all_is_told_at_once),
		cmocka_unit_test(more_events_than_accounts_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
