/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/arrivals.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <lanetag/ruleset_index.h>
#include "base/array.h"
#include "base/clock.h"
#include "kernel/tagger_internal.h"

/* Fields of the same space carry the same ids. */
enum space {
	SPACE_TRACE = 1,
	SPACE_REQUEST_ID,
	SPACE_DATADOG,
	SPACE_CONFIGURED, /* and up */
};

static const struct {
	const char *name;
	uint8_t form, space;
} standard_fields[] = {
	{"traceparent", LANETAG_ID_TRACEPARENT, SPACE_TRACE},
	{"b3", LANETAG_ID_B3, SPACE_TRACE},
	{"x-b3-traceid", LANETAG_ID_WHOLE, SPACE_TRACE},
	{"x-request-id", LANETAG_ID_WHOLE, SPACE_REQUEST_ID},
	{"x-datadog-trace-id", LANETAG_ID_WHOLE, SPACE_DATADOG},
};

static int add(struct arrivals_fields *fields, struct span name, uint8_t form, uint8_t space)
{
	struct lanetag_source *source = &fields->sources[fields->count];

	if (fields->count == ARRIVALS_MAX_FIELDS)
		return -ENOSPC;
	if (name.length == 0 || name.length > LANETAG_MAX_NAME)
		return -EINVAL;
	*source = (struct lanetag_source){
		.kind = LANETAG_SOURCE_HEADER,
		.name_length = (uint8_t)name.length,
		.form = form,
		.space = space,
	};
	for (size_t i = 0; i < name.length; i++) {
		char letter = name.data[i];

		/* A token's bytes, RFC 9110 5.6.2. */
		if (letter <= ' ' || letter >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", letter))
			return -EINVAL;
		source->name[i] = letter >= 'A' && letter <= 'Z' ? (char)(letter | 0x20) : letter;
	}
	fields->count++;
	return 0;
}

void arrivals_standard_fields(struct arrivals_fields *ret_fields)
{
	*ret_fields = (struct arrivals_fields){0};
	for (size_t i = 0; i < ARRAY_LENGTH(standard_fields); i++)
		add(ret_fields, span_of(standard_fields[i].name), standard_fields[i].form,
		    standard_fields[i].space);
}

size_t arrivals_field(const struct arrivals_fields *fields, struct span name)
{
	size_t i = 0;

	while (i < fields->count &&
	       !span_equal_ignore_case(name, (struct span){fields->sources[i].name,
							   fields->sources[i].name_length}))
		i++;
	return i;
}

int arrivals_add_field(struct arrivals_fields *fields, struct span name)
{
	if (arrivals_field(fields, name) < fields->count)
		return 0;
	return add(fields, name, LANETAG_ID_WHOLE, (uint8_t)(SPACE_CONFIGURED + fields->count));
}

int arrivals_set_fields(struct tagger *arrivals, const struct arrivals_fields *fields,
			uint32_t generation)
{
	struct lanetag_ruleset ruleset = {
		.generation = generation,
		.source_count = (uint8_t)(1 + fields->count),
		.sources = {{.kind = LANETAG_SOURCE_HEADER, .name_length = 7, .name = "baggage"}},
	};

	memcpy(&ruleset.sources[LANETAG_ARRIVAL_BAGGAGE + 1], fields->sources,
	       fields->count * sizeof(fields->sources[0]));
	lanetag_ruleset_index(&ruleset);
	return tagger_set_rules(arrivals, &ruleset);
}

/* The byte of a value, or 0 behind its end. */
static uint8_t byte_at(struct span value, size_t at)
{
	return at < value.length ? (uint8_t)value.data[at] : 0;
}

/* False: the value holds no id, or one that is never noted. */
static bool make_key(const struct lanetag_source *field, const uint8_t pod_address[16],
		     struct span value, struct lanetag_arrival_key *ret_key)
{
	struct lanetag_arrival_key key = {.space = field->space};
	uint64_t substance = 0;
	uint32_t length = 0, from;

	if (value.length > UINT32_MAX)
		return false;
	from = lanetag_id_part(field->form, (uint32_t)value.length, byte_at(value, 2),
			       byte_at(value, 16), byte_at(value, 32), byte_at(value, 35), &length);
	if (length == 0 || length > LANETAG_ARRIVAL_MAX_ID)
		return false;
	key.length = (uint8_t)length;
	memcpy(key.pod_address, pod_address, sizeof(key.pod_address));
	memcpy(key.id, value.data + from, length);
	for (size_t i = 0; i < LANETAG_ARRIVAL_ID_WORDS; i++) {
		key.id[i] = lanetag_fold_word(key.id[i]);
		substance |= lanetag_id_substance(key.id[i]);
	}
	if (substance == 0)
		return false;
	*ret_key = key;
	return true;
}

static enum arrivals_outcome find_one(int map, const struct lanetag_arrival_key *key,
				      struct arrivals_tags *ret_tags)
{
	struct lanetag_arrival arrival;

	if (bpf_map_lookup_elem(map, key, &arrival) < 0 ||
	    clock_now_ns() - arrival.seen_ns > LANETAG_ARRIVAL_AGE_NS)
		return ARRIVALS_NONE;
	if (arrival.ambiguous || arrival.length > LANETAG_ARRIVAL_MAX_TAGS ||
	    arrival.check != lanetag_arrival_check(key, &arrival))
		return ARRIVALS_AMBIGUOUS;
	ret_tags->length = arrival.length;
	memcpy(ret_tags->text, arrival.tags, arrival.length);
	return ARRIVALS_FOUND;
}

/* Two ids in fields of one name: which of them is the call's, who knows. */
static bool contradict(const struct arrivals_id *ids, size_t id_count)
{
	for (size_t i = 1; i < id_count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (ids[i].field == ids[j].field && !span_equal(ids[i].value, ids[j].value))
				return true;
		}
	}
	return false;
}

