/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the agent's own files share. All of it is the steering thread's, but for what `lock` guards. */
#include <pthread.h>

#include "admin/server.h"
#include "agent/callers.h"
#include "agent/kernel_side.h"
#include "config/rejections.h"
#include "config/source.h"
#include "proxy/handover/handover.h"

struct agent {
	const struct agent_options *options;
	int signals;
	struct manifest_source *source;
	struct kernel_side kernel;
	struct proxy *proxy;
	struct admin_server *admin;
	int control; /* listens for commands; -1: off */
	struct callers callers;
	struct heir heir; /* a next agent that has what is single, and does not serve yet */

	struct configuration **retired; /* replaced, but still in use somewhere; reload.c */
	size_t retired_count;

	bool stopping;
	bool handed_over; /* all, to a next agent */
	bool impaired;	  /* after a hand-over that failed: something is still missing */
	uint64_t repair_due_ns;
	uint32_t latest_generation; /* of any agent that may have set marks */
	bool hung_up;		    /* SIGHUP: reload */
	uint64_t changed_ns;	    /* when the first change not yet reloaded was seen; 0: none */
	uint64_t quiet_due_ns;	    /* when to reload if nothing more changes */

	/* what the admin server's thread reads too */
	pthread_mutex_t lock;
	struct configuration *configuration;
	uint64_t reloads_succeeded, reloads_failed;
	uint64_t reloads_partial; /* succeeded, without all resources */
	char *last_reload_error;
	struct rejections *rejections; /* of the newest manifests; NULL: none */
	bool draining;
	struct arrivals_sweep arrivals_sweep;
};

/* The admin address, anew where a hand-over failed; logged. 0 or a negative errno. */
int agent_open_admin(struct agent *agent);
/* Gets what is missing after a hand-over that failed. */
void agent_repair(struct agent *agent);
