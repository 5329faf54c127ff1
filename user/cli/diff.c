/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag diff: two configurations, many users; cli/comparison.c counts and tells. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "cli/commands.h"
#include "cli/comparison.h"
#include "cli/ids.h"
#include "cli/output.h"

#define DEFAULT_COUNT 100000
#define DEFAULT_EXAMPLES 5

static const char usage[] =
	"usage: lanetag diff [--users FILE | --count N] [OPTION…] A B\n"
	"\n"
	"Tells how many and which users change sides when the manifests A (a file or a directory) "
	"are\n"
	"replaced by B: per rule, and per host where both have routes. A user moves back where he "
	"loses a tag\n"
	"of a rule that B keeps, or where a route leads him from a side that needs a tag, in A or "
	"in B, to the\n"
	"side without tags.\n"
	"\n"
	"      --users FILE     ids, one a line; '-' is standard input\n"
	"  -n, --count N        made-up ids: user-0 to user-(N-1) (default: 100000)\n"
	"      --examples N     name so many users of each change (default: 5)\n"
	"  -o, --output FORMAT  text, or json (one object)\n"
	"  -h, --help\n"
	"\n"
	"exit status: 0 nobody moves back, 1 somebody does, 2 wrong usage, manifests with errors, "
	"or an id\n"
	"that no header may hold (it is named and left out)\n"
	"\n"
	"examples: lanetag diff running/ proposed/ --users ids.txt\n"
	"          lanetag diff examples/tutorial/step2/hash-tagging-plugin.yaml "
	"examples/tutorial/step3/wasm-plugin-ab-v2-c-v3.yaml -o json\n";

enum { OPTION_USERS = 256, OPTION_EXAMPLES };

static const struct option options[] = {
	{"users", required_argument, NULL, OPTION_USERS},
	{"count", required_argument, NULL, 'n'},
	{"examples", required_argument, NULL, OPTION_EXAMPLES},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct diff_arguments {
	const char *before, *after;
	const char *users_file;
	uint64_t count; /* 0: not given */
	uint64_t examples;
	bool json;
	bool help;
};

static int parse_option(int option, struct diff_arguments *arguments)
{
	switch (option) {
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
		if (parse_option(option, arguments))
			return -1;
	}
	if (arguments->help)
		return 0;
	if (argc - optind != 2)
		problem = "two configurations must be given, A and B";
	else if (arguments->count && arguments->users_file)
		problem = "only one of --count N and --users FILE can be given";
	if (problem) {
		fprintf(stderr, "lanetag diff: %s\n", problem);
		return -1;
	}
	arguments->before = argv[optind];
	arguments->after = argv[optind + 1];
	if (!arguments->count)
		arguments->count = DEFAULT_COUNT;
	return 0;
}

static struct configuration *load(const char *path)
{
	struct diagnostics diagnostics = {0};
	struct configuration *configuration = configuration_load(&path, 1, 1, &diagnostics);

	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	return configuration;
}

/* An exit status. */
static int compare_users(const struct diff_arguments *arguments, struct comparison *comparison)
{
	struct id_source source;
	struct span id;
	int next = ids_open(&source, "diff", arguments->users_file, arguments->count);

	while (next == 0 && (next = ids_next(&source, &id)) > 0)
		next = comparison_add(comparison, id);
	ids_close(&source);
	if (next < 0)
		return EXIT_USAGE;
	if (arguments->json) {
		if (output_json("diff", comparison_json(comparison)))
			return EXIT_USAGE;
	} else {
		comparison_print(comparison);
	}
	if (!output_flush("diff") || source.refused)
		return EXIT_USAGE;
	return comparison_moves_back(comparison) ? EXIT_NEGATIVE : 0;
}

static int diff(const struct diff_arguments *arguments)
{
	struct configuration *before = load(arguments->before), *after = load(arguments->after);
	struct comparison *comparison = NULL;
	int status = EXIT_USAGE;

	if (before && after) {
		comparison = comparison_new(before, after, arguments->examples);
		if (comparison)
			status = compare_users(arguments, comparison);
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

	if (parse_arguments(argc, argv, &arguments)) {
		fprintf(stderr, "try: lanetag diff --help\n");
		return EXIT_USAGE;
	}
	if (arguments.help) {
		fputs(usage, stdout);
		return 0;
	}
	return diff(&arguments);
}
