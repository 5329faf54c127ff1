/* SPDX-License-Identifier: GPL-2.0-only */
/* Paths against what Istio documents of its four ways, and against what Envoy does of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "http/path.h"

#define REFUSED NULL

/* The normal form, which the caller frees; REFUSED if there is none. */
static char *normalized(const char *path, enum http_path_normalization way)
{
	/* Without a NUL behind it: a byte too far is seen by the sanitizers. */
	char *exact = malloc(strlen(path) + !*path);
	struct buffer out = {0};
	char *text = REFUSED;

	memcpy(exact, path, strlen(path));
	switch (http_path_normalize((struct span){exact, strlen(path)}, way, &out)) {
	case HTTP_PATH_IS_NORMAL:
		assert_int_equal(out.length, 0);
		text = strdup(path);
		break;
	case HTTP_PATH_NORMALIZED:
		assert_false(out.failed);
		assert_true(out.length <= 3 * strlen(path));
		text = strndup(out.data, out.length);
		assert_string_not_equal(text, path);
		break;
	case HTTP_PATH_REFUSED:
		break;
	}
	buffer_free(&out);
	free(exact);
	return text;
}

static void expect(const char *path, enum http_path_normalization way, const char *expected)
{
	char *got = normalized(path, way);

	if (!got != !expected || (got && strcmp(got, expected)))
		fail_msg("\"%s\" (way %d) is \"%s\", not \"%s\"", path, (int)way,
			 got ? got : "refused", expected ? expected : "refused");
	free(got);
}

/* By way: none is the path itself. NULL: as the column before. */
struct row {
	const char *path;
	const char *base, *merged, *decoded;
};

static void expect_row(const struct row *row)
{
	const char *merged = row->merged ? row->merged : row->base;

	expect(row->path, HTTP_PATH_NONE, row->path);
	expect(row->path, HTTP_PATH_BASE, row->base);
	expect(row->path, HTTP_PATH_MERGE_SLASHES, merged);
	expect(row->path, HTTP_PATH_DECODE_AND_MERGE_SLASHES, row->decoded ? row->decoded : merged);
}

