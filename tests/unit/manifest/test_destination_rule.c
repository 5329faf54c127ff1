/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include "base/array.h"
#include "manifest/destination_rule.h"

struct reading {
	struct diagnostics diagnostics;
	struct destination_rule_manifest rule;
};

static struct reading read_rule(const char *annotations, const char *spec)
{
	struct reading reading = {0};
	struct buffer text = {0};
	struct node **documents;

	buffer_printf(&text,
		      "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
		      "metadata: {name: r, annotations: {%s}}\nspec: {%s}\n",
		      annotations, spec);
	size_t count =
		nodes_read_memory("a.yaml", buffer_span(&text), &reading.diagnostics, &documents);
	if (count != 1)
		fail_msg("%s", diagnostics_text(&reading.diagnostics));
	assert_int_equal(destination_rule_read(documents[0], &reading.diagnostics, &reading.rule),
			 0);
	nodes_free(documents, count);
	buffer_free(&text);
	return reading;
}

static void done(struct reading *reading)
{
	destination_rule_free(&reading->rule);
	diagnostics_free(&reading->diagnostics);
}

static void subsets_and_policies_are_read(void **state)
{
	struct reading reading = read_rule(
		"lanetag.io/fallback-subset: v1",
		"host: A.example.com, trafficPolicy: {loadBalancer: {simple: LEAST_CONN},"
		"connectionPool: {tcp: {maxConnections: 10, connectTimeout: 3s},"
		"http: {http1MaxPendingRequests: 5, http2MaxRequests: 6,"
		"maxRequestsPerConnection: 7, maxRetries: 8, idleTimeout: 9s}},"
		"outlierDetection: {consecutive5xxErrors: 7, interval: 5m},"
		"tls: {mode: DISABLE},"
		"portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]},"
		"subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2},"
		"trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user-id}}}}]");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	const struct destination_rule_manifest *rule = &reading.rule;
	assert_string_equal(rule->host, "a.example.com");
	assert_string_equal(rule->fallback_subset, "v1");
	assert_int_equal(rule->policy.settings.balancing, BALANCING_LEAST_REQUEST);
	assert_int_equal(rule->policy.settings.pool.maximum_connections, 10);
	assert_int_equal(rule->policy.settings.pool.connect_timeout_ms, 3000);
	assert_int_equal(rule->policy.settings.pool.maximum_requests, 6);
	assert_int_equal(rule->policy.settings.pool.idle_timeout_ms, 9000);
	assert_int_equal(rule->policy.settings.outlier.consecutive_5xx, 7);
	assert_int_equal(rule->policy.settings.outlier.interval_ms, 300000);
	assert_int_equal(rule->policy.settings.outlier.base_ejection_ms, 30000);
	assert_int_equal(rule->policy.settings.outlier.maximum_ejection_percent, 10);
	assert_int_equal(rule->policy.ports[0].settings.balancing, BALANCING_RANDOM);
	assert_int_equal(rule->subset_count, 2);
	assert_int_equal(rule->subsets[1].policy.settings.balancing, BALANCING_HASH_HEADER);
	assert_string_equal(rule->subsets[1].policy.settings.hash_name, "x-user-id");
	done(&reading);
}

#define POLICY(text) "host: a, trafficPolicy: {" text "}"

