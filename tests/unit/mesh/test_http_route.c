/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTPRoutes mean what the specification of the Gateway API says: a test for each of its cases. */
#include "unit/mesh/mesh_test.h"

#define SERVICE(name, namespace, address, pod)                                                 \
	"---\napiVersion: v1\nkind: Service\n"                                                 \
	"metadata: {name: " name                                                               \
	", namespace: " namespace "}\n"                                                        \
				  "spec: {clusterIP: " address ", selector: {app: " name "}, " \
				  "ports: [{name: http, port: 80}, {name: admin, port: 81, "   \
				  "appProtocol: http}]}\n"                                     \
				  "---\napiVersion: v1\nkind: Pod\n"                           \
				  "metadata: {name: " name                                     \
				  "-1, namespace: " namespace ", labels: {app: " name "}}\n"   \
							      "status: {podIP: " pod           \
							      ", phase: Running}\n"

#define SERVICES                                         \
	SERVICE("a", "default", "10.96.0.1", "10.1.0.1") \
	SERVICE("b", "default", "10.96.0.2", "10.1.0.2") \
	SERVICE("c", "default", "10.96.0.3", "10.1.0.3") \
	SERVICE("d", "other", "10.96.0.4", "10.1.0.4")

#define GATEWAY                                                                               \
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\n" \
	"spec: {gatewayClassName: istio, listeners: [{name: http, port: 8080, protocol: HTTP}]}\n"

#define ROUTE_NAMED(name, hostnames, rules)                                \
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n" \
	"metadata: {name: " name "}\nspec:\n  parentRefs: [{name: g}]\n"   \
	"  hostnames: [" hostnames "]\n  rules:\n" rules
#define ROUTE(rules) ROUTE_NAMED("r", "x.test", rules)

#define TO(name) "backendRefs: [{name: " name ", port: 80}]"
#define AT(name) name ".default.svc.cluster.local|-|80"

static const char *at_gateway(const struct fixture *fixture, const char *head)
{
	return route_text(fixture->mesh, gateway_at(fixture->mesh, 8080), head);
}

static const char *get(const struct fixture *fixture, const char *target)
{
	static char head[600];

	snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: x.test\r\n\r\n", target);
	return at_gateway(fixture, head);
}

static const char *get_with(const struct fixture *fixture, const char *target, const char *field)
{
	static char head[600];

	snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: x.test\r\n%s\r\n\r\n", target,
		 field);
	return at_gateway(fixture, head);
}

static void a_path_prefix_matches_whole_elements(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(
		&fixture,
		SERVICES GATEWAY ROUTE(
			"  - matches: [{path: {type: PathPrefix, value: /foo}}]\n    " TO(
				"a") "\n"
				     "  - matches: [{path: {value: /bar/}}]\n    " TO("b") "\n"));
	assert_string_equal(get(&fixture, "/foo"), AT("a"));
	assert_string_equal(get(&fixture, "/foo/"), AT("a"));
	assert_string_equal(get(&fixture, "/foo/x?y=1"), AT("a"));
	assert_string_equal(get(&fixture, "/foobar"), "no match");
	assert_string_equal(get(&fixture, "/bar"), AT("b"));
	assert_string_equal(get(&fixture, "/"), "no match");
	fixture_stop(&fixture);
}

static void exact_then_longest_prefix_then_regular_expression(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture,
		      SERVICES GATEWAY ROUTE("  - matches: [{path: {value: /}}]\n    " TO(
			      "a") "\n"
				   "  - matches: [{path: {value: /long}}]\n    " TO(
					   "b") "\n"
						"  - matches: [{path: {type: Exact, value: "
						"/long/one}}]\n    " TO(
							"c") "\n"
							     "  - matches: [{path: {type: "
							     "RegularExpression, value: "
							     "/long/.*}}]\n    " TO("a") "\n"));
	assert_string_equal(get(&fixture, "/x"), AT("a"));
	assert_string_equal(get(&fixture, "/long/two"), AT("b"));
	assert_string_equal(get(&fixture, "/long/one"), AT("c"));
	fixture_stop(&fixture);
	fixture_start(&fixture,
		      SERVICES GATEWAY ROUTE("  - matches: [{path: {type: RegularExpression, "
					     "value: '/v[0-9]+/x'}}]\n    " TO("a") "\n"));
	assert_string_equal(get(&fixture, "/v12/x"), AT("a"));
	assert_string_equal(get(&fixture, "/v12/xy"), "no match");
	fixture_stop(&fixture);
}

