/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/head.h"

#include "http/syntax.h"
#include "http/values.h"

#define MAXIMUM_METHOD_BYTES 32

static enum http_parse read_method(struct http_reader *reader, struct http_request_head *head,
				   struct http_refusal *ret_refusal)
{
	const char *start = reader->at;
	const char *end = http_skip_name(start, reader->end);

	if (end - start > MAXIMUM_METHOD_BYTES)
		return http_refuse(ret_refusal, 501, "method too long");
	if (end == reader->end)
		return HTTP_PARSE_MORE;
	if (*end != ' ' || end == start)
		return http_refuse(ret_refusal, 400, "malformed method");
	head->method = (struct span){start, (size_t)(end - start)};
	reader->at = end + 1;
	return HTTP_PARSE_COMPLETE;
}

static enum http_parse check_method(struct http_request_head *head,
				    struct http_refusal *ret_refusal)
{
	struct span method = head->method;

	head->is_head = span_equal(method, (struct span){"HEAD", 4});
	if (method.length != 4 && method.length != 7)
		return HTTP_PARSE_COMPLETE;
	if (!head->is_head && span_equal_ignore_case(method, (struct span){"HEAD", 4}))
		return http_refuse(ret_refusal, 400, "HEAD in lower case");
	if (span_equal_ignore_case(method, (struct span){"CONNECT", 7}))
		return http_refuse(ret_refusal, 501, "CONNECT is not offered");
	return HTTP_PARSE_COMPLETE;
}

static enum http_parse read_target(struct http_reader *reader, size_t maximum,
				   struct http_request_head *head, struct http_refusal *ret_refusal)
{
	const char *start = reader->at;
	const char *end = http_skip_target(start, reader->end);

	if ((size_t)(end - start) > maximum)
		return http_refuse(ret_refusal, 414, "request target too long");
	if (end == reader->end)
		return HTTP_PARSE_MORE;
	if (*end != ' ' || end == start)
		return http_refuse(ret_refusal, 400, "malformed request target");
	head->target = (struct span){start, (size_t)(end - start)};
	reader->at = end + 1;
	return HTTP_PARSE_COMPLETE;
}

/* RFC 9112 2.2: one empty line in front is passed over. */
static enum http_parse read_leading_line(struct http_reader *reader,
					 struct http_refusal *ret_refusal)
{
	if (reader->at == reader->end)
		return HTTP_PARSE_MORE;
	if (*reader->at != '\r' && *reader->at != '\n')
		return HTTP_PARSE_COMPLETE;
	return http_read_line_end(reader, ret_refusal);
}

static enum http_parse read_request_line(struct http_reader *reader, size_t maximum_target,
					 struct http_request_head *head,
					 struct http_refusal *ret_refusal)
{
	enum http_parse parse = read_leading_line(reader, ret_refusal);

	if (parse == HTTP_PARSE_COMPLETE)
		parse = read_method(reader, head, ret_refusal);
	if (parse == HTTP_PARSE_COMPLETE)
		parse = check_method(head, ret_refusal);
	if (parse == HTTP_PARSE_COMPLETE)
		parse = read_target(reader, maximum_target, head, ret_refusal);
	if (parse == HTTP_PARSE_COMPLETE)
		parse = http_read_version(reader, 505, &head->minor_version, ret_refusal);
	if (parse == HTTP_PARSE_COMPLETE)
		parse = http_read_line_end(reader, ret_refusal);
	return parse;
}

static void split_query(struct http_request_head *head, struct span path_and_query)
{
	head->query = (struct span){NULL, 0};
	if (!span_cut(path_and_query, '?', &head->path, &head->query))
		head->query = (struct span){NULL, 0};
}

static enum http_parse split_absolute_form(struct http_request_head *head,
					   struct http_refusal *ret_refusal)
{
	struct span rest = head->target;

	if (span_starts_with_ignore_case(rest, (struct span){"http://", 7}))
		rest = (struct span){rest.data + 7, rest.length - 7};
	else if (span_starts_with_ignore_case(rest, (struct span){"https://", 8}))
		rest = (struct span){rest.data + 8, rest.length - 8};
	else
		return http_refuse(ret_refusal, 400, "malformed request target");

	size_t length = 0;
	while (length < rest.length && rest.data[length] != '/' && rest.data[length] != '?')
		length++;
	head->absolute_form = true;
	head->authority = (struct span){rest.data, length};
	if (length == 0 || !http_is_authority(head->authority))
		return http_refuse(ret_refusal, 400, "malformed authority");
	split_query(head, (struct span){rest.data + length, rest.length - length});
	if (head->path.length == 0) { /* RFC 9112 3.2.1, 3.2.4 */
		bool whole_server =
			!head->query.data && span_equal(head->method, span_of("OPTIONS"));
		head->path = whole_server ? (struct span){"*", 1} : (struct span){"/", 1};
	}
	return HTTP_PARSE_COMPLETE;
}

