/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A head as the next hop shall see it: the received head less what was removed, plus what was set.
 * The tag rules, propagation and routing work on this view; serialised once, at the end. Serves
 * requests and responses. Fields of the tail are found by nobody: it is for who comes last.
 *
 * Fixed size, no allocation; strings are spans that live as long as the head's buffer or the
 * configuration. Give http_edit_start memory as it is: there is no need to zero it.
 */
#include <sys/types.h>
#include "base/buffer.h"
#include "http/head.h"

#define HTTP_EDIT_MAX_ADDED 96 /* 64 tags and what the proxy itself adds */

struct http_edit {
	const struct http_request_head *head;	   /* NULL for a response */
	const struct http_response_head *response; /* NULL for a request */
	struct http_field_set removed;		   /* of the head's fields: left out */
	size_t added_count;
	size_t added_bytes;   /* that the added fields take, written out */
	struct span tail;     /* lines of further fields as they are sent, behind the added ones */
	uint64_t added_names; /* of those and perhaps of some that were removed again */
	/*
	 * What goes into the request line. Starts as the head's target in origin-form: of an
	 * absolute-form target, path and query ("*" for OPTIONS without a path). If it does not
	 * begin with '/' or '*', a '/' is written in front.
	 */
	struct span target;
	/* Of http_edit_set_authority, or an absolute-form target's; data == NULL: Host as received. */
	struct span authority;
	struct http_field added[HTTP_EDIT_MAX_ADDED];
};

void http_edit_start(struct http_edit *edit, const struct http_request_head *head);
void http_edit_start_response(struct http_edit *edit, const struct http_response_head *head);

void http_edit_remove(struct http_edit *edit, size_t field);
bool http_edit_is_removed(const struct http_edit *edit, size_t field);
/* Removes every field of this name, received and added (ASCII case ignored). */
void http_edit_remove_name(struct http_edit *edit, struct span name);
/* -1 if there is no room. Does not remove fields of the same name. */
int http_edit_add(struct http_edit *edit, struct span name, struct span value);
/* Removes every field of this name, received and added, then adds. */
int http_edit_set(struct http_edit *edit, struct span name, struct span value);
/* Writes a Host field with this value, right behind the request line, in place of any other. */
void http_edit_set_authority(struct http_edit *edit, struct span authority);
bool http_edit_find(const struct http_edit *edit, struct span name, struct span *ret_value);

/* The effective value of a field; of several, the first (RFC 9110 5.3 lists are not joined). */
static inline bool http_edit_get(const struct http_edit *edit, struct span name,
				 struct span *ret_value)
{
	uint64_t received = edit->head ? edit->head->names : edit->response->names;

	return (http_names_may_hold(received | edit->added_names, name) || edit->authority.data) &&
	       http_edit_find(edit, name, ret_value);
}

/*
 * Makes the head fit for the next connection (RFC 9110 7.6.1): of the received fields, takes out
 * Connection and what it lists, Keep-Alive, Proxy-Connection, TE, Upgrade, and Trailer where the
 * body is not chunked. Framing is written as parsed: Transfer-Encoding afresh, Content-Length
 * afresh if it was not written plainly; none in 1xx and 204. A tunnel that was asked for or granted
 * gets its Connection and Upgrade again. A request of HTTP/1.0 without Host, going on as HTTP/1.1,
 * gets one (empty, or the target's authority). Connection can name neither Host nor the framing
 * away, nor any added field: call before or after tags are added, all the same. Says nothing about
 * keeping the next connection: the caller adds `Connection: close` where needed. -1 if there is no
 * room.
 */
int http_edit_remove_hop_by_hop(struct http_edit *edit);

/*
 * True of a response whose received head is just what http_edit_write would write: it can be sent
 * as it came.
 */
bool http_edit_is_unchanged(const struct http_edit *edit);
/* Bytes that http_edit_write needs at most. */
size_t http_edit_size(const struct http_edit *edit);
/*
 * Writes the head, empty line included: the start line as HTTP/1.1, kept fields in order byte for
 * byte (a bare LF becomes CRLF), then the added ones. The number of bytes, or -ENOSPC (nothing
 * defined in `memory` then).
 */
ssize_t http_edit_write(const struct http_edit *edit, char *memory, size_t capacity);
void http_edit_append(const struct http_edit *edit, struct buffer *out);
