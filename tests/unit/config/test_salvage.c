/* SPDX-License-Identifier: GPL-2.0-only */
/* What a wrong resource costs an agent: itself. */
#include "unit/mesh/mesh_test.h"

#include "config/salvage.h"
#include "unit/manifest/mutation.h"

#define GATEWAY                                               \
	"apiVersion: networking.istio.io/v1\nkind: Gateway\n" \
	"metadata: {name: gw}\nspec:\n  servers:\n"           \
	"  - port: {number: 8080, protocol: HTTP}\n    hosts: ['*']\n---\n"
#define SERVICE(name, address)                                        \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\n" \
	"spec: {clusterIP: " address ", selector: {app: " name        \
	"}, ports: [{name: http, port: 80}]}\n---\n"
#define POD(name, app, version, address)                                                      \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name ", labels: {app: " app            \
	", version: " version "}}\nspec: {containers: [{name: c}]}\nstatus: {podIP: " address \
	", conditions: [{type: Ready, status: 'True'}]}\n---\n"
#define SUBSETS(name)                                                                       \
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " name \
	"}\nspec:\n  host: " name "\n  subsets:\n  - {name: v1, labels: {version: v1}}\n"   \
	"  - {name: v2, labels: {version: v2}}\n---\n"
#define ROUTE(name, more)                                                                  \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " name \
	"}\nspec:\n  hosts: [" name ".test]\n  gateways: [gw]\n  http:\n" more             \
	"  - route: [{destination: {host: " name ", subset: v1}}]\n---\n"
#define RULE(name, maximum)                                                                   \
	"apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: " name  \
	"}\nspec:\n  pluginConfig:\n    rules:\n    - header: x-user-id\n      modulo: 100\n" \
	"      tagHeader: tag-" name "\n      policies: [{range: " maximum                    \
	", tagValue: v2}]\n---\n"
#define CANARY(name)                                            \
	"  - match: [{headers: {tag-" name ": {exact: v2}}}]\n" \
	"    route: [{destination: {host: " name ", subset: v2}}]\n"
#define APP(name, address, number)                      \
	SERVICE(name, address)                          \
	POD(name "-1", name, "v1", "10.1." number ".1") \
	POD(name "-2", name, "v2", "10.1." number ".2") SUBSETS(name) ROUTE(name, CANARY(name))

/* A directory that an agent reads, and what it has in force. */
struct agent_like {
	char directory[64];
	struct configuration *configuration;
	struct rejections *rejections;
	bool is_unchanged;
	uint32_t generation;
};

static void write_text(const struct agent_like *agent, const char *name, struct span text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", agent->directory, name);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	assert_int_equal(fwrite(text.data, 1, text.length, stream), text.length);
	fclose(stream);
}

static void write_yaml(const struct agent_like *agent, const char *name, const char *text)
{
	write_text(agent, name, span_of(text));
}

static void remove_yaml(const struct agent_like *agent, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", agent->directory, name);
	unlink(path);
}

static void start_agent(struct agent_like *agent)
{
	*agent = (struct agent_like){.directory = "/tmp/lanetag-salvage-XXXXXX"};
	assert_non_null(mkdtemp(agent->directory));
}

static void stop_agent(struct agent_like *agent)
{
	static const char *const names[] = {"a.yaml", "b.yaml", "c.yaml"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		remove_yaml(agent, names[i]);
	rmdir(agent->directory);
	configuration_drop(agent->configuration);
	rejections_drop(agent->rejections);
}

/* Reads as an agent does. False: nothing could be put in force. */
static bool reload(struct agent_like *agent)
{
	struct diagnostics diagnostics = {0};
	struct salvage_result result;
	const char *path = agent->directory;
	struct salvage_source source = {
		.paths = &path, .path_count = 1, .is_first = !agent->configuration};

	if (agent->configuration) {
		source.in_force = agent->configuration->manifests.files;
		source.in_force_count = agent->configuration->manifests.file_count;
	}
	salvage_load(&source, ++agent->generation, &diagnostics, &result);
	if (!result.configuration && diagnostics.count)
		printf("# %s\n", diagnostics_text(&diagnostics));
	diagnostics_free(&diagnostics);
	rejections_drop(agent->rejections);
	agent->rejections = result.rejections;
	agent->is_unchanged = result.is_unchanged;
	if (!result.configuration)
		return false;
	configuration_drop(agent->configuration);
	agent->configuration = result.configuration;
	return true;
}

static const char *at_gateway(const struct agent_like *agent, const char *request)
{
	const struct mesh *mesh = agent->configuration->mesh;

	return route_text(mesh, gateway_at(mesh, 8080), request);
}

/* "kind namespace/name outcome; …" */
static const char *rejected(const struct agent_like *agent)
{
	static char text[1000];
	size_t length = 0;

	text[0] = '\0';
	for (size_t i = 0; agent->rejections && i < agent->rejections->count; i++) {
		const struct rejection *item = &agent->rejections->items[i];

		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s %s/%s %s",
					   i ? "; " : "", item->kind, item->namespace, item->name,
					   rejection_outcome_name(item->outcome));
	}
	return text;
}

