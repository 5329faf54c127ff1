/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Theory of operation: a request and its response
 *
 * Two relays run side by side, `request` from the client to the upstream and `response` back. What
 * has happened stands in `events` as bits:
 *
 *     forward ──▶ attempt ──▶ connecting ──▶ REQUEST_SENT ──▶ RESPONSE_STARTED ──▶ all of it read
 *       │            ▲            │               │              │                       │
 *       ├▶ DELAYED ──┤            │               │              │                   finished
 *       └▶ PENDING ──┤            │               │              │
 *                    └── lost ◀───┴───────────────┘              └─ 101 ─▶ TUNNEL ─▶ both ends
 *                                                                                        │
 *                                                                                     closed
 *
 * The order in the middle is not fixed: an upstream may answer before it has all of the request.
 * REQUEST_CUT says that it takes no more; then what it has to say is still read.
 *
 * Until the response begins, an attempt that is lost can be followed by another one on another
 * connection (attempt.c): if the request can't have been processed (not a byte of it was sent), if
 * it may be processed twice (idempotent) and came over a pooled connection, which can close at any
 * time, or if the route says so. Small requests are kept for that in `replay`.
 *
 * The upstream's connection goes back to the pool as soon as the response is read, whether or not
 * the client has taken it by then.
 */
#include "proxy/exchange/drive.h"

#include <errno.h>

#include "base/clock.h"
#include "mesh/apply.h"
#include "proxy/exchange/access_log.h"
#include "proxy/exchange/attempt.h"
#include "proxy/exchange/mirror.h"
#include "proxy/exchange/phase.h"
#include "proxy/exchange/place.h"
#include "proxy/exchange/reply.h"
#include "proxy/exchange/response.h"
#include "proxy/http1/stream.h"
#include "proxy/request/request.h"
#include "proxy/upstream/health.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

#define MAXIMUM_SPARE_EXCHANGES 256

static size_t relay_held(const struct relay *relay)
{
	return relay->pending.capacity + relay->trailers.capacity;
}

size_t exchange_held(const struct exchange *exchange)
{
	size_t held = relay_held(&exchange->request) + relay_held(&exchange->response) +
		      exchange->replay.capacity + exchange->response_start.capacity +
		      exchange->log.capacity;

	return exchange->mirrors ? held + mirror_held(exchange) : held;
}

static void note_outcome(struct worker *worker, const struct exchange *exchange)
{
	if (exchange->lane_count == 0)
		return;
	const struct request_outcome outcome = {
		.status = exchange->status,
		.request_bytes = exchange->request.bytes,
		.response_bytes = exchange->response.bytes,
		.duration_us = (clock_now_ns() - exchange->began_ns) / 1000,
	};

	statistics_note_outcome(&worker->statistics, exchange->lanes, exchange->lane_count,
				&outcome);
}

void exchange_close(struct worker *worker, struct exchange *exchange)
{
	timer_set(&worker->loop.timers, &exchange->timer, TIMER_NEVER);
	if (exchange->connection.state & CONNECTION_AGAIN)
		loop_forget_again(&worker->loop, &exchange->connection);
	note_outcome(worker, exchange);
	if (exchange->log.length)
		access_log_write(worker, exchange);
	if (exchange->upstream || exchange->events & (EXCHANGE_PENDING | EXCHANGE_RETRYING))
		place_abandon(worker, exchange);
	if (exchange->mirrors)
		mirror_drop(exchange);
	stream_stop(worker, &exchange->request);
	stream_stop(worker, &exchange->response);
	if (exchange->response_start.data)
		buffer_free(&exchange->response_start);
	holds_release(worker->shared->holds, &exchange->hold);
	lease_drop(&worker->upstreams, exchange->lease);
	if (exchange->replay.capacity > WORKER_KEPT_BUFFER_BYTES)
		buffer_free(&exchange->replay);
	buffer_clear(&exchange->replay);
	buffer_clear(&exchange->log);
	if (worker->spare_exchange_count >= MAXIMUM_SPARE_EXCHANGES) {
		exchange_free(worker, exchange);
		return;
	}
	exchange->next_spare = worker->spare_exchanges;
	worker->spare_exchanges = exchange;
	worker->spare_exchange_count++;
}

/* The endpoint has no part in it: what its client sent was no request. */
static enum exchange_progress refuse_body(struct worker *worker, struct exchange *exchange)
{
	if (exchange->end == SERIES_ABANDONED)
		exchange->end = SERIES_NOT_COUNTED;
	return exchange_refuse(worker, exchange, 400, "malformed chunked body");
}

/* All of the request is with the upstream: from now on its answer is waited for. */
static void note_sent(struct worker *worker, struct exchange *exchange)
{
	exchange_enter(exchange, EXCHANGE_REQUEST_SENT,
		       worker->loop.now_ms + worker->shared->options.upstream_response_timeout_ms);
	if (exchange->mirrors)
		mirror_release(worker, exchange);
}

