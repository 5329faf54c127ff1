/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/syntax.h"

#include "base/number.h"
#include "http/values.h"

const struct http_limits http_default_limits = {
	.head_bytes = 64 * 1024,
	.fields = 100,
	.target_bytes = 8 * 1024,
};

enum {
	VISIBLE = HTTP_BYTE_FIELD | HTTP_BYTE_TARGET,
	TCHAR = VISIBLE | HTTP_BYTE_TOKEN,
	NAME = TCHAR | HTTP_BYTE_HOST,
};

const uint8_t http_byte_classes[256] = {
	['\t'] = HTTP_BYTE_FIELD,
	[' '] = HTTP_BYTE_FIELD,
	['!'] = TCHAR,
	['"'] = VISIBLE,
	['#'] = HTTP_BYTE_FIELD | HTTP_BYTE_TOKEN,
	['$' ... '\''] = TCHAR,
	['(' ... ')'] = VISIBLE,
	['*' ... '+'] = TCHAR,
	[','] = VISIBLE,
	['-' ... '.'] = NAME,
	['/'] = VISIBLE,
	['0' ... '9'] = NAME,
	[':' ... '@'] = VISIBLE,
	['A' ... 'Z'] = NAME,
	['[' ... ']'] = VISIBLE,
	['^'] = TCHAR,
	['_'] = NAME,
	['`'] = TCHAR,
	['a' ... 'z'] = NAME,
	['{'] = VISIBLE,
	['|'] = TCHAR,
	['}'] = VISIBLE,
	['~'] = NAME,
	[0x80 ... 0xff] = HTTP_BYTE_FIELD,
};

enum http_parse http_read_line_end(struct http_reader *reader, struct http_refusal *ret_refusal)
{
	size_t left = (size_t)(reader->end - reader->at);

	if (left == 0)
		return HTTP_PARSE_MORE;
	if (*reader->at == '\r') {
		if (left == 1)
			return HTTP_PARSE_MORE;
		if (reader->at[1] != '\n')
			return http_refuse(ret_refusal, 400, "carriage return without line feed");
		reader->at += 2;
		return HTTP_PARSE_COMPLETE;
	}
	if (*reader->at != '\n')
		return http_refuse(ret_refusal, 400, "byte not allowed in a head");
	if (!reader->allow_bare_lf)
		return http_refuse(ret_refusal, 400, "line feed without carriage return");
	reader->has_bare_lf = true;
	reader->at++;
	return HTTP_PARSE_COMPLETE;
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

enum http_parse http_read_version(struct http_reader *reader, uint16_t status,
				  uint8_t *ret_minor_version, struct http_refusal *ret_refusal)
{
	const char *at = reader->at;
	size_t left = (size_t)(reader->end - at);

	if (left >= 8 && memcmp(at, "HTTP/1.", 7) == 0 && (at[7] == '1' || at[7] == '0')) {
		*ret_minor_version = (uint8_t)(at[7] - '0');
		reader->at += 8;
		return HTTP_PARSE_COMPLETE;
	}
	if (left == 0)
		return HTTP_PARSE_MORE;
	if (memcmp(at, "HTTP/", left < 5 ? left : 5) != 0)
		return http_refuse(ret_refusal, 400, "malformed version");
	if (left < 8)
		return HTTP_PARSE_MORE;
	if (is_digit(at[5]) && at[6] == '.' && is_digit(at[7]))
		return http_refuse(ret_refusal, status, "version not supported");
	return http_refuse(ret_refusal, 400, "malformed version");
}

static enum http_parse refuse_name(struct http_reader *reader, const char *name,
				   struct http_refusal *ret_refusal)
{
	bool white_space = *reader->at == ' ' || *reader->at == '\t';

