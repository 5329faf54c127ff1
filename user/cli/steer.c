/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lanetag promote, ramp, abort and rollback: one change of a directory of manifests each, shown first.
 * release/steering_*.c make the edits, release/store.c puts them in force.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/number.h"
#include "base/unix_socket.h"
#include "cli/commands.h"
#include "cli/comparison_view.h"
#include "cli/ids.h"
#include "cli/output.h"
#include "release/steering.h"
#include "release/store.h"

#define DEFAULT_COUNT 20000
#define DEFAULT_EXAMPLES 5
#define MAXIMUM_OPERANDS 32

#define COMMON_OPTIONS                                                                             \
	"  -c, --config DIR     the directory of manifests\n"                                      \
	"      --yes            apply it; without, it is only shown\n"                             \
	"      --allow-back     let users move back\n"                                             \
	"      --reason TEXT    kept in the history beside the command\n"                          \
	"      --users FILE     ids to tell of who changes sides, one a line; '-' is standard "    \
	"input\n"                                                                                  \
	"  -n, --count N        made-up ids in their place (default: 20000)\n"                     \
	"      --control PATH   the agent's Unix socket (default: " DEFAULT_CONTROL_PATH ")\n"     \
	"  -o, --output FORMAT  text, or json (one object)\n"                                      \
	"  -h, --help\n"                                                                           \
	"\n"                                                                                       \
	"Shows the files' diff and who changes sides. Files are replaced all or none; what was "   \
	"in\n"                                                                                     \
	"force is kept in DIR/.lanetag/history (20 configurations). An agent that serves DIR is\n" \
	"told to reload, and its answer is waited for.\n"                                          \
	"\n"                                                                                       \
	"A change by which users move back (the diff says BACK) is applied only with "             \
	"--allow-back.\n"                                                                          \
	"\n"                                                                                       \
	"exit status: 0 shown, or in force; 1 refused, and nothing changed (unknown names, "       \
	"another\n"                                                                                \
	"command at work, errors in the result), or the agent refused it; 2 wrong usage or "       \
	"failed\n"

static const char promote_usage[] =
	"usage: lanetag promote --config DIR [OPTION…] HOST SUBSET\n"
	"       lanetag promote --config DIR [OPTION…] HOST=SUBSET…\n"
	"\n"
	"All users get SUBSET: routes to HOST that need no tag lead to it, the routes to HOST by "
	"a\n"
	"tag end, and so do the rules for tags that no route asks for any more. Several hosts\n"
	"change in one step.\n"
	"\n" COMMON_OPTIONS "\n"
	"examples: lanetag promote --config /etc/lanetag/manifests app-c v3\n"
	"          lanetag promote --config /etc/lanetag/manifests --yes app-c v3\n";

static const char ramp_usage[] =
	"usage: lanetag ramp --config DIR [OPTION…] RULE PERCENT\n"
	"       lanetag ramp --config DIR [OPTION…] RULE=PERCENT…\n"
	"\n"
	"Gives the policy of a rule another share. RULE is TAGHEADER or TAGHEADER/TAGVALUE, with\n"
	"PLUGIN/ in front where that is needed. Who is in stays in: a smaller share is refused.\n"
	"\n" COMMON_OPTIONS "\n"
	"examples: lanetag ramp --config /etc/lanetag/manifests appver-c 75\n"
	"          lanetag ramp --config /etc/lanetag/manifests --yes appver-c/v3 75\n";

static const char abort_usage[] =
	"usage: lanetag abort --config DIR [OPTION…] HOST|RULE…\n"
	"\n"
	"All users go back to the stable version, in one step. Of a HOST, it is the version that\n"
	"users without tags get; where weights split their route, the one with the largest "
	"weight.\n"
	"Routes to HOST by a tag end, and so do rules for tags that no route asks for any more. Of "
	"a\n"
	"RULE (TAGHEADER, TAGHEADER/TAGVALUE, PLUGIN/ in front where that is needed), no user "
	"gets\n"
	"the tag any more, ids that it includes neither. That users move back is what you ask "
	"for:\n"
	"--allow-back is not needed.\n"
	"\n" COMMON_OPTIONS "\n"
	"examples: lanetag abort --config /etc/lanetag/manifests app-c\n"
	"          lanetag abort --config /etc/lanetag/manifests --yes --reason 'errors' app-c\n";

