/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/array.h"
#include "http/chunked.h"
#include "unit/http/guarded.h"

struct row {
	const char *claim;
	const char *data;
	size_t length;
	enum http_chunk_piece end;
	const char *content; /* all chunk data joined, up to the end or the fault */
};

#define ROW(claim, data, end, content)                                   \
	{                                                                \
		claim, data, sizeof(data) - 1, HTTP_CHUNK_##end, content \
	}

static const struct row rows[] = {
	ROW("an empty body", "0\r\n", TRAILERS, ""),
	ROW("one chunk", "5\r\nhello\r\n0\r\n", TRAILERS, "hello"),
	ROW("two chunks", "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n", TRAILERS, "hello0123456789"),
	ROW("small letters", "a\r\n0123456789\r\n0\r\n", TRAILERS, "0123456789"),
	ROW("leading zeros", "0005\r\nhello\r\n000\r\n", TRAILERS, "hello"),
	ROW("an extension", "5;a=\"b;c\";d\r\nhello\r\n0;e\r\n", TRAILERS, "hello"),
	ROW("data that looks like chunks", "7\r\n0\r\n\r\n0\r\r\n0\r\n", TRAILERS, "0\r\n\r\n0\r"),
	ROW("more to come", "5\r\nhel", MORE, "hel"),
	ROW("16 digits", "0000000000000005\r\nhello\r\n0\r\n", TRAILERS, "hello"),
	ROW("17 digits", "00000000000000005\r\nhello\r\n0\r\n", INVALID, ""),
	ROW("the largest size", "7fffffffffffffff\r\nx", MORE, "x"),
	ROW("beyond the largest size", "8000000000000000\r\nx", INVALID, ""),
	ROW("an overflow", "10000000000000005\r\nhello", INVALID, ""),
	ROW("no size", "\r\nhello\r\n", INVALID, ""),
	ROW("0x", "0x5\r\nhello\r\n", INVALID, ""),
	ROW("a sign", "+5\r\nhello\r\n", INVALID, ""),
	ROW("a negative size", "-5\r\nhello\r\n", INVALID, ""),
	ROW("no hex digit", "g\r\n", INVALID, ""),
	ROW("white space in front", " 5\r\nhello\r\n", INVALID, ""),
	ROW("white space behind", "5 \r\nhello\r\n", INVALID, ""),
	ROW("white space before an extension", "5 ;a\r\nhello\r\n", INVALID, ""),
	ROW("underscores", "1_0\r\n", INVALID, ""),
	ROW("a bare LF behind the size", "5\nhello\r\n", INVALID, ""),
	ROW("a bare LF in an extension", "5;a\nhello\r\n", INVALID, ""),
	ROW("a bare CR in an extension", "5;a\rb\r\nhello\r\n", INVALID, ""),
	ROW("NUL in an extension", "5;a\0\r\nhello\r\n", INVALID, ""),
	ROW("a bare CR behind the size", "5\rhello\r\n", INVALID, ""),
	ROW("a bare LF behind the data", "5\r\nhello\n0\r\n", INVALID, "hello"),
	ROW("a bare CR behind the data", "5\r\nhello\rX0\r\n", INVALID, "hello"),
	ROW("data longer than said", "5\r\nhello!\r\n0\r\n", INVALID, "hello"),
	ROW("data shorter than said", "5\r\nhell\r\n0\r\n", INVALID, "hell\r"),
	ROW("two bytes of anything behind the data", "5\r\nhelloXX0\r\n", INVALID, "hello"),
};

/* Feeds data[0, length) in runs of `first`, then `step` bytes. */
static enum http_chunk_piece feed(const struct row *row, size_t first, size_t step, char *content)
{
	struct http_chunked chunked = {0};
	enum http_chunk_piece piece = HTTP_CHUNK_MORE;
	size_t at = 0, run = first;

	while (at < row->length && piece == HTTP_CHUNK_MORE) {
		if (run > row->length - at)
			run = row->length - at;
		struct guarded data = guarded_copy(row->data + at, run);
		size_t done = 0, taken;
		do {
			piece = http_chunked_next(&chunked, data.data + done, run - done, &taken);
			if (piece == HTTP_CHUNK_DATA) {
				memcpy(content, data.data + done, taken);
				content += taken;
			}
			done += taken;
		} while (piece == HTTP_CHUNK_DATA || piece == HTTP_CHUNK_FRAMING);
		guarded_free(&data);
		at += run;
		run = step;
	}
	*content = '\0';
	return piece;
}

