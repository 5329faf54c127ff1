/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/mesh/mesh_test.h"

#include "mesh/rule_index.h"

static unsigned pick(unsigned *seed, unsigned count)
{
	return (unsigned)rand_r(seed) % count;
}

static const char *const paths[] = {"",	    "a",    "ab",     "abc",	"A",	  "aB",
				    "ab/c", "a/bc", "abcabc", "x/ab/c", "item17", "ITEM17/x"};
static const char *const values[] = {"", "v", "v1", "v12", "beta-7", "xv1x"};
static const char *const path_regexes[] = {
	"/a.*",	   "/.*b.*", "/(a|b)b?c+", ".*item1[0-9].*", "/x?/ab/c",     "(/a|/ab)/.*",
	"/[a-c]+", ".*abc",  "/ab?c?.*",   "(?i)/item17.*",  "/a\\\\.b|/ab", ".*"};
static const char *const value_regexes[] = {"v[0-9]*", ".*eta.*", "(v1|x)",
					    "v1?2*",   "^v1$",	  "\\\\w+"};

/* Without a text that all their matches have. */
static const char *const general_regexes[] = {"/[b-d]+",       "/(a|b)b?c*",	"/[A-Z]+.*",
					      ".*[0-9][0-9]+", "/x?/[a-b]+/.*", "/.{3}",
					      "/\\\\w+/c"};

#define ANY(list, seed) list[pick(seed, sizeof(list) / sizeof(list[0]))]

static void append_value_match(struct buffer *text, unsigned *seed)
{
	switch (pick(seed, 4)) {
	case 0:
		buffer_printf(text, "{exact: \"%s\"}", ANY(values, seed));
		break;
	case 1:
		buffer_printf(text, "{prefix: \"v%s\"}", pick(seed, 2) ? "1" : "");
		break;
	default:
		buffer_printf(text, "{regex: \"%s\"}", ANY(value_regexes, seed));
	}
}

static void append_uri(struct buffer *text, unsigned *seed)
{
	switch (pick(seed, 3)) {
	case 0:
		buffer_printf(text, "uri: {exact: \"/%s\"}", ANY(paths, seed));
		break;
	case 1:
		buffer_printf(text, "uri: {prefix: \"/%s\"}", ANY(paths, seed));
		break;
	default:
		buffer_printf(text, "uri: {regex: \"%s\"}", ANY(path_regexes, seed));
		return;
	}
	if (pick(seed, 3) == 0)
		buffer_append_text(text, ", ignoreUriCase: true");
}

/* Conditions of all kinds, some of which the index knows nothing of. */
static void append_match(struct buffer *text, unsigned *seed)
{
	bool first = true;

	buffer_append_byte(text, '{');
	for (unsigned kind = 0; kind < 6; kind++) {
		if (pick(seed, 3))
			continue;
		buffer_append_text(text, first ? "" : ", ");
		first = false;
		if (kind == 0) {
			append_uri(text, seed);
		} else if (kind == 1) {
			buffer_printf(text, "headers: {x-%c: ", 'a' + pick(seed, 3));
			append_value_match(text, seed);
			buffer_printf(text, ", x-d: {%s}}", pick(seed, 2) ? "" : "exact: v1");
		} else if (kind == 2) {
			buffer_printf(text, "queryParams: {%c: ", 'p' + pick(seed, 2));
			append_value_match(text, seed);
			buffer_append_byte(text, '}');
		} else if (kind == 3) {
			buffer_printf(text, "withoutHeaders: {x-%c: {}}", 'a' + pick(seed, 3));
		} else if (kind == 4) {
			buffer_append_text(text, pick(seed, 2) ? "authority: {prefix: a}"
							       : "authority: {exact: 'a:80'}");
		} else {
			buffer_append_text(text, pick(seed, 2) ? "method: {exact: GET}"
							       : "gateways: [mesh, other]");
		}
	}
	if (first)
		append_uri(text, seed);
	buffer_append_byte(text, '}');
}

static void append_rules(struct buffer *text, unsigned *seed, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		buffer_append_text(text, pick(seed, 40)
						 ? "  - {match: ["
						 : "  - {name: all, match: [{uri: {prefix: /}}, ");
		append_match(text, seed);
		if (pick(seed, 3) == 0) {
			buffer_append_text(text, ", ");
			append_match(text, seed);
		}
		buffer_append_text(text, "], directResponse: {status: 200}}\n");
	}
}