#define BASE GATEWAY APP("alpha", "10.96.0.1", "1") APP("bravo", "10.96.0.2", "2")
#define TO_ALPHA "GET / HTTP/1.1\r\nHost: alpha.test\r\n\r\n"
#define TO_BRAVO "GET / HTTP/1.1\r\nHost: bravo.test\r\n\r\n"
#define WRONG "  - unknownField: 1\n    route: [{destination: {host: bravo}}]\n"

static void a_wrong_resource_keeps_its_last_good_version_and_others_move_on(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml", BASE);
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "");
	write_yaml(&agent, "a.yaml",
		   GATEWAY APP("alpha", "10.96.0.1", "1") SERVICE("bravo", "10.96.0.2")
			   POD("bravo-1", "bravo", "v1", "10.1.9.9") SUBSETS("bravo")
				   ROUTE("bravo", WRONG));
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "VirtualService default/bravo lastGood");
	assert_non_null(strstr(agent.rejections->items[0].reason, "/a.yaml:"));
	assert_non_null(strstr(agent.rejections->items[0].reason, "unknownField"));
	assert_false(agent.is_unchanged);
	assert_string_equal(at_gateway(&agent, TO_BRAVO), "bravo.default.svc.cluster.local|v1|80");
	assert_string_equal(at_gateway(&agent, TO_ALPHA), "alpha.default.svc.cluster.local|v1|80");
	struct request request;
	const struct mesh *mesh = agent.configuration->mesh;
	request_route(&request, mesh, gateway_at(mesh, 8080), TO_BRAVO);
	assert_int_equal(request.result.cluster->endpoint_count, 1);
	assert_int_equal(request.result.cluster->endpoints[0].address[14], 9);
	/* Once more: the same is wrong, and nothing else came. */
	assert_true(reload(&agent));
	assert_true(agent.is_unchanged);
	assert_string_equal(rejected(&agent), "VirtualService default/bravo lastGood");
	write_yaml(&agent, "a.yaml", BASE);
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "");
	stop_agent(&agent);
}

static void one_that_never_was_good_is_left_out_and_its_host_says_so(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml",
		   GATEWAY APP("alpha", "10.96.0.1", "1") SERVICE("bravo", "10.96.0.2") ROUTE(
			   "bravo",
			   WRONG) "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
				  "metadata: {name: all}\nspec: {hosts: ['*'], gateways: [gw], "
				  "http: [{route: [{destination: {host: alpha}}]}]}\n");
	for (int i = 0; i < 3; i++) {
		assert_true(reload(&agent));
		assert_string_equal(rejected(&agent), "VirtualService default/bravo leftOut");
		assert_int_equal(agent.is_unchanged, i > 0);
		assert_string_equal(at_gateway(&agent, TO_BRAVO), "rejected");
		assert_string_equal(at_gateway(&agent, TO_ALPHA),
				    "alpha.default.svc.cluster.local|v1|80");
		assert_string_equal(at_gateway(&agent, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n"),
				    "alpha.default.svc.cluster.local|-|80");
	}
	stop_agent(&agent);
}

static void a_host_that_another_virtual_service_has_goes_on_by_that(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml",
		   GATEWAY APP("alpha", "10.96.0.1",
			       "1") "apiVersion: networking.istio.io/v1\n"
				    "kind: VirtualService\nmetadata: {name: 0}\n"
				    "spec: {hosts: [alpha.test], gateways: [gw], "
				    "http: [{delegated: 1}]}\n");
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "VirtualService default/0 leftOut");
	assert_string_equal(at_gateway(&agent, TO_ALPHA), "alpha.default.svc.cluster.local|v1|80");
	stop_agent(&agent);
}