static void check(const struct row *row, size_t first, size_t step)
{
	char content[100];
	enum http_chunk_piece end = feed(row, first, step, content);

	if (end != row->end || strcmp(content, row->content) != 0)
		fail_msg("%s (first %zu, step %zu): %d, \"%s\"", row->claim, first, step, end,
			 content);
}

static void bodies_end_as_the_rows_say_however_they_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		check(&rows[i], rows[i].length, 1);
		for (size_t cut = 1; cut < rows[i].length; cut++)
			check(&rows[i], cut, rows[i].length);
		check(&rows[i], 1, 1);
	}
}

static void a_scan_takes_all_up_to_the_trailers(void **state)
{
	const char *text = "5\r\nhello\r\n0\r\nA: b\r\n\r\n";
	struct http_chunked chunked = {0};
	size_t length;

	(void)state;
	assert_int_equal(http_chunked_scan(&chunked, text, strlen(text), &length),
			 HTTP_CHUNK_TRAILERS);
	assert_string_equal(text + length, "A: b\r\n\r\n");
	assert_int_equal(http_chunked_scan(&chunked, text, strlen(text), &length),
			 HTTP_CHUNK_TRAILERS);
	assert_int_equal(length, 0);
}

static void after_a_fault_nothing_is_taken_any_more(void **state)
{
	struct http_chunked chunked = {0};
	size_t length;

	(void)state;
	assert_int_equal(http_chunked_scan(&chunked, "5\r\nhelloX", 9, &length),
			 HTTP_CHUNK_INVALID);
	assert_int_equal(length, 8);
	assert_int_equal(http_chunked_scan(&chunked, "\r\n0\r\n", 5, &length), HTTP_CHUNK_INVALID);
	assert_int_equal(length, 0);
}

static void spliced_bytes_count_as_data(void **state)
{
	struct http_chunked chunked = {0};
	size_t length;

	(void)state;
	assert_int_equal(http_chunked_scan(&chunked, "100000\r\nab", 10, &length), HTTP_CHUNK_MORE);
	assert_int_equal(chunked.data_left, 0x100000 - 2);
	http_chunked_spliced(&chunked, 0x100000 - 3);
	assert_int_equal(chunked.data_left, 1);
	http_chunked_spliced(&chunked, 1);
	assert_int_equal(http_chunked_scan(&chunked, "\r\n0\r\n", 5, &length), HTTP_CHUNK_TRAILERS);
}

static void an_extension_is_bounded(void **state)
{
	char text[HTTP_CHUNK_EXTENSION_BYTES + 4] = "5;";

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		struct http_chunked chunked = {0};
		size_t length;

		memset(text + 2, 'a', HTTP_CHUNK_EXTENSION_BYTES + extra);
		assert_int_equal(http_chunked_scan(&chunked, text,
						   2 + HTTP_CHUNK_EXTENSION_BYTES + extra, &length),
				 extra ? HTTP_CHUNK_INVALID : HTTP_CHUNK_MORE);
	}
}

static const struct {
	const char *claim;
	const char *data;
	unsigned status; /* 0: complete */
	size_t fields;
} trailer_rows[] = {
	{"none", "\r\n", 0, 0},
	{"one", "A: b\r\n\r\n", 0, 1},
	{"two", "A: b\r\nC:\r\n\r\n", 0, 2},
	{"a bare LF", "\nX\r\n\r\n", 400, 0},
	{"a bare LF behind a field", "A: b\n\r\n", 400, 0},
	{"a bare CR", "\rX\r\n\r\n", 400, 0},
	{"a folded line", "A: b\r\n c\r\n\r\n", 400, 0},
	{"white space before the colon", "A : b\r\n\r\n", 400, 0},
	{"a request", "GET / HTTP/1.1\r\n\r\n", 400, 0},
	{"Content-Length", "A: b\r\nContent-Length: 5\r\n\r\n", 400, 0},
	{"Transfer-Encoding", "Transfer-Encoding: chunked\r\n\r\n", 400, 0},
	{"Transfer_Encoding", "Transfer_Encoding: chunked\r\n\r\n", 400, 0},
	{"Host", "Host: a\r\n\r\n", 400, 0},
};

