/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * By which generation of the rules a user's requests are decided, so that one request and all the
 * calls that it causes are decided by one, also where each of them is decided by itself (user-id).
 *
 * Nothing but the user's id tells such a call from others. So it is the user who changes
 * generations, not the request, and only while none of the user's requests is under way: each
 * request holds its ids until it ends; ids that are held keep the generation that they had when the
 * first was taken. Not for ever: a generation is kept for a while after it was replaced, and then
 * held ids move on too. What a user has under way at that moment, who has not paused once since
 * the reload, can be decided by both: this is all that is not promised.
 *
 * Ids are told apart by a table of HOLDS_SLOTS; those that share a slot change together. Workers
 * share the table without locks.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lanetag/rules.h>

#define HOLDS_SLOTS 65536     /* what a uint16_t can say */
#define HOLDS_GENERATIONS 16U /* the current one and those that can be kept */

struct holds {
	_Atomic uint32_t current; /* of ids that nobody holds */
	uint32_t keep_ms;
	_Atomic uint64_t replaced_ms[HOLDS_GENERATIONS]; /* when, by generation modulo */
	_Atomic uint64_t slots[HOLDS_SLOTS];		 /* generation << 32 | requests */
};

/* What one request holds; all zero: nothing. */
struct hold {
	uint8_t count;
	uint16_t slots[LANETAG_MAX_SOURCES];
};

/* NULL when memory is short; free(3) it. */
struct holds *holds_new(uint32_t keep_ms);
/* The next generation, which every worker can find from now on. Called by one thread. */
void holds_set_current(struct holds *holds, uint32_t generation, uint64_t now_ms);
/* True while requests may still be decided by this generation. */
bool holds_keeps(const struct holds *holds, uint32_t generation, uint64_t now_ms);

/*
 * Holds the ids with these keys, and gives the generation to decide by: where they are held by
 * others with different ones, the oldest.
 */
uint32_t holds_take(struct holds *holds, const uint64_t *keys, size_t count, uint64_t now_ms,
		    struct hold *ret_hold);
/* Gives them back; `hold` is then empty. */
void holds_release(struct holds *holds, struct hold *hold);
