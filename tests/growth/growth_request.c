/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A whole request, from its head's bytes to the head that the upstream gets, with every source of ids, every kind of
 * condition and every way of propagation in force: whatever a client makes much of, the request costs in proportion.
 */
#include "growth/growth.h"
#include "proxy/request/generation.h"
#include "proxy/request/log_ids.h"
#include "proxy/upstream/lease_queue.h"

#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit/proxy/request/request_stage.h"

#define ROUTES                                                                         \
	"  http:\n"                                                                    \
	"  - match: [{headers: {cookie: {regex: '^(.*?;)?(user=jason)(;.*)?$'}}}]\n"   \
	"    redirect: {uri: /}\n"                                                     \
	"  - match: [{headers: {user-agent: {regex: '.*(bot|crawler|spider)'}}}]\n"    \
	"    redirect: {uri: /}\n"                                                     \
	"  - match: [{queryParams: {w: {exact: '1'}}}, {uri: {regex: '/(a|aa)+x'}}]\n" \
	"    redirect: {uri: /}\n"                                                     \
	"  - {rewrite: {uriRegexRewrite: {match: '^/(.*)/q/(.*)$', rewrite: '/\\2'}}," \
	" route: [{destination: {host: app}}]}\n"

static const char manifests[] =
	"apiVersion: extensions.istio.io/v1alpha1\n"
	"kind: WasmPlugin\n"
	"metadata: {name: tags}\n"
	"spec:\n"
	"  pluginConfig:\n"
	"    rules:\n"
	"    - {header: x-user-id, modulo: 100, tagHeader: appver-a,"
	" policies: [{range: 10, tagValue: v2}]}\n"
	"    - {cookie: sid, modulo: 100, tagHeader: appver-b,"
	" policies: [{range: 50, tagValue: v2}]}\n"
	"    - {cookie: other, modulo: 100, tagHeader: appver-c,"
	" policies: [{range: 50, tagValue: v2}]}\n"
	"    - {queryParam: u, modulo: 100, tagHeader: appver-d,"
	" policies: [{range: 50, tagValue: v2}]}\n"
	"    - {queryParam: v, modulo: 100, tagHeader: appver-e,"
	" policies: [{range: 50, tagValue: v2}]}\n"
	"---\n"
	"apiVersion: istio.alibabacloud.com/v1beta1\n"
	"kind: ASMHeaderPropagation\n"
	"metadata: {name: all}\n"
	"spec: {headerPrefixes: [appver, x-]}\n"
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
	"  gateways: [edge]\n" ROUTES "---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: VirtualService\n"
	"metadata: {name: app}\n"
	"spec:\n"
	"  hosts: [app]\n" ROUTES "---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: app}\n"
	"spec: {clusterIP: 10.96.0.1, selector: {app: app}, ports: [{port: 80, name: http}]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: VirtualService\n"
	"metadata: {name: suffixes}\n"
	"spec: {hosts: ['*.example.com', '*.test'], gateways: [edge, mesh],"
	" http: [{route: [{destination: {host: app}}]}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: app-1, labels: {app: app}}\n"
	"spec: {containers: [{name: app, image: app}]}\n"
	"status: {podIP: 10.0.0.1}\n";

/* A head that is `before`, `unit` so many times (with its number for %d), and `behind`. */
struct head_shape {
	enum mesh_listener_kind kind;
	const char *before, *unit, *behind;
};

struct head_work {
	struct stage *stage;
	struct buffer head, target, log;
	enum mesh_listener_kind kind;
};

static void release_head(void *work)
{
	struct head_work *head = work;
	void *stage = head->stage;

	stop(&stage);
	buffer_free(&head->head);
	buffer_free(&head->target);
	buffer_free(&head->log);
	free(head);
}

static void *prepare_head(const struct growth_curve *curve, size_t size)
{
	const struct head_shape *shape = curve->shape;
	struct head_work *work = calloc(1, sizeof(*work));

	work->stage = stage_start(manifests);
	work->kind = shape->kind;
	buffer_append_text(&work->head, shape->before);
	for (size_t i = 0; i < size; i++)
		buffer_printf(&work->head, shape->unit, (int)i);
	buffer_append_text(&work->head, shape->behind);
	return work;
}

static bool run_head(void *context)
{
	struct head_work *work = context;
	struct request *request = &work->stage->request;

	if (stage_send(work->stage, work->kind, NULL, buffer_span(&work->head)).status)
		return false;
	buffer_clear(&work->log);
	log_ids_append(request, false, &work->log);
	return log_ids_target(request, &work->target).length > 0;
}

/* A worker that still keeps the configurations of so many reloads, none of which changed a rule. */
struct reload_work {
	struct head_work *head;
	struct stage *stages[HOLDS_GENERATIONS];
	size_t count;
	struct lease_queue posted;
	struct generations generations;
};

