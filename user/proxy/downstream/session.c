/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Theory of operation: a client's connection
 *
 *     idle ──bytes──▶ HEAD_STARTED ──head complete──▶ an exchange is under way ──finished──▶ idle
 *       │                  │                              │                       │
 *       │ timeout, end     │ refused, 408                 │ aborted               │ CLOSE
 *       ▼                  ▼                              ▼                       ▼
 *     closed ◀──────── LINGERING ◀─────────────────────  closed      closed, or LINGERING
 *
 * Everything begins with session_drive: it goes on as far as the sockets let it, then sets the one
 * timer and waits. It is called for events of the client's socket, of the upstream's, and when the
 * session had used up its fair share.
 *
 * Bytes of the client are only read when somebody wants them: at a request's beginning, by the
 * session; within its body, by the exchange's relay. While an exchange waits for its response the
 * client's pipelined requests stay in the kernel. What was read beyond a request's end stands in
 * `input` and comes first.
 *
 * LINGERING: a socket that is closed while bytes of the client are unread, or still come, sends a
 * reset, which may destroy the answer on its way. So only our side is shut down, and what comes is
 * thrown away for a moment (RFC 9112 9.6).
 */
#include "proxy/downstream/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "kernel/tagger.h"
#include "proxy/exchange/access_log.h"
#include "proxy/exchange/dispatch.h"
#include "proxy/exchange/drive.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/phase.h"
#include "proxy/exchange/reply.h"
#include "proxy/downstream/listener.h"
#include "proxy/worker/waiting.h"
#include "proxy/worker/worker.h"

#define LINGER_MS 2000
#define LINGER_ROUNDS 16
#define OVER_LIMIT_MS 1000  /* for the head of a connection that gets no more than 503 */
#define REQUESTS_AT_ONCE 16 /* pipelined requests that one call answers */
#define INPUT_STEP_BYTES 4096
/*
 * Read at a request's beginning: a head with a body of 64 KiB in one piece. What may be left over
 * of it is kept per connection.
 */
#define HEAD_READ_BYTES (72 * 1024)

/* In the counts that limit connections. */
static void give_place_back(struct worker *worker, const struct lanetag_connection *peers,
			    unsigned state)
{
	if (state & SESSION_OVER_LIMIT)
		worker->over_limit_count--;
	else
		shared_connection_closed(worker->shared, state & SESSION_COUNTED ? peers : NULL);
}

void session_open(struct worker *worker, struct listener *listener, int fd,
		  const struct lanetag_connection *peers, enum session_state state)
{
	struct session *session = calloc(1, sizeof(*session));
	int error = -ENOMEM;

	if (!session)
		goto refuse;
	session->client.connection = (struct connection){
		.kind = CONNECTION_SESSION,
		.state = CONNECTION_READABLE | CONNECTION_WRITABLE,
		.fd = fd,
	};
	error = connection_watch(worker->loop.epoll_fd, &session->client.connection,
				 EPOLLIN | EPOLLRDHUP | EPOLLET);
	if (error)
		goto refuse;
	session->listener = listener;
	session->peers = *peers;
	session->state = (uint16_t)state;
	worker->over_limit_count += state == SESSION_OVER_LIMIT;
	session->next = worker->sessions;
	session->previous_next = &worker->sessions;
	if (session->next)
		session->next->previous_next = &session->next;
	worker->sessions = session;
	listener->sessions++;
	statistics_count(&worker->statistics.connections_accepted);
	statistics_count(&worker->statistics.connections_open);
	session_drive(worker, session);
	return;
refuse:
	log_warning("connection not served", log_errno(error));
	free(session);
	if (state != SESSION_OVER_LIMIT)
		give_place_back(worker, peers, state);
	statistics_count(&worker->statistics.connections_refused);
	close(fd);
}

/* Bytes that wait in user space. */
static size_t held_bytes(const struct session *session)
{
	if (session->client.connection.state & CONNECTION_CLOSED)
		return 0;
	return session->client.input.capacity +
	       (session->exchange ? exchange_held(session->exchange) : 0);
}

static void note_held(struct worker *worker, struct session *session)
{
	waiting_note(worker, held_bytes(session), &session->held);
}

static void drop_input(struct session *session)
{
	http1_client_drop(&session->client);
	session->input_scanned = 0;
}

/* A head has come whole, or never will. */
static void end_head(struct session *session)
{
	if (!(session->state & SESSION_HEAD_STARTED))
		return;
	session->state &= (uint16_t)~SESSION_HEAD_STARTED;
	*session->previous_next_unfinished = session->next_unfinished;
	if (session->next_unfinished)
		session->next_unfinished->previous_next_unfinished =
			session->previous_next_unfinished;
}

