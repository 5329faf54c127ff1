/* SPDX-License-Identifier: GPL-2.0-only */
/* The request stage: text in, text out, with the seed's rules and propagation. */
#include "unit/proxy/request/request_stage.h"

static const char manifests[] =
	"apiVersion: extensions.istio.io/v1alpha1\n"
	"kind: WasmPlugin\n"
	"metadata: {name: tags}\n"
	"spec:\n"
	"  pluginConfig:\n"
	"    rules:\n"
	"    - {header: x-user-id, modulo: 100, tagHeader: appver-a,"
	" policies: [{range: 10, tagValue: v2}]}\n"
	"    - {header: x-user-id, modulo: 100, tagHeader: appver-c,"
	" policies: [{range: 50, tagValue: v3}]}\n"
	"---\n"
	"apiVersion: istio.alibabacloud.com/v1beta1\n"
	"kind: ASMHeaderPropagation\n"
	"metadata: {name: all}\n"
	"spec: {headerPrefixes: [appver, transfer], headers: [host]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: edge}\n"
	"spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: VirtualService\n"
	"metadata: {name: edge}\n"
	"spec:\n"
	"  hosts: ['*']\n"
	"  gateways: [edge]\n"
	"  http:\n"
	"  - match: [{headers: {x-case: {exact: hidden}}}]\n"
	"    headers: {request: {remove: [x-forwarded-for, x-request-id, via]}}\n"
	"    route: [{destination: {host: app},"
	" headers: {request: {remove: [x-forwarded-proto]}}}]\n"
	"  - match: [{headers: {x-case: {exact: own}}}]\n"
	"    headers: {request: {set: {x-forwarded-for: 10.0.0.7, via: mine}}}\n"
	"    route: [{destination: {host: app},"
	" headers: {request: {set: {x-forwarded-proto: https, x-request-id: '7'}}}}]\n"
	"  - match: [{headers: {x-case: {exact: tags}}}]\n"
	"    headers: {request: {remove: [appver-a], set: {appver-c: 'other,one'}}}\n"
	"    route: [{destination: {host: app}}]\n"
	"  - {route: [{destination: {host: app}}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: app}\n"
	"spec: {clusterIP: 10.96.0.1, selector: {app: app}, ports: [{port: 80, name: http}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: app-1, labels: {app: app}}\n"
	"spec: {containers: [{name: app, image: app}]}\n"
	"status: {podIP: 10.0.0.1}\n";

static int start(void **state)
{
	*state = stage_start(manifests);
	return 0;
}

static void users_get_the_seeds_tags(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, "x-user-id: 0005\r\n").status, 0);
	assert_has(stage, "appver-a: v2\r\n");
	assert_has(stage, "appver-c: v3\r\n");
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3\r\n");
	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, "x-user-id: 0004\r\n").status, 0);
	assert_lacks(stage, "appver-a");
	assert_has(stage, "appver-c: v3\r\n");
	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, "").status, 0);
	assert_lacks(stage, "appver");
	assert_int_equal(stage->statistics.ids_missing, 1);
}

static void clients_cant_choose_their_lane(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL,
			     "APPVER-A: evil\r\nappver_a: evil\r\nappver-c: evil\r\nappver-c: "
			     "evil2\r\nBaggage: k=v;p, appver-a=evil,appver_C=evil, z=1\r\n"
			     "baggage: appver-a=evil\r\nx-user-id: 0001\r\n")
				 .status,
			 0);
	assert_lacks(stage, "evil");
	assert_lacks(stage, "appver");
	assert_has(stage, "k=v;p,z=1");
	assert_int_equal(stage->statistics.forged_tags_removed, 7);
}

