/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What the modules of one worker work with: its loop, what all workers share, its side towards the
 * endpoints, memory, counters, and lists of what it has under way. Nothing in it is touched by
 * another thread but the counters, which others read. proxy/thread.c drives it.
 */
#include "proxy/loop/loop.h"
#include "proxy/loop/pipe_pool.h"
#include "proxy/request/generation.h"
#include "proxy/sharing/shared.h"
#include "proxy/upstream/upstreams.h"
#include "proxy/worker/scratch.h"

struct exchange;
struct listener;
struct mirror;
struct session;

/* Once slow readers hold this much in all, reads get small. */
#define WORKER_PENDING_BYTES (32 * 1024 * 1024)
#define WORKER_SMALL_READ_BYTES (16 * 1024)
/* And so small where the budget of waiting bytes is used up. */
#define WORKER_LEAST_READ_BYTES (4 * 1024)
/* Buffers of spare objects keep up to this much. */
#define WORKER_KEPT_BUFFER_BYTES 4096

/* How much of the budget of waiting bytes (waiting.h) is used. */
enum waiting_level {
	WAITING_LOW,
	WAITING_HALF,
	WAITING_OVER, /* incomplete heads have to go */
	WAITING_FULL, /* and requests are refused: above by a receive buffer for each worker */
};

struct worker {
	struct shared *shared;
	struct loop loop;
	struct upstreams upstreams;
	struct generations generations;
	struct scratch scratch;
	struct pipe_pool pipes;
	struct random_numbers random;

	/* Clients */
	struct listener *listeners;
	struct session *sessions;
	struct session *unfinished; /* with an incomplete head, the youngest first */
	unsigned over_limit_count;  /* sessions with SESSION_OVER_LIMIT */
	int spare_fd; /* given up for a moment to shed connections when descriptors run out */
	bool draining;
	bool sockets_are_shared; /* another process has them too */

	/* Requests */
	struct exchange *spare_exchanges;
	size_t spare_exchange_count;
	struct mirror *mirrors;
	size_t mirror_count;
	struct buffer access_log; /* lines that wait for the end of the turn */

	/* Bytes in user space */
	size_t pending_bytes;  /* that slow readers hold */
	uint8_t waiting_level; /* enum waiting_level */
	uint64_t waiting_looked_ms;

	struct proxy_statistics statistics;
};

static inline size_t worker_receive_limit(const struct worker *worker)
{
	if (worker->waiting_level >= WAITING_OVER)
		return WORKER_LEAST_READ_BYTES;
	return worker->waiting_level == WAITING_LOW && worker->pending_bytes < WORKER_PENDING_BYTES
		       ? SCRATCH_RECEIVE_BYTES
		       : WORKER_SMALL_READ_BYTES;
}
