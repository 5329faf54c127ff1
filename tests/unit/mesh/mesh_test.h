/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the tests of the mesh share: manifests from text, requests from text. */
#include <unistd.h>

#include "unit/manifest/manifest_test.h"

#include "base/address.h"
#include "mesh/mesh.h"

struct fixture {
	struct diagnostics diagnostics;
	struct manifest_set set;
	struct mesh *mesh;
	int result; /* of mesh_compile */
};

/* The path of a new file a.yaml in a new directory; fixture_remove_file removes both. */
static inline void fixture_write_file(const char *text, size_t length, char path[64])
{
	strcpy(path, "/tmp/lanetag-mesh-XXXXXX");
	assert_non_null(mkdtemp(path));
	strcat(path, "/a.yaml");
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	assert_int_equal(fwrite(text, 1, length, stream), length);
	fclose(stream);
}

static inline void fixture_remove_file(char path[64])
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

/* Compiles; what was said stands in the diagnostics. `tag_only` may be NULL. */
static inline void fixture_compile_subjects(struct fixture *fixture, const char *yaml,
					    unsigned subjects, const struct mesh_tag_only *tag_only)
{
	char path[64];
	const char *paths[] = {path};

	*fixture = (struct fixture){0};
	fixture_write_file(yaml, strlen(yaml), path);
	manifest_set_read(paths, 1, subjects, &fixture->diagnostics, &fixture->set);
	fixture->result =
		mesh_compile(&fixture->set, tag_only, &fixture->diagnostics, &fixture->mesh);
	fixture_remove_file(path);
}

static inline void fixture_compile(struct fixture *fixture, const char *yaml)
{
	fixture_compile_subjects(fixture, yaml, MANIFEST_ALL, NULL);
}

/* The same, of manifests without a fault. */
static inline void fixture_start(struct fixture *fixture, const char *yaml)
{
	fixture_compile(fixture, yaml);
	if (fixture->result || fixture->diagnostics.error_count)
		fail_msg("%s", diagnostics_text(&fixture->diagnostics));
}

static inline void fixture_stop(struct fixture *fixture)
{
	mesh_free(fixture->mesh);
	manifest_set_free(&fixture->set);
	diagnostics_free(&fixture->diagnostics);
}

/* That the manifests are refused with this said. */
static inline void assert_refused(const char *yaml, const char *expected)
{
	struct fixture fixture;

	fixture_compile(&fixture, yaml);
	assert_said(&fixture.diagnostics, expected);
	assert_true(fixture.diagnostics.error_count + fixture.diagnostics.route_error_count > 0);
	fixture_stop(&fixture);
}

struct request {
	struct http_request_head head;
	struct http_edit edit;
	struct route_query query;
	struct route_result result;
};

static inline void request_parse(struct request *request, const char *text)
{
	struct http_refusal refusal;
	enum http_parse parsed = http_request_parse(text, strlen(text), 0, &http_default_limits,
						    &request->head, &refusal);

	if (parsed != HTTP_PARSE_COMPLETE)
		fail_msg("\"%s\" is no request", text);
	http_edit_start(&request->edit, &request->head);
	request->query =
		(struct route_query){.request = &request->edit, .refuse_foreign_hosts = true};
}

/* The listener at "ADDRESS" and port. */
static inline const struct mesh_listener *listener_at(const struct mesh *mesh,
						      enum mesh_listener_kind kind,
						      const char *address, uint16_t port)
{
	struct mesh_listener like = {.kind = kind, .port = port};

	if (address)
		assert_int_equal(address_parse(address, like.address), 0);
	const struct mesh_listener *found = mesh_find_listener(mesh, &like);
	assert_non_null(found);
	return found;
}

static inline const struct mesh_listener *gateway_at(const struct mesh *mesh, uint16_t port)
{
	return listener_at(mesh, MESH_LISTENER_GATEWAY, NULL, port);
}

static inline const struct mesh_listener *service_at(const struct mesh *mesh, const char *address,
						     uint16_t port)
{
	return listener_at(mesh, MESH_LISTENER_SERVICE, address, port);
}

/* Routes "METHOD TARGET" with more header lines ("Host: x\r\n…"). */
static inline void request_route(struct request *request, const struct mesh *mesh,
				 const struct mesh_listener *listener, const char *text)
{
	request_parse(request, text);
	request->query.listener = listener;
	mesh_route(mesh, &request->query, &request->result);
}

/* Where a request goes, as "host|subset|port" or the action's name. */
static inline const char *where(const struct route_result *result)
{
	static char text[600];
	static const char *const names[] = {
		[ROUTE_FORWARD] = "",
		[ROUTE_NO_HOST] = "no host",
		[ROUTE_NO_MATCH] = "no match",
		[ROUTE_UNDECIDED] = "undecided",
		[ROUTE_NO_ENDPOINT] = "no endpoint",
		[ROUTE_REDIRECT] = "redirect",
		[ROUTE_DIRECT_RESPONSE] = "direct response",
		[ROUTE_REJECTED] = "rejected",
	};

	if (result->action != ROUTE_FORWARD)
		return names[result->action];
	snprintf(text, sizeof(text), "%s|%s|%u", result->cluster->host,
		 result->cluster->subset ? result->cluster->subset : "-", result->cluster->port);
	return text;
}

static inline const char *route_text(const struct mesh *mesh, const struct mesh_listener *listener,
				     const char *text)
{
	struct request request;

	request_route(&request, mesh, listener, text);
	return where(&request.result);
}
