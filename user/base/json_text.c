/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/json_text.h"

#include <stdint.h>
#include <stdio.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Bytes of the UTF-8 character that `text` begins with, and its number; 0: it begins with none. */
static size_t utf8_length(struct span text, uint32_t *ret_character)
{
	static const uint32_t minimum[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)text.data[0];
	size_t length = first < 0x80   ? 1
			: first < 0xc0 ? 0
			: first < 0xe0 ? 2
			: first < 0xf0 ? 3
				       : 4;
	uint32_t character = length == 1 ? first : first & (0x7fU >> length);

	if (length == 0 || first >= 0xf8 || text.length < length)
		return 0;
	for (size_t i = 1; i < length; i++) {
		unsigned char byte = (unsigned char)text.data[i];

		if ((byte & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (byte & 0x3f);
	}
	if (character < minimum[length] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff))
		return 0;
	*ret_character = character;
	return length;
}

/* What stands behind the backslash; 0: there is no such form of this character. */
static char short_escape(uint32_t character)
{
	switch (character) {
	case '"':
	case '\\':
		return (char)character;
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

size_t json_take_character(struct span *text, char ret_bytes[JSON_CHARACTER_BYTES + 1])
{
	uint32_t character = 0;
	size_t taken = utf8_length(*text, &character), written = taken;

	char escape = taken ? short_escape(character) : 0;

	if (taken == 0) {
		taken = 1;
		written = strlen(REPLACEMENT);
		memcpy(ret_bytes, REPLACEMENT, written);
	} else if (escape) {
		ret_bytes[0] = '\\';
		ret_bytes[1] = escape;
		written = 2;
	} else if (character < 0x20 || (character >= 0x7f && character < 0xa0)) {
		written = (size_t)snprintf(ret_bytes, JSON_CHARACTER_BYTES + 1, "\\u%04x",
					   (unsigned)character);
	} else {
		memcpy(ret_bytes, text->data, taken);
	}
	text->data += taken;
	text->length -= taken;
	return written;
}

void json_append_bytes(struct buffer *out, struct span bytes)
{
	buffer_append_byte(out, '"');
	for (size_t i = 0; i < bytes.length; i++) {
		unsigned char byte = (unsigned char)bytes.data[i];

		if (byte == '"' || byte == '\\') {
			buffer_append_byte(out, '\\');
			buffer_append_byte(out, (char)byte);
		} else if (byte < 0x20 || byte >= 0x7f) {
			buffer_printf(out, "\\u%04x", byte);
		} else {
			buffer_append_byte(out, (char)byte);
		}
	}
	buffer_append_byte(out, '"');
}
