/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/changes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "cli/text_diff.h"

#define MAX_FILE_BYTES ((size_t)64 * 1024 * 1024) /* what the manifests' reader takes */

int is_manifest_file_name(const char *name)
{
	static const char *const suffixes[] = {".yaml", ".yml", ".json"};

	if (name[0] == '.')
		return 0;
	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
		if (span_ends_with_ignore_case(span_of(name), span_of(suffixes[i])))
			return 1;
	}
	return 0;
}

static int read_all(int fd, struct buffer *out)
{
	struct stat status;
	ssize_t length;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	do {
		char *room = buffer_reserve(out, 65536);

		if (!room)
			return -ENOMEM;
		length = read(fd, room, 65536);
		if (length < 0)
			return -errno;
		out->length += (size_t)length;
	} while (length > 0 && out->length <= MAX_FILE_BYTES);
	return length > 0 ? -EFBIG : 0;
}

int read_whole_file(int directory, const char *name, struct buffer *out)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	int error = read_all(fd, out);
	close(fd);
	return error;
}

struct changed_file *changes_file(struct changes *changes, const char *name)
{
	for (size_t i = 0; i < changes->file_count; i++) {
		if (strcmp(changes->files[i].name, name) == 0)
			return &changes->files[i];
	}
	struct changed_file *file = ARRAY_APPEND(changes->files, changes->file_count);
	if (!file)
		return NULL;
	file->name = strdup(name);
	if (!file->name) {
		changes->file_count--;
		return NULL;
	}
	return file;
}

static int add_old_file(struct changes *changes, int directory, const char *name)
{
	struct changed_file *file = changes_file(changes, name);

	if (!file)
		return -ENOMEM;
	file->was = file->is = true;
	return read_whole_file(directory, name, &file->old);
}

static int compare_files(const void *left, const void *right)
{
	const struct changed_file *a = left, *b = right;

	return strcmp(a->name, b->name);
}

int changes_open(const char *command, const char *directory, struct changes *ret_changes)
{
	DIR *stream = opendir(directory);
	const char *at = directory;
	struct dirent *entry;
	int error = stream ? 0 : -errno;

	*ret_changes = (struct changes){.directory = directory};
	while (!error && (entry = readdir(stream))) {
		struct stat status;

		if (!is_manifest_file_name(entry->d_name) ||
		    (fstatat(dirfd(stream), entry->d_name, &status, 0) == 0 &&
		     S_ISDIR(status.st_mode)))
			continue;
		error = add_old_file(ret_changes, dirfd(stream), entry->d_name);
		if (error)
			at = entry->d_name;
	}
	if (error)
		fprintf(stderr, "lanetag %s: %s: %s\n", command, at, strerror(-error));
	if (stream)
		closedir(stream);
	if (ret_changes->file_count)
		qsort(ret_changes->files, ret_changes->file_count, sizeof(*ret_changes->files),
		      compare_files);
	return error ? -1 : 0;
}

void changes_free(struct changes *changes)
{
	for (size_t i = 0; i < changes->file_count; i++) {
		struct changed_file *file = &changes->files[i];

		for (size_t j = 0; j < file->edit_count; j++)
			free(file->edits[j].text);
		free(file->edits);
		free(file->name);
		buffer_free(&file->old);
		buffer_free(&file->new);
	}
	free(changes->files);
	*changes = (struct changes){0};
}

