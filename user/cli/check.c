/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag check: what is wrong with manifests; cli/check_report.c tells what they come to. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/check_report.h"
#include "cli/commands.h"
#include "cli/kubernetes_options.h"
#include "cli/output.h"
#include "cli/tag_only.h"
#include "config/salvage.h"
#include "manifest/wasm_plugin.h"
#include "policy/cohorts.h"

static const char usage[] =
	"usage: lanetag check [OPTION…] PATH…\n"
	"       lanetag check --kubeconfig FILE [OPTION…] [PATH…]\n"
	"\n"
	"Validates manifests, files or directories, without any side effect. Errors and warnings "
	"go to\n"
	"standard error as file:line:column: Kind/name: field: what is wrong. Without errors it "
	"prints each\n"
	"rule's shares as they really are, and how the cohorts of each two rules stand to each "
	"other.\n"
	"\n"
	"  -o, --output FORMAT  text, or json (one object, with the errors and warnings in it "
	"too)\n" KUBERNETES_USAGE
	"      --no-route NEXT    as `lanetag run` with this option reads them: tags alone, routes "
	"are "
	"NEXT's\n"
	"      --listen ADDRESS:PORT  the same\n"
	"  -h, --help\n"
	"\n"
	"exit status: 0 no errors (there may be warnings), 1 errors, 2 wrong usage or no output\n"
	"\n"
	"examples: lanetag check examples/tutorial/step1\n"
	"          lanetag check -o json examples/tutorial/step3/wasm-plugin-ab-v2-c-v3.yaml\n";

enum { OPTION_NO_ROUTE = 256, OPTION_LISTEN };

static const struct option options[] = {
	KUBERNETES_OPTIONS,
	{"no-route", required_argument, NULL, OPTION_NO_ROUTE},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* The plug-in's Kind/name, which the caller frees. */
static char *plugin_of_rule(const struct manifest_set *set, const struct tag_rule_manifest *rule)
{
	for (size_t i = 0; i < set->wasm_plugin_count; i++) {
		const struct wasm_plugin_manifest *plugin = &set->wasm_plugins[i];

		if (rule >= plugin->rules && rule < plugin->rules + plugin->rule_count)
			return resource_title(&plugin->resource);
	}
	return NULL;
}

/* Rules that draw alike show every canary to the same users: rarely what was meant. */
static void warn_of_nested_canaries(const struct configuration *configuration,
				    struct diagnostics *diagnostics)
{
	const struct tag_rules *rules = configuration->tag_rules;
	size_t group[LANETAG_MAX_RULES];

	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		size_t count = cohorts_nested_group(rules, i, group);
		struct buffer names = {0};
		char percent[PERCENT_TEXT];
		double common = 1;

		for (size_t j = 0; j < count; j++) {
			double share = cohorts_tagged_share(rules, group[j]);

			common = share < common ? share : common;
			buffer_append_text(&names, j == 0 ? "" : j + 1 < count ? ", " : " and ");
			buffer_append_span(&names, tag_rules_header(rules, group[j]));
		}
		if (count) {
			const struct tag_rule_manifest *rule = tag_rules_manifest(rules, group[1]);
			char *plugin = plugin_of_rule(&configuration->manifests, rule);

			diagnostics_add(diagnostics, DIAGNOSTIC_WARNING, rule->place, plugin,
					"spec.pluginConfig.rules",
					"%s draw alike: the same %s of the users get each of them "
					"(hash xxh64 with a seed each makes them independent)",
					buffer_text(&names), output_percent(common, percent));
			free(plugin);
		}
		buffer_free(&names);
	}
}

struct check_arguments {
	struct kubernetes_arguments kubernetes;
	struct tag_only_arguments tag_only;
	bool json;
	bool help;
};

static int parse_option(int option, struct check_arguments *arguments)
{
	switch (option) {
	case OPTION_NO_ROUTE:
		return tag_only_parse_next_hop("check", optarg, &arguments->tag_only);
	case OPTION_LISTEN:
		return tag_only_parse_listener("check", optarg, &arguments->tag_only);
	case 'o':
		return output_parse_format("check", optarg, &arguments->json);
	case 'h':
		arguments->help = true;
		return 0;
	default:
		return -1; /* getopt said why */
	}
}

