/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/kubernetes_options.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"

#define PATIENCE_NS UINT64_C(30000000000)
#define FAILURES 3 /* of a kind, until a command gives up */
#define LOOK_MS 50
#define MAX_WATCH_SECONDS 3600

static int parse_watch(const char *command, const char *value,
		       struct kubernetes_arguments *arguments)
{
	uint64_t seconds;

	if (parse_unsigned(span_of(value), MAX_WATCH_SECONDS, &seconds) || !seconds) {
		fprintf(stderr, "lanetag %s: --kubernetes-watch: '%s' is no number from 1 to %d\n",
			command, value, MAX_WATCH_SECONDS);
		return -1;
	}
	arguments->options.watch_seconds = (unsigned)seconds;
	return 0;
}

static int add_namespace(const char *command, const char *value,
			 struct kubernetes_arguments *arguments)
{
	size_t length = strlen(value);

	/* A label of RFC 1123: it becomes a part of paths. */
	if (!length || length > 63 ||
	    strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != length) {
		fprintf(stderr, "lanetag %s: --namespace: '%s' is no namespace's name\n", command,
			value);
		return -1;
	}
	for (size_t i = 0; i < arguments->namespace_count; i++) {
		if (strcmp(arguments->namespaces[i], value) == 0)
			return 0;
	}
	const char **item = ARRAY_APPEND(arguments->namespaces, arguments->namespace_count);
	if (!item)
		return -1;
	*item = value;
	return 0;
}

int kubernetes_options_parse(const char *command, int option, const char *value,
			     struct kubernetes_arguments *arguments)
{
	switch (option) {
	case OPTION_KUBERNETES:
		arguments->in_pod = true;
		return 0;
	case OPTION_KUBECONFIG:
		arguments->kubeconfig = value;
		return 0;
	case OPTION_CONTEXT:
		arguments->context = value;
		return 0;
	case OPTION_NAMESPACE:
		return add_namespace(command, value, arguments);
	case OPTION_KUBERNETES_STATE:
		arguments->options.state_file = value;
		return 0;
	case OPTION_KUBERNETES_WATCH:
		return parse_watch(command, value, arguments);
	default:
		return -1;
	}
}

static int check_alone(const char *command, const struct kubernetes_arguments *arguments)
{
	const struct kubernetes_options *options = &arguments->options;

	if (arguments->in_pod && arguments->kubeconfig) {
		fprintf(stderr, "lanetag %s: either --kubernetes or --kubeconfig\n", command);
		return -1;
	}
	if (arguments->context && !arguments->kubeconfig) {
		fprintf(stderr, "lanetag %s: --context: needs --kubeconfig\n", command);
		return -1;
	}
	if (arguments->in_pod || arguments->kubeconfig)
		return 0;
	if (arguments->namespace_count || options->state_file || options->watch_seconds) {
		fprintf(stderr, "lanetag %s: %s: needs --kubernetes or --kubeconfig\n", command,
			arguments->namespace_count ? "--namespace"
			: options->state_file	   ? "--kubernetes-state"
						   : "--kubernetes-watch");
		return -1;
	}
	return 0;
}

int kubernetes_options_check(const char *command, struct kubernetes_arguments *arguments)
{
	struct kubernetes_access *access = &arguments->options.access;
	struct buffer why = {0};
	int result = 0;

	if (check_alone(command, arguments))
		return -1;
	if (arguments->in_pod)
		result = kubernetes_access_of_pod("", access, &why);
	else if (arguments->kubeconfig)
		result = kubernetes_access_of_kubeconfig(arguments->kubeconfig, arguments->context,
							 access, &why);
	if (result)
		fprintf(stderr, "lanetag %s: %s: %s\n", command,
			arguments->in_pod ? "--kubernetes" : "--kubeconfig",
			buffer_text(&why) ? buffer_text(&why) : "out of memory");
	buffer_free(&why);
	return result;
}

const struct kubernetes_options *kubernetes_options_of(struct kubernetes_arguments *arguments,
						       unsigned subjects)
{
	arguments->options.namespaces = arguments->namespaces;
	arguments->options.namespace_count = arguments->namespace_count;
	arguments->options.subjects = subjects;
	return arguments->options.access.server ? &arguments->options : NULL;
}

void kubernetes_options_free(struct kubernetes_arguments *arguments)
{
	kubernetes_access_free(&arguments->options.access);
	free(arguments->namespaces);
}

/* True: all is known. Where the server refuses, nothing is gained by asking for long. */
static bool wait_for_all(const char *command, struct manifest_source *source)
{
	struct kubernetes_client *client = manifest_source_kubernetes(source);
	uint64_t started = clock_now_ns(), failures = 0;
	char reason[256] = "";

	while (!manifest_source_is_ready(source)) {
		struct pollfd fd = {.fd = manifest_source_fd(source), .events = POLLIN};

		kubernetes_describe_failure(client, reason, sizeof(reason), &failures);
		if (failures >= FAILURES || clock_now_ns() - started >= PATIENCE_NS) {
			fprintf(stderr, "lanetag %s: API server: %s\n", command,
				*reason ? reason : "no answer");
			return false;
		}
		poll(&fd, 1, LOOK_MS);
		manifest_source_changed(source);
	}
	return true;
}

int kubernetes_options_read(const char *command, struct kubernetes_arguments *arguments,
			    const struct mesh_tag_only *tag_only, struct manifest_input *input)
{
	const struct manifest_source_options options = {
		.kubernetes = kubernetes_options_of(arguments, configuration_subjects(tag_only))};
	struct manifest_source *source = NULL;
	struct manifest_file *objects;

	if (!options.kubernetes)
		return 0;
	/* What fails is said once, in the end. */
	log_set_level(LOG_LEVEL_ERROR);
	int error = manifest_source_open(&options, &source);
	bool known = error == 0 && wait_for_all(command, source);
	if (known)
		error = manifest_source_read_objects(source, &objects, &input->object_count);
	if (error)
		fprintf(stderr, "lanetag %s: API server: %s\n", command, strerror(-error));
	else if (known)
		input->objects = objects;
	manifest_source_close(source);
	return known && !error ? 0 : -1;
}

void kubernetes_options_free_objects(struct manifest_input *input)
{
	manifest_files_free((struct manifest_file *)input->objects, input->object_count);
}
