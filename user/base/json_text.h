/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Any bytes as the characters of a JSON string, whoever sent them. */
#include "base/buffer.h"

#define JSON_CHARACTER_BYTES 6 /* at most, of one character as it is written */

/*
 * Takes the first character off *text, which must not be empty, and writes it as a JSON string may
 * hold it: quotes, backslashes and control characters (also U+007F to U+009F, which steer
 * terminals) escaped, a byte that begins no UTF-8 as U+FFFD. Gives how many bytes it wrote.
 */
size_t json_take_character(struct span *text, char ret_bytes[JSON_CHARACTER_BYTES + 1]);

/*
 * Appends a JSON string from which each byte can be told: those that are no ASCII text stand as
 * \u00XX, as if they were ISO-8859-1.
 */
void json_append_bytes(struct buffer *out, struct span bytes);
