/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include "base/address.h"
#include "base/array.h"
#include "manifest/service.h"

struct reading {
	struct diagnostics diagnostics;
	struct service_manifest service;
	struct workload_manifest workload;
};

typedef void (*read_kind)(struct reading *reading, const struct node *document);

static void read_service(struct reading *reading, const struct node *document)
{
	assert_int_equal(service_read(document, &reading->diagnostics, &reading->service), 0);
}

static void read_entry(struct reading *reading, const struct node *document)
{
	assert_int_equal(service_entry_read(document, &reading->diagnostics, &reading->service), 0);
}

static void read_pod(struct reading *reading, const struct node *document)
{
	assert_int_equal(pod_read(document, &reading->diagnostics, &reading->workload), 0);
}

static void read_workload_entry(struct reading *reading, const struct node *document)
{
	assert_int_equal(workload_entry_read(document, &reading->diagnostics, &reading->workload),
			 0);
}

/* A document with `more` behind its metadata. */
static struct reading read_text(read_kind read, const char *more)
{
	struct reading reading = {0};
	struct buffer text = {0};
	struct node **documents;

	buffer_printf(
		&text,
		"apiVersion: v1\nkind: K\nmetadata: {name: s, namespace: n, labels: {m: x}}\n%s",
		more);
	size_t count =
		nodes_read_memory("a.yaml", buffer_span(&text), &reading.diagnostics, &documents);
	if (count != 1)
		fail_msg("%s", diagnostics_text(&reading.diagnostics));
	read(&reading, documents[0]);
	nodes_free(documents, count);
	buffer_free(&text);
	return reading;
}

static void done(struct reading *reading)
{
	service_free(&reading->service);
	workload_free(&reading->workload);
	diagnostics_free(&reading->diagnostics);
}

