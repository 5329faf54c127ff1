/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/upstream/lease_queue.h"

void lease_queue_start(struct lease_queue *queue)
{
	queue->first = NULL;
	pthread_mutex_init(&queue->lock, NULL);
}

void lease_queue_free(struct lease_queue *queue)
{
	while (queue->first) {
		struct lease *lease = queue->first;

		queue->first = lease->next;
		lease_free(NULL, lease);
	}
	pthread_mutex_destroy(&queue->lock);
}

void lease_queue_post(struct lease_queue *queue, struct lease *lease)
{
	struct lease **link = &queue->first;

	lease->next = NULL;
	pthread_mutex_lock(&queue->lock);
	while (*link)
		link = &(*link)->next;
	*link = lease;
	pthread_mutex_unlock(&queue->lock);
}

struct lease *lease_queue_take(struct lease_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	struct lease *first = queue->first;
	queue->first = NULL;
	pthread_mutex_unlock(&queue->lock);
	return first;
}

const struct configuration *lease_queue_find(struct lease_queue *queue, uint32_t generation)
{
	const struct configuration *found = NULL;

	pthread_mutex_lock(&queue->lock);
	for (struct lease *lease = queue->first; lease && !found; lease = lease->next) {
		if (lease->configuration->generation == generation)
			found = lease->configuration;
	}
	pthread_mutex_unlock(&queue->lock);
	return found;
}
