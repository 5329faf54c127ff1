/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * How many connections each client address has, over all workers: only kept where there is a limit
 * per client, and only touched when a connection comes or goes.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENTS_SHARDS 64 /* a power of two; each has a lock of its own */
#define CLIENTS_BUCKETS_PER_SHARD 64

struct client;

struct clients {
	struct {
		pthread_mutex_t lock;
		struct client *buckets[CLIENTS_BUCKETS_PER_SHARD];
	} shards[CLIENTS_SHARDS];
};

void clients_start(struct clients *clients);
void clients_free(struct clients *clients);
/* False: the address has `maximum` already (or memory is short), and is not counted. */
bool clients_enter(struct clients *clients, const uint8_t address[16], size_t maximum);
void clients_leave(struct clients *clients, const uint8_t address[16]);
