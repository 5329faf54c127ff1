/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two CPUs on one flow or one mark. The other CPU is played by this program: it leaves in the maps
 * what a CPU in the middle of its work would have there. Only the swap of rules is a race for real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "base/array.h"
#include "kernel/tagger_run.h"

#define NO_MARK 0x100
#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\nx-user-id: 0005\r\n\r\n"
#define LENGTH (sizeof(REQUEST) - 1)
#define PATIENCE_SECONDS 20

static struct tagger tagger;
static struct pins pins;
static struct run_flow flow;
static uint32_t next_flow;

static unsigned policy_at(uint64_t position)
{
	struct lanetag_mark mark;

	if (!tagger_find_mark(&tagger, &flow.connection, position, &mark))
		return NO_MARK;
	return mark.policy[0];
}

static void send_request(unsigned number)
{
	run_send(&tagger, &flow, number * LENGTH, REQUEST, LENGTH, 0);
}

static void begin(void)
{
	run_flow_init(&flow, next_flow++, false);
	run_begin(&tagger, &flow);
	send_request(0);
	assert_int_equal(policy_at(0), 0);
}

static void set_busy(uint32_t busy)
{
	struct lanetag_flow held;

	run_read_slot(&tagger, run_slot(&flow), &held);
	assert_memory_equal(&held.connection, &flow.connection, sizeof(held.connection));
	held.busy = busy;
	run_write_slot(&tagger, run_slot(&flow), &held);
}

static void a_flow_that_another_cpu_has_is_left_alone(void **state)
{
	struct lanetag_flow before, after;

	(void)state;
	begin();
	set_busy(1);
	run_read_slot(&tagger, run_slot(&flow), &before);
	send_request(1);
	assert_int_equal(policy_at(LENGTH), NO_MARK);
	run_read_slot(&tagger, run_slot(&flow), &after);
	assert_int_equal(after.busy, 1);
	assert_int_equal(after.contended, 1);
	after.contended = before.contended;
	assert_memory_equal(&after, &before, sizeof(before));
}

/* What passed by meanwhile may be anything: the place is lost until the agent knows it. */
static void a_flow_that_two_cpus_had_is_lost_until_the_agent_confirms(void **state)
{
	uint64_t contended = run_event(&tagger, LANETAG_EVENT_CONTENDED);

	(void)state;
	begin();
	set_busy(1);
	send_request(1);
	set_busy(0);
	send_request(1); /* again, and in order */
	assert_int_equal(policy_at(LENGTH), NO_MARK);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_CONTENDED), contended + 1);
	send_request(2);
	assert_int_equal(policy_at(2 * LENGTH), NO_MARK);
	tagger_confirm_position(&tagger, &flow.connection, 3 * LENGTH);
	send_request(3);
	send_request(4);
	assert_int_equal(policy_at(3 * LENGTH), 0);
	assert_int_equal(policy_at(4 * LENGTH), 0);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_CONTENDED), contended + 1);
}

static void a_connection_does_not_begin_in_a_slot_that_another_cpu_has(void **state)
{
	uint64_t contended = run_event(&tagger, LANETAG_EVENT_CONTENDED);
	struct lanetag_flow held = {.busy = 1};

	(void)state;
	run_flow_init(&flow, next_flow++, false);
	run_write_slot(&tagger, run_slot(&flow), &held);
	run_begin(&tagger, &flow);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_CONTENDED), contended + 1);
	send_request(0);
	assert_int_equal(policy_at(0), NO_MARK);
	held.busy = 0;
	run_write_slot(&tagger, run_slot(&flow), &held);
	run_begin(&tagger, &flow);
	send_request(0);
	assert_int_equal(policy_at(0), 0);
}

static void a_segment_leaves_its_flow_to_the_next_cpu(void **state)
{
	struct lanetag_flow left;

	(void)state;
	begin();
	run_read_slot(&tagger, run_slot(&flow), &left);
	assert_int_equal(left.busy, 0);
	run_send(&tagger, &flow, 5 * LENGTH, REQUEST, LENGTH, 0); /* a gap */
	run_read_slot(&tagger, run_slot(&flow), &left);
	assert_int_equal(left.busy, 0);
	run_send(&tagger, &flow, 0, REQUEST, LENGTH, 0); /* seen */
	run_read_slot(&tagger, run_slot(&flow), &left);
	assert_int_equal(left.busy, 0);
	run_send(&tagger, &flow, LENGTH, NULL, 0, RUN_RST);
	run_read_slot(&tagger, run_slot(&flow), &left);
	assert_int_equal(left.busy, 0);
	assert_int_equal(left.state, LANETAG_FLOW_FREE);
}

/* Its sequence is odd: what stands there is half another's. */
static void a_mark_that_another_cpu_writes_is_not_touched_and_not_read(void **state)
{
	uint64_t busy = run_event(&tagger, LANETAG_EVENT_SLOT_BUSY);
	int marks = program_map(&tagger.program, "lane_marks");
	struct lanetag_mark mark, after;

	(void)state;
	begin();
	uint32_t slot = lanetag_mark_slot(lanetag_connection_hash(&flow.connection), LENGTH);
	memset(&mark, 7, sizeof(mark));
	mark.connection = flow.connection;
	mark.position = LENGTH;
	mark.sequence = 9;
	assert_int_equal(bpf_map_update_elem(marks, &slot, &mark, BPF_ANY), 0);
	assert_int_equal(policy_at(LENGTH), NO_MARK);
	send_request(1);
	assert_int_equal(policy_at(LENGTH), NO_MARK);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_SLOT_BUSY), busy + 1);
	assert_int_equal(bpf_map_lookup_elem(marks, &slot, &after), 0);
	assert_memory_equal(&after, &mark, sizeof(mark));
	mark.sequence = 10;
	assert_int_equal(bpf_map_update_elem(marks, &slot, &mark, BPF_ANY), 0);
	send_request(2);
	assert_int_equal(policy_at(2 * LENGTH), 0); /* the flow goes on */
}

