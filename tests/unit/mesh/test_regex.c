/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mesh/regex.h"

static enum regex_result match(const char *pattern, const char *text)
{
	struct regex_set *set = regex_set_new();
	char error[200] = "";

	assert_non_null(set);
	const struct regex *regex =
		regex_compile(set, span_of(pattern), REGEX_WHOLE, error, sizeof(error));
	if (!regex)
		fail_msg("%s: %s", pattern, error);
	enum regex_result result = regex_match(regex, span_of(text));
	regex_set_free(set);
	return result;
}

static void a_pattern_must_match_the_whole_text(void **state)
{
	static const struct {
		const char *pattern, *text;
		int matches;
	} rows[] = {
		{"v2", "v2", 1},
		{"v2", "v2x", 0},
		{"v2", "xv2", 0},
		{"a|ab", "ab", 1},
		{"a|ab", "abc", 0},
		{".*v2.*", "xv2x", 1},
		{"^v2$", "v2", 1},
		{"", "", 1},
		{"", "a", 0},
		{"v[0-9]+", "v10", 1},
		{"(?i)V2", "v2", 1},
		{"a$", "a\n", 0},
		{"(?P<n>a)b", "ab", 1},
		{"(?:a|b)+?c", "abac", 1},
		{"\\Qa.b\\E", "a.b", 1},
		{"\\Qa.b\\E", "axb", 0},
		{"[[:alpha:]]+", "ab", 1},
		{"[^\\]]", "]", 0},
		{"a{2,3}", "aaa", 1},
		{"\\d+\\.\\d+", "1.5", 1},
		{"[\\d-]+", "1-2", 1},
		{"/api/v[12]/.*", "/api/v2/x", 1},
		/* what RE2 takes, and other engines read otherwise */
		{"(?<n>a)b", "ab", 1},
		{"[(?<n>]+", "(?<n>", 1},
		{"\\Q(?<n>\\E", "(?<n>", 1},
		{"\\(?<", "(<", 1},
		{"\\p{Greek}+", "\xce\xb1\xce\xb2", 1},
		{"\\x{e9}+", "\xc3\xa9\xc3\xa9", 1},
		{"^*a", "a", 1},
		{"a.c",
		 "a\xc3\xa9"
		 "c",
		 1},
		{"a.c",
		 "a\xe9"
		 "c",
		 0},
		{"a.c", "a\nc", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum regex_result result = match(rows[i].pattern, rows[i].text);
		if (result != (rows[i].matches ? REGEX_MATCH : REGEX_NO_MATCH))
			fail_msg("%s on %s gave %d", rows[i].pattern, rows[i].text, result);
	}
}

static void what_re2_refuses_is_refused(void **state)
{
	static const char *const patterns[] = {
		"(a)\\1",
		"(?P<n>a)(?P=n)",
		"(a)\\g1",
		"(?<n>a)\\k<n>",
		"(?=a)b",
		"(?!a)b",
		"(?<=a)b",
		"(?<!a)b",
		"(?>a)",
		"a++",
		"a*+",
		"a?+",
		"a{1,2}+",
		"(?R)",
		"(?1)",
		"(*FAIL)",
		"(?(1)a|b)",
		"\\Ka",
		"\\Z",
		"\\Ga",
		"\\h",
		"(?#c)a",
		"a{1001}",
		"[\\h]",
		"(?x)a",
		"\\R",
		"(?|a|b)",
		"\\u0041",
		/* what is wrong in any syntax */
		"(",
		"[a",
		"a)",
		"*",
		"a\\",
		"[z-a]",
		"a**",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct regex_set *set = regex_set_new();
		char error[200] = "";

		if (regex_compile(set, span_of(patterns[i]), REGEX_WHOLE, error, sizeof(error)))
			fail_msg("%s was taken", patterns[i]);
		assert_true(error[0] != '\0');
		regex_set_free(set);
	}
}

static void no_pattern_and_text_make_a_match_take_long(void **state)
{
	static const char *const patterns[] = {
		"(a+)+b",      "(a+)+[bc]",   "(a|a)*[bc]",	    "(a|a)*b", "(a|aa)+b", "(.*)*b",
		"(a*)*(a*)*b", ".*.*.*.*.*b", "((a{0,30}){0,30})b",
	};
	static char text[60001];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		uint64_t start = clock_now_ns();
		enum regex_result result = match(patterns[i], text);

		assert_int_not_equal(result, REGEX_MATCH);
		/* Far above what it takes, far below what backtracking would. */
		if (clock_now_ns() - start > 2000000000ULL)
			fail_msg("%s took too long", patterns[i]);
	}
}

