/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Leases that were posted to a worker and that it has not adopted yet. Posted by any thread, taken
 * by the worker's own.
 */
#include <pthread.h>
#include "proxy/upstream/lease.h"

struct lease_queue {
	pthread_mutex_t lock;
	struct lease *first; /* in order */
};

void lease_queue_start(struct lease_queue *queue);
/* Frees those that were not taken. */
void lease_queue_free(struct lease_queue *queue);
void lease_queue_post(struct lease_queue *queue, struct lease *lease);
/* All of them, linked by `next`, or NULL. */
struct lease *lease_queue_take(struct lease_queue *queue);
/*
 * The configuration of this generation, or NULL. By the worker's own thread: what it finds stays
 * until that thread takes the leases.
 */
const struct configuration *lease_queue_find(struct lease_queue *queue, uint32_t generation);
