/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/edit.h"

#include <errno.h>
#include <stdio.h>

#include "http/field_index.h"
#include "http/values.h"

static const struct http_field *fields_of(const struct http_edit *edit, size_t *ret_count)
{
	if (edit->head) {
		*ret_count = edit->head->field_count;
		return edit->head->fields;
	}
	*ret_count = edit->response->field_count;
	return edit->response->fields;
}

static uint64_t received_names(const struct http_edit *edit)
{
	return edit->head ? edit->head->names : edit->response->names;
}

static const char *fields_end(const struct http_edit *edit)
{
	return edit->head ? edit->head->fields_end : edit->response->fields_end;
}

static bool has_bare_lf(const struct http_edit *edit)
{
	return edit->head ? edit->head->has_bare_lf : edit->response->has_bare_lf;
}

/* RFC 9112 3.2.2: a server behind us gets origin-form. */
static struct span origin_form(const struct http_request_head *head)
{
	if (!head->absolute_form)
		return head->target;
	const char *rest = head->authority.data + head->authority.length;
	size_t length = (size_t)(head->target.data + head->target.length - rest);
	return length ? (struct span){rest, length} : head->path;
}

static void clear(struct http_edit *edit)
{
	edit->removed = (struct http_field_set){0};
	edit->added_count = 0;
	edit->added_bytes = 0;
	edit->added_names = 0;
	edit->tail = (struct span){NULL, 0};
	edit->authority = (struct span){NULL, 0};
}

static bool is_host(const struct http_request_head *head, struct span authority)
{
	const struct http_field *host = http_request_field(head, (struct span){"Host", 4});

	return host && span_equal_ignore_case(host->value, authority);
}

void http_edit_start(struct http_edit *edit, const struct http_request_head *head)
{
	clear(edit);
	edit->head = head;
	edit->response = NULL;
	edit->target = origin_form(head);
	/* RFC 9112 3.2.2: an absolute-form target goes before Host, which is written anew by it. */
	if (head->absolute_form && head->has_host && !is_host(head, head->authority))
		http_edit_set_authority(edit, head->authority);
}

void http_edit_start_response(struct http_edit *edit, const struct http_response_head *head)
{
	clear(edit);
	edit->head = NULL;
	edit->response = head;
	edit->target = (struct span){NULL, 0};
}

void http_edit_remove(struct http_edit *edit, size_t field)
{
	http_field_set_add(&edit->removed, field);
}

bool http_edit_is_removed(const struct http_edit *edit, size_t field)
{
	return http_field_set_has(&edit->removed, field);
}

static void remove_received(struct http_edit *edit, struct span name)
{
	size_t count;
	const struct http_field *fields = fields_of(edit, &count);
	uint8_t hash = http_name_hash(name);

	if (!(received_names(edit) >> hash & 1))
		return;
	for (size_t i = 0; i < count; i++) {
		if (fields[i].hash == hash && span_equal_ignore_case(fields[i].name, name))
			http_edit_remove(edit, i);
	}
}

/* Beside the name and the value of a field: ": " and CRLF. */
#define FIELD_PUNCTUATION 4

static size_t field_size(const struct http_field *field)
{
	return field->name.length + field->value.length + FIELD_PUNCTUATION;
}

static void remove_added(struct http_edit *edit, struct span name)
{
	size_t kept = 0;

	if (!http_names_may_hold(edit->added_names, name))
		return;
	const uint8_t hash = http_name_hash(name);

	for (size_t i = 0; i < edit->added_count; i++) {
		if (edit->added[i].hash == hash &&
		    span_equal_ignore_case(edit->added[i].name, name))
			edit->added_bytes -= field_size(&edit->added[i]);
		else if (kept++ != i)
			edit->added[kept - 1] = edit->added[i];
	}
	edit->added_count = kept;
}

