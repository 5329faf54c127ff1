/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What must hold for any manifests, whoever feeds them: the fuzzer (fuzz_manifest.c) or the unit
 * test (unit/config/test_manifest_properties.c). They are refused in words that fit into a line, or
 * they are in force; then, whatever names and values they bear, what goes to the next hop or to the
 * client is one head with the framing that it had. Each function aborts where that does not hold.
 */
#include "config/configuration.h"
#include "fuzz/http_properties.h"
#include "mesh/apply.h"
#include "proxy/request/answer.h"
#include "proxy/request/stage.h"

/* The stages of one configuration, with the memory that they work in. */
struct manifest_run {
	struct configuration *configuration;
	struct proxy_statistics statistics;
	struct lanetag_connection connection;
	struct random_numbers random;
	struct request request;
	struct http_edit edit; /* of a response */
	struct buffer out;
	char written[128 * 1024];
};

/* A diagnostic is a line of a log: nothing in it may end the line or steer a terminal. */
static inline void check_words(const struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		const char *text = diagnostics->items[i].text;

		REQUIRE(text && *text);
		for (; *text; text++)
			REQUIRE((unsigned char)*text >= ' ' && *text != 0x7f);
	}
}

static inline void check_request_head(struct manifest_run *run)
{
	static struct http_request_head head;
	struct http_refusal refusal;
	const struct http_request_head *in = &run->request.head;
	ssize_t length = http_edit_write(&run->request.edit, run->written, sizeof(run->written));

	if (length < 0)
		return;
	enum http_parse parse = http_request_parse(run->written, (size_t)length, 0, &written_limits,
						   &head, &refusal);
	if (parse == HTTP_PARSE_REFUSED && refusal.status != 431)
		fprintf(stderr, "%s:\n%.*s", refusal.reason, (int)length, run->written);
	REQUIRE(parse == HTTP_PARSE_COMPLETE || refusal.status == 431);
	if (parse != HTTP_PARSE_COMPLETE)
		return;
	REQUIRE(head.length == (size_t)length);
	REQUIRE(head.framing == in->framing && head.content_length == in->content_length);
	REQUIRE(span_equal(head.method, in->method));
}

static inline void check_answer(struct manifest_run *run)
{
	static struct http_response_head head;
	struct http_refusal refusal;
	struct buffer *out = &run->out;

	REQUIRE(!out->failed);
	enum http_parse parse = http_response_parse(out->data, out->length, 0, &written_limits,
						    run->request.head.is_head, &head, &refusal);
	if (out->length > http_default_limits.head_bytes)
		return;
	REQUIRE(parse == HTTP_PARSE_COMPLETE);
	REQUIRE(out->length - head.length ==
		(head.framing == HTTP_FRAMING_NONE ? 0 : head.content_length));
}

/* What the route, its destination and a new cookie add to a response. */
static inline void check_response_head(struct manifest_run *run)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: a\r\n\r\n";
	static struct http_response_head in, head;
	const struct route_result *route = &run->request.route;
	struct http_refusal refusal;

	http_response_parse(text, sizeof(text) - 1, 0, &http_default_limits, false, &in, &refusal);
	http_edit_start_response(&run->edit, &in);
	if ((route->route && mesh_apply_headers(&route->route->response_headers, &run->edit)) ||
	    (route->destination &&
	     mesh_apply_headers(&route->destination->response_headers, &run->edit)))
		return;
	buffer_clear(&run->out);
	if (route->cluster->policy.makes_cookie) {
		mesh_write_cookie(&route->cluster->policy, 7, &run->out);
		if (http_edit_add(&run->edit, span_of("Set-Cookie"), buffer_span(&run->out)))
			return;
	}
	ssize_t length = http_edit_write(&run->edit, run->written, sizeof(run->written));
	if (length < 0 || (size_t)length > http_default_limits.head_bytes)
		return;
	REQUIRE(http_response_parse(run->written, (size_t)length, 0, &written_limits, false, &head,
				    &refusal) == HTTP_PARSE_COMPLETE);
	REQUIRE(head.length == (size_t)length && head.content_length == 2);
}

static inline void check_routed(struct manifest_run *run, const struct mesh_listener *listener)
{
	struct request *request = &run->request;

	request->listener = listener;
	request->rules = run->configuration->tag_rules;
	tag_rules_find_ids(request->rules, &request->head, &request->ids);
	if (request_tag_and_route(request, NULL).status)
		return;
	buffer_clear(&run->out);
	switch (request->route.action) {
	case ROUTE_FORWARD:
		if (request_prepare(request).status)
			return;
		check_request_head(run);
		check_response_head(run);
		return;
	case ROUTE_REDIRECT:
		answer_redirect(request, false, &run->out);
		check_answer(run);
		return;
	case ROUTE_DIRECT_RESPONSE:
		answer_directly(request, false, &run->out);
		check_answer(run);
		return;
	default:
		return;
	}
}

/* From a client to `host`, with all that tags and routes may go by. */
static inline void check_host(struct manifest_run *run, const char *host)
{
	static const char *const starts[] = {
		"GET /a/b?q=1&user=%37 HTTP/1.1\r\nContent-Length: 5\r\n",
		"POST /r HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
		"HEAD /d/%2e?user=9 HTTP/1.0\r\n",
	};
	const struct mesh *mesh = run->configuration->mesh;

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		char text[2048];
		struct http_refusal refusal;
		int length = snprintf(text, sizeof(text),
				      "%sHost: %.500s\r\nx-user-id: 42\r\nCookie: user=7; a=b\r\n"
				      "appver-a: v2\r\nbaggage: k=v,appver-a=v9\r\nx-b: c\r\n\r\n",
				      starts[i], host);

		if (http_request_parse(text, (size_t)length, 0, &http_default_limits,
				       &run->request.head, &refusal) != HTTP_PARSE_COMPLETE)
			continue;
		for (size_t j = 0; j < mesh_listener_count(mesh) && j < 8; j++)
			check_routed(run, mesh_listener(mesh, j));
	}
}

/* The same in each run, so that a crash comes back. */
static inline void draw_the_same(struct random_numbers *random)
{
	for (size_t i = 0; i < RANDOM_NUMBERS_AT_ONCE; i++)
		random->numbers[i] = (i + 88) * 0x9e3779b97f4a7c15;
	random->left = RANDOM_NUMBERS_AT_ONCE;
}

static inline void check_in_force(struct configuration *configuration)
{
	static struct manifest_run run;

	run.configuration = configuration;
	draw_the_same(&run.random);
	run.request.configuration = configuration;
	run.request.statistics = &run.statistics;
	run.request.connection = &run.connection;
	run.request.random = &run.random;
	check_host(&run, "a");
	check_host(&run, "x.example.com");
	for (size_t i = 0; i < mesh_cluster_count(configuration->mesh) && i < 4; i++)
		check_host(&run, mesh_cluster(configuration->mesh, i)->host);
}

static inline void check_manifest(const char *text, size_t length)
{
	char name[] = "fuzz.yaml";
	struct manifest_file file = {.name = name, .text = (char *)text, .length = length};
	struct diagnostics diagnostics = {0};
	struct configuration *configuration =
		configuration_load_files(&file, 1, MANIFEST_ALL, 1, &diagnostics);

	REQUIRE((configuration != NULL) ==
		(diagnostics.error_count == 0 && diagnostics.route_error_count == 0));
	check_words(&diagnostics);
	diagnostics_free(&diagnostics);
	if (configuration)
		check_in_force(configuration);
	configuration_drop(configuration);
}
