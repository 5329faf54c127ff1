/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/mesh/mesh_test.h"

#include "mesh/model.h"

static unsigned pick(unsigned *seed, unsigned count)
{
	return (unsigned)rand_r(seed) % count;
}

/* One condition of a kind that the index knows, or of one that it does not. */
static void append_match(struct buffer *text, unsigned *seed)
{
	switch (pick(seed, 8)) {
	case 0:
		buffer_printf(text, "{uri: {exact: /%c}}", 'a' + pick(seed, 3));
		break;
	case 1:
		buffer_printf(text, "{uri: {prefix: /%.*s}}", (int)pick(seed, 3), "ab");
		break;
	case 2:
		buffer_printf(text, "{uri: {regex: '/%c.*'}}", 'a' + pick(seed, 3));
		break;
	case 3:
		buffer_printf(text, "{uri: {exact: /A}, ignoreUriCase: true}");
		break;
	case 4:
		buffer_printf(text, "{withoutHeaders: {x-%c: {}}}", 'a' + pick(seed, 3));
		break;
	default:
		buffer_printf(text, "{headers: {x-%c: {exact: v%u}, x-%c: {%s}}}",
			      'a' + pick(seed, 3), pick(seed, 3), 'd' + pick(seed, 2),
			      pick(seed, 2) ? "" : "exact: v1");
	}
}

static void append_rules(struct buffer *text, unsigned *seed, unsigned count)
{
	buffer_append_text(text, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
				 "spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}\n"
				 "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
				 "metadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n");
	for (unsigned i = 0; i < count; i++) {
		buffer_append_text(text, "  - {match: [");
		append_match(text, seed);
		if (pick(seed, 3) == 0) {
			buffer_append_text(text, ", ");
			append_match(text, seed);
		}
		buffer_append_text(text, "], directResponse: {status: 200}}\n");
	}
}

static void make_request(struct request *request, unsigned *seed, char *text, size_t size)
{
	struct buffer fields = {0};

	for (char name = 'a'; name < 'f'; name++) {
		if (pick(seed, 2))
			buffer_printf(&fields, "X-%c: v%u\r\n", name, pick(seed, 3));
	}
	buffer_append_byte(&fields, '\0');
	snprintf(text, size, "GET /%.*s HTTP/1.1\r\nHost: a\r\n%s\r\n", (int)pick(seed, 4),
		 pick(seed, 2) ? "abc" : "ccc", fields.data);
	buffer_free(&fields);
	request_parse(request, text);
}

/* The first rule that holds, found without the index. */
static const struct mesh_route *first_route(const struct mesh *mesh, const struct request *request)
{
	const struct compiled_service *service = &mesh->services[0];
	struct match_request matched;

	match_request_start(&matched, &request->query);
	for (size_t i = 0; i < service->rule_count; i++) {
		for (size_t j = 0; j < service->rules[i].match_count; j++) {
			if (http_match_holds(&service->rules[i].matches[j], &matched, GATEWAY_MESH))
				return &service->rules[i].route;
		}
	}
	return NULL;
}

static void the_index_finds_the_first_rule_that_holds(void **state)
{
	unsigned seed = 11, indexed = 0, found = 0;

	(void)state;
	for (int round = 0; round < 40; round++) {
		struct buffer text = {0};
		struct fixture fixture;

		append_rules(&text, &seed, 10 + pick(&seed, 30));
		fixture_start(&fixture, buffer_text(&text));
		indexed += fixture.mesh->services[0].index != NULL;
		for (int i = 0; i < 200; i++) {
			struct request request;
			char bytes[300];

			make_request(&request, &seed, bytes, sizeof(bytes));
			request.query.listener = service_at(fixture.mesh, "10.96.0.1", 80);
			mesh_route(fixture.mesh, &request.query, &request.result);
			assert_ptr_equal(request.result.route, first_route(fixture.mesh, &request));
			found += request.result.route != NULL;
		}
		fixture_stop(&fixture);
		buffer_free(&text);
	}
	assert_in_range(indexed, 20, 39);
	assert_in_range(found, 1000, 7999);
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
		cmocka_unit_test(the_index_finds_the_first_rule_that_holds),
		cmocka_unit_test(more_headers_than_can_be_looked_up_are_matched_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