/* What another engine gave up, on as little as seven bytes. */
static void every_text_within_the_bound_is_decided(void **state)
{
	static char cookie[60001], agent[60001];

	(void)state;
	memset(cookie, ';', sizeof(cookie) - 1);
	assert_int_equal(match("^(.*?;)?(user=jason)(;.*)?$", cookie), REGEX_NO_MATCH);
	memcpy(cookie + 30000, "user=jason", 10);
	assert_int_equal(match("^(.*?;)?(user=jason)(;.*)?$", cookie), REGEX_MATCH);
	memset(agent, 'b', sizeof(agent) - 1);
	assert_int_equal(match(".*(bot|crawler|spider).*", agent), REGEX_NO_MATCH);
	memcpy(agent + sizeof(agent) - 4, "bot", 3);
	assert_int_equal(match(".*(bot|crawler|spider).*", agent), REGEX_MATCH);
	assert_int_equal(match("(a|aa)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), REGEX_NO_MATCH);
	assert_int_equal(match("(.*a){20}", "aaaaaaaaaaaaaaaaaaaa"), REGEX_MATCH);
}

static void texts_past_the_bound_are_left_undecided(void **state)
{
	static char text[60001];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	assert_int_equal(match("(a{0,900})b", text), REGEX_UNDECIDED);
	text[2000] = '\0';
	assert_int_equal(match("(a{0,900})b", text), REGEX_NO_MATCH);
}

#define UNION_PATTERNS 24

struct union_case {
	struct regex_set *set;
	const struct regex *regexes[UNION_PATTERNS];
	const struct regex_union *all;
	enum regex_result found[UNION_PATTERNS];
};

static void union_start(struct union_case *made, const char *const *patterns, size_t count)
{
	char error[200] = "";

	made->set = regex_set_new();
	assert_non_null(made->set);
	for (size_t i = 0; i < count; i++) {
		made->regexes[i] = regex_compile(made->set, span_of(patterns[i]), REGEX_WHOLE,
						 error, sizeof(error));
		if (!made->regexes[i])
			fail_msg("%s: %s", patterns[i], error);
	}
	made->all = regex_union_compile(made->set, made->regexes, count);
	assert_non_null(made->all);
}

static void note_found(void *context, const int *indexes, size_t count)
{
	struct union_case *made = context;

	assert_true(count > 0);
	for (size_t i = 0; i < count; i++) {
		assert_true(i == 0 || indexes[i] > indexes[i - 1]);
		made->found[indexes[i]] = REGEX_MATCH;
	}
}

static void a_union_finds_what_each_pattern_alone_would(void **state)
{
	static const char *const patterns[] = {
		"",	    "a",	 "a|ab",  "[ab]+",  "^ab$",	 "(?i)AB",
		".*b",	    "b.*",	 ".*",	  "a{2,3}", "a$",	 "(?P<n>a)b",
		"(?<n>a)b", "\\Qa.b\\E", "[^a]*", "\\w+",   "a\\b.*",	 "(a|b)*?c",
		"ab",	    "(?s).*",	 "\\pL+", "a?b?c?", "(?m)^a$.*", "a\\.b"};
	static const char *const texts[] = {"",	   "a",	  "b",	 "ab",	     "AB",   "abc", "aab",
					    "a.b", "a\n", "aaa", "\xc3\xa4", "\xff", "cab", "a b"};
	struct union_case made;
	unsigned found = 0;

	(void)state;
	assert_int_equal(sizeof(patterns) / sizeof(patterns[0]), UNION_PATTERNS);
	union_start(&made, patterns, UNION_PATTERNS);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct span text = span_of(texts[i]);

		memset(made.found, 0, sizeof(made.found));
		enum regex_result result = regex_union_match(made.all, text, note_found, &made);
		unsigned before = found;
		for (size_t j = 0; j < UNION_PATTERNS; j++) {
			if (made.found[j] != regex_match(made.regexes[j], text))
				fail_msg("%s against %s", patterns[j], texts[i]);
			found += made.found[j] == REGEX_MATCH;
		}
		assert_int_equal(result, found > before ? REGEX_MATCH : REGEX_NO_MATCH);
	}
	assert_true(found > 50);
	regex_set_free(made.set);
}

static void a_union_without_a_match_says_so(void **state)
{
	static const char *const patterns[] = {"a", "b+", "[0-9]"};
	struct union_case made = {0};

	(void)state;
	union_start(&made, patterns, 3);
	assert_int_equal(regex_union_match(made.all, span_of("c"), note_found, &made),
			 REGEX_NO_MATCH);
	assert_int_equal(made.found[0] + made.found[1] + made.found[2], 0);
	regex_set_free(made.set);
}

static void the_work_of_a_union_is_that_of_all(void **state)
{
	static const char *const patterns[] = {"a", "(a{0,900})b"};
	static char text[60001];
	struct union_case made = {0};

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	union_start(&made, patterns, 2);
	assert_int_equal(regex_union_work(made.all, span_of("aaa")),
			 regex_work(made.regexes[0], span_of("aaa")) +
				 regex_work(made.regexes[1], span_of("aaa")));
	assert_true(regex_union_work(made.all, span_of(text)) == UINT64_MAX);
	regex_set_free(made.set);
}

/* Each byte makes a state that none before had: the automaton has to be built anew all the time. */
static void no_patterns_and_text_make_a_union_take_long(void **state)
{
	static const char *const patterns[] = {
		"(a|b)*a(a|b){40}c", ".*a(a|b){41}c",	     ".*b(a|b){42}c", ".*a.{30}b.{30}c",
		"(.*a.*b){20}c",     "(a?b?){30}(a|b){40}c", ".*aa(a|b){50}c"};
	static char text[10001];
	struct union_case made = {0};
	unsigned seed = 5;

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = rand_r(&seed) & 64 ? 'a' : 'b';
	union_start(&made, patterns, 7);
	uint64_t start = clock_now_ns();
	assert_int_equal(regex_union_match(made.all, span_of(text), note_found, &made),
			 REGEX_NO_MATCH);
	if (clock_now_ns() - start > 2000000000ULL)
		fail_msg("a union took too long");
	regex_set_free(made.set);
}

static void too_large_programs_are_refused(void **state)
{
	static const char *const patterns[] = {"(\\pL{100}){9}", "\\pL{150}",
					       "[[:^digit:]]{1000}\\PN{90}"};
	char error[200] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct regex_set *set = regex_set_new();

		if (regex_compile(set, span_of(patterns[i]), REGEX_WHOLE, error, sizeof(error)))
			fail_msg("%s was taken", patterns[i]);
		assert_true(strstr(error, "large"));
		regex_set_free(set);
	}
}

