/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/span.h"

#include <stdlib.h>

#include "base/word.h"

bool span_starts_with(struct span text, struct span prefix)
{
	return text.length >= prefix.length &&
	       (prefix.length == 0 || memcmp(text.data, prefix.data, prefix.length) == 0);
}

bool span_starts_with_ignore_case(struct span text, struct span prefix)
{
	const char *a = text.data, *b = prefix.data;
	size_t length = prefix.length;

	if (text.length < length)
		return false;
	if (length < sizeof(uint64_t))
		return word_equal_ignore_case(word_read_part(a, length), word_read_part(b, length));
	for (size_t at = 0; at < length - sizeof(uint64_t); at += sizeof(uint64_t)) {
		if (!word_equal_ignore_case(word_read(a + at), word_read(b + at)))
			return false;
	}
	return word_equal_ignore_case(word_read(a + length - sizeof(uint64_t)),
				      word_read(b + length - sizeof(uint64_t)));
}

bool span_ends_with_ignore_case(struct span text, struct span suffix)
{
	if (text.length < suffix.length)
		return false;
	struct span end = {span_end(text) - suffix.length, suffix.length};
	return span_equal_ignore_case(end, suffix);
}

struct span span_trim(struct span text)
{
	while (text.length && (text.data[0] == ' ' || text.data[0] == '\t')) {
		text.data++;
		text.length--;
	}
	while (text.length &&
	       (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
		text.length--;
	return text;
}

bool span_cut(struct span text, char separator, struct span *head, struct span *tail)
{
	const char *at = text.length ? memchr(text.data, separator, text.length) : NULL;

	if (!at) {
		*head = text;
		*tail = (struct span){span_end(text), 0};
		return false;
	}
	size_t before = (size_t)(at - text.data);
	*tail = (struct span){at + 1, text.length - before - 1};
	*head = (struct span){text.data, before};
	return true;
}

char *span_copy(struct span text)
{
	char *copy = malloc(text.length + 1);

	if (!copy)
		return NULL;
	if (text.length)
		memcpy(copy, text.data, text.length);
	copy[text.length] = '\0';
	return copy;
}
