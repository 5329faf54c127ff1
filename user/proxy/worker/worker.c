/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/exchange/access_log.h"
#include "proxy/exchange/exchange.h"
#include "proxy/request/generation.h"
#include "proxy/downstream/listener.h"
#include "proxy/exchange/mirror.h"
#include "proxy/downstream/session.h"
#include "proxy/upstream/upstream.h"

#define EVENTS_AT_ONCE 256
/* Beside the received head: what tags, baggage and forwarding fields add. */
#define HEAD_MEMORY_EXTRA_BYTES (64 * 1024)

uint64_t worker_clock_ms(void)
{
	return clock_now_ns() / 1000000;
}

void worker_close(struct worker *worker, struct connection *connection)
{
	close(connection->fd);
	connection->state |= CONNECTION_CLOSED;
	connection->next_closed = worker->closed;
	worker->closed = connection;
}

void worker_run_again(struct worker *worker, struct session *session)
{
	if (session->state & SESSION_AGAIN)
		return;
	session->state |= SESSION_AGAIN;
	session->next_again = worker->again;
	worker->again = session;
}

void worker_forget_again(struct worker *worker, struct session *session)
{
	for (struct session **link = &worker->again; *link; link = &(*link)->next_again) {
		if (*link == session) {
			*link = session->next_again;
			break;
		}
	}
	session->state &= (uint16_t)~SESSION_AGAIN;
}

/* Drives those that had more to do; who has still more waits for the next turn. */
static void run_again(struct worker *worker)
{
	struct session *session = worker->again;

	worker->again = NULL;
	while (session) {
		struct session *next = session->next_again;

		/* Not before its turn: who is asked for twice must stay in this list. */
		session->state &= (uint16_t)~SESSION_AGAIN;
		session_drive(worker, session);
		session = next;
	}
}

static void free_closed(struct worker *worker)
{
	while (worker->closed) {
		struct connection *connection = worker->closed;

		worker->closed = connection->next_closed;
		free(connection); /* the first member of what it belongs to */
	}
}

/* Several may have one identity, after another process handed its sockets over: the first counts. */
static void adopt_listener(struct worker *worker, struct lease *lease, struct listener *listener)
{
	const struct mesh_listener *identity =
		mesh_find_listener(lease->configuration->mesh, &listener->identity);

	if (!identity) {
		listener_retire(worker, listener);
		return;
	}
	listener->mesh_listener = identity;
	if (!lease->listeners[identity->index])
		lease->listeners[identity->index] = listener;
}

/* Listeners that the new configuration has too go on; others open, or are retired. */
static void adopt_listeners(struct worker *worker, struct lease *lease)
{
	const struct mesh *mesh = lease->configuration->mesh;
	struct listener *next;

	for (struct listener *listener = worker->listeners; listener; listener = next) {
		next = listener->next;
		if (!listener->is_gone && listener->identity.kind != MESH_LISTENER_INTERCEPTED)
			adopt_listener(worker, lease, listener);
	}
	for (size_t i = 0; i < lease->listener_count; i++) {
		if (lease->listeners[i] || lease->listener_fds[i] < 0 ||
		    listener_add(worker, mesh_listener(mesh, i), lease->listener_fds[i]))
			continue;
		lease->listener_fds[i] = -1;
		lease->listeners[i] = worker->listeners;
	}
	/* More sockets than workers: what is queued on them must not be lost. */
	for (size_t i = 0; i < lease->extra_count; i++) {
		const struct mesh_listener *identity = &lease->extra_sockets[i].identity;

		/* The socket of interception belongs to no configuration. */
		if (identity->kind != MESH_LISTENER_INTERCEPTED)
			identity = mesh_find_listener(mesh, identity);
		if (identity && listener_add(worker, identity, lease->extra_sockets[i].fd) == 0)
			lease->extra_sockets[i].fd = -1;
	}
}

static void retire_lease(struct worker *worker, struct lease *lease)
{
	lease->is_current = false;
	if (lease->requests == 0) {
		lease_leave(worker, lease);
		return;
	}
	lease->next = worker->old_leases;
	worker->old_leases = lease;
}

