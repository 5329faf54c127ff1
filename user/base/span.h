/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A piece of bytes that somebody else owns. Not NUL-terminated; may hold any byte. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *data;
	size_t length;
};

/* printf("%.*s", SPAN_ARGUMENTS(span)) */
#define SPAN_ARGUMENTS(span) (int)(span).length, (span).data

static inline struct span span_of(const char *text)
{
	return (struct span){text, text ? strlen(text) : 0};
}

/* Behind its last byte; of an empty span without data NULL (NULL + 0 is undefined in C). */
static inline const char *span_end(struct span text)
{
	return (const char *)((uintptr_t)text.data + text.length);
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool span_starts_with(struct span text, struct span prefix);
/* ASCII case only, whatever the locale (field names, hosts). */
bool span_starts_with_ignore_case(struct span text, struct span prefix);

/* Most comparisons of names end at the length. */
static inline bool span_equal_ignore_case(struct span a, struct span b)
{
	return a.length == b.length && span_starts_with_ignore_case(a, b);
}

bool span_ends_with_ignore_case(struct span text, struct span suffix);

/* Without optional white space (SP, HTAB: RFC 9110 5.6.3) at both ends. */
struct span span_trim(struct span text);

/*
 * Cuts at the first `separator`: *head is what stands before it, *tail what stands behind it.
 * Gives false where there is none (*head is then the whole, *tail empty).
 */
bool span_cut(struct span text, char separator, struct span *head, struct span *tail);

/* A NUL-terminated copy that the caller frees; NULL when memory is short. */
char *span_copy(struct span text);

static inline char ascii_lower(char byte)
{
	return byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
}
