/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The agent's programs in the kernel: opened as far as the kernel and the rights allow, told of each
 * configuration. What can't be had is logged once and is then NULL; all works without it.
 */
#include "admin/snapshot.h"
#include "agent/agent.h"
#include "kernel/causes.h"

struct kernel_side {
	const struct agent_options *options;
	struct tagger *tagger;		   /* or NULL */
	struct tagger *arrivals;	   /* or NULL */
	struct threads *threads;	   /* or NULL */
	struct interception *interception; /* or NULL */
	/* For the proxy, which reads the one in use; the other is for what comes in its place. */
	struct causes causes[2];
	unsigned causes_in_use;
	bool released; /* to a next agent: ours only to read */
	uint64_t sweep_due_ns;
};

/*
 * `options` must outlive it. 0, or -EBUSY (logged) if another agent holds a directory of pins; then
 * nothing is open.
 */
int kernel_side_open(struct kernel_side *kernel, const struct agent_options *options);
const struct causes *kernel_side_causes(const struct kernel_side *kernel);
/* Rules, names and ports of this configuration are in force in the kernel from now on. */
void kernel_side_tell(struct kernel_side *kernel, const struct configuration *configuration);

/* One of its taggers' file descriptor to wait for, see tagger_handle_events; or -1. */
int kernel_side_event_fd(const struct kernel_side *kernel, const struct tagger *tagger);

/* CLOCK_MONOTONIC, when kernel_side_sweep wants to be called; UINT64_MAX: never. */
uint64_t kernel_side_sweep_due_ns(const struct kernel_side *kernel);
/* Removes what has ended by its age, if that is due. True: *ret_sweep says what was found. */
bool kernel_side_sweep(struct kernel_side *kernel, struct arrivals_sweep *ret_sweep);

/* What the kernel counted. For any thread. */
void kernel_side_read_counts(const struct kernel_side *kernel, struct admin_snapshot *snapshot);

/* A next agent takes programs and maps over; ours can still be read. */
void kernel_side_release(struct kernel_side *kernel);
/*
 * That agent has not come to serve: takes over what it may have left, and gives that to the proxy
 * (NULL: there is none any more). 0, or a negative errno (logged): all stays released.
 */
int kernel_side_take_back(struct kernel_side *kernel, struct proxy *proxy);
/* New calls go directly, or to the agent that took over; those that came are served. */
void kernel_side_detach(struct kernel_side *kernel);
void kernel_side_close(struct kernel_side *kernel);
