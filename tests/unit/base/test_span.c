/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/number.h"
#include "base/span.h"

static void trim_takes_spaces_and_tabs_off_both_ends(void **state)
{
	(void)state;
	assert_true(span_equal(span_trim(span_of(" \t a b\t ")), span_of("a b")));
	assert_int_equal(span_trim(span_of(" \t ")).length, 0);
}

static void cut_splits_at_the_first_separator(void **state)
{
	struct span head, tail;

	(void)state;
	assert_true(span_cut(span_of("a=b=c"), '=', &head, &tail));
	assert_true(span_equal(head, span_of("a")));
	assert_true(span_equal(tail, span_of("b=c")));
	assert_false(span_cut(span_of("abc"), '=', &head, &tail));
	assert_true(span_equal(head, span_of("abc")));
	assert_int_equal(tail.length, 0);
}

static void case_is_ignored_for_ascii_letters_only(void **state)
{
	(void)state;
	assert_true(span_equal_ignore_case(span_of("X-User-ID"), span_of("x-user-id")));
	assert_false(span_equal_ignore_case(span_of("x@user"), span_of("x`user")));
	assert_true(span_ends_with_ignore_case(span_of("app.SVC"), span_of(".svc")));
	assert_false(span_ends_with_ignore_case(span_of("svc"), span_of(".svc")));
}

/* The words that are compared at once must say what single bytes say. */
static void case_is_ignored_alike_at_every_length(void **state)
{
	(void)state;
	for (size_t length = 1; length <= 17; length++) {
		char a[17], b[17];

		memset(a, '-', sizeof(a));
		memset(b, '-', sizeof(b));
		for (unsigned pair = 0; pair < 65536; pair++) {
			size_t at = pair % length;

			a[at] = (char)(pair >> 8);
			b[at] = (char)pair;
			bool equal = ascii_lower(a[at]) == ascii_lower(b[at]);
			assert_int_equal(span_equal_ignore_case((struct span){a, length},
								(struct span){b, length}),
					 equal);
			a[at] = b[at] = '-';
		}
	}
}

static void numbers_are_digits_within_bounds(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(parse_unsigned(span_of("100"), 100, &value), 0);
	assert_int_equal(value, 100);
	assert_int_equal(parse_unsigned(span_of("101"), 100, &value), -1);
	assert_int_equal(parse_unsigned(span_of(""), 100, &value), -1);
	assert_int_equal(parse_unsigned(span_of("+1"), 100, &value), -1);
	assert_int_equal(parse_unsigned(span_of("1x"), 100, &value), -1);
	assert_int_equal(parse_unsigned(span_of("18446744073709551615"), UINT64_MAX, &value), 0);
	assert_int_equal(parse_unsigned(span_of("18446744073709551616"), UINT64_MAX, &value), -1);
	assert_true(value == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trim_takes_spaces_and_tabs_off_both_ends),
		cmocka_unit_test(cut_splits_at_the_first_separator),
		cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
		cmocka_unit_test(case_is_ignored_alike_at_every_length),
		cmocka_unit_test(numbers_are_digits_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
