/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/sharing/clients.h"

#include <stdlib.h>
#include <string.h>

struct client {
	struct client *next;
	size_t connections;
	uint8_t address[16];
};

void clients_start(struct clients *clients)
{
	memset(clients, 0, sizeof(*clients));
	for (size_t i = 0; i < CLIENTS_SHARDS; i++)
		pthread_mutex_init(&clients->shards[i].lock, NULL);
}

void clients_free(struct clients *clients)
{
	for (size_t i = 0; i < CLIENTS_SHARDS; i++) {
		for (size_t j = 0; j < CLIENTS_BUCKETS_PER_SHARD; j++) {
			struct client *client = clients->shards[i].buckets[j];

			while (client) {
				struct client *next = client->next;

				free(client);
				client = next;
			}
		}
		pthread_mutex_destroy(&clients->shards[i].lock);
	}
}

static uint64_t hash_address(const uint8_t address[16])
{
	uint64_t halves[2];

	memcpy(halves, address, sizeof(halves));
	return (halves[0] * 31 ^ halves[1]) * 0x9e3779b97f4a7c15ULL;
}

/* The link that points to the client's entry, or to NULL where it would stand. */
static struct client **find(struct client **bucket, const uint8_t address[16])
{
	while (*bucket && memcmp((*bucket)->address, address, 16) != 0)
		bucket = &(*bucket)->next;
	return bucket;
}

bool clients_enter(struct clients *clients, const uint8_t address[16], size_t maximum)
{
	uint64_t hash = hash_address(address);
	size_t shard = hash >> 58;
	bool entered = false;

	pthread_mutex_lock(&clients->shards[shard].lock);
	struct client **link = find(
		&clients->shards[shard].buckets[(hash >> 32) % CLIENTS_BUCKETS_PER_SHARD], address);
	if (!*link) {
		*link = calloc(1, sizeof(**link));
		if (*link)
			memcpy((*link)->address, address, 16);
	}
	if (*link && (*link)->connections < maximum) {
		(*link)->connections++;
		entered = true;
	}
	pthread_mutex_unlock(&clients->shards[shard].lock);
	return entered;
}

void clients_leave(struct clients *clients, const uint8_t address[16])
{
	uint64_t hash = hash_address(address);
	size_t shard = hash >> 58;

	pthread_mutex_lock(&clients->shards[shard].lock);
	struct client **link = find(
		&clients->shards[shard].buckets[(hash >> 32) % CLIENTS_BUCKETS_PER_SHARD], address);
	struct client *client = *link;
	if (client && --client->connections == 0) {
		*link = client->next;
		free(client);
	}
	pthread_mutex_unlock(&clients->shards[shard].lock);
}
