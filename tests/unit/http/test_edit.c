/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "base/array.h"
#include "http/edit.h"
#include "unit/http/guarded.h"

static struct http_request_head request;
static struct http_response_head response;

static void start(struct http_edit *edit, const char *text)
{
	struct http_limits limits = http_default_limits;
	struct http_refusal refusal;

	limits.allow_bare_lf = true;
	memset(edit, 0xa5, sizeof(*edit)); /* it need not be zeroed */
	if (strncmp(text, "HTTP/", 5) == 0) {
		assert_int_equal(http_response_parse(text, strlen(text), 0, &limits, false,
						     &response, &refusal),
				 HTTP_PARSE_COMPLETE);
		http_edit_start_response(edit, &response);
	} else {
		assert_int_equal(
			http_request_parse(text, strlen(text), 0, &limits, &request, &refusal),
			HTTP_PARSE_COMPLETE);
		http_edit_start(edit, &request);
	}
}

static void expect(const struct http_edit *edit, const char *text)
{
	size_t size = http_edit_size(edit);
	char nothing[] = "";
	struct guarded memory = guarded_copy(nothing, 0);
	ssize_t length = http_edit_write(edit, memory.data - size, size);

	assert_true(length > 0 && (size_t)length <= size);
	assert_int_equal(http_edit_write(edit, memory.data - size, size - 1), -ENOSPC);
	char *written = strndup(memory.data - size, (size_t)length);
	assert_string_equal(written, text);
	free(written);
	guarded_free(&memory);
}

static void what_is_not_changed_goes_out_byte_for_byte(void **state)
{
	const char *text = "POST /a?b=c HTTP/1.1\r\nhOsT:a\r\nX-1: \t b \xc3\xa4 \r\nX-1:\r\n"
			   "Content-Length: 5\r\nA: b\r\n\r\n";
	struct http_edit edit;

	(void)state;
	start(&edit, text);
	assert_int_equal(http_edit_remove_hop_by_hop(&edit), 0);
	expect(&edit, text);
	text = "HTTP/1.1 299 \tOdd \r\nX:y\r\ncontent-length:5\r\n\r\n";
	start(&edit, text);
	assert_int_equal(http_edit_remove_hop_by_hop(&edit), 0);
	expect(&edit, text);
}

static void removed_fields_are_gone_and_set_ones_come_last(void **state)
{
	struct http_edit edit;
	struct span value;

	(void)state;
	start(&edit,
	      "GET / HTTP/1.1\r\nAppVer-A: v9\r\nHost: a\r\nB: 1\r\nB: 2\r\nappver-a: v8\r\n\r\n");
	assert_true(http_edit_get(&edit, span_of("b"), &value));
	assert_true(span_equal(value, span_of("1")));
	assert_int_equal(http_edit_set(&edit, span_of("appver-a"), span_of("v1")), 0);
	assert_int_equal(http_edit_set(&edit, span_of("APPVER-A"), span_of("v2")), 0);
	http_edit_remove(&edit, 2);
	assert_true(http_edit_get(&edit, span_of("b"), &value));
	assert_true(span_equal(value, span_of("2")));
	assert_true(http_edit_get(&edit, span_of("appver-a"), &value));
	assert_true(span_equal(value, span_of("v2")));
	assert_int_equal(http_edit_add(&edit, span_of("c"), (struct span){NULL, 0}), 0);
	expect(&edit, "GET / HTTP/1.1\r\nHost: a\r\nB: 2\r\nAPPVER-A: v2\r\nc: \r\n\r\n");
	http_edit_remove_name(&edit, span_of("c"));
	assert_false(http_edit_get(&edit, span_of("c"), &value));
}

