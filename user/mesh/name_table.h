/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Names to things. A name lives in a numbered scope, so that one table serves many. Built once,
 * then only read. A zeroed struct is an empty table.
 */
#include <stddef.h>
#include <stdint.h>
#include "base/span.h"

struct name_table_slot;

struct name_table {
	struct name_table_slot *slots;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
	uint64_t lengths; /* bit n: a name's length is n, modulo 64 */
};

/* The name's bytes must live as long as the table. Replaces. 0, or -1 when memory is short. */
int name_table_put(struct name_table *table, uint64_t scope, struct span name, void *value);
void *name_table_get(const struct name_table *table, uint64_t scope,
		     struct span name); /* or NULL */
void name_table_free(struct name_table *table);