static void close_session(struct worker *worker, struct session *session)
{
	if (session->client.connection.state & CONNECTION_CLOSED)
		return;
	if (session->exchange)
		exchange_close(worker, session->exchange);
	session->exchange = NULL;
	*session->previous_next = session->next;
	if (session->next)
		session->next->previous_next = session->previous_next;
	timer_remove(&worker->loop.timers, &session->client.timer);
	loop_forget_again(&worker->loop, &session->client.connection);
	end_head(session);
	buffer_free(&session->client.input);
	note_held(worker, session);
	listener_drop(worker, session->listener);
	give_place_back(worker, &session->peers, session->state);
	statistics_add(&worker->statistics.connections_open, (uint64_t)-1);
	loop_close(&worker->loop, &session->client.connection);
}

void session_abort(struct worker *worker, struct session *session, bool reset)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (reset && !(session->client.connection.state & CONNECTION_CLOSED))
		setsockopt(session->client.connection.fd, SOL_SOCKET, SO_LINGER, &at_once,
			   sizeof(at_once));
	close_session(worker, session);
}

bool session_is_idle(const struct session *session)
{
	return !session->exchange && !session->client.input.length &&
	       !(session->state & SESSION_LINGERING);
}

/* Says no more, and listens for a moment. */
static void start_lingering(struct worker *worker, struct session *session)
{
	drop_input(session);
	shutdown(session->client.connection.fd, SHUT_WR);
	session->state |= SESSION_LINGERING;
	note_held(worker, session);
	timer_set(&worker->loop.timers, &session->client.timer, worker->loop.now_ms + LINGER_MS);
}

static void linger(struct worker *worker, struct session *session)
{
	for (unsigned round = 0; round < LINGER_ROUNDS; round++) {
		ssize_t length =
			connection_receive(&session->client.connection, worker->scratch.received,
					   SCRATCH_RECEIVE_BYTES);

		if (length == -EAGAIN)
			return;
		if (length <= 0) {
			close_session(worker, session);
			return;
		}
	}
	loop_run_again(&worker->loop, &session->client.connection);
}

/* Tells the kernel where the next request begins if it has lost its place in this connection. */
static void confirm_position(struct worker *worker, struct session *session)
{
	if (!(session->state & SESSION_MARK_MISSED) || session->client.input.length ||
	    connection_can_read(&session->client.connection))
		return;
	tagger_confirm_position(worker->shared->tagger, &session->peers, session->position);
}

/* The response is with the client. True: the connection goes on. */
static bool finish_exchange(struct worker *worker, struct session *session)
{
	struct exchange *exchange = session->exchange;
	bool all_read = exchange->request.source_done;

	session->position += exchange->request.received;
	exchange_close(worker, exchange);
	session->exchange = NULL;
	if (session->client.closes || !all_read) {
		/*
		 * Who asked for it sends no more: with nothing unread a close is clean, and what
		 * was sent goes out with it. (Shutting down first costs a connection 7 % more.)
		 */
		if (all_read && session->state & SESSION_ENDS_ITSELF &&
		    !session->client.input.length &&
		    !connection_can_read(&session->client.connection))
			close_session(worker, session);
		else
			start_lingering(worker, session);
		return session->state & SESSION_LINGERING;
	}
	confirm_position(worker, session);
	return true;
}

/* Answers what can't become an exchange, and closes. */
static enum exchange_progress refuse(struct worker *worker, struct session *session,
				     unsigned status, const char *reason)
{
	statistics_count(&worker->statistics.bad_requests);
	drop_input(session);
	session->client.closes = true;
	end_head(session);
	session->exchange = exchange_open(worker, &session->client);
	if (!session->exchange)
		return EXCHANGE_ABORTED;
	session->exchange->request.source_done = false; /* who knows what still comes */
	access_log_begin_refused(worker, session->exchange, &session->peers, reason);
	return exchange_fail(worker, session->exchange, status, reason);
}

/* What a whole request can't be served for; NULL: nothing. */
static const char *why_not_served(struct worker *worker, const struct session *session)
{
	if (session->state & SESSION_OVER_LIMIT)
		return "too many connections";
	if (worker->waiting_level != WAITING_FULL)
		return NULL;
	statistics_count(&worker->statistics.waiting_refused);
	return "too many bytes wait here";
}

/* Whether this is the connection's last request, by the client's wish or by ours. */
static void note_if_last(const struct worker *worker, struct session *session)
{
	size_t maximum = worker->shared->options.maximum_requests_per_connection;

	if (!worker->scratch.request.head.keep_alive) {
		session->client.closes = true;
		session->state |= SESSION_ENDS_ITSELF;
	} else if (worker->draining || (maximum && session->requests >= maximum)) {
		session->client.closes = true;
	}
}

