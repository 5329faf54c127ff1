/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 100, 20000, 1000000, 33};
	struct arena arena = {0};
	unsigned char *pieces[700];

	(void)state;
	for (size_t i = 0; i < 700; i++) {
		size_t size = sizes[i % 7];
		pieces[i] = arena_allocate(&arena, size);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < size; j += 13)
			assert_int_equal(pieces[i][j], 0);
		memset(pieces[i], (int)(i % 251), size);
	}
	for (size_t i = 0; i < 700; i++) {
		for (size_t j = 0; j < sizes[i % 7]; j += 11)
			assert_int_equal(pieces[i][j], i % 251);
	}
	arena_free(&arena);
	assert_null(arena.blocks);
}

static void sizes_that_overflow_are_refused(void **state)
{
	struct arena arena = {0};

	(void)state;
	assert_null(arena_allocate(&arena, SIZE_MAX - 3));
	assert_null(arena_allocate_array(&arena, SIZE_MAX / 2, 3));
	arena_free(&arena);
}

static void copies_end_with_a_zero_byte(void **state)
{
	struct arena arena = {0};

	(void)state;
	char *copy = arena_copy(&arena, (struct span){"abcd", 3});
	assert_string_equal(copy, "abc");
	assert_string_equal(arena_copy(&arena, (struct span){NULL, 0}), "");
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(copies_end_with_a_zero_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
