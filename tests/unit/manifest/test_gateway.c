/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include "base/address.h"
#include "base/array.h"
#include "manifest/gateway.h"

struct reading {
	struct diagnostics diagnostics;
	struct gateway_manifest gateway;
};

/* Reads a Gateway with these servers. */
static struct reading read_servers(const char *servers)
{
	struct reading reading = {0};
	struct buffer text = {0};
	struct node **documents;

	buffer_printf(&text,
		      "apiVersion: networking.istio.io/v1\nkind: Gateway\n"
		      "metadata: {name: g, namespace: edge}\nspec:\n  servers:\n%s",
		      servers);
	size_t count =
		nodes_read_memory("a.yaml", buffer_span(&text), &reading.diagnostics, &documents);
	if (count != 1)
		fail_msg("%s", diagnostics_text(&reading.diagnostics));
	assert_int_equal(gateway_read(documents[0], &reading.diagnostics, &reading.gateway), 0);
	nodes_free(documents, count);
	buffer_free(&text);
	return reading;
}

static void done(struct reading *reading)
{
	gateway_free(&reading->gateway);
	diagnostics_free(&reading->diagnostics);
}

static void servers_have_ports_hosts_and_addresses(void **state)
{
	struct reading reading = read_servers(
		"  - port: {number: 80, name: http, protocol: HTTP}\n"
		"    hosts: ['*', ./a.Example.com, other/*.example.com, '*/b.example.com']\n"
		"  - port: {number: 8080, name: http2, protocol: http}\n"
		"    bind: 10.0.0.1\n"
		"    hosts: [c]\n");
	char address[ADDRESS_TEXT_BYTES];

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.gateway.server_count, 2);
	const struct gateway_server *server = &reading.gateway.servers[0];
	assert_int_equal(server->port, 80);
	assert_true(address_is_any(server->address));
	assert_int_equal(server->host_count, 4);
	assert_null(server->hosts[0].namespace);
	assert_string_equal(server->hosts[1].namespace, "edge");
	assert_string_equal(server->hosts[1].host, "a.example.com");
	assert_string_equal(server->hosts[2].namespace, "other");
	assert_string_equal(server->hosts[2].host, "*.example.com");
	assert_null(server->hosts[3].namespace);
	address_print(reading.gateway.servers[1].address, address);
	assert_string_equal(address, "10.0.0.1");
	done(&reading);
}

static void a_port_of_http2_is_one_of_http1_with_a_warning(void **state)
{
	struct reading reading = read_servers(
		"  - port: {number: 80, name: http2, protocol: HTTP2}\n    hosts: ['*']\n");

	(void)state;
	assert_int_equal(reading.diagnostics.error_count, 0);
	assert_said(&reading.diagnostics,
		    "a.yaml:6:47: warning: Gateway/g: spec.servers[0].port.protocol: requests of "
		    "HTTP/2 are not supported");
	assert_int_equal(reading.gateway.servers[0].port, 80);
	done(&reading);
}

static void what_is_wrong_is_named(void **state)
{
	static const char *const rows[][2] = {
		{"  - port: {number: 443, name: https, protocol: QUIC}\n    hosts: ['*']\n",
		 "a.yaml:6:48: Gateway/g: spec.servers[0].port.protocol: QUIC is not supported"},
		{"  - port: {number: 80, name: h, protocol: HTTP}\n    hosts: ['*']\n"
		 "    tls: {httpsRedirect: 1}\n",
		 "a.yaml:8:26: Gateway/g: spec.servers[0].tls.httpsRedirect: must be true or"},
		{"  - port: {number: 0, name: h, protocol: HTTP}\n    hosts: ['*']\n",
		 "spec.servers[0].port.number: must be a whole number from 1 to 65535"},
		{"  - port: {number: 80, protocol: HTTP}\n", "spec.servers[0].hosts: missing"},
		{"  - hosts: ['*']\n", "spec.servers[0].port: missing"},
		{"  - port: {protocol: HTTP}\n    hosts: ['*']\n", "port.number: missing"},
		{"  - port: {number: 80}\n    hosts: ['*']\n", "port.protocol: missing"},
		{"  - port: {number: 80, protocol: HTTP}\n    hosts: ['a*', 'a..b', 'a b', '']\n",
		 "spec.servers[0].hosts[2]: \"a b\" is no host"},
		{"  - port: {number: 80, protocol: HTTP}\n    hosts: ['*']\n    bind: nowhere\n",
		 "spec.servers[0].bind: \"nowhere\" is no IP address"},
		{"  - port: {number: 80, protocol: HTTP}\n    hosts: ['*']\n    other: 1\n",
		 "spec.servers[0].other: unknown field"},
		{"  - port: {number: 0, protocol: HTTP}\n    hosts: [a, b]\n"
		 "  - port: {number: 80, protocol: HTTP}\n    hosts: ['a b']\n",
		 "spec.servers[1].hosts[0]: \"a b\" is no host"},
		{"  - \n", "spec.servers[0]: must be a mapping"},
		{"    []\n", "spec.servers: missing"},
		{"    a\n", "spec.servers: must be a list"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_servers(rows[i][0]);

		assert_true(reading.diagnostics.error_count > 0);
		assert_said(&reading.diagnostics, rows[i][1]);
		done(&reading);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_have_ports_hosts_and_addresses),
		cmocka_unit_test(a_port_of_http2_is_one_of_http1_with_a_warning),
		cmocka_unit_test(what_is_wrong_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
