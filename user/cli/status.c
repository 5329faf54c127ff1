/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag status and top: what a running agent says of itself, once or every so often. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "cli/agent_status.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "config/rejections.h"

#define MAX_INTERVAL_SECONDS 3600

static const char status_usage[] =
	"usage: lanetag status [OPTION…]\n"
	"\n"
	"What a running agent says of itself: version, generation, reloads and the last error, "
	"the\n"
	"kernel tagger, decisions, destinations with endpoints that can't be used, and each "
	"lane's\n"
	"requests.\n"
	"\n"
	"      --admin ADDRESS  the agent's admin address (default: " DEFAULT_ADMIN_ADDRESS ")\n"
	"  -o, --output FORMAT  text, or json (one object, as /status gives it)\n"
	"  -h, --help\n"
	"\n"
	"exit status: 0 all is well, 1 the newest manifests were refused (the last good ones are "
	"in\n"
	"force) or kernel and agent disagreed, 2 wrong usage or no agent answers\n"
	"\n"
	"examples: lanetag status\n"
	"          lanetag status -o json | jq .destinations\n";

static const char top_usage[] =
	"usage: lanetag top [OPTION…]\n"
	"\n"
	"Each lane's requests a second and which share of them fails (5xx, or no answer), as they\n"
	"are now. On a terminal the screen is drawn anew; else each round is printed below the "
	"last.\n"
	"\n"
	"      --admin ADDRESS   the agent's admin address (default: " DEFAULT_ADMIN_ADDRESS ")\n"
	"  -i, --interval SECS   between two rounds (default: 1)\n"
	"  -n, --count N         end after so many rounds (default: at an interrupt)\n"
	"  -o, --output FORMAT   text, or json (one object a round)\n"
	"  -h, --help\n"
	"\n"
	"exit status: 0 done, 2 wrong usage or no agent answers\n"
	"\n"
	"examples: lanetag top\n"
	"          lanetag top -n 1 -o json\n";

enum { OPTION_ADMIN = 256 };

