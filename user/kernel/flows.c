/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/flows.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "kernel/attachments.h"
#include "kernel/flow_decoding.h"
#include "kernel/layout.h"
#include "kernel/libbpf_log.h"
#include "kernel/pins.h"
#include "kernel/program.h"
#include "kernel/sockets.h"
#include "kernel/tagger_internal.h"

/* How often a flow that a processor works on is looked at again: it works for some microseconds. */
#define READ_ATTEMPTS 64

enum map { MAP_FLOWS, MAP_MARKS, MAP_GENERATIONS, MAP_NAMES, MAPS };

/* A pin may be anything: a map is taken only if it is as large as what is read of it. */
static const struct {
	const char *name;
	uint32_t value_size, entries;
} maps[MAPS] = {
	[MAP_FLOWS] = {"lane_flows", sizeof(struct lanetag_flow), LANETAG_FLOW_SLOTS},
	[MAP_MARKS] = {"lane_marks", sizeof(struct lanetag_mark), LANETAG_MARK_SLOTS},
	[MAP_GENERATIONS] = {"lane_generations", sizeof(struct lanetag_generation),
			     LANETAG_GENERATIONS},
	[MAP_NAMES] = {"lane_names", sizeof(struct lanetag_lane_name), LANETAG_MAX_LANES},
};

struct flows {
	int maps[MAPS]; /* -1: not open */
	const struct lanetag_mark *marks;
	size_t marks_size; /* bytes mapped */
	struct lane_tables tables;
	int sockets; /* see kernel/sockets.h; -1: they can't be asked for */
};

/* Marks alone need a descriptor for writing: mmap(2) shares no memory through another. */
static int open_map(const struct pins *pins, enum map map)
{
	int fd = map == MAP_MARKS ? pins_get(pins, maps[map].name)
				  : pins_get_for_reading(pins, maps[map].name);
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && info.type == BPF_MAP_TYPE_ARRAY &&
	    info.key_size == sizeof(uint32_t) && info.value_size == maps[map].value_size &&
	    info.max_entries == maps[map].entries)
		return fd;
	close(fd);
	return -EPROTO;
}

/* Memory that can only be read; the descriptor is closed. */
static int map_marks(struct flows *flows)
{
	void *marks;
	int error = marks_map_memory(flows->maps[MAP_MARKS],
				     LANETAG_MARK_SLOTS * sizeof(struct lanetag_mark), PROT_READ,
				     &marks, &flows->marks_size);

	if (error)
		return error;
	flows->marks = marks;
	close(flows->maps[MAP_MARKS]);
	flows->maps[MAP_MARKS] = -1;
	return 0;
}

static int open_maps(const struct pins *pins, struct flows *flows)
{
	uint64_t fingerprint;
	int error = layout_of_pins(pins, &fingerprint);

	if (error == 0 && !program_knows_layout(PROGRAM_TAGGER, fingerprint))
		error = -EPROTO;
	for (size_t i = 0; i < MAPS && error == 0; i++) {
		flows->maps[i] = open_map(pins, (enum map)i);
		error = flows->maps[i] < 0 ? flows->maps[i] : 0;
	}
	if (error == 0 && attachments_are_pinned_here(pins))
		flows->sockets = sockets_open();
	return error ? error : map_marks(flows);
}

static void explain(int error, const char *directory, struct buffer *reason)
{
	switch (-error) {
	case ENOENT:
		buffer_printf(reason,
			      "nothing is pinned at %s: no agent with a kernel tagger runs here, "
			      "or it has another --pin-directory",
			      directory);
		break;
	case EPERM:
	case EACCES:
		buffer_printf(reason,
			      "no right to read the maps at %s: be root or the agent's user, with "
			      "CAP_BPF where the kernel asks for it",
			      directory);
		break;
	case EPROTO:
		buffer_printf(reason,
			      "the maps at %s are of another version: use the lanetag of the agent "
			      "that made them",
			      directory);
		break;
	default:
		buffer_printf(reason, "the maps at %s can't be read: %s", directory,
			      strerror(-error));
	}
}

int flows_open(const char *pin_directory, struct flows **ret_flows, struct buffer *reason)
{
	struct flows *flows = calloc(1, sizeof(*flows));
	struct pins pins;
	int error = flows ? pins_look(&pins, pin_directory) : -ENOMEM;

	if (flows) {
		flows->sockets = -1;
		memset(flows->maps, -1, sizeof(flows->maps));
	}
	libbpf_log_install();
	if (error == 0)
		error = open_maps(&pins, flows);
	if (error) {
		explain(error, pin_directory, reason);
		flows_close(flows);
		return error;
	}
	*ret_flows = flows;
	return 0;
}

