/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/part.h"

#include <lanetag/hash.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

uint64_t manifest_part_hash(const char *file, unsigned line, struct span text)
{
	uint64_t name = lanetag_xxh64((const __u8 *)file, (__u32)strlen(file), line);

	return lanetag_xxh64((const __u8 *)text.data, (__u32)text.length, name);
}

struct manifest_part *manifest_part_new(const char *file, unsigned line, struct span text,
					unsigned subjects)
{
	struct manifest_part *part = calloc(1, sizeof(*part));

	if (!part)
		return NULL;
	part->references = 1;
	part->file = strdup(file);
	part->line = line;
	part->text = span_copy(text);
	part->length = text.length;
	part->hash = manifest_part_hash(file, line, text);
	part->own.subjects = subjects;
	if (part->file && part->text)
		return part;
	manifest_part_drop(part);
	return NULL;
}

struct manifest_part *manifest_part_take(struct manifest_part *part)
{
	atomic_fetch_add_explicit(&part->references, 1, memory_order_relaxed);
	return part;
}

void manifest_part_drop(struct manifest_part *part)
{
	if (!part || atomic_fetch_sub_explicit(&part->references, 1, memory_order_acq_rel) != 1)
		return;
	manifest_set_free_manifests(&part->own);
	diagnostics_free(&part->diagnostics);
	free(part->file);
	free(part->text);
	free(part);
}

/* How often the byte is there. */
static size_t count_byte(struct span text, char byte)
{
	const char *at = text.data, *end = text.data + text.length;
	size_t count = 0;

	while (at < end && (at = memchr(at, byte, (size_t)(end - at)))) {
		count++;
		at++;
	}
	return count;
}

size_t manifest_text_line_feeds(struct span text)
{
	return count_byte(text, '\n');
}

/* NEL, LS and PS are line breaks in YAML 1.1. */
static bool has_other_line_breaks(struct span text)
{
	static const char *const breaks[] = {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};

	if (memchr(text.data, '\r', text.length))
		return true;
	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		/* Most texts do not even have the first byte. */
		if (memchr(text.data, breaks[i][0], text.length) &&
		    memmem(text.data, text.length, breaks[i], strlen(breaks[i])))
			return true;
	}
	return false;
}

/* Some line is a directive or ends a document. */
static bool has_special_lines(struct span text)
{
	const char *at = text.data, *end = text.data + text.length;

	while (at < end) {
		if (*at == '%' || (end - at >= 3 && memcmp(at, "...", 3) == 0))
			return true;
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return false;
		at++;
	}
	return false;
}

bool manifest_text_can_split(struct span text)
{
	/* A byte order mark, or bytes that are no text, are for the reader to see in the whole. */
	return text.length && (unsigned char)text.data[0] < 0x80 &&
	       !memchr(text.data, '\0', text.length) && !memchr(text.data, '&', text.length) &&
	       !has_other_line_breaks(text) && !has_special_lines(text);
}

static bool is_mark(struct span text, size_t at)
{
	static const char blanks[] = " \t\n";

	return text.length - at >= 4 && memcmp(text.data + at, "\n---", 4) == 0 &&
	       (text.length - at == 4 || memchr(blanks, text.data[at + 4], sizeof(blanks) - 1));
}

bool manifest_next_document(struct span *rest, struct span *ret_document)
{
	if (!rest->length)
		return false;
	for (size_t at = 0; at < rest->length; at++) {
		const char *feed = memchr(rest->data + at, '\n', rest->length - at);

		if (!feed)
			break;
		at = (size_t)(feed - rest->data);
		if (!is_mark(*rest, at))
			continue;
		*ret_document = (struct span){rest->data, at + 1};
		*rest = (struct span){feed + 1, rest->length - at - 1};
		return true;
	}
	*ret_document = *rest;
	*rest = (struct span){rest->data + rest->length, 0};
	return true;
}