static void release_reloads(void *context)
{
	struct reload_work *work = context;

	generation_drop_all(&work->generations);
	for (size_t i = 0; i < work->count; i++) {
		void *stage = work->stages[i];

		stop(&stage);
	}
	free(work->generations.holds);
	lease_queue_free(&work->posted);
	release_head(work->head);
	free(work);
}

static void *prepare_reloads(const struct growth_curve *curve, size_t size)
{
	struct reload_work *work = calloc(1, sizeof(*work));
	struct configuration *current;

	lease_queue_start(&work->posted);
	work->generations.posted = &work->posted;
	work->generations.holds = holds_new(1000);
	for (; work->count < size; work->count++) {
		work->stages[work->count] = stage_start(manifests);
		current = work->stages[work->count]->configuration;
		configuration_set_generation(current, (uint32_t)work->count + 1);
		generation_keep(&work->generations, current);
	}
	work->head = prepare_head(curve, 300);
	current = work->head->stage->configuration;
	configuration_set_generation(current, (uint32_t)size + 1);
	holds_set_current(work->generations.holds, (uint32_t)size + 1, 0);
	return work;
}

static bool run_reloads(void *context)
{
	struct reload_work *work = context;
	struct hold hold = {0};

	if (!run_head(work->head))
		return false;
	generation_choose(&work->generations, &work->head->stage->request, 0, &hold);
	bool held = hold.count > 0;
	holds_release(work->generations.holds, &hold);
	return held;
}

/*
 * Requests with as many tags as there are rules. `rules`: so many, and the size is how many resources
 * say that tags travel; 0: the size is the rules, and one resource says so.
 */
struct tags_shape {
	enum mesh_listener_kind kind;
	size_t rules;
};

/* The text is the caller's. */
static char *tags_manifests(size_t rules, size_t propagations)
{
	struct buffer text = {0};
	const char *separator = strstr(manifests, "---\n");
	const char *edge =
		strstr(manifests, "---\napiVersion: networking.istio.io/v1\nkind: Gateway");

	buffer_append_span(&text, (struct span){manifests, (size_t)(strstr(manifests, "    - {") -
								    manifests)});
	for (size_t i = 0; i < rules; i++)
		buffer_printf(&text,
			      "    - {header: x-user-id, modulo: 100, tagHeader: appver-%d,"
			      " policies: [{range: 100, tagValue: v%d}]}\n",
			      (int)i, (int)i);
	if (propagations)
		buffer_append_span(&text, (struct span){separator, (size_t)(edge - separator)});
	buffer_append_text(&text, edge);
	return buffer_text(&text) ? text.data : NULL;
}

static void *prepare_tags(const struct growth_curve *curve, size_t size)
{
	const struct tags_shape *shape = curve->shape;
	size_t rules = shape->rules ? shape->rules : size;
	struct head_work *work = calloc(1, sizeof(*work));
	char *text = tags_manifests(rules, shape->rules ? size : 1);

	work->stage = stage_start(text);
	free(text);
	work->kind = shape->kind;
	buffer_append_text(&work->head, "GET / HTTP/1.1\r\nHost: app\r\n");
	if (shape->kind == MESH_LISTENER_GATEWAY)
		buffer_append_text(&work->head, "x-user-id: 1\r\n\r\n");
	else
		buffer_append_text(&work->head, "baggage: ");
	for (size_t i = 0; i < rules && shape->kind != MESH_LISTENER_GATEWAY; i++)
		buffer_printf(&work->head, "%sappver-%d=v%d", i ? "," : "", (int)i, (int)i);
	if (shape->kind != MESH_LISTENER_GATEWAY)
		buffer_append_text(&work->head, "\r\n\r\n");
	return work;
}

#define TAGS(title, kind, count, from, to, of_order, times)                                       \
	{                                                                                         \
		.name = title, .prepare = prepare_tags, .run = run_head, .release = release_head, \
		.small = (from), .large = (to), .order = of_order, .at_most = (times),            \
		.shape = &(const struct tags_shape){kind, count},                                 \
	}

#define GET "GET / HTTP/1.1\r\nHost: app\r\n"
#define HEAD(title, count, before, unit, behind)                                                  \
	{                                                                                         \
		.name = "gateway: " title,                                                        \
		.prepare = prepare_head,                                                          \
		.run = run_head,                                                                  \
		.release = release_head,                                                          \
		.small = (count),                                                                 \
		.order = GROWTH_LINEAR,                                                           \
		.shape = &(const struct head_shape){MESH_LISTENER_GATEWAY, before, unit, behind}, \
	},                                                                                        \
	{                                                                                         \
		.name = "hop: " title, .prepare = prepare_head, .run = run_head,                  \
		.release = release_head, .small = (count), .order = GROWTH_LINEAR,                \
		.shape = &(const struct head_shape){MESH_LISTENER_SERVICE, before, unit, behind}, \
	}

