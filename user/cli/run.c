/* SPDX-License-Identifier: GPL-2.0-only */
/* lanetag run: options to the agent. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/address.h"
#include "base/array.h"
#include "base/number.h"
#include "cli/commands.h"
#include "cli/kubernetes_options.h"
#include "cli/log_options.h"
#include "cli/path_option.h"
#include "cli/tag_only.h"

#define DEFAULT_PIN_DIRECTORY "/sys/fs/bpf/lanetag"
#define DEFAULT_DRAIN_TIMEOUT_MS 10000
#define DEFAULT_INTERCEPT_PORT 15001
#define DEFAULT_ARRIVALS 16384
#define MINIMUM_ARRIVALS 1024
#define MAXIMUM_ARRIVALS 1048576

static const char usage[] =
	"usage: lanetag run --config PATH [OPTION…]\n"
	"       lanetag run --kubernetes [--config PATH] [OPTION…]\n"
	"\n"
	"Runs the node agent: listens on the Gateways' ports and the Services' addresses of the\n"
	"manifests, tags, propagates and routes. Changed manifests and SIGHUP reload; SIGTERM "
	"drains.\n"
	"\n"
	"  -c, --config PATH          manifests: a file or a directory; may be "
	"repeated\n" KUBERNETES_USAGE
	"      --kubernetes-state FILE  where the cluster's last state is kept, so that an agent "
	"starts\n"
	"                             without the API server (default: nowhere)\n"
	"      --kubernetes-watch SECONDS  how long a watch of the API server lasts at least, at "
	"most twice\n"
	"                             as long; silence longer than that is a failure (default: "
	"300)\n"
	"      --no-route NEXT        tag only: every request goes to NEXT, which routes; "
	"ADDRESS:PORT, or\n"
	"                             HOST:PORT of a Service or ServiceEntry of the manifests "
	"(default: the\n"
	"                             manifests' routes), see docs/operations.md\n"
	"      --listen ADDRESS:PORT  with --no-route: listen here, not at the Gateways' ports; "
	"may be "
	"repeated\n"
	"  -i, --interface PATTERN    where the kernel tagger attaches: a name or a pattern such "
	"as 'veth*',\n"
	"                             also interfaces that come later; may be repeated (default: "
	"'*')\n"
	"      --pin-directory DIR    where its maps are pinned (default: " DEFAULT_PIN_DIRECTORY
	")\n"
	"      --pod-interface PATTERN  the pods' interfaces on the node: requests to pods are "
	"noted "
	"there by\n"
	"                             their trace and request ids, see docs/propagation.md; may be "
	"repeated (default: none)\n"
	"      --trace-header NAME    one more header that holds such an id, at most two (known: "
	"traceparent, b3,\n"
	"                             x-b3-traceid, x-request-id, x-datadog-trace-id)\n"
	"      --arrivals N           room for so many requests to pods, a power of two (default: "
	"16384; 1.8 KB each)\n"
	"      --correlate-threads NAME  programs (as in /proc/PID/comm) whose calls may get the "
	"tags of "
	"the request\n"
	"                             that the calling thread has received; '*' for all; may be "
	"repeated. Needs\n"
	"                             --pod-interface, and thread in lanetag.io/propagation-ways "
	"(default: none)\n"
	"      --intercept ADDRESS    lead pods' calls of Services to the agent, which accepts "
	"them "
	"at this\n"
	"                             address of the node that pods reach; once per family, see\n"
	"                             docs/interception.md (default: calls reach the agent as the "
	"network\n"
	"                             leads them)\n"
	"      --intercept-port PORT  and at this port (default: 15001)\n"
	"      --intercept-cgroup DIR whose processes (default: the root of cgroup v2, all pods)\n"
	"      --intercept-namespace NAME  whose pods' calls; may be repeated (default: all)\n"
	"      --intercept-fail WAY   when the agent doesn't serve: open, calls go directly; "
	"closed, "
	"they are\n"
	"                             refused (default: open)\n"
	"      --no-kernel            without the kernel tagger: the agent decides alone\n"
	"  -a, --admin ADDRESS:PORT   /metrics, /status, /healthz, /readyz "
	"(default: " DEFAULT_ADMIN_ADDRESS "; '' for none)\n"
	"      --monitoring ADDRESS:PORT  the same without /status, for other machines (default: "
	"none)\n"
	"  -w, --workers N            worker threads (default: one per processor)\n"
	"      --drain-timeout MS     how long SIGTERM waits for requests under way (default: "
	"10000)\n"
	"      --path-normalization WAY  paths before a route is picked, and as they go on: base "
	"(dot segments,\n"
	"                             backslashes), none, merge-slashes, or "
	"decode-and-merge-slashes\n"
	"                             (default: base, as Istio's)\n"
	"      --foreign-hosts WAY    calls to a Service's address with a Host that no resource "
	"has: "
	"pass (they\n"
	"                             go to that Service, as Istio's ALLOW_ANY; the default) or "
	"refuse (404)\n"
	"      --limit NAME=NUMBER    a limit or timeout of the proxy (list below); may be "
	"repeated\n"
	"      --access-log FILE      a line per request; '-': standard output (default: none)\n"
	"      --access-log-format F  json or common (default: json)\n"
	"      --access-log-user-ids F  hashed; none; or raw, which puts personal data into the "
	"log "
	"(default: hashed)\n"
	"      --access-log-key-file FILE  of whose bytes (16 or more) the key of the hashes is "
	"made, "
	"so that the\n"
	"                             same user has the same hash on all nodes and after a "
	"restart\n"
	"                             (default: a random key for each start)\n"
	"      --control PATH         the Unix socket for commands; root's and the agent's user's "
	"alone\n"
	"                             (default: " DEFAULT_CONTROL_PATH "; '' for none)\n"
	"      --takeover             take the work over from the agent that listens there, "
	"without\n"
	"                             refusing a connection; without one just start\n"
	"      --after-handover DO    what an agent does that was taken over, once drained: exit, "
	"or\n"
	"                             wait for SIGTERM, where a supervisor would start it anew "
	"(default: exit)\n"
	"      --no-seccomp           don't restrict the agent's system calls once it serves\n"
	"      --log-level LEVEL      error, warning, info or debug (default: info)\n"
	"      --log-format FORMAT    of standard error: logfmt or json (default: logfmt)\n"
	"  -h, --help\n"
	"\n"
	"example: lanetag run --config /etc/lanetag --interface eth0 --interface 'veth*'\n";

enum {
	OPTION_PIN_DIRECTORY = 256,
	OPTION_NO_ROUTE,
	OPTION_LISTEN,
	OPTION_POD_INTERFACE,
	OPTION_TRACE_HEADER,
	OPTION_ARRIVALS,
	OPTION_CORRELATE_THREADS,
	OPTION_INTERCEPT,
	OPTION_INTERCEPT_PORT,
	OPTION_INTERCEPT_CGROUP,
	OPTION_INTERCEPT_NAMESPACE,
	OPTION_INTERCEPT_FAIL,
	OPTION_NO_KERNEL,
	OPTION_MONITORING,
	OPTION_DRAIN_TIMEOUT,
	OPTION_LIMIT,
	OPTION_PATH_NORMALIZATION,
	OPTION_FOREIGN_HOSTS,
	OPTION_ACCESS_LOG,
	OPTION_ACCESS_LOG_FORMAT,
	OPTION_ACCESS_LOG_USER_IDS,
	OPTION_ACCESS_LOG_KEY_FILE,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
	OPTION_CONTROL,
	OPTION_TAKEOVER,
	OPTION_AFTER_HANDOVER,
	OPTION_NO_SECCOMP
};

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	KUBERNETES_OPTIONS,
	KUBERNETES_LASTING_OPTIONS,
	{"no-route", required_argument, NULL, OPTION_NO_ROUTE},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"interface", required_argument, NULL, 'i'},
	{"pin-directory", required_argument, NULL, OPTION_PIN_DIRECTORY},
	{"pod-interface", required_argument, NULL, OPTION_POD_INTERFACE},
	{"trace-header", required_argument, NULL, OPTION_TRACE_HEADER},
	{"correlate-threads", required_argument, NULL, OPTION_CORRELATE_THREADS},
	{"arrivals", required_argument, NULL, OPTION_ARRIVALS},
	{"intercept", required_argument, NULL, OPTION_INTERCEPT},
	{"intercept-port", required_argument, NULL, OPTION_INTERCEPT_PORT},
	{"intercept-cgroup", required_argument, NULL, OPTION_INTERCEPT_CGROUP},
	{"intercept-namespace", required_argument, NULL, OPTION_INTERCEPT_NAMESPACE},
	{"intercept-fail", required_argument, NULL, OPTION_INTERCEPT_FAIL},
	{"no-kernel", no_argument, NULL, OPTION_NO_KERNEL},
	{"admin", required_argument, NULL, 'a'},
	{"monitoring", required_argument, NULL, OPTION_MONITORING},
	{"workers", required_argument, NULL, 'w'},
	{"drain-timeout", required_argument, NULL, OPTION_DRAIN_TIMEOUT},
	{"limit", required_argument, NULL, OPTION_LIMIT},
	{"path-normalization", required_argument, NULL, OPTION_PATH_NORMALIZATION},
	{"foreign-hosts", required_argument, NULL, OPTION_FOREIGN_HOSTS},
	{"access-log", required_argument, NULL, OPTION_ACCESS_LOG},
	{"access-log-format", required_argument, NULL, OPTION_ACCESS_LOG_FORMAT},
	{"access-log-user-ids", required_argument, NULL, OPTION_ACCESS_LOG_USER_IDS},
	{"access-log-key-file", required_argument, NULL, OPTION_ACCESS_LOG_KEY_FILE},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"takeover", no_argument, NULL, OPTION_TAKEOVER},
	{"after-handover", required_argument, NULL, OPTION_AFTER_HANDOVER},
	{"no-seccomp", no_argument, NULL, OPTION_NO_SECCOMP},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct run_arguments {
	const char **paths;
	size_t path_count;
	struct tag_only_arguments tag_only;
	struct kubernetes_arguments kubernetes;
	const char **interfaces;
	size_t interface_count;
	const char **pod_interfaces;
	size_t pod_interface_count;
	const char **thread_programs;
	size_t thread_program_count;
	bool intercepts[LANETAG_FAMILIES];
	const char *access_log_key_file; /* NULL: a random key */
	unsigned intercept_port;
	const char **intercept_namespaces;
	size_t intercept_namespace_count;
	struct agent_options agent;
	bool help;
};

