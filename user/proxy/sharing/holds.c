/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/sharing/holds.h"

#include <stdlib.h>

#define TRIES 8

static uint32_t generation_of(uint64_t slot)
{
	return (uint32_t)(slot >> 32);
}

static uint32_t requests_of(uint64_t slot)
{
	return (uint32_t)slot;
}

struct holds *holds_new(uint32_t keep_ms)
{
	struct holds *holds = calloc(1, sizeof(*holds));

	if (holds)
		holds->keep_ms = keep_ms;
	return holds;
}

void holds_set_current(struct holds *holds, uint32_t generation, uint64_t now_ms)
{
	uint32_t previous = atomic_load_explicit(&holds->current, memory_order_relaxed);

	/* Generations that were refused were never in force: their numbers may be used again. */
	for (; previous < generation; previous++)
		atomic_store_explicit(&holds->replaced_ms[previous % HOLDS_GENERATIONS], now_ms,
				      memory_order_relaxed);
	atomic_store_explicit(&holds->current, generation, memory_order_release);
}

bool holds_keeps(const struct holds *holds, uint32_t generation, uint64_t now_ms)
{
	uint32_t current = atomic_load_explicit(&holds->current, memory_order_acquire);

	if (generation >= current)
		return true;
	return current - generation < HOLDS_GENERATIONS &&
	       now_ms < atomic_load_explicit(&holds->replaced_ms[generation % HOLDS_GENERATIONS],
					     memory_order_relaxed) +
				holds->keep_ms;
}

/*
 * Holds a slot; its generation, which is `wanted` if no other request holds it. `alone`: the
 * request's only one. Then the ids don't go back to an older generation than the slot had: `wanted`
 * was read before, and a thread that had to wait since may be late by as many as are kept.
 */
static uint32_t take_slot(struct holds *holds, uint16_t index, uint32_t wanted, bool alone,
			  uint64_t now_ms)
{
	_Atomic uint64_t *slot = &holds->slots[index];
	uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed), next;

	do {
		uint32_t generation = generation_of(seen);

		if (requests_of(seen) == 0 || !holds_keeps(holds, generation, now_ms))
			generation = alone && generation > wanted ? generation : wanted;
		next = (uint64_t)generation << 32 | (requests_of(seen) + 1);
	} while (!atomic_compare_exchange_weak_explicit(slot, &seen, next, memory_order_acq_rel,
							memory_order_relaxed));
	return generation_of(next);
}

/* The oldest generation that one of the slots is held with. */
static uint32_t oldest_held(const struct holds *holds, const struct hold *hold, uint64_t now_ms)
{
	uint32_t oldest = atomic_load_explicit(&holds->current, memory_order_acquire);

	for (size_t i = 0; i < hold->count; i++) {
		uint64_t slot =
			atomic_load_explicit(&holds->slots[hold->slots[i]], memory_order_relaxed);

		if (requests_of(slot) && generation_of(slot) < oldest &&
		    holds_keeps(holds, generation_of(slot), now_ms))
			oldest = generation_of(slot);
	}
	return oldest;
}

static uint32_t take_slots(struct holds *holds, const struct hold *hold, uint64_t now_ms)
{
	uint32_t generation = oldest_held(holds, hold, now_ms);

	for (size_t i = 0; i < hold->count; i++) {
		uint32_t held =
			take_slot(holds, hold->slots[i], generation, hold->count == 1, now_ms);

		/* A single id, as nearly all requests have, alone decides: no race. */
		if (held < generation || hold->count == 1)
			generation = held;
	}
	return generation;
}

static void release_slots(struct holds *holds, const struct hold *hold)
{
	for (size_t i = 0; i < hold->count; i++)
		atomic_fetch_sub_explicit(&holds->slots[hold->slots[i]], 1, memory_order_acq_rel);
}

uint32_t holds_take(struct holds *holds, const uint64_t *keys, size_t count, uint64_t now_ms,
		    struct hold *ret_hold)
{
	ret_hold->count = 0;
	for (size_t i = 0; i < count && i < LANETAG_MAX_SOURCES; i++)
		ret_hold->slots[ret_hold->count++] = (uint16_t)(keys[i] % HOLDS_SLOTS);
	uint32_t generation = take_slots(holds, ret_hold, now_ms);
	/* Put aside for long enough, this thread may have taken them with one of the past. */
	for (int tries = 0; tries < TRIES && !holds_keeps(holds, generation, now_ms); tries++) {
		release_slots(holds, ret_hold);
		generation = take_slots(holds, ret_hold, now_ms);
	}
	return generation;
}

void holds_release(struct holds *holds, struct hold *hold)
{
	release_slots(holds, hold);
	hold->count = 0;
}
