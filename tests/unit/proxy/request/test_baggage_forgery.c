/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Baggage that clients make up to get tags: members that are like tags and others, a million of
 * them, the same ones in each run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "fuzz/baggage_properties.h"
#include "base/array.h"

static struct baggage_run baggage_run;
static uint64_t random_state = 88172645463325252;

static size_t draw(size_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (size_t)(random_state % below);
}

static const char *pick(const char *const *texts, size_t count)
{
	return texts[draw(count)];
}

#define PICK(texts) pick(texts, ARRAY_LENGTH(texts))

static void append_escaped(struct buffer *out, char byte, size_t times)
{
	buffer_append_byte(out, '%');
	while (--times)
		buffer_append_text(out, "25");
	buffer_printf(out, draw(2) ? "%02X" : "%02x", (unsigned char)byte);
}

/* Each list: first what the specification's grammar has, then what it has not. */
struct parts {
	size_t valid, count;
	const char *const *texts;
};

#define PARTS(valid, ...)                                                      \
	{                                                                      \
		valid, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
			(const char *const[])                                  \
		{                                                              \
			__VA_ARGS__                                            \
		}                                                              \
	}

static const struct parts junk =
	PARTS(20, "", "", "", "", "", "", "+", "%20", "%09", "%0A", "%0d", "%00", "%7f", "%C2%A0",
	      "%E2%80%89", "%2B", "%2520", "%E3%80%80", "%EF%BB%BF", "%c2%85", " ", "\t",
	      "\xc2\xa0", "\xa0", "\"", "\x85", "\xe3\x80\x80");
static const struct parts separators =
	PARTS(12, "-", "_", ".", "~", "'", "%2D", "%2d", "%5F", "%2e", "%7E", "%252D", "%27");
static const struct parts before =
	PARTS(9, "", "", "", "a=b;", "a=b ;", "a=b%2C", "a=b;p=%2C", "a=b;p=q;r=%3B", "a=b;p=%252c",
	      ";", "; ", "a;", "=", " ;", "x ", "a=b;p=q%0D%0A,");
static const struct parts equals = PARTS(7, "=", "=", "=", " =", "= ", "==", "%3Dv=", "%253D", "");
static const struct parts behind =
	PARTS(7, "", "", "", ";p=q", " ;p", "=y", "%20", ";", " x", "\"");

static void append_part(struct buffer *out, const struct parts *parts, bool is_valid)
{
	buffer_append_text(out, pick(parts->texts, is_valid ? parts->valid : parts->count));
}

/* A tag's name as something might still read it. */
static void append_name(struct buffer *out, bool is_valid)
{
	const char *tag = PICK(baggage_tags);

	append_part(out, &junk, is_valid);
	for (; *tag; tag++) {
		if (!isalnum((unsigned char)*tag))
			append_part(out, &separators, is_valid);
		else if (draw(12) == 0)
			append_escaped(out, *tag, 1 + draw(3));
		else
			buffer_append_byte(out, (char)(draw(6) ? *tag : toupper(*tag)));
		if (draw(12) == 0)
			append_part(out, &junk, is_valid);
	}
	append_part(out, &junk, is_valid);
	if (draw(8) == 0)
		buffer_append_text(out, "x%3Dy");
}

static void append_forged(struct buffer *out)
{
	bool is_valid = draw(2);

	append_part(out, &before, is_valid);
	append_name(out, is_valid);
	append_part(out, &equals, is_valid);
	buffer_append_text(out, is_valid || draw(4) ? "v3" : "v 3");
	append_part(out, &behind, is_valid);
}

/* Valid ones and others. */
static void append_others(struct buffer *out)
{
	static const char *const members[] = {
		"userId=alice",
		"k=v;p=q;r",
		"k = v ; p = 1",
		"a=",
		"n=%20x%2Cy",
		"serverNode=DF%2028",
		"\xc3\xa9=1",
		"novalue",
		"a b=1",
		"k=\"q\"",
		"app-c=v3",
		"ver-c=v3",
		"a=b=c",
		"a=b;p q",
		"caf%C3%A9=1",
		"x=lane",
		"K!#$&'*^`|=(<>@[]{}:/?)",
		"a=b;",
		"=v",
	};

	buffer_append_text(out, PICK(members));
}

/* The members of one request, in one to four fields. */
static void check_one_request(struct buffer *text)
{
	struct span values[4];
	size_t count = 1 + draw(4), starts[5] = {0};

	buffer_clear(text);
	for (size_t i = 0; i < count; i++) {
		for (size_t members = 1 + draw(12); members; members--) {
			if (draw(3))
				append_forged(text);
			else
				append_others(text);
			buffer_append_text(text, members == 1 ? "" : draw(3) ? "," : ", ");
		}
		starts[i + 1] = text->length;
	}
	for (size_t i = 0; i < count; i++)
		values[i] = (struct span){text->data + starts[i], starts[i + 1] - starts[i]};
	check_baggage(&baggage_run, values, count);
}

static void no_library_makes_a_tag_of_a_million_members(void **state)
{
	struct buffer text = {0};

	(void)state;
	while (baggage_run.members < 1000000)
		check_one_request(&text);
	buffer_free(&text);
	/* A third are others', and most of those are valid. */
	assert_true(baggage_run.passed > baggage_run.members / 6);
	assert_true(baggage_run.statistics.forged_tags_removed > baggage_run.members / 6);
	assert_int_equal(baggage_run.passed + baggage_run.statistics.forged_tags_removed +
				 baggage_run.statistics.baggage_malformed,
			 baggage_run.members);
}

/* What the libraries would do without the edge: else the test above shows nothing. */
static void the_libraries_make_tags_of_such_members(void **state)
{
	static const struct {
		const char *member, *library;
	} rows[] = {
		{";appver-c=v3", "java"},
		{"+appver-c=v3", "python"},
		{"%20appver-c=v3", "php"},
		{"%00appver-c=v3", "php"},
		{"app ver-c=v3", "ruby"},
		{"appver-c=v 3", "ruby"},
		{"\xa0"
		 "appver-c=v3",
		 "js"},
		{"appver-c+=v3", "dotnet"},
		{"%61ppver-c=v3", "cpp"},
		{"a=b;p=%2Cappver-c=v3", "rust"},
		{"\xe2\x80\x89"
		 "appver-c=v3",
		 "go"},
	};
	static struct library_text in, out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		size_t library = 0;

		while (strcmp(library_name(library), rows[i].library) != 0)
			library++;
		library_copy(rows[i].member, strlen(rows[i].member), &in);
		library_pass_on(library, &in, &out);
		if (!memmem(out.bytes, out.length, "appver-c=v", 10))
			fail_msg("%s: %.*s", rows[i].library, (int)out.length, out.bytes);
	}
}

static int start(void **state)
{
	char path[] = "/tmp/lanetag-forgery-XXXXXX.yaml";
	int fd = mkstemps(path, 5);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	bool started = baggage_run_start(&baggage_run, path);
	unlink(path);
	return started ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	baggage_run_stop(&baggage_run);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_libraries_make_tags_of_such_members),
		cmocka_unit_test(no_library_makes_a_tag_of_a_million_members),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
