/* SPDX-License-Identifier: GPL-2.0-only */
#include "kubernetes/reflector.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "recorded.h"

#define SECOND UINT64_C(1000000000)

struct fixture {
	struct random_numbers random;
	struct reflector reflector;
	struct buffer target; /* of the latest request */
	uint64_t now;
};

static struct manifest_kind kind_of(const char *name)
{
	struct manifest_kind kind;

	for (size_t i = 0; manifest_kind_describe(i, &kind); i++) {
		if (strcmp(kind.kind, name) == 0)
			return kind;
	}
	fail_msg("no kind %s", name);
	return kind;
}

static void start(struct fixture *fixture, const char *kind_name, const char *namespace)
{
	struct manifest_kind kind = kind_of(kind_name);

	log_set_level(LOG_LEVEL_ERROR);
	*fixture = (struct fixture){.now = SECOND};
	reflector_init(&fixture->reflector, &kind, namespace, 300, &fixture->random);
}

static void end(struct fixture *fixture)
{
	reflector_free(&fixture->reflector);
	buffer_free(&fixture->target);
}

static void ask(struct fixture *fixture)
{
	struct reflector_request request = {0};

	reflector_ask(&fixture->reflector, fixture->now, &request);
	buffer_free(&fixture->target);
	fixture->target = request.target;
	assert_non_null(buffer_text(&fixture->target));
}

#define assert_asked(fixture, text) assert_string_equal(buffer_text(&(fixture)->target), text)

static void assert_asked_with(struct fixture *fixture, const char *part)
{
	if (!strstr(buffer_text(&fixture->target), part))
		fail_msg("%s has no %s", buffer_text(&fixture->target), part);
}

/* In pieces of `piece` bytes; 0: at random. Gives what the reflector says at the first failure. */
static int answer(struct fixture *fixture, int status, struct span body, size_t piece)
{
	int error = 0;

	while (body.length && !error) {
		size_t length = piece ? piece : 1 + (size_t)rand() % 200;

		length = length < body.length ? length : body.length;
		error = reflector_receive(&fixture->reflector, status,
					  (struct span){body.data, length}, fixture->now);
		body = (struct span){body.data + length, body.length - length};
	}
	reflector_end(&fixture->reflector, status, error ? "refused" : NULL, 0, fixture->now);
	return error;
}

static int answer_text(struct fixture *fixture, int status, const char *text)
{
	return answer(fixture, status, span_of(text), SIZE_MAX);
}

static int answer_recorded(struct fixture *fixture, const char *name)
{
	struct recorded recorded = recorded_read(name);
	int error = answer(fixture, recorded.status, buffer_span(&recorded.body), 0);

	buffer_free(&recorded.body);
	return error;
}

static const char *text_of(const struct fixture *fixture, const char *name)
{
	const struct kubernetes_objects *objects = &fixture->reflector.objects;

	for (size_t i = 0; i < objects->count; i++) {
		if (strcmp(objects->items[i].name, name) == 0)
			return objects->items[i].text;
	}
	return NULL;
}

static void list_pods(struct fixture *fixture)
{
	start(fixture, "Pod", NULL);
	ask(fixture);
	assert_asked(fixture, "/api/v1/pods?limit=500&resourceVersion=0"
			      "&fieldSelector=status.phase%3DRunning");
	assert_int_equal(answer_recorded(fixture, "list-pods"), 0);
}

static void reads_a_list(void **state)
{
	struct fixture fixture;

	(void)state;
	list_pods(&fixture);
	assert_true(fixture.reflector.listed);
	assert_true(fixture.reflector.changed);
	assert_int_equal(fixture.reflector.objects.count, 6);
	assert_int_equal(fixture.reflector.due_ns, 0);
	const char *text = text_of(&fixture, "app-b-v2");
	assert_non_null(text);
	/* As manifests are: with a kind, without what changes all the time. */
	assert_non_null(strstr(text, "\"kind\": \"Pod\""));
	assert_non_null(strstr(text, "\"podIP\": \"10.0.250."));
	assert_non_null(strstr(text, "\"ASM_TRAFFIC_TAG\": \"v2\""));
	assert_null(strstr(text, "managedFields"));
	assert_null(strstr(text, "resourceVersion"));
	assert_null(strstr(text, "lastTransitionTime"));
	end(&fixture);
}

static void reads_a_list_by_pages(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "Pod", NULL);
	ask(&fixture);
	assert_int_equal(answer_recorded(&fixture, "page-1"), 0);
	assert_false(fixture.reflector.listed);
	ask(&fixture);
	assert_asked_with(&fixture, "&continue=eyJ2Ij");
	assert_int_equal(answer_recorded(&fixture, "page-2"), 0);
	assert_true(fixture.reflector.listed);
	assert_int_equal(fixture.reflector.objects.count, 6);
	end(&fixture);
}

