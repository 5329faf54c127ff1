/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The least that a proxy can cost: what comes from a client goes to an upstream connection of its
 * own, and back, unread. One thread, one edge-triggered epoll loop, a receive and a send each way.
 *
 *   copier PORT UPSTREAM_PORT
 *
 * Where a peer takes no more it is waited for, so this is for the benchmark alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES (256 * 1024)
#define EVENTS 256

struct side {
	int fd;
	bool closed;
	struct side *other, *next_closed;
};

static char received[RECEIVE_BYTES];

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 65535))
		fail("copier: listen");
	return fd;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("copier: connect");
	return fd;
}

static struct side *open_side(int epoll_fd, int fd)
{
	struct side *side = calloc(1, sizeof(*side));
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = side};

	if (!side)
		fail("copier: memory");
	side->fd = fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		fail("copier: epoll");
	return side;
}

static void accept_all(int epoll_fd, int listener, uint16_t upstream_port)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct side *upstream = open_side(epoll_fd, connect_to(upstream_port));

		upstream->other = open_side(epoll_fd, fd);
		upstream->other->other = upstream;
	}
}

static bool send_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t sent = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent < 0) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};

			poll(&room, 1, -1);
			continue;
		}
		data += sent;
		length -= (size_t)sent;
	}
	return true;
}

/* False: this connection is over, or the other one is. A read that is not full emptied the socket,
 * unless the end stands behind it. */
static bool copy(struct side *side, bool at_end)
{
	for (;;) {
		ssize_t length = recv(side->fd, received, RECEIVE_BYTES, MSG_DONTWAIT);

		if (length < 0 && errno == EAGAIN)
			return true;
		if (length <= 0 || !send_all(side->other->fd, received, (size_t)length))
			return false;
		if (length < RECEIVE_BYTES && !at_end)
			return true;
	}
}

/* Their memory goes after the batch, in which they may still have events. */
static void close_both(struct side *side, struct side **closed)
{
	struct side *both[] = {side, side->other};

	for (size_t i = 0; i < 2; i++) {
		close(both[i]->fd);
		both[i]->closed = true;
		both[i]->next_closed = *closed;
		*closed = both[i];
	}
}

static void free_closed(struct side *closed)
{
	while (closed) {
		struct side *next = closed->next_closed;

		free(closed);
		closed = next;
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS], listening = {.events = EPOLLIN, .data.ptr = NULL};

	if (argc != 3) {
		fprintf(stderr, "usage: copier PORT UPSTREAM_PORT\n");
		return 2;
	}
	int listener = listen_on((uint16_t)atoi(argv[1])), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &listening))
		fail("copier: epoll");
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS, -1);
		struct side *closed = NULL;

		for (int i = 0; i < count; i++) {
			struct side *side = events[i].data.ptr;

			if (!side)
				accept_all(epoll_fd, listener, (uint16_t)atoi(argv[2]));
			else if (!side->closed && !copy(side, events[i].events & EPOLLRDHUP))
				close_both(side, &closed);
		}
		free_closed(closed);
	}
}