void http_edit_remove_name(struct http_edit *edit, struct span name)
{
	if (http_field_kind(name) == HTTP_FIELD_HOST)
		edit->authority = (struct span){NULL, 0};
	remove_received(edit, name);
	remove_added(edit, name);
}

int http_edit_add(struct http_edit *edit, struct span name, struct span value)
{
	if (edit->added_count == HTTP_EDIT_MAX_ADDED)
		return -1;
	struct http_field *field = &edit->added[edit->added_count++];

	*field = (struct http_field){.name = name, .value = value, .hash = http_name_hash(name)};
	edit->added_bytes += field_size(field);
	edit->added_names |= UINT64_C(1) << field->hash;
	return 0;
}

void http_edit_set_authority(struct http_edit *edit, struct span authority)
{
	http_edit_remove_name(edit, (struct span){"Host", 4});
	edit->authority = authority.data ? authority : (struct span){"", 0};
}

int http_edit_set(struct http_edit *edit, struct span name, struct span value)
{
	if (edit->head && http_field_kind(name) == HTTP_FIELD_HOST) {
		http_edit_set_authority(edit, value);
		return 0;
	}
	http_edit_remove_name(edit, name);
	return http_edit_add(edit, name, value);
}

bool http_edit_find(const struct http_edit *edit, struct span name, struct span *ret_value)
{
	size_t count;
	const struct http_field *fields = fields_of(edit, &count);

	uint8_t hash = http_name_hash(name);

	if (edit->authority.data && http_field_kind(name) == HTTP_FIELD_HOST) {
		*ret_value = edit->authority;
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		if (fields[i].hash == hash && !http_edit_is_removed(edit, i) &&
		    span_equal_ignore_case(fields[i].name, name)) {
			*ret_value = fields[i].value;
			return true;
		}
	}
	for (size_t i = 0; i < edit->added_count; i++) {
		if (edit->added[i].hash == hash &&
		    span_equal_ignore_case(edit->added[i].name, name)) {
			*ret_value = edit->added[i].value;
			return true;
		}
	}
	return false;
}

/* Look-ups by name, of which few are expected: from some number on by an index. */
struct look_ups {
	size_t count;
	struct http_field_index index; /* built with the first of those */
};

#define LOOK_UPS_WITHOUT_INDEX 4

static void remove_by_index(struct http_edit *edit, struct span name,
			    const struct http_field_index *index)
{
	struct http_field_search search;
	size_t field;

	if (!http_names_may_hold(received_names(edit), name))
		return;
	http_field_index_start(index, name, &search);
	while (http_field_index_next(index, &search, &field))
		http_edit_remove(edit, field);
}

static void look_up_and_remove(struct http_edit *edit, struct span name, struct look_ups *look_ups)
{
	size_t count;
	const struct http_field *fields = fields_of(edit, &count);

	if (look_ups->count < LOOK_UPS_WITHOUT_INDEX) {
		look_ups->count++;
		remove_received(edit, name);
		return;
	}
	if (look_ups->count == LOOK_UPS_WITHOUT_INDEX) {
		look_ups->count++;
		http_field_index_build(&look_ups->index, fields, count);
	}
	remove_by_index(edit, name, &look_ups->index);
}

static void remove_listed(struct http_edit *edit, struct span list, struct look_ups *look_ups)
{
	struct span name;

	while (http_list_next(&list, &name)) {
		switch (http_field_kind(name)) {
		case HTTP_FIELD_HOST:
		case HTTP_FIELD_CONTENT_LENGTH:
		case HTTP_FIELD_TRANSFER_ENCODING:
			break; /* not theirs to name */
		case HTTP_FIELD_KEEP_ALIVE:
		case HTTP_FIELD_UPGRADE:
			break; /* goes anyway */
		default:
			look_up_and_remove(edit, name, look_ups);
		}
	}
}

/* "Name: value" CRLF: some servers refuse tabs or more white space where framing depends on it. */
static bool is_plain(const struct http_field *field)
{
	struct span value = field->value;
	const char *colon = field->name.data + field->name.length;

	return value.data - colon <= 2 && value.data[value.length] == '\r' &&
	       value.data[-1] != '\t';
}