static void starts_a_list_anew_whose_rest_is_gone(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "Pod", NULL);
	ask(&fixture);
	assert_int_equal(answer_recorded(&fixture, "page-1"), 0);
	ask(&fixture);
	assert_int_equal(answer_recorded(&fixture, "page-2-after-compaction-410"), 0);
	assert_false(fixture.reflector.listed);
	ask(&fixture);
	assert_asked(&fixture, "/api/v1/pods?limit=500&fieldSelector=status.phase%3DRunning");
	end(&fixture);
}

static void follows_changes(void **state)
{
	struct fixture fixture;

	(void)state;
	list_pods(&fixture);
	ask(&fixture);
	assert_asked_with(&fixture, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=");
	assert_asked_with(&fixture, "&resourceVersion=");
	fixture.reflector.changed = false;
	fixture.now += 10 * SECOND;
	assert_int_equal(answer_recorded(&fixture, "watch-pods-8s"), 0);
	assert_true(fixture.reflector.changed);
	assert_int_equal(fixture.reflector.heard_ns, fixture.now);
	/* It goes on where that one ended. */
	ask(&fixture);
	assert_asked_with(&fixture, "watch=1");
	assert_asked_with(&fixture, fixture.reflector.resource_version);
	end(&fixture);
}

static void a_change_of_what_is_not_read_is_none(void **state)
{
	static const char touched[] =
		"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"namespace\":"
		"\"n\","
		"\"resourceVersion\":\"%d\",\"annotations\":{\"x\":\"%d\"}},"
		"\"spec\":{\"nodeName\":\"%d\",\"containers\":[]},"
		"\"status\":{\"podIP\":\"10.0.0.1\",\"conditions\":[{\"type\":\"Ready\","
		"\"status\":\"%s\",\"lastProbeTime\":\"%d\"}]}}}\n";
	struct fixture fixture;
	char text[1000];
	struct reflector *reflector = &fixture.reflector;

	(void)state;
	list_pods(&fixture);
	ask(&fixture);
	for (int i = 0; i < 4; i++) {
		bool is_news = i == 0 || i == 3;

		reflector->changed = false;
		snprintf(text, sizeof(text), touched, 1000 + i, i, i, i < 3 ? "True" : "False", i);
		assert_int_equal(reflector_receive(reflector, 200, span_of(text), 1), 0);
		assert_int_equal(reflector->changed, is_news);
	}
	assert_string_equal(reflector->resource_version, "1003");
	end(&fixture);
}

static void a_deleted_object_is_gone(void **state)
{
	struct fixture fixture;

	(void)state;
	list_pods(&fixture);
	ask(&fixture);
	fixture.reflector.changed = false;
	answer_text(&fixture, 200,
		    "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"app-b-v2\","
		    "\"namespace\":\"default\",\"resourceVersion\":\"999\"}}}\n");
	assert_null(text_of(&fixture, "app-b-v2"));
	assert_int_equal(fixture.reflector.objects.count, 5);
	assert_true(fixture.reflector.changed);
	end(&fixture);
}

static void lists_again_where_changes_are_forgotten(void **state)
{
	struct fixture fixture;

	(void)state;
	list_pods(&fixture);
	ask(&fixture);
	assert_int_not_equal(answer_recorded(&fixture, "watch-after-compaction-410"), 0);
	assert_int_equal(fixture.reflector.step, REFLECTOR_LIST);
	assert_true(fixture.reflector.due_ns > fixture.now);
	/* What was known stays until then. */
	assert_int_equal(fixture.reflector.objects.count, 6);
	ask(&fixture);
	assert_asked(&fixture, "/api/v1/pods?limit=500&fieldSelector=status.phase%3DRunning");
	end(&fixture);
}

static void garbage_changes_nothing(void **state)
{
	static const char *const bodies[] = {
		"",
		"<html>\x01</html>",
		"[]",
		"{}",
		"{\"items\":[{\"metadata\":",
		"}{",
		"nonsense",
		"{\"items\":[{}],\"metadata\":{\"resourceVersion\":\"\"}}",
		"{\"items\":[]}",
		"{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]",
		"null",
		"\"items\"",
		"{\"type\":\"ADDED\"}\n",
		"{\"type\":\"ADDED\",\"object\":[]}\n",
		"\x80\xff\n",
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"\"}}}\n",
		"{\"type\":\"ERROR\",\"object\":{}}\n",
		"{\"type\":\"NEWS\",\"object\":{}}\n",
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LENGTH(bodies); i++) {
		struct fixture fixture;
		uint64_t failed;

		list_pods(&fixture);
		if (i % 2)
			fixture.reflector.step = REFLECTOR_LIST;
		fixture.reflector.changed = false;
		failed = fixture.reflector.failed;
		ask(&fixture);
		answer_text(&fixture, 200, bodies[i / 2]);
		if (fixture.reflector.failed != failed + 1)
			fail_msg("taken as good: %s", bodies[i / 2]);
		assert_true(fixture.reflector.due_ns > fixture.now);
		assert_false(fixture.reflector.changed);
		assert_int_equal(fixture.reflector.objects.count, 6);
		end(&fixture);
	}
}

static void an_object_that_is_none_costs_itself(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "Pod", NULL);
	ask(&fixture);
	answer_text(&fixture, 200,
		    "{\"items\":[{\"metadata\":{\"name\":\"../x\",\"namespace\":\"n\"}},{},"
		    "{\"metadata\":{\"name\":\"a\\u0000b\",\"namespace\":\"n\"}},"
		    "{\"metadata\":{\"name\":\"a\\tb\",\"namespace\":\"n\"}},"
		    "{\"metadata\":{\"name\":\"a\"}},"
		    "{\"metadata\":{\"name\":\"good\",\"namespace\":\"n\"}}],"
		    "\"metadata\":{\"resourceVersion\":\"7\"}}");
	assert_true(fixture.reflector.listed);
	assert_int_equal(fixture.reflector.refused, 5);
	assert_int_equal(fixture.reflector.objects.count, 1);
	end(&fixture);
}

