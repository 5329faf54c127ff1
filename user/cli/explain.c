/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag explain: options, and users to explanations; release/explanation.c writes them. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/explanation_view.h"
#include "cli/ids.h"
#include "cli/kubernetes_options.h"
#include "cli/output.h"
#include "cli/path_option.h"
#include "cli/tag_only.h"

static const char usage[] =
	"usage: lanetag explain --config PATH [--config PATH…] (--user ID | --users FILE) "
	"[OPTION…]\n"
	"       lanetag explain --kubeconfig FILE (--user ID | --users FILE) [OPTION…]\n"
	"\n"
	"Shows for a user id its hash and remainder, each rule's tag or none, and where the routes "
	"then lead,\n"
	"by the very code that the agent and the kernel decide with.\n"
	"\n"
	"  -c, --config PATH    manifests: a file or a directory; may be "
	"repeated\n" KUBERNETES_USAGE
	"  -u, --user ID        an id, any bytes that a header's value may hold; may be repeated\n"
	"      --users FILE     ids, one a line; '-' is standard input\n"
	"      --access-log-key-file FILE  shows what the access log of a `lanetag run` with this "
	"option "
	"has for the id\n"
	"      --path TARGET    where routes lead this path, with query parameters or without "
	"(default: /)\n"
	"      --path-normalization WAY  as `lanetag run` with this option takes paths\n"
	"      --no-route NEXT  as `lanetag run` with this option reads them: tags alone, NEXT "
	"routes\n"
	"      --listen ADDRESS:PORT  the same\n"
	"  -o, --output FORMAT  text, or json (one object a line)\n"
	"  -h, --help\n"
	"\n"
	"An id that is no UTF-8 stands in JSON as its bytes are in ISO-8859-1, with "
	"\"userEncoding\" beside it.\n"
	"exit status: 0 done, 1 the manifests have errors, 2 wrong usage, or an id that no header "
	"may hold\n"
	"\n"
	"examples: lanetag explain --config examples/tutorial/step3 --users ids.txt -o json\n"
	"          lanetag explain --config examples/tutorial/step3/wasm-plugin-ab-v2-c-v3.yaml "
	"--user 0005\n";

enum {
	OPTION_USERS = 256,
	OPTION_ACCESS_LOG_KEY_FILE,
	OPTION_PATH,
	OPTION_PATH_NORMALIZATION,
	OPTION_NO_ROUTE,
	OPTION_LISTEN,
};

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	KUBERNETES_OPTIONS,
	{"user", required_argument, NULL, 'u'},
	{"users", required_argument, NULL, OPTION_USERS},
	{"access-log-key-file", required_argument, NULL, OPTION_ACCESS_LOG_KEY_FILE},
	{"path", required_argument, NULL, OPTION_PATH},
	{"path-normalization", required_argument, NULL, OPTION_PATH_NORMALIZATION},
	{"no-route", required_argument, NULL, OPTION_NO_ROUTE},
	{"listen", required_argument, NULL, OPTION_LISTEN},
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
	const char *access_log_key_file; /* NULL: not asked about */
	const char *target;		 /* NULL: not asked about */
	enum http_path_normalization path_normalization;
	struct tag_only_arguments tag_only;
	struct kubernetes_arguments kubernetes;
	bool json;
	bool help;
};

static int parse_option(int option, struct explain_arguments *arguments)
{
	switch (option) {
	case 'c':
		return output_append_argument("explain", &arguments->paths, &arguments->path_count,
					      optarg);
	case 'u':
		return output_append_argument("explain", &arguments->users, &arguments->user_count,
					      optarg);
	case OPTION_USERS:
		arguments->users_file = optarg;
		return 0;
	case OPTION_ACCESS_LOG_KEY_FILE:
		arguments->access_log_key_file = optarg;
		return 0;
	case OPTION_PATH:
		arguments->target = optarg;
		return 0;
	case OPTION_PATH_NORMALIZATION:
		return path_option_parse("explain", optarg, &arguments->path_normalization);
	case OPTION_NO_ROUTE:
		return tag_only_parse_next_hop("explain", optarg, &arguments->tag_only);
	case OPTION_LISTEN:
		return tag_only_parse_listener("explain", optarg, &arguments->tag_only);
	case 'o':
		return output_parse_format("explain", optarg, &arguments->json);
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
		if (kubernetes_options_know(option)
			    ? kubernetes_options_parse("explain", option, optarg,
						       &arguments->kubernetes)
			    : parse_option(option, arguments))
			return -1;
	}
	if (arguments->help)
		return 0;
	if (optind < argc) {
		fprintf(stderr, "lanetag explain: '%s' is no option (ids: --user)\n", argv[optind]);
		return -1;
	}
	if (kubernetes_options_check("explain", &arguments->kubernetes))
		return -1;
	bool has_source = arguments->path_count || arguments->kubernetes.options.access.server;
	if (has_source && (arguments->user_count || arguments->users_file))
		return tag_only_check("explain", &arguments->tag_only);
	fprintf(stderr, "lanetag explain: %s is missing\n",
		has_source ? "--user ID" : "--config PATH");
	return -1;
}