static int rewrite_length(struct http_edit *edit, const struct http_field *field)
{
	struct span digits = field->value;

	if (is_plain(field) && (digits.length == 1 || digits.data[0] != '0'))
		return 0;
	while (digits.length > 1 && digits.data[0] == '0')
		digits = (struct span){digits.data + 1, digits.length - 1};
	return http_edit_set(edit, (struct span){"Content-Length", 14}, digits);
}

static bool may_have_framing(const struct http_edit *edit)
{
	return edit->head || (edit->response->status >= 200 && edit->response->status != 204);
}

static int rewrite_framing(struct http_edit *edit, size_t field)
{
	size_t count;
	const struct http_field *fields = fields_of(edit, &count);

	if (http_edit_is_removed(edit, field))
		return 0;
	if (!may_have_framing(edit)) {
		http_edit_remove(edit, field);
		return 0;
	}
	if (fields[field].kind == HTTP_FIELD_CONTENT_LENGTH)
		return rewrite_length(edit, &fields[field]);
	http_edit_remove(edit, field);
	return http_edit_add(edit, (struct span){"Transfer-Encoding", 17},
			     (struct span){"chunked", 7});
}

static bool is_chunked(const struct http_edit *edit)
{
	enum http_framing framing = edit->head ? edit->head->framing : edit->response->framing;

	return framing == HTTP_FRAMING_CHUNKED;
}

static int keep_upgrade(struct http_edit *edit)
{
	const struct span name = {"Upgrade", 7};
	const struct http_field *received = edit->head ? http_request_field(edit->head, name)
						       : http_response_field(edit->response, name);

	if (!received)
		return 0;
	if (http_edit_set(edit, (struct span){"Connection", 10}, (struct span){"Upgrade", 7}) != 0)
		return -1;
	return http_edit_set(edit, name, received->value);
}

int http_edit_remove_hop_by_hop(struct http_edit *edit)
{
	size_t count, i;
	const struct http_field *fields = fields_of(edit, &count);
	struct http_field_set known = edit->head ? edit->head->known : edit->response->known;
	struct look_ups look_ups;
	int result = 0;

	look_ups.count = 0;

	while (http_field_set_take(&known, &i)) {
		switch (fields[i].kind) {
		case HTTP_FIELD_CONNECTION:
			remove_listed(edit, fields[i].value, &look_ups);
			/* fallthrough */
		case HTTP_FIELD_KEEP_ALIVE:
		case HTTP_FIELD_PROXY_CONNECTION:
		case HTTP_FIELD_TE:
		case HTTP_FIELD_UPGRADE:
			http_edit_remove(edit, i);
			break;
		case HTTP_FIELD_TRAILER:
			if (!is_chunked(edit))
				http_edit_remove(edit, i);
			break;
		case HTTP_FIELD_HOST:
			if (edit->head && !http_edit_is_removed(edit, i) && !is_plain(&fields[i]))
				http_edit_set_authority(edit, fields[i].value);
			break;
		case HTTP_FIELD_CONTENT_LENGTH:
		case HTTP_FIELD_TRANSFER_ENCODING:
			result |= rewrite_framing(edit, i);
			break;
		default:
			break;
		}
	}
	struct span host;
	if (edit->head && !edit->head->has_host &&
	    !http_edit_get(edit, (struct span){"Host", 4}, &host))
		http_edit_set_authority(edit, edit->head->authority);
	if (edit->head ? edit->head->upgrade : edit->response->upgrade)
		result |= keep_upgrade(edit);
	return result;
}

bool http_edit_is_unchanged(const struct http_edit *edit)
{
	const struct http_response_head *response = edit->response;
	struct http_field_set removed = edit->removed;
	size_t field;

	return response && response->minor_version == 1 && response->has_space &&
	       !response->has_bare_lf && !http_field_set_take(&removed, &field) &&
	       !edit->added_count && !edit->tail.length && !edit->authority.data;
}

