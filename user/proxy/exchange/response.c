/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/response.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "mesh/apply.h"
#include "proxy/exchange/attempt.h"
#include "proxy/exchange/phase.h"
#include "proxy/exchange/place.h"
#include "proxy/exchange/reply.h"
#include "proxy/http1/stream.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

/* Sends a 1xx on. Old clients know none (RFC 9110 15.2). */
static enum exchange_progress forward_interim(struct worker *worker, struct exchange *exchange)
{
	struct http_edit *edit = &worker->scratch.response_edit;
	size_t consumed;

	if (exchange->traits & EXCHANGE_HTTP10)
		return EXCHANGE_WAITING;
	http_edit_start_response(edit, &worker->scratch.response_head);
	http_edit_remove_hop_by_hop(edit);
	ssize_t length = http_edit_write(edit, worker->scratch.head, worker->scratch.head_bytes);
	if (length < 0)
		return exchange_fail(worker, exchange, 502, "response head too large");
	statistics_count(&worker->statistics.responses[1]);
	switch (stream_send_response(worker, &exchange->response, exchange->client,
				     (struct span){worker->scratch.head, (size_t)length}, NULL, 0,
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
	if (exchange->client->closes)
		return http_edit_add(edit, name, (struct span){"close", 5});
	if (exchange->traits & EXCHANGE_HTTP10)
		return http_edit_add(edit, name, (struct span){"keep-alive", 10});
	return 0;
}

/* The response's framing towards the client. */
static void start_response(struct worker *worker, struct exchange *exchange)
{
	const struct http_response_head *head = &worker->scratch.response_head;
	struct relay *relay = &exchange->response;

	relay_start(relay, head->framing, head->content_length);
	relay->unchunk =
		exchange->traits & EXCHANGE_HTTP10 && head->framing == HTTP_FRAMING_CHUNKED;
	if (relay->unchunk || head->framing == HTTP_FRAMING_UNTIL_CLOSE || worker->draining)
		exchange->client->closes = true;
	relay->closes = exchange->client->closes;
	if (!head->keep_alive)
		exchange_note(exchange, EXCHANGE_UPSTREAM_SPENT, 0);
}

/* The operations of the route on the response, then of its destination. */
static int apply_route(const struct exchange *exchange, struct http_edit *edit)
{
	const struct route_result *route = &exchange->route;

	if (route->route && mesh_apply_headers(&route->route->response_headers, edit))
		return -1;
	if (route->destination && mesh_apply_headers(&route->destination->response_headers, edit))
		return -1;
	return 0;
}

/* So that the client comes back to the endpoint that it got now. */
static int add_cookie(struct worker *worker, const struct exchange *exchange,
		      struct http_edit *edit)
{
	struct buffer *text = &worker->scratch.text;

	if (!exchange->cookie)
		return 0;
	buffer_clear(text);
	mesh_write_cookie(&exchange->route.cluster->policy, exchange->cookie, text);
	if (text->failed)
		return -1;
	return http_edit_add(edit, (struct span){"Set-Cookie", 10}, buffer_span(text));
}

/* The head for the client; data == NULL: there is no room. `received` is as it came. */
static struct span make_response_head(struct worker *worker, struct exchange *exchange,
				      const char *received)
{
	const struct span none = {NULL, 0};
	struct http_edit *edit = &worker->scratch.response_edit;

	http_edit_start_response(edit, &worker->scratch.response_head);
	if (http_edit_remove_hop_by_hop(edit))
		return none;
	/* Not to HEAD either (RFC 9112 6.1). */
	if (exchange->traits & EXCHANGE_HTTP10) {
		http_edit_remove_name(edit, (struct span){"Transfer-Encoding", 17});
		http_edit_remove_name(edit, (struct span){"Trailer", 7});
	}
	if (apply_route(exchange, edit) || add_cookie(worker, exchange, edit) ||
	    add_connection_field(exchange, edit))
		return none;
	if (http_edit_is_unchanged(edit))
		return (struct span){received, worker->scratch.response_head.length};
	ssize_t length = http_edit_write(edit, worker->scratch.head, worker->scratch.head_bytes);
	return length < 0 ? none : (struct span){worker->scratch.head, (size_t)length};
}

/* From here bytes go through unseen, both ways. What the client has sent meanwhile goes first. */
static enum exchange_progress start_tunnel(struct worker *worker, struct exchange *exchange)
{
	struct http1_client *client = exchange->client;
	struct span early = http1_client_unread(client);
	size_t consumed;

	exchange_note(exchange, EXCHANGE_TUNNEL | EXCHANGE_UPSTREAM_SPENT, EXCHANGE_REQUEST_SENT);
	client->closes = true;
	relay_start(&exchange->request, HTTP_FRAMING_UNTIL_CLOSE, 0);
	relay_start(&exchange->response, HTTP_FRAMING_UNTIL_CLOSE, 0);
	if (early.length) {
		enum relay_outcome outcome = stream_send_request(
			worker, &exchange->request, exchange->upstream, early, NULL, 0, &consumed);

		if (outcome != RELAY_WAIT)
			return EXCHANGE_ABORTED;
		http1_client_drop(client);
	}
	loop_run_again(&worker->loop, &exchange->connection);
	return EXCHANGE_WAITING;
}

/* What the upstream says is no response. */
static enum exchange_progress refuse_response(struct worker *worker, struct exchange *exchange,
					      const char *reason)
{
	attempt_note_failure(worker, exchange, 502);
	statistics_count(&worker->statistics.upstream_failures);
	return exchange_fail(worker, exchange, 502, reason);
}

/* The final head is in worker->scratch.response_head; data[0, length) came after it. */
static enum exchange_progress take_response(struct worker *worker, struct exchange *exchange,
					    char *data, size_t length)
{
	const struct http_response_head *head = &worker->scratch.response_head;
	size_t consumed = 0;

	attempt_note_status(worker, exchange, head->status);
	if (attempt_retry_status(worker, exchange, head->status))
		return EXCHANGE_WAITING;
	if (head->upgrade && !(exchange->traits & EXCHANGE_UPGRADE))
		return refuse_response(worker, exchange, "a tunnel that was not asked for");
	start_response(worker, exchange);
	struct span written = make_response_head(worker, exchange, data - head->length);
	if (!written.data)
		return exchange_fail(worker, exchange, 502, "response head too large");
	if (head->upgrade && start_tunnel(worker, exchange) != EXCHANGE_WAITING)
		return EXCHANGE_ABORTED;
	enum relay_outcome outcome = stream_send_response(
		worker, &exchange->response, exchange->client, written, data, length, &consumed);
	/* The body was looked at before the head was sent: the client has nothing of either. */
	if (outcome == RELAY_INVALID)
		return refuse_response(worker, exchange, "malformed chunked body");
	exchange_note(exchange, EXCHANGE_RESPONSE_STARTED, 0);
	exchange_note_status(worker, exchange, head->status);
	if (consumed < length)
		exchange_note(exchange, EXCHANGE_UPSTREAM_SPENT, 0);
	if (outcome == RELAY_WAIT || outcome == RELAY_DONE)
		return EXCHANGE_WAITING;
	return exchange_response_progress(worker, exchange, outcome);
}

/* Takes heads out of worker->scratch.received: interim ones, then the final one. */
static enum exchange_progress parse_response(struct worker *worker, struct exchange *exchange,
					     size_t length, size_t already_scanned)
{
	char *data = worker->scratch.received;
	struct http_refusal refusal;

	for (;;) {
		switch (http_response_parse(data, length, already_scanned,
					    &worker->shared->response_limits,
					    exchange->traits & EXCHANGE_TO_HEAD,
					    &worker->scratch.response_head, &refusal)) {
		case HTTP_PARSE_REFUSED:
			return refuse_response(worker, exchange, refusal.reason);
		case HTTP_PARSE_MORE:
			buffer_clear(&exchange->response_start);
			buffer_append(&exchange->response_start, data, length);
			if (exchange->response_start.failed)
				return exchange_fail(worker, exchange, 503, "out of memory");
			return EXCHANGE_WAITING;
		case HTTP_PARSE_COMPLETE:
			break;
		}
		data += worker->scratch.response_head.length;
		length -= worker->scratch.response_head.length;
		already_scanned = 0;
		if (!worker->scratch.response_head.interim)
			return take_response(worker, exchange, data, length);
		enum exchange_progress progress = forward_interim(worker, exchange);
		if (progress != EXCHANGE_WAITING || exchange->events & EXCHANGE_RESPONSE_STARTED)
			return progress;
	}
}

/* What the client has not taken yet of interim responses holds up those that follow. */
static enum exchange_progress flush_interim(struct worker *worker, struct exchange *exchange)
{
	enum relay_outcome outcome = stream_pull_response(worker, &exchange->response,
							  exchange->upstream, exchange->client);

	return outcome == RELAY_DONE ? EXCHANGE_WAITING
				     : exchange_response_progress(worker, exchange, outcome);
}

enum exchange_progress response_read(struct worker *worker, struct exchange *exchange)
{
	size_t before = exchange->response_start.length;
	enum exchange_progress progress = EXCHANGE_WAITING;

	if (!relay_is_flushed(&exchange->response))
		progress = flush_interim(worker, exchange);
	if (progress != EXCHANGE_WAITING || !relay_is_flushed(&exchange->response))
		return progress;
	if (before)
		memcpy(worker->scratch.received, exchange->response_start.data, before);
	ssize_t length = stream_receive_response(worker, exchange->upstream, before);
	if (length == -EAGAIN)
		return EXCHANGE_WAITING;
	if (length <= 0)
		return attempt_lost(worker, exchange, ATTEMPT_RESET);
	if (exchange->log.length && !(exchange->events & EXCHANGE_UPSTREAM_BYTES))
		exchange->upstream_answered_ns = clock_now_ns();
	exchange_note(exchange, EXCHANGE_UPSTREAM_BYTES, 0);
	progress = parse_response(worker, exchange, before + (size_t)length, before);
	/* No event will say that more is there, or the end. */
	if (progress == EXCHANGE_WAITING && !(exchange->events & EXCHANGE_RESPONSE_STARTED) &&
	    exchange->upstream && upstream_has_more(exchange->upstream))
		loop_run_again(&worker->loop, &exchange->connection);
	return progress;
}
