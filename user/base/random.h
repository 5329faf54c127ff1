/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Random numbers of the kernel's generator (getrandom(2)), fetched many at a time. Whatever somebody
 * outside may see comes from here: ids, cookies, and also draws, since who sees enough of what a
 * faster generator drew can work out what it draws next.
 */
#include <stddef.h>
#include <stdint.h>

#define RANDOM_NUMBERS_AT_ONCE 256

/* One thread's; all zero to start with. */
struct random_numbers {
	size_t left;
	uint64_t numbers[RANDOM_NUMBERS_AT_ONCE];
};

/* Fetches more. 0, or a negative errno: then none are left. */
int random_fetch(struct random_numbers *random);

/* 0 where the kernel gives none, which it always does once it has given some. */
static inline uint64_t random_take(struct random_numbers *random)
{
	if (random->left == 0 && random_fetch(random))
		return 0;
	return random->numbers[--random->left];
}
