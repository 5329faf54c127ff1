/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/mesh/mesh_test.h"

#define APP_C                                                             \
	"apiVersion: v1\n"                                                \
	"kind: Service\n"                                                 \
	"metadata: {name: app-c}\n"                                       \
	"spec:\n"                                                         \
	"  clusterIP: 10.96.0.3\n"                                        \
	"  selector: {app: app-c}\n"                                      \
	"  ports: [{name: http, port: 8000, targetPort: 8080}]\n"         \
	"---\n"                                                           \
	"apiVersion: v1\n"                                                \
	"kind: Pod\n"                                                     \
	"metadata: {name: app-c-v2, labels: {app: app-c, version: v2}}\n" \
	"status: {podIP: 10.0.250.11}\n"                                  \
	"---\n"                                                           \
	"apiVersion: v1\n"                                                \
	"kind: Pod\n"                                                     \
	"metadata: {name: app-c-v3, labels: {app: app-c, version: v3}}\n" \
	"status: {podIP: 10.0.250.23}\n"                                  \
	"---\n"

/* The seed's step 3 and 4, as they are. */
#define STEP3_VIRTUAL_SERVICE                                 \
	"apiVersion: networking.istio.io/v1beta1\n"           \
	"kind: VirtualService\n"                              \
	"metadata:\n"                                         \
	"  name: app-c\n"                                     \
	"  namespace: default\n"                              \
	"spec:\n"                                             \
	"  hosts:\n"                                          \
	"    - app-c.default.svc.cluster.local\n"             \
	"  http:\n"                                           \
	"    - name: v3\n"                                    \
	"      match:\n"                                      \
	"        - headers:\n"                                \
	"            appver-c:\n"                             \
	"              exact: v3\n"                           \
	"      route:\n"                                      \
	"        - destination:\n"                            \
	"            host: app-c.default.svc.cluster.local\n" \
	"            port:\n"                                 \
	"              number: 8000\n"                        \
	"            subset: v3\n"                            \
	"    - name: default\n"                               \
	"      route:\n"                                      \
	"        - destination:\n"                            \
	"            host: app-c.default.svc.cluster.local\n" \
	"            port:\n"                                 \
	"              number: 8000\n"                        \
	"            subset: v2\n"                            \
	"---\n"
#define STEP3_DESTINATION_RULE                      \
	"apiVersion: networking.istio.io/v1beta1\n" \
	"kind: DestinationRule\n"                   \
	"metadata:\n"                               \
	"  name: app-c\n"                           \
	"spec:\n"                                   \
	"  host: app-c.default.svc.cluster.local\n" \
	"  subsets:\n"                              \
	"    - labels:\n"                           \
	"        version: v2\n"                     \
	"      name: v2\n"                          \
	"    - labels:\n"                           \
	"        version: v3\n"                     \
	"      name: v3\n"                          \
	"---\n"
#define STEP4_VIRTUAL_SERVICE                                 \
	"apiVersion: networking.istio.io/v1beta1\n"           \
	"kind: VirtualService\n"                              \
	"metadata:\n"                                         \
	"  name: app-c\n"                                     \
	"  namespace: default\n"                              \
	"spec:\n"                                             \
	"  hosts:\n"                                          \
	"    - app-c.default.svc.cluster.local\n"             \
	"  http:\n"                                           \
	"    - name: default\n"                               \
	"      route:\n"                                      \
	"        - destination:\n"                            \
	"            host: app-c.default.svc.cluster.local\n" \
	"            port:\n"                                 \
	"              number: 8000\n"                        \
	"            subset: v3\n"                            \
	"---\n"
#define GATEWAY                                                \
	"apiVersion: networking.istio.io/v1alpha3\n"           \
	"kind: Gateway\n"                                      \
	"metadata: {name: ingress, namespace: istio-system}\n" \
	"spec:\n"                                              \
	"  selector: {istio: ingressgateway}\n"                \
	"  servers:\n"                                         \
	"  - port: {number: 80, name: http, protocol: HTTP}\n" \
	"    hosts: ['*']\n"                                   \
	"---\n"

static const char v3_request[] = "GET / HTTP/1.1\r\nHost: app-c\r\nappver-c: v3\r\n\r\n";
static const char plain_request[] = "GET / HTTP/1.1\r\nHost: app-c\r\n\r\n";

static void the_seeds_step_3_routes_by_the_tag(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, APP_C STEP3_VIRTUAL_SERVICE STEP3_DESTINATION_RULE);
	const struct mesh_listener *listener = service_at(fixture.mesh, "10.96.0.3", 8000);
	assert_string_equal(route_text(fixture.mesh, listener, v3_request),
			    "app-c.default.svc.cluster.local|v3|8000");
	assert_string_equal(route_text(fixture.mesh, listener, plain_request),
			    "app-c.default.svc.cluster.local|v2|8000");
	assert_nothing_said(&fixture.diagnostics);
	fixture_stop(&fixture);
}