enum arrivals_outcome arrivals_find(const struct tagger *arrivals,
				    const struct arrivals_fields *fields,
				    const uint8_t pod_address[16], const struct arrivals_id *ids,
				    size_t id_count, struct arrivals_tags *ret_tags)
{
	int map = program_map(&arrivals->program, "lane_arrivals");
	enum arrivals_outcome outcome = ARRIVALS_NONE;
	struct lanetag_arrival_key key;
	struct arrivals_tags tags;

	if (contradict(ids, id_count))
		return ARRIVALS_AMBIGUOUS;
	for (size_t i = 0; i < id_count; i++) {
		if (ids[i].field >= fields->count ||
		    !make_key(&fields->sources[ids[i].field], pod_address, ids[i].value, &key))
			continue;
		switch (find_one(map, &key, &tags)) {
		case ARRIVALS_NONE:
			break;
		case ARRIVALS_AMBIGUOUS:
			return ARRIVALS_AMBIGUOUS;
		case ARRIVALS_FOUND:
			if (outcome == ARRIVALS_FOUND &&
			    (tags.length != ret_tags->length ||
			     memcmp(tags.text, ret_tags->text, tags.length) != 0))
				return ARRIVALS_AMBIGUOUS;
			outcome = ARRIVALS_FOUND;
			*ret_tags = tags;
		}
	}
	return outcome;
}

/* True if it was removed: looked at once more, since it may have been renewed meanwhile. */
static bool end_if_old(int map, const struct lanetag_arrival_key *key)
{
	struct lanetag_arrival arrival;

	return bpf_map_lookup_elem(map, key, &arrival) == 0 &&
	       clock_now_ns() - arrival.seen_ns > LANETAG_ARRIVAL_AGE_NS &&
	       bpf_map_delete_elem(map, key) == 0;
}

struct sweep {
	int map;
	struct arrivals_sweep result;
};

