/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Manifests written for Istio (tests/corpus/manifests; the first comment of each says what Istio
 * does) mean the same here.
 */
#include "unit/mesh/mesh_test.h"

#include "base/array.h"
#include "manifest/workload.h"

#define GET(target, host) "GET " target " HTTP/1.1\r\nHost: " host "\r\n\r\n"
#define IN_MESH(host) GET("/", host)

/* A request to a file's mesh, and where it goes. */
struct row {
	const char *file;
	const char *address; /* of the Service that is called; NULL: the gateway's port 8080 */
	uint16_t port;
	const char *caller; /* its address; NULL: none that is known */
	const char *request;
	const char *expected; /* host|subset|port without the domain of Services, or what is done */
};

static const struct row rows[] = {
	{"delegate", NULL, 8080, NULL, GET("/b/1", "x.test"), "b.default|-|80"},
	{"delegate", NULL, 8080, NULL, GET("/b/2", "x.test"), "c.default|-|80"},
	{"delegate", NULL, 8080, NULL, GET("/", "x.test"), "c.default|-|80"},
	{"foreign-host-at-service-address", "10.96.0.1", 80, "10.1.0.9", IN_MESH("shop.example"),
	 "a.default|-|80"},
	{"gateway-http-and-https", NULL, 8080, NULL, IN_MESH("x"), "b.default|-|80"},
	{"gateway-https-redirect", NULL, 8080, NULL, GET("/a?b=c", "x.test"),
	 "301 https://x.test/a?b=c"},
	{"httproute", NULL, 8080, NULL, "GET / HTTP/1.1\r\nHost: x.test\r\nappver-a: v2\r\n\r\n",
	 "c.default|-|80"},
	{"match-gateways-fallthrough", "10.96.0.1", 80, "10.1.0.9", IN_MESH("a"), "a.default|-|80"},
	{"match-gateways-fallthrough", NULL, 8080, NULL, IN_MESH("a.example"), "b.default|-|80"},
	{"missing-gateway", NULL, 8080, NULL, IN_MESH("w.test"), "b.default|-|80"},
	{"missing-subset", NULL, 8080, NULL, GET("/bad", "x"), "no endpoint"},
	{"missing-subset", NULL, 8080, NULL, GET("/", "x"), "b.default|-|80"},
	{"multi-port-no-destination-port", "10.96.0.1", 80, NULL, IN_MESH("a"), "a.default|-|80"},
	{"multi-port-no-destination-port", "10.96.0.1", 9090, NULL, IN_MESH("a"),
	 "a.default|-|9090"},
	{"path-normalization-deny", NULL, 8080, NULL, GET("/admin", "x"), "direct response"},
	{"se-dns-destination", NULL, 8080, NULL, GET("/ext", "x"), "no endpoint"},
	{"se-dns-destination", NULL, 8080, NULL, GET("/", "x"), "b.default|-|80"},
	{"source-labels-fallthrough", "10.96.0.1", 80, "10.1.0.9", IN_MESH("a"), "a.default|v2|80"},
	{"source-labels-fallthrough", "10.96.0.1", 80, "10.1.0.3", IN_MESH("a"), "a.default|-|80"},
	{"source-labels-fallthrough", "10.96.0.1", 80, NULL, IN_MESH("a"), "a.default|-|80"},
	{"vs-export-to-own-namespace", "10.96.0.1", 80, "10.1.0.10", IN_MESH("a.default"),
	 "b.default|-|80"},
	{"vs-export-to-own-namespace", "10.96.0.1", 80, "10.1.0.9", IN_MESH("a"), "a.default|-|80"},
	{"vs-export-to-own-namespace", "10.96.0.1", 80, NULL, IN_MESH("a"), "a.default|-|80"},
	{"without-headers-regex-empty", NULL, 8080, NULL, IN_MESH("x"), "c.default|-|80"},
};

static void open_file(struct fixture *fixture, const char *name)
{
	char path[200];
	const char *paths[] = {path};

	*fixture = (struct fixture){0};
	snprintf(path, sizeof(path), "tests/corpus/manifests/%s.yaml", name);
	manifest_set_read(paths, 1, MANIFEST_ALL, &fixture->diagnostics, &fixture->set);
	fixture->result = mesh_compile(&fixture->set, NULL, &fixture->diagnostics, &fixture->mesh);
	if (fixture->result || fixture->diagnostics.error_count)
		fail_msg("%s", diagnostics_text(&fixture->diagnostics));
}

/* A request as an agent gets it. */
static void ask(const struct mesh *mesh, const struct row *row, struct request *request)
{
	request_parse(request, row->request);
	request->query.refuse_foreign_hosts = false;
	request->query.listener = row->address ? service_at(mesh, row->address, row->port)
					       : gateway_at(mesh, row->port);
	if (row->caller) {
		uint8_t address[16];

		assert_int_equal(address_parse(row->caller, address), 0);
		const struct workload_manifest *caller = mesh_workload_by_address(mesh, address);
		assert_non_null(caller);
		request->query.source_labels = &caller->resource.labels;
		request->query.source_namespace = caller->resource.namespace;
	}
	mesh_route(mesh, &request->query, &request->result);
}

/* As where() has it, and redirects with their status and Location. */
static const char *what_is_done(const struct request *request)
{
	const struct route_result *result = &request->result;
	static char text[300];
	struct buffer location = {0};

	if (result->action != ROUTE_REDIRECT)
		return where(result);
	mesh_write_location(&request->query, result, &location);
	snprintf(text, sizeof(text), "%u %s", result->route->redirect.status,
		 buffer_text(&location));
	buffer_free(&location);
	return text;
}

static const char *without_domain(const char *text)
{
	static char shorter[600];
	const char *domain = strstr(text, ".svc.cluster.local");

	if (!domain)
		return text;
	snprintf(shorter, sizeof(shorter), "%.*s%s", (int)(domain - text), text,
		 domain + strlen(".svc.cluster.local"));
	return shorter;
}

static void each_means_what_it_means_in_istio(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct fixture fixture;
		struct request request;

		open_file(&fixture, rows[i].file);
		ask(fixture.mesh, &rows[i], &request);
		const char *is = without_domain(what_is_done(&request));
		if (strcmp(is, rows[i].expected) != 0)
			fail_msg("%s, row %zu: %s, not %s", rows[i].file, i, is, rows[i].expected);
		fixture_stop(&fixture);
	}
}

static void gateways_of_several_selectors_on_one_port_are_a_warning(void **state)
{
	struct fixture fixture;

	(void)state;
	open_file(&fixture, "gateways-public-and-internal");
	assert_said(&fixture.diagnostics,
		    "warning: Gateway/internal: spec.selector: not the one of "
		    "Gateway/public (");
	assert_said(&fixture.diagnostics, "both listen on port 8080 here");
	fixture_stop(&fixture);
}

static void a_wildcard_rule_is_of_hosts_without_their_own(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	open_file(&fixture, "dr-wildcard-host");
	request_route(&request, fixture.mesh, gateway_at(fixture.mesh, 8080), IN_MESH("x"));
	assert_string_equal(without_domain(where(&request.result)), "a.default|-|80");
	assert_true(request.result.cluster->policy.outlier_detection);
	assert_int_equal(request.result.cluster->policy.consecutive_5xx, 3);
	fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_means_what_it_means_in_istio),
		cmocka_unit_test(gateways_of_several_selectors_on_one_port_are_a_warning),
		cmocka_unit_test(a_wildcard_rule_is_of_hosts_without_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
