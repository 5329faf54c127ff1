/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/array.h"
#include "policy/spelling.h"

static const char *const tags[] = {"appver-c", "appver-cc", "X.Lane", "--", "_team"};

struct row {
	const char *text;
	bool is_tag;
};

static struct spelling_set make_set(void (*add)(struct spelling_set *, struct span))
{
	struct spelling_set set = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(tags); i++)
		add(&set, span_of(tags[i]));
	return set;
}

static void bytes_between_letters_are_alike_in_field_names(void **state)
{
	static const struct row rows[] = {
		{"appver-c", true},   {"APPVER_C", true},    {"appver.c", true},
		{"appver~c", true},   {"appver'c", true},    {"appver%c", true},
		{"appver+c", true},   {"appver|c", true},    {"x-lane", true},
		{"X!LANE", true},     {"__", true},	     {".team", true},
		{"appver-cc", true},  {"appverc", false},    {"appver--c", false},
		{"appver-c-", false}, {"appver-ccc", false}, {"appver-", false},
		{"-appver-c", false}, {"", false},	     {"team", false},
	};
	struct spelling_set set = make_set(spelling_set_add);
	struct spelling spelling;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		spelling_of_field(span_of(rows[i].text), &spelling);
		if (spelling_set_has(&set, &spelling) != rows[i].is_tag)
			fail_msg("%s", rows[i].text);
	}
}

static void names_of_any_length_are_compared(void **state)
{
	struct spelling_set set = {0};
	struct spelling spelling;
	char name[3 * SPELLING_MAX_BYTES];

	(void)state;
	memset(name, 'n', sizeof(name));
	spelling_set_add(&set, (struct span){name, SPELLING_MAX_BYTES});
	for (size_t length = 0; length <= sizeof(name); length++) {
		spelling_of_field((struct span){name, length}, &spelling);
		assert_int_equal(spelling_set_has(&set, &spelling), length == SPELLING_MAX_BYTES);
	}
}

static void members_that_may_be_read_as_a_tag_are_found(void **state)
{
	static const struct row rows[] = {
		{"appver-c=v3", true},
		{"appver-color=v3", true},
		{"X_LANE=1", true},
		{"team=1", true},
		{"appver-b=v3", false},
		{"appver=c", false},
		{"appverc=1", false},
		{"a=appver-c", false},
		{"a=b;appver-c=v3", true},
		{"a=b; appver-c", true},
		{"a=b;p=appver-c", false},
		{"a=b%2Cappver-c=v3", true},
		{"a=b;p=x%2cappver-c=v3", true},
		{"a=b;p=x%252cappver-c=v3", true},
		{"a=b;p%3bappver-c", true},
		{"a=appver%2Dc", false},
		{"%20appver-c=v3", true},
		{"%61%70%70ver%2Dc=v3", true},
		{"%2561ppver-c=v3", true},
		{"%25252561ppver-c=v3", true},
		{"%%36%31ppver-c=v3", true},
		{"%2%35%36%31ppver-c=v3", true},
		{"app%00ver-c=v3", true},
		{"app%C2%A0ver-c=v3", true},
		{"a+p+p+v+e+r-c=v3", true},
		{"%22appver-c%22=v3", true},
		{"appver%3Dc=v3", false},
		{"appver-c%3Dx=v3", true},
		{"caf%C3%A9=1", false},
		{"=", false},
		{"", false},
		{"%", false},
		{"%zz=%", false},
	};
	struct spelling_set set = make_set(spelling_set_add_start);
	struct buffer scratch = {0};

	(void)state;
	buffer_append_text(&scratch, "kept");
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (spelling_starts_in(&set, span_of(rows[i].text), &scratch) != rows[i].is_tag)
			fail_msg("%s", rows[i].text);
		assert_true(span_equal(buffer_span(&scratch), span_of("kept")));
	}
	buffer_free(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_between_letters_are_alike_in_field_names),
		cmocka_unit_test(names_of_any_length_are_compared),
		cmocka_unit_test(members_that_may_be_read_as_a_tag_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
