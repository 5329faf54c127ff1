/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One thread steers: it waits for signals, changed manifests and events of the tagger, compiles new
 * configurations and hands them to the kernel and the workers. It never touches a request.
 */
#include "agent/agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/confinement.h"
#include "agent/control.h"
#include "agent/reload.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/ports.h"
#include "version.h"

/* What the log held back is told after this time, even if nothing more happens. */
#define LOG_REPORT_MS 5000
#define REPAIR_MS 5000
#define RECLAIM_MS 100	/* between looks for configurations that are no longer used */
#define CONTROL_FIRST 4 /* of what the steering thread waits for */

static void take_snapshot(void *context, struct admin_snapshot *snapshot)
{
	struct agent *agent = context;

	pthread_mutex_lock(&agent->lock);
	snapshot->configuration = configuration_take(agent->configuration);
	snapshot->reloads_succeeded = agent->reloads_succeeded;
	snapshot->reloads_failed = agent->reloads_failed;
	snapshot->last_reload_failed = agent->last_reload_error != NULL;
	snapshot->reloads_partial = agent->reloads_partial;
	snapshot->rejections = rejections_take(agent->rejections);
	if (agent->last_reload_error)
		snapshot->last_reload_error = strdup(agent->last_reload_error);
	snapshot->arrivals_entries = agent->arrivals_sweep.entries;
	snapshot->arrivals_ended = agent->arrivals_sweep.ended;
	snapshot->arrivals_pushed_out = agent->arrivals_sweep.pushed_out;
	pthread_mutex_unlock(&agent->lock);
	if (manifest_source_kubernetes(agent->source))
		snapshot->kind_count = kubernetes_report(manifest_source_kubernetes(agent->source),
							 snapshot->kinds);
	snapshot->detailed_lanes = proxy_detailed_lanes(agent->proxy);

	proxy_read_statistics(agent->proxy, &snapshot->statistics);
	proxy_read_series(agent->proxy, snapshot->upstreams);
	kernel_side_read_counts(&agent->kernel, snapshot);
}

static struct admin_health read_health(void *context)
{
	struct agent *agent = context;
	struct admin_health health;

	pthread_mutex_lock(&agent->lock);
	health.draining = agent->draining;
	health.last_reload_failed = agent->last_reload_error != NULL;
	health.has_unreadable_source = agent->rejections && agent->rejections->unreadable;
	pthread_mutex_unlock(&agent->lock);
	return health;
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

static int start_proxy(struct agent *agent, struct configuration *configuration,
		       struct proxy_sockets *inherited)
{
	struct proxy_options options = agent->options->proxy;

	options.causes = kernel_side_causes(&agent->kernel);
	options.interception = agent->kernel.interception;
	return proxy_start(&options, agent->kernel.tagger, configuration, inherited, &agent->proxy);
}

static bool has_admin(const struct agent *agent)
{
	const struct admin_addresses *addresses = &agent->options->addresses;

	return addresses->admin[0] || addresses->monitoring[0];
}

int agent_open_admin(struct agent *agent)
{
	const struct admin_addresses *addresses = &agent->options->addresses;
	const struct admin_source source = {take_snapshot, read_health, agent};

	return has_admin(agent) ? admin_server_start(addresses, &source, &agent->admin) : 0;
}

void agent_repair(struct agent *agent)
{
	bool impaired = false;

	if (has_admin(agent) && !agent->admin && agent_open_admin(agent))
		impaired = true;
	if (agent->control < 0 && control_open(agent))
		impaired = true;
	if (agent->kernel.released) {
		if (kernel_side_take_back(&agent->kernel, agent->proxy))
			impaired = true;
		else
			kernel_side_tell(&agent->kernel, agent->configuration);
	}
	if (impaired)
		log_warning("after a takeover that failed not all is back",
			    log_text("admin", agent->admin ? "yes" : "no"),
			    log_text("control", agent->control >= 0 ? "yes" : "no"),
			    log_text("kernel", agent->kernel.released ? "no" : "yes"),
			    log_number("next_try_ms", REPAIR_MS));
	else
		log_info("as before the takeover that failed");
	agent->impaired = impaired;
	agent->repair_due_ns = clock_now_ns() + REPAIR_MS * UINT64_C(1000000);
}

/* Refuses to be the second on something before it changes anything. */
static int check_alone(const struct agent *agent)
{
	int error = control_check(agent);

	return error ? error
		     : ports_check(&agent->options->proxy, agent->configuration->mesh, NULL);
}

static int start_serving(struct agent *agent, struct handover *handover)
{
	int error = control_ask_for_handover(agent, handover);

	if (error == 0)
		error = check_alone(agent);
	if (error == 0)
		error = kernel_side_open(&agent->kernel, agent->options);
	if (error)
		return error;
	kernel_side_tell(&agent->kernel, agent->configuration);
	/* What follows needs no more, and its threads get no more. */
	error = confinement_drop_capabilities(agent->options);
	if (error)
		return error;
	error = start_proxy(agent, agent->configuration, &handover->sockets);
	/* Another agent may have come to listen meanwhile. */
	if (error == 0)
		error = ports_check(&agent->proxy->shared.options, agent->configuration->mesh,
				    NULL);
	if (error == 0)
		error = agent_open_admin(agent);
	if (error == 0)
		error = handover_say_serving(handover);
	if (error == 0)
		error = control_open(agent);
	if (error == 0)
		confinement_filter_system_calls(agent->options);
	return error;
}

static int start(struct agent *agent)
{
	struct handover handover = {.connection = -1};

	agent->signals = block_signals();
	if (agent->signals < 0)
		return -errno;
	int error = reload_first(agent);
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
			agent->hung_up = true;
		else
			agent->stopping = true;
	}
}