static void forged_baggage_in_many_fields_fails_no_request(void **state)
{
	struct stage *stage = *state;
	struct buffer fields = {0};

	buffer_append_text(&fields, "x-user-id: 0005\r\n");
	for (int i = 0; i < 98; i++)
		buffer_printf(&fields, "baggage: k%d=v, appver-a=evil\r\n", i);
	buffer_append_byte(&fields, '\0');
	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, fields.data).status, 0);
	assert_lacks(stage, "evil");
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3,k0=v,k1=v,");
	assert_has(stage, ",k97=v\r\n");
	assert_int_equal(stage->statistics.forged_tags_removed, 98);
	assert_int_equal(stage->statistics.baggage_overflows, 0);
	buffer_free(&fields);
}

static void others_members_pass_the_edge_byte_for_byte(void **state)
{
	struct stage *stage = *state;

	run(stage, MESH_LISTENER_GATEWAY, NULL,
	    "baggage: k = v ; p = 1;q , z=%zz,,k=2,appver=1\r\nbaggage: appver-a=evil\r\n"
	    "BAGGAGE: a=b;appver-c=evil,x=%2Cy,a=b=c, caf%C3%A9=;r\r\n");
	assert_has(stage,
		   "baggage: k = v ; p = 1;q,z=%zz,k=2,appver=1,x=%2Cy,a=b=c,caf%C3%A9=;r\r\n");
	assert_int_equal(stage->statistics.forged_tags_removed, 2);
	assert_int_equal(stage->statistics.baggage_malformed, 0);
	run(stage, MESH_LISTENER_GATEWAY, NULL, "baggage: ;x=y, novalue\r\n");
	assert_lacks(stage, "baggage");
	assert_int_equal(stage->statistics.baggage_malformed, 2);
}

static void field_names_that_servers_take_for_a_tag_are_removed(void **state)
{
	static const char *const names[] = {
		"appver.c",  "appver~c",    "appver'c",	 "APPVER_C",	 "appver|c",
		"appver%c",  "appver+c",    "appver!c",	 "appver%2Dc",	 "%61ppver-c",
		"appver-c+", "appver-c%20", "+appver-c", "appver-c%3Dx", "%61ppver%252dc"};
	struct stage *stage = *state;
	char fields[100];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(fields, sizeof(fields), "x-user-id: 0001\r\n%s: evil\r\n", names[i]);
		assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, fields).status, 0);
		assert_lacks(stage, "evil");
		assert_lacks(stage, "baggage");
		assert_int_equal(stage->statistics.forged_tags_removed, 1);
	}
}

static void fields_like_a_tag_stay_and_propagate(void **state)
{
	struct stage *stage = *state;

	run(stage, MESH_LISTENER_GATEWAY, NULL,
	    "x-user-id: 0001\r\nappver-color: blue\r\nappverc: 1\r\nx%20y: 2\r\n"
	    "appver-x: a,appver-c=evil\r\n");
	assert_has(stage, "appver-color: blue\r\nappverc: 1\r\nx%20y: 2\r\n");
	/* A value that is a tag once decoded is nobody's. */
	assert_has(stage, "baggage: appver-color=blue,appverc=1\r\n");
	assert_int_equal(stage->statistics.forged_tags_removed, 1);
}

static void what_a_route_makes_of_a_tag_goes_into_the_baggage(void **state)
{
	struct stage *stage = *state;

	run(stage, MESH_LISTENER_GATEWAY, NULL, "x-user-id: 0005\r\nx-case: tags\r\n");
	assert_has(stage, "appver-c: other,one\r\n");
	assert_has(stage, "baggage: appver-c=other%2Cone\r\n");
	assert_lacks(stage, "appver-a");
}

static void malformed_members_of_clients_are_dropped_and_counted(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL,
			     "x-user-id: 0005\r\nbaggage: novalue,k=v,a b=1,=x,q=\"1\"\r\n"
			     "baggage: appver-a=evil,novalue,z=%zz\r\n")
				 .status,
			 0);
	/* A broken escape of another's member is his. */
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3,k=v,z=%zz\r\n");
	assert_int_equal(stage->statistics.baggage_malformed, 5);
}

