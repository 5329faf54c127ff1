/* SPDX-License-Identifier: GPL-2.0-only */
/* Tag-only: every request to one next hop, by the very tables that routes make. */
#include "unit/mesh/mesh_test.h"

#include "base/array.h"

#define GATEWAYS                                                               \
	"apiVersion: networking.istio.io/v1\n"                                 \
	"kind: Gateway\n"                                                      \
	"metadata: {name: edge}\n"                                             \
	"spec:\n"                                                              \
	"  servers:\n"                                                         \
	"  - {port: {number: 80, protocol: HTTP}, hosts: [shop.example]}\n"    \
	"  - {port: {number: 8080, protocol: HTTP}, hosts: [other.example]}\n" \
	"---\n"
#define INGRESS                                                                             \
	"apiVersion: v1\n"                                                                  \
	"kind: Service\n"                                                                   \
	"metadata: {name: istio-ingressgateway, namespace: istio-system}\n"                 \
	"spec:\n"                                                                           \
	"  clusterIP: 10.96.0.7\n"                                                          \
	"  selector: {istio: ingressgateway}\n"                                             \
	"  ports:\n"                                                                        \
	"  - {name: http2, port: 80, targetPort: 8080}\n"                                   \
	"  - {name: tls, port: 443, targetPort: 8443, appProtocol: tls}\n"                  \
	"---\n"                                                                             \
	"apiVersion: v1\n"                                                                  \
	"kind: Pod\n"                                                                       \
	"metadata: {name: g-1, namespace: istio-system, labels: {istio: ingressgateway}}\n" \
	"status: {podIP: 10.0.0.1}\n"                                                       \
	"---\n"                                                                             \
	"apiVersion: v1\n"                                                                  \
	"kind: Pod\n"                                                                       \
	"metadata: {name: g-2, namespace: istio-system, labels: {istio: ingressgateway}}\n" \
	"status: {podIP: 10.0.0.2}\n"                                                       \
	"---\n"
#define INGRESS_HOST "istio-ingressgateway.istio-system.svc.cluster.local"

static const struct mesh_tag_only to_ingress = {.host = "istio-ingressgateway.istio-system",
						.port = 80};

static void start(struct fixture *fixture, const char *yaml, const struct mesh_tag_only *tag_only)
{
	fixture_compile_subjects(fixture, yaml, MANIFEST_ALL, tag_only);
	if (fixture->result || fixture->diagnostics.count)
		fail_msg("%s", diagnostics_text(&fixture->diagnostics));
}

static void every_authority_at_every_gateway_goes_to_the_next_hop(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		"POST /x?y HTTP/1.1\r\nHost: nobody.test:8080\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
	};
	struct fixture fixture;

	(void)state;
	start(&fixture, GATEWAYS INGRESS, &to_ingress);
	for (size_t i = 0; i < ARRAY_LENGTH(requests); i++) {
		assert_string_equal(
			route_text(fixture.mesh, gateway_at(fixture.mesh, 80), requests[i]),
			INGRESS_HOST "|-|80");
		assert_string_equal(
			route_text(fixture.mesh, gateway_at(fixture.mesh, 8080), requests[i]),
			INGRESS_HOST "|-|80");
	}
	fixture_stop(&fixture);
}

static void the_services_pods_are_the_endpoints(void **state)
{
	struct fixture fixture;
	char text[ADDRESS_TEXT_BYTES];

	(void)state;
	start(&fixture, GATEWAYS INGRESS, &to_ingress);
	const struct mesh_cluster *next_hop = mesh_next_hop(fixture.mesh);
	assert_int_equal(mesh_cluster_count(fixture.mesh), 1);
	assert_ptr_equal(next_hop, mesh_cluster(fixture.mesh, 0));
	assert_int_equal(next_hop->endpoint_count, 2);
	for (size_t i = 0; i < 2; i++) {
		address_print(next_hop->endpoints[i].address, text);
		assert_string_equal(text, i ? "10.0.0.2" : "10.0.0.1");
		assert_int_equal(next_hop->endpoints[i].port, 8080);
	}
	fixture_stop(&fixture);
}

static void no_service_address_is_listened_on(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, GATEWAYS INGRESS, &to_ingress);
	assert_int_equal(mesh_listener_count(fixture.mesh), 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(mesh_listener(fixture.mesh, i)->kind, MESH_LISTENER_GATEWAY);
	fixture_stop(&fixture);
}