static void what_a_route_names_and_is_not_there_costs_the_route(void **state)
{
	static const char *const missing[] = {"{host: alpha, subset: v9}",
					      "{host: alpha, port: {number: 9}}", "{host: nobody}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(missing); i++) {
		struct agent_like agent;
		struct buffer text = {0};

		start_agent(&agent);
		buffer_printf(&text,
			      BASE
			      "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
			      "metadata: {name: more}\nspec:\n  hosts: [more.test]\n"
			      "  gateways: [gw, not-there]\n  http:\n"
			      "  - match: [{uri: {prefix: /x}}]\n    route: [{destination: %s}]\n"
			      "  - route: [{destination: {host: alpha}}]\n",
			      missing[i]);
		write_text(&agent, "a.yaml", buffer_span(&text));
		buffer_free(&text);
		assert_true(reload(&agent));
		assert_string_equal(rejected(&agent), "VirtualService default/more route");
		assert_string_equal(
			at_gateway(&agent, "GET /x HTTP/1.1\r\nHost: more.test\r\n\r\n"),
			"no endpoint");
		assert_string_equal(
			at_gateway(&agent, "GET /y HTTP/1.1\r\nHost: more.test\r\n\r\n"),
			"alpha.default.svc.cluster.local|-|80");
		stop_agent(&agent);
	}
}

static void a_torn_file_keeps_its_last_good_resources(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml", GATEWAY APP("alpha", "10.96.0.1", "1"));
	write_yaml(&agent, "b.yaml", APP("bravo", "10.96.0.2", "2"));
	assert_true(reload(&agent));
	write_yaml(&agent, "b.yaml", SERVICE("bravo", "10.96.0.2") "kind: [\n");
	write_yaml(&agent, "a.yaml", GATEWAY APP("alpha", "10.96.0.1", "7"));
	assert_true(reload(&agent));
	assert_int_equal(agent.rejections->unreadable, 1);
	assert_string_equal(at_gateway(&agent, TO_BRAVO), "bravo.default.svc.cluster.local|v1|80");
	assert_true(reload(&agent));
	assert_true(agent.is_unchanged);
	remove_yaml(&agent, "b.yaml");
	assert_true(reload(&agent));
	assert_string_equal(at_gateway(&agent, TO_BRAVO), "no host");
	stop_agent(&agent);
}

static void a_key_that_is_there_twice_costs_its_document(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml", BASE);
	assert_true(reload(&agent));
	write_yaml(&agent, "a.yaml",
		   GATEWAY APP("alpha", "10.96.0.1", "1") SERVICE("bravo", "10.96.0.2") POD(
			   "bravo-1", "bravo", "v1", "10.1.2.9") SUBSETS("bravo")

			   "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
			   "metadata: {name: bravo}\nspec:\n  hosts: [bravo.test]\n"
			   "  hosts: [carol.test]\n  gateways: [gw]\n"
			   "  http: [{route: [{destination: {host: bravo, subset: v2}}]}]\n");
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "VirtualService default/bravo lastGood");
	assert_int_equal(agent.rejections->unreadable, 0);
	assert_string_equal(at_gateway(&agent, TO_BRAVO), "bravo.default.svc.cluster.local|v1|80");
	assert_int_equal(agent.configuration->manifests.workload_count, 3);
	stop_agent(&agent);
}

static void a_directory_that_is_gone_keeps_all_that_is_in_force(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml", BASE);
	write_yaml(&agent, "b.yaml", RULE("alpha", "9"));
	assert_true(reload(&agent));
	remove_yaml(&agent, "a.yaml");
	remove_yaml(&agent, "b.yaml");
	rmdir(agent.directory);
	assert_true(reload(&agent));
	assert_true(agent.is_unchanged);
	assert_string_equal(at_gateway(&agent, TO_ALPHA), "alpha.default.svc.cluster.local|v1|80");
	assert_int_equal(agent.rejections->unreadable, 2);
	stop_agent(&agent);
}

static void of_two_that_conflict_the_one_in_force_stays(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "b.yaml", BASE);
	assert_true(reload(&agent));
	/* Read first, so that the errors are named at what is in force. */
	write_yaml(&agent, "a.yaml", ROUTE("bravo", CANARY("alpha")) SERVICE("carol", "10.96.0.1"));
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "VirtualService default/bravo leftOut; "
					      "Service default/carol leftOut");
	assert_string_equal(at_gateway(&agent, TO_BRAVO), "bravo.default.svc.cluster.local|v1|80");
	const struct mesh *mesh = agent.configuration->mesh;
	assert_string_equal(route_text(mesh, service_at(mesh, "10.96.0.1", 80),
				       "GET / HTTP/1.1\r\nHost: 10.96.0.1\r\n\r\n"),
			    "alpha.default.svc.cluster.local|-|80");
	stop_agent(&agent);
}