static enum http_parse split_target(struct http_request_head *head,
				    struct http_refusal *ret_refusal)
{
	head->absolute_form = false;
	head->authority = (struct span){"", 0};
	if (head->target.data[0] == '/') {
		split_query(head, head->target);
		return HTTP_PARSE_COMPLETE;
	}
	if (span_equal(head->target, (struct span){"*", 1})) {
		if (!span_equal(head->method, (struct span){"OPTIONS", 7}))
			return http_refuse(ret_refusal, 400, "asterisk-form without OPTIONS");
		head->path = head->target;
		head->query = (struct span){NULL, 0};
		return HTTP_PARSE_COMPLETE;
	}
	return split_absolute_form(head, ret_refusal);
}

static enum http_parse check_host(struct http_request_head *head, const struct http_field *host,
				  struct http_refusal *ret_refusal)
{
	head->has_host = host;
	if (!host) {
		if (head->minor_version == 1)
			return http_refuse(ret_refusal, 400, "no Host");
		return HTTP_PARSE_COMPLETE;
	}
	if (host->value.length && !http_is_authority(host->value))
		return http_refuse(ret_refusal, 400, "malformed Host");
	if (!head->absolute_form)
		head->authority = host->value;
	return HTTP_PARSE_COMPLETE;
}

static enum http_parse find_framing(struct http_request_head *head, const struct http_facts *facts,
				    struct http_refusal *ret_refusal)
{
	head->framing = HTTP_FRAMING_NONE;
	head->content_length = 0;
	if (facts->transfer_encoding) {
		if (head->minor_version == 0)
			return http_refuse(ret_refusal, 400, "Transfer-Encoding in HTTP/1.0");
		head->framing = HTTP_FRAMING_CHUNKED;
		return http_check_transfer_encoding(facts->transfer_encoding->value, ret_refusal);
	}
	if (!facts->content_length)
		return HTTP_PARSE_COMPLETE;
	enum http_parse parse =
		http_read_content_length(facts->content_length, &head->content_length, ret_refusal);
	if (head->content_length)
		head->framing = HTTP_FRAMING_CONTENT_LENGTH;
	return parse;
}

static bool asks_for_websocket(const struct http_request_head *head, const struct http_facts *facts)
{
	return facts->connection_upgrade && head->minor_version == 1 &&
	       head->framing == HTTP_FRAMING_NONE &&
	       span_equal(head->method, (struct span){"GET", 3}) && http_names_websocket(facts);
}

static enum http_parse interpret(struct http_request_head *head, struct http_refusal *ret_refusal)
{
	struct http_facts facts;
	enum http_parse parse = http_gather_facts(head->fields, head->known, &facts, ret_refusal);

	if (parse == HTTP_PARSE_COMPLETE)
		parse = split_target(head, ret_refusal);
	if (parse == HTTP_PARSE_COMPLETE)
		parse = check_host(head, facts.host, ret_refusal);
	if (parse == HTTP_PARSE_COMPLETE)
		parse = find_framing(head, &facts, ret_refusal);
	if (parse != HTTP_PARSE_COMPLETE)
		return parse;
	head->keep_alive = http_keeps_alive(&facts, head->minor_version);
	head->expect_continue =
		facts.expect && head->minor_version == 1 && head->framing != HTTP_FRAMING_NONE &&
		span_equal_ignore_case(facts.expect->value, (struct span){"100-continue", 12});
	head->upgrade = asks_for_websocket(head, &facts);
	return HTTP_PARSE_COMPLETE;
}

static enum http_parse parse_all(const char *data, size_t length, const struct http_limits *limits,
				 struct http_request_head *head, struct http_refusal *ret_refusal)
{
	struct http_reader reader = {data, data + length, limits->allow_bare_lf, false};
	enum http_parse parse = read_request_line(&reader, limits->target_bytes, head, ret_refusal);

	if (parse == HTTP_PARSE_COMPLETE)
		parse = http_read_fields(&reader, head->fields, limits->fields, &head->field_count,
					 &head->fields_end, ret_refusal);
	if (parse == HTTP_PARSE_MORE && length < limits->head_bytes)
		return parse;
	if (parse == HTTP_PARSE_REFUSED)
		return parse;
	head->length = (size_t)(reader.at - data);
	head->has_bare_lf = reader.has_bare_lf;
	head->has_escaped_names = reader.has_escaped_names;
	head->names = reader.names;
	head->known = reader.known;
	if (parse == HTTP_PARSE_MORE || head->length > limits->head_bytes)
		return http_refuse(ret_refusal, 431, "head too large");
	return interpret(head, ret_refusal);
}

enum http_parse http_request_parse(const char *data, size_t length, size_t already_scanned,
				   const struct http_limits *limits,
				   struct http_request_head *ret_head,
				   struct http_refusal *ret_refusal)
{
	if (already_scanned && length < limits->head_bytes &&
	    !http_has_empty_line(data, length, already_scanned))
		return HTTP_PARSE_MORE;
	return parse_all(data, length, limits, ret_head, ret_refusal);
}

const struct http_field *http_request_field(const struct http_request_head *head, struct span name)
{
	return http_find_field(head->fields, head->field_count, head->names, name);
}
