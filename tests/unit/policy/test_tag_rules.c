/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "http/head.h"
#include "manifest/manifest.h"
#include "base/array.h"
#include "manifest/wasm_plugin.h"
#include "policy/tag_rules.h"

#define PLUGIN                                       \
	"apiVersion: extensions.istio.io/v1alpha1\n" \
	"kind: WasmPlugin\n"                         \
	"metadata:\n"                                \
	"  name: hash-tagging\n"                     \
	"spec:\n"                                    \
	"  pluginConfig:\n"                          \
	"    rules:\n"
#define RULE(header, policies)          \
	"    - header: x-user-id\n"     \
	"      modulo: 100\n"           \
	"      tagHeader: " header "\n" \
	"      policies:\n" policies
#define RANGE(range, value)          \
	"      - range: " range "\n" \
	"        tagValue: " value "\n"

struct fixture {
	struct manifest_set manifests;
	struct diagnostics diagnostics;
	struct tag_rules *rules;
};

/* 0 when the text compiles to rules. */
static int compile(struct fixture *fixture, const char *text)
{
	struct node **documents = NULL;

	*fixture = (struct fixture){0};
	size_t count =
		nodes_read_memory("rules.yaml", span_of(text), &fixture->diagnostics, &documents);
	fixture->manifests.wasm_plugins = calloc(count + 1, sizeof(struct wasm_plugin_manifest));
	for (size_t i = 0; i < count; i++) {
		struct wasm_plugin_manifest *plugin = &fixture->manifests.wasm_plugins[i];
		if (wasm_plugin_read(documents[i], &fixture->diagnostics, plugin) == 0)
			fixture->manifests.wasm_plugin_count++;
	}
	nodes_free(documents, count);
	int error =
		tag_rules_compile(&fixture->manifests, 1, &fixture->diagnostics, &fixture->rules);
	return error || fixture->diagnostics.error_count ? -1 : 0;
}

static void release(struct fixture *fixture)
{
	tag_rules_free(fixture->rules);
	for (size_t i = 0; i < fixture->manifests.wasm_plugin_count; i++)
		wasm_plugin_free(&fixture->manifests.wasm_plugins[i]);
	free(fixture->manifests.wasm_plugins);
	diagnostics_free(&fixture->diagnostics);
}

static void refuses(const char *text, unsigned line, const char *reason)
{
	struct fixture fixture;
	bool found = false;

	assert_int_equal(compile(&fixture, text), -1);
	for (size_t i = 0; i < fixture.diagnostics.count; i++) {
		const struct diagnostic *item = &fixture.diagnostics.items[i];
		if (strstr(item->text, reason) && item->line == line)
			found = true;
	}
	if (!found)
		diagnostics_print(&fixture.diagnostics, stderr);
	release(&fixture);
	assert_true(found);
}

/* The tag value of a rule for a request with this head, "" for none. */
static const char *tag_of(const struct fixture *fixture, const char *request, size_t rule)
{
	struct http_request_head head;
	struct tag_decision decision;
	struct http_refusal refusal;
	enum http_parse parse = http_request_parse(request, strlen(request), 0,
						   &http_default_limits, &head, &refusal);

	assert_int_equal(parse, HTTP_PARSE_COMPLETE);
	tag_rules_decide(fixture->rules, &head, &decision);
	if (decision.rules[rule].policy == LANETAG_POLICY_NONE)
		return "";
	return tag_rules_value(fixture->rules, rule, decision.rules[rule].policy).data;
}

#define GET(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static void the_seeds_rules_give_the_seeds_tags(void **state)
{
	static const char *const users[] = {"0001", "0002", "0003", "0004", "0005"};
	static const char *const expected[5][3] = {
		{"", "", ""}, {"", "", ""}, {"", "", "v3"}, {"", "", "v3"}, {"v2", "v2", "v3"}};
	struct fixture fixture;

	(void)state;
	assert_int_equal(compile(&fixture, PLUGIN RULE("appver-a", RANGE("10", "v2"))
						   RULE("appver-b", RANGE("10", "v2"))
							   RULE("appver-c", RANGE("50", "v3"))),
			 0);
	assert_int_equal(tag_rules_ruleset(fixture.rules)->draw_count, 1);
	for (int i = 0; i < 5; i++) {
		char request[128];
		snprintf(request, sizeof(request), GET("X-User-ID: %s \r\n"), users[i]);
		for (size_t rule = 0; rule < 3; rule++)
			assert_string_equal(tag_of(&fixture, request, rule), expected[i][rule]);
	}
	release(&fixture);
}

