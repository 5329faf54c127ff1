/* SPDX-License-Identifier: GPL-2.0-only */
/* What `lanetag flows` reads out of the maps' bytes, good ones and garbage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "kernel/flow_decoding.h"

#define SECOND 1000000000ULL
#define NOW (100 * SECOND)
#define GENERATION 7
#define POSITION 350
#define REMAINDER 6
enum { LANE_UNTAGGED = 20, LANE_V2, LANE_NAMED_LATER };

static struct lanetag_mark *marks;
static struct lane_tables *tables;

static int set_up(void **state)
{
	(void)state;
	marks = calloc(LANETAG_MARK_SLOTS, sizeof(*marks));
	tables = calloc(1, sizeof(*tables));
	assert_true(marks && tables);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(marks);
	free(tables);
	return 0;
}

static struct lanetag_flow one_flow(void)
{
	return (struct lanetag_flow){
		.connection = {.remote_address = {[10] = 0xff, 0xff, 192, 0, 2, 2},
			       .local_address = {[10] = 0xff, 0xff, 192, 0, 2, 1},
			       .remote_port = 40000,
			       .local_port = 80},
		.state = LANETAG_FLOW_REQUEST_START,
		.generation = GENERATION,
		.heads = 2,
		.began_ns = NOW - 12 * SECOND,
		.offset = 500,
		.position = POSITION,
	};
}

static uint32_t home_of(const struct lanetag_flow *entry)
{
	return (uint32_t)(lanetag_connection_hash(&entry->connection) >> 8) &
	       (LANETAG_FLOW_SLOTS - 1);
}

/* A mark of three rules: a tag, no tag, unknown. */
static struct lanetag_mark *note_mark(const struct lanetag_flow *entry)
{
	uint64_t hash = lanetag_connection_hash(&entry->connection);
	struct lanetag_mark *mark = &marks[lanetag_mark_slot(hash, entry->position)];

	*mark = (struct lanetag_mark){
		.sequence = 4,
		.generation = GENERATION,
		.connection = entry->connection,
		.position = entry->position,
		.rule_count = 3,
		.policy = {1, LANETAG_POLICY_NONE, LANETAG_POLICY_UNKNOWN},
		.remainder = {REMAINDER, REMAINDER, LANETAG_NO_REMAINDER},
	};
	return mark;
}

static void name_lane(uint32_t lane, uint32_t since, const char *header, const char *value)
{
	struct lanetag_lane_name *name = &tables->names[lane];

	name->since = since;
	strncpy(name->tag_header, header, LANETAG_MAX_NAME);
	strncpy(name->tag_value, value, LANETAG_MAX_NAME);
}

static void name_lanes(void)
{
	tables->generations[lanetag_generation_slot(GENERATION)] = (struct lanetag_generation){
		.generation = GENERATION,
		.rule_count = 3,
		.untagged_lane = {LANE_UNTAGGED, LANE_UNTAGGED, LANE_UNTAGGED},
		.lane = {{LANE_NAMED_LATER, LANE_V2}},
	};
	name_lane(LANE_UNTAGGED, GENERATION, "appver-a", "");
	name_lane(LANE_V2, 1, "appver-a", "v2");
	name_lane(LANE_NAMED_LATER, GENERATION + 1, "appver-z", "v9");
}

static bool decode(const struct lanetag_flow *entry, struct flow *flow)
{
	return flow_decode(entry, home_of(entry), marks, NOW, flow);
}

static void a_flow_is_told_with_its_latest_mark(void **state)
{
	struct lanetag_flow entry = one_flow();
	struct flow flow;

	(void)state;
	note_mark(&entry);
	assert_true(decode(&entry, &flow));
	assert_memory_equal(&flow.connection, &entry.connection, sizeof(flow.connection));
	assert_int_equal(flow.state, FLOW_IDLE);
	assert_null(flow.lost_by);
	assert_int_equal(flow.requests, 2);
	assert_int_equal(flow.received, 500);
	assert_true(flow.has_age);
	assert_int_equal(flow.age_ns, 12 * SECOND);
	assert_true(flow.has_mark);
	assert_int_equal(flow.mark.position, POSITION);
	assert_int_equal(flow.mark.rule_count, 3);
}

