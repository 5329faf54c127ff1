/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag diff: two configurations, many users; release/comparison.c counts and tells. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "cli/commands.h"
#include "cli/comparison_view.h"
#include "cli/ids.h"
#include "cli/kubernetes_options.h"
#include "cli/output.h"
#include "config/in_force.h"

#define DEFAULT_COUNT 100000
#define DEFAULT_EXAMPLES 5

static const char usage[] =
	"usage: lanetag diff [--users FILE | --count N] [OPTION…] A B\n"
	"       lanetag diff --running [--users FILE | --count N] [OPTION…] B\n"
	"       lanetag diff --kubeconfig FILE [--users FILE | --count N] [OPTION…] B\n"
	"\n"
	"Tells how many and which users change sides when the manifests A (a file or a directory) "
	"are\n"
	"replaced by B: per rule, and per host where both have routes. A user moves back where he "
	"loses a tag\n"
	"of a rule that B keeps, or where a route leads him from a side that needs a tag, in A or "
	"in B, to the\n"
	"side without tags.\n"
	"\n"
	"      --running        A is what the running agent has in force, whatever lies on "
	"disk\n" KUBERNETES_USAGE "                             A is what that cluster has\n"
	"      --control PATH   the agent's Unix socket (default: " DEFAULT_CONTROL_PATH ")\n"
	"      --users FILE     ids, one a line; '-' is standard input\n"
	"  -n, --count N        made-up ids: user-0 to user-(N-1) (default: 100000)\n"
	"      --examples N     name so many users of each change (default: 5)\n"
	"  -o, --output FORMAT  text, or json (one object)\n"
	"  -h, --help\n"
	"\n"
	"exit status: 0 nobody moves back, 1 somebody does, 2 wrong usage, manifests with errors, "
	"or an id\n"
	"that no header may hold (it is named and left out), or no agent answers\n"
	"\n"
	"examples: lanetag diff --running proposed/ --users ids.txt\n"
	"          lanetag diff examples/tutorial/step2/hash-tagging-plugin.yaml "
	"examples/tutorial/step3/wasm-plugin-ab-v2-c-v3.yaml -o json\n";

enum { OPTION_USERS = 256, OPTION_EXAMPLES, OPTION_RUNNING, OPTION_CONTROL };

static const struct option options[] = {
	KUBERNETES_OPTIONS,
	{"running", no_argument, NULL, OPTION_RUNNING},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"users", required_argument, NULL, OPTION_USERS},
	{"count", required_argument, NULL, 'n'},
	{"examples", required_argument, NULL, OPTION_EXAMPLES},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct diff_arguments {
	struct kubernetes_arguments kubernetes;
	const char *before, *after; /* `before` is NULL with `running` and with a cluster */
	bool running;
	const char *control;
	const char *users_file;
	uint64_t count; /* 0: not given */
	uint64_t examples;
	bool json;
	bool help;
};

static int parse_option(int option, struct diff_arguments *arguments)
{
	switch (option) {
	case OPTION_RUNNING:
		arguments->running = true;
		return 0;
	case OPTION_CONTROL:
		arguments->control = optarg;
		return 0;
	case OPTION_USERS:
		arguments->users_file = optarg;
		return 0;
	case 'n':
		return ids_parse_count("diff", optarg, &arguments->count);
	case OPTION_EXAMPLES:
		if (parse_unsigned(span_of(optarg), UINT32_MAX, &arguments->examples) == 0)
			return 0;
		fprintf(stderr, "lanetag diff: --examples: '%s' is no number\n", optarg);
		return -1;
	case 'o':
		return output_parse_format("diff", optarg, &arguments->json);
	case 'h':
		arguments->help = true;
		return 0;
	default:
		return -1; /* getopt said why */
	}
}

static int parse_arguments(int argc, char **argv, struct diff_arguments *arguments)
{
	const char *problem = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "n:o:h", options, NULL)) != -1) {
		if (kubernetes_options_know(option)
			    ? kubernetes_options_parse("diff", option, optarg,
						       &arguments->kubernetes)
			    : parse_option(option, arguments))
			return -1;
	}
	if (arguments->help)
		return 0;
	if (kubernetes_options_check("diff", &arguments->kubernetes))
		return -1;
	bool of_cluster = arguments->kubernetes.options.access.server;
	if (arguments->running && of_cluster)
		problem = "--running: goes with neither --kubernetes nor --kubeconfig";
	else if (argc - optind != (arguments->running || of_cluster ? 1 : 2))
		problem = of_cluster	       ? "with a cluster one configuration must be given, B"
			  : arguments->running ? "with --running one configuration must be given, B"
					       : "two configurations must be given, A and B";
	else if (arguments->control && !arguments->running)
		problem = "--control: needs --running";
	else if (arguments->count && arguments->users_file)
		problem = "only one of --count N and --users FILE can be given";
	if (problem) {
		fprintf(stderr, "lanetag diff: %s\n", problem);
		return -1;
	}
	arguments->before = arguments->running || of_cluster ? NULL : argv[optind];
	arguments->after = argv[argc - 1];
	if (!arguments->control)
		arguments->control = DEFAULT_CONTROL_PATH;
	if (!arguments->count)
		arguments->count = DEFAULT_COUNT;
	return 0;
}

