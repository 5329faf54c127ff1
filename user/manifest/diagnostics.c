/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/diagnostics.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define MAX_REPEAT 64

/*
 * Manifests are quoted in what is said: no byte of theirs may steer a terminal or end a log line.
 */
static void make_printable(struct buffer *text)
{
	for (size_t i = 0; i + 1 < text->length; i++) {
		unsigned char byte = (unsigned char)text->data[i];

		if (byte < ' ' || byte == 0x7f)
			text->data[i] = '?';
	}
}

void diagnostics_add(struct diagnostics *diagnostics, enum diagnostic_severity severity,
		     struct source_place place, const char *resource, const char *field,
		     const char *format, ...)
{
	char what[512];
	struct buffer text = {0};
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	if (resource)
		buffer_printf(&text, "%s: ", resource);
	if (field)
		buffer_printf(&text, "%s: ", field);
	buffer_append_text(&text, what);
	buffer_append_byte(&text, '\0');
	make_printable(&text);

	if (severity == DIAGNOSTIC_ERROR)
		diagnostics->error_count++;
	if (severity == DIAGNOSTIC_ROUTE_ERROR)
		diagnostics->route_error_count++;
	struct diagnostic *item = ARRAY_APPEND(diagnostics->items, diagnostics->count);
	if (!item) {
		buffer_free(&text);
		return; /* counted as an error all the same */
	}
	*item = (struct diagnostic){
		.severity = severity,
		.file = place.file ? strdup(place.file) : NULL,
		.line = place.line,
		.column = place.column,
		.text = text.data,
	};
}

static bool says_the_same(const struct diagnostic *one, const struct diagnostic *other)
{
	return one->severity == other->severity && one->line == other->line &&
	       one->column == other->column && one->text && other->text &&
	       strcmp(one->text, other->text) == 0;
}

void diagnostics_drop_repeated(struct diagnostics *diagnostics)
{
	if (!diagnostics->count)
		return;
	struct diagnostic *latest = &diagnostics->items[diagnostics->count - 1];
	size_t first = diagnostics->count > MAX_REPEAT ? diagnostics->count - MAX_REPEAT : 0;

	for (size_t i = first; i + 1 < diagnostics->count; i++) {
		if (!says_the_same(&diagnostics->items[i], latest))
			continue;
		diagnostics->error_count -= latest->severity == DIAGNOSTIC_ERROR;
		diagnostics->route_error_count -= latest->severity == DIAGNOSTIC_ROUTE_ERROR;
		free(latest->file);
		free(latest->text);
		diagnostics->count--;
		return;
	}
}

void diagnostics_note_other(struct diagnostics *diagnostics, struct source_place other)
{
	if (!diagnostics->count || !other.file)
		return;
	struct diagnostic *item = &diagnostics->items[diagnostics->count - 1];

	free(item->other_file);
	item->other_file = strdup(other.file);
	item->other_line = other.line;
	item->other_column = other.column;
}

void diagnostics_add_copy(struct diagnostics *diagnostics, const struct diagnostic *item)
{
	const struct source_place place = {item->file, item->line, item->column};
	const struct source_place other = {item->other_file, item->other_line, item->other_column};

	diagnostics_add(diagnostics, item->severity, place, NULL, NULL, "%s",
			item->text ? item->text : "out of memory");
	if (other.line)
		diagnostics_note_other(diagnostics, other);
}

void diagnostics_take(struct diagnostics *diagnostics, struct diagnostics *from)
{
	diagnostics->error_count += from->error_count;
	diagnostics->route_error_count += from->route_error_count;
	for (size_t i = 0; i < from->count; i++) {
		struct diagnostic *item = ARRAY_APPEND(diagnostics->items, diagnostics->count);

		if (!item)
			continue; /* counted as an error all the same */
		*item = from->items[i];
		from->items[i] = (struct diagnostic){0};
	}
	from->error_count = from->route_error_count = 0;
	diagnostics_free(from);
}

static int compare(const void *left, const void *right)
{
	const struct diagnostic *a = left, *b = right;
	int files = strcmp(a->file ? a->file : "", b->file ? b->file : "");

	if (files)
		return files;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->column == b->column ? 0 : a->column < b->column ? -1 : 1;
}

void diagnostics_sort(struct diagnostics *diagnostics)
{
	if (diagnostics->count)
		qsort(diagnostics->items, diagnostics->count, sizeof(*diagnostics->items), compare);
}

void diagnostics_print(const struct diagnostics *diagnostics, FILE *stream)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];

		if (item->file && item->line)
			fprintf(stream, "%s:%u:%u: ", item->file, item->line, item->column);
		else if (item->file)
			fprintf(stream, "%s: ", item->file);
		fprintf(stream, "%s%s\n", item->severity == DIAGNOSTIC_WARNING ? "warning: " : "",
			item->text ? item->text : "out of memory");
	}
}

void diagnostics_free(struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		free(diagnostics->items[i].file);
		free(diagnostics->items[i].text);
		free(diagnostics->items[i].other_file);
	}
	free(diagnostics->items);
	*diagnostics = (struct diagnostics){0};
}