static const char rollback_usage[] =
	"usage: lanetag rollback --config DIR [OPTION…] [N]\n"
	"       lanetag rollback --config DIR --list\n"
	"\n"
	"Back to the configuration before the last change by promote, ramp or rollback, or the "
	"N-th\n"
	"from the last. A rollback is a change like others: it can be rolled back.\n"
	"\n" COMMON_OPTIONS
	"      --list           the configurations that are kept, newest first\n"
	"\n"
	"examples: lanetag rollback --config /etc/lanetag/manifests --list\n"
	"          lanetag rollback --config /etc/lanetag/manifests --yes --allow-back 1\n";

enum {
	OPTION_YES = 256,
	OPTION_USERS,
	OPTION_CONTROL,
	OPTION_ALLOW_BACK,
	OPTION_LIST,
	OPTION_REASON
};

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"yes", no_argument, NULL, OPTION_YES},
	{"users", required_argument, NULL, OPTION_USERS},
	{"count", required_argument, NULL, 'n'},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{"allow-back", no_argument, NULL, OPTION_ALLOW_BACK},
	{"list", no_argument, NULL, OPTION_LIST},
	{"reason", required_argument, NULL, OPTION_REASON},
	{0},
};

struct steer {
	const char *command;
	const char *config, *users_file, *control, *reason;
	uint64_t count;
	bool yes, json, help, allow_back, list;
	char **operands;
	int operand_count;

	struct store store;
	struct changes changes;
	struct configuration *before, *after;
	struct comparison *comparison;
	struct buffer says;	  /* remarks, or why not */
	struct buffer store_says; /* of the files, in lines */
	struct buffer diff;
	const char *agent; /* what became of it there; NULL: nothing was applied */
	bool taken_back;   /* since the agent refused it */
	char answer[512];
	int status;
};

static int parse_option(struct steer *steer, int option)
{
	switch (option) {
	case 'c':
		steer->config = optarg;
		return 0;
	case OPTION_YES:
		steer->yes = true;
		return 0;
	case OPTION_USERS:
		steer->users_file = optarg;
		return 0;
	case 'n':
		return ids_parse_count(steer->command, optarg, &steer->count);
	case OPTION_CONTROL:
		steer->control = optarg;
		return 0;
	case 'o':
		return output_parse_format(steer->command, optarg, &steer->json);
	case 'h':
		steer->help = true;
		return 0;
	case OPTION_REASON:
		steer->reason = optarg;
		return 0;
	case OPTION_ALLOW_BACK:
		steer->allow_back = true;
		return 0;
	case OPTION_LIST:
		steer->list = true;
		return strcmp(steer->command, "rollback") == 0 ? 0 : -1;
	default:
		return -1;
	}
}

/* 0, 1 (help was printed) or -1 (told). */
static int parse_arguments(struct steer *steer, int argc, char **argv, const char *usage,
			   int minimum, int maximum)
{
	int option, error = 0;

	while (!error && (option = getopt_long(argc, argv, "c:n:o:h", options, NULL)) != -1)
		error = parse_option(steer, option);
	if (!error && steer->help) {
		fputs(usage, stdout);
		return 1;
	}
	steer->operands = argv + optind;
	steer->operand_count = argc - optind;
	if (!error && !steer->config) {
		fprintf(stderr, "lanetag %s: --config DIR is missing\n", steer->command);
		error = -1;
	}
	if (!error && (steer->operand_count < minimum || steer->operand_count > maximum)) {
		fprintf(stderr, "lanetag %s: wrong number of arguments\n", steer->command);
		error = -1;
	}
	if (error)
		fprintf(stderr, "try: lanetag %s --help\n", steer->command);
	return error;
}

static struct configuration *load(const char *directory)
{
	struct diagnostics diagnostics = {0};
	struct configuration *configuration = configuration_load(&directory, 1, 1, &diagnostics);

	if (!configuration)
		diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	return configuration;
}

/* Prints what was said of the files. Gives `error` on. */
static int tell_of_files(struct steer *steer, int error)
{
	struct span rest = buffer_span(&steer->store_says), line;

	while (rest.length && span_cut(rest, '\n', &line, &rest))
		fprintf(stderr, "lanetag %s: %.*s\n", steer->command, SPAN_ARGUMENTS(line));
	buffer_clear(&steer->store_says);
	return error;
}

