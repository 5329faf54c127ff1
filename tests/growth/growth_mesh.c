/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Choosing a route and an endpoint, by how many of them there are: what a table can find costs the same with a thousand
 * as with ten.
 */
#include <stdlib.h>

#include "growth/growth.h"
#include "config/configuration.h"
#include "http/edit.h"
#include "proxy/upstream/backend.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/lease.h"
#include "proxy/worker/worker.h"

#define GATEWAY                                                                                 \
	"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\n"              \
	"spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}\n" \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: app}\n"  \
	"spec:\n  hosts: [app.test]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n"     \
	"  resolution: STATIC\n  endpoints:\n"
#define VIRTUAL_SERVICE                                                             \
	"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: " \
	"{name: v%u}\nspec:\n  hosts: ['*']\n  gateways: [g]\n  http:\n"
#define DESTINATION "route: [{destination: {host: app.test}}]}\n"

/* `match` has the route's number for %1$u; the request asks for the last route. */
struct mesh_shape {
	const char *match;
	const char *request;
	const char *policy;  /* of endpoints: `size` is their number, else that of routes */
	bool each_by_itself; /* a VirtualService for each route */
};

#define RELOADS 2

struct mesh_work {
	struct configuration *configuration;
	struct worker *worker; /* of curves of endpoints */
	struct lease *next[RELOADS];
	size_t reloads;
	char head_text[512];
	struct http_request_head head;
	struct http_edit edit;
};

static void write_manifests(const struct mesh_shape *shape, size_t size, struct buffer *text)
{
	size_t endpoints = shape->policy ? size : 1, routes = shape->policy ? 0 : size;

	buffer_append_text(text, GATEWAY);
	for (size_t i = 0; i < endpoints; i++)
		buffer_printf(text, "  - address: 10.1.%zu.%zu\n", i >> 8, i & 255);
	if (shape->policy)
		buffer_printf(text,
			      "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
			      "metadata: {name: app}\nspec: {host: app.test, trafficPolicy: "
			      "{%s}}\n",
			      shape->policy);
	if (!routes || !shape->each_by_itself)
		buffer_printf(text, VIRTUAL_SERVICE, 0U);
	for (unsigned i = 0; i < routes; i++) {
		if (shape->each_by_itself)
			buffer_printf(text, VIRTUAL_SERVICE, i);
		buffer_append_text(text, "  - {match: [");
		buffer_printf(text, shape->match, i);
		buffer_append_text(text, "], " DESTINATION);
	}
	buffer_append_text(text, shape->each_by_itself ? "" : "  - {" DESTINATION);
}

static bool start_worker(struct mesh_work *work)
{
	work->worker = calloc(1, sizeof(*work->worker));
	if (!work->worker)
		return false;
	timer_wheel_start(&work->worker->loop.timers, 0);
	work->worker->upstreams.loop = &work->worker->loop;
	work->worker->upstreams.statistics = &work->worker->statistics;
	work->worker->upstreams.random = &work->worker->random;
	work->worker->upstreams.lease = lease_new(work->configuration);
	return work->worker->upstreams.lease != NULL;
}