static void the_seeds_step_4_routes_everybody_to_v3(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, APP_C STEP4_VIRTUAL_SERVICE STEP3_DESTINATION_RULE);
	const struct mesh_listener *listener = service_at(fixture.mesh, "10.96.0.3", 8000);
	assert_string_equal(route_text(fixture.mesh, listener, plain_request),
			    "app-c.default.svc.cluster.local|v3|8000");
	fixture_stop(&fixture);
}

static void endpoints_have_the_subsets_labels_and_the_target_port(void **state)
{
	struct fixture fixture;
	struct request request;
	char address[ADDRESS_TEXT_BYTES];

	(void)state;
	fixture_start(&fixture, APP_C STEP3_VIRTUAL_SERVICE STEP3_DESTINATION_RULE);
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.3", 8000),
		      v3_request);
	const struct mesh_cluster *cluster = request.result.cluster;
	assert_int_equal(cluster->endpoint_count, 1);
	address_print(cluster->endpoints[0].address, address);
	assert_string_equal(address, "10.0.250.23");
	assert_int_equal(cluster->endpoints[0].port, 8080);
	assert_string_equal(cluster->endpoints[0].workload, "app-c-v3");
	assert_string_equal(request.result.route->name, "v3");
	assert_string_equal(request.result.route->virtual_service, "default/app-c");
	assert_ptr_equal(mesh_cluster(fixture.mesh, cluster->index), cluster);
	fixture_stop(&fixture);
}

static void a_service_without_virtual_service_has_all_its_endpoints(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture, APP_C);
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.3", 8000),
		      v3_request);
	assert_string_equal(where(&request.result), "app-c.default.svc.cluster.local|-|8000");
	assert_int_equal(request.result.cluster->endpoint_count, 2);
	assert_null(request.result.route);
	fixture_stop(&fixture);
}

static void manifests_alone_are_checked_as_far_as_they_go(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, STEP3_VIRTUAL_SERVICE STEP3_DESTINATION_RULE);
	assert_said(
		&fixture.diagnostics,
		"warning: VirtualService/app-c: spec.http[0].route[0].destination.host: no "
		"Service or ServiceEntry has the host app-c.default.svc.cluster.local: requests "
		"get 503");
	assert_said(&fixture.diagnostics, "warning: DestinationRule/app-c: spec.host: no Service");
	fixture_stop(&fixture);
	assert_refused(STEP4_VIRTUAL_SERVICE,
		       "a.yaml:16:21: VirtualService/app-c: "
		       "spec.http[0].route[0].destination.subset: no DestinationRule of the host "
		       "app-c.default.svc.cluster.local has the subset \"v3\"");
	assert_refused(APP_C STEP4_VIRTUAL_SERVICE, "has the subset \"v3\"");
}

static void short_names_are_meant_in_the_callers_namespace(void **state)
{
	static const char *const hosts[] = {
		"app-c",
		"app-c.default",
		"app-c.default.svc",
		"app-c.default.svc.cluster.local",
		"APP-C.Default",
		"app-c.default:8000",
		"app-c.default.svc.cluster.local.:8000",
		"10.96.0.3",
		"10.96.0.3:8000",
		"[2001:db8::1]:8000",
	};
	struct fixture fixture;
	char text[200];

	(void)state;
	fixture_start(&fixture, APP_C STEP3_VIRTUAL_SERVICE STEP3_DESTINATION_RULE);
	const struct mesh_listener *listener = service_at(fixture.mesh, "10.96.0.3", 8000);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
		assert_string_equal(route_text(fixture.mesh, listener, text),
				    "app-c.default.svc.cluster.local|v2|8000");
	}
	struct request request;
	request_parse(&request, plain_request);
	request.query.listener = listener;
	request.query.source_namespace = "other";
	mesh_route(fixture.mesh, &request.query, &request.result);
	assert_string_equal(where(&request.result), "no host");
	fixture_stop(&fixture);
}

static void a_foreign_host_at_a_services_address_goes_to_that_service(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture, APP_C STEP3_VIRTUAL_SERVICE STEP3_DESTINATION_RULE);
	request_parse(&request, "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
	request.query.listener = service_at(fixture.mesh, "10.96.0.3", 8000);
	request.query.refuse_foreign_hosts = false;
	mesh_route(fixture.mesh, &request.query, &request.result);
	/* Past the VirtualService, which is of another host. */
	assert_string_equal(where(&request.result), "app-c.default.svc.cluster.local|-|8000");
	fixture_stop(&fixture);
}