static void check_trailers(size_t row, size_t first, size_t step)
{
	const char *text = trailer_rows[row].data;
	size_t length = strlen(text), scanned = 0;
	struct http_trailers trailers;
	struct http_refusal refusal = {0};
	enum http_parse parse = HTTP_PARSE_MORE;

	for (size_t end = first; parse == HTTP_PARSE_MORE && scanned < length; end += step) {
		size_t have = end < length ? end : length;
		struct guarded data = guarded_copy(text, have);
		parse = http_trailers_parse(data.data, have, scanned, &trailers, &refusal);
		guarded_free(&data);
		scanned = have;
	}
	bool good =
		trailer_rows[row].status
			? parse == HTTP_PARSE_REFUSED && refusal.status == trailer_rows[row].status
			: parse == HTTP_PARSE_COMPLETE && trailers.length == length &&
				  trailers.field_count == trailer_rows[row].fields;
	if (!good)
		fail_msg("%s (first %zu, step %zu): %d", trailer_rows[row].claim, first, step,
			 parse);
}

static void trailers_are_taken_or_refused_as_the_rows_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(trailer_rows); i++) {
		size_t length = strlen(trailer_rows[i].data);

		for (size_t cut = 1; cut <= length; cut++)
			check_trailers(i, cut, length);
		check_trailers(i, 1, 1);
	}
}

static void trailers_are_bounded(void **state)
{
	static char text[HTTP_TRAILER_BYTES + 100] = "A: ";
	struct http_trailers trailers;
	struct http_refusal refusal;

	(void)state;
	memset(text + 3, 'a', HTTP_TRAILER_BYTES);
	assert_int_equal(http_trailers_parse(text, HTTP_TRAILER_BYTES - 1, 0, &trailers, &refusal),
			 HTTP_PARSE_MORE);
	assert_int_equal(http_trailers_parse(text, HTTP_TRAILER_BYTES, HTTP_TRAILER_BYTES - 1,
					     &trailers, &refusal),
			 HTTP_PARSE_REFUSED);
	assert_int_equal(refusal.status, 431);
	text[0] = '\0';
	for (int i = 0; i <= HTTP_TRAILER_FIELDS; i++)
		strcat(text, "A:\r\n");
	strcat(text, "\r\n");
	assert_int_equal(http_trailers_parse(text, strlen(text), 0, &trailers, &refusal),
			 HTTP_PARSE_REFUSED);
	assert_int_equal(refusal.status, 431);
}

static bool is_tag(void *context, struct span name)
{
	return span_starts_with_ignore_case(name, span_of(context));
}

static void filtered_and_hop_by_hop_trailers_are_left_out(void **state)
{
	const char *text = "Digest: \t a\r\nAppVer-A: v2\r\nConnection: x\r\nB:\r\n\r\n";
	struct http_trailers trailers;
	struct http_refusal refusal;
	struct buffer out = {0};
	char prefix[] = "appver-";

	(void)state;
	assert_int_equal(http_trailers_parse(text, strlen(text), 0, &trailers, &refusal),
			 HTTP_PARSE_COMPLETE);
	http_trailers_write(&trailers, is_tag, prefix, &out);
	assert_string_equal(buffer_text(&out), "Digest: a\r\nB: \r\n\r\n");
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_end_as_the_rows_say_however_they_are_cut),
		cmocka_unit_test(a_scan_takes_all_up_to_the_trailers),
		cmocka_unit_test(after_a_fault_nothing_is_taken_any_more),
		cmocka_unit_test(spliced_bytes_count_as_data),
		cmocka_unit_test(an_extension_is_bounded),
		cmocka_unit_test(trailers_are_taken_or_refused_as_the_rows_say),
		cmocka_unit_test(trailers_are_bounded),
		cmocka_unit_test(filtered_and_hop_by_hop_trailers_are_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
