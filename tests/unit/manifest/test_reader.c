/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include "base/array.h"
#include "manifest/reader.h"

struct reading {
	struct diagnostics diagnostics;
	struct node **documents;
	size_t count;
	struct reader reader;
};

static void start(struct reading *reading, const char *text)
{
	*reading = (struct reading){0};
	reading->count = nodes_read_memory("a.yaml", span_of(text), &reading->diagnostics,
					   &reading->documents);
	reading->reader = (struct reader){&reading->diagnostics, "Kind/name"};
	assert_int_equal(reading->count, 1);
}

static void done(struct reading *reading)
{
	nodes_free(reading->documents, reading->count);
	diagnostics_free(&reading->diagnostics);
}

static void paths_print_as_people_write_them(void **state)
{
	struct path spec = path_field(NULL, "spec"), http = path_field(&spec, "http");
	struct path first = path_item(&http, 0), name = path_field(&first, "name");
	struct buffer out = {0};

	(void)state;
	path_print(&name, &out);
	assert_string_equal(buffer_text(&out), "spec.http[0].name");
	buffer_free(&out);
}

static void unknown_and_unsupported_fields_are_errors_and_ignored_ones_are_not(void **state)
{
	static const struct field_rule rules[] = {
		{"good", FIELD_READ},
		{"status", FIELD_IGNORED},
		{"tls", FIELD_UNSUPPORTED, "use plain HTTP"},
		{"tcp", FIELD_UNSUPPORTED},
		{"warmup", FIELD_LOST, "all at once"},
	};
	struct path spec = path_field(NULL, "spec");
	struct reading reading;

	(void)state;
	start(&reading, "good: 1\nstatus: 2\ntls: {}\ntcp: []\nother: 3\nwarmup: 1\n");
	assert_false(reader_check_fields(&reading.reader, reading.documents[0], &spec, rules,
					 ARRAY_LENGTH(rules)));
	assert_int_equal(reading.diagnostics.error_count, 2);
	assert_said(&reading.diagnostics,
		    "a.yaml:3:1: Kind/name: spec.tls: not supported: use plain HTTP");
	assert_said(&reading.diagnostics, "a.yaml:5:1: Kind/name: spec.other: unknown field");
	assert_said(&reading.diagnostics,
		    "a.yaml:6:1: warning: Kind/name: spec.warmup: not supported: all at once");
	done(&reading);
}

static void a_plain_value_of_another_type_is_no_text(void **state)
{
	static const char *const bad[] = {"10", "0001", "-1.5", "1e3", "0x1F", "true", "No", "[a]"};
	static const char *const good[] = {"v2",    "1.2.3", "\"10\"", "'true'", "10.0.0.1",
					   "1.2.x", "e3",    "0xg",    ".",	 "1h"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad) + ARRAY_LENGTH(good); i++) {
		bool is_good = i >= ARRAY_LENGTH(bad);
		struct reading reading;
		char *value = NULL;

		snprintf(text, sizeof(text), "a: %s\n",
			 is_good ? good[i - ARRAY_LENGTH(bad)] : bad[i]);
		start(&reading, text);
		int result =
			reader_string(&reading.reader, reading.documents[0], NULL, "a", &value);
		if (result != (is_good ? 0 : -1))
			fail_msg("%s gave %d", text, result);
		assert_int_equal(reading.diagnostics.error_count, is_good ? 0 : 1);
		free(value);
		done(&reading);
	}
}

static void absent_and_null_values_leave_the_default(void **state)
{
	struct reading reading;
	char *text = NULL;
	uint64_t number = 7;
	bool truth = true;

	(void)state;
	start(&reading, "a: null\n");
	const struct node *map = reading.documents[0];
	assert_int_equal(reader_string(&reading.reader, map, NULL, "a", &text), 1);
	assert_int_equal(reader_unsigned(&reading.reader, map, NULL, "b", 0, 9, &number), 1);
	assert_int_equal(reader_bool(&reading.reader, map, NULL, "b", &truth), 1);
	assert_int_equal(reader_decimal(&reading.reader, map, NULL, "b", 100, 9, &number), 1);
	assert_int_equal(reader_duration_ms(&reading.reader, map, NULL, "b", &number), 1);
	assert_null(reader_child(&reading.reader, map, NULL, "b", NODE_MAPPING));
	assert_null(text);
	assert_int_equal(number, 7);
	assert_nothing_said(&reading.diagnostics);
	done(&reading);
}

