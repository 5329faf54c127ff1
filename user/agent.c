/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One thread steers: it waits for signals, changed manifests and events of the tagger, compiles new
 * configurations and hands them to the kernel and the workers. It never touches a request.
 *
 * Order of a swap: workers first, then the kernel. Between the two, marks bear the older generation
 * and the workers decide themselves; a worker never acts on a mark of rules that it does not have.
 */
#include "agent.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "admin/server.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "config/watch.h"
#include "proxy/handover.h"
#include "kernel/causes.h"

/*
 * Writers often replace several files one after the other: wait until it has been quiet this long,
 * but never longer than the second.
 */
#define RELOAD_QUIET_MS 15
#define RELOAD_LATEST_MS 60
/* Arrivals end by age: looked after this often. */
#define SWEEP_MS 10000
/* What the log held back is told after this time, even if nothing more happens. */
#define LOG_REPORT_MS 10000

#define RELOAD_COMMAND "reload " /* and the directory of manifests */
#define MAX_ANSWER 500		 /* bytes; what a command reads */

struct agent {
	const struct agent_options *options;
	int signals;
	struct watch *watch;
	struct tagger *tagger;
	struct tagger *arrivals;	   /* or NULL */
	struct threads *threads;	   /* or NULL */
	struct interception *interception; /* or NULL */
	struct causes causes;
	struct proxy *proxy;
	struct admin_server *admin;
	int control; /* listens for commands; -1: off */

	bool stopping;
	bool handed_over;      /* all, to a next agent */
	bool kernel_released;  /* to a next agent: ours only to read */
	bool reload_now;       /* SIGHUP */
	uint64_t changed_ns;   /* when the first change not yet reloaded was seen; 0: none */
	uint64_t quiet_due_ns; /* when to reload if nothing more changes */
	uint64_t sweep_due_ns;

	/* what the admin server's thread reads too */
	pthread_mutex_t lock;
	struct configuration *configuration;
	uint64_t reloads_succeeded, reloads_failed;
	char *last_reload_error;
	bool draining;
	struct arrivals_sweep arrivals_sweep;
};

static char *diagnostics_summary(const struct diagnostics *diagnostics)
{
	struct buffer text = {0};

	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];

		if (item->severity != DIAGNOSTIC_ERROR)
			continue;
		buffer_printf(&text, "%s:%u:%u: %s", item->file ? item->file : "", item->line,
			      item->column, item->text ? item->text : "out of memory");
		break;
	}
	if (diagnostics->error_count > 1)
		buffer_printf(&text, " (and %zu more)", diagnostics->error_count - 1);
	buffer_append_byte(&text, '\0');
	return text.data;
}

static void log_diagnostics(const struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];
		bool error = item->severity == DIAGNOSTIC_ERROR;

		log_event(error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
			  error ? "manifest error" : "manifest warning",
			  log_text("file", item->file), log_number("line", item->line),
			  log_number("column", item->column),
			  log_text("text", item->text ? item->text : "out of memory"));
	}
}

/* The caller frees. */
static uint16_t *listener_ports(const struct mesh *mesh, enum mesh_listener_kind kind,
				size_t *ret_count)
{
	uint16_t *ports = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < mesh_listener_count(mesh); i++) {
		const struct mesh_listener *listener = mesh_listener(mesh, i);

		if (listener->kind != kind)
			continue;
		uint16_t *port = ARRAY_APPEND(ports, *ret_count);
		if (port)
			*port = listener->port;
	}
	return ports;
}

static void tell_kernel_ports(struct agent *agent, const struct mesh *mesh)
{
	size_t count;
	uint16_t *ports = listener_ports(mesh, MESH_LISTENER_GATEWAY, &count);
	int error = tagger_set_ports(agent->tagger, ports, count);

	if (error)
		log_error("ports not given to the kernel", log_errno(error));
	free(ports);
}

/* 0: calls are not to be intercepted. */
static uint16_t interception_port(const struct agent_options *options)
{
	const struct lanetag_destination *agent = options->interception.agent;

	return agent[LANETAG_IPV4].port ? agent[LANETAG_IPV4].port : agent[LANETAG_IPV6].port;
}