struct explain_work {
	const struct configuration *configuration;
	struct explained_target target;
	struct buffer target_room;
	struct keyed_hash_key access_log_key;
	bool json;
	struct buffer out;
	struct explained_words *words; /* of JSON */
};

static bool explain_user(struct explain_work *work, struct span id)
{
	struct buffer *out = &work->out;

	buffer_clear(out);
	if (work->json)
		explanation_write_json(work->configuration, work->words, id, &work->target, out);
	else
		explanation_write_text(work->configuration, id, &work->target, out);
	if (out->failed)
		fprintf(stderr, "lanetag explain: out of memory\n");
	else if (fwrite(out->data, 1, out->length, stdout) == out->length)
		return true;
	return false; /* output_flush says why */
}

/* These two give an exit status, and go on behind an id that can't be. */
static int explain_users(const struct explain_arguments *arguments, struct explain_work *work)
{
	int status = 0;

	for (size_t i = 0; i < arguments->user_count; i++) {
		struct span id = span_trim(span_of(arguments->users[i]));

		if (!ids_check("explain", "--user", id))
			status = EXIT_USAGE;
		else if (!explain_user(work, id))
			return EXIT_USAGE;
	}
	return status;
}

static int explain_file(const struct explain_arguments *arguments, struct explain_work *work)
{
	struct id_source source;
	struct span id;
	int next = ids_open(&source, "explain", arguments->users_file, 0);

	if (next)
		return EXIT_USAGE;
	if (isatty(STDOUT_FILENO))
		source.progress.stream = NULL;
	while ((next = ids_next(&source, &id)) > 0) {
		if (!explain_user(work, id)) {
			next = -1;
			break;
		}
	}
	ids_close(&source);
	return next || source.refused ? EXIT_USAGE : 0;
}

static int explain_all(const struct explain_arguments *arguments, struct explain_work *work)
{
	int status = explain_users(arguments, work);

	if (arguments->users_file) {
		int file_status = explain_file(arguments, work);

		status = file_status > status ? file_status : status;
	}
	return output_flush("explain") ? status : EXIT_USAGE;
}

static int read_target(const struct explain_arguments *arguments, struct explain_work *work)
{
	const char *reason;

	if (!arguments->target ||
	    explained_target_read(span_of(arguments->target), arguments->path_normalization,
				  &work->target_room, &work->target, &reason) == 0)
		return 0;
	fprintf(stderr, "lanetag explain: --path: '%s': %s\n", arguments->target, reason);
	return -1;
}

static int read_access_log_key(const struct explain_arguments *arguments, struct explain_work *work)
{
	const char *why;

	if (!arguments->access_log_key_file)
		return 0;
	work->target.access_log_key = &work->access_log_key;
	if (keyed_hash_read_key(arguments->access_log_key_file, &work->access_log_key, &why) == 0)
		return 0;
	fprintf(stderr, "lanetag explain: --access-log-key-file: %s: %s\n",
		arguments->access_log_key_file, why);
	return -1;
}

static int explain(struct explain_arguments *arguments)
{
	struct diagnostics diagnostics = {0};
	struct explain_work work = {.json = arguments->json};
	int status = EXIT_USAGE;

	if (read_access_log_key(arguments, &work))
		return EXIT_USAGE;
	struct manifest_input input = {arguments->paths, arguments->path_count};
	const struct mesh_tag_only *tag_only = tag_only_of(&arguments->tag_only);
	if (kubernetes_options_read("explain", &arguments->kubernetes, tag_only, &input))
		return EXIT_USAGE;
	struct configuration *configuration =
		configuration_load_input(&input, tag_only, 1, &diagnostics);
	kubernetes_options_free_objects(&input);

	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	if (!configuration)
		return EXIT_NEGATIVE;
	work.configuration = configuration;
	work.words = explained_words_new(configuration);
	if (!work.words)
		fprintf(stderr, "lanetag explain: out of memory\n");
	else if (read_target(arguments, &work) == 0)
		status = explain_all(arguments, &work);
	explained_words_free(work.words);
	buffer_free(&work.out);
	buffer_free(&work.target_room);
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
	tag_only_free(&arguments.tag_only);
	kubernetes_options_free(&arguments.kubernetes);
	free(arguments.paths);
	free(arguments.users);
	return status;
}
