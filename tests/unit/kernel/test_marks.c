/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A mark that is written while it is read. The other CPU is a signal's handler: half of the mark
 * stands on a page that can't be read at first, so that it comes in the middle of the copy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "kernel/tagger_internal.h"

static struct lanetag_mark *marks;
static struct lanetag_mark *torn; /* the one that two pages share */
static uint8_t *second_page;
static size_t page;
static struct lanetag_connection connection;
static uint64_t position;
static int writes;

/* Policy and remainder say the same number; the one lies on the first page, the other behind. */
static void write_mark(struct lanetag_mark *mark, uint8_t number)
{
	mark->generation = 1;
	mark->connection = connection;
	mark->position = position;
	mark->rule_count = LANETAG_MAX_RULES;
	memset(mark->policy, number, sizeof(mark->policy));
	for (size_t i = 0; i < LANETAG_MAX_RULES; i++)
		mark->remainder[i] = number;
}

/* The kernel's next mark, whole, in the same place. */
static void on_fault(int signal)
{
	(void)signal;
	if (mprotect(second_page, page, PROT_READ | PROT_WRITE))
		_exit(1);
	writes++;
	write_mark(torn, 2);
	torn->sequence += 2;
}

/* A page's bound lies behind its policies and before its remainders. */
static bool is_cut(const struct lanetag_mark *mark)
{
	uintptr_t policies = (uintptr_t)(mark->policy + LANETAG_MAX_RULES);
	uintptr_t remainders = (uintptr_t)(mark->remainder + LANETAG_MAX_RULES - 8);
	uintptr_t bound = (policies + page - 1) / page * page;

	return bound < remainders;
}

static int set_up(void **state)
{
	size_t size = LANETAG_MARK_SLOTS * sizeof(*marks);

	(void)state;
	page = (size_t)sysconf(_SC_PAGESIZE);
	marks = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (marks == MAP_FAILED)
		return -1;
	connection.remote_port = 40000;
	connection.local_port = 80;
	uint64_t hash = lanetag_connection_hash(&connection);
	do {
		position += 16;
		torn = &marks[lanetag_mark_slot(hash, position)];
	} while (!is_cut(torn));
	uintptr_t policies = (uintptr_t)(torn->policy + LANETAG_MAX_RULES);
	second_page = (uint8_t *)((policies + page - 1) / page * page);
	return 0;
}

static void a_mark_that_changes_while_it_is_copied_is_copied_anew(void **state)
{
	struct lanetag_mark found;

	(void)state;
	write_mark(torn, 1);
	torn->sequence = 4;
	writes = 0;
	signal(SIGSEGV, on_fault);
	assert_int_equal(mprotect(second_page, page, PROT_NONE), 0);
	bool is_found = marks_find(marks, &connection, position, &found);
	signal(SIGSEGV, SIG_DFL);
	assert_int_equal(writes, 1);
	assert_true(is_found);
	assert_int_equal(found.sequence, 6);
	for (size_t i = 0; i < LANETAG_MAX_RULES; i++) {
		assert_int_equal(found.policy[i], 2);
		assert_int_equal(found.remainder[i], 2);
	}
}

static void a_mark_under_way_is_none(void **state)
{
	struct lanetag_mark found;

	(void)state;
	write_mark(torn, 3);
	torn->sequence = 7;
	assert_false(marks_find(marks, &connection, position, &found));
	torn->sequence = 8;
	assert_true(marks_find(marks, &connection, position, &found));
}

static void a_mark_of_another_request_is_none(void **state)
{
	struct lanetag_mark found;
	struct lanetag_connection other = connection;

	(void)state;
	write_mark(torn, 3);
	torn->sequence = 8;
	/* The same slot, a round later. */
	assert_false(marks_find(marks, &connection, position + 16 * LANETAG_MARK_SLOTS, &found));
	torn->connection.remote_port++;
	assert_false(marks_find(marks, &other, position, &found));
	torn->connection.remote_port--;
	torn->generation = 0;
	assert_false(marks_find(marks, &connection, position, &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_that_changes_while_it_is_copied_is_copied_anew),
		cmocka_unit_test(a_mark_under_way_is_none),
		cmocka_unit_test(a_mark_of_another_request_is_none),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
