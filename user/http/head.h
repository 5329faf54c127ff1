/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The head of an HTTP/1.1 message (RFC 9112) as spans into the caller's buffer. Pure: no sockets,
 * no allocation, no state between calls.
 *
 * Whatever two parsers could read differently is refused: white space before a colon, folded lines,
 * bare CR, control bytes, two Hosts, Content-Length beside Transfer-Encoding or twice, any transfer
 * coding but a single `chunked`, Content_Length and Transfer_Encoding (some servers take '_' for
 * '-'), case variants of HEAD and CONNECT. One empty line (CRLF) in front of a request is passed
 * over (RFC 9112 2.2); a second one is refused.
 */
#include <stdbool.h>
#include <stdint.h>
#include "base/span.h"

#define HTTP_MAX_FIELDS 128 /* compile-time bound; the configurable limit is below or equal */

/* Fields that framing and forwarding need to know; found once, while parsing. */
enum http_field_kind {
	HTTP_FIELD_OTHER,
	HTTP_FIELD_HOST,
	HTTP_FIELD_CONTENT_LENGTH,
	HTTP_FIELD_TRANSFER_ENCODING,
	HTTP_FIELD_CONNECTION,
	HTTP_FIELD_KEEP_ALIVE,
	HTTP_FIELD_PROXY_CONNECTION,
	HTTP_FIELD_TE,
	HTTP_FIELD_TRAILER,
	HTTP_FIELD_UPGRADE,
	HTTP_FIELD_EXPECT,
	HTTP_FIELD_COOKIE,
};

struct http_field {
	struct span name;  /* as sent */
	struct span value; /* without optional white space around it */
	enum http_field_kind kind;
	uint8_t hash; /* http_name_hash of the name */
};

/* The kind of a field by its name, ASCII case ignored. */
enum http_field_kind http_field_kind(struct span name);

/* Below 64, by a name's first byte, last byte and length. */
#define HTTP_NAME_HASH(first, last, length) \
	((17 * ((first) | 0x20) + 15 * ((last) | 0x20) + 2 * (length)) & 63)

/* Equal for names that are equal but for case. */
static inline uint8_t http_name_hash(struct span name)
{
	return name.length ? HTTP_NAME_HASH((unsigned char)name.data[0],
					    (unsigned char)name.data[name.length - 1],
					    (unsigned)name.length)
			   : 0;
}

/*
 * Sets of names, a bit for each hash: most names that are looked for are not there, and this alone
 * tells it. False: none of the set is `name`.
 */
static inline bool http_names_may_hold(uint64_t names, struct span name)
{
	return names >> http_name_hash(name) & 1;
}

/* A set of a head's fields, by their indexes. */
struct http_field_set {
	uint64_t bits[(HTTP_MAX_FIELDS + 63) / 64];
};

static inline void http_field_set_add(struct http_field_set *set, size_t field)
{
	set->bits[field / 64] |= UINT64_C(1) << (field % 64);
}

static inline bool http_field_set_has(const struct http_field_set *set, size_t field)
{
	return set->bits[field / 64] >> (field % 64) & 1;
}

/* Takes the first one out; false: there is none. */
static inline bool http_field_set_take(struct http_field_set *set, size_t *ret_field)
{
	for (size_t i = 0; i < sizeof(set->bits) / sizeof(set->bits[0]); i++) {
		if (!set->bits[i])
			continue;
		*ret_field = i * 64 + (size_t)__builtin_ctzll(set->bits[i]);
		set->bits[i] &= set->bits[i] - 1;
		return true;
	}
	return false;
}

enum http_framing {
	HTTP_FRAMING_NONE,	     /* no body */
	HTTP_FRAMING_CONTENT_LENGTH, /* content_length bytes; never 0: that is HTTP_FRAMING_NONE */
	HTTP_FRAMING_CHUNKED,
	HTTP_FRAMING_UNTIL_CLOSE, /* responses only */
};

struct http_limits {
	size_t head_bytes;   /* start line to empty line, both included; above: 431 */
	size_t fields;	     /* at most HTTP_MAX_FIELDS; above: 431 */
	size_t target_bytes; /* above: 414 */
	bool allow_bare_lf;  /* takes LF as the end of a line of a head (written out as CRLF) */
};

extern const struct http_limits http_default_limits; /* 64 KiB, 100 fields, 8 KiB, strict */