static void an_unknown_or_overlong_host_is_no_host(void **state)
{
	struct fixture fixture;
	char text[600];

	(void)state;
	fixture_start(&fixture, APP_C STEP3_VIRTUAL_SERVICE STEP3_DESTINATION_RULE);
	const struct mesh_listener *listener = service_at(fixture.mesh, "10.96.0.3", 8000);
	assert_string_equal(
		route_text(fixture.mesh, listener, "GET / HTTP/1.1\r\nHost: app-d\r\n\r\n"),
		"no host");
	assert_string_equal(
		route_text(fixture.mesh, listener, "GET / HTTP/1.1\r\nHost: a.b.c.d.e.f\r\n\r\n"),
		"no host");
	for (int length = 230; length < 300; length++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %0*d\r\n\r\n", length, 0);
		assert_string_equal(route_text(fixture.mesh, listener, text), "no host");
	}
	fixture_stop(&fixture);
}

static void a_gateway_routes_what_is_bound_to_it(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture, GATEWAY APP_C STEP3_DESTINATION_RULE
		      "apiVersion: networking.istio.io/v1\n"
		      "kind: VirtualService\n"
		      "metadata: {name: edge}\n"
		      "spec:\n"
		      "  hosts: ['*']\n"
		      "  gateways: [istio-system/ingress]\n"
		      "  http:\n"
		      "  - match: [{uri: {prefix: /v3/}}]\n"
		      "    route: [{destination: {host: app-c, subset: v3}}]\n"
		      "  - match: [{uri: {exact: /v2}}]\n"
		      "    route: [{destination: {host: app-c, subset: v2}}]\n");
	const struct mesh_listener *listener = gateway_at(fixture.mesh, 80);
	assert_int_equal(listener->kind, MESH_LISTENER_GATEWAY);
	request_route(&request, fixture.mesh, listener, "GET /v3/a HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_string_equal(where(&request.result), "app-c.default.svc.cluster.local|v3|8000");
	assert_int_equal(request.result.matched_prefix, 4);
	assert_string_equal(
		route_text(fixture.mesh, listener, "GET /v2?a=/v3/ HTTP/1.1\r\nHost: x:80\r\n\r\n"),
		"app-c.default.svc.cluster.local|v2|8000");
	assert_string_equal(
		route_text(fixture.mesh, listener, "GET /v2/ HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"),
		"no match");
	/* Not bound to the mesh: there the Service's own endpoints are all. */
	assert_string_equal(route_text(fixture.mesh, service_at(fixture.mesh, "10.96.0.3", 8000),
				       "GET /v3/a HTTP/1.1\r\nHost: app-c\r\n\r\n"),
			    "app-c.default.svc.cluster.local|-|8000");
	fixture_stop(&fixture);
}

#define VIRTUAL_SERVICE(name, hosts, more)     \
	"apiVersion: networking.istio.io/v1\n" \
	"kind: VirtualService\n"               \
	"metadata: {name: " name "}\n"         \
	"spec:\n"                              \
	"  hosts: " hosts "\n" more "---\n"
#define TO_APP_C "  http: [{route: [{destination: {host: app-c}}]}]\n"
#define ANSWERS(status) "  http: [{directResponse: {status: " status "}}]\n"

static void a_gateway_is_named_in_each_of_istios_ways(void **state)
{
	/* The first two from the gateway's own namespace, the others from anywhere. */
	static const struct {
		const char *namespace, *name;
	} references[] = {
		{"istio-system", "ingress"},
		{"istio-system", "./ingress"},
		{"default", "istio-system/ingress"},
		{"default", "ingress.istio-system"},
		{"default", "ingress.istio-system.svc.cluster.local"},
	};
	char text[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(references) / sizeof(*references); i++) {
		struct fixture fixture;

		snprintf(text, sizeof(text),
			 "%sapiVersion: networking.istio.io/v1\n"
			 "kind: VirtualService\n"
			 "metadata: {name: edge, namespace: %s}\n"
			 "spec:\n"
			 "  hosts: ['*']\n"
			 "  gateways: [%s]\n"
			 "  http:\n"
			 "  - match: [{gateways: [%s]}]\n"
			 "    route: [{destination: {host: app-c.default.svc.cluster.local}}]\n",
			 GATEWAY APP_C, references[i].namespace, references[i].name,
			 references[i].name);
		fixture_start(&fixture, text);
		assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 80),
					       "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
				    "app-c.default.svc.cluster.local|-|8000");
		fixture_stop(&fixture);
	}
}