static int poll_timeout_ms(const struct agent *agent)
{
	uint64_t now = clock_now_ns(), due = now + LOG_REPORT_MS * 1000000ULL;

	if (control_is_handing_over(agent)) {
		if (handover_due_ns(&agent->heir) < due)
			due = handover_due_ns(&agent->heir);
	} else if (agent->changed_ns) {
		due = agent->quiet_due_ns;
	}
	if (agent->impaired && agent->repair_due_ns < due)
		due = agent->repair_due_ns;
	if (agent->retired_count && now + RECLAIM_MS * 1000000ULL < due)
		due = now + RECLAIM_MS * 1000000ULL;
	if (kernel_side_sweep_due_ns(&agent->kernel) < due)
		due = kernel_side_sweep_due_ns(&agent->kernel);
	return due <= now ? 0 : (int)((due - now) / 1000000 + 1);
}

static void sweep(struct agent *agent)
{
	struct arrivals_sweep sweep;

	if (!kernel_side_sweep(&agent->kernel, &sweep))
		return;
	pthread_mutex_lock(&agent->lock);
	agent->arrivals_sweep = sweep;
	pthread_mutex_unlock(&agent->lock);
}

static void change_configuration(struct agent *agent)
{
	if (agent->stopping || control_is_handing_over(agent))
		return;
	if (agent->hung_up || (agent->changed_ns && clock_now_ns() >= agent->quiet_due_ns))
		reload_now(agent);
	else if (agent->impaired && clock_now_ns() >= agent->repair_due_ns)
		agent_repair(agent);
}

static void steer(struct agent *agent)
{
	struct kernel_side *kernel = &agent->kernel;

	while (!agent->stopping) {
		struct pollfd fds[CONTROL_FIRST + CONTROL_FDS] = {
			{.fd = agent->signals, .events = POLLIN},
			{.fd = manifest_source_fd(agent->source), .events = POLLIN},
			{.fd = kernel_side_event_fd(kernel, kernel->tagger), .events = POLLIN},
			{.fd = kernel_side_event_fd(kernel, kernel->arrivals), .events = POLLIN},
		};

		control_poll(agent, fds + CONTROL_FIRST);
		if (poll(fds, ARRAY_LENGTH(fds), poll_timeout_ms(agent)) < 0 && errno != EINTR)
			break;
		read_signals(agent);
		if (fds[1].revents && manifest_source_changed(agent->source))
			reload_note_change(agent);
		if (fds[2].revents)
			tagger_handle_events(kernel->tagger);
		if (fds[3].revents)
			tagger_handle_events(kernel->arrivals);
		sweep(agent);
		log_report_suppressed();
		control_serve(agent, fds + CONTROL_FIRST);
		change_configuration(agent);
		reload_reclaim(agent);
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

/*
 * A next agent that has what is single goes on alone when it hears that this one has gone. What it
 * has left, if it ended before, goes with us.
 */
static void give_way_or_clean_up(struct agent *agent)
{
	if (control_is_handing_over(agent)) {
		close(agent->heir.connection);
		agent->heir.connection = -1;
	} else if (agent->impaired && agent->kernel.released) {
		kernel_side_take_back(&agent->kernel, agent->proxy);
	}
}

static void stop(struct agent *agent)
{
	pthread_mutex_lock(&agent->lock);
	agent->draining = true;
	pthread_mutex_unlock(&agent->lock);
	/* The admin server reads the proxy: it goes first. */
	admin_server_stop(agent->admin);
	give_way_or_clean_up(agent);
	if (agent->control >= 0)
		unlink(agent->options->control_path);
	control_close(agent);
	kernel_side_detach(&agent->kernel);
	if (agent->proxy)
		proxy_stop(agent->proxy, agent->options->drain_timeout_ms);
	kernel_side_close(&agent->kernel);
	manifest_source_close(agent->source);
	configuration_drop(agent->configuration);
	for (size_t i = 0; i < agent->retired_count; i++)
		configuration_drop(agent->retired[i]);
	free(agent->retired);
	if (agent->handed_over && agent->options->waits_after_handover)
		wait_for_stop_signal(agent);
	free(agent->last_reload_error);
	rejections_drop(agent->rejections);
	if (agent->signals >= 0)
		close(agent->signals);
	pthread_mutex_destroy(&agent->lock);
}

int agent_run(const struct agent_options *options)
{
	struct agent agent = {
		.options = options, .signals = -1, .control = -1, .heir = {.connection = -1}};

	pthread_mutex_init(&agent.lock, NULL);
	int error = start(&agent);
	if (error && agent.stopping) {
		log_info("stopped before the start");
		error = 0;
	} else if (error) {
		log_error("not started", log_errno(error));
	} else {
		if (options->tag_only)
			log_info("tag-only", log_text("next_hop", options->tag_only->host),
				 log_number("port", options->tag_only->port));
		log_info("started", log_text("version", LANETAG_VERSION),
			 log_number("generation", agent.configuration->generation),
			 log_number("rules", tag_rules_count(agent.configuration->tag_rules)),
			 log_text("kernel", agent.kernel.tagger ? "yes" : "no"));
		/* Whatever is wrong at the start is told in full. */
		log_limit_repeats(true);
		steer(&agent);
		log_limit_repeats(false);
		log_info("stopping", log_number("drain_ms", options->drain_timeout_ms));
	}
	stop(&agent);
	return error ? 1 : 0;
}
