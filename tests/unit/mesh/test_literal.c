/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/mesh/mesh_test.h"

#include "mesh/literal.h"
#include "mesh/regex.h"

static void the_longest_text_that_all_matches_have_is_found(void **state)
{
	static const struct {
		const char *pattern, *literal; /* NULL: none */
		bool at_start;
	} rows[] = {
		{"/api/v1/.*", "/api/v1/", true},
		{"^/api$", "/api", true},
		{".*item17.*", "item17", false},
		{"/user/\\d+/orders", "/orders", false},
		{"/(a|b)/shop/.*", "/shop/", false},
		{"/ab?", "/a", true},
		{"/ab*cd", "/a", true},
		{"/ab{0,3}", "/a", true},
		{"/ab+", "/ab", true},
		{"/ab+cde", "/ab", true},
		{"/a\\.b", "/a.b", true},
		{"/[abc]x/[^]]yz", "x/", false},
		{"/[[:alpha:]]", NULL, false},
		{"/a|/b", NULL, false},
		{"(/a|/b)", NULL, false},
		{"(?i)/abc", NULL, false},
		{"/x(?i:abc)/yyy", NULL, false},
		{"/x(?i)abc", NULL, false},
		{"\\Q/abc\\E", NULL, false},
		{"/\\x41bc", NULL, false},
		{"/(?:ab)cd", "cd", false},
		{"/(?P<name>ab)cde", "cde", false},
		{"a", "a", true},
		{"", NULL, false},
		{".*", NULL, false},
		{"a?", NULL, false},
		{"a??b", "b", false},
		{"/caf\303\251?", NULL, false},
		{"(a(b)c", NULL, false},
		{"/a\\", NULL, false},
		{"/\\babc", "abc", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buffer literal = {0};
		bool at_start = false,
		     found = regex_literal(span_of(rows[i].pattern), &literal, &at_start);

		if (found != (rows[i].literal != NULL) ||
		    (found && (strcmp(buffer_text(&literal), rows[i].literal) != 0 ||
			       at_start != rows[i].at_start)))
			fail_msg("%s: %s", rows[i].pattern,
				 found ? buffer_text(&literal) : "(none)");
		buffer_free(&literal);
	}
}

static unsigned pick(unsigned *seed, unsigned count)
{
	return (unsigned)rand_r(seed) % count;
}

static void make_text(unsigned *seed, const char *alphabet, char *text, size_t most)
{
	size_t length = 1 + pick(seed, (unsigned)most - 1), letters = strlen(alphabet);

	for (size_t i = 0; i < length; i++)
		text[i] = alphabet[pick(seed, (unsigned)letters)];
	text[length] = '\0';
}

static void no_match_is_without_the_text(void **state)
{
	unsigned seed = 5, tried = 0, matched = 0;
	char error[200];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char pattern[13], text[7];
		struct buffer literal = {0};
		struct regex_set *set = regex_set_new();
		bool at_start;

		make_text(&seed, "aabbc/.*+?()|[]\\^${1,}", pattern, sizeof(pattern) - 1);
		const struct regex *regex =
			regex_compile(set, span_of(pattern), REGEX_WHOLE, error, sizeof(error));
		if (regex && regex_literal(span_of(pattern), &literal, &at_start)) {
			for (int j = 0; j < 100; j++) {
				make_text(&seed, "abc/.", text, sizeof(text) - 1);
				tried++;
				if (regex_match(regex, span_of(text)) != REGEX_MATCH)
					continue;
				const char *at = strstr(text, buffer_text(&literal));
				matched++;
				if (!at || (at_start && at != text))
					fail_msg("%s matches %s without %s", pattern, text,
						 buffer_text(&literal));
			}
		}
		buffer_free(&literal);
		regex_set_free(set);
	}
	assert_true(tried > 10000);
	assert_true(matched > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_text_that_all_matches_have_is_found),
		cmocka_unit_test(no_match_is_without_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