static void a_range_of_the_modulo_or_more_is_everybody(void **state)
{
	struct fixture fixture;

	(void)state;
	assert_int_equal(compile(&fixture, PLUGIN RULE("appver-b", RANGE("100", "v2"))), 0);
	assert_string_equal(tag_of(&fixture, GET("x-user-id: 0001\r\n"), 0), "v2");
	assert_int_equal(tag_rules_share(fixture.rules, 0, 0), 100);
	release(&fixture);
}

static void a_range_holds_its_first_remainder_and_not_its_end(void **state)
{
	static const struct lanetag_rule rule = {
		.policy_count = 2,
		.policies = {{.from = 10, .to = 20}, {.from = 20, .to = 21}},
	};
	static const struct {
		uint32_t remainder;
		uint8_t policy;
	} rows[] = {{0, LANETAG_POLICY_NONE},
		    {9, LANETAG_POLICY_NONE},
		    {10, 0},
		    {19, 0},
		    {20, 1},
		    {21, LANETAG_POLICY_NONE},
		    {UINT32_MAX, LANETAG_POLICY_NONE}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(lanetag_rule_policy(&rule, rows[i].remainder), rows[i].policy);
}

static void no_id_or_two_ids_give_no_tag(void **state)
{
	struct fixture fixture;

	(void)state;
	assert_int_equal(compile(&fixture, PLUGIN RULE("appver-a", RANGE("99", "v2"))), 0);
	assert_string_equal(tag_of(&fixture, GET(""), 0), "");
	assert_string_equal(tag_of(&fixture, GET("x-user-id:  \r\n"), 0), "");
	assert_string_equal(tag_of(&fixture, GET("x-user-id: 1\r\nx-user-id: 2\r\n"), 0), "");
	assert_string_equal(tag_of(&fixture, GET("x-user-id: 1\r\nX-User-Id: 1\r\n"), 0), "v2");
	release(&fixture);
}

/* The policy of rule 0 for an id of so many bytes in the field of that name. */
static uint8_t policy_for_length(const struct fixture *fixture, const char *text, size_t length)
{
	static const char request[] = GET("x-user-id: 1\r\n");
	struct http_request_head head;
	struct tag_decision decision;
	struct http_refusal refusal;

	assert_int_equal(http_request_parse(request, strlen(request), 0, &http_default_limits,
					    &head, &refusal),
			 HTTP_PARSE_COMPLETE);
	for (size_t i = 0; i < head.field_count; i++) {
		if (span_equal_ignore_case(head.fields[i].name, span_of("x-user-id")))
			head.fields[i].value = (struct span){text, length};
	}
	tag_rules_decide(fixture->rules, &head, &decision);
	return decision.rules[0].policy;
}

static void an_id_has_at_most_as_many_bytes_as_documented(void **state)
{
	char *text = malloc(TAG_MAX_ID + 1);
	struct fixture fixture;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', TAG_MAX_ID + 1);
	assert_int_equal(compile(&fixture, PLUGIN RULE("appver-a", RANGE("100", "v2"))), 0);
	assert_int_equal(policy_for_length(&fixture, text, TAG_MAX_ID), 0);
	assert_int_equal(policy_for_length(&fixture, text, TAG_MAX_ID + 1), LANETAG_POLICY_NONE);
	release(&fixture);
	free(text);
}

static void a_salt_is_hashed_before_the_id(void **state)
{
	struct fixture fixture;

	(void)state;
	assert_int_equal(compile(&fixture, PLUGIN "    - header: x-user-id\n"
						  "      salt: blue\n"
						  "      modulo: 100\n"
						  "      tagHeader: appver-a\n"
						  "      policies: [{range: 50, tagValue: v2}]\n"
						  "    - header: x-both\n"
						  "      modulo: 100\n"
						  "      tagHeader: appver-b\n"
						  "      policies: [{range: 50, tagValue: v2}]\n"),
			 0);
	for (int i = 0; i < 100; i++) {
		char request[128];

		snprintf(request, sizeof(request), GET("x-user-id: %d\r\nx-both: blue%d\r\n"), i,
			 i);
		assert_string_equal(tag_of(&fixture, request, 0), tag_of(&fixture, request, 1));
	}
	release(&fixture);
}

static void a_cookie_or_a_query_parameter_may_hold_the_id(void **state)
{
	struct fixture fixture;

	(void)state;
	assert_int_equal(compile(&fixture, PLUGIN "    - cookie: uid\n"
						  "      modulo: 100\n"
						  "      tagHeader: appver-a\n"
						  "      policies: [{range: 10, tagValue: v2}]\n"
						  "    - queryParam: u\n"
						  "      modulo: 100\n"
						  "      tagHeader: appver-b\n"
						  "      policies: [{range: 10, tagValue: v2}]\n"),
			 0);
	assert_string_equal(tag_of(&fixture, GET("Cookie: a=b; uid=0005\r\n"), 0), "v2");
	assert_string_equal(tag_of(&fixture, GET("Cookie: uid=0001\r\n"), 0), "");
	assert_string_equal(tag_of(&fixture, "GET /x?a=1&u=00%305 HTTP/1.1\r\nHost: a\r\n\r\n", 1),
			    "v2");
	assert_string_equal(tag_of(&fixture, "GET /x?u=0005&u=0001 HTTP/1.1\r\nHost: a\r\n\r\n", 1),
			    "");
	release(&fixture);
}

static void lists_of_ids_go_before_the_remainder(void **state)
{
	struct fixture fixture;

	(void)state;
	assert_int_equal(
		compile(&fixture,
			PLUGIN RULE("appver-a", RANGE("10", "v2")) "      include: [{tagValue: v2, "
								   "ids: ['0001', '0002']}]\n"
								   "      exclude: ['0005']\n"),
		0);
	assert_string_equal(tag_of(&fixture, GET("x-user-id: 0001\r\n"), 0), "v2");
	assert_string_equal(tag_of(&fixture, GET("x-user-id: 0003\r\n"), 0), "");
	assert_string_equal(tag_of(&fixture, GET("x-user-id: 0005\r\n"), 0), "");
	assert_int_equal(tag_rules_ruleset(fixture.rules)->rules[0].flags, LANETAG_RULE_AGENT_ONLY);
	release(&fixture);
}

static void percent_weights_and_slots_are_exact_shares(void **state)
{
	struct fixture fixture;

	(void)state;
	assert_int_equal(compile(&fixture,
				 PLUGIN "    - header: x-user-id\n"
					"      tagHeader: a\n"
					"      policies: [{percent: 0.01, tagValue: v2}]\n"
					"    - header: x-user-id\n"
					"      tagHeader: b\n"
					"      partitionedPolicies:\n"
					"      - {weight: 20, tagValue: v2}\n"
					"      - {weight: 30, tagValue: v3}\n"
					"    - header: x-user-id\n"
					"      modulo: 1000\n"
					"      tagHeader: c\n"
					"      policies: [{slots: [100, 150], tagValue: v2}]\n"),
			 0);
	assert_int_equal(tag_rules_ruleset(fixture.rules)->draws[0].modulo, 10000);
	assert_int_equal(tag_rules_share(fixture.rules, 0, 0), 1);
	assert_int_equal(tag_rules_share(fixture.rules, 1, 1), 30);
	assert_int_equal(tag_rules_ruleset(fixture.rules)->rules[1].policies[1].from, 20);
	assert_int_equal(tag_rules_share(fixture.rules, 2, 0), 50);
	release(&fixture);
}

static void bad_rules_are_named_with_their_line(void **state)
{
	(void)state;
	refuses(PLUGIN RULE("a", RANGE("10", "v2")) "      hash: md5\n", 14, "unknown hash");
	refuses(PLUGIN "    - header: x-user-id\n      modulo: 0\n      tagHeader: a\n"
		       "      policies: [{range: 1, tagValue: v}]\n",
		9, "modulo");
	refuses(PLUGIN RULE("a", RANGE("50", "v2") RANGE("10", "v3")), 14, "can never match");
	refuses(PLUGIN RULE("a", RANGE("10", "\"v\\r\\nx: y\"")), 13, "not a field value");
	refuses(PLUGIN RULE("a", RANGE("10", "\"v\\0\"")), 13, "zero byte");
	refuses(PLUGIN RULE("Content-Length", RANGE("10", "v2")), 10, "meaning of its own");
	refuses(PLUGIN RULE("a b", RANGE("10", "v2")), 10, "no field name");
	refuses(PLUGIN RULE("app-a", RANGE("1", "v")) RULE("APP_A", RANGE("1", "v")), 16,
		"has a rule already");
	refuses(PLUGIN RULE("x-user-id", RANGE("1", "v")), 8, "tag header of a rule");
	refuses(PLUGIN RULE("a", RANGE("1", "v")) "      seed: 3\n", 14, "no seed");
	refuses(PLUGIN RULE("a", RANGE("1", "v")) "      colour: red\n", 14, "colour");
	refuses(PLUGIN RULE("a", "      - tagValue: v\n"), 12, "exactly one of");
	refuses(PLUGIN RULE("a", "      - {percent: 0.5, tagValue: v}\n"), 12, "not exact");
}

static void lanes_keep_their_numbers_across_generations(void **state)
{
	struct fixture old, new;

	(void)state;
	assert_int_equal(
		compile(&old, PLUGIN RULE("a", RANGE("10", "v2")) RULE("b", RANGE("10", "v2"))), 0);
	assert_int_equal(compile(&new, PLUGIN RULE("b", RANGE("20", "v2") RANGE("30", "v3"))), 0);
	tag_rules_assign_lanes(new.rules, old.rules);
	const struct lanetag_rule *was = &tag_rules_ruleset(old.rules)->rules[1];
	const struct lanetag_rule *is = &tag_rules_ruleset(new.rules)->rules[0];
	assert_int_equal(is->policies[0].lane, was->policies[0].lane);
	assert_int_equal(is->untagged_lane, was->untagged_lane);
	assert_int_equal(is->policies[1].lane, 4);
	release(&old);
	release(&new);
}

static void forged_spellings_of_tag_headers_are_ours(void **state)
{
	struct fixture fixture;

	(void)state;
	assert_int_equal(compile(&fixture, PLUGIN RULE("appver-a", RANGE("10", "v2"))), 0);
	assert_true(tag_rules_owns_header(fixture.rules, span_of("APPVER_a")));
	assert_false(tag_rules_owns_header(fixture.rules, span_of("appver-b")));
	assert_false(tag_rules_owns_header(fixture.rules, span_of("appver-aa")));
	release(&fixture);
}

static void no_spelling_escapes_the_quick_look_at_names(void **state)
{
	static const char *const spellings[] = {"_x_tag_", "-x-tag-", "_X-TAG-", "-x_tAg_"};
	struct fixture fixture;

	(void)state;
	assert_int_equal(compile(&fixture, PLUGIN RULE("_x-tag_", RANGE("10", "v2"))), 0);
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		struct span name = span_of(spellings[i]);

		assert_true(tag_rules_owns_header(fixture.rules, name));
		assert_true(tag_rules_may_own(fixture.rules, UINT64_C(1) << http_name_hash(name)));
	}
	assert_false(tag_rules_may_own(fixture.rules, 0));
	release(&fixture);
}

