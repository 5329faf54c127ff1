/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include "base/array.h"
#include "manifest/virtual_service.h"

struct reading {
	struct diagnostics diagnostics;
	struct virtual_service_manifest service;
};

static struct reading read_spec(const char *spec)
{
	struct reading reading = {0};
	struct buffer text = {0};
	struct node **documents;

	buffer_printf(&text,
		      "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		      "metadata: {name: s}\nspec:\n%s",
		      spec);
	size_t count =
		nodes_read_memory("a.yaml", buffer_span(&text), &reading.diagnostics, &documents);
	if (count != 1)
		fail_msg("%s", diagnostics_text(&reading.diagnostics));
	assert_int_equal(virtual_service_read(documents[0], &reading.diagnostics, &reading.service),
			 0);
	nodes_free(documents, count);
	buffer_free(&text);
	return reading;
}

/* With one http[] entry of these fields. */
static struct reading read_entry(const char *fields)
{
	struct buffer text = {0};

	buffer_printf(&text, "  hosts: [a]\n  http:\n  - {%s}\n", fields);
	struct reading reading = read_spec(buffer_text(&text));
	buffer_free(&text);
	return reading;
}

static void done(struct reading *reading)
{
	virtual_service_free(&reading->service);
	diagnostics_free(&reading->diagnostics);
}

#define ROUTE "route: [{destination: {host: a}}]"

static void all_conditions_of_a_match_are_read(void **state)
{
	struct reading reading = read_entry(
		ROUTE ", match: [{name: m, uri: {prefix: /a}, scheme: {exact: http},"
		      "method: {regex: GET|HEAD}, authority: {exact: a.example.com},"
		      "headers: {x-a: {exact: \"1\"}, x-b: {}}, withoutHeaders: {x-c: {prefix: p}},"
		      "queryParams: {q: {exact: v}}, ignoreUriCase: true, port: 80,"
		      "sourceLabels: {app: b}, sourceNamespace: n, gateways: [mesh]}]");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_false(reading.service.faulty);
	const struct http_match_manifest *match = &reading.service.http[0].matches[0];
	assert_int_equal(match->uri.kind, STRING_MATCH_PREFIX);
	assert_int_equal(match->method.kind, STRING_MATCH_REGEX);
	assert_int_equal(match->header_count, 2);
	assert_int_equal(match->headers[1].match.kind, STRING_MATCH_PRESENT);
	assert_string_equal(match->without_headers[0].match.text, "p");
	assert_string_equal(match->query_params[0].name, "q");
	assert_true(match->ignore_uri_case);
	assert_int_equal(match->port, 80);
	assert_string_equal(labels_get(&match->source_labels, "app"), "b");
	assert_string_equal(match->source_namespace, "n");
	assert_int_equal(match->gateway_count, 1);
	done(&reading);
}