static void tell_kernel_hop_ports(struct agent *agent, const struct mesh *mesh)
{
	size_t count;
	uint16_t *ports = listener_ports(mesh, MESH_LISTENER_SERVICE, &count);
	uint16_t *intercepted = agent->interception ? ARRAY_APPEND(ports, count) : NULL;

	if (intercepted)
		*intercepted = interception_port(agent->options);
	int error = threads_set_ports(agent->threads, ports, count);

	if (error)
		log_error("ports of Services not given to the kernel", log_errno(error));
	free(ports);
}

/*
 * Requests that go to endpoints of the mesh are noted; other traffic of the pods isn't looked into.
 */
static void tell_kernel_pod_ports(struct agent *agent, const struct mesh *mesh)
{
	uint16_t *ports = NULL;
	size_t count = 0;

	for (size_t i = 0; i < mesh_cluster_count(mesh); i++) {
		const struct mesh_cluster *cluster = mesh_cluster(mesh, i);

		for (size_t j = 0; j < cluster->endpoint_count; j++) {
			uint16_t *port = ARRAY_APPEND(ports, count);
			if (port)
				*port = cluster->endpoints[j].port;
		}
	}
	int error = tagger_set_ports(agent->arrivals, ports, count);
	if (error)
		log_error("ports of pods not given to the kernel", log_errno(error));
	free(ports);
}

static void tell_kernel_lane_names(struct agent *agent, const struct tag_rules *rules)
{
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		const struct lanetag_rule *rule = &tag_rules_ruleset(rules)->rules[i];
		char *header = span_copy(tag_rules_header(rules, i));

		for (uint8_t j = 0; header && j < rule->policy_count; j++) {
			char *value = span_copy(tag_rules_value(rules, i, j));
			if (value)
				tagger_set_lane_name(agent->tagger, rule->policies[j].lane, header,
						     value);
			free(value);
		}
		if (header)
			tagger_set_lane_name(agent->tagger, rule->untagged_lane, header, "");
		free(header);
	}
}

/* Without the new rules in the kernel everything still works: old marks are stale, the agent
 * decides. */
static void tell_kernel(struct agent *agent, const struct configuration *configuration)
{
	if (agent->kernel_released)
		return;
	if (agent->arrivals)
		tell_kernel_pod_ports(agent, configuration->mesh);
	if (agent->threads)
		tell_kernel_hop_ports(agent, configuration->mesh);
	if (!agent->tagger)
		return;
	tell_kernel_lane_names(agent, configuration->tag_rules);
	tell_kernel_ports(agent, configuration->mesh);
	int error = tagger_set_rules(agent->tagger, tag_rules_ruleset(configuration->tag_rules));
	if (error)
		log_error("rules not given to the kernel", log_errno(error));
}

static void publish(struct agent *agent, struct configuration *configuration)
{
	pthread_mutex_lock(&agent->lock);
	struct configuration *previous = agent->configuration;
	agent->configuration = configuration;
	free(agent->last_reload_error);
	agent->last_reload_error = NULL;
	if (previous)
		agent->reloads_succeeded++;
	pthread_mutex_unlock(&agent->lock);
	configuration_drop(previous);
}

/* Takes over `reason`. */
static void publish_failure(struct agent *agent, char *reason)
{
	pthread_mutex_lock(&agent->lock);
	free(agent->last_reload_error);
	agent->last_reload_error = reason ? reason : strdup("out of memory");
	agent->reloads_failed++;
	pthread_mutex_unlock(&agent->lock);
}

static struct configuration *load(struct agent *agent, uint32_t generation, char **ret_reason)
{
	struct diagnostics diagnostics = {0};
	const struct agent_options *options = agent->options;
	struct configuration *configuration = configuration_load_tag_only(
		options->paths, options->path_count, options->tag_only, generation, &diagnostics);

	log_diagnostics(&diagnostics);
	if (!configuration)
		*ret_reason = diagnostics_summary(&diagnostics);
	diagnostics_free(&diagnostics);
	return configuration;
}