enum http_parse {
	HTTP_PARSE_COMPLETE,
	HTTP_PARSE_MORE,    /* no fault so far, but the head does not end within the data */
	HTTP_PARSE_REFUSED, /* answer with the refusal's status, then close */
};

struct http_refusal {
	uint16_t status;    /* requests: 400, 414, 431, 501, 505; responses: always 502 */
	const char *reason; /* static text, fit for a log line and for the answer's body */
};

struct http_request_head {
	struct span method;
	struct span target; /* as sent; origin-form or absolute-form or "*" */
	struct span path;   /* of the target, without query, never empty; "*" for asterisk-form */
	struct span query;  /* behind '?', without it; data == NULL if there is none */
	/*
	 * Of an absolute-form target, whatever Host says (RFC 9112 3.2.2), else Host's value; may be
	 * empty.
	 */
	struct span authority;
	uint8_t minor_version; /* 0 or 1 */
	size_t length;	       /* bytes of the head, a leading and the last empty line included */

	size_t field_count;
	struct http_field fields[HTTP_MAX_FIELDS];
	const char *fields_end;	     /* where the last field's line ends: the empty line */
	bool has_bare_lf;	     /* some line ends in LF alone (only with allow_bare_lf) */
	bool has_escaped_names;	     /* some field's name has a '%' or '+' */
	uint64_t names;		     /* of the fields: http_names_may_hold */
	struct http_field_set known; /* fields that are not HTTP_FIELD_OTHER */

	enum http_framing framing;
	uint64_t content_length; /* with HTTP_FRAMING_CONTENT_LENGTH, else 0 */
	bool is_head;		 /* HEAD: the response has no body */
	bool absolute_form;
	bool has_host;	      /* there is a Host field; always in 1.1 */
	bool keep_alive;      /* by version and Connection */
	bool expect_continue; /* HTTP/1.1, a body, and Expect: 100-continue */
	/*
	 * Asks for a WebSocket tunnel: HTTP/1.1, GET without a body, Connection: upgrade and
	 * Upgrade: websocket alone. Other upgrades (h2c would carry requests past us) are not
	 * offered upstream.
	 */
	bool upgrade;
};

/*
 * Parses a request head at data[0, length). `already_scanned`: how many of these bytes an earlier
 * call has seen and said HTTP_PARSE_MORE to (0 at first), so that a slow sender costs O(n) over all
 * calls: then only the end of the head is looked for until it is there, and a fault in between is
 * found with it. *ret_head is defined only after HTTP_PARSE_COMPLETE and lives as long as `data`;
 * *ret_refusal is set only with HTTP_PARSE_REFUSED. Never reads beyond `length`.
 */
enum http_parse http_request_parse(const char *data, size_t length, size_t already_scanned,
				   const struct http_limits *limits,
				   struct http_request_head *ret_head,
				   struct http_refusal *ret_refusal);

/* Finds the first field with this name (ASCII case ignored), or NULL. */
const struct http_field *http_request_field(const struct http_request_head *head, struct span name);

struct http_response_head {
	uint16_t status; /* 100 to 599 */
	struct span reason;
	uint8_t minor_version;
	bool has_space; /* behind the status: a reason phrase follows, be it empty */
	size_t length;

	size_t field_count;
	struct http_field fields[HTTP_MAX_FIELDS];
	const char *fields_end;
	bool has_bare_lf;
	uint64_t names;
	struct http_field_set known;

	/*
	 * RFC 9112 6.3. NONE for HEAD, 1xx, 204 and 304, whatever the fields say, and for length 0.
	 */
	enum http_framing framing;
	uint64_t content_length;
	bool keep_alive; /* by version, Connection and framing: the connection can be used again */
	bool interim;	 /* 1xx but 101: another head follows */
	/*
	 * 101: a tunnel from here. Only with Upgrade: websocket alone, which is all that is asked for
	 * upstream, and without what would frame content; other 101s are refused. That this request
	 * has asked for it is for the caller to check.
	 */
	bool upgrade;
};

/*
 * The same for a response; `to_head`: it answers a HEAD request. Refused (502) is also what RFC
 * 9112 lets a user agent repair: a proxy would hand the doubt on. For a connection that the
 * upstream closed before the head's end the caller decides.
 */
enum http_parse http_response_parse(const char *data, size_t length, size_t already_scanned,
				    const struct http_limits *limits, bool to_head,
				    struct http_response_head *ret_head,
				    struct http_refusal *ret_refusal);

const struct http_field *http_response_field(const struct http_response_head *head,
					     struct span name);
