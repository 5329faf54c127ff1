/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The head of an HTTP/1.1 message (RFC 9112) as spans into the caller's buffer. Pure: no sockets, no
 * allocation, no state between calls.
 */
#include <stdbool.h>
#include <stdint.h>
#include "base/span.h"

#define HTTP_MAX_FIELDS 128 /* compile-time bound; the configurable limit is below or equal */

struct http_field {
	struct span name;  /* as sent */
	struct span value; /* without optional white space around it */
};

enum http_framing {
	HTTP_FRAMING_NONE,           /* no body */
	HTTP_FRAMING_CONTENT_LENGTH, /* content_length bytes */
	HTTP_FRAMING_CHUNKED,
	HTTP_FRAMING_UNTIL_CLOSE, /* responses only */
};

struct http_request_head {
	struct span method;
	struct span target;    /* as sent; origin-form or absolute-form or "*" */
	struct span path;      /* of the target, without query; "*" for asterisk-form */
	struct span query;     /* behind '?', without it; data == NULL if there is none */
	struct span authority; /* of an absolute-form target, else the Host field's value; may be empty */
	uint8_t minor_version; /* 0 or 1 */
	size_t length;         /* bytes of the head, the empty line included */

	size_t field_count;
	struct http_field fields[HTTP_MAX_FIELDS];

	enum http_framing framing;
	uint64_t content_length;
	bool keep_alive;      /* by version and Connection */
	bool expect_continue; /* Expect: 100-continue */
	bool upgrade;         /* Upgrade and Connection: upgrade */
};

/* Finds the first field with this name (ASCII case ignored), or NULL. */
const struct http_field *http_request_field(const struct http_request_head *head, struct span name);
