/* SPDX-License-Identifier: GPL-2.0-only */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "http/head.h"
#include "unit/http/guarded.h"

#define R(line) line " HTTP/1.1\r\nHost: a\r\n"
#define GET R("GET /")

struct row {
	const char *claim;
	const char *data;
	size_t length;
	unsigned status; /* 0: complete */
	enum http_framing framing;
	uint64_t content_length;
};

#define ROW(claim, data, ...)                              \
	{                                                  \
		claim, data, sizeof(data) - 1, __VA_ARGS__ \
	}
#define OK(framing) 0, HTTP_FRAMING_##framing

static const struct row rows[] = {
	ROW("the smallest request", GET "\r\n", OK(NONE)),
	ROW("one empty line in front is passed over", "\r\n" GET "\r\n", OK(NONE)),
	ROW("two empty lines in front", "\r\n\r\n" GET "\r\n", 400),
	ROW("a bare LF in front", "\n" GET "\r\n", 400),
	ROW("white space in front", " " GET "\r\n", 400),

	/* request line */
	ROW("any token is a method", R("M-SEARCH!~ /") "\r\n", OK(NONE)),
	ROW("no method", R(" /") "\r\n", 400),
	ROW("a comma is no tchar", R("GE,T /") "\r\n", 400),
	ROW("control byte in the method", R("GE\001T /") "\r\n", 400),
	ROW("a method of 33 bytes", R("GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG /") "\r\n", 501),
	ROW("CONNECT", R("CONNECT a:80") "\r\n", 501),
	ROW("CONNECT in lower case", R("connect a:80") "\r\n", 501),
	ROW("HEAD is HEAD", R("HEAD /") "\r\n", OK(NONE)),
	ROW("HEAD in lower case", R("Head /") "\r\n", 400),
	ROW("two spaces behind the method", R("GET  /") "\r\n", 400),
	ROW("two spaces behind the target", R("GET / ") "\r\n", 400),
	ROW("a tab for a space", R("GET\t/") "\r\n", 400),
	ROW("no target", R("GET") "\r\n", 400),
	ROW("a fragment", R("GET /#a") "\r\n", 400),
	ROW("obs-text in the target", R("GET /\xc3\xa4") "\r\n", 400),
	ROW("DEL in the target", R("GET /\177") "\r\n", 400),
	ROW("NUL in the target", R("GET /\0") "\r\n", 400),
	ROW("what browsers send unescaped", R("GET /a|b{c}[d]\"^`\\<>") "\r\n", OK(NONE)),
	ROW("asterisk-form", R("OPTIONS *") "\r\n", OK(NONE)),
	ROW("asterisk-form without OPTIONS", R("GET *") "\r\n", 400),
	ROW("asterisk and more", R("OPTIONS *a") "\r\n", 400),
	ROW("authority-form", R("GET a:80") "\r\n", 400),
	ROW("a relative target", R("GET a") "\r\n", 400),
	ROW("absolute-form", R("GET http://a/") "\r\n", OK(NONE)),
	ROW("absolute-form, case ignored", R("GET HTTP://A/") "\r\n", OK(NONE)),
	ROW("absolute-form with a differing Host", R("GET http://b/") "\r\n", OK(NONE)),
	ROW("absolute-form with a differing port", R("GET http://a:80/") "\r\n", OK(NONE)),
	ROW("absolute-form with a malformed Host", "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n",
	    400),
	ROW("absolute-form with two Hosts", R("GET http://b/") "Host: b\r\n\r\n", 400),
	ROW("absolute-form without Host", "GET http://b/ HTTP/1.1\r\n\r\n", 400),
	ROW("absolute-form with user information", R("GET http://u@a/") "\r\n", 400),
	ROW("absolute-form without a host", "GET http:/// HTTP/1.1\r\nHost:\r\n\r\n", 400),
	ROW("another scheme", R("GET ftp://a/") "\r\n", 400),

	/* version */
	ROW("no version", "GET /\r\n\r\n", 400),
	ROW("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", OK(NONE)),
	ROW("HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", 505),
	ROW("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
	ROW("HTTP/2.0's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
	ROW("HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
	ROW("HTTP/01.1", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400),
	ROW("http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n", 400),
	ROW("HTTP/1,1", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400),
	ROW("space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),

	/* lines */
	ROW("a bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
	ROW("a bare LF behind a field", GET "A: b\n\r\n", 400),
	ROW("a bare LF as the empty line", GET "\n", 400),
	ROW("a bare CR in a value", GET "A: b\rc\r\n\r\n", 400),
	ROW("a bare CR as a line's end", GET "A: b\rB: c\r\n\r\n", 400),
	ROW("CR CR LF", GET "A: b\r\r\n\r\n", 400),
	ROW("a bare CR as the empty line", GET "\rX\r\n\r\n", 400),
	ROW("a folded line", GET "A: b\r\n c\r\n\r\n", 400),
	ROW("a folded line by a tab", GET "A: b\r\n\tc\r\n\r\n", 400),
	ROW("white space in front of the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),

	/* fields */
	ROW("space before the colon", GET "A : b\r\n\r\n", 400),
	ROW("tab before the colon", GET "A\t: b\r\n\r\n", 400),
	ROW("no colon", GET "A\r\n\r\n", 400),
	ROW("no name", GET ": b\r\n\r\n", 400),
	ROW("a space within a name", GET "A b: c\r\n\r\n", 400),
	ROW("NUL in a name", GET "A\0: c\r\n\r\n", 400),
	ROW("obs-text in a name", GET "\xc3\xa4: c\r\n\r\n", 400),
	ROW("a bracket in a name", GET "A[]: c\r\n\r\n", 400),
	ROW("an empty value", GET "A:\r\nB: \t \r\n\r\n", OK(NONE)),
	ROW("obs-text and tabs in a value", GET "A: \xc3\xa4\tb 12345678\t90\r\n\r\n", OK(NONE)),
	ROW("NUL in a value", GET "A: b\0c\r\n\r\n", 400),
	ROW("NUL behind eight bytes", GET "A: 01234567\0c\r\n\r\n", 400),
	ROW("DEL in a value", GET "A: b\177c\r\n\r\n", 400),
	ROW("a control byte in a value", GET "A: 0123456789\037\r\n\r\n", 400),

	/* Host */
	ROW("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
	ROW("two Hosts", GET "Host: b\r\n\r\n", 400),
	ROW("two equal Hosts", GET "hOST: a\r\n\r\n", 400),
	ROW("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
	ROW("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", OK(NONE)),
	ROW("Host with a port", "GET / HTTP/1.1\r\nHost: a-b.c_d:8080\r\n\r\n", OK(NONE)),
	ROW("Host with a long port", "GET / HTTP/1.1\r\nHost: a:808080\r\n\r\n", 400),
	ROW("Host with letters as port", "GET / HTTP/1.1\r\nHost: a:8o\r\n\r\n", 400),
	ROW("IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", OK(NONE)),
	ROW("IPv6 unclosed", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
	ROW("IPv6 and more", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", 400),
	ROW("IPv6 without brackets", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400),
	ROW("a list as Host", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
	ROW("Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
	ROW("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
	ROW("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
	ROW("a port alone", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400),

	/* framing */
	ROW("a length", R("POST /") "Content-Length: 5\r\n\r\n", OK(CONTENT_LENGTH), 5),
	ROW("length 0", R("POST /") "Content-Length: 0\r\n\r\n", OK(NONE)),
	ROW("a body with GET", GET "content-length:5\r\n\r\n", OK(CONTENT_LENGTH), 5),
	ROW("leading zeros", GET "Content-Length: 0005\r\n\r\n", OK(CONTENT_LENGTH), 5),
	ROW("white space around a length", GET "Content-Length: \t5 \t\r\n\r\n", OK(CONTENT_LENGTH),
	    5),
	ROW("the largest length", GET "Content-Length: 9223372036854775807\r\n\r\n",
	    OK(CONTENT_LENGTH), INT64_MAX),
	ROW("one more", GET "Content-Length: 9223372036854775808\r\n\r\n", 400),
	ROW("2^64", GET "Content-Length: 18446744073709551616\r\n\r\n", 400),
	ROW("2^64 + 5", GET "Content-Length: 18446744073709551621\r\n\r\n", 400),
	ROW("an empty length", GET "Content-Length:\r\n\r\n", 400),
	ROW("a sign", GET "Content-Length: +5\r\n\r\n", 400),
	ROW("a negative length", GET "Content-Length: -5\r\n\r\n", 400),
	ROW("a hexadecimal length", GET "Content-Length: 0x5\r\n\r\n", 400),
	ROW("a length and more", GET "Content-Length: 5a\r\n\r\n", 400),
	ROW("two numbers", GET "Content-Length: 5 6\r\n\r\n", 400),
	ROW("a list of equal lengths", GET "Content-Length: 5, 5\r\n\r\n", 400),
	ROW("two equal lengths", GET "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400),
	ROW("two lengths", GET "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
	ROW("chunked", GET "Transfer-Encoding: chunked\r\n\r\n", OK(CHUNKED)),
	ROW("chunked, case ignored", GET "TRANSFER-ENCODING:\tCHUNKED \r\n\r\n", OK(CHUNKED)),
	ROW("length and chunked", GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	    400),
	ROW("chunked and length", GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
	    400),
	ROW("chunked and length 0", GET "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
	    400),
	ROW("chunked twice", GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	    400),
	ROW("chunked, chunked", GET "Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
	ROW("an empty coding", GET "Transfer-Encoding:\r\n\r\n", 400),
	ROW("identity", GET "Transfer-Encoding: identity\r\n\r\n", 400),
	ROW("a coding alone", GET "Transfer-Encoding: gzip\r\n\r\n", 400),
	ROW("a coding and chunked", GET "Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
	ROW("chunked and a coding", GET "Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
	ROW("xchunked", GET "Transfer-Encoding: xchunked\r\n\r\n", 400),
	ROW("chunked with a parameter", GET "Transfer-Encoding: chunked;a=b\r\n\r\n", 400),
	ROW("quoted chunked", GET "Transfer-Encoding: \"chunked\"\r\n\r\n", 400),
	ROW("chunked behind a comma", GET "Transfer-Encoding: ,chunked\r\n\r\n", OK(CHUNKED)),
	ROW("chunked before a comma", GET "Transfer-Encoding: chunked,\r\n\r\n", OK(CHUNKED)),
	ROW("chunked among empty members", GET "Transfer-Encoding: ,, \t, chunked ,\t,\r\n\r\n",
	    OK(CHUNKED)),
	ROW("empty members alone", GET "Transfer-Encoding: , ,\r\n\r\n", 400),
	ROW("chunked twice among empty members", GET "Transfer-Encoding: chunked,, chunked\r\n\r\n",
	    400),
	ROW("a coding behind an empty member", GET "Transfer-Encoding: gzip,,chunked\r\n\r\n", 501),
	ROW("empty members in HTTP/1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: ,chunked\r\n\r\n",
	    400),
	ROW("chunked in HTTP/1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
	ROW("Transfer_Encoding", GET "Transfer_Encoding: chunked\r\n\r\n", 400),
	ROW("content_length", GET "content_length: 5\r\n\r\n", 400),
	ROW("Transfer--Encoding", GET "Transfer--Encoding: chunked\r\n\r\n", 400),
	ROW("Content.Length", GET ".Content.Length: 5\r\n\r\n", 400),
	ROW("ContentLength is another name", GET "ContentLength: 5\r\n\r\n", OK(NONE)),
	ROW("so is Content-Lengths", GET "Content-Lengths: 5\r\n\r\n", OK(NONE)),
	ROW("TE is no framing", GET "TE: chunked\r\n\r\n", OK(NONE)),
};

/* The verdict of the parser on data that arrives in pieces that end at `cuts`. */
static enum http_parse parse_row(const struct row *row, const char *data, size_t first, size_t step,
				 struct http_request_head *head, struct http_refusal *refusal)
{
	size_t scanned = 0;

	for (size_t length = first; length < row->length; length += step) {
		/* Flush against unreadable memory also where the data is cut. */
		struct guarded cut = guarded_copy(data, length);
		enum http_parse parse = http_request_parse(cut.data, length, scanned,
							   &http_default_limits, head, refusal);
		guarded_free(&cut);
		if (parse != HTTP_PARSE_MORE)
			return parse;
		scanned = length;
	}
	return http_request_parse(data, row->length, scanned, &http_default_limits, head, refusal);
}

static void check_row(const struct row *row, const char *data, size_t first, size_t step)
{
	struct http_request_head head;
	struct http_refusal refusal = {0};
	enum http_parse parse = parse_row(row, data, first, step, &head, &refusal);
	bool good = row->status ? parse == HTTP_PARSE_REFUSED && refusal.status == row->status
				: parse == HTTP_PARSE_COMPLETE && head.framing == row->framing &&
					  head.content_length == row->content_length &&
					  head.length == row->length;

	if (!good)
		fail_msg("%s (first %zu, step %zu): parse %d, status %u %s", row->claim, first,
			 step, parse, refusal.status, refusal.reason ? refusal.reason : "");
}

static void requests_are_framed_or_refused_as_the_rows_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct guarded data = guarded_copy(rows[i].data, rows[i].length);
		check_row(&rows[i], data.data, rows[i].length, 1);
		guarded_free(&data);
	}
}

static void a_cut_at_any_byte_changes_no_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct guarded data = guarded_copy(rows[i].data, rows[i].length);
		for (size_t cut = 1; cut < rows[i].length; cut++)
			check_row(&rows[i], data.data, cut, rows[i].length);
		guarded_free(&data);
	}
}

static void arriving_byte_by_byte_changes_no_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct guarded data = guarded_copy(rows[i].data, rows[i].length);
		check_row(&rows[i], data.data, 1, 1);
		guarded_free(&data);
	}
}

static enum http_parse parse_text(const char *text, struct http_request_head *head)
{
	struct http_refusal refusal;

	return http_request_parse(text, strlen(text), 0, &http_default_limits, head, &refusal);
}

static void the_parts_of_a_request_are_found(void **state)
{
	struct http_request_head head;
	const char *text =
		"GET http://A:80/p?a=1?b HTTP/1.1\r\nhost: a:80\r\nX: \t v w \r\n\r\nbody";

	(void)state;
	assert_int_equal(parse_text(text, &head), HTTP_PARSE_COMPLETE);
	assert_true(span_equal(head.method, span_of("GET")));
	assert_true(span_equal(head.path, span_of("/p")));
	assert_true(span_equal(head.query, span_of("a=1?b")));
	assert_true(span_equal(head.authority, span_of("A:80")));
	assert_int_equal(head.length, strlen(text) - 4);
	assert_int_equal(head.field_count, 2);
	assert_true(span_equal(http_request_field(&head, span_of("x"))->value, span_of("v w")));
	assert_null(http_request_field(&head, span_of("y")));
	assert_ptr_equal(head.fields_end, text + head.length - 2);
}

static void an_absolute_form_without_a_path_means_the_root(void **state)
{
	struct http_request_head head;

	(void)state;
	assert_int_equal(parse_text(R("GET http://a") "\r\n", &head), HTTP_PARSE_COMPLETE);
	assert_true(span_equal(head.path, span_of("/")));
	assert_null(head.query.data);
	assert_int_equal(parse_text(R("GET http://a?q") "\r\n", &head), HTTP_PARSE_COMPLETE);
	assert_true(span_equal(head.path, span_of("/")));
	assert_true(span_equal(head.query, span_of("q")));
	assert_int_equal(parse_text(R("OPTIONS http://a") "\r\n", &head), HTTP_PARSE_COMPLETE);
	assert_true(span_equal(head.path, span_of("*")));
}

static void keep_alive_follows_version_and_connection(void **state)
{
	static const struct {
		const char *request;
		bool keep_alive;
	} cases[] = {
		{GET "\r\n", true},
		{GET "Connection: close\r\n\r\n", false},
		{GET "Connection: foo , CLOSE\r\n\r\n", false},
		{GET "Connection: keep-alive\r\nConnection: close\r\n\r\n", false},
		{GET "Connection: closed\r\n\r\n", true},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
	};
	struct http_request_head head;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(parse_text(cases[i].request, &head), HTTP_PARSE_COMPLETE);
		assert_int_equal(head.keep_alive, cases[i].keep_alive);
	}
}

static void only_a_websocket_is_an_upgrade(void **state)
{
#define CONNECTION "Connection: keep-alive, Upgrade\r\n"
	static const struct {
		const char *request;
		bool upgrade;
	} cases[] = {
		{GET CONNECTION "Upgrade: WebSocket\r\n\r\n", true},
		{GET CONNECTION "\r\n", false},
		{GET "Upgrade: websocket\r\n\r\n", false},
		{GET CONNECTION "Upgrade: h2c\r\n\r\n", false},
		{GET CONNECTION "Upgrade: h2c, websocket\r\n\r\n", false},
		{GET CONNECTION "Upgrade: websocket\r\nContent-Length: 1\r\n\r\n", false},
		{GET CONNECTION "Upgrade: websocket\r\nUpgrade: h2c\r\n\r\n", false},
		{GET CONNECTION "Upgrade: h2c\r\nUpgrade: websocket\r\n\r\n", false},
		{R("POST /") CONNECTION "Upgrade: websocket\r\n\r\n", false},
		{"GET / HTTP/1.0\r\n" CONNECTION "Upgrade: websocket\r\n\r\n", false},
	};
	struct http_request_head head;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(parse_text(cases[i].request, &head), HTTP_PARSE_COMPLETE);
		assert_int_equal(head.upgrade, cases[i].upgrade);
	}
}

static void a_continue_is_expected_only_with_a_body_in_1_1(void **state)
{
	struct http_request_head head;

	(void)state;
	assert_int_equal(parse_text(GET "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", &head),
			 HTTP_PARSE_COMPLETE);
	assert_true(head.expect_continue);
	assert_int_equal(parse_text(GET "Expect: 100-continue\r\n\r\n", &head),
			 HTTP_PARSE_COMPLETE);
	assert_false(head.expect_continue);
	assert_int_equal(parse_text("POST / HTTP/1.0\r\nExpect: 100-continue\r\n"
				    "Content-Length: 1\r\n\r\n",
				    &head),
			 HTTP_PARSE_COMPLETE);
	assert_false(head.expect_continue);
}

static void the_strictness_option_takes_bare_line_feeds(void **state)
{
	const struct http_limits lax = {
		.head_bytes = 1000, .fields = 10, .target_bytes = 100, .allow_bare_lf = true};
	const char *text = "\nGET / HTTP/1.1\nHost: a\nContent-Length: 5\r\n\n";
	struct http_request_head head;
	struct http_refusal refusal;
	size_t scanned = 0;

	(void)state;
	for (; scanned + 1 < strlen(text); scanned++)
		assert_int_equal(
			http_request_parse(text, scanned + 1, scanned, &lax, &head, &refusal),
			HTTP_PARSE_MORE);
	assert_int_equal(http_request_parse(text, strlen(text), scanned, &lax, &head, &refusal),
			 HTTP_PARSE_COMPLETE);
	assert_true(head.has_bare_lf);
	assert_int_equal(head.content_length, 5);
	assert_int_equal(head.length, strlen(text));
	text = "GET / HTTP/1.1\nHost: a\nA: b\rc\n\n";
	assert_int_equal(http_request_parse(text, strlen(text), 0, &lax, &head, &refusal),
			 HTTP_PARSE_REFUSED);
}

static void each_limit_has_its_status(void **state)
{
	const struct http_limits limits = {.head_bytes = 60, .fields = 2, .target_bytes = 10};
	static const struct {
		const char *request;
		unsigned status;
	} cases[] = {
		{"GET /234567890 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
		{"GET /2345678901 HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{"GET /2345678901", 414}, /* before its end */
		{"GET / HTTP/1.1\r\nHost: a\r\nB:\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\nHost: a\r\nB:\r\nC:\r\n\r\n", 431},
		{"GET / HTTP/1.1\r\nHost: a\r\nB: 345678901234567890123456789012\r\n\r\n", 431},
		{"GET / HTTP/1.1\r\nHost: a\r\nB: 34567890123456789012345678901\r\n\r\n", 431},
		{"GET / HTTP/1.1\r\nHost: a\r\nB: 3456789012345678901234567890\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\nHost: a\r\nB: 345678901234567890123456789012345678901234567",
		 431},
	};
	struct http_request_head head;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		size_t length = strlen(cases[i].request);

		for (size_t scanned = 0; scanned < 2; scanned++) {
			struct http_refusal refusal = {0};
			enum http_parse parse = http_request_parse(
				cases[i].request, length, scanned, &limits, &head, &refusal);
			if (scanned && parse == HTTP_PARSE_MORE)
				continue; /* found with the head's end */
			assert_int_equal(refusal.status, cases[i].status);
			assert_int_equal(parse, cases[i].status ? HTTP_PARSE_REFUSED
								: HTTP_PARSE_COMPLETE);
		}
	}
}

static void no_limit_goes_beyond_the_compiled_bound(void **state)
{
	const struct http_limits limits = {
		.head_bytes = 100000, .fields = 100000, .target_bytes = 10};
	static char text[10000];
	struct http_request_head head;
	struct http_refusal refusal;

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		strcpy(text, GET);
		for (int i = 1; i < HTTP_MAX_FIELDS + extra; i++)
			strcat(text, "A: b\r\n");
		strcat(text, "\r\n");
		enum http_parse parse =
			http_request_parse(text, strlen(text), 0, &limits, &head, &refusal);
		assert_int_equal(parse, extra ? HTTP_PARSE_REFUSED : HTTP_PARSE_COMPLETE);
	}
	assert_int_equal(refusal.status, 431);
}

/* The one field between Host and the end, as parsing sees it; -1: the head is refused. */
static int parsed_kind(const char *name)
{
	struct http_request_head head;
	struct http_refusal refusal;
	char text[256];

	int length =
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s: 1\r\n\r\n", name);
	return http_request_parse(text, (size_t)length, 0, &http_default_limits, &head, &refusal) ==
				       HTTP_PARSE_COMPLETE &&
			       head.field_count == 2
		       ? (int)head.fields[1].kind
		       : -1;
}

static void a_name_with_any_other_byte_is_another_field(void **state)
{
	static const char *const names[] = {"connection", "keep-alive", "proxy-connection",
					    "te",	  "trailer",	"upgrade",
					    "expect",	  "cookie"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[32];

		for (size_t at = 0; names[i][at]; at++) {
			for (unsigned byte = 1; byte < 256; byte++) {
				strcpy(name, names[i]);
				name[at] = (char)byte;
				int kind = parsed_kind(name);
				if (kind >= 0)
					assert_int_equal(kind, http_field_kind(span_of(name)));
			}
			strcpy(name, names[i]);
			name[at] = (char)toupper(name[at]);
			assert_int_equal(parsed_kind(name), http_field_kind(span_of(names[i])));
		}
		assert_int_not_equal(parsed_kind(names[i]), HTTP_FIELD_OTHER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_framed_or_refused_as_the_rows_say),
		cmocka_unit_test(a_cut_at_any_byte_changes_no_verdict),
		cmocka_unit_test(arriving_byte_by_byte_changes_no_verdict),
		cmocka_unit_test(the_parts_of_a_request_are_found),
		cmocka_unit_test(an_absolute_form_without_a_path_means_the_root),
		cmocka_unit_test(keep_alive_follows_version_and_connection),
		cmocka_unit_test(only_a_websocket_is_an_upgrade),
		cmocka_unit_test(a_continue_is_expected_only_with_a_body_in_1_1),
		cmocka_unit_test(the_strictness_option_takes_bare_line_feeds),
		cmocka_unit_test(each_limit_has_its_status),
		cmocka_unit_test(no_limit_goes_beyond_the_compiled_bound),
		cmocka_unit_test(a_name_with_any_other_byte_is_another_field),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
