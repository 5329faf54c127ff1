/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Requests and threads: which request a thread of an application has in hand (maps
 * `lane_deliveries` and `lane_threads`), and which bytes it sent meanwhile to another application
 * (`lane_calls`). docs/propagation.md says when this holds, and what keeps threads that serve
 * several requests out.
 */
#include <lanetag/arrival.h>
#include <lanetag/connection.h>

#define LANETAG_PROGRAM_NAME 16	      /* of a process, as in /proc/PID/comm, its end included */
#define LANETAG_THREADS_PROBATION 64U /* requests that a process serves before it is believed */

/* The latest request of a connection to a pod; the key is its struct lanetag_connection. */
struct lanetag_delivery {
	__u32 number;	    /* of the request in its connection: 1 for the first */
	__u32 end_sequence; /* TCP's, of the byte behind the head */
	__u32 known;	    /* 0: its tags could not be read */
	__u32 length;
	__u64 tags[LANETAG_ARRIVAL_TAG_WORDS]; /* as in struct lanetag_arrival */
};

/*
 * What a connection to another application carries just now: sends for one request, from a place of
 * the stream on. The key is the connection as the callee sees it: remote is the caller. Any other
 * send, and a new connection with the same ends, take the entry away.
 */
struct lanetag_call {
	__u64 seen_ns; /* CLOCK_MONOTONIC, when the thread received the request */
	__u64 from;    /* stream offset of the first such send */
	__u64 check;   /* lanetag_call_check */
	__u64 last;    /* stream offset of the latest such send; not in the check */
	__u32 length;
	__u32 thread;			       /* its id */
	__u64 tags[LANETAG_ARRIVAL_TAG_WORDS]; /* of the request that the thread had in hand */
};

LANETAG_INLINE __u64 lanetag_call_check(const struct lanetag_connection *connection,
					const struct lanetag_call *call)
{
	__u64 check = lanetag_mix(lanetag_mix(call->seen_ns, call->from), call->thread);

	return check ^ lanetag_tags_check((const __u64 *)connection, LANETAG_CONNECTION_WORDS,
					  call->tags, call->length);
}

/* What the kernel counts of threads (map `lane_thread_counts`). */
enum lanetag_thread_count {
	LANETAG_THREAD_REQUESTS,    /* requests that a thread has received */
	LANETAG_THREAD_CALLS,	    /* sends that are noted with their tags */
	LANETAG_THREAD_PROBATION,   /* sends by processes not yet believed */
	LANETAG_THREAD_UNKNOWN,	    /* sends for a request of which nothing is known */
	LANETAG_THREAD_PIPELINED,   /* connections with several requests at a time */
	LANETAG_THREAD_NONBLOCKING, /* processes given up: they don't wait in receiving */
	LANETAG_THREAD_WATCHED,	    /* … that watch their connections by epoll or the like */
	LANETAG_THREAD_SHARED,	    /* … of which a thread took a second request in hand */
	LANETAG_THREAD_HANDED_OVER, /* … of which another thread received or answered */
	LANETAG_THREAD_COUNTS,
};

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_call) == 40 + 256, "call layout");