static void sweep_batch(void *context, const void *keys, const void *values, uint32_t count)
{
	struct sweep *sweep = context;
	const struct lanetag_arrival_key *key = keys;
	const struct lanetag_arrival *arrival = values;
	uint64_t now = clock_now_ns();

	for (uint32_t i = 0; i < count; i++) {
		bool old = now - arrival[i].seen_ns > LANETAG_ARRIVAL_AGE_NS;

		if (old && end_if_old(sweep->map, &key[i]))
			sweep->result.ended++;
		else
			sweep->result.entries++;
	}
}

/*
 * What was `noted` before the sweep and neither stands there nor ended by age; an earlier agent's
 * don't count. What comes during the sweep makes it less, never more: it never goes back.
 */
static uint64_t count_pushed_out(struct tagger *arrivals, uint64_t noted,
				 const struct arrivals_sweep *sweep)
{
	uint64_t kept = sweep->entries + sweep->ended;

	if (!arrivals->arrivals_swept)
		arrivals->arrivals_noted_before = noted > kept ? noted - kept : 0;
	arrivals->arrivals_swept = true;
	kept += arrivals->arrivals_noted_before;
	if (noted > kept && noted - kept > arrivals->arrivals_pushed_out)
		arrivals->arrivals_pushed_out = noted - kept;
	return arrivals->arrivals_pushed_out;
}

int arrivals_sweep(struct tagger *arrivals, struct arrivals_sweep *ret_sweep)
{
	struct sweep sweep = {
		.map = program_map(&arrivals->program, "lane_arrivals"),
		.result.ended = arrivals->arrivals_ended,
	};
	uint64_t counts[LANETAG_ARRIVAL_COUNTS];
	int error = arrivals_counts(arrivals, counts);

	if (error == 0)
		error = tables_each(sweep.map, sizeof(struct lanetag_arrival_key),
				    sizeof(struct lanetag_arrival), sweep_batch, &sweep);
	if (error)
		return error;
	arrivals->arrivals_ended = sweep.result.ended;
	sweep.result.pushed_out =
		count_pushed_out(arrivals, counts[LANETAG_ARRIVAL_NOTED], &sweep.result);
	*ret_sweep = sweep.result;
	return 0;
}

uint64_t arrivals_capacity(const struct tagger *arrivals)
{
	const struct bpf_map *map =
		bpf_object__find_map_by_name(arrivals->program.object, "lane_arrivals");

	return map ? bpf_map__max_entries(map) : 0;
}

int arrivals_counts(const struct tagger *arrivals, uint64_t ret_counts[LANETAG_ARRIVAL_COUNTS])
{
	return tables_sum(arrivals, "lane_arrival_counts", LANETAG_ARRIVAL_COUNTS, ret_counts);
}

const char *arrivals_count_name(size_t count)
{
	static const char *const names[] = {
		[LANETAG_ARRIVAL_REQUESTS] = "requests",
		[LANETAG_ARRIVAL_WITHOUT_ID] = "without_id",
		[LANETAG_ARRIVAL_NOTED] = "noted",
		[LANETAG_ARRIVAL_SEEN_AGAIN] = "seen_again",
		[LANETAG_ARRIVAL_AMBIGUOUS] = "ambiguous",
		[LANETAG_ARRIVAL_TAGS_UNKNOWN] = "tags_unknown",
		[LANETAG_ARRIVAL_ID_TOO_LONG] = "id_too_long",
		[LANETAG_ARRIVAL_ID_TWICE] = "id_twice",
		[LANETAG_ARRIVAL_HEAD_LOST] = "head_lost",
		[LANETAG_ARRIVAL_NO_ROOM] = "no_room",
	};

	_Static_assert(ARRAY_LENGTH(names) == LANETAG_ARRIVAL_COUNTS, "every count has a name");
	return count < LANETAG_ARRIVAL_COUNTS ? names[count] : "unknown";
}
