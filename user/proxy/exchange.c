/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Theory of operation: a request and its response
 *
 * Two relays run side by side, `request` from the client to the upstream and `response` back. What
 * has happened stands in `events` as bits that are only ever set (but for a tunnel, which starts
 * the requests's direction afresh):
 *
 *     forward ── attach ──▶ connecting ──▶ REQUEST_SENT ──▶ RESPONSE_STARTED ──▶ RESPONSE_READ ──▶
 * finished ▲            │               │                  │ └── lost ◀───┴───────────────┘ └─ 101
 * ─▶ TUNNEL ─▶ both ends ─▶ closed
 *
 * The order in the middle is not fixed: an upstream may answer before it has all of the request.
 * REQUEST_CUT says that it takes no more; then what it has to say is still read.
 *
 * A connection that is lost before the upstream said anything is made good on another one if the
 * request can't have been processed (not a byte of it was sent), or may be processed twice
 * (idempotent) and came over a pooled connection, which can close at any time.
 *
 * The upstream's connection goes back to the pool as soon as the response is read, whether or not
 * the client has taken it by then.
 */
#include "proxy/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "http/answer.h"
#include "proxy/balance.h"
#include "proxy/request.h"
#include "proxy/session.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define MAXIMUM_SPARE_EXCHANGES 256
/* A head and 64 KiB of body in one piece; what comes behind may be worth a pipe. */
#define RESPONSE_READ_BYTES (72 * 1024)

struct exchange *exchange_open(struct worker *worker, struct session *session)
{
	struct exchange *exchange = worker->spare_exchanges;

	if (exchange) {
		worker->spare_exchanges = exchange->next_spare;
		worker->spare_exchange_count--;
	} else {
		exchange = calloc(1, sizeof(*exchange));
		if (!exchange)
			return NULL;
	}
	/* The buffers' memory is kept. */
	*exchange = (struct exchange){
		.session = session,
		.lease = lease_take(worker->lease),
		.request.pending = exchange->request.pending,
		.response.pending = exchange->response.pending,
		.replay = exchange->replay,
		.phase_deadline_ms = TIMER_NEVER,
	};
	relay_start(&exchange->request, HTTP_FRAMING_NONE, 0);
	relay_start(&exchange->response, HTTP_FRAMING_NONE, 0);
	return exchange;
}

static void detach_upstream(struct worker *worker, struct exchange *exchange, bool keep)
{
	struct upstream *upstream = exchange->upstream;

	if (!upstream)
		return;
	exchange->upstream = NULL;
	upstream->backend->requests--;
	if (keep)
		upstream_keep(worker, upstream);
	else
		upstream_close(worker, upstream);
}

void exchange_close(struct worker *worker, struct exchange *exchange)
{
	detach_upstream(worker, exchange, false);
	relay_stop(worker, &exchange->request);
	relay_stop(worker, &exchange->response);
	buffer_free(&exchange->response_start);
	lease_drop(worker, exchange->lease);
	if (exchange->replay.capacity > WORKER_KEPT_BUFFER_BYTES)
		buffer_free(&exchange->replay);
	buffer_clear(&exchange->replay);
	if (worker->spare_exchange_count >= MAXIMUM_SPARE_EXCHANGES) {
		buffer_free(&exchange->request.pending);
		buffer_free(&exchange->response.pending);
		buffer_free(&exchange->replay);
		free(exchange);
		return;
	}
	exchange->next_spare = worker->spare_exchanges;
	worker->spare_exchanges = exchange;
	worker->spare_exchange_count++;
}

static void count_response(struct worker *worker, struct exchange *exchange, unsigned status)
{
	exchange->status = (uint16_t)status;
	statistics_count(&worker->statistics.responses[status / 100 % 6]);
}

/* What the outcome of the relay to the client means once the response has begun. */
static enum exchange_progress response_progress(struct worker *worker, struct exchange *exchange,
						enum relay_outcome outcome)
{
	switch (outcome) {
	case RELAY_WAIT:
		return EXCHANGE_WAITING;
	case RELAY_AGAIN:
		worker_run_again(worker, exchange->session);
		return EXCHANGE_WAITING;
	case RELAY_DONE:
		return EXCHANGE_FINISHED;
	case RELAY_SINK_FAILED:
		statistics_count(&worker->statistics.client_aborts);
		return EXCHANGE_ABORTED;
	default:
		statistics_count(&worker->statistics.upstream_failures);
		return EXCHANGE_ABORTED;
	}
}

enum exchange_progress exchange_answer(struct worker *worker, struct exchange *exchange,
				       unsigned status, struct span response)
{
	size_t consumed;

	detach_upstream(worker, exchange, false);
	exchange->events |= EXCHANGE_RESPONSE_STARTED | EXCHANGE_RESPONSE_READ |
			    EXCHANGE_LOCAL_RESPONSE | EXCHANGE_REQUEST_CUT;
	count_response(worker, exchange, status);
	relay_start(&exchange->response, HTTP_FRAMING_NONE, 0);
	return response_progress(worker, exchange,
				 relay_push(worker, &exchange->response,
					    &exchange->session->connection, response, NULL, 0,
					    &consumed));
}

enum exchange_progress exchange_fail(struct worker *worker, struct exchange *exchange,
				     unsigned status, const char *reason)
{
	struct session *session = exchange->session;

	if (exchange->events & EXCHANGE_RESPONSE_STARTED)
		return EXCHANGE_ABORTED;
	if (!exchange->request.source_done)
		session->state |= SESSION_CLOSE;
	buffer_clear(&worker->scratch);
	http_error_response(status, reason, time(NULL), session->state & SESSION_CLOSE,
			    exchange->traits & EXCHANGE_TO_HEAD, &worker->scratch);
	if (worker->scratch.failed)
		return EXCHANGE_ABORTED;
	return exchange_answer(worker, exchange, status, buffer_span(&worker->scratch));
}

/* Attaches a connection to some endpoint; false: none is to be had. */
static bool attach(struct worker *worker, struct exchange *exchange)
{
	const struct mesh_cluster *cluster = exchange->route.cluster;
	const uint8_t repeatable = EXCHANGE_REPLAYABLE | EXCHANGE_IDEMPOTENT;
	bool check = (exchange->traits & repeatable) != repeatable;
	int error;

	while (exchange->attempts < EXCHANGE_MAXIMUM_ATTEMPTS) {
		int endpoint = balance_choose(worker, exchange->lease, cluster, exchange->hash,
					      exchange->attempts++);
		struct backend *backend = endpoint < 0 ? NULL
						       : lease_backend(worker, exchange->lease,
								       cluster, (size_t)endpoint);
		struct upstream *upstream = NULL;

		if (!backend)
			return false;
		if (!exchange->fresh_only)
			upstream = upstream_take_idle(worker, backend, check);
		if (!upstream)
			upstream = upstream_connect(worker, backend, &error);
		if (upstream) {
			upstream->exchange = exchange;
			backend->requests++;
			exchange->upstream = upstream;
			exchange->backend = backend;
			exchange->phase_deadline_ms =
				worker->now_ms +
				(cluster->policy.connect_timeout_ms
					 ? cluster->policy.connect_timeout_ms
					 : worker->proxy->options.connect_timeout_ms);
			return true;
		}
		backend_note_connect(worker, backend, false);
	}
	return false;
}

static bool is_connecting(const struct exchange *exchange)
{
	return exchange->upstream && exchange->upstream->connection.state & CONNECTION_CONNECTING;
}

static void note_request_sent(struct worker *worker, struct exchange *exchange)
{
	exchange->events |= EXCHANGE_REQUEST_SENT;
	exchange->phase_deadline_ms =
		worker->now_ms + worker->proxy->options.upstream_response_timeout_ms;
}

static bool may_send_again(const struct exchange *exchange, bool was_reused)
{
	if (exchange->request.sent == 0 && exchange->request.pending.length)
		return true; /* all of what was read is still here */
	if (!(exchange->traits & EXCHANGE_REPLAYABLE))
		return false;
	return exchange->request.sent == 0 ||
	       (was_reused && exchange->traits & EXCHANGE_IDEMPOTENT);
}

/* The upstream's connection broke before it said anything. */
static enum exchange_progress upstream_lost(struct worker *worker, struct exchange *exchange)
{
	bool was_connecting = is_connecting(exchange);
	bool was_reused = exchange->upstream->requests > 1;

	if (was_connecting)
		backend_note_connect(worker, exchange->backend, false);
	else
		statistics_count(&worker->statistics.upstream_failures);
	detach_upstream(worker, exchange, false);
	if (exchange->events & EXCHANGE_UPSTREAM_BYTES || !may_send_again(exchange, was_reused))
		return exchange_fail(worker, exchange, 502, "the upstream closed the connection");

	if (exchange->traits & EXCHANGE_REPLAYABLE &&
	    !relay_restart(worker, &exchange->request, buffer_span(&exchange->replay)))
		return exchange_fail(worker, exchange, 503, "out of memory");
	exchange->events &= (uint16_t) ~(EXCHANGE_REQUEST_SENT | EXCHANGE_REQUEST_CUT);
	exchange->fresh_only = true;
	statistics_count(&worker->statistics.retries);
	if (!attach(worker, exchange))
		return exchange_fail(worker, exchange, 503, "no upstream connection");
	return EXCHANGE_WAITING;
}

static void keep_replay(struct exchange *exchange, const struct request *request, struct span head,
			const char *data, size_t length)
{
	size_t body = request->head.framing == HTTP_FRAMING_NONE
			      ? 0
			      : (size_t)request->head.content_length;

	if (request->head.framing == HTTP_FRAMING_CHUNKED ||
	    request->head.content_length > length || head.length + body > EXCHANGE_REPLAY_BYTES)
		return;
	buffer_append_span(&exchange->replay, head);
	buffer_append(&exchange->replay, data, body);
	if (!exchange->replay.failed)
		exchange->traits |= EXCHANGE_REPLAYABLE;
}

static bool is_idempotent(struct span method)
{
	static const struct span methods[] = {
		{"GET", 3}, {"HEAD", 4}, {"OPTIONS", 7}, {"TRACE", 5}, {"PUT", 3}, {"DELETE", 6},
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (span_equal(method, methods[i]))
			return true;
	}
	return false;
}

/* Baggage has no place in trailers: there it can only be a way around the removal of tags. */
static bool leaves_out_trailer(void *context, struct span name)
{
	struct exchange *exchange = context;

	return span_equal_ignore_case(name, span_of("baggage")) ||
	       tag_rules_owns_header(exchange->lease->configuration->tag_rules, name);
}

static void start_request(struct exchange *exchange, const struct request *request)
{
	const struct http_request_head *head = &request->head;

	exchange->route = request->route;
	exchange->hash = request->hash;
	exchange->traits = (uint8_t)((head->is_head ? EXCHANGE_TO_HEAD : 0) |
				     (is_idempotent(head->method) ? EXCHANGE_IDEMPOTENT : 0) |
				     (head->minor_version == 0 ? EXCHANGE_HTTP10 : 0) |
				     (head->upgrade ? EXCHANGE_UPGRADE : 0));
	relay_start(&exchange->request, head->framing, head->content_length);
	if (request->listener->kind == MESH_LISTENER_GATEWAY) {
		exchange->request.trailer_filter = leaves_out_trailer;
		exchange->request.trailer_context = exchange;
	}
}

enum exchange_progress exchange_forward(struct worker *worker, struct exchange *exchange,
					const struct request *request, struct span head, char *data,
					size_t length, size_t *ret_consumed)
{
	start_request(exchange, request);
	keep_replay(exchange, request, head, data, length);
	bool attached = attach(worker, exchange);
	struct connection *sink = attached ? &exchange->upstream->connection : NULL;

	*ret_consumed = 0;
	switch (relay_push(worker, &exchange->request, sink, head, data, length, ret_consumed)) {
	case RELAY_DONE:
		note_request_sent(worker, exchange);
		return EXCHANGE_WAITING;
	case RELAY_WAIT:
		if (!attached)
			return exchange_fail(worker, exchange, 503, "no upstream connection");
		return EXCHANGE_WAITING;
	case RELAY_SINK_FAILED:
		return upstream_lost(worker, exchange);
	case RELAY_INVALID:
		return exchange_fail(worker, exchange, 400, "malformed chunked body");
	default:
		return exchange_fail(worker, exchange, 503, "out of memory");
	}
}

/* The upstream takes no more of the request; it may still have something to say. */
static enum exchange_progress cut_request(struct worker *worker, struct exchange *exchange)
{
	exchange->events |= EXCHANGE_REQUEST_CUT | EXCHANGE_UPSTREAM_SPENT;
	exchange->upstream->connection.state |= CONNECTION_READABLE;
	exchange->phase_deadline_ms =
		worker->now_ms + worker->proxy->options.upstream_response_timeout_ms;
	return EXCHANGE_WAITING;
}

static enum exchange_progress end_tunnel_side(struct exchange *exchange, struct connection *sink,
					      enum exchange_event side)
{
	const uint16_t both = EXCHANGE_TUNNEL_REQUEST_END | EXCHANGE_TUNNEL_RESPONSE_END;

	shutdown(sink->fd, SHUT_WR);
	exchange->events |= (uint16_t)side;
	return (exchange->events & both) == both ? EXCHANGE_ABORTED : EXCHANGE_WAITING;
}

static enum exchange_progress request_through(struct worker *worker, struct exchange *exchange)
{
	if (exchange->events & EXCHANGE_TUNNEL)
		return end_tunnel_side(exchange, &exchange->upstream->connection,
				       EXCHANGE_TUNNEL_REQUEST_END);
	note_request_sent(worker, exchange);
	return EXCHANGE_WAITING;
}

static enum exchange_progress drive_request(struct worker *worker, struct exchange *exchange)
{
	const uint16_t over =
		EXCHANGE_REQUEST_SENT | EXCHANGE_REQUEST_CUT | EXCHANGE_TUNNEL_REQUEST_END;
	struct session *session = exchange->session;

	if (exchange->events & over || !exchange->upstream || is_connecting(exchange))
		return EXCHANGE_WAITING;
	enum relay_outcome outcome = relay_run(worker, &exchange->request, &session->connection,
					       &exchange->upstream->connection);
	if (exchange->request.excess.length &&
	    !session_keep_input(session, &exchange->request.excess))
		return EXCHANGE_ABORTED;
	switch (outcome) {
	case RELAY_WAIT:
		return EXCHANGE_WAITING;
	case RELAY_AGAIN:
		worker_run_again(worker, session);
		return EXCHANGE_WAITING;
	case RELAY_DONE:
		return request_through(worker, exchange);
	case RELAY_SOURCE_CLOSED:
		statistics_count(&worker->statistics.client_aborts);
		return exchange_fail(worker, exchange, 400, "the request's body ended early");
	case RELAY_SINK_FAILED:
		return cut_request(worker, exchange);
	case RELAY_INVALID:
		return exchange_fail(worker, exchange, 400, "malformed chunked body");
	case RELAY_NO_MEMORY:
		break;
	}
	return exchange_fail(worker, exchange, 503, "out of memory");
}

/* Sends a 1xx on. Old clients know none (RFC 9110 15.2). */
static enum exchange_progress forward_interim(struct worker *worker, struct exchange *exchange)
{
	struct http_edit *edit = &worker->response_edit;
	size_t consumed;

	if (exchange->traits & EXCHANGE_HTTP10)
		return EXCHANGE_WAITING;
	http_edit_start_response(edit, &worker->response_head);
	http_edit_remove_hop_by_hop(edit);
	ssize_t length = http_edit_write(edit, worker->head_memory, worker->head_memory_bytes);
	if (length < 0)
		return exchange_fail(worker, exchange, 502, "response head too large");
	statistics_count(&worker->statistics.responses[1]);
	switch (relay_push(worker, &exchange->response, &exchange->session->connection,
			   (struct span){worker->head_memory, (size_t)length}, NULL, 0,
			   &consumed)) {
	case RELAY_WAIT:
	case RELAY_DONE:
		return EXCHANGE_WAITING;
	default:
		return EXCHANGE_ABORTED;
	}
}

/* Whether the client's connection goes on, said so that the client knows. */
static int add_connection_field(struct exchange *exchange, struct http_edit *edit)
{
	const struct span name = {"Connection", 10};

	if (edit->response->upgrade)
		return 0;
	if (exchange->session->state & SESSION_CLOSE)
		return http_edit_add(edit, name, (struct span){"close", 5});
	if (exchange->traits & EXCHANGE_HTTP10)
		return http_edit_add(edit, name, (struct span){"keep-alive", 10});
	return 0;
}

/* The response's framing towards the client. */
static void start_response(struct worker *worker, struct exchange *exchange)
{
	const struct http_response_head *head = &worker->response_head;
	struct relay *relay = &exchange->response;

	relay_start(relay, head->framing, head->content_length);
	relay->unchunk =
		exchange->traits & EXCHANGE_HTTP10 && head->framing == HTTP_FRAMING_CHUNKED;
	if (relay->unchunk || head->framing == HTTP_FRAMING_UNTIL_CLOSE || worker->draining)
		exchange->session->state |= SESSION_CLOSE;
	if (!head->keep_alive)
		exchange->events |= EXCHANGE_UPSTREAM_SPENT;
}

static ssize_t write_response_head(struct worker *worker, struct exchange *exchange)
{
	struct http_edit *edit = &worker->response_edit;

	http_edit_start_response(edit, &worker->response_head);
	if (http_edit_remove_hop_by_hop(edit))
		return -ENOSPC;
	if (exchange->response.unchunk) {
		http_edit_remove_name(edit, (struct span){"Transfer-Encoding", 17});
		http_edit_remove_name(edit, (struct span){"Trailer", 7});
	}
	if (add_connection_field(exchange, edit))
		return -ENOSPC;
	return http_edit_write(edit, worker->head_memory, worker->head_memory_bytes);
}

/* From here bytes go through unseen, both ways. What the client has sent meanwhile goes first. */
static enum exchange_progress start_tunnel(struct worker *worker, struct exchange *exchange)
{
	struct session *session = exchange->session;
	struct span early = {session->input.data + session->input_start,
			     session->input.length - session->input_start};
	size_t consumed;

	exchange->events &= (uint16_t)~EXCHANGE_REQUEST_SENT;
	exchange->events |= EXCHANGE_TUNNEL | EXCHANGE_UPSTREAM_SPENT;
	session->state |= SESSION_CLOSE;
	relay_start(&exchange->request, HTTP_FRAMING_UNTIL_CLOSE, 0);
	relay_start(&exchange->response, HTTP_FRAMING_UNTIL_CLOSE, 0);
	if (early.length) {
		enum relay_outcome outcome =
			relay_push(worker, &exchange->request, &exchange->upstream->connection,
				   early, NULL, 0, &consumed);

		if (outcome != RELAY_WAIT)
			return EXCHANGE_ABORTED;
		session_drop_input(session);
	}
	worker_run_again(worker, session);
	return EXCHANGE_WAITING;
}

/* The final head stands in worker->response_head; data[0, length) came behind it. */
static enum exchange_progress take_response(struct worker *worker, struct exchange *exchange,
					    char *data, size_t length)
{
	const struct http_response_head *head = &worker->response_head;
	size_t consumed = 0;

	if (head->upgrade && !(exchange->traits & EXCHANGE_UPGRADE))
		return exchange_fail(worker, exchange, 502, "a tunnel that nobody asked for");
	start_response(worker, exchange);
	ssize_t written = write_response_head(worker, exchange);
	if (written < 0)
		return exchange_fail(worker, exchange, 502, "response head too large");
	exchange->events |= EXCHANGE_RESPONSE_STARTED;
	count_response(worker, exchange, head->status);
	if (head->upgrade) {
		enum exchange_progress progress = start_tunnel(worker, exchange);

		if (progress != EXCHANGE_WAITING)
			return progress;
	}
	enum relay_outcome outcome = relay_push(
		worker, &exchange->response, &exchange->session->connection,
		(struct span){worker->head_memory, (size_t)written}, data, length, &consumed);
	if (consumed < length)
		exchange->events |= EXCHANGE_UPSTREAM_SPENT;
	if (outcome == RELAY_WAIT || outcome == RELAY_DONE)
		return EXCHANGE_WAITING;
	return response_progress(worker, exchange, outcome);
}

/* Takes heads out of worker->memory: interim ones, then the final one. */
static enum exchange_progress parse_response(struct worker *worker, struct exchange *exchange,
					     size_t length, size_t already_scanned)
{
	char *data = worker->memory;
	struct http_refusal refusal;

	for (;;) {
		switch (http_response_parse(
			data, length, already_scanned, &worker->proxy->response_limits,
			exchange->traits & EXCHANGE_TO_HEAD, &worker->response_head, &refusal)) {
		case HTTP_PARSE_REFUSED:
			statistics_count(&worker->statistics.upstream_failures);
			return exchange_fail(worker, exchange, 502, refusal.reason);
		case HTTP_PARSE_MORE:
			buffer_clear(&exchange->response_start);
			buffer_append(&exchange->response_start, data, length);
			if (exchange->response_start.failed)
				return exchange_fail(worker, exchange, 503, "out of memory");
			return EXCHANGE_WAITING;
		case HTTP_PARSE_COMPLETE:
			break;
		}
		data += worker->response_head.length;
		length -= worker->response_head.length;
		already_scanned = 0;
		if (!worker->response_head.interim)
			return take_response(worker, exchange, data, length);
		enum exchange_progress progress = forward_interim(worker, exchange);
		if (progress != EXCHANGE_WAITING || exchange->events & EXCHANGE_RESPONSE_STARTED)
			return progress;
	}
}

static enum exchange_progress read_response(struct worker *worker, struct exchange *exchange)
{
	size_t before = exchange->response_start.length;

	if (before)
		memcpy(worker->memory, exchange->response_start.data, before);
	ssize_t length = connection_receive(&exchange->upstream->connection,
					    worker->memory + before, RESPONSE_READ_BYTES);
	if (length == -EAGAIN)
		return EXCHANGE_WAITING;
	if (length <= 0)
		return upstream_lost(worker, exchange);
	exchange->events |= EXCHANGE_UPSTREAM_BYTES;
	return parse_response(worker, exchange, before + (size_t)length, before);
}

/* The response is read: the upstream can carry the next request while the client takes its time. */
static void release_upstream(struct worker *worker, struct exchange *exchange)
{
	const uint16_t gone = CONNECTION_PEER_CLOSED | CONNECTION_FAILED;
	struct upstream *upstream = exchange->upstream;

	if (!upstream || exchange->events & EXCHANGE_TUNNEL)
		return;
	uint32_t maximum = exchange->route.cluster->policy.maximum_requests_per_connection;
	bool keep = exchange->events & EXCHANGE_REQUEST_SENT &&
		    !(exchange->events & EXCHANGE_UPSTREAM_SPENT) &&
		    !(upstream->connection.state & gone) && !worker->draining &&
		    (!maximum || upstream->requests < maximum);
	detach_upstream(worker, exchange, keep);
}

static enum exchange_progress drive_response(struct worker *worker, struct exchange *exchange)
{
	struct session *session = exchange->session;

	if (!(exchange->events & EXCHANGE_RESPONSE_STARTED)) {
		if (!exchange->upstream || is_connecting(exchange))
			return EXCHANGE_WAITING;
		enum exchange_progress progress = read_response(worker, exchange);

		if (progress != EXCHANGE_WAITING || !(exchange->events & EXCHANGE_RESPONSE_STARTED))
			return progress;
	}
	if (exchange->events & EXCHANGE_TUNNEL_RESPONSE_END)
		return EXCHANGE_WAITING;
	enum relay_outcome outcome = relay_run(
		worker, &exchange->response,
		exchange->upstream ? &exchange->upstream->connection : NULL, &session->connection);
	if (exchange->response.excess.length)
		exchange->events |= EXCHANGE_UPSTREAM_SPENT;
	if (exchange->response.source_done) {
		exchange->events |= EXCHANGE_RESPONSE_READ;
		release_upstream(worker, exchange);
	}
	if (outcome == RELAY_DONE && exchange->events & EXCHANGE_TUNNEL)
		return end_tunnel_side(exchange, &session->connection,
				       EXCHANGE_TUNNEL_RESPONSE_END);
	return response_progress(worker, exchange, outcome);
}

/* Looks whether the connection stands by now. */
static enum exchange_progress drive_connect(struct worker *worker, struct exchange *exchange)
{
	struct upstream *upstream = exchange->upstream;

	if (!(upstream->connection.state & (CONNECTION_WRITABLE | CONNECTION_FAILED)))
		return EXCHANGE_WAITING;
	if (upstream_finish_connect(upstream))
		return upstream_lost(worker, exchange);
	backend_note_connect(worker, exchange->backend, true);
	return EXCHANGE_WAITING;
}

enum exchange_progress exchange_drive(struct worker *worker, struct exchange *exchange)
{
	enum exchange_progress progress = EXCHANGE_WAITING;

	if (is_connecting(exchange))
		progress = drive_connect(worker, exchange);
	if (progress == EXCHANGE_WAITING)
		progress = drive_request(worker, exchange);
	if (progress == EXCHANGE_WAITING)
		progress = drive_response(worker, exchange);
	return progress;
}

uint64_t exchange_deadline(const struct worker *worker, const struct exchange *exchange)
{
	const struct proxy_options *options = &worker->proxy->options;

	if (is_connecting(exchange))
		return exchange->phase_deadline_ms;
	if (exchange->events & EXCHANGE_TUNNEL)
		return worker->now_ms + options->tunnel_timeout_ms;
	if (exchange->events & EXCHANGE_RESPONSE_STARTED) {
		/* Who is waited for: the client to take bytes, or the upstream to give some? */
		bool client = !relay_is_flushed(&exchange->response);

		return worker->now_ms +
		       (client ? options->body_timeout_ms : options->upstream_response_timeout_ms);
	}
	if (exchange->events & (EXCHANGE_REQUEST_SENT | EXCHANGE_REQUEST_CUT))
		return exchange->phase_deadline_ms;
	return worker->now_ms + options->body_timeout_ms;
}

enum exchange_progress exchange_expired(struct worker *worker, struct exchange *exchange)
{
	if (is_connecting(exchange))
		return upstream_lost(worker, exchange);
	statistics_count(&worker->statistics.timeouts);
	if (exchange->events & EXCHANGE_RESPONSE_STARTED)
		return EXCHANGE_ABORTED;
	if (exchange->events & (EXCHANGE_REQUEST_SENT | EXCHANGE_REQUEST_CUT))
		return exchange_fail(worker, exchange, 504, "the upstream did not answer in time");
	if (relay_is_flushed(&exchange->request))
		return exchange_fail(worker, exchange, 408, "the request's body did not come");
	return exchange_fail(worker, exchange, 504, "the upstream did not take the request");
}

bool exchange_was_cut(const struct exchange *exchange)
{
	return exchange->events & EXCHANGE_RESPONSE_STARTED &&
	       exchange->response.framing == HTTP_FRAMING_UNTIL_CLOSE &&
	       (exchange->events & (EXCHANGE_TUNNEL_REQUEST_END | EXCHANGE_TUNNEL_RESPONSE_END)) !=
		       (EXCHANGE_TUNNEL_REQUEST_END | EXCHANGE_TUNNEL_RESPONSE_END);
}
