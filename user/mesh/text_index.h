/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Which of many texts a given one is equal to, begins with or contains: found in time by its
 * length, whatever their number. Each text has values; those of texts that fit are given. Built
 * once, then only read.
 */
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"

enum text_relation {
	TEXT_EQUAL,
	TEXT_EQUAL_FOLDED, /* ASCII case is no matter; the text is in lower case */
	TEXT_PREFIX,
	TEXT_PREFIX_FOLDED,
	TEXT_PART, /* at least TEXT_PART_BYTES */
	TEXT_RELATIONS,
};

#define TEXT_PART_BYTES 3
#define TEXT_PARTS_MAXIMUM 4096 /* different ones */

struct text_index;

struct text_entry {
	enum text_relation relation;
	struct span text; /* lives as long as the index */
	uint32_t value;
};

/* Sorts `entries`. NULL when memory is short; the arena owns the index. */
const struct text_index *text_index_new(struct arena *arena, struct text_entry *entries,
					size_t count);

/* The values of one text that fits, ascending; at least one. */
typedef void (*text_found)(void *context, const uint32_t *values, size_t count);

/* Calls `found` once for each text that fits. */
void text_index_find(const struct text_index *index, struct span text, text_found found,
		     void *context);