static void waits_longer_after_each_failure(void **state)
{
	struct fixture fixture;
	uint64_t longest = 0, first = 0;

	(void)state;
	for (int round = 0; round < 50; round++) {
		start(&fixture, "Pod", NULL);
		for (int i = 0; i < 20; i++) {
			ask(&fixture);
			assert_int_equal(answer_text(&fixture, 500, "broken"), 0);
			uint64_t wait = fixture.reflector.due_ns - fixture.now;

			if (i == 0 && wait > first)
				first = wait;
			longest = wait > longest ? wait : longest;
		}
		end(&fixture);
	}
	assert_true(first <= SECOND);
	assert_true(longest > 10 * SECOND && longest <= 30 * SECOND + 1);
}

static void waits_as_long_as_it_is_asked_to(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "Pod", NULL);
	ask(&fixture);
	struct recorded recorded = recorded_read("too-many-requests-429");
	assert_int_equal(recorded.status, 429);
	reflector_receive(&fixture.reflector, 429, buffer_span(&recorded.body), fixture.now);
	reflector_end(&fixture.reflector, 429, NULL, 7, fixture.now);
	assert_true(fixture.reflector.due_ns > fixture.now + 7 * SECOND);
	reflector_end(&fixture.reflector, 429, NULL, 1000000, fixture.now);
	assert_true(fixture.reflector.due_ns < fixture.now + 400 * SECOND);
	buffer_free(&recorded.body);
	end(&fixture);
}

static void says_what_the_server_says(void **state)
{
	static const struct {
		const char *name, *reason;
	} rows[] = {
		{"rights-missing-403", "pods is forbidden: User "},
		{"token-wrong-401", "Unauthorized"},
		{"too-many-requests-429", "status 429"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct fixture fixture;

		start(&fixture, "Pod", NULL);
		ask(&fixture);
		answer_recorded(&fixture, rows[i].name);
		if (!strstr(fixture.reflector.latest_failure, rows[i].reason))
			fail_msg("%s: %s", rows[i].name, fixture.reflector.latest_failure);
		assert_false(fixture.reflector.listed);
		end(&fixture);
	}
}

/* An APIGroup out of the recorded APIGroupList. */
static char *recorded_group(const char *name)
{
	struct recorded recorded = recorded_read("api-groups");
	json_t *all = json_loadb(recorded.body.data, recorded.body.length, 0, NULL), *group;
	char *text = NULL;
	size_t i;

	json_array_foreach(json_object_get(all, "groups"), i, group)
	{
		if (strcmp(json_string_value(json_object_get(group, "name")), name))
			continue;
		json_object_set_new(group, "kind", json_string("APIGroup"));
		text = json_dumps(group, 0);
	}
	json_decref(all);
	buffer_free(&recorded.body);
	assert_non_null(text);
	return text;
}

static void finds_kinds_by_discovery(void **state)
{
	struct fixture fixture;
	char *group = recorded_group("networking.istio.io");

	(void)state;
	start(&fixture, "VirtualService", "shop");
	ask(&fixture);
	assert_asked(&fixture, "/apis/networking.istio.io");
	answer_text(&fixture, 200, group);
	ask(&fixture);
	assert_asked(&fixture, "/apis/networking.istio.io/v1");
	answer_recorded(&fixture, "api-resources-networking");
	ask(&fixture);
	assert_asked(&fixture, "/apis/networking.istio.io/v1/namespaces/shop/virtualservices"
			       "?limit=500&resourceVersion=0");
	answer_recorded(&fixture, "list-virtualservices");
	assert_true(fixture.reflector.listed);
	assert_int_equal(fixture.reflector.objects.count, 3);
	ask(&fixture);
	fixture.now += 10 * SECOND;
	assert_int_equal(answer_recorded(&fixture, "watch-virtualservices-8s"), 0);
	free(group);
	end(&fixture);
}

static void a_kind_that_is_not_installed_has_no_objects(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "WasmPlugin", NULL);
	ask(&fixture);
	answer_recorded(&fixture, "list-kind-that-is-not-installed-404");
	assert_true(fixture.reflector.listed);
	assert_int_equal(fixture.reflector.objects.count, 0);
	assert_int_equal(fixture.reflector.failed, 0);
	/* Somebody may install it: it is asked for again, but not all the time. */
	assert_true(fixture.reflector.due_ns >= fixture.now + 60 * SECOND);
	end(&fixture);
}

