/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "proxy/downstream/accept.h"
#include "proxy/downstream/session.h"
#include "proxy/exchange/access_log.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/mirror.h"
#include "proxy/upstream/health.h"
#include "proxy/upstream/lease.h"
#include "proxy/upstream/series_look.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/waiting.h"

#define EVENTS_AT_ONCE 256
/* Beside the received head: what tags, baggage and forwarding fields add. */
#define HEAD_MEMORY_EXTRA_BYTES (64 * 1024)

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
		lease_leave(&worker->upstreams, lease);
		return;
	}
	lease->next = worker->upstreams.old_leases;
	worker->upstreams.old_leases = lease;
}

static void adopt_lease(struct worker *worker, struct lease *lease)
{
	struct lease *previous = worker->upstreams.lease;

	lease->next = NULL;
	adopt_listeners(worker, lease);
	lease->is_current = true;
	worker->upstreams.leases_move = true;
	worker->upstreams.lease = lease;
	if (previous) {
		series_look_adopt(&worker->upstreams, previous);
		generation_keep(&worker->generations, previous->configuration);
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
 * Takes no new connection. A response now says that it is the connection's last; idle connections get a moment
 * in which a request that is on its way can come in.
 */
static void start_draining(struct worker *worker)
{
	worker->draining = true;
	close_listeners(worker);
	for (struct session *session = worker->sessions; session; session = session->next) {
		if (session_is_idle(session))
			timer_set(&worker->loop.timers, &session->client.timer,
				  worker->loop.now_ms + SESSION_DRAIN_IDLE_MS);
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

static void adopt_posted(struct thread *thread)
{
	struct worker *worker = &thread->worker;
	struct lease *lease = lease_queue_take(&thread->posted);

	while (lease) {
		struct lease *next = lease->next;

		if (worker->draining)
			lease_free(&worker->upstreams, lease);
		else
			adopt_lease(worker, lease);
		lease = next;
	}
}

/* Takes what came in from outside. False: it is time to end. */
static bool read_mailbox(struct thread *thread)
{
	struct worker *worker = &thread->worker;
	uint64_t count;

	if (read(thread->wake.fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return false;
	pthread_mutex_lock(&thread->lock);
	struct proxy_sockets *export_to = thread->export_to;
	bool stop = thread->stop_asked, end = thread->end_asked;
	pthread_mutex_unlock(&thread->lock);

	/* First, so that what was posted before anything else was asked for is part of it. */
	adopt_posted(thread);
	if (stop && !worker->draining)
		start_draining(worker);
	pthread_mutex_lock(&thread->lock);
	if (export_to) {
		thread->export_result = export_sockets(worker, export_to);
		thread->export_to = NULL;
		pthread_cond_signal(&thread->exported);
	}
	thread->stop_done = worker->draining;
	pthread_mutex_unlock(&thread->lock);
	return !end;
}

/* What accepting does not know may be in a configuration that waits to be adopted. */
static void accept_from(struct thread *thread, struct listener *listener)
{
	struct accept_unknown unknown;

	if (accept_connections(&thread->worker, listener, &unknown) == ACCEPT_DONE)
		return;
	adopt_posted(thread);
	accept_again(&thread->worker, &unknown);
}

static void handle_upstream(struct worker *worker, struct upstream *upstream, uint32_t events)
{
	connection_note_events(&upstream->connection, events);
	if (upstream->exchange)
		session_resume_exchange(worker, upstream->exchange);
	else
		upstream_handle_idle_event(&worker->upstreams, upstream, events);
}

static bool handle_event(struct thread *thread, const struct epoll_event *event)
{
	struct worker *worker = &thread->worker;
	struct connection *connection = event->data.ptr;

	if (connection->state & CONNECTION_CLOSED)
		return true; /* by an earlier event of this batch */
	switch ((enum connection_kind)connection->kind) {
	case CONNECTION_WAKE:
		return read_mailbox(thread);
	case CONNECTION_LISTENER:
		accept_from(thread, (struct listener *)connection);
		return true;
	case CONNECTION_SESSION:
		session_handle_event(worker, (struct session *)connection, event->events);
		return true;
	case CONNECTION_UPSTREAM:
		handle_upstream(worker, (struct upstream *)connection, event->events);
		return true;
	case CONNECTION_MIRROR:
		mirror_handle_event(worker, (struct mirror *)connection, event->events);
		return true;
	case CONNECTION_BACKEND:
	case CONNECTION_EXCHANGE:
		break;
	}
	return true;
}

/* What has a timer starts with its connection and the timer: so a timer finds what it belongs to. */
struct timed {
	struct connection connection;
	struct timer timer;
};

_Static_assert(offsetof(struct session, client.timer) == offsetof(struct timed, timer) &&
		       offsetof(struct exchange, timer) == offsetof(struct timed, timer) &&
		       offsetof(struct upstream, timer) == offsetof(struct timed, timer) &&
		       offsetof(struct listener, timer) == offsetof(struct timed, timer) &&
		       offsetof(struct backend, timer) == offsetof(struct timed, timer),
	       "a timer finds its connection");

static void handle_timer(void *context, struct timer *timer)
{
	struct worker *worker = context;
	struct timed *timed = (struct timed *)((char *)timer - offsetof(struct timed, timer));

	switch ((enum connection_kind)timed->connection.kind) {
	case CONNECTION_LISTENER:
		accept_resume(worker, (struct listener *)timed);
		break;
	case CONNECTION_SESSION:
		session_expired(worker, (struct session *)timed);
		break;
	case CONNECTION_EXCHANGE:
		session_expire_exchange(worker, (struct exchange *)timed);
		break;
	case CONNECTION_UPSTREAM:
		upstream_expired(&worker->upstreams, (struct upstream *)timed);
		break;
	case CONNECTION_BACKEND:
		health_update(&worker->upstreams, (struct backend *)timed);
		break;
	case CONNECTION_MIRROR:
		mirror_expired(worker, (struct mirror *)timed);
		break;
	case CONNECTION_WAKE:
		break;
	}
}

/* Drives those that had more to do; what has still more waits for the next turn. */
static void run_again(struct worker *worker)
{
	struct connection *connection;

	loop_start_again(&worker->loop);
	while ((connection = loop_next_again(&worker->loop))) {
		if (connection->kind == CONNECTION_EXCHANGE)
			session_resume_exchange(worker, (struct exchange *)connection);
		else
			session_drive(worker, (struct session *)connection);
	}
}

/* Of two waits in ms; -1 is for ever. */
static int earlier(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int sleep_ms(struct worker *worker)
{
	int timers = timer_wheel_sleep(&worker->loop.timers, worker->loop.now_ms);
	int generations = generation_expire(&worker->generations, worker->loop.now_ms);

	if (worker->loop.again || worker->upstreams.leases_move)
		return 0;
	return earlier(earlier(timers, generations), series_look_sleep(&worker->upstreams));
}

/*
 * What came over an idle upstream connection was not asked for. These are dealt with before
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
			handle_upstream(worker, (struct upstream *)connection, events[i].events);
	}
}

static void loop(struct thread *thread)
{
	struct worker *worker = &thread->worker;
	struct upstreams *upstreams = &worker->upstreams;
	struct epoll_event events[EVENTS_AT_ONCE];
	bool go_on = true;

	while (go_on) {
		int count =
			epoll_wait(worker->loop.epoll_fd, events, EVENTS_AT_ONCE, sleep_ms(worker));

		worker->loop.now_ms = loop_clock_ms();
		atomic_fetch_add_explicit(&thread->rounds, 1, memory_order_relaxed);
		close_upstreams_that_speak_unasked(worker, events, count);
		for (int i = 0; i < count && go_on; i++) {
			go_on = handle_event(thread, &events[i]);
			session_refuse_heads(worker);
		}
		run_again(worker);
		session_refuse_heads(worker);
		timer_wheel_run(&worker->loop.timers, worker->loop.now_ms, handle_timer, worker);
		series_look_on(upstreams);
		if (upstreams->leases_move)
			upstreams->leases_move = lease_move_step(upstreams);
		access_log_flush(worker);
		loop_free_closed(&worker->loop);
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
	while (upstream_close_some_idle(&worker->upstreams))
		;
	access_log_flush(worker);
	loop_free_closed(&worker->loop);
}

static void *run(void *context)
{
	struct thread *thread = context;
	sigset_t all;
	char name[16];

	/* Signals are the main thread's; splice(2) to a closed socket must not raise SIGPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	snprintf(name, sizeof(name), "worker-%u", thread->index);
	pthread_setname_np(pthread_self(), name);
	loop(thread);
	close_everything(&thread->worker);
	return NULL;
}

static void free_exchanges(struct worker *worker)
{
	while (worker->spare_exchanges) {
		struct exchange *exchange = worker->spare_exchanges;

		worker->spare_exchanges = exchange->next_spare;
		exchange_free(worker, exchange);
	}
}

static void free_thread(struct thread *thread)
{
	struct worker *worker = &thread->worker;

	free_exchanges(worker);
	generation_drop_all(&worker->generations);
	if (worker->upstreams.lease)
		lease_leave(&worker->upstreams, worker->upstreams.lease);
	worker->upstreams.lease = NULL;
	while (lease_move_step(&worker->upstreams))
		;
	lease_queue_free(&thread->posted);
	backend_table_free(&worker->upstreams.backends);
	pipe_pool_free(&worker->pipes);
	buffer_free(&worker->access_log);
	scratch_free(&worker->scratch);
	if (worker->spare_fd >= 0)
		close(worker->spare_fd);
	if (thread->wake.fd >= 0)
		close(thread->wake.fd);
	if (worker->loop.epoll_fd >= 0)
		close(worker->loop.epoll_fd);
	pthread_cond_destroy(&thread->exported);
	pthread_mutex_destroy(&thread->lock);
}

static int prepare(struct thread *thread)
{
	struct worker *worker = &thread->worker;
	int error = scratch_start(&worker->scratch, worker->shared->options.maximum_head_bytes +
							    HEAD_MEMORY_EXTRA_BYTES);

	if (error)
		return error;
	worker->loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	thread->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (worker->loop.epoll_fd < 0 || thread->wake.fd < 0)
		return -errno;
	error = random_fetch(&worker->random);
	return error ? error : connection_watch(worker->loop.epoll_fd, &thread->wake, EPOLLIN);
}

/* Joins the worker's parts. */
static void assemble(struct thread *thread, struct shared *shared)
{
	struct worker *worker = &thread->worker;

	worker->shared = shared;
	worker->spare_fd = -1;
	loop_start(&worker->loop);
	worker->upstreams.loop = &worker->loop;
	worker->upstreams.statistics = &worker->statistics;
	worker->upstreams.random = &worker->random;
	worker->upstreams.idle_timeout_ms = shared->options.upstream_idle_timeout_ms;
	worker->upstreams.look_due_ms = TIMER_NEVER;
	worker->generations.holds = shared->holds;
	worker->generations.posted = &thread->posted;
}

int thread_start(struct thread *thread, struct shared *shared, unsigned index)
{
	memset(thread, 0, sizeof(*thread));
	thread->index = index;
	thread->wake = (struct connection){.kind = CONNECTION_WAKE, .fd = -1};
	lease_queue_start(&thread->posted);
	pthread_mutex_init(&thread->lock, NULL);
	pthread_cond_init(&thread->exported, NULL);
	assemble(thread, shared);
	int error = prepare(thread);
	if (!error)
		error = -pthread_create(&thread->id, NULL, run, thread);
	if (error) {
		free_thread(thread);
		return error;
	}
	return 0;
}

void thread_wake(struct thread *thread)
{
	const uint64_t one = 1;

	/* Full means that it is awake already. */
	if (write(thread->wake.fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("worker not woken", log_number("worker", thread->index),
			  log_number("errno", errno));
}

uint64_t thread_rounds(const struct thread *thread)
{
	return atomic_load_explicit(&thread->rounds, memory_order_relaxed);
}

void thread_post_lease(struct thread *thread, struct lease *lease)
{
	lease_queue_post(&thread->posted, lease);
	thread_wake(thread);
}

int thread_export_sockets(struct thread *thread, struct proxy_sockets *sockets)
{
	pthread_mutex_lock(&thread->lock);
	thread->export_to = sockets;
	thread_wake(thread);
	while (thread->export_to)
		pthread_cond_wait(&thread->exported, &thread->lock);
	int result = thread->export_result;
	pthread_mutex_unlock(&thread->lock);
	return result;
}

void thread_ask_stop(struct thread *thread)
{
	pthread_mutex_lock(&thread->lock);
	thread->stop_asked = true;
	pthread_mutex_unlock(&thread->lock);
	thread_wake(thread);
}

bool thread_has_stopped(struct thread *thread)
{
	pthread_mutex_lock(&thread->lock);
	bool stopped = thread->stop_done;
	pthread_mutex_unlock(&thread->lock);
	return stopped;
}

void thread_end(struct thread *thread)
{
	pthread_mutex_lock(&thread->lock);
	thread->end_asked = true;
	pthread_mutex_unlock(&thread->lock);
	thread_wake(thread);
	pthread_join(thread->id, NULL);
	free_thread(thread);
}
