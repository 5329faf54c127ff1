/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/ids.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/output.h"
#include "http/values.h"
#include "policy/tag_rules.h"

/* White space around an id and its CR do not count for its length; more than this is no line. */
#define MAX_LINE (TAG_MAX_ID + 4096)

#define MAX_COUNT UINT64_C(1000000000000)

#define IDS_BETWEEN_LOOKS 4096 /* at the clock */

int ids_parse_count(const char *command, const char *text, uint64_t *ret_count)
{
	return output_parse_number(command, "--count", text, MAX_COUNT, ret_count);
}

static uint64_t size_of(FILE *file)
{
	struct stat status;

	if (fstat(fileno(file), &status) || !S_ISREG(status.st_mode))
		return PROGRESS_UNKNOWN;
	return (uint64_t)status.st_size;
}

int ids_open(struct id_source *source, const char *command, const char *path, uint64_t count)
{
	*source = (struct id_source){.command = command, .path = path, .count = count};
	progress_start(&source->progress, command, progress_terminal(), clock_now_ns());
	if (!path)
		return 0;
	source->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (source->file) {
		source->file_bytes = size_of(source->file);
		return 0;
	}
	fprintf(stderr, "lanetag %s: %s: %s\n", command, path, strerror(errno));
	return -1;
}

/* Of a file's size, where it has one. */
static void show_progress(struct id_source *source)
{
	uint64_t done = source->line, total = source->count;

	if (source->file) {
		off_t position = ftello(source->file);

		done = position < 0 ? 0 : (uint64_t)position;
		total = source->file_bytes;
	}
	progress_update(&source->progress, clock_now_ns(), source->line, done, total);
}

/* Why a line is no id at the first look, or NULL. Any of these may be one: it counts as one. */
static const char *why_unlike(struct span line)
{
	bool has_letter = false;

	if (line.length == 0)
		return "empty";
	if (line.data[0] == '#' || span_starts_with(line, span_of("//")))
		return "a comment";
	for (size_t i = 0; i < line.length; i++) {
		unsigned char byte = (unsigned char)line.data[i];

		if (strchr(",;|\t", byte))
			return "a row of a table";
		if (byte == ' ')
			return "a text with blanks";
		if (strchr("\"'`<>{}[]()", byte))
			return "quotes or brackets";
		has_letter |= byte >= 0x80 || isalnum(byte);
	}
	return has_letter ? NULL : "neither letters nor digits";
}

static void look_at(struct id_source *source, struct span line)
{
	const char *reason = why_unlike(line);

	if (!reason)
		return;
	if (source->unlike++ == 0) {
		source->first_unlike = source->line;
		source->unlike_reason = reason;
	}
}

void ids_close(struct id_source *source)
{
	progress_wipe(&source->progress);
	if (source->unlike)
		fprintf(stderr,
			"lanetag %s: %s: %" PRIu64 " of %" PRIu64
			" lines look unlike ids (line %" PRIu64
			": %s); they count as ids all the same\n",
			source->command, source->path, source->unlike, source->line,
			source->first_unlike, source->unlike_reason);
	if (source->file && source->file != stdin)
		fclose(source->file);
	buffer_free(&source->text);
}

bool ids_check(const char *command, const char *where, struct span id)
{
	if (id.length > TAG_MAX_ID) {
		fprintf(stderr, "lanetag %s: %s: longer than %d bytes: no header may hold it\n",
			command, where, TAG_MAX_ID);
		return false;
	}
	if (http_is_field_value(id))
		return true;
	for (size_t i = 0; i < id.length; i++) {
		if (http_is_field_value((struct span){id.data + i, 1}) || id.data[i] == '\t' ||
		    id.data[i] == ' ')
			continue;
		fprintf(stderr,
			"lanetag %s: %s: the byte 0x%02x, which no header may hold, at column "
			"%zu\n",
			command, where, (unsigned char)id.data[i], i + 1);
		break;
	}
	return false;
}

/* One line without its end into source->text, cut behind MAX_LINE. False at the file's end. */
static bool read_line(struct id_source *source)
{
	struct buffer *text = &source->text;
	int byte = getc_unlocked(source->file);

	if (byte == EOF)
		return false;
	buffer_clear(text);
	for (; byte != EOF && byte != '\n'; byte = getc_unlocked(source->file)) {
		if (text->length <= MAX_LINE)
			buffer_append_byte(text, (char)byte);
	}
	if (text->length && text->data[text->length - 1] == '\r')
		text->length--;
	return true;
}

static int read_id(struct id_source *source, struct span *ret_id)
{
	while (read_line(source)) {
		struct buffer place = {0};

		source->line++;
		*ret_id = span_trim(buffer_span(&source->text));
		if (source->text.failed) {
			fprintf(stderr, "lanetag %s: out of memory\n", source->command);
			return -1;
		}
		if (http_is_field_value(*ret_id) && ret_id->length <= TAG_MAX_ID) {
			look_at(source, *ret_id);
			return 1;
		}
		progress_wipe(&source->progress);
		buffer_printf(&place, "%s:%" PRIu64, source->path, source->line);
		ids_check(source->command, buffer_text(&place), *ret_id);
		buffer_free(&place);
		source->refused++;
	}
	if (!ferror(source->file))
		return 0;
	fprintf(stderr, "lanetag %s: %s: %s\n", source->command, source->path, strerror(errno));
	return -1;
}

int ids_next(struct id_source *source, struct span *ret_id)
{
	if (source->progress.stream && source->line % IDS_BETWEEN_LOOKS == 0)
		show_progress(source);
	if (source->file)
		return read_id(source, ret_id);
	if (source->line == source->count)
		return 0;
	buffer_clear(&source->text);
	buffer_printf(&source->text, "user-%" PRIu64, source->line++);
	*ret_id = buffer_span(&source->text);
	return source->text.failed ? -1 : 1;
}