/* A server that has just started may not know its kinds yet. */
static void a_kind_that_had_objects_is_gone_only_after_a_while(void **state)
{
	struct fixture fixture;
	struct reflector *reflector = &fixture.reflector;

	(void)state;
	start(&fixture, "VirtualService", NULL);
	strcpy(reflector->version, "v1");
	reflector->step = REFLECTOR_LIST;
	ask(&fixture);
	answer_recorded(&fixture, "list-virtualservices");
	ask(&fixture);
	answer_recorded(&fixture, "list-kind-that-is-not-installed-403");
	assert_int_equal(reflector->step, REFLECTOR_GROUP);
	ask(&fixture);
	answer_text(&fixture, 404, "404 page not found\n");
	assert_int_equal(reflector->objects.count, 3);
	fixture.now += 200 * SECOND;
	reflector->changed = false;
	ask(&fixture);
	answer_text(&fixture, 404, "404 page not found\n");
	assert_int_equal(reflector->objects.count, 0);
	assert_true(reflector->changed);
	end(&fixture);
}

static void missing_rights_are_no_missing_kind(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "WasmPlugin", NULL);
	ask(&fixture);
	answer_recorded(&fixture, "rights-missing-403");
	assert_false(fixture.reflector.listed);
	assert_int_equal(fixture.reflector.failed, 1);
	end(&fixture);
}

static void no_token_of_the_server_leaves_its_place_in_a_request(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "Pod", NULL);
	ask(&fixture);
	answer_text(
		&fixture, 200,
		"{\"items\":[],\"metadata\":{\"resourceVersion\":\"1&watch=0 HTTP/1.1\\r\\nX: \","
		"\"continue\":\"a b&c=d#\\r\\n\"}}");
	ask(&fixture);
	assert_asked_with(&fixture, "&continue=a%20b%26c%3Dd%23%0D%0A&");
	answer_text(&fixture, 200,
		    "{\"items\":[],\"metadata\":{\"resourceVersion\":\"1&watch=0\\r\\n\"}}");
	ask(&fixture);
	assert_asked_with(&fixture, "&resourceVersion=1%26watch%3D0%0D%0A&");
	end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_list),
		cmocka_unit_test(reads_a_list_by_pages),
		cmocka_unit_test(starts_a_list_anew_whose_rest_is_gone),
		cmocka_unit_test(follows_changes),
		cmocka_unit_test(a_change_of_what_is_not_read_is_none),
		cmocka_unit_test(a_deleted_object_is_gone),
		cmocka_unit_test(lists_again_where_changes_are_forgotten),
		cmocka_unit_test(garbage_changes_nothing),
		cmocka_unit_test(an_object_that_is_none_costs_itself),
		cmocka_unit_test(waits_longer_after_each_failure),
		cmocka_unit_test(waits_as_long_as_it_is_asked_to),
		cmocka_unit_test(says_what_the_server_says),
		cmocka_unit_test(finds_kinds_by_discovery),
		cmocka_unit_test(a_kind_that_is_not_installed_has_no_objects),
		cmocka_unit_test(a_kind_that_had_objects_is_gone_only_after_a_while),
		cmocka_unit_test(missing_rights_are_no_missing_kind),
		cmocka_unit_test(no_token_of_the_server_leaves_its_place_in_a_request),
	};
	unsigned seed = (unsigned)clock_now_ns();

	printf("# seed %u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
