/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Memory that is taken piece by piece and given back all at once: what lives as long as a document
 * or a configuration. A zeroed struct is an empty arena. Not for several threads at a time.
 */
#include <stddef.h>
#include "base/span.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	char *position;
	size_t room;
	size_t block_bytes; /* of the next block */
};

/* Zeroed and aligned for any type; NULL when memory is short. `size` may be 0. */
void *arena_allocate(struct arena *arena, size_t size);
/* The same for an array; NULL also if `count` * `size` is no size. */
void *arena_allocate_array(struct arena *arena, size_t count, size_t size);
/* A NUL-terminated copy; NULL when memory is short. */
char *arena_copy(struct arena *arena, struct span text);
void arena_free(struct arena *arena);
