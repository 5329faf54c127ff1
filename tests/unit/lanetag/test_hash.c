/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xxhash.h>

#include <lanetag/decision.h>

static uint32_t fnv(const char *text)
{
	return lanetag_fnv1a32(LANETAG_FNV1A32_BASIS, (const __u8 *)text, (__u32)strlen(text));
}

/* From the FNV authors' test suite (draft-eastlake-fnv, appendix). */
static void fnv1a32_gives_the_published_vectors(void **state)
{
	(void)state;
	assert_int_equal(fnv(""), 0x811c9dc5);
	assert_int_equal(fnv("a"), 0xe40c292c);
	assert_int_equal(fnv("b"), 0xe70c2de5);
	assert_int_equal(fnv("foo"), 0xa9f37ed7);
	assert_int_equal(fnv("foob"), 0x3f5076ef);
	assert_int_equal(fnv("fooba"), 0x39aaa18a);
	assert_int_equal(fnv("foobar"), 0xbf9cf968);
	assert_int_equal(fnv("chongo was here!\n"), 0xd49930d5);
}

static void fnv1a32_gives_the_seeds_remainders(void **state)
{
	static const uint32_t expected[] = {82, 63, 44, 25, 6};
	char user[5] = "0000";

	(void)state;
	for (int i = 0; i < 5; i++) {
		user[3] = (char)('1' + i);
		assert_int_equal(fnv(user) % 100, expected[i]);
	}
}

static void xxhash_equals_libxxhash_for_every_length(void **state)
{
	__u8 bytes[321];
	uint32_t random = 20240917;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		random = random * 1664525 + 1013904223;
		bytes[i] = (__u8)(random >> 24);
	}
	for (__u32 length = 0; length <= sizeof(bytes); length++) {
		for (unsigned round = 0; round < 4; round++) {
			uint64_t seed = round * 0x9e3779b97f4a7c15ULL;
			assert_int_equal(lanetag_xxh32(bytes, length, (__u32)seed),
					 XXH32(bytes, length, (uint32_t)seed));
			assert_true(lanetag_xxh64(bytes, length, seed) ==
				    XXH64(bytes, length, seed));
		}
	}
}

static void the_first_policy_that_holds_the_remainder_wins(void **state)
{
	struct lanetag_rule rule = {
		.policy_count = 2,
		.policies = {{.from = 0, .to = 11}, {.from = 0, .to = 51}},
	};

	(void)state;
	assert_int_equal(lanetag_rule_policy(&rule, 0), 0);
	assert_int_equal(lanetag_rule_policy(&rule, 10), 0);
	assert_int_equal(lanetag_rule_policy(&rule, 11), 1);
	assert_int_equal(lanetag_rule_policy(&rule, 50), 1);
	assert_int_equal(lanetag_rule_policy(&rule, 51), LANETAG_POLICY_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fnv1a32_gives_the_published_vectors),
		cmocka_unit_test(fnv1a32_gives_the_seeds_remainders),
		cmocka_unit_test(xxhash_equals_libxxhash_for_every_length),
		cmocka_unit_test(the_first_policy_that_holds_the_remainder_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