static void each_state_has_its_name_and_a_lost_flow_its_reason(void **state)
{
	static const struct {
		uint32_t state;
		uint8_t in_trailers;
		enum flow_state told;
	} rows[] = {
		{LANETAG_FLOW_REQUEST_START, 1, FLOW_IDLE}, /* behind trailers */
		{LANETAG_FLOW_LINE_START, 0, FLOW_HEAD},
		{LANETAG_FLOW_LINE_REST, 0, FLOW_HEAD},
		{LANETAG_FLOW_LINE_REST, 1, FLOW_BODY},
		{LANETAG_FLOW_CHUNK_SIZE, 0, FLOW_BODY},
		{LANETAG_FLOW_BODY, 0, FLOW_BODY},
		{LANETAG_FLOW_UNSYNCHRONISED, 0, FLOW_LOST},
	};
	struct lanetag_flow entry = one_flow();
	struct flow flow;

	(void)state;
	entry.lost_by = LANETAG_EVENT_UPGRADE;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		entry.state = rows[i].state;
		entry.in_trailers = rows[i].in_trailers;
		assert_true(decode(&entry, &flow));
		assert_int_equal(flow.state, rows[i].told);
		if (flow.state == FLOW_LOST)
			assert_string_equal(flow.lost_by, "upgrade");
		else
			assert_null(flow.lost_by);
	}
}

static void what_is_no_flow_is_passed_over(void **state)
{
	struct lanetag_flow entry = one_flow();
	uint32_t home = home_of(&entry);
	struct flow flow;

	(void)state;
	for (uint32_t probe = 0; probe < LANETAG_FLOW_PROBES; probe++)
		assert_true(flow_decode(&entry, (home + probe) & (LANETAG_FLOW_SLOTS - 1), marks,
					NOW, &flow));
	assert_false(flow_decode(&entry, (home + LANETAG_FLOW_PROBES) & (LANETAG_FLOW_SLOTS - 1),
				 marks, NOW, &flow));
	assert_false(flow_decode(&entry, (home - 1) & (LANETAG_FLOW_SLOTS - 1), marks, NOW, &flow));
	entry.state = LANETAG_FLOW_FREE;
	assert_false(decode(&entry, &flow));
	entry.state = LANETAG_FLOW_BODY + 1;
	assert_false(decode(&entry, &flow));
}

static void only_the_mark_of_this_very_request_is_told(void **state)
{
	struct lanetag_flow entry = one_flow(), other = entry;
	struct lanetag_mark *mark = note_mark(&entry);
	struct flow flow;

	(void)state;
	other.position++;
	assert_true(decode(&other, &flow));
	assert_false(flow.has_mark);
	other = entry;
	other.heads = 0;
	assert_true(decode(&other, &flow));
	assert_false(flow.has_mark);
	other = entry;
	other.state = LANETAG_FLOW_LINE_REST;
	assert_true(decode(&other, &flow));
	assert_false(flow.has_mark);
	other = entry;
	other.generation++;
	assert_true(decode(&other, &flow));
	assert_false(flow.has_mark);
	mark->sequence++; /* the kernel is at it */
	assert_true(decode(&entry, &flow));
	assert_false(flow.has_mark);
	mark->sequence++;
	mark->rule_count = LANETAG_MAX_RULES + 1;
	assert_true(decode(&entry, &flow));
	assert_false(flow.has_mark);
}

static void an_age_from_the_future_is_unknown(void **state)
{
	struct lanetag_flow entry = one_flow();
	struct flow flow;

	(void)state;
	entry.began_ns = NOW + 1;
	assert_true(decode(&entry, &flow));
	assert_false(flow.has_age);
	assert_int_equal(flow.age_ns, 0);
}

static void rules_are_named_by_the_lanes_of_the_marks_generation(void **state)
{
	struct lanetag_flow entry = one_flow();
	struct lanetag_mark *mark = note_mark(&entry);
	struct flow_tag tag;

	(void)state;
	name_lanes();
	flow_decode_tag(tables, mark, 0, &tag);
	assert_int_equal(tag.outcome, FLOW_TAG);
	assert_string_equal(tag.tag_header, "appver-a");
	assert_string_equal(tag.tag_value, "v2");
	assert_true(tag.has_remainder);
	assert_int_equal(tag.remainder, REMAINDER);
	flow_decode_tag(tables, mark, 1, &tag);
	assert_int_equal(tag.outcome, FLOW_NO_TAG);
	assert_string_equal(tag.tag_header, "appver-a");
	assert_string_equal(tag.tag_value, "");
	flow_decode_tag(tables, mark, 2, &tag);
	assert_int_equal(tag.outcome, FLOW_UNKNOWN);
	assert_string_equal(tag.tag_header, "appver-a");
	assert_false(tag.has_remainder);
}

