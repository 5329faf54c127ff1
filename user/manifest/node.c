/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/node.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/array.h"

#define NODE_MAX_FILE_BYTES ((size_t)64 * 1024 * 1024)
#define NODE_MAX_ANCHORS 1000 /* of one document; they are searched one by one */

/* What the caller of nodes_read_* holds is `documents`; everything lives in the arena. */
struct node_list {
	struct arena arena;
	size_t count;
	bool is_whole;
	struct node *documents[];
};

/* A sequence or mapping whose end has not been seen yet. */
struct open_node {
	struct node *node;
	struct node **items; /* malloc'ed while it grows: key, value, key, value, … for a mapping */
	size_t item_count;
	size_t anchor;	     /* index, or SIZE_MAX */
	size_t nodes_before; /* of the builder, when it began */
};

struct anchor {
	char *name;
	struct node *node; /* NULL while it is open: an alias inside itself */
	size_t node_count; /* of the tree, aliases expanded */
};

struct node_builder {
	struct diagnostics *diagnostics;
	const char *file;
	unsigned first_line;
	struct arena arena;
	struct node **documents;
	size_t document_count;
	struct node *root; /* of the document that is being read */
	struct open_node open[NODE_MAX_DEPTH];
	size_t depth;
	struct anchor anchors[NODE_MAX_ANCHORS];
	size_t anchor_count;
	size_t node_count; /* aliases expanded */
	bool is_whole;	   /* read to the end of the text */
};

static int builder_error(struct node_builder *builder, struct source_place place, const char *what)
{
	diagnostics_add(builder->diagnostics, DIAGNOSTIC_ERROR, place, NULL, NULL, "%s", what);
	return -1;
}

static int builder_out_of_memory(struct node_builder *builder)
{
	return builder_error(builder, (struct source_place){.file = builder->file},
			     "out of memory");
}

static struct source_place place_of_mark(const struct node_builder *builder, yaml_mark_t mark)
{
	return (struct source_place){
		.file = builder->file,
		.line = (unsigned)mark.line + builder->first_line,
		.column = (unsigned)mark.column + 1,
	};
}

static int builder_count(struct node_builder *builder, struct source_place place, size_t count)
{
	if (count > NODE_MAX_COUNT - builder->node_count)
		return builder_error(builder, place, "the file has too many values");
	builder->node_count += count;
	return 0;
}

static struct node *builder_new_node(struct node_builder *builder, enum node_kind kind,
				     const yaml_event_t *event)
{
	struct source_place place = place_of_mark(builder, event->start_mark);

	if (builder_count(builder, place, 1))
		return NULL;
	struct node *node = arena_allocate(&builder->arena, sizeof(*node));
	if (!node) {
		builder_out_of_memory(builder);
		return NULL;
	}
	node->kind = kind;
	node->place = place;
	return node;
}

/* Hangs a whole node into the innermost open one, or makes it the document's root. */
static int builder_attach(struct node_builder *builder, struct node *node)
{
	if (builder->depth == 0) {
		builder->root = node;
		return 0;
	}
	struct open_node *parent = &builder->open[builder->depth - 1];
	bool is_key = parent->node->kind == NODE_MAPPING && parent->item_count % 2 == 0;

	if (is_key && node->kind != NODE_SCALAR)
		return builder_error(builder, node->place, "a key must be a plain text");
	/* A wrong key costs its document, and is no reason not to read those behind it. */
	if (is_key && node->plain && span_equal(node->text, span_of("<<")))
		builder_error(builder, node->place, "merge keys (<<) are not supported");
	struct node **slot = ARRAY_APPEND(parent->items, parent->item_count);
	if (!slot)
		return builder_out_of_memory(builder);
	*slot = node;
	return 0;
}

/* Gives the index of the new anchor in *ret_anchor, SIZE_MAX if the event has none. */
static int builder_add_anchor(struct node_builder *builder, const yaml_char_t *name,
			      struct source_place place, size_t *ret_anchor)
{
	if (!name) {
		*ret_anchor = SIZE_MAX;
		return 0;
	}
	if (builder->anchor_count == NODE_MAX_ANCHORS)
		return builder_error(builder, place, "the document has too many anchors");
	char *copy = arena_copy(&builder->arena, span_of((const char *)name));
	if (!copy)
		return builder_out_of_memory(builder);
	builder->anchors[builder->anchor_count] = (struct anchor){.name = copy};
	*ret_anchor = builder->anchor_count++;
	return 0;
}