/* libyaml counts characters: lines are ASCII before what is edited, or the place is not found. */
static bool offset_of(struct span text, struct source_place place, size_t *ret_offset)
{
	const char *end = text.data + text.length, *line = text.data;

	for (unsigned i = 1; line && i < place.line; i++) {
		line = memchr(line, '\n', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	}
	if (!line || place.line == 0 || place.column == 0 || (size_t)(end - line) < place.column)
		return false;
	for (unsigned i = 0; i + 1 < place.column; i++) {
		if (line[i] == '\n' || (unsigned char)line[i] >= 0x80)
			return false;
	}
	*ret_offset = (size_t)(line - text.data) + place.column - 1;
	return true;
}

struct changed_file *changes_find(struct changes *changes, struct source_place place,
				  size_t *ret_offset)
{
	const char *slash = place.file ? strrchr(place.file, '/') : NULL;
	const char *name = slash ? slash + 1 : place.file;

	for (size_t i = 0; name && i < changes->file_count; i++) {
		struct changed_file *file = &changes->files[i];

		if (strcmp(file->name, name) == 0)
			return offset_of(buffer_span(&file->old), place, ret_offset) ? file : NULL;
	}
	return NULL;
}

int changes_edit(struct changed_file *file, size_t from, size_t to, const char *text)
{
	struct text_edit *edit = ARRAY_APPEND(file->edits, file->edit_count);

	if (!edit)
		return -1;
	*edit = (struct text_edit){from, to, strdup(text)};
	return edit->text ? 0 : -1;
}

static size_t line_start(struct span text, size_t offset)
{
	while (offset > 0 && text.data[offset - 1] != '\n')
		offset--;
	return offset;
}

static size_t line_end(struct span text, size_t offset)
{
	const char *end = memchr(text.data + offset, '\n', text.length - offset);

	return end ? (size_t)(end - text.data) + 1 : text.length;
}

static size_t indentation(struct span text, size_t offset)
{
	size_t count = 0;

	while (offset + count < text.length && text.data[offset + count] == ' ')
		count++;
	return count;
}

/* Blank lines and comments belong to what follows them, unless they are indented as the item is. */
int changes_item(const struct changed_file *file, size_t offset, size_t *ret_from, size_t *ret_to)
{
	struct span text = buffer_span(&file->old);
	size_t from = line_start(text, offset), dash = indentation(text, from);
	size_t to = line_end(text, from), end = to;

	if (from + dash >= offset || text.data[from + dash] != '-' ||
	    from + dash + 1 + indentation(text, from + dash + 1) != offset ||
	    strchr("{[&*!\"'", text.data[offset]))
		return -1;
	for (size_t line = to; line < text.length; line = end) {
		size_t indent = indentation(text, line);
		char first = line + indent < text.length ? text.data[line + indent] : '\n';

		end = line_end(text, line);
		if (first == '\n' || first == '\r')
			continue;
		if (indent <= dash)
			break;
		to = end;
	}
	*ret_from = from;
	*ret_to = to;
	return 0;
}

static int compare_edits(const void *left, const void *right)
{
	const struct text_edit *a = left, *b = right;

	return a->from < b->from ? -1 : a->from > b->from;
}

bool changed_file_differs(const struct changed_file *file)
{
	return file->was != file->is ||
	       !span_equal(buffer_span(&file->old), buffer_span(&file->new));
}

static void apply_edits(struct changed_file *file)
{
	size_t at = 0;

	qsort(file->edits, file->edit_count, sizeof(*file->edits), compare_edits);
	for (size_t i = 0; i < file->edit_count; i++) {
		const struct text_edit *edit = &file->edits[i];

		if (edit->from < at) /* twice the same */
			continue;
		buffer_append(&file->new, file->old.data + at, edit->from - at);
		buffer_append_text(&file->new, edit->text);
		at = edit->to;
	}
	if (file->old.length > at)
		buffer_append(&file->new, file->old.data + at, file->old.length - at);
}

bool changes_finish(struct changes *changes)
{
	bool differs = false;

	for (size_t i = 0; i < changes->file_count; i++) {
		struct changed_file *file = &changes->files[i];

		if (file->was && file->is && file->new.length == 0) {
			if (file->edit_count)
				apply_edits(file);
			else
				buffer_append_span(&file->new, buffer_span(&file->old));
		}
		differs |= changed_file_differs(file);
	}
	return differs;
}

void changes_diff(const struct changes *changes, struct buffer *out)
{
	for (size_t i = 0; i < changes->file_count; i++) {
		const struct changed_file *file = &changes->files[i];

		if (!changed_file_differs(file))
			continue;
		buffer_printf(out, "--- %s%s\n+++ %s%s\n", file->was ? "a/" : "/dev/null",
			      file->was ? file->name : "", file->is ? "b/" : "/dev/null",
			      file->is ? file->name : "");
		text_diff(buffer_span(&file->old), buffer_span(&file->new), out);
	}
}
