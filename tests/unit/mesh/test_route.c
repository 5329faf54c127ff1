/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/mesh/mesh_test.h"

#include "base/array.h"
#include "base/clock.h"
#include "http/values.h"

#define SERVICE                                                                               \
	"apiVersion: v1\n"                                                                    \
	"kind: Service\n"                                                                     \
	"metadata: {name: a}\n"                                                               \
	"spec: {clusterIP: 10.96.0.1, selector: {app: a}, ports: [{name: http, port: 80}]}\n" \
	"---\n"                                                                               \
	"apiVersion: v1\n"                                                                    \
	"kind: Pod\n"                                                                         \
	"metadata: {name: a-1, labels: {app: a, version: v1}}\n"                              \
	"status: {podIP: 10.0.0.1}\n"                                                         \
	"---\n"                                                                               \
	"apiVersion: v1\n"                                                                    \
	"kind: Pod\n"                                                                         \
	"metadata: {name: a-2, labels: {app: a, version: v2}}\n"                              \
	"status: {podIP: 10.0.0.2}\n"                                                         \
	"---\n"                                                                               \
	"apiVersion: networking.istio.io/v1\n"                                                \
	"kind: DestinationRule\n"                                                             \
	"metadata: {name: a}\n"                                                               \
	"spec:\n"                                                                             \
	"  host: a\n"                                                                         \
	"  subsets:\n"                                                                        \
	"  - {name: v1, labels: {version: v1}}\n"                                             \
	"  - {name: v2, labels: {version: v2}}\n"                                             \
	"---\n"
#define HTTP(entries)                                  \
	SERVICE "apiVersion: networking.istio.io/v1\n" \
		"kind: VirtualService\n"               \
		"metadata: {name: a}\n"                \
		"spec:\n"                              \
		"  hosts: [a]\n"                       \
		"  http:\n" entries
/* Requests that match get 204, others 404. */
#define MATCH(match) HTTP("  - {match: [" match "], directResponse: {status: 204}}\n")

/* True if a request matches the only http[] entry. */
static bool matches(const char *yaml, const char *request_text)
{
	struct fixture fixture;
	struct request request;

	fixture_start(&fixture, yaml);
	request_parse(&request, request_text);
	request.query.listener = service_at(fixture.mesh, "10.96.0.1", 80);
	mesh_route(fixture.mesh, &request.query, &request.result);
	bool result = request.result.action == ROUTE_DIRECT_RESPONSE;
	/* Without a route: the entry is not for this caller. */
	if (!result && request.result.route)
		fail_msg("another route: %s", where(&request.result));
	fixture_stop(&fixture);
	return result;
}

struct match_row {
	const char *yaml;
	const char *start; /* "METHOD TARGET" */
	const char *fields;
	bool matches;
};

static void check_rows(const struct match_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char text[1000];

		snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].start,
			 rows[i].fields);
		if (matches(rows[i].yaml, text) != rows[i].matches)
			fail_msg("row %zu: %s %s", i, rows[i].start, rows[i].fields);
	}
}

static void the_path_is_matched_without_its_query(void **state)
{
	static const struct match_row rows[] = {
		{MATCH("{uri: {exact: /a}}"), "GET /a", "", true},
		{MATCH("{uri: {exact: /a}}"), "GET /a?b", "", true},
		{MATCH("{uri: {exact: /a}}"), "GET /a/", "", false},
		{MATCH("{uri: {exact: /a}}"), "GET /A", "", false},
		{MATCH("{uri: {exact: /a}, ignoreUriCase: true}"), "GET /A", "", true},
		{MATCH("{uri: {prefix: /a}}"), "GET /abc", "", true},
		{MATCH("{uri: {prefix: /a}}"), "GET /?/a", "", false},
		{MATCH("{uri: {prefix: /a}, ignoreUriCase: true}"), "GET /ABC", "", true},
		{MATCH("{uri: {regex: '/a/[0-9]+'}}"), "GET /a/12?x=y", "", true},
		{MATCH("{uri: {regex: '/a/[0-9]+'}}"), "GET /a/12/b", "", false},
		{MATCH("{uri: {regex: '/a'}, ignoreUriCase: true}"), "GET /A", "", false},
		{MATCH("{uri: {exact: /a}}"), "GET http://a/a", "", true},
		{MATCH("{uri: {exact: /}}"), "GET http://a", "", true},
	};

	(void)state;
	check_rows(rows, ARRAY_LENGTH(rows));
}

