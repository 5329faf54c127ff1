/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/head.h"

#include "http/syntax.h"

static enum http_parse read_status(struct http_reader *reader, struct http_response_head *head,
				   struct http_refusal *ret_refusal)
{
	const char *at = reader->at;
	unsigned status = 0;

	for (int i = 0; i < 4; i++, at++) {
		if (at == reader->end)
			return HTTP_PARSE_MORE;
		if (i == 0 ? *at != ' ' : (*at < '0' || *at > '9'))
			return http_refuse(ret_refusal, 502, "malformed status line");
		if (i > 0)
			status = status * 10 + (unsigned)(*at - '0');
	}
	if (status < 100 || status > 599)
		return http_refuse(ret_refusal, 502, "status out of range");
	head->status = (uint16_t)status;
	head->reason = (struct span){"", 0};
	head->has_space = at < reader->end && *at == ' ';
	reader->at = at;
	/*
	 * Many servers leave out the space in front of an empty reason phrase: nothing to misread.
	 */
	if (head->has_space) {
		reader->at = http_skip_field_bytes(at + 1, reader->end);
		head->reason = (struct span){at + 1, (size_t)(reader->at - at - 1)};
	}
	return http_read_line_end(reader, ret_refusal);
}

static enum http_parse find_framing(struct http_response_head *head, const struct http_facts *facts,
				    bool to_head, struct http_refusal *ret_refusal)
{
	uint64_t content_length = 0;
	enum http_parse parse = HTTP_PARSE_COMPLETE;

	if (facts->transfer_encoding) {
		if (head->minor_version == 0)
			return http_refuse(ret_refusal, 502, "Transfer-Encoding in HTTP/1.0");
		parse = http_check_transfer_encoding(facts->transfer_encoding->value, ret_refusal);
	} else if (facts->content_length) {
		parse = http_read_content_length(facts->content_length, &content_length,
						 ret_refusal);
	}
	if (parse != HTTP_PARSE_COMPLETE)
		return parse;
	head->content_length = 0;
	if (to_head || head->status < 200 || head->status == 204 || head->status == 304) {
		head->framing = HTTP_FRAMING_NONE;
	} else if (facts->transfer_encoding) {
		head->framing = HTTP_FRAMING_CHUNKED;
	} else if (!facts->content_length) {
		head->framing = HTTP_FRAMING_UNTIL_CLOSE;
	} else {
		head->framing = content_length ? HTTP_FRAMING_CONTENT_LENGTH : HTTP_FRAMING_NONE;
		head->content_length = content_length;
	}
	return HTTP_PARSE_COMPLETE;
}

/* RFC 9110 7.8, 8.6, 15.2.2; RFC 9112 6.1. */
static enum http_parse check_upgrade(const struct http_facts *facts,
				     struct http_refusal *ret_refusal)
{
	if (!http_names_websocket(facts))
		return http_refuse(ret_refusal, 502, "an upgrade to what was not asked for");
	if (facts->content_length || facts->transfer_encoding)
		return http_refuse(ret_refusal, 502, "framing of a body in an upgrade");
	return HTTP_PARSE_COMPLETE;
}

static enum http_parse interpret(struct http_response_head *head, bool to_head,
				 struct http_refusal *ret_refusal)
{
	struct http_facts facts;
	enum http_parse parse = http_gather_facts(head->fields, head->known, &facts, ret_refusal);

	if (parse == HTTP_PARSE_COMPLETE)
		parse = find_framing(head, &facts, to_head, ret_refusal);
	if (parse != HTTP_PARSE_COMPLETE)
		return parse;
	head->keep_alive = http_keeps_alive(&facts, head->minor_version) &&
			   head->framing != HTTP_FRAMING_UNTIL_CLOSE;
	head->upgrade = head->status == 101;
	head->interim = head->status < 200 && !head->upgrade;
	return head->upgrade ? check_upgrade(&facts, ret_refusal) : HTTP_PARSE_COMPLETE;
}

static enum http_parse parse_all(const char *data, size_t length, const struct http_limits *limits,
				 bool to_head, struct http_response_head *head,
				 struct http_refusal *ret_refusal)
{
	struct http_reader reader = {data, data + length, limits->allow_bare_lf, false};
	enum http_parse parse = http_read_version(&reader, 502, &head->minor_version, ret_refusal);

	if (parse == HTTP_PARSE_COMPLETE)
		parse = read_status(&reader, head, ret_refusal);
	if (parse == HTTP_PARSE_COMPLETE)
		parse = http_read_fields(&reader, head->fields, limits->fields, &head->field_count,
					 &head->fields_end, ret_refusal);
	if (parse == HTTP_PARSE_MORE && length < limits->head_bytes)
		return parse;
	if (parse == HTTP_PARSE_REFUSED)
		return parse;
	head->length = (size_t)(reader.at - data);
	head->has_bare_lf = reader.has_bare_lf;
	head->names = reader.names;
	head->known = reader.known;
	if (parse == HTTP_PARSE_MORE || head->length > limits->head_bytes)
		return http_refuse(ret_refusal, 502, "head too large");
	return interpret(head, to_head, ret_refusal);
}

enum http_parse http_response_parse(const char *data, size_t length, size_t already_scanned,
				    const struct http_limits *limits, bool to_head,
				    struct http_response_head *ret_head,
				    struct http_refusal *ret_refusal)
{
	if (already_scanned && length < limits->head_bytes &&
	    !http_has_empty_line(data, length, already_scanned))
		return HTTP_PARSE_MORE;
	enum http_parse parse = parse_all(data, length, limits, to_head, ret_head, ret_refusal);
	if (parse == HTTP_PARSE_REFUSED)
		ret_refusal->status = 502; /* whatever the fault, it is the upstream's */
	return parse;
}

const struct http_field *http_response_field(const struct http_response_head *head,
					     struct span name)
{
	return http_find_field(head->fields, head->field_count, head->names, name);
}
