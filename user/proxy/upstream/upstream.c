/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/upstream/upstream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "proxy/upstream/upstreams.h"

static void unlink_idle(struct upstream *upstream)
{
	if (!upstream->previous_next)
		return;
	*upstream->previous_next = upstream->next;
	if (upstream->next)
		upstream->next->previous_next = upstream->previous_next;
	upstream->previous_next = NULL;
	upstream->backend->idle_count--;
}

void upstream_close(struct upstreams *upstreams, struct upstream *upstream)
{
	if (upstream->connection.state & CONNECTION_CLOSED)
		return;
	unlink_idle(upstream);
	timer_remove(&upstreams->loop->timers, &upstream->timer);
	upstream->exchange = NULL;
	upstream->backend->connection_count--;
	backend_drop(upstreams, upstream->backend);
	upstream->backend = NULL;
	loop_close(upstreams->loop, &upstream->connection);
}

/* Whether the other side has closed, or has said something that nobody asked for. */
static bool is_stale(const struct upstream *upstream)
{
	char byte;

	return recv(upstream->connection.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
	       errno != EAGAIN;
}

struct upstream *upstream_take_idle(struct upstreams *upstreams, struct backend *backend,
				    bool check)
{
	struct upstream *upstream;

	while ((upstream = backend->idle)) {
		if (!(check || upstream->suspect) || !is_stale(upstream))
			break;
		upstream_close(upstreams, upstream);
	}
	if (!upstream)
		return NULL;
	unlink_idle(upstream);
	timer_set(&upstreams->loop->timers, &upstream->timer, TIMER_NEVER);
	upstream->requests++;
	statistics_count(&upstreams->statistics->upstream_reuses);
	return upstream;
}

void upstream_log_failed_connect(const struct backend *backend, int error)
{
	char address[ADDRESS_TEXT_BYTES];

	address_print(backend->address, address);
	log_warning("endpoint not connected to", log_text("address", address),
		    log_number("port", backend->port), log_errno(error));
}

int upstream_open_socket(struct upstreams *upstreams, const struct backend *backend)
{
	struct sockaddr_storage address;
	socklen_t length = socket_address(backend->address, backend->port, &address);
	int one = 1;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* Requests under way come first: idle connections give their descriptors back. */
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && upstream_close_some_idle(upstreams))
		fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		int error = -errno;

		log_warning("socket not made", log_errno(error));
		return error;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&address, length) && errno != EINPROGRESS) {
		int error = -errno;

		upstream_log_failed_connect(backend, error);
		close(fd);
		return error;
	}
	return fd;
}

struct upstream *upstream_connect(struct upstreams *upstreams, struct backend *backend,
				  int *ret_error)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	int error = -ENOMEM;

	if (!upstream)
		goto fail;
	upstream->connection.kind = CONNECTION_UPSTREAM;
	upstream->connection.state = CONNECTION_CONNECTING | CONNECTION_WATCHES_WRITE;
	upstream->timer.deadline = TIMER_NEVER;
	upstream->requests = 1;
	error = upstream->connection.fd = upstream_open_socket(upstreams, backend);
	if (error < 0)
		goto fail;
	error = connection_watch_upstream(upstreams->loop->epoll_fd, &upstream->connection);
	if (error) {
		close(upstream->connection.fd);
		goto fail;
	}
	upstream->backend = backend;
	backend->references++;
	backend->connection_count++;
	statistics_count(&upstreams->statistics->upstream_connects);
	return upstream;
fail:
	free(upstream);
	*ret_error = error;
	return NULL;
}

int upstream_finish_connect(struct upstream *upstream)
{
	struct connection *connection = &upstream->connection;
	int error = 0;
	socklen_t length = sizeof(error);

	if (connection->state & CONNECTION_FAILED &&
	    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length))
		error = errno;
	if (error) {
		upstream_log_failed_connect(upstream->backend, -error);
		return -error;
	}
	connection->state &= (uint16_t)~CONNECTION_CONNECTING;
	return 0;
}

void upstream_keep(struct upstreams *upstreams, struct upstream *upstream, uint32_t idle_timeout_ms)
{
	struct backend *backend = upstream->backend;

	upstream->exchange = NULL;
	upstream->next = backend->idle;
	upstream->previous_next = &backend->idle;
	if (upstream->next)
		upstream->next->previous_next = &upstream->next;
	backend->idle = upstream;
	backend->idle_count++;
	timer_set(&upstreams->loop->timers, &upstream->timer,
		  upstreams->loop->now_ms +
			  (idle_timeout_ms ? idle_timeout_ms : upstreams->idle_timeout_ms));
}

bool upstream_close_some_idle(struct upstreams *upstreams)
{
	struct backend *backend = backend_find_idle(&upstreams->backends);

	if (!backend)
		return false;
	struct upstream *upstream = backend->idle;
	while (upstream->next)
		upstream = upstream->next;
	upstream_close(upstreams, upstream);
	return true;
}

void upstream_handle_idle_event(struct upstreams *upstreams, struct upstream *upstream,
				uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		upstream_close(upstreams, upstream); /* there is nothing to be said */
}

void upstream_expired(struct upstreams *upstreams, struct upstream *upstream)
{
	if (!upstream->exchange)
		upstream_close(upstreams, upstream);
}
