/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/chunked.h"

#include "http/syntax.h"

enum state {
	STATE_SIZE, /* the zeroed struct's */
	STATE_EXTENSION,
	STATE_SIZE_LF,
	STATE_DATA,
	STATE_DATA_CR,
	STATE_DATA_LF,
	STATE_TRAILERS,
	STATE_INVALID,
};

#define MAXIMUM_SIZE_DIGITS 16

static enum state take_size(struct http_chunked *chunked, char byte)
{
	int digit = http_hex_digit(byte);

	if (digit >= 0) {
		if (chunked->digits == MAXIMUM_SIZE_DIGITS ||
		    chunked->size > (uint64_t)INT64_MAX >> 4)
			return STATE_INVALID;
		chunked->digits++;
		chunked->size = chunked->size << 4 | (unsigned)digit;
		return STATE_SIZE;
	}
	if (chunked->digits == 0)
		return STATE_INVALID;
	chunked->extension_bytes = 0;
	if (byte == '\r')
		return STATE_SIZE_LF;
	return byte == ';' ? STATE_EXTENSION : STATE_INVALID;
}

static enum state take_extension(struct http_chunked *chunked, char byte)
{
	if (byte == '\r')
		return STATE_SIZE_LF;
	if (!http_byte_is(byte, HTTP_BYTE_FIELD) ||
	    ++chunked->extension_bytes > HTTP_CHUNK_EXTENSION_BYTES)
		return STATE_INVALID;
	return STATE_EXTENSION;
}

static enum state take_size_lf(struct http_chunked *chunked, char byte)
{
	if (byte != '\n')
		return STATE_INVALID;
	chunked->data_left = chunked->size;
	chunked->size = 0;
	chunked->digits = 0;
	return chunked->data_left ? STATE_DATA : STATE_TRAILERS;
}

static enum state take(struct http_chunked *chunked, char byte)
{
	switch ((enum state)chunked->state) {
	case STATE_SIZE:
		return take_size(chunked, byte);
	case STATE_EXTENSION:
		return take_extension(chunked, byte);
	case STATE_SIZE_LF:
		return take_size_lf(chunked, byte);
	case STATE_DATA_CR:
		return byte == '\r' ? STATE_DATA_LF : STATE_INVALID;
	case STATE_DATA_LF:
		return byte == '\n' ? STATE_SIZE : STATE_INVALID;
	default:
		return STATE_INVALID;
	}
}

/*
 * A size line, with the CRLF of the chunk before it, as far as it is plain: digits and CRLF, as
 * nearly all are written. Gives its bytes; what follows them is for take.
 */
static inline size_t take_plain_line(struct http_chunked *chunked, const char *data, size_t length)
{
	const char *at = data, *end = data + length;
	uint64_t size = 0;
	int digit;

	if (chunked->state == STATE_DATA_CR && length >= 2 && at[0] == '\r' && at[1] == '\n')
		at += 2;
	else if (chunked->state != STATE_SIZE || chunked->digits)
		return 0;
	/* Chunks of a few bytes are nothing but lines. */
	if (end - at >= 3 && at[1] == '\r' && at[2] == '\n' && (digit = http_hex_digit(*at)) > 0) {
		chunked->data_left = (unsigned)digit;
		chunked->state = STATE_DATA;
		return (size_t)(at + 3 - data);
	}
	/* One digit less than may be: none of these sizes is too large. */
	const char *first = at;
	while (at < end && at - first < MAXIMUM_SIZE_DIGITS - 1 &&
	       (digit = http_hex_digit(*at)) >= 0) {
		size = size << 4 | (unsigned)digit;
		at++;
	}
	if (at > first && end - at >= 2 && at[0] == '\r' && at[1] == '\n') {
		chunked->data_left = size;
		chunked->state = size ? STATE_DATA : STATE_TRAILERS;
		return (size_t)(at + 2 - data);
	}
	chunked->state = STATE_SIZE;
	chunked->size = size;
	chunked->digits = (uint8_t)(at - first);
	return (size_t)(at - data);
}

/* The rest of a size line byte by byte; gives where it ends within the data. */
static __attribute__((noinline)) size_t take_bytes(struct http_chunked *chunked, const char *data,
						   size_t length, size_t taken)
{
	while (taken < length && chunked->state != STATE_DATA && chunked->state != STATE_TRAILERS &&
	       chunked->state != STATE_INVALID) {
		chunked->state = (uint8_t)take(chunked, data[taken]);
		taken++;
	}
	return taken;
}

static inline void pass_data(struct http_chunked *chunked, uint64_t length)
{
	chunked->data_left -= length;
	if (chunked->data_left == 0)
		chunked->state = STATE_DATA_CR;
}

