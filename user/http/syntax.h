/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Private to this room: which bytes may stand where (RFC 9110 5.6, RFC 3986), and lines of fields.
 */
#include <endian.h>
#include "http/head.h"

enum http_byte_class {
	HTTP_BYTE_TOKEN = 1,  /* tchar */
	HTTP_BYTE_FIELD = 2,  /* HTAB, SP, VCHAR, obs-text */
	HTTP_BYTE_TARGET = 4, /* VCHAR but '#': a fragment has no place in a request */
	HTTP_BYTE_HOST =
		8, /* letters, digits, "-._~": no encoding, no list that could be read twice */
};

extern const uint8_t http_byte_classes[256];

static inline bool http_byte_is(char byte, enum http_byte_class class)
{
	return http_byte_classes[(unsigned char)byte] & class;
}

/* -1 for what is none. */
static inline int http_hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte = ascii_lower(byte);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The first byte in [at, end) that is not of the class, or end. */
static inline const char *http_skip(const char *at, const char *end, enum http_byte_class class)
{
	/* Four at a time: most names and targets are long enough for it to pay. */
	while (end - at >= 4) {
		if (!http_byte_is(at[0], class))
			return at;
		if (!http_byte_is(at[1], class))
			return at + 1;
		if (!http_byte_is(at[2], class))
			return at + 2;
		if (!http_byte_is(at[3], class))
			return at + 3;
		at += 4;
	}
	while (at < end && http_byte_is(*at, class))
		at++;
	return at;
}

static inline const char *http_skip_white_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* The first byte in [at, end) that no field value may hold, or end: HTTP_BYTE_FIELD, eight at a
 * time. */
static inline const char *http_skip_field_bytes(const char *at, const char *end)
{
	const uint64_t ones = 0x0101010101010101ULL;

	while (end - at >= 8) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		word = le64toh(word);
		uint64_t is_delete = word ^ (ones * 0x7f);
		/* The lowest set bit is exact: borrows run upwards only. */
		uint64_t found =
			(((word - ones * 0x20) & ~word) | ((is_delete - ones) & ~is_delete)) &
			(ones * 0x80);
		if (!found) {
			at += 8;
			continue;
		}
		at += __builtin_ctzll(found) >> 3;
		if (*at != '\t')
			return at;
		at++;
	}
	return http_skip(at, end, HTTP_BYTE_FIELD);
}

static inline enum http_parse http_refuse(struct http_refusal *ret_refusal, uint16_t status,
					  const char *reason)
{
	*ret_refusal = (struct http_refusal){status, reason};
	return HTTP_PARSE_REFUSED;
}

/* Where a parser stands in its data. */
struct http_reader {
	const char *at;
	const char *end;
	bool allow_bare_lf;
	bool has_bare_lf; /* one was met */
};

/* At the first byte behind a line's content: passes over the line's end. */
enum http_parse http_read_line_end(struct http_reader *reader, struct http_refusal *ret_refusal);

/* "HTTP/1.0" or "HTTP/1.1"; another version is refused with `status`, what is none with 400. */
enum http_parse http_read_version(struct http_reader *reader, uint16_t status,
				  uint8_t *ret_minor_version, struct http_refusal *ret_refusal);

/*
 * Field lines up to and with the empty line; *ret_fields_end is where the latter begins. More than
 * `limit` fields: 431.
 */
enum http_parse http_read_fields(struct http_reader *reader, struct http_field *fields,
				 size_t limit, size_t *ret_count, const char **ret_fields_end,
				 struct http_refusal *ret_refusal);

/* True if data[0, length) holds the end of a head; `already_scanned` bytes are known not to. */
bool http_has_empty_line(const char *data, size_t length, size_t already_scanned);

/* What framing and the connection's life depend on, gathered from the fields of one message. */
struct http_facts {
	const struct http_field *host;
	const struct http_field *content_length;
	const struct http_field *transfer_encoding;
	const struct http_field *upgrade; /* the only one: NULL if there are several */
	size_t upgrade_count;
	const struct http_field *expect;
	bool connection_close;
	bool connection_keep_alive;
	bool connection_upgrade;
};

/* Refuses (400) what stands twice and must not, and Content-Length beside Transfer-Encoding. */
enum http_parse http_gather_facts(const struct http_field *fields, size_t count,
				  struct http_facts *ret_facts, struct http_refusal *ret_refusal);

/* Digits alone and at most INT64_MAX, else 400. */
enum http_parse http_read_content_length(const struct http_field *field, uint64_t *ret_length,
					 struct http_refusal *ret_refusal);

/*
 * COMPLETE only for exactly `chunked` (RFC 9112 6.1, 7). Other codings in front of a final chunked:
 * 501; anything else: 400.
 */
enum http_parse http_check_transfer_encoding(struct span value, struct http_refusal *ret_refusal);

static inline bool http_keeps_alive(const struct http_facts *facts, uint8_t minor_version)
{
	return !facts->connection_close && (minor_version == 1 || facts->connection_keep_alive);
}
