/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What must hold for any input of the http room, whoever feeds it: the fuzzer (fuzz_http.c) or the
 * unit test (test_properties.c). Each function aborts where a property does not hold.
 */
#include <stdio.h>
#include <stdlib.h>

#include "http/chunked.h"
#include "http/edit.h"
#include "http/path.h"
#include "http/values.h"

#define REQUIRE(condition) ((condition) ? (void)0 : property_failed(__FILE__, __LINE__, #condition))

static inline void property_failed(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

/* What is written may have more fields than what was read: the compile-time bound is the limit. */
static const struct http_limits written_limits = {
	.head_bytes = 1 << 20, .fields = HTTP_MAX_FIELDS, .target_bytes = 1 << 20};

/*
 * A head's first parse at `cut`, then at its whole length: the verdict must be that of one parse.
 */
static inline void check_request_cut(const char *data, size_t length, size_t cut,
				     const struct http_limits *limits, enum http_parse whole,
				     const struct http_request_head *whole_head)
{
	static struct http_request_head head;
	struct http_refusal refusal = {0};
	enum http_parse parse = http_request_parse(data, cut, 0, limits, &head, &refusal);

	if (parse == HTTP_PARSE_MORE && cut)
		parse = http_request_parse(data, length, cut, limits, &head, &refusal);
	else if (parse == HTTP_PARSE_COMPLETE)
		REQUIRE(head.length <= cut);
	if (parse == HTTP_PARSE_MORE) /* a fault in a head without end may be found later */
		REQUIRE(whole != HTTP_PARSE_COMPLETE || cut == 0);
	else
		REQUIRE(parse == whole);
	if (parse == HTTP_PARSE_COMPLETE)
		REQUIRE(head.length == whole_head->length && head.framing == whole_head->framing);
}

static inline void check_fields(const struct http_field *fields, size_t count, const char *start,
				const char *end)
{
	const char *at = start;

	for (size_t i = 0; i < count; i++) {
		REQUIRE(fields[i].name.data >= at);
		REQUIRE(http_is_token(fields[i].name));
		REQUIRE(http_is_field_value(fields[i].value));
		REQUIRE(fields[i].kind == http_field_kind(fields[i].name));
		at = fields[i].value.data + fields[i].value.length;
		REQUIRE(at < end);
	}
}

/* What goes out must be strict, and mean what came in. */
static inline void check_forwarded_request(const struct http_request_head *in)
{
	static struct http_request_head out;
	static struct http_edit edit;
	struct http_refusal refusal = {0};
	struct buffer head = {0};
	struct span value;

	http_edit_start(&edit, in);
	REQUIRE(http_edit_remove_hop_by_hop(&edit) == 0);
	REQUIRE(http_edit_set(&edit, span_of("appver-a"), span_of("v1")) == 0);
	http_edit_append(&edit, &head);
	REQUIRE(!head.failed);
	enum http_parse parse =
		http_request_parse(head.data, head.length, 0, &written_limits, &out, &refusal);
	if (parse == HTTP_PARSE_REFUSED)
		REQUIRE(refusal.status == 431); /* a field more than there is room for */
	if (parse == HTTP_PARSE_COMPLETE) {
		REQUIRE(out.length == head.length && out.minor_version == 1);
		REQUIRE(out.framing == in->framing && out.content_length == in->content_length);
		REQUIRE(span_equal(out.method, in->method) && span_equal(out.path, in->path));
		REQUIRE(span_equal(out.query, in->query));
		REQUIRE(span_equal_ignore_case(out.authority, in->authority));
		REQUIRE(out.upgrade == in->upgrade);
		REQUIRE(http_edit_get(&edit, span_of("APPVER-a"), &value));
		REQUIRE(span_equal(value, span_of("v1")));
	}
	buffer_free(&head);
}

/* A path's normal form is a path that holds no dot segment, and the normal form of itself. */
static inline void check_path(struct span path, enum http_path_normalization way)
{
	struct buffer normal = {0}, again = {0};

	if (http_path_normalize(path, way, &normal) == HTTP_PATH_NORMALIZED) {
		REQUIRE(!normal.failed && normal.length && normal.length <= 3 * path.length);
		REQUIRE(normal.data[0] == '/' && !memchr(normal.data, '\\', normal.length));
		REQUIRE(!memmem(normal.data, normal.length, "/./", 3));
		REQUIRE(!memmem(normal.data, normal.length, "/../", 4));
		REQUIRE(http_path_normalize(buffer_span(&normal), way, &again) ==
			HTTP_PATH_IS_NORMAL);
	}
	buffer_free(&normal);
	buffer_free(&again);
}

static inline void check_request(const char *data, size_t length, size_t cut, bool allow_bare_lf)
{
	static struct http_request_head head;
	struct http_limits limits = {.head_bytes = 2000,
				     .fields = 40,
				     .target_bytes = 500,
				     .allow_bare_lf = allow_bare_lf};
	struct http_refusal refusal = {0};
	enum http_parse parse = http_request_parse(data, length, 0, &limits, &head, &refusal);
	struct http_parameter parameter;
	struct http_cookies cookies;
	struct span value;

	check_request_cut(data, length, cut, &limits, parse, &head);
	if (parse == HTTP_PARSE_REFUSED)
		REQUIRE(refusal.status >= 400 && refusal.status <= 505 && refusal.reason);
	if (parse != HTTP_PARSE_COMPLETE)
		return;
	REQUIRE(head.length <= length && head.length <= limits.head_bytes);
	REQUIRE(head.path.length && head.target.length <= limits.target_bytes);
	check_fields(head.fields, head.field_count, head.target.data, data + head.length);
	check_forwarded_request(&head);
	for (int way = HTTP_PATH_BASE; way <= HTTP_PATH_DECODE_AND_MERGE_SLASHES; way++)
		check_path(head.path, (enum http_path_normalization)way);
	for (value = head.query; http_query_next(&value, &parameter);)
		REQUIRE(parameter.name.data >= head.query.data);
	http_cookies_start(&cookies, &head);
	while (http_cookies_next(&cookies, &parameter))
		REQUIRE(parameter.name.data >= head.target.data);
}

static inline void check_response(const char *data, size_t length, size_t cut, bool to_head)
{
	static struct http_response_head head, again;
	static struct http_edit edit;
	struct http_refusal refusal = {0};
	struct buffer out = {0};
	enum http_parse parse = http_response_parse(data, length, 0, &http_default_limits, to_head,
						    &head, &refusal);
	enum http_parse first =
		http_response_parse(data, cut, 0, &http_default_limits, to_head, &again, &refusal);

	if (first == HTTP_PARSE_MORE && cut)
		first = http_response_parse(data, length, cut, &http_default_limits, to_head,
					    &again, &refusal);
	REQUIRE(first == parse || first == HTTP_PARSE_MORE);
	if (parse == HTTP_PARSE_REFUSED)
		REQUIRE(refusal.status == 502);
	if (parse != HTTP_PARSE_COMPLETE)
		return;
	check_fields(head.fields, head.field_count, data, data + head.length);
	http_edit_start_response(&edit, &head);
	REQUIRE(http_edit_remove_hop_by_hop(&edit) == 0);
	http_edit_append(&edit, &out);
	REQUIRE(http_response_parse(out.data, out.length, 0, &written_limits, to_head, &again,
				    &refusal) == HTTP_PARSE_COMPLETE);
	REQUIRE(again.status == head.status && again.framing == head.framing &&
		again.content_length == head.content_length && again.length == out.length);
	buffer_free(&out);
}

/* Where the body's chunks end, or the first fault; the content's bytes are summed up. */
static inline enum http_chunk_piece sum_chunks(struct http_chunked *chunked, const char *data,
					       size_t length, uint64_t *sum)
{
	enum http_chunk_piece piece;
	size_t at = 0, taken;

	do {
		piece = http_chunked_next(chunked, data + at, length - at, &taken);
		REQUIRE(taken <= length - at);
		for (size_t i = 0; piece == HTTP_CHUNK_DATA && i < taken; i++)
			*sum = *sum * 31 + (unsigned char)data[at + i] + 1;
		at += taken;
	} while (piece == HTTP_CHUNK_DATA || piece == HTTP_CHUNK_FRAMING);
	return piece;
}

static inline void check_trailers(const char *data, size_t length, size_t cut)
{
	struct http_trailers trailers, again;
	struct http_refusal refusal = {0};
	struct buffer out = {0};
	enum http_parse parse = http_trailers_parse(data, length, 0, &trailers, &refusal);
	enum http_parse first = http_trailers_parse(data, cut, 0, &again, &refusal);

	if (first == HTTP_PARSE_MORE && cut)
		first = http_trailers_parse(data, length, cut, &again, &refusal);
	REQUIRE(first == parse || first == HTTP_PARSE_MORE);
	if (parse != HTTP_PARSE_COMPLETE)
		return;
	REQUIRE(trailers.length <= length && trailers.length <= HTTP_TRAILER_BYTES);
	http_trailers_write(&trailers, NULL, NULL, &out);
	REQUIRE(http_trailers_parse(out.data, out.length, 0, &again, &refusal) != HTTP_PARSE_MORE);
	buffer_free(&out);
}

static inline void check_chunked(const char *data, size_t length, size_t cut)
{
	struct http_chunked whole = {0}, cut_up = {0}, scanned = {0};
	uint64_t whole_sum = 0, cut_sum = 0;
	size_t end;
	enum http_chunk_piece piece = sum_chunks(&whole, data, length, &whole_sum);
	enum http_chunk_piece first = sum_chunks(&cut_up, data, cut, &cut_sum);

	if (first == HTTP_CHUNK_MORE)
		first = sum_chunks(&cut_up, data + cut, length - cut, &cut_sum);
	REQUIRE(first == piece && cut_sum == whole_sum);
	REQUIRE(http_chunked_scan(&scanned, data, length, &end) == piece);
	REQUIRE(end <= length && (piece != HTTP_CHUNK_MORE || end == length));
	if (piece == HTTP_CHUNK_TRAILERS)
		check_trailers(data + end, length - end, (length - end) / 2);
}

/* The first byte picks the parser, the second where the rest is cut. */
static inline void check_http(const char *data, size_t length)
{
	if (length < 2)
		return;
	unsigned which = (unsigned char)data[0] % 6;
	size_t cut = (unsigned char)data[1];

	data += 2;
	length -= 2;
	cut = cut > length ? length / 2 : cut;
	if (which < 2)
		check_request(data, length, cut, which == 1);
	else if (which < 4)
		check_response(data, length, cut, which == 3);
	else if (which == 4)
		check_chunked(data, length, cut);
	else
		check_trailers(data, length, cut);
}
