/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include "base/array.h"
#include "manifest/wasm_plugin.h"

#define RULES "spec:\n  pluginConfig:\n    rules:\n"
#define POLICIES "policies: [{range: 1, tagValue: v}]"
#define BASE "header: u, modulo: 100, tagHeader: t"

struct reading {
	struct diagnostics diagnostics;
	struct wasm_plugin_manifest plugin;
};

static struct reading read_span(struct span text)
{
	struct reading reading = {0};
	struct node **documents;
	size_t count = nodes_read_memory("w.yaml", text, &reading.diagnostics, &documents);

	if (count != 1)
		fail_msg("%s", diagnostics_text(&reading.diagnostics));
	wasm_plugin_read(documents[0], &reading.diagnostics, &reading.plugin);
	nodes_free(documents, count);
	return reading;
}

static struct reading read_text(const char *spec)
{
	struct buffer text = {0};

	buffer_printf(&text,
		      "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\n"
		      "metadata: {name: p}\n%s",
		      spec);
	struct reading reading = read_span(buffer_span(&text));
	buffer_free(&text);
	return reading;
}

static void done(struct reading *reading)
{
	wasm_plugin_free(&reading->plugin);
	diagnostics_free(&reading->diagnostics);
}

static struct reading read_rule(const char *rule)
{
	char *spec;

	assert_true(asprintf(&spec, RULES "    - {%s}\n", rule) > 0);
	struct reading reading = read_text(spec);
	free(spec);
	return reading;
}

static void what_is_left_out_has_its_default(void **state)
{
	struct reading reading = read_rule(BASE ", " POLICIES);

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.plugin.rule_count, 1);
	const struct tag_rule_manifest *rule = &reading.plugin.rules[0];
	assert_int_equal(rule->source_kind, LANETAG_SOURCE_HEADER);
	assert_int_equal(rule->hash, LANETAG_HASH_FNV1A32);
	assert_int_equal(rule->seed, 0);
	assert_string_equal(rule->salt, "");
	assert_int_equal(rule->include_count + rule->exclude_count, 0);
	done(&reading);
}

static void each_form_holds_its_remainders(void **state)
{
	static const struct {
		const char *rule;
		uint32_t modulo, from, to; /* of the last policy */
	} rows[] = {
		{BASE ", policies: [{range: 0, tagValue: v}]", 100, 0, 1},
		{BASE ", policies: [{range: 10, tagValue: v}]", 100, 0, 11},
		{BASE ", policies: [{range: 99, tagValue: v}]", 100, 0, 100},
		{BASE ", policies: [{range: 4294967295, tagValue: v}]", 100, 0, 100},
		{BASE ", policies: [{percent: 0, tagValue: v}]", 100, 0, 0},
		{BASE ", policies: [{percent: 100, tagValue: v}]", 100, 0, 100},
		{"header: u, tagHeader: t, policies: [{percent: 0.01, tagValue: v}]", 10000, 0, 1},
		{"header: u, tagHeader: t, policies: [{percent: 33.33, tagValue: v}]", 10000, 0,
		 3333},
		{BASE ", policies: [{slots: [10, 20], tagValue: v}]", 100, 10, 20},
		{BASE ", policies: [{slots: [99, 100], tagValue: v}]", 100, 99, 100},
		{"header: u, tagHeader: t, partitionedPolicies: [{weight: 100, tagValue: v}]", 100,
		 0, 100},
		{"header: u, tagHeader: t, modulo: 7, partitionedPolicies: [{weight: 2, tagValue: "
		 "v}, {weight: 0, tagValue: w}, {weight: 5, tagValue: x}]",
		 7, 2, 7},
		{"header: u, tagHeader: t, modulo: 4294967295, policies: [{range: 4294967294, "
		 "tagValue: v}]",
		 4294967295, 0, 4294967295},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_rule(rows[i].rule);

		assert_nothing_said(&reading.diagnostics);
		const struct tag_rule_manifest *rule = &reading.plugin.rules[0];
		const struct tag_policy_manifest *last = &rule->policies[rule->policy_count - 1];
		assert_int_equal(rule->modulo, rows[i].modulo);
		assert_int_equal(last->from, rows[i].from);
		assert_int_equal(last->to, rows[i].to);
		done(&reading);
	}
}