static void reload(struct agent *agent)
{
	uint64_t started_ns = clock_now_ns();
	uint32_t generation = agent->configuration->generation + 1;
	char *reason = NULL;
	struct configuration *configuration = load(agent, generation, &reason);

	agent->reload_now = false;
	agent->changed_ns = 0;
	if (!configuration) {
		log_outcome(LOG_LEVEL_ERROR, "configuration refused",
			    log_number("in_force", generation - 1),
			    log_text("reason", reason ? reason : "out of memory"));
		publish_failure(agent, reason);
		return;
	}
	tag_rules_assign_lanes(configuration->tag_rules, agent->configuration->tag_rules);
	mesh_assign_series(configuration->mesh, agent->configuration->mesh);
	int error = proxy_apply(agent->proxy, configuration);
	if (error) {
		log_outcome(LOG_LEVEL_ERROR, "configuration refused",
			    log_number("in_force", generation - 1),
			    log_text("reason", strerror(-error)));
		publish_failure(agent, strdup(strerror(-error)));
		configuration_drop(configuration);
		return;
	}
	tell_kernel(agent, configuration);
	publish(agent, configuration);
	log_outcome(LOG_LEVEL_INFO, "configuration in force", log_number("generation", generation),
		    log_number("rules", tag_rules_count(configuration->tag_rules)),
		    log_tenths("milliseconds", (clock_now_ns() - started_ns) / 100000));
}

static void take_snapshot(void *context, struct admin_snapshot *snapshot)
{
	struct agent *agent = context;

	pthread_mutex_lock(&agent->lock);
	snapshot->configuration = configuration_take(agent->configuration);
	snapshot->reloads_succeeded = agent->reloads_succeeded;
	snapshot->reloads_failed = agent->reloads_failed;
	snapshot->last_reload_failed = agent->last_reload_error != NULL;
	if (agent->last_reload_error)
		snapshot->last_reload_error = strdup(agent->last_reload_error);
	snapshot->draining = agent->draining;
	snapshot->arrivals_entries = agent->arrivals_sweep.entries;
	snapshot->arrivals_ended = agent->arrivals_sweep.ended;
	snapshot->arrivals_pushed_out = agent->arrivals_sweep.pushed_out;
	pthread_mutex_unlock(&agent->lock);

	proxy_read_statistics(agent->proxy, &snapshot->statistics);
	proxy_read_series(agent->proxy, snapshot->upstreams);
	snapshot->kernel_active = agent->tagger != NULL;
	if (agent->tagger)
		tagger_lane_requests(agent->tagger, snapshot->kernel_lane_requests);
	snapshot->arrivals_active = agent->arrivals != NULL;
	if (agent->arrivals)
		arrivals_counts(agent->arrivals, snapshot->arrivals);
	snapshot->threads_active = agent->threads != NULL;
	if (agent->threads)
		threads_counts(agent->threads, snapshot->threads);
	snapshot->interception_active = agent->interception != NULL;
	if (agent->interception)
		interception_read_counts(agent->interception, &snapshot->interception);
}

static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void open_tagger(struct agent *agent)
{
	if (!agent->options->use_kernel) {
		log_info("kernel tagger off", log_text("reason", "--no-kernel"));
		return;
	}
	int error = tagger_open(&agent->options->tagger, &agent->tagger);
	if (error)
		log_warning("going on without the kernel tagger", log_errno(error));
}

static void open_arrivals(struct agent *agent)
{
	const struct agent_options *options = agent->options;
	struct tagger_options arrivals = options->arrivals;
	char directory[PATH_MAX];

	if (!options->use_kernel || arrivals.interface_count == 0)
		return;
	arrivals.purpose = TAGGER_ARRIVALS;
	arrivals.deliveries = options->threads.program_count > 0;
	/* Beside the tagger's: each has a directory that is its own. */
	snprintf(directory, sizeof(directory), "%s-arrivals", options->tagger.pin_directory);
	arrivals.pin_directory = directory;
	int error = tagger_open(&arrivals, &agent->arrivals);
	if (error == 0) {
		error = arrivals_set_fields(agent->arrivals, &options->arrivals_fields, 1);
		if (error) {
			tagger_close(agent->arrivals);
			agent->arrivals = NULL;
		}
	}
	if (error)
		log_warning("going on without the arrivals at pods", log_errno(error));
	else if (arrivals.deliveries)
		threads_open(agent->arrivals, &options->threads, &agent->threads);
}

