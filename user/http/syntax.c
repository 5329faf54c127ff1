/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/syntax.h"

#include "base/number.h"
#include "base/word.h"
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
	PATH = HTTP_BYTE_PATH,
};

const uint8_t http_byte_classes[256] = {
	['\t'] = HTTP_BYTE_FIELD,
	[' '] = HTTP_BYTE_FIELD,
	['!'] = TCHAR | PATH,
	['"'] = VISIBLE,
	['#'] = HTTP_BYTE_FIELD | HTTP_BYTE_TOKEN,
	['$'] = TCHAR | PATH,
	['%'] = TCHAR,
	['&' ... '\''] = TCHAR | PATH,
	['(' ... ')'] = VISIBLE | PATH,
	['*' ... '+'] = TCHAR | PATH,
	[','] = VISIBLE | PATH,
	['-'] = NAME | PATH,
	['.'] = NAME,
	['/'] = VISIBLE | PATH,
	['0' ... '9'] = NAME | PATH,
	[':' ... ';'] = VISIBLE | PATH,
	['<'] = VISIBLE,
	['='] = VISIBLE | PATH,
	['>' ... '?'] = VISIBLE,
	['@'] = VISIBLE | PATH,
	['A' ... 'Z'] = NAME | PATH,
	['['] = VISIBLE | PATH,
	['\\'] = VISIBLE,
	[']'] = VISIBLE | PATH,
	['^'] = TCHAR,
	['_'] = NAME | PATH,
	['`'] = TCHAR,
	['a' ... 'z'] = NAME | PATH,
	['{'] = VISIBLE,
	['|'] = TCHAR,
	['}'] = VISIBLE,
	['~'] = NAME | PATH,
	[0x80 ... 0xff] = HTTP_BYTE_FIELD,
};

enum http_parse http_refuse(struct http_refusal *ret_refusal, uint16_t status, const char *reason)
{
	*ret_refusal = (struct http_refusal){status, reason};
	return HTTP_PARSE_REFUSED;
}

