/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls from application to application: which tags they get, and by which way. */
#include "unit/proxy/request/request_stage.h"

#include "base/array.h"
#include "proxy/request/correlation.h"

#define HOP_MANIFESTS(ways)                                                                       \
	"apiVersion: extensions.istio.io/v1alpha1\n"                                              \
	"kind: WasmPlugin\n"                                                                      \
	"metadata: {name: tags}\n"                                                                \
	"spec:\n"                                                                                 \
	"  pluginConfig:\n"                                                                       \
	"    rules:\n"                                                                            \
	"    - {header: x-user-id, modulo: 100, tagHeader: appver-a,"                             \
	" policies: [{range: 10, tagValue: v2}]}\n"                                               \
	"    - {header: x-user-id, modulo: 100, tagHeader: appver-c,"                             \
	" policies: [{range: 50, tagValue: v3}]}\n"                                               \
	"    - {cookie: account, modulo: 100, tagHeader: appver-d,"                               \
	" policies: [{range: 100, tagValue: v4}]}\n"                                              \
	"    - {queryParam: who, modulo: 100, tagHeader: appver-e,"                               \
	" policies: [{range: 100, tagValue: v5}]}\n"                                              \
	"---\n"                                                                                   \
	"apiVersion: istio.alibabacloud.com/v1beta1\n"                                            \
	"kind: ASMHeaderPropagation\n"                                                            \
	"metadata: {name: all, annotations: {" ways "}}\n"                                        \
	"spec: {headerPrefixes: [appver], headers: [x-team]}\n"                                   \
	"---\n"                                                                                   \
	"apiVersion: networking.istio.io/v1\n"                                                    \
	"kind: Gateway\n"                                                                         \
	"metadata: {name: edge}\n"                                                                \
	"spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}\n"   \
	"---\n"                                                                                   \
	"apiVersion: networking.istio.io/v1\n"                                                    \
	"kind: VirtualService\n"                                                                  \
	"metadata: {name: edge}\n"                                                                \
	"spec: {hosts: ['*'], gateways: [edge], http: [{route: [{destination: {host: app}}]}]}\n" \
	"---\n"                                                                                   \
	"apiVersion: v1\n"                                                                        \
	"kind: Service\n"                                                                         \
	"metadata: {name: app}\n"                                                                 \
	"spec: {clusterIP: 10.96.0.1, selector: {app: app}, ports: [{port: 80, name: http}]}\n"   \
	"---\n"                                                                                   \
	"apiVersion: v1\n"                                                                        \
	"kind: Pod\n"                                                                             \
	"metadata: {name: app-1, labels: {app: app}}\n"                                           \
	"spec: {containers: [{name: app, image: app}]}\n"                                         \
	"status: {podIP: 10.0.0.1}\n"

#define WAYS(list) "lanetag.io/propagation-ways: \"" list "\""

static int start(void **state)
{
	*state = stage_start(HOP_MANIFESTS(""));
	return 0;
}

static int start_without_header_and_user_id(void **state)
{
	*state = stage_start(HOP_MANIFESTS(WAYS("baggage, trace")));
	return 0;
}

static int start_with_user_id_alone(void **state)
{
	*state = stage_start(HOP_MANIFESTS(WAYS("user-id")));
	return 0;
}

static void hop(struct stage *stage, const char *fields, enum propagation_way by)
{
	assert_int_equal(run(stage, MESH_LISTENER_SERVICE, NULL, fields).status, 0);
	if (stage->request.propagated_by != by)
		fail_msg("by way %d, not %d:\n%s", stage->request.propagated_by, by, fields);
	for (int way = 0; way <= PROPAGATION_WAYS; way++)
		assert_int_equal(stage->statistics.propagated_by[way], way == (int)by);
}

