/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzzer of the relay looks at, on scripts that are drawn by chance, the same each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fuzz/relay_properties.h"

#define SCRIPTS 3000
#define SCRIPT_BYTES 160

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int set_up(void **state)
{
	(void)state;
	script_start();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	script_stop();
	return 0;
}

static void no_sequence_of_pieces_and_resets_mixes_requests_up(void **state)
{
	uint64_t random = 88172645463325252ULL;
	uint8_t script[SCRIPT_BYTES];

	(void)state;
	for (size_t i = 0; i < SCRIPTS; i++) {
		for (size_t j = 0; j < sizeof(script); j++)
			script[j] = (uint8_t)(next_random(&random) >> 32);
		run_script(script, sizeof(script));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_sequence_of_pieces_and_resets_mixes_requests_up),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