static void the_longest_host_wins_at_a_gateway(void **state)
{
	struct fixture fixture;
	struct request request;
	static const struct {
		const char *host;
		unsigned status; /* 0: no host */
	} rows[] = {
		{"a.example.com", 201},	  {"A.EXAMPLE.com:80", 201}, {"b.example.com", 202},
		{"c.b.example.com", 202}, {"a.example.org", 0},	     {"example.com", 0},
		{"xexample.com", 0},
	};
	char text[100];

	(void)state;
	fixture_start(&fixture,
		      "apiVersion: networking.istio.io/v1\n"
		      "kind: Gateway\n"
		      "metadata: {name: g}\n"
		      "spec:\n"
		      "  servers:\n"
		      "  - port: {number: 8080, name: http, protocol: HTTP}\n"
		      "    hosts: ['./*.example.com']\n"
		      "---\n" VIRTUAL_SERVICE("one", "[a.example.com]",
					      "  gateways: [g]\n" ANSWERS("201"))
			      VIRTUAL_SERVICE("two", "['*']", "  gateways: [g]\n" ANSWERS("202")));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host);
		request_route(&request, fixture.mesh, gateway_at(fixture.mesh, 8080), text);
		if (!rows[i].status) {
			assert_int_equal(request.result.action, ROUTE_NO_HOST);
			continue;
		}
		assert_int_equal(request.result.action, ROUTE_DIRECT_RESPONSE);
		assert_int_equal(request.result.route->direct_response.status, rows[i].status);
	}
	fixture_stop(&fixture);
}

static void virtual_services_of_one_host_follow_each_other(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(
		&fixture,
		GATEWAY APP_C VIRTUAL_SERVICE(
			"one", "['*']",
			"  gateways: [istio-system/ingress]\n"
			"  http: [{match: [{uri: {prefix: /a}}], directResponse: {status: 201}}]\n")
			VIRTUAL_SERVICE("two", "['*']",
					"  gateways: [istio-system/ingress]\n" TO_APP_C));
	assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 80),
				       "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
			    "direct response");
	assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 80),
				       "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"),
			    "app-c.default.svc.cluster.local|-|8000");
	fixture_stop(&fixture);
}