static void append_general_rules(struct buffer *text, unsigned *seed, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (pick(seed, 2))
			buffer_printf(text, "  - {match: [{uri: {regex: \"%s\"}",
				      ANY(general_regexes, seed));
		else
			buffer_printf(text, "  - {match: [{headers: {x-%c: {regex: \"%s\"}}",
				      'a' + pick(seed, 2), pick(seed, 2) ? "[v-x]1?2?" : "..?");
		buffer_printf(text,
			      ", withoutHeaders: {x-%c: {}}}], directResponse: {status: 202}}\n",
			      'a' + pick(seed, 5));
	}
}

static void append_services(struct buffer *text, unsigned *seed)
{
	unsigned services = 1 + pick(seed, 4);

	buffer_append_text(text,
			   "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
			   "spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}\n"
			   "---\napiVersion: networking.istio.io/v1\nkind: Gateway\n"
			   "metadata: {name: other}\nspec: {servers: [{port: {number: 8080, name: "
			   "http, protocol: HTTP}, hosts: ['*']}]}\n");
	for (unsigned i = 0; i < services; i++) {
		buffer_printf(text,
			      "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
			      "metadata: {name: a%u}\nspec:\n  hosts: [a]\n"
			      "  gateways: [mesh, other]\n  http:\n",
			      i);
		if (pick(seed, 3) == 0)
			append_general_rules(text, seed, 30);
		append_rules(text, seed, 1 + pick(seed, 40));
		if (pick(seed, 3) == 0)
			buffer_append_text(text, "  - {directResponse: {status: 201}}\n");
	}
}

static void make_request(struct request *request, unsigned *seed, char *text, size_t size)
{
	struct buffer fields = {0}, query = {0};

	for (char name = 'a'; name < 'f'; name++) {
		if (pick(seed, 2))
			buffer_printf(&fields, "X-%c: %s\r\n", name, ANY(values, seed));
	}
	for (char name = 'p'; name < 'r'; name++) {
		if (pick(seed, 2))
			buffer_printf(&query, "%c%c=%s", query.length ? '&' : '?', name,
				      ANY(values, seed));
	}
	snprintf(text, size, "%s /%s%s%s HTTP/1.1\r\nHost: %s\r\n%s\r\n",
		 pick(seed, 4) ? "GET" : "PUT", ANY(paths, seed), pick(seed, 4) ? "" : "/item17",
		 buffer_text(&query), pick(seed, 2) ? "a" : "a:80", buffer_text(&fields));
	buffer_free(&fields);
	buffer_free(&query);
	request_parse(request, text);
}

static bool try_rule(const struct mesh_rule *rule, struct match_request *matched,
		     struct route_result *result)
{
	for (size_t i = 0; i < rule->match_count; i++) {
		const struct http_match *match = &rule->matches[i];

		if (!http_match_holds(match, matched, GATEWAY_MESH))
			continue;
		result->route = &rule->route;
		result->matched_prefix = match->uri.kind == STRING_MATCH_NONE ? 1
					 : match->uri.kind == STRING_MATCH_PREFIX
						 ? match->uri.text.length
						 : 0;
		return true;
	}
	if (rule->match_count)
		return false;
	result->route = &rule->route;
	result->matched_prefix = 1;
	return true;
}

/* The first rule that holds, found by trying one after the other; those for all come last. */
static void scan(const struct mesh *mesh, const struct request *request,
		 struct route_result *result)
{
	struct match_request matched;

	*result = (struct route_result){0};
	match_request_start(&matched, &request->query);
	for (size_t i = 0; i < mesh->service_count; i++) {
		for (size_t j = 0; j < mesh->services[i].catch_all; j++) {
			if (try_rule(&mesh->services[i].rules[j], &matched, result))
				return;
		}
	}
	for (size_t i = 0; i < mesh->service_count; i++) {
		const struct compiled_service *service = &mesh->services[i];

		if (service->catch_all < service->rule_count &&
		    try_rule(&service->rules[service->catch_all], &matched, result))
			return;
	}
}

