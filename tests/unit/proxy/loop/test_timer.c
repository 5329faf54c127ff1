/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proxy/loop/timer.h"

#define COUNT 500

struct recorded {
	struct timer timer; /* first: the callback finds its record */
	uint64_t expired_at;
};

static uint64_t now;

static void record(void *context, struct timer *timer)
{
	(void)context;
	((struct recorded *)timer)->expired_at = now;
}

static void run_until(struct timer_wheel *wheel, uint64_t end, uint64_t step)
{
	for (; now < end; now += step)
		timer_wheel_run(wheel, now, record, NULL);
}

static void timers_expire_once_never_early_and_at_most_two_ticks_late(void **state)
{
	struct timer_wheel *wheel = malloc(sizeof(*wheel));
	struct recorded *timers = calloc(COUNT, sizeof(*timers));
	unsigned seed = 7;

	(void)state;
	now = 1000003;
	timer_wheel_start(wheel, now);
	for (size_t i = 0; i < COUNT; i++) {
		/* up to three times around the wheel */
		timer_set(wheel, &timers[i].timer, now + (unsigned)rand_r(&seed) % 50000);
	}
	run_until(wheel, now + 60000, 3);
	for (size_t i = 0; i < COUNT; i++) {
		assert_true(timers[i].expired_at >= timers[i].timer.deadline);
		assert_true(timers[i].expired_at <=
			    timers[i].timer.deadline + 2 * TIMER_TICK_MS + 3);
		assert_null(timers[i].timer.previous_next);
	}
	assert_int_equal(timer_wheel_sleep(wheel, now), -1);
	free(timers);
	free(wheel);
}

static void a_deadline_can_move_both_ways_and_go_away(void **state)
{
	struct timer_wheel *wheel = malloc(sizeof(*wheel));
	struct recorded later = {0}, sooner = {0}, disarmed = {0}, removed = {0};

	(void)state;
	now = 5000;
	timer_wheel_start(wheel, now);
	timer_set(wheel, &later.timer, now + 100);
	timer_set(wheel, &later.timer, now + 30000);
	timer_set(wheel, &sooner.timer, now + 30000);
	timer_set(wheel, &sooner.timer, now + 100);
	timer_set(wheel, &disarmed.timer, now + 100);
	timer_set(wheel, &disarmed.timer, TIMER_NEVER);
	timer_set(wheel, &removed.timer, now + 100);
	timer_remove(wheel, &removed.timer);
	run_until(wheel, 5000 + 1000, 5);
	assert_true(sooner.expired_at >= 5100 && sooner.expired_at <= 5125);
	assert_int_equal(later.expired_at, 0);
	run_until(wheel, 5000 + 40000, 5);
	assert_true(later.expired_at >= 35000 && later.expired_at <= 35025);
	assert_int_equal(disarmed.expired_at, 0);
	assert_null(disarmed.timer.previous_next); /* it does not go round for ever */
	assert_int_equal(removed.expired_at, 0);
	free(wheel);
}

static void a_long_sleep_loses_no_timer(void **state)
{
	struct timer_wheel *wheel = malloc(sizeof(*wheel));
	struct recorded timer = {0};

	(void)state;
	now = 5000;
	timer_wheel_start(wheel, now);
	timer_set(wheel, &timer.timer, now + 77);
	int sleep = timer_wheel_sleep(wheel, now);
	assert_true(sleep >= 77 && sleep <= 77 + 2 * TIMER_TICK_MS);
	now += 100000000;
	timer_wheel_run(wheel, now, record, NULL);
	assert_true(timer.expired_at == now);
	free(wheel);
}

static int slow_sleep(const struct timer_wheel *wheel)
{
	for (uint64_t i = 1; i <= TIMER_SLOTS; i++) {
		uint64_t due = (wheel->tick + i) * TIMER_TICK_MS;

		if (wheel->slots[(wheel->tick + i) % TIMER_SLOTS])
			return due > now ? (int)(due - now) : 0;
	}
	return -1;
}

static void the_sleep_ends_with_the_next_slot_that_has_a_timer(void **state)
{
	struct timer_wheel *wheel = malloc(sizeof(*wheel));
	struct recorded timers[3] = {0};
	unsigned seed = 11;

	(void)state;
	now = 1000003;
	timer_wheel_start(wheel, now);
	for (size_t round = 0; round < 20000; round++) {
		struct timer *timer = &timers[(unsigned)rand_r(&seed) % 3].timer;

		switch (rand_r(&seed) % 3) {
		case 0:
			timer_remove(wheel, timer);
			break;
		case 1:
			now += (unsigned)rand_r(&seed) % 4000;
			timer_wheel_run(wheel, now, record, NULL);
			break;
		default:
			timer_set(wheel, timer, now + (unsigned)rand_r(&seed) % 40000);
		}
		assert_int_equal(timer_wheel_sleep(wheel, now), slow_sleep(wheel));
	}
	free(wheel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_expire_once_never_early_and_at_most_two_ticks_late),
		cmocka_unit_test(a_deadline_can_move_both_ways_and_go_away),
		cmocka_unit_test(a_long_sleep_loses_no_timer),
		cmocka_unit_test(the_sleep_ends_with_the_next_slot_that_has_a_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