size_t http_edit_size(const struct http_edit *edit)
{
	size_t count;
	const struct http_field *fields = fields_of(edit, &count);
	size_t size = sizeof("HTTP/1.1 599 \r\n/\r\nHost: \r\n") + edit->authority.length +
		      edit->target.length;

	size += edit->head ? edit->head->method.length + 2 : edit->response->reason.length;
	if (count)
		size += (size_t)(fields_end(edit) - fields[0].name.data);
	if (has_bare_lf(edit))
		size += count * FIELD_PUNCTUATION;
	return size + edit->added_bytes + edit->tail.length;
}

static char *put(char *at, const char *bytes, size_t length)
{
	memcpy(at, bytes, length);
	return at + length;
}

static char *put_field(char *at, const struct http_field *field)
{
	at = put(at, field->name.data, field->name.length);
	at = put(at, ": ", 2);
	if (field->value.length)
		at = put(at, field->value.data, field->value.length);
	return put(at, "\r\n", 2);
}

static char *put_start_line(char *at, const struct http_edit *edit)
{
	if (edit->response) {
		unsigned status = edit->response->status;

		at = put(at, "HTTP/1.1 ", 9);
		*at++ = (char)('0' + status / 100);
		*at++ = (char)('0' + status / 10 % 10);
		*at++ = (char)('0' + status % 10);
		*at++ = ' ';
		at = put(at, edit->response->reason.data, edit->response->reason.length);
		return put(at, "\r\n", 2);
	}
	at = put(at, edit->head->method.data, edit->head->method.length);
	*at++ = ' ';
	if (!edit->target.length || (edit->target.data[0] != '/' && edit->target.data[0] != '*'))
		*at++ = '/';
	if (edit->target.length)
		at = put(at, edit->target.data, edit->target.length);
	return put(at, " HTTP/1.1\r\n", 11);
}

/* Lines that may end in LF alone are written one by one. */
static char *put_received_fields(char *at, const struct http_edit *edit)
{
	size_t count;
	const struct http_field *fields = fields_of(edit, &count);

	for (size_t i = 0; i < count; i++) {
		if (!http_edit_is_removed(edit, i))
			at = put_field(at, &fields[i]);
	}
	return at;
}

/* Neighbours that are kept go in one copy. */
static char *put_received(char *at, const struct http_edit *edit)
{
	size_t count;
	const struct http_field *fields = fields_of(edit, &count);
	const char *end = fields_end(edit), *start = count ? fields[0].name.data : end;

	struct http_field_set removed = edit->removed;
	size_t i;

	if (has_bare_lf(edit))
		return put_received_fields(at, edit);
	while (http_field_set_take(&removed, &i)) {
		at = put(at, start, (size_t)(fields[i].name.data - start));
		start = i + 1 < count ? fields[i + 1].name.data : end;
	}
	return put(at, start, (size_t)(end - start));
}

ssize_t http_edit_write(const struct http_edit *edit, char *memory, size_t capacity)
{
	char *at = memory;

	if (http_edit_size(edit) > capacity)
		return -ENOSPC;
	at = put_start_line(at, edit);
	if (edit->authority.data) {
		struct http_field host = {.name = {"Host", 4}, .value = edit->authority};
		at = put_field(at, &host);
	}
	at = put_received(at, edit);
	for (size_t i = 0; i < edit->added_count; i++)
		at = put_field(at, &edit->added[i]);
	if (edit->tail.length)
		at = put(at, edit->tail.data, edit->tail.length);
	at = put(at, "\r\n", 2);
	return at - memory;
}

void http_edit_append(const struct http_edit *edit, struct buffer *out)
{
	size_t size = http_edit_size(edit);
	char *memory = buffer_reserve(out, size);

	if (memory)
		out->length += (size_t)http_edit_write(edit, memory, size);
}
