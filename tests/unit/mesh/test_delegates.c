/* SPDX-License-Identifier: GPL-2.0-only */
/* http[] entries that delegate to another VirtualService. */
#include "unit/mesh/mesh_test.h"

#include "base/array.h"

#define GATEWAY                                               \
	"apiVersion: networking.istio.io/v1\nkind: Gateway\n" \
	"metadata: {name: gw}\nspec:\n  servers:\n"           \
	"  - port: {number: 8080, protocol: HTTP}\n    hosts: ['*']\n---\n"
#define SERVICE(name, namespace)                                                                  \
	"apiVersion: v1\nkind: Service\n"                                                         \
	"metadata: {name: " name                                                                  \
	", namespace: " namespace "}\n"                                                           \
				  "spec: {selector: {app: " name "}, ports: [{port: 80}]}\n---\n" \
				  "apiVersion: v1\nkind: Pod\n"                                   \
				  "metadata: {name: " name                                        \
				  "-1, namespace: " namespace ", labels: {app: " name             \
							      "}}\nstatus: {podIP: "              \
							      "10.0.0.1}\n---\n"
#define ROOT(http)                                                                                \
	GATEWAY SERVICE("a", "default")                                                           \
		SERVICE("b", "team") "apiVersion: networking.istio.io/v1\nkind: VirtualService\n" \
				     "metadata: {name: root}\nspec:\n  hosts: [x.test]\n"         \
				     "  gateways: [gw]\n  http:\n" http "---\n"
#define DELEGATE(more, http)                                         \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\n" \
	"metadata: {name: d, namespace: team}\nspec:\n" more "  http:\n" http
#define TO_D "    delegate: {name: d, namespace: team}\n"
#define TO_A "  - route: [{destination: {host: a}}]\n"
#define TO_B "    route: [{destination: {host: b}}]\n"
#define B "b.team.svc.cluster.local|-|80"
#define A "a.default.svc.cluster.local|-|80"

struct row {
	const char *yaml, *target, *field, *expected;
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct fixture fixture;
		char text[300];

		fixture_compile(&fixture, rows[i].yaml);
		if (fixture.diagnostics.error_count)
			fail_msg("%s", diagnostics_text(&fixture.diagnostics));
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x.test\r\n%s\r\n",
			 rows[i].target, rows[i].field);
		const char *is = route_text(fixture.mesh, gateway_at(fixture.mesh, 8080), text);
		if (strcmp(is, rows[i].expected) != 0)
			fail_msg("row %zu: %s, not %s", i, is, rows[i].expected);
		fixture_stop(&fixture);
	}
}

static void the_conditions_of_both_must_hold(void **state)
{
#define BY_HEADER                                                                          \
	ROOT("  - match: [{uri: {prefix: /p}, headers: {x-a: {exact: '1'}}}]\n" TO_D TO_A) \
	DELEGATE("", "  - match: [{uri: {prefix: /p/q}, headers: {x-b: {exact: '2'}}}]\n" TO_B)
	static const struct row rows[] = {
		{BY_HEADER, "/p/q", "x-a: 1\r\nx-b: 2\r\n", B},
		{BY_HEADER, "/p/q", "x-b: 2\r\n", A},
		{BY_HEADER, "/p/q", "x-a: 1\r\n", A},
		{BY_HEADER, "/p", "x-a: 1\r\nx-b: 2\r\n", A},
		/* The root's alone. */
		{ROOT("  - match: [{uri: {prefix: /p}}]\n" TO_D TO_A)
			 DELEGATE("", "  - name: all\n" TO_B),
		 "/p/z", "", B},
		/* Not within the root's: never. */
		{ROOT("  - match: [{uri: {prefix: /p}}]\n" TO_D TO_A)
			 DELEGATE("", "  - match: [{uri: {prefix: /o}}]\n" TO_B),
		 "/o", "", A},
		{ROOT("  - match: [{uri: {exact: /p}}]\n" TO_D TO_A)
			 DELEGATE("", "  - match: [{uri: {prefix: /p}}]\n" TO_B),
		 "/p", "", A},
		{ROOT("  - match: [{port: 8080}]\n" TO_D TO_A)
			 DELEGATE("", "  - match: [{port: 81}]\n" TO_B),
		 "/", "", A},
		/* Several of each. */
		{ROOT("  - match: [{uri: {prefix: /p}}, {uri: {prefix: /r}}]\n" TO_D TO_A) DELEGATE(
			 "", "  - match: [{uri: {prefix: /r/1}}, {method: {exact: PUT}}]\n" TO_B),
		 "/r/1", "", B},
	};

	(void)state;
	check_rows(rows, ARRAY_LENGTH(rows));
}

static void a_delegate_that_cannot_be_had_costs_its_entry(void **state)
{
	static const struct {
		const char *delegate, *said;
	} rows[] = {
		{"", "the delegate team/d: there is no such VirtualService"},
		{DELEGATE("  hosts: [y.test]\n", "  - name: all\n" TO_B),
		 "it has hosts of its own"},
		{DELEGATE("  exportTo: [.]\n", "  - name: all\n" TO_B),
		 "its exportTo does not name this namespace"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct fixture fixture;
		struct buffer text = {0};

		buffer_printf(&text, "%s%s", ROOT("  - match: [{uri: {prefix: /p}}]\n" TO_D TO_A),
			      rows[i].delegate);
		fixture_compile(&fixture, buffer_text(&text));
		assert_int_equal(fixture.diagnostics.error_count, 0);
		assert_said(&fixture.diagnostics, rows[i].said);
		assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 8080),
					       "GET /p HTTP/1.1\r\nHost: x.test\r\n\r\n"),
				    A);
		fixture_stop(&fixture);
		buffer_free(&text);
	}
}

static void what_the_delegate_does_not_say_the_root_does(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture,
		      ROOT("  - match: [{uri: {prefix: /p}}]\n    timeout: 3s\n"
			   "    headers: {request: {set: {x-r: root, x-s: root}}}\n" TO_D)
			      DELEGATE("", "  - name: all\n    retries: {attempts: 5}\n"
					   "    headers: {request: {set: {x-s: leaf}}}\n" TO_B));
	request_route(&request, fixture.mesh, gateway_at(fixture.mesh, 8080),
		      "GET /p HTTP/1.1\r\nHost: x.test\r\n\r\n");
	const struct mesh_route *route = request.result.route;
	assert_non_null(route);
	assert_int_equal(route->timeout_ms, 3000);
	assert_int_equal(route->retries.attempts, 5);
	assert_int_equal(route->request_headers.set_count, 3);
	assert_true(span_equal(route->request_headers.set[2].value, span_of("leaf")));
	fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_conditions_of_both_must_hold),
		cmocka_unit_test(a_delegate_that_cannot_be_had_costs_its_entry),
		cmocka_unit_test(what_the_delegate_does_not_say_the_root_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