/* In whichever order the VirtualServices are read, and within one of them never. */
static void entries_that_take_everything_come_last_at_a_host(void **state)
{
	static const char *const takers[] = {
		"{directResponse: {status: 202}}",
		"{match: [{uri: {prefix: /}}], directResponse: {status: 202}}",
		"{match: [{uri: {regex: '.*'}}], directResponse: {status: 202}}",
		"{match: [{ignoreUriCase: true}], directResponse: {status: 202}}",
		"{match: [{}], directResponse: {status: 202}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(takers) / sizeof(takers[0]); i++) {
		char text[2000];
		struct fixture fixture;
		struct request request;

		snprintf(text, sizeof(text),
			 GATEWAY VIRTUAL_SERVICE("a", "['*']",
						 "  gateways: [istio-system/ingress]\n"
						 "  http: [%s, {match: [{uri: {prefix: /never}}], "
						 "directResponse: {status: 203}}]\n")
				 VIRTUAL_SERVICE("b", "['*']",
						 "  gateways: [istio-system/ingress]\n"
						 "  http: [{match: [{uri: {prefix: /b}}], "
						 "directResponse: {status: 201}}]\n"),
			 takers[i]);
		fixture_start(&fixture, text);
		const struct mesh_listener *listener = gateway_at(fixture.mesh, 80);
		request_route(&request, fixture.mesh, listener,
			      "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_int_equal(request.result.route->direct_response.status, 201);
		request_route(&request, fixture.mesh, listener,
			      "GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_int_equal(request.result.route->direct_response.status, 202);
		fixture_stop(&fixture);
	}
}

static void only_http_ports_and_routed_ports_are_listened_on(void **state)
{
	static const char ports[] = "apiVersion: v1\n"
				    "kind: Service\n"
				    "metadata: {name: s}\n"
				    "spec:\n"
				    "  clusterIP: 10.96.0.9\n"
				    "  ports:\n"
				    "  - {name: http-api, port: 1}\n"
				    "  - {name: http2, port: 2}\n"
				    "  - {name: web, port: 3}\n"
				    "  - {name: grpc, port: 4, appProtocol: http}\n"
				    "  - {name: https, port: 5}\n"
				    "  - {name: tcp, port: 6}\n"
				    "  - {name: http-dns, port: 7, protocol: UDP}\n"
				    "  - {name: http-x, port: 8, appProtocol: mysql}\n"
				    "  - {name: grpc-web-a, port: 9}\n"
				    "  - {name: a, port: 10, appProtocol: kubernetes.io/ws}\n"
				    "  - {name: grpc, port: 11}\n"
				    "  - {name: main, port: 12}\n"
				    "  - {name: tcpish, port: 13}\n"
				    "---\n";
	static const char routed[] =
		VIRTUAL_SERVICE("s", "[s]", "  http: [{directResponse: {status: 204}}]\n");
	struct fixture fixture;
	struct buffer text = {0};

	(void)state;
	fixture_start(&fixture, ports);
	assert_int_equal(mesh_listener_count(fixture.mesh), 6);
	for (uint16_t port = 1; port <= 4; port++)
		service_at(fixture.mesh, "10.96.0.9", port);
	service_at(fixture.mesh, "10.96.0.9", 9);
	service_at(fixture.mesh, "10.96.0.9", 10);
	fixture_stop(&fixture);

	/* A VirtualService adds those that are said to be nothing; https and grpc stay as they are. */
	buffer_printf(&text, "%s%s", ports, routed);
	fixture_start(&fixture, buffer_text(&text));
	assert_int_equal(mesh_listener_count(fixture.mesh), 8);
	service_at(fixture.mesh, "10.96.0.9", 12);
	service_at(fixture.mesh, "10.96.0.9", 13);
	fixture_stop(&fixture);
	buffer_free(&text);
}

static void a_destination_without_port_means_the_one_that_could_be_http_or_is_called(void **state)
{
	static const struct {
		const char *ports, *said;
	} rows[] = {
		{"{name: http, port: 80}, {name: grpc, port: 90}, {name: tcp-db, port: 91}",
		 "s.default.svc.cluster.local|-|80"},
		{"{name: grpc, port: 90}, {name: main, port: 80}",
		 "s.default.svc.cluster.local|-|80"},
		{"{name: tcp, port: 80}", "s.default.svc.cluster.local|-|80"},
		/* Of several the one that was called: the gateway's own. */
		{"{name: http, port: 80}, {name: main, port: 81}",
		 "s.default.svc.cluster.local|-|80"},
		{"{name: http, port: 82}, {name: main, port: 81}", "no endpoint"},
		{"{name: grpc, port: 90}, {name: tcp, port: 91}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct fixture fixture;
		char text[1500];

		snprintf(text, sizeof(text),
			 GATEWAY "apiVersion: v1\nkind: Pod\n"
				 "metadata: {name: p, labels: {app: s}}\n"
				 "status: {podIP: 10.0.0.1}\n---\n"
				 "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
				 "spec: {selector: {app: s}, ports: [%s]}\n---\n" VIRTUAL_SERVICE(
					 "s", "['*']",
					 "  gateways: [istio-system/ingress]\n"
					 "  http: [{route: [{destination: {host: s}}]}]\n"),
			 rows[i].ports);
		if (!rows[i].said) {
			assert_refused(text, "has no port for HTTP");
			continue;
		}
		fixture_start(&fixture, text);
		assert_string_equal(route_text(fixture.mesh, gateway_at(fixture.mesh, 80),
					       "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
				    rows[i].said);
		fixture_stop(&fixture);
	}
}

static void one_address_and_port_for_two_services_is_an_error(void **state)
{
	(void)state;
	assert_refused(APP_C "apiVersion: v1\n"
			     "kind: Service\n"
			     "metadata: {name: other}\n"
			     "spec:\n"
			     "  clusterIP: 10.96.0.3\n"
			     "  ports: [{name: http, port: 8000}]\n",
		       "Service/other: spec.ports[0]: 10.96.0.3 port 8000 is already that of "
		       "Service/app-c");
	assert_refused(APP_C "apiVersion: networking.istio.io/v1\n"
			     "kind: Gateway\n"
			     "metadata: {name: g}\n"
			     "spec:\n"
			     "  servers:\n"
			     "  - bind: 10.96.0.3\n"
			     "    port: {number: 8000, name: http, protocol: HTTP}\n"
			     "    hosts: ['*']\n",
		       "10.96.0.3 port 8000 is already that of Gateway/g");
}

#define OUTSIDE                                                      \
	"apiVersion: networking.istio.io/v1\n"                       \
	"kind: ServiceEntry\n"                                       \
	"metadata: {name: outside}\n"                                \
	"spec: {hosts: [api.example.com], resolution: DNS, ports: [" \
	"{number: 443, name: tls, protocol: TLS}]}\n"                \
	"---\n"

static void hosts_outside_are_errors_only_where_a_route_leads_there(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_compile(&fixture, OUTSIDE APP_C VIRTUAL_SERVICE("a", "[a]", TO_APP_C));
	assert_int_equal(fixture.result, 0);
	assert_said(&fixture.diagnostics,
		    "warning: ServiceEntry/outside: spec.resolution: names that DNS must resolve");
	fixture_stop(&fixture);
	assert_refused(OUTSIDE VIRTUAL_SERVICE(
			       "a", "[a]",
			       "  http: [{route: [{destination: {host: api.example.com}}]}]\n"),
		       "spec.http[0].route[0].destination.host: no request can go to "
		       "api.example.com: names that DNS must resolve are not supported (");
}

static void references_to_nothing_are_errors(void **state)
{
	(void)state;
	assert_refused(APP_C VIRTUAL_SERVICE("a", "[a]", "  gateways: [mesh, nowhere]\n" TO_APP_C),
		       "VirtualService/a: spec.gateways[1]: there is no Gateway default/nowhere");
	assert_refused(APP_C VIRTUAL_SERVICE("a", "[a]", "  gateways: [edge/nowhere]\n" TO_APP_C),
		       "VirtualService/a: spec.gateways[0]: there is no Gateway edge/nowhere");
	assert_refused(APP_C VIRTUAL_SERVICE("a", "[a]",
					     "  http:\n"
					     "  - match: [{gateways: [nowhere]}]\n"
					     "    route: [{destination: {host: app-c}}]\n"),
		       "spec.http[0].match[0].gateways[0]: there is no Gateway default/nowhere");
	assert_refused(
		APP_C VIRTUAL_SERVICE(
			"a", "[a]",
			"  http: [{route: [{destination: {host: app-c, port: {number: 1}}}]}]\n"),
		"spec.http[0].route[0].destination: the host "
		"app-c.default.svc.cluster.local has no port 1");
	assert_refused(VIRTUAL_SERVICE("a", "['*']", "  http: [{directResponse: {status: 200}}]\n"),
		       "spec.hosts[0]: \"*\" can stand for the hosts of a gateway only");
}

static void hosts_that_are_there_twice_are_errors_and_subsets_are_not(void **state)
{
	(void)state;
	assert_refused(
		APP_C "apiVersion: networking.istio.io/v1\n"
		      "kind: ServiceEntry\n"
		      "metadata: {name: e}\n"
		      "spec:\n"
		      "  hosts: [app-c.default.svc.cluster.local]\n"
		      "  ports: [{name: http, number: 80, protocol: HTTP}]\n"
		      "  resolution: STATIC\n"
		      "  endpoints: [{address: 10.0.0.1}]\n",
		"ServiceEntry/e: the host app-c.default.svc.cluster.local is already that of "
		"Service/app-c");
	/* Of several DestinationRules, the first that has a subset. */
	struct fixture fixture;
	fixture_compile(&fixture,
			APP_C STEP3_DESTINATION_RULE "apiVersion: networking.istio.io/v1\n"
						     "kind: DestinationRule\n"
						     "metadata: {name: again}\n"
						     "spec:\n"
						     "  host: app-c\n"
						     "  subsets: [{name: v3}]\n");
	assert_int_equal(fixture.diagnostics.error_count, 0);
	assert_said(&fixture.diagnostics,
		    "DestinationRule/again: spec.subsets[0]: the subset \"v3\" of this host is "
		    "already that of DestinationRule/app-c");
	fixture_stop(&fixture);
}

static void a_subset_without_endpoints_is_no_endpoint_or_falls_back(void **state)
{
	static const char rule[] =
		"apiVersion: networking.istio.io/v1\n"
		"kind: DestinationRule\n"
		"metadata: {name: app-c%s}\n"
		"spec:\n"
		"  host: app-c\n"
		"  subsets:\n"
		"  - {name: v2, labels: {version: v2}}\n"
		"  - {name: v9, labels: {version: v9}}\n"
		"---\n" VIRTUAL_SERVICE("a", "[app-c]",
					"  http: [{route: [{destination: {host: app-c, "
					"subset: v9}}]}]\n");
	struct fixture fixture;
	struct request request;
	struct buffer text = {0};

	(void)state;
	buffer_append_text(&text, APP_C);
	buffer_printf(&text, rule, "");
	fixture_start(&fixture, buffer_text(&text));
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.3", 8000),
		      plain_request);
	assert_int_equal(request.result.action, ROUTE_NO_ENDPOINT);
	assert_string_equal(request.result.cluster->subset, "v9");
	fixture_stop(&fixture);

	buffer_clear(&text);
	buffer_append_text(&text, APP_C);
	buffer_printf(&text, rule, ", annotations: {lanetag.io/fallback-subset: v2}");
	fixture_start(&fixture, buffer_text(&text));
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.3", 8000),
		      plain_request);
	assert_string_equal(where(&request.result), "app-c.default.svc.cluster.local|v2|8000");
	assert_true(request.result.fell_back);
	fixture_stop(&fixture);
	buffer_free(&text);
}

static void endpoints_are_ready_pods_of_the_namespace(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture, APP_C
		      "apiVersion: v1\n"
		      "kind: Pod\n"
		      "metadata: {name: elsewhere, namespace: other, labels: {app: app-c}}\n"
		      "status: {podIP: 10.0.0.1}\n"
		      "---\n"
		      "apiVersion: v1\n"
		      "kind: Pod\n"
		      "metadata: {name: pending, labels: {app: app-c}}\n"
		      "---\n"
		      "apiVersion: v1\n"
		      "kind: Pod\n"
		      "metadata: {name: unready, labels: {app: app-c}}\n"
		      "status: {podIP: 10.0.0.2, conditions: [{type: Ready, status: 'False'}]}\n"
		      "---\n"
		      "apiVersion: v1\n"
		      "kind: Pod\n"
		      "metadata: {name: going, labels: {app: app-c},\n"
		      "  deletionTimestamp: 2026-11-23T21:00:00Z}\n"
		      "status: {podIP: 10.0.0.3}\n"
		      "---\n"
		      "apiVersion: v1\n"
		      "kind: Pod\n"
		      "metadata: {name: done, labels: {app: app-c}}\n"
		      "status: {podIP: 10.0.0.4, phase: Succeeded}\n");
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.3", 8000),
		      plain_request);
	assert_int_equal(request.result.cluster->endpoint_count, 2);
	fixture_stop(&fixture);
}

