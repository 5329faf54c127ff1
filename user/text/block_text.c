/* SPDX-License-Identifier: GPL-2.0-only */
#include "text/block_text.h"

#include <string.h>

#include "text/flow_text.h"

static size_t line_start(struct span text, size_t offset)
{
	while (offset > 0 && text.data[offset - 1] != '\n')
		offset--;
	return offset;
}

static size_t line_end(struct span text, size_t offset)
{
	const char *end = memchr(text.data + offset, '\n', text.length - offset);

	return end ? (size_t)(end - text.data) + 1 : text.length;
}

static size_t indentation(struct span text, size_t offset)
{
	size_t count = 0;

	while (offset + count < text.length && text.data[offset + count] == ' ')
		count++;
	return count;
}

/* Where the "- " of a block item stands, which may have a line of its own; false: there is none. */
static bool find_dash(struct span text, size_t offset, size_t *ret_from, size_t *ret_dash)
{
	size_t from = line_start(text, offset), dash = indentation(text, from);

	if (from + dash == offset) {
		if (from == 0)
			return false;
		from = line_start(text, from - 1);
		dash = indentation(text, from);
	}
	if (from + dash >= offset || text.data[from + dash] != '-' ||
	    flow_skip_blank(text, from + dash + 1) != offset || from + dash + 1 == offset)
		return false;
	*ret_from = from;
	*ret_dash = dash;
	return true;
}

/* Blank lines and comments belong to what follows them, unless they are indented as the item is. */
static void find_block_end(struct span text, size_t offset, size_t dash, size_t *ret_to)
{
	size_t to = line_end(text, offset), end = to;

	for (size_t line = to; line < text.length; line = end) {
		size_t indent = indentation(text, line);
		char first = line + indent < text.length ? text.data[line + indent] : '\n';

		end = line_end(text, line);
		if (first == '\n' || first == '\r')
			continue;
		if (indent <= dash)
			break;
		to = end;
	}
	*ret_to = to;
}

bool block_item(struct span text, size_t offset, size_t *ret_from, size_t *ret_to)
{
	size_t dash;

	if (!find_dash(text, offset, ret_from, &dash))
		return false;
	find_block_end(text, offset, dash, ret_to);
	return true;
}

bool block_find(struct span text, size_t offset, size_t column, const char *field, size_t *ret_from,
		size_t *ret_to)
{
	size_t length = strlen(field);

	for (size_t at = offset; at + length + 1 < text.length;) {
		const char *end = memchr(text.data + at, '\n', text.length - at);
		size_t line_end = end ? (size_t)(end - text.data) : text.length;

		if (memcmp(text.data + at, field, length) == 0 && text.data[at + length] == ':') {
			size_t from = at + length + 1;

			while (from < line_end && text.data[from] == ' ')
				from++;
			size_t to = from;
			bool list = from < line_end && text.data[from] == '[';
			while (to < line_end &&
			       (list ? text.data[to] != ']' : !strchr(" \t\r#,}", text.data[to])))
				to++;
			*ret_from = from;
			*ret_to = to + list;
			return to > from && *ret_to <= line_end;
		}
		at = line_end + 1;
		size_t indent = 0;
		while (at + indent < text.length && text.data[at + indent] == ' ')
			indent++;
		if (at + indent >= text.length ||
		    (indent < column && text.data[at + indent] != '\n' &&
		     text.data[at + indent] != '#'))
			return false;
		at += indent;
	}
	return false;
}

size_t block_list_key(struct span text, size_t from, const char *key)
{
	while (from > 0) {
		size_t end = from - 1, start = end;

		while (start > 0 && text.data[start - 1] != '\n')
			start--;
		const struct span line = span_trim((struct span){text.data + start, end - start});
		from = start;
		if (line.length == 0 || line.data[0] == '#')
			continue;
		bool has_dash = line.length > 2 && line.data[0] == '-';
		const struct span field =
			has_dash ? span_trim((struct span){line.data + 1, line.length - 1}) : line;
		return span_starts_with(field, span_of(key))
			       ? (size_t)(field.data - text.data) + strlen(key)
			       : 0;
	}
	return 0;
}
