/* SPDX-License-Identifier: GPL-2.0-only */
#include "agent/first_state.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define SAVED_AFTER_NS UINT64_C(5000000000) /* of waiting for something newer */
#define REPORT_NS UINT64_C(10000000000)	    /* between two reports of still waiting */
#define LOOK_MS 100

/* SIGHUP has nothing to reload yet. */
static bool is_stopped(struct agent *agent)
{
	struct signalfd_siginfo info;

	while (read(agent->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			agent->stopping = true;
	}
	return agent->stopping;
}

static void report_waiting(struct kubernetes_client *client, const char *event)
{
	char reason[256];
	uint64_t failures;

	kubernetes_describe_failure(client, reason, sizeof(reason), &failures);
	log_warning(event, log_text("reason", *reason ? reason : "no answer yet"));
}

int first_state_wait(struct agent *agent)
{
	struct kubernetes_client *client = manifest_source_kubernetes(agent->source);
	uint64_t started = clock_now_ns(), reported = started;

	while (!manifest_source_is_ready(agent->source)) {
		struct pollfd fds[] = {
			{.fd = agent->signals, .events = POLLIN},
			{.fd = manifest_source_fd(agent->source), .events = POLLIN},
		};
		uint64_t now = clock_now_ns();

		if (is_stopped(agent))
			return -ECANCELED;
		if (kubernetes_has_saved(client) && now - started >= SAVED_AFTER_NS) {
			report_waiting(client, "started with the saved state of the cluster");
			return 0;
		}
		if (now - reported >= REPORT_NS) {
			report_waiting(client, "waits for the API server");
			reported = now;
		}
		poll(fds, 2, LOOK_MS);
		/* An early change of a saved state would wake us at once, again and again. */
		manifest_source_changed(agent->source);
	}
	return 0;
}