static void an_address_is_a_next_hop_with_that_endpoint(void **state)
{
	static const struct {
		const char *host, *address;
	} rows[] = {{"10.1.2.3", "10.1.2.3"}, {"[fd00::3]", "fd00::3"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct mesh_tag_only tag_only = {.host = rows[i].host, .port = 30080};
		struct fixture fixture;
		char text[ADDRESS_TEXT_BYTES];

		assert_int_equal(address_parse(rows[i].address, tag_only.address), 0);
		start(&fixture, GATEWAYS, &tag_only);
		const struct mesh_cluster *next_hop = mesh_next_hop(fixture.mesh);
		assert_string_equal(next_hop->host, rows[i].host);
		assert_int_equal(next_hop->endpoint_count, 1);
		address_print(next_hop->endpoints[0].address, text);
		assert_string_equal(text, rows[i].address);
		assert_int_equal(next_hop->endpoints[0].port, 30080);
		assert_int_equal(next_hop->endpoints[0].labels->count, 0);
		fixture_stop(&fixture);
	}
}

static void listeners_of_the_options_need_no_gateway(void **state)
{
	struct mesh_listener listeners[] = {
		{.kind = MESH_LISTENER_GATEWAY, .port = 8080},
		{.kind = MESH_LISTENER_GATEWAY, .port = 8081},
		{.kind = MESH_LISTENER_GATEWAY, .port = 8080}, /* given twice */
	};
	struct mesh_tag_only tag_only = to_ingress;
	struct fixture fixture;

	(void)state;
	tag_only.listeners = listeners;
	tag_only.listener_count = ARRAY_LENGTH(listeners);
	start(&fixture, INGRESS, &tag_only);
	assert_int_equal(mesh_listener_count(fixture.mesh), 2);
	assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 8081),
				       "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
			    INGRESS_HOST "|-|80");
	fixture_stop(&fixture);
}

static void explain_tells_the_next_hop(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	start(&fixture, GATEWAYS INGRESS, &to_ingress);
	request_parse(&request, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_int_equal(mesh_explain_count(fixture.mesh), 1);
	mesh_explain(fixture.mesh, 0, &request.edit, 0, &request.result);
	assert_string_equal(where(&request.result), INGRESS_HOST "|-|80");
	fixture_stop(&fixture);
}

static void an_unknown_next_hop_is_a_warning_and_503(void **state)
{
	struct mesh_tag_only tag_only = {.host = "gone.istio-system", .port = 80};
	struct fixture fixture;

	(void)state;
	fixture_compile_subjects(&fixture, GATEWAYS INGRESS, MANIFEST_ALL, &tag_only);
	assert_int_equal(fixture.result, 0);
	assert_said(&fixture.diagnostics,
		    "--no-route: host: no Service or ServiceEntry has the host gone.istio-system");
	assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 80),
				       "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
			    "no endpoint");
	fixture_stop(&fixture);
}

static void what_cannot_be_a_next_hop_is_refused(void **state)
{
	static const struct {
		const char *yaml;
		uint16_t port;
		const char *said;
	} rows[] = {
		{GATEWAYS INGRESS, 81, "--no-route: the host " INGRESS_HOST " has no port 81"},
		{GATEWAYS INGRESS, 443, "is not HTTP by its protocol"},
		{INGRESS, 80,
		 "--no-route: nothing says where to listen: neither a Gateway nor --listen"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct mesh_tag_only tag_only = to_ingress;
		struct fixture fixture;

		tag_only.port = rows[i].port;
		fixture_compile_subjects(&fixture, rows[i].yaml, MANIFEST_ALL, &tag_only);
		assert_int_equal(fixture.result, -1);
		assert_said(&fixture.diagnostics, rows[i].said);
		fixture_stop(&fixture);
	}
}

static void with_routes_there_is_no_next_hop(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, GATEWAYS INGRESS);
	assert_null(mesh_next_hop(fixture.mesh));
	fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_authority_at_every_gateway_goes_to_the_next_hop),
		cmocka_unit_test(the_services_pods_are_the_endpoints),
		cmocka_unit_test(no_service_address_is_listened_on),
		cmocka_unit_test(an_address_is_a_next_hop_with_that_endpoint),
		cmocka_unit_test(listeners_of_the_options_need_no_gateway),
		cmocka_unit_test(explain_tells_the_next_hop),
		cmocka_unit_test(an_unknown_next_hop_is_a_warning_and_503),
		cmocka_unit_test(what_cannot_be_a_next_hop_is_refused),
		cmocka_unit_test(with_routes_there_is_no_next_hop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