static void items_of_a_list_cost_themselves(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(
		&agent, "a.yaml",
		GATEWAY
		"apiVersion: v1\nkind: List\nitems:\n"
		"  - apiVersion: v1\n    kind: Service\n    metadata: {name: alpha}\n"
		"    spec: {ports: [{port: 80}]}\n"
		"  - {apiVersion: v1, kind: Service, metadata: {name: bravo}, spec: {prots: 1}}\n"
		"  -\n    apiVersion: networking.istio.io/v1\n    kind: VirtualService\n"
		"    metadata: {name: v}\n"
		"    spec:\n      hosts: [alpha.test]\n      gateways: [gw]\n      http:\n"
		"      - route: [{destination: {host: alpha}}]\n"
		"metadata: {}\n");
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "Service default/bravo leftOut");
	assert_string_equal(at_gateway(&agent, TO_ALPHA), "no endpoint");
	stop_agent(&agent);
}

/* The tags that some of 1,000 users get. */
static const char *tagged(const struct agent_like *agent)
{
	const struct tag_rules *rules = agent->configuration->tag_rules;
	static char text[200];
	size_t length = 0;

	text[0] = '\0';
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		bool any = false;

		for (int user = 0; user < 1000 && !any; user++) {
			struct tag_decision decision;
			char id[16];

			snprintf(id, sizeof(id), "user-%d", user);
			tag_rules_decide_id(rules, span_of(id), &decision);
			any = decision.rules[i].policy != LANETAG_POLICY_NONE;
		}
		if (any)
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%.*s",
						   length ? " " : "",
						   SPAN_ARGUMENTS(tag_rules_header(rules, i)));
	}
	return text;
}

#define API_GATEWAY                                                                       \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\n" \
	"spec: {gatewayClassName: x, listeners: [{name: h, port: 8081, protocol: HTTP}]}\n---\n"
#define API_ROUTE(name, rule)                                                                     \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " name "}\n" \
	"spec: {parentRefs: [{name: gw}], hostnames: [" name ".test], rules: [" rule "]}\n---\n"

#define API_APP(name)                                                                   \
	API_ROUTE(name, "{matches: [{headers: [{name: tag-" name                        \
			", value: v2}]}], backendRefs: [{name: " name                   \
			", port: 80, weight: 3}, {name: none, port: 80, weight: 0}]}, " \
			"{backendRefs: [{name: " name ", port: 80}]}")

static const char *at_api_gateway(const struct agent_like *agent, const char *request)
{
	const struct mesh *mesh = agent->configuration->mesh;

	return route_text(mesh, gateway_at(mesh, 8081), request);
}

static void a_wrong_http_route_costs_itself(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml",
		   BASE API_GATEWAY API_ROUTE("alpha", "{matches: [{path: {value: x}}]}")
			   API_ROUTE("bravo", "{backendRefs: [{name: alpha, port: 80}]}"));
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "HTTPRoute default/alpha leftOut");
	assert_string_equal(at_api_gateway(&agent, TO_ALPHA), "rejected");
	assert_string_equal(at_api_gateway(&agent, TO_BRAVO),
			    "alpha.default.svc.cluster.local|-|80");
	write_yaml(&agent, "a.yaml",
		   BASE API_GATEWAY API_ROUTE("alpha", "{backendRefs: [{name: alpha, port: 80}]}")
			   API_ROUTE("bravo", "{backendRefs: [{name: alpha, port: x}]}"));
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "HTTPRoute default/bravo lastGood");
	assert_string_equal(at_api_gateway(&agent, TO_ALPHA),
			    "alpha.default.svc.cluster.local|-|80");
	assert_string_equal(at_api_gateway(&agent, TO_BRAVO),
			    "alpha.default.svc.cluster.local|-|80");
	stop_agent(&agent);
}

