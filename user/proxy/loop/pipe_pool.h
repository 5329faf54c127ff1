/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Pipes for splice(2), kept for the next body: making one costs as much as copying 20 KiB. Bounded,
 * since a full pipe holds kernel memory; where there is none, bodies are copied.
 */
#include <stdbool.h>
#include <stddef.h>

#define PIPE_BYTES (1024 * 1024) /* what an unprivileged process may have */
#define PIPE_POOL_MAXIMUM 64	 /* pipes of one worker, used and spare */

struct pipe {
	int read_fd, write_fd;
	size_t capacity;
	struct pipe *next;
};

struct pipe_pool {
	struct pipe *spare;
	size_t count;
};

/* NULL: none is to be had now. */
struct pipe *pipe_pool_take(struct pipe_pool *pool);
/* A pipe that still holds bytes is closed: they must not meet another body. */
void pipe_pool_give(struct pipe_pool *pool, struct pipe *pipe, bool is_empty);
void pipe_pool_free(struct pipe_pool *pool);
