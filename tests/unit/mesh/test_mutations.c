/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Manifests with every field, changed at random in ten thousands of ways: whatever comes out must
 * be refused in words or compiled, and what was compiled must route. Worth most under SANITIZE=1.
 *   LANETAG_MUTATIONS  how many (default 4000); LANETAG_SEED  where to begin
 */
#include "unit/manifest/mutation.h"
#include "unit/mesh/mesh_test.h"

#include "base/array.h"

static const char manifests[] =
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: a, namespace: shop, labels: {x: y}}\n"
	"spec:\n"
	"  clusterIP: 10.96.0.1\n"
	"  clusterIPs: [10.96.0.1, '2001:db8::1']\n"
	"  type: ClusterIP\n"
	"  selector: {app: a}\n"
	"  ports:\n"
	"  - {name: http, port: 80, targetPort: main, protocol: TCP}\n"
	"  - {name: web-b, port: 81, targetPort: 8081, appProtocol: http}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: a-1, namespace: shop, labels: {app: a, version: v1}}\n"
	"spec: {containers: [{ports: [{name: main, containerPort: 8080}]}]}\n"
	"status: {podIP: 10.0.0.1, phase: Running, conditions: [{type: Ready, status: 'True'}]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1beta1\n"
	"kind: WorkloadEntry\n"
	"metadata: {name: a-2, namespace: shop}\n"
	"spec: {address: 10.0.0.2, ports: {http: 9090}, labels: {app: a, version: v2}}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: {name: e}\n"
	"spec:\n"
	"  hosts: [api.example.com]\n"
	"  addresses: [240.0.0.1]\n"
	"  ports: [{name: http, number: 80, protocol: HTTP}]\n"
	"  resolution: STATIC\n"
	"  endpoints: [{address: 10.0.0.3, ports: {http: 8080}, labels: {version: v1}}]\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: DestinationRule\n"
	"metadata: {name: a, namespace: shop, annotations: {lanetag.io/fallback-subset: v1}}\n"
	"spec:\n"
	"  host: a\n"
	"  trafficPolicy:\n"
	"    loadBalancer: {simple: LEAST_REQUEST}\n"
	"    connectionPool: {tcp: {maxConnections: 9, connectTimeout: 1s}, http: {maxRetries: "
	"3}}\n"
	"    outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 2s}\n"
	"    portLevelSettings: [{port: {number: 81}, loadBalancer: {simple: RANDOM}}]\n"
	"  subsets:\n"
	"  - {name: v1, labels: {version: v1}}\n"
	"  - name: v2\n"
	"    labels: {version: v2}\n"
	"    trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user-id}}}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: g, namespace: edge}\n"
	"spec:\n"
	"  selector: {istio: ingressgateway}\n"
	"  servers:\n"
	"  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['shop/*', "
	"'*/*.example.com']}\n"
	"  - {port: {number: 81, name: http, protocol: HTTP}, hosts: ['*'], bind: 127.0.0.1}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: VirtualService\n"
	"metadata: {name: a, namespace: shop}\n"
	"spec:\n"
	"  hosts: [a, '*.example.com', b.example.com]\n"
	"  gateways: [mesh, edge/g]\n"
	"  exportTo: ['*']\n"
	"  http:\n"
	"  - name: all\n"
	"    match:\n"
	"    - uri: {prefix: /a}\n"
	"      ignoreUriCase: true\n"
	"      method: {regex: 'GET|POST'}\n"
	"      headers: {appver-a: &tag {exact: v2}, x-b: {}}\n"
	"      withoutHeaders: {x-c: *tag}\n"
	"      queryParams: {q: {exact: '1'}}\n"
	"    - {port: 80, gateways: [mesh], sourceLabels: {app: b}, sourceNamespace: shop}\n"
	"    route:\n"
	"    - destination: {host: a, subset: v1, port: {number: 80}}\n"
	"      weight: 90\n"
	"      headers: {response: {add: {x-side: one}, remove: [server]}}\n"
	"    - {destination: {host: a.shop.svc.cluster.local, subset: v2, port: {number: 80}}, "
	"weight: 10}\n"
	"    rewrite: {uri: /b, authority: c}\n"
	"    timeout: 1.5s\n"
	"    retries: {attempts: 2, perTryTimeout: 500ms, retryOn: '5xx,connect-failure,409'}\n"
	"    fault: {delay: {fixedDelay: 1s, percentage: {value: 0.5}}, abort: {httpStatus: 503, "
	"percent: 1}}\n"
	"    mirror: {host: api.example.com}\n"
	"    mirrorPercentage: {value: 10}\n"
	"    headers: {request: {set: {x-a: b}}}\n"
	"  - {match: [{uri: {exact: /r}}], redirect: {uri: /s, scheme: https, redirectCode: 302}}\n"
	"  - {match: [{uri: {regex: '/d.*'}}], directResponse: {status: 200, body: {string: "
	"hello}}}\n"
	"  - {route: [{destination: {host: a, port: {number: 81}}}]}\n"
	"---\n"
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: g, namespace: edge}\n"
	"spec:\n"
	"  gatewayClassName: c\n"
	"  listeners:\n"
	"  - {name: a, port: 82, protocol: HTTP, hostname: '*.example.com', allowedRoutes: "
	"{namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}}\n"
	"  - {name: b, port: 83, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, "
	"selector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: "
	"[shop]}]}}}}\n"
	"---\n"
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: HTTPRoute\n"
	"metadata: {name: r, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}\n"
	"spec:\n"
	"  parentRefs: [{name: g, namespace: edge, sectionName: a}, {name: g, namespace: edge, "
	"port: "
	"83}, {group: '', kind: Service, name: a, port: 81}]\n"
	"  hostnames: [b.example.com, '*.y.example.com']\n"
	"  rules:\n"
	"  - matches: [{path: {type: PathPrefix, value: /a}, method: GET, headers: [{name: "
	"appver-a, "
	"value: v2}], queryParams: [{name: q, type: RegularExpression, value: '[0-9]'}]}, {path: "
	"{type: Exact, value: /r}}]\n"
	"    filters:\n"
	"    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: h, value: v}], "
	"remove: [x]}}\n"
	"    - {type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, fraction: "
	"{numerator: 1, denominator: 3}}}\n"
	"    timeouts: {request: 2s, backendRequest: 1s}\n"
	"    retry: {attempts: 2, codes: [503]}\n"
	"    backendRefs: [{name: a, port: 80, weight: 9}, {name: z, namespace: far, port: 80}]\n"
	"  - matches: [{path: {value: /r}}]\n"
	"    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, path: {type: "
	"ReplacePrefixMatch, replacePrefixMatch: /s}}}]\n"
	"  - matches: [{path: {value: /d}}]\n"
	"    filters: [{type: URLRewrite, urlRewrite: {hostname: h.test, path: {type: "
	"ReplacePrefixMatch, replacePrefixMatch: /s}}}]\n"
	"    backendRefs: [{name: a, port: 80}]\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: z, namespace: far}\n"
	"spec: {clusterIP: 10.96.0.9, selector: {app: z}, ports: [{name: http, port: 80}]}\n"
	"---\n"
	"apiVersion: gateway.networking.k8s.io/v1beta1\n"
	"kind: ReferenceGrant\n"
	"metadata: {name: far, namespace: far}\n"
	"spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}], to: "
	"[{group: '', kind: Service, name: z}]}\n";

