/* SPDX-License-Identifier: GPL-2.0-only */
/* What the agent writes into the kernel's maps (rules, ports, names) and reads from them
 * (counters). */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lanetag/flow.h>
#include <lanetag/lanes.h>
#include "base/array.h"
#include "kernel/tagger_internal.h"

#define BATCH 1024

static int update(const struct tagger *tagger, const char *map, uint32_t key, const void *value)
{
	int fd = program_map(&tagger->program, map);

	if (fd < 0)
		return fd;
	return bpf_map_update_elem(fd, &key, value, BPF_ANY) < 0 ? -errno : 0;
}

/* A map that holds one ruleset, with its types so that a dump can be read. */
static int create_ruleset_map(const struct tagger *tagger, const struct lanetag_ruleset *ruleset)
{
	const struct btf *btf = bpf_object__btf(tagger->program.object);
	int value_type = btf__find_by_name_kind(btf, "lanetag_ruleset", BTF_KIND_STRUCT);
	int key_type = btf__find_by_name_kind(btf, "unsigned int", BTF_KIND_INT);
	LIBBPF_OPTS(bpf_map_create_opts, options);
	uint32_t zero = 0;
	int error, fd;

	if (value_type > 0 && key_type > 0) {
		options.btf_fd = (uint32_t)bpf_object__btf_fd(tagger->program.object);
		options.btf_key_type_id = (uint32_t)key_type;
		options.btf_value_type_id = (uint32_t)value_type;
	}
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "lane_ruleset", sizeof(zero), sizeof(*ruleset), 1,
			    &options);
	if (fd < 0)
		return -errno;
	if (bpf_map_update_elem(fd, &zero, ruleset, BPF_ANY) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

/* A killed agent's generations may have been higher: what they meant ended with it. */
static int forget_generations_above(int map, uint32_t generation)
{
	static const struct lanetag_generation none;
	struct lanetag_generation lanes;

	for (uint32_t slot = 0; slot < LANETAG_GENERATIONS; slot++) {
		if (bpf_map_lookup_elem(map, &slot, &lanes) < 0)
			return -errno;
		if (lanes.generation > generation &&
		    bpf_map_update_elem(map, &slot, &none, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

/* What policies of marks of this generation mean; arrivals have no marks. */
static int note_generation(const struct tagger *tagger, const struct lanetag_ruleset *ruleset)
{
	int map = program_map(&tagger->program, "lane_generations"), error;
	struct lanetag_generation lanes = {.generation = ruleset->generation,
					   .rule_count = ruleset->rule_count};
	uint32_t slot = lanetag_generation_slot(ruleset->generation);

	if (map < 0)
		return 0;
	for (size_t i = 0; i < ruleset->rule_count; i++) {
		const struct lanetag_rule *rule = &ruleset->rules[i];

		lanes.untagged_lane[i] = (uint16_t)rule->untagged_lane;
		for (size_t j = 0; j < rule->policy_count; j++)
			lanes.lane[i][j] = (uint16_t)rule->policies[j].lane;
	}
	error = forget_generations_above(map, ruleset->generation);
	if (error)
		return error;
	return bpf_map_update_elem(map, &slot, &lanes, BPF_ANY) < 0 ? -errno : 0;
}

int tagger_set_rules(struct tagger *tagger, const struct lanetag_ruleset *ruleset)
{
	int inner = create_ruleset_map(tagger, ruleset), error;

	if (inner < 0)
		return inner;
	error = note_generation(tagger, ruleset);
	if (error) {
		close(inner);
		return error;
	}
	error = update(tagger, "lane_rules", 0, &inner);
	close(inner); /* the outer map holds it */
	return error;
}

int tables_set_ports(int map, const uint16_t *ports, size_t port_count)
{
	uint64_t words[65536 / 64] = {0};

	for (size_t i = 0; i < port_count; i++)
		words[ports[i] >> 6] |= 1ULL << (ports[i] & 63);
	for (uint32_t word = 0; word < ARRAY_LENGTH(words); word++) {
		if (bpf_map_update_elem(map, &word, &words[word], BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

int tagger_set_ports(struct tagger *tagger, const uint16_t *ports, size_t port_count)
{
	int map = program_map(&tagger->program, "lane_ports");

	return map < 0 ? map : tables_set_ports(map, ports, port_count);
}

int tagger_set_lane_name(struct tagger *tagger, uint32_t generation, uint32_t lane,
			 const char *tag_header, const char *tag_value)
{
	int map = program_map(&tagger->program, "lane_names");
	struct lanetag_lane_name name = {.since = generation}, before;

	if (map < 0)
		return map;
	snprintf(name.tag_header, sizeof(name.tag_header), "%s", tag_header);
	snprintf(name.tag_value, sizeof(name.tag_value), "%s", tag_value);
	if (bpf_map_lookup_elem(map, &lane, &before) == 0 && before.since <= generation &&
	    memcmp(before.tag_header, name.tag_header, sizeof(name.tag_header)) == 0 &&
	    memcmp(before.tag_value, name.tag_value, sizeof(name.tag_value)) == 0)
		name.since = before.since;
	return bpf_map_update_elem(map, &lane, &name, BPF_ANY) < 0 ? -errno : 0;
}

/* Sums the values of all processors, one key after the other. */
static int read_each(int map, uint32_t count, uint64_t *values, int processors, uint64_t *sums)
{
	for (uint32_t key = 0; key < count; key++) {
		if (bpf_map_lookup_elem(map, &key, values) < 0)
			return -errno;
		for (int i = 0; i < processors; i++)
			sums[key] += values[i];
	}
	return 0;
}

/* The same in one system call; -ENOTSUPP or the like before Linux 5.13. */
static int read_at_once(int map, uint32_t count, int processors, uint64_t *sums)
{
	uint64_t *values = calloc((size_t)count * (size_t)processors, sizeof(*values));
	uint32_t *keys = calloc(count, sizeof(*keys)), read = count, next;
	int error = values && keys ? 0 : -ENOMEM;

	if (error == 0 && bpf_map_lookup_batch(map, NULL, &next, keys, values, &read, NULL) < 0 &&
	    errno != ENOENT)
		error = -errno;
	for (uint32_t i = 0; i < read && error == 0; i++) {
		for (int j = 0; j < processors; j++)
			sums[keys[i]] += values[i * (uint32_t)processors + (uint32_t)j];
	}
	free(values);
	free(keys);
	return error;
}

int tables_each(int map, size_t key_size, size_t value_size, tables_visitor visit, void *context)
{
	void *keys = calloc(BATCH, key_size), *values = calloc(BATCH, value_size);
	int error = keys && values ? 0 : -ENOMEM;
	char position[key_size];

	for (void *from = NULL; error == 0; from = position) {
		uint32_t count = BATCH;

		if (bpf_map_lookup_batch(map, from, position, keys, values, &count, NULL) < 0)
			error = -errno;
		if (error == 0 || error == -ENOENT)
			visit(context, keys, values, count);
	}
	free(keys);
	free(values);
	return error == -ENOENT ? 0 : error; /* which says that this was the last batch */
}

int tables_sum_map(int map, uint32_t count, uint64_t *ret_sums)
{
	int processors = libbpf_num_possible_cpus(), error;
	uint64_t sums[LANETAG_MAX_LANES] = {0};

	if (map < 0 || processors <= 0)
		return map < 0 ? map : processors;
	error = read_at_once(map, count, processors, sums);
	if (error) {
		uint64_t values[processors];

		memset(sums, 0, sizeof(sums));
		error = read_each(map, count, values, processors, sums);
	}
	if (error == 0)
		memcpy(ret_sums, sums, count * sizeof(*sums));
	return error;
}

int tables_sum(const struct tagger *tagger, const char *name, uint32_t count, uint64_t *ret_sums)
{
	return tables_sum_map(program_map(&tagger->program, name), count, ret_sums);
}

int tagger_lane_requests(const struct tagger *tagger, uint64_t ret_requests[LANETAG_MAX_LANES])
{
	return tables_sum(tagger, "lane_counters", LANETAG_MAX_LANES, ret_requests);
}

/* In the order of enum lanetag_event. */
static const char *const event_names[] = {
	[LANETAG_EVENT_MARKS] = "marks",
	[LANETAG_EVENT_UNKNOWN_SOURCE] = "unknown_source",
	[LANETAG_EVENT_GAP] = "gap",
	[LANETAG_EVENT_RESYNCHRONISED] = "resynchronised",
	[LANETAG_EVENT_RETRANSMISSION] = "retransmission",
	[LANETAG_EVENT_NOT_FOLLOWED] = "not_followed",
	[LANETAG_EVENT_CONTENDED] = "contended",
	[LANETAG_EVENT_TABLE_FULL] = "table_full",
	[LANETAG_EVENT_HTTP2] = "http2",
	[LANETAG_EVENT_TLS] = "tls",
	[LANETAG_EVENT_NOT_HTTP] = "not_http",
	[LANETAG_EVENT_AMBIGUOUS] = "ambiguous",
	[LANETAG_EVENT_UPGRADE] = "upgrade",
	[LANETAG_EVENT_GENERATION_CHANGED] = "generation_changed",
	[LANETAG_EVENT_SLOT_BUSY] = "slot_busy",
	[LANETAG_EVENT_FRAGMENT] = "fragment",
	[LANETAG_EVENT_TOO_MANY_STEPS] = "too_many_steps",
	[LANETAG_EVENT_CHECKSUM] = "checksum",
};

_Static_assert(ARRAY_LENGTH(event_names) == LANETAG_EVENTS, "every event has a name");

size_t tagger_event_kinds(void)
{
	return LANETAG_EVENTS;
}

const char *tagger_event_name(size_t event)
{
	return event < LANETAG_EVENTS ? event_names[event] : "unknown";
}

int tagger_events(const struct tagger *tagger, uint64_t *ret_counts)
{
	return tables_sum(tagger, "lane_events", LANETAG_EVENTS, ret_counts);
}

static void count_flows(void *context, const void *keys, const void *values, uint32_t count)
{
	uint64_t *entries = context;
	const struct lanetag_flow *flows = values;

	(void)keys;
	for (uint32_t i = 0; i < count; i++)
		*entries += flows[i].state != LANETAG_FLOW_FREE;
}

static uint64_t count_marks(const struct lanetag_mark *marks)
{
	uint64_t entries = 0;

	for (size_t slot = 0; slot < LANETAG_MARK_SLOTS; slot++)
		entries += __atomic_load_n(&marks[slot].generation, __ATOMIC_RELAXED) != 0;
	return entries;
}

/*
 * A mark that was written and does not stand was overwritten. What is written while they are
 * counted makes it less; it never goes back.
 */
static uint64_t count_overwritten(struct tagger *tagger, uint64_t written, uint64_t entries)
{
	uint64_t known = atomic_load(&tagger->marks_overwritten);
	uint64_t overwritten = written > entries ? written - entries : 0;

	while (overwritten > known &&
	       !atomic_compare_exchange_weak(&tagger->marks_overwritten, &known, overwritten))
		continue;
	return overwritten > known ? overwritten : known;
}

int tagger_count_tables(struct tagger *tagger, struct tagger_tables *ret_tables)
{
	struct tagger_tables tables = {.flows.capacity = LANETAG_FLOW_SLOTS,
				       .marks.capacity = LANETAG_MARK_SLOTS};
	uint64_t events[LANETAG_EVENTS];
	int error = tagger_events(tagger, events);

	if (error == 0)
		error = tables_each(program_map(&tagger->program, "lane_flows"), sizeof(uint32_t),
				    sizeof(struct lanetag_flow), count_flows,
				    &tables.flows.entries);
	if (error)
		return error;
	tables.flows.evictions = events[LANETAG_EVENT_TABLE_FULL];
	tables.marks.entries = count_marks(tagger->marks);
	tables.marks.evictions =
		count_overwritten(tagger, events[LANETAG_EVENT_MARKS], tables.marks.entries);
	*ret_tables = tables;
	return 0;
}
