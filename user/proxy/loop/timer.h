/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Timers of one worker: a hashed wheel, every operation O(1). Moving a deadline further away is one
 * store: the wheel finds out when it comes by. Deadlines are milliseconds of worker time.
 */
#include <stdbool.h>
#include <stdint.h>

#define TIMER_SLOTS 2048 /* a power of two, 64 * 64 at most */
#define TIMER_TICK_MS 8
#define TIMER_NEVER UINT64_MAX

struct timer {
	struct timer *next;
	struct timer **previous_next; /* NULL: in no slot */
	uint64_t deadline;
	uint64_t slot_tick; /* the tick that its slot stands for */
};

struct timer_wheel {
	uint64_t tick;		 /* all before it were looked at */
	uint64_t occupied_words; /* a bit for each word of `occupied` that has one */
	uint64_t occupied[TIMER_SLOTS / 64];
	struct timer *slots[TIMER_SLOTS];
};

typedef void (*timer_expired)(void *context, struct timer *timer);

void timer_wheel_start(struct timer_wheel *wheel, uint64_t now_ms);

/* Sets or moves the deadline; TIMER_NEVER disarms (the timer may stay in its slot). */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ms);
/* Takes the timer out, for good: before its memory goes. */
void timer_remove(struct timer_wheel *wheel, struct timer *timer);

/*
 * Calls `expired` for each timer whose deadline is at or before `now_ms`; it may set any timer, and
 * remove its own.
 */
void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms, timer_expired expired,
		     void *context);
/* Milliseconds to sleep until there may be something to do; -1: no timer is set. */
int timer_wheel_sleep(const struct timer_wheel *wheel, uint64_t now_ms);