static void method_then_headers_then_query_parameters(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(
		&fixture,
		SERVICES GATEWAY ROUTE("  - matches: [{path: {value: /p}}]\n    " TO(
			"a") "\n"
			     "  - matches: [{path: {value: /p}, headers: [{name: one, value: '1'}, "
			     "{name: two, "
			     "value: '2'}]}]\n    " TO("b") "\n"
							    "  - matches: [{path: {value: /p}, "
							    "method: POST}]\n    " TO("c") "\n"));
	assert_string_equal(get_with(&fixture, "/p", "one: 1"), AT("a"));
	assert_string_equal(get_with(&fixture, "/p", "ONE: 1\r\ntwo: 2"), AT("b"));
	assert_string_equal(at_gateway(&fixture,
				       "POST /p HTTP/1.1\r\nHost: x.test\r\none: 1\r\ntwo: 2\r\n"
				       "Content-Length: 0\r\n\r\n"),
			    AT("c"));
	fixture_stop(&fixture);
	fixture_start(
		&fixture,
		SERVICES GATEWAY ROUTE("  - " TO(
			"a") "\n"
			     "  - matches: [{queryParams: [{name: q, value: x}]}]\n    " TO(
				     "b") "\n"
					  "  - matches: [{queryParams: [{name: q, value: 'x.*', "
					  "type: RegularExpression}, "
					  "{name: r, value: y}]}]\n    " TO(
						  "c") "\n"
						       "  - matches: [{headers: [{name: h, value: "
						       "'v.*', type: RegularExpression}]}]\n   "
						       " " TO("b") "\n"));
	assert_string_equal(get(&fixture, "/?q=x"), AT("b"));
	assert_string_equal(get(&fixture, "/?q=xx&r=y"), AT("c"));
	assert_string_equal(get(&fixture, "/?q=xx"), AT("a"));
	assert_string_equal(get_with(&fixture, "/?q=xx&r=y", "h: v2"), AT("b"));
	fixture_stop(&fixture);
}

static void of_one_name_the_first_condition_counts(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture,
		      SERVICES GATEWAY ROUTE("  - matches: [{headers: [{name: h, value: '1'}, "
					     "{name: H, value: '2'}]}]\n    " TO("a") "\n"));
	assert_string_equal(get_with(&fixture, "/", "h: 1"), AT("a"));
	assert_string_equal(get_with(&fixture, "/", "h: 2"), "no match");
	fixture_stop(&fixture);
}

/* Several routes at one host: by precedence, then the older one, then by namespace and name. */
static void routes_of_one_host_count_together(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(
		&fixture,
		SERVICES GATEWAY ROUTE_NAMED("a-general", "x.test", "  - " TO("a") "\n")
			ROUTE_NAMED("b-special", "x.test",
				    "  - matches: [{path: {value: /s}}]\n    " TO(
					    "b") "\n"
						 "  - matches: [{path: {value: /s/t}}]\n    " TO(
							 "b") "\n")
				ROUTE_NAMED(
					"c-special", "x.test",
					"  - matches: [{path: {value: /s}}]\n    " TO(
						"c") "\n"
						     "  - matches: [{path: {value: /s/t/u}}]\n   "
						     " " TO("c") "\n"
								 "  - matches: [{path: {type: "
								 "RegularExpression, value: "
								 "/hidden.*}}]\n    " TO(
									 "c") "\n"));
	assert_string_equal(get(&fixture, "/"), AT("a"));
	assert_string_equal(get(&fixture, "/s"), AT("b"));
	assert_string_equal(get(&fixture, "/s/t/u"), AT("c"));
	assert_string_equal(get(&fixture, "/hidden"), AT("a"));
	fixture_stop(&fixture);
	fixture_start(&fixture,
		      SERVICES GATEWAY ROUTE_NAMED(
			      "a", "x.test",
			      "  - " TO("a") "\n") "---\napiVersion: "
						   "gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
						   "metadata: {name: b, creationTimestamp: "
						   "'2024-01-01T00:00:00Z'}\n"
						   "spec: {parentRefs: [{name: g}], hostnames: "
						   "[x.test], rules: [{" TO("b") "}]}\n");
	assert_string_equal(get(&fixture, "/"), AT("b"));
	fixture_stop(&fixture);
}