	if (white_space && reader->at == name)
		return http_refuse(ret_refusal, 400, "folded field line");
	if (white_space)
		return http_refuse(ret_refusal, 400, "white space before the colon of a field");
	if (*reader->at == ':')
		return http_refuse(ret_refusal, 400, "empty field name");
	return http_refuse(ret_refusal, 400, "byte not allowed in a field name");
}

static bool is_alphanumeric(char byte)
{
	return is_digit(byte) || (ascii_lower(byte) >= 'a' && ascii_lower(byte) <= 'z');
}

/* True if `name`, but for what is neither letter nor digit, is `letters`. */
static bool is_spelt(struct span name, const char *letters)
{
	size_t same = 0;

	for (size_t i = 0; i < name.length; i++) {
		if (!is_alphanumeric(name.data[i]))
			continue;
		if (ascii_lower(name.data[i]) != letters[same])
			return false;
		same++;
	}
	return letters[same] == '\0' && name.length > same;
}

/*
 * Servers that hand fields on as environment variables take Content_Length, some also
 * Content.Length, for Content-Length.
 */
static bool is_disguised_framing(struct span name)
{
	return is_spelt(name, "contentlength") || is_spelt(name, "transferencoding");
}

static enum http_parse read_field(struct http_reader *reader, struct http_field *field,
				  struct http_refusal *ret_refusal)
{
	const char *name = reader->at;

	reader->at = http_skip(name, reader->end, HTTP_BYTE_TOKEN);
	if (reader->at == reader->end)
		return HTTP_PARSE_MORE;
	if (*reader->at != ':' || reader->at == name)
		return refuse_name(reader, name, ret_refusal);
	field->name = (struct span){name, (size_t)(reader->at - name)};
	field->kind = http_field_kind(field->name);
	if (field->kind == HTTP_FIELD_OTHER && is_disguised_framing(field->name))
		return http_refuse(ret_refusal, 400, "framing field in disguise");

	const char *value = http_skip_white_space(reader->at + 1, reader->end);
	const char *value_end = http_skip_field_bytes(value, reader->end);
	reader->at = value_end;
	while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
		value_end--;
	field->value = (struct span){value, (size_t)(value_end - value)};
	if (reader->end - reader->at >= 2 && reader->at[0] == '\r' && reader->at[1] == '\n') {
		reader->at += 2;
		return HTTP_PARSE_COMPLETE;
	}
	return http_read_line_end(reader, ret_refusal);
}

enum http_parse http_read_fields(struct http_reader *reader, struct http_field *fields,
				 size_t limit, size_t *ret_count, const char **ret_fields_end,
				 struct http_refusal *ret_refusal)
{
	size_t count = 0;

	if (limit > HTTP_MAX_FIELDS)
		limit = HTTP_MAX_FIELDS;
	for (;;) {
		if (reader->at == reader->end)
			return HTTP_PARSE_MORE;
		if (*reader->at == '\r' || *reader->at == '\n')
			break;
		if (count == limit)
			return http_refuse(ret_refusal, 431, "too many fields");
		enum http_parse parse = read_field(reader, &fields[count], ret_refusal);
		if (parse != HTTP_PARSE_COMPLETE)
			return parse;
		count++;
	}
	*ret_count = count;
	*ret_fields_end = reader->at;
	return http_read_line_end(reader, ret_refusal);
}

bool http_has_empty_line(const char *data, size_t length, size_t already_scanned)
{
	/* Three bytes back: the empty line may have been cut. */
	const char *at = data + (already_scanned > 3 ? already_scanned - 3 : 0);
	const char *end = data + length;

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		at++;
		if (at < end && *at == '\n')
			return true;
		if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
			return true;
	}
	return false;
}

static void gather_connection(struct span list, struct http_facts *facts)
{
	struct span member;

	if (list.length == 10 && memcmp(list.data, "keep-alive", 10) == 0) {
		facts->connection_keep_alive = true; /* by far the most common */
		return;
	}
	while (http_list_next(&list, &member)) {
		if (span_equal_ignore_case(member, span_of("close")))
			facts->connection_close = true;
		else if (span_equal_ignore_case(member, span_of("keep-alive")))
			facts->connection_keep_alive = true;
		else if (span_equal_ignore_case(member, span_of("upgrade")))
			facts->connection_upgrade = true;
	}
}

enum http_parse http_gather_facts(const struct http_field *fields, size_t count,
				  struct http_facts *ret_facts, struct http_refusal *ret_refusal)
{
	struct http_facts facts = {0};

