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
#include "proxy/downstream/interception.h"
#include "proxy/downstream/session.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

#define ACCEPTS_AT_ONCE 64
/* Between two tries to accept where errors last. */
#define LEAST_PAUSE_MS 20
#define LONGEST_PAUSE_MS 1000
#define BACKLOG 65535 /* the kernel takes net.core.somaxconn if that is less */

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
	if (bind(fd, (const struct sockaddr *)address, length) || listen(fd, BACKLOG))
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

static bool is_interceptor(const struct listener *listener)
{
	return listener->identity.kind == MESH_LISTENER_INTERCEPTED;
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
	int error = is_interceptor(listener) ? saved_syn_request(fd) : 0;
	/* Level-triggered: what one turn leaves comes again. */
	if (!error)
		error = connection_watch(worker->epoll_fd, &listener->connection, EPOLLIN);
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
	listener->connection.next_closed = worker->closed;
	worker->closed = &listener->connection;
}

void listener_drop(struct worker *worker, struct listener *listener)
{
	if (--listener->sessions == 0 && listener->is_gone)
		free_listener(worker, listener);
}

static void read_address(const struct sockaddr_storage *address, uint8_t ret_address[16],
			 uint16_t *ret_port)
{
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;

		memset(ret_address, 0, 10);
		memset(ret_address + 10, 0xff, 2);
		memcpy(ret_address + 12, &ipv4->sin_addr, 4);
		*ret_port = ntohs(ipv4->sin_port);
		return;
	}
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;
	memcpy(ret_address, &ipv6->sin6_addr, 16);
	*ret_port = ntohs(ipv6->sin6_port);
}

/* The local address is asked for only where the listener's does not say it and marks need it. */
static void fill_peers(struct worker *worker, const struct listener *listener, int fd,
		       const struct sockaddr_storage *remote, struct lanetag_connection *peers)
{
	struct sockaddr_storage local;
	socklen_t length = sizeof(local);

	*peers = (struct lanetag_connection){0}; /* marks are found by all its bytes */
	read_address(remote, peers->remote_address, &peers->remote_port);
	memcpy(peers->local_address, listener->identity.address, 16);
	peers->local_port = listener->identity.port;
	if ((worker->proxy->tagger || is_interceptor(listener)) &&
	    address_is_any(listener->identity.address) &&
	    getsockname(fd, (struct sockaddr *)&local, &length) == 0)
		read_address(&local, peers->local_address, &peers->local_port);
}

/*
 * No descriptor is left for a queued connection. It is taken in with the spare one and closed, so
 * that the client learns it. False: that failed, too.
 */
static bool shed_connection(struct worker *worker, struct listener *listener)
{
	if (worker->spare_fd < 0)
		return false;
	close(worker->spare_fd);
	int fd = accept4(listener->connection.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		statistics_count(&worker->statistics.connections_refused);
	}
	worker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

static void watch(struct worker *worker, struct listener *listener, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = &listener->connection};

	if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, listener->connection.fd, &event))
		log_error("listener not watched", log_number("port", listener->identity.port),
			  log_errno(-errno));
}

/*
 * An error that lasts: the queue would wake the loop at once, and again. It keeps its connections
 * until there is memory, or a descriptor, once more.
 */
static void pause_accepting(struct worker *worker, struct listener *listener, int error)
{
	unsigned pause_ms = listener->pause_ms * 2;

	if (listener->pause_ms == 0) {
		pause_ms = LEAST_PAUSE_MS;
		log_warning("connections not accepted", log_number("port", listener->identity.port),
			    log_errno(error));
	}
	listener->pause_ms = pause_ms < LONGEST_PAUSE_MS ? pause_ms : LONGEST_PAUSE_MS;
	watch(worker, listener, 0);
	timer_set(&worker->timers, &listener->timer, worker->now_ms + listener->pause_ms);
}

void listener_resume(struct worker *worker, struct listener *listener)
{
	watch(worker, listener, EPOLLIN);
	listener_accept(worker, listener);
}

/* The listener of the Service that was called; NULL: nobody was, and the caller learns it. */
static struct listener *original_listener(struct worker *worker, int fd,
					  const struct lanetag_connection *peers)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	struct listener *listener = interceptor_find(worker, fd, peers);

	if (listener) {
		statistics_count(&worker->statistics.calls_intercepted);
		return listener;
	}
	statistics_count(&worker->statistics.strangers_refused);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
	return NULL;
}