/* Istio's Gateway of that name is another resource. */
static void a_wrong_gateway_of_the_gateway_api_costs_itself(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml",
		   BASE API_GATEWAY API_ROUTE("bravo", "{backendRefs: [{name: alpha, port: 80}]}"));
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "");
	write_yaml(
		&agent, "a.yaml",
		BASE
		"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
		"metadata: {name: gw}\nspec: {listeners: [{name: h, port: zero}]}\n---\n" API_ROUTE(
			"bravo", "{backendRefs: [{name: alpha, port: 80}]}"));
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "Gateway default/gw lastGood");
	assert_string_equal(at_api_gateway(&agent, TO_BRAVO),
			    "alpha.default.svc.cluster.local|-|80");
	assert_string_equal(at_gateway(&agent, TO_ALPHA), "alpha.default.svc.cluster.local|v1|80");
	stop_agent(&agent);
}

static void a_wrong_rule_tags_no_user(void **state)
{
	struct agent_like agent;

	(void)state;
	start_agent(&agent);
	write_yaml(&agent, "a.yaml", RULE("alpha", "49") RULE("bravo", "x"));
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "WasmPlugin default/bravo leftOut");
	/* Its tag header is still no client's to send. */
	assert_true(tag_rules_owns_header(agent.configuration->tag_rules, span_of("tag-bravo")));
	assert_string_equal(tagged(&agent), "tag-alpha");
	write_yaml(&agent, "a.yaml", RULE("alpha", "x") RULE("bravo", "9"));
	assert_true(reload(&agent));
	assert_string_equal(rejected(&agent), "WasmPlugin default/alpha lastGood");
	assert_int_equal(tag_rules_count(agent.configuration->tag_rules), 2);
	stop_agent(&agent);
}

/* Any valid set and any change of one resource. */
static const char *const set[] = {
	SERVICE("alpha", "10.96.0.1"),
	POD("alpha-1", "alpha", "v1", "10.1.1.1"),
	POD("alpha-2", "alpha", "v2", "10.1.1.2"),
	SUBSETS("alpha"),
	ROUTE("alpha", CANARY("alpha")),
	RULE("alpha", "19"),
	API_APP("alpha"),
	SERVICE("bravo", "10.96.0.2"),
	POD("bravo-1", "bravo", "v1", "10.1.2.1"),
	POD("bravo-2", "bravo", "v2", "10.1.2.2"),
	SUBSETS("bravo"),
	ROUTE("bravo", CANARY("bravo")),
	RULE("bravo", "39"),
	API_APP("bravo"),
	SERVICE("carol", "10.96.0.4"),
	POD("carol-1", "carol", "v1", "10.1.4.1"),
	POD("carol-2", "carol", "v2", "10.1.4.2"),
	SUBSETS("carol"),
	ROUTE("carol", CANARY("carol")),
	RULE("carol", "59"),
	API_APP("carol"),
};
static const char *const apps[] = {"alpha", "bravo", "carol"};
#define APP_PARTS (ARRAY_LENGTH(set) / ARRAY_LENGTH(apps))

static void describe_tags(const struct agent_like *agent, const char *app, struct buffer *out)
{
	const struct tag_rules *rules = agent->configuration->tag_rules;
	char header[32];

	snprintf(header, sizeof(header), "tag-%s", app);
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		if (!span_equal(tag_rules_header(rules, i), span_of(header)))
			continue;
		for (int user = 0; user < 50; user++) {
			struct tag_decision decision;
			char id[16];

			snprintf(id, sizeof(id), "user-%d", user);
			tag_rules_decide_id(rules, span_of(id), &decision);
			buffer_printf(out, "%d", decision.rules[i].policy);
		}
		buffer_append_byte(out, '\n');
	}
}

static void describe_routes(const struct agent_like *agent, const char *app, struct buffer *out)
{
	const struct mesh *mesh = agent->configuration->mesh;
	static const char *const tags[] = {"", "v1", "v2"};

	for (size_t i = 0; i < ARRAY_LENGTH(tags); i++) {
		struct request request;
		char text[200];

		snprintf(text, sizeof(text),
			 "GET / HTTP/1.1\r\nHost: %s.test\r\ntag-%s: %s\r\n\r\n", app, app,
			 tags[i]);
		request_route(&request, mesh, gateway_at(mesh, 8080), text);
		buffer_append_text(out, where(&request.result));
		for (size_t j = 0;
		     request.result.cluster && j < request.result.cluster->endpoint_count; j++) {
			const struct mesh_endpoint *endpoint =
				&request.result.cluster->endpoints[j];

			buffer_printf(out, " %u.%u:%u", endpoint->address[14],
				      endpoint->address[15], endpoint->port);
		}
		buffer_append_byte(out, '\n');
		buffer_append_text(out, at_api_gateway(agent, text));
		buffer_append_byte(out, '\n');
	}
}

