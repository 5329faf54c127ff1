/* SPDX-License-Identifier: GPL-2.0-only */
#include "text/flow_text.h"

#include <string.h>

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static size_t skip_line(struct span text, size_t at)
{
	while (at < text.length && text.data[at] != '\n')
		at++;
	return at;
}

static bool begins_comment(struct span text, size_t at)
{
	return text.data[at] == '#' && (at == 0 || is_blank(text.data[at - 1]));
}

size_t flow_skip_blank(struct span text, size_t at)
{
	for (;;) {
		while (at < text.length && is_blank(text.data[at]))
			at++;
		if (at == text.length || !begins_comment(text, at))
			return at;
		at = skip_line(text, at);
	}
}

/* Behind the closing quote of the text that begins at `at`; 0: there is none. */
static size_t quoted_end(struct span text, size_t at)
{
	char quote = text.data[at];

	for (at++; at < text.length; at++) {
		if (quote == '"' && text.data[at] == '\\')
			at++;
		else if (text.data[at] == quote && quote == '\'' && at + 1 < text.length &&
			 text.data[at + 1] == quote)
			at++;
		else if (text.data[at] == quote)
			return at + 1;
	}
	return 0;
}

/* A colon ends a key only before a blank or an indicator. */
static bool ends_plain(struct span text, size_t at)
{
	char byte = text.data[at];

	if (byte == ':')
		return at + 1 == text.length || is_blank(text.data[at + 1]) ||
		       strchr(",[]{}", text.data[at + 1]);
	return strchr(",[]{}\r\n", byte) || begins_comment(text, at);
}

static size_t plain_end(struct span text, size_t at)
{
	size_t end = at;

	for (; at < text.length && !ends_plain(text, at); at++) {
		if (!is_blank(text.data[at]))
			end = at + 1;
	}
	return end;
}

static size_t collection_end(struct span text, size_t at)
{
	size_t depth = 0;

	while ((at = flow_skip_blank(text, at)) < text.length) {
		char byte = text.data[at];

		if (byte == '{' || byte == '[')
			depth++;
		if (byte == '}' || byte == ']')
			depth--;
		if (depth == 0)
			return at + 1;
		size_t end = strchr("{}[],:", byte)	   ? at + 1
			     : byte == '"' || byte == '\'' ? quoted_end(text, at)
							   : plain_end(text, at);
		if (end <= at)
			return 0;
		at = end;
	}
	return 0;
}

size_t flow_node_end(struct span text, size_t at)
{
	if (at >= text.length)
		return 0;
	char byte = text.data[at];
	if (byte == '{' || byte == '[')
		return collection_end(text, at);
	if (byte == '"' || byte == '\'')
		return quoted_end(text, at);
	size_t end = plain_end(text, at);
	return end > at ? end : 0;
}

static bool is_key(struct span text, size_t from, size_t to, const char *key)
{
	bool quoted = text.data[from] == '"' || text.data[from] == '\'';
	const struct span written = {text.data + from + quoted, to - from - 2 * quoted};

	return span_equal(written, span_of(key));
}

bool flow_find(struct span text, size_t at, const char *key, size_t *ret_from, size_t *ret_to)
{
	at = flow_skip_blank(text, at + 1);
	while (at < text.length && text.data[at] != '}') {
		size_t key_from = at, key_to = flow_node_end(text, at);

		at = key_to ? flow_skip_blank(text, key_to) : text.length;
		if (at == text.length || text.data[at] != ':')
			return false;
		size_t from = flow_skip_blank(text, at + 1), to = flow_node_end(text, from);
		if (!to)
			return false;
		if (is_key(text, key_from, key_to, key)) {
			*ret_from = from;
			*ret_to = to;
			return true;
		}
		at = flow_skip_blank(text, to);
		if (at < text.length && text.data[at] == ',')
			at = flow_skip_blank(text, at + 1);
	}
	return false;
}