/* A head is complete: data[0, length) came behind it. */
static enum exchange_progress start_exchange(struct worker *worker, struct session *session,
					     struct dispatch_origin *origin, char *data,
					     size_t length, size_t *ret_consumed)
{
	*ret_consumed = 0;
	session->requests++;
	end_head(session);
	note_if_last(worker, session);
	statistics_count(&worker->statistics.requests);
	session->exchange = exchange_open(worker, &session->client);
	if (!session->exchange)
		return EXCHANGE_ABORTED;
	enum exchange_progress progress =
		dispatch_request(worker, session->exchange, origin, data, length, ret_consumed);

	session->state &= (uint16_t)~SESSION_MARK_MISSED;
	if (origin->mark_missed)
		session->state |= SESSION_MARK_MISSED;
	return progress;
}

/*
 * Looks for a head in data[0, length), of which `scanned` bytes were looked at before.
 * *ret_consumed bytes are then done with. EXCHANGE_WAITING without an exchange: the head is not
 * complete.
 */
static enum exchange_progress parse_request(struct worker *worker, struct session *session,
					    char *data, size_t length, size_t scanned,
					    size_t *ret_consumed)
{
	struct http_request_head *head = &worker->scratch.request.head;
	struct http_refusal refusal;
	size_t body;

	*ret_consumed = 0;
	switch (http_request_parse(data, length, scanned, &worker->shared->request_limits, head,
				   &refusal)) {
	case HTTP_PARSE_REFUSED:
		*ret_consumed = length;
		return refuse(worker, session, refusal.status, refusal.reason);
	case HTTP_PARSE_MORE:
		return EXCHANGE_WAITING;
	case HTTP_PARSE_COMPLETE:
		break;
	}
	const char *reason = why_not_served(worker, session);
	if (reason) {
		*ret_consumed = length;
		return refuse(worker, session, 503, reason);
	}
	struct dispatch_origin origin = {
		.listener = session->listener->mesh_listener,
		.peers = &session->peers,
		.position = session->position - length + (size_t)(head->method.data - data),
	};
	size_t head_length = head->length;
	enum exchange_progress progress = start_exchange(
		worker, session, &origin, data + head_length, length - head_length, &body);

	*ret_consumed = head_length + body;
	return progress;
}

static void start_head(struct worker *worker, struct session *session)
{
	if (session->state & SESSION_HEAD_STARTED)
		return;
	session->state |= SESSION_HEAD_STARTED;
	session->next_unfinished = worker->unfinished;
	session->previous_next_unfinished = &worker->unfinished;
	if (session->next_unfinished)
		session->next_unfinished->previous_next_unfinished = &session->next_unfinished;
	worker->unfinished = session;
	timer_set(&worker->loop.timers, &session->client.timer,
		  worker->loop.now_ms + (session->state & SESSION_OVER_LIMIT
						 ? OVER_LIMIT_MS
						 : worker->shared->options.header_timeout_ms));
}

/* Parses what stands in `input`. */
static enum exchange_progress parse_input(struct worker *worker, struct session *session)
{
	struct buffer input = session->client.input;
	size_t start = session->client.input_start, consumed;

	/* Out of the session's hands meanwhile: a refusal drops the session's input. */
	session->client.input = (struct buffer){0};
	enum exchange_progress progress =
		parse_request(worker, session, input.data + start, input.length - start,
			      session->input_scanned, &consumed);
	start += consumed;
	session->input_scanned = consumed ? 0 : (uint32_t)(input.length - start);
	if (start == input.length) {
		buffer_free(&input);
		start = 0;
	}
	session->client.input = input;
	session->client.input_start = (uint32_t)start;
	if (!session->exchange && input.length)
		start_head(worker, session);
	return progress;
}

/* More of a head whose beginning stands in `input`. */
static enum exchange_progress read_more_input(struct worker *worker, struct session *session)
{
	struct buffer *input = &session->client.input;

	buffer_consume(input, session->client.input_start);
	session->client.input_start = 0;
	char *end = buffer_reserve(input, INPUT_STEP_BYTES);
	if (!end)
		return EXCHANGE_ABORTED;
	ssize_t length = connection_receive(&session->client.connection, end,
					    input->capacity - input->length);
	if (length == -EAGAIN)
		return EXCHANGE_WAITING;
	if (length <= 0)
		return EXCHANGE_ABORTED;
	input->length += (size_t)length;
	session->position += (size_t)length;
	return parse_input(worker, session);
}

/* The usual case: a request comes whole, and is never kept. */
static enum exchange_progress read_request(struct worker *worker, struct session *session)
{
	size_t consumed;
	ssize_t length = connection_receive(&session->client.connection, worker->scratch.received,
					    HEAD_READ_BYTES);

