/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Depth 1 is in the list's own braces, 2 in those of its metadata or in the brackets of its items,
 * 3 and more in an item.
 */
#include "kubernetes/list.h"

#include <errno.h>

#define MAX_KEY_BYTES 64
#define MAX_METADATA_BYTES (64 << 10)

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static int keep(struct buffer *text, char byte, size_t maximum)
{
	if (text->length >= maximum)
		return -EFBIG;
	buffer_append_byte(text, byte);
	return text->failed ? -ENOMEM : 0;
}

static bool is_key(const struct kubernetes_list *list, const char *name)
{
	return span_equal(buffer_span(&list->key), span_of(name));
}

static void begin_value(struct kubernetes_list *list)
{
	list->in_value = true;
	list->keeps = is_key(list, "metadata");
	buffer_clear(&list->text);
}

static void end_value(struct kubernetes_list *list)
{
	if (list->keeps && is_key(list, "metadata")) {
		buffer_clear(&list->metadata);
		buffer_append_span(&list->metadata, buffer_span(&list->text));
	}
	list->in_value = list->in_items = list->keeps = false;
	buffer_clear(&list->key);
}

static int open_bracket(struct kubernetes_list *list, char byte)
{
	if (list->depth == 0 && (list->started || byte != '{'))
		return -EBADMSG;
	if (list->depth == 1 && !list->in_value)
		return -EBADMSG;
	list->started = true;
	if (list->depth == 1 && byte == '[' && is_key(list, "items")) {
		list->in_items = true;
	} else if (list->depth == 2 && list->in_items) {
		list->keeps = true;
		buffer_clear(&list->text);
	}
	list->depth++;
	return 0;
}

static int close_bracket(struct kubernetes_list *list)
{
	if (list->depth == 0)
		return -EBADMSG;
	list->depth--;
	if (list->depth == 0)
		end_value(list);
	if (list->depth != 2 || !list->in_items || !list->keeps)
		return 0;
	list->keeps = false;
	return list->take_item(list->context, buffer_span(&list->text));
}

/* Between the list's own braces. */
static int take_outer(struct kubernetes_list *list, char byte)
{
	if (byte == ':' && !list->in_value)
		begin_value(list);
	else if (byte == ',')
		end_value(list);
	else if (!list->in_value)
		return -EBADMSG;
	return 0;
}

static int take_in_string(struct kubernetes_list *list, char byte)
{
	if (list->escaped)
		list->escaped = false;
	else if (byte == '\\')
		list->escaped = true;
	else if (byte == '"')
		list->in_string = false;
	if (list->depth == 1 && !list->in_value && list->in_string)
		return keep(&list->key, byte, MAX_KEY_BYTES);
	return 0;
}

static int take_structure(struct kubernetes_list *list, char byte)
{
	if (is_space(byte))
		return 0;
	if (byte == '"') {
		list->in_string = true;
		return list->depth ? 0 : -EBADMSG;
	}
	if (byte == '{' || byte == '[')
		return open_bracket(list, byte);
	if (byte == '}' || byte == ']')
		return close_bracket(list);
	if (list->depth == 0)
		return -EBADMSG;
	return list->depth == 1 ? take_outer(list, byte) : 0;
}

/* A byte of a value that is kept: before what it opens is known, and before what it closes is. */
static int keep_byte(struct kubernetes_list *list, char byte)
{
	bool ends_value = list->depth == 1 && !list->in_string && (byte == ',' || byte == '}');

	if (!list->keeps || ends_value)
		return 0;
	return keep(&list->text, byte,
		    list->in_items ? KUBERNETES_MAX_OBJECT_BYTES : MAX_METADATA_BYTES);
}

static int take(struct kubernetes_list *list, char byte)
{
	bool kept = list->keeps;
	int error = keep_byte(list, byte);

	if (error == 0)
		error = list->in_string ? take_in_string(list, byte) : take_structure(list, byte);
	/* An item's first brace. */
	if (error == 0 && !kept && list->keeps && list->depth == 3)
		error = keep(&list->text, byte, KUBERNETES_MAX_OBJECT_BYTES);
	return error;
}

int kubernetes_list_feed(struct kubernetes_list *list, struct span bytes)
{
	int error = 0;

	for (size_t i = 0; i < bytes.length && error == 0; i++)
		error = take(list, bytes.data[i]);
	return error;
}

bool kubernetes_list_is_whole(const struct kubernetes_list *list)
{
	return list->started && list->depth == 0 && !list->in_string;
}

void kubernetes_list_free(struct kubernetes_list *list)
{
	buffer_free(&list->key);
	buffer_free(&list->text);
	buffer_free(&list->metadata);
}