static int open_steer(struct steer *steer)
{
	int error = tell_of_files(steer, store_open(steer->config, steer->command, steer->yes,
						    &steer->store, &steer->store_says));

	if (error)
		return error > 0 ? EXIT_NEGATIVE : EXIT_USAGE;
	error = changes_open(steer->config, &steer->changes, &steer->store_says);
	return tell_of_files(steer, error) ? EXIT_USAGE : 0;
}

static void close_steer(struct steer *steer)
{
	comparison_free(steer->comparison);
	configuration_drop(steer->before);
	configuration_drop(steer->after);
	changes_free(&steer->changes);
	store_close(&steer->store);
	buffer_free(&steer->says);
	buffer_free(&steer->store_says);
	buffer_free(&steer->diff);
}

/* An exit status. */
static int refuse(struct steer *steer)
{
	const char *why = steer->says.length ? buffer_text(&steer->says) : "out of memory";

	fprintf(stderr, "lanetag %s: nothing changed: %s\n", steer->command, why);
	return EXIT_NEGATIVE;
}

static int compare_names(const void *left, const void *right)
{
	const struct manifest_file *a = left, *b = right;

	return strcmp(a->name, b->name);
}

/* The result is read as the agent will, before any of it is in place, and nowhere but in memory. */
static struct configuration *load_result(const struct steer *steer)
{
	const struct changes *changes = &steer->changes;
	struct manifest_file *files = calloc(changes->file_count + 1, sizeof(*files));
	struct configuration *configuration = NULL;
	struct diagnostics diagnostics = {0};
	size_t count = 0;

	if (!files) {
		fprintf(stderr, "lanetag %s: out of memory\n", steer->command);
		return NULL;
	}
	for (size_t i = 0; i < changes->file_count; i++) {
		const struct changed_file *file = &changes->files[i];

		if (file->is)
			files[count++] = (struct manifest_file){
				file->name, file->new.data ? file->new.data : "", file->new.length};
	}
	qsort(files, count, sizeof(*files), compare_names);
	configuration = configuration_load_files(files, count, MANIFEST_ALL, 1, &diagnostics);
	if (!configuration)
		diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	free(files);
	return configuration;
}

static int compare(struct steer *steer)
{
	struct id_source source;
	struct span id;
	int next = ids_open(&source, steer->command, steer->users_file, steer->count);

	steer->comparison =
		next ? NULL : comparison_new(steer->before, steer->after, DEFAULT_EXAMPLES);
	if (!steer->comparison)
		next = -1;
	while (next == 0 && (next = ids_next(&source, &id)) > 0) {
		next = comparison_add(steer->comparison, id);
		if (next)
			fprintf(stderr, "lanetag %s: out of memory\n", steer->command);
	}
	ids_close(&source);
	return next < 0 ? EXIT_USAGE : 0;
}

/* Lets the agent read the manifests and takes its line of an answer. 0 or a negative errno. */
static int ask_agent(const struct steer *steer, int fd, char *answer, size_t size)
{
	char directory[PATH_MAX];
	struct buffer command = {0};

	buffer_printf(&command, "reload %s\n", realpath(steer->config, directory) ? directory : "");
	int error = buffer_text(&command) ? unix_socket_write(fd, command.data) : -ENOMEM;
	if (!error)
		error = unix_socket_read_line(fd, answer, size);
	buffer_free(&command);
	return error;
}

/* steer->agent: "in force", "none" that serves the directory, "refused", or "silent". */
static int tell_agent(struct steer *steer)
{
	int fd = steer->control[0] ? unix_socket_connect(steer->control) : -ENOENT;

	steer->agent = "none";
	if (!steer->control[0])
		return 0;
	if (fd < 0) {
		snprintf(steer->answer, sizeof(steer->answer), "no agent at %s: %s", steer->control,
			 strerror(-fd));
		return 0;
	}
	int error = ask_agent(steer, fd, steer->answer, sizeof(steer->answer));
	close(fd);
	if (error) {
		steer->agent = "silent";
		snprintf(steer->answer, sizeof(steer->answer), "no answer: %s", strerror(-error));
		return EXIT_NEGATIVE;
	}
	if (strncmp(steer->answer, "other", 5) == 0)
		return 0;
	steer->agent = strncmp(steer->answer, "ok ", 3) == 0 ? "in force" : "refused";
	return strcmp(steer->agent, "in force") == 0 ? 0 : EXIT_NEGATIVE;
}

