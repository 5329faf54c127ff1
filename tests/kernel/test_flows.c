/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading the tagger's pinned maps beside the agent: what is told of real connections, and that
 * reading changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <lanetag/flow.h>
#include <lanetag/lanes.h>
#include "base/array.h"
#include "kernel/flows.h"
#include "kernel/pins.h"
#include "kernel/sandbox.h"
#include "kernel/sockets.h"

#define GENERATION 7
#define REMAINDER_OF_0005 6 /* of 0001: 82 */

static char bpffs[PATH_MAX];
static char pin_directory[PATH_MAX + 16];
static struct tagger *tagger;
static struct sandbox_connection connection;
static int listener;

static void set_rules(uint32_t generation, const char *value)
{
	struct lanetag_ruleset ruleset;

	sandbox_rules(&ruleset, generation);
	assert_int_equal(tagger_set_lane_name(tagger, generation, 0, "appver-a", ""), 0);
	assert_int_equal(tagger_set_lane_name(tagger, generation, 1, "appver-a", value), 0);
	assert_int_equal(tagger_set_rules(tagger, &ruleset), 0);
}

static int start(void **state)
{
	const char *interface = "lo";
	struct tagger_options options = {.variant = sandbox_variant(),
					 .pin_directory = pin_directory,
					 .interfaces = &interface,
					 .interface_count = 1};
	uint16_t port;

	(void)state;
	listener = sandbox_listen(&port);
	if (tagger_open(&options, &tagger) || tagger_set_ports(tagger, &port, 1))
		return -1;
	set_rules(GENERATION, "v2");
	sandbox_connect(listener, port, &connection);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	sandbox_disconnect(&connection);
	close(listener);
	tagger_close(tagger);
	return 0;
}

static struct flows *open_flows(void)
{
	struct buffer reason = {0};
	struct flows *flows;

	if (flows_open(pin_directory, &flows, &reason))
		fail_msg("%s", buffer_text(&reason));
	return flows;
}

/* The flow of our connection; the only one there is. */
static struct flow read_one(struct flows *flows)
{
	struct flow *list, flow;
	size_t count;

	assert_int_equal(flows_read(flows, &list, &count), 0);
	assert_int_equal(count, 1);
	flow = list[0];
	free(list);
	assert_memory_equal(&flow.connection, &connection.key, sizeof(flow.connection));
	return flow;
}

static struct flow_tag read_tag(struct flows *flows)
{
	struct flow flow = read_one(flows);
	struct flow_tag tag;

	assert_true(flow.has_mark);
	assert_int_equal(flow.mark.rule_count, 1);
	flows_tag(flows, &flow.mark, 0, &tag);
	return tag;
}

static void each_request_changes_what_is_told(void **state)
{
	struct flows *flows = open_flows();
	struct flow flow = read_one(flows);
	struct flow_tag tag;

	(void)state;
	assert_int_equal(flow.state, FLOW_IDLE);
	assert_int_equal(flow.requests, 0);
	assert_false(flow.has_mark);
	assert_true(flow.has_age);
	sandbox_request(&connection, "0005");
	tag = read_tag(flows);
	assert_int_equal(tag.outcome, FLOW_TAG);
	assert_string_equal(tag.tag_header, "appver-a");
	assert_string_equal(tag.tag_value, "v2");
	assert_int_equal(tag.remainder, REMAINDER_OF_0005);
	sandbox_request(&connection, "0001");
	tag = read_tag(flows);
	assert_int_equal(tag.outcome, FLOW_NO_TAG);
	assert_string_equal(tag.tag_header, "appver-a");
	flow = read_one(flows);
	assert_int_equal(flow.requests, 2);
	assert_int_equal(flow.received, connection.position);
	flows_close(flows);
}

struct copy {
	const char *name;
	uint32_t entries, value_size;
	uint8_t *bytes;
};

static void copy_map(struct copy *copy)
{
	char path[PATH_MAX + 64];
	int map;

	snprintf(path, sizeof(path), "%s/%s", pin_directory, copy->name);
	map = bpf_obj_get(path);
	assert_true(map >= 0);
	copy->bytes = malloc((size_t)copy->entries * copy->value_size);
	assert_non_null(copy->bytes);
	for (uint32_t key = 0; key < copy->entries; key++)
		assert_int_equal(bpf_map_lookup_elem(map, &key,
						     copy->bytes + (size_t)key * copy->value_size),
				 0);
	close(map);
}