static void headers_are_matched_by_name_in_any_case_and_by_value_exactly(void **state)
{
	static const struct match_row rows[] = {
		{MATCH("{headers: {x-a: {exact: v2}}}"), "GET /", "X-A: v2\r\n", true},
		{MATCH("{headers: {X-a: {exact: v2}}}"), "GET /", "x-A: v2\r\n", true},
		{MATCH("{headers: {x-a: {exact: v2}}}"), "GET /", "x-a: V2\r\n", false},
		{MATCH("{headers: {x-a: {exact: v2}}}"), "GET /", "", false},
		{MATCH("{headers: {x-a: {exact: ''}}}"), "GET /", "x-a:\r\n", true},
		{MATCH("{headers: {x-a: {prefix: v}}}"), "GET /", "x-a: v2\r\n", true},
		{MATCH("{headers: {x-a: {prefix: v2}}}"), "GET /", "x-a: v\r\n", false},
		{MATCH("{headers: {x-a: {regex: 'v[23]'}}}"), "GET /", "x-a: v3\r\n", true},
		{MATCH("{headers: {x-a: {regex: 'v[23]'}}}"), "GET /", "x-a: v33\r\n", false},
		{MATCH("{headers: {x-a: {}}}"), "GET /", "x-a: anything\r\n", true},
		{MATCH("{headers: {x-a: {}}}"), "GET /", "x-b: anything\r\n", false},
		{MATCH("{headers: {x-a: {exact: b}, x-c: {exact: d}}}"), "GET /",
		 "x-a: b\r\nx-c: d\r\n", true},
		{MATCH("{headers: {x-a: {exact: b}, x-c: {exact: d}}}"), "GET /", "x-a: b\r\n",
		 false},
		{MATCH("{withoutHeaders: {x-a: {exact: b}}}"), "GET /", "", true},
		{MATCH("{withoutHeaders: {x-a: {exact: b}}}"), "GET /", "x-a: c\r\n", true},
		{MATCH("{withoutHeaders: {x-a: {exact: b}}}"), "GET /", "x-a: b\r\n", false},
		{MATCH("{withoutHeaders: {x-a: {}}}"), "GET /", "x-a: b\r\n", false},
		/* A missing field counts as empty, as in Istio; but {} asks for one. */
		{MATCH("{withoutHeaders: {x-a: {}}}"), "GET /", "", true},
		{MATCH("{withoutHeaders: {x-a: {regex: '.*'}}}"), "GET /", "", false},
		{MATCH("{withoutHeaders: {x-a: {regex: '.+'}}}"), "GET /", "", true},
		{MATCH("{withoutHeaders: {x-a: {exact: ''}}}"), "GET /", "", false},
		{MATCH("{withoutHeaders: {x-a: {regex: '*'}}}"), "GET /", "", true},
		/* To Istio no regular expression, but "some value". */
		{MATCH("{headers: {x-a: {regex: '*'}}}"), "GET /", "x-a: anything\r\n", true},
		{MATCH("{headers: {x-a: {regex: '*'}}}"), "GET /", "", false},
		{MATCH("{queryParams: {v: {regex: '*'}}}"), "GET /?v", "", true},
	};

	(void)state;
	check_rows(rows, ARRAY_LENGTH(rows));
}

static void the_other_conditions_are_matched(void **state)
{
	static const struct match_row rows[] = {
		{MATCH("{method: {exact: POST}}"), "POST /", "", true},
		{MATCH("{method: {exact: POST}}"), "GET /", "", false},
		{MATCH("{method: {regex: 'GET|PUT'}}"), "GET /", "", true},
		{MATCH("{authority: {prefix: a}}"), "GET /", "", true},
		{MATCH("{authority: {exact: b}}"), "GET /", "", false},
		{MATCH("{scheme: {exact: http}}"), "GET /", "", true},
		{MATCH("{scheme: {exact: https}}"), "GET /", "", false},
		{MATCH("{port: 80}"), "GET /", "", true},
		{MATCH("{port: 81}"), "GET /", "", false},
		{MATCH("{queryParams: {v: {exact: '1'}}}"), "GET /?u=2&v=1", "", true},
		{MATCH("{queryParams: {v: {exact: '1'}}}"), "GET /?v=2&v=1", "", false},
		{MATCH("{queryParams: {v: {exact: '1'}}}"), "GET /", "", false},
		{MATCH("{queryParams: {v: {regex: '[0-9]+'}}}"), "GET /?v=12", "", true},
		{MATCH("{queryParams: {v: {}}}"), "GET /?v", "", true},
		{MATCH("{queryParams: {v: {exact: ''}}}"), "GET /?v", "", true},
		{MATCH("{gateways: [mesh]}"), "GET /", "", true},
		{MATCH("{sourceLabels: {app: b}}"), "GET /", "", false},
		{MATCH("{sourceNamespace: b}"), "GET /", "", false},
		/* several: one is enough */
		{MATCH("{port: 81}, {uri: {prefix: /b}}, {method: {exact: GET}}"), "GET /", "",
		 true},
		{MATCH("{port: 81}, {uri: {prefix: /b}}"), "GET /", "", false},
	};

	(void)state;
	check_rows(rows, ARRAY_LENGTH(rows));
}

