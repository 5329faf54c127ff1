/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Answers that the agent itself gives. */
#include <time.h>
#include "base/buffer.h"
#include "base/span.h"

/* "Not Found"; "Unknown" for a status without a registered phrase. */
const char *http_status_phrase(unsigned status);

#define HTTP_DATE_BYTES 29
/* IMF-fixdate (RFC 9110 5.6.7): Sun, 06 Nov 1994 08:49:37 GMT. Writes HTTP_DATE_BYTES bytes and a
 * NUL. */
void http_date(time_t when, char ret_text[HTTP_DATE_BYTES + 1]);

/*
 * Appends a whole answer: status line, Date, Content-Type: text/plain, Content-Length, `Connection:
 * close` with `close`, and `reason` with a line feed as the content (left out for `to_head`, 204
 * and 304).
 */
void http_error_response(unsigned status, const char *reason, time_t now, bool close, bool to_head,
			 struct buffer *out);
