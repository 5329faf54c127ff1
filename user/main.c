/* SPDX-License-Identifier: GPL-2.0-only */
/* Picks the subcommand. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cli/commands.h"
#include "cli/output.h"
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
	{"abort", command_abort, "all users back to the stable version, in one step"},
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

/*
 * Else the next file or socket would get the number of a standard stream that the caller closed, and
 * what is printed would go into it. The modes are the wrong way round: writing still fails, and says
 * so.
 */
static void fill_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			abort();
	}
}

static int run_command(int argc, char **argv)
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

int main(int argc, char **argv)
{
	fill_standard_streams();
	int status = run_command(argc, argv);

	/* Commands tell themselves what they could not show; this is for usage and version. */
	return status == 0 && !output_flush(argv[1]) ? EXIT_USAGE : status;
}