static void a_rule_of_certain_hosts_gives_no_tag_elsewhere(void **state)
{
	static const struct {
		const char *authority;
		bool is_tagged;
	} rows[] = {
		{"a.test", true},  {"A.test:80", true}, {"x.shop.test", true},
		{"a.test.", true}, {"b.test", false},	{"shop.test", false},
		{"", false},	   {"[::1]:80", false}, {"xa.test", false},
	};
	struct fixture fixture;
	struct tag_decision decision;

	(void)state;
	assert_int_equal(
		compile(&fixture,
			"apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\n"
			"metadata: {name: p}\nspec:\n  pluginConfig:\n    rules:\n"
			"    - {header: x, modulo: 10, tagHeader: t-a, match: {hosts: [a.test, "
			"'*.shop.test']},\n       policies: [{range: 9, tagValue: v}]}\n"
			"    - {header: x, modulo: 10, tagHeader: t-b,\n"
			"       policies: [{range: 9, tagValue: v}]}\n"),
		0);
	for (size_t i = 0; i <= ARRAY_LENGTH(rows); i++) {
		struct span authority = span_of(i < ARRAY_LENGTH(rows) ? rows[i].authority : "");
		bool is_tagged = i < ARRAY_LENGTH(rows) && rows[i].is_tagged;

		tag_rules_decide_id(fixture.rules, span_of("user"), &decision);
		uint64_t others = tag_rules_match_host(
			fixture.rules, i < ARRAY_LENGTH(rows) ? &authority : NULL, &decision);
		assert_int_equal(others, !is_tagged);
		assert_int_equal(decision.rules[0].policy != LANETAG_POLICY_NONE, is_tagged);
		assert_int_not_equal(decision.rules[1].policy, LANETAG_POLICY_NONE);
	}
	release(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_seeds_rules_give_the_seeds_tags),
		cmocka_unit_test(a_range_of_the_modulo_or_more_is_everybody),
		cmocka_unit_test(a_range_holds_its_first_remainder_and_not_its_end),
		cmocka_unit_test(no_id_or_two_ids_give_no_tag),
		cmocka_unit_test(an_id_has_at_most_as_many_bytes_as_documented),
		cmocka_unit_test(a_salt_is_hashed_before_the_id),
		cmocka_unit_test(a_cookie_or_a_query_parameter_may_hold_the_id),
		cmocka_unit_test(lists_of_ids_go_before_the_remainder),
		cmocka_unit_test(percent_weights_and_slots_are_exact_shares),
		cmocka_unit_test(bad_rules_are_named_with_their_line),
		cmocka_unit_test(lanes_keep_their_numbers_across_generations),
		cmocka_unit_test(forged_spellings_of_tag_headers_are_ours),
		cmocka_unit_test(no_spelling_escapes_the_quick_look_at_names),
		cmocka_unit_test(a_rule_of_certain_hosts_gives_no_tag_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