static void lanes_of_other_generations_name_nothing(void **state)
{
	struct lanetag_flow entry = one_flow();
	struct lanetag_mark *mark = note_mark(&entry);
	struct flow_tag tag;

	(void)state;
	name_lanes();
	mark->policy[0] = 0; /* its lane's number stands for something else since */
	flow_decode_tag(tables, mark, 0, &tag);
	assert_int_equal(tag.outcome, FLOW_TAG);
	assert_string_equal(tag.tag_header, "");
	assert_string_equal(tag.tag_value, "");
	mark->policy[0] = 1;
	mark->generation += LANETAG_GENERATIONS; /* the same slot */
	flow_decode_tag(tables, mark, 0, &tag);
	assert_string_equal(tag.tag_header, "");
	assert_string_equal(tag.tag_value, "");
}

static void names_without_an_end_are_cut_at_their_room(void **state)
{
	struct lanetag_flow entry = one_flow();
	struct lanetag_mark *mark = note_mark(&entry);
	struct flow_tag tag;

	(void)state;
	name_lanes();
	memset(tables->names[LANE_V2].tag_header, 'h', LANETAG_MAX_NAME + 1);
	memset(tables->names[LANE_V2].tag_value, 'v', LANETAG_MAX_NAME + 1);
	flow_decode_tag(tables, mark, 0, &tag);
	assert_int_equal(strlen(tag.tag_header), LANETAG_MAX_NAME);
	assert_int_equal(strlen(tag.tag_value), LANETAG_MAX_NAME);
}

static void fill(void *bytes, size_t size)
{
	unsigned char *at = bytes;

	for (size_t i = 0; i < size; i++)
		at[i] = (unsigned char)rand();
}

static void check_told(const struct flow *flow)
{
	struct flow_tag tag;

	assert_true(flow->state < FLOW_STATES);
	assert_int_equal(flow->lost_by != NULL, flow->state == FLOW_LOST);
	if (!flow->has_mark)
		return;
	assert_true(flow->mark.rule_count <= LANETAG_MAX_RULES);
	for (size_t i = 0; i < flow->mark.rule_count; i++) {
		flow_decode_tag(tables, &flow->mark, i, &tag);
		assert_true(tag.outcome <= FLOW_UNKNOWN);
		assert_true(strlen(tag.tag_header) <= LANETAG_MAX_NAME);
		assert_true(strlen(tag.tag_value) <= LANETAG_MAX_NAME);
	}
}

/* Run with SANITIZE=1 too: nothing outside of what was given may be looked at. */
static void garbage_in_every_map_is_told_within_bounds(void **state)
{
	size_t flows = 0, with_mark = 0;

	(void)state;
	srand(4);
	fill(marks, LANETAG_MARK_SLOTS * sizeof(*marks));
	fill(tables, sizeof(*tables));
	for (int round = 0; round < 20000; round++) {
		struct lanetag_flow entry;
		struct flow flow;
		uint32_t home;

		fill(&entry, sizeof(entry));
		assert_false(flow_decode(&entry, UINT32_MAX, marks, NOW, &flow));
		entry.state %= LANETAG_FLOW_BODY + 1;
		home = home_of(&entry);
		if (round % 2 == 0) {
			/* A mark that is found, of bytes that are not checked otherwise. */
			struct lanetag_mark *mark = note_mark(&entry);

			fill(&mark->rule_count,
			     sizeof(*mark) - offsetof(struct lanetag_mark, rule_count));
			mark->generation = entry.generation;
			tables->generations[lanetag_generation_slot(mark->generation)].generation =
				mark->generation;
		}
		if (!flow_decode(&entry, home, marks, NOW, &flow))
			continue;
		flows++;
		with_mark += flow.has_mark;
		check_told(&flow);
	}
	assert_true(flows > 10000);
	assert_true(with_mark > 100);
}

#define TEST(claim) cmocka_unit_test_setup_teardown(claim, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flow_is_told_with_its_latest_mark),
		TEST(each_state_has_its_name_and_a_lost_flow_its_reason),
		TEST(what_is_no_flow_is_passed_over),
		TEST(only_the_mark_of_this_very_request_is_told),
		TEST(an_age_from_the_future_is_unknown),
		TEST(rules_are_named_by_the_lanes_of_the_marks_generation),
		TEST(lanes_of_other_generations_name_nothing),
		TEST(names_without_an_end_are_cut_at_their_room),
		TEST(garbage_in_every_map_is_told_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
