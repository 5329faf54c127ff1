/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `make fuzz`: what the agent reads out of maps that others may have written: flows, marks and their
 * names, arrivals, threads' calls, entries of interception, and the SYN that the kernel gives back.
 *
 * The reading functions are the agent's own; only the system calls below them give the input's bytes.
 * A writer may sign its entries: the checks are no secret.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/arrivals.h"
#include "kernel/flow_decoding.h"
#include "kernel/interception_internal.h"
#include "kernel/saved_syn.h"
#include "kernel/tagger_internal.h"
#include "kernel/threads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, taken from its beginning on; zeros behind its end. */
static const uint8_t *input;
static size_t input_left;
static size_t value_size; /* of the map that is looked into */
static bool signs;	  /* the entries that are read */

static void require(bool good)
{
	if (!good)
		abort();
}

static void take(void *memory, size_t size)
{
	size_t length = size < input_left ? size : input_left;

	memset(memory, 0, size);
	if (length)
		memcpy(memory, input, length);
	input += length;
	input_left -= length;
}

static uint8_t take_byte(void)
{
	uint8_t byte;

	take(&byte, 1);
	return byte;
}

static void sign(const void *key, void *value)
{
	if (value_size == sizeof(struct lanetag_arrival)) {
		struct lanetag_arrival *arrival = value;

		arrival->seen_ns = clock_now_ns();
		if (arrival->length <= LANETAG_ARRIVAL_MAX_TAGS)
			arrival->check = lanetag_arrival_check(key, arrival);
	} else if (value_size == sizeof(struct lanetag_call)) {
		struct lanetag_call *call = value;

		if (call->length <= LANETAG_ARRIVAL_MAX_TAGS)
			call->check = lanetag_call_check(key, call);
	}
}

/* In libbpf's place. */
int bpf_map_lookup_elem(int map, const void *key, void *value)
{
	(void)map;
	if (take_byte() & 1) {
		errno = ENOENT;
		return -ENOENT;
	}
	take(value, value_size);
	if (signs)
		sign(key, value);
	return 0;
}

int bpf_map_lookup_and_delete_elem(int map, const void *key, void *value)
{
	return bpf_map_lookup_elem(map, key, value);
}

int bpf_map_delete_elem(int map, const void *key)
{
	(void)map;
	(void)key;
	return 0;
}

struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *object, const char *name)
{
	static int some_map;

	(void)object;
	(void)name;
	return (struct bpf_map *)&some_map;
}

int bpf_object__find_map_fd_by_name(const struct bpf_object *object, const char *name)
{
	(void)object;
	(void)name;
	return 0;
}

int bpf_map__fd(const struct bpf_map *map)
{
	(void)map;
	return 0;
}

static void check_tag(const struct lane_tables *tables, const struct lanetag_mark *mark)
{
	struct flow_tag tag;

	/* One more rule than there may be. */
	for (size_t rule = 0; rule <= LANETAG_MAX_RULES; rule++) {
		flow_decode_tag(tables, mark, rule, &tag);
		require(memchr(tag.tag_header, '\0', sizeof(tag.tag_header)) != NULL);
		require(memchr(tag.tag_value, '\0', sizeof(tag.tag_value)) != NULL);
		require(tag.outcome == FLOW_TAG || tag.tag_value[0] == '\0');
	}
}

/* As `lanetag flows` has them, and as the proxy looks a mark up. */
static void check_flow(void)
{
	static struct lanetag_mark marks[LANETAG_MARK_SLOTS];
	static struct lane_tables tables;
	struct lanetag_flow entry;
	struct lanetag_mark mark;
	struct flow flow;

	take(&entry, sizeof(entry));
	uint64_t hash = lanetag_connection_hash(&entry.connection);
	struct lanetag_mark *own = &marks[lanetag_mark_slot(hash, entry.position)];
	take(own, sizeof(*own));
	if (signs) {
		own->connection = entry.connection;
		own->position = entry.position;
		own->generation = entry.generation;
	}
	uint32_t lane = take_byte(), slot = (uint32_t)(hash >> 8) + take_byte() % 8;
	struct lanetag_generation *generation =
		&tables.generations[lanetag_generation_slot(entry.generation)];
	struct lanetag_lane_name *name = &tables.names[lane % LANETAG_MAX_LANES];
	take(generation, sizeof(*generation));
	take(name, sizeof(*name));
	if (marks_find(marks, &entry.connection, entry.position, &mark))
		require(mark.generation != 0 && mark.position == entry.position &&
			!(mark.sequence & 1));
	if (flow_decode(&entry, slot % LANETAG_FLOW_SLOTS, marks, clock_now_ns(), &flow) &&
	    flow.has_mark) {
		require(flow.mark.rule_count <= LANETAG_MAX_RULES);
		check_tag(&tables, &flow.mark);
	}
	memset(own, 0, sizeof(*own));
	memset(generation, 0, sizeof(*generation));
	memset(name, 0, sizeof(*name));
}

static void check_arrival(void)
{
	static const struct tagger tagger;
	struct arrivals_fields fields;
	struct arrivals_id ids[2];
	struct arrivals_tags tags;
	char values[2][80];
	uint8_t pod[16];

	arrivals_standard_fields(&fields);
	take(pod, sizeof(pod));
	for (int i = 0; i < 2; i++) {
		size_t length = take_byte() % sizeof(values[0]);

		ids[i].field = take_byte() % (fields.count + 1);
		take(values[i], length);
		ids[i].value = (struct span){values[i], length};
	}
	value_size = sizeof(struct lanetag_arrival);
	if (arrivals_find(&tagger, &fields, pod, ids, 2, &tags) == ARRIVALS_FOUND)
		require(tags.length <= sizeof(tags.text));
}

static void check_call(void)
{
	/* All that is read of it is which map to look into. */
	static const uint64_t no_threads[8];
	const struct threads *threads = (const void *)no_threads;
	struct lanetag_connection connection;
	struct arrivals_tags tags;
	uint64_t position;

	take(&connection, sizeof(connection));
	take(&position, sizeof(position));
	value_size = sizeof(struct lanetag_call);
	if (threads_find(threads, &connection, position, &tags) == ARRIVALS_FOUND)
		require(tags.length <= sizeof(tags.text));
}

static void check_interception(void)
{
	static const struct interception interception;
	struct lanetag_interception_key key;
	struct lanetag_intercepted found;
	uint8_t headers[128];
	size_t length = take_byte() % sizeof(headers);
	/* No longer than it is: what reads on is found. */
	uint8_t *syn = malloc(length ? length : 1);

	require(syn != NULL);
	take(syn, length);
	take(&key, sizeof(key));
	saved_syn_parse(syn, length, &key.sequence);
	free(syn);
	value_size = sizeof(found);
	interception_take(&interception, &key, &found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_left = size;
	uint8_t what = take_byte();
	signs = what & 4;
	switch (what & 3) {
	case 0:
		check_flow();
		break;
	case 1:
		check_arrival();
		break;
	case 2:
		check_interception();
		break;
	default:
		check_call();
		break;
	}
	return 0;
}