struct number_row {
	const char *text;
	int result;
	uint64_t value;
};

static void numbers_are_whole_decimal_and_in_bounds(void **state)
{
	static const struct number_row rows[] = {
		{"1", 0, 1},
		{"65535", 0, 65535},
		{"0", -1, 0},
		{"65536", -1, 0},
		{"-1", -1, 0},
		{"010", -1, 0},
		{"\"80\"", -1, 0},
		{"0x50", -1, 0},
		{"8.0", -1, 0},
		{"[1]", -1, 0},
		{"99999999999999999999", -1, 0},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading;
		uint64_t value = 0;

		snprintf(text, sizeof(text), "a: %s\n", rows[i].text);
		start(&reading, text);
		int result = reader_unsigned(&reading.reader, reading.documents[0], NULL, "a", 1,
					     65535, &value);
		if (result != rows[i].result || value != rows[i].value)
			fail_msg("%s gave %d", text, result);
		done(&reading);
	}
}

static void decimals_are_exact(void **state)
{
	static const struct number_row rows[] = {
		{"50", 0, 5000},   {"0.01", 0, 1},
		{"12.5", 0, 1250}, {"100", 0, 10000},
		{"1.50", 0, 150},  {"1.500", 0, 150},
		{"0.001", -1, 0},  {"100.01", -1, 0},
		{".5", -1, 0},	   {"1.", -1, 0},
		{"-1", -1, 0},	   {"5%", -1, 0},
		{"1e1", -1, 0},	   {"1844674407370955162", -1, 0},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading;
		uint64_t value = 0;

		snprintf(text, sizeof(text), "a: %s\n", rows[i].text);
		start(&reading, text);
		int result = reader_decimal(&reading.reader, reading.documents[0], NULL, "a", 100,
					    10000, &value);
		if (result != rows[i].result || value != rows[i].value)
			fail_msg("%s gave %d, %lu", text, result, (unsigned long)value);
		done(&reading);
	}
}

static void durations_are_read_as_go_writes_them(void **state)
{
	static const struct number_row rows[] = {
		{"1h", 0, 3600000}, {"1m30s", 0, 90000},
		{"250ms", 0, 250},  {"0.5s", 0, 500},
		{"0s", 0, 0},	    {"1.5h", 0, 5400000},
		{"2000us", 0, 2},   {"8784h", 0, 31622400000},
		{"8785h", -1, 0},   {"1us", -1, 0},
		{"10", -1, 0},	    {"s", -1, 0},
		{"1d", -1, 0},	    {"-1s", -1, 0},
		{"1 s", -1, 0},	    {"1.2.3s", -1, 0},
		{"\"\"", -1, 0},    {"99999999999999999999h", -1, 0},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading;
		uint64_t value = 0;

		snprintf(text, sizeof(text), "a: %s\n", rows[i].text);
		start(&reading, text);
		int result = reader_duration_ms(&reading.reader, reading.documents[0], NULL, "a",
						&value);
		if (result != rows[i].result || value != rows[i].value)
			fail_msg("%s gave %d, %lu", text, result, (unsigned long)value);
		done(&reading);
	}
}

static void truths_are_true_and_false_without_quotes(void **state)
{
	struct reading reading;
	bool truth = false;

	(void)state;
	start(&reading, "{a: true, b: \"true\", c: yes}");
	const struct node *map = reading.documents[0];
	assert_int_equal(reader_bool(&reading.reader, map, NULL, "a", &truth), 0);
	assert_true(truth);
	assert_int_equal(reader_bool(&reading.reader, map, NULL, "b", &truth), -1);
	assert_int_equal(reader_bool(&reading.reader, map, NULL, "c", &truth), -1);
	done(&reading);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_print_as_people_write_them),
		cmocka_unit_test(
			unknown_and_unsupported_fields_are_errors_and_ignored_ones_are_not),
		cmocka_unit_test(a_plain_value_of_another_type_is_no_text),
		cmocka_unit_test(absent_and_null_values_leave_the_default),
		cmocka_unit_test(numbers_are_whole_decimal_and_in_bounds),
		cmocka_unit_test(decimals_are_exact),
		cmocka_unit_test(durations_are_read_as_go_writes_them),
		cmocka_unit_test(truths_are_true_and_false_without_quotes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