static void adopt_lease(struct worker *worker, struct lease *lease)
{
	struct lease *previous = worker->lease;

	lease->next = NULL;
	adopt_listeners(worker, lease);
	lease->is_current = true;
	worker->leases_move = true;
	worker->lease = lease;
	if (previous) {
		series_adopt(worker, previous);
		generation_keep(worker, previous->configuration);
		retire_lease(worker, previous);
	}
}

static void close_listeners_of(struct worker *worker, bool intercepting)
{
	struct listener *next;

	for (struct listener *listener = worker->listeners; listener; listener = next) {
		next = listener->next;
		if (!listener->is_gone &&
		    (listener->identity.kind == MESH_LISTENER_INTERCEPTED) == intercepting)
			listener_close(worker, listener, !worker->sockets_are_shared);
	}
}

/* Those of interception first: what is queued there belongs to the others. */
static void close_listeners(struct worker *worker)
{
	close_listeners_of(worker, true);
	close_listeners_of(worker, false);
}

/*
 * Nobody new. A response now says that it is the connection's last; idle connections get a moment
 * in which a request that is on its way can come in.
 */
static void start_draining(struct worker *worker)
{
	worker->draining = true;
	close_listeners(worker);
	for (struct session *session = worker->sessions; session; session = session->next) {
		if (session_is_idle(session))
			timer_set(&worker->timers, &session->timer,
				  worker->now_ms + WORKER_DRAIN_IDLE_MS);
	}
}

/* Duplicates of the listening sockets, for another process. Called with the mailbox locked. */
static int export_sockets(struct worker *worker, struct proxy_sockets *sockets)
{
	for (struct listener *listener = worker->listeners; listener; listener = listener->next) {
		if (listener->is_gone)
			continue;
		struct proxy_socket *socket = ARRAY_APPEND(sockets->items, sockets->count);
		if (!socket)
			return -ENOMEM;
		socket->identity = listener->identity;
		socket->fd = fcntl(listener->connection.fd, F_DUPFD_CLOEXEC, 3);
		if (socket->fd < 0)
			return -errno;
	}
	worker->sockets_are_shared = true;
	return 0;
}

void worker_adopt_posted(struct worker *worker)
{
	pthread_mutex_lock(&worker->mailbox_lock);
	struct lease *lease = worker->mailbox;
	worker->mailbox = NULL;
	pthread_mutex_unlock(&worker->mailbox_lock);

	while (lease) {
		struct lease *next = lease->next;

		if (worker->draining)
			lease_free(worker, lease);
		else
			adopt_lease(worker, lease);
		lease = next;
	}
}

