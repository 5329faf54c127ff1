/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag explain: options, and users to explanations; cli/explanation.c writes them. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cli/commands.h"
#include "cli/explanation.h"
#include "http/values.h"

static const char usage[] =
	"usage: lanetag explain --config PATH [--config PATH…] (--user ID | --users FILE) [-o "
	"FORMAT]\n"
	"\n"
	"Shows for a user id its hash and remainder, each rule's tag or none, and where the routes "
	"then lead,\n"
	"by the very code that the agent and the kernel decide with.\n"
	"\n"
	"  -c, --config PATH    manifests: a file or a directory; may be repeated\n"
	"  -u, --user ID        an id, any bytes that a header's value may hold; may be repeated\n"
	"      --users FILE     ids, one a line; '-' is standard input\n"
	"  -o, --output FORMAT  text, or json (one object a line)\n"
	"  -h, --help\n"
	"\n"
	"example: lanetag explain --config examples/tutorial/step3/wasm-plugin-ab-v2-c-v3.yaml "
	"--user 0005\n";

enum { OPTION_USERS = 256 };

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"user", required_argument, NULL, 'u'},
	{"users", required_argument, NULL, OPTION_USERS},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct explain_arguments {
	const char **paths;
	size_t path_count;
	const char **users;
	size_t user_count;
	const char *users_file;
	bool json;
	bool help;
};

static int append(const char ***list, size_t *count, const char *text)
{
	const char **item = ARRAY_APPEND(*list, *count);

	if (!item)
		return -1;
	*item = text;
	return 0;
}

static int parse_option(int option, struct explain_arguments *arguments)
{
	switch (option) {
	case 'c':
		return append(&arguments->paths, &arguments->path_count, optarg);
	case 'u':
		return append(&arguments->users, &arguments->user_count, optarg);
	case OPTION_USERS:
		arguments->users_file = optarg;
		return 0;
	case 'o':
		arguments->json = strcmp(optarg, "json") == 0;
		if (arguments->json || strcmp(optarg, "text") == 0)
			return 0;
		fprintf(stderr, "lanetag explain: --output: '%s' is neither text nor json\n",
			optarg);
		return -1;
	case 'h':
		arguments->help = true;
		return 0;
	default:
		return -1; /* getopt said why */
	}
}

static int parse_arguments(int argc, char **argv, struct explain_arguments *arguments)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:u:o:h", options, NULL)) != -1) {
		if (parse_option(option, arguments))
			return -1;
	}
	if (arguments->help)
		return 0;
	if (optind < argc) {
		fprintf(stderr, "lanetag explain: '%s' is no option (ids: --user)\n", argv[optind]);
		return -1;
	}
	if (arguments->path_count && (arguments->user_count || arguments->users_file))
		return 0;
	fprintf(stderr, "lanetag explain: %s is missing\n",
		arguments->path_count ? "--user ID" : "--config PATH");
	return -1;
}

/* 0, or an exit status where the id can stand in no header. */
static int explain_user(const struct configuration *configuration, struct span id, bool json,
			struct buffer *out)
{
	buffer_clear(out);
	if (!http_is_field_value(id)) {
		fprintf(stderr,
			"lanetag explain: '%.*s' holds bytes that no header value may hold\n",
			SPAN_ARGUMENTS(id));
		return EXIT_NEGATIVE;
	}
	if (json)
		explanation_write_json(configuration, id, out);
	else
		explanation_write_text(configuration, id, out);
	if (out->failed || fwrite(out->data, 1, out->length, stdout) != out->length) {
		fprintf(stderr, "lanetag explain: can't write: %s\n", strerror(errno));
		return EXIT_USAGE;
	}
	return 0;
}

/* The worst status of all lines; goes on behind an id that can't be. */
static int explain_file(const struct configuration *configuration, const char *path, bool json,
			struct buffer *out)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;
	int status = 0;

	if (!file) {
		fprintf(stderr, "lanetag explain: %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	while (status != EXIT_USAGE && (length = getline(&line, &capacity, file)) >= 0) {
		struct span id = {line, (size_t)length};

		if (id.length && id.data[id.length - 1] == '\n')
			id.length--;
		if (id.length && id.data[id.length - 1] == '\r')
			id.length--;
		int result = explain_user(configuration, span_trim(id), json, out);
		if (result > status)
			status = result;
	}
	free(line);
	if (file != stdin)
		fclose(file);
	return status;
}

static int explain(const struct explain_arguments *arguments)
{
	struct diagnostics diagnostics = {0};
	struct buffer out = {0};
	int status = 0;
	struct configuration *configuration =
		configuration_load(arguments->paths, arguments->path_count, 1, &diagnostics);

	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	if (!configuration)
		return EXIT_NEGATIVE;
	for (size_t i = 0; status == 0 && i < arguments->user_count; i++)
		status = explain_user(configuration, span_trim(span_of(arguments->users[i])),
				      arguments->json, &out);
	if (status == 0 && arguments->users_file)
		status = explain_file(configuration, arguments->users_file, arguments->json, &out);
	if (fflush(stdout))
		status = EXIT_USAGE;
	buffer_free(&out);
	configuration_drop(configuration);
	return status;
}

int command_explain(int argc, char **argv)
{
	struct explain_arguments arguments = {0};
	int status = EXIT_USAGE;

	if (parse_arguments(argc, argv, &arguments)) {
		fprintf(stderr, "try: lanetag explain --help\n");
	} else if (arguments.help) {
		fputs(usage, stdout);
		status = 0;
	} else {
		status = explain(&arguments);
	}
	free(arguments.paths);
	free(arguments.users);
	return status;
}