/* The agent refused the change: left as it is, the directory would be refused at the next start. */
static int take_back(struct steer *steer)
{
	char answer[sizeof(steer->answer)];

	int error = store_undo(&steer->store, &steer->changes, &steer->store_says);
	if (tell_of_files(steer, error))
		return -1;
	steer->taken_back = true;
	int fd = unix_socket_connect(steer->control);
	if (fd >= 0) {
		ask_agent(steer, fd, answer, sizeof(answer)); /* its watch sees it all the same */
		close(fd);
	}
	return 0;
}

static int apply(struct steer *steer)
{
	struct buffer why = {0};

	buffer_append_text(&why, steer->command);
	for (int i = 0; i < steer->operand_count; i++)
		buffer_printf(&why, " %s", steer->operands[i]);
	if (steer->reason)
		buffer_printf(&why, ": %s", steer->reason);
	const char *text = buffer_text(&why);
	int error = !text || store_apply(&steer->store, &steer->changes, text, &steer->store_says);
	tell_of_files(steer, error);
	buffer_free(&why);
	if (error)
		return EXIT_USAGE;
	int status = tell_agent(steer);
	if (strcmp(steer->agent, "refused") == 0 && take_back(steer))
		return EXIT_USAGE;
	return status;
}

static bool is_ramp(const struct steer *steer)
{
	return strcmp(steer->command, "ramp") == 0;
}

/* Users would, and it was not said that they may. */
static bool moves_back(const struct steer *steer)
{
	return steer->comparison && !steer->allow_back && comparison_moves_back(steer->comparison);
}

static int print_json(const struct steer *steer)
{
	json_t *files = json_array();

	for (size_t i = 0; i < steer->changes.file_count; i++) {
		const struct changed_file *file = &steer->changes.files[i];

		if (changed_file_differs(file))
			json_array_append_new(files, output_json_text(span_of(file->name), NULL));
	}
	return output_json(
		steer->command,
		json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:s?, s:s?}", "command", steer->command,
			  "applied", steer->agent && !steer->taken_back, "files", files, "diff",
			  output_json_text(buffer_span(&steer->diff), NULL), "remarks",
			  output_json_text(buffer_span(&steer->says), NULL), "users",
			  steer->comparison ? comparison_json(steer->comparison) : json_null(),
			  "agent", steer->agent, "answer",
			  steer->answer[0] ? steer->answer : NULL));
}

static void print_text(const struct steer *steer)
{
	if (steer->diff.length == 0)
		puts("nothing to change: the manifests say this already");
	fwrite(steer->diff.data ? steer->diff.data : "", 1, steer->diff.length, stdout);
	fwrite(steer->says.data ? steer->says.data : "", 1, steer->says.length, stdout);
	if (steer->comparison)
		comparison_print(steer->comparison);
	if (steer->agent)
		printf("%s; agent: %s%s%s\n",
		       steer->taken_back ? "taken back, nothing changed" : "applied", steer->agent,
		       steer->answer[0] ? ": " : "", steer->answer);
	else if (steer->diff.length)
		printf("not applied: --yes%s does\n", moves_back(steer) ? " --allow-back" : "");
}

/* Checks, compares, applies and tells. An exit status. */
static int carry_out(struct steer *steer)
{
	int status = 0;

	if (changes_finish(&steer->changes)) {
		changes_diff(&steer->changes, &steer->diff);
		steer->after = load_result(steer);
		if (!steer->after) {
			buffer_clear(&steer->says);
			buffer_append_text(&steer->says, "the result would have errors");
			return refuse(steer);
		}
		if (steer->before)
			status = compare(steer);
		if (!status && moves_back(steer) && (steer->yes || is_ramp(steer))) {
			buffer_clear(&steer->says);
			buffer_append_text(&steer->says,
					   "users would move back (--allow-back lets them)");
			return refuse(steer);
		}
		if (!status && steer->yes)
			status = apply(steer);
		if (status == EXIT_USAGE)
			return status;
	}
	if (steer->json) {
		if (print_json(steer))
			return EXIT_USAGE;
	} else {
		print_text(steer);
	}
	return output_flush(steer->command) ? status : EXIT_USAGE;
}

static int load_before(struct steer *steer)
{
	steer->before = load(steer->config);
	if (steer->before)
		return 0;
	buffer_append_text(&steer->says, "the manifests have errors");
	return refuse(steer);
}

