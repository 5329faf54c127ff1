/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A growing run of bytes. Errors stick: after memory was short once, `failed` is set, further
 * appends do nothing, and the caller checks once at the end. A zeroed struct is an empty buffer.
 */
#include <stdarg.h>
#include "base/span.h"

struct buffer {
	char *data;
	size_t length;
	size_t capacity;
	bool failed;
};

void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_append_span(struct buffer *buffer, struct span text);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_printf(struct buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same as buffer_reserve, where there is no room yet. */
char *buffer_grow(struct buffer *buffer, size_t extra);

/* Room for `extra` more bytes behind data + length; NULL (and failed) when memory is short. */
static inline char *buffer_reserve(struct buffer *buffer, size_t extra)
{
	if (buffer->data && !buffer->failed && buffer->capacity - buffer->length >= extra)
		return buffer->data + buffer->length;
	return buffer_grow(buffer, extra);
}

/* Takes `length` bytes off the front. */
void buffer_consume(struct buffer *buffer, size_t length);

/* Forgets the content, keeps the memory. */
void buffer_clear(struct buffer *buffer);
void buffer_free(struct buffer *buffer);

static inline struct span buffer_span(const struct buffer *buffer)
{
	return (struct span){buffer->data, buffer->length};
}

/* The content as a C string that the buffer owns until it changes; NULL when memory was short. */
const char *buffer_text(struct buffer *buffer);
