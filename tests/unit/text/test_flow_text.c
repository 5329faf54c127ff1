/* SPDX-License-Identifier: GPL-2.0-only */
#include "text/flow_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void assert_node(const char *text, const char *node)
{
	size_t end = flow_node_end(span_of(text), 0);

	assert_int_equal(end, strlen(node));
	assert_memory_equal(text, node, end);
}

static void a_node_ends_where_yaml_ends_it(void **state)
{
	(void)state;
	assert_node("v3, b: c}", "v3");
	assert_node("two words , b", "two words");
	assert_node("http://a:80/}", "http://a:80/");
	assert_node("a:b: c", "a:b");
	assert_node("it's]", "it's");
	assert_node("a#b # comment", "a#b");
	assert_node("'it''s, ]' x", "'it''s, ]'");
	assert_node("\"a\\\", ]\" x", "\"a\\\", ]\"");
	assert_node("{a: [1, 2], b: '}'}]", "{a: [1, 2], b: '}'}");
	assert_node("[{a: it's}, # ]\n {b: \"]\"}], c", "[{a: it's}, # ]\n {b: \"]\"}]");
	assert_node("{\"a\":[\"b\",{\"c\":1}]}, d", "{\"a\":[\"b\",{\"c\":1}]}");
	assert_node("[]", "[]");
}

static void what_does_not_end_is_not_found(void **state)
{
	static const char *const texts[] = {
		"", ", a", "'a", "\"a\\\"", "{a: b", "[a, [b]", "[a, 'b]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(flow_node_end(span_of(texts[i]), 0), 0);
}

static void assert_value(const char *text, const char *key, const char *value)
{
	size_t from, to;

	assert_true(flow_find(span_of(text), 0, key, &from, &to));
	assert_int_equal(to - from, strlen(value));
	assert_memory_equal(text + from, value, to - from);
}

static void a_key_is_found_at_its_own_level_alone(void **state)
{
	size_t from, to;

	(void)state;
	assert_value("{range: 49, tagValue: v3}", "range", "49");
	assert_value("{tagValue: v3, range: 49 }", "range", "49");
	assert_value("{\"tagValue\":\"v3\",\"range\":49}", "range", "49");
	assert_value("{a: {range: 1}, b: [range, range: 2],\n # range: 3,\n 'range': [4, 5]}",
		     "range", "[4, 5]");
	assert_value("{ranges: 1, range: 2}", "range", "2");
	assert_false(flow_find(span_of("{a: {range: 1}}"), 0, "range", &from, &to));
	assert_false(flow_find(span_of("{range"), 0, "range", &from, &to));
	assert_false(flow_find(span_of("{}"), 0, "range", &from, &to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_ends_where_yaml_ends_it),
		cmocka_unit_test(what_does_not_end_is_not_found),
		cmocka_unit_test(a_key_is_found_at_its_own_level_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
