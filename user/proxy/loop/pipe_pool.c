/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/loop/pipe_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

static struct pipe *make_pipe(void)
{
	struct pipe *pipe = malloc(sizeof(*pipe));
	int fds[2];

	if (!pipe)
		return NULL;
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC)) {
		log_warning("pipe not made, bodies are copied", log_errno(-errno));
		free(pipe);
		return NULL;
	}
	/* Refused where the user's share of pipe memory is used up: the default size also works. */
	int capacity = fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	if (capacity < 0)
		capacity = fcntl(fds[1], F_GETPIPE_SZ);
	*pipe = (struct pipe){
		.read_fd = fds[0],
		.write_fd = fds[1],
		.capacity = capacity > 0 ? (size_t)capacity : 4096,
	};
	return pipe;
}

static void close_pipe(struct pipe *pipe)
{
	close(pipe->read_fd);
	close(pipe->write_fd);
	free(pipe);
}

struct pipe *pipe_pool_take(struct pipe_pool *pool)
{
	struct pipe *pipe = pool->spare;

	if (pipe) {
		pool->spare = pipe->next;
		return pipe;
	}
	if (pool->count >= PIPE_POOL_MAXIMUM)
		return NULL;
	pipe = make_pipe();
	if (pipe)
		pool->count++;
	return pipe;
}

void pipe_pool_give(struct pipe_pool *pool, struct pipe *pipe, bool is_empty)
{
	if (is_empty) {
		pipe->next = pool->spare;
		pool->spare = pipe;
		return;
	}
	close_pipe(pipe);
	pool->count--;
}

void pipe_pool_free(struct pipe_pool *pool)
{
	while (pool->spare) {
		struct pipe *pipe = pool->spare;

		pool->spare = pipe->next;
		close_pipe(pipe);
		pool->count--;
	}
}
