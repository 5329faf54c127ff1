/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/downstream/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "kernel/saved_syn.h"
#include "proxy/worker/worker.h"

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static int bind_and_listen(int fd, const struct sockaddr_storage *address, unsigned length)
{
	int level = address->ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	int freebind = address->ss_family == AF_INET ? IP_FREEBIND : IPV6_FREEBIND;

	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) ||
	    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)) /* accepted sockets inherit it */
		return -errno;
	/* A Service's address may come to the node after us. */
	set_option(fd, level, freebind, 1);
	if (address->ss_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (bind(fd, (const struct sockaddr *)address, length) || listen(fd, LISTENER_BACKLOG))
		return -errno;
	return 0;
}

static int open_socket_at(const uint8_t address[16], uint16_t port)
{
	struct sockaddr_storage storage;
	unsigned length = socket_address(address, port, &storage);
	int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	int error = bind_and_listen(fd, &storage, length);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

int listener_open_socket(const struct mesh_listener *mesh_listener)
{
	static const uint8_t any_ipv4[16] = {[10] = 0xff, [11] = 0xff};
	int fd = open_socket_at(mesh_listener->address, mesh_listener->port);

	/* A machine without IPv6. */
	if (fd == -EAFNOSUPPORT && address_is_any(mesh_listener->address))
		fd = open_socket_at(any_ipv4, mesh_listener->port);
	return fd;
}

int listener_add(struct worker *worker, const struct mesh_listener *mesh_listener, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return -ENOMEM;
	listener->connection = (struct connection){.kind = CONNECTION_LISTENER, .fd = fd};
	if (mesh_listener->kind != MESH_LISTENER_INTERCEPTED)
		listener->mesh_listener = mesh_listener;
	listener->identity = *mesh_listener;
	listener->timer.deadline = TIMER_NEVER;
	int error = listener_is_interceptor(listener) ? saved_syn_request(fd) : 0;
	/* Level-triggered: what one turn leaves comes again. */
	if (!error)
		error = connection_watch(worker->loop.epoll_fd, &listener->connection, EPOLLIN);
	if (error) {
		free(listener);
		return error;
	}
	listener->next = worker->listeners;
	worker->listeners = listener;
	return 0;
}

static void free_listener(struct worker *worker, struct listener *listener)
{
	struct listener **link = &worker->listeners;

	while (*link != listener)
		link = &(*link)->next;
	*link = listener->next;
	/* The socket is closed; the object may still be in the present batch of events. */
	loop_free_later(&worker->loop, &listener->connection);
}

void listener_drop(struct worker *worker, struct listener *listener)
{
	if (--listener->sessions == 0 && listener->is_gone)
		free_listener(worker, listener);
}

void listener_watch(struct worker *worker, struct listener *listener, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = &listener->connection};

	if (epoll_ctl(worker->loop.epoll_fd, EPOLL_CTL_MOD, listener->connection.fd, &event))
		log_error("listener not watched", log_number("port", listener->identity.port),
			  log_errno(-errno));
}
