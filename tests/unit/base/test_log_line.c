/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/log_line.h"

static const struct timespec noon = {.tv_sec = 1764158400, .tv_nsec = 7000000};

static size_t line_of(enum log_format format, const struct log_pair *pairs,
		      char line[LOG_LINE_BYTES])
{
	size_t length =
		log_line_write(format, &noon, LOG_LEVEL_WARNING, "it happened", pairs, line);

	assert_in_range(length, 1, LOG_LINE_BYTES);
	assert_null(memchr(line, '\n', length - 1));
	assert_int_equal(line[length - 1], '\n');
	return length - 1;
}

/* The lines' pairs as a JSON object of texts; fails where it is no logfmt. */
static json_t *parse_logfmt(const char *line, size_t length)
{
	json_t *object = json_object();
	const char *end = line + length;

	while (line < end) {
		const char *equals = memchr(line, '=', (size_t)(end - line));
		json_t *value;

		assert_non_null(equals);
		for (const char *at = line; at < equals; at++)
			assert_non_null(strchr("abcdefghijklmnopqrstuvwxyz_", *at));
		const char *at = equals + 1;
		if (at < end && *at == '"') {
			for (at++; at < end && *at != '"'; at++)
				at += *at == '\\';
			assert_true(at < end);
			at++;
			value = json_loadb(equals + 1, (size_t)(at - equals - 1), JSON_DECODE_ANY,
					   NULL);
		} else {
			while (at<end && * at> ' ' && *at < 0x7f && !strchr("\"=\\", *at))
				at++;
			value = json_stringn(equals + 1, (size_t)(at - equals - 1));
			assert_true(at > equals + 1);
		}
		assert_non_null(value);
		json_object_setn_new(object, line, (size_t)(equals - line), value);
		assert_true(at == end || *at == ' ');
		line = at + 1;
	}
	return object;
}

static json_t *parse(enum log_format format, const char *line, size_t length)
{
	json_t *object;

	if (format == LOG_FORMAT_LOGFMT)
		return parse_logfmt(line, length);
	object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	assert_true(json_is_object(object));
	return object;
}

static void assert_member(const json_t *object, const char *key, const char *value)
{
	assert_string_equal(json_string_value(json_object_get(object, key)), value);
}

static void an_event_is_a_line_of_logfmt(void **state)
{
	char line[LOG_LINE_BYTES];
	size_t length = line_of(LOG_FORMAT_LOGFMT,
				LOG_PAIRS(log_text("host", "a.b"), log_text("none", NULL),
					  log_text("said", "so \"x\"\n"), log_number("port", 80),
					  log_tenths("milliseconds", 123), log_errno(-2)),
				line);

	(void)state;
	line[length] = '\0';
	assert_string_equal(line, "time=2025-11-26T12:00:00.007Z level=warning "
				  "event=\"it happened\" host=a.b none=\"\" "
				  "said=\"so \\\"x\\\"\\n\" port=80 milliseconds=12.3 "
				  "error=\"No such file or directory\"");
}

static void an_event_is_a_line_of_json(void **state)
{
	char line[LOG_LINE_BYTES];
	size_t length =
		line_of(LOG_FORMAT_JSON,
			LOG_PAIRS(log_text("said", "so \"x\"\n\\\x7f\x1b"),
				  log_number("port", UINT64_MAX), log_tenths("milliseconds", 5)),
			line);

	(void)state;
	line[length] = '\0';
	assert_string_equal(
		line, "{\"time\":\"2025-11-26T12:00:00.007Z\",\"level\":\"warning\","
		      "\"event\":\"it happened\",\"said\":\"so \\\"x\\\"\\n\\\\\\u007f\\u001b\","
		      "\"port\":18446744073709551615,\"milliseconds\":0.5}");
}

static void no_bytes_of_a_value_break_a_line(void **state)
{
	const struct {
		const char *value, *read;
	} rows[] = {
		{"v\" level=error event=\"forged", "v\" level=error event=\"forged"},
		{"\"},{\"level\":\"error", "\"},{\"level\":\"error"},
		{"\n{\"level\":\"error\"}", "\n{\"level\":\"error\"}"},
		{"a=b", "a=b"},
		{"\\", "\\"},
		{"app-\303\244.example", "app-\303\244.example"},
		{"\360\237\230\200", "\360\237\230\200"},
		{"cut \303", "cut \357\277\275"},
		{"\303(", "\357\277\275("},
		{"\377\376", "\357\277\275\357\277\275"},
		{"\300\257", "\357\277\275\357\277\275"},		  /* overlong */
		{"\355\240\200", "\357\277\275\357\277\275\357\277\275"}, /* a surrogate */
		{"\364\220\200\200", "\357\277\275\357\277\275\357\277\275\357\277\275"},
		{"\302\205\t\r", "\302\205\t\r"}, /* U+0085 */
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int format = LOG_FORMAT_LOGFMT; format <= LOG_FORMAT_JSON; format++) {
			char line[LOG_LINE_BYTES];
			size_t length = line_of((enum log_format)format,
						LOG_PAIRS(log_text("value", rows[i].value),
							  log_text("behind", "it")),
						line);
			json_t *object = parse((enum log_format)format, line, length);

			assert_int_equal(json_object_size(object), 5);
			assert_member(object, "level", "warning");
			assert_member(object, "value", rows[i].read);
			assert_member(object, "behind", "it");
			json_decref(object);
		}
	}
}

/* Each byte alone, and in front of another. */
static void every_byte_can_be_read_back(void **state)
{
	(void)state;
	for (unsigned bytes = 1; bytes < 0x10000; bytes++) {
		const char value[] = {(char)(bytes & 0xff), (char)(bytes >> 8), 0};

		for (int format = LOG_FORMAT_LOGFMT; format <= LOG_FORMAT_JSON; format++) {
			char line[LOG_LINE_BYTES];
			size_t length = line_of((enum log_format)format,
						LOG_PAIRS(log_text("value", value)), line);
			json_t *object = parse((enum log_format)format, line, length);

			assert_int_equal(json_object_size(object), 4);
			for (size_t i = 0; i < length; i++)
				assert_true((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
			json_decref(object);
		}
	}
}

static void a_line_that_is_too_long_is_still_whole(void **state)
{
	static const char *const fillings[] = {"x", "\n", "\303\244", "\377", "\001", "a b"};
	char value[2 * LOG_LINE_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(fillings) / sizeof(fillings[0]); i++) {
		size_t step = strlen(fillings[i]);

		for (size_t filled = LOG_LINE_BYTES - 300; filled < LOG_LINE_BYTES + 20; filled++) {
			for (int format = LOG_FORMAT_LOGFMT; format <= LOG_FORMAT_JSON; format++) {
				char line[LOG_LINE_BYTES];

				for (size_t j = 0; j < filled; j++)
					value[j] = fillings[i][j % step];
				value[filled] = '\0';
				size_t length = line_of((enum log_format)format,
							LOG_PAIRS(log_text("value", value),
								  log_text("more", value),
								  log_number("last", 1)),
							line);
				json_decref(parse((enum log_format)format, line, length));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_a_line_of_logfmt),
		cmocka_unit_test(an_event_is_a_line_of_json),
		cmocka_unit_test(no_bytes_of_a_value_break_a_line),
		cmocka_unit_test(every_byte_can_be_read_back),
		cmocka_unit_test(a_line_that_is_too_long_is_still_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