static int parse_arguments(int argc, char **argv, struct check_arguments *arguments)
{
	int option;

	while ((option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (kubernetes_options_know(option)
			    ? kubernetes_options_parse("check", option, optarg,
						       &arguments->kubernetes)
			    : parse_option(option, arguments))
			return -1;
	}
	if (arguments->help)
		return 0;
	if (kubernetes_options_check("check", &arguments->kubernetes))
		return -1;
	if (optind == argc && !arguments->kubernetes.options.access.server) {
		fprintf(stderr, "lanetag check: PATH is missing\n");
		return -1;
	}
	return tag_only_check("check", &arguments->tag_only);
}

/* What an agent would do with the same manifests; the caller frees it with free_costs. */
static void find_costs(const struct manifest_input *input, const struct check_arguments *arguments,
		       struct salvage_result *ret_costs)
{
	struct diagnostics diagnostics = {0};
	const struct salvage_source source = {
		.paths = input->paths,
		.path_count = input->path_count,
		.objects = input->objects,
		.object_count = input->object_count,
		.tag_only = tag_only_of(&arguments->tag_only),
		.is_first = true,
	};

	salvage_load(&source, 1, &diagnostics, ret_costs);
	diagnostics_free(&diagnostics);
}

static void free_costs(struct salvage_result *costs)
{
	configuration_drop(costs->configuration);
	rejections_drop(costs->rejections);
}

static void print_costs(const struct salvage_result *costs)
{
	const struct rejections *rejections = costs->rejections;

	if (!costs->configuration)
		fputs("an agent takes none of these manifests: what it has in force stays\n",
		      stderr);
	for (size_t i = 0; rejections && i < rejections->count; i++) {
		const struct rejection *item = &rejections->items[i];

		fprintf(stderr, "an agent rejects %s %s/%s: %s\n", item->kind, item->namespace,
			item->name,
			item->outcome == REJECTION_LEFT_OUT
				? "its last good version stays in force, or it is left out"
				: rejection_outcome_text(item->outcome));
	}
	if (rejections && rejections->unreadable)
		fprintf(stderr, "an agent is not ready: %zu of the files cannot be read\n",
			rejections->unreadable);
}

static size_t count_resources(const struct manifest_set *set)
{
	size_t count = set->wasm_plugin_count + set->header_propagation_count + set->gateway_count +
		       set->virtual_service_count + set->destination_rule_count +
		       set->service_count + set->workload_count;

	for (size_t i = 0; i < set->passed_over_count; i++)
		count += set->passed_over[i].count;
	return count;
}

static bool has_file(const struct manifest_set *set, const char *path)
{
	size_t length = strlen(path);

	for (size_t i = 0; i < set->file_count; i++) {
		if (strncmp(set->files[i].name, path, length) == 0)
			return true;
	}
	return false;
}

/* Most likely the path is another than was meant. */
static bool is_without_manifests(const struct configuration *configuration,
				 const struct manifest_input *input,
				 struct diagnostics *diagnostics)
{
	const struct manifest_set *set = &configuration->manifests;
	bool is_none = count_resources(set) == 0, found = false;

	for (size_t i = 0; i < input->path_count; i++) {
		if (!is_none && has_file(set, input->paths[i]))
			continue;
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR,
				(struct source_place){.file = input->paths[i]}, NULL, NULL,
				"there is no manifest");
		found = true;
	}
	return found;
}

static int check(const struct manifest_input *input, const struct check_arguments *arguments)
{
	struct diagnostics diagnostics = {0};
	struct salvage_result costs = {0};
	struct configuration *configuration =
		configuration_load_input(input, tag_only_of(&arguments->tag_only), 1, &diagnostics);
	bool is_missing = configuration && is_without_manifests(configuration, input, &diagnostics);

	if (is_missing) {
		configuration_drop(configuration);
		configuration = NULL;
	}
	int status = configuration ? 0 : EXIT_NEGATIVE;
	if (configuration) {
		warn_of_nested_canaries(configuration, &diagnostics);
		diagnostics_sort(&diagnostics);
	}
	diagnostics_print(&diagnostics, stderr);
	if (!configuration && !is_missing) {
		find_costs(input, arguments, &costs);
		print_costs(&costs);
	}
	if (arguments->json) {
		if (output_json("check", check_json(configuration, &diagnostics, costs.rejections)))
			status = EXIT_USAGE;
	} else if (configuration) {
		check_print(configuration);
		if (!output_flush("check"))
			status = EXIT_USAGE;
	}
	free_costs(&costs);
	diagnostics_free(&diagnostics);
	configuration_drop(configuration);
	return status;
}

int command_check(int argc, char **argv)
{
	struct check_arguments arguments = {0};
	struct manifest_input input = {0};
	int status = EXIT_USAGE;

	if (parse_arguments(argc, argv, &arguments)) {
		fprintf(stderr, "try: lanetag check --help\n");
	} else if (arguments.help) {
		fputs(usage, stdout);
		status = 0;
	} else {
		input.paths = (const char *const *)argv + optind;
		input.path_count = (size_t)(argc - optind);
		if (kubernetes_options_read("check", &arguments.kubernetes,
					    tag_only_of(&arguments.tag_only), &input) == 0)
			status = check(&input, &arguments);
	}
	kubernetes_options_free_objects(&input);
	tag_only_free(&arguments.tag_only);
	kubernetes_options_free(&arguments.kubernetes);
	return status;
}
