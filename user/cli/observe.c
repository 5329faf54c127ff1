/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lanetag observe: the tagger on an interface without a proxy behind it. Requests are looked at and
 * counted, nothing is changed; maps and program are its own, so that it can run beside an agent.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/log_options.h"
#include "cli/observe_view.h"
#include "cli/output.h"
#include "manifest/gateway.h"

static const char usage[] =
	"usage: lanetag observe --config PATH --interface PATTERN [OPTION…]\n"
	"\n"
	"Counts what share of live requests each rule would tag, without touching a byte: the "
	"kernel's\n"
	"tagger is attached to the interfaces until the command ends, no proxy runs.\n"
	"\n"
	"  -c, --config PATH        manifests with the rules: a file or a directory; may be "
	"repeated\n"
	"  -i, --interface PATTERN  a name or a pattern such as 'veth*'; may be repeated\n"
	"  -p, --port N             a TCP port that the requests go to; may be repeated (default:\n"
	"                           the ports of the manifests' Gateways)\n"
	"  -o, --output FORMAT      text (a table on a terminal, else lines) or json (an object a "
	"line)\n"
	"      --interval SECONDS   between two reports (default: 1)\n"
	"      --count N            end after so many reports\n"
	"      --duration SECONDS   end after this time, with a report\n"
	"      --log-level LEVEL    error, warning, info or debug (default: warning)\n"
	"      --log-format FORMAT  of standard error: logfmt or json (default: logfmt)\n"
	"  -h, --help\n"
	"\n"
	"example: lanetag observe -c rules.yaml -i eth0 -p 8080 -o json\n";

enum { OPTION_INTERVAL = 256, OPTION_COUNT, OPTION_DURATION, OPTION_LOG_LEVEL, OPTION_LOG_FORMAT };

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"interface", required_argument, NULL, 'i'},
	{"port", required_argument, NULL, 'p'},
	{"output", required_argument, NULL, 'o'},
	{"interval", required_argument, NULL, OPTION_INTERVAL},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"duration", required_argument, NULL, OPTION_DURATION},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct observe_arguments {
	const char **paths;
	size_t path_count;
	const char **interfaces;
	size_t interface_count;
	uint16_t *ports;
	size_t port_count;
	bool json;
	bool help;
	uint64_t interval; /* seconds */
	uint64_t count;	   /* 0: no end */
	uint64_t duration; /* seconds, 0: no end */
};

static int append_port(struct observe_arguments *arguments, uint16_t port)
{
	uint16_t *item = ARRAY_APPEND(arguments->ports, arguments->port_count);

	if (!item)
		return -1;
	*item = port;
	return 0;
}

static int parse_port(const char *text, struct observe_arguments *arguments)
{
	uint64_t port;

	if (output_parse_number("observe", "--port", text, UINT16_MAX, &port))
		return -1;
	return append_port(arguments, (uint16_t)port);
}

static int parse_option(int option, struct observe_arguments *arguments)
{
	switch (option) {
	case 'c':
		return output_append_argument("observe", &arguments->paths, &arguments->path_count,
					      optarg);
	case 'i':
		return output_append_argument("observe", &arguments->interfaces,
					      &arguments->interface_count, optarg);
	case 'p':
		return parse_port(optarg, arguments);
	case 'o':
		return output_parse_format("observe", optarg, &arguments->json);
	case OPTION_INTERVAL:
		return output_parse_number("observe", "--interval", optarg, 86400,
					   &arguments->interval);
	case OPTION_COUNT:
		return output_parse_number("observe", "--count", optarg, UINT32_MAX,
					   &arguments->count);
	case OPTION_DURATION:
		return output_parse_number("observe", "--duration", optarg, UINT32_MAX,
					   &arguments->duration);
	case OPTION_LOG_LEVEL:
		return log_option_level("observe", optarg);
	case OPTION_LOG_FORMAT:
		return log_option_format("observe", optarg);
	case 'h':
		arguments->help = true;
		return 0;
	default:
		return -1; /* getopt said why */
	}
}

static int parse_arguments(int argc, char **argv, struct observe_arguments *arguments)
{
	const char *missing = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "c:i:p:o:h", options, NULL)) != -1) {
		if (parse_option(option, arguments))
			return -1;
	}
	if (arguments->help)
		return 0;
	if (optind < argc) {
		fprintf(stderr, "lanetag observe: '%s' is no option (manifests: --config)\n",
			argv[optind]);
		return -1;
	}
	if (arguments->path_count == 0)
		missing = "--config PATH";
	else if (arguments->interface_count == 0)
		missing = "--interface PATTERN";
	if (missing)
		fprintf(stderr, "lanetag observe: %s is missing\n", missing);
	return missing ? -1 : 0;
}

static int add_gateway_ports(const struct manifest_set *manifests,
			     struct observe_arguments *arguments)
{
	for (size_t i = 0; i < manifests->gateway_count; i++) {
		const struct gateway_manifest *gateway = &manifests->gateways[i];

		for (size_t j = 0; j < gateway->server_count; j++) {
			if (append_port(arguments, gateway->servers[j].port))
				return -1;
		}
	}
	if (arguments->port_count > 0)
		return 0;
	fprintf(stderr, "lanetag observe: --port N is missing (no Gateway names one)\n");
	return -1;
}

/* The rules alone: a team may have written nothing else yet. */
static int load_rules(struct observe_arguments *arguments, struct manifest_set *manifests,
		      struct tag_rules **ret_rules)
{
	struct diagnostics diagnostics = {0};
	struct tag_rules *rules = NULL;
	int error;