static void route_everywhere(const struct mesh *mesh)
{
	static const char *const requests[] = {
		"GET /a?q=1 HTTP/1.1\r\nHost: a\r\nappver-a: v2\r\nx-b: c\r\n\r\n",
		"GET /r HTTP/1.1\r\nHost: a.shop:80\r\n\r\n",
		"GET http://b.example.com HTTP/1.1\r\nHost: b.example.com\r\n\r\n",
		"POST /d HTTP/1.1\r\nHost: x.y.example.com\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
	};

	for (size_t i = 0; i < mesh_listener_count(mesh); i++) {
		for (size_t j = 0; j < ARRAY_LENGTH(requests); j++) {
			struct request request;
			struct buffer out = {0};

			request_route(&request, mesh, mesh_listener(mesh, i), requests[j]);
			if (request.result.action == ROUTE_REDIRECT)
				mesh_write_location(&request.query, &request.result, &out);
			mesh_write_target(&request.result, request.edit.target, &out);
			assert_false(out.failed);
			buffer_free(&out);
		}
	}
	for (size_t i = 0; i < mesh_explain_count(mesh); i++) {
		struct request request;

		request_parse(&request, requests[0]);
		mesh_explain(mesh, i, &request.edit, 1, &request.result);
	}
}

static unsigned setting(const char *name, unsigned absent)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : absent;
}

static void the_manifests_themselves_are_good(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, manifests);
	assert_nothing_said(&fixture.diagnostics);
	assert_int_equal(mesh_listener_count(fixture.mesh), 10);
	route_everywhere(fixture.mesh);
	fixture_stop(&fixture);
}

static void changed_manifests_are_refused_in_words_or_compiled(void **state)
{
	unsigned rounds = setting("LANETAG_MUTATIONS", 4000), seed = setting("LANETAG_SEED", 1);
	unsigned good = 0;

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		struct buffer text = {0};
		struct fixture fixture;

		buffer_append(&text, manifests, sizeof(manifests) - 1);
		for (int i = rand_r(&seed) % 3; i >= 0; i--)
			mutate(&text, &seed);
		fixture_compile(&fixture, buffer_text(&text));
		if (fixture.result == 0) {
			good += fixture.diagnostics.route_error_count == 0;
			route_everywhere(fixture.mesh);
		} else {
			assert_true(fixture.diagnostics.error_count > 0);
		}
		fixture_stop(&fixture);
		buffer_free(&text);
	}
	/* Neither all nor none: else the changes tell nothing. */
	assert_in_range(good, rounds / 20, rounds - rounds / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manifests_themselves_are_good),
		cmocka_unit_test(changed_manifests_are_refused_in_words_or_compiled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