static void reading_leaves_every_map_as_it_is(void **state)
{
	const struct copy maps[] = {
		{"lane_flows", LANETAG_FLOW_SLOTS, sizeof(struct lanetag_flow), NULL},
		{"lane_marks", LANETAG_MARK_SLOTS, sizeof(struct lanetag_mark), NULL},
		{"lane_resync", LANETAG_RESYNC_SLOTS, sizeof(uint64_t), NULL},
		{"lane_names", LANETAG_MAX_LANES, sizeof(struct lanetag_lane_name), NULL},
		{"lane_generations", LANETAG_GENERATIONS, sizeof(struct lanetag_generation), NULL},
		{"lane_ports", 1024, sizeof(uint64_t), NULL},
		{"lane_rules", 1, sizeof(uint32_t), NULL},
		{"lane_layout", 1, sizeof(uint64_t), NULL},
	};
	struct copy before[ARRAY_LENGTH(maps)], after[ARRAY_LENGTH(maps)];
	struct flows *flows;

	(void)state;
	sandbox_request(&connection, "0005");
	memcpy(before, maps, sizeof(maps));
	memcpy(after, maps, sizeof(maps));
	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++)
		copy_map(&before[i]);
	flows = open_flows();
	assert_int_equal(read_tag(flows).outcome, FLOW_TAG);
	flows_close(flows);
	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++) {
		copy_map(&after[i]);
		assert_memory_equal(before[i].bytes, after[i].bytes,
				    (size_t)maps[i].entries * maps[i].value_size);
		free(before[i].bytes);
		free(after[i].bytes);
	}
}

static void a_descriptor_for_reading_cannot_write(void **state)
{
	static struct lanetag_flow flow;
	struct pins pins;
	uint32_t key = 0;
	int map;

	(void)state;
	assert_int_equal(pins_look(&pins, pin_directory), 0);
	map = pins_get_for_reading(&pins, "lane_flows");
	assert_true(map >= 0);
	assert_int_equal(bpf_map_lookup_elem(map, &key, &flow), 0);
	assert_true(bpf_map_update_elem(map, &key, &flow, BPF_ANY) < 0);
	assert_int_equal(errno, EPERM);
	close(map);
	pins_close(&pins);
}

static void a_closed_connection_is_gone(void **state)
{
	struct sandbox_connection second;
	struct flows *flows = open_flows();
	struct flow *list;
	size_t count;

	(void)state;
	sandbox_connect(listener, connection.port, &second);
	assert_int_equal(flows_read(flows, &list, &count), 0);
	assert_int_equal(count, 2);
	free(list);
	sandbox_disconnect(&second);
	read_one(flows);
	flows_close(flows);
}

static bool kernel_tells_sockets(void)
{
	int diagnosis = sockets_open();

	if (diagnosis >= 0)
		close(diagnosis);
	else
		assert_int_equal(diagnosis, -EOPNOTSUPP);
	return diagnosis >= 0;
}

