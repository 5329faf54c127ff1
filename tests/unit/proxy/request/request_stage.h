/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* For tests of the request stage: a head goes in as text and comes out as the next hop gets it. */
#include <unistd.h>

#include "unit/manifest/manifest_test.h"

#include "base/address.h"
#include "config/configuration.h"
#include "proxy/request/stage.h"

struct stage {
	struct configuration *configuration;
	struct request request;
	struct proxy_statistics statistics;
	struct lanetag_connection connection;
	struct random_numbers random;
	char written[8 * 65536];
};

/* With these manifests, as generation 3. */
static struct stage *stage_start(const char *manifests)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct diagnostics diagnostics = {0};
	char path[] = "/tmp/lanetag-request-XXXXXX.yaml";
	const char *paths[] = {path};
	int fd = mkstemps(path, 5);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, manifests, strlen(manifests)), strlen(manifests));
	close(fd);
	stage->configuration = configuration_load(paths, 1, 3, &diagnostics);
	unlink(path);
	if (!stage->configuration)
		fail_msg("%s", diagnostics_text(&diagnostics));
	diagnostics_free(&diagnostics);
	stage->request.configuration = stage->configuration;
	stage->request.statistics = &stage->statistics;
	stage->request.connection = &stage->connection;
	stage->request.random = &stage->random;
	address_parse("192.0.2.9", stage->connection.remote_address);
	return stage;
}

static int stop(void **state)
{
	struct stage *stage = *state;

	buffer_free(&stage->request.values);
	buffer_free(&stage->request.path);
	buffer_free(&stage->request.target);
	configuration_drop(stage->configuration);
	free(stage);
	return 0;
}

static const struct mesh_listener *listener_of(const struct stage *stage,
					       enum mesh_listener_kind kind)
{
	const struct mesh *mesh = stage->configuration->mesh;

	for (size_t i = 0; i < mesh_listener_count(mesh); i++) {
		if (mesh_listener(mesh, i)->kind == kind)
			return mesh_listener(mesh, i);
	}
	fail_msg("no listener of this kind");
	return NULL;
}

/* Sends a whole head through the stage; the result is in stage->written, counts are added. */
static struct request_verdict stage_send(struct stage *stage, enum mesh_listener_kind kind,
					 const struct lanetag_mark *mark, struct span head)
{
	struct http_refusal refusal;

	stage->request.listener = listener_of(stage, kind);
	if (http_request_parse(head.data, head.length, 0, &http_default_limits,
			       &stage->request.head, &refusal) != HTTP_PARSE_COMPLETE)
		fail_msg("refused: %s", refusal.reason);
	stage->request.rules = stage->configuration->tag_rules;
	tag_rules_find_ids(stage->request.rules, &stage->request.head, &stage->request.ids);
	struct request_verdict verdict = request_tag_and_route(&stage->request, mark);
	if (!verdict.status)
		verdict = request_prepare(&stage->request);
	if (!verdict.status) {
		ssize_t written = http_edit_write(&stage->request.edit, stage->written,
						  sizeof(stage->written) - 1);
		assert_true(written > 0);
		stage->written[written] = '\0';
	}
	return verdict;
}

/* Sends a head with these lines of fields. */
static struct request_verdict run(struct stage *stage, enum mesh_listener_kind kind,
				  const struct lanetag_mark *mark, const char *fields)
{
	static char text[20000];
	int length = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: app\r\n%s\r\n", fields);

	assert_true(length < (int)sizeof(text));
	memset(&stage->statistics, 0, sizeof(stage->statistics));
	return stage_send(stage, kind, mark, (struct span){text, (size_t)length});
}

static void assert_has(const struct stage *stage, const char *line)
{
	if (!strstr(stage->written, line))
		fail_msg("no \"%s\" in\n%s", line, stage->written);
}

static void assert_lacks(const struct stage *stage, const char *line)
{
	if (strcasestr(stage->written, line))
		fail_msg("\"%s\" in\n%s", line, stage->written);
}
