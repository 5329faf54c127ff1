/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/mesh/mesh_test.h"

#include "mesh/apply.h"

static void headers_are_removed_then_set_then_added(void **state)
{
	static const struct span remove[] = {{"X-Old", 5}, {"x-both", 6}};
	static const struct mesh_header_value set[] = {{{"x-set", 5}, {"1", 1}},
						       {{"x-both", 6}, {"2", 1}}};
	static const struct mesh_header_value add[] = {{{"x-set", 5}, {"3", 1}}};
	const struct mesh_header_operations operations = {
		.remove = remove,
		.remove_count = 2,
		.set = set,
		.set_count = 2,
		.add = add,
		.add_count = 1,
	};
	struct request request;
	struct span value;

	(void)state;
	request_parse(&request, "GET / HTTP/1.1\r\nHost: a\r\nx-old: a\r\nx-set: b\r\nX-SET: c\r\n"
				"x-both: d\r\n\r\n");
	assert_int_equal(mesh_apply_headers(&operations, &request.edit), 0);
	assert_false(http_edit_get(&request.edit, span_of("x-old"), &value));
	assert_true(http_edit_get(&request.edit, span_of("x-set"), &value));
	assert_true(span_equal(value, span_of("1")));
	assert_true(http_edit_get(&request.edit, span_of("x-both"), &value));
	assert_true(span_equal(value, span_of("2")));
	assert_int_equal(request.edit.added_count, 3);
}

static void too_many_headers_are_told(void **state)
{
	static struct mesh_header_value add[HTTP_EDIT_MAX_ADDED + 1];
	struct mesh_header_operations operations = {.add = add, .add_count = HTTP_EDIT_MAX_ADDED};
	struct request request;

	(void)state;
	for (size_t i = 0; i <= HTTP_EDIT_MAX_ADDED; i++)
		add[i] = (struct mesh_header_value){span_of("x"), span_of("y")};
	request_parse(&request, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(mesh_apply_headers(&operations, &request.edit), 0);
	request_parse(&request, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	operations.add_count++;
	assert_int_equal(mesh_apply_headers(&operations, &request.edit), -1);
}

static void a_share_holds_for_its_part(void **state)
{
	unsigned held = 0;

	(void)state;
	for (uint64_t draw = 0; draw < 100000; draw++) {
		assert_true(mesh_share_holds(MESH_SHARE_ALL, draw));
		assert_false(mesh_share_holds(0, draw));
		held += mesh_share_holds(MESH_SHARE_ALL / 10, draw);
		if (mesh_share_holds(1000, draw))
			assert_true(mesh_share_holds(MESH_SHARE_ALL / 10, draw));
	}
	assert_in_range(held, 9600, 10400);
}

static void what_is_hashed_is_the_policys(void **state)
{
	static const char text[] = "GET /?q=user HTTP/1.1\r\nHost: a\r\nx-id: user\r\nCookie: a=b; "
				   "id=user\r\nx-empty:\r\n\r\n";
	static const struct {
		enum mesh_hash_source source;
		const char *name;
		bool is_there;
	} rows[] = {
		{MESH_HASH_HEADER, "X-Id", true},	 {MESH_HASH_HEADER, "x-none", false},
		{MESH_HASH_HEADER, "x-empty", false},	 {MESH_HASH_COOKIE, "id", true},
		{MESH_HASH_COOKIE, "ID", false},	 {MESH_HASH_QUERY_PARAMETER, "q", true},
		{MESH_HASH_QUERY_PARAMETER, "r", false},
	};
	struct request request;
	const uint8_t address[16] = {1};
	uint64_t first = 0, hash = 0;

	(void)state;
	request_parse(&request, text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mesh_cluster_policy policy = {
			.balancing = MESH_BALANCE_HASH,
			.hash_source = rows[i].source,
			.hash_name = span_of(rows[i].name),
		};

		assert_int_equal(mesh_balance_hash(&policy, &request.edit, address, &hash),
				 rows[i].is_there);
		if (i == 0)
			first = hash;
		/* The same value is the same user, wherever it stands. */
		if (rows[i].is_there)
			assert_true(hash == first);
	}
	struct mesh_cluster_policy by_address = {.hash_source = MESH_HASH_SOURCE_IP};
	assert_true(mesh_balance_hash(&by_address, &request.edit, address, &hash));
	assert_true(hash != first);
}

static void a_made_cookie_leads_where_it_will_lead_when_it_comes_back(void **state)
{
	static const struct {
		const char *path;
		uint32_t ttl_s;
		const char *expected;
	} rows[] = {
		{NULL, 0, "side=00000000000000ff; HttpOnly"},
		{"/shop", 3600, "side=00000000000000ff; Path=/shop; Max-Age=3600; HttpOnly"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct mesh_cluster_policy policy = {
			.balancing = MESH_BALANCE_HASH,
			.hash_source = MESH_HASH_COOKIE,
			.hash_name = span_of("side"),
			.makes_cookie = true,
			.cookie_ttl_s = rows[i].ttl_s,
			.cookie_path = span_of(rows[i].path),
		};
		static const uint8_t nobody[16];
		struct buffer out = {0};
		struct request request;
		uint64_t hash;

		mesh_write_cookie(&policy, 255, &out);
		assert_string_equal(buffer_text(&out), rows[i].expected);
		buffer_free(&out);
		request_parse(&request, "GET / HTTP/1.1\r\nHost: a\r\n"
					"Cookie: a=b; side=00000000000000ff\r\n\r\n");
		assert_true(mesh_balance_hash(&policy, &request.edit, nobody, &hash));
		assert_int_equal(hash, mesh_cookie_hash(255));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_made_cookie_leads_where_it_will_lead_when_it_comes_back),
		cmocka_unit_test(headers_are_removed_then_set_then_added),
		cmocka_unit_test(too_many_headers_are_told),
		cmocka_unit_test(a_share_holds_for_its_part),
		cmocka_unit_test(what_is_hashed_is_the_policys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