static void sources_hashes_and_lists_are_read(void **state)
{
	struct reading reading =
		read_rule("cookie: uid, modulo: 4, tagHeader: t, hash: xxh64, "
			  "seed: 18446744073709551615, salt: 's:', " POLICIES
			  ", include: [{tagValue: v, ids: [a, 'b c']}], exclude: ['7']");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	const struct tag_rule_manifest *rule = &reading.plugin.rules[0];
	assert_int_equal(rule->source_kind, LANETAG_SOURCE_COOKIE);
	assert_string_equal(rule->source_name, "uid");
	assert_string_equal(hash_kind_name(rule->hash), "xxh64");
	assert_true(rule->seed == UINT64_MAX);
	assert_string_equal(rule->salt, "s:");
	assert_string_equal(rule->includes[0].ids[1], "b c");
	assert_string_equal(rule->excludes[0], "7");
	done(&reading);
	reading = read_rule("queryParam: 'user id', modulo: 4, tagHeader: t, " POLICIES);
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.plugin.rules[0].source_kind, LANETAG_SOURCE_QUERY_PARAM);
	done(&reading);
}

static void a_bad_rule_is_named_and_left_out(void **state)
{
	static const struct {
		const char *rule, *said;
	} rows[] = {
		{"modulo: 100, tagHeader: t, " POLICIES, "rules[0]: header is missing"},
		{BASE ", cookie: c, " POLICIES, "rules[0].cookie: a rule has one source"},
		{"header: 'a b', modulo: 1, tagHeader: t, " POLICIES, "rules[0].header: \"a b\""},
		{"queryParam: '', modulo: 1, tagHeader: t, " POLICIES, "queryParam: "},
		{"header: u, tagHeader: t, " POLICIES, "rules[0].modulo: is missing"},
		{"header: u, modulo: 0, tagHeader: t, " POLICIES, "rules[0].modulo: "},
		{"header: u, modulo: 4294967296, tagHeader: t, " POLICIES, "rules[0].modulo: "},
		{"header: u, modulo: -1, tagHeader: t, " POLICIES, "rules[0].modulo: "},
		{"header: u, modulo: 1.5, tagHeader: t, " POLICIES, "rules[0].modulo: "},
		{BASE ", hash: md5, " POLICIES, "rules[0].hash: unknown hash \"md5\""},
		{BASE ", seed: 1, " POLICIES, "rules[0].seed: fnv1a32 has no seed"},
		{BASE ", hash: xxh32, seed: 4294967296, " POLICIES, "rules[0].seed: "},
		{BASE, "rules[0].policies: missing"},
		{BASE ", policies: []", "rules[0].policies: missing"},
		{BASE ", policies: [{tagValue: v}]", "policies[0]: must have exactly one of"},
		{BASE ", policies: [{range: 1, percent: 1, tagValue: v}]", "exactly one of"},
		{BASE ", policies: [{range: 1}]", "policies[0].tagValue: missing"},
		{BASE ", policies: [{range: 1, tagValue: ''}]", "tagValue: must not be empty"},
		{BASE ", policies: [{range: 1, tagValue: \"a\\r\\nb\"}]", "not a field value"},
		{BASE ", policies: [{range: 1, tagValue: \"a\\0b\"}]", "tagValue: "},
		{BASE ", policies: [{range: 1, tagValue: ' v'}]", "not a field value"},
		{BASE ", policies: [{percent: 0.001, tagValue: v}]", "policies[0].percent: "},
		{BASE ", policies: [{percent: 100.01, tagValue: v}]", "policies[0].percent: "},
		{BASE ", policies: [{percent: 0.5, tagValue: v}]", "is not exact with modulo 100"},
		{BASE ", policies: [{slots: [10, 10], tagValue: v}]", "must be [from, to]"},
		{BASE ", policies: [{slots: [0, 101], tagValue: v}]", "slots[1]: must be a number"},
		{BASE ", policies: [{slots: [1], tagValue: v}]", "must be [from, to]"},
		{BASE ", policies: [{slots: [a, b], tagValue: v}]", "slots[0]: must be a number"},
		{BASE ", partitionedPolicies: [{weight: 60, tagValue: v}, {weight: 41, tagValue: "
		      "w}]",
		 "partitionedPolicies[1].weight: the weights sum up to more than the modulo, 100"},
		{BASE ", partitionedPolicies: [{tagValue: v}]", "weight: is missing"},
		{BASE ", partitionedPolicies: [{weight: 1, tagValue: v}], " POLICIES,
		 "stands beside policies"},
		{"header: u, modulo: 1, tagHeader: 'a:', " POLICIES, "tagHeader: \"a:\""},
		{"header: u, modulo: 1, tagHeader: Content-Length, " POLICIES,
		 "tagHeader: Content-Length has a meaning"},
		{BASE ", " POLICIES ", include: [{tagValue: w, ids: [a]}]",
		 "include[0].tagValue: no policy of this rule gives \"w\""},
		{BASE ", " POLICIES ", exclude: ['']", "exclude[0]: no id"},
		{BASE ", " POLICIES ", exclude: [\"a\\nb\"]", "exclude[0]: no id"},
		{BASE ", " POLICIES ", rang: 1", "rules[0].rang: "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_rule(rows[i].rule);

		if (reading.diagnostics.error_count == 0)
			fail_msg("accepted: %s", rows[i].rule);
		assert_said(&reading.diagnostics, rows[i].said);
		assert_said(&reading.diagnostics, "w.yaml:7:"); /* a place in the rule's own line */
		assert_said(&reading.diagnostics, ": WasmPlugin/p: spec.pluginConfig.rules[0]");
		assert_int_equal(reading.plugin.rule_count, 0);
		done(&reading);
	}
}

static void limits_are_named(void **state)
{
	struct buffer rule = {0};
	char long_text[300];

	(void)state;
	memset(long_text, 'a', sizeof(long_text));
	static const struct {
		const char *format, *said;
		int length;
	} rows[] = {
		{"header: %.*s, modulo: 1, tagHeader: t, " POLICIES, "header: longer than 64", 65},
		{"header: u, modulo: 1, tagHeader: %.*s, " POLICIES, "tagHeader: longer than 64",
		 65},
		{BASE ", salt: %.*s, " POLICIES, "salt: longer than 64", 65},
		{BASE ", policies: [{range: 1, tagValue: %.*s}]", "tagValue: longer than 256", 257},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		for (int more = 0; more < 2; more++) {
			char text[600];

			snprintf(text, sizeof(text), rows[i].format, rows[i].length - 1 + more,
				 long_text);
			struct reading reading = read_rule(text);
			if (more)
				assert_said(&reading.diagnostics, rows[i].said);
			else
				assert_nothing_said(&reading.diagnostics);
			done(&reading);
		}
	}
	buffer_append_text(&rule, BASE ", " POLICIES ", exclude: [");
	for (int i = 0; i < 10001; i++)
		buffer_printf(&rule, "u%d, ", i);
	buffer_append_text(&rule, "]");
	struct reading reading = read_rule(buffer_text(&rule));
	assert_said(&reading.diagnostics, "exclude: more than 10000 ids");
	done(&reading);
	buffer_free(&rule);
}

static void errors_of_one_rule_leave_the_others(void **state)
{
	struct reading reading =
		read_text(RULES "    - {" BASE ", " POLICIES "}\n"
				"    - {header: u}\n"
				"    - null\n"
				"    - text\n"
				"    - {header: v, modulo: 2, tagHeader: w, " POLICIES "}\n");

	(void)state;
	assert_int_equal(reading.plugin.rule_count, 2);
	assert_string_equal(reading.plugin.rules[1].tag_header, "w");
	assert_said(&reading.diagnostics, "w.yaml:8:7: WasmPlugin/p: spec.pluginConfig.rules[1]");
	assert_said(&reading.diagnostics, "w.yaml:9:7: WasmPlugin/p: spec.pluginConfig.rules[2]");
	assert_said(&reading.diagnostics, "w.yaml:10:7: WasmPlugin/p: spec.pluginConfig.rules[3]");
	done(&reading);
}

static void the_rest_of_spec_is_known_or_named(void **state)
{
	struct reading reading = read_text(
		"spec:\n  selector: {matchLabels: {a: b}}\n  url: oci://x\n"
		"  phase: AUTHN\n  priority: 10\n  pluginConfig:\n    rules:\n    - {" BASE
		", " POLICIES "}\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	done(&reading);
	reading = read_text(
		"spec:\n  match: [{mode: CLIENT}]\n  pluginConfig:\n    rules:\n    - {" BASE
		", " POLICIES "}\n");
	assert_said(&reading.diagnostics, "w.yaml:5:3: WasmPlugin/p: spec.match: not supported");
	done(&reading);
	reading = read_text("spec:\n  plugin: x\n  pluginConfig:\n    rules:\n    - {" BASE
			    ", " POLICIES "}\n");
	assert_said(&reading.diagnostics, "spec.plugin: ");
	done(&reading);
	reading = read_text("spec: {pluginConfig: {key: value}}\n");
	assert_int_equal(reading.diagnostics.error_count, 0);
	assert_said(&reading.diagnostics, "warning: WasmPlugin/p: spec.pluginConfig: has no rules");
	done(&reading);
	reading = read_text("spec: {pluginConfig: {rules: []}}\n"); /* as promote leaves it */
	assert_nothing_said(&reading.diagnostics);
	done(&reading);
}

/* Names are printed. */
static void a_name_is_short_and_without_control_bytes(void **state)
{
	struct reading reading = read_rule("name: \"a\\e\", " BASE ", " POLICIES);

	(void)state;
	assert_said(&reading.diagnostics, "rules[0].name: must have 1 to 64 bytes");
	done(&reading);
	reading = read_rule("name: '', " BASE ", " POLICIES);
	assert_said(&reading.diagnostics, "rules[0].name: must have 1 to 64 bytes");
	done(&reading);
}

static void a_pattern_is_no_id(void **state)
{
	struct reading reading =
		read_rule(BASE ", " POLICIES ", include: [{tagValue: v, ids: ['*@a.test']}]");

	(void)state;
	assert_said(&reading.diagnostics, "include[0].ids[0]: patterns are not supported");
	done(&reading);
	reading = read_rule(BASE ", " POLICIES ", exclude: ['a*']");
	assert_said(&reading.diagnostics, "exclude[0]: patterns are not supported");
	done(&reading);
}

/* Whatever the bytes, reading ends, and what is wrong is said. */
static void mutated_plugins_never_crash(void **state)
{
	static const char text[] =
		"apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: "
		"p}\n" RULES "    - {" BASE ", " POLICIES ", include: [{tagValue: v, ids: [a]}]}\n"
		"    - {cookie: c, tagHeader: x, partitionedPolicies: [{weight: 1, tagValue: "
		"v}]}\n";
	static const char bytes[] = "{}[]:,-'\"\n #&*!|>%@`0a\t\\\x80\xff";
	uint64_t random = 0x9e3779b97f4a7c15;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct wasm_plugin_manifest plugin = {0};
		struct diagnostics diagnostics = {0};
		struct node **documents = NULL;
		char mutated[sizeof(text)];

		memcpy(mutated, text, sizeof(text));
		for (int i = 0; i < 1 + round % 3; i++) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			mutated[random % (sizeof(text) - 1)] =
				bytes[(random >> 32) % (sizeof(bytes) - 1)];
		}
		size_t count = nodes_read_memory(
			"w", (struct span){mutated, sizeof(text) - 1 - (size_t)(round % 7)},
			&diagnostics, &documents);
		for (size_t i = 0; i < count; i++) {
			if (wasm_plugin_read(documents[i], &diagnostics, &plugin) == 0)
				wasm_plugin_free(&plugin);
			else
				assert_true(diagnostics.error_count > 0);
		}
		nodes_free(documents, count);
		diagnostics_free(&diagnostics);
	}
}