	manifest_set_read(arguments->paths, arguments->path_count, MANIFEST_ALL, &diagnostics,
			  manifests);
	error = diagnostics.error_count ? -1
					: tag_rules_compile(manifests, 1, &diagnostics, &rules);
	diagnostics_sort(&diagnostics);
	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	if (error == 0 && tag_rules_count(rules) == 0) {
		fprintf(stderr, "lanetag observe: no rules in the manifests\n");
		error = -1;
	}
	if (error == 0 && arguments->port_count == 0)
		error = add_gateway_ports(manifests, arguments);
	if (error) {
		tag_rules_free(rules);
		return error;
	}
	*ret_rules = rules;
	return 0;
}

static int start_tagger(const struct observe_arguments *arguments, const struct tag_rules *rules,
			struct tagger **ret_tagger)
{
	struct tagger_options tagger_options = {
		.interfaces = arguments->interfaces,
		.interface_count = arguments->interface_count,
	};
	struct tagger *tagger;
	int error = tagger_open(&tagger_options, &tagger);

	if (error)
		return error;
	error = tagger_set_rules(tagger, tag_rules_ruleset(rules));
	if (error == 0)
		error = tagger_set_ports(tagger, arguments->ports, arguments->port_count);
	if (error) {
		log_error("the tagger does not take the rules", log_errno(error));
		tagger_close(tagger);
		return error;
	}
	if (tagger_attached_interfaces(tagger) == 0) {
		fputs("lanetag observe: no such interface yet, waiting for", stderr);
		for (size_t i = 0; i < arguments->interface_count; i++)
			fprintf(stderr, " %s", arguments->interfaces[i]);
		fputc('\n', stderr);
	}
	*ret_tagger = tagger;
	return 0;
}

static int take_sample(const struct tagger *tagger, struct observe_sample *ret_sample)
{
	int error = tagger_lane_requests(tagger, ret_sample->requests);

	if (error == 0 && tagger_event_kinds() <= OBSERVE_MAX_EVENTS)
		error = tagger_events(tagger, ret_sample->events);
	ret_sample->time_ns = clock_now_ns();
	return error;
}

/* True when it is time for a report; false when a signal asks for the end. */
static bool wait_until(struct tagger *tagger, int signals, uint64_t deadline_ns)
{
	struct pollfd polled[] = {{.fd = signals, .events = POLLIN},
				  {.fd = tagger_event_fd(tagger), .events = POLLIN}};

	for (;;) {
		uint64_t now = clock_now_ns();

		if (now >= deadline_ns)
			return true;
		int ready = poll(polled, ARRAY_LENGTH(polled),
				 (int)((deadline_ns - now + 999999) / 1000000));
		if (ready > 0 && polled[0].revents)
			return false;
		if (ready > 0 && polled[1].revents)
			tagger_handle_events(tagger);
	}
}

static int watch(const struct observe_arguments *arguments, const struct tag_rules *rules,
		 struct tagger *tagger, int signals)
{
	static struct observe_sample samples[3]; /* at the start, before, now */
	struct observe_report report = {rules, tagger, &samples[0], &samples[1], &samples[2]};
	enum observe_format format = arguments->json	     ? OBSERVE_JSON
				     : isatty(STDOUT_FILENO) ? OBSERVE_SCREEN
							     : OBSERVE_LINES;
	uint64_t end_ns, next_ns;
	bool more = true;
	int error = take_sample(tagger, &samples[0]);

	samples[1] = samples[0];
	next_ns = samples[0].time_ns;
	end_ns = arguments->duration ? next_ns + arguments->duration * 1000000000 : UINT64_MAX;
	for (uint64_t reports = 1; more && error == 0; reports++) {
		next_ns += arguments->interval * 1000000000;
		more = wait_until(tagger, signals, next_ns < end_ns ? next_ns : end_ns);
		error = take_sample(tagger, &samples[2]);
		if (error == 0)
			error = observe_show(&report, format, stdout);
		samples[1] = samples[2];
		if (reports == arguments->count || samples[2].time_ns >= end_ns)
			more = false;
	}
	return error;
}

static int observe(struct observe_arguments *arguments)
{
	struct manifest_set manifests = {0};
	struct tag_rules *rules = NULL;
	struct tagger *tagger = NULL;
	int error, signals = -1;
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	error = load_rules(arguments, &manifests, &rules);
	if (error)
		goto out;
	signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	error = signals < 0 ? -errno : start_tagger(arguments, rules, &tagger);
	if (error)
		goto out;
	log_limit_repeats(true);
	error = watch(arguments, rules, tagger, signals);
	log_limit_repeats(false);
	if (error && error != -EPIPE)
		fprintf(stderr, "lanetag observe: %s\n", strerror(-error));
	tagger_close(tagger);
out:
	if (signals >= 0)
		close(signals);
	tag_rules_free(rules);
	manifest_set_free(&manifests);
	return error ? EXIT_USAGE : 0;
}

int command_observe(int argc, char **argv)
{
	struct observe_arguments arguments = {.interval = 1};
	int status = EXIT_USAGE;

	log_set_level(LOG_LEVEL_WARNING);
	if (parse_arguments(argc, argv, &arguments)) {
		fprintf(stderr, "try: lanetag observe --help\n");
	} else if (arguments.help) {
		fputs(usage, stdout);
		status = 0;
	} else {
		status = observe(&arguments);
	}
	free(arguments.paths);
	free(arguments.interfaces);
	free(arguments.ports);
	return status;
}