static void a_named_target_port_is_each_pods_own(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(
		&fixture,
		"apiVersion: v1\n"
		"kind: Service\n"
		"metadata: {name: s}\n"
		"spec:\n"
		"  clusterIP: 10.96.0.9\n"
		"  selector: {app: s}\n"
		"  ports: [{name: http, port: 80, targetPort: main}]\n"
		"---\n"
		"apiVersion: v1\n"
		"kind: Pod\n"
		"metadata: {name: one, labels: {app: s}}\n"
		"spec: {containers: [{name: c, ports: [{name: main, containerPort: 8001}]}]}\n"
		"status: {podIP: 10.0.0.1}\n"
		"---\n"
		"apiVersion: v1\n"
		"kind: Pod\n"
		"metadata: {name: two, labels: {app: s}}\n"
		"spec: {containers: [{name: c, ports: [{name: main, containerPort: 8002}]}]}\n"
		"status: {podIP: 10.0.0.2}\n"
		"---\n"
		"apiVersion: v1\n"
		"kind: Pod\n"
		"metadata: {name: three, labels: {app: s}}\n"
		"status: {podIP: 10.0.0.3}\n");
	request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.9", 80),
		      "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
	assert_int_equal(request.result.cluster->endpoint_count, 2);
	assert_int_equal(request.result.cluster->endpoints[0].port, 8001);
	assert_int_equal(request.result.cluster->endpoints[1].port, 8002);
	fixture_stop(&fixture);
}

