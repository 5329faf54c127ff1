/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/request/log_ids.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_text.h"
#include "http/syntax.h"

/* The next byte of an encoded name; an escape that is broken stands for itself. */
static char take_byte(struct span *text)
{
	char byte = *text->data;
	int high = -1, low = -1;
	size_t taken = 1;

	if (byte == '%' && text->length > 2) {
		high = http_hex_digit(text->data[1]);
		low = http_hex_digit(text->data[2]);
	}
	if (high >= 0 && low >= 0) {
		byte = (char)(high << 4 | low);
		taken = 3;
	}
	text->data += taken;
	text->length -= taken;
	return byte;
}

static bool is_name(struct span encoded, struct span name)
{
	for (size_t i = 0; i < name.length; i++) {
		if (encoded.length == 0 ||
		    ascii_lower(take_byte(&encoded)) != ascii_lower(name.data[i]))
			return false;
	}
	return encoded.length == 0;
}

static bool has_source(const struct tag_rules *rules, enum lanetag_source_kind kind,
		       struct span name)
{
	const struct lanetag_ruleset *ruleset = tag_rules_ruleset(rules);

	for (size_t i = 0; i < ruleset->source_count; i++) {
		const struct lanetag_source *source = &ruleset->sources[i];

		if (source->kind == kind &&
		    is_name(name, (struct span){source->name, source->name_length}))
			return true;
	}
	return false;
}

static bool is_source(const struct request *request, enum lanetag_source_kind kind,
		      struct span name)
{
	const struct tag_rules *in_force = request->configuration->tag_rules;

	return has_source(in_force, kind, name) ||
	       (request->rules != in_force && has_source(request->rules, kind, name));
}

bool log_ids_is_id_field(const struct request *request, struct span name)
{
	return is_source(request, LANETAG_SOURCE_HEADER, name);
}

/* How much of a parameter may be shown; all of it if no value in it is an id. */
static size_t shown_length(const struct request *request, struct span parameter)
{
	struct span rest = parameter, part, name, value;

	while (rest.length) {
		span_cut(rest, ';', &part, &rest);
		if (span_cut(part, '=', &name, &value) &&
		    is_source(request, LANETAG_SOURCE_QUERY_PARAM, name))
			return (size_t)(value.data - parameter.data);
	}
	return parameter.length;
}

struct span log_ids_target(const struct request *request, struct buffer *room)
{
	struct span target = request->head.target, path, query, parameter;
	bool hides = false, first = true;

	if (!span_cut(target, '?', &path, &query))
		return target;
	buffer_clear(room);
	buffer_append_span(room, path);
	for (bool more = true; more; first = false) {
		more = span_cut(query, '&', &parameter, &query);
		size_t shown = shown_length(request, parameter);

		buffer_append_byte(room, first ? '?' : '&');
		buffer_append(room, parameter.data, shown);
		if (shown < parameter.length) {
			buffer_append_text(room, LOG_IDS_HIDDEN);
			hides = true;
		}
	}
	if (room->failed)
		return span_of(LOG_IDS_HIDDEN);
	return hides ? buffer_span(room) : target;
}

static void append_source(struct buffer *out, const struct lanetag_source *source)
{
	static const char *const prefixes[] = {
		[LANETAG_SOURCE_HEADER] = "",
		[LANETAG_SOURCE_COOKIE] = "cookie ",
		[LANETAG_SOURCE_QUERY_PARAM] = "queryParam ",
	};
	char name[16 + LANETAG_MAX_NAME];
	int length = snprintf(name, sizeof(name), "%s%.*s", prefixes[source->kind],
			      (int)source->name_length, source->name);

	json_append_bytes(out, (struct span){name, (size_t)length});
}

void log_ids_append(const struct request *request, const struct keyed_hash_key *key,
		    struct buffer *out)
{
	const struct lanetag_ruleset *ruleset = tag_rules_ruleset(request->rules);
	const char *separator = "";

	buffer_append_byte(out, '{');
	for (size_t i = 0; i < ruleset->source_count; i++) {
		if (request->ids.states[i] != TAG_ID_PRESENT)
			continue;
		buffer_append_text(out, separator);
		append_source(out, &ruleset->sources[i]);
		buffer_append_byte(out, ':');
		if (key)
			buffer_printf(out, "\"%016" PRIx64 "\"",
				      keyed_hash(key, request->ids.ids[i]));
		else
			json_append_bytes(out, request->ids.ids[i]);
		separator = ",";
	}
	buffer_append_byte(out, '}');
}
