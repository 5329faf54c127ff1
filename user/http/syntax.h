/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Private to this room: which bytes may stand where (RFC 9110 5.6, RFC 3986), and lines of fields.
 */
#include <endian.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "http/head.h"

enum http_byte_class {
	HTTP_BYTE_TOKEN = 1,  /* tchar */
	HTTP_BYTE_FIELD = 2,  /* HTAB, SP, VCHAR, obs-text */
	HTTP_BYTE_TARGET = 4, /* VCHAR but '#': a fragment has no place in a request */
	/* Letters, digits, "-._~" (RFC 3986 2.3): no encoding, no list that could be read twice. */
	HTTP_BYTE_HOST = 8,
	HTTP_BYTE_PATH = 16 /* '/', and what a path may hold plainly (pchar, '[', ']') but '.' */
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

/*
 * What follows gives what http_skip gives, sixteen bytes at a time where the machine can: heads are
 * mostly names, a target and values.
 */
#ifdef __SSE2__

#define HTTP_BLOCK_BYTES 16

static inline __m128i http_block(const char *at)
{
	return _mm_loadu_si128((const __m128i *)at);
}

/* All bits of a byte are set where it lies in [low, high]. */
static inline __m128i http_block_between(__m128i block, char low, char high)
{
	__m128i above = _mm_sub_epi8(block, _mm_set1_epi8(low));

	return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8((char)(high - low))), above);
}

static inline __m128i http_block_equal(__m128i block, char byte)
{
	return _mm_cmpeq_epi8(block, _mm_set1_epi8(byte));
}

/* Bit n: byte n is neither letter nor digit nor `other`. */
static inline unsigned http_block_not_alphanumeric(__m128i block, char other)
{
	__m128i letters = http_block_between(_mm_or_si128(block, _mm_set1_epi8(0x20)), 'a', 'z');
	__m128i digits = http_block_between(block, '0', '9');
	__m128i others = http_block_equal(block, other);

	return ~(unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letters, digits), others)) &
	       0xffff;
}

#endif

/* Over letters, digits and `usual`; may stop before the first other byte. */
static inline const char *http_skip_usual(const char *at, const char *end, char usual)
{
#ifdef __SSE2__
	while (end - at >= HTTP_BLOCK_BYTES) {
		unsigned found = http_block_not_alphanumeric(http_block(at), usual);

		if (found)
			return at + __builtin_ctz(found);
		at += HTTP_BLOCK_BYTES;
	}
#endif
	(void)end;
	(void)usual;
	return at;
}

/* HTTP_BYTE_TOKEN or HTTP_BYTE_HOST; nearly all of them are letters, digits and `usual`. */
static inline const char *http_skip_word(const char *at, const char *end, char usual,
					 enum http_byte_class class)
{
	return http_skip(http_skip_usual(at, end, usual), end, class);
}

/* HTTP_BYTE_TOKEN */
static inline const char *http_skip_name(const char *at, const char *end)
{
	return http_skip_word(at, end, '-', HTTP_BYTE_TOKEN);
}

/* HTTP_BYTE_HOST */
static inline const char *http_skip_host(const char *at, const char *end)
{
	return http_skip_word(at, end, '.', HTTP_BYTE_HOST);
}

/* HTTP_BYTE_TARGET */
static inline const char *http_skip_target(const char *at, const char *end)
{
#ifdef __SSE2__
	while (end - at >= HTTP_BLOCK_BYTES) {
		__m128i block = http_block(at);
		__m128i visible = http_block_between(block, '!', '~');
		__m128i allowed = _mm_andnot_si128(http_block_equal(block, '#'), visible);
		unsigned found = ~(unsigned)_mm_movemask_epi8(allowed) & 0xffff;

		if (found)
			return at + __builtin_ctz(found);
		at += HTTP_BLOCK_BYTES;
	}
#endif
	return http_skip(at, end, HTTP_BYTE_TARGET);
}

static inline const char *http_skip_white_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* HTTP_BYTE_FIELD; short runs eight bytes at a time. */
static inline const char *http_skip_field_bytes(const char *at, const char *end)
{
	const uint64_t ones = 0x0101010101010101ULL;

#ifdef __SSE2__
	for (size_t blocks = (size_t)(end - at) / HTTP_BLOCK_BYTES; blocks; blocks--) {
		__m128i block = http_block(at);
		unsigned found = (unsigned)_mm_movemask_epi8(_mm_or_si128(
			http_block_between(block, 0, 0x1f), http_block_equal(block, 0x7f)));

		if (!found) {
			at += HTTP_BLOCK_BYTES;
			continue;
		}
		at += __builtin_ctz(found);
		if (*at != '\t')
			return at;
		at++;
	}
#endif
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

enum http_parse http_refuse(struct http_refusal *ret_refusal, uint16_t status, const char *reason);

/* Where a parser stands in its data. */
struct http_reader {
	const char *at;
	const char *end;
	bool allow_bare_lf;
	bool has_bare_lf;	     /* one was met */
	bool has_escaped_names;	     /* names with '%' or '+' were met */
	uint64_t names;		     /* of the fields that were met: http_names_may_hold */
	struct http_field_set known; /* those that are not HTTP_FIELD_OTHER */
};

enum http_parse http_read_other_line_end(struct http_reader *reader,
					 struct http_refusal *ret_refusal);

/* At the first byte behind a line's content: passes over the line's end. */
static inline enum http_parse http_read_line_end(struct http_reader *reader,
						 struct http_refusal *ret_refusal)
{
	const char *at = reader->at;

	if (reader->end - at < 2 || memcmp(at, "\r\n", 2) != 0)
		return http_read_other_line_end(reader, ret_refusal);
	reader->at = at + 2;
	return HTTP_PARSE_COMPLETE;
}

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

/* The first field with this name (ASCII case ignored), or NULL; `names` are the fields'. */
const struct http_field *http_find_field(const struct http_field *fields, size_t count,
					 uint64_t names, struct span name);

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
enum http_parse http_gather_facts(const struct http_field *fields, struct http_field_set known,
				  struct http_facts *ret_facts, struct http_refusal *ret_refusal);

/* Digits alone and at most INT64_MAX, else 400. */
enum http_parse http_read_content_length(const struct http_field *field, uint64_t *ret_length,
					 struct http_refusal *ret_refusal);

/* True if there is one Upgrade field and it has `websocket` alone: the only protocol that we know. */
bool http_names_websocket(const struct http_facts *facts);

/*
 * COMPLETE only for a list with `chunked` alone (RFC 9112 6.1, 7); empty members are passed over
 * (RFC 9110 5.6.1). Other codings in front of a final chunked: 501; anything else: 400.
 */
enum http_parse http_check_transfer_encoding(struct span value, struct http_refusal *ret_refusal);

static inline bool http_keeps_alive(const struct http_facts *facts, uint8_t minor_version)
{
	return !facts->connection_close && (minor_version == 1 || facts->connection_keep_alive);
}