/* What the operands give each name: "NAME VALUE", or "NAME=VALUE…". */
struct pairs {
	char *names[MAXIMUM_OPERANDS]; /* owned */
	const char *values[MAXIMUM_OPERANDS];
	size_t count;
};

static void free_pairs(struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++)
		free(pairs->names[i]);
}

/* 0, or -1 (told). free_pairs in both cases. */
static int read_pairs(const struct steer *steer, struct pairs *pairs)
{
	bool is_one = steer->operand_count == 2 && !strchr(steer->operands[0], '=') &&
		      !strchr(steer->operands[1], '=');

	for (int i = 0; i < (is_one ? 1 : steer->operand_count); i++) {
		const char *operand = steer->operands[i], *equals = strrchr(operand, '=');
		size_t length = is_one ? strlen(operand) : equals ? (size_t)(equals - operand) : 0;

		if (length == 0 || (!is_one && !equals[1])) {
			fprintf(stderr, "lanetag %s: '%s' is not NAME=VALUE\n", steer->command,
				operand);
			return -1;
		}
		pairs->names[pairs->count] = span_copy((struct span){operand, length});
		pairs->values[pairs->count] = is_one ? steer->operands[1] : equals + 1;
		if (!pairs->names[pairs->count++]) {
			fprintf(stderr, "lanetag %s: out of memory\n", steer->command);
			return -1;
		}
	}
	return 0;
}

static int promote_pairs(struct steer *steer, const struct pairs *pairs)
{
	struct steering_target targets[MAXIMUM_OPERANDS] = {0};
	int status = open_steer(steer);

	for (size_t i = 0; i < pairs->count; i++)
		targets[i] = (struct steering_target){pairs->names[i], pairs->values[i], false};
	if (!status)
		status = load_before(steer);
	if (!status &&
	    steering_promote(steer->before, &steer->changes, targets, pairs->count, &steer->says))
		return refuse(steer);
	return status ? status : carry_out(steer);
}

static int promote(struct steer *steer)
{
	struct pairs pairs = {0};
	int status = read_pairs(steer, &pairs) ? EXIT_USAGE : promote_pairs(steer, &pairs);

	free_pairs(&pairs);
	return status;
}

/* Hosts in one step, so that a rule ends that only they need together. */
static int abort_operands(struct steer *steer)
{
	struct steering_target targets[MAXIMUM_OPERANDS];
	struct buffer no_host = {0};
	size_t count = 0;
	int error = 0;

	for (int i = 0; i < steer->operand_count && !error; i++) {
		char *operand = steer->operands[i];

		buffer_clear(&no_host);
		if (steering_has_host(steer->before, operand, &no_host)) {
			targets[count++] = (struct steering_target){operand, NULL, true};
			continue;
		}
		error = steering_stop(steer->before, &steer->changes, operand, &steer->says);
		if (error && no_host.length)
			buffer_printf(&steer->says, "; and %s", buffer_text(&no_host));
	}
	if (!error && count)
		error = steering_promote(steer->before, &steer->changes, targets, count,
					 &steer->says);
	for (size_t i = 0; i < count && !error; i++)
		buffer_printf(&steer->says, "stable version of %s: %s\n", targets[i].host,
			      targets[i].subset);
	buffer_free(&no_host);
	return error;
}

static int abort_release(struct steer *steer)
{
	int status = open_steer(steer);

	steer->allow_back = true;
	if (!status)
		status = load_before(steer);
	if (!status && abort_operands(steer))
		return refuse(steer);
	return status ? status : carry_out(steer);
}

static int parse_percent(const char *text, uint32_t *ret_percent)
{
	uint64_t whole, fraction = 0;
	struct span head, tail;
	bool point = span_cut(span_of(text), '.', &head, &tail);

	if (parse_unsigned(head, 100, &whole) ||
	    (point && (tail.length > 2 || parse_unsigned(tail, 99, &fraction))))
		return -1;
	if (tail.length == 1)
		fraction *= 10;
	*ret_percent = (uint32_t)(whole * 100 + fraction);
	return *ret_percent <= 10000 ? 0 : -1;
}

static int parse_share(const char *text, uint32_t *ret_percent)
{
	if (parse_percent(text, ret_percent) == 0)
		return 0;
	fprintf(stderr, "lanetag ramp: '%s' is no percentage from 0 to 100 in steps of 0.01\n",
		text);
	return -1;
}