static void the_tail_comes_behind_all_other_fields(void **state)
{
	struct http_edit edit;
	struct span value;

	(void)state;
	start(&edit, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	edit.tail = span_of("Via: 1.1 b\r\nX: y\r\n");
	assert_int_equal(http_edit_add(&edit, span_of("c"), span_of("d")), 0);
	expect(&edit, "GET / HTTP/1.1\r\nHost: a\r\nc: d\r\nVia: 1.1 b\r\nX: y\r\n\r\n");
	assert_false(http_edit_get(&edit, span_of("Via"), &value));
}

static void a_response_that_goes_out_as_it_came_is_known(void **state)
{
	static const struct {
		const char *head;
		bool unchanged;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", true},
		{"HTTP/1.1 200 \r\n\r\n", true},
		{"HTTP/1.1 200\r\n\r\n", false},
		{"HTTP/1.0 200 OK\r\nA: b\r\n\r\n", false},
		{"HTTP/1.1 200 OK\r\nConnection: x\r\n\r\n", false},
		{"HTTP/1.1 200 OK\r\nContent-Length:  007\r\n\r\n", false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false},
	};
	struct http_edit edit;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(&edit, cases[i].head);
		assert_int_equal(http_edit_remove_hop_by_hop(&edit), 0);
		assert_int_equal(http_edit_is_unchanged(&edit), cases[i].unchanged);
		if (cases[i].unchanged)
			expect(&edit, cases[i].head);
	}
	start(&edit, cases[0].head);
	assert_int_equal(http_edit_add(&edit, span_of("Connection"), span_of("close")), 0);
	assert_false(http_edit_is_unchanged(&edit));
	start(&edit, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_false(http_edit_is_unchanged(&edit));
}

static void there_is_room_for_64_tags_and_an_end_to_it(void **state)
{
	struct http_edit edit;

	(void)state;
	start(&edit, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < HTTP_EDIT_MAX_ADDED; i++)
		assert_int_equal(http_edit_add(&edit, span_of("a"), span_of("b")), 0);
	assert_int_equal(http_edit_add(&edit, span_of("a"), span_of("b")), -1);
	assert_true(http_edit_size(&edit) > 96 * 6);
}

static void the_target_goes_out_in_origin_form(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
		{"GET http://a/p?q HTTP/1.1\r\nHost: a\r\n\r\n",
		 "GET /p?q HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n",
		 "GET /?q HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
		 "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET /x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\n\r\n"},
		{"\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"},
	};
	struct http_edit edit;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		start(&edit, cases[i].in);
		expect(&edit, cases[i].out);
	}
	edit.target = span_of("");
	expect(&edit, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void an_authority_replaces_the_host(void **state)
{
	struct http_edit edit;
	struct span value;

	(void)state;
	start(&edit, "GET / HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n");
	http_edit_set_authority(&edit, span_of("c:80"));
	assert_true(http_edit_get(&edit, span_of("host"), &value));
	assert_true(span_equal(value, span_of("c:80")));
	expect(&edit, "GET / HTTP/1.1\r\nHost: c:80\r\nA: b\r\n\r\n");
	assert_int_equal(http_edit_set(&edit, span_of("hOst"), span_of("d")), 0);
	expect(&edit, "GET / HTTP/1.1\r\nHost: d\r\nA: b\r\n\r\n");
	start(&edit, "GET / HTTP/1.0\r\n\r\n");
	http_edit_set_authority(&edit, (struct span){NULL, 0});
	expect(&edit, "GET / HTTP/1.1\r\nHost: \r\n\r\n");
}

static const struct {
	const char *claim;
	const char *in;
	const char *out;
} hop_rows[] = {
	{"Connection and what it lists go",
	 "GET / HTTP/1.1\r\nConnection: X-A, keep-alive\r\nHost: a\r\nx-a: 1\r\nB: 2\r\nX-A: 3\r\n"
	 "connection: b\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"Connection can't name Host or framing away",
	 "GET / HTTP/1.1\r\nConnection: Host, Content-Length, close\r\nHost: a\r\n"
	 "Content-Length: 5\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"},
	{"nor Transfer-Encoding, which is written afresh",
	 "GET / HTTP/1.1\r\nConnection: Transfer-Encoding\r\nHost: a\r\n"
	 "transfer-encoding:\tCHUNKED\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{"fields of one hop go",
	 "GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n"
	 "TE: trailers\r\nTrailer: A\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nHTTP2-Settings: x\r\n\r\n"},
	{"Trailer stays with a chunked body",
	 "GET / HTTP/1.1\r\nHost: a\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{"a length with leading zeros is written plainly",
	 "GET / HTTP/1.1\r\nContent-Length: 0010\r\nHost: a\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"},
	{"a length behind tabs is written plainly",
	 "GET / HTTP/1.1\r\nContent-Length:\t10 \r\nHost: a\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"},
	{"a Host between tabs is written plainly", "GET / HTTP/1.1\r\nA: b\r\nHost:\ta\t\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"},
	{"a request without Host gets one", "GET / HTTP/1.0\r\nA: b\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: \r\nA: b\r\n\r\n"},
	{"namely that of its target", "GET http://c/ HTTP/1.0\r\nA: b\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: c\r\nA: b\r\n\r\n"},
	{"which goes before its Host", "GET http://c:80/d HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n",
	 "GET /d HTTP/1.1\r\nHost: c:80\r\nA: b\r\n\r\n"},
	{"also an empty one", "GET http://c HTTP/1.1\r\nHost:\r\nConnection: host\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: c\r\n\r\n"},
	{"but for its letters", "GET http://C/ HTTP/1.1\r\nA: b\r\nHost: c\r\n\r\n",
	 "GET / HTTP/1.1\r\nA: b\r\nHost: c\r\n\r\n"},
	{"chunked is written without empty members",
	 "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked,\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{"a bare LF becomes CRLF", "GET / HTTP/1.1\nHost:a\nContent-Length:5\nB: c \n\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nContent-Length: 5\r\n\r\n"},
	{"a WebSocket is asked for",
	 "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
	 "Sec-WebSocket-Key: k\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\n"
	 "Upgrade: WebSocket\r\n\r\n"},
	{"and granted",
	 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
	 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
	{"a response without a reason", "HTTP/1.0 200\r\nA: b\r\n\r\n",
	 "HTTP/1.1 200 \r\nA: b\r\n\r\n"},
	{"204 has no framing fields",
	 "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nA: b\r\n\r\n",
	 "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"},
	{"304 keeps its length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	 "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
	{"a chunked response", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"},
};

static void hop_by_hop_fields_stay_on_their_hop(void **state)
{
	struct http_edit edit;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(hop_rows); i++) {
		print_message("# %s\n", hop_rows[i].claim);
		start(&edit, hop_rows[i].in);
		assert_int_equal(http_edit_remove_hop_by_hop(&edit), 0);
		assert_int_equal(http_edit_remove_hop_by_hop(&edit), 0); /* twice is as good */
		expect(&edit, hop_rows[i].out);
	}
}

static void connection_can_not_name_a_tag_away(void **state)
{
	struct http_edit edit;

	(void)state;
	for (int order = 0; order < 2; order++) {
		start(&edit,
		      "GET / HTTP/1.1\r\nHost: a\r\nConnection: appver-a\r\nappver-a: v9\r\n\r\n");
		if (order)
			assert_int_equal(http_edit_remove_hop_by_hop(&edit), 0);
		assert_int_equal(http_edit_set(&edit, span_of("appver-a"), span_of("v1")), 0);
		if (!order)
			assert_int_equal(http_edit_remove_hop_by_hop(&edit), 0);
		expect(&edit, "GET / HTTP/1.1\r\nHost: a\r\nappver-a: v1\r\n\r\n");
	}
}

static void a_buffer_takes_a_head_too(void **state)
{
	struct http_edit edit;
	struct buffer out = {0};

	(void)state;
	start(&edit, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	buffer_append_text(&out, "#");
	http_edit_append(&edit, &out);
	assert_string_equal(buffer_text(&out), "#GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_changed_goes_out_byte_for_byte),
		cmocka_unit_test(removed_fields_are_gone_and_set_ones_come_last),
		cmocka_unit_test(the_tail_comes_behind_all_other_fields),
		cmocka_unit_test(a_response_that_goes_out_as_it_came_is_known),
		cmocka_unit_test(there_is_room_for_64_tags_and_an_end_to_it),
		cmocka_unit_test(the_target_goes_out_in_origin_form),
		cmocka_unit_test(an_authority_replaces_the_host),
		cmocka_unit_test(hop_by_hop_fields_stay_on_their_hop),
		cmocka_unit_test(connection_can_not_name_a_tag_away),
		cmocka_unit_test(a_buffer_takes_a_head_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