static void the_caller_is_matched_by_labels_and_namespace(void **state)
{
	struct label items[] = {{"app", "b"}, {"version", "v1"}};
	struct labels labels = {items, 2};
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture, MATCH("{sourceLabels: {app: b}, sourceNamespace: shop}"));
	request_parse(&request, "GET / HTTP/1.1\r\nHost: a.default\r\n\r\n");
	request.query.listener = service_at(fixture.mesh, "10.96.0.1", 80);
	request.query.source_labels = &labels;
	request.query.source_namespace = "shop";
	mesh_route(fixture.mesh, &request.query, &request.result);
	assert_string_equal(where(&request.result), "direct response");
	request.query.source_namespace = "other";
	mesh_route(fixture.mesh, &request.query, &request.result);
	assert_string_equal(where(&request.result), "a.default.svc.cluster.local|-|80");
	request.query.source_namespace = "shop";
	labels.items[0].value = "c";
	mesh_route(fixture.mesh, &request.query, &request.result);
	assert_string_equal(where(&request.result), "a.default.svc.cluster.local|-|80");
	fixture_stop(&fixture);
}

static void headers_that_were_removed_or_set_count_as_they_are_now(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture, MATCH("{headers: {x-a: {exact: v2}}}"));
	request_parse(&request, "GET / HTTP/1.1\r\nHost: a\r\nx-a: v2\r\n\r\n");
	request.query.listener = service_at(fixture.mesh, "10.96.0.1", 80);
	http_edit_remove_name(&request.edit, span_of("x-a"));
	mesh_route(fixture.mesh, &request.query, &request.result);
	assert_string_equal(where(&request.result), "no match");
	http_edit_set(&request.edit, span_of("X-A"), span_of("v2"));
	mesh_route(fixture.mesh, &request.query, &request.result);
	assert_string_equal(where(&request.result), "direct response");
	fixture_stop(&fixture);
}

static void what_another_engine_gives_up_on_is_decided(void **state)
{
	static const char *const yamls[] = {
		MATCH("{headers: {x-a: {regex: '(a+)+[bc]'}}}"),
		MATCH("{withoutHeaders: {x-a: {regex: '(a+)+[bc]'}}}"),
	};
	char text[400];

	(void)state;
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nx-a: %0*d\r\n\r\n", 200, 0);
	for (char *byte = strstr(text, "x-a: ") + 5; *byte == '0'; byte++)
		*byte = 'a';
	for (size_t i = 0; i < ARRAY_LENGTH(yamls); i++)
		assert_int_equal(matches(yamls[i], text), i == 1);
}

/* 60,000 bytes and a program of some 1,800 instructions: past the bound. */
static void what_a_regex_cannot_decide_never_takes_the_next_route(void **state)
{
	static const char *const yamls[] = {
		MATCH("{headers: {x-a: {regex: '(a{0,900})b'}}}"),
		MATCH("{withoutHeaders: {x-a: {regex: '(a{0,900})b'}}}"),
		HTTP("  - {match: [{headers: {x-a: {regex: '(a{0,900})b'}}}], redirect: {uri: /}}\n"
		     "  - {directResponse: {status: 204}}\n"),
		HTTP("  - {match: [{headers: {x-a: {regex: '(a{0,900})b'}}, method: {exact: PUT}},"
		     " {headers: {x-a: {regex: '(a{0,900})b'}}, uri: {exact: /x}},"
		     " {headers: {x-a: {regex: '(a{0,900})b'}}, withoutHeaders: {x-a: {}}}],"
		     " redirect: {uri: /}}\n"
		     "  - {directResponse: {status: 204}}\n"),
	};
	static char text[60100];
	struct fixture fixture;

	(void)state;
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nx-a: %0*d\r\n\r\n", 60000, 0);
	for (char *byte = strstr(text, "x-a: ") + 5; *byte == '0'; byte++)
		*byte = 'a';
	for (size_t i = 0; i < ARRAY_LENGTH(yamls); i++) {
		fixture_start(&fixture, yamls[i]);
		/* The last: other conditions say that it does not match, whatever this one would. */
		assert_string_equal(
			route_text(fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80), text),
			i < 3 ? "undecided" : "direct response");
		fixture_stop(&fixture);
	}
}