static void equal_patterns_are_compiled_once(void **state)
{
	struct regex_set *set = regex_set_new();
	char error[200];

	(void)state;
	const struct regex *one =
		regex_compile(set, span_of("a.*"), REGEX_WHOLE, error, sizeof(error));
	const struct regex *two =
		regex_compile(set, span_of("a.*"), REGEX_WHOLE, error, sizeof(error));
	const struct regex *other =
		regex_compile(set, span_of("b.*"), REGEX_WHOLE, error, sizeof(error));
	assert_ptr_equal(one, two);
	assert_ptr_not_equal(one, other);
	regex_set_free(set);
}

struct replacement {
	const char *pattern, *rewrite, *text, *expected; /* NULL: given up */
};

static void check_replacement(const struct replacement *row)
{
	struct regex_set *set = regex_set_new();
	struct buffer out = {0};
	char error[200] = "";

	const struct regex *regex =
		regex_compile(set, span_of(row->pattern), REGEX_PARTS, error, sizeof(error));
	if (!regex)
		fail_msg("%s: %s", row->pattern, error);
	assert_null(regex_check_rewrite(regex, span_of(row->rewrite)));
	enum regex_result result =
		regex_replace(regex, span_of(row->text), span_of(row->rewrite), &out);
	assert_int_equal(result == REGEX_UNDECIDED, row->expected == NULL);
	if (row->expected)
		assert_string_equal(buffer_text(&out), row->expected);
	buffer_free(&out);
	regex_set_free(set);
}

