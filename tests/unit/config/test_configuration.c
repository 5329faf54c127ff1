/* SPDX-License-Identifier: GPL-2.0-only */
/* Which manifests a configuration is made of. */
#include "unit/mesh/mesh_test.h"

#include "config/configuration.h"

#define TAGS                                                               \
	"apiVersion: extensions.istio.io/v1alpha1\n"                       \
	"kind: WasmPlugin\n"                                               \
	"metadata: {name: tags}\n"                                         \
	"spec: {pluginConfig: {rules: [{header: x-user-id, modulo: 100, "  \
	"tagHeader: appver-a, policies: [{range: 10, tagValue: v2}]}]}}\n" \
	"---\n"
#define EDGE(server)                           \
	"apiVersion: networking.istio.io/v1\n" \
	"kind: Gateway\n"                      \
	"metadata: {name: edge}\n"             \
	"spec: {servers: [" server "]}\n"      \
	"---\n"
#define HTTP_SERVER "{port: {number: 80, protocol: HTTP}, hosts: ['*']}"
#define HTTPS_SERVER "{port: {number: 443, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE}}"
/* What a mesh may have, and lanetag cannot do. */
#define ROUTES                                                                       \
	"apiVersion: networking.istio.io/v1\n"                                       \
	"kind: VirtualService\n"                                                     \
	"metadata: {name: a}\n"                                                      \
	"spec: {hosts: ['*'], gateways: [missing], http: [{delegate: {name: b}}]}\n" \
	"---\n"                                                                      \
	"apiVersion: networking.istio.io/v1\n"                                       \
	"kind: DestinationRule\n"                                                    \
	"metadata: {name: a}\n"                                                      \
	"spec: {host: '*.local', trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}\n"      \
	"---\n"                                                                      \
	"apiVersion: networking.istio.io/v1\n"                                       \
	"kind: Sidecar\n"                                                            \
	"metadata: {name: a}\n"                                                      \
	"spec: {egress: []}\n"                                                       \
	"---\n"
#define EXTERNAL                                                  \
	"apiVersion: v1\n"                                        \
	"kind: Service\n"                                         \
	"metadata: {name: out}\n"                                 \
	"spec: {type: ExternalName, externalName: example.com}\n" \
	"---\n"

struct row {
	const char *yaml;
	struct mesh_tag_only tag_only;
	const char *said; /* NULL: nothing */
};

static const struct mesh_listener listener = {.kind = MESH_LISTENER_GATEWAY, .port = 8080};

#define ADDRESS                                                       \
	{                                                             \
		10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 \
	}

static void another_meshs_manifests_are_not_looked_into(void **state)
{
	static const struct row rows[] = {
		{TAGS EDGE(HTTP_SERVER) ROUTES EXTERNAL, {"[a::]", ADDRESS, 80}, NULL},
		{TAGS EDGE(HTTPS_SERVER) ROUTES EXTERNAL,
		 {"[a::]", ADDRESS, 80, &listener, 1},
		 NULL},
		{TAGS EDGE(HTTPS_SERVER), {"[a::]", ADDRESS, 80}, "HTTPS is not supported"},
		{TAGS EDGE(HTTP_SERVER) EXTERNAL,
		 {"out", {0}, 80},
		 "no request can go to out.default.svc.cluster.local: ExternalName is"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct diagnostics diagnostics = {0};
		char path[64];
		const char *paths[] = {path};

		fixture_write_file(rows[i].yaml, strlen(rows[i].yaml), path);
		struct configuration *configuration =
			configuration_load_tag_only(paths, 1, &rows[i].tag_only, 1, &diagnostics);
		fixture_remove_file(path);
		if (rows[i].said)
			assert_said(&diagnostics, rows[i].said);
		else if (diagnostics.count)
			fail_msg("%s", diagnostics_text(&diagnostics));
		assert_int_equal(configuration != NULL, rows[i].said == NULL);
		if (configuration)
			assert_int_equal(tag_rules_count(configuration->tag_rules), 1);
		configuration_drop(configuration);
		diagnostics_free(&diagnostics);
	}
}

static void with_routes_all_is_read(void **state)
{
	struct diagnostics diagnostics = {0};
	char path[64];
	const char *paths[] = {path};

	(void)state;
	fixture_write_file(ROUTES, strlen(ROUTES), path);
	assert_null(configuration_load(paths, 1, 1, &diagnostics));
	fixture_remove_file(path);
	assert_said(&diagnostics, "the delegate default/b: there is no such VirtualService");
	assert_said(&diagnostics, "Sidecar/a: not enforced");
	diagnostics_free(&diagnostics);
}

static void rules_outlive_what_they_were_loaded_with(void **state)
{
	static const char yaml[] = TAGS EDGE(HTTP_SERVER);
	struct diagnostics diagnostics = {0};
	struct tag_decision decision;
	char path[64];
	const char *paths[] = {path};

	(void)state;
	fixture_write_file(yaml, strlen(yaml), path);
	struct configuration *configuration = configuration_load(paths, 1, 7, &diagnostics);
	fixture_remove_file(path);
	assert_non_null(configuration);
	assert_true(configuration_is_sole(configuration));
	configuration_take(configuration);
	assert_false(configuration_is_sole(configuration));
	struct configuration *rules = configuration_take_rules(configuration);
	configuration_drop(configuration);
	assert_non_null(rules->mesh);
	configuration_drop(configuration);
	/* All that grows with hosts, routes and endpoints is gone. */
	assert_null(rules->mesh);
	assert_null(rules->propagation);
	assert_null(rules->manifests.files);
	assert_null(rules->manifests.gateways);
	assert_int_equal(rules->generation, 7);
	tag_rules_decide_id(rules->tag_rules, span_of("user-1"), &decision);
	assert_true(decision.rules[0].has_remainder);
	assert_string_equal(tag_rules_header(rules->tag_rules, 0).data, "appver-a");
	assert_string_equal(tag_rules_source_name(rules->tag_rules, 0).data, "x-user-id");
	configuration_drop_rules(rules);
	diagnostics_free(&diagnostics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_meshs_manifests_are_not_looked_into),
		cmocka_unit_test(with_routes_all_is_read),
		cmocka_unit_test(rules_outlive_what_they_were_loaded_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