/* Each could be decided, all of them together not: 300 of one that takes a hundredth of the bound. */
static void many_regexes_have_one_budget(void **state)
{
	struct buffer yaml = {0};
	struct fixture fixture;
	static char text[60100];

	(void)state;
	buffer_append_text(&yaml, HTTP(""));
	for (int i = 0; i < 100; i++)
		buffer_printf(&yaml,
			      "  - {match: [{headers: {x-a: {regex: '.*(bot|crawler)%d'}}}],"
			      " redirect: {uri: /}}\n",
			      i);
	buffer_append_text(&yaml, "  - {directResponse: {status: 204}}\n");
	fixture_start(&fixture, buffer_text(&yaml));
	const struct mesh_listener *listener = service_at(fixture.mesh, "10.96.0.1", 80);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nx-a: %0*d\r\n\r\n", 60000, 0);
	assert_string_equal(route_text(fixture.mesh, listener, text), "undecided");
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nx-a: %0*d\r\n\r\n", 5000, 0);
	assert_string_equal(route_text(fixture.mesh, listener, text), "direct response");
	fixture_stop(&fixture);
	buffer_free(&yaml);
}

static void patterns_beyond_re2_are_errors_at_their_place(void **state)
{
	(void)state;
	assert_refused(
		MATCH("{headers: {x-a: {regex: '(a)\\1'}}}"),
		"VirtualService/a: spec.http[0].match[0].headers.x-a: \"(a)\\1\" is no regular "
		"expression that can be used: back references");
	assert_refused(MATCH("{uri: {regex: '/(?!b).*'}}"), "look-around is not supported");
	assert_refused(
		HTTP("  - {rewrite: {uriRegexRewrite: {match: 'a(?=b)', rewrite: x}}, "
		     "route: [{destination: {host: a}}]}\n"),
		"rewrite.uriRegexRewrite: \"a(?=b)\" to \"x\": look-around is not supported");
	assert_refused(HTTP("  - {rewrite: {uriRegexRewrite: {match: 'a', rewrite: '\\1'}}, "
			    "route: [{destination: {host: a}}]}\n"),
		       "names a group that the pattern does not have");
}

static const char two_sides[] = HTTP("  - route:\n"
				     "    - {destination: {host: a, subset: v1}, weight: %u}\n"
				     "    - {destination: {host: a, subset: v2}, weight: %u}\n");

static void start_weights(struct fixture *fixture, unsigned one, unsigned two)
{
	struct buffer text = {0};

	buffer_printf(&text, two_sides, one, two);
	fixture_start(fixture, buffer_text(&text));
	buffer_free(&text);
}