/* The first four are those of Istio's and Envoy's reference. */
static void every_match_is_replaced_as_re2_does(void **state)
{
	static const struct replacement rows[] = {
		{"^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/service/foo/v1/api",
		 "/v1/api/instance/foo"},
		{"one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"},
		{"^(.*?)one(.*)$", "\\1two\\2", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/one/zzz"},
		{"(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"},
		{"x", "y", "/aaa", "/aaa"},
		{"a", "[\\0]", "banana", "b[a]n[a]n[a]"},
		{"a", "\\\\", "cab", "c\\b"},
		{"(a)|(b)", "\\1-\\2", "ab", "a--b"},
		{"a*", "x", "baac", "xbxcx"},
		{"", "-", "ab", "-a-b-"},
		{"$", "!", "ab", "ab!"},
		{"a", "", "aaa", ""},
		{"a", "b", "", ""},
		{"(a+)+[bc]", "x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"(?<n>b)", "[\\1]", "abc", "a[b]c"},
		{"x*", "-", "\xc3\xa9\xff", "-\xc3\xa9-\xff-"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_replacement(&rows[i]);
}

static void a_text_full_of_matches_is_given_up(void **state)
{
	char text[8193];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	check_replacement(&(struct replacement){"a", "b", text, NULL});
}

static void a_rewrite_that_cannot_be_is_refused(void **state)
{
	static const char *const rewrites[] = {"\\2", "a\\", "\\x", "\\1\\9"};
	struct regex_set *set = regex_set_new();
	char error[200];

	(void)state;
	const struct regex *regex =
		regex_compile(set, span_of("(a)b"), REGEX_PARTS, error, sizeof(error));
	for (size_t i = 0; i < sizeof(rewrites) / sizeof(rewrites[0]); i++)
		assert_non_null(regex_check_rewrite(regex, span_of(rewrites[i])));
	regex_set_free(set);
}

static void random_patterns_and_texts_do_no_harm(void **state)
{
	static const char alphabet[] = "ab()[]{}*+?|\\^$.-,0129QEPdk<>=!:x";
	unsigned seed = 7;
	char pattern[24], text[16], error[200];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct regex_set *set = regex_set_new();
		size_t length = (size_t)rand_r(&seed) % (sizeof(pattern) - 1);

		for (size_t i = 0; i < length; i++)
			pattern[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		const struct regex *regex = regex_compile(set, (struct span){pattern, length},
							  REGEX_WHOLE, error, sizeof(error));
		if (regex)
			regex_match(regex, (struct span){text, sizeof(text)});
		struct buffer out = {0};
		regex = regex_compile(set, (struct span){pattern, length}, REGEX_PARTS, error,
				      sizeof(error));
		if (regex && !regex_check_rewrite(regex, span_of("\\1-\\0")))
			regex_replace(regex, (struct span){text, sizeof(text)}, span_of("\\1-\\0"),
				      &out);
		buffer_free(&out);
		regex_set_free(set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_must_match_the_whole_text),
		cmocka_unit_test(what_re2_refuses_is_refused),
		cmocka_unit_test(no_pattern_and_text_make_a_match_take_long),
		cmocka_unit_test(every_text_within_the_bound_is_decided),
		cmocka_unit_test(texts_past_the_bound_are_left_undecided),
		cmocka_unit_test(a_union_finds_what_each_pattern_alone_would),
		cmocka_unit_test(a_union_without_a_match_says_so),
		cmocka_unit_test(the_work_of_a_union_is_that_of_all),
		cmocka_unit_test(no_patterns_and_text_make_a_union_take_long),
		cmocka_unit_test(too_large_programs_are_refused),
		cmocka_unit_test(equal_patterns_are_compiled_once),
		cmocka_unit_test(every_match_is_replaced_as_re2_does),
		cmocka_unit_test(a_text_full_of_matches_is_given_up),
		cmocka_unit_test(a_rewrite_that_cannot_be_is_refused),
		cmocka_unit_test(random_patterns_and_texts_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
