/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The word to the kernel that the workers serve, as long as they do: calls of pods are intercepted
 * only while it is given (kernel/interception.h).
 */
struct heartbeat;
struct interception;
struct thread;

/*
 * Says, again and again, that the agent serves: as long as every thread gets round its loop. The
 * threads outlive it. 0 or a negative errno.
 */
int heartbeat_start(struct interception *interception, struct thread *threads, unsigned count,
		    struct heartbeat **ret_heartbeat);
void heartbeat_stop(struct heartbeat *heartbeat); /* NULL is fine */