static void members_beyond_the_limit_are_others(void **state)
{
	struct stage *stage = *state;
	struct buffer fields = {0};

	buffer_append_text(&fields, "x-user-id: 0005\r\nbaggage: k0=v");
	for (int i = 1; i < 180; i++)
		buffer_printf(&fields, ",k%d=v", i);
	buffer_append_text(&fields, "\r\n");
	buffer_append_byte(&fields, '\0');
	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, fields.data).status, 0);
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3,k0=v,k1=v,");
	assert_has(stage, ",k177=v\r\n"); /* the 180th */
	assert_has(stage, "appver-c: v3\r\n");
	assert_int_equal(stage->statistics.baggage_overflows, 1);
	assert_int_equal(stage->statistics.baggage_members_dropped, 2);
	buffer_free(&fields);
}

static void fields_beyond_the_limit_are_others(void **state)
{
	struct stage *stage = *state;
	struct buffer fields = {0};

	buffer_append_text(&fields, "x-user-id: 0005\r\n");
	for (int i = 0; i < 90; i++)
		buffer_printf(&fields, "appver-x%d: %080d\r\n", i, i);
	buffer_append_byte(&fields, '\0');
	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, fields.data).status, 0);
	assert_has(stage, "appver-a: v2\r\n");
	assert_has(stage, "appver-x89: 0");
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3,appver-x0=0");
	assert_lacks(stage, "appver-x89=");
	assert_int_equal(stage->statistics.baggage_overflows, 1);
	/* "appver-a=v2,appver-c=v3" and of the others as many as 8192 bytes hold. */
	assert_int_equal(stage->statistics.baggage_members_dropped,
			 90 - 10 - (8192 - 23 - 910) / 92);
	buffer_free(&fields);
}

static struct lanetag_mark make_mark(uint32_t generation, uint8_t policy_a, uint8_t policy_c)
{
	return (struct lanetag_mark){
		.generation = generation, .rule_count = 2, .policy = {policy_a, policy_c}};
}

static void the_kernels_mark_is_counted_by_whether_it_agrees(void **state)
{
	struct stage *stage = *state;
	const char *user = "x-user-id: 0005\r\n";
	struct lanetag_mark same = make_mark(3, 0, 0), stale = make_mark(2, 0, 0);
	struct lanetag_mark unknown = make_mark(3, 0, LANETAG_POLICY_UNKNOWN);
	struct lanetag_mark differs = make_mark(3, LANETAG_POLICY_NONE, 0);

	run(stage, MESH_LISTENER_GATEWAY, &same, user);
	assert_int_equal(stage->statistics.marks_agreed, 1);
	assert_int_equal(stage->statistics.marks_unused, 0);
	assert_int_equal(stage->statistics.lane_mark_agreed[stage->request.decision.rules[0].lane],
			 1);
	run(stage, MESH_LISTENER_GATEWAY, NULL, user);
	assert_int_equal(stage->statistics.marks_unused, 1);
	run(stage, MESH_LISTENER_GATEWAY, &stale, user);
	assert_int_equal(stage->statistics.marks_stale, 1);
	assert_int_equal(stage->statistics.marks_unused, 1);
	assert_int_equal(stage->statistics.disagreements, 0);
	run(stage, MESH_LISTENER_GATEWAY, &unknown, user);
	assert_int_equal(stage->statistics.marks_unused, 1);
	assert_int_equal(stage->statistics.disagreements, 0);
	run(stage, MESH_LISTENER_GATEWAY, &differs, user);
	assert_int_equal(stage->statistics.disagreements, 1);
	assert_has(stage, "appver-a: v2\r\n"); /* the agent's own decision counts */
}

