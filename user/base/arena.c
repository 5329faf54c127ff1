/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Blocks double, so that a small thing costs little and a large one few blocks. */
#define ARENA_FIRST_BLOCK_BYTES ((size_t)1024)
#define ARENA_LAST_BLOCK_BYTES ((size_t)256 * 1024)
/* From here on blocks are mapped by themselves: their pages go back to the system when they go. */
#define ARENA_MAPPED_BYTES ((size_t)64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t mapped_bytes; /* 0: of the heap */
	max_align_t data[];
};

static struct arena_block *map_block(size_t size)
{
	struct arena_block *block =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED)
		return NULL;
	block->mapped_bytes = size;
	return block;
}

static void free_block(struct arena_block *block)
{
	if (block->mapped_bytes)
		munmap(block, block->mapped_bytes);
	else
		free(block);
}

static char *arena_add_block(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX - sizeof(struct arena_block))
		return NULL;
	struct arena_block *block = size < ARENA_MAPPED_BYTES ? calloc(1, sizeof(*block) + size)
							      : map_block(sizeof(*block) + size);

	if (!block)
		return NULL;
	block->next = arena->blocks;
	arena->blocks = block;
	return (char *)block->data;
}

void *arena_allocate(struct arena *arena, size_t size)
{
	const size_t alignment = alignof(max_align_t);

	if (size > SIZE_MAX - alignment)
		return NULL;
	size = size ? (size + alignment - 1) / alignment * alignment : alignment;
	if (size > arena->room) {
		size_t block = arena->block_bytes ? arena->block_bytes : ARENA_FIRST_BLOCK_BYTES;
		/* A large piece gets a block of its own, so that the current one is filled up. */
		if (size > block / 4)
			return arena_add_block(arena, size);
		char *data = arena_add_block(arena, block);
		if (!data)
			return NULL;
		arena->position = data;
		arena->room = block;
		arena->block_bytes = block < ARENA_LAST_BLOCK_BYTES ? block * 2 : block;
	}
	void *piece = arena->position;
	arena->position += size;
	arena->room -= size;
	return piece;
}

void *arena_allocate_array(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return arena_allocate(arena, bytes);
}

char *arena_copy(struct arena *arena, struct span text)
{
	char *copy = arena_allocate(arena, text.length + 1);

	if (copy && text.length)
		memcpy(copy, text.data, text.length);
	return copy;
}

void arena_free(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *next = arena->blocks->next;

		free_block(arena->blocks);
		arena->blocks = next;
	}
	*arena = (struct arena){0};
}
