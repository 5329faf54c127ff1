/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A socket in a worker's loop, the first member of what it belongs to. It is registered
 * edge-triggered once. `state` has what is known of it, so that a request costs no epoll_ctl(2) and
 * no read or write that would give EAGAIN.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum connection_kind {
	CONNECTION_WAKE, /* the worker's eventfd */
	CONNECTION_LISTENER,
	CONNECTION_SESSION,
	CONNECTION_UPSTREAM,
	CONNECTION_MIRROR,
	CONNECTION_BACKEND,  /* no socket: has a timer alone */
	CONNECTION_EXCHANGE, /* the same, and may ask to run again */
};

enum connection_state {
	CONNECTION_READABLE = 1 << 0,	/* a read may give something */
	CONNECTION_WRITABLE = 1 << 1,	/* a write may take something */
	CONNECTION_CONNECTING = 1 << 2, /* not established yet */
	CONNECTION_WATCHES_WRITE = 1 << 3,
	CONNECTION_PEER_CLOSED = 1 << 4, /* the end stands behind what can still be read */
	CONNECTION_FAILED = 1 << 5,	 /* reset, or closed in both directions */
	CONNECTION_FRESH = 1 << 6,	 /* an event said EPOLLIN and nothing was read since */
	CONNECTION_NO_SPLICE = 1 << 7,	 /* splice(2) does not see what recv(2) gives */
	CONNECTION_CLOSED = 1 << 8,	 /* waits for the end of the event batch */
	CONNECTION_RESET = 1 << 9,  /* a write was told so: the end that a read meets is none */
	CONNECTION_AGAIN = 1 << 10, /* in loop->again */
};

struct connection {
	uint8_t kind;
	uint16_t state;
	int fd;
	struct connection *next_closed;
	struct connection *next_again;
};

/* Registers with the loop. 0 or a negative errno. */
int connection_watch(int epoll_fd, struct connection *connection, uint32_t events);
/* The same for one that is connecting: also watches for that. */
int connection_watch_upstream(int epoll_fd, struct connection *connection);
/* Notes what an event said. */
void connection_note_events(struct connection *connection, uint32_t events);

/* > 0: bytes; 0: the peer's end; -EAGAIN: wait for an event; other negative errno: it failed. */
ssize_t connection_receive(struct connection *connection, void *memory, size_t capacity);
/*
 * The same for sending (never 0): a short count means that the rest has to wait for an event.
 * `is_last`: the connection is shut right after it, so the end may go in the same segment.
 */
ssize_t connection_send(int epoll_fd, struct connection *connection, const struct iovec *pieces,
			size_t count, bool is_last);
/* A write took less than it was given: waits for room from now on. 0 or a negative errno. */
int connection_wait_writable(int epoll_fd, struct connection *connection);

static inline bool connection_can_read(const struct connection *connection)
{
	return connection->state & CONNECTION_READABLE;
}

static inline bool connection_can_write(const struct connection *connection)
{
	return (connection->state & (CONNECTION_WRITABLE | CONNECTION_CONNECTING)) ==
	       CONNECTION_WRITABLE;
}