static void open_interception(struct agent *agent)
{
	struct interception_options interception = agent->options->interception;
	char directory[PATH_MAX];

	if (!agent->options->use_kernel || !interception_port(agent->options))
		return;
	snprintf(directory, sizeof(directory), "%s-interception",
		 agent->options->tagger.pin_directory);
	interception.pin_directory = directory;
	int error = interception_open(&interception, &agent->interception);
	if (error)
		log_warning("going on without interception", log_errno(error));
	else
		log_info("calls are intercepted",
			 log_number("port", interception_port(agent->options)),
			 log_text("fail", interception.fail_closed ? "closed" : "open"));
}

static int start_proxy(struct agent *agent, struct configuration *configuration,
		       struct proxy_sockets *inherited)
{
	struct proxy_options options = agent->options->proxy;

	agent->causes =
		(struct causes){agent->arrivals, &agent->options->arrivals_fields, agent->threads};
	options.causes = &agent->causes;
	options.interception = agent->interception;
	return proxy_start_with_sockets(&options, agent->tagger, configuration, inherited,
					&agent->proxy);
}

static int open_admin(struct agent *agent)
{
	const char *address = agent->options->admin_address;

	return address[0] ? admin_server_start(address, take_snapshot, agent, &agent->admin) : 0;
}

/* Without it the agent can't be taken over from; all else works. */
static void open_control(struct agent *agent)
{
	const char *path = agent->options->control_path;

	if (!path[0])
		return;
	int fd = unix_socket_listen(path);
	if (fd < 0)
		log_warning("control socket not opened", log_text("path", path), log_errno(fd));
	else
		agent->control = fd;
}

static void close_control(struct agent *agent)
{
	if (agent->control >= 0)
		close(agent->control);
	agent->control = -1;
}

/* The first configuration that is in force; published. */
static int load_first(struct agent *agent)
{
	const struct agent_options *options = agent->options;
	char *reason = NULL;
	int error = watch_open(options->paths, options->path_count, &agent->watch);

	if (error)
		log_warning("manifests are not watched", log_errno(error));
	struct configuration *configuration = load(agent, 1, &reason);
	if (!configuration) {
		log_error("not started", log_text("reason", reason ? reason : "out of memory"));
		free(reason);
		return -EINVAL;
	}
	publish(agent, configuration);
	return 0;
}

static int ask_for_handover(struct agent *agent, struct handover *handover)
{
	if (!agent->options->takeover)
		return 0;
	int error = handover_ask(agent->options->control_path, handover);
	if (error) {
		log_error("not taken over", log_text("path", agent->options->control_path),
			  log_errno(error));
		return error;
	}
	if (handover->connection < 0) {
		log_info("nothing to take over", log_text("path", agent->options->control_path));
		return 0;
	}
	log_info("taking over", log_number("sockets", handover->sockets.count),
		 log_number("generation", handover->generation));
	/* The old agent's marks are still on their way. */
	configuration_set_generation(agent->configuration, handover->generation + 1);
	return 0;
}

static int start_serving(struct agent *agent, struct handover *handover)
{
	int error = ask_for_handover(agent, handover);

	if (error)
		return error;
	open_tagger(agent);
	open_arrivals(agent);
	open_interception(agent);
	tell_kernel(agent, agent->configuration);
	error = start_proxy(agent, agent->configuration, &handover->sockets);
	if (error == 0)
		error = open_admin(agent);
	if (error)
		return error;
	open_control(agent);
	return handover_say_serving(handover);
}

static int start(struct agent *agent)
{
	struct handover handover = {.connection = -1};

	agent->signals = block_signals();
	if (agent->signals < 0)
		return -errno;
	int error = load_first(agent);
	if (error == 0)
		error = start_serving(agent, &handover);
	handover_free(&handover);
	return error;
}

