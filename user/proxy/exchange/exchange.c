/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/exchange.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

struct exchange *exchange_open(struct worker *worker, struct http1_client *client)
{
	struct exchange *exchange = worker->spare_exchanges;

	if (exchange) {
		worker->spare_exchanges = exchange->next_spare;
		worker->spare_exchange_count--;
	} else {
		exchange = calloc(1, sizeof(*exchange));
		if (!exchange)
			return NULL;
		exchange->connection.kind = CONNECTION_EXCHANGE;
		exchange->connection.fd = -1;
	}
	memset(&exchange->worker, 0,
	       offsetof(struct exchange, request) - offsetof(struct exchange, worker));
	exchange->worker = worker;
	exchange->client = client;
	exchange->lease = lease_take(worker->upstreams.lease);
	exchange->phase_deadline_ms = TIMER_NEVER;
	exchange->try_deadline_ms = TIMER_NEVER;
	exchange->deadline_ms = TIMER_NEVER;
	exchange->began_ns = clock_now_ns();
	relay_open(&exchange->request);
	relay_open(&exchange->response);
	return exchange;
}

void exchange_free(struct worker *worker, struct exchange *exchange)
{
	timer_remove(&worker->loop.timers, &exchange->timer);
	buffer_free(&exchange->request.pending);
	buffer_free(&exchange->response.pending);
	buffer_free(&exchange->replay);
	buffer_free(&exchange->log);
	free(exchange);
}

void exchange_note_status(struct worker *worker, struct exchange *exchange, unsigned status)
{
	exchange->status = (uint16_t)status;
	statistics_count(&worker->statistics.responses[status / 100 % 6]);
}

/* What the outcome of the relay to the client means once the response has begun. */
enum exchange_progress exchange_response_progress(struct worker *worker, struct exchange *exchange,
						  enum relay_outcome outcome)
{
	switch (outcome) {
	case RELAY_WAIT:
		return EXCHANGE_WAITING;
	case RELAY_AGAIN:
		loop_run_again(&worker->loop, &exchange->connection);
		return EXCHANGE_WAITING;
	case RELAY_DONE:
		return EXCHANGE_FINISHED;
	case RELAY_SINK_FAILED:
		statistics_count(&worker->statistics.client_aborts);
		return EXCHANGE_ABORTED;
	default:
		exchange->end = SERIES_FAILED;
		statistics_count(&worker->statistics.upstream_failures);
		return EXCHANGE_ABORTED;
	}
}

void exchange_start_timeouts(const struct worker *worker, struct exchange *exchange)
{
	const struct mesh_route *route = exchange->route.route;

	if (!route)
		return;
	if (route->timeout_ms)
		exchange->deadline_ms = worker->loop.now_ms + route->timeout_ms;
	if (route->retries.per_try_timeout_ms && exchange->upstream)
		exchange->try_deadline_ms = worker->loop.now_ms + route->retries.per_try_timeout_ms;
}
