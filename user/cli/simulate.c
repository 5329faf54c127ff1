/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag simulate: many ids through the rules; release/simulation.c counts and tells. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/ids.h"
#include "cli/output.h"
#include "cli/simulation_view.h"
#include "config/configuration.h"

static const char usage[] =
	"usage: lanetag simulate --config PATH [--config PATH…] (--count N | --users FILE) [-o "
	"FORMAT]\n"
	"\n"
	"Draws lanes for many ids and tells which share each lane and each combination of lanes "
	"gets,\n"
	"beside what the rules say it should be. Nothing is touched.\n"
	"\n"
	"  -c, --config PATH    manifests: a file or a directory; may be repeated\n"
	"  -n, --count N        made-up ids: user-0 to user-(N-1)\n"
	"      --users FILE     ids, one a line; '-' is standard input\n"
	"  -o, --output FORMAT  text, or json (one object)\n"
	"  -h, --help\n"
	"\n"
	"exit status: 0 done, 1 the manifests have errors, 2 wrong usage, or an id that no header "
	"may hold\n"
	"(it is named and left out)\n"
	"\n"
	"examples: lanetag simulate --config examples/tutorial/step3 --count 1000000\n"
	"          lanetag simulate --config rules.yaml --users ids.txt -o json\n";

enum { OPTION_USERS = 256 };

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"count", required_argument, NULL, 'n'},
	{"users", required_argument, NULL, OPTION_USERS},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct simulate_arguments {
	const char **paths;
	size_t path_count;
	const char *users_file;
	uint64_t count;
	bool json;
	bool help;
};

static int parse_option(int option, struct simulate_arguments *arguments)
{
	switch (option) {
	case 'c':
		return output_append_argument("simulate", &arguments->paths, &arguments->path_count,
					      optarg);
	case 'n':
		return ids_parse_count("simulate", optarg, &arguments->count);
	case OPTION_USERS:
		arguments->users_file = optarg;
		return 0;
	case 'o':
		return output_parse_format("simulate", optarg, &arguments->json);
	case 'h':
		arguments->help = true;
		return 0;
	default:
		return -1; /* getopt said why */
	}
}

static int parse_arguments(int argc, char **argv, struct simulate_arguments *arguments)
{
	const char *problem = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "c:n:o:h", options, NULL)) != -1) {
		if (parse_option(option, arguments))
			return -1;
	}
	if (arguments->help)
		return 0;
	if (optind < argc)
		problem = "only options are known (manifests: --config)";
	else if (arguments->path_count == 0)
		problem = "--config PATH is missing";
	else if (!arguments->count == !arguments->users_file)
		problem = "one of --count N and --users FILE must be given";
	if (problem)
		fprintf(stderr, "lanetag simulate: %s\n", problem);
	return problem ? -1 : 0;
}

/* An exit status. */
static int simulate_ids(const struct simulate_arguments *arguments, struct simulation *simulation)
{
	struct id_source source;
	struct span id;
	int next = ids_open(&source, "simulate", arguments->users_file, arguments->count);

	while (next == 0 && (next = ids_next(&source, &id)) > 0) {
		next = simulation_add(simulation, id);
		if (next)
			fprintf(stderr, "lanetag simulate: out of memory\n");
	}
	ids_close(&source);
	if (next < 0)
		return EXIT_USAGE;
	if (arguments->json) {
		if (output_json("simulate", simulation_json(simulation)))
			return EXIT_USAGE;
	} else {
		simulation_print(simulation);
	}
	return output_flush("simulate") && source.refused == 0 ? 0 : EXIT_USAGE;
}

static int simulate(const struct simulate_arguments *arguments)
{
	struct diagnostics diagnostics = {0};
	struct configuration *configuration =
		configuration_load(arguments->paths, arguments->path_count, 1, &diagnostics);
	int status = EXIT_NEGATIVE;

	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	if (!configuration)
		return status;
	struct simulation *simulation = simulation_new(configuration->tag_rules);
	if (simulation) {
		status = simulate_ids(arguments, simulation);
	} else {
		fprintf(stderr, "lanetag simulate: out of memory\n");
		status = EXIT_USAGE;
	}
	simulation_free(simulation);
	configuration_drop(configuration);
	return status;
}

int command_simulate(int argc, char **argv)
{
	struct simulate_arguments arguments = {0};
	int status = EXIT_USAGE;

	if (parse_arguments(argc, argv, &arguments)) {
		fprintf(stderr, "try: lanetag simulate --help\n");
	} else if (arguments.help) {
		fputs(usage, stdout);
		status = 0;
	} else {
		status = simulate(&arguments);
	}
	free(arguments.paths);
	return status;
}