static void a_service_entry_is_a_host_with_its_own_endpoints(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(
		&fixture,
		"apiVersion: networking.istio.io/v1alpha3\n"
		"kind: ServiceEntry\n"
		"metadata: {name: e}\n"
		"spec:\n"
		"  hosts: [api.example.com, API2.example.com]\n"
		"  addresses: [240.0.0.1]\n"
		"  ports: [{name: http, number: 80, protocol: HTTP, targetPort: 8080}]\n"
		"  location: MESH_INTERNAL\n"
		"  resolution: STATIC\n"
		"  endpoints:\n"
		"  - {address: 10.0.0.1, labels: {version: v1}}\n"
		"  - {address: 10.0.0.2, ports: {http: 9090}, labels: {version: v2}}\n"
		"---\n"
		"apiVersion: networking.istio.io/v1\n"
		"kind: DestinationRule\n"
		"metadata: {name: e}\n"
		"spec: {host: api2.example.com, subsets: [{name: v2, labels: {version: v2}}]}\n"
		"---\n"
		"apiVersion: networking.istio.io/v1\n"
		"kind: VirtualService\n"
		"metadata: {name: e}\n"
		"spec:\n"
		"  hosts: [api2.example.com]\n"
		"  http: [{route: [{destination: {host: api2.example.com, subset: v2}}]}]\n");
	const struct mesh_listener *listener = service_at(fixture.mesh, "240.0.0.1", 80);
	request_route(&request, fixture.mesh, listener,
		      "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
	assert_string_equal(where(&request.result), "api.example.com|-|80");
	assert_int_equal(request.result.cluster->endpoint_count, 2);
	assert_int_equal(request.result.cluster->endpoints[0].port, 8080);
	assert_int_equal(request.result.cluster->endpoints[1].port, 9090);
	request_route(&request, fixture.mesh, listener,
		      "GET / HTTP/1.1\r\nHost: Api2.example.com\r\n\r\n");
	assert_string_equal(where(&request.result), "api2.example.com|v2|80");
	assert_int_equal(request.result.cluster->endpoint_count, 1);
	assert_int_equal(request.result.cluster->endpoints[0].port, 9090);
	fixture_stop(&fixture);
}

static void a_caller_is_known_by_its_address(void **state)
{
	struct fixture fixture;
	uint8_t address[16];

	(void)state;
	fixture_start(&fixture, APP_C "apiVersion: v1\n"
				      "kind: Pod\n"
				      "metadata: {name: twin, labels: {app: app-d}}\n"
				      "status: {podIP: 10.0.250.11}\n"
				      "---\n"
				      "apiVersion: v1\n"
				      "kind: Pod\n"
				      "metadata: {name: host, labels: {app: app-d}}\n"
				      "spec: {hostNetwork: true}\n"
				      "status: {podIP: 10.0.0.9}\n"
				      "---\n"
				      "apiVersion: networking.istio.io/v1\n"
				      "kind: WorkloadEntry\n"
				      "metadata: {name: vm, namespace: vms, labels: {a: b}}\n"
				      "spec: {address: '2001:db8::7', labels: {app: vm}}\n");
	address_parse("10.0.250.23", address);
	assert_non_null(mesh_workload_by_address(fixture.mesh, address));
	address_parse("2001:db8::7", address);
	assert_non_null(mesh_workload_by_address(fixture.mesh, address));
	address_parse("10.0.250.11", address);
	assert_null(mesh_workload_by_address(fixture.mesh, address));
	address_parse("10.0.0.9", address);
	assert_null(mesh_workload_by_address(fixture.mesh, address));
	address_parse("10.9.9.9", address);
	assert_null(mesh_workload_by_address(fixture.mesh, address));
	fixture_stop(&fixture);
}

static void explain_gives_each_destination_host_once(void **state)
{
	struct fixture fixture;
	struct request request;

	(void)state;
	fixture_start(&fixture,
		      GATEWAY APP_C STEP3_DESTINATION_RULE VIRTUAL_SERVICE(
			      "edge", "['*']",
			      "  gateways: [istio-system/ingress]\n"
			      "  http: [{match: [{headers: {appver-c: {exact: v3}}}],\n"
			      "    route: [{destination: {host: app-c, subset: v3}}]},\n"
			      "    {route: [{destination: {host: app-c, subset: v2}}]}]\n")
			      STEP3_VIRTUAL_SERVICE);
	assert_int_equal(mesh_explain_count(fixture.mesh), 1);
	request_parse(&request, v3_request);
	mesh_explain(fixture.mesh, 0, &request.edit, 0, &request.result);
	assert_string_equal(where(&request.result), "app-c.default.svc.cluster.local|v3|8000");
	request_parse(&request, plain_request);
	mesh_explain(fixture.mesh, 0, &request.edit, 0, &request.result);
	assert_string_equal(where(&request.result), "app-c.default.svc.cluster.local|v2|8000");
	fixture_stop(&fixture);
}

static void an_entry_behind_one_that_takes_everything_is_a_warning(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, VIRTUAL_SERVICE("a", "[a]",
						"  http:\n"
						"  - directResponse: {status: 200}\n"
						"  - match: [{uri: {prefix: /a}}]\n"
						"    directResponse: {status: 201}\n"));
	assert_said(&fixture.diagnostics,
		    "a.yaml:8:5: warning: VirtualService/a: spec.http[1]: never "
		    "reached: the entry in line 7 takes every request");
	fixture_stop(&fixture);
}