static void each_call_is_counted_by_the_first_way_that_works(void **state)
{
	static const struct {
		const char *fields;
		enum propagation_way by;
	} rows[] = {
		{"", PROPAGATION_WAYS},
		{"x-other: 1\r\n", PROPAGATION_WAYS},
		{"baggage: other=1\r\n", PROPAGATION_WAYS},
		{"baggage: \r\n", PROPAGATION_WAYS},
		{"x-user-id: 0005\r\n", PROPAGATION_USER_ID},
		{"x-user-id: 0001\r\n", PROPAGATION_USER_ID}, /* who gets no tag */
		{"x-user-id:\r\n", PROPAGATION_WAYS},
		{"x-user-id: 1\r\nx-user-id: 2\r\n", PROPAGATION_WAYS},
		{"cookie: a=b; account=7\r\n", PROPAGATION_USER_ID},
		{"appver-c: v3\r\n", PROPAGATION_HEADER},
		{"appver_c: v3\r\nx-user-id: 0005\r\n", PROPAGATION_HEADER},
		{"appver-c: v3\r\nbaggage: appver-c=v3\r\n", PROPAGATION_HEADER},
		{"baggage: appver-c=v3\r\n", PROPAGATION_BAGGAGE},
		{"baggage: appver-c=v3\r\nx-user-id: 0005\r\n", PROPAGATION_BAGGAGE},
		{"x-team: blue\r\n", PROPAGATION_HEADER},
		{"x-team: blue\r\nx-user-id: 0005\r\n", PROPAGATION_USER_ID},
		{"x-team: blue\r\nbaggage: appver-c=v3\r\n", PROPAGATION_BAGGAGE},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		hop(*state, rows[i].fields, rows[i].by);
}

static void a_forwarded_id_is_decided_as_at_the_gateway(void **state)
{
	struct stage *stage = *state;

	hop(stage, "x-user-id: 0005\r\n", PROPAGATION_USER_ID);
	assert_has(stage, "appver-a: v2\r\n");
	assert_has(stage, "appver-c: v3\r\n");
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3\r\n");
	assert_lacks(stage, "appver-d");
	hop(stage, "x-user-id: 0004\r\ncookie: account=1\r\n", PROPAGATION_USER_ID);
	assert_lacks(stage, "appver-a");
	assert_has(stage, "appver-c: v3\r\n");
	assert_has(stage, "appver-d: v4\r\n");
}

static void the_first_decision_wins(void **state)
{
	struct stage *stage = *state;

	/* Other tags than the rules give this user now, and fewer of them. */
	hop(stage, "x-user-id: 0005\r\nbaggage: appver-a=old\r\n", PROPAGATION_BAGGAGE);
	assert_has(stage, "appver-a: old\r\n");
	assert_lacks(stage, "appver-c");
	hop(stage, "x-user-id: 0005\r\nappver-a: old\r\n", PROPAGATION_HEADER);
	assert_has(stage, "baggage: appver-a=old\r\n");
	assert_lacks(stage, "appver-c");
}

static void a_header_and_baggage_add_up(void **state)
{
	struct stage *stage = *state;

	hop(stage, "appver-a: own\r\nbaggage: k=v;p=1,appver-a=other,appver-c=v3\r\n",
	    PROPAGATION_HEADER);
	assert_has(stage, "appver-a: own\r\n");
	assert_has(stage, "appver-c: v3\r\n");
	assert_has(stage, "baggage: appver-a=own,appver-c=v3,k=v;p=1\r\n");
}

static void a_way_that_is_switched_off_gives_nothing(void **state)
{
	struct stage *stage = *state;

	hop(stage, "x-user-id: 0005\r\n", PROPAGATION_WAYS);
	assert_lacks(stage, "appver");
	hop(stage, "appver-a: v2\r\n", PROPAGATION_WAYS);
	assert_lacks(stage, "appver");
	hop(stage, "appver-a: forged\r\nx-user-id: 0005\r\nbaggage: appver-a=v2\r\n",
	    PROPAGATION_BAGGAGE);
	assert_has(stage, "appver-a: v2\r\n");
	assert_lacks(stage, "forged");
}

static void a_way_that_is_left_alone_gives_all(void **state)
{
	struct stage *stage = *state;

	hop(stage, "x-user-id: 0005\r\nbaggage: appver-a=forged,k=v\r\nappver-c: forged\r\n",
	    PROPAGATION_USER_ID);
	assert_has(stage, "appver-a: v2\r\n");
	assert_has(stage, "appver-c: v3\r\n");
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3,k=v\r\n");
	assert_lacks(stage, "forged");
}

static void ids_of_any_length_are_taken_or_left(void **state)
{
	static const size_t lengths[] = {1, 63, 64, 65, 255, 256, 257, 4096, 16000};
	struct stage *stage = *state;
	char fields[17000];

	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		int length = snprintf(fields, sizeof(fields), "x-user-id: ");

		memset(fields + length, 'u', lengths[i]);
		strcpy(fields + length + lengths[i], "\r\n");
		assert_int_equal(run(stage, MESH_LISTENER_GATEWAY, NULL, fields).status, 0);
		bool tagged = strstr(stage->written, "appver-c: v3\r\n");
		hop(stage, fields, PROPAGATION_USER_ID);
		assert_int_equal(tagged, strstr(stage->written, "appver-c: v3\r\n") != NULL);
	}
}

