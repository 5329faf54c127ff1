/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/loop/connection.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The calls that each request makes, without the C library's points of cancellation: nobody cancels
 * a worker, and in a program with threads they cost more than what is around them.
 */
static ssize_t receive_bytes(int fd, void *memory, size_t capacity)
{
	return syscall(SYS_recvfrom, fd, memory, capacity, 0, NULL, NULL);
}

static ssize_t send_bytes(int fd, const void *memory, size_t length, int flags)
{
	return syscall(SYS_sendto, fd, memory, length, flags, NULL, 0);
}

int connection_watch(int epoll_fd, struct connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) ? -errno : 0;
}

int connection_watch_upstream(int epoll_fd, struct connection *connection)
{
	return connection_watch(epoll_fd, connection, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

void connection_note_events(struct connection *connection, uint32_t events)
{
	if (events & EPOLLIN)
		connection->state |= CONNECTION_READABLE | CONNECTION_FRESH;
	if (events & EPOLLOUT)
		connection->state |= CONNECTION_WRITABLE;
	if (events & EPOLLRDHUP)
		connection->state |= CONNECTION_PEER_CLOSED | CONNECTION_READABLE;
	if (events & (EPOLLERR | EPOLLHUP))
		connection->state |= CONNECTION_FAILED | CONNECTION_READABLE | CONNECTION_WRITABLE;
}

ssize_t connection_receive(struct connection *connection, void *memory, size_t capacity)
{
	ssize_t length;

	if (!(connection->state & CONNECTION_READABLE))
		return -EAGAIN;
	do {
		length = receive_bytes(connection->fd, memory, capacity);
	} while (length < 0 && errno == EINTR);
	if (length < 0) {
		if (errno == EAGAIN)
			connection->state &= (uint16_t)~CONNECTION_READABLE;
		return -errno;
	}
	connection->state &= (uint16_t)~CONNECTION_FRESH;
	/* A short read has emptied the socket; only an end that is known of may stand behind it. */
	if (length > 0 && (size_t)length < capacity &&
	    !(connection->state & (CONNECTION_PEER_CLOSED | CONNECTION_FAILED)))
		connection->state &= (uint16_t)~CONNECTION_READABLE;
	return length;
}

int connection_wait_writable(int epoll_fd, struct connection *connection)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = connection,
	};

	connection->state &= (uint16_t)~CONNECTION_WRITABLE;
	if (connection->state & CONNECTION_WATCHES_WRITE)
		return 0;
	/* An edge that came before this call is reported again. */
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event))
		return -errno;
	connection->state |= CONNECTION_WATCHES_WRITE;
	return 0;
}

static size_t total_length(const struct iovec *pieces, size_t count)
{
	size_t total = pieces->iov_len;

	for (size_t i = 1; i < count; i++)
		total += pieces[i].iov_len;
	return total;
}

static ssize_t send_pieces(int fd, const struct iovec *pieces, size_t count, int flags)
{
	struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};

	return sendmsg(fd, &message, flags);
}

ssize_t connection_send(int epoll_fd, struct connection *connection, const struct iovec *pieces,
			size_t count, bool is_last)
{
	int flags = MSG_NOSIGNAL | (is_last ? MSG_MORE : 0);
	ssize_t length;

	do {
		length = count == 1 ? send_bytes(connection->fd, pieces->iov_base, pieces->iov_len,
						 flags)
				    : send_pieces(connection->fd, pieces, count, flags);
	} while (length < 0 && errno == EINTR);
	if (length < 0 && errno != EAGAIN)
		return -errno;
	if (length < 0 || (size_t)length < total_length(pieces, count)) {
		int waiting = connection_wait_writable(epoll_fd, connection);

		if (waiting)
			return waiting;
	}
	return length < 0 ? -EAGAIN : length;
}