static void hops_restore_tags_from_the_baggage(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(run(stage, MESH_LISTENER_SERVICE, NULL,
			     "baggage: a=b, appver-a=v%202 ;p=1\r\nbaggage: appver-c=v3\r\n")
				 .status,
			 0);
	assert_has(stage, "appver-a: v 2\r\n");
	assert_has(stage, "appver-c: v3\r\n");
	assert_has(stage, "appver-a=v%202,appver-c=v3,a=b\r\n");
	assert_int_equal(stage->statistics.tags_restored, 2);
}

static void a_tag_that_the_application_set_itself_is_kept(void **state)
{
	struct stage *stage = *state;

	run(stage, MESH_LISTENER_SERVICE, NULL, "appver-a: own\r\nbaggage: appver-a=other\r\n");
	assert_has(stage, "appver-a: own\r\n");
	assert_has(stage, "baggage: appver-a=own\r\n");
	assert_lacks(stage, "other");
}

static void baggage_that_would_break_the_head_is_dropped(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(run(stage, MESH_LISTENER_SERVICE, NULL,
			     "baggage: appver-a=x%0d%0aevil:1, appver-b=%zz, host=evil.test,"
			     "transfer-encoding=chunked\r\n")
				 .status,
			 0);
	assert_lacks(stage, "\nevil");
	assert_lacks(stage, "host: evil");
	assert_lacks(stage, "\ntransfer-encoding");
	assert_has(stage, "Host: app\r\n");
	assert_int_equal(stage->statistics.baggage_malformed, 2);
	assert_int_equal(stage->statistics.tags_restored, 0);
}

static void a_member_that_leaves_no_room_for_tags_goes(void **state)
{
	struct stage *stage = *state;
	char fields[9000] = "x-user-id: 0005\r\nbaggage: before=1,k=";

	memset(fields + strlen(fields), 'v', 8180);
	strcat(fields, ",behind=2\r\n");
	assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, fields).status, 0);
	assert_has(stage, "appver-a: v2\r\n");
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3,before=1,behind=2\r\n");
	assert_int_equal(stage->statistics.baggage_overflows, 1);
	assert_int_equal(stage->statistics.baggage_members_dropped, 1);
}

static void forwarding_fields_are_added(void **state)
{
	struct stage *stage = *state;

	run(stage, MESH_LISTENER_GATEWAY, NULL,
	    "X-Forwarded-For: 198.51.100.1\r\nx-forwarded-for: 198.51.100.2\r\n"
	    "X-Forwarded-Proto: https\r\nVia: 1.0 other\r\nConnection: via, x-request-id\r\n");
	assert_has(stage, "X-Forwarded-For: 198.51.100.1, 198.51.100.2, 192.0.2.9\r\n");
	assert_has(stage, "X-Forwarded-Proto: https\r\n");
	assert_has(stage, "Via: 1.1 lanetag\r\n");
	assert_has(stage, "X-Request-Id: ");
	run(stage, MESH_LISTENER_GATEWAY, NULL, "x-request-id: of-the-client\r\n");
	assert_has(stage, "x-request-id: of-the-client\r\n");
	assert_null(strstr(stage->written, "X-Request-Id: "));
}

/* A member as it may come to a hop; `tag`: of which of the tags below, -1: of none. */
struct hop_member {
	const char *text, *value;
	int tag;
};

static const char *const hop_tags[] = {"appver-a", "appver-c", "appver-x"};

static const struct hop_member hop_members[] = {
	{"appver-a=v2", "v2", 0},     {"appver-c=v3", "v3", 1},
	{"appver-a=v9", "v9", 0},     {" APPVER-A=v2", "v2", 0},
	{"appver-c=v3;p=1", "v3", 1}, {" appver-c=v3\t", "v3", 1},
	{"appver-c=%763", "v3", 1},   {"k=v", NULL, -1},
	{"appver-x=1", "1", 2},
};

/* What comes first of each tag counts: the rules' tags, then others that propagate, then the rest. */
static void expect_hop(const size_t *picked, size_t count, const char *values[3],
		       struct buffer *baggage)
{
	int order[3], tags = 0;