static void builder_close_anchor(struct node_builder *builder, size_t anchor, struct node *node,
				 size_t node_count)
{
	if (anchor == SIZE_MAX)
		return;
	builder->anchors[anchor].node = node;
	builder->anchors[anchor].node_count = node_count;
}

static int builder_scalar(struct node_builder *builder, const yaml_event_t *event)
{
	struct node *node = builder_new_node(builder, NODE_SCALAR, event);
	size_t anchor;

	if (!node)
		return -1;
	const char *tag = (const char *)event->data.scalar.tag;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		      !(tag && strcmp(tag, YAML_STR_TAG) == 0);
	node->text.length = event->data.scalar.length;
	node->text.data =
		arena_copy(&builder->arena, (struct span){(const char *)event->data.scalar.value,
							  event->data.scalar.length});
	if (!node->text.data)
		return builder_out_of_memory(builder);
	if (builder_add_anchor(builder, event->data.scalar.anchor, node->place, &anchor))
		return -1;
	builder_close_anchor(builder, anchor, node, 1);
	return builder_attach(builder, node);
}

static int builder_open(struct node_builder *builder, enum node_kind kind,
			const yaml_char_t *anchor, const yaml_event_t *event)
{
	size_t nodes_before = builder->node_count;
	struct node *node = builder_new_node(builder, kind, event);
	struct open_node *open = &builder->open[builder->depth];

	if (!node)
		return -1;
	if (builder->depth == NODE_MAX_DEPTH)
		return builder_error(builder, node->place, "nested too deeply");
	*open = (struct open_node){.node = node, .nodes_before = nodes_before};
	if (builder_add_anchor(builder, anchor, node->place, &open->anchor))
		return -1;
	builder->depth++;
	return 0;
}

static int compare_keys(const void *left, const void *right)
{
	const struct node *a = *(struct node *const *)left, *b = *(struct node *const *)right;
	size_t shorter = a->text.length < b->text.length ? a->text.length : b->text.length;
	int order = memcmp(a->text.data, b->text.data, shorter);

	if (order)
		return order;
	if (a->text.length != b->text.length)
		return a->text.length < b->text.length ? -1 : 1;
	/*
	 * In the order of the text, so that the later of two equal keys is the one that is named.
	 */
	if (a->place.line != b->place.line)
		return a->place.line < b->place.line ? -1 : 1;
	return a->place.column < b->place.column ? -1 : a->place.column > b->place.column;
}

/* -1 when memory is short. */
static int builder_check_keys(struct node_builder *builder, const struct node *mapping)
{
	if (mapping->count < 2)
		return 0;
	struct node **sorted = malloc(mapping->count * sizeof(*sorted));

	if (!sorted)
		return builder_out_of_memory(builder);
	memcpy(sorted, mapping->keys, mapping->count * sizeof(*sorted));
	qsort(sorted, mapping->count, sizeof(*sorted), compare_keys);
	for (size_t i = 1; i < mapping->count; i++) {
		if (!span_equal(sorted[i - 1]->text, sorted[i]->text))
			continue;
		diagnostics_add(builder->diagnostics, DIAGNOSTIC_ERROR, sorted[i]->place, NULL,
				NULL, "the key \"%.*s\" stands twice, first in line %u",
				SPAN_ARGUMENTS(sorted[i]->text), sorted[i - 1]->place.line);
	}
	free(sorted);
	return 0;
}

static int builder_fill(struct node_builder *builder, const struct open_node *open)
{
	struct node *node = open->node;
	bool is_mapping = node->kind == NODE_MAPPING;

	node->count = is_mapping ? open->item_count / 2 : open->item_count;
	node->items = arena_allocate_array(&builder->arena, node->count, sizeof(*node->items));
	if (is_mapping)
		node->keys =
			arena_allocate_array(&builder->arena, node->count, sizeof(*node->keys));
	if (!node->items || (is_mapping && !node->keys))
		return builder_out_of_memory(builder);
	for (size_t i = 0; i < node->count; i++) {
		node->items[i] = open->items[is_mapping ? 2 * i + 1 : i];
		if (is_mapping)
			node->keys[i] = open->items[2 * i];
	}
	return is_mapping ? builder_check_keys(builder, node) : 0;
}

static int builder_close(struct node_builder *builder, const yaml_event_t *event)
{
	struct open_node *open = &builder->open[--builder->depth];
	struct source_place end = place_of_mark(builder, event->end_mark);
	int result = builder_fill(builder, open);

	open->node->end_line = end.line;
	open->node->end_column = end.column;

	free(open->items);
	open->items = NULL;
	if (result)
		return result;
	builder_close_anchor(builder, open->anchor, open->node,
			     builder->node_count - open->nodes_before);
	return builder_attach(builder, open->node);
}