static void what_istio_reads_without_complaint_is_no_error(void **state)
{
	static const struct {
		const char *fields, *said;
	} rows[] = {
		{ROUTE ", match: [{}]", ""},
		{ROUTE ", websocketUpgrade: true", ""},
		{ROUTE ", mirror: {host: m}, mirror_percent: 25", ""},
		{"route: [{destination: {host: a}, weight: 0}]",
		 "warning: VirtualService/s: spec.http[0].route: takes every request in spite of"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct reading reading = read_entry(rows[i].fields);
		const struct http_route_manifest *route = &reading.service.http[0];

		assert_int_equal(reading.diagnostics.error_count, 0);
		assert_said(&reading.diagnostics, rows[i].said);
		assert_int_equal(route->destinations[0].weight, 1);
		assert_true(route->mirror_count == 0 || route->mirrors[0].share == 250000);
		done(&reading);
	}
}

static void all_actions_of_an_entry_are_read(void **state)
{
	struct reading reading = read_entry(
		"name: e, route: [{destination: {host: A.b, subset: v1, port: {number: 80}},"
		"weight: 90, headers: {response: {add: {x: y}}}}, {destination: {host: c}, weight: "
		"10}],"
		"rewrite: {uri: /n, authority: n}, timeout: 1.5s,"
		"retries: {attempts: 3, perTryTimeout: 250ms, retryOn: \"5xx,503\"},"
		"fault: {delay: {fixedDelay: 2s, percentage: {value: 0.1}},"
		"abort: {httpStatus: 503, percent: 25}},"
		"mirror: {host: m}, mirrorPercentage: {value: 50},"
		"mirrors: [{destination: {host: n}, percentage: {value: 0.0001}}],"
		"headers: {request: {set: {A: b}, remove: [c, d]}}");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	const struct http_route_manifest *route = &reading.service.http[0];
	assert_string_equal(route->name, "e");
	assert_int_equal(route->destination_count, 2);
	assert_string_equal(route->destinations[0].destination.host, "a.b");
	assert_int_equal(route->destinations[0].destination.port, 80);
	assert_int_equal(route->destinations[0].weight, 90);
	assert_string_equal(route->destinations[0].headers.response.add[0].value, "y");
	assert_string_equal(route->rewrite.uri, "/n");
	assert_int_equal(route->timeout_ms, 1500);
	assert_int_equal(route->retries.attempts, 3);
	assert_int_equal(route->retries.per_try_timeout_ms, 250);
	assert_int_equal(route->fault.delay_ms, 2000);
	assert_int_equal(route->fault.delay_share, 1000);
	assert_int_equal(route->fault.abort_status, 503);
	assert_int_equal(route->fault.abort_share, 250000);
	assert_int_equal(route->mirror_count, 2);
	assert_int_equal(route->mirrors[0].share, 500000);
	assert_int_equal(route->mirrors[1].share, 1);
	assert_string_equal(route->headers.request.set[0].name, "A");
	assert_int_equal(route->headers.request.remove_count, 2);
	done(&reading);
}

static void the_newer_form_of_a_mirrors_share_wins(void **state)
{
	static const struct {
		const char *fields;
		uint32_t share;
	} rows[] = {
		{"", 1000000},
		{", mirrorPercent: 25", 250000},
		{", mirrorPercent: 25, mirrorPercentage: {value: 50}", 500000},
		{", mirrorPercentage: {}", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct buffer text = {0};

		buffer_printf(&text, ROUTE ", mirror: {host: m}%s", rows[i].fields);
		struct reading reading = read_entry(buffer_text(&text));
		assert_nothing_said(&reading.diagnostics);
		assert_int_equal(reading.service.http[0].mirrors[0].share, rows[i].share);
		done(&reading);
		buffer_free(&text);
	}
}

static void a_fault_without_a_percentage_hits_nobody(void **state)
{
	struct reading reading = read_entry(ROUTE ", fault: {delay: {fixedDelay: 2s}, abort: "
						  "{httpStatus: 503, percentage: {}}}");

	(void)state;
	assert_said(&reading.diagnostics, "fault.delay: hits no request: percentage is missing");
	assert_int_equal(reading.diagnostics.error_count, 0);
	assert_int_equal(reading.service.http[0].fault.delay_share, 0);
	assert_int_equal(reading.service.http[0].fault.abort_share, 0);
	done(&reading);
}

static void redirects_and_direct_responses_are_read(void **state)
{
	struct reading redirect = read_entry("redirect: {uri: /x, authority: b, scheme: https,"
					     "port: 8443, redirectCode: 308}");
	struct reading answer =
		read_entry("directResponse: {status: 503, body: {string: \"closed\"}}");

	(void)state;
	assert_nothing_said(&redirect.diagnostics);
	assert_nothing_said(&answer.diagnostics);
	assert_int_equal(redirect.service.http[0].redirect.status, 308);
	assert_int_equal(redirect.service.http[0].redirect.port, 8443);
	assert_int_equal(answer.service.http[0].direct_status, 503);
	assert_true(span_equal(answer.service.http[0].direct_body, span_of("closed")));
	done(&redirect);
	done(&answer);
}

static void the_only_destination_takes_everything(void **state)
{
	struct reading reading = read_entry("route: [{destination: {host: a}, weight: 100}]");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.service.http[0].destinations[0].weight, 1);
	done(&reading);
}

static void what_is_wrong_with_an_entry_is_named(void **state)
{
	static const char *const rows[][2] = {
		{"name: x", "spec.http[0]: needs exactly one of route, redirect, directResponse"},
		{ROUTE ", redirect: {uri: /}", "needs exactly one of route, redirect"},
		{"route: []", "route needs a destination"},
		{"route: [{destination: {subset: a}}]",
		 "spec.http[0].route[0].destination.host: missing"},
		{"route: [{destination: {host: '*.a'}}]", "destination.host: \"*.a\" is no host"},
		{"route: [{destination: {host: a}}, {destination: {host: b}}]",
		 "several destinations need weights that are not all 0"},
		{"route: [{destination: {host: a}, weight: -1}]",
		 "spec.http[0].route[0].weight: must be a whole number"},
		{"route: [{destination: {host: a, port: {name: http}}}]",
		 "destination.port.name: unknown field"},
		{ROUTE ", match: [~]", "spec.http[0].match[0]: must be a mapping"},
		{ROUTE ", match: [{uri: {}}]", "match[0].uri: needs one of exact, prefix, regex"},
		{ROUTE ", match: [{uri: {exact: /a, prefix: /b}}]",
		 "match[0].uri: only one of exact, prefix, regex"},
		{ROUTE ", match: [{uri: {suffix: /a}}]", "match[0].uri.suffix: unknown field"},
		{ROUTE ", match: [{headers: {x: {exact: 1}}}]",
		 "a.yaml:7:71: VirtualService/s: spec.http[0].match[0].headers.x.exact: must be a "
		 "text; "
		 "to YAML 1 is a number"},
		{ROUTE ", match: [{headers: {':path': {exact: a}}}]", "is no header name"},
		{ROUTE ", match: [{header: {x: {exact: a}}}]", "match[0].header: unknown field"},
		{ROUTE ", timeout: 5", "spec.http[0].timeout: must be a duration"},
		{ROUTE ", timeout: 100000h", "spec.http[0].timeout: must be "},
		{ROUTE ", retries: {perTryTimeout: 0s}", "perTryTimeout: must be at least 1ms"},
		{ROUTE ", fault: {delay: {percentage: {value: 1}}}",
		 "fault.delay.fixedDelay: missing"},
		{ROUTE ", fault: {abort: {grpcStatus: UNAVAILABLE}}",
		 "fault.abort.grpcStatus: not supported"},
		{ROUTE ", fault: {abort: {httpStatus: 500, percentage: {value: 101}}}",
		 "fault.abort.percentage.value: must be a number from 0 to 100"},
		{ROUTE ", delegate: {name: x}",
		 "needs exactly one of route, redirect, directResponse, delegate"},
		{ROUTE ", corsPolicy: {maxAge: 1h}", "spec.http[0].corsPolicy: not supported"},
		{ROUTE ", rewrite: {uri: x}", "rewrite.uri: must begin with /"},
		{ROUTE ", rewrite: {uri: \"/a b\"}",
		 "rewrite.uri: holds bytes that no request target may hold: write them as %XX"},
		{ROUTE ", rewrite: {uri: \"/a#b\"}",
		 "rewrite.uri: holds bytes that no request target may hold"},
		{ROUTE ", rewrite: {authority: \"a/b\"}",
		 "rewrite.authority: must be a host, with or without a port"},
		{ROUTE ", rewrite: {uriRegexRewrite: {match: a}}",
		 "rewrite.uriRegexRewrite.rewrite: missing"},
		{ROUTE ", rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}",
		 "rewrite.uriRegexRewrite: cannot stand beside uri"},
		{ROUTE ", rewrite: {uriRegexRewrite: {match: a, rewrite: \"a b\"}}",
		 "rewrite.uriRegexRewrite.rewrite: holds bytes that no request target may hold"},
		{ROUTE ", headers: {request: {set: {x: \"a\\r\\nb\"}}}",
		 "headers.request.set.x: holds bytes that no header may hold"},
		{ROUTE ", headers: {request: {add: {x: '%REQ(a)%'}}}",
		 "variables are not supported"},
		{ROUTE ", headers: {request: {set: {content-length: \"1\"}}}",
		 "cannot be changed: this header belongs to the connection"},
		{ROUTE ", headers: {request: {set: {Host: a/b}}}", "\"a/b\" is no authority"},
		{ROUTE ", headers: {request: {add: {Host: a}}}",
		 "authority of requests can be set"},
		{ROUTE ", headers: {response: {set: {Host: a}}}", "authority of requests can be"},
		{ROUTE ", headers: {response: {remove: [\"a b\"]}}", "is no header name"},
		{ROUTE ", mirror: {subset: a}", "spec.http[0].mirror.host: missing"},
		{"redirect: {redirectCode: 304}",
		 "redirectCode: must be 301, 302, 303, 307 or 308"},
		{"redirect: {scheme: ftp}", "redirect.scheme: must be http or https"},
		{"redirect: {uri: new}", "redirect.uri: must begin with /"},
		{"redirect: {uri: '/a b'}", "redirect.uri: holds bytes that no head may hold"},
		{"redirect: {authority: 'u@a'}", "redirect.authority: must be a host"},
		{"redirect: {authority: '[::1'}", "redirect.authority: must be a host"},
		{"redirect: {uri: '%PREFIX()%/x'}", "%PREFIX()% is not supported"},
		{"redirect: {port: 1, derivePort: FROM_REQUEST_PORT}", "cannot both stand here"},
		{"redirect: {uri: /}, rewrite: {uri: /}", "rewrite can only stand beside route"},
		{"directResponse: {status: 200}, fault: {abort: {httpStatus: 500, percent: 1}}",
		 "fault can only stand beside route"},
		{"directResponse: {body: {string: a}}", "directResponse.status: missing"},
		{"directResponse: {status: 100}", "must be a whole number from 200 to 599"},
		{"directResponse: {status: 200, body: {bytes: YQ==}}", "bytes: not supported"},
		{"routes: []", "spec.http[0].routes: unknown field"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_entry(rows[i][0]);

		assert_said(&reading.diagnostics, rows[i][1]);
		assert_true(reading.service.faulty);
		done(&reading);
	}
}

static void what_serves_without_a_field_is_served_with_a_warning(void **state)
{
	static const char *const rows[][2] = {
		{"  hosts: [a]\n  tcp: [{}]\n",
		 "warning: VirtualService/s: spec.tcp: not supported: "},
		{"  hosts: [a]\n  tls: [{}]\n  http: [{" ROUTE "}]\n",
		 "warning: VirtualService/s: spec.tls: not supported: "},
		{"  hosts: [a]\n  http: [{" ROUTE ", retries: {attempts: 3, backoff: 1s}}]\n",
		 "retries.backoff: not supported: retries wait"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_spec(rows[i][0]);

		assert_said(&reading.diagnostics, rows[i][1]);
		assert_false(reading.service.faulty);
		done(&reading);
	}
}

static void what_is_wrong_with_the_spec_is_named(void **state)
{
	static const char *const rows[][2] = {
		{"  hosts: [a]\n", "spec.http: missing"},
		{"  hosts: [a]\n  tcp: [{}]\n  http: {}\n", "spec.http: must be a list"},
		{"  hosts: [a]\n  exportTo: .\n", "spec.exportTo: must be a list"},
		{"  hosts: ['a.*']\n", "spec.hosts[0]: \"a.*\" is no host"},
		{"  hosts: a\n", "spec.hosts: must be a list, not a single value"},
		{"  hosts: [[a]]\n", "spec.hosts[0]: must be a text"},
		{"  hosts: [a]\n  http: [a]\n", "spec.http[0]: must be a mapping"},
		{"  hosts: [a]\n  http:\n  -\n", "spec.http[0]: must be a mapping"},
		{"  hosts: [a]\n  gateway: [a]\n", "spec.gateway: unknown field"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_spec(rows[i][0]);

		assert_said(&reading.diagnostics, rows[i][1]);
		assert_true(reading.service.faulty);
		done(&reading);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_conditions_of_a_match_are_read),
		cmocka_unit_test(what_istio_reads_without_complaint_is_no_error),
		cmocka_unit_test(all_actions_of_an_entry_are_read),
		cmocka_unit_test(the_newer_form_of_a_mirrors_share_wins),
		cmocka_unit_test(a_fault_without_a_percentage_hits_nobody),
		cmocka_unit_test(redirects_and_direct_responses_are_read),
		cmocka_unit_test(the_only_destination_takes_everything),
		cmocka_unit_test(what_is_wrong_with_an_entry_is_named),
		cmocka_unit_test(what_serves_without_a_field_is_served_with_a_warning),
		cmocka_unit_test(what_is_wrong_with_the_spec_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