static void read_signals(struct agent *agent)
{
	struct signalfd_siginfo info;

	while (read(agent->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			agent->reload_now = true;
		else
			agent->stopping = true;
	}
}

static void note_change(struct agent *agent)
{
	uint64_t now = clock_now_ns();

	if (!agent->changed_ns)
		agent->changed_ns = now;
	uint64_t latest = agent->changed_ns + RELOAD_LATEST_MS * 1000000ULL;
	agent->quiet_due_ns = now + RELOAD_QUIET_MS * 1000000ULL;
	if (agent->quiet_due_ns > latest)
		agent->quiet_due_ns = latest;
}

static int poll_timeout_ms(const struct agent *agent)
{
	uint64_t now = clock_now_ns(), due = now + LOG_REPORT_MS * 1000000ULL;

	if (agent->changed_ns)
		due = agent->quiet_due_ns;
	if (agent->arrivals && !agent->kernel_released && agent->sweep_due_ns < due)
		due = agent->sweep_due_ns;
	return due <= now ? 0 : (int)((due - now) / 1000000 + 1);
}

static void sweep_arrivals(struct agent *agent)
{
	struct arrivals_sweep sweep;
	int error;

	if (!agent->arrivals || agent->kernel_released || clock_now_ns() < agent->sweep_due_ns)
		return;
	error = arrivals_sweep(agent->arrivals, &sweep);
	if (error) {
		log_warning("arrivals not swept", log_errno(error));
	} else {
		pthread_mutex_lock(&agent->lock);
		agent->arrivals_sweep = sweep;
		pthread_mutex_unlock(&agent->lock);
	}
	agent->sweep_due_ns = clock_now_ns() + SWEEP_MS * 1000000ULL;
}

/* What a next agent needs for itself. The workers go on, with the marks as they are. */
static void give_up_what_is_single(struct agent *agent)
{
	admin_server_stop(agent->admin);
	agent->admin = NULL;
	close_control(agent);
	agent->kernel_released = true;
	if (agent->tagger)
		tagger_release(agent->tagger);
	if (agent->arrivals)
		tagger_release(agent->arrivals);
}

static int hand_over(struct agent *agent, int connection)
{
	struct proxy_sockets sockets = {0};
	int error = proxy_share_sockets(agent->proxy, &sockets);

	if (error == 0)
		error = handover_offer(connection, agent->configuration->generation, &sockets);
	proxy_sockets_free(&sockets);
	if (error)
		return error;
	give_up_what_is_single(agent);
	error = handover_yield(connection);
	if (error) {
		if (open_admin(agent))
			log_error("going on without the admin address",
				  log_text("reason", "takeover"));
		open_control(agent);
		if (agent->tagger)
			log_warning("going on without the kernel tagger",
				    log_text("reason", "takeover"));
	}
	return error;
}

static bool serves(const struct agent *agent, const char *directory)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < agent->options->path_count; i++) {
		if (realpath(agent->options->paths[i], path) && strcmp(path, directory) == 0)
			return true;
	}
	return false;
}

/* Reads the manifests now and says what came of it: "ok GENERATION", "error REASON", or "other". */
static int reload_and_tell(struct agent *agent, int connection, const char *directory)
{
	struct buffer answer = {0};

	if (!serves(agent, directory))
		return unix_socket_write(connection, "other manifests are served\n");
	if (agent->watch)
		watch_changed(agent->watch); /* what this reads needs no second reload */
	reload(agent);
	if (agent->last_reload_error)
		buffer_printf(&answer, "error %s", agent->last_reload_error);
	else
		buffer_printf(&answer, "ok %u", agent->configuration->generation);
	for (size_t i = 0; i < answer.length; i++) {
		if (answer.data[i] == '\n')
			answer.data[i] = ' ';
	}
	if (answer.length > MAX_ANSWER)
		answer.length = MAX_ANSWER;
	buffer_append_byte(&answer, '\n');
	const char *text = buffer_text(&answer);
	int error = text ? unix_socket_write(connection, text) : -ENOMEM;
	buffer_free(&answer);
	return error;
}

static void obey(struct agent *agent)
{
	int connection = unix_socket_accept(agent->control);
	char command[PATH_MAX + sizeof(RELOAD_COMMAND)];

	if (connection < 0) {
		if (connection != -EAGAIN)
			log_warning("control connection refused", log_errno(connection));
		return;
	}
	int error = unix_socket_read_line(connection, command, sizeof(command));
	if (error == -ECONNRESET) {
		error = 0; /* somebody looked whether we are there */
	} else if (error == 0 && strcmp(command, HANDOVER_COMMAND) == 0) {
		error = hand_over(agent, connection);
		if (error == 0) {
			log_info("handed over",
				 log_number("generation", agent->configuration->generation));
			agent->stopping = agent->handed_over = true;
		}
	} else if (error == 0 && span_starts_with(span_of(command), span_of(RELOAD_COMMAND))) {
		error = reload_and_tell(agent, connection, command + strlen(RELOAD_COMMAND));
	} else if (error == 0) {
		error = unix_socket_write(connection, "error unknown command\n");
	}
	if (error)
		log_warning("control command failed", log_errno(error));
	close(connection);
}

