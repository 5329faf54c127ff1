/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Steps through what stands inside field values and targets. Where a name stands several times, all
 * are given, in order: the caller decides what two different values mean. Nothing is decoded.
 */
#include "base/buffer.h"
#include "http/head.h"

/*
 * The members of a comma-separated list of tokens (Connection, Upgrade, …), trimmed, empty ones
 * passed over. *rest starts as the field's value. False at the end.
 */
bool http_list_next(struct span *rest, struct span *ret_member);

struct http_parameter {
	struct span name;
	struct span value; /* data == NULL if there was no '=' */
};

/* The parameters of a query ("a=1&b=2"), as sent; empty ones passed over. False at the end. */
bool http_query_next(struct span *rest, struct http_parameter *ret_parameter);
/* The first parameter of this name (case-sensitive, compared as sent); false if there is none. */
bool http_query_parameter(struct span query, struct span name, struct span *ret_value);

/* Where a way through the cookies of a head stands. */
struct http_cookies {
	const struct http_request_head *head;
	struct http_field_set fields; /* still to be looked at */
	struct span rest;
};

/*
 * The pairs of all Cookie fields (RFC 6265 4.2.1), split at ';', trimmed, as sent: quotes around a
 * value are part of it. A pair without '=' is passed over. False at the end.
 */
void http_cookies_start(struct http_cookies *cookies, const struct http_request_head *head);
bool http_cookies_next(struct http_cookies *cookies, struct http_parameter *ret_cookie);
/* The first cookie of this name (case-sensitive); false if there is none. */
bool http_cookie(const struct http_request_head *head, struct span name, struct span *ret_value);

/*
 * Appends `text` with %XX decoded ('+' stays); false and nothing appended if an escape is broken.
 */
bool http_percent_decode(struct span text, struct buffer *out);
/*
 * The same into `memory`, with room for text.length bytes (it may be the text's own), where a
 * broken escape stays as it is; gives how many bytes these are.
 */
size_t http_percent_decode_loosely(struct span text, char *memory);

/* True if it is a token (RFC 9110 5.6.2), so fit to be a field's name. */
bool http_is_token(struct span text);
/* True if it may stand in a field's value: no control byte but HTAB, no white space at the ends. */
bool http_is_field_value(struct span text);
/* host [":" port]: a name, IPv4, or IPv6 in brackets (RFC 3986 3.2, without user information). */
bool http_is_authority(struct span text);
/* True if it may stand in a request target: visible ASCII without '#'. */
bool http_is_target(struct span text);

/* The host of an authority ("host", "host:port", "[v6]", "[v6]:port"), without the root's dot. */
struct span http_authority_host(struct span authority);