	for (size_t i = 0; i < count; i++) {
		const struct hop_member *member = &hop_members[picked[i]];

		if (member->tag >= 0 && !values[member->tag]) {
			values[member->tag] = member->value;
			if (member->tag < 2)
				order[tags++] = member->tag;
		}
	}
	if (values[2])
		order[tags++] = 2;
	for (int i = 0; i < tags; i++)
		buffer_printf(baggage, "%s%s=%s", i ? "," : "", hop_tags[order[i]],
			      values[order[i]]);
}

static void a_hop_takes_the_first_of_each_tag_however_it_is_written(void **state)
{
	struct stage *stage = *state;
	unsigned seed = 20261201;

	for (size_t round = 0; round < 20000; round++) {
		struct buffer fields = {0}, expected = {0}, line = {0};
		const char *values[3] = {NULL};
		size_t picked[6], count = 1 + (size_t)rand_r(&seed) % 6;

		buffer_append_text(&fields, "baggage: ");
		for (size_t i = 0; i < count; i++) {
			picked[i] = (size_t)rand_r(&seed) %
				    (sizeof(hop_members) / sizeof(hop_members[0]));
			buffer_printf(&fields, "%s%s", i ? "," : "", hop_members[picked[i]].text);
			if (i + 1 < count && rand_r(&seed) % 4 == 0)
				buffer_append_text(&fields, ",\r\nbaggage: ");
		}
		buffer_append_text(&fields, "\r\n");
		buffer_append_byte(&fields, '\0');
		expect_hop(picked, count, values, &expected);
		assert_int_equal(run(stage, MESH_LISTENER_SERVICE, NULL, fields.data).status, 0);
		for (size_t i = 0; i < 3; i++) {
			buffer_clear(&line);
			buffer_printf(&line, "\r\n%s: %s\r\n", hop_tags[i],
				      values[i] ? values[i] : "");
			buffer_append_byte(&line, '\0');
			const char *found = strcasestr(stage->written, line.data);
			if (values[i] && (!found || strcasestr(found + 2, line.data)))
				fail_msg("seed 20261201, round %zu: not once \"%s\" of\n%s%s",
					 round, line.data, fields.data, stage->written);
			buffer_clear(&line);
			buffer_printf(&line, "\r\n%s:", hop_tags[i]);
			buffer_append_byte(&line, '\0');
			assert_true(!values[i] == !strcasestr(stage->written, line.data));
		}
		for (size_t i = 0; i < count; i++) {
			if (hop_members[picked[i]].tag < 0)
				buffer_printf(&expected, "%sk=v", expected.length ? "," : "");
		}
		buffer_append_byte(&expected, '\0');
		/* Where no tag came, baggage goes on as it is. */
		if ((values[0] || values[1] || values[2]) && !strstr(stage->written, expected.data))
			fail_msg("seed 20261201, round %zu: no \"%s\" of\n%s%s", round,
				 expected.data, fields.data, stage->written);
		buffer_free(&fields);
		buffer_free(&expected);
		buffer_free(&line);
	}
}

static void a_tag_that_has_no_field_of_its_own_stays_a_member(void **state)
{
	struct stage *stage = *state;

	run(stage, MESH_LISTENER_SERVICE, NULL,
	    "appver-a: own\r\nbaggage: appver-c=v3,appver-a=v2,k=v\r\n");
	assert_has(stage, "appver-a: own\r\n");
	assert_has(stage, "baggage: appver-a=own,appver-c=v3,k=v\r\n");
	run(stage, MESH_LISTENER_SERVICE, NULL, "appver-a: own\r\nbaggage: appver-a=v2\r\n");
	assert_has(stage, "baggage: appver-a=own\r\n");
	assert_lacks(stage, "v2");
}