/* One of two words in the option's argument; *ret_second: it is the second. */
static int parse_either(const char *option, const char *first, const char *second, bool *ret_second)
{
	*ret_second = strcmp(optarg, second) == 0;
	if (*ret_second || strcmp(optarg, first) == 0)
		return 0;
	fprintf(stderr, "lanetag run: %s: '%s' is neither %s nor %s\n", option, optarg, first,
		second);
	return -1;
}

static int parse_number(const char *option, const char *text, unsigned maximum, unsigned *ret_value)
{
	uint64_t value;

	if (parse_unsigned(span_of(text), maximum, &value)) {
		fprintf(stderr, "lanetag run: %s: '%s' is no number from 0 to %u\n", option, text,
			maximum);
		return -1;
	}
	*ret_value = (unsigned)value;
	return 0;
}

static int append(const char ***list, size_t *count, const char *text)
{
	const char **item = ARRAY_APPEND(*list, *count);

	if (!item)
		return -1;
	*item = text;
	return 0;
}

static int parse_intercept_address(struct run_arguments *arguments)
{
	struct lanetag_destination *agents = arguments->agent.interception.agent;
	uint8_t address[16];

	if (address_parse(optarg, address) || address_is_any(address)) {
		fprintf(stderr, "lanetag run: --intercept: '%s' is no address\n", optarg);
		return -1;
	}
	int family = address_is_ipv4(address) ? LANETAG_IPV4 : LANETAG_IPV6;
	if (arguments->intercepts[family]) {
		fprintf(stderr, "lanetag run: --intercept: '%s' is the second of its family\n",
			optarg);
		return -1;
	}
	memcpy(agents[family].address, address, sizeof(address));
	arguments->intercepts[family] = true;
	return 0;
}

