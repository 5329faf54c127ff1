/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/downstream/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "proxy/downstream/interception.h"
#include "proxy/downstream/session.h"
#include "proxy/exchange/exchange.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

#define ACCEPTS_AT_ONCE 64
/* Between two tries to accept where errors last. */
#define LEAST_PAUSE_MS 20
#define LONGEST_PAUSE_MS 1000

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
	if ((worker->shared->tagger || listener_is_interceptor(listener)) &&
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
	listener_watch(worker, listener, 0);
	timer_set(&worker->loop.timers, &listener->timer, worker->loop.now_ms + listener->pause_ms);
}

/* The client learns that it is refused. */
static void refuse_stranger(struct worker *worker, int fd)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	statistics_count(&worker->statistics.strangers_refused);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static void serve(struct worker *worker, struct listener *listener, int fd,
		  const struct lanetag_connection *peers)
{
	bool at_gateway = listener->identity.kind == MESH_LISTENER_GATEWAY;
	bool counted;

	if (shared_connection_opened(worker->shared, peers, at_gateway, &counted)) {
		session_open(worker, listener, fd, peers, counted ? SESSION_COUNTED : 0);
		return;
	}
	statistics_count(&worker->statistics.connections_refused);
	if (worker->over_limit_count < worker->shared->maximum_over_limit)
		session_open(worker, listener, fd, peers, SESSION_OVER_LIMIT);
	else
		close(fd);
}

/* False: the configuration has no listener for the Service that was called. */
static bool serve_intercepted(struct worker *worker, const struct accept_unknown *call)
{
	struct listener *listener = interceptor_listener(worker, &call->original);

	if (!listener)
		return false;
	statistics_count(&worker->statistics.calls_intercepted);
	serve(worker, listener, call->fd, &call->peers);
	return true;
}

static enum accept_result take_in(struct worker *worker, struct listener *listener, int fd,
				  const struct sockaddr_storage *remote,
				  struct accept_unknown *ret_unknown)
{
	struct lanetag_connection peers;

	fill_peers(worker, listener, fd, remote, &peers);
	if (!listener_is_interceptor(listener)) {
		serve(worker, listener, fd, &peers);
		return ACCEPT_DONE;
	}
	*ret_unknown = (struct accept_unknown){.fd = fd, .peers = peers};
	if (!interceptor_original(worker, fd, &peers, &ret_unknown->original))
		refuse_stranger(worker, fd);
	else if (!serve_intercepted(worker, ret_unknown))
		return ACCEPT_UNKNOWN;
	return ACCEPT_DONE;
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
	if (!*has_closed_idle && listener->pause_ms == 0 &&
	    upstream_close_some_idle(&worker->upstreams)) {
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

/* Takes in up to `most` of those that are queued, or until one is unknown. */
static enum accept_result take_queue(struct worker *worker, struct listener *listener,
				     unsigned most, struct accept_unknown *ret_unknown)
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
			if (take_in(worker, listener, fd, &remote, ret_unknown) == ACCEPT_UNKNOWN)
				return ACCEPT_UNKNOWN;
			session_refuse_heads(worker);
			continue;
		}
		if (error == -EAGAIN)
			return ACCEPT_DONE;
		/* Any other error is of that connection, which has failed already: accept(2). */
		if (is_lasting(error) && !make_room(worker, listener, error, &has_closed_idle)) {
			pause_accepting(worker, listener, error);
			return ACCEPT_DONE;
		}
	}
	return ACCEPT_DONE;
}

enum accept_result accept_connections(struct worker *worker, struct listener *listener,
				      struct accept_unknown *ret_unknown)
{
	return take_queue(worker, listener, ACCEPTS_AT_ONCE, ret_unknown);
}

void accept_again(struct worker *worker, const struct accept_unknown *unknown)
{
	if (!serve_intercepted(worker, unknown))
		refuse_stranger(worker, unknown->fd);
	session_refuse_heads(worker);
}

void accept_resume(struct worker *worker, struct listener *listener)
{
	listener_watch(worker, listener, EPOLLIN);
}

/* The worker adopts no configuration any more: what is unknown now stays so. */
static void take_whole_queue(struct worker *worker, struct listener *listener)
{
	struct accept_unknown unknown;

	for (unsigned i = 0; i < LISTENER_BACKLOG; i++) {
		if (take_queue(worker, listener, LISTENER_BACKLOG, &unknown) == ACCEPT_DONE)
			return;
		refuse_stranger(worker, unknown.fd);
	}
}

static void retire_sessions(struct worker *worker, struct listener *listener)
{
	struct session *next;

	for (struct session *session = worker->sessions; session; session = next) {
		next = session->next;
		if (session->listener != listener)
			continue;
		if (session->exchange)
			session->client.closes = true;
		else if (!(session->state & SESSION_LINGERING))
			session_abort(worker, session, false);
	}
}

/* The one place where the lease loses a listener: interception finds it no more. */
static void leave_lease(struct worker *worker, struct listener *listener)
{
	if (!listener->mesh_listener)
		return;
	struct listener **slot =
		&worker->upstreams.lease->listeners[listener->mesh_listener->index];

	if (*slot == listener)
		*slot = NULL;
}

/* Leaves one count of sessions to the caller, so that the listener stays. */
static void close_socket(struct worker *worker, struct listener *listener, bool take_in_queue)
{
	if (take_in_queue)
		take_whole_queue(worker, listener);
	leave_lease(worker, listener);
	listener->is_gone = true;
	listener->sessions++;
	timer_remove(&worker->loop.timers, &listener->timer);
	/* Where another process has the socket too, closing it does not end its events. */
	epoll_ctl(worker->loop.epoll_fd, EPOLL_CTL_DEL, listener->connection.fd, NULL);
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