void flows_close(struct flows *flows)
{
	if (flows == NULL)
		return;
	if (flows->marks)
		munmap((void *)flows->marks, flows->marks_size);
	for (size_t i = 0; i < MAPS; i++) {
		if (flows->maps[i] >= 0)
			close(flows->maps[i]);
	}
	if (flows->sockets >= 0)
		close(flows->sockets);
	free(flows);
}

struct reading {
	const struct flows *flows;
	struct flow *list;
	size_t count;
	bool failed; /* out of memory */
};

/* Another copy where a processor was at work on the flow; after so many the last one. */
static void settle(int map, uint32_t slot, struct lanetag_flow *entry)
{
	for (int i = 0; i < READ_ATTEMPTS && entry->busy; i++) {
		struct lanetag_flow copy;

		if (bpf_map_lookup_elem(map, &slot, &copy) < 0)
			return;
		*entry = copy;
	}
}

static enum flow_socket find_socket(const struct flows *flows,
				    const struct lanetag_connection *connection)
{
	int has_one = flows->sockets < 0 ? -1 : sockets_ask(flows->sockets, connection);

	if (has_one < 0)
		return FLOW_SOCKET_UNKNOWN;
	return has_one ? FLOW_SOCKET_OPEN : FLOW_SOCKET_NONE;
}

static void read_batch(void *context, const void *keys, const void *values, uint32_t count)
{
	struct reading *reading = context;
	const struct flows *flows = reading->flows;
	const uint32_t *slots = keys;
	const struct lanetag_flow *entries = values;

	for (uint32_t i = 0; i < count; i++) {
		struct lanetag_flow entry = entries[i];
		struct flow flow, *place;

		if (entry.state == LANETAG_FLOW_FREE && !entry.busy)
			continue;
		settle(flows->maps[MAP_FLOWS], slots[i], &entry);
		if (!flow_decode(&entry, slots[i], flows->marks, clock_now_ns(), &flow))
			continue;
		flow.socket = find_socket(flows, &flow.connection);
		place = ARRAY_APPEND(reading->list, reading->count);
		if (place)
			*place = flow;
		else
			reading->failed = true;
	}
}

static int compare(const void *left, const void *right)
{
	const struct lanetag_connection *a = &((const struct flow *)left)->connection;
	const struct lanetag_connection *b = &((const struct flow *)right)->connection;
	int order = memcmp(a->remote_address, b->remote_address, sizeof(a->remote_address));

	if (order == 0)
		order = (int)a->remote_port - (int)b->remote_port;
	if (order == 0)
		order = memcmp(a->local_address, b->local_address, sizeof(a->local_address));
	return order ? order : (int)a->local_port - (int)b->local_port;
}

static int read_each(int map, void *ret_values, size_t value_size, uint32_t count)
{
	for (uint32_t key = 0; key < count; key++) {
		if (bpf_map_lookup_elem(map, &key, (char *)ret_values + key * value_size) < 0)
			return -errno;
	}
	return 0;
}

/* After the marks: what they mean was noted before they could be written. */
static int read_tables(struct flows *flows)
{
	struct lane_tables *tables = &flows->tables;
	int error = read_each(flows->maps[MAP_GENERATIONS], tables->generations,
			      sizeof(tables->generations[0]), LANETAG_GENERATIONS);

	if (error)
		return error;
	return read_each(flows->maps[MAP_NAMES], tables->names, sizeof(tables->names[0]),
			 LANETAG_MAX_LANES);
}

int flows_read(struct flows *flows, struct flow **ret_list, size_t *ret_count)
{
	struct reading reading = {.flows = flows};
	int error = tables_each(flows->maps[MAP_FLOWS], sizeof(uint32_t),
				sizeof(struct lanetag_flow), read_batch, &reading);

	if (error == 0 && reading.failed)
		error = -ENOMEM;
	if (error == 0)
		error = read_tables(flows);
	if (error) {
		free(reading.list);
		return error;
	}
	if (reading.count > 0)
		qsort(reading.list, reading.count, sizeof(*reading.list), compare);
	*ret_list = reading.list;
	*ret_count = reading.count;
	return 0;
}

void flows_tag(const struct flows *flows, const struct lanetag_mark *mark, size_t rule,
	       struct flow_tag *ret_tag)
{
	flow_decode_tag(&flows->tables, mark, rule, ret_tag);
}
