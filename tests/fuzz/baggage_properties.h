/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What must hold for any baggage that a client sends, whoever makes it up: the fuzzer
 * (fuzz_baggage.c) or the unit test (unit/proxy/request/test_baggage_forgery.c). No library makes a tag of
 * what passes the edge, nor do two behind each other; and what is plainly another's passes as it
 * is. Each function aborts where that does not hold.
 */
#include "fuzz/baggage_libraries.h"
#include "fuzz/http_properties.h"
#include "config/configuration.h"
#include "policy/baggage.h"
#include "proxy/request/request.h"

static const char *const baggage_tags[] = {"appver-a", "appver-c", "x.lane"};
#define BAGGAGE_TAGS (sizeof(baggage_tags) / sizeof(baggage_tags[0]))

static const char baggage_manifests[] =
	"apiVersion: extensions.istio.io/v1alpha1\n"
	"kind: WasmPlugin\n"
	"metadata: {name: tags}\n"
	"spec:\n"
	"  pluginConfig:\n"
	"    rules:\n"
	"    - {header: x-user-id, tagHeader: appver-a, policies: [{percent: 50, tagValue: v2}]}\n"
	"    - {header: x-user-id, tagHeader: appver-c, policies: [{percent: 50, tagValue: v3}]}\n"
	"    - {header: x-user-id, tagHeader: x.lane, policies: [{percent: 50, tagValue: v4}]}\n"
	"---\n"
	"apiVersion: istio.alibabacloud.com/v1beta1\n"
	"kind: ASMHeaderPropagation\n"
	"metadata: {name: all}\n"
	"spec: {headerPrefixes: [appver, x.lane]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: edge}\n"
	"spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}\n";

struct baggage_run {
	struct configuration *configuration;
	struct proxy_statistics statistics;
	struct lanetag_connection connection;
	struct request request;
	size_t members, passed; /* that the clients sent; that passed the edge */
};

static inline bool baggage_run_start(struct baggage_run *run, const char *path)
{
	struct diagnostics diagnostics = {0};
	FILE *file = fopen(path, "w");

	memset(run, 0, sizeof(*run));
	if (!file || fputs(baggage_manifests, file) < 0 || fclose(file))
		return false;
	run->configuration = configuration_load(&path, 1, 1, &diagnostics);
	for (size_t i = 0; i < diagnostics.count; i++)
		fprintf(stderr, "%s\n", diagnostics.items[i].text);
	diagnostics_free(&diagnostics);
	if (!run->configuration)
		return false;
	run->request.configuration = run->configuration;
	run->request.rules = run->configuration->tag_rules;
	run->request.statistics = &run->statistics;
	run->request.connection = &run->connection;
	run->request.listener = mesh_listener(run->configuration->mesh, 0);
	return true;
}

static inline void baggage_run_stop(struct baggage_run *run)
{
	buffer_free(&run->request.values);
	configuration_drop(run->configuration);
}

/* In lower case, separators alike, without white space, controls, '+' and what is not ASCII. */
static inline size_t baggage_normalise(const char *key, size_t length, char normal[32])
{
	size_t size = 0;

	for (size_t i = 0; i < length && size < 32; i++) {
		unsigned char byte = (unsigned char)key[i];

		if (byte > ' ' && byte < 0x7f && byte != '+')
			normal[size++] = strchr("_.-~'", byte) ? '-' : (char)tolower(byte);
	}
	return size;
}

static inline bool baggage_starts_as_tag(const char *key, size_t length)
{
	char normal[32], tag[32];
	size_t size = baggage_normalise(key, length, normal);

	for (size_t i = 0; i < BAGGAGE_TAGS; i++) {
		size_t tag_size = baggage_normalise(baggage_tags[i], strlen(baggage_tags[i]), tag);

		if (size >= tag_size && memcmp(normal, tag, tag_size) == 0)
			return true;
	}
	return false;
}

/* As it stands, and decoded as often as anything can be. */
static inline bool baggage_key_is_tag(const char *key, size_t length)
{
	static struct library_text decoded, before;

	decoded.length = 0;
	library_put(&decoded, key, length);
	do {
		if (baggage_starts_as_tag(decoded.bytes, decoded.length))
			return true;
		before.length = 0;
		library_put(&before, decoded.bytes, decoded.length);
		library_decode(before.bytes, before.length, false, &decoded);
	} while (decoded.length != before.length);
	return false;
}

