/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread of its own: a long reload must not look like a dead agent, and a worker that hangs must.
 * Each worker is woken and has to have gone round its loop by the next time. A worker that hangs is
 * noticed at the second beat from then, so calls go directly within BEAT_MS + LEASE_MS.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "kernel/interception.h"
#include "proxy/heartbeat.h"
#include "proxy/thread.h"

#define BEAT_MS 150
#define LEASE_MS 600

struct heartbeat {
	struct interception *interception;
	struct thread *threads; /* that are watched */
	unsigned count;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stopped;
	bool stop;
	uint64_t *rounds; /* of each worker, as last seen */
};

static bool all_got_round(struct heartbeat *heartbeat)
{
	bool all = true;

	for (unsigned i = 0; i < heartbeat->count; i++) {
		uint64_t rounds = thread_rounds(&heartbeat->threads[i]);

		all = all && rounds != heartbeat->rounds[i];
		heartbeat->rounds[i] = rounds;
		thread_wake(&heartbeat->threads[i]);
	}
	return all;
}

/* False: time to end. */
static bool wait_for_beat(struct heartbeat *heartbeat)
{
	struct timespec due;

	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_nsec += BEAT_MS * 1000000L;
	due.tv_sec += due.tv_nsec / 1000000000L;
	due.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&heartbeat->lock);
	while (!heartbeat->stop &&
	       pthread_cond_timedwait(&heartbeat->stopped, &heartbeat->lock, &due) != ETIMEDOUT)
		;
	bool go_on = !heartbeat->stop;
	pthread_mutex_unlock(&heartbeat->lock);
	return go_on;
}

static void *run(void *context)
{
	struct heartbeat *heartbeat = context;
	bool served = true;

	pthread_setname_np(pthread_self(), "heartbeat");
	do {
		bool serves = all_got_round(heartbeat);

		if (serves)
			interception_renew(heartbeat->interception, LEASE_MS);
		if (serves != served)
			log_warning(serves ? "workers serve again"
					   : "a worker hangs: calls are not intercepted",
				    log_number("beat_ms", BEAT_MS));
		served = serves;
	} while (wait_for_beat(heartbeat));
	return NULL;
}

/* Waits are measured by a clock that nobody sets. */
static int prepare_wait(struct heartbeat *heartbeat)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&heartbeat->lock, NULL);
	int error = -pthread_cond_init(&heartbeat->stopped, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return error;
}

int heartbeat_start(struct interception *interception, struct thread *threads, unsigned count,
		    struct heartbeat **ret_heartbeat)
{
	struct heartbeat *heartbeat = calloc(1, sizeof(*heartbeat));

	if (!heartbeat)
		return -ENOMEM;
	heartbeat->interception = interception;
	heartbeat->threads = threads;
	heartbeat->count = count;
	heartbeat->rounds = calloc(count, sizeof(*heartbeat->rounds));
	for (unsigned i = 0; heartbeat->rounds && i < count; i++)
		heartbeat->rounds[i] = UINT64_MAX;
	int error = heartbeat->rounds ? prepare_wait(heartbeat) : -ENOMEM;
	if (error == 0)
		error = -pthread_create(&heartbeat->thread, NULL, run, heartbeat);
	if (error) {
		free(heartbeat->rounds);
		free(heartbeat);
		return error;
	}
	*ret_heartbeat = heartbeat;
	return 0;
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
	if (!heartbeat)
		return;
	pthread_mutex_lock(&heartbeat->lock);
	heartbeat->stop = true;
	pthread_cond_signal(&heartbeat->stopped);
	pthread_mutex_unlock(&heartbeat->lock);
	pthread_join(heartbeat->thread, NULL);
	pthread_cond_destroy(&heartbeat->stopped);
	pthread_mutex_destroy(&heartbeat->lock);
	free(heartbeat->rounds);
	free(heartbeat);
}
