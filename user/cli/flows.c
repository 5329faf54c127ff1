/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag flows: the connections that the kernel tagger follows, each with its latest mark. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/address.h"
#include "base/array.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/flows_view.h"
#include "cli/output.h"
#include "kernel/tagger.h"

#define MAX_INTERVAL_SECONDS 3600

static const char usage[] =
	"usage: lanetag flows [OPTION…]\n"
	"\n"
	"The connections that the kernel tagger follows, read from its pinned maps, and what the\n"
	"kernel noted of each one's latest request: per rule tag header and value with the "
	"remainder\n"
	"of the user id's hash, \"no tag\", \"no id\", or \"unknown\" (left to the agent). User "
	"ids are\n"
	"personal data: they are never shown. Nothing is changed; it works without manifests.\n"
	"\n"
	"      --pin-directory DIR  the agent's (default: " TAGGER_PIN_DIRECTORY ")\n"
	"  -a, --all                also those that no socket of this machine ends: they pass "
	"through, "
	"or\n"
	"                           have ended and their end was not seen\n"
	"      --client ADDRESS     only connections from this address\n"
	"  -p, --port N             only to this port of the server\n"
	"  -s, --state STATE        only those in this state: idle (between requests), head or "
	"body\n"
	"                           (within a request), lost (the kernel lost its place, the agent "
	"decides)\n"
	"  -t, --tag HEADER=VALUE   only with this tag; 'HEADER=' for no tag; may be repeated: all "
	"must hold\n"
	"  -n, --count N            at most so many (default: all)\n"
	"  -i, --interval SECS      again every so often, until an interrupt (default: once)\n"
	"  -o, --output FORMAT      text, or json (one object a round)\n"
	"  -h, --help\n"
	"\n"
	"exit status: 0 shown, 2 wrong usage, no maps, no right to read them, or maps of another "
	"version\n"
	"\n"
	"examples: lanetag flows --tag appver-a=v2\n"
	"          lanetag flows --client 192.0.2.2 -n 10\n"
	"          lanetag flows --state lost -o json | jq '.connections[].lostBy'\n";

enum { OPTION_PIN_DIRECTORY = 256, OPTION_CLIENT };

static const struct option options[] = {
	{"pin-directory", required_argument, NULL, OPTION_PIN_DIRECTORY},
	{"all", no_argument, NULL, 'a'},
	{"client", required_argument, NULL, OPTION_CLIENT},
	{"port", required_argument, NULL, 'p'},
	{"state", required_argument, NULL, 's'},
	{"tag", required_argument, NULL, 't'},
	{"count", required_argument, NULL, 'n'},
	{"interval", required_argument, NULL, 'i'},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct flows_arguments {
	const char *pin_directory;
	struct flows_filter filter;
	struct tag_filter *tags; /* of the filter */
	uint64_t interval;	 /* seconds; 0: once */
	bool json, help;
};

static int parse_client(struct flows_filter *filter)
{
	filter->has_client = true;
	if (address_parse(optarg, filter->client) == 0)
		return 0;
	fprintf(stderr, "lanetag flows: --client: '%s' is no address\n", optarg);
	return -1;
}

static int parse_port(struct flows_filter *filter)
{
	uint64_t port;

	if (output_parse_number("flows", "--port", optarg, UINT16_MAX, &port))
		return -1;
	filter->port = (uint16_t)port;
	return 0;
}

static int parse_state(struct flows_filter *filter)
{
	filter->state = flows_parse_state(optarg);
	if (filter->state != FLOW_STATES)
		return 0;
	fprintf(stderr, "lanetag flows: --state: '%s' is none of idle, head, body, lost\n", optarg);
	return -1;
}

static int parse_tag(struct flows_arguments *arguments)
{
	struct span header, value;

	if (!span_cut(span_of(optarg), '=', &header, &value) || header.length == 0) {
		fprintf(stderr, "lanetag flows: --tag: '%s' is not HEADER=VALUE\n", optarg);
		return -1;
	}
	struct tag_filter *filter = ARRAY_APPEND(arguments->tags, arguments->filter.tag_count);
	if (!filter) {
		fprintf(stderr, "lanetag flows: out of memory\n");
		return -1;
	}
	*filter = (struct tag_filter){header, value};
	return 0;
}

static int parse_option(struct flows_arguments *arguments, int option)
{
	switch (option) {
	case OPTION_PIN_DIRECTORY:
		arguments->pin_directory = optarg;
		return 0;
	case OPTION_CLIENT:
		return parse_client(&arguments->filter);
	case 'p':
		return parse_port(&arguments->filter);
	case 's':
		return parse_state(&arguments->filter);
	case 't':
		return parse_tag(arguments);
	case 'n':
		return output_parse_number("flows", "--count", optarg, UINT32_MAX,
					   &arguments->filter.most);
	case 'i':
		return output_parse_number("flows", "--interval", optarg, MAX_INTERVAL_SECONDS,
					   &arguments->interval);
	case 'o':
		return output_parse_format("flows", optarg, &arguments->json);
	case 'a':
		arguments->filter.all = true;
		return 0;
	case 'h':
		arguments->help = true;
		return 0;
	default:
		return -1; /* getopt said why */
	}
}

static int parse_arguments(struct flows_arguments *arguments, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "ap:s:t:n:i:o:h", options, NULL)) != -1) {
		if (parse_option(arguments, option))
			return -1;
	}
	if (!arguments->help && optind != argc) {
		fprintf(stderr, "lanetag flows: no argument is expected\n");
		return -1;
	}
	arguments->filter.tags = arguments->tags;
	return 0;
}

static int show(const struct flows_arguments *arguments, struct flows *flows)
{
	struct flows_report report = {.flows = flows};
	struct flow *list = NULL;
	int error = flows_read(flows, &list, &report.total);

	if (error) {
		fprintf(stderr, "lanetag flows: the maps can't be read: %s\n", strerror(-error));
		return error;
	}
	report.list = list;
	report.without_socket = flows_without_socket(list, report.total);
	report.matching = flows_select(flows, &arguments->filter, list, report.total);
	report.shown =
		report.matching < arguments->filter.most ? report.matching : arguments->filter.most;
	if (arguments->json) {
		error = flows_print_json(&report);
	} else {
		flows_print(&report);
		error = output_flush("flows") ? 0 : -1;
	}
	free(list);
	return error;
}

/* The maps are opened for each round: another agent may have brought its own. */
static int show_round(const struct flows_arguments *arguments)
{
	struct buffer reason = {0};
	struct flows *flows;
	int error = flows_open(arguments->pin_directory, &flows, &reason);

	if (error) {
		fprintf(stderr, "lanetag flows: %s\n", buffer_text(&reason));
		buffer_free(&reason);
		return error;
	}
	error = show(arguments, flows);
	flows_close(flows);
	return error;
}

int command_flows(int argc, char **argv)
{
	struct flows_arguments arguments = {
		.pin_directory = TAGGER_PIN_DIRECTORY,
		.filter = {.state = FLOW_STATES, .most = UINT64_MAX},
	};
	int error;

	log_set_level(LOG_LEVEL_WARNING);
	error = parse_arguments(&arguments, argc, argv);
	if (error) {
		fprintf(stderr, "try: lanetag flows --help\n");
	} else if (arguments.help) {
		fputs(usage, stdout);
	} else {
		do {
			if (arguments.interval && !arguments.json)
				output_clear_screen();
			error = show_round(&arguments);
		} while (!error && arguments.interval && sleep((unsigned)arguments.interval) == 0);
	}
	free(arguments.tags);
	return error ? EXIT_USAGE : 0;
}