static void a_name_and_hosts_are_read(void **state)
{
	static const char *const rows[][2] = {
		{"match: {host: 1}", "match.host: must be a text"},
		{"match: {}", "match: needs host or hosts"},
		{"match: {path: /a}", "match.path: unknown field"},
		{"match: {hosts: ['a.*']}", "match.hosts[0]: \"a.*\" is no host"},
	};
	struct diagnostics diagnostics = {0};
	struct wasm_plugin_manifest plugin;
	struct node **documents;

	(void)state;
	for (size_t i = 0; i <= ARRAY_LENGTH(rows); i++) {
		const char *match = i < ARRAY_LENGTH(rows)
					    ? rows[i][0]
					    : "name: first, match: {host: A.test, hosts: ['*.b']}";
		struct buffer text = {0};

		buffer_printf(&text,
			      "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\n"
			      "metadata: {name: p}\nspec:\n  pluginConfig:\n    debug: true\n"
			      "    rules:\n    - {header: x, modulo: 100, tagHeader: a-b, %s,\n"
			      "       policies: [{range: 1, tagValue: v}]}\n",
			      match);
		size_t count =
			nodes_read_memory("w.yaml", buffer_span(&text), &diagnostics, &documents);
		assert_int_equal(count, 1);
		assert_int_equal(wasm_plugin_read(documents[0], &diagnostics, &plugin), 0);
		nodes_free(documents, count);
		if (i < ARRAY_LENGTH(rows)) {
			assert_said(&diagnostics, rows[i][1]);
		} else {
			assert_int_equal(diagnostics.error_count, 0);
			assert_said(&diagnostics,
				    "warning: WasmPlugin/p: spec.pluginConfig.debug: ");
			assert_string_equal(plugin.rules[0].name, "first");
			assert_int_equal(plugin.rules[0].host_count, 2);
			assert_string_equal(plugin.rules[0].hosts[0], "a.test");
			assert_string_equal(plugin.rules[0].hosts[1], "*.b");
		}
		wasm_plugin_free(&plugin);
		diagnostics_free(&diagnostics);
		buffer_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(each_form_holds_its_remainders),
		cmocka_unit_test(sources_hashes_and_lists_are_read),
		cmocka_unit_test(a_bad_rule_is_named_and_left_out),
		cmocka_unit_test(limits_are_named),
		cmocka_unit_test(errors_of_one_rule_leave_the_others),
		cmocka_unit_test(the_rest_of_spec_is_known_or_named),
		cmocka_unit_test(a_name_and_hosts_are_read),
		cmocka_unit_test(a_name_is_short_and_without_control_bytes),
		cmocka_unit_test(a_pattern_is_no_id),
		cmocka_unit_test(mutated_plugins_never_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