/* -1: nothing to wait for. */
static int events_of(const struct agent *agent, const struct tagger *tagger)
{
	return tagger && !agent->kernel_released ? tagger_event_fd(tagger) : -1;
}

static void steer(struct agent *agent)
{
	while (!agent->stopping) {
		struct pollfd fds[] = {
			{.fd = agent->signals, .events = POLLIN},
			{.fd = agent->watch ? watch_fd(agent->watch) : -1, .events = POLLIN},
			{.fd = events_of(agent, agent->tagger), .events = POLLIN},
			{.fd = events_of(agent, agent->arrivals), .events = POLLIN},
			{.fd = agent->control, .events = POLLIN},
		};

		if (poll(fds, ARRAY_LENGTH(fds), poll_timeout_ms(agent)) < 0 && errno != EINTR)
			break;
		read_signals(agent);
		if (fds[1].revents && watch_changed(agent->watch))
			note_change(agent);
		if (fds[2].revents)
			tagger_handle_events(agent->tagger);
		if (fds[3].revents)
			tagger_handle_events(agent->arrivals);
		sweep_arrivals(agent);
		log_report_suppressed();
		if (fds[4].revents)
			obey(agent);
		if (agent->reload_now ||
		    (agent->changed_ns && clock_now_ns() >= agent->quiet_due_ns))
			reload(agent);
	}
}

/* Drained, and of no use any more. */
static void wait_for_stop_signal(struct agent *agent)
{
	struct pollfd signals = {.fd = agent->signals, .events = POLLIN};

	log_info("drained", log_text("waits_for", "SIGTERM"));
	agent->stopping = false;
	while (!agent->stopping && (poll(&signals, 1, -1) >= 0 || errno == EINTR))
		read_signals(agent);
}

static void stop(struct agent *agent)
{
	pthread_mutex_lock(&agent->lock);
	agent->draining = true;
	pthread_mutex_unlock(&agent->lock);
	/* The admin server reads the proxy: it goes first. */
	admin_server_stop(agent->admin);
	if (agent->control >= 0)
		unlink(agent->options->control_path);
	close_control(agent);
	/* New calls go directly, or to the agent that took over; those that came are served. */
	interception_detach(agent->interception);
	if (agent->proxy)
		proxy_stop(agent->proxy, agent->options->drain_timeout_ms);
	if (agent->tagger)
		tagger_close(agent->tagger);
	threads_close(agent->threads);
	tagger_close(agent->arrivals);
	interception_close(agent->interception);
	watch_close(agent->watch);
	configuration_drop(agent->configuration);
	if (agent->handed_over && agent->options->waits_after_handover)
		wait_for_stop_signal(agent);
	free(agent->last_reload_error);
	if (agent->signals >= 0)
		close(agent->signals);
	pthread_mutex_destroy(&agent->lock);
}

int agent_run(const struct agent_options *options)
{
	struct agent agent = {.options = options, .signals = -1, .control = -1};

	pthread_mutex_init(&agent.lock, NULL);
	int error = start(&agent);
	if (error) {
		log_error("not started", log_errno(error));
	} else {
		if (options->tag_only)
			log_info("tag-only", log_text("next_hop", options->tag_only->host),
				 log_number("port", options->tag_only->port));
		log_info("started", log_text("version", LANETAG_VERSION),
			 log_number("generation", agent.configuration->generation),
			 log_number("rules", tag_rules_count(agent.configuration->tag_rules)),
			 log_text("kernel", agent.tagger ? "yes" : "no"));
		/* Whatever is wrong at the start is told in full. */
		log_limit_repeats(true);
		steer(&agent);
		log_limit_repeats(false);
		log_info("stopping", log_number("drain_ms", options->drain_timeout_ms));
	}
	stop(&agent);
	return error ? 1 : 0;
}