/* True: the second side. */
static bool side_of(const struct fixture *fixture, uint64_t hash)
{
	struct request request;

	request_parse(&request, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	request.query.listener = service_at(fixture->mesh, "10.96.0.1", 80);
	request.query.hash = hash;
	mesh_route(fixture->mesh, &request.query, &request.result);
	assert_int_equal(request.result.action, ROUTE_FORWARD);
	assert_ptr_equal(request.result.cluster, request.result.destination->cluster);
	return strcmp(request.result.cluster->subset, "v2") == 0;
}

static void weights_share_out_users_evenly_and_a_user_stays(void **state)
{
	struct fixture fixture;
	unsigned second = 0;

	(void)state;
	start_weights(&fixture, 75, 25);
	for (uint64_t hash = 0; hash < 20000; hash++) {
		second += side_of(&fixture, hash);
		if (hash < 100)
			assert_int_equal(side_of(&fixture, hash), side_of(&fixture, hash));
	}
	/* 5000 expected; the deviation of such a draw is 61. */
	assert_in_range(second, 4700, 5300);
	fixture_stop(&fixture);
}

static void nobody_leaves_a_side_whose_weight_grows(void **state)
{
	struct fixture before, after;
	unsigned moved = 0;

	(void)state;
	start_weights(&before, 90, 10);
	start_weights(&after, 80, 20);
	for (uint64_t hash = 0; hash < 10000; hash++) {
		bool was = side_of(&before, hash), is = side_of(&after, hash);

		if (was)
			assert_true(is);
		moved += was != is;
	}
	assert_in_range(moved, 850, 1150);
	fixture_stop(&before);
	fixture_stop(&after);
}

static void sides_do_not_follow_the_remainders_of_tag_rules(void **state)
{
	struct fixture fixture;
	unsigned second = 0;

	(void)state;
	start_weights(&fixture, 50, 50);
	/* The users that a rule with modulo 100 puts into its range 0 .. 9. */
	for (uint64_t user = 0; user < 10000; user++)
		second += side_of(&fixture, user / 10 * 100 + user % 10);
	assert_in_range(second, 4700, 5300);
	fixture_stop(&fixture);
}

static void a_side_without_weight_gets_nobody(void **state)
{
	struct fixture fixture;

	(void)state;
	start_weights(&fixture, 0, 1);
	for (uint64_t hash = 0; hash < 1000; hash++)
		assert_true(side_of(&fixture, hash));
	fixture_stop(&fixture);
}

struct text_row {
	const char *entry;
	const char *request;
	const char *expected;
};

static void a_rewrite_replaces_the_prefix_or_the_path(void **state)
{
#define REWRITE(match, uri) \
	HTTP("  - {" match "rewrite: {uri: " uri "}, route: [{destination: {host: a}}]}\n")
#define REGEX_REWRITE(match, rewrite)                                                  \
	HTTP("  - {rewrite: {uriRegexRewrite: {match: '" match "', rewrite: '" rewrite \
	     "'}}, route: [{destination: {host: a}}]}\n")
	static const struct text_row rows[] = {
		{REWRITE("match: [{uri: {prefix: /old}}], ", "/new"), "/old/x?q=1", "/new/x?q=1"},
		{REWRITE("match: [{uri: {prefix: /old/}}], ", "/"), "/old/x", "/x"},
		{REWRITE("match: [{uri: {prefix: /old}}], ", "/new"), "/old", "/new"},
		{REWRITE("match: [{uri: {exact: /old}}], ", "/new"), "/old?q", "/new?q"},
		{REWRITE("match: [{uri: {regex: '/o.*'}}], ", "/new"), "/old/y?q", "/new?q"},
		{REWRITE("", "/new/"), "/old?", "/new/old?"},
		{REWRITE("match: [{uri: {prefix: /b}}, {uri: {prefix: /old/old}}], ", "/"),
		 "/old/old/c", "//c"},
		{HTTP("  - {route: [{destination: {host: a}}]}\n"), "/old?q", "/old?q"},
		{REGEX_REWRITE("^/service/([^/]+)(/.*)$", "\\2/instance/\\1"),
		 "/service/foo/v1/api?/service/q/r", "/v1/api/instance/foo?/service/q/r"},
		{REGEX_REWRITE("^/old", "/"), "/old", "/"},
		{REGEX_REWRITE("^/old/", "new/"), "/old/x?", "/new/x?"},
		{REGEX_REWRITE("^/other", "/x"), "/old", "/old"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct fixture fixture;
		struct request request;
		struct buffer out = {0}, text = {0};

		buffer_printf(&text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].request);
		fixture_start(&fixture, rows[i].entry);
		request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
			      buffer_text(&text));
		assert_int_equal(request.result.action, ROUTE_FORWARD);
		assert_int_equal(mesh_write_target(&request.result, request.edit.target, &out), 0);
		assert_string_equal(buffer_text(&out), rows[i].expected);
		buffer_free(&out);
		buffer_free(&text);
		fixture_stop(&fixture);
	}
}

static void a_redirect_says_where_to(void **state)
{
#define REDIRECT(fields) HTTP("  - {redirect: {" fields "}}\n")
	static const struct text_row rows[] = {
		{REDIRECT("uri: /new"), "/old?q=1", "http://a:8080/new?q=1"},
		{REDIRECT("uri: '/new?r'"), "/old?q=1", "http://a:8080/new?r"},
		{REDIRECT("authority: b.example.com"), "/old?q", "http://b.example.com/old?q"},
		{REDIRECT("scheme: https"), "/old", "https://a/old"},
		{REDIRECT("port: 8443, scheme: https"), "/old", "https://a:8443/old"},
		{REDIRECT("port: 443, scheme: https"), "/old", "https://a/old"},
		{REDIRECT("derivePort: FROM_REQUEST_PORT, authority: b"), "/", "http://b/"},
		{REDIRECT("authority: b, port: 81"), "/x", "http://b:81/x"},
		{REDIRECT("authority: 'b:1', port: 81"), "/x", "http://b:81/x"},
		{REDIRECT("authority: '[::1]:1', derivePort: FROM_REQUEST_PORT"), "/x",
		 "http://[::1]/x"},
		{REDIRECT("authority: 'b:1', scheme: https"), "/x", "https://b:1/x"},
		{REDIRECT("authority: b"), "*", "http://b/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct fixture fixture;
		struct request request;
		struct buffer out = {0}, text = {0};

		buffer_printf(&text, "%s %s HTTP/1.1\r\nHost: a:8080\r\n\r\n",
			      rows[i].request[0] == '*' ? "OPTIONS" : "GET", rows[i].request);
		fixture_start(&fixture, rows[i].entry);
		request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
			      buffer_text(&text));
		assert_int_equal(request.result.action, ROUTE_REDIRECT);
		assert_int_equal(request.result.route->redirect.status, 301);
		mesh_write_location(&request.query, &request.result, &out);
		assert_string_equal(buffer_text(&out), rows[i].expected);
		buffer_free(&out);
		buffer_free(&text);
		fixture_stop(&fixture);
	}
}

