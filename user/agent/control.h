/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The control socket: what changes something comes this way, from root and the agent's own user
 * alone (base/unix_socket.h). docs/commands.md has the conversation of `reload`, proxy/handover/handover.h
 * that of a change of agents, config/in_force.h that about the configuration in force.
 */
#include "agent/state.h"
#include "proxy/handover/handover.h"

/* Before anything is changed: -EADDRINUSE (logged) if another agent listens on the control socket. */
int control_check(const struct agent *agent);
/*
 * Without it the agent can't be taken over from; all else works. So 0 (logged) where it cannot be
 * had, and -EADDRINUSE only where another agent has it.
 */
int control_open(struct agent *agent);
void control_close(struct agent *agent);

#define CONTROL_FDS (2 + CALLERS_MAX)

/* What to wait for, and what to do then: commands that have come in full are obeyed. */
void control_poll(const struct agent *agent, struct pollfd ret_fds[CONTROL_FDS]);
/* A hand-over has begun, and its end is not known: nothing is to change meanwhile. */
bool control_is_handing_over(const struct agent *agent);
void control_serve(struct agent *agent, const struct pollfd fds[CONTROL_FDS]);

/*
 * The other side, at the start: with --takeover, takes the sockets of the agent that listens there
 * and goes on with its generations. 0 also where there is none; a negative errno otherwise; logged.
 */
int control_ask_for_handover(struct agent *agent, struct handover *handover);