static int parse_interception_option(int option, struct run_arguments *arguments)
{
	struct interception_options *interception = &arguments->agent.interception;

	switch (option) {
	case OPTION_INTERCEPT:
		return parse_intercept_address(arguments);
	case OPTION_INTERCEPT_PORT:
		if (parse_number("--intercept-port", optarg, 65535, &arguments->intercept_port))
			return -1;
		if (arguments->intercept_port)
			return 0;
		fprintf(stderr, "lanetag run: --intercept-port: '0' is no port\n");
		return -1;
	case OPTION_INTERCEPT_CGROUP:
		interception->cgroup = optarg;
		return 0;
	case OPTION_INTERCEPT_NAMESPACE:
		return append(&arguments->intercept_namespaces,
			      &arguments->intercept_namespace_count, optarg);
	case OPTION_INTERCEPT_FAIL:
		return parse_either("--intercept-fail", "open", "closed",
				    &interception->fail_closed);
	default:
		return -1; /* getopt said why */
	}
}

static int parse_arrivals_option(int option, struct run_arguments *arguments)
{
	struct agent_options *agent = &arguments->agent;
	int error;

	switch (option) {
	case OPTION_POD_INTERFACE:
		return append(&arguments->pod_interfaces, &arguments->pod_interface_count, optarg);
	case OPTION_CORRELATE_THREADS:
		return append(&arguments->thread_programs, &arguments->thread_program_count,
			      optarg);
	case OPTION_TRACE_HEADER:
		error = arrivals_add_field(&agent->arrivals_fields, span_of(optarg));
		if (error)
			fprintf(stderr, "lanetag run: --trace-header: '%s' %s\n", optarg,
				error == -ENOSPC ? "is one too many" : "is no header's name");
		return error;
	case OPTION_ARRIVALS:
		if (parse_number("--arrivals", optarg, MAXIMUM_ARRIVALS, &agent->arrivals.capacity))
			return -1;
		if (agent->arrivals.capacity >= MINIMUM_ARRIVALS &&
		    (agent->arrivals.capacity & (agent->arrivals.capacity - 1)) == 0)
			return 0;
		fprintf(stderr, "lanetag run: --arrivals: '%s' is no power of two from %d to %d\n",
			optarg, MINIMUM_ARRIVALS, MAXIMUM_ARRIVALS);
		return -1;
	default:
		return parse_interception_option(option, arguments);
	}
}

