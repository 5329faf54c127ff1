/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whatever comes over the control socket, in whatever pieces, the agent steers on: each command is
 * obeyed or refused, a hand-over that it begins comes to an end, and no descriptor is left.
 *
 * The first two bytes say where the rest is cut.
 */
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/control.h"
#include "base/clock.h"
#include "base/log.h"
#include "fuzz/descriptors.h"

#define MAX_BYTES 8192
#define MAX_TURNS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct agent_options options = {.admin_address = "", .control_path = ""};
static struct proxy proxy; /* without workers, and so without sockets */

static void start(struct agent *agent)
{
	struct diagnostics diagnostics = {0};

	log_set_level(LOG_LEVEL_ERROR);
	*agent = (struct agent){.options = &options,
				.signals = -1,
				.control = -1,
				.proxy = &proxy,
				.heir = {.connection = -1}};
	pthread_mutex_init(&agent->lock, NULL);
	agent->kernel.options = &options;
	agent->configuration = configuration_load(NULL, 0, 1, &diagnostics);
	if (!agent->configuration)
		abort();
	agent->latest_generation = 1;
	diagnostics_free(&diagnostics);
}

static void serve(struct agent *agent)
{
	struct pollfd fds[CONTROL_FDS];

	control_poll(agent, fds);
	poll(fds, CONTROL_FDS, 0);
	control_serve(agent, fds);
}

static bool is_at_rest(const struct agent *agent)
{
	for (size_t i = 0; i < CALLERS_MAX; i++) {
		if (agent->callers.items[i])
			return false;
	}
	return !control_is_handing_over(agent);
}

static void send_all(int fd, const uint8_t *data, size_t length)
{
	if (length && send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* the agent has closed it already */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct agent agent;
	int pair[2], before;

	if (!agent.options)
		start(&agent);
	if (size < 2 || size > MAX_BYTES)
		return 0;
	before = descriptor_mark();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	size_t cut = ((size_t)data[0] << 8 | data[1]) % (size - 1);
	uint32_t generation = agent.latest_generation;
	callers_add(&agent.callers, pair[0], clock_now_ns());
	send_all(pair[1], data + 2, cut);
	/* What it waits for in a hand-over must not take its two seconds here. */
	if (memmem(data + 2, cut, HANDOVER_COMMAND, strlen(HANDOVER_COMMAND)) == NULL)
		serve(&agent);
	send_all(pair[1], data + 2 + cut, size - 2 - cut);
	shutdown(pair[1], SHUT_WR);
	for (int turn = 0; turn < MAX_TURNS && !is_at_rest(&agent); turn++)
		serve(&agent);
	if (!is_at_rest(&agent) || agent.latest_generation < generation ||
	    agent.stopping != agent.handed_over || (agent.kernel.released && !agent.stopping))
		abort();
	close(pair[1]);
	if (descriptor_mark() != before)
		abort();
	agent.stopping = agent.handed_over = agent.impaired = agent.kernel.released = false;
	return 0;
}
