/* SPDX-License-Identifier: GPL-2.0-only */
#include "agent/control.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/reload.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "config/in_force.h"

#define RELOAD_COMMAND "reload " /* and the directory of manifests */
#define MAX_ANSWER 500		 /* bytes; what a command reads */

static void log_held(const char *path, pid_t holder)
{
	log_error("control socket is another agent's", log_text("path", path),
		  log_number("pid", (uint64_t)holder),
		  log_text("advice", "end it; or --takeover, or another --control"));
}

int control_check(const struct agent *agent)
{
	const char *path = agent->options->control_path;
	pid_t holder;

	if (!path[0] || !unix_socket_is_served(path, &holder))
		return 0;
	log_held(path, holder);
	return -EADDRINUSE;
}

int control_open(struct agent *agent)
{
	const char *path = agent->options->control_path;
	pid_t holder;

	if (!path[0])
		return 0;
	int fd = unix_socket_listen(path);
	if (fd == -EADDRINUSE) {
		unix_socket_is_served(path, &holder);
		log_held(path, holder);
		return fd;
	}
	if (fd < 0)
		log_warning("control socket not opened", log_text("path", path), log_errno(fd));
	else
		agent->control = fd;
	return 0;
}

void control_close(struct agent *agent)
{
	if (agent->control >= 0)
		close(agent->control);
	agent->control = -1;
	callers_close(&agent->callers);
}

int control_ask_for_handover(struct agent *agent, struct handover *handover)
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
	agent->latest_generation = handover->generation + 1;
	return 0;
}

/* What a next agent needs for itself. The workers go on, with the marks as they are. */
static void give_up_what_is_single(struct agent *agent)
{
	admin_server_stop(agent->admin);
	agent->admin = NULL;
	control_close(agent);
	kernel_side_release(&agent->kernel);
}

static void end_as_handed_over(struct agent *agent)
{
	log_info("handed over", log_number("generation", agent->configuration->generation));
	agent->stopping = agent->handed_over = true;
}

/*
 * The next agent has not come to serve. Its rules may be in the kernel, under the generation
 * behind ours: no later one of ours may be taken for it.
 */
static void take_back(struct agent *agent, int error)
{
	pid_t holder;

	handover_take_back(&agent->heir);
	agent->latest_generation++;
	/* It opens the control socket last of all. */
	if (unix_socket_is_served(agent->options->control_path, &holder)) {
		end_as_handed_over(agent);
		return;
	}
	log_warning("not taken over, going on", log_errno(error));
	agent_repair(agent);
}

bool control_is_handing_over(const struct agent *agent)
{
	return agent->heir.connection >= 0;
}

static void hear_heir(struct agent *agent)
{
	int error = handover_hear(&agent->heir, clock_now_ns());

	if (error == 0)
		end_as_handed_over(agent);
	else if (error != -EAGAIN)
		take_back(agent, error);
}

/* Behind "yours" the connection is the heir's; before it, the caller's. */
static int hand_over(struct agent *agent, int connection)
{
	struct proxy_sockets sockets = {0};
	int error = proxy_share_sockets(agent->proxy, &sockets);

	if (error == 0)
		error = handover_offer(connection, agent->latest_generation, &sockets);
	proxy_sockets_free(&sockets);
	if (error)
		return error;
	give_up_what_is_single(agent);
	error = handover_yield(connection, clock_now_ns(), &agent->heir);
	if (error)
		take_back(agent, error);
	return 0;
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
	reload_now(agent);
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

/* The connection goes over; what comes of it. */
static int obey(struct agent *agent, int connection, const char *command)
{
	int error;

	if (strcmp(command, HANDOVER_COMMAND) == 0) {
		error = hand_over(agent, connection);
		if (error == 0)
			return 0;
	} else if (span_starts_with(span_of(command), span_of(RELOAD_COMMAND))) {
		error = reload_and_tell(agent, connection, command + strlen(RELOAD_COMMAND));
	} else if (strcmp(command, IN_FORCE_COMMAND) == 0) {
		error = in_force_tell(connection, agent->configuration);
	} else {
		error = unix_socket_write(connection, "error unknown command\n");
	}
	close(connection);
	return error;
}

static void log_failure(int error)
{
	log_warning("control command failed", log_errno(error));
}

static void hear(struct agent *agent, size_t place)
{
	char command[CALLERS_LINE_BYTES];
	int connection;
	int error = callers_hear(&agent->callers, place, command, &connection);

	if (error == 0) {
		error = obey(agent, connection, command);
	} else if (error == -EAGAIN || error == -ECONNRESET) {
		error = 0; /* the rest is to come; or somebody looked whether we are there */
	}
	if (error)
		log_failure(error);
}

static void accept_caller(struct agent *agent)
{
	int connection = unix_socket_accept(agent->control);

	if (connection >= 0)
		callers_add(&agent->callers, connection, clock_now_ns());
	else if (connection != -EAGAIN)
		log_warning("control connection refused", log_errno(connection));
}

void control_poll(const struct agent *agent, struct pollfd ret_fds[CONTROL_FDS])
{
	ret_fds[0] = (struct pollfd){.fd = agent->control, .events = POLLIN};
	ret_fds[1] = (struct pollfd){.fd = agent->heir.connection, .events = POLLIN};
	callers_poll(&agent->callers, ret_fds + 2);
}

void control_serve(struct agent *agent, const struct pollfd fds[CONTROL_FDS])
{
	/* A hand-over closes the others' connections, and ends this agent or begins anew. */
	if (control_is_handing_over(agent))
		hear_heir(agent);
	for (size_t i = 0; i < CALLERS_MAX && !agent->stopping; i++) {
		if (fds[2 + i].revents && agent->callers.items[i])
			hear(agent, i);
	}
	if (callers_end_late(&agent->callers, clock_now_ns()))
		log_failure(-ETIMEDOUT);
	if (fds[0].revents && agent->control >= 0)
		accept_caller(agent);
}
