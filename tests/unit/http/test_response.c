/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/array.h"
#include "http/head.h"
#include "unit/http/guarded.h"

#define LENGTH5 "Content-Length: 5\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define WEBSOCKET "Upgrade: websocket\r\n"

struct row {
	const char *claim;
	const char *data;
	bool refused;
	enum http_framing framing;
	uint64_t content_length;
	bool keep_alive;
	bool to_head;
};

#define REFUSED true
#define OK(framing) false, HTTP_FRAMING_##framing

static const struct row rows[] = {
	{"a length", "HTTP/1.1 200 OK\r\n" LENGTH5 "\r\n", OK(CONTENT_LENGTH), 5, true},
	{"length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", OK(NONE), 0, true},
	{"chunked", "HTTP/1.1 200 OK\r\n" CHUNKED "\r\n", OK(CHUNKED), 0, true},
	{"until close", "HTTP/1.1 200 OK\r\n\r\n", OK(UNTIL_CLOSE), 0, false},
	{"until close in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", OK(UNTIL_CLOSE), 0, false},
	{"HTTP/1.0 closes", "HTTP/1.0 200 OK\r\n" LENGTH5 "\r\n", OK(CONTENT_LENGTH), 5, false},
	{"HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" LENGTH5 "\r\n",
	 OK(CONTENT_LENGTH), 5, true},
	{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\n" LENGTH5 "\r\n", OK(CONTENT_LENGTH), 5,
	 false},
	{"HEAD with a length", "HTTP/1.1 200 OK\r\n" LENGTH5 "\r\n", OK(NONE), 0, true, true},
	{"HEAD with chunked", "HTTP/1.1 200 OK\r\n" CHUNKED "\r\n", OK(NONE), 0, true, true},
	{"HEAD with neither", "HTTP/1.1 200 OK\r\n\r\n", OK(NONE), 0, true, true},
	{"204", "HTTP/1.1 204 No Content\r\n" LENGTH5 "\r\n", OK(NONE), 0, true},
	{"304", "HTTP/1.1 304 Not Modified\r\n" LENGTH5 "\r\n", OK(NONE), 0, true},
	{"100", "HTTP/1.1 100 Continue\r\n\r\n", OK(NONE), 0, true},
	{"101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", OK(NONE), 0,
	 true},
	{"101 in other letters", "HTTP/1.1 101 \r\nupgrade: WebSocket\r\n\r\n", OK(NONE), 0, true},
	{"101 without Upgrade", "HTTP/1.1 101 \r\nConnection: Upgrade\r\n\r\n", REFUSED},
	{"101 to another protocol", "HTTP/1.1 101 \r\nUpgrade: h2c\r\n\r\n", REFUSED},
	{"101 to two protocols", "HTTP/1.1 101 \r\nUpgrade: websocket, h2c\r\n\r\n", REFUSED},
	{"101 to one twice", "HTTP/1.1 101 \r\nUpgrade: websocket, websocket\r\n\r\n", REFUSED},
	{"101 with two Upgrades", "HTTP/1.1 101 \r\n" WEBSOCKET WEBSOCKET "\r\n", REFUSED},
	{"101 to nothing", "HTTP/1.1 101 \r\nUpgrade:\r\n\r\n", REFUSED},
	{"101 with a length", "HTTP/1.1 101 \r\n" WEBSOCKET LENGTH5 "\r\n", REFUSED},
	{"101 with length 0", "HTTP/1.1 101 \r\n" WEBSOCKET "Content-Length: 0\r\n\r\n", REFUSED},
	{"101 with chunked", "HTTP/1.1 101 \r\n" WEBSOCKET CHUNKED "\r\n", REFUSED},
	{"chunked among empty members", "HTTP/1.1 200 OK\r\nTransfer-Encoding: ,chunked,\r\n\r\n",
	 OK(CHUNKED), 0, true},
	{"empty members alone", "HTTP/1.1 200 OK\r\nTransfer-Encoding: ,\r\n\r\n", REFUSED},
	{"no reason", "HTTP/1.1 200 \r\n" LENGTH5 "\r\n", OK(CONTENT_LENGTH), 5, true},
	{"not even a space", "HTTP/1.1 200\r\n" LENGTH5 "\r\n", OK(CONTENT_LENGTH), 5, true},
	{"obs-text in the reason", "HTTP/1.1 200 \xc3\xa4\r\n" LENGTH5 "\r\n", OK(CONTENT_LENGTH),
	 5, true},

	{"both", "HTTP/1.1 200 OK\r\n" LENGTH5 CHUNKED "\r\n", REFUSED},
	{"both, to HEAD", "HTTP/1.1 200 OK\r\n" LENGTH5 CHUNKED "\r\n", REFUSED, .to_head = true},
	{"two lengths", "HTTP/1.1 200 OK\r\n" LENGTH5 LENGTH5 "\r\n", REFUSED},
	{"a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5,5\r\n\r\n", REFUSED},
	{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", REFUSED},
	{"a bad length in 304", "HTTP/1.1 304 OK\r\nContent-Length: x\r\n\r\n", REFUSED},
	{"gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", REFUSED},
	{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\n" CHUNKED "\r\n", REFUSED},
	{"chunked, spelt with _", "HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\n\r\n", REFUSED},
	{"a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", REFUSED},
	{"white space before a colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", REFUSED},
	{"a bare LF", "HTTP/1.1 200 OK\nA: b\r\n\r\n", REFUSED},
	{"a bare CR", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", REFUSED},
	{"a control byte in the reason", "HTTP/1.1 200 O\001K\r\n\r\n", REFUSED},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", REFUSED},
	{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", REFUSED},
	{"ICY", "ICY 200 OK\r\n\r\n", REFUSED},
	{"an empty line in front", "\r\nHTTP/1.1 200 OK\r\n\r\n", REFUSED},
	{"two digits", "HTTP/1.1 20 OK\r\n\r\n", REFUSED},
	{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", REFUSED},
	{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", REFUSED},
	{"status 099", "HTTP/1.1 099 OK\r\n\r\n", REFUSED},
	{"status 600", "HTTP/1.1 600 OK\r\n\r\n", REFUSED},
};

static void check(const struct row *row, size_t first, size_t step)
{
	size_t length = strlen(row->data), scanned = 0;
	struct http_response_head head;
	struct http_refusal refusal = {0};
	enum http_parse parse = HTTP_PARSE_MORE;

	for (size_t end = first; parse == HTTP_PARSE_MORE; end += step) {
		struct guarded cut = guarded_copy(row->data, end < length ? end : length);
		parse = http_response_parse(cut.data, end < length ? end : length, scanned,
					    &http_default_limits, row->to_head, &head, &refusal);
		guarded_free(&cut);
		if (end >= length)
			break;
		scanned = end;
	}
	bool good = row->refused
			    ? parse == HTTP_PARSE_REFUSED && refusal.status == 502
			    : parse == HTTP_PARSE_COMPLETE && head.framing == row->framing &&
				      head.content_length == row->content_length &&
				      head.keep_alive == row->keep_alive && head.length == length;
	if (!good)
		fail_msg("%s (first %zu, step %zu): parse %d %s", row->claim, first, step, parse,
			 refusal.reason ? refusal.reason : "");
}

static void responses_are_framed_or_refused_as_the_rows_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		check(&rows[i], strlen(rows[i].data), 1);
}

static void no_cut_changes_a_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		size_t length = strlen(rows[i].data);

		for (size_t cut = 1; cut < length; cut++)
			check(&rows[i], cut, length);
		check(&rows[i], 1, 1);
	}
}

static void a_response_may_be_interim_or_a_tunnel(void **state)
{
	struct http_response_head head;
	struct http_refusal refusal;
	const char *interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
	const char *tunnel = "HTTP/1.1 101 Switching Protocols\r\n" WEBSOCKET "\r\n";

	(void)state;
	assert_int_equal(http_response_parse(interim, strlen(interim), 0, &http_default_limits,
					     false, &head, &refusal),
			 HTTP_PARSE_COMPLETE);
	assert_true(head.interim && !head.upgrade);
	assert_true(span_equal(head.reason, span_of("Early Hints")));
	assert_int_equal(http_response_parse(tunnel, strlen(tunnel), 0, &http_default_limits, false,
					     &head, &refusal),
			 HTTP_PARSE_COMPLETE);
	assert_true(!head.interim && head.upgrade);
}

static void nothing_at_all_asks_for_more(void **state)
{
	struct http_response_head head;
	struct http_refusal refusal;

	(void)state;
	assert_int_equal(
		http_response_parse(NULL, 0, 0, &http_default_limits, false, &head, &refusal),
		HTTP_PARSE_MORE);
}

static void a_head_beyond_the_limit_is_refused(void **state)
{
	const struct http_limits limits = {.head_bytes = 40, .fields = 10, .target_bytes = 10};
	const char *text = "HTTP/1.1 200 OK\r\nA: 012345678901234567890123456789\r\n\r\n";
	struct http_response_head head;
	struct http_refusal refusal;

	(void)state;
	assert_int_equal(http_response_parse(text, 30, 0, &limits, false, &head, &refusal),
			 HTTP_PARSE_MORE);
	assert_int_equal(http_response_parse(text, 40, 30, &limits, false, &head, &refusal),
			 HTTP_PARSE_REFUSED);
	assert_int_equal(
		http_response_parse(text, strlen(text), 0, &limits, false, &head, &refusal),
		HTTP_PARSE_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(responses_are_framed_or_refused_as_the_rows_say),
		cmocka_unit_test(no_cut_changes_a_verdict),
		cmocka_unit_test(a_response_may_be_interim_or_a_tunnel),
		cmocka_unit_test(nothing_at_all_asks_for_more),
		cmocka_unit_test(a_head_beyond_the_limit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
