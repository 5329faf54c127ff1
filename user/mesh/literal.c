/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/literal.h"

/* A pattern while it is read from left to right, outside of groups and classes. */
struct reader {
	struct span rest;
	char run[256]; /* literal bytes side by side */
	size_t run_length;
	bool run_at_start;
	bool at_start; /* nothing but `run` was read so far */
	bool is_confused;
	char best[256];
	size_t best_length;
	bool best_at_start;
};

static void end_run(struct reader *reader)
{
	if (reader->run_length > reader->best_length) {
		memcpy(reader->best, reader->run, reader->run_length);
		reader->best_length = reader->run_length;
		reader->best_at_start = reader->run_at_start;
	}
	reader->run_length = 0;
	reader->at_start = false;
	reader->run_at_start = false;
}

static char peek(const struct reader *reader)
{
	return reader->rest.length ? reader->rest.data[0] : '\0';
}

static char next(struct reader *reader)
{
	char byte = reader->rest.data[0];

	reader->rest.data++;
	reader->rest.length--;
	return byte;
}

static bool is_quantifier(char byte)
{
	return byte == '*' || byte == '+' || byte == '?' || byte == '{';
}

/* Behind "{": past "1}", "1,}" or "1,2}". Else RE2 takes the brace for a literal, or refuses. */
static bool skip_repetition(struct reader *reader)
{
	size_t length = 0;

	while (length < reader->rest.length &&
	       (reader->rest.data[length] == ',' ||
		(reader->rest.data[length] >= '0' && reader->rest.data[length] <= '9')))
		length++;
	if (length == 0 || length == reader->rest.length || reader->rest.data[length] != '}')
		return false;
	reader->rest.data += length + 1;
	reader->rest.length -= length + 1;
	return true;
}

/* Passes over quantifiers. True: what stands before them may be missing. */
static bool skip_quantifiers(struct reader *reader)
{
	bool optional = false;

	while (reader->rest.length && is_quantifier(peek(reader))) {
		char byte = next(reader);

		optional |= byte != '+'; /* "{1}" is taken for optional, which is safe */
		reader->is_confused |= byte == '{' && !skip_repetition(reader);
	}
	return optional;
}

static void take_literal(struct reader *reader, char byte)
{
	bool is_quantified = is_quantifier(peek(reader));

	if (is_quantified && skip_quantifiers(reader)) {
		end_run(reader);
		return;
	}
	if (reader->run_length == 0)
		reader->run_at_start = reader->at_start;
	if (reader->run_length < sizeof(reader->run))
		reader->run[reader->run_length++] = byte;
	else
		end_run(reader);
	if (is_quantified)
		end_run(reader);
}

/* Behind "[": to behind its "]". False: not understood. */
static bool skip_class(struct reader *reader)
{
	bool first = true;

	if (peek(reader) == '^')
		next(reader);
	while (reader->rest.length) {
		char byte = next(reader);

		if (byte == ']' && !first)
			return true;
		if (byte == '[' &&
		    (peek(reader) == ':' || peek(reader) == '.' || peek(reader) == '='))
			return false;
		if (byte == '\\' && reader->rest.length)
			next(reader);
		first = false;
	}
	return false;
}

static bool skip_escape(struct reader *reader)
{
	if (!reader->rest.length)
		return false;
	char byte = next(reader);
	/* \Q…\E, \x, \p, octal: more than a byte follows. */
	return byte != 'Q' && byte != 'x' && byte != 'p' && byte != 'P' && byte != 'c' &&
	       !(byte >= '0' && byte <= '9');
}

/* Behind "(": to behind its ")". */
static bool skip_group(struct reader *reader)
{
	/* Flags may hold for the rest of the pattern. */
	if (peek(reader) == '?' && reader->rest.length > 1 && reader->rest.data[1] != ':' &&
	    reader->rest.data[1] != 'P')
		return false;
	for (size_t depth = 1; reader->rest.length;) {
		char byte = next(reader);

		if (byte == '[' ? !skip_class(reader) : byte == '\\' && !skip_escape(reader))
			return false;
		depth += byte == '(';
		depth -= byte == ')';
		if (byte == '(' && peek(reader) == '?' && reader->rest.length > 1 &&
		    reader->rest.data[1] != ':' && reader->rest.data[1] != 'P')
			return false;
		if (depth == 0)
			return true;
	}
	return false;
}

static bool take_escape(struct reader *reader)
{
	char byte = peek(reader);
	bool is_word = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
		       (byte >= '0' && byte <= '9') || byte & 0x80 || !reader->rest.length;

	if (!is_word) {
		take_literal(reader, next(reader));
		return true;
	}
	end_run(reader);
	bool understood = skip_escape(reader);
	skip_quantifiers(reader);
	return understood;
}

/* False: the pattern is of a kind that this does not understand. */
static bool take_one(struct reader *reader)
{
	char byte = next(reader);

	switch (byte) {
	case '|': /* only one of the sides is needed */
	case ')':
		return false;
	case '\\':
		return take_escape(reader);
	case '^':
	case '$':
		return !is_quantifier(peek(reader));
	case '.':
		end_run(reader);
		skip_quantifiers(reader);
		return true;
	case '[':
	case '(':
		end_run(reader);
		if (byte == '[' ? !skip_class(reader) : !skip_group(reader))
			return false;
		skip_quantifiers(reader);
		return true;
	default:
		/* Of several bytes a quantifier takes the whole character. */
		if (is_quantifier(byte) || byte & 0x80)
			return false;
		take_literal(reader, byte);
		return true;
	}
}

bool regex_literal(struct span pattern, struct buffer *out, bool *ret_at_start)
{
	struct reader reader = {.rest = pattern, .at_start = true};

	while (reader.rest.length) {
		if (!take_one(&reader) || reader.is_confused)
			return false;
	}
	end_run(&reader);
	if (!reader.best_length)
		return false;
	buffer_append(out, reader.best, reader.best_length);
	*ret_at_start = reader.best_at_start;
	return !out->failed;
}
