/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the agent's own files share. All of it is the steering thread's, but for what `lock` guards. */
#include <pthread.h>

#include "admin/server.h"
#include "agent/callers.h"
#include "agent/kernel_side.h"
#include "config/watch.h"

struct agent {
	const struct agent_options *options;
	int signals;
	struct watch *watch;
	struct kernel_side kernel;
	struct proxy *proxy;
	struct admin_server *admin;
	int control; /* listens for commands; -1: off */
	struct callers callers;

	bool stopping;
	bool handed_over;      /* all, to a next agent */
	bool hung_up;	       /* SIGHUP: reload */
	uint64_t changed_ns;   /* when the first change not yet reloaded was seen; 0: none */
	uint64_t quiet_due_ns; /* when to reload if nothing more changes */

	/* what the admin server's thread reads too */
	pthread_mutex_t lock;
	struct configuration *configuration;
	uint64_t reloads_succeeded, reloads_failed;
	char *last_reload_error;
	bool draining;
	struct arrivals_sweep arrivals_sweep;
};

/* The admin address, anew where a hand-over failed; logged. 0 or a negative errno. */
int agent_open_admin(struct agent *agent);