static void a_redirect_without_any_host_is_relative(void **state)
{
	struct fixture fixture;
	struct request request;
	struct buffer out = {0};

	(void)state;
	fixture_start(&fixture, REDIRECT("uri: /new"));
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
		      "GET /old?q HTTP/1.0\r\n\r\n");
	mesh_write_location(&request.query, &request.result, &out);
	assert_string_equal(buffer_text(&out), "/new?q");
	buffer_free(&out);
	fixture_stop(&fixture);
}

static void retries_that_are_off_time_no_try(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture, HTTP("  - {route: [{destination: {host: a, subset: v1}}],"
				     " retries: {attempts: 0, perTryTimeout: 1s}}\n"));
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
		      "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_true(request.result.route->retries.present);
	assert_int_equal(request.result.route->retries.per_try_timeout_ms, 0);
	fixture_stop(&fixture);
}

static void actions_reach_the_route(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture,
		      HTTP("  - name: all\n"
			   "    route:\n"
			   "    - destination: {host: a, subset: v1}\n"
			   "      headers: {response: {add: {x-side: one}}}\n"
			   "    rewrite: {authority: inner}\n"
			   "    timeout: 2s\n"
			   "    retries: {attempts: 3, perTryTimeout: 1s, retryOn: '5xx, "
			   "connect-failure,429'}\n"
			   "    fault: {delay: {fixedDelay: 1s, percentage: {value: 10}},\n"
			   "      abort: {httpStatus: 503, percent: 100}}\n"
			   "    mirror: {host: a, subset: v2}\n"
			   "    mirrorPercentage: {value: 5}\n"
			   "    headers: {request: {set: {x-a: b}, remove: [x-c]}}\n"));
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
		      "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	const struct mesh_route *route = request.result.route;
	assert_non_null(route);
	assert_true(span_equal(route->rewrite.authority, span_of("inner")));
	assert_false(route->rewrite.has_path);
	assert_int_equal(route->timeout_ms, 2000);
	assert_true(route->retries.present);
	assert_int_equal(route->retries.attempts, 3);
	assert_int_equal(route->retries.conditions, MESH_RETRY_5XX | MESH_RETRY_CONNECT_FAILURE);
	assert_int_equal(route->retries.status_code_count, 1);
	assert_int_equal(route->retries.status_codes[0], 429);
	assert_int_equal(route->fault.delay_ms, 1000);
	assert_int_equal(route->fault.delay_share, 100000);
	assert_int_equal(route->fault.abort_share, MESH_SHARE_ALL);
	assert_int_equal(route->mirror_count, 1);
	assert_string_equal(route->mirrors[0].cluster->subset, "v2");
	assert_int_equal(route->mirrors[0].share, 50000);
	assert_int_equal(route->request_headers.set_count, 1);
	assert_true(span_equal(route->request_headers.remove[0], span_of("x-c")));
	assert_int_equal(request.result.destination->response_headers.add_count, 1);
	fixture_stop(&fixture);
}

static void retries_without_conditions_have_istios(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture, HTTP("  - {retries: {attempts: 1}, route: [{destination: {host: "
				     "a}}]}\n"));
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
		      "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	const struct mesh_retries *retries = &request.result.route->retries;
	assert_int_equal(retries->conditions, MESH_RETRY_CONNECT_FAILURE);
	assert_int_equal(retries->status_codes[0], 503);
	fixture_stop(&fixture);
	/* What Envoy knows and nobody here can ever say. */
	fixture_start(&fixture, HTTP("  - {retries: {attempts: 1, retryOn: 'retriable-headers,"
				     "envoy-ratelimited, http3-post-connect-failure'}, route: "
				     "[{destination: {host: a}}]}\n"));
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
		      "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(request.result.route->retries.conditions, 0);
	fixture_stop(&fixture);
	assert_refused(HTTP("  - {retries: {attempts: 1, retryOn: 5xx,sometimes}, route: "
			    "[{destination: {host: a}}]}\n"),
		       "spec.http[0].retries.sometimes: unknown field");
	assert_refused(HTTP("  - {retries: {attempts: 1, retryOn: '5xx,sometimes'}, route: "
			    "[{destination: {host: a}}]}\n"),
		       "spec.http[0].retries.retryOn: \"sometimes\" is no condition that is known");
}

