/* SPDX-License-Identifier: GPL-2.0-only */
/* The cases of aws/http-desync-guardian (tests/corpus/desync): what its authors call severe is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/array.h"
#include "base/buffer.h"
#include "http/head.h"
#include "manifest/node.h"

#define CORPUS "tests/corpus/desync/"

/* The cases leave Host out: with one, a refusal says something about what the case is about. */
static void append_request(const struct node *test, struct buffer *request)
{
	const struct node *fields = node_get(test, "headers");
	bool has_host = false;

	buffer_append_span(request, node_get(test, "method")->text);
	buffer_append_text(request, " ");
	buffer_append_span(request, node_get(test, "uri")->text);
	buffer_append_text(request, " ");
	buffer_append_span(request, node_get(test, "version")->text);
	buffer_append_text(request, "\r\n");
	for (size_t i = 0; fields && i < fields->count; i++) {
		struct span name = node_get(fields->items[i], "name")->text;

		has_host |= span_equal_ignore_case(name, span_of("Host"));
		buffer_append_span(request, name);
		buffer_append_text(request, ": ");
		buffer_append_span(request, node_get(fields->items[i], "value")->text);
		buffer_append_text(request, "\r\n");
	}
	buffer_append_text(request, has_host ? "\r\n" : "Host: localhost\r\n\r\n");
}

static bool is_refused(const struct node *test, struct http_refusal *refusal)
{
	struct buffer request = {0};
	struct http_request_head head;

	append_request(test, &request);
	enum http_parse parse = http_request_parse(request.data, request.length, 0,
						   &http_default_limits, &head, refusal);
	buffer_free(&request);
	return parse == HTTP_PARSE_REFUSED;
}

/* Counts the cases of a file; those that are taken and not among `taken` fail. */
static size_t check_file(const char *file, const char *tier, const char *const *taken)
{
	struct diagnostics diagnostics = {0};
	struct node **documents;
	size_t cases = 0, count = nodes_read_file(file, &diagnostics, &documents);

	assert_int_equal(count, 1);
	for (size_t i = 0; i < documents[0]->count; i++) {
		const struct node *test = documents[0]->items[i];
		const struct node *expected = node_get(test, "expected");
		struct http_refusal refusal = {0};
		bool may_be_taken = false;

		if (!span_equal(node_get(expected, "tier")->text, span_of(tier)))
			continue;
		cases++;
		for (const char *const *name = taken; *name; name++)
			may_be_taken |= span_equal(node_get(test, "name")->text, span_of(*name));
		if (is_refused(test, &refusal) == may_be_taken)
			fail_msg("%s: %s is %s %s", file, node_get(test, "name")->text.data,
				 may_be_taken ? "refused:" : "taken",
				 may_be_taken ? refusal.reason : "");
	}
	nodes_free(documents, count);
	diagnostics_free(&diagnostics);
	return cases;
}

static void severe_requests_are_refused(void **state)
{
	static const char *const none[] = {NULL};

	(void)state;
	assert_int_equal(check_file(CORPUS "severe.yaml", "Severe", none), 27);
	assert_true(check_file(CORPUS "edge-cases.yaml", "Severe", none) > 0);
}

static void ambiguous_requests_are_refused_unless_their_framing_is_plain(void **state)
{
	/* A body with GET or HEAD is odd, but every parser sees where it ends. */
	static const char *const plain[] = {
		"Get with a body and Content-Length",
		"Get with a body and Transfer-Encoding",
		"Head with a body and Content-Length",
		"Head with a body and Transfer-Encoding",
		NULL,
	};

	(void)state;
	assert_int_equal(check_file(CORPUS "ambiguous.yaml", "Ambiguous", plain), 37);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(severe_requests_are_refused),
		cmocka_unit_test(ambiguous_requests_are_refused_unless_their_framing_is_plain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
