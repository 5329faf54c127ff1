/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/upstream/backend.h"

#include <stdlib.h>

#include "proxy/upstream/upstreams.h"

/* The bucket that a hash has while `count` buckets are in use. */
static size_t bucket_of(uint64_t hash, size_t count)
{
	size_t mask = BACKEND_FIRST_BUCKETS - 1;

	while (mask < count - 1)
		mask = mask << 1 | 1;
	size_t bucket = hash & mask;
	return bucket < count ? bucket : bucket & mask >> 1;
}

static struct backend **bucket_at(const struct backend_table *table, size_t bucket)
{
	if (bucket < BACKEND_FIRST_BUCKETS)
		return &table->segments[0][bucket];
	unsigned segment = 64 - (unsigned)__builtin_clzll(bucket / BACKEND_FIRST_BUCKETS);
	return &table->segments[segment][bucket - ((size_t)BACKEND_FIRST_BUCKETS << (segment - 1))];
}

/* Makes the next bucket; its backends come from the one that had them. */
static void split_bucket(struct backend_table *table)
{
	size_t added = table->bucket_count;
	unsigned segment = 64 - (unsigned)__builtin_clzll(added / BACKEND_FIRST_BUCKETS);

	if (segment == BACKEND_SEGMENTS)
		return;
	if (!table->segments[segment])
		table->segments[segment] = calloc((size_t)BACKEND_FIRST_BUCKETS << (segment - 1),
						  sizeof(struct backend *));
	if (!table->segments[segment])
		return; /* longer lists, no more */
	size_t source = added - ((size_t)BACKEND_FIRST_BUCKETS << (segment - 1));
	struct backend **link = bucket_at(table, source), **target = bucket_at(table, added);
	table->bucket_count++;
	while (*link) {
		struct backend *backend = *link;

		if (bucket_of(backend->hash, table->bucket_count) == source) {
			link = &backend->next;
			continue;
		}
		*link = backend->next;
		backend->next = *target;
		*target = backend;
	}
}

static int add_to_table(struct backend_table *table, struct backend *backend)
{
	if (!table->bucket_count) {
		table->segments[0] = calloc(BACKEND_FIRST_BUCKETS, sizeof(struct backend *));
		if (!table->segments[0])
			return -1;
		table->bucket_count = BACKEND_FIRST_BUCKETS;
	}
	struct backend **bucket = bucket_at(table, bucket_of(backend->hash, table->bucket_count));
	backend->next = *bucket;
	*bucket = backend;
	if (++table->count > table->bucket_count)
		split_bucket(table);
	return 0;
}

void backend_table_free(struct backend_table *table)
{
	for (size_t i = 0; i < BACKEND_SEGMENTS; i++)
		free(table->segments[i]);
	*table = (struct backend_table){0};
}

struct backend *backend_find_idle(struct backend_table *table)
{
	for (size_t i = 0; i < table->bucket_count; i++) {
		size_t bucket = (table->search_start + i) % table->bucket_count;

		for (struct backend *backend = *bucket_at(table, bucket); backend;
		     backend = backend->next) {
			if (!backend->idle)
				continue;
			table->search_start = bucket;
			return backend;
		}
	}
	return NULL;
}

struct backend *backend_take_known(struct upstreams *upstreams, const uint8_t address[16],
				   uint16_t port)
{
	const struct backend_table *table = &upstreams->backends;
	uint64_t hash = mesh_endpoint_hash(address, port);

	if (!table->bucket_count)
		return NULL;
	struct backend *backend = *bucket_at(table, bucket_of(hash, table->bucket_count));
	while (backend && (backend->hash != hash || backend->port != port ||
			   memcmp(backend->address, address, 16) != 0))
		backend = backend->next;
	if (backend)
		backend->references++;
	return backend;
}

struct backend *backend_take(struct upstreams *upstreams, const uint8_t address[16], uint16_t port)
{
	struct backend *backend = backend_take_known(upstreams, address, port);

	if (backend)
		return backend;
	backend = calloc(1, sizeof(*backend));
	if (!backend)
		return NULL;
	backend->connection = (struct connection){.kind = CONNECTION_BACKEND, .fd = -1};
	backend->timer.deadline = TIMER_NEVER;
	backend->hash = mesh_endpoint_hash(address, port);
	memcpy(backend->address, address, 16);
	backend->port = port;
	backend->references = 1;
	if (add_to_table(&upstreams->backends, backend)) {
		free(backend);
		return NULL;
	}
	return backend;
}

void backend_drop(struct upstreams *upstreams, struct backend *backend)
{
	struct backend_table *table = &upstreams->backends;

	if (--backend->references > 0)
		return;
	struct backend **link = bucket_at(table, bucket_of(backend->hash, table->bucket_count));
	while (*link != backend)
		link = &(*link)->next;
	*link = backend->next;
	table->count--;
	timer_remove(&upstreams->loop->timers, &backend->timer);
	free(backend);
}

bool backend_is_down(const struct upstreams *upstreams, const struct backend *backend)
{
	return backend->down_until_ms > upstreams->loop->now_ms;
}
