/* SPDX-License-Identifier: GPL-2.0-only */
/* The baggage that a request goes on with. */
#include "policy/baggage.h"
#include "proxy/request/request.h"

#define QUESTIONS_WITHOUT_INDEX 4
#define SLOTS 512 /* a power of two, more than twice as many as members */

/* The names that have a member already; found by hash, so that many names cost what they are. */
struct names {
	size_t count;
	struct span names[BAGGAGE_MAX_MEMBERS];
	uint8_t hashes[BAGGAGE_MAX_MEMBERS]; /* http_name_hash: enough for a few questions */
	unsigned questions;
	bool is_indexed;
	uint8_t slots[SLOTS]; /* an index in names, from 1 on; 0: free */
};

_Static_assert(BAGGAGE_MAX_MEMBERS < UINT8_MAX && 2 * BAGGAGE_MAX_MEMBERS < SLOTS, "slots suffice");

struct writer {
	struct request *request;
	const struct labels *destination;
	struct buffer *out;
	size_t start; /* of the baggage in `out` */
	size_t count; /* members */
	size_t lost;  /* members that had no room */
	struct names own;
	uint64_t written; /* rules of the request's own tags */
	/* Fields that propagate and are no tags, in order. */
	size_t other_count;
	const struct http_field *others[HTTP_MAX_FIELDS + HTTP_EDIT_MAX_ADDED];
};

/* FNV-1a, whatever the case of the letters. */
static uint32_t hash_name(struct span name)
{
	uint32_t hash = 2166136261;

	for (size_t i = 0; i < name.length; i++)
		hash = (hash ^ (unsigned char)ascii_lower(name.data[i])) * 16777619;
	return hash ^ hash >> 15;
}

/* The slot that has the name, or the free one where it belongs. */
static size_t slot_of(const struct names *names, struct span name)
{
	size_t slot = hash_name(name) % SLOTS;

	while (names->slots[slot] &&
	       !span_equal_ignore_case(names->names[names->slots[slot] - 1], name))
		slot = (slot + 1) % SLOTS;
	return slot;
}

static void index_names(struct names *names)
{
	memset(names->slots, 0, sizeof(names->slots));
	for (size_t i = 0; i < names->count; i++)
		names->slots[slot_of(names, names->names[i])] = (uint8_t)(i + 1);
	names->is_indexed = true;
}

static bool has_name_unindexed(const struct names *names, struct span name)
{
	uint8_t hash = http_name_hash(name);

	for (size_t i = 0; i < names->count; i++) {
		if (names->hashes[i] == hash && span_equal_ignore_case(names->names[i], name))
			return true;
	}
	return false;
}

static bool has_name(struct names *names, struct span name)
{
	if (!names->is_indexed && names->questions++ < QUESTIONS_WITHOUT_INDEX)
		return has_name_unindexed(names, name);
	if (!names->is_indexed)
		index_names(names);
	return names->slots[slot_of(names, name)];
}

/* There is no member of this name yet. */
static void add_name(struct names *names, struct span name, uint8_t hash)
{
	names->hashes[names->count] = hash;
	names->names[names->count++] = name;
	if (names->is_indexed)
		names->slots[slot_of(names, name)] = (uint8_t)names->count;
}

/* Bytes, the comma in front included, for one more member. */
static size_t room(const struct writer *writer)
{
	size_t used = writer->out->length - writer->start;

	return writer->count < BAGGAGE_MAX_MEMBERS ? BAGGAGE_MAX_BYTES - used : 0;
}

/* There is memory: see reserve_values in request.c. In line: 64 tags are written in a loop. */
static inline __attribute__((always_inline)) bool write_member(struct writer *writer,
							       struct span member, bool is_padded)
{
	size_t comma = writer->count > 0;
	char *at = writer->out->data + writer->out->length;

	if (member.length > BAGGAGE_MAX_MEMBER_BYTES || member.length + comma > room(writer)) {
		writer->lost++;
		return false;
	}
	if (comma)
		*at++ = ',';
	if (is_padded && member.length <= TAG_MEMBER_PADDING)
		memcpy(at, member.data, TAG_MEMBER_PADDING); /* no call: most tags are short */
	else
		memcpy(at, member.data, member.length);
	writer->out->length += comma + member.length;
	writer->count++;
	return true;
}

/* Encoded behind what is written, and kept there if it has room. A value grows threefold at most. */
static void write_field(struct writer *writer, const struct http_field *field, bool is_tag)
{
	struct request *request = writer->request;
	struct buffer *out = writer->out;
	size_t end = out->length;

	if (has_name(&writer->own, field->name))
		return;
	if (field->name.length + field->value.length >= room(writer)) {
		writer->lost++;
		return;
	}
	if (writer->count)
		buffer_append_byte(out, ',');
	size_t start = out->length;
	baggage_append_member(field->name, field->value, out);
	struct span value = {out->data + start + field->name.length,
			     out->length - start - field->name.length};
	bool is_too_long = out->length - start > BAGGAGE_MAX_MEMBER_BYTES ||
			   out->length - writer->start > BAGGAGE_MAX_BYTES;
	bool is_forged = !is_tag && request->listener->kind == MESH_LISTENER_GATEWAY &&
			 request_reads_as_tag(request, value);
	if (is_forged || is_too_long) {
		out->length = end;
		if (is_forged)
			statistics_count(&request->statistics->forged_tags_removed);
		else
			writer->lost++;
		return;
	}
	writer->count++;
	add_name(&writer->own, field->name, field->hash);
}

