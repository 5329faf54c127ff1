/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/path.h"

#include <string.h>

#include "base/array.h"
#include "http/syntax.h"

#define ENCODED_BYTES 3 /* "%2F" */
#define NO_PERCENT SIZE_MAX

int http_path_normalization_parse(const char *text, enum http_path_normalization *ret_way)
{
	static const char *const names[] = {
		[HTTP_PATH_BASE] = "base",
		[HTTP_PATH_NONE] = "none",
		[HTTP_PATH_MERGE_SLASHES] = "merge-slashes",
		[HTTP_PATH_DECODE_AND_MERGE_SLASHES] = "decode-and-merge-slashes",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_way = (enum http_path_normalization)i;
			return 0;
		}
	}
	return -1;
}

/* What is read, and what was written of it. */
struct path_writer {
	const char *at;
	const char *end;
	char *out;
	size_t length;
	size_t percent; /* where a '%' was written that encodes nothing; or NO_PERCENT */
};

/* The byte that "%XX" at `at` encodes, or -1. */
static int encoded_byte(const char *at, const char *end)
{
	if (end - at < ENCODED_BYTES || *at != '%')
		return -1;
	int high = http_hex_digit(at[1]), low = http_hex_digit(at[2]);

	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_slash(char byte)
{
	return byte == '/' || byte == '\\';
}

/* Bytes of a '.' at `at`, plain or encoded; 0: there is none. */
static size_t dot_length(const char *at, const char *end)
{
	if (at < end && *at == '.')
		return 1;
	return encoded_byte(at, end) == '.' ? ENCODED_BYTES : 0;
}

static void put_byte(struct path_writer *writer, char byte)
{
	writer->out[writer->length++] = byte;
}

/* RFC 3986 2.1: digits in upper case. */
static void put_encoded(struct path_writer *writer, unsigned char byte)
{
	static const char digits[] = "0123456789ABCDEF";

	put_byte(writer, '%');
	put_byte(writer, digits[byte >> 4]);
	put_byte(writer, digits[byte & 15]);
}

/* Takes the last segment out. The text begins and ends with a slash, before and after. */
static void remove_segment(struct path_writer *writer)
{
	if (writer->length > 1)
		writer->length--;
	while (writer->out[writer->length - 1] != '/')
		writer->length--;
	if (writer->percent != NO_PERCENT && writer->percent >= writer->length)
		writer->percent = NO_PERCENT;
}

/* At a dot behind a slash: "." and ".." as a whole segment are resolved. */
static bool resolve_dots(struct path_writer *writer, size_t length)
{
	const char *at = writer->at + length;
	size_t second = dot_length(at, writer->end);
	const char *behind = at + second;

	if (behind < writer->end && !is_slash(*behind))
		return false;
	if (second)
		remove_segment(writer);
	writer->at = behind < writer->end ? behind + 1 : behind;
	return true;
}

static void write_dot(struct path_writer *writer, size_t length)
{
	if (writer->out[writer->length - 1] == '/' && resolve_dots(writer, length))
		return;
	put_byte(writer, '.');
	writer->at += length;
}

/*
 * "%%30" is no encoding, yet "%0" with what follows may be one once the inner one is decoded. The
 * first '%' is encoded then, so that nothing is decoded twice, here or behind us.
 */
static void guard_percent(struct path_writer *writer)
{
	if (writer->percent == NO_PERCENT)
		return;
	char *percent = writer->out + writer->percent;
	size_t written = writer->length - writer->percent - 1;

	if (written > 2)
		return;
	char next = writer->at < writer->end ? *writer->at : '\0';
	char second = written == 2 ? percent[2] : next;
	if (http_hex_digit(percent[1]) < 0 || http_hex_digit(second) < 0)
		return;
	memmove(percent + 3, percent + 1, written);
	memcpy(percent + 1, "25", 2);
	writer->length += 2;
	writer->percent = NO_PERCENT;
}

/* False: an encoded NUL. */
static bool write_percent(struct path_writer *writer)
{
	int byte = encoded_byte(writer->at, writer->end);

	if (byte < 0) {
		writer->percent = writer->length;
		put_byte(writer, *writer->at++);
		return true;
	}
	writer->at += ENCODED_BYTES;
	if (http_byte_is((char)byte, HTTP_BYTE_HOST)) {
		put_byte(writer, (char)byte);
		guard_percent(writer);
		return true;
	}
	/* As it was written: an application may go by the case of the digits. */
	memcpy(writer->out + writer->length, writer->at - ENCODED_BYTES, ENCODED_BYTES);
	writer->length += ENCODED_BYTES;
	return byte != 0;
}

static bool write_next(struct path_writer *writer)
{
	size_t dot = dot_length(writer->at, writer->end);

	if (dot)
		write_dot(writer, dot);
	else if (*writer->at == '%')
		return write_percent(writer);
	else if (is_slash(*writer->at))
		put_byte(writer, '/'), writer->at++;
	else if (http_byte_is(*writer->at, HTTP_BYTE_PATH))
		put_byte(writer, *writer->at++);
	else
		put_encoded(writer, (unsigned char)*writer->at++);
	return true;
}

/* %2F and %5C as the slashes that they encode, so that dots between them are seen. */
static struct span decode_slashes(struct span path, char *memory)
{
	const char *at = path.data, *end = path.data + path.length;
	size_t length = 0;

	while (at < end) {
		int byte = encoded_byte(at, end);

		if (byte == '/' || byte == '\\') {
			memory[length++] = (char)byte;
			at += ENCODED_BYTES;
		} else {
			memory[length++] = *at++;
		}
	}
	return (struct span){memory, length};
}

static size_t merge_slashes(char *path, size_t length)
{
	size_t kept = 1;

	for (size_t i = 1; i < length; i++) {
		if (path[i] != '/' || path[kept - 1] != '/')
			path[kept++] = path[i];
	}
	return kept;
}

/* Most paths have nothing that would have to be looked at closely. */
static bool is_plain(struct span path, enum http_path_normalization way)
{
	const char *at = path.data, *end = path.data + path.length;

	if (way != HTTP_PATH_BASE && memmem(path.data, path.length, "//", 2))
		return false;
	for (;;) {
		at = http_skip_word(at, end, '/', HTTP_BYTE_PATH);
		if (at == end)
			return true;
		if (*at != '.' || at[-1] == '/')
			return false;
		at++;
	}
}

enum http_path_result http_path_normalize(struct span path, enum http_path_normalization way,
					  struct buffer *out)
{
	if (way == HTTP_PATH_NONE || path.length == 0 || path.data[0] != '/' || is_plain(path, way))
		return HTTP_PATH_IS_NORMAL;
	size_t room = ENCODED_BYTES * path.length;
	char *memory = buffer_reserve(out, room + path.length);
	if (!memory)
		return HTTP_PATH_NORMALIZED;
	struct span input = way == HTTP_PATH_DECODE_AND_MERGE_SLASHES
				    ? decode_slashes(path, memory + room)
				    : path;
	struct path_writer writer = {
		.at = input.data + 1,
		.end = input.data + input.length,
		.out = memory,
		.percent = NO_PERCENT,
	};
	put_byte(&writer, '/');
	while (writer.at < writer.end) {
		if (!write_next(&writer))
			return HTTP_PATH_REFUSED;
	}
	if (way != HTTP_PATH_BASE)
		writer.length = merge_slashes(memory, writer.length);
	if (span_equal(path, (struct span){memory, writer.length}))
		return HTTP_PATH_IS_NORMAL;
	out->length += writer.length;
	return HTTP_PATH_NORMALIZED;
}