static struct configuration *load(const char *path, bool tags_only)
{
	struct diagnostics diagnostics = {0};
	struct configuration *configuration =
		tags_only ? configuration_load_tags(&path, 1, &diagnostics)
			  : configuration_load(&path, 1, 1, &diagnostics);

	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	return configuration;
}

static struct configuration *load_cluster(struct kubernetes_arguments *arguments)
{
	struct diagnostics diagnostics = {0};
	struct manifest_input input = {0};

	if (kubernetes_options_read("diff", arguments, NULL, &input))
		return NULL;
	struct configuration *configuration =
		configuration_load_input(&input, NULL, 1, &diagnostics);
	kubernetes_options_free_objects(&input);
	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	return configuration;
}

/* What the agent has in force; NULL: told. */
static struct configuration *load_running(const char *control, bool *ret_tags_only)
{
	struct in_force in_force = {0};
	struct diagnostics diagnostics = {0};
	struct configuration *configuration = NULL;
	int error = in_force_ask(control, &in_force);

	*ret_tags_only = in_force.tags_only;
	if (error)
		fprintf(stderr, "lanetag diff: no agent tells its configuration at %s: %s\n",
			control, strerror(-error));
	else
		configuration =
			configuration_load_files(in_force.files, in_force.file_count,
						 in_force.tags_only ? MANIFEST_TAGS : MANIFEST_ALL,
						 in_force.generation, &diagnostics);
	/* Its warnings were the agent's to tell; errors: another version of lanetag. */
	if (!error && !configuration)
		diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	in_force_free(&in_force);
	return configuration;
}

static int tell(const struct diff_arguments *arguments, const struct configuration *before,
		const struct comparison *comparison)
{
	if (arguments->json) {
		json_t *answer = comparison_json(comparison);

		if (answer && arguments->running)
			json_object_set_new(
				answer, "running",
				json_pack("{s:I}", "generation", (json_int_t)before->generation));
		return output_json("diff", answer);
	}
	if (arguments->running)
		printf("first: generation %u, in force at %s\n", before->generation,
		       arguments->control);
	comparison_print(comparison);
	return 0;
}

/* An exit status. */
static int compare_users(const struct diff_arguments *arguments, const struct configuration *before,
			 struct comparison *comparison)
{
	struct id_source source;
	struct span id;
	int next = ids_open(&source, "diff", arguments->users_file, arguments->count);

	while (next == 0 && (next = ids_next(&source, &id)) > 0) {
		next = comparison_add(comparison, id);
		if (next)
			fprintf(stderr, "lanetag diff: out of memory\n");
	}
	ids_close(&source);
	if (next < 0)
		return EXIT_USAGE;
	if (tell(arguments, before, comparison) || !output_flush("diff") || source.refused)
		return EXIT_USAGE;
	return comparison_moves_back(comparison) ? EXIT_NEGATIVE : 0;
}

static int diff(struct diff_arguments *arguments)
{
	bool tags_only = false;
	struct configuration *before = arguments->running
					       ? load_running(arguments->control, &tags_only)
				       : arguments->before ? load(arguments->before, false)
							   : load_cluster(&arguments->kubernetes);
	struct configuration *after = load(arguments->after, tags_only);
	struct comparison *comparison = NULL;
	int status = EXIT_USAGE;

	if (before && after) {
		comparison = comparison_new(before, after, arguments->examples);
		if (comparison)
			status = compare_users(arguments, before, comparison);
		else
			fprintf(stderr, "lanetag diff: out of memory\n");
	}
	comparison_free(comparison);
	configuration_drop(before);
	configuration_drop(after);
	return status;
}

int command_diff(int argc, char **argv)
{
	struct diff_arguments arguments = {.examples = DEFAULT_EXAMPLES};
	int status = EXIT_USAGE;

	if (parse_arguments(argc, argv, &arguments)) {
		fprintf(stderr, "try: lanetag diff --help\n");
	} else if (arguments.help) {
		fputs(usage, stdout);
		status = 0;
	} else {
		status = diff(&arguments);
	}
	kubernetes_options_free(&arguments.kubernetes);
	return status;
}
