/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/name_table.h"

#include <stdlib.h>

#include "base/word.h"

#define NAME_TABLE_FIRST_CAPACITY 16

struct name_table_slot {
	uint64_t hash;
	uint64_t scope;
	struct span name;
	void *value; /* NULL: empty */
};

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* Quick rather than proof against those who choose names: only manifests' names stand in tables. */
static uint64_t hash_of(uint64_t scope, struct span name)
{
	uint64_t hash = mix(scope, name.length);
	size_t at = 0;

	for (; name.length - at >= sizeof(uint64_t); at += sizeof(uint64_t))
		hash = mix(hash, word_read(name.data + at));
	return mix(hash, word_read_part(name.data + at, name.length - at));
}

static struct name_table_slot *find_slot(const struct name_table *table, uint64_t hash,
					 uint64_t scope, struct span name)
{
	size_t mask = table->capacity - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct name_table_slot *slot = &table->slots[i];

		if (!slot->value ||
		    (slot->hash == hash && slot->scope == scope && span_equal(slot->name, name)))
			return slot;
	}
}

static int grow(struct name_table *table)
{
	struct name_table grown = {
		.capacity = table->capacity ? table->capacity * 2 : NAME_TABLE_FIRST_CAPACITY,
		.count = table->count,
		.lengths = table->lengths,
	};

	grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
	if (!grown.slots)
		return -1;
	for (size_t i = 0; i < table->capacity; i++) {
		const struct name_table_slot *slot = &table->slots[i];

		if (slot->value)
			*find_slot(&grown, slot->hash, slot->scope, slot->name) = *slot;
	}
	free(table->slots);
	*table = grown;
	return 0;
}

int name_table_put(struct name_table *table, uint64_t scope, struct span name, void *value)
{
	uint64_t hash = hash_of(scope, name);

	if (table->count * 2 >= table->capacity && grow(table))
		return -1;
	struct name_table_slot *slot = find_slot(table, hash, scope, name);
	table->count += slot->value == NULL;
	table->lengths |= 1ULL << (name.length % 64);
	*slot = (struct name_table_slot){hash, scope, name, value};
	return 0;
}

void *name_table_get(const struct name_table *table, uint64_t scope, struct span name)
{
	/* Most names that are not there are of a length that none has: no need to hash them. */
	if (!(table->lengths >> (name.length % 64) & 1))
		return NULL;
	return find_slot(table, hash_of(scope, name), scope, name)->value;
}

void name_table_free(struct name_table *table)
{
	free(table->slots);
	*table = (struct name_table){0};
}