static const struct option status_options[] = {
	{"admin", required_argument, NULL, OPTION_ADMIN},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const struct option top_options[] = {
	{"admin", required_argument, NULL, OPTION_ADMIN},
	{"interval", required_argument, NULL, 'i'},
	{"count", required_argument, NULL, 'n'},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct status_arguments {
	const char *command, *admin;
	uint64_t interval, count; /* count 0: no end */
	bool json, help;
};

static int parse_option(struct status_arguments *arguments, int option)
{
	switch (option) {
	case OPTION_ADMIN:
		arguments->admin = optarg;
		return 0;
	case 'i':
		return output_parse_number(arguments->command, "--interval", optarg,
					   MAX_INTERVAL_SECONDS, &arguments->interval);
	case 'n':
		return output_parse_number(arguments->command, "--count", optarg, UINT32_MAX,
					   &arguments->count);
	case 'o':
		return output_parse_format(arguments->command, optarg, &arguments->json);
	case 'h':
		arguments->help = true;
		return 0;
	default:
		return -1;
	}
}

static int parse_arguments(struct status_arguments *arguments, int argc, char **argv,
			   const char *letters, const struct option *options)
{
	int option, error = 0;

	while (!error && (option = getopt_long(argc, argv, letters, options, NULL)) != -1)
		error = parse_option(arguments, option);
	if (!error && !arguments->help && optind != argc) {
		fprintf(stderr, "lanetag %s: no argument is expected\n", arguments->command);
		error = -1;
	}
	if (error)
		fprintf(stderr, "try: lanetag %s --help\n", arguments->command);
	return error;
}

static json_int_t number_at(const json_t *object, const char *outer, const char *inner)
{
	return json_integer_value(json_object_get(json_object_get(object, outer), inner));
}

static void print_lanes(const json_t *status)
{
	size_t i, j;
	json_t *rule, *lane;

	json_array_foreach(json_object_get(status, "rules"), i, rule)
	{
		json_array_foreach(json_object_get(rule, "lanes"), j, lane)
		{
			const char *value = json_string_value(json_object_get(lane, "tagValue"));
			const json_t *rate = json_object_get(lane, "requestsPerSecond");
			const json_t *failed = json_object_get(lane, "failedShare");

			printf("  %-16s %-12s %12" JSON_INTEGER_FORMAT,
			       json_string_value(json_object_get(rule, "tagHeader")),
			       value ? value : "(no tag)",
			       json_integer_value(json_object_get(lane, "requests")));
			if (failed)
				printf(" %7.2f %% failed", 100 * json_real_value(failed));
			if (rate)
				printf(" %10.1f/s", json_real_value(rate));
			putchar('\n');
		}
	}
}

/* Where endpoints can't be reached or are left out; nothing where all is well. */
static void print_unhealthy(const json_t *status)
{
	size_t i;
	json_t *destination;

	json_array_foreach(json_object_get(status, "destinations"), i, destination)
	{
		json_int_t endpoints =
			json_integer_value(json_object_get(destination, "endpoints"));
		json_int_t healthy = json_integer_value(json_object_get(destination, "healthy"));
		const char *subset = json_string_value(json_object_get(destination, "subset"));

		if (healthy == endpoints)
			continue;
		printf("unhealthy      %s%s%s port %" JSON_INTEGER_FORMAT ": %" JSON_INTEGER_FORMAT
		       " of %" JSON_INTEGER_FORMAT " endpoints can be used\n",
		       json_string_value(json_object_get(destination, "host")), subset ? " " : "",
		       subset ? subset : "",
		       json_integer_value(json_object_get(destination, "port")), healthy,
		       endpoints);
	}
}

static void print_tagger(const json_t *status)
{
	const json_t *tables = json_object_get(status, "kernelTables");

	printf("kernel tagger  %s",
	       json_is_true(json_object_get(status, "kernelTagger")) ? "on" : "off");
	if (json_is_object(tables))
		printf(", %" JSON_INTEGER_FORMAT " of at most %" JSON_INTEGER_FORMAT
		       " connections, %" JSON_INTEGER_FORMAT " evicted",
		       number_at(tables, "flows", "entries"),
		       number_at(tables, "flows", "capacity"),
		       number_at(tables, "flows", "evictions"));
	putchar('\n');
}

static void print_rejections(const json_t *rejected)
{
	const json_t *item;
	size_t i;

	json_array_foreach(rejected, i, item)
	{
		const char *outcome = json_string_value(json_object_get(item, "outcome"));

		for (int known = 0; known < REJECTION_OUTCOMES; known++) {
			if (strcmp(rejection_outcome_name((enum rejection_outcome)known),
				   outcome) == 0)
				outcome = rejection_outcome_text((enum rejection_outcome)known);
		}
		printf("rejected       %s %s/%s: %s\n                 %s\n",
		       json_string_value(json_object_get(item, "kind")),
		       json_string_value(json_object_get(item, "namespace")),
		       json_string_value(json_object_get(item, "name")), outcome,
		       json_string_value(json_object_get(item, "reason")));
	}
}

static void print_unenforced(const json_t *unenforced)
{
	const json_t *item;
	size_t i;

	json_array_foreach(unenforced, i, item)
	{
		const char *hosts = json_string_value(json_object_get(item, "hosts"));

		printf("not enforced   %s in %s: %s: %s\n",
		       json_string_value(json_object_get(item, "resource")),
		       json_string_value(json_object_get(item, "namespace")),
		       json_string_value(json_object_get(item, "lost")), hosts ? hosts : "?");
	}
}

static void print_status(const json_t *status)
{
	const char *error =
		json_string_value(json_object_get(json_object_get(status, "reloads"), "lastError"));

	printf("version        %s\n", json_string_value(json_object_get(status, "version")));
	printf("generation     %" JSON_INTEGER_FORMAT "\n",
	       json_integer_value(json_object_get(status, "generation")));
	printf("reloads        %" JSON_INTEGER_FORMAT " taken, %" JSON_INTEGER_FORMAT
	       " taken in part, %" JSON_INTEGER_FORMAT " refused\n",
	       number_at(status, "reloads", "succeeded"), number_at(status, "reloads", "partial"),
	       number_at(status, "reloads", "failed"));
	if (error)
		printf("last error     %s\n", error);
	print_rejections(json_object_get(json_object_get(status, "reloads"), "rejected"));
	print_unenforced(json_object_get(status, "notEnforced"));
	print_tagger(status);
	printf("decisions      %" JSON_INTEGER_FORMAT " confirmed by kernel, %" JSON_INTEGER_FORMAT
	       " by agent alone, %" JSON_INTEGER_FORMAT " disagreements\n",
	       number_at(status, "decisions", "agreed"), number_at(status, "decisions", "unused"),
	       number_at(status, "decisions", "disagreements"));
	printf("requests       %" JSON_INTEGER_FORMAT "\n",
	       json_integer_value(json_object_get(status, "requests")));
	print_unhealthy(status);
	puts("lanes");
	print_lanes(status);
}

int command_status(int argc, char **argv)
{
	struct status_arguments arguments = {.command = "status", .admin = DEFAULT_ADMIN_ADDRESS};

	if (parse_arguments(&arguments, argc, argv, "o:h", status_options))
		return EXIT_USAGE;
	if (arguments.help) {
		fputs(status_usage, stdout);
		return 0;
	}
	json_t *status = agent_status("status", arguments.admin);
	if (!status)
		return EXIT_USAGE;
	bool bad =
		json_is_true(json_object_get(json_object_get(status, "reloads"), "lastFailed")) ||
		number_at(status, "decisions", "disagreements") > 0;
	if (arguments.json) {
		if (output_json("status", status))
			return EXIT_USAGE;
	} else {
		print_status(status);
		json_decref(status);
	}
	if (!output_flush("status"))
		return EXIT_USAGE;
	return bad ? EXIT_NEGATIVE : 0;
}

static double increase(const json_t *now, const json_t *before, const char *name)
{
	return (double)(json_integer_value(json_object_get(now, name)) -
			json_integer_value(json_object_get(before, name)));
}

static void add_rates(json_t *status, const json_t *before, double seconds)
{
	size_t i, j;
	json_t *rule, *lane;

	json_array_foreach(json_object_get(status, "rules"), i, rule)
	{
		const json_t *old = json_array_get(json_object_get(before, "rules"), i);

		json_array_foreach(json_object_get(rule, "lanes"), j, lane)
		{
			const json_t *was = json_array_get(json_object_get(old, "lanes"), j);
			double requests = increase(lane, was, "requests");
			double failed = increase(lane, was, "failed");

			json_object_set_new(lane, "requestsPerSecond",
					    json_real(requests / seconds));
			/* What fails now may have begun in a round before. */
			json_object_set_new(lane, "failedShare",
					    json_real(failed <= 0	  ? 0
						      : failed < requests ? failed / requests
									  : 1));
		}
	}
}

/* After a reload lanes may stand elsewhere: a round without rates. */
static bool is_comparable(const json_t *status, const json_t *before)
{
	return json_equal(json_object_get(status, "generation"),
			  json_object_get(before, "generation")) &&
	       json_integer_value(json_object_get(status, "requests")) >=
		       json_integer_value(json_object_get(before, "requests"));
}

static int show_round(const struct status_arguments *arguments, json_t *status,
		      const json_t *before, double seconds)
{
	if (is_comparable(status, before))
		add_rates(status, before, seconds);
	if (arguments->json)
		return output_json("top", json_incref(status));
	output_clear_screen();
	printf("generation %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT " requests\n",
	       json_integer_value(json_object_get(status, "generation")),
	       json_integer_value(json_object_get(status, "requests")));
	print_lanes(status);
	return output_flush("top") ? 0 : -1;
}

static int top(const struct status_arguments *arguments)
{
	uint64_t before_ns = clock_now_ns();
	json_t *before = agent_status("top", arguments->admin);
	int error = before ? 0 : -1;

	for (uint64_t round = 0; !error && (arguments->count == 0 || round < arguments->count);
	     round++) {
		sleep((unsigned)arguments->interval);
		json_t *now = agent_status("top", arguments->admin);
		uint64_t now_ns = clock_now_ns();

		error = now ? show_round(arguments, now, before, (double)(now_ns - before_ns) / 1e9)
			    : -1;
		json_decref(before);
		before = now;
		before_ns = now_ns;
	}
	json_decref(before);
	return error ? EXIT_USAGE : 0;
}

int command_top(int argc, char **argv)
{
	struct status_arguments arguments = {
		.command = "top", .admin = DEFAULT_ADMIN_ADDRESS, .interval = 1};

	if (parse_arguments(&arguments, argc, argv, "i:n:o:h", top_options))
		return EXIT_USAGE;
	if (arguments.help) {
		fputs(top_usage, stdout);
		return 0;
	}
	return top(&arguments);
}