static void nothing_at_all_is_a_mesh_without_listeners(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, "");
	assert_int_equal(mesh_listener_count(fixture.mesh), 0);
	assert_int_equal(mesh_cluster_count(fixture.mesh), 0);
	assert_int_equal(mesh_explain_count(fixture.mesh), 0);
	fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_seeds_step_3_routes_by_the_tag),
		cmocka_unit_test(the_seeds_step_4_routes_everybody_to_v3),
		cmocka_unit_test(endpoints_have_the_subsets_labels_and_the_target_port),
		cmocka_unit_test(a_service_without_virtual_service_has_all_its_endpoints),
		cmocka_unit_test(manifests_alone_are_checked_as_far_as_they_go),
		cmocka_unit_test(short_names_are_meant_in_the_callers_namespace),
		cmocka_unit_test(a_foreign_host_at_a_services_address_goes_to_that_service),
		cmocka_unit_test(an_unknown_or_overlong_host_is_no_host),
		cmocka_unit_test(a_gateway_routes_what_is_bound_to_it),
		cmocka_unit_test(a_gateway_is_named_in_each_of_istios_ways),
		cmocka_unit_test(the_longest_host_wins_at_a_gateway),
		cmocka_unit_test(virtual_services_of_one_host_follow_each_other),
		cmocka_unit_test(entries_that_take_everything_come_last_at_a_host),
		cmocka_unit_test(only_http_ports_and_routed_ports_are_listened_on),
		cmocka_unit_test(
			a_destination_without_port_means_the_one_that_could_be_http_or_is_called),
		cmocka_unit_test(one_address_and_port_for_two_services_is_an_error),
		cmocka_unit_test(references_to_nothing_are_errors),
		cmocka_unit_test(hosts_outside_are_errors_only_where_a_route_leads_there),
		cmocka_unit_test(hosts_that_are_there_twice_are_errors_and_subsets_are_not),
		cmocka_unit_test(a_subset_without_endpoints_is_no_endpoint_or_falls_back),
		cmocka_unit_test(endpoints_are_ready_pods_of_the_namespace),
		cmocka_unit_test(a_named_target_port_is_each_pods_own),
		cmocka_unit_test(a_service_entry_is_a_host_with_its_own_endpoints),
		cmocka_unit_test(a_caller_is_known_by_its_address),
		cmocka_unit_test(explain_gives_each_destination_host_once),
		cmocka_unit_test(an_entry_behind_one_that_takes_everything_is_a_warning),
		cmocka_unit_test(nothing_at_all_is_a_mesh_without_listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
