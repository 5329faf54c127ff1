/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Manifests changed at random, in the ways that tell: words, lines, pieces of YAML, single bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buffer.h"

/* What stands where something else stood. */
static const char *const pieces[] = {
	"[]",
	"{}",
	"~",
	"''",
	"-1",
	"0",
	"99999999999999999999",
	"\"\\0\"",
	"[[[[",
	"*",
	"*tag",
	"&tag ",
	"a.b.c",
	"1.5",
	"true",
	"{a: {b: [c]}}",
	"\xff",
	"\n",
	": ",
	"- ",
	"- - - ",
	"a",
	"'*'",
	"/",
	"(a+)+",
	"\\1",
	"0s",
	"::",
	"shop/a",
	"80",
	"0.0.0.0",
	"mesh",
	"*.x",
	"%",
	"\t",
	"#",
	"---\n",
	"\"\\r\"",
	"!!str ",
	"|\n",
};

static void replace(struct buffer *text, size_t from, size_t length, const char *piece)
{
	struct buffer changed = {0};

	buffer_append(&changed, text->data, from);
	buffer_append_text(&changed, piece);
	buffer_append(&changed, text->data + from + length, text->length - from - length);
	buffer_free(text);
	*text = changed;
}

/* A word or number that begins at or behind `at`; its length in *ret_length. */
static size_t find_word(const struct buffer *text, size_t at, size_t *ret_length)
{
	static const char ends[] = " \n:,[]{}'\"";

	while (at < text->length && strchr(ends, text->data[at]))
		at++;
	size_t length = 0;
	while (at + length < text->length && !strchr(ends, text->data[at + length]))
		length++;
	*ret_length = length;
	return at;
}

/* `text` is not empty; `seed` goes on. */
static void mutate(struct buffer *text, unsigned *seed)
{
	size_t at = (size_t)rand_r(seed) % text->length, length;
	const char *piece = pieces[(size_t)rand_r(seed) % ARRAY_LENGTH(pieces)];

	switch (rand_r(seed) % 6) {
	case 0: /* another value */
	case 1:
		at = find_word(text, at, &length);
		replace(text, at, length, piece);
		break;
	case 2: /* a word of elsewhere */
	{
		char word[64];
		size_t other = find_word(text, (size_t)rand_r(seed) % text->length, &length);

		snprintf(word, sizeof(word), "%.*s", (int)length, text->data + other);
		at = find_word(text, at, &length);
		replace(text, at, length, word);
		break;
	}
	case 3: /* a line less */
	{
		const char *end = memchr(text->data + at, '\n', text->length - at);
		replace(text, at, end ? (size_t)(end - text->data) - at : text->length - at, "");
		break;
	}
	case 4:
		replace(text, at, 0, piece);
		break;
	default:
		text->data[at] = (char)(text->data[at] ^ 1 << rand_r(seed) % 8);
	}
}