/* Another connection whose word of confirmation stands in the same place. */
static struct run_flow neighbour_of(const struct run_flow *one)
{
	uint32_t slot = lanetag_resync_slot(lanetag_connection_hash(&one->connection));
	struct run_flow other;

	do {
		run_flow_init(&other, next_flow++, false);
	} while (lanetag_resync_slot(lanetag_connection_hash(&other.connection)) != slot);
	return other;
}

static void a_position_is_confirmed_to_its_connection_alone(void **state)
{
	(void)state;
	begin();
	struct run_flow other = neighbour_of(&flow);
	send_request(2); /* a gap */
	tagger_confirm_position(&tagger, &other.connection, 3 * LENGTH);
	send_request(3);
	assert_int_equal(policy_at(3 * LENGTH), NO_MARK);
	tagger_confirm_position(&tagger, &flow.connection, 4 * LENGTH);
	send_request(4);
	assert_int_equal(policy_at(4 * LENGTH), 0);
}

/* So many that a mark takes many steps. In odd generations all hold for 0005, in even ones none. */
static void make_rules(struct lanetag_ruleset *ruleset, uint32_t generation)
{
	sandbox_rules(ruleset, generation);
	ruleset->rule_count = LANETAG_MAX_RULES;
	for (uint32_t i = 0; i < LANETAG_MAX_RULES; i++) {
		ruleset->rules[i] = ruleset->rules[0];
		if (generation % 2 == 0)
			ruleset->rules[i].policies[0] = (struct lanetag_policy){90, 91, 1};
	}
}

static atomic_bool race_is_over;

static void *swap_rules(void *context)
{
	struct lanetag_ruleset ruleset;
	uint32_t *generation = context;

	while (!race_is_over) {
		make_rules(&ruleset, ++*generation);
		sandbox_require(tagger_set_rules(&tagger, &ruleset) == 0, "rules");
	}
	return NULL;
}

static void expect_of_one_generation(const struct lanetag_mark *mark)
{
	uint8_t wanted = mark->generation % 2 ? 0 : LANETAG_POLICY_NONE;

	assert_int_equal(mark->rule_count, LANETAG_MAX_RULES);
	for (uint32_t i = 0; i < LANETAG_MAX_RULES; i++) {
		if (mark->policy[i] != wanted)
			fail_msg("rule %u: %u", i, mark->policy[i]);
	}
}

/* Each mark is looked at: most swaps that come while one is written would give a mark of both. */
static void no_mark_is_of_two_generations_while_rules_are_swapped(void **state)
{
	uint64_t before = run_event(&tagger, LANETAG_EVENT_GENERATION_CHANGED), swapped = before;
	time_t end = time(NULL) + PATIENCE_SECONDS;
	uint32_t generation = 101;
	struct lanetag_ruleset ruleset;
	struct lanetag_mark mark;
	uint8_t packet[4096];
	pthread_t swapping;

	(void)state;
	make_rules(&ruleset, generation);
	assert_int_equal(tagger_set_rules(&tagger, &ruleset), 0);
	run_flow_init(&flow, next_flow++, false);
	size_t length = run_packet(&flow, 0, REQUEST, LENGTH, RUN_SYN, packet);
	race_is_over = false;
	pthread_create(&swapping, NULL, swap_rules, &generation);
	while (swapped < before + 50 && time(NULL) < end) {
		for (int i = 0; i < 1000; i++) {
			run_packet_repeated(&tagger, packet, length, 1);
			if (tagger_find_mark(&tagger, &flow.connection, 0, &mark))
				expect_of_one_generation(&mark);
		}
		swapped = run_event(&tagger, LANETAG_EVENT_GENERATION_CHANGED);
	}
	race_is_over = true;
	pthread_join(swapping, NULL);
	/* It has come to that, or nothing was tested. */
	assert_true(swapped > before);
}

static int open_all(void **state)
{
	struct lanetag_ruleset ruleset;

	(void)state;
	sandbox_rules(&ruleset, 1);
	run_open(&tagger, &pins, &ruleset);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	run_close(&tagger, &pins);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_that_another_cpu_has_is_left_alone),
		cmocka_unit_test(a_flow_that_two_cpus_had_is_lost_until_the_agent_confirms),
		cmocka_unit_test(a_connection_does_not_begin_in_a_slot_that_another_cpu_has),
		cmocka_unit_test(a_segment_leaves_its_flow_to_the_next_cpu),
		cmocka_unit_test(a_mark_that_another_cpu_writes_is_not_touched_and_not_read),
		cmocka_unit_test(a_position_is_confirmed_to_its_connection_alone),
		cmocka_unit_test(no_mark_is_of_two_generations_while_rules_are_swapped),
	};

	if (sandbox_is_skipped("two CPUs"))
		return 0;
	return cmocka_run_group_tests_name("two CPUs", tests, open_all, close_all);
}
