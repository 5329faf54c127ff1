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
	struct causes causes;		   /* for the proxy, which reads it */
	bool released;			   /* to a next agent: ours only to read */
	uint64_t sweep_due_ns;
};

/* `options` must outlive it. */
void kernel_side_open(struct kernel_side *kernel, const struct agent_options *options);
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
/* New calls go directly, or to the agent that took over; those that came are served. */
void kernel_side_detach(struct kernel_side *kernel);
void kernel_side_close(struct kernel_side *kernel);