enum http_parse http_read_other_line_end(struct http_reader *reader,
					 struct http_refusal *ret_refusal)
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

	if (left >= 8 && (memcmp(at, "HTTP/1.1", 8) == 0 || memcmp(at, "HTTP/1.0", 8) == 0)) {
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

/* `at` is where a name that began at `name` ends, and no colon stands there. */
static enum http_parse refuse_name(const char *name, const char *at,
				   struct http_refusal *ret_refusal)
{
	bool white_space = *at == ' ' || *at == '\t';

	if (white_space && at == name)
		return http_refuse(ret_refusal, 400, "folded field line");
	if (white_space)
		return http_refuse(ret_refusal, 400, "white space before the colon of a field");
	if (*at == ':')
		return http_refuse(ret_refusal, 400, "empty field name");
	return http_refuse(ret_refusal, 400, "byte not allowed in a field name");
}

static bool is_alphanumeric(char byte)
{
	return is_digit(byte) || (ascii_lower(byte) >= 'a' && ascii_lower(byte) <= 'z');
}

/* True if `name`, but for what is neither letter nor digit and stands in it, is `letters`. */
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
static inline bool is_disguised_framing(struct span name)
{
	char first = name.data[0];

	if (name.length < sizeof("contentlength") ||
	    (is_alphanumeric(first) && (first | 0x20) != 'c' && (first | 0x20) != 't'))
		return false;
	return is_spelt(name, "contentlength") || is_spelt(name, "transferencoding");
}

struct known_field {
	struct span name; /* in lower case */
	enum http_field_kind kind;
};

#define KNOWN_FIELD(first, last, text, of_kind) \
	[HTTP_NAME_HASH(first, last, sizeof(text) - 1)] = {{text, sizeof(text) - 1}, of_kind}

/* By the hash of their names: the compiler warns should two of them share a place. */
static const struct known_field known_fields[64] = {
	KNOWN_FIELD('h', 't', "host", HTTP_FIELD_HOST),
	KNOWN_FIELD('c', 'h', "content-length", HTTP_FIELD_CONTENT_LENGTH),
	KNOWN_FIELD('t', 'g', "transfer-encoding", HTTP_FIELD_TRANSFER_ENCODING),
	KNOWN_FIELD('c', 'n', "connection", HTTP_FIELD_CONNECTION),
	KNOWN_FIELD('k', 'e', "keep-alive", HTTP_FIELD_KEEP_ALIVE),
	KNOWN_FIELD('p', 'n', "proxy-connection", HTTP_FIELD_PROXY_CONNECTION),
	KNOWN_FIELD('t', 'e', "te", HTTP_FIELD_TE),
	KNOWN_FIELD('t', 'r', "trailer", HTTP_FIELD_TRAILER),
	KNOWN_FIELD('u', 'e', "upgrade", HTTP_FIELD_UPGRADE),
	KNOWN_FIELD('e', 't', "expect", HTTP_FIELD_EXPECT),
	KNOWN_FIELD('c', 'e', "cookie", HTTP_FIELD_COOKIE),
};

static inline const struct known_field *find_known(struct span name, uint8_t hash)
{
	const struct known_field *known = &known_fields[hash];

	return known->name.length == name.length && name.length ? known : NULL;
}

enum http_field_kind http_field_kind(struct span name)
{
	const struct known_field *known = find_known(name, http_name_hash(name));

	return known && span_equal_ignore_case(name, known->name) ? known->kind : HTTP_FIELD_OTHER;
}

static inline uint64_t word_token_lower(uint64_t word)
{
	return word | WORD_EACH_BYTE * 0x20;
}

/*
 * The same for a name of token bytes alone. Of these only letters become letters by the bit of case, and
 * only '-' becomes '-', which is all that known names have.
 */
static inline enum http_field_kind kind_of_token(struct span name, uint8_t hash)
{
	const struct known_field *known = find_known(name, hash);
	const size_t word = sizeof(uint64_t), length = name.length;
	const char *a = name.data, *b;

	if (!known)
		return HTTP_FIELD_OTHER;
	b = known->name.data;
	if (length < word)
		return word_token_lower(word_read_part(a, length)) ==
				       word_token_lower(word_read_part(b, length))
			       ? known->kind
			       : HTTP_FIELD_OTHER;
	for (size_t at = 0; at < length - word; at += word) {
		if (word_token_lower(word_read(a + at)) != word_read(b + at))
			return HTTP_FIELD_OTHER;
	}
	return word_token_lower(word_read(a + length - word)) == word_read(b + length - word)
		       ? known->kind
		       : HTTP_FIELD_OTHER;
}

/* Gives where a name ends; most are of letters, digits and '-' alone. */
static inline const char *find_name_end(const char *name, const char *end, bool *has_escaped_names)
{
	const char *at = http_skip_usual(name, end, '-');

	for (; at < end && *at != ':' && http_byte_is(*at, HTTP_BYTE_TOKEN); at++)
		*has_escaped_names |= *at == '%' || *at == '+';
	return at;
}

/* Gives where the value begins; NULL: no colon stands behind the name, which ends at *ret_end. */
static inline const char *read_name(const char *name, const char *end, struct http_field *field,
				    const char **ret_end, bool *has_escaped_names)
{
	const char *colon = *ret_end = find_name_end(name, end, has_escaped_names);

	if (colon == end || *colon != ':' || colon == name)
		return NULL;
	field->name = (struct span){name, (size_t)(colon - name)};
	field->hash = http_name_hash(field->name);
	field->kind = kind_of_token(field->name, field->hash);
	/* Nearly always it is one space. */
	if (end - colon > 2 && colon[1] == ' ' && (unsigned char)colon[2] > ' ')
		return colon + 2;
	return http_skip_white_space(colon + 1, end);
}

/* Gives where the line's content ends. */
static inline const char *read_value(const char *value, const char *end, struct http_field *field)
{
	const char *line_end = http_skip_field_bytes(value, end), *value_end = line_end;

	while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
		value_end--;
	field->value = (struct span){value, (size_t)(value_end - value)};
	return line_end;
}

/* One line after the other; what the reader learns stays in registers until the end. */
enum http_parse http_read_fields(struct http_reader *reader, struct http_field *fields,
				 size_t limit, size_t *ret_count, const char **ret_fields_end,
				 struct http_refusal *ret_refusal)
{
	const char *at = reader->at, *end = reader->end;
	struct http_field_set known = {0};
	bool has_escaped_names = false;
	uint64_t names = 0;
	size_t count = 0;

	if (limit > HTTP_MAX_FIELDS)
		limit = HTTP_MAX_FIELDS;
	for (; at < end && *at != '\r' && *at != '\n'; count++) {
		struct http_field *field = &fields[count];
		const char *name_end;

		if (count == limit)
			return http_refuse(ret_refusal, 431, "too many fields");
		const char *value = read_name(at, end, field, &name_end, &has_escaped_names);
		if (!value) {
			reader->at = name_end;
			return name_end == end ? HTTP_PARSE_MORE
					       : refuse_name(at, name_end, ret_refusal);
		}
		if (field->kind != HTTP_FIELD_OTHER)
			http_field_set_add(&known, count);
		else if (is_disguised_framing(field->name))
			return http_refuse(ret_refusal, 400, "framing field in disguise");
		names |= UINT64_C(1) << field->hash;
		reader->at = read_value(value, end, field);
		enum http_parse parse = http_read_line_end(reader, ret_refusal);
		if (parse != HTTP_PARSE_COMPLETE)
			return parse;
		at = reader->at;
	}
	if (at == end)
		return HTTP_PARSE_MORE;
	reader->names = names;
	reader->has_escaped_names = has_escaped_names;
	reader->known = known;
	*ret_count = count;
	*ret_fields_end = at;
	return http_read_line_end(reader, ret_refusal);
}

const struct http_field *http_find_field(const struct http_field *fields, size_t count,
					 uint64_t names, struct span name)
{
	uint8_t hash = http_name_hash(name);

	if (!(names >> hash & 1))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (fields[i].hash == hash && span_equal_ignore_case(fields[i].name, name))
			return &fields[i];
	}
	return NULL;
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

enum http_parse http_gather_facts(const struct http_field *fields, struct http_field_set known,
				  struct http_facts *ret_facts, struct http_refusal *ret_refusal)
{
	struct http_facts facts = {0};
	size_t i;

	while (http_field_set_take(&known, &i)) {
		const struct http_field *field = &fields[i];

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

bool http_names_websocket(const struct http_facts *facts)
{
	return facts->upgrade &&
	       span_equal_ignore_case(facts->upgrade->value, (struct span){"websocket", 9});
}

enum http_parse http_check_transfer_encoding(struct span value, struct http_refusal *ret_refusal)
{
	struct span chunked = {"chunked", 7};
	struct span member;
	bool last_is_chunked = false;
	size_t count = 0;

	if (span_equal_ignore_case(value, chunked))
		return HTTP_PARSE_COMPLETE;
	for (; http_list_next(&value, &member); count++) {
		if (last_is_chunked || !http_is_token(member))
			return http_refuse(ret_refusal, 400, "malformed Transfer-Encoding");
		last_is_chunked = span_equal_ignore_case(member, chunked);
	}
	if (!last_is_chunked)
		return http_refuse(ret_refusal, 400, "Transfer-Encoding does not end in chunked");
	if (count == 1)
		return HTTP_PARSE_COMPLETE;
	return http_refuse(ret_refusal, 501, "transfer coding not supported");
}
