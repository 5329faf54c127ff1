/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the commands' answers have in common, as text and as JSON. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/span.h"

/* `-o FORMAT`: 0, or -1 (told to standard error in the command's name). */
int output_parse_format(const char *command, const char *format, bool *ret_json);

/* A number from 1 to `maximum`, of the option that this error names. 0, or -1 (told). */
int output_parse_number(const char *command, const char *option, const char *text, uint64_t maximum,
			uint64_t *ret_number);

/* Appends to a growing list of arguments; -1 (told) when memory is short. */
int output_append_argument(const char *command, const char ***list, size_t *count,
			   const char *text);

#define PERCENT_TEXT 24
/* "11.00 %", with more digits where two would say 0. Gives `text`. */
const char *output_percent(double share, char text[PERCENT_TEXT]);

/*
 * A JSON string. Bytes that are no UTF-8 stand for the characters that they are in ISO-8859-1, as
 * header values once were: *ret_latin1 (may be NULL) then is true. NULL when memory is short.
 */
json_t *output_json_text(struct span text, bool *ret_latin1);

/* Writes the object and a line's end to standard output, and drops it. 0, or -1 (told). */
int output_json(const char *command, json_t *object);
/* Before a round of text, where standard output is a terminal. */
void output_clear_screen(void);
/* The same care for text: true if all that was printed arrived. */
bool output_flush(const char *command);
