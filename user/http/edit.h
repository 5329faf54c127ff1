/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A request head as the next hop shall see it: the received head less what was removed, plus what was
 * set. The tag rules, propagation and routing work on this view; serialised once, at the end.
 * Fixed size, no allocation; strings are spans that live as long as the head's buffer or the
 * configuration.
 */
#include "base/buffer.h"
#include "http/head.h"

#define HTTP_EDIT_MAX_ADDED 96 /* 64 tags and what the proxy itself adds */

struct http_edit {
	const struct http_request_head *head;
	uint64_t removed[(HTTP_MAX_FIELDS + 63) / 64]; /* bit i: field i of the head is left out */
	size_t added_count;
	struct http_field added[HTTP_EDIT_MAX_ADDED];
	struct span target; /* what goes into the request line; starts as the head's target */
};

void http_edit_start(struct http_edit *edit, const struct http_request_head *head);
void http_edit_remove(struct http_edit *edit, size_t field);
bool http_edit_is_removed(const struct http_edit *edit, size_t field);
/* -1 if there is no room. Does not remove fields of the same name. */
int http_edit_add(struct http_edit *edit, struct span name, struct span value);
/* Removes every field of this name, received and added, then adds. */
int http_edit_set(struct http_edit *edit, struct span name, struct span value);
/* The effective value of a field; of several, the first (RFC 9110 5.3 lists are not joined). */
bool http_edit_get(const struct http_edit *edit, struct span name, struct span *ret_value);