static void the_four_ways_give_what_istio_documents(void **state)
{
	static const struct row rows[] = {
		{"/", "/", NULL, NULL},
		{"/app", "/app", NULL, NULL},
		{"/app/", "/app/", NULL, NULL},
		{"/a/../b", "/b", NULL, NULL},
		{"/public/./data/abc/../xyz", "/public/data/xyz", NULL, NULL},
		{"/some\\data", "/some/data", NULL, NULL},
		{"/some//data///abc", "/some//data///abc", "/some/data/abc", NULL},
		{"/app//", "/app//", "/app/", NULL},
		{"/a%2fb", "/a%2fb", NULL, "/a/b"},
		{"/a%5Cb", "/a%5Cb", NULL, "/a/b"},
		{"/app/%2f", "/app/%2f", NULL, "/app/"},
		{"/app%2f/", "/app%2f/", NULL, "/app/"},
		{"/some%2fdata/%61%62%63", "/some%2fdata/abc", NULL, "/some/data/abc"},
		{"/xyz%30..//abc", "/xyz0..//abc", "/xyz0../abc", NULL},
		{"/app/%2E./admin", "/admin", NULL, NULL},
		{"/app/\\/\\/\\admin", "/app//////admin", "/app/admin", NULL},
		{"/%2Fapp%5cadmin%5Cabc", "/%2Fapp%5cadmin%5Cabc", NULL, "/app/admin/abc"},
		{"/%5Capp%2f%5c%2F%2e%2e%2fadmin%5c\\abc", "/%5Capp%2f%5c%2F..%2fadmin%5c/abc",
		 NULL, "/app/admin/abc"},
		{"/app//../admin", "/app/admin", NULL, NULL},
		{"/app//../../admin", "/admin", NULL, NULL},
		{"/%c0%2e%c0%2e/admin", "/%c0.%c0./admin", NULL, NULL},
		{"/%c0%2fadmin", "/%c0%2fadmin", NULL, "/%c0/admin"},
		{"/admin%00", REFUSED, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		expect_row(&rows[i]);
}

static void dot_segments_lead_nowhere_above_the_root(void **state)
{
	static const struct row rows[] = {
		{"/a/b/../c", "/a/c", NULL, NULL},
		{"/a/b/./c", "/a/b/c", NULL, NULL},
		{"/a/b/../../../../c", "/c", NULL, NULL},
		{"/a/..\\c", "/c", NULL, NULL},
		{"/a\\..\\..\\c", "/c", NULL, NULL},
		{"/a/b/%2E%2e/c", "/a/c", NULL, NULL},
		{"/a/b/.%2E/c", "/a/c", NULL, NULL},
		{"/a/b/%2e/c", "/a/b/c", NULL, NULL},
		{"/../a/b", "/a/b", NULL, NULL},
		{"/./a", "/a", NULL, NULL},
		{"/.", "/", NULL, NULL},
		{"/..", "/", NULL, NULL},
		{"/%2e%2E", "/", NULL, NULL},
		{"/a/.", "/a/", NULL, NULL},
		{"/a/..", "/", NULL, NULL},
		{"/a/b/..", "/a/", NULL, NULL},
		{"/a/b/../", "/a/", NULL, NULL},
		{"/a/..%2f../b", "/a/..%2f../b", NULL, "/b"},
		{"/a/%2e%2e%5c..%2fb", "/a/..%5c..%2fb", NULL, "/b"},
		{"/..%2fadmin", "/..%2fadmin", NULL, "/admin"},
		{"//..//admin", "//admin", "/admin", NULL},
		{"//", "//", "/", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		expect_row(&rows[i]);
}

static void what_only_looks_like_another_path_stays(void **state)
{
	static const char *const paths[] = {
		"/...",
		"/.../admin",
		"/..../admin",
		"/..;/admin",
		"/;/admin",
		"/admin;a=b/xyz",
		"/admin,a=b",
		"/Admin",
		"/a.b/.c/..d",
		"/.well-known/x",
		"/0x2e0x2e/admin",
		"/%252e%252e/admin",
		"/%25c0%25ae",
		"/%252e%252e%252fadmin",
		"/%c0%ae%c0%ae/admin",
		"/%c1%9cadmin",
		"/100%",
		"/%",
		"/%2",
		"/%zz/%u002e",
		"/a=b&c:d@e!$'()*+[x]~_-",
		"*",
		"/%3f%23",
		"/%E2%80%A5/admin",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
		expect_row(&(struct row){paths[i], paths[i], NULL, NULL});
}

/* As Istio's table: letters, digits and "-._~" are decoded, others stay as they were written. */
static void one_encoded_byte_is_decoded_if_it_is_unreserved(void **state)
{
	(void)state;
	for (int byte = 1; byte < 256; byte++) {
		bool decoded = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
			       (byte >= 'a' && byte <= 'z') || strchr("-._~", byte);

		for (int upper = 0; upper < 2; upper++) {
			char path[16], base[16];

			snprintf(path, sizeof(path), upper ? "/admin%%%02X" : "/admin%%%02x", byte);
			memcpy(base, path, sizeof(base));
			if (decoded)
				snprintf(base, sizeof(base), "/admin%c", byte);
			expect_row(&(struct row){path, base, NULL,
						 byte == '/' || byte == '\\' ? "/admin/" : NULL});
		}
	}
}

static void nothing_is_decoded_twice(void **state)
{
	static const struct row rows[] = {
		{"/%252e%252e/a", "/%252e%252e/a", NULL, NULL},
		{"/%%32e%%32e/a", "/%252e%252e/a", NULL, NULL},
		{"/%2%65%2%65/a", "/%252e%252e/a", NULL, NULL},
		{"/%%32%65/a", "/%252e/a", NULL, NULL},
		{"/%%3252e", "/%25252e", NULL, NULL},
		{"/%%300", "/%2500", NULL, NULL},
		{"/%%30%30", "/%2500", NULL, NULL},
		{"/%2%46admin", "/%252Fadmin", NULL, NULL},
		{"/%%2fadmin", "/%%2fadmin", NULL, "/%/admin"},
		{"/%%41", "/%A", NULL, NULL},
		{"/%%41g", "/%Ag", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		expect_row(&rows[i]);
}

static void what_no_path_may_hold_is_encoded(void **state)
{
	(void)state;
	expect_row(&(struct row){"/a\"<>^`{|}b", "/a%22%3C%3E%5E%60%7B%7C%7Db", NULL, NULL});
	expect("/\x80", HTTP_PATH_BASE, "/%80");
}

/* The normal form is one: normalising it again changes nothing. Over all short paths of such bytes. */
static void a_normal_path_stays_as_it_is(void **state)
{
	static const char bytes[] = "/.\\%25eEfFa";
	const size_t kinds = sizeof(bytes) - 1;
	static const enum http_path_normalization ways[] = {HTTP_PATH_BASE, HTTP_PATH_MERGE_SLASHES,
							    HTTP_PATH_DECODE_AND_MERGE_SLASHES};

	(void)state;
	for (size_t number = 0; number < kinds * kinds * kinds * kinds * kinds; number++) {
		char path[8] = "/";
		size_t rest = number;

		for (size_t i = 1; i < 6; i++, rest /= kinds)
			path[i] = bytes[rest % kinds];
		for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
			char *once = normalized(path, ways[i]);

			assert_non_null(once);
			assert_null(strstr(once, "/../"));
			assert_null(strstr(once, "/./"));
			assert_null(strchr(once, '\\'));
			assert_int_equal(once[0], '/');
			expect(once, ways[i], once);
			free(once);
		}
	}
}

static void ways_have_istios_names(void **state)
{
	static const char *const names[] = {"base", "none", "merge-slashes",
					    "decode-and-merge-slashes"};
	enum http_path_normalization way = HTTP_PATH_BASE;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		assert_int_equal(http_path_normalization_parse(names[i], &way), 0);
		assert_int_equal(way, i);
	}
	assert_int_equal(http_path_normalization_parse("BASE", &way), -1);
	assert_int_equal(http_path_normalization_parse("", &way), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_four_ways_give_what_istio_documents),
		cmocka_unit_test(dot_segments_lead_nowhere_above_the_root),
		cmocka_unit_test(what_only_looks_like_another_path_stays),
		cmocka_unit_test(one_encoded_byte_is_decoded_if_it_is_unreserved),
		cmocka_unit_test(nothing_is_decoded_twice),
		cmocka_unit_test(what_no_path_may_hold_is_encoded),
		cmocka_unit_test(a_normal_path_stays_as_it_is),
		cmocka_unit_test(ways_have_istios_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