static void *prepare(const struct growth_curve *curve, size_t size)
{
	const struct mesh_shape *shape = curve->shape;
	struct mesh_work *work = calloc(1, sizeof(*work));
	struct diagnostics diagnostics = {0};
	struct http_refusal refusal;
	struct buffer text = {0};

	write_manifests(shape, size, &text);
	const struct manifest_file file = {"a.yaml", text.data, text.length};
	work->configuration = configuration_load_files(&file, 1, MANIFEST_ALL, 1, &diagnostics);
	buffer_free(&text);
	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	snprintf(work->head_text, sizeof(work->head_text),
		 shape->request ? shape->request : "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		 (unsigned)size - 1);
	if (!work->configuration ||
	    http_request_parse(work->head_text, strlen(work->head_text), 0, &http_default_limits,
			       &work->head, &refusal) != HTTP_PARSE_COMPLETE)
		return NULL;
	http_edit_start(&work->edit, &work->head);
	return shape->policy && !start_worker(work) ? NULL : work;
}

static bool find_route(void *context)
{
	struct mesh_work *work = context;
	const struct mesh *mesh = work->configuration->mesh;
	const struct route_query query = {.listener = mesh_listener(mesh, 0),
					  .request = &work->edit};
	struct route_result result;

	mesh_route(mesh, &query, &result);
	return result.action == ROUTE_FORWARD;
}

static bool choose_endpoint(void *context)
{
	struct mesh_work *work = context;
	const struct mesh_cluster *cluster = mesh_cluster(work->configuration->mesh, 0);
	const uint64_t hash = 12345;

	return balance_choose(&work->worker->upstreams, work->worker->upstreams.lease, cluster,
			      &hash) >= 0;
}

/* Two reloads: what the worker does of the second one before it looks at its sockets again. */
static void *prepare_reload(const struct growth_curve *curve, size_t size)
{
	struct mesh_work *work = prepare(curve, size);

	if (!work)
		return NULL;
	const struct mesh_cluster *cluster = mesh_cluster(work->configuration->mesh, 0);
	for (size_t i = 0; i < size; i++) {
		if (!lease_backend(&work->worker->upstreams, work->worker->upstreams.lease, cluster,
				   i))
			return NULL;
	}
	for (size_t i = 0; i < RELOADS; i++)
		work->next[i] = lease_new(work->configuration);
	return work;
}

static bool begin_reload(void *context)
{
	struct mesh_work *work = context;
	struct upstreams *upstreams = &work->worker->upstreams;
	struct lease *lease = work->next[work->reloads++];

	if (!lease)
		return false;
	lease_leave(upstreams, upstreams->lease);
	upstreams->lease = lease;
	lease_move_step(upstreams);
	return true;
}

static void release(void *context)
{
	struct mesh_work *work = context;

	if (work->worker) {
		struct upstreams *upstreams = &work->worker->upstreams;

		while (work->reloads < RELOADS)
			lease_free(upstreams, work->next[work->reloads++]);
		lease_leave(upstreams, upstreams->lease);
		upstreams->lease = NULL;
		while (lease_move_step(upstreams))
			;
		backend_table_free(&upstreams->backends);
		free(work->worker);
	}
	configuration_drop(work->configuration);
	free(work);
}

#define CURVE(title, function, most, limit, ...)                                        \
	{                                                                               \
		.name = title, .prepare = prepare, .run = function, .release = release, \
		.small = 10, .large = (most), .order = GROWTH_FLAT, .at_most = (limit), \
		.shape = &(const struct mesh_shape){__VA_ARGS__},                       \
	}
#define ROUTES(title, match, request) CURVE("routes by " title, find_route, 1000, 2, match, request)
#define GET(target, fields) "GET " target " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static const struct growth_curve curves[] = {
	ROUTES("an exact path", "{uri: {exact: /r%u}}", GET("/r%u", "")),
	ROUTES("a prefix", "{uri: {prefix: /r%u/}}", GET("/r%u/x", "")),
	ROUTES("a path in any case", "{uri: {exact: /R%u}, ignoreUriCase: true}", GET("/r%u", "")),
	ROUTES("a regular expression of the path", "{uri: {regex: '/item%u/[0-9]+'}}",
	       GET("/item%u/7", "")),
	ROUTES("a part of the path", "{uri: {regex: '.*/item%u/.*'}}", GET("/a/item%u/7", "")),
	ROUTES("a header", "{headers: {x-a: {exact: v%u}}}", GET("/", "x-a: v%u\r\n")),
	ROUTES("a header's prefix", "{headers: {x-a: {prefix: v%u-}}}", GET("/", "x-a: v%u-1\r\n")),
	ROUTES("a regular expression of a header", "{headers: {x-a: {regex: 'v%u-[0-9]+'}}}",
	       GET("/", "x-a: v%u-1\r\n")),
	CURVE("routes by regular expressions without a text of their own", find_route, 1000, 2,
	      "{uri: {regex: '/[a-f]+%u[0-9a-f]*/(x|y)+'}}", GET("/abc%u/xyx", "")),
	CURVE("routes by regular expressions of a header without a text of their own", find_route,
	      1000, 2, "{headers: {x-a: {regex: '[a-f]+%u[0-9a-f]*'}}}",
	      GET("/", "x-a: abc%u\r\n")),
	CURVE("routes by regular expressions that share a text", find_route, 1000, 2,
	      "{uri: {regex: '/api/[a-f]+%u'}}", GET("/api/abc%u", "")),
	ROUTES("a query parameter", "{queryParams: {q: {exact: v%u}}}", GET("/?q=v%u", "")),
	ROUTES("a path and a header that all ask for",
	       "{uri: {prefix: /r%u/}, headers: {x-a: {exact: b}}}", GET("/r%u/", "x-a: b\r\n")),
	CURVE("VirtualServices of one host", find_route, 1000, 2, "{uri: {prefix: /r%u/}}",
	      GET("/r%u/x", ""), NULL, true),
	CURVE("endpoints in turn", choose_endpoint, 5000, 1.5, NULL, NULL,
	      "loadBalancer: {simple: ROUND_ROBIN}"),
	CURVE("endpoints by consistent hashing", choose_endpoint, 5000, 1.5, NULL, NULL,
	      "loadBalancer: {consistentHash: {httpHeaderName: x-user-id}}"),
	CURVE("endpoints of which a share must be healthy", choose_endpoint, 5000, 1.5, NULL, NULL,
	      "outlierDetection: {consecutive5xxErrors: 1, minHealthPercent: 50}"),
	{
		.name = "endpoints at a reload, until the worker's next turn",
		.prepare = prepare_reload,
		.run = begin_reload,
		.release = release,
		.small = 5000,
		.large = 50000,
		.order = GROWTH_FLAT,
		.at_most = 1.5,
		.shape = &(const struct mesh_shape){NULL, NULL,
						    "loadBalancer: {simple: ROUND_ROBIN}"},
	},
};

int main(int argc, char **argv)
{
	return growth_main(curves, sizeof(curves) / sizeof(curves[0]), argc, argv);
}