static int ramp_pairs(struct steer *steer, const struct pairs *pairs)
{
	uint32_t percents[MAXIMUM_OPERANDS];

	for (size_t i = 0; i < pairs->count; i++) {
		if (parse_share(pairs->values[i], &percents[i]))
			return EXIT_USAGE;
	}
	int status = open_steer(steer);
	if (!status)
		status = load_before(steer);
	for (size_t i = 0; i < pairs->count && !status; i++) {
		if (steering_ramp(steer->before, &steer->changes, pairs->names[i], percents[i],
				  steer->allow_back, &steer->says))
			return refuse(steer);
	}
	return status ? status : carry_out(steer);
}

static int ramp(struct steer *steer)
{
	struct pairs pairs = {0};
	int status = read_pairs(steer, &pairs) ? EXIT_USAGE : ramp_pairs(steer, &pairs);

	free_pairs(&pairs);
	return status;
}

static int list_history(const struct steer *steer, const struct history_entry *entries,
			size_t count)
{
	json_t *list = steer->json ? json_array() : NULL;

	for (size_t i = 0; i < count; i++) {
		char time_text[32] = "";
		time_t time = entries[i].time;
		struct tm fields;

		if (gmtime_r(&time, &fields))
			strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%SZ", &fields);
		if (list)
			json_array_append_new(
				list, json_pack("{s:I, s:s, s:o}", "n", (json_int_t)i + 1, "until",
						time_text, "before",
						output_json_text(span_of(entries[i].why), NULL)));
		else
			printf("%2zu  until %s, before: %s\n", i + 1, time_text, entries[i].why);
	}
	if (!list && count == 0)
		puts("no configuration is kept: nothing was changed yet by promote or ramp");
	if (list)
		return output_json("rollback", json_pack("{s:o}", "history", list)) ? EXIT_USAGE
										    : 0;
	return output_flush("rollback") ? 0 : EXIT_USAGE;
}

static int recall(struct steer *steer, const struct history_entry *entries, size_t count)
{
	uint64_t number = 1;

	if (steer->operand_count &&
	    (parse_unsigned(span_of(steer->operands[0]), UINT32_MAX, &number) || number == 0)) {
		fprintf(stderr, "lanetag rollback: '%s' is no number from 1 on\n",
			steer->operands[0]);
		return EXIT_USAGE;
	}
	if (number > count) {
		buffer_printf(&steer->says, "of the configurations before, %zu are kept", count);
		return refuse(steer);
	}
	if (tell_of_files(steer, store_recall(&steer->store, &entries[number - 1], &steer->changes,
					      &steer->store_says)))
		return EXIT_USAGE;
	steer->before = load(steer->config); /* broken ones are what one rolls back from */
	return carry_out(steer);
}

static int rollback(struct steer *steer)
{
	struct history_entry *entries = NULL;
	size_t count = 0;
	int status;

	if (steer->list)
		steer->yes = false;
	status = open_steer(steer);
	if (!status && tell_of_files(steer, store_history(&steer->store, &entries, &count,
							  &steer->store_says)))
		status = EXIT_USAGE;
	if (!status)
		status = steer->list ? list_history(steer, entries, count)
				     : recall(steer, entries, count);
	history_free(entries, count);
	return status;
}

static int run(int argc, char **argv, const char *usage, int minimum, int maximum,
	       int (*work)(struct steer *steer))
{
	struct steer steer = {
		.command = argv[0],
		.control = DEFAULT_CONTROL_PATH,
		.count = DEFAULT_COUNT,
		.store = {.directory = -1, .own = -1, .lock = -1},
	};
	int error = parse_arguments(&steer, argc, argv, usage, minimum, maximum);

	if (error)
		return error < 0 ? EXIT_USAGE : 0;
	int status = work(&steer);
	close_steer(&steer);
	return status;
}

int command_promote(int argc, char **argv)
{
	return run(argc, argv, promote_usage, 1, MAXIMUM_OPERANDS, promote);
}

int command_ramp(int argc, char **argv)
{
	return run(argc, argv, ramp_usage, 1, MAXIMUM_OPERANDS, ramp);
}

int command_rollback(int argc, char **argv)
{
	return run(argc, argv, rollback_usage, 0, 1, rollback);
}

int command_abort(int argc, char **argv)
{
	return run(argc, argv, abort_usage, 1, MAXIMUM_OPERANDS, abort_release);
}
