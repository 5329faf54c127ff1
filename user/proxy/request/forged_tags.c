/* SPDX-License-Identifier: GPL-2.0-only */
/* The edge: what clients send that anything behind could take for a tag. */
#include "policy/baggage.h"
#include "proxy/request/request.h"

bool request_reads_as_tag(struct request *request, struct span text)
{
	const struct tag_rules *in_force = request->configuration->tag_rules;

	return tag_rules_owns_member(in_force, text, &request->values) ||
	       (request->rules != in_force &&
		tag_rules_owns_member(request->rules, text, &request->values));
}

/* The key alone decides for a tag header that has neither letter nor digit. */
static bool is_tag_member(struct request *request, const struct baggage_member *member)
{
	return request_owns_tag(request, member->key) ||
	       request_reads_as_tag(request, member->whole);
}

/* Takes a baggage field out; what is left of its members goes behind the text from `start` on. */
static void take_baggage(struct request *request, size_t field, size_t start)
{
	struct span rest = request->head.fields[field].value;
	struct buffer *out = &request->values;
	struct baggage_member member;
	int result;

	while ((result = baggage_next(&rest, &member))) {
		if (result < 0 || !baggage_is_strict(&member)) {
			statistics_count(&request->statistics->baggage_malformed);
		} else if (is_tag_member(request, &member)) {
			statistics_count(&request->statistics->forged_tags_removed);
		} else {
			if (out->length > start)
				buffer_append_byte(out, ',');
			buffer_append_span(out, member.whole);
		}
	}
	http_edit_remove(&request->edit, field);
}

static bool may_have_tags(const struct request *request)
{
	uint64_t names = request->head.names;

	return tag_rules_may_own(request->configuration->tag_rules, names) ||
	       tag_rules_may_own(request->rules, names) ||
	       http_names_may_hold(names, request_baggage_name) || request->head.has_escaped_names;
}

static bool is_escaped(struct span name)
{
	return memchr(name.data, '%', name.length) || memchr(name.data, '+', name.length);
}

/* A name as it stands, or, where it has escapes, as it is read by what decodes them. */
static bool is_tag_field(struct request *request, const struct http_field *field)
{
	return request_owns_tag(request, field->name) ||
	       (request->head.has_escaped_names && is_escaped(field->name) &&
		request_reads_as_tag(request, field->name));
}

void request_remove_forged_tags(struct request *request)
{
	struct buffer *values = &request->values;
	size_t start = values->length;

	if (!may_have_tags(request))
		return;
	for (size_t i = 0; i < request->head.field_count; i++) {
		const struct http_field *field = &request->head.fields[i];

		if (field->kind != HTTP_FIELD_OTHER)
			continue;
		if (request_is_baggage(field)) {
			take_baggage(request, i, start);
		} else if (is_tag_field(request, field)) {
			http_edit_remove(&request->edit, i);
			statistics_count(&request->statistics->forged_tags_removed);
		}
	}
	/* Nothing was added before it. */
	if (values->length > start)
		http_edit_add(&request->edit, request_baggage_name,
			      (struct span){values->data + start, values->length - start});
}

bool request_is_forged_trailer(const struct tag_rules *rules, struct span name)
{
	struct buffer scratch = {0};

	if (request_is_baggage_name(name) || tag_rules_owns_header(rules, name))
		return true;
	if (!is_escaped(name))
		return false;
	bool is_tag = tag_rules_owns_member(rules, name, &scratch);
	buffer_free(&scratch);
	return is_tag;
}
