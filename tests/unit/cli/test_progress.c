/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/progress.h"

#define START UINT64_C(5000000000)
#define SECOND UINT64_C(1000000000)

struct screen {
	struct progress progress;
	FILE *stream;
	char *text;
	size_t length;
};

static int start(void **state)
{
	struct screen *screen = calloc(1, sizeof(*screen));

	screen->stream = open_memstream(&screen->text, &screen->length);
	assert_non_null(screen->stream);
	progress_start(&screen->progress, "diff", screen->stream, START);
	*state = screen;
	return 0;
}

static int stop(void **state)
{
	struct screen *screen = *state;

	fclose(screen->stream);
	free(screen->text);
	free(screen);
	return 0;
}

static void assert_shown(struct screen *screen, const char *text)
{
	fflush(screen->stream);
	assert_string_equal(screen->text, text);
}

static void a_second_of_work_is_quiet(void **state)
{
	struct screen *screen = *state;

	progress_update(&screen->progress, START + SECOND - 1, 4096, 4096, 10000);
	progress_wipe(&screen->progress);
	assert_shown(screen, "");
}

static void then_it_is_told_twice_a_second_how_far_it_is(void **state)
{
	struct screen *screen = *state;

	progress_update(&screen->progress, START + SECOND, 5000, 5000, 10000);
	assert_shown(screen, "\rlanetag diff: 50 %, 5000 ids, 1 s");
	progress_update(&screen->progress, START + 3 * SECOND / 2 - 1, 6000, 6000, 10000);
	assert_shown(screen, "\rlanetag diff: 50 %, 5000 ids, 1 s");
	progress_update(&screen->progress, START + 3 * SECOND / 2, 7500, 7500, 10000);
	assert_shown(screen,
		     "\rlanetag diff: 50 %, 5000 ids, 1 s\rlanetag diff: 75 %, 7500 ids, 1 s");
}

static void without_a_total_there_is_no_share(void **state)
{
	struct screen *screen = *state;

	progress_update(&screen->progress, START + 61 * SECOND, 7, 0, PROGRESS_UNKNOWN);
	assert_shown(screen, "\rlanetag diff: 7 ids, 61 s");
}

static void a_shorter_line_and_the_end_leave_nothing(void **state)
{
	struct screen *screen = *state;

	progress_update(&screen->progress, START + SECOND, 123456, 0, PROGRESS_UNKNOWN);
	progress_update(&screen->progress, START + 2 * SECOND, 1, 0, PROGRESS_UNKNOWN);
	progress_wipe(&screen->progress);
	progress_wipe(&screen->progress);
	assert_shown(screen, "\rlanetag diff: 123456 ids, 1 s"
			     "\rlanetag diff: 1 ids, 2 s     "
			     "\r                             \r");
}

static void where_there_is_no_terminal_nothing_is_shown(void **state)
{
	struct screen *screen = *state;

	progress_start(&screen->progress, "diff", NULL, START);
	progress_update(&screen->progress, START + 10 * SECOND, 1, 1, 2);
	progress_wipe(&screen->progress);
	assert_shown(screen, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_second_of_work_is_quiet, start, stop),
		cmocka_unit_test_setup_teardown(then_it_is_told_twice_a_second_how_far_it_is, start,
						stop),
		cmocka_unit_test_setup_teardown(without_a_total_there_is_no_share, start, stop),
		cmocka_unit_test_setup_teardown(a_shorter_line_and_the_end_leave_nothing, start,
						stop),
		cmocka_unit_test_setup_teardown(where_there_is_no_terminal_nothing_is_shown, start,
						stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