/*
 * An alias shares the children of its anchor: nothing changes them. What it stands for is counted
 * in full, so that whoever walks the tree has a bounded way.
 */
static int builder_alias(struct node_builder *builder, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	struct source_place place = place_of_mark(builder, event->start_mark);
	const struct anchor *anchor = NULL;

	/* The latest of several anchors with one name counts (YAML 1.1, 3.2.2.2). */
	for (size_t i = builder->anchor_count; i > 0 && !anchor; i--) {
		if (strcmp(builder->anchors[i - 1].name, name) == 0)
			anchor = &builder->anchors[i - 1];
	}
	if (!anchor)
		return builder_error(builder, place, "the alias names no anchor before it");
	if (!anchor->node)
		return builder_error(builder, place, "the alias stands inside its own anchor");
	if (builder_count(builder, place, anchor->node_count))
		return -1;
	struct node *node = arena_allocate(&builder->arena, sizeof(*node));
	if (!node)
		return builder_out_of_memory(builder);
	*node = *anchor->node;
	node->place = place;
	return builder_attach(builder, node);
}

static int builder_end_document(struct node_builder *builder)
{
	struct node *root = builder->root;

	builder->root = NULL;
	builder->anchor_count = 0;
	if (node_is_null(root))
		return 0;
	struct node **document = ARRAY_APPEND(builder->documents, builder->document_count);
	if (!document)
		return builder_out_of_memory(builder);
	*document = root;
	return 0;
}

static int builder_event(struct node_builder *builder, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return builder_scalar(builder, event);
	case YAML_SEQUENCE_START_EVENT:
		return builder_open(builder, NODE_SEQUENCE, event->data.sequence_start.anchor,
				    event);
	case YAML_MAPPING_START_EVENT:
		return builder_open(builder, NODE_MAPPING, event->data.mapping_start.anchor, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return builder_close(builder, event);
	case YAML_ALIAS_EVENT:
		return builder_alias(builder, event);
	case YAML_DOCUMENT_END_EVENT:
		return builder_end_document(builder);
	default:
		return 0;
	}
}

/* The reader's errors (bad UTF-8, control characters) come with an offset in bytes only. */
static struct source_place place_of_offset(const struct node_builder *builder, struct span text,
					   size_t offset)
{
	struct source_place place = {
		.file = builder->file, .line = builder->first_line, .column = 1};

	for (size_t i = 0; i < offset && i < text.length; i++) {
		place.column++;
		if (text.data[i] == '\n') {
			place.line++;
			place.column = 1;
		}
	}
	return place;
}

static void builder_yaml_error(struct node_builder *builder, const yaml_parser_t *parser,
			       struct span text)
{
	const char *problem = parser->problem ? parser->problem : "malformed";
	struct source_place place = place_of_mark(builder, parser->problem_mark);

	if (parser->error == YAML_READER_ERROR)
		place = place_of_offset(builder, text, parser->problem_offset);
	diagnostics_add(builder->diagnostics, DIAGNOSTIC_ERROR, place, NULL, NULL, "YAML: %s%s%s",
			problem, parser->context ? " " : "",
			parser->context ? parser->context : "");
}

static void builder_run(struct node_builder *builder, struct span text)
{
	yaml_parser_t parser;
	yaml_event_t event;
	bool go_on = true;

	if (!yaml_parser_initialize(&parser)) {
		builder_out_of_memory(builder);
		return;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.length);
	while (go_on) {
		if (!yaml_parser_parse(&parser, &event)) {
			builder_yaml_error(builder, &parser, text);
			break;
		}
		builder->is_whole = event.type == YAML_STREAM_END_EVENT;
		go_on = builder_event(builder, &event) == 0 && !builder->is_whole;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	for (size_t i = 0; i < builder->depth; i++)
		free(builder->open[i].items);
}

static size_t builder_finish(struct node_builder *builder, struct node ***ret_documents)
{
	size_t count = builder->document_count;
	struct node_list *list = calloc(1, sizeof(*list) + count * sizeof(*list->documents));

	if (!list) {
		builder_out_of_memory(builder);
		arena_free(&builder->arena);
		count = 0;
	} else {
		list->arena = builder->arena;
		list->count = count;
		list->is_whole = builder->is_whole;
		if (count)
			memcpy(list->documents, builder->documents,
			       count * sizeof(*list->documents));
	}
	free(builder->documents);
	*ret_documents = list ? list->documents : NULL;
	return count;
}

size_t nodes_read_memory(const char *file, struct span text, struct diagnostics *diagnostics,
			 struct node ***ret_documents)
{
	return nodes_read_from(file, 1, text, diagnostics, ret_documents);
}

size_t nodes_read_from(const char *file, unsigned line, struct span text,
		       struct diagnostics *diagnostics, struct node ***ret_documents)
{
	struct node_builder *builder = calloc(1, sizeof(*builder));
	size_t count = 0;

	*ret_documents = NULL;
	if (!builder) {
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){.file = file},
				NULL, NULL, "out of memory");
		return 0;
	}
	builder->diagnostics = diagnostics;
	builder->first_line = line;
	builder->file = arena_copy(&builder->arena, span_of(file));
	if (builder->file) {
		builder_run(builder, text);
		count = builder_finish(builder, ret_documents);
	} else {
		builder_out_of_memory(builder);
		arena_free(&builder->arena);
	}
	free(builder);
	return count;
}

