/* SPDX-License-Identifier: GPL-2.0-only */
/* Picks the subcommand. */
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "cli/commands.h"
#include "version.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"run", command_run, "the node agent: tag, propagate and route"},
	{"check", command_check, "validate manifests without side effects"},
	{"explain", command_explain, "which tags and versions a user meets, and why"},
	{"simulate", command_simulate, "what share of many ids each lane gets"},
	{"diff", command_diff, "who changes sides between two configurations"},
	{"promote", command_promote,
	 "everybody gets a host's subset: routes and rules in one step"},
	{"ramp", command_ramp, "give a rule's policy another share; nobody moves back"},
	{"rollback", command_rollback, "to one of the last 20 configurations"},
	{"status", command_status, "what a running agent says of itself"},
	{"top", command_top, "each lane's requests a second, live"},
	{"flows", command_flows, "the connections that the kernel follows, and their tags"},
	{"observe", command_observe, "count what rules would tag of live traffic"},
};

static void print_usage(FILE *stream)
{
	fprintf(stream, "usage: lanetag COMMAND [OPTION…]   (lanetag COMMAND --help)\n\n");
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].summary);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 && argc > 2) {
		argv[1] = argv[2];
		argv[2] = (char *)"--help";
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		print_usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("lanetag %s\n", LANETAG_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "lanetag: no command '%s'\n", argv[1]);
	print_usage(stderr);
	return EXIT_USAGE;
}