static void tags_without_room_are_dropped_and_the_call_goes_on(void **state)
{
	struct stage *stage = *state;
	struct buffer fields = {0};

	buffer_append_text(&fields, "baggage: k=v");
	for (int i = 0; i < 120; i++)
		buffer_printf(&fields, ",appver-%d=v", i);
	buffer_append_text(&fields, "\r\n");
	buffer_append_byte(&fields, '\0');
	assert_int_equal(run(stage, MESH_LISTENER_SERVICE, NULL, fields.data).status, 0);
	assert_has(stage, "appver-0: v\r\n");
	assert_lacks(stage, "appver-119: v\r\n");
	assert_has(stage, "k=v,");
	assert_has(stage, "Via: 1.1 lanetag\r\n");
	assert_true(stage->statistics.tags_dropped > 0);
	assert_int_equal(stage->statistics.tags_restored + stage->statistics.tags_dropped, 120);
	buffer_free(&fields);
}

/* Libraries keep members in no order. */
static void tags_have_room_wherever_they_stand(void **state)
{
	struct stage *stage = *state;
	struct buffer fields = {0};

	buffer_append_text(&fields, "baggage: k=v");
	for (int i = 0; i < 120; i++)
		buffer_printf(&fields, ",appver-%d=v", i);
	buffer_append_text(&fields, ",appver-c=v3\r\nbaggage: appver-a=v2\r\n");
	buffer_append_byte(&fields, '\0');
	hop(stage, fields.data, PROPAGATION_BAGGAGE);
	assert_has(stage, "appver-a: v2\r\n");
	assert_has(stage, "appver-c: v3\r\n");
	assert_has(stage, "baggage: appver-c=v3,appver-a=v2,");
	assert_int_equal(stage->statistics.tags_restored + stage->statistics.tags_dropped, 122);
	buffer_free(&fields);
}

static void tags_that_a_later_way_gives_have_room_too(void **state)
{
	struct stage *stage = *state;
	struct buffer fields = {0};

	buffer_append_text(&fields, "x-user-id: 0005\r\ncookie: account=1\r\nbaggage: k=v");
	for (int i = 0; i < 120; i++)
		buffer_printf(&fields, ",appver-%d=v", i);
	buffer_append_text(&fields, "\r\n");
	buffer_append_byte(&fields, '\0');
	hop(stage, fields.data, PROPAGATION_USER_ID);
	assert_has(stage, "appver-a: v2\r\n");
	assert_has(stage, "appver-c: v3\r\n");
	assert_has(stage, "appver-d: v4\r\n");
	buffer_free(&fields);
}

static void oversized_baggage_of_others_leaves_the_tags_their_room(void **state)
{
	struct stage *stage = *state;
	char fields[12000] = "x-user-id: 0005\r\nbaggage: k=";

	memset(fields + strlen(fields), 'v', 10000);
	strcat(fields, "\r\n");
	hop(stage, fields, PROPAGATION_USER_ID);
	assert_has(stage, "appver-a: v2\r\n");
	assert_has(stage, "baggage: appver-a=v2,appver-c=v3\r\n");
	assert_int_equal(stage->statistics.baggage_overflows, 1);
	assert_int_equal(stage->statistics.baggage_members_dropped, 1);
}

int main(void)
{
#define CLAIM_WITH(name, setup) cmocka_unit_test_setup_teardown(name, setup, stop)
#define CLAIM(name) CLAIM_WITH(name, start)
	const struct CMUnitTest tests[] = {
		CLAIM(each_call_is_counted_by_the_first_way_that_works),
		CLAIM(a_forwarded_id_is_decided_as_at_the_gateway),
		CLAIM(the_first_decision_wins),
		CLAIM(a_header_and_baggage_add_up),
		CLAIM_WITH(a_way_that_is_switched_off_gives_nothing,
			   start_without_header_and_user_id),
		CLAIM_WITH(a_way_that_is_left_alone_gives_all, start_with_user_id_alone),
		CLAIM(ids_of_any_length_are_taken_or_left),
		CLAIM(tags_without_room_are_dropped_and_the_call_goes_on),
		CLAIM(tags_have_room_wherever_they_stand),
		CLAIM(tags_that_a_later_way_gives_have_room_too),
		CLAIM(oversized_baggage_of_others_leaves_the_tags_their_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