static void what_changes_nothing_here_is_no_error(void **state)
{
	static const char *const rows[] = {
		POLICY("loadBalancer: {simple: RANDOM, localityLbSetting: {enabled: false}}"),
		POLICY("connectionPool: {http: {http2KeepAlive: {interval: 15s, timeout: 5s}}}"),
		POLICY("outlierDetection: {consecutiveLocalOriginFailures: 3}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_rule("", rows[i]);

		assert_nothing_said(&reading.diagnostics);
		done(&reading);
	}
}

static void what_is_wrong_is_named(void **state)
{
	static const char *const rows[][2] = {
		{"subsets: []", "a.yaml:4:7: DestinationRule/r: spec.host: missing"},
		{"host: 'a.*'", "spec.host: \"a.*\" is no host"},
		{"host: a, workloadSelector: {}", "spec.workloadSelector: not supported"},
		{"host: a, subsets: [{labels: {a: b}}]", "spec.subsets[0].name: missing"},
		{"host: a, subsets: [{name: v1}, {name: v1}]",
		 "spec.subsets[1]: the subset \"v1\" stands twice, first in line 4"},
		{"host: a, subsets: [{name: v1, labels: {a: 1}}]",
		 "spec.subsets[0].labels.a: must be a text"},
		{POLICY("loadBalancer: {simple: PASSTHROUGH}"),
		 "loadBalancer.simple: \"PASSTHROUGH\" is not supported"},
		{POLICY("loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}"),
		 "simple and consistentHash cannot both stand here"},
		{POLICY("loadBalancer: {consistentHash: {}}"),
		 "needs exactly one of httpHeaderName"},
		{POLICY("loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: a}}"),
		 "needs exactly one of httpHeaderName"},
		{POLICY("loadBalancer: {consistentHash: {httpHeaderName: 'a b'}}"),
		 "\"a b\" is no header name"},
		{POLICY("loadBalancer: {consistentHash: {httpCookie: {name: c, attributes: [{name: "
			"a}]}}}"),
		 "httpCookie.attributes: not supported"},
		{POLICY("loadBalancer: {consistentHash: {httpCookie: {name: c, path: /; Secure}}}"),
		 "httpCookie: \"/; Secure\" is no path of a cookie"},
		{POLICY("loadBalancer: {consistentHash: {httpCookie: {name: c=d}}}"),
		 "httpCookie: \"c=d\" is no name of a cookie"},
		{POLICY("tls: {mode: SIMPLE}"), "spec.trafficPolicy.tls: TLS is not supported"},
		{POLICY("connectionPool: {tcp: {maxConnections: many}}"),
		 "connectionPool.tcp.maxConnections: must be a whole number"},
		{POLICY("outlierDetection: {maxEjectionPercent: 101}"),
		 "outlierDetection.maxEjectionPercent: must be a whole number from 0 to 100"},
		{POLICY("portLevelSettings: [{loadBalancer: {simple: RANDOM}}]"),
		 "portLevelSettings[0].port: missing"},
		{POLICY("proxyProtocol: {version: V1}"), "proxyProtocol: not supported"},
		{POLICY("loadbalancer: {}"), "spec.trafficPolicy.loadbalancer: unknown field"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_rule("", rows[i][0]);

		assert_true(reading.diagnostics.error_count > 0);
		assert_said(&reading.diagnostics, rows[i][1]);
		done(&reading);
	}
}

static void what_serves_without_a_field_is_served_with_a_warning(void **state)
{
	static const char *const rows[][2] = {
		{POLICY("loadBalancer: {localityLbSetting: {enabled: true}}"),
		 "localityLbSetting: not supported: requests go to endpoints of all localities"},
		{POLICY("connectionPool: {http: {h2UpgradePolicy: UPGRADE}}"),
		 "requests go on as HTTP/1.1"},
		{POLICY("outlierDetection: {splitExternalLocalOriginErrors: true}"),
		 "splitExternalLocalOriginErrors is not supported"},
		{POLICY("tls: {mode: ISTIO_MUTUAL}"), "spec.trafficPolicy.tls: not supported"},
		{POLICY("loadBalancer: {simple: RANDOM, warmup: {duration: 1s}}"),
		 "loadBalancer.warmup: not supported: a new endpoint"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_rule("", rows[i][0]);

		assert_int_equal(reading.diagnostics.error_count, 0);
		assert_said(&reading.diagnostics, rows[i][1]);
		done(&reading);
	}
}

static void the_fallback_must_be_a_subset_and_ours_be_known(void **state)
{
	struct reading other =
		read_rule("lanetag.io/fallback-subset: v9", "host: a, subsets: [{name: v1}]");
	struct reading misspelt =
		read_rule("lanetag.io/fallback: v1", "host: a, subsets: [{name: v1}]");
	struct reading foreign = read_rule("example.com/x: y", "host: a, subsets: [{name: v1}]");

	(void)state;
	assert_said(&other.diagnostics, "there is no subset \"v9\" in this DestinationRule");
	assert_said(&misspelt.diagnostics,
		    "metadata.annotations.lanetag.io/fallback: unknown annotation");
	assert_nothing_said(&foreign.diagnostics);
	done(&other);
	done(&misspelt);
	done(&foreign);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subsets_and_policies_are_read),
		cmocka_unit_test(what_changes_nothing_here_is_no_error),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(what_serves_without_a_field_is_served_with_a_warning),
		cmocka_unit_test(the_fallback_must_be_a_subset_and_ours_be_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
