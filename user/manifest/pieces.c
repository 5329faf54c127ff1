/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/pieces.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "manifest/node.h"

/* The bytes of a line break of YAML 1.1 at `at`; 0: there is none. */
static size_t break_length(struct span text, size_t at)
{
	static const char *const breaks[] = {"\r\n",	 "\n",		 "\r",
					     "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
	const struct span rest = {text.data + at, text.length - at};

	for (size_t i = 0; i < ARRAY_LENGTH(breaks); i++) {
		if (span_starts_with(rest, span_of(breaks[i])))
			return strlen(breaks[i]);
	}
	return 0;
}

unsigned manifest_text_lines(struct span text)
{
	unsigned lines = 0;

	for (size_t at = 0; at < text.length;) {
		size_t length = break_length(text, at);

		lines += length != 0;
		at += length ? length : 1;
	}
	return lines;
}

/* A place in a text, moved forward alone. */
struct text_cursor {
	struct span text;
	size_t at;
	unsigned line, column;
};

static struct text_cursor cursor_at_start(struct span text)
{
	bool has_mark = span_starts_with(text, span_of("\xef\xbb\xbf"));

	return (struct text_cursor){text, has_mark ? 3 : 0, 1, 1};
}

static void cursor_step(struct text_cursor *cursor)
{
	size_t length = break_length(cursor->text, cursor->at);

	if (length) {
		cursor->at += length;
		cursor->line++;
		cursor->column = 1;
		return;
	}
	cursor->at++;
	/* Columns count characters. */
	while (cursor->at < cursor->text.length &&
	       ((unsigned char)cursor->text.data[cursor->at] & 0xc0) == 0x80)
		cursor->at++;
	cursor->column++;
}

static size_t cursor_move(struct text_cursor *cursor, unsigned line, unsigned column)
{
	while (cursor->at < cursor->text.length &&
	       (cursor->line < line || (cursor->line == line && cursor->column < column)))
		cursor_step(cursor);
	return cursor->at;
}

static char *text_of(const struct node *node, const char *otherwise)
{
	return node && node->kind == NODE_SCALAR && !node_is_null(node) ? span_copy(node->text)
									: strdup(otherwise);
}

/* Of the API: two of them have a Gateway. */
static char *group_of(const struct node *node)
{
	const struct node *version = node_get(node, "apiVersion");
	struct span group, rest;

	if (!version || version->kind != NODE_SCALAR ||
	    !span_cut(version->text, '/', &group, &rest))
		return strdup("");
	return span_copy(group);
}

static int append_piece(struct manifest_pieces *pieces, const struct manifest_file *file,
			const struct node *node, struct text_cursor *cursor)
{
	const struct node *metadata = node_get(node, "metadata");
	struct manifest_piece *piece = ARRAY_APPEND(pieces->items, pieces->count);
	bool is_scalar = node->kind == NODE_SCALAR;

	if (!piece)
		return -ENOMEM;
	*piece = (struct manifest_piece){
		.file = file,
		.group = group_of(node),
		.kind = text_of(node_get(node, "kind"), ""),
		.namespace = text_of(node_get(metadata, "namespace"), "default"),
		.name = text_of(node_get(metadata, "name"), ""),
		.line = node->place.line,
		.column = node->place.column,
		.end_line = is_scalar ? node->place.line + 1 : node->end_line,
		.end_column = is_scalar ? 1 : node->end_column,
	};
	size_t from = cursor_move(cursor, piece->line, piece->column);
	size_t to = cursor_move(cursor, piece->end_line, piece->end_column);
	piece->text = (struct span){file->text + from, to - from};
	return piece->group && piece->kind && piece->namespace && piece->name ? 0 : -ENOMEM;
}

void manifest_piece_print(const struct manifest_piece *piece, struct buffer *out)
{
	buffer_append_text(out, "---\n");
	for (unsigned i = 1; i < piece->column; i++)
		buffer_append_byte(out, ' ');
	buffer_append_span(out, piece->text);
	if (!piece->text.length || piece->text.data[piece->text.length - 1] != '\n')
		buffer_append_byte(out, '\n');
}

/* An item may need an anchor that stands outside it. */
static bool can_stand_alone(const struct manifest_piece *piece)
{
	struct diagnostics diagnostics = {0};
	struct buffer text = {0};
	struct node **documents = NULL;

	manifest_piece_print(piece, &text);
	size_t count =
		text.failed ? 0
			    : nodes_read_memory("", buffer_span(&text), &diagnostics, &documents);
	bool is_one = count == 1 && nodes_are_whole(documents);
	nodes_free(documents, count);
	diagnostics_free(&diagnostics);
	buffer_free(&text);
	return is_one;
}

static void free_from(struct manifest_pieces *pieces, size_t first)
{
	while (pieces->count > first) {
		struct manifest_piece *piece = &pieces->items[--pieces->count];

		free(piece->group);
		free(piece->kind);
		free(piece->namespace);
		free(piece->name);
	}
}

static bool is_list(const struct node *document)
{
	const struct node *kind = node_get(document, "kind"), *items = node_get(document, "items");

	return kind && kind->kind == NODE_SCALAR && items && items->kind == NODE_SEQUENCE &&
	       span_ends_with_ignore_case(kind->text, span_of("List"));
}

/* The items one by one, if each of them can be read by itself. */
static int append_items(struct manifest_pieces *pieces, const struct manifest_file *file,
			const struct node *items, struct text_cursor *cursor, bool *ret_done)
{
	struct text_cursor start = *cursor;
	size_t before = pieces->count;
	int error = 0;

	*ret_done = true;
	for (size_t i = 0; i < items->count && !error && *ret_done; i++) {
		error = append_piece(pieces, file, items->items[i], cursor);
		*ret_done = !error && can_stand_alone(&pieces->items[pieces->count - 1]);
	}
	if (error || *ret_done)
		return error;
	free_from(pieces, before);
	*cursor = start;
	return 0;
}

static int append_document(struct manifest_pieces *pieces, const struct manifest_file *file,
			   const struct node *document, struct text_cursor *cursor)
{
	bool done = false;
	int error = is_list(document)
			    ? append_items(pieces, file, node_get(document, "items"), cursor, &done)
			    : 0;

	return error || done ? error : append_piece(pieces, file, document, cursor);
}

int manifest_pieces_read(const struct manifest_file *file, struct manifest_pieces *pieces,
			 bool *ret_whole)
{
	struct diagnostics diagnostics = {0};
	struct node **documents = NULL;
	struct span text = {file->text, file->text ? file->length : 0};
	struct text_cursor cursor = cursor_at_start(text);
	size_t count =
		file->text ? nodes_read_memory(file->name, text, &diagnostics, &documents) : 0;
	int error = 0;

	*ret_whole = nodes_are_whole(documents);
	for (size_t i = 0; i < count && !error; i++)
		error = append_document(pieces, file, documents[i], &cursor);
	nodes_free(documents, count);
	diagnostics_free(&diagnostics);
	return error;
}

void manifest_pieces_free(struct manifest_pieces *pieces)
{
	free_from(pieces, 0);
	free(pieces->items);
	*pieces = (struct manifest_pieces){0};
}

bool manifest_pieces_same_resource(const struct manifest_piece *one,
				   const struct manifest_piece *other)
{
	return *one->name && strcmp(one->name, other->name) == 0 &&
	       strcmp(one->kind, other->kind) == 0 && strcmp(one->group, other->group) == 0 &&
	       strcmp(one->namespace, other->namespace) == 0;
}

bool manifest_piece_holds(const struct manifest_piece *piece, unsigned line, unsigned column)
{
	bool after_start = line > piece->line || (line == piece->line && column >= piece->column);
	bool before_end =
		line < piece->end_line || (line == piece->end_line && column < piece->end_column);

	return after_start && before_end;
}