static void describe_app(const struct agent_like *agent, size_t app, struct buffer *out)
{
	struct mesh_listener like = {.kind = MESH_LISTENER_SERVICE, .port = 80};
	char address[16];

	describe_tags(agent, apps[app], out);
	describe_routes(agent, apps[app], out);
	snprintf(address, sizeof(address), "10.96.0.%c", "124"[app]);
	assert_int_equal(address_parse(address, like.address), 0);
	const struct mesh_listener *listener =
		mesh_find_listener(agent->configuration->mesh, &like);
	buffer_append_text(out, listener ? route_text(agent->configuration->mesh, listener,
						      "GET / HTTP/1.1\r\nHost: 10.96.0.1\r\n\r\n")
					 : "closed");
}

static void mutate_one(struct buffer *text, size_t changed, unsigned *seed)
{
	struct buffer one = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(set); i++) {
		if (i != changed) {
			buffer_append_text(text, set[i]);
			continue;
		}
		buffer_append_text(&one, set[i]);
		one.length -= strlen("---\n");
		for (int j = rand_r(seed) % 3; j >= 0; j--)
			mutate(&one, seed);
		buffer_append_span(text, buffer_span(&one));
		buffer_append_text(text, "\n---\n");
	}
	buffer_free(&one);
}

static void a_change_of_one_resource_costs_no_other(void **state)
{
	const char *asked = getenv("LANETAG_SEED"), *many = getenv("LANETAG_ROUNDS");
	unsigned seed = asked ? (unsigned)atoi(asked) : 1;
	int rounds = many ? atoi(many) : 300, rejected_rounds = 0;

	(void)state;
	printf("# LANETAG_SEED=%u\n", seed);
	for (int round = 0; round < rounds; round++) {
		struct agent_like agent;
		struct buffer text = {0}, before[ARRAY_LENGTH(apps)] = {0};
		size_t changed = (size_t)rand_r(&seed) % ARRAY_LENGTH(set);

		start_agent(&agent);
		for (size_t i = 0; i < ARRAY_LENGTH(set); i++)
			buffer_append_text(&text, set[i]);
		write_yaml(&agent, "a.yaml", GATEWAY API_GATEWAY);
		write_text(&agent, "b.yaml", buffer_span(&text));
		assert_true(reload(&agent));
		for (size_t i = 0; i < ARRAY_LENGTH(apps); i++)
			describe_app(&agent, i, &before[i]);
		buffer_clear(&text);
		mutate_one(&text, changed, &seed);
		write_text(&agent, "b.yaml", buffer_span(&text));
		assert_true(reload(&agent));
		rejected_rounds += agent.rejections != NULL;
		for (size_t i = 0; i < ARRAY_LENGTH(apps); i++) {
			struct buffer after = {0};

			describe_app(&agent, i, &after);
			if (i != changed / APP_PARTS &&
			    !span_equal(buffer_span(&before[i]), buffer_span(&after)))
				fail_msg("round %d, %s:\n%s\nwas\n%s\nby\n%s", round, apps[i],
					 buffer_text(&after), buffer_text(&before[i]),
					 buffer_text(&text));
			buffer_free(&after);
			buffer_free(&before[i]);
		}
		buffer_free(&text);
		stop_agent(&agent);
	}
	assert_in_range(rejected_rounds, rounds / 10, rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_resource_keeps_its_last_good_version_and_others_move_on),
		cmocka_unit_test(one_that_never_was_good_is_left_out_and_its_host_says_so),
		cmocka_unit_test(a_host_that_another_virtual_service_has_goes_on_by_that),
		cmocka_unit_test(what_a_route_names_and_is_not_there_costs_the_route),
		cmocka_unit_test(a_torn_file_keeps_its_last_good_resources),
		cmocka_unit_test(a_key_that_is_there_twice_costs_its_document),
		cmocka_unit_test(a_directory_that_is_gone_keeps_all_that_is_in_force),
		cmocka_unit_test(of_two_that_conflict_the_one_in_force_stays),
		cmocka_unit_test(items_of_a_list_cost_themselves),
		cmocka_unit_test(a_wrong_rule_tags_no_user),
		cmocka_unit_test(a_wrong_http_route_costs_itself),
		cmocka_unit_test(a_wrong_gateway_of_the_gateway_api_costs_itself),
		cmocka_unit_test(a_change_of_one_resource_costs_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