	for (const struct http_field *field = fields; field < fields + count; field++) {
		switch (field->kind) {
		case HTTP_FIELD_HOST:
			if (facts.host)
				return http_refuse(ret_refusal, 400, "more than one Host");
			facts.host = field;
			break;
		case HTTP_FIELD_CONTENT_LENGTH:
			if (facts.content_length)
				return http_refuse(ret_refusal, 400,
						   "more than one Content-Length");
			facts.content_length = field;
			break;
		case HTTP_FIELD_TRANSFER_ENCODING:
			if (facts.transfer_encoding)
				return http_refuse(ret_refusal, 400,
						   "more than one Transfer-Encoding");
			facts.transfer_encoding = field;
			break;
		case HTTP_FIELD_CONNECTION:
			gather_connection(field->value, &facts);
			break;
		case HTTP_FIELD_UPGRADE:
			facts.upgrade = facts.upgrade_count++ ? NULL : field;
			break;
		case HTTP_FIELD_EXPECT:
			facts.expect = field;
			break;
		default:
			break;
		}
	}
	if (facts.content_length && facts.transfer_encoding)
		return http_refuse(ret_refusal, 400, "both Content-Length and Transfer-Encoding");
	*ret_facts = facts;
	return HTTP_PARSE_COMPLETE;
}

enum http_parse http_read_content_length(const struct http_field *field, uint64_t *ret_length,
					 struct http_refusal *ret_refusal)
{
	if (parse_unsigned(field->value, INT64_MAX, ret_length) != 0)
		return http_refuse(ret_refusal, 400, "malformed Content-Length");
	return HTTP_PARSE_COMPLETE;
}

enum http_parse http_check_transfer_encoding(struct span value, struct http_refusal *ret_refusal)
{
	struct span chunked = {"chunked", 7};
	struct span member;
	bool last_is_chunked = false;

	if (span_equal_ignore_case(value, chunked))
		return HTTP_PARSE_COMPLETE;
	while (http_list_next(&value, &member)) {
		if (last_is_chunked || !http_is_token(member))
			return http_refuse(ret_refusal, 400, "malformed Transfer-Encoding");
		last_is_chunked = span_equal_ignore_case(member, chunked);
	}
	if (!last_is_chunked)
		return http_refuse(ret_refusal, 400, "Transfer-Encoding does not end in chunked");
	return http_refuse(ret_refusal, 501, "transfer coding not supported");
}

static bool is_name(struct span name, const char *lower_case)
{
	for (size_t i = 0; i < name.length; i++) {
		if (ascii_lower(name.data[i]) != lower_case[i])
			return false;
	}
	return true;
}

enum http_field_kind http_field_kind(struct span name)
{
	switch (name.length) {
	case 2:
		return is_name(name, "te") ? HTTP_FIELD_TE : HTTP_FIELD_OTHER;
	case 4:
		return is_name(name, "host") ? HTTP_FIELD_HOST : HTTP_FIELD_OTHER;
	case 6:
		if (is_name(name, "cookie"))
			return HTTP_FIELD_COOKIE;
		return is_name(name, "expect") ? HTTP_FIELD_EXPECT : HTTP_FIELD_OTHER;
	case 7:
		if (is_name(name, "upgrade"))
			return HTTP_FIELD_UPGRADE;
		return is_name(name, "trailer") ? HTTP_FIELD_TRAILER : HTTP_FIELD_OTHER;
	case 10:
		if (is_name(name, "connection"))
			return HTTP_FIELD_CONNECTION;
		return is_name(name, "keep-alive") ? HTTP_FIELD_KEEP_ALIVE : HTTP_FIELD_OTHER;
	case 14:
		return is_name(name, "content-length") ? HTTP_FIELD_CONTENT_LENGTH
						       : HTTP_FIELD_OTHER;
	case 16:
		return is_name(name, "proxy-connection") ? HTTP_FIELD_PROXY_CONNECTION
							 : HTTP_FIELD_OTHER;
	case 17:
		return is_name(name, "transfer-encoding") ? HTTP_FIELD_TRANSFER_ENCODING
							  : HTTP_FIELD_OTHER;
	default:
		return HTTP_FIELD_OTHER;
	}
}