static int parse_user_ids_form(const char *text, enum access_log_user_ids *ret_form)
{
	static const char *const names[] = {
		[ACCESS_LOG_USER_IDS_HASHED] = "hashed",
		[ACCESS_LOG_USER_IDS_RAW] = "raw",
		[ACCESS_LOG_USER_IDS_NONE] = "none",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_form = (enum access_log_user_ids)i;
			return 0;
		}
	}
	fprintf(stderr, "lanetag run: --access-log-user-ids: '%s' is none of hashed, raw, none\n",
		text);
	return -1;
}

static int parse_log_option(int option, struct run_arguments *arguments)
{
	switch (option) {
	case OPTION_ACCESS_LOG:
		arguments->agent.proxy.access_log = optarg;
		return 0;
	case OPTION_ACCESS_LOG_FORMAT:
		arguments->agent.proxy.access_log_is_common = strcmp(optarg, "common") == 0;
		if (arguments->agent.proxy.access_log_is_common || strcmp(optarg, "json") == 0)
			return 0;
		fprintf(stderr,
			"lanetag run: --access-log-format: '%s' is neither json nor common\n",
			optarg);
		return -1;
	case OPTION_ACCESS_LOG_USER_IDS:
		return parse_user_ids_form(optarg, &arguments->agent.proxy.access_log_user_ids);
	case OPTION_ACCESS_LOG_KEY_FILE:
		arguments->access_log_key_file = optarg;
		return 0;
	case OPTION_LOG_LEVEL:
		return log_option_level("run", optarg);
	case OPTION_LOG_FORMAT:
		return log_option_format("run", optarg);
	default:
		return parse_arrivals_option(option, arguments);
	}
}