/*
 * A file, or a shell's <(…), which is read as slowly as it is written. Whatever else has a name may
 * keep its reader waiting for ever: a FIFO for its writer, a device, some files below /proc.
 */
static int check_readable(int fd)
{
	struct stat status;
	struct statfs file_system;

	if (fstat(fd, &status) || fstatfs(fd, &file_system))
		return -errno;
	if (S_ISREG(status.st_mode))
		return 0;
	if (S_ISFIFO(status.st_mode) && file_system.f_type == PIPEFS_MAGIC)
		return fcntl(fd, F_SETFL, O_RDONLY) ? -errno : 0;
	return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
}

/* The whole of an open file, or a negative errno; -EINVAL: it is no file to read. */
static int read_whole(int fd, struct buffer *text)
{
	int error = check_readable(fd);

	if (error)
		return error;
	for (;;) {
		char *end = buffer_reserve(text, 64 * 1024);
		if (!end)
			return -ENOMEM;
		ssize_t got = read(fd, end, 64 * 1024);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		text->length += (size_t)got;
		if (text->length > NODE_MAX_FILE_BYTES)
			return -EFBIG;
	}
}

int nodes_read_fd(int fd, const char *file, struct diagnostics *diagnostics,
		  struct buffer *ret_text)
{
	int error = fd < 0 ? fd : read_whole(fd, ret_text);
	const char *reason = error == -EINVAL ? "neither a file nor a pipe" : strerror(-error);

	if (error)
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){.file = file},
				NULL, NULL, "cannot read: %s", reason);
	return error ? -1 : 0;
}

int nodes_read_text(const char *file, struct diagnostics *diagnostics, struct buffer *ret_text)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error = nodes_read_fd(fd < 0 ? -errno : fd, file, diagnostics, ret_text);

	if (fd >= 0)
		close(fd);
	return error;
}

size_t nodes_read_file(const char *file, struct diagnostics *diagnostics,
		       struct node ***ret_documents)
{
	struct buffer text = {0};
	size_t count = 0;

	*ret_documents = NULL;
	if (nodes_read_text(file, diagnostics, &text) == 0)
		count = nodes_read_memory(file, buffer_span(&text), diagnostics, ret_documents);
	buffer_free(&text);
	return count;
}

static struct node_list *list_of(struct node **documents)
{
	return (struct node_list *)((char *)documents - offsetof(struct node_list, documents));
}

bool nodes_are_whole(struct node **documents)
{
	return documents && list_of(documents)->is_whole;
}

void nodes_free(struct node **documents, size_t count)
{
	(void)count;
	if (!documents)
		return;
	struct node_list *list = list_of(documents);
	struct arena arena = list->arena;

	free(list);
	arena_free(&arena);
}

struct node *node_get(const struct node *mapping, const char *key)
{
	if (!mapping || mapping->kind != NODE_MAPPING)
		return NULL;
	size_t length = strlen(key);
	for (size_t i = 0; i < mapping->count; i++) {
		struct span text = mapping->keys[i]->text;

		if (text.length == length && memcmp(text.data, key, length) == 0)
			return mapping->items[i];
	}
	return NULL;
}

bool node_is_null(const struct node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	if (!node)
		return true;
	if (node->kind != NODE_SCALAR || !node->plain)
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(nulls); i++) {
		if (span_equal(node->text, span_of(nulls[i])))
			return true;
	}
	return false;
}
