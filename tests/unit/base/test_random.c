/* SPDX-License-Identifier: GPL-2.0-only */
/* What was drawn does not say what is drawn next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void no_number_comes_twice_over_many_fetches_and_threads(void **state)
{
	enum { COUNT = 40 * RANDOM_NUMBERS_AT_ONCE };
	static struct random_numbers one, other;
	static uint64_t drawn[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		drawn[i] = random_take(i % 3 ? &one : &other);
	qsort(drawn, COUNT, sizeof(drawn[0]), compare);
	for (size_t i = 1; i < COUNT; i++)
		assert_true(drawn[i] != drawn[i - 1]);
}

#define BITS 1024

/*
 * The length of the shortest linear feedback shift register that gives these bits (Berlekamp and
 * Massey): about half as many as there are bits, unless one generator or another of the linear kind
 * (xorshift, LFSR, …) made them, whose state it shows.
 */
static size_t linear_complexity(const uint8_t bits[BITS])
{
	uint8_t connection[BITS + 1] = {1}, previous[BITS + 1] = {1}, copy[BITS + 1];
	size_t length = 0, since = 1;

	for (size_t i = 0; i < BITS; i++) {
		uint8_t differs = bits[i];

		for (size_t j = 1; j <= length; j++)
			differs ^= connection[j] & bits[i - j];
		if (!differs) {
			since++;
			continue;
		}
		memcpy(copy, connection, sizeof(copy));
		for (size_t j = 0; j + since <= BITS; j++)
			connection[j + since] ^= previous[j];
		if (2 * length > i) {
			since++;
			continue;
		}
		length = i + 1 - length;
		memcpy(previous, copy, sizeof(previous));
		since = 1;
	}
	return length;
}

static uint64_t xorshift(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static void no_bit_follows_from_those_before_it(void **state)
{
	static struct random_numbers random;
	uint64_t weak_state = 88;
	uint8_t drawn[64][BITS], weak[BITS];

	(void)state;
	for (size_t i = 0; i < BITS; i++) {
		uint64_t number = random_take(&random);

		weak[i] = xorshift(&weak_state) & 1;
		for (size_t bit = 0; bit < 64; bit++)
			drawn[bit][i] = number >> bit & 1;
	}
	assert_int_equal(linear_complexity(weak), 64); /* the test sees what it is for */
	for (size_t bit = 0; bit < 64; bit++)
		assert_in_range(linear_complexity(drawn[bit]), BITS / 2 - 40, BITS / 2 + 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_number_comes_twice_over_many_fetches_and_threads),
		cmocka_unit_test(no_bit_follows_from_those_before_it),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