/* Tags are written at once, other fields that propagate are kept for later. */
static void take_field(struct writer *writer, const struct http_field *field)
{
	const struct request *request = writer->request;

	if (field->kind != HTTP_FIELD_OTHER ||
	    !propagation_matches(request->configuration->propagation, field->name,
				 writer->destination) ||
	    request_is_baggage(field))
		return;
	if (request_owns_tag(request, field->name))
		write_field(writer, field, true);
	else
		writer->others[writer->other_count++] = field;
}

/* A tag as a rule gave it, which nothing has changed since: its member is known. */
static bool is_own(const struct request *request, const struct own_tag *tag,
		   const struct http_field *field)
{
	const struct tag_rules *rules = request->configuration->tag_rules;

	return field->value.data == tag_rules_value(rules, tag->rule, tag->policy).data &&
	       field->name.data == tag_rules_header(rules, tag->rule).data;
}

/* Own tags are among the added fields in their order, less those that were removed. */
static void take_added(struct writer *writer)
{
	const struct request *request = writer->request;
	const struct configuration *configuration = request->configuration;
	const struct own_tag *tag = request->own_tags, *end = tag + request->own_tag_count;
	uint64_t travelling =
		tag < end ? propagation_rules(configuration->propagation, writer->destination, ~0U)
			  : 0;

	for (size_t i = 0; i < request->edit.added_count; i++) {
		const struct http_field *field = &request->edit.added[i];
		const struct own_tag *found = tag;

		while (found < end && !is_own(request, found, field))
			found++;
		if (found == end) {
			take_field(writer, field);
			continue;
		}
		tag = found + 1;
		if (travelling >> found->rule & 1 &&
		    write_member(
			    writer,
			    tag_rules_member(configuration->tag_rules, found->rule, found->policy),
			    true)) {
			add_name(&writer->own, field->name, field->hash);
			writer->written |= UINT64_C(1) << found->rule;
		}
	}
}

static void write_own_members(struct writer *writer)
{
	const struct request *request = writer->request;

	for (size_t i = 0; i < request->head.field_count; i++) {
		if (!http_edit_is_removed(&request->edit, i))
			take_field(writer, &request->head.fields[i]);
	}
	take_added(writer);
	for (size_t i = 0; i < writer->other_count; i++)
		write_field(writer, writer->others[i], false);
}

/* Others' members, in order. */
static void write_others(struct writer *writer, struct span baggage)
{
	struct request *request = writer->request;
	struct baggage_member member;
	int result;

	while ((result = baggage_next(&baggage, &member))) {
		/* A hop has counted it where it looked for tags. */
		if (result < 0 && request->listener->kind == MESH_LISTENER_GATEWAY)
			statistics_count(&request->statistics->baggage_malformed);
		if (result > 0 && !has_name(&writer->own, member.key))
			write_member(writer, member.whole, false);
	}
}

static void write_others_members(struct writer *writer)
{
	struct request *request = writer->request;
	const struct http_edit *edit = &request->edit;
	const uint8_t hash = http_name_hash(request_baggage_name);
	/* Each of its members is a tag that was restored, and is written anew by now. */
	bool is_written = request->baggage_restored && !(request->restored & ~writer->written);

	for (size_t i = 0; i < request->head.field_count && !is_written; i++) {
		if (request_is_baggage(&request->head.fields[i]) && !http_edit_is_removed(edit, i))
			write_others(writer, request->head.fields[i].value);
	}
	for (size_t i = 0; i < edit->added_count; i++) {
		if (edit->added[i].hash == hash && request_is_baggage(&edit->added[i]))
			write_others(writer, edit->added[i].value);
	}
}

static void count_losses(const struct request *request, size_t lost)
{
	if (!lost)
		return;
	statistics_count(&request->statistics->baggage_overflows);
	statistics_add(&request->statistics->baggage_members_dropped, lost);
}

void request_propagate(struct request *request, const struct labels *destination)
{
	struct buffer *out = &request->values;
	struct writer writer;

	if (propagation_is_empty(request->configuration->propagation))
		return;
	writer.request = request;
	writer.destination = destination;
	writer.out = out;
	writer.start = out->length;
	writer.count = writer.lost = writer.other_count = 0;
	writer.written = 0;
	writer.own.count = 0;
	writer.own.questions = 0;
	writer.own.is_indexed = false;
	write_own_members(&writer);
	if (writer.count == 0) {
		count_losses(request, writer.lost);
		return;
	}
	write_others_members(&writer);
	/* Without a place what came stays: it may have the tags. */
	struct span baggage = {out->data + writer.start, out->length - writer.start};
	if (request->edit.added_count >= HTTP_EDIT_MAX_ADDED ||
	    http_edit_set(&request->edit, request_baggage_name, baggage))
		writer.lost += writer.count;
	count_losses(request, writer.lost);
}