static void hostnames_meet_those_of_the_listener(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(
		&fixture, SERVICES
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: "
		"g}\n"
		"spec:\n  gatewayClassName: istio\n  listeners:\n"
		"  - {name: wild, port: 8080, protocol: HTTP, hostname: '*.wild.test'}\n"
		"  - {name: exact, port: 8080, protocol: HTTP, hostname: exact.test}\n"
		"  - {name: other, port: 8081, protocol: HTTP}\n"
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: r}\nspec:\n"
		"  parentRefs: [{name: g, sectionName: wild}, {name: g, port: 8081}]\n"
		"  hostnames: [one.wild.test, exact.test]\n  rules: [{" TO(
			"a") "}]\n"
			     "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
			     "metadata: {name: all}\nspec:\n"
			     "  parentRefs: [{name: g, sectionName: exact}]\n  rules: [{" TO(
				     "b") "}]\n");
	assert_string_equal(at_gateway(&fixture, "GET / HTTP/1.1\r\nHost: one.wild.test\r\n\r\n"),
			    AT("a"));
	assert_string_equal(at_gateway(&fixture, "GET / HTTP/1.1\r\nHost: two.wild.test\r\n\r\n"),
			    "no host");
	assert_string_equal(at_gateway(&fixture, "GET / HTTP/1.1\r\nHost: exact.test\r\n\r\n"),
			    AT("b"));
	assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 8081),
				       "GET / HTTP/1.1\r\nHost: exact.test:8081\r\n\r\n"),
			    AT("a"));
	fixture_stop(&fixture);
}

#define LISTENER(allowed)                                                                     \
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\n" \
	"spec: {gatewayClassName: x, listeners: [{name: http, port: 8080, protocol: HTTP, "   \
	"allowedRoutes: {namespaces: " allowed "}}]}\n"
#define FOREIGN_ROUTE                                                            \
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"       \
	"metadata: {name: r, namespace: other}\nspec:\n"                         \
	"  parentRefs: [{name: g, namespace: default}]\n  hostnames: [x.test]\n" \
	"  rules: [{" TO("d") "}]\n"

static void a_listener_says_which_namespaces_may_attach(void **state)
{
	static const struct {
		const char *yaml, *expected;
	} cases[] = {
		{SERVICES GATEWAY FOREIGN_ROUTE, "no host"},
		{SERVICES LISTENER("{from: Same}") FOREIGN_ROUTE, "no host"},
		{SERVICES LISTENER("{from: All}") FOREIGN_ROUTE, "d.other.svc.cluster.local|-|80"},
		{SERVICES LISTENER("{from: Selector, selector: {matchLabels: "
				   "{kubernetes.io/metadata.name: other}}}") FOREIGN_ROUTE,
		 "d.other.svc.cluster.local|-|80"},
		{SERVICES LISTENER(
			 "{from: Selector, selector: {matchExpressions: [{key: "
			 "kubernetes.io/metadata.name, operator: In, values: [z, other]}]}}")
			 FOREIGN_ROUTE,
		 "d.other.svc.cluster.local|-|80"},
		{SERVICES LISTENER("{from: Selector, selector: {matchLabels: {team: x}}}")
			 FOREIGN_ROUTE,
		 "no host"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fixture;

		fixture_start(&fixture, cases[i].yaml);
		assert_string_equal(get(&fixture, "/"), cases[i].expected);
		fixture_stop(&fixture);
	}
}

static void listeners_without_plain_http_are_left_out_loudly(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, SERVICES "---\napiVersion: gateway.networking.k8s.io/v1\nkind: "
					 "Gateway\nmetadata: {name: g}\n"
					 "spec: {gatewayClassName: x, listeners: [{name: https, "
					 "port: 8443, protocol: HTTPS, "
					 "tls: {certificateRefs: [{name: c}]}}, {name: http, port: "
					 "8080, protocol: HTTP}]}\n" ROUTE("  - " TO("a") "\n"));
	assert_said(&fixture.diagnostics, "HTTPS is not supported, only HTTP is: this listener is "
					  "left out");
	assert_string_equal(get(&fixture, "/"), AT("a"));
	assert_int_equal(fixture.diagnostics.count, 1);
	fixture_stop(&fixture);
}

