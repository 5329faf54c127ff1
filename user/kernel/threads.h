/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Tags by the thread that calls: it is the one that received the request and has not answered it
 * yet. For processes of named programs alone; the kernel gives up each that shows any sign of
 * serving several requests in one thread. Nothing of this outlives the agent.
 */
#include <lanetag/call.h>
#include "kernel/arrivals.h"

#define THREADS_MAX_PROGRAMS 64

struct threads;

struct threads_options {
	const char *const *programs; /* names as in /proc/PID/comm; "*": every one */
	size_t program_count;
};

/*
 * `arrivals` was opened with `deliveries`, and outlives the threads. 0 and *ret_threads, or a
 * negative errno; the log then says what the kernel lacks.
 */
int threads_open(const struct tagger *arrivals, const struct threads_options *options,
		 struct threads **ret_threads);
void threads_close(struct threads *threads);

/* The ports at which the agent takes calls. 0 or a negative errno. */
int threads_set_ports(struct threads *threads, const uint16_t *ports, size_t port_count);

/*
 * The tags of the request that the caller's thread had in hand when it sent the byte at `position`
 * of this connection. A system call. Any thread may call it. *ret_tags is set if FOUND.
 */
enum arrivals_outcome threads_find(const struct threads *threads,
				   const struct lanetag_connection *connection, uint64_t position,
				   struct arrivals_tags *ret_tags);

/* By enum lanetag_thread_count; each has a name in snake_case. 0 or a negative errno. */
int threads_counts(const struct threads *threads, uint64_t ret_counts[LANETAG_THREAD_COUNTS]);
const char *threads_count_name(size_t count);
