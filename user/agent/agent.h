/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The node agent: puts the rooms together and owns their lives. */
#include "admin/server.h"
#include "kernel/interception.h"
#include "kernel/threads.h"
#include "proxy/proxy.h"

struct agent_options {
	const char *const *paths; /* manifests: files and directories */
	size_t path_count;
	const struct kubernetes_options *kubernetes; /* NULL: manifests are files alone */
	const struct mesh_tag_only *tag_only;	     /* NULL: the manifests say the routes */
	struct admin_addresses addresses;
	bool use_kernel;
	struct tagger_options tagger;
	struct tagger_options arrivals; /* interface_count 0: arrivals at pods are not noted */
	struct arrivals_fields arrivals_fields;
	struct threads_options threads;		  /* program_count 0: threads are not looked at */
	struct interception_options interception; /* without a port: calls are not intercepted */
	struct proxy_options proxy;
	unsigned drain_timeout_ms;
	const char *control_path;  /* the Unix socket for commands; "" for none */
	bool takeover;		   /* from the agent that listens there, if there is one */
	bool waits_after_handover; /* for SIGTERM: a supervisor would start an ended agent anew */
	bool without_seccomp;	   /* system calls are not filtered */
};

/*
 * Runs until SIGTERM or SIGINT, then drains. SIGHUP and changed manifests reload. Gives the
 * process's exit status: 0 after an orderly stop, 1 if it could not start (the reason is logged).
 */
int agent_run(const struct agent_options *options);