static void the_index_finds_what_a_scan_finds(void **state)
{
	unsigned seed = 11, indexed = 0, united = 0, found = 0, missed = 0;

	(void)state;
	for (int round = 0; round < 150; round++) {
		struct buffer text = {0};
		struct fixture fixture;

		append_services(&text, &seed);
		fixture_start(&fixture, buffer_text(&text));
		const struct rule_index *index = fixture.mesh->services[0].explained_table->index;
		indexed += index != NULL;
		united += index && index->union_count > 0;
		for (int i = 0; i < 200; i++) {
			struct route_result expected;
			struct request request;
			char bytes[300];

			make_request(&request, &seed, bytes, sizeof(bytes));
			request.query.listener = service_at(fixture.mesh, "10.96.0.1", 80);
			mesh_route(fixture.mesh, &request.query, &request.result);
			scan(fixture.mesh, &request, &expected);
			assert_ptr_equal(request.result.route, expected.route);
			assert_int_equal(request.result.matched_prefix, expected.matched_prefix);
			found += expected.route != NULL;
			missed += expected.route == NULL;
		}
		fixture_stop(&fixture);
		buffer_free(&text);
	}
	assert_in_range(indexed, 75, 149);
	assert_in_range(united, 20, 149);
	assert_true(found > 10000);
	assert_true(missed > 100);
}

/* The third alone is past its bound for the long value; those before it that match still win. */
static void a_regular_expression_past_its_bound_keeps_later_routes_out(void **state)
{
	static char text[60100];
	static const char *const starts[] = {"0", "1", "9"};
	struct buffer yaml = {0};
	struct fixture fixture;

	(void)state;
	buffer_append_text(&yaml, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
				  "spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}\n"
				  "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
				  "metadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n");
	for (int i = 0; i < 10; i++)
		buffer_printf(&yaml,
			      "  - {match: [{headers: {x-a: {regex: '%s'}}}], directResponse: "
			      "{status: %d}}\n",
			      i == 2   ? "(a{0,900})b"
			      : i == 9 ? "[9a]+"
			      : i == 8 ? "."
			      : i == 1 ? "[1][a]*"
				       : "[0][a]*",
			      200 + i);
	fixture_start(&fixture, buffer_text(&yaml));
	assert_int_equal(fixture.mesh->services[0].explained_table->index->union_count, 1);
	for (size_t i = 0; i < 3; i++) {
		struct request request;

		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nx-a: %0*d\r\n\r\n",
			 60000, 0);
		char *value = strstr(text, "x-a: ") + 5;
		memset(value, 'a', 60000);
		*value = *starts[i];
		request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
			      text);
		assert_int_equal(request.result.action,
				 i < 2 ? ROUTE_DIRECT_RESPONSE : ROUTE_UNDECIDED);
		if (i < 2)
			assert_int_equal(request.result.route->direct_response.status, 200 + i);
	}
	fixture_stop(&fixture);
	buffer_free(&yaml);
}

static void more_headers_than_can_be_looked_up_are_matched_all_the_same(void **state)
{
	struct buffer text = {0};
	struct fixture fixture;

	(void)state;
	buffer_append_text(&text, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
				  "spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}\n"
				  "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
				  "metadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n");
	for (int i = 0; i < 200; i++)
		buffer_printf(&text,
			      "  - {match: [{headers: {x-%d: {exact: a}}}], directResponse: "
			      "{status: %d}}\n",
			      i, 200 + i);
	fixture_start(&fixture, buffer_text(&text));
	for (unsigned i = 0; i < 200; i++) {
		struct request request;
		char bytes[100];

		snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: a\r\nX-%u: a\r\n\r\n", i);
		request_route(&request, fixture.mesh, service_at(fixture.mesh, "10.96.0.1", 80),
			      bytes);
		assert_int_equal(request.result.action, ROUTE_DIRECT_RESPONSE);
		assert_int_equal(request.result.route->direct_response.status, 200 + i);
	}
	fixture_stop(&fixture);
	buffer_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_index_finds_what_a_scan_finds),
		cmocka_unit_test(a_regular_expression_past_its_bound_keeps_later_routes_out),
		cmocka_unit_test(more_headers_than_can_be_looked_up_are_matched_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