static void weights_are_kept_by_user(void **state)
{
	struct fixture fixture;
	unsigned to_b = 0;

	(void)state;
	fixture_start(&fixture,
		      SERVICES GATEWAY ROUTE("  - backendRefs: [{name: a, port: 80, weight: 90}, "
					     "{name: b, port: 80, weight: 10}, "
					     "{name: c, port: 80, weight: 0}]\n"));
	for (uint64_t hash = 0; hash < 10000; hash++) {
		struct request request;
		const char *first = NULL;

		for (int again = 0; again < 2; again++) {
			request_parse(&request, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n");
			request.query.listener = gateway_at(fixture.mesh, 8080);
			request.query.hash = hash * UINT64_C(0x9e3779b97f4a7c15);
			mesh_route(fixture.mesh, &request.query, &request.result);
			const char *host = request.result.cluster->host;
			assert_true(!first || first == host);
			first = host;
		}
		assert_string_not_equal(first, "c.default.svc.cluster.local");
		to_b += strcmp(first, "b.default.svc.cluster.local") == 0;
	}
	assert_in_range(to_b, 850, 1150);
	fixture_stop(&fixture);
}

/* The status of what is not forwarded: of a direct response, or of a cluster that is missing. */
static unsigned status_of(const struct fixture *fixture, const char *head)
{
	struct request request;

	request_route(&request, fixture->mesh, gateway_at(fixture->mesh, 8080), head);
	if (request.result.action == ROUTE_DIRECT_RESPONSE)
		return request.result.route->direct_response.status;
	if (request.result.action == ROUTE_NO_ENDPOINT && request.result.cluster->missing)
		return request.result.cluster->missing_status;
	return request.result.action == ROUTE_NO_ENDPOINT ? 503 : 0;
}

static void what_is_no_backend_is_answered_with_500(void **state)
{
	static const struct {
		const char *yaml, *said;
	} cases[] = {
		{SERVICES GATEWAY ROUTE("  - matches: [{path: {value: /}}]\n"), "requests get 500"},
		{SERVICES GATEWAY ROUTE("  - backendRefs: [{name: a, port: 80, weight: 0}]\n"),
		 "spec.rules[0].backendRefs: no backend has a weight"},
		{SERVICES GATEWAY ROUTE("  - " TO("nowhere") "\n"),
		 "spec.rules[0].backendRefs[0]: no Service has the host nowhere.default"},
		{SERVICES GATEWAY ROUTE("  - backendRefs: [{name: a, port: 9}]\n"),
		 "the port 9 is none of a.default"},
		{SERVICES GATEWAY ROUTE("  - backendRefs: [{name: a}]\n"), "names no port"},
		{SERVICES GATEWAY ROUTE("  - backendRefs: [{name: a, kind: Bucket, port: 80}]\n"),
		 "only a Service can be a backend"},
		{SERVICES GATEWAY ROUTE("  - filters: [{type: ExtensionRef, extensionRef: {group: "
					"x.test, kind: K, name: n}}]\n    " TO("a") "\n"),
		 "spec.rules[0].filters[0]: the filter ExtensionRef is not supported: such "
		 "requests "
		 "get 500"},
		{SERVICES GATEWAY ROUTE(
			 "  - backendRefs: [{name: d, namespace: other, port: 80}]\n"),
		 "no ReferenceGrant in the namespace other"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fixture;

		fixture_compile(&fixture, cases[i].yaml);
		assert_int_equal(fixture.result, 0);
		assert_said(&fixture.diagnostics, cases[i].said);
		assert_int_equal(fixture.diagnostics.count, 1);
		assert_int_equal(status_of(&fixture, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n"),
				 500);
		fixture_stop(&fixture);
	}
}

static void a_service_without_endpoints_is_503(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(
		&fixture,
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
		"spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}\n" GATEWAY ROUTE(
			"  - " TO("a") "\n"));
	assert_int_equal(status_of(&fixture, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n"), 503);
	fixture_stop(&fixture);
}

#define GRANT(from, to)                                                                        \
	"---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\n"           \
	"metadata: {name: grant, namespace: other}\nspec:\n"                                   \
	"  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: " from "}]\n" \
	"  to: [{group: '', kind: Service" to "}]\n"
#define ACROSS SERVICES GATEWAY ROUTE("  - backendRefs: [{name: d, namespace: other, port: 80}]\n")

static void a_reference_grant_lets_routes_lead_to_another_namespace(void **state)
{
	static const struct {
		const char *yaml;
		bool permitted;
	} cases[] = {
		{ACROSS GRANT("default", ""), true},
		{ACROSS GRANT("default", ", name: d"), true},
		{ACROSS GRANT("default", ", name: e"), false},
		{ACROSS GRANT("third", ""), false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fixture;

		fixture_compile(&fixture, cases[i].yaml);
		assert_int_equal(fixture.result, 0);
		assert_int_equal(fixture.diagnostics.route_error_count, !cases[i].permitted);
		assert_string_equal(get(&fixture, "/"), cases[i].permitted
								? "d.other.svc.cluster.local|-|80"
								: "no endpoint");
		fixture_stop(&fixture);
	}
}

static char *target_of(const struct fixture *fixture, const char *target)
{
	struct request request;
	struct buffer out = {0};
	char head[600];

	snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: x.test\r\n\r\n", target);
	request_route(&request, fixture->mesh, gateway_at(fixture->mesh, 8080), head);
	assert_int_equal(request.result.action, ROUTE_FORWARD);
	assert_int_equal(mesh_write_target(&request.result, span_of(target), &out), 0);
	char *text = span_copy(buffer_span(&out));
	buffer_free(&out);
	return text;
}

static void assert_target(const struct fixture *fixture, const char *target, const char *expected)
{
	char *written = target_of(fixture, target);

	assert_string_equal(written, expected);
	free(written);
}

#define REWRITE(prefix, path)                                                                      \
	SERVICES GATEWAY ROUTE("  - matches: [{path: {value: " prefix "}}]\n"                      \
			       "    filters: [{type: URLRewrite, urlRewrite: {path: " path "}}]\n" \
			       "    " TO("a") "\n")

/* The specification's own table. */
static void a_prefix_is_replaced_by_whole_elements(void **state)
{
	static const char *const rows[][4] = {
		{"/foo", "/xyz", "/foo/bar", "/xyz/bar"},
		{"/foo", "/xyz/", "/foo/bar", "/xyz/bar"},
		{"/foo/", "/xyz", "/foo/bar", "/xyz/bar"},
		{"/foo/", "/xyz/", "/foo/bar", "/xyz/bar"},
		{"/foo", "/xyz", "/foo", "/xyz"},
		{"/foo/", "/xyz", "/foo/", "/xyz/"},
		{"/foo", "", "/foo/bar", "/bar"},
		{"/foo/", "", "/foo/bar", "/bar"},
		{"/foo", "", "/foo", "/"},
		{"/foo/", "/", "/foo/", "/"},
		{"/foo", "/", "/foo/bar?q=1", "/bar?q=1"},
		{"/", "/xyz", "/bar", "/xyz/bar"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture fixture;
		char yaml[8000];

		snprintf(yaml, sizeof(yaml),
			 REWRITE("%s", "{type: ReplacePrefixMatch, replacePrefixMatch: '%s'}"),
			 rows[i][0], rows[i][1]);
		fixture_start(&fixture, yaml);
		assert_target(&fixture, rows[i][2], rows[i][3]);
		fixture_stop(&fixture);
	}
}

static void a_full_path_is_replaced_whatever_matched(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, REWRITE("/foo", "{type: ReplaceFullPath, replaceFullPath: /one}"));
	assert_target(&fixture, "/foo", "/one");
	assert_target(&fixture, "/foo/bar?q=1", "/one?q=1");
	fixture_stop(&fixture);
}

static void assert_location(const char *filter, const char *head, const char *expected)
{
	struct fixture fixture;
	struct request request;
	struct buffer out = {0};
	char yaml[8000];

	snprintf(yaml, sizeof(yaml),
		 SERVICES GATEWAY ROUTE(
			 "  - matches: [{path: {value: /foo}}]\n"
			 "    filters: [{type: RequestRedirect, requestRedirect: %s}]\n"),
		 filter);
	fixture_start(&fixture, yaml);
	request_route(&request, fixture.mesh, gateway_at(fixture.mesh, 8080), head);
	assert_int_equal(request.result.action, ROUTE_REDIRECT);
	buffer_printf(&out, "%u ", request.result.route->redirect.status);
	mesh_write_location(&request.query, &request.result, &out);
	assert_string_equal(buffer_text(&out), expected);
	buffer_free(&out);
	fixture_stop(&fixture);
}

static void a_redirect_keeps_what_its_filter_does_not_name(void **state)
{
	static const char head[] = "GET /foo/bar?q=1 HTTP/1.1\r\nHost: x.test:9999\r\n\r\n";

	(void)state;
	assert_location("{hostname: other.test}", head, "302 http://other.test:8080/foo/bar?q=1");
	assert_location("{scheme: https, statusCode: 301}", head, "301 https://x.test/foo/bar?q=1");
	assert_location("{scheme: http}", head, "302 http://x.test/foo/bar?q=1");
	assert_location("{scheme: https, port: 8443}", head, "302 https://x.test:8443/foo/bar?q=1");
	assert_location("{port: 80}", head, "302 http://x.test/foo/bar?q=1");
	assert_location("{path: {type: ReplaceFullPath, replaceFullPath: /one}, port: 80}", head,
			"302 http://x.test/one?q=1");
	assert_location("{path: {type: ReplacePrefixMatch, replacePrefixMatch: /xyz}, port: 80}",
			head, "302 http://x.test/xyz/bar?q=1");
	assert_location("{path: {type: ReplacePrefixMatch, replacePrefixMatch: /}, port: 80}",
			"GET /foo HTTP/1.1\r\nHost: x.test\r\n\r\n", "302 http://x.test/");
}

static void filters_change_headers_and_mirror(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture,
		      SERVICES GATEWAY ROUTE(
			      "  - filters:\n"
			      "    - {type: RequestHeaderModifier, requestHeaderModifier: {set: "
			      "[{name: s, value: "
			      "v}, {name: host, value: set.test}], add: [{name: t, value: w}], "
			      "remove: [u]}}\n"
			      "    - {type: ResponseHeaderModifier, responseHeaderModifier: {add: "
			      "[{name: x, value: "
			      "y}]}}\n"
			      "    - {type: RequestMirror, requestMirror: {backendRef: {name: b, "
			      "port: 80}, "
			      "fraction: {numerator: 1, denominator: 3}}}\n"
			      "    - {type: URLRewrite, urlRewrite: {hostname: new.test}}\n"
			      "    timeouts: {request: 10s, backendRequest: 2s}\n"
			      "    retry: {codes: [500, 503], attempts: 3}\n"
			      "    backendRefs: [{name: a, port: 80, filters: [{type: "
			      "RequestHeaderModifier, "
			      "requestHeaderModifier: {set: [{name: z, value: zz}]}}]}]\n"));
	request_route(&request, fixture.mesh, gateway_at(fixture.mesh, 8080),
		      "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n");
	const struct mesh_route *route = request.result.route;
	assert_int_equal(request.result.action, ROUTE_FORWARD);
	assert_string_equal(route->request_headers.set[0].value.data, "v");
	assert_string_equal(route->request_headers.authority.data, "set.test");
	assert_string_equal(route->request_headers.add[0].name.data, "t");
	assert_string_equal(route->request_headers.remove[0].data, "u");
	assert_string_equal(route->response_headers.add[0].name.data, "x");
	assert_int_equal(route->mirror_count, 1);
	assert_int_equal(route->mirrors[0].share, 333333);
	assert_string_equal(route->rewrite.authority.data, "new.test");
	assert_int_equal(route->timeout_ms, 10000);
	assert_int_equal(route->retries.per_try_timeout_ms, 2000);
	assert_int_equal(route->retries.attempts, 3);
	assert_int_equal(route->retries.status_code_count, 2);
	assert_string_equal(request.result.destination->request_headers.set[0].value.data, "zz");
	fixture_stop(&fixture);
}

#define MESH_ROUTE(namespace, port)                                                              \
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"                       \
	"metadata: {name: m, namespace: " namespace "}\nspec:\n"                                 \
						    "  parentRefs: [{group: '', kind: Service, " \
						    "name: d, namespace: other" port "}]\n"      \
						    "  rules:\n  - matches: [{headers: [{name: " \
						    "appver-d, value: v2}]}]\n"                  \
						    "    backendRefs: [{name: e, namespace: "    \
						    "other, port: 80}]\n"                        \
						    "  - backendRefs: [{name: d, namespace: "    \
						    "other, port: 80}]\n"

static void a_route_of_a_service_takes_its_calls(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, SERVICES SERVICE("e", "other", "10.96.0.5", "10.1.0.5")
					MESH_ROUTE("other", ""));
	const struct mesh_listener *at = service_at(fixture.mesh, "10.96.0.4", 80);
	assert_string_equal(route_text(fixture.mesh, at, "GET / HTTP/1.1\r\nHost: d\r\n\r\n"),
			    "d.other.svc.cluster.local|-|80");
	assert_string_equal(route_text(fixture.mesh, at,
				       "GET / HTTP/1.1\r\nHost: d.other\r\nappver-d: v2\r\n\r\n"),
			    "e.other.svc.cluster.local|-|80");
	fixture_stop(&fixture);
}

static void a_route_of_a_service_may_be_of_one_port(void **state)
{
	struct fixture fixture;
	static const char head[] = "GET / HTTP/1.1\r\nHost: d.other\r\nappver-d: v2\r\n\r\n";

	(void)state;
	fixture_start(&fixture, SERVICES SERVICE("e", "other", "10.96.0.5", "10.1.0.5")
					MESH_ROUTE("other", ", port: 81"));
	assert_string_equal(
		route_text(fixture.mesh, service_at(fixture.mesh, "10.96.0.4", 81), head),
		"e.other.svc.cluster.local|-|80");
	assert_string_equal(
		route_text(fixture.mesh, service_at(fixture.mesh, "10.96.0.4", 80), head),
		"d.other.svc.cluster.local|-|80");
	fixture_stop(&fixture);
}

static const char *called_from(const struct fixture *fixture, const char *namespace)
{
	static struct request request;

	request_parse(&request, "GET / HTTP/1.1\r\nHost: d.other\r\nappver-d: v2\r\n\r\n");
	request.query.listener = service_at(fixture->mesh, "10.96.0.4", 80);
	request.query.source_namespace = namespace;
	mesh_route(fixture->mesh, &request.query, &request.result);
	return where(&request.result);
}

/* A route of another namespace is about the calls of its own namespace alone. */
static void a_consumers_route_is_his_alone(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, SERVICES SERVICE("e", "other", "10.96.0.5", "10.1.0.5")
					MESH_ROUTE("default", "") GRANT("default", ""));
	assert_string_equal(called_from(&fixture, "default"), "e.other.svc.cluster.local|-|80");
	assert_string_equal(called_from(&fixture, "third"), "d.other.svc.cluster.local|-|80");
	fixture_stop(&fixture);
}

static void a_parent_that_is_not_there_is_said(void **state)
{
	(void)state;
	assert_refused(SERVICES ROUTE("  - " TO("a") "\n"),
		       "HTTPRoute/r: spec.parentRefs[0]: there is no Gateway default/g");
	assert_refused(
		SERVICES GATEWAY
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: r}\nspec: {parentRefs: [{group: '', kind: Service, name: z}], "
		"rules: [{" TO("a") "}]}\n",
		"there is no Service default/z");
}

/* Istio's Gateway and the Gateway API's are two kinds. */
static void gateways_of_both_apis_may_have_one_name(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, SERVICES GATEWAY ROUTE("  - " TO(
					"a") "\n") "---\napiVersion: networking.istio.io/v1\nkind: "
						   "Gateway\nmetadata: {name: g}\n"
						   "spec: {servers: [{port: {number: 8081, name: "
						   "h, protocol: HTTP}, hosts: ['*']}]}\n"
						   "---\napiVersion: networking.istio.io/v1\nkind: "
						   "VirtualService\nmetadata: {name: v}\n"
						   "spec: {hosts: [x.test], gateways: [g], http: "
						   "[{route: [{destination: {host: b, port: "
						   "{number: 80}}}]}]}\n");
	assert_string_equal(get(&fixture, "/"), AT("a"));
	assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 8081),
				       "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n"),
			    AT("b"));
	fixture_stop(&fixture);
}