static const char policies[] =
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: b}\n"
	"spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}, {name: http-b, "
	"port: 81}]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: DestinationRule\n"
	"metadata: {name: b}\n"
	"spec:\n"
	"  host: b\n"
	"  trafficPolicy:\n"
	"    loadBalancer: {simple: RANDOM}\n"
	"    connectionPool: {tcp: {maxConnections: 7}}\n"
	"    outlierDetection: {consecutive5xxErrors: 3}\n"
	"    portLevelSettings:\n"
	"    - {port: {number: 81}, loadBalancer: {consistentHash: {httpCookie: "
	"{name: c}}}}\n"
	"  subsets:\n"
	"  - {name: s, trafficPolicy: {connectionPool: {http: {maxRetries: 1}}}}\n"
	"  - name: p\n"
	"    trafficPolicy:\n"
	"      portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: "
	"ROUND_ROBIN}}]\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: VirtualService\n"
	"metadata: {name: b}\n"
	"spec:\n"
	"  hosts: [b]\n"
	"  http:\n"
	"  - {match: [{uri: {prefix: /1}}], route: [{destination: {host: b, port: "
	"{number: 80}}}]}\n"
	"  - {match: [{uri: {prefix: /2}}], route: [{destination: {host: b, port: "
	"{number: 81}}}]}\n"
	"  - {match: [{uri: {prefix: /4}}], route: [{destination: {host: b, "
	"subset: s, port: {number: 81}}}]}\n"
	"  - {match: [{uri: {prefix: /5}}], route: [{destination: {host: b, "
	"subset: p, port: {number: 80}}}]}\n"
	"  - {match: [{uri: {prefix: /6}}], route: [{destination: {host: b, "
	"subset: p, port: {number: 81}}}]}\n"
	"  - {route: [{destination: {host: b, subset: s, port: {number: 80}}}]}\n";

/* The policy of the cluster that "/1" and so on lead to. */
static const struct mesh_cluster_policy *policy_at(const struct fixture *fixture,
						   const char *target)
{
	struct request request;
	char text[100];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: b\r\n\r\n", target);
	request_route(&request, fixture->mesh, service_at(fixture->mesh, "10.96.0.2", 80), text);
	return &request.result.cluster->policy;
}

static void cluster_policies_come_from_host_or_port(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, policies);
	const struct mesh_cluster_policy *policy = policy_at(&fixture, "/1");
	assert_int_equal(policy->balancing, MESH_BALANCE_RANDOM);
	assert_int_equal(policy->maximum_connections, 7);
	assert_true(policy->outlier_detection);
	assert_int_equal(policy->consecutive_5xx, 3);

	policy = policy_at(&fixture, "/2");
	assert_int_equal(policy->balancing, MESH_BALANCE_HASH);
	assert_int_equal(policy->hash_source, MESH_HASH_COOKIE);
	assert_true(span_equal(policy->hash_name, span_of("c")));
	assert_int_equal(policy->maximum_connections, 0);
	assert_false(policy->outlier_detection);
	fixture_stop(&fixture);
}

static void a_subsets_settings_replace_the_hosts(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, policies);
	const struct mesh_cluster_policy *policy = policy_at(&fixture, "/3");
	assert_int_equal(policy->balancing, MESH_BALANCE_RANDOM);
	assert_int_equal(policy->maximum_connections, 0);
	assert_int_equal(policy->maximum_retries, 1);

	/* The host's settings for the port are the host's: the subset's come on top. */
	policy = policy_at(&fixture, "/4");
	assert_int_equal(policy->balancing, MESH_BALANCE_HASH);
	assert_int_equal(policy->maximum_retries, 1);
	assert_false(policy->outlier_detection);

	/* The subset's settings for a port stand alone, and say nothing of other ports. */
	policy = policy_at(&fixture, "/5");
	assert_int_equal(policy->balancing, MESH_BALANCE_ROUND_ROBIN);
	assert_int_equal(policy->maximum_connections, 0);
	assert_false(policy->outlier_detection);
	assert_int_equal(policy_at(&fixture, "/6")->balancing, MESH_BALANCE_HASH);
	fixture_stop(&fixture);
}