static inline void baggage_require_no_tag(const struct library_text *text, const char *by,
					  const struct span *in)
{
	size_t from = 0;

	while (from < text->length) {
		size_t length = library_find(text->bytes + from, text->length - from, ',');
		size_t key = library_find(text->bytes + from, length, '=');

		if (key < length && baggage_key_is_tag(text->bytes + from, key)) {
			fprintf(stderr, "%.*s by %s: %.*s\n", SPAN_ARGUMENTS(*in), by, (int)length,
				text->bytes + from);
			REQUIRE(false);
		}
		from += length + 1;
	}
}

/* Strictly by the specification's grammar, and with nothing in it that is like a tag. */
static inline bool baggage_is_plainly_anothers(const char *bytes, size_t length)
{
	size_t at = 0, start;
	char letters[LIBRARY_BYTES];
	size_t count = 0;
	bool first = true;

	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '%' || bytes[i] == '+')
			return false;
		if (isalnum((unsigned char)bytes[i]))
			letters[count++] = (char)tolower((unsigned char)bytes[i]);
	}
	if (memmem(letters, count, "appver", 6) || memmem(letters, count, "xlane", 5))
		return false;
	for (;; first = false) {
		while (at < length && (bytes[at] == ' ' || bytes[at] == '\t'))
			at++;
		for (start = at; at < length && bytes[at] > ' ' && bytes[at] < 0x7f &&
				 !strchr("\"(),/:;<=>?@[\\]{}", bytes[at]);)
			at++;
		if (at == start)
			return false;
		while (at < length && (bytes[at] == ' ' || bytes[at] == '\t'))
			at++;
		if (at < length && bytes[at] == '=') {
			at++;
			while (at < length && (bytes[at] == ' ' || bytes[at] == '\t'))
				at++;
			while (at < length && bytes[at] > ' ' && bytes[at] < 0x7f &&
			       !strchr("\",;\\", bytes[at]))
				at++;
			while (at < length && (bytes[at] == ' ' || bytes[at] == '\t'))
				at++;
		} else if (first) {
			return false;
		}
		if (at == length)
			return true;
		if (bytes[at++] != ';')
			return false;
	}
}

/* Others' members stand in what passed, in their order. */
static inline void baggage_require_others(struct baggage_run *run, const struct span *values,
					  size_t count, const struct library_text *passed)
{
	size_t at = 0;

	for (size_t i = 0; i < count; i++) {
		struct span rest = values[i], member;

		while (rest.length) {
			span_cut(rest, ',', &member, &rest);
			member = span_trim(member);
			run->members += member.length > 0;
			if (!member.length ||
			    !baggage_is_plainly_anothers(member.data, member.length))
				continue;
			const char *found = NULL;
			while (!found && at < passed->length) {
				size_t length =
					library_find(passed->bytes + at, passed->length - at, ',');
				if (length == member.length &&
				    memcmp(passed->bytes + at, member.data, length) == 0)
					found = passed->bytes + at;
				at += length + 1;
			}
			if (!found)
				fprintf(stderr, "lost: %.*s\n", SPAN_ARGUMENTS(member));
			REQUIRE(found);
		}
	}
}

/* A head with these baggage fields goes through the edge; bytes that no head has make none. */
static inline void check_baggage(struct baggage_run *run, const struct span *values, size_t count)
{
	static struct library_text passed, once, twice;
	static struct buffer head;
	struct request *request = &run->request;
	struct http_refusal refusal;
	struct span value;

	buffer_clear(&head);
	buffer_append_text(&head, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (size_t i = 0; i < count; i++) {
		buffer_append_text(&head, "baggage: ");
		buffer_append_span(&head, values[i]);
		buffer_append_text(&head, "\r\n");
	}
	buffer_append_text(&head, "\r\n");
	if (http_request_parse(head.data, head.length, 0, &http_default_limits, &request->head,
			       &refusal) != HTTP_PARSE_COMPLETE)
		return;
	http_edit_start(&request->edit, &request->head);
	buffer_clear(&request->values);
	REQUIRE(buffer_reserve(&request->values, 4 * head.length));
	request_remove_forged_tags(request);
	passed.length = 0;
	if (http_edit_get(&request->edit, request_baggage_name, &value))
		library_put(&passed, value.data, value.length);
	baggage_require_others(run, values, count, &passed);
	baggage_require_no_tag(&passed, "nothing", &values[0]);
	for (size_t i = 0; i < passed.length; i++)
		run->passed += passed.bytes[i] == ',';
	run->passed += passed.length > 0;
	for (size_t library = 0; library < LIBRARIES; library++) {
		library_pass_on(library, &passed, &once);
		baggage_require_no_tag(&once, library_name(library), &values[0]);
		library_pass_on((library + passed.length) % LIBRARIES, &once, &twice);
		baggage_require_no_tag(&twice, "two", &values[0]);
	}
}