/* Takes what came in from outside. False: it is time to end. */
static bool read_mailbox(struct worker *worker)
{
	uint64_t count;

	if (read(worker->wake.fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return false;
	pthread_mutex_lock(&worker->mailbox_lock);
	struct proxy_sockets *export_to = worker->export_to;
	bool stop = worker->stop_asked, end = worker->end_asked;
	pthread_mutex_unlock(&worker->mailbox_lock);

	/* First, so that what was posted before anything else was asked for is part of it. */
	worker_adopt_posted(worker);
	if (stop && !worker->draining)
		start_draining(worker);
	pthread_mutex_lock(&worker->mailbox_lock);
	if (export_to) {
		worker->export_result = export_sockets(worker, export_to);
		worker->export_to = NULL;
		pthread_cond_signal(&worker->exported);
	}
	worker->stop_done = worker->draining;
	pthread_mutex_unlock(&worker->mailbox_lock);
	return !end;
}

static bool handle_event(struct worker *worker, const struct epoll_event *event)
{
	struct connection *connection = event->data.ptr;

	if (connection->state & CONNECTION_CLOSED)
		return true; /* by an earlier event of this batch */
	switch ((enum connection_kind)connection->kind) {
	case CONNECTION_WAKE:
		return read_mailbox(worker);
	case CONNECTION_LISTENER:
		listener_accept(worker, (struct listener *)connection);
		return true;
	case CONNECTION_SESSION:
		session_handle_event(worker, (struct session *)connection, event->events);
		return true;
	case CONNECTION_UPSTREAM:
		upstream_handle_event(worker, (struct upstream *)connection, event->events);
		return true;
	case CONNECTION_MIRROR:
		mirror_handle_event(worker, (struct mirror *)connection, event->events);
		return true;
	case CONNECTION_NONE:
		break;
	}
	return true;
}

/* Sessions, upstreams, backends and mirrors begin alike, so that a timer finds what it belongs to. */
struct timed {
	struct connection connection;
	struct timer timer;
};

_Static_assert(offsetof(struct session, timer) == offsetof(struct timed, timer) &&
		       offsetof(struct upstream, timer) == offsetof(struct timed, timer) &&
		       offsetof(struct listener, timer) == offsetof(struct timed, timer) &&
		       offsetof(struct backend, timer) == offsetof(struct timed, timer),
	       "a timer finds its connection");

static void handle_timer(void *context, struct timer *timer)
{
	struct worker *worker = context;
	struct timed *timed = (struct timed *)((char *)timer - offsetof(struct timed, timer));

	if (timed->connection.kind == CONNECTION_LISTENER)
		listener_resume(worker, (struct listener *)timed);
	else if (timed->connection.kind == CONNECTION_SESSION)
		session_expired(worker, (struct session *)timed);
	else if (timed->connection.kind == CONNECTION_UPSTREAM)
		upstream_expired(worker, (struct upstream *)timed);
	else if (timed->connection.kind == CONNECTION_NONE)
		backend_health_changed(worker, (struct backend *)timed);
	else
		mirror_expired(worker, (struct mirror *)timed);
}

/* Of two waits in ms; -1 is for ever. */
static int earlier(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int sleep_ms(struct worker *worker)
{
	int timers = timer_wheel_sleep(&worker->timers, worker->now_ms);
	int generations = generation_expire(worker);

	if (worker->again || worker->leases_move)
		return 0;
	return earlier(earlier(timers, generations), series_sleep(worker));
}

/*
 * What came over an idle upstream connection was asked for by nobody. These are dealt with before
 * anything else of a batch: else a request of the same batch could take such a connection and the
 * bytes for its response.
 */
static void close_upstreams_that_speak_unasked(struct worker *worker,
					       const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		struct connection *connection = events[i].data.ptr;

		if (connection->kind == CONNECTION_UPSTREAM &&
		    !(connection->state & CONNECTION_CLOSED) &&
		    !((struct upstream *)connection)->exchange)
			upstream_handle_event(worker, (struct upstream *)connection,
					      events[i].events);
	}
}

static void loop(struct worker *worker)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	bool go_on = true;

	while (go_on) {
		int count = epoll_wait(worker->epoll_fd, events, EVENTS_AT_ONCE, sleep_ms(worker));

		worker->now_ms = worker_clock_ms();
		atomic_fetch_add_explicit(&worker->rounds, 1, memory_order_relaxed);
		close_upstreams_that_speak_unasked(worker, events, count);
		for (int i = 0; i < count && go_on; i++) {
			go_on = handle_event(worker, &events[i]);
			waiting_refuse_heads(worker);
		}
		run_again(worker);
		waiting_refuse_heads(worker);
		timer_wheel_run(&worker->timers, worker->now_ms, handle_timer, worker);
		series_look(worker);
		if (worker->leases_move)
			worker->leases_move = lease_move_step(worker);
		access_log_flush(worker);
		free_closed(worker);
	}
}

static void close_everything(struct worker *worker)
{
	worker->draining = true;
	close_listeners(worker);
	while (worker->sessions)
		session_abort(worker, worker->sessions, false);
	while (worker->mirrors)
		mirror_expired(worker, worker->mirrors);
	while (upstream_close_some_idle(worker))
		;
	access_log_flush(worker);
	free_closed(worker);
}

static void *run(void *context)
{
	struct worker *worker = context;
	sigset_t all;
	char name[16];

	/* Signals are the main thread's; splice(2) to a closed socket must not raise SIGPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	snprintf(name, sizeof(name), "worker-%u", worker->index);
	pthread_setname_np(pthread_self(), name);
	loop(worker);
	close_everything(worker);
	return NULL;
}

static void free_exchanges(struct worker *worker)
{
	while (worker->spare_exchanges) {
		struct exchange *exchange = worker->spare_exchanges;

		worker->spare_exchanges = exchange->next_spare;
		exchange_free(exchange);
	}
}

static void free_worker(struct worker *worker)
{
	free_exchanges(worker);
	generation_drop_all(worker);
	if (worker->lease)
		lease_leave(worker, worker->lease);
	worker->lease = NULL;
	while (lease_move_step(worker))
		;
	while (worker->mailbox) {
		struct lease *lease = worker->mailbox;

		worker->mailbox = lease->next;
		lease_free(NULL, lease);
	}
	backend_table_free(&worker->backends);
	pipe_pool_free(&worker->pipes);
	buffer_free(&worker->scratch);
	buffer_free(&worker->access_log);
	buffer_free(&worker->request.values);
	buffer_free(&worker->request.path);
	buffer_free(&worker->request.target);
	free(worker->memory);
	free(worker->head_memory);
	if (worker->spare_fd >= 0)
		close(worker->spare_fd);
	if (worker->wake.fd >= 0)
		close(worker->wake.fd);
	if (worker->epoll_fd >= 0)
		close(worker->epoll_fd);
	pthread_cond_destroy(&worker->exported);
	pthread_mutex_destroy(&worker->mailbox_lock);
}

static int prepare(struct worker *worker)
{
	worker->head_memory_bytes =
		worker->proxy->options.maximum_head_bytes + HEAD_MEMORY_EXTRA_BYTES;
	worker->memory = malloc(WORKER_MEMORY_BYTES);
	worker->head_memory = malloc(worker->head_memory_bytes);
	if (!worker->memory || !worker->head_memory)
		return -ENOMEM;
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	worker->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (worker->epoll_fd < 0 || worker->wake.fd < 0)
		return -errno;
	int error = random_fetch(&worker->random);
	return error ? error : connection_watch(worker->epoll_fd, &worker->wake, EPOLLIN);
}

int worker_start(struct worker *worker, struct proxy *proxy, unsigned index)
{
	memset(worker, 0, sizeof(*worker));
	worker->proxy = proxy;
	worker->index = index;
	worker->epoll_fd = worker->spare_fd = -1;
	worker->wake = (struct connection){.kind = CONNECTION_WAKE, .fd = -1};
	worker->now_ms = worker_clock_ms();
	worker->look_due_ms = TIMER_NEVER;
	timer_wheel_start(&worker->timers, worker->now_ms);
	pthread_mutex_init(&worker->mailbox_lock, NULL);
	pthread_cond_init(&worker->exported, NULL);
	int error = prepare(worker);
	if (!error)
		error = -pthread_create(&worker->thread, NULL, run, worker);
	if (error) {
		free_worker(worker);
		return error;
	}
	return 0;
}

void worker_wake(struct worker *worker)
{
	const uint64_t one = 1;

	/* Full means that it is awake already. */
	if (write(worker->wake.fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("worker not woken", log_number("worker", worker->index),
			  log_number("errno", errno));
}

uint64_t worker_rounds(const struct worker *worker)
{
	return atomic_load_explicit(&worker->rounds, memory_order_relaxed);
}

void worker_post_lease(struct worker *worker, struct lease *lease)
{
	struct lease **link = &worker->mailbox;

	lease->next = NULL;
	pthread_mutex_lock(&worker->mailbox_lock);
	while (*link)
		link = &(*link)->next;
	*link = lease;
	pthread_mutex_unlock(&worker->mailbox_lock);
	worker_wake(worker);
}

int worker_export_sockets(struct worker *worker, struct proxy_sockets *sockets)
{
	pthread_mutex_lock(&worker->mailbox_lock);
	worker->export_to = sockets;
	worker_wake(worker);
	while (worker->export_to)
		pthread_cond_wait(&worker->exported, &worker->mailbox_lock);
	int result = worker->export_result;
	pthread_mutex_unlock(&worker->mailbox_lock);
	return result;
}

void worker_ask_stop(struct worker *worker)
{
	pthread_mutex_lock(&worker->mailbox_lock);
	worker->stop_asked = true;
	pthread_mutex_unlock(&worker->mailbox_lock);
	worker_wake(worker);
}

bool worker_has_stopped(struct worker *worker)
{
	pthread_mutex_lock(&worker->mailbox_lock);
	bool stopped = worker->stop_done;
	pthread_mutex_unlock(&worker->mailbox_lock);
	return stopped;
}

void worker_end(struct worker *worker)
{
	pthread_mutex_lock(&worker->mailbox_lock);
	worker->end_asked = true;
	pthread_mutex_unlock(&worker->mailbox_lock);
	worker_wake(worker);
	pthread_join(worker->thread, NULL);
	free_worker(worker);
}
