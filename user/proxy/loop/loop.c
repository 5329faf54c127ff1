/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/loop/loop.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

uint64_t loop_clock_ms(void)
{
	return clock_now_ns() / 1000000;
}

void loop_start(struct loop *loop)
{
	loop->epoll_fd = -1;
	loop->now_ms = loop_clock_ms();
	timer_wheel_start(&loop->timers, loop->now_ms);
}

void loop_free_later(struct loop *loop, struct connection *connection)
{
	connection->next_closed = loop->closed;
	loop->closed = connection;
}

void loop_close(struct loop *loop, struct connection *connection)
{
	close(connection->fd);
	connection->state |= CONNECTION_CLOSED;
	loop_free_later(loop, connection);
}

void loop_free_closed(struct loop *loop)
{
	while (loop->closed) {
		struct connection *connection = loop->closed;

		loop->closed = connection->next_closed;
		free(connection); /* the first member of what it belongs to */
	}
}

void loop_run_again(struct loop *loop, struct connection *connection)
{
	if (connection->state & CONNECTION_AGAIN)
		return;
	connection->state |= CONNECTION_AGAIN;
	connection->next_again = loop->again;
	loop->again = connection;
}

/* True: it was in the list. */
static bool unlink_again(struct connection **link, const struct connection *connection)
{
	for (; *link; link = &(*link)->next_again) {
		if (*link == connection) {
			*link = connection->next_again;
			return true;
		}
	}
	return false;
}

void loop_forget_again(struct loop *loop, struct connection *connection)
{
	if (!(connection->state & CONNECTION_AGAIN))
		return;
	connection->state &= (uint16_t)~CONNECTION_AGAIN;
	if (!unlink_again(&loop->again, connection))
		unlink_again(&loop->running, connection);
}

void loop_start_again(struct loop *loop)
{
	loop->running = loop->again;
	loop->again = NULL;
}

struct connection *loop_next_again(struct loop *loop)
{
	struct connection *connection = loop->running;

	if (!connection)
		return NULL;
	loop->running = connection->next_again;
	/* Not before its turn: what is asked for twice must stay in this list. */
	connection->state &= (uint16_t)~CONNECTION_AGAIN;
	return connection;
}