/* The server's reset goes the other way: the tagger sees no end. */
static void what_ended_unseen_has_no_socket(void **state)
{
	const struct linger at_once = {.l_onoff = 1};
	struct flows *flows = open_flows();

	(void)state;
	if (!kernel_tells_sockets()) {
		assert_int_equal(read_one(flows).socket, FLOW_SOCKET_UNKNOWN);
		flows_close(flows);
		skip();
	}
	assert_int_equal(read_one(flows).socket, FLOW_SOCKET_OPEN);
	assert_int_equal(
		setsockopt(connection.server, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(connection.server);
	connection.server = -1;
	assert_int_equal(read_one(flows).socket, FLOW_SOCKET_NONE);
	flows_close(flows);
}

static void from_another_network_namespace_sockets_are_not_judged(void **state)
{
	struct flows *flows;
	pid_t child;
	int status;

	(void)state;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWNET) < 0)
			_exit(1);
		flows = open_flows();
		_exit(read_one(flows).socket == FLOW_SOCKET_UNKNOWN ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void a_lane_renamed_later_names_no_earlier_mark(void **state)
{
	struct flows *flows = open_flows();
	struct flow_tag tag;

	(void)state;
	sandbox_request(&connection, "0005");
	set_rules(GENERATION + 1, "v2");
	assert_string_equal(read_tag(flows).tag_value, "v2");
	set_rules(GENERATION + 2, "v3");
	tag = read_tag(flows);
	assert_int_equal(tag.outcome, FLOW_TAG);
	assert_string_equal(tag.tag_header, "");
	assert_string_equal(tag.tag_value, "");
	sandbox_request(&connection, "0005");
	assert_string_equal(read_tag(flows).tag_value, "v3");
	flows_close(flows);
}

/* It begins with generation 1 again, and finds the maps as the killed one left them. */
static void an_agent_behind_a_killed_one_names_only_its_own_marks(void **state)
{
	struct flows *flows = open_flows();

	(void)state;
	sandbox_request(&connection, "0005");
	assert_string_equal(read_tag(flows).tag_value, "v2");
	set_rules(1, "v2");
	assert_string_equal(read_tag(flows).tag_value, "");
	sandbox_request(&connection, "0005");
	assert_string_equal(read_tag(flows).tag_value, "v2");
	flows_close(flows);
}

static atomic_bool ended;

static void *send_requests(void *context)
{
	(void)context;
	for (int i = 0; i < 5000; i++)
		sandbox_request(&connection, i & 1 ? "0005" : "0001");
	ended = true;
	return NULL;
}

static void beside_traffic_no_mark_is_told_in_halves(void **state)
{
	struct flows *flows = open_flows();
	size_t marks = 0;
	pthread_t sender;

	(void)state;
	ended = false;
	assert_int_equal(pthread_create(&sender, NULL, send_requests, NULL), 0);
	while (!ended) {
		struct flow flow = read_one(flows);
		struct flow_tag tag;

		if (!flow.has_mark)
			continue;
		marks++;
		flows_tag(flows, &flow.mark, 0, &tag);
		assert_true(tag.has_remainder);
		assert_int_equal(tag.outcome,
				 tag.remainder == REMAINDER_OF_0005 ? FLOW_TAG : FLOW_NO_TAG);
		assert_true(flow.mark.position < flow.received);
	}
	pthread_join(sender, NULL);
	assert_true(marks > 0);
	flows_close(flows);
}

/* What flows_open says in this directory. */
static void refused(const char *directory, int error, const char *words)
{
	struct buffer reason = {0};
	struct flows *flows;

	assert_int_equal(flows_open(directory, &flows, &reason), error);
	if (strstr(buffer_text(&reason), words) == NULL)
		fail_msg("%s", buffer_text(&reason));
	buffer_free(&reason);
}

static void what_cannot_be_read_is_named(void **state)
{
	static const struct {
		const char *name;
		uint32_t value_size, entries;
	} foreign[] = {
		{"lane_flows", sizeof(struct lanetag_flow) - 8, LANETAG_FLOW_SLOTS},
		{"lane_marks", sizeof(struct lanetag_mark), LANETAG_MARK_SLOTS / 2},
		{"lane_names", 8, 1},
		{"lane_layout", 4, 1},
	};

	(void)state;
	refused("/tmp/bpffs/nothing", -ENOENT, "nothing is pinned at /tmp/bpffs/nothing");
	refused("/tmp", -ENOENT, "nothing is pinned");
	for (size_t i = 0; i < ARRAY_LENGTH(foreign); i++) {
		char path[PATH_MAX + 64], kept[PATH_MAX + 64];
		int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, foreign[i].value_size,
					 foreign[i].entries, NULL);

		assert_true(map >= 0);
		snprintf(path, sizeof(path), "%s/%s", pin_directory, foreign[i].name);
		snprintf(kept, sizeof(kept), "%s/kept", pin_directory);
		assert_int_equal(rename(path, kept), 0);
		assert_int_equal(bpf_obj_pin(map, path), 0);
		close(map);
		refused(pin_directory, -EPROTO, "are of another version");
		assert_int_equal(rename(kept, path), 0);
	}
	flows_close(open_flows());
}

#define TEST(claim) cmocka_unit_test_setup_teardown(claim, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_request_changes_what_is_told),
		TEST(reading_leaves_every_map_as_it_is),
		TEST(a_descriptor_for_reading_cannot_write),
		TEST(a_closed_connection_is_gone),
		TEST(what_ended_unseen_has_no_socket),
		TEST(from_another_network_namespace_sockets_are_not_judged),
		TEST(a_lane_renamed_later_names_no_earlier_mark),
		TEST(an_agent_behind_a_killed_one_names_only_its_own_marks),
		TEST(beside_traffic_no_mark_is_told_in_halves),
		TEST(what_cannot_be_read_is_named),
	};

	if (sandbox_is_skipped("flows"))
		return 0;
	sandbox_enter(bpffs);
	snprintf(pin_directory, sizeof(pin_directory), "%s/lanetag", bpffs);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
