/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parsers alone see: heads and trailers that come byte by byte, responses, chunks, escapes. */
#include <stdlib.h>

#include "growth/growth.h"
#include "http/chunked.h"
#include "http/edit.h"
#include "http/values.h"
#include "policy/baggage.h"

/* A text that is `before`, `unit` so many times (with its number for %d), and `behind`. */
struct text_shape {
	const char *before, *unit, *behind;
};

struct text_work {
	struct buffer text, out;
	struct http_request_head request;
	struct http_response_head response;
	struct http_trailers trailers;
	struct http_edit edit;
};

static void release_text(void *context)
{
	struct text_work *work = context;

	buffer_free(&work->text);
	buffer_free(&work->out);
	free(work);
}

static void *prepare_text(const struct growth_curve *curve, size_t size)
{
	const struct text_shape *shape = curve->shape;
	struct text_work *work = calloc(1, sizeof(*work));

	if (!work)
		return NULL;
	buffer_append_text(&work->text, shape->before);
	for (size_t i = 0; i < size; i++)
		buffer_printf(&work->text, shape->unit, (int)i, (int)i);
	buffer_append_text(&work->text, shape->behind);
	return work;
}

/* Every byte comes alone: what was looked at is not looked at again. */
static bool run_slow_request(void *context)
{
	struct text_work *work = context;
	enum http_parse parse = HTTP_PARSE_MORE;
	struct http_refusal refusal;

	for (size_t i = 1; parse == HTTP_PARSE_MORE && i <= work->text.length; i++)
		parse = http_request_parse(work->text.data, i, i - 1, &http_default_limits,
					   &work->request, &refusal);
	return parse == HTTP_PARSE_COMPLETE && work->request.length == work->text.length;
}

static bool run_slow_response(void *context)
{
	struct text_work *work = context;
	enum http_parse parse = HTTP_PARSE_MORE;
	struct http_refusal refusal;

	for (size_t i = 1; parse == HTTP_PARSE_MORE && i <= work->text.length; i++)
		parse = http_response_parse(work->text.data, i, i - 1, &http_default_limits, false,
					    &work->response, &refusal);
	return parse == HTTP_PARSE_COMPLETE && work->response.length == work->text.length;
}

static bool run_response(void *context)
{
	struct text_work *work = context;
	struct http_refusal refusal;

	if (http_response_parse(work->text.data, work->text.length, 0, &http_default_limits, false,
				&work->response, &refusal) != HTTP_PARSE_COMPLETE)
		return false;
	http_edit_start_response(&work->edit, &work->response);
	if (http_edit_remove_hop_by_hop(&work->edit))
		return false;
	buffer_clear(&work->out);
	http_edit_append(&work->edit, &work->out);
	return work->out.length > 0;
}

static bool drop_some(void *context, struct span name)
{
	(void)context;
	return name.length == 3;
}

static bool run_trailers(void *context)
{
	struct text_work *work = context;
	enum http_parse parse = HTTP_PARSE_MORE;
	struct http_refusal refusal;

	for (size_t i = 1; parse == HTTP_PARSE_MORE && i <= work->text.length; i++)
		parse = http_trailers_parse(work->text.data, i, i - 1, &work->trailers, &refusal);
	buffer_clear(&work->out);
	http_trailers_write(&work->trailers, drop_some, NULL, &work->out);
	return parse == HTTP_PARSE_COMPLETE && work->trailers.length == work->text.length;
}

/* As the relay does: piece by piece. */
static bool run_chunks(void *context)
{
	struct text_work *work = context;
	struct http_chunked chunked = {0};
	size_t at = 0, length;
	enum http_chunk_piece piece;

	do {
		piece = http_chunked_next(&chunked, work->text.data + at, work->text.length - at,
					  &length);
		at += length;
	} while (piece == HTTP_CHUNK_FRAMING || piece == HTTP_CHUNK_DATA);
	return piece == HTTP_CHUNK_TRAILERS && at == work->text.length;
}

static bool run_scan(void *context)
{
	struct text_work *work = context;
	struct http_chunked chunked = {0};
	size_t length;

	return http_chunked_scan(&chunked, work->text.data, work->text.length, &length) ==
		       HTTP_CHUNK_TRAILERS &&
	       length == work->text.length;
}