static void take_in(struct worker *worker, struct listener *listener, int fd,
		    const struct sockaddr_storage *remote)
{
	struct lanetag_connection peers;
	bool counted;

	fill_peers(worker, listener, fd, remote, &peers);
	if (is_interceptor(listener))
		listener = original_listener(worker, fd, &peers);
	if (!listener)
		return;
	bool at_gateway = listener->identity.kind == MESH_LISTENER_GATEWAY;
	if (proxy_connection_opened(worker->proxy, &peers, at_gateway, &counted)) {
		session_open(worker, listener, fd, &peers, counted ? SESSION_COUNTED : 0);
		return;
	}
	statistics_count(&worker->statistics.connections_refused);
	if (worker->over_limit_count < worker->proxy->maximum_over_limit)
		session_open(worker, listener, fd, &peers, SESSION_OVER_LIMIT);
	else
		close(fd);
}

static void note_accepted(struct listener *listener)
{
	if (listener->pause_ms)
		log_info("connections accepted again", log_number("port", listener->identity.port));
	listener->pause_ms = 0;
}

/* True: trying again at once may help. One idle upstream connection is worth one try. */
static bool make_room(struct worker *worker, struct listener *listener, int error,
		      bool *has_closed_idle)
{
	if (error != -EMFILE && error != -ENFILE)
		return false;
	if (!*has_closed_idle && listener->pause_ms == 0 && upstream_close_some_idle(worker)) {
		*has_closed_idle = true;
		return true;
	}
	if (!shed_connection(worker, listener))
		return false;
	log_warning("connection closed for want of a descriptor",
		    log_number("port", listener->identity.port), log_errno(error));
	return true;
}

static bool is_lasting(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* Takes in up to `most` of those that are queued. */
static void accept_connections(struct worker *worker, struct listener *listener, unsigned most)
{
	bool has_closed_idle = false;

	for (unsigned i = 0; i < most; i++) {
		struct sockaddr_storage remote;
		socklen_t length = sizeof(remote);
		int fd = accept4(listener->connection.fd, (struct sockaddr *)&remote, &length,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		int error = -errno;

		if (fd >= 0) {
			note_accepted(listener);
			take_in(worker, listener, fd, &remote);
			waiting_refuse_heads(worker);
			continue;
		}
		if (error == -EAGAIN)
			return;
		/* Any other error is of that connection, which has failed already: accept(2). */
		if (is_lasting(error) && !make_room(worker, listener, error, &has_closed_idle)) {
			pause_accepting(worker, listener, error);
			return;
		}
	}
}

void listener_accept(struct worker *worker, struct listener *listener)
{
	accept_connections(worker, listener, ACCEPTS_AT_ONCE);
}

static void retire_sessions(struct worker *worker, struct listener *listener)
{
	struct session *next;

	for (struct session *session = worker->sessions; session; session = next) {
		next = session->next;
		if (session->listener != listener)
			continue;
		if (session->exchange)
			session->state |= SESSION_CLOSE;
		else if (!(session->state & SESSION_LINGERING))
			session_abort(worker, session, false);
	}
}

/* The one place where the lease loses a listener: interception finds it no more. */
static void leave_lease(struct worker *worker, struct listener *listener)
{
	if (!listener->mesh_listener)
		return;
	struct listener **slot = &worker->lease->listeners[listener->mesh_listener->index];

	if (*slot == listener)
		*slot = NULL;
}

/* Leaves one count of sessions to the caller, so that the listener stays. */
static void close_socket(struct worker *worker, struct listener *listener, bool take_in_queue)
{
	if (take_in_queue)
		accept_connections(worker, listener, BACKLOG);
	leave_lease(worker, listener);
	listener->is_gone = true;
	listener->sessions++;
	timer_remove(&worker->timers, &listener->timer);
	/* Where another process has the socket too, closing it does not end its events. */
	epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, listener->connection.fd, NULL);
	close(listener->connection.fd);
	listener->connection.state |= CONNECTION_CLOSED;
}

void listener_close(struct worker *worker, struct listener *listener, bool take_in_queue)
{
	close_socket(worker, listener, take_in_queue);
	listener_drop(worker, listener);
}

void listener_retire(struct worker *worker, struct listener *listener)
{
	close_socket(worker, listener, true);
	retire_sessions(worker, listener);
	listener->mesh_listener = NULL; /* its configuration goes */
	listener_drop(worker, listener);
}
