/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/loop/timer.h"

#include <stddef.h>
#include <string.h>

void timer_wheel_start(struct timer_wheel *wheel, uint64_t now_ms)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->tick = now_ms / TIMER_TICK_MS;
}

static void unlink_timer(struct timer_wheel *wheel, struct timer *timer)
{
	size_t slot = timer->slot_tick % TIMER_SLOTS;

	*timer->previous_next = timer->next;
	if (timer->next)
		timer->next->previous_next = timer->previous_next;
	timer->previous_next = NULL;
	if (!wheel->slots[slot])
		wheel->occupied[slot / 64] &= ~(1ULL << (slot % 64));
	if (!wheel->occupied[slot / 64])
		wheel->occupied_words &= ~(1ULL << (slot / 64));
}

static void link_timer(struct timer_wheel *wheel, struct timer *timer, uint64_t tick)
{
	size_t slot = tick % TIMER_SLOTS;

	timer->slot_tick = tick;
	timer->next = wheel->slots[slot];
	timer->previous_next = &wheel->slots[slot];
	if (timer->next)
		timer->next->previous_next = &timer->next;
	wheel->slots[slot] = timer;
	wheel->occupied[slot / 64] |= 1ULL << (slot % 64);
	wheel->occupied_words |= 1ULL << (slot / 64);
}

/* The tick in which a deadline is due: rounded up, so that nothing expires early. */
static uint64_t deadline_tick(const struct timer_wheel *wheel, uint64_t deadline_ms)
{
	uint64_t tick = deadline_ms / TIMER_TICK_MS + 1;

	return tick > wheel->tick ? tick : wheel->tick + 1;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ms)
{
	timer->deadline = deadline_ms;
	if (deadline_ms == TIMER_NEVER)
		return;
	uint64_t tick = deadline_tick(wheel, deadline_ms);
	if (timer->previous_next) {
		if (timer->slot_tick <= tick)
			return; /* its slot comes by in time, and will move it on */
		unlink_timer(wheel, timer);
	}
	link_timer(wheel, timer, tick);
}

void timer_remove(struct timer_wheel *wheel, struct timer *timer)
{
	timer->deadline = TIMER_NEVER;
	if (timer->previous_next)
		unlink_timer(wheel, timer);
}

/* One timer of the slot that is due in this tick, taken out; NULL: none is left. */
static struct timer *take_due(struct timer_wheel *wheel, uint64_t tick)
{
	struct timer *timer = wheel->slots[tick % TIMER_SLOTS];

	while (timer && timer->slot_tick > tick)
		timer = timer->next; /* of a later round */
	if (timer)
		unlink_timer(wheel, timer);
	return timer;
}

void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms, timer_expired expired,
		     void *context)
{
	uint64_t now_tick = now_ms / TIMER_TICK_MS;

	/* After a long sleep one round over the wheel sees every slot. */
	if (now_tick - wheel->tick > TIMER_SLOTS && now_tick > wheel->tick)
		wheel->tick = now_tick - TIMER_SLOTS;
	while (wheel->tick < now_tick) {
		struct timer *timer;

		wheel->tick++;
		if (!(wheel->occupied[wheel->tick % TIMER_SLOTS / 64] & 1ULL << (wheel->tick % 64)))
			continue;
		while ((timer = take_due(wheel, wheel->tick))) {
			if (timer->deadline == TIMER_NEVER)
				continue;
			if (timer->deadline > now_ms)
				link_timer(wheel, timer, deadline_tick(wheel, timer->deadline));
			else
				expired(context, timer);
		}
	}
}

/* How many ticks behind the wheel's the next slot that has a timer comes by; 0: none has. */
static size_t ticks_to_timer(const struct timer_wheel *wheel)
{
	size_t first = (wheel->tick + 1) % TIMER_SLOTS, word = first / 64;
	uint64_t slots = wheel->occupied[word] & ~0ULL << (first % 64);

	if (!slots) {
		/* The words behind it, then those before it, itself included. */
		uint64_t words = wheel->occupied_words & ~1ULL << word;

		if (!words)
			words = wheel->occupied_words;
		if (!words)
			return 0;
		word = (size_t)__builtin_ctzll(words);
		slots = wheel->occupied[word];
	}
	size_t slot = word * 64 + (size_t)__builtin_ctzll(slots);
	return (slot - first) % TIMER_SLOTS + 1;
}

int timer_wheel_sleep(const struct timer_wheel *wheel, uint64_t now_ms)
{
	size_t ticks = ticks_to_timer(wheel);
	uint64_t due = (wheel->tick + ticks) * TIMER_TICK_MS;

	if (!ticks)
		return -1;
	return due > now_ms ? (int)(due - now_ms) : 0;
}
