/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "release/owned_files.h"
#include "manifest/directory.h"
#include "text/block_text.h"
#include "text/flow_text.h"
#include "text/text_diff.h"

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

static int add_old_file(struct changes *changes, const struct manifest_directory *directory,
			const char *name)
{
	struct stat status = {0};
	int holder, fd = manifest_directory_open_file(directory, name, &holder);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
		close(fd);
		return 0;
	}
	struct changed_file *file = changes_file(changes, name);
	int error = file ? owned_read_manifest(fd, holder, name, &file->old, &status) : -ENOMEM;
	close(fd);
	if (!file)
		return error;
	file->was = file->is = true;
	file->like = status;
	if (fstatat(holder, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
		file->is_link = S_ISLNK(status.st_mode);
	return error;
}

static int compare_files(const void *left, const void *right)
{
	const struct changed_file *a = left, *b = right;

	return strcmp(a->name, b->name);
}

int changes_open(const char *directory, struct changes *ret_changes, struct buffer *says)
{
	struct manifest_directory manifests;
	const char *at = directory;
	int error = manifest_directory_open(directory, &manifests);

	*ret_changes = (struct changes){.directory = directory};
	for (size_t i = 0; i < manifests.count && !error; i++) {
		error = add_old_file(ret_changes, &manifests, manifests.names[i]);
		if (error)
			at = manifests.names[i];
	}
	if (error)
		buffer_printf(says, "%s: %s\n", at, owned_error(error));
	manifest_directory_close(&manifests);
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
	const char *end = span_end(text), *line = text.data;

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
	for (size_t i = 0; i < file->edit_count; i++) {
		const struct text_edit *same = &file->edits[i];

		if (same->from == from && same->to == to && strcmp(same->text, text) == 0)
			return 0;
	}
	struct text_edit *edit = ARRAY_APPEND(file->edits, file->edit_count);
	if (!edit)
		return -1;
	*edit = (struct text_edit){from, to, strdup(text)};
	return edit->text ? 0 : -1;
}

static size_t skip_blank_back(struct span text, size_t at)
{
	while (at > 0 && strchr(" \t\r\n", text.data[at - 1]))
		at--;
	return at;
}

/* Where the item goes from whose comma stands at `comma`; `comma` itself if that item stays. */
static size_t start_of_removed(const struct changed_file *file, size_t comma)
{
	for (size_t i = 0; i < file->edit_count; i++) {
		if (!file->edits[i].text[0] && file->edits[i].from < comma &&
		    file->edits[i].to > comma)
			return file->edits[i].from;
	}
	return comma;
}

/*
 * The item and the comma behind it; the last one and the comma in front of it, unless a comment
 * stands between: there YAML lets it be.
 */
static int find_flow_item(const struct changed_file *file, size_t offset, size_t *ret_from,
			  size_t *ret_to)
{
	struct span text = buffer_span(&file->old);
	size_t before = skip_blank_back(text, offset), end = flow_node_end(text, offset);
	size_t behind = end ? flow_skip_blank(text, end) : text.length;

	if (before == 0 || behind == text.length)
		return -1;
	*ret_from = offset;
	*ret_to = end;
	if (text.data[behind] == ',') {
		*ret_to = behind + 1;
		while (*ret_to < text.length && strchr(" \t\r\n", text.data[*ret_to]))
			++*ret_to;
		return text.data[*ret_to] == ']' ? -1 : 0;
	}
	while (text.data[before - 1] == ',') {
		*ret_from = start_of_removed(file, before - 1);
		if (*ret_from == before - 1)
			break;
		before = skip_blank_back(text, *ret_from);
	}
	return text.data[behind] == ']' ? 0 : -1;
}

int changes_item(const struct changed_file *file, size_t offset, size_t *ret_from, size_t *ret_to)
{
	struct span text = buffer_span(&file->old);

	if (!block_item(text, offset, ret_from, ret_to))
		return find_flow_item(file, offset, ret_from, ret_to);
	return strchr("&*!", text.data[offset]) ? -1 : 0;
}

static int compare_edits(const void *left, const void *right)
{
	const struct text_edit *a = left, *b = right;

	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->to > b->to ? -1 : a->to < b->to;
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

		if (edit->from < at) /* within the one before */
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

		if (file->was && file->is && !file->is_recalled) {
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

int changes_refuse(struct buffer *says, struct source_place place, const char *what)
{
	const char *slash = place.file ? strrchr(place.file, '/') : NULL;

	buffer_printf(says, "%s:%u:%u: %s", slash ? slash + 1 : place.file, place.line,
		      place.column, what);
	return -1;
}

int changes_remove_item(struct changes *changes, struct source_place place, struct buffer *says)
{
	size_t offset, from, to;
	struct changed_file *file = changes_find(changes, place, &offset);

	if (!file || changes_item(file, offset, &from, &to))
		return changes_refuse(says, place, "can't be edited, edit it by hand");
	return changes_edit(file, from, to, "");
}

int changes_empty_list(struct changes *changes, const char *key, const struct source_place *places,
		       size_t count, struct buffer *says)
{
	size_t offset, from, to;
	struct changed_file *file = count ? changes_find(changes, places[0], &offset) : NULL;
	bool found = file && changes_item(file, offset, &from, &to) == 0;

	/* Of a list in brackets these stay by themselves. */
	if (found && from != offset) {
		size_t at = block_list_key(buffer_span(&file->old), from, key);

		if (!at)
			return changes_refuse(says, places[0], "can't be edited, edit it by hand");
		if (changes_edit(file, at, at, " []"))
			return -1;
	}
	for (size_t i = 0; i < count; i++) {
		if (changes_remove_item(changes, places[i], says))
			return -1;
	}
	return 0;
}