static const struct growth_curve curves[] = {
	HEAD("a cookie named again and again without a value", 1000, GET "Cookie: ", "sid=;",
	     "\r\n\r\n"),
	HEAD("a cookie named again and again", 1000, GET "Cookie: ", "sid=1; ", "\r\n\r\n"),
	HEAD("cookies of other names", 1000, GET "Cookie: ", "c%04d=1;", "sid=1\r\n\r\n"),
	HEAD("cookies without a value", 1000, GET "Cookie: ", "sid;", "\r\n\r\n"),
	HEAD("fields of cookies", 45, GET, "Cookie: sid=1; other=2; a; b=3\r\n", "\r\n"),
	HEAD("a parameter named again and again", 1000, "GET /?", "u&",
	     " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("a parameter with a value", 1000, "GET /?", "v=1&", " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("an escaped parameter", 400, "GET /?", "u=%%31%%32&",
	     " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("escapes in one parameter", 1000, "GET /?u=", "%%31",
	     " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("empty parameters", 4000, "GET /?", "&", " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("parts of one parameter", 1500, "GET /?a", ";u", " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("a header's fields", 45, GET, "x-user-id: 1\r\n", "\r\n"),
	HEAD("a long id", 15000, GET "x-user-id: ", "1", "\r\n\r\n"),
	HEAD("fields with one hash", 45, GET, "x-%08d-id: 1\r\n", "\r\n"),
	HEAD("fields that are like tags", 45, GET, "appver_%d: 1\r\n", "\r\n"),
	HEAD("members of the baggage", 2500, GET "baggage: ", "k%04d=v,", "appver-a=1\r\n\r\n"),
	HEAD("members that are like tags", 2500, GET "baggage: ", "appver-a=v,", "k=v\r\n\r\n"),
	HEAD("members with one hash", 1500, GET "baggage: ", "x-%06d-id=v,", "k=v\r\n\r\n"),
	HEAD("escaped members", 2000, GET "baggage: ", "a%%41=%%42,", "k=v\r\n\r\n"),
	HEAD("empty members", 15000, GET "baggage: ", " ,", "\r\n\r\n"),
	HEAD("properties of a member", 8000, GET "baggage: appver-a=1", ";a", "\r\n\r\n"),
	HEAD("fields of baggage", 45, GET, "baggage: a%d=1, appver-a=2\r\n", "\r\n"),
	HEAD("names that Connection lists", 3500,
	     GET "x-000001-id: 1\r\nx-000002-id: 1\r\nConnection: ", "x-zz-id,", "\r\n\r\n"),
	HEAD("fields of forwarding addresses", 45, GET, "X-Forwarded-For: 10.0.0.1\r\n", "\r\n"),
	HEAD("bytes of the path", 3500, "GET /", "a", " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("segments of the path", 1000, "GET /", "a/q/", " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("dots in the path", 800, "GET /", "a/../", " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("slashes in the path", 3500, "GET /", "/", " HTTP/1.1\r\nHost: app\r\n\r\n"),
	HEAD("labels of the host", 55, "GET / HTTP/1.1\r\nHost: ", "a.", "example.com\r\n\r\n"),
	HEAD("bytes of the host", 110, "GET / HTTP/1.1\r\nHost: ", "a", ".test\r\n\r\n"),
	HEAD("bytes of a value that a regular expression looks at", 25000, GET "User-Agent: ", "a",
	     "\r\n\r\n"),
	HEAD("parts of a value that a regular expression looks at", 5000,
	     GET "User-Agent: ", "bot-c", "\r\n\r\n"),
	TAGS("gateway: tags that travel", MESH_LISTENER_GATEWAY, 0, 16, 64, GROWTH_LINEAR, 0),
	TAGS("gateway: letting 64 tags travel", MESH_LISTENER_GATEWAY, 64, 0, 1, GROWTH_FLAT, 1.5),
	TAGS("hop: tags in the baggage", MESH_LISTENER_SERVICE, 0, 16, 64, GROWTH_LINEAR, 0),
	TAGS("hop: taking 64 tags from the baggage", MESH_LISTENER_SERVICE, 64, 0, 1, GROWTH_FLAT,
	     1.0),
	{
		.name = "reloads that change no rule",
		.prepare = prepare_reloads,
		.run = run_reloads,
		.release = release_reloads,
		.small = 1,
		.large = HOLDS_GENERATIONS - 1,
		.order = GROWTH_FLAT,
		.shape = &(const struct head_shape){MESH_LISTENER_GATEWAY,
						    GET "Cookie: ", "c%d=1; ", "sid=1\r\n\r\n"},
	},
};

int main(int argc, char **argv)
{
	return growth_main(curves, sizeof(curves) / sizeof(curves[0]), argc, argv);
}
