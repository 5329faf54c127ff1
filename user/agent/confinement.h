/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What the agent may do is cut down to what its options need, before it takes the first request, so
 * that a fault in it is worth less to who finds it.
 */
#include "agent/agent.h"

/*
 * Leaves of the capabilities that the process has those which its options need, and sets
 * no_new_privs. For the calling thread and all that it starts from then on: before the workers. 0 or
 * a negative errno (logged).
 */
int confinement_drop_capabilities(const struct agent_options *options);

/*
 * Allows all threads no more system calls than serving takes, reloads and hand-overs included; any
 * other fails with EPERM. Where the kernel has no seccomp, or by --no-seccomp, a warning is logged.
 */
void confinement_filter_system_calls(const struct agent_options *options);
