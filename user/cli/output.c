/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buffer.h"
#include "base/number.h"

int output_parse_format(const char *command, const char *format, bool *ret_json)
{
	*ret_json = strcmp(format, "json") == 0;
	if (*ret_json || strcmp(format, "text") == 0)
		return 0;
	fprintf(stderr, "lanetag %s: --output: '%s' is neither text nor json\n", command, format);
	return -1;
}

int output_parse_number(const char *command, const char *option, const char *text, uint64_t maximum,
			uint64_t *ret_number)
{
	if (parse_unsigned(span_of(text), maximum, ret_number) == 0 && *ret_number > 0)
		return 0;
	fprintf(stderr, "lanetag %s: %s: '%s' is no number from 1 to %" PRIu64 "\n", command,
		option, text, maximum);
	return -1;
}

int output_append_argument(const char *command, const char ***list, size_t *count, const char *text)
{
	const char **item = ARRAY_APPEND(*list, *count);

	if (!item) {
		fprintf(stderr, "lanetag %s: out of memory\n", command);
		return -1;
	}
	*item = text;
	return 0;
}

const char *output_percent(double share, char text[PERCENT_TEXT])
{
	const char *format = share > 0 && share < 0.0001 ? "%.2g %%" : "%.2f %%";

	snprintf(text, PERCENT_TEXT, format, 100 * share);
	return text;
}

static json_t *json_of_latin1(struct span text)
{
	struct buffer utf8 = {0};

	for (size_t i = 0; i < text.length; i++) {
		unsigned char byte = (unsigned char)text.data[i];

		if (byte >= 0x80)
			buffer_append_byte(&utf8, (char)(0xc0 | byte >> 6));
		buffer_append_byte(&utf8, (char)(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte));
	}
	json_t *value = utf8.failed ? NULL : json_stringn(utf8.data, utf8.length);
	buffer_free(&utf8);
	return value;
}

json_t *output_json_text(struct span text, bool *ret_latin1)
{
	json_t *value = json_stringn(text.data ? text.data : "", text.length);

	if (ret_latin1)
		*ret_latin1 = !value;
	return value ? value : json_of_latin1(text);
}

bool output_flush(const char *command)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	if (errno != EPIPE)
		fprintf(stderr, "lanetag %s: can't write: %s\n", command, strerror(errno));
	return false;
}

void output_clear_screen(void)
{
	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
}

int output_json(const char *command, json_t *object)
{
	int error =
		object ? json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(10)) : -1;

	if (!object)
		fprintf(stderr, "lanetag %s: out of memory\n", command);
	json_decref(object);
	if (error)
		return -1;
	putchar('\n');
	return output_flush(command) ? 0 : -1;
}
