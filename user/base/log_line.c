/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/log_line.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_text.h"

#define CUT "..."
/* Kept free for what ends any line: the cut, a quote, a brace, the line's end. */
#define END_BYTES (sizeof(CUT) - 1 + 3)
/* A pair begins only if there is room for its key, some of its value, and the end. */
#define MINIMUM_VALUE 32

struct line {
	enum log_format format;
	char *bytes;
	size_t length;
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

static bool has_room(const struct line *line, size_t length)
{
	return line->length + length + END_BYTES <= LOG_LINE_BYTES;
}

static void append(struct line *line, const char *text, size_t length)
{
	memcpy(line->bytes + line->length, text, length);
	line->length += length;
}

static void append_string(struct line *line, struct span text)
{
	append(line, "\"", 1);
	while (text.length) {
		char bytes[JSON_CHARACTER_BYTES + 1];
		size_t length = json_take_character(&text, bytes);

		if (!has_room(line, length)) {
			append(line, CUT, strlen(CUT));
			break;
		}
		append(line, bytes, length);
	}
	append(line, "\"", 1);
}

/* False: it stands in logfmt as it is. */
static bool needs_quotes(struct span text)
{
	for (size_t i = 0; i < text.length; i++) {
		unsigned char byte = (unsigned char)text.data[i];

		if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '=' || byte == '\\')
			return true;
	}
	return text.length == 0;
}

static void append_text(struct line *line, struct span text)
{
	if (line->format == LOG_FORMAT_LOGFMT && !needs_quotes(text) && has_room(line, text.length))
		append(line, text.data, text.length);
	else
		append_string(line, text);
}

/* Gives false, and does nothing, where there is no room for a pair any more. */
static bool append_key(struct line *line, const char *key)
{
	char start[64];
	bool json = line->format == LOG_FORMAT_JSON, first = line->length == 0;
	int length = json ? snprintf(start, sizeof(start), "%c\"%s\":", first ? '{' : ',', key)
			  : snprintf(start, sizeof(start), "%s%s=", first ? "" : " ", key);

	if (length >= (int)sizeof(start) || !has_room(line, (size_t)length + MINIMUM_VALUE))
		return false;
	append(line, start, (size_t)length);
	return true;
}

static bool append_pair(struct line *line, const struct log_pair *pair)
{
	char number[MINIMUM_VALUE];

	if (!append_key(line, pair->key))
		return false;
	if (pair->kind == LOG_PAIR_TEXT) {
		append_text(line, span_of(pair->text));
		return true;
	}
	uint64_t tenths = pair->kind == LOG_PAIR_TENTHS ? pair->number % 10 : 0;
	uint64_t whole = pair->kind == LOG_PAIR_TENTHS ? pair->number / 10 : pair->number;
	int length = pair->kind == LOG_PAIR_TENTHS
			     ? snprintf(number, sizeof(number), "%" PRIu64 ".%u", whole,
					(unsigned)tenths)
			     : snprintf(number, sizeof(number), "%" PRIu64, whole);
	append(line, number, (size_t)length);
	return true;
}

size_t log_line_write(enum log_format format, const struct timespec *when, enum log_level level,
		      const char *event, const struct log_pair *pairs,
		      char ret_line[LOG_LINE_BYTES])
{
	struct line line = {.format = format, .bytes = ret_line};
	char second[32], time[48];
	struct tm utc;

	gmtime_r(&when->tv_sec, &utc);
	strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(time, sizeof(time), "%s.%03ldZ", second, when->tv_nsec / 1000000);
	append_pair(&line, &(struct log_pair){.key = "time", .text = time});
	append_pair(&line, &(struct log_pair){.key = "level", .text = level_names[level]});
	append_key(&line, "event");
	append_string(&line, span_of(event)); /* always in quotes: one pattern finds an event */
	while (pairs->key && append_pair(&line, pairs))
		pairs++;
	if (format == LOG_FORMAT_JSON)
		append(&line, "}", 1);
	append(&line, "\n", 1);
	return line.length;
}