static void what_is_wrong_is_named_with_its_field(void **state)
{
	(void)state;
	assert_refused(
		SERVICES GATEWAY ROUTE("  - matches: [{path: {type: Glob, value: /x}}]\n"),
		"HTTPRoute/r: spec.rules[0].matches[0].path.type: must be Exact, PathPrefix or");
	assert_refused(SERVICES GATEWAY ROUTE("  - matches: [{path: {value: x}}]\n"),
		       "spec.rules[0].matches[0].path.value: must begin with /");
	assert_refused(SERVICES GATEWAY ROUTE("  - match: []\n"),
		       "spec.rules[0].match: unknown field");
	assert_refused(
		SERVICES GATEWAY ROUTE("  - matches: [{path: {type: RegularExpression, value: "
				       "'('}}]\n    " TO("a") "\n"),
		"is no regular expression that can be used");
	assert_refused(
		SERVICES GATEWAY ROUTE(
			"  - matches: [{path: {type: Exact, value: /x}}]\n    filters: [{type: "
			"URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, "
			"replacePrefixMatch: /y}}}]\n    " TO("a") "\n"),
		"replacePrefixMatch needs a path of the type PathPrefix");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_prefix_matches_whole_elements),
		cmocka_unit_test(exact_then_longest_prefix_then_regular_expression),
		cmocka_unit_test(method_then_headers_then_query_parameters),
		cmocka_unit_test(of_one_name_the_first_condition_counts),
		cmocka_unit_test(routes_of_one_host_count_together),
		cmocka_unit_test(hostnames_meet_those_of_the_listener),
		cmocka_unit_test(a_listener_says_which_namespaces_may_attach),
		cmocka_unit_test(listeners_without_plain_http_are_left_out_loudly),
		cmocka_unit_test(weights_are_kept_by_user),
		cmocka_unit_test(what_is_no_backend_is_answered_with_500),
		cmocka_unit_test(a_service_without_endpoints_is_503),
		cmocka_unit_test(a_reference_grant_lets_routes_lead_to_another_namespace),
		cmocka_unit_test(a_prefix_is_replaced_by_whole_elements),
		cmocka_unit_test(a_full_path_is_replaced_whatever_matched),
		cmocka_unit_test(a_redirect_keeps_what_its_filter_does_not_name),
		cmocka_unit_test(filters_change_headers_and_mirror),
		cmocka_unit_test(a_route_of_a_service_takes_its_calls),
		cmocka_unit_test(a_route_of_a_service_may_be_of_one_port),
		cmocka_unit_test(a_consumers_route_is_his_alone),
		cmocka_unit_test(a_parent_that_is_not_there_is_said),
		cmocka_unit_test(gateways_of_both_apis_may_have_one_name),
		cmocka_unit_test(what_is_wrong_is_named_with_its_field),
	};

	return cmocka_run_group_tests_name("HTTPRoute", tests, NULL, NULL);
}
