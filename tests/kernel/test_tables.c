/* SPDX-License-Identifier: GPL-2.0-only */
/* How full the tagger's tables are said to be, by packets made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "kernel/tagger_run.h"

#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\nX-User-Id: 0005\r\n\r\n"
#define FEW 100
#define MANY (2 * LANETAG_FLOW_SLOTS)

static struct tagger tagger;
static struct pins pins;

static int start(void **state)
{
	struct lanetag_ruleset ruleset;

	(void)state;
	sandbox_rules(&ruleset, 1);
	run_open(&tagger, &pins, &ruleset);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	run_close(&tagger, &pins);
	return 0;
}

static struct tagger_tables count(void)
{
	struct tagger_tables tables;

	assert_int_equal(tagger_count_tables(&tagger, &tables), 0);
	return tables;
}

static void begin_flows(uint32_t count, const char *request)
{
	struct run_flow flow;

	for (uint32_t i = 0; i < count; i++) {
		run_flow_init(&flow, i, false);
		run_begin(&tagger, &flow);
		run_send(&tagger, &flow, 0, request, strlen(request), 0);
	}
}

static void an_unused_tagger_has_empty_tables(void **state)
{
	struct tagger_tables tables = count();

	(void)state;
	assert_int_equal(tables.flows.entries, 0);
	assert_int_equal(tables.marks.entries, 0);
	assert_int_equal(tables.flows.capacity, LANETAG_FLOW_SLOTS);
	assert_int_equal(tables.marks.capacity, LANETAG_MARK_SLOTS);
}

static void connections_and_their_requests_are_entries(void **state)
{
	struct tagger_tables tables;
	struct run_flow flow;

	(void)state;
	begin_flows(FEW, REQUEST);
	tables = count();
	assert_int_equal(tables.flows.entries, FEW);
	assert_int_equal(tables.flows.evictions, 0);
	assert_int_equal(tables.marks.entries + tables.marks.evictions, FEW);
	for (uint32_t i = 0; i < FEW; i++) {
		run_flow_init(&flow, i, false);
		run_send(&tagger, &flow, strlen(REQUEST), NULL, 0, RUN_FIN);
	}
	tables = count();
	assert_int_equal(tables.flows.entries, 0);
	assert_int_equal(tables.flows.evictions, 0);
	assert_int_equal(tables.marks.entries + tables.marks.evictions, FEW);
}

static void what_newer_ones_take_the_place_of_is_counted(void **state)
{
	struct tagger_tables tables;

	(void)state;
	begin_flows(MANY, REQUEST);
	tables = count();
	assert_true(tables.flows.entries <= LANETAG_FLOW_SLOTS);
	assert_true(tables.flows.entries > LANETAG_FLOW_SLOTS / 2);
	assert_int_equal(tables.flows.entries + tables.flows.evictions, MANY);
	assert_true(tables.marks.entries <= LANETAG_MARK_SLOTS);
	assert_true(tables.marks.entries > LANETAG_MARK_SLOTS / 2);
	assert_int_equal(tables.marks.entries + tables.marks.evictions, MANY);
}

static void evictions_never_go_back(void **state)
{
	struct tagger_tables tables;

	(void)state;
	begin_flows(FEW, REQUEST);
	begin_flows(FEW, REQUEST); /* the same places */
	tables = count();
	assert_true(tables.marks.evictions >= FEW);
	tagger.marks_overwritten = 3 * FEW; /* as if more had been written while it was counted */
	tables = count();
	assert_int_equal(tables.marks.evictions, 3 * FEW);
}

#define TEST(claim) cmocka_unit_test_setup_teardown(claim, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unused_tagger_has_empty_tables),
		TEST(connections_and_their_requests_are_entries),
		TEST(what_newer_ones_take_the_place_of_is_counted),
		TEST(evictions_never_go_back),
	};
	char bpffs[PATH_MAX];

	if (sandbox_is_skipped("tables"))
		return 0;
	sandbox_enter(bpffs);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
