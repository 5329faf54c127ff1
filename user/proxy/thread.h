/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A worker's thread: drives its loop, and takes what comes in from outside. Other threads touch only
 * the members after `worker`.
 */
#include <pthread.h>
#include "proxy/handover/takeover.h"
#include "proxy/upstream/lease_queue.h"
#include "proxy/worker/worker.h"

struct thread {
	struct worker worker;
	unsigned index;
	pthread_t id;

	_Atomic uint64_t rounds; /* of the loop */
	struct lease_queue posted;
	struct connection wake;		 /* an eventfd */
	pthread_mutex_t lock;		 /* of what follows */
	struct proxy_sockets *export_to; /* asked for: duplicates of the listening sockets */
	int export_result;
	pthread_cond_t exported;
	bool stop_asked;
	bool stop_done;
	bool end_asked;
};

int thread_start(struct thread *thread, struct shared *shared, unsigned index);
/* Hands a lease over; the worker adopts it when it next wakes up, which is at once. */
void thread_post_lease(struct thread *thread, struct lease *lease);
/* Appends duplicates of the listening sockets; waits for the worker. 0 or a negative errno. */
int thread_export_sockets(struct thread *thread, struct proxy_sockets *sockets);
/* No new connections; each request under way is its connection's last. */
void thread_ask_stop(struct thread *thread);
/* True once the worker has done so: it takes no connection in any more. */
bool thread_has_stopped(struct thread *thread);
/* Closes everything and ends the thread; waits for it. Then frees all. */
void thread_end(struct thread *thread);

/* Lets it go round its loop, and how often it did. */
void thread_wake(struct thread *thread);
uint64_t thread_rounds(const struct thread *thread);