	if (length == -EAGAIN)
		return EXCHANGE_WAITING;
	if (length <= 0)
		return EXCHANGE_ABORTED;
	session->position += (size_t)length;
	enum exchange_progress progress = parse_request(worker, session, worker->scratch.received,
							(size_t)length, 0, &consumed);
	struct span rest = {worker->scratch.received + consumed, (size_t)length - consumed};

	if (!http1_client_keep(&session->client, &rest))
		return EXCHANGE_ABORTED;
	if (!session->exchange) {
		session->input_scanned = (uint32_t)rest.length;
		start_head(worker, session);
	}
	return progress;
}

static enum exchange_progress next_request(struct worker *worker, struct session *session)
{
	size_t unread = session->client.input.length - session->client.input_start;

	if (unread == 0)
		return read_request(worker, session);
	if (unread > session->input_scanned)
		return parse_input(worker, session);
	return read_more_input(worker, session);
}

static unsigned idle_time_ms(const struct worker *worker, const struct session *session)
{
	const struct proxy_options *options = &worker->shared->options;

	if (worker->draining)
		return SESSION_DRAIN_IDLE_MS;
	if (session->state & SESSION_OVER_LIMIT)
		return OVER_LIMIT_MS;
	return session->requests ? options->idle_timeout_ms : options->header_timeout_ms;
}

static void set_timer(struct worker *worker, struct session *session)
{
	/* Its own timer meanwhile says nothing. */
	if (session->exchange)
		timer_set(&worker->loop.timers, &session->exchange->timer,
			  exchange_deadline(worker, session->exchange));
	else if (!(session->state & SESSION_HEAD_STARTED))
		timer_set(&worker->loop.timers, &session->client.timer,
			  worker->loop.now_ms + idle_time_ms(worker, session));
}

/* Draws the consequences. True: there may be more to do at once. */
static bool settle(struct worker *worker, struct session *session, enum exchange_progress progress)
{
	switch (progress) {
	case EXCHANGE_WAITING:
		set_timer(worker, session);
		note_held(worker, session);
		return false;
	case EXCHANGE_FINISHED:
		return finish_exchange(worker, session);
	case EXCHANGE_ABORTED:
		break;
	}
	session_abort(worker, session, session->exchange && exchange_was_cut(session->exchange));
	return false;
}

void session_drive(struct worker *worker, struct session *session)
{
	for (unsigned round = 0; round < REQUESTS_AT_ONCE; round++) {
		enum exchange_progress progress;

		if (session->client.connection.state & CONNECTION_CLOSED)
			return;
		if (session->state & SESSION_LINGERING) {
			linger(worker, session);
			return;
		}
		if (session->exchange) {
			progress = exchange_drive(worker, session->exchange);
		} else {
			progress = next_request(worker, session);
			/* A request that has begun; or a read that did not empty the socket. */
			if (progress == EXCHANGE_WAITING &&
			    (session->exchange || connection_can_read(&session->client.connection)))
				continue;
		}
		if (!settle(worker, session, progress))
			return;
	}
	loop_run_again(&worker->loop, &session->client.connection);
}

void session_handle_event(struct worker *worker, struct session *session, uint32_t events)
{
	struct exchange *exchange = session->exchange;

	connection_note_events(&session->client.connection, events);
	if (session->client.connection.state & CONNECTION_FAILED && exchange &&
	    !(exchange->events & EXCHANGE_TUNNEL)) {
		statistics_count(&worker->statistics.client_aborts);
		session_abort(worker, session, false);
		return;
	}
	session_drive(worker, session);
}

static void refuse_head(struct worker *worker, struct session *session)
{
	if (settle(worker, session, refuse(worker, session, 503, "too many bytes wait here")))
		session_drive(worker, session);
}

void session_refuse_heads(struct worker *worker)
{
	while (worker->waiting_level >= WAITING_OVER && worker->unfinished) {
		statistics_count(&worker->statistics.waiting_refused);
		refuse_head(worker, worker->unfinished);
		waiting_look(worker);
	}
}

/* The client is the first member of its session. */
static struct session *session_of(struct exchange *exchange)
{
	return (struct session *)exchange->client;
}

void session_resume_exchange(struct worker *worker, struct exchange *exchange)
{
	session_drive(worker, session_of(exchange));
}

void session_expire_exchange(struct worker *worker, struct exchange *exchange)
{
	struct session *session = session_of(exchange);

	if (settle(worker, session, exchange_expired(worker, exchange)))
		session_drive(worker, session);
}

void session_expired(struct worker *worker, struct session *session)
{
	if (session->exchange)
		return;
	if (session->state & SESSION_HEAD_STARTED) {
		statistics_count(&worker->statistics.timeouts);
		settle(worker, session, refuse(worker, session, 408, "the request did not come"));
	} else {
		close_session(worker, session);
	}
}