static int parse_option(int option, struct run_arguments *arguments)
{
	switch (option) {
	case 'c':
		return append(&arguments->paths, &arguments->path_count, optarg);
	case 'i':
		return append(&arguments->interfaces, &arguments->interface_count, optarg);
	case OPTION_NO_ROUTE:
		return tag_only_parse_next_hop("run", optarg, &arguments->tag_only);
	case OPTION_LISTEN:
		return tag_only_parse_listener("run", optarg, &arguments->tag_only);
	case OPTION_PIN_DIRECTORY:
		arguments->agent.tagger.pin_directory = optarg;
		return 0;
	case OPTION_CONTROL:
		arguments->agent.control_path = optarg;
		return 0;
	case OPTION_AFTER_HANDOVER:
		return parse_either("--after-handover", "exit", "wait",
				    &arguments->agent.waits_after_handover);
	case OPTION_NO_SECCOMP:
		arguments->agent.without_seccomp = true;
		return 0;
	case OPTION_TAKEOVER:
		arguments->agent.takeover = true;
		return 0;
	case OPTION_NO_KERNEL:
		arguments->agent.use_kernel = false;
		return 0;
	case 'a':
		arguments->agent.addresses.admin = optarg;
		return 0;
	case OPTION_MONITORING:
		arguments->agent.addresses.monitoring = optarg;
		return 0;
	case 'w':
		return parse_number("--workers", optarg, 1024, &arguments->agent.proxy.workers);
	case OPTION_DRAIN_TIMEOUT:
		return parse_number("--drain-timeout", optarg, 3600000,
				    &arguments->agent.drain_timeout_ms);
	case OPTION_LIMIT:
		if (proxy_options_set(&arguments->agent.proxy, optarg)) {
			fprintf(stderr, "lanetag run: --limit: '%s' is none, or out of bounds\n",
				optarg);
			return -1;
		}
		return 0;
	case OPTION_PATH_NORMALIZATION:
		return path_option_parse("run", optarg, &arguments->agent.proxy.path_normalization);
	case OPTION_FOREIGN_HOSTS:
		return parse_either("--foreign-hosts", "pass", "refuse",
				    &arguments->agent.proxy.refuse_foreign_hosts);
	case 'h':
		arguments->help = true;
		return 0;
	default:
		return parse_log_option(option, arguments);
	}
}

static int read_access_log_key(struct run_arguments *arguments)
{
	struct keyed_hash_key *key = &arguments->agent.proxy.access_log_key;
	const char *path = arguments->access_log_key_file, *why;

	if (path && keyed_hash_read_key(path, key, &why)) {
		fprintf(stderr, "lanetag run: --access-log-key-file: %s: %s\n", path, why);
		return -1;
	}
	int error = path ? 0 : keyed_hash_make_key(key);
	if (error)
		fprintf(stderr, "lanetag run: no random key for the access log: %s\n",
			strerror(-error));
	return error;
}

/* Without routes there are no hops. */
static int check_tag_only(const struct run_arguments *arguments)
{
	if (tag_only_check("run", &arguments->tag_only))
		return -1;
	if (!tag_only_of(&arguments->tag_only))
		return 0;
	if (arguments->intercepts[LANETAG_IPV4] || arguments->intercepts[LANETAG_IPV6] ||
	    arguments->pod_interface_count) {
		fprintf(stderr, "lanetag run: --no-route: goes with neither --intercept nor "
				"--pod-interface\n");
		return -1;
	}
	return 0;
}