static bool run_slow_chunks(void *context)
{
	struct text_work *work = context;
	enum http_chunk_piece piece = HTTP_CHUNK_MORE;
	struct http_chunked chunked = {0};
	size_t taken;

	for (size_t i = 0; piece == HTTP_CHUNK_MORE && i < work->text.length; i++)
		piece = http_chunked_scan(&chunked, work->text.data + i, 1, &taken);
	return piece == HTTP_CHUNK_TRAILERS;
}

static bool run_escapes(void *context)
{
	struct text_work *work = context;

	buffer_clear(&work->out);
	return http_percent_decode(buffer_span(&work->text), &work->out) &&
	       baggage_decode(buffer_span(&work->text), &work->out) == 0 && work->out.length;
}

static bool run_encoding(void *context)
{
	struct text_work *work = context;

	buffer_clear(&work->out);
	baggage_encode(buffer_span(&work->text), &work->out);
	return work->out.length >= work->text.length;
}

#define TEXT(title, do_run, count, before, unit, behind, ...)                                   \
	{                                                                                       \
		.name = title, .prepare = prepare_text, .run = do_run, .release = release_text, \
		.small = (count), .order = GROWTH_LINEAR,                                       \
		.shape = &(const struct text_shape){before, unit, behind}, ##__VA_ARGS__        \
	}

#define REQUEST "GET / HTTP/1.1\r\nHost: app\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"

static const struct growth_curve curves[] = {
	TEXT("request: bytes of a field that come one by one", run_slow_request, 15000,
	     REQUEST "a: ", "b", "\r\n\r\n"),
	TEXT("request: fields that come byte by byte", run_slow_request, 45, REQUEST,
	     "field-%08d: value\r\n", "\r\n"),
	TEXT("request: bytes of a target that come one by one", run_slow_request, 3500, "GET /",
	     "a", " HTTP/1.1\r\nHost: app\r\n\r\n"),
	TEXT("response: bytes of a field that come one by one", run_slow_response, 15000,
	     RESPONSE "a: ", "b", "\r\n\r\n"),
	TEXT("response: fields that come byte by byte", run_slow_response, 45, RESPONSE,
	     "field-%08d: value\r\n", "\r\n"),
	TEXT("response: fields", run_response, 45, RESPONSE, "field-%08d: value\r\n", "\r\n"),
	TEXT("response: bytes of a field", run_response, 15000, RESPONSE "a: ", "b", "\r\n\r\n"),
	TEXT("response: bytes of the reason", run_response, 15000, "HTTP/1.1 200 ", "b",
	     "\r\nContent-Length: 0\r\n\r\n"),
	TEXT("response: names that Connection lists", run_response, 3500,
	     RESPONSE "x-000001-id: 1\r\nx-000002-id: 1\r\nConnection: ", "x-zz-id,", "\r\n\r\n"),
	TEXT("response: fields that Connection lists", run_response, 24, RESPONSE,
	     "x-%08d-id: 1\r\nConnection: x-%08d-id\r\n", "\r\n"),
	TEXT("trailers: bytes that come one by one", run_trailers, 3500, "a: ", "b", "\r\n\r\n"),
	TEXT("trailers: fields that come byte by byte", run_trailers, 15, "",
	     "field-%08d: value\r\n", "\r\n"),
	TEXT("chunks of one byte", run_chunks, 5000, "", "1\r\na\r\n", "0\r\n", .per_unit = 105),
	TEXT("chunks of one byte taken at once", run_scan, 5000, "", "1\r\na\r\n", "0\r\n",
	     .per_unit = 105),
	TEXT("chunks that come byte by byte", run_slow_chunks, 2000, "", "3\r\nabc\r\n", "0\r\n"),
	TEXT("chunks with extensions", run_chunks, 1000, "", "00003;name=value\r\nabc\r\n",
	     "0\r\n"),
	TEXT("escapes", run_escapes, 5000, "", "%%41", ""),
	TEXT("bytes without escapes", run_escapes, 5000, "", "a", ""),
	TEXT("bytes to be escaped", run_encoding, 5000, "", "\"", ""),
};

int main(int argc, char **argv)
{
	return growth_main(curves, sizeof(curves) / sizeof(curves[0]), argc, argv);
}