static void a_port_that_is_named_must_be_http(void **state)
{
	(void)state;
	assert_refused("apiVersion: v1\n"
		       "kind: Service\n"
		       "metadata: {name: b}\n"
		       "spec: {ports: [{name: tcp, port: 81, appProtocol: x}]}\n"
		       "---\n"
		       "apiVersion: networking.istio.io/v1\n"
		       "kind: VirtualService\n"
		       "metadata: {name: b}\n"
		       "spec: {hosts: [b], http: [{route: [{destination: {host: b, port: {number: "
		       "81}}}]}]}\n",
		       "the port 81 of b.default.svc.cluster.local is not HTTP by its protocol");
}

/* The goals are 150 ms and microseconds; the test leaves room for slow and sanitized machines. */
static void ten_thousand_virtual_services_compile_and_route_fast(void **state)
{
	struct buffer text = {0};
	struct diagnostics diagnostics = {0};
	struct manifest_set set;
	struct mesh *mesh = NULL;
	char path[64];
	const char *paths[] = {path};

	(void)state;
	buffer_append_text(&text, SERVICE);
	for (int i = 0; i < 5000; i++)
		buffer_printf(&text,
			      "apiVersion: networking.istio.io/v1\n"
			      "kind: VirtualService\n"
			      "metadata: {name: s%d}\n"
			      "spec:\n"
			      "  hosts: [h%d.example.com]\n"
			      "  http:\n"
			      "  - match: [{headers: {appver-a: {exact: v%d}}}]\n"
			      "    route: [{destination: {host: a, subset: v2}}]\n"
			      "  - route: [{destination: {host: a, subset: v1}}]\n"
			      "---\n",
			      i, i, i);
	fixture_write_file(text.data, text.length, path);
	uint64_t start = clock_now_ns();
	manifest_set_read(paths, 1, MANIFEST_ALL, &diagnostics, &set);
	uint64_t read = clock_now_ns();
	assert_int_equal(mesh_compile(&set, NULL, &diagnostics, &mesh), 0);
	uint64_t compiled = clock_now_ns();
	fixture_remove_file(path);

	struct request request;
	request_parse(&request, "GET / HTTP/1.1\r\nHost: h4999.example.com\r\n\r\n");
	request.query.listener = service_at(mesh, "10.96.0.1", 80);
	for (int i = 0; i < 10000; i++)
		mesh_route(mesh, &request.query, &request.result);
	uint64_t routed = clock_now_ns();
	assert_string_equal(where(&request.result), "a.default.svc.cluster.local|v1|80");
	print_message("# 10,000 routes: read %llu ms, compiled %llu ms; one request %llu ns\n",
		      (unsigned long long)(read - start) / 1000000,
		      (unsigned long long)(compiled - read) / 1000000,
		      (unsigned long long)(routed - compiled) / 10000);
	assert_true(compiled - read < 1500000000ULL);
	assert_true(routed - compiled < 1000000000ULL);
	mesh_free(mesh);
	manifest_set_free(&set);
	diagnostics_free(&diagnostics);
	buffer_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_path_is_matched_without_its_query),
		cmocka_unit_test(headers_are_matched_by_name_in_any_case_and_by_value_exactly),
		cmocka_unit_test(the_other_conditions_are_matched),
		cmocka_unit_test(the_caller_is_matched_by_labels_and_namespace),
		cmocka_unit_test(headers_that_were_removed_or_set_count_as_they_are_now),
		cmocka_unit_test(what_another_engine_gives_up_on_is_decided),
		cmocka_unit_test(what_a_regex_cannot_decide_never_takes_the_next_route),
		cmocka_unit_test(many_regexes_have_one_budget),
		cmocka_unit_test(patterns_beyond_re2_are_errors_at_their_place),
		cmocka_unit_test(weights_share_out_users_evenly_and_a_user_stays),
		cmocka_unit_test(nobody_leaves_a_side_whose_weight_grows),
		cmocka_unit_test(sides_do_not_follow_the_remainders_of_tag_rules),
		cmocka_unit_test(a_side_without_weight_gets_nobody),
		cmocka_unit_test(a_rewrite_replaces_the_prefix_or_the_path),
		cmocka_unit_test(a_redirect_says_where_to),
		cmocka_unit_test(a_redirect_without_any_host_is_relative),
		cmocka_unit_test(retries_that_are_off_time_no_try),
		cmocka_unit_test(actions_reach_the_route),
		cmocka_unit_test(retries_without_conditions_have_istios),
		cmocka_unit_test(cluster_policies_come_from_host_or_port),
		cmocka_unit_test(a_subsets_settings_replace_the_hosts),
		cmocka_unit_test(a_port_that_is_named_must_be_http),
		cmocka_unit_test(ten_thousand_virtual_services_compile_and_route_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