static void keep_replay(struct exchange *exchange, const struct request *request, struct span head)
{
	if (request->head.framing == HTTP_FRAMING_CHUNKED || head.length > EXCHANGE_REPLAY_BYTES ||
	    request->head.content_length > EXCHANGE_REPLAY_BYTES - head.length)
		return;
	buffer_append_span(&exchange->replay, head);
	exchange->request.copy = &exchange->replay;
	exchange->traits |= EXCHANGE_KEPT;
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

static bool leaves_out_trailer(void *context, struct span name)
{
	struct exchange *exchange = context;

	if (!request_is_forged_trailer(exchange->lease->configuration->tag_rules, name))
		return false;
	statistics_count(&exchange->worker->statistics.forged_tags_removed);
	return true;
}

/* What a consistent hash goes by. */
static void choose_hash(struct worker *worker, struct exchange *exchange,
			const struct request *request)
{
	const struct mesh_cluster_policy *policy = &exchange->cluster->policy;

	if (policy->balancing != MESH_BALANCE_HASH)
		return;
	exchange->has_hash = mesh_balance_hash(
		policy, &request->edit, request->connection->remote_address, &exchange->hash);
	if (exchange->has_hash || !policy->makes_cookie)
		return;
	exchange->cookie = random_take(&worker->random);
	exchange->hash = mesh_cookie_hash(exchange->cookie);
	exchange->has_hash = true;
}

/* The route's timeouts are the upstream's time: a client that sends slowly has `body-timeout`. */
static void stop_timeouts(struct exchange *exchange)
{
	exchange->deadline_ms = TIMER_NEVER;
	exchange->try_deadline_ms = TIMER_NEVER;
}

static void start_request(struct worker *worker, struct exchange *exchange,
			  const struct request *request)
{
	const struct http_request_head *head = &request->head;

	exchange->route = request->route;
	exchange->cluster = request->route.cluster;
	exchange->traits |= (uint8_t)((head->is_head ? EXCHANGE_TO_HEAD : 0) |
				      (is_idempotent(head->method) ? EXCHANGE_IDEMPOTENT : 0) |
				      (head->minor_version == 0 ? EXCHANGE_HTTP10 : 0) |
				      (head->upgrade ? EXCHANGE_UPGRADE : 0));
	choose_hash(worker, exchange, request);
	if (head->framing != HTTP_FRAMING_NONE)
		relay_start(&exchange->request, head->framing, head->content_length);
	if (request->listener->kind == MESH_LISTENER_GATEWAY) {
		exchange->request.trailer_filter = leaves_out_trailer;
		exchange->request.trailer_context = exchange;
	}
}

/* The route's faults: an answer in the upstream's place, at once or after a delay. */
static void draw_faults(struct worker *worker, struct exchange *exchange)
{
	const struct mesh_route *route = exchange->route.route;

	if (!route || !(route->fault.delay_share | route->fault.abort_share))
		return;
	const struct mesh_fault *fault = &route->fault;
	if (mesh_share_holds(fault->abort_share, random_take(&worker->random)))
		exchange->fault_status = fault->abort_status;
	if (mesh_share_holds(fault->delay_share, random_take(&worker->random)))
		exchange_enter(exchange, EXCHANGE_DELAYED, worker->loop.now_ms + fault->delay_ms);
	if (exchange->fault_status || exchange->events & EXCHANGE_DELAYED)
		statistics_count(&worker->statistics.faults_injected);
}

/* The first attempt, unless a fault comes first. */
static enum attempt_result first_attempt(struct worker *worker, struct exchange *exchange)
{
	draw_faults(worker, exchange);
	if (exchange->events & EXCHANGE_DELAYED || exchange->fault_status)
		return ATTEMPT_WAITS;
	exchange_start_timeouts(worker, exchange);
	return attempt_start(worker, exchange);
}

enum exchange_progress exchange_forward(struct worker *worker, struct exchange *exchange,
					struct request *request, struct span head, char *data,
					size_t length, size_t *ret_consumed)
{
	start_request(worker, exchange, request);
	keep_replay(exchange, request, head);
	enum attempt_result attempt = first_attempt(worker, exchange);

	/* What a fault keeps from the destination is kept from its mirrors. */
	if (!exchange->fault_status)
		mirror_request(worker, exchange, request, data, length);
	*ret_consumed = 0;
	switch (stream_send_request(worker, &exchange->request, exchange->upstream, head, data,
				    length, ret_consumed)) {
	case RELAY_DONE:
		note_sent(worker, exchange);
		return EXCHANGE_WAITING;
	case RELAY_WAIT:
		if (exchange->fault_status && !(exchange->events & EXCHANGE_DELAYED))
			return attempt_resume(worker, exchange);
		if (attempt == ATTEMPT_REFUSED || attempt == ATTEMPT_FAILED)
			return attempt_conclude(worker, exchange, attempt);
		return EXCHANGE_WAITING;
	case RELAY_SINK_FAILED:
		return attempt_lost(worker, exchange, ATTEMPT_RESET);
	case RELAY_INVALID:
		return refuse_body(worker, exchange);
	default:
		return exchange_fail(worker, exchange, 503, "out of memory");
	}
}

/* The upstream takes no more of the request; it may still have something to say. */
static enum exchange_progress cut_request(struct worker *worker, struct exchange *exchange)
{
	stream_cut_request(exchange->upstream);
	exchange_note(exchange, EXCHANGE_UPSTREAM_SPENT, 0);
	exchange_enter(exchange, EXCHANGE_REQUEST_CUT,
		       worker->loop.now_ms + worker->shared->options.upstream_response_timeout_ms);
	exchange_start_timeouts(worker, exchange);
	return EXCHANGE_WAITING;
}

static enum exchange_progress end_tunnel_side(struct exchange *exchange, enum exchange_event side)
{
	const uint16_t both = EXCHANGE_TUNNEL_REQUEST_END | EXCHANGE_TUNNEL_RESPONSE_END;

	if (side == EXCHANGE_TUNNEL_REQUEST_END)
		stream_end_request(exchange->upstream);
	else
		stream_end_response(exchange->client);
	exchange_note(exchange, (uint16_t)side, 0);
	return (exchange->events & both) == both ? EXCHANGE_ABORTED : EXCHANGE_WAITING;
}

static enum exchange_progress request_through(struct worker *worker, struct exchange *exchange)
{
	if (exchange->events & EXCHANGE_TUNNEL)
		return end_tunnel_side(exchange, EXCHANGE_TUNNEL_REQUEST_END);
	note_sent(worker, exchange);
	return EXCHANGE_WAITING;
}

/* To an endpoint, that can carry the request now. */
static bool has_connection(const struct exchange *exchange)
{
	return exchange->upstream && !upstream_is_connecting(exchange->upstream);
}

static enum exchange_progress drive_request(struct worker *worker, struct exchange *exchange)
{
	const uint16_t over =
		EXCHANGE_REQUEST_SENT | EXCHANGE_REQUEST_CUT | EXCHANGE_TUNNEL_REQUEST_END;

	if (exchange->events & over || !has_connection(exchange))
		return EXCHANGE_WAITING;
	bool is_coming = !exchange->request.source_done;
	if (is_coming)
		stop_timeouts(exchange);
	enum relay_outcome outcome = stream_pull_request(worker, &exchange->request,
							 exchange->client, exchange->upstream);
	if (is_coming && exchange->request.source_done)
		exchange_start_timeouts(worker, exchange);
	if (exchange->request.excess.length &&
	    !http1_client_keep(exchange->client, &exchange->request.excess))
		return EXCHANGE_ABORTED;
	switch (outcome) {
	case RELAY_WAIT:
		return EXCHANGE_WAITING;
	case RELAY_AGAIN:
		loop_run_again(&worker->loop, &exchange->connection);
		return EXCHANGE_WAITING;
	case RELAY_DONE:
		return request_through(worker, exchange);
	case RELAY_SOURCE_CLOSED:
		statistics_count(&worker->statistics.client_aborts);
		return exchange_refuse(worker, exchange, 400, "the request's body ended early");
	case RELAY_SINK_FAILED:
		return cut_request(worker, exchange);
	case RELAY_INVALID:
		return refuse_body(worker, exchange);
	case RELAY_NO_MEMORY:
		break;
	}
	return exchange_fail(worker, exchange, 503, "out of memory");
}

/* The response is read: the upstream can carry the next request while the client takes its time. */
static void release_upstream(struct worker *worker, struct exchange *exchange)
{
	struct upstream *upstream = exchange->upstream;

	if (!upstream || exchange->events & EXCHANGE_TUNNEL)
		return;
	uint32_t maximum = exchange->cluster->policy.maximum_requests_per_connection;
	bool keep = exchange->events & EXCHANGE_REQUEST_SENT &&
		    !(exchange->events & EXCHANGE_UPSTREAM_SPENT) && upstream_is_fit(upstream) &&
		    !worker->draining && (!maximum || upstream->requests < maximum);
	place_give_back(worker, exchange, keep);
}

static enum exchange_progress drive_response(struct worker *worker, struct exchange *exchange)
{
	if (!(exchange->events & EXCHANGE_RESPONSE_STARTED)) {
		if (!has_connection(exchange))
			return EXCHANGE_WAITING;
		enum exchange_progress progress = response_read(worker, exchange);

		if (progress != EXCHANGE_WAITING || !(exchange->events & EXCHANGE_RESPONSE_STARTED))
			return progress;
	}
	if (exchange->events & EXCHANGE_TUNNEL_RESPONSE_END)
		return EXCHANGE_WAITING;
	enum relay_outcome outcome = stream_pull_response(worker, &exchange->response,
							  exchange->upstream, exchange->client);
	if (exchange->response.excess.length)
		exchange_note(exchange, EXCHANGE_UPSTREAM_SPENT, 0);
	if (exchange->response.source_done)
		release_upstream(worker, exchange);
	if (outcome == RELAY_DONE && exchange->events & EXCHANGE_TUNNEL)
		return end_tunnel_side(exchange, EXCHANGE_TUNNEL_RESPONSE_END);
	return exchange_response_progress(worker, exchange, outcome);
}

/* Looks whether the connection stands by now. */
static enum exchange_progress drive_connect(struct worker *worker, struct exchange *exchange)
{
	struct upstream *upstream = exchange->upstream;

	if (!upstream_has_outcome(upstream))
		return EXCHANGE_WAITING;
	if (upstream_finish_connect(upstream))
		return attempt_lost(worker, exchange, ATTEMPT_CONNECT_FAILED);
	health_note_connect(&worker->upstreams, exchange->backend, true);
	return EXCHANGE_WAITING;
}

enum exchange_progress exchange_drive(struct worker *worker, struct exchange *exchange)
{
	enum exchange_progress progress = EXCHANGE_WAITING;

	switch (exchange_phase(exchange)) {
	case PHASE_DELAYED:
		return EXCHANGE_WAITING;
	case PHASE_QUEUED:
		progress = attempt_resume(worker, exchange);
		break;
	case PHASE_CONNECTING:
		progress = drive_connect(worker, exchange);
		break;
	default:
		break;
	}
	if (progress == EXCHANGE_WAITING)
		progress = drive_request(worker, exchange);
	if (progress == EXCHANGE_WAITING)
		progress = drive_response(worker, exchange);
	return progress;
}

/* The client or the upstream let a phase's time pass before a response. */
static enum exchange_progress transfer_expired(struct worker *worker, struct exchange *exchange,
					       enum exchange_phase phase)
{
	statistics_count(&worker->statistics.timeouts);
	if (phase == PHASE_AWAITING)
		return attempt_lost(worker, exchange, ATTEMPT_TIMED_OUT);
	if (relay_is_flushed(&exchange->request))
		return exchange_refuse(worker, exchange, 408, "the request's body did not come");
	exchange->end = SERIES_FAILED;
	return exchange_fail(worker, exchange, 504, "the upstream did not take the request");
}

static enum exchange_progress phase_expired(struct worker *worker, struct exchange *exchange)
{
	enum exchange_phase phase = exchange_phase(exchange);

	switch (phase) {
	case PHASE_DELAYED:
		return attempt_resume(worker, exchange);
	case PHASE_QUEUED:
		return attempt_conclude(worker, exchange, ATTEMPT_REFUSED);
	case PHASE_CONNECTING:
		upstream_log_failed_connect(exchange->backend, -ETIMEDOUT);
		return attempt_lost(worker, exchange, ATTEMPT_CONNECT_FAILED);
	default:
		return transfer_expired(worker, exchange, phase);
	}
}

enum exchange_progress exchange_expired(struct worker *worker, struct exchange *exchange)
{
	if (exchange->events & EXCHANGE_RESPONSE_STARTED) {
		statistics_count(&worker->statistics.timeouts);
		return EXCHANGE_ABORTED;
	}
	if (exchange->deadline_ms <= worker->loop.now_ms) {
		statistics_count(&worker->statistics.timeouts);
		if (exchange->upstream)
			attempt_note_failure(worker, exchange, 504);
		return exchange_fail(worker, exchange, 504, "the request took too long");
	}
	if (exchange->try_deadline_ms <= worker->loop.now_ms && exchange->upstream) {
		statistics_count(&worker->statistics.timeouts);
		return attempt_lost(worker, exchange, ATTEMPT_TIMED_OUT);
	}
	return phase_expired(worker, exchange);
}

bool exchange_was_cut(const struct exchange *exchange)
{
	bool ends_by_close = exchange->response.framing == HTTP_FRAMING_UNTIL_CLOSE ||
			     exchange->response.unchunk;

	return exchange->events & EXCHANGE_RESPONSE_STARTED && ends_by_close &&
	       (exchange->events & (EXCHANGE_TUNNEL_REQUEST_END | EXCHANGE_TUNNEL_RESPONSE_END)) !=
		       (EXCHANGE_TUNNEL_REQUEST_END | EXCHANGE_TUNNEL_RESPONSE_END);
}