static void a_service_has_a_host_addresses_and_ports(void **state)
{
	struct reading reading =
		read_text(read_service,
			  "spec:\n  type: NodePort\n  clusterIP: 10.96.0.1\n"
			  "  clusterIPs: [10.96.0.1, '2001:db8::1']\n  selector: {app: a}\n"
			  "  ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080},\n"
			  "    {name: b, port: 81, targetPort: main}, {name: c, port: 82}]\n"
			  "status: {loadBalancer: {}}\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	const struct service_manifest *service = &reading.service;
	assert_string_equal(service->hosts[0], "s.n.svc.cluster.local");
	assert_int_equal(service->address_count, 2);
	assert_int_equal(service->port_count, 3);
	assert_true(service->ports[0].is_http);
	assert_int_equal(service->ports[0].target_port, 8080);
	assert_string_equal(service->ports[1].target_port_name, "main");
	assert_false(service->ports[1].is_http);
	assert_int_equal(service->ports[2].target_port, 82);
	done(&reading);
}

static void a_headless_service_has_no_address(void **state)
{
	struct reading reading =
		read_text(read_service, "spec: {clusterIP: None, clusterIPs: [None],"
					"ports: [{port: 80, protocol: TCP}]}\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.service.address_count, 0);
	assert_false(reading.service.has_selector);
	done(&reading);
}

static void an_entry_has_hosts_and_endpoints(void **state)
{
	struct reading reading = read_text(
		read_entry,
		"spec: {hosts: [A.example.com], addresses: [240.0.0.1],"
		"ports: [{name: http, number: 80, protocol: HTTP}], resolution: STATIC,"
		"endpoints: [{address: 10.0.0.1, ports: {http: 8080}, labels: {v: v1}}]}\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_string_equal(reading.service.hosts[0], "a.example.com");
	assert_int_equal(reading.service.endpoint_count, 1);
	const struct workload_manifest *endpoint = &reading.service.endpoints[0];
	assert_int_equal(workload_port(endpoint, "http"), 8080);
	assert_string_equal(labels_get(&endpoint->resource.labels, "v"), "v1");
	assert_string_equal(endpoint->resource.name, "s[0]");
	done(&reading);
}

static void a_pod_has_an_address_and_named_ports(void **state)
{
	struct reading reading = read_text(
		read_pod,
		"spec: {nodeName: x, containers: [{name: c, image: i, ports: [{containerPort: "
		"80},\n"
		"  {name: http, containerPort: 8080}]}]}\n"
		"status: {podIP: 10.0.0.1, phase: Running, conditions: [{type: Ready, status: "
		"'True'}]}\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_true(reading.workload.has_address);
	assert_true(reading.workload.is_ready);
	assert_int_equal(workload_port(&reading.workload, "http"), 8080);
	assert_int_equal(workload_port(&reading.workload, "other"), 0);
	done(&reading);
}

static void a_workload_entrys_labels_come_on_top_of_its_metadatas(void **state)
{
	struct reading reading = read_text(
		read_workload_entry, "spec: {address: 10.0.0.1, labels: {m: y, app: a}, weight: 1,"
				     "locality: a/b, serviceAccount: c}\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_string_equal(labels_get(&reading.workload.resource.labels, "m"), "y");
	assert_string_equal(labels_get(&reading.workload.resource.labels, "app"), "a");
	done(&reading);
}

static void what_is_wrong_is_named(void **state)
{
#define ENTRY(more)                                                                               \
	"spec: {hosts: [a.example.com], ports: [{name: http, number: 80, protocol: HTTP}], " more \
	"}\n"
	static const struct {
		read_kind read;
		const char *text;
		const char *expected;
	} rows[] = {
		{read_service, "spec: {type: Other}\n",
		 "a.yaml:4:14: K/s: spec.type: Other is not known"},
		{read_service, "spec: {clusterIP: x}\n",
		 "spec.clusterIP: \"x\" is no IP address that can be called"},
		{read_service, "spec: {clusterIP: 0.0.0.0}\n",
		 "spec.clusterIP: \"0.0.0.0\" is no IP"},
		{read_service, "spec: {ports: [{port: 80}, {port: 80}]}\n",
		 "spec.ports[1]: the port 80 stands twice, first in line 4"},
		{read_service, "spec: {ports: [{name: x}]}\n", "spec.ports[0].port: missing"},
		{read_service, "spec: {ports: [{port: 80, targetPort: 70000}]}\n",
		 "spec.ports[0].targetPort: must be a whole number"},
		{read_service, "spec: {internalTrafficPolicy: Local}\n",
		 "spec.internalTrafficPolicy: Local is not supported"},
		{read_service, "spec: {port: 80}\n", "spec.port: unknown field"},
		{read_service, "status: {}\n", "spec: missing"},
		{read_entry, "spec: {ports: [{number: 80, name: a}], resolution: STATIC}\n",
		 "spec.hosts: missing"},
		{read_entry, ENTRY("resolution: STATIC"), "STATIC needs endpoints"},
		{read_entry, ENTRY("resolution: DYNAMIC"), "spec.resolution: DYNAMIC is not known"},
		{read_entry,
		 ENTRY("resolution: STATIC, addresses: [10.0.0.0/8],"
		       "endpoints: [{address: 10.0.0.1}]"),
		 "is no IP address that can be called (ranges are not supported)"},
		{read_entry, ENTRY("resolution: STATIC, endpoints: [{address: a.b}]"),
		 "spec.endpoints[0].address: \"a.b\" is no IP address"},
		{read_entry, ENTRY("resolution: STATIC, endpoints: [{ports: {http: 1}}]"),
		 "spec.endpoints[0].address: missing"},
		{read_entry,
		 ENTRY("resolution: STATIC, endpoints: [{address: 10.0.0.1, weight: 5}]"),
		 "spec.endpoints[0].weight: not supported"},
		{read_entry,
		 ENTRY("resolution: STATIC, endpoints: [{address: 10.0.0.1}],"
		       "workloadSelector: {labels: {a: b}}"),
		 "endpoints and workloadSelector cannot both stand here"},
		{read_entry, ENTRY("resolution: STATIC, endpoints: [~]"),
		 "spec.endpoints[0]: must be a mapping"},
		{read_workload_entry, "spec: {labels: {a: b}}\n", "spec.address: missing"},
		{read_workload_entry, "spec: {address: unix:///x}\n", "is no IP address"},
		{read_pod, "status: {podIP: x}\n", "status.podIP: \"x\" is no IP address"},
		{read_pod, "status: []\n", "status: must be a mapping, not a list"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_text(rows[i].read, rows[i].text);

		if (!reading.diagnostics.error_count)
			fail_msg("nothing wrong with %s", rows[i].text);
		assert_said(&reading.diagnostics, rows[i].expected);
		done(&reading);
	}
}

static void what_lies_outside_is_left_out_with_a_warning(void **state)
{
	static const struct {
		read_kind read;
		const char *text;
		const char *warning;
	} rows[] = {
		{read_service, "spec: {type: ExternalName, externalName: a.b}\n",
		 "spec.type: ExternalName is not supported: no route may lead here"},
		{read_entry, ENTRY("resolution: DNS"),
		 "spec.resolution: names that DNS must resolve are not supported: no route"},
		{read_entry,
		 ENTRY("resolution: DNS_ROUND_ROBIN, endpoints: [{address: b.example}]"),
		 "spec.resolution: names that DNS must resolve"},
		{read_entry, ENTRY("location: MESH_EXTERNAL, addresses: [10.0.0.0/8]"),
		 "spec.resolution: resolution NONE is not supported"},
		{read_entry,
		 "spec: {hosts: ['*.example.com'], resolution: STATIC, ports: [{name: tls, number: "
		 "443, protocol: TLS}], endpoints: [{address: 10.0.0.1}]}\n",
		 "spec.hosts: wildcards are not supported"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_text(rows[i].read, rows[i].text);

		assert_int_equal(reading.diagnostics.error_count, 0);
		assert_said(&reading.diagnostics, rows[i].warning);
		assert_non_null(reading.service.left_out);
		done(&reading);
	}
}

static void session_affinity_is_no_error_and_said_to_do_nothing(void **state)
{
	struct reading reading = read_text(read_service, "spec: {sessionAffinity: ClientIP}\n");

	(void)state;
	assert_int_equal(reading.diagnostics.error_count, 0);
	assert_said(&reading.diagnostics, "spec.sessionAffinity: ClientIP has no effect here");
	assert_null(reading.service.left_out);
	done(&reading);
}

static void an_entry_with_dns_and_addresses_has_nothing_to_resolve(void **state)
{
	struct reading reading =
		read_text(read_entry, ENTRY("resolution: DNS, endpoints: [{address: 10.0.0.1}]"));

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	done(&reading);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_has_a_host_addresses_and_ports),
		cmocka_unit_test(a_headless_service_has_no_address),
		cmocka_unit_test(an_entry_has_hosts_and_endpoints),
		cmocka_unit_test(a_pod_has_an_address_and_named_ports),
		cmocka_unit_test(a_workload_entrys_labels_come_on_top_of_its_metadatas),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(what_lies_outside_is_left_out_with_a_warning),
		cmocka_unit_test(session_affinity_is_no_error_and_said_to_do_nothing),
		cmocka_unit_test(an_entry_with_dns_and_addresses_has_nothing_to_resolve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
