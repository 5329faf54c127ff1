/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/array.h"
#include "http/answer.h"
#include "http/syntax.h"
#include "http/values.h"
#include "unit/http/guarded.h"

static void empty_members_of_a_list_are_passed_over(void **state)
{
	struct span rest = span_of(" , a ,,\tB\t,c d,");
	struct span member;

	(void)state;
	assert_true(http_list_next(&rest, &member) && span_equal(member, span_of("a")));
	assert_true(http_list_next(&rest, &member) && span_equal(member, span_of("B")));
	assert_true(http_list_next(&rest, &member) && span_equal(member, span_of("c d")));
	assert_false(http_list_next(&rest, &member));
}

/* The index-th of them. */
static bool nth_parameter(struct span query, const char *name, size_t index, struct span *ret_value)
{
	struct http_parameter parameter;

	while (http_query_next(&query, &parameter)) {
		if (span_equal(parameter.name, span_of(name)) && index-- == 0) {
			*ret_value = parameter.value;
			return true;
		}
	}
	return false;
}

static bool nth_cookie(const struct http_request_head *head, const char *name, size_t index,
		       struct span *ret_value)
{
	struct http_parameter cookie;
	struct http_cookies cookies;

	http_cookies_start(&cookies, head);
	while (http_cookies_next(&cookies, &cookie)) {
		if (span_equal(cookie.name, span_of(name)) && index-- == 0) {
			*ret_value = cookie.value;
			return true;
		}
	}
	return false;
}

static void parameters_of_a_query_are_given_in_order(void **state)
{
	struct span query = span_of("a=1&&b&a=2=3&=x&A=9&a=");
	struct span value;

	(void)state;
	assert_true(nth_parameter(query, "a", 0, &value));
	assert_true(span_equal(value, span_of("1")));
	assert_true(nth_parameter(query, "a", 1, &value));
	assert_true(span_equal(value, span_of("2=3")));
	assert_true(nth_parameter(query, "a", 2, &value));
	assert_true(value.data && value.length == 0);
	assert_false(nth_parameter(query, "a", 3, &value));
	assert_true(nth_parameter(query, "b", 0, &value));
	assert_null(value.data);
	assert_true(nth_parameter(query, "", 0, &value));
	assert_true(http_query_parameter(query, span_of("a"), &value));
	assert_true(span_equal(value, span_of("1")));
	assert_false(http_query_parameter((struct span){NULL, 0}, span_of("a"), &value));
}

static void cookies_are_found_over_all_fields(void **state)
{
	const char *text = "GET / HTTP/1.1\r\nHost: a\r\nCookie: id=1;id2=x; bad ;id = \"2\"\r\n"
			   "X: id=9\r\ncookie: ; id=3=4\r\n\r\n";
	struct http_request_head head;
	struct http_refusal refusal;
	struct span value;

	(void)state;
	assert_int_equal(
		http_request_parse(text, strlen(text), 0, &http_default_limits, &head, &refusal),
		HTTP_PARSE_COMPLETE);
	assert_true(nth_cookie(&head, "id", 0, &value));
	assert_true(span_equal(value, span_of("1")));
	assert_true(nth_cookie(&head, "id", 1, &value));
	assert_true(span_equal(value, span_of("\"2\"")));
	assert_true(nth_cookie(&head, "id", 2, &value));
	assert_true(span_equal(value, span_of("3=4")));
	assert_false(nth_cookie(&head, "id", 3, &value));
	assert_false(nth_cookie(&head, "ID", 0, &value));
	assert_false(nth_cookie(&head, "bad", 0, &value));
	assert_true(http_cookie(&head, span_of("id"), &value));
	assert_true(span_equal(value, span_of("1")));
	assert_false(http_cookie(&head, span_of("bad"), &value));
}

static void escapes_are_decoded_or_refused_whole(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: refused */
	} cases[] = {{"", ""},	     {"a%20b%2fC%2F", "a b/C/"},
		     {"a+b", "a+b"}, {"%", NULL},
		     {"ab%4", NULL}, {"ab%4g", NULL},
		     {"%41", "A"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buffer out = {0};
		struct guarded text = guarded_copy(cases[i].in, strlen(cases[i].in));
		bool good =
			http_percent_decode((struct span){text.data, strlen(cases[i].in)}, &out);

		assert_int_equal(good, cases[i].out != NULL);
		assert_string_equal(buffer_text(&out), good ? cases[i].out : "");
		guarded_free(&text);
		buffer_free(&out);
	}
}

static void every_byte_is_classed_as_the_grammar_says(void **state)
{
	const char *tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz";

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char text[10] = "aaaaaaaa"; /* the byte at the end of eight: the fast way */
		bool field = byte == '\t' || (byte >= 0x20 && byte != 0x7f);

		text[7] = (char)byte;
		const char *stop = http_skip_field_bytes(text, text + 8);
		assert_int_equal(stop == text + 8, field);
		assert_int_equal(http_byte_is((char)byte, HTTP_BYTE_FIELD), field);
		assert_int_equal(http_byte_is((char)byte, HTTP_BYTE_TOKEN),
				 byte && strchr(tchar, byte));
		assert_int_equal(http_byte_is((char)byte, HTTP_BYTE_TARGET),
				 byte > 0x20 && byte < 0x7f && byte != '#');
	}
}

static void fast_and_plain_search_find_the_same_byte(void **state)
{
	uint64_t random = 88172645463325252ULL;
	char text[40];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t length = (size_t)round % sizeof(text);
		for (size_t i = 0; i < length; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			/* mostly allowed bytes, with those next to the borders often */
			text[i] = "\x20\x21\x80\xff\x7e\t aaaaaaaaaa\x1f\x7f\x00\xa0\x01"[random %
											  23];
		}
		struct guarded data = guarded_copy(text, length);
		assert_ptr_equal(http_skip_field_bytes(data.data, data.data + length),
				 http_skip(data.data, data.data + length, HTTP_BYTE_FIELD));
		guarded_free(&data);
	}
}

