/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The chunked transfer coding (RFC 9112 7.1) as a state machine that is fed bytes as they come and
 * says what they are. It checks; it does not copy: a checked body can be forwarded byte for byte.
 *
 * Stricter than the RFC where parsers are known to differ: a size is 1 to 16 hex digits, at most
 * INT64_MAX, with nothing but CRLF or ";extension" CRLF behind it; lines end in CRLF, always; an
 * extension has no control bytes but HTAB and at most HTTP_CHUNK_EXTENSION_BYTES.
 *
 *     struct http_chunked chunked = {0};
 *     for each run of bytes:
 *             switch (http_chunked_next(&chunked, data, length, &piece)) …
 */
#include "base/buffer.h"
#include "http/head.h"

#define HTTP_CHUNK_EXTENSION_BYTES 256
#define HTTP_TRAILER_BYTES 8192
#define HTTP_TRAILER_FIELDS 32

/* A zeroed struct stands before the first chunk. */
struct http_chunked {
	uint64_t data_left; /* bytes of the current chunk's data still to come: may be spliced */
	uint64_t size;	    /* read so far */
	uint16_t extension_bytes;
	uint8_t digits;
	uint8_t state;
};

enum http_chunk_piece {
	HTTP_CHUNK_MORE,     /* nothing left to look at: feed more */
	HTTP_CHUNK_FRAMING,  /* `length` bytes of a size line or of the CRLF behind the data */
	HTTP_CHUNK_DATA,     /* `length` bytes of content */
	HTTP_CHUNK_TRAILERS, /* the last-chunk line is through: http_trailers_parse from here */
	HTTP_CHUNK_INVALID,  /* close; a request: 400, a response: cut off */
};

/*
 * Looks at the first bytes of data[0, length) and gives the longest piece of one kind; *ret_length
 * bytes are then done with (0 for MORE, TRAILERS, INVALID). Call again with the rest.
 */
enum http_chunk_piece http_chunked_next(struct http_chunked *chunked, const char *data,
					size_t length, size_t *ret_length);

/*
 * Takes all it can at once: *ret_length bytes from the start may be forwarded unchanged. Gives
 * MORE, TRAILERS or INVALID (*ret_length bytes were still fine).
 */
enum http_chunk_piece http_chunked_scan(struct http_chunked *chunked, const char *data,
					size_t length, size_t *ret_length);

/* `length` (at most data_left) bytes of chunk data went by elsewhere (splice). */
void http_chunked_spliced(struct http_chunked *chunked, uint64_t length);

/* The trailer section: what stands behind the last-chunk line, the last empty line included. */
struct http_trailers {
	size_t length; /* bytes; 2 if there are no fields */
	size_t field_count;
	struct http_field fields[HTTP_TRAILER_FIELDS];
};

/*
 * Like http_request_parse, for a trailer section. Refused with 400 (bad syntax, or a field that
 * frames: Content-Length, Transfer-Encoding, Host) or 431; a response's caller turns this into its
 * own way of failing. The fast case (CRLF alone) costs nothing.
 */
enum http_parse http_trailers_parse(const char *data, size_t length, size_t already_scanned,
				    struct http_trailers *ret_trailers,
				    struct http_refusal *ret_refusal);

/* True: leave the field out. */
typedef bool (*http_field_filter)(void *context, struct span name);

/*
 * Appends the trailer section with its empty line. Left out: hop-by-hop fields, and what `filter`
 * says (NULL: nothing more).
 */
void http_trailers_write(const struct http_trailers *trailers, http_field_filter filter,
			 void *context, struct buffer *out);
