/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/baggage.h"

static void members_are_stepped_through(void **state)
{
	struct span rest = span_of("a=1, b = 2;p=q;r , ,c=%20x");
	struct baggage_member member;

	(void)state;
	assert_int_equal(baggage_next(&rest, &member), 1);
	assert_true(span_equal(member.key, span_of("a")));
	assert_int_equal(baggage_next(&rest, &member), 1);
	assert_true(span_equal(member.key, span_of("b")));
	assert_true(span_equal(member.value, span_of("2")));
	assert_true(span_equal(member.properties, span_of("p=q;r")));
	assert_int_equal(baggage_next(&rest, &member), 1);
	assert_true(span_equal(member.value, span_of("%20x")));
	assert_int_equal(baggage_next(&rest, &member), 0);
}

static void malformed_members_are_told_and_passed(void **state)
{
	struct span rest = span_of("novalue,k y=1,a=\"q\",ok=1");
	struct baggage_member member;

	(void)state;
	assert_int_equal(baggage_next(&rest, &member), -1);
	assert_int_equal(baggage_next(&rest, &member), -1);
	assert_int_equal(baggage_next(&rest, &member), -1);
	assert_int_equal(baggage_next(&rest, &member), 1);
	assert_true(span_equal(member.key, span_of("ok")));
}

static void strict_members_are_of_the_grammar_to_their_end(void **state)
{
	static const struct {
		const char *member;
		bool is_strict;
	} rows[] = {
		{"a=b", true},		 {"a=", true},	       {"a = b ; p ; q = r", true},
		{"a=b=c", true},	 {"a=b;p=", true},     {"a=b;p==", true},
		{"a=b;", false},	 {"a=b;;p", false},    {"a=b;p;", false},
		{"a=b;=p", false},	 {"a=b;p q", false},   {"a=b;p=q r", false},
		{"a=b;p=\"q\"", false},	 {"a=b;p=q\\", false}, {"a=b;p=\xa0", false},
		{"a=b;\xc3\xa9", false}, {"a=b;p\x01", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span rest = span_of(rows[i].member);
		struct baggage_member member;

		assert_int_equal(baggage_next(&rest, &member), 1);
		if (baggage_is_strict(&member) != rows[i].is_strict)
			fail_msg("%s", rows[i].member);
	}
}

static void values_come_back_as_they_went(void **state)
{
	struct span value = span_of("a b,c;d=\"e\"\\%\xc3\xa9");
	struct buffer encoded = {0}, decoded = {0};

	(void)state;
	baggage_encode(value, &encoded);
	for (const char *byte = " ,;\"\\"; *byte; byte++)
		assert_null(memchr(encoded.data, *byte, encoded.length));
	assert_int_equal(baggage_decode(buffer_span(&encoded), &decoded), 0);
	assert_true(span_equal(buffer_span(&decoded), value));
	buffer_free(&encoded);
	buffer_free(&decoded);
}

static void what_no_field_may_hold_is_refused(void **state)
{
	static const char *const bad[] = {"%0d%0aX: y", "%00", "%", "%4", "%zz"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buffer decoded = {0};
		assert_int_equal(baggage_decode(span_of(bad[i]), &decoded), -1);
		assert_int_equal(decoded.length, 0);
		buffer_free(&decoded);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_stepped_through),
		cmocka_unit_test(malformed_members_are_told_and_passed),
		cmocka_unit_test(strict_members_are_of_the_grammar_to_their_end),
		cmocka_unit_test(values_come_back_as_they_went),
		cmocka_unit_test(what_no_field_may_hold_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