static int parse_arguments(int argc, char **argv, struct run_arguments *arguments)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:i:a:w:h", options, NULL)) != -1) {
		if (kubernetes_options_know(option)
			    ? kubernetes_options_parse("run", option, optarg,
						       &arguments->kubernetes)
			    : parse_option(option, arguments))
			return -1;
	}
	if (arguments->help)
		return 0;
	if (optind < argc) {
		fprintf(stderr, "lanetag run: '%s' is no option (manifests: --config)\n",
			argv[optind]);
		return -1;
	}
	if (kubernetes_options_check("run", &arguments->kubernetes))
		return -1;
	if (arguments->path_count == 0 && !arguments->kubernetes.options.access.server) {
		fprintf(stderr, "lanetag run: --config PATH is missing\n");
		return -1;
	}
	if (check_tag_only(arguments))
		return -1;
	if (arguments->thread_program_count > 0 && arguments->pod_interface_count == 0) {
		fprintf(stderr, "lanetag run: --correlate-threads: needs --pod-interface\n");
		return -1;
	}
	if (arguments->thread_program_count > THREADS_MAX_PROGRAMS) {
		fprintf(stderr, "lanetag run: --correlate-threads: at most %d names\n",
			THREADS_MAX_PROGRAMS);
		return -1;
	}
	if (read_access_log_key(arguments))
		return -1;
	if (arguments->interface_count == 0 &&
	    append(&arguments->interfaces, &arguments->interface_count, "*"))
		return -1;
	return 0;
}

static void print_help(void)
{
	struct proxy_option_description limit;

	fputs(usage, stdout);
	printf("\nlimits:\n");
	for (size_t i = 0; proxy_options_describe(i, &limit); i++) {
		if (limit.computed)
			printf("  %-24s %s (default: %s)\n", limit.name, limit.meaning,
			       limit.computed);
		else
			printf("  %-24s %s (default: %zu)\n", limit.name, limit.meaning,
			       limit.standard);
	}
}

int command_run(int argc, char **argv)
{
	struct run_arguments arguments = {
		.agent =
			{
				.addresses = {DEFAULT_ADMIN_ADDRESS, ""},
				.control_path = DEFAULT_CONTROL_PATH,
				.use_kernel = true,
				.tagger = {.pin_directory = DEFAULT_PIN_DIRECTORY},
				.arrivals = {.capacity = DEFAULT_ARRIVALS},
				.drain_timeout_ms = DEFAULT_DRAIN_TIMEOUT_MS,
			},
		.intercept_port = DEFAULT_INTERCEPT_PORT,
	};
	int status = EXIT_USAGE;

	arrivals_standard_fields(&arguments.agent.arrivals_fields);
	if (parse_arguments(argc, argv, &arguments)) {
		fprintf(stderr, "try: lanetag run --help\n");
	} else if (arguments.help) {
		print_help();
		status = 0;
	} else {
		arguments.agent.paths = arguments.paths;
		arguments.agent.path_count = arguments.path_count;
		arguments.agent.tag_only = tag_only_of(&arguments.tag_only);
		arguments.agent.kubernetes = kubernetes_options_of(
			&arguments.kubernetes, configuration_subjects(arguments.agent.tag_only));
		arguments.agent.tagger.interfaces = arguments.interfaces;
		arguments.agent.tagger.interface_count = arguments.interface_count;
		arguments.agent.arrivals.interfaces = arguments.pod_interfaces;
		arguments.agent.arrivals.interface_count = arguments.pod_interface_count;
		for (int family = 0; family < LANETAG_FAMILIES; family++)
			arguments.agent.interception.agent[family].port =
				arguments.intercepts[family] ? (uint16_t)arguments.intercept_port
							     : 0;
		arguments.agent.proxy.intercepted_namespaces = arguments.intercept_namespaces;
		arguments.agent.proxy.intercepted_namespace_count =
			arguments.intercept_namespace_count;
		arguments.agent.threads.programs = arguments.thread_programs;
		arguments.agent.threads.program_count = arguments.thread_program_count;
		status = agent_run(&arguments.agent);
	}
	tag_only_free(&arguments.tag_only);
	kubernetes_options_free(&arguments.kubernetes);
	free(arguments.paths);
	free(arguments.interfaces);
	free(arguments.pod_interfaces);
	free(arguments.thread_programs);
	free(arguments.intercept_namespaces);
	return status;
}