/* RFC 9562 5.4: version 4, variant 10, and all digits come in all other places. */
static void a_request_id_is_a_random_uuid(void **state)
{
	struct stage *stage = *state;
	unsigned seen[36] = {0};

	for (size_t round = 0; round < 1000; round++) {
		run(stage, MESH_LISTENER_GATEWAY, NULL, "");
		const char *id = strstr(stage->written, "X-Request-Id: ") + 14;

		for (size_t i = 0; i < 36; i++) {
			bool dash = i == 8 || i == 13 || i == 18 || i == 23;
			const char *digit = strchr("0123456789abcdef", id[i]);

			assert_true(dash ? id[i] == '-' : digit != NULL);
			seen[i] |= dash ? 0 : 1U << (digit - "0123456789abcdef");
		}
		assert_int_equal(id[36], '\r');
	}
	for (size_t i = 0; i < 36; i++) {
		unsigned all = i == 14 ? 1U << 4 : i == 19 ? 0xf00 : 0xffff;

		if (seen[i])
			assert_int_equal(seen[i], all);
	}
}

static void forwarding_fields_of_the_route_stay_as_it_wants_them(void **state)
{
	struct stage *stage = *state;

	run(stage, MESH_LISTENER_GATEWAY, NULL,
	    "x-case: hidden\r\nX-Forwarded-For: 198.51.100.1\r\n");
	assert_lacks(stage, "X-Forwarded");
	assert_lacks(stage, "X-Request-Id");
	assert_lacks(stage, "Via:");
	run(stage, MESH_LISTENER_GATEWAY, NULL,
	    "x-case: own\r\nX-Forwarded-For: 198.51.100.1\r\nVia: 1.1 other\r\n");
	assert_has(stage, "x-forwarded-for: 10.0.0.7\r\n");
	assert_has(stage, "x-forwarded-proto: https\r\n");
	assert_has(stage, "x-request-id: 7\r\n");
	assert_has(stage, "via: mine\r\n");
	assert_lacks(stage, "192.0.2.9");
	assert_lacks(stage, "198.51.100.1");
	assert_lacks(stage, "lanetag");
}

static void a_head_without_room_for_the_tags_is_refused(void **state)
{
	struct stage *stage = *state;
	struct span name = {"x", 1};

	run(stage, MESH_LISTENER_GATEWAY, NULL, "x-user-id: 0005\r\n");
	while (http_edit_add(&stage->request.edit, name, name) == 0)
		;
	assert_int_equal(request_inject_tags(&stage->request).status, 431);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		CLAIM(users_get_the_seeds_tags),
		CLAIM(clients_cant_choose_their_lane),
		CLAIM(forged_baggage_in_many_fields_fails_no_request),
		CLAIM(others_members_pass_the_edge_byte_for_byte),
		CLAIM(field_names_that_servers_take_for_a_tag_are_removed),
		CLAIM(fields_like_a_tag_stay_and_propagate),
		CLAIM(what_a_route_makes_of_a_tag_goes_into_the_baggage),
		CLAIM(malformed_members_of_clients_are_dropped_and_counted),
		CLAIM(members_beyond_the_limit_are_others),
		CLAIM(fields_beyond_the_limit_are_others),
		CLAIM(the_kernels_mark_is_counted_by_whether_it_agrees),
		CLAIM(hops_restore_tags_from_the_baggage),
		CLAIM(a_tag_that_the_application_set_itself_is_kept),
		CLAIM(baggage_that_would_break_the_head_is_dropped),
		CLAIM(a_member_that_leaves_no_room_for_tags_goes),
		CLAIM(forwarding_fields_are_added),
		CLAIM(a_request_id_is_a_random_uuid),
		CLAIM(a_hop_takes_the_first_of_each_tag_however_it_is_written),
		CLAIM(a_tag_that_has_no_field_of_its_own_stays_a_member),
		CLAIM(forwarding_fields_of_the_route_stay_as_it_wants_them),
		CLAIM(a_head_without_room_for_the_tags_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
