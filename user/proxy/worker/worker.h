/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A worker: one thread, one edge-triggered epoll loop, and everything that it needs for its share
 * of the traffic. Nothing on the request path is shared with another worker but the configuration,
 * which nobody changes. Only the mailbox is touched from outside.
 */
#include <pthread.h>
#include "proxy/upstream/backend.h"
#include "proxy/sharing/holds.h"
#include "proxy/upstream/lease.h"
#include "proxy/loop/pipe_pool.h"
#include "proxy/proxy.h"
#include "proxy/http1/relay.h"
#include "proxy/request/request.h"
#include "proxy/record/series.h"
#include "proxy/loop/timer.h"
#include "proxy/worker/waiting.h"

struct exchange;
struct listener;
struct mirror;
struct session;

/* The one receive buffer: large enough that bodies of 64 KiB go in one piece. */
#define WORKER_MEMORY_BYTES (256 * 1024)
/*
 * Read at a request's beginning: a head with a body of 64 KiB in one piece. What may be left over
 * of it is kept per connection.
 */
#define WORKER_HEAD_READ_BYTES (72 * 1024)
/* Once slow readers hold this much in all, reads get small. */
#define WORKER_PENDING_BYTES (32 * 1024 * 1024)
#define WORKER_SMALL_READ_BYTES (16 * 1024)
/* And so small where the budget of waiting bytes is used up. */
#define WORKER_LEAST_READ_BYTES (4 * 1024)
/* Buffers of spare objects keep up to this much. */
#define WORKER_KEPT_BUFFER_BYTES 4096
/* While draining: so long may a request that is on its way take to come in. */
#define WORKER_DRAIN_IDLE_MS 500

struct worker {
	struct proxy *proxy;
	unsigned index;
	pthread_t thread;
	bool thread_started;

	int epoll_fd;
	int spare_fd; /* given up for a moment to shed connections when descriptors run out */
	uint64_t now_ms;
	struct timer_wheel timers;
	struct connection *closed; /* their memory goes after the batch of events */
	struct session *again;	   /* had more than a fair share to do */

	char *memory;	   /* WORKER_MEMORY_BYTES: what was received last */
	char *head_memory; /* a head on its way out */
	size_t head_memory_bytes;
	struct buffer scratch;
	struct http_trailers trailers;
	struct http_response_head response_head;
	struct http_edit response_edit;
	struct request request; /* the one in the request stage */

	struct pipe_pool pipes;
	size_t pending_bytes; /* that slow readers hold in user space */
	struct random_numbers random;

	struct lease *lease; /* the current one */
	struct lease *old_leases;
	struct lease *leaving_leases; /* that are no longer used; lease_move_step */
	bool leases_move;	      /* lease_move_step has something to do */
	struct configuration *kept[HOLDS_GENERATIONS]; /* rules of replaced ones; generation.c */
	size_t kept_count;
	struct listener *listeners;
	struct session *sessions;
	struct session *unfinished; /* with an incomplete head, the youngest first */
	uint8_t waiting_level;	    /* enum waiting_level */
	uint64_t waiting_looked_ms;
	unsigned over_limit_count; /* sessions with SESSION_OVER_LIMIT */
	struct exchange *spare_exchanges;
	size_t spare_exchange_count;
	struct mirror *mirrors;
	size_t mirror_count;
	struct buffer access_log; /* lines that wait for the end of the turn */
	struct backend_table backends;
	_Atomic uint64_t rounds; /* of the loop */
	bool draining;
	bool sockets_are_shared; /* another process has them too */

	struct proxy_statistics statistics;
	struct upstream_series series[MESH_SERIES + 1];
	uint64_t looked_ms, look_due_ms; /* series.c */
	struct series_look look;

	/* The mailbox, and how to wake the worker. */
	pthread_mutex_t mailbox_lock;
	struct lease *mailbox;		 /* in order */
	struct proxy_sockets *export_to; /* asked for: duplicates of the listening sockets */
	int export_result;
	pthread_cond_t exported;
	bool stop_asked;
	bool stop_done;
	bool end_asked;
	struct connection wake;
};

int worker_start(struct worker *worker, struct proxy *proxy, unsigned index);
/* Hands a lease over; the worker adopts it when it next wakes up, which is at once. */
void worker_post_lease(struct worker *worker, struct lease *lease);
/* Appends duplicates of the listening sockets; waits for the worker. 0 or a negative errno. */
int worker_export_sockets(struct worker *worker, struct proxy_sockets *sockets);
/* No new connections; each request under way is its connection's last. */
void worker_ask_stop(struct worker *worker);
/* True once the worker has done so: it takes nobody in any more. Any thread. */
bool worker_has_stopped(struct worker *worker);
/* Closes everything and ends the thread; waits for it. Then frees all. */
void worker_end(struct worker *worker);

/* Adopts at once what was handed over and waits. From the worker's own thread. */
void worker_adopt_posted(struct worker *worker);
/* Lets it go round its loop, and how often it did. Any thread. */
void worker_wake(struct worker *worker);
uint64_t worker_rounds(const struct worker *worker);

/* To be driven again after the present events, since it has used its share up. */
void worker_run_again(struct worker *worker, struct session *session);
void worker_forget_again(struct worker *worker, struct session *session);
/* Closes the socket now; the object's memory goes after this batch of events. */
void worker_close(struct worker *worker, struct connection *connection);
/* 64-bit milliseconds of CLOCK_MONOTONIC. */
uint64_t worker_clock_ms(void);

static inline size_t worker_receive_limit(const struct worker *worker)
{
	if (worker->waiting_level >= WAITING_OVER)
		return WORKER_LEAST_READ_BYTES;
	return worker->waiting_level == WAITING_LOW && worker->pending_bytes < WORKER_PENDING_BYTES
		       ? WORKER_MEMORY_BYTES
		       : WORKER_SMALL_READ_BYTES;
}
