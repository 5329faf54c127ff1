/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>

char *buffer_grow(struct buffer *buffer, size_t extra)
{
	if (buffer->failed)
		return NULL;

	size_t capacity = buffer->capacity ? buffer->capacity : 64;
	while (capacity - buffer->length < extra)
		capacity *= 2;
	char *data = realloc(buffer->data, capacity);
	if (!data) {
		buffer->failed = true;
		return NULL;
	}
	buffer->data = data;
	buffer->capacity = capacity;
	return data + buffer->length;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
	char *end = buffer_reserve(buffer, length);

	if (!end || length == 0)
		return;
	memcpy(end, bytes, length);
	buffer->length += length;
}

void buffer_append_span(struct buffer *buffer, struct span text)
{
	buffer_append(buffer, text.data, text.length);
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void buffer_append_byte(struct buffer *buffer, char byte)
{
	buffer_append(buffer, &byte, 1);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);

	char *end = length < 0 ? NULL : buffer_reserve(buffer, (size_t)length + 1);
	if (!end) {
		buffer->failed = true;
		return;
	}
	va_start(arguments, format);
	vsnprintf(end, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buffer->length += (size_t)length;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
	buffer->length -= length;
	if (buffer->length)
		memmove(buffer->data, buffer->data + length, buffer->length);
}

void buffer_clear(struct buffer *buffer)
{
	buffer->length = 0;
	buffer->failed = false;
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){0};
}

const char *buffer_text(struct buffer *buffer)
{
	char *end = buffer_reserve(buffer, 1);

	if (!end)
		return NULL;
	*end = '\0';
	return buffer->data;
}