void http_chunked_spliced(struct http_chunked *chunked, uint64_t length)
{
	pass_data(chunked, length);
}

static inline enum http_chunk_piece next_piece(struct http_chunked *chunked, const char *data,
					       size_t length, size_t *ret_length)
{
	size_t taken;

	if (chunked->state == STATE_DATA && length) {
		taken = length < chunked->data_left ? length : (size_t)chunked->data_left;
		pass_data(chunked, taken);
		*ret_length = taken;
		return HTTP_CHUNK_DATA;
	}
	taken = take_plain_line(chunked, data, length);
	if (chunked->state != STATE_DATA)
		taken = take_bytes(chunked, data, length, taken);
	*ret_length = taken;
	if (chunked->state == STATE_INVALID) {
		*ret_length = 0;
		return HTTP_CHUNK_INVALID;
	}
	if (taken)
		return HTTP_CHUNK_FRAMING;
	return chunked->state == STATE_TRAILERS ? HTTP_CHUNK_TRAILERS : HTTP_CHUNK_MORE;
}

enum http_chunk_piece http_chunked_next(struct http_chunked *chunked, const char *data,
					size_t length, size_t *ret_length)
{
	return next_piece(chunked, data, length, ret_length);
}

enum http_chunk_piece http_chunked_scan(struct http_chunked *chunked, const char *data,
					size_t length, size_t *ret_length)
{
	enum http_chunk_piece piece;
	size_t total = 0, taken;

	do {
		piece = next_piece(chunked, data + total, length - total, &taken);
		total += taken;
	} while (piece == HTTP_CHUNK_FRAMING || piece == HTTP_CHUNK_DATA);
	*ret_length = total;
	return piece;
}

static enum http_parse check_trailers(const struct http_trailers *trailers,
				      struct http_refusal *ret_refusal)
{
	for (size_t i = 0; i < trailers->field_count; i++) {
		enum http_field_kind kind = trailers->fields[i].kind;

		if (kind == HTTP_FIELD_CONTENT_LENGTH || kind == HTTP_FIELD_TRANSFER_ENCODING ||
		    kind == HTTP_FIELD_HOST)
			return http_refuse(ret_refusal, 400, "framing field in the trailers");
	}
	return HTTP_PARSE_COMPLETE;
}

enum http_parse http_trailers_parse(const char *data, size_t length, size_t already_scanned,
				    struct http_trailers *ret_trailers,
				    struct http_refusal *ret_refusal)
{
	struct http_reader reader = {data, data + length, false, false};
	bool full = length >= HTTP_TRAILER_BYTES;
	const char *fields_end;

	if (length >= 2 && data[0] == '\r' && data[1] == '\n') {
		ret_trailers->length = 2;
		ret_trailers->field_count = 0;
		return HTTP_PARSE_COMPLETE;
	}
	/* An empty line at the very start was dealt with: one byte may have been seen of it. */
	if (already_scanned && !full && !http_has_empty_line(data, length, already_scanned) &&
	    data[0] != '\r')
		return HTTP_PARSE_MORE;
	enum http_parse parse =
		http_read_fields(&reader, ret_trailers->fields, HTTP_TRAILER_FIELDS,
				 &ret_trailers->field_count, &fields_end, ret_refusal);
	if (parse == HTTP_PARSE_REFUSED)
		return parse;
	ret_trailers->length = (size_t)(reader.at - data);
	if (parse == HTTP_PARSE_MORE && !full)
		return parse;
	if (parse == HTTP_PARSE_MORE || ret_trailers->length > HTTP_TRAILER_BYTES)
		return http_refuse(ret_refusal, 431, "trailers too large");
	return check_trailers(ret_trailers, ret_refusal);
}

static bool is_for_this_hop(enum http_field_kind kind)
{
	return kind == HTTP_FIELD_CONNECTION || kind == HTTP_FIELD_KEEP_ALIVE ||
	       kind == HTTP_FIELD_PROXY_CONNECTION || kind == HTTP_FIELD_TE ||
	       kind == HTTP_FIELD_TRAILER || kind == HTTP_FIELD_UPGRADE ||
	       kind == HTTP_FIELD_EXPECT;
}

void http_trailers_write(const struct http_trailers *trailers, http_field_filter filter,
			 void *context, struct buffer *out)
{
	for (size_t i = 0; i < trailers->field_count; i++) {
		const struct http_field *field = &trailers->fields[i];

		if (is_for_this_hop(field->kind) || (filter && filter(context, field->name)))
			continue;
		buffer_append_span(out, field->name);
		buffer_append_text(out, ": ");
		buffer_append_span(out, field->value);
		buffer_append_text(out, "\r\n");
	}
	buffer_append_text(out, "\r\n");
}