static void each_byte_ends_a_run_wherever_it_stands_in_a_block(void **state)
{
	char text[40];

	(void)state;
	for (size_t length = 1; length < sizeof(text); length++) {
		for (size_t at = 0; at < length; at++) {
			memset(text, 'a', sizeof(text));
			struct guarded data = guarded_copy(text, length);
			char *memory = (char *)data.data;
			const char *end = memory + length;

			for (int byte = 0; byte < 256; byte++) {
				memory[at] = (char)byte;
				assert_ptr_equal(http_skip_name(memory, end),
						 http_skip(memory, end, HTTP_BYTE_TOKEN));
				assert_ptr_equal(http_skip_host(memory, end),
						 http_skip(memory, end, HTTP_BYTE_HOST));
				assert_ptr_equal(http_skip_target(memory, end),
						 http_skip(memory, end, HTTP_BYTE_TARGET));
				assert_ptr_equal(http_skip_field_bytes(memory, end),
						 http_skip(memory, end, HTTP_BYTE_FIELD));
			}
			guarded_free(&data);
		}
	}
}

static void names_hash_alike_whatever_their_case(void **state)
{
	static const char *const pairs[][2] = {
		{"host", "HOST"}, {"x-user-id", "X-User-ID"}, {"a", "A"}, {"", ""}, {"z9", "Z9"},
	};
	uint64_t names = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct span lower = span_of(pairs[i][0]), upper = span_of(pairs[i][1]);

		assert_int_equal(http_name_hash(lower), http_name_hash(upper));
		assert_true(http_name_hash(lower) < 64);
		names |= UINT64_C(1) << http_name_hash(lower);
		assert_true(http_names_may_hold(names, upper));
	}
	assert_false(http_names_may_hold(0, span_of("host")));
}

static void a_field_value_has_no_control_bytes_nor_outer_white_space(void **state)
{
	(void)state;
	assert_true(http_is_field_value(span_of("")));
	assert_true(http_is_field_value(span_of("a\tb \xc3\xa4")));
	assert_false(http_is_field_value(span_of(" a")));
	assert_false(http_is_field_value(span_of("a\r\nb: c")));
	assert_false(http_is_field_value((struct span){"a\0b", 3}));
	assert_true(http_is_token(span_of("x-y")));
	assert_false(http_is_token(span_of("")));
	assert_false(http_is_token(span_of("x y")));
}

static void a_date_is_written_as_the_rfc_does(void **state)
{
	char text[HTTP_DATE_BYTES + 1];

	(void)state;
	http_date(784111777, text);
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void an_error_answer_is_a_whole_response(void **state)
{
	struct buffer out = {0};

	(void)state;
	http_error_response(431, "head too large", 784111777, true, false, &out);
	assert_string_equal(buffer_text(&out), "HTTP/1.1 431 Request Header Fields Too Large\r\n"
					       "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
					       "Content-Type: text/plain\r\n"
					       "Content-Length: 15\r\n"
					       "Connection: close\r\n\r\nhead too large\n");
	buffer_clear(&out);
	http_error_response(404, "no route", 784111777, false, true, &out);
	assert_string_equal(buffer_text(&out), "HTTP/1.1 404 Not Found\r\n"
					       "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
					       "Content-Type: text/plain\r\n"
					       "Content-Length: 9\r\n\r\n");
	buffer_free(&out);
}

static void a_port_has_at_most_five_digits(void **state)
{
	(void)state;
	assert_true(http_is_authority(span_of("a:80808")));
	assert_false(http_is_authority(span_of("a:808080")));
}

/* An empty span may have no data at all: NULL + 0 is undefined in C, which clang's UBSan tells. */
static void a_span_without_data_is_empty_everywhere(void **state)
{
	struct span none = {NULL, 0}, member, rest = none;
	struct http_parameter parameter;
	struct buffer out = {0};

	(void)state;
	assert_false(http_is_token(none));
	assert_true(http_is_field_value(none));
	assert_false(http_is_authority(none));
	assert_false(http_is_target(none));
	assert_false(http_list_next(&rest, &member));
	assert_false(http_query_next(&rest, &parameter));
	assert_false(http_query_parameter(none, span_of("a"), &member));
	assert_true(http_percent_decode(none, &out));
	assert_false(span_cut(none, ',', &member, &rest));
	assert_int_equal(member.length + rest.length, 0);
	assert_int_equal(span_trim(none).length, 0);
	assert_true(span_ends_with_ignore_case(none, none));
	assert_true(span_equal_ignore_case(none, none));
	assert_true(span_equal(none, none));
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_has_at_most_five_digits),
		cmocka_unit_test(a_span_without_data_is_empty_everywhere),
		cmocka_unit_test(empty_members_of_a_list_are_passed_over),
		cmocka_unit_test(parameters_of_a_query_are_given_in_order),
		cmocka_unit_test(cookies_are_found_over_all_fields),
		cmocka_unit_test(escapes_are_decoded_or_refused_whole),
		cmocka_unit_test(every_byte_is_classed_as_the_grammar_says),
		cmocka_unit_test(fast_and_plain_search_find_the_same_byte),
		cmocka_unit_test(each_byte_ends_a_run_wherever_it_stands_in_a_block),
		cmocka_unit_test(names_hash_alike_whatever_their_case),
		cmocka_unit_test(a_field_value_has_no_control_bytes_nor_outer_white_space),
		cmocka_unit_test(a_date_is_written_as_the_rfc_does),
		cmocka_unit_test(an_error_answer_is_a_whole_response),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
